//! Users: in the configuration itself, and in the file that `linewright user` keeps.

use toml::de::DeTable;

use super::problem::{Problem, Problems};
use super::section::Section;
use super::settings::{Surroundings, UserSettings};
use crate::domain::role::Role;

/// Reads a file that has users and nothing else.
pub fn load(
    file: &str,
    text: &str,
    surroundings: &dyn Surroundings,
) -> Result<Vec<UserSettings>, Vec<Problem>> {
    let problems = Problems::new(file, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        problems.add(span, format!("not TOML: {}", error.message()), "correct the syntax");
    }
    let users = {
        let root = Section::new("the file", 0..0, table.get_ref(), &problems);
        let users = read(&root, surroundings);
        root.finish();
        users
    };
    if problems.is_empty() { Ok(users) } else { Err(problems.into_list()) }
}

/// Reads the users of a file.
pub fn read(root: &Section<'_>, surroundings: &dyn Surroundings) -> Vec<UserSettings> {
    let mut users: Vec<UserSettings> = Vec::new();
    for section in root.tables("user") {
        let name = section.required_text("name");
        let roles: Vec<_> = Role::ALL.iter().map(|role| role.as_str()).collect();
        let role = section.required("role", &roles.join(", "), Role::parse);
        let hash =
            section.parsed("password_hash", "the output of `linewright hash-password`", |text| {
                surroundings.is_password_hash(text).then(|| text.to_owned())
            });
        let certificates = read_certificates(&section);
        let problems = section.problems();
        let span = section.span();
        let has_hash_key = section.has("password_hash");
        section.finish();
        let (Some(name), Some(role)) = (name, role) else {
            continue;
        };
        if hash.is_none() && certificates.is_empty() && !has_hash_key {
            let message = format!("user {:?} cannot log on", name.value);
            problems.add(span, message, "add `password_hash` or `certificates`");
            continue;
        }
        if users.iter().any(|user| user.name == name.value) {
            let message = format!("a second user {:?}", name.value);
            problems.add(name.span, message, "give each user a name of his own");
            continue;
        }
        users.push(UserSettings {
            name: name.value,
            role: role.value,
            password_hash: hash.map(|hash| hash.value),
            certificates,
        });
    }
    users
}

fn read_certificates(section: &Section<'_>) -> Vec<String> {
    let mut certificates = Vec::new();
    for text in section.texts("certificates") {
        let id = text.value.to_ascii_lowercase();
        if id.len() == 64 && id.chars().all(|c| c.is_ascii_hexdigit()) {
            certificates.push(id);
        } else {
            let message = format!("`certificates` has {:?}", text.value);
            let advice = "write the SHA-256 as 64 hexadecimal digits; linewright pki show has it";
            section.problems().add(text.span, message, advice);
        }
    }
    certificates
}

//! `user`: adds, changes, removes and lists users, in a file of the data directory that a running
//! server follows. Users of the configuration are listed and left alone.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::hash_password::read_and_hash;
use super::{EXIT_SOFTWARE, EXIT_USAGE, Failure, Outcome, load, users};
use crate::config::settings::{Settings, UserSettings};
use crate::domain::role::Role;

/// Longest user name.
const NAME_MAX: usize = 64;

/// Which plant.
#[derive(Args, Debug)]
pub struct Plant {
    /// Configuration file; its data directory has the users
    #[arg(long)]
    config: PathBuf,
}

/// What to do with users.
#[derive(Subcommand)]
pub enum UserCommand {
    /// Add a user; asks for a password, or reads it from standard input, unless there is a certificate
    Add {
        /// Name
        name: String,
        /// observer, operator, supervisor, engineer, admin or erp
        #[arg(long)]
        role: String,
        /// SHA-256 of a certificate with which the user logs on; may be given again
        #[arg(long)]
        certificate: Vec<String>,
        #[command(flatten)]
        plant: Plant,
    },
    /// Change a user's password; asks for the new one, or reads it from standard input
    Passwd {
        /// Name
        name: String,
        #[command(flatten)]
        plant: Plant,
    },
    /// Remove a user
    Remove {
        /// Name
        name: String,
        #[command(flatten)]
        plant: Plant,
    },
    /// List all users
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        plant: Plant,
    },
}

/// Does it.
pub fn run(command: &UserCommand) -> Outcome {
    match command {
        UserCommand::Add { name, role, certificate, plant } => {
            let (settings, mut kept) = open(plant)?;
            let user = new_user(name, role, certificate, &settings, &kept)?;
            kept.push(user);
            save(&settings, &kept)?;
            eprintln!("user {name} added; a running server notices within seconds");
        }
        UserCommand::Passwd { name, plant } => {
            let (settings, mut kept) = open(plant)?;
            let index = find(name, &settings, &kept)?;
            kept[index].password_hash = Some(read_and_hash()?);
            save(&settings, &kept)?;
            eprintln!(
                "password of {name} changed; his sessions on a running server end within seconds"
            );
        }
        UserCommand::Remove { name, plant } => {
            let (settings, mut kept) = open(plant)?;
            let index = find(name, &settings, &kept)?;
            kept.remove(index);
            save(&settings, &kept)?;
            eprintln!("user {name} removed; his sessions on a running server end within seconds");
        }
        UserCommand::List { json, plant } => {
            let (settings, kept) = open(plant)?;
            list(*json, &settings, &kept);
        }
    }
    Ok(())
}

fn open(plant: &Plant) -> Result<(Settings, Vec<UserSettings>), Failure> {
    let settings = load::without_secrets(&plant.config)?;
    let kept = users::read(&users::path(&settings.data))?;
    Ok((settings, kept))
}

fn refused<T>(text: String) -> Result<T, Failure> {
    Err(Failure::new(EXIT_USAGE, text))
}

fn new_user(
    name: &str,
    role: &str,
    certificates: &[String],
    settings: &Settings,
    kept: &[UserSettings],
) -> Result<UserSettings, Failure> {
    let is_plain = |c: char| c.is_alphanumeric() || "._-@ ".contains(c);
    if name.trim().is_empty() || name.len() > NAME_MAX || !name.chars().all(is_plain) {
        return refused(format!(
            "{name:?} cannot be a user name; use letters, digits and . _ - @, {NAME_MAX} at most"
        ));
    }
    if settings.users.iter().chain(kept).any(|user| user.name == name) {
        return refused(format!(
            "there is a user {name} already; linewright user passwd changes him"
        ));
    }
    let Some(role) = Role::parse(role) else {
        let roles: Vec<_> = Role::ALL.iter().map(|role| role.as_str()).collect();
        return refused(format!("{role:?} is no role; use one of {}", roles.join(", ")));
    };
    for certificate in certificates {
        if certificate.len() != 64 || !certificate.chars().all(|c| c.is_ascii_hexdigit()) {
            return refused(format!(
                "{certificate:?} is no SHA-256; linewright pki show prints it in full"
            ));
        }
    }
    let password_hash = match certificates.is_empty() {
        true => Some(read_and_hash()?),
        false => None,
    };
    let certificates = certificates.iter().map(|one| one.to_ascii_lowercase()).collect();
    Ok(UserSettings { name: name.to_owned(), role, password_hash, certificates })
}

fn find(name: &str, settings: &Settings, kept: &[UserSettings]) -> Result<usize, Failure> {
    if let Some(index) = kept.iter().position(|user| user.name == name) {
        return Ok(index);
    }
    if settings.users.iter().any(|user| user.name == name) {
        return refused(format!("user {name} is in the configuration; change him there"));
    }
    refused(format!("there is no user {name}; linewright user list shows all"))
}

/// Writes the file as a whole or not at all, readable by nobody else.
fn save(settings: &Settings, kept: &[UserSettings]) -> Outcome {
    let path = users::path(&settings.data);
    let mut text = "# Kept by `linewright user`; a running server follows it.\n".to_owned();
    for user in kept {
        text += &format!("\n[[user]]\nname = {:?}\nrole = {:?}\n", user.name, user.role.as_str());
        if let Some(hash) = &user.password_hash {
            text += &format!("password_hash = {hash:?}\n");
        }
        if !user.certificates.is_empty() {
            text += &format!("certificates = {:?}\n", user.certificates);
        }
    }
    write(&path, &text).map_err(|error| {
        Failure::new(EXIT_SOFTWARE, format!("{} cannot be written: {error}", path.display()))
    })
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let temporary = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

fn list(json: bool, settings: &Settings, kept: &[UserSettings]) {
    let configured = settings.users.iter().map(|user| (user, "configuration"));
    let all = configured.chain(kept.iter().map(|user| (user, "users.toml")));
    if json {
        let rows: Vec<_> = all
            .map(|(user, from)| {
                serde_json::json!({
                    "name": user.name,
                    "role": user.role.as_str(),
                    "password": user.password_hash.is_some(),
                    "certificates": user.certificates,
                    "from": from,
                })
            })
            .collect();
        println!("{}", serde_json::Value::from(rows));
        return;
    }
    for (user, from) in all {
        let proof = match (&user.password_hash, user.certificates.len()) {
            (Some(_), 0) => "password".to_owned(),
            (Some(_), count) => format!("password, {count} certificates"),
            (None, count) => format!("{count} certificates"),
        };
        println!("{:<24} {:<12} {proof:<28} {from}", user.name, user.role.as_str());
    }
}

//! The users of a running program: those of the configuration and those of the file that
//! `linewright user` keeps, which is read again when it changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{EXIT_USAGE, Failure, load};
use crate::app::access::{User, Users};
use crate::config::settings::{Settings, UserSettings};

/// How often the file is looked at.
const FRESH: Duration = Duration::from_secs(2);

/// The file that `linewright user` keeps.
pub fn path(data: &Path) -> PathBuf {
    data.join("users.toml")
}

/// Reads the file; no file is no users.
pub fn read(path: &Path) -> Result<Vec<UserSettings>, Failure> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let text = format!("{} cannot be read: {error}", path.display());
            return Err(Failure::new(EXIT_USAGE, text));
        }
    };
    let name = path.display().to_string();
    load::users_from_text(&name, &text).map_err(|problems| load::failure(&problems))
}

/// All users; a name in both places is refused.
pub fn of(settings: &Settings) -> Result<Vec<User>, Failure> {
    let kept = read(&path(&settings.data))?;
    let is_configured = |one: &&UserSettings| settings.users.iter().any(|u| u.name == one.name);
    if let Some(twice) = kept.iter().find(is_configured) {
        let file = path(&settings.data);
        let text = format!(
            "user {:?} is in the configuration and in {}; remove one of them",
            twice.name,
            file.display()
        );
        return Err(Failure::new(EXIT_USAGE, text));
    }
    let all = settings.users.iter().chain(&kept).map(|user| User {
        name: user.name.clone(),
        role: user.role,
        password_hash: user.password_hash.clone(),
        certificates: user.certificates.clone(),
    });
    Ok(all.collect())
}

/// Takes changes of the file and of the configuration over until told to stop; a file with problems changes nothing.
pub async fn follow(
    users: Arc<Users>,
    mut settings: watch::Receiver<Settings>,
    stop: CancellationToken,
) {
    let file = path(&settings.borrow().data);
    let changed = |file: &Path| -> Option<SystemTime> {
        std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
    };
    let mut known = changed(&file);
    let mut tick = tokio::time::interval(FRESH);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let now = changed(&file);
        if now == known && !settings.has_changed().unwrap_or(false) {
            continue;
        }
        known = now;
        let all = of(&settings.borrow_and_update());
        match all {
            Ok(all) => {
                tracing::info!(users = all.len(), "the users have been read again");
                users.replace(all);
            }
            Err(failure) => tracing::error!(reason = failure.text, "the users stay as they were"),
        }
    }
}

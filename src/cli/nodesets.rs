//! `nodesets`: the types of the server as files that other tools load, without a connection and without the
//! sources.

use std::fs;
use std::path::Path;

use super::{EXIT_TEMPORARY, Failure, Outcome};
use crate::server::space::SHIPPED_NODESETS;

/// Writes the nodesets that ship with the program into a folder, and names them.
pub fn run(folder: &Path) -> Outcome {
    let cannot = |path: &Path, error: &std::io::Error| {
        Failure::new(EXIT_TEMPORARY, format!("{} cannot be written: {error}", path.display()))
    };
    fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
    for (name, text) in SHIPPED_NODESETS {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| cannot(&path, &error))?;
        println!("{}", path.display());
    }
    Ok(())
}

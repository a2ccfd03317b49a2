//! `check-config`: all problems at once, or a short account of what is configured.

use std::path::Path;

use super::{Outcome, load};

/// Checks a file.
pub fn run(path: &Path) -> Outcome {
    let settings = load::from_file(path)?;
    let plant = &settings.plant;
    println!(
        "{} is correct: {} lines, {} machines, {} products, {} reasons, {} users",
        path.display(),
        plant.lines.len(),
        plant.machines.len(),
        plant.products.len(),
        plant.reasons.len(),
        settings.users.len()
    );
    Ok(())
}

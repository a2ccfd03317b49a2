//! Reading the configuration again while the program runs: what may change at once, what takes a restart,
//! and what would be another plant.

use super::{EXIT_USAGE, Failure};
use crate::config::settings::Settings;

/// Refuses a configuration that is of another plant than the one that runs: ids, certificates and what is
/// stored hang on these.
pub fn check_same_plant(running: &Settings, read: &Settings) -> Result<(), Failure> {
    let (was, is) = (&running.plant.site, &read.plant.site);
    if was != is {
        let text = format!("the site was {was} and is {is} now, which takes a restart");
        return Err(Failure::new(EXIT_USAGE, text));
    }
    if running.data != read.data {
        let (was, is) = (running.data.display(), read.data.display());
        let text = format!("the data directory was {was} and is {is} now, which takes a restart");
        return Err(Failure::new(EXIT_USAGE, text));
    }
    Ok(())
}

/// The sections that are otherwise and take a restart; all else is taken over at once.
pub fn restart_for(running: &Settings, read: &Settings) -> Vec<String> {
    let changed = [
        ("[opcua]", running.opcua != read.opcua),
        ("[http]", running.http != read.http),
        ("[data] keep_recorded", running.keep != read.keep),
    ];
    changed.iter().filter(|(_, changed)| *changed).map(|(name, _)| (*name).to_owned()).collect()
}

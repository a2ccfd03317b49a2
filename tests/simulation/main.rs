//! A simulated plant under a seed: machines, a network that delays, doubles, reorders and loses, clocks
//! that are wrong, power that fails, people who correct. After each run the figures are compared with
//! an oracle that reads the raw log only, and the invariants are checked. The first story of each
//! profile goes through the running engine with its store as well.
//!
//! `SEEDS=200 DAYS=7 cargo test --release --test simulation` for more of it; a failure names profile
//! and seed, and `SEED=n PROFILE=name` runs that one again.

#![allow(missing_docs, reason = "tests are documented by their names")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod check;
mod engine;
mod oracle;
mod plant;
mod run;
#[path = "../shared/running.rs"]
mod running;
mod world;

use world::Profile;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn simulate(profile: Profile) {
    if let Ok(only) = std::env::var("PROFILE")
        && only != profile.name
    {
        return;
    }
    let days = i64::try_from(number("DAYS", 2)).unwrap();
    let first = number("SEED", 1);
    let seeds = if std::env::var("SEED").is_ok() { 1 } else { number("SEEDS", 2) };
    for seed in first..first + seeds {
        let story = world::story(profile, seed, days);
        let done = run::run(profile, seed, &story);
        check::all(profile, seed, &done, days);
        if profile.power_losses == 0 && seed == first {
            // The engine waits for the disk with each commit: half of the time is enough for it.
            let days = (days / 2).max(1);
            engine::gives_the_same(profile, seed, &world::story(profile, seed, days), days);
        }
    }
}

#[test]
fn calm() {
    simulate(Profile::CALM);
}

#[test]
fn flaky_network() {
    simulate(Profile::FLAKY_NETWORK);
}

#[test]
fn bad_clock() {
    simulate(Profile::BAD_CLOCK);
}

#[test]
fn power_loss() {
    simulate(Profile::POWER_LOSS);
}

#[test]
fn shift_change_storm() {
    simulate(Profile::SHIFT_CHANGE_STORM);
}

#[test]
fn everything() {
    simulate(Profile::EVERYTHING);
}

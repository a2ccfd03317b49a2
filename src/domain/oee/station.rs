//! Parallel machines as one: a station runs while enough of its machines run.

use super::track::{Origin, Situation, TrackPoint, track as machine_track};
use crate::domain::signal::MachineState;
use crate::domain::time::{Timestamp, Window};

/// The track of a station.
///
/// While too few machines run, the station is in the state of the one that stopped last, which
/// tipped it over. Where machines whose state is not known decide, the station's is not known.
pub fn track(members: &[Situation<'_>], min_running: usize, window: Window) -> Vec<TrackPoint> {
    let tracks: Vec<Vec<TrackPoint>> = members.iter().map(|m| known_track(m, window)).collect();
    let mut bounds: Vec<Timestamp> = tracks.iter().flatten().map(|p| p.at).collect();
    bounds.sort_unstable();
    bounds.dedup();
    let mut points: Vec<TrackPoint> = Vec::new();
    for at in bounds {
        let held = tracks.iter().map(|t| t[..t.partition_point(|p| p.at <= at)].last());
        let held: Vec<Option<&TrackPoint>> = held.collect();
        let point = TrackPoint { at, ..joined(&held, min_running) };
        if points.last().is_none_or(|p| (p.state, p.origin) != (point.state, point.origin)) {
            points.push(point);
        }
    }
    points
}

/// A machine's track in which lost links are not known.
fn known_track(member: &Situation<'_>, window: Window) -> Vec<TrackPoint> {
    let track = machine_track(member, window);
    let (Some(first), Some(last)) = (track.first(), track.last()) else {
        return Vec::new();
    };
    let whole = Window { from: first.at.min(window.from), to: last.at.max(window.to) };
    let gaps = member.evidence.link_gaps(whole);
    let holding = |at: Timestamp| track[..track.partition_point(|p| p.at <= at)].last().copied();
    let mut bounds: Vec<Timestamp> = track.iter().map(|p| p.at).collect();
    bounds.extend(gaps.iter().flat_map(|gap| [gap.from, gap.to]).filter(|at| whole.contains(*at)));
    bounds.sort_unstable();
    bounds.dedup();
    let known = bounds.into_iter().map(|at| {
        let in_gap = gaps.iter().any(|gap| gap.contains(at));
        let point = holding(at).filter(|_| !in_gap);
        let unknown = TrackPoint { at, state: None, origin: Origin::Signal };
        TrackPoint { at, ..point.unwrap_or(unknown) }
    });
    known.collect()
}

fn joined(held: &[Option<&TrackPoint>], min_running: usize) -> TrackPoint {
    let of = |state: Option<MachineState>| TrackPoint {
        at: Timestamp::MIN,
        state,
        origin: Origin::Signal,
    };
    let running =
        |p: &&Option<&TrackPoint>| p.is_some_and(|p| p.state == Some(MachineState::Running));
    let runs = held.iter().filter(running).count();
    let unknown = held.iter().filter(|p| p.is_none_or(|p| p.state.is_none())).count();
    if runs >= min_running {
        return of(Some(MachineState::Running));
    }
    if runs + unknown >= min_running {
        return of(None);
    }
    let stopped = held
        .iter()
        .flatten()
        .filter(|p| p.state.is_some_and(|state| state != MachineState::Running));
    stopped.max_by_key(|p| p.at).map_or(of(None), |last| TrackPoint { ..**last })
}

//! What is aimed at: figures that equipment should reach.

use std::collections::BTreeMap;

use super::section::{Placed, Section};
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::figure::Figure;
use crate::domain::quantity::Quantity;

/// What is aimed at, by equipment and figure.
pub type Targets = BTreeMap<Equipment, BTreeMap<Figure, Quantity>>;

/// The figures by the keys that they have in a file.
const FIGURES: [(&str, Figure); 7] = [
    ("oee", Figure::Oee),
    ("availability", Figure::Availability),
    ("performance", Figure::Performance),
    ("quality", Figure::Quality),
    ("teep", Figure::Teep),
    ("ooe", Figure::Ooe),
    ("nee", Figure::Nee),
];

/// Reads `[[target]]` sections; `known` finds equipment by its key.
pub fn read(root: &Section<'_>, known: &dyn Fn(&str) -> Option<Equipment>) -> Targets {
    let mut targets = Targets::new();
    for section in root.tables("target") {
        let key = section.required_text("equipment");
        let figures = read_figures(&section);
        let (problems, span) = (section.problems(), section.span());
        if figures.is_empty() && !FIGURES.iter().any(|(key, _)| section.has(key)) {
            let keys = FIGURES.map(|(key, _)| key).join(", ");
            problems.add(span, "the target aims at nothing", format!("add one of {keys}"));
        }
        section.finish();
        let Some(Placed { value: key, span }) = key else {
            continue;
        };
        let Some(equipment) = known(&key) else {
            let message = format!("no equipment {key:?} is configured");
            problems.add(span, message, "use the id of the site, an area, a line or a machine");
            continue;
        };
        if targets.insert(equipment, figures).is_some() {
            let message = format!("a second target for {key:?}");
            problems.add(span, message, "write all figures into one of them");
        }
    }
    targets
}

fn read_figures(section: &Section<'_>) -> BTreeMap<Figure, Quantity> {
    let wanted = "a share above 0 and at most 1, such as \"0.85\"";
    let mut figures = BTreeMap::new();
    for (key, figure) in FIGURES {
        let share = section.parsed(key, wanted, |text| {
            let share = text.parse::<Quantity>().ok()?;
            (share > Quantity::ZERO && share <= Quantity::from_whole(1)).then_some(share)
        });
        figures.extend(share.map(|share| (figure, share.value)));
    }
    figures
}

//! Machines whose signals are bound without a person: what was recognised of a machine is written into
//! the data directory, in the words of the configuration, and taken over at once.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::suggest;
use crate::domain::id::MachineId;
use crate::machine::recognise::Recognised;

/// Where it is written what was bound of a machine.
pub fn file(data: &Path, machine: &MachineId) -> PathBuf {
    data.join("bindings").join(format!("{machine}.toml"))
}

/// What was recognised, as it is written: with the reason for everything.
pub fn text(machine: &MachineId, recognised: &Recognised) -> String {
    let mut text = format!(
        "# Written by Linewright after it has recognised machine {machine} by its types. What the\n\
         # configuration says goes before it; it is written anew when the machine shows something else.\n"
    );
    for note in &recognised.notes {
        let _ = writeln!(text, "# {}.", suggest::one_line(note));
    }
    for binding in recognised.bindings.iter().filter(|binding| !binding.is_guessed()) {
        text += &suggest::signal(binding, "signal");
    }
    text + &suggest::nameplate(recognised, "nameplate")
}

/// What was recognised, for people to look at.
pub fn shown(recognised: &Recognised) -> String {
    let lines = recognised.bindings.iter().map(|binding| {
        let (role, standard, why) = (binding.role.as_str(), binding.standard, &binding.why);
        match binding.is_guessed() {
            true => format!("{role} is not bound, since it takes a person to complete it: {why}"),
            false => format!("{role}: {standard}, {why}"),
        }
    });
    let notes = recognised.notes.iter().cloned();
    let lines: Vec<_> = lines.chain(notes).map(|line| suggest::one_line(&line)).collect();
    match lines.is_empty() {
        true => "nothing was recognised by its type; configure a [[machine.signal]]".into(),
        false => lines.join("\n"),
    }
}

/// Writes what was recognised where it is otherwise than before; whether it was. A machine that shows
/// nothing that can be bound, perhaps because it has only begun, stays bound as it was.
pub fn keep(data: &Path, machine: &MachineId, recognised: &Recognised) -> Result<bool, String> {
    if recognised.bindings.iter().all(|binding| binding.is_guessed()) {
        return Ok(false);
    }
    let (file, text) = (file(data, machine), text(machine, recognised));
    if std::fs::read_to_string(&file).is_ok_and(|known| known == text) {
        return Ok(false);
    }
    let written = std::fs::create_dir_all(data.join("bindings"))
        .and_then(|()| crate::mirror::write(&file, text.as_bytes()));
    written.map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::load;
    use crate::domain::signal::SignalRole;
    use crate::machine::Node;
    use crate::machine::recognise::Binding;

    fn binding(role: SignalRole, reading: &'static str) -> Binding {
        Binding {
            role,
            node: Node { namespace: Some("urn:\"m\"".into()), identifier: "s=State\n".into() },
            field: "",
            reading,
            standard: "PackML (OPC 30050)",
            why: "BaseStateMachine of A\nB".into(),
        }
    }

    fn recognised() -> Recognised {
        Recognised {
            bindings: vec![
                binding(SignalRole::State, "states = \"packml\""),
                binding(SignalRole::Mode, "modes = \"packml\""),
                binding(SignalRole::Cycle, "cycle = \"30s\""),
            ],
            nameplate: vec![],
            notes: vec!["it has\njobs".into()],
        }
    }

    fn configured(directory: &Path, more: &str) -> String {
        format!(
            "[site]\nid = \"S\"\ntime_zone = \"UTC\"\n[data]\ndirectory = {:?}\n[opcua]\n[http]\n\
             [[area]]\nid = \"A\"\n[[line]]\nid = \"L\"\narea = \"A\"\n\
             [[machine]]\nid = \"M\"\nline = \"L\"\nendpoint = \"opc.tcp://m:4840\"\nsecurity = \"none\"\n\
             binding = \"auto\"\n{more}",
            directory.display()
        )
    }

    #[test]
    fn what_was_recognised_is_taken_over_and_the_configuration_goes_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let machine = MachineId::parse("M").unwrap();
        let roles = |more: &str| -> Vec<SignalRole> {
            let text = configured(directory.path(), more);
            let settings = load::from_text("plant.toml", &text).unwrap();
            settings.machines[0].signals.iter().map(|(role, _)| *role).collect()
        };
        assert_eq!(roles(""), [], "nothing is known before it was reached");
        assert_eq!(keep(directory.path(), &machine, &recognised()), Ok(true));
        assert_eq!(keep(directory.path(), &machine, &recognised()), Ok(false));
        assert_eq!(roles(""), [SignalRole::State, SignalRole::Mode]);
        let own = "[[machine.signal]]\nrole = \"cycle\"\nnode = \"nsu=u;s=C\"\ncycle = \"2s\"\n";
        assert_eq!(roles(own), [SignalRole::Cycle, SignalRole::Mode]);
        // A machine that shows nothing any more stays bound, and a file that is broken is no binding.
        assert_eq!(keep(directory.path(), &machine, &Recognised::default()), Ok(false));
        assert_eq!(roles(""), [SignalRole::State, SignalRole::Mode]);
        std::fs::write(file(directory.path(), &machine), "[[signal]]\nrole = 5").unwrap();
        assert_eq!(roles(""), []);
    }

    #[test]
    fn people_see_why_and_what_was_not_bound() {
        let shown = shown(&recognised());
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[0], "state: PackML (OPC 30050), BaseStateMachine of A B");
        assert!(lines[2].starts_with("cycle is not bound, since it takes a person"), "{shown}");
        assert_eq!(lines[3], "it has jobs");
    }
}

//! The command line: problems of a configuration all at once, exit codes, replay.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::support::{BINARY, Instance, configuration};

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn check(text: &str) -> (i32, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plant.toml");
    std::fs::write(&path, text).unwrap();
    let output = run(&["check-config", path.to_str().unwrap()]);
    let text = String::from_utf8(output.stderr).unwrap();
    let prefix = format!("{}:", path.display());
    let problems = text.lines().filter_map(|line| line.strip_prefix(&prefix));
    (output.status.code().unwrap(), problems.map(str::to_owned).collect())
}

#[test]
fn the_shipped_configurations_are_correct() {
    for file in ["config/demo.toml", "config/example.toml"] {
        let output = run(&["check-config", file]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// One of nearly everything that can be wrong.
const WRONG: &str = r#"[site]
id = "S"
time_zone = "Europe/Berlyn"
nmae = "Site"

[data]
directory = "data"

[opcua]
listen = "192.168.0.1:4840"
open_endpoint = true

[[area]]
id = "A"

[[line]]
id = "L1"
area = "B"

[[machine]]
id = "M 1"
line = "L1"
endpoint = "opc.tcp://x:99999"
security = "none"

[[machine]]
id = "M2"
line = "L1"
endpoint = "opc.tcp://x:4840"
security = "none"
micro_stop_below = 120

[[machine.signal]]
role = "state"
node = "ns=2;s=State"
states = { 1 = "runing" }

[[product]]
id = "P"

[[product.ideal_cycle]]
cycle = "0s"

[[shift]]
name = "a"
start = "06:00"
end = "14:00"

[[shift]]
name = "b"
start = "13:00"
end = "25:00"

[[shift]]
name = "c"
start = "13:00"
end = "15:00"

[[user]]
name = "ann"
role = "boss"
password_hash = "secret"
"#;

#[test]
fn all_problems_are_reported_at_once_with_place_and_advice() {
    let (code, problems) = check(WRONG);
    assert_eq!(code, 64);
    let expected = [
        ("3:13:", "Europe/Berlyn"),
        ("4:1:", "did you mean `name`?"),
        ("11:17:", "not allowed on 192.168.0.1:4840"),
        ("18:8:", "no area B"),
        ("21:6:", "holds ' '"),
        ("23:12:", "opc.tcp://x:99999"),
        ("31:20:", "is of type integer"),
        ("35:8:", "an index changes with the firmware"),
        ("36:16:", "\"runing\" is no machine state"),
        ("42:9:", "a positive duration"),
        ("52:7:", "a time of day"),
        ("54:1:", "overlaps shift \"a\""),
        ("61:8:", "\"boss\""),
        ("62:17:", "linewright hash-password"),
    ];
    for (place, text) in expected {
        let found = problems.iter().any(|p| p.starts_with(place) && p.contains(text));
        assert!(found, "{place} {text}\n{}", problems.join("\n"));
    }
}

#[test]
fn how_a_machine_is_reached_and_where_its_signals_are_is_checked() {
    let machine = |keys: &str, signal: &str| {
        let text = std::fs::read_to_string("config/example.toml").unwrap();
        let text = text.replacen("security = \"Basic256Sha256\"", keys, 1).replacen(
            "node = \"nsu=urn:vendor:press;s=State\"",
            signal,
            1,
        );
        check(&text)
    };
    let node = "node = \"nsu=urn:vendor:press;s=State\"";
    let secured = "security = \"Basic256Sha256\"";
    for keys in [
        "security = \"Basic256\"\nmode = \"Sign\"",
        "security = \"Basic256Sha256\"\ncertificate = \"4B1F0C8A97D2E35F\"",
        "security = \"none\"\nstandby = [\"opc.tcp://[::1]:4841/x\"]",
        "security = \"none\"\nuser_certificate = \"a.der\"\nuser_key = \"a.pem\"",
        "security = \"none\"\nuser_token = \"a.jwt\"",
    ] {
        assert_eq!(machine(keys, node), (0, vec![]), "{keys}");
    }
    for signal in ["path = \"Press/Status/State\"", "node = \"i=7\"\nfield = \"[0].State\""] {
        assert_eq!(machine(secured, signal), (0, vec![]), "{signal}");
    }
    for (keys, signal, wanted) in [
        ("security = \"best\"", node, "only for old machines"),
        ("security = \"none\"\nmode = \"Sign\"", node, "`mode` says nothing without security"),
        ("security = \"none\"\ncertificate = \"4b1f\"", node, "the SHA-256"),
        ("security = \"none\"\nstandby = [\"http://x\"]", node, "`standby` has"),
        ("security = \"none\"\nuser = \"mes\"", node, "has no password"),
        ("security = \"none\"\nuser_key = \"a.pem\"", node, "belong together"),
        ("security = \"none\"\nuser = \"a\"\nuser_token = \"b\"", node, "more than one way"),
        (secured, "path = \"Press//State\"", "write browse names"),
        (secured, "path = \"Press\"\nnode = \"i=7\"", "both `node` and `path`"),
        (secured, "node = \"i=7\"\nfield = \"[x]\"", "write [0] for an element"),
    ] {
        let (code, problems) = machine(keys, signal);
        let found = problems.iter().any(|problem| problem.contains(wanted));
        assert!(code == 64 && found, "{keys} {signal}: {problems:?}");
    }
}

#[test]
fn what_is_recorded_and_for_how_long_is_checked() {
    let changed = |keep: &str, mirror: &str| {
        let text = std::fs::read_to_string("config/example.toml").unwrap();
        let data = format!("[data]\nkeep_recorded = {keep:?}\n");
        let text = text.replacen("[data]\n", &data, 1);
        let mirror = format!("[machine.mirror]\n{mirror}\n[machine.nameplate]");
        check(&text.replacen("[machine.nameplate]", &mirror, 1))
    };
    let record = "record = [\"Press/Axes\"]\nrecord_every = \"100ms\"";
    assert_eq!(changed("30d", record), (0, vec![]));
    for (keep, mirror, wanted) in [
        ("2h", record, "`keep_recorded` is too short"),
        ("4000d", record, "such as \"90d\""),
        ("30d", "record = [\"Press//Axes\"]", "`record` has"),
        ("30d", "record_every = \"0s\"", "a positive duration"),
    ] {
        let (code, problems) = changed(keep, mirror);
        let found = problems.iter().any(|problem| problem.contains(wanted));
        assert!(code == 64 && found, "{keep} {mirror}: {problems:?}");
    }
}

#[test]
fn syntax_errors_and_missing_files_have_their_own_exit_codes() {
    assert_eq!(check("[site\nid = 3").0, 64);
    assert_eq!(run(&["check-config", "/nowhere/plant.toml"]).status.code(), Some(66));
    assert_eq!(run(&["serve", "--config", "/nowhere/plant.toml"]).status.code(), Some(66));
}

#[test]
fn replay_prints_the_worked_example_of_the_readme() {
    let output = run(&[
        "replay",
        "--config",
        "config/example.toml",
        "--input",
        "examples/shift.jsonl",
        "--equipment",
        "L1",
        "--from",
        "2026-11-20T05:00:00Z",
        "--to",
        "2026-11-20T13:00:00Z",
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["time_s"]["planned_busy"], 26_100.0);
    assert_eq!(report["time_s"]["unplanned_down"], 1_800.0);
    assert_eq!(report["time_s"]["micro_stop"], 60.0);
    assert_eq!(report["time_s"]["setup"], 900.0);
    assert_eq!(report["counts"]["good"], 2_000);
    assert_eq!(report["counts"]["reject"], 100);
    assert_eq!(report["exact"]["oee"]["numerator"], "200");
    assert_eq!(report["exact"]["oee"]["denominator"], "261");
}

/// Whether a report says all that is expected, and the first thing that it does not.
fn differs(expected: &serde_json::Value, found: &serde_json::Value, path: &str) -> Option<String> {
    use serde_json::Value;
    match (expected, found) {
        (Value::Object(members), _) => members
            .iter()
            .find_map(|(name, value)| differs(value, &found[name], &format!("{path}/{name}"))),
        (Value::Number(wanted), Value::Number(is)) if wanted.as_f64() == is.as_f64() => None,
        (wanted, is) if wanted == is => None,
        (wanted, is) => Some(format!("{path}: {wanted} was expected, {is} found")),
    }
}

#[test]
fn every_worked_example_has_the_figures_of_its_source() {
    let mut cases = 0;
    for folder in std::fs::read_dir("examples").unwrap() {
        let folder = folder.unwrap().path();
        let Ok(case) = std::fs::read_to_string(folder.join("case.json")) else {
            continue;
        };
        let case: serde_json::Value = serde_json::from_str(&case).unwrap();
        let text = |name: &str| case[name].as_str().unwrap().to_owned();
        assert!(!text("source").is_empty() && !text("about").is_empty());
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (config, log) = (file("plant.toml"), file("log.jsonl"));
        let (equipment, profile) = (text("equipment"), text("profile"));
        let (from, to) = (text("from"), text("to"));
        let mut arguments = vec!["replay", "--config", &config, "--input", &log];
        arguments.extend(["--equipment", &equipment, "--profile", &profile]);
        arguments.extend(["--from", &from, "--to", &to]);
        let output = run(&arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && errors.is_empty(), "{config}: {errors}");
        let report = serde_json::from_slice(&output.stdout).unwrap();
        let difference = differs(&case["expected"], &report, "");
        assert_eq!(difference, None, "{config}\n{report:#}");
        cases += 1;
    }
    assert!(cases >= 5, "{cases} cases were found");
}

#[test]
fn replay_names_bad_lines_and_bad_arguments() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log.jsonl");
    std::fs::write(&log, "{\"type\":\"sampel\"}\n").unwrap();
    let base = ["replay", "--config", "config/example.toml", "--input", log.to_str().unwrap()];
    let window = ["--from", "2026-11-20T05:00:00Z", "--to", "2026-11-20T06:00:00Z"];
    let output = run(&[&base[..], &["--equipment", "L1"], &window].concat());
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("log.jsonl:1:") && text.contains("sampel"), "{text}");
    let nobody = run(&[&base[..], &["--equipment", "L77"], &window].concat());
    assert_eq!(nobody.status.code(), Some(64));
}

/// Runs with a line on standard input.
fn run_with(input: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that reads nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(both).unwrap()
}

fn rows(output: &Output) -> Vec<serde_json::Value> {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(output)))
}

#[test]
fn users_are_added_changed_listed_and_removed_and_each_mistake_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let config = configuration(directory.path(), None);
    // Whoever keeps users need not know the passwords of machines.
    let secret = "user = \"mes\"\npassword_env = \"NO_SUCH_VARIABLE\"\n[[machine.signal]]";
    let file = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, file.replacen("[[machine.signal]]", secret, 1)).unwrap();
    let config = ["--config", config.to_str().unwrap()];
    assert!(text(&run(&["check-config", config[1]])).contains("NO_SUCH_VARIABLE"));
    let user = |input: &str, arguments: &[&str]| {
        run_with(input, &[&["user"], arguments, &config].concat())
    };
    let added = user("a long password\n", &["add", "ann", "--role", "operator"]);
    assert!(added.status.success(), "{}", text(&added));
    let sha = "ab".repeat(32);
    let added = user("", &["add", "key", "--role", "engineer", "--certificate", &sha]);
    assert!(added.status.success(), "{}", text(&added));
    for (input, arguments, word) in [
        ("a long password\n", &["add", "ann", "--role", "operator"][..], "already"),
        ("a long password\n", &["add", "bob", "--role", "boss"], "supervisor"),
        ("short\n", &["add", "bob", "--role", "operator"], "too short"),
        ("", &["add", "b/b", "--role", "operator"], "letters"),
        ("", &["add", "bob", "--role", "operator", "--certificate", "ab"], "SHA-256"),
        ("", &["remove", "nobody"], "user list"),
        ("", &["remove", "operator"], "in the configuration"),
        ("", &["passwd", "nobody"], "user list"),
    ] {
        let refused = user(input, arguments);
        assert_eq!(refused.status.code(), Some(64), "{arguments:?}: {}", text(&refused));
        assert!(text(&refused).contains(word), "{arguments:?}: {}", text(&refused));
    }
    let listed = rows(&user("", &["list", "--json"]));
    let own: Vec<_> = listed.iter().filter(|row| row["from"] == "users.toml").collect();
    assert_eq!(own.len(), 2);
    assert_eq!((&own[0]["name"], &own[0]["password"]), (&"ann".into(), &true.into()));
    assert_eq!((&own[1]["password"], &own[1]["certificates"][0]), (&false.into(), &sha.into()));
    let file = directory.path().join("data/users.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    assert!(!before.contains("a long password"));
    let changed = user("another long password\n", &["passwd", "ann"]);
    assert!(changed.status.success(), "{}", text(&changed));
    assert_ne!(std::fs::read_to_string(&file).unwrap(), before);
    assert!(user("", &["remove", "ann"]).status.success());
    let listed = rows(&user("", &["list", "--json"]));
    assert!(listed.iter().all(|row| row["name"] != "ann"));
}

#[test]
fn certificates_are_listed_trusted_rejected_shown_and_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let config = configuration(directory.path(), None);
    let config_text = config.to_str().unwrap();
    let pki = |arguments: &[&str]| run(&[&["pki"], arguments].concat());
    let place = ["--config", config_text];
    let early = pki(&[&["list"], &place[..]].concat());
    assert_eq!(early.status.code(), Some(66));
    assert!(text(&early).contains("start Linewright once"), "{}", text(&early));
    Instance::start(&config).terminate();
    let root = directory.path().join("data/pki/server");
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/opcua/certificates/alone.der");
    std::fs::copy(&other, root.join("rejected/alone.der")).unwrap();
    let shown = pki(&["show", other.to_str().unwrap(), "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["application_uri"], "urn:test:client");
    let id = &shown["sha256"].as_str().unwrap()[..8];
    let state = || {
        let listed = rows(&pki(&[&["list", "--json"], &place[..]].concat()));
        let found = listed.iter().find(|row| row["sha256"] == shown["sha256"]);
        found.map(|row| row["place"].as_str().unwrap().to_owned())
    };
    assert_eq!(state().as_deref(), Some("rejected"));
    for (command, after) in
        [("trust", Some("trusted")), ("reject", Some("rejected")), ("remove", None)]
    {
        let done = pki(&[&[command, id], &place[..]].concat());
        assert!(done.status.success(), "{}", text(&done));
        assert_eq!(state().as_deref(), after);
    }
    let unknown = pki(&[&["trust", "00000000"], &place[..]].concat());
    assert_eq!(unknown.status.code(), Some(64));
    let refused = pki(&["new-cert", "--config", config_text]);
    assert_eq!(refused.status.code(), Some(64));
    assert!(text(&refused).contains("--renew"), "{}", text(&refused));
    let before = std::fs::read(root.join("own/cert.der")).unwrap();
    let renewed = pki(&["new-cert", "--renew", "--config", config_text]);
    assert!(renewed.status.success(), "{}", text(&renewed));
    assert_ne!(std::fs::read(root.join("own/cert.der")).unwrap(), before);
    let none = pki(&["show", config_text]);
    assert_eq!(none.status.code(), Some(64));
}

const CALENDAR: &str = r#"
[site]
id = "S"
time_zone = "Europe/Berlin"

[data]
directory = "d"

[[area]]
id = "A"

[[line]]
id = "L"
area = "A"

[[machine]]
id = "M"
line = "L"
endpoint = "opc.tcp://x:4840"
security = "none"

[[machine.signal]]
role = "state"
node = "nsu=urn:x;s=State"
states = "packml"
"#;

#[test]
fn an_impossible_calendar_is_refused_with_the_place_and_both_readings() {
    let cases = [
        (
            "[[planned_downtime]]\nname = \"a\"\nstart = \"2026-10-25T02:30\"\nend = \"2026-10-25T05:00\"",
            "exists twice, because the clocks are put back: 2026-10-25T00:30:00Z and \
             2026-10-25T01:30:00Z; add the offset",
        ),
        (
            "[[planned_downtime]]\nname = \"a\"\nstart = \"2026-03-29T02:30\"\nend = \"2026-03-29T05:00\"",
            "does not exist, because the clocks are put forward: it would be \
             2026-03-29T01:30:00Z or 2026-03-29T00:30:00Z",
        ),
        (
            "[[planned_downtime]]\nname = \"a\"\nstart = \"2026-10-25T05:00\"\nend = \"2026-10-25T04:00\"",
            "ends before it starts",
        ),
        (
            "[[shift]]\nname = \"a\"\nstart = \"06:00\"\nend = \"14:00\"\n\n[[shift_exception]]\ndate = \
             \"2026-12-24\"\nshift = \"b\"\nstart = \"13:00\"\nend = \"15:00\"",
            "on 2026-12-24 shift \"b\" overlaps shift \"a\"",
        ),
        (
            "[[shift]]\nname = \"a\"\nstart = \"06:00\"\nend = \"14:00\"\nrotation = \"xx--\"\n\
             rotation_start = \"2026-01-05\"\n\n[[shift]]\nname = \"b\"\nstart = \"10:00\"\nend = \
             \"18:00\"\nrotation = \"--xxx\"\nrotation_start = \"2026-01-05\"",
            "shift \"b\" overlaps shift \"a\"",
        ),
        (
            "[[shift]]\nname = \"a\"\nstart = \"06:00\"\nend = \"14:00\"\nrotation = \"xy\"\n\
             rotation_start = \"2026-01-05\"",
            "`rotation` is \"xy\"",
        ),
        (
            "[[shift]]\nname = \"a\"\nstart = \"06:00\"\nend = \"14:00\"\nbreaks = [{ start = \"09:00\", \
             end = \"09:30\" }, { start = \"09:15\", end = \"09:45\" }]",
            "two breaks of shift \"a\" overlap",
        ),
        ("[[holiday]]\ndate = \"2026-02-30\"", "`date` is \"2026-02-30\""),
        ("[[holiday]]\ndate = \"2026-02-28\"\nlines = [\"L9\"]", "no line \"L9\" is configured"),
        (
            "[[reason]]\nid = \"r\"\nclass = \"down\"\nmax_duration = \"5m\"\nthen = \"gone\"",
            "no reason gone is configured",
        ),
        ("[[reason]]\nid = \"r\"\nclass = \"down\"\nmax_duration = \"5m\"", "belong together"),
        (
            "[[product]]\nid = \"P\"\n[[product.ideal_cycle]]\nmachine = \"M\"\nline = \"L\"\ncycle = \"1s\"",
            "names both a machine and a line",
        ),
    ];
    for (text, expected) in cases {
        let (code, problems) = check(&format!("{CALENDAR}\n{text}\n"));
        assert_eq!(code, 64, "{text}");
        assert!(problems.iter().any(|p| p.contains(expected)), "{text}\n{}", problems.join("\n"));
    }
    let fine = "[[planned_downtime]]\nname = \"a\"\nstart = \"2026-10-25T02:30+01:00\"\nend = \
                \"2026-10-25T05:00\"";
    assert_eq!(check(&format!("{CALENDAR}\n{fine}\n")).0, 0);
}

#[test]
fn a_target_that_nothing_can_reach_is_refused_with_what_to_write() {
    let cases = [
        ("equipment = \"L9\"\noee = \"0.8\"", "no equipment \"L9\" is configured"),
        ("equipment = \"L\"\noee = \"85\"", "write a share above 0 and at most 1"),
        ("equipment = \"L\"\nquality = \"0\"", "write a share above 0 and at most 1"),
        ("equipment = \"L\"", "add one of oee, availability"),
        ("equipment = \"L\"\nooe = \"0.5\"\noe = \"0.5\"", "unknown key `oe`"),
        (
            "equipment = \"M\"\noee = \"0.5\"\n[[target]]\nequipment = \"M\"\nnee = \"0.5\"",
            "a second target for \"M\"",
        ),
    ];
    for (text, expected) in cases {
        let (code, problems) = check(&format!("{CALENDAR}\n[[target]]\n{text}\n"));
        assert_eq!(code, 64, "{text}");
        assert!(problems.iter().any(|p| p.contains(expected)), "{text}\n{}", problems.join("\n"));
    }
    for equipment in ["S", "A", "L", "M"] {
        let text = format!("{CALENDAR}\n[[target]]\nequipment = \"{equipment}\"\noee = \"1\"\n");
        assert_eq!(check(&text), (0, Vec::new()), "{equipment}");
    }
}

#[test]
fn the_types_of_the_server_are_written_as_files_for_other_tools() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("types");
    let output = run(&["nodesets", folder.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let named = String::from_utf8(output.stdout).unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir("nodesets").unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "xml") {
            let written = folder.join(path.file_name().unwrap());
            assert_eq!(std::fs::read(&written).unwrap(), std::fs::read(&path).unwrap());
            assert!(named.contains(written.to_str().unwrap()));
            files += 1;
        }
    }
    assert_eq!(files, named.lines().count());
    // A file in the way of the folder.
    let refused = run(&["nodesets", folder.join("mes.xml").to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cannot be written"));
}

"""Foreign stacks against the running binary, in both directions.

Starts the simulated plant, two foreign machines (asyncua, and node-opcua over an encrypted channel)
and `linewright serve`; lets asyncua and node-opcua work as clients, and asyncua, node-opcua and o6
(open62541) go over the whole surface of the server; lets tshark decode a session; and looks at what
was counted of the foreign machines. Usage: run.py LINEWRIGHT_BINARY. Needs asyncua and o6 in this
interpreter, node-opcua in node_modules and, to decode, tshark. Ends with status 1 at the first thing
that is not as it should be. With ONLY=PATTERN in the environment only the clients of that name work.
"""

import datetime
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import zoneinfo
from pathlib import Path

import certificates
import recorder
from companions import compiler
from ports import free_block, free_ports
from programs import Bridge, Programs, fail, wait_until

HERE = Path(__file__).parent
ONLY = os.environ.get("ONLY")
# A client that does not end has hung; a slow computer may need several times what a fast one does.
CLIENT_TIMEOUT = 480
DEMO = HERE.parent.parent / "config" / "demo.toml"
MACHINES = """
[[area]]
id = "Foreign"

[[line]]
id = "L3"
area = "Foreign"
default_product = "Bracket"

[[machine]]
id = "Press"
line = "L3"
endpoint = "opc.tcp://127.0.0.1:{press}"
security = "none"

[[machine.signal]]
role = "state"
node = "nsu=urn:linewright:interop:asyncua-machine;s=Press.State"
states = "weihenstephan"

[[machine.signal]]
role = "mode"
node = "nsu=urn:linewright:interop:asyncua-machine;s=Press.Program"
modes = "weihenstephan"

[[machine.signal]]
role = "good"
node = "nsu=urn:linewright:interop:asyncua-machine;s=Press.Good"

[[machine.signal]]
role = "total"
node = "nsu=urn:linewright:interop:asyncua-machine;s=Press.Total"

[[line]]
id = "L4"
area = "Foreign"
default_product = "Bracket"

[[machine]]
id = "Welder"
line = "L4"
micro_stop_below = "50ms"
explain_from = "10ms"
endpoint = "opc.tcp://127.0.0.1:{welder}"
security = "Basic256Sha256"
user = "mes"
password_env = "WELDER_PASSWORD"

[[machine.signal]]
role = "state"
node = "nsu=urn:linewright:interop:node-opcua-machine;s=Welder.State"
states = "packml"

[[machine.signal]]
role = "good"
node = "nsu=urn:linewright:interop:node-opcua-machine;s=Welder.Good"

[[machine.signal]]
role = "reject"
node = "nsu=urn:linewright:interop:node-opcua-machine;s=Welder.Reject"

[[line]]
id = "L5"
area = "Foreign"
default_product = "Bracket"

[[machine]]
id = "Stamper"
line = "L5"
endpoint = "opc.tcp://127.0.0.1:{press}"
security = "none"

[[machine.signal]]
role = "cycle"
node = "nsu=urn:linewright:interop:asyncua-machine;s=Press.Cycles"
cycle = "2s"

[[machine.signal]]
role = "good"
node = "nsu=urn:linewright:interop:asyncua-machine;s=Press.Good"

[[machine.signal]]
role = "rework"
node = "nsu=urn:linewright:interop:asyncua-machine;s=Press.Rework"

[[machine.signal]]
role = "lot"
node = "nsu=urn:linewright:interop:asyncua-machine;s=Press.Lot"

[[machine.process_value]]
name = "Temperature"
node = "nsu=urn:linewright:interop:asyncua-machine;s=Press.Temperature"
unit = "CEL"

[calendar]
closing_grace = "1s"

[[shift]]
name = "before"
areas = ["Foreign"]
start = "{start}"
end = "{change}"

[[shift]]
name = "after"
areas = ["Foreign"]
start = "{change}"
end = "{start}"

[[product]]
id = "Bracket"

[[product.ideal_cycle]]
cycle = "80ms"

[[product.ideal_cycle]]
machine = "Stamper"            # so slow that the pace of its cycles never says that it stands
cycle = "2s"
"""


def reason_of(config):
    """A reason that stops can be given."""
    return re.search(r'\[\[reason\]\]\s+id = "([^"]+)"', config.read_text()).group(1)


def change_of_shift():
    """The next full minute of the plant's clock that leaves time to watch the machines before it."""
    later = datetime.datetime.now(zoneinfo.ZoneInfo("Europe/Berlin")) + datetime.timedelta(seconds=120)
    return later.replace(second=0, microsecond=0)


def configure(directory, opcua, http, first, press, welder, change):
    text = DEMO.read_text().replace("[[shift]]\n", '[[shift]]\nareas = ["Beverages"]\n')
    text = text.replace("[site]\n", '[site]\nenterprise = "Acme"\n')
    text = text.replace('directory = "data/demo"', f'directory = "{directory}/data"')
    for number in range(5):
        text = text.replace(f"127.0.0.1:{48401 + number}", f"127.0.0.1:{first + number}")
    text = text.replace('"127.0.0.1:4840"', f'"127.0.0.1:{opcua}"')
    text = text.replace('"127.0.0.1:8080"', f'"127.0.0.1:{http}"')
    text = text.replace("[opcua]\n", '[opcua]\nmodes = ["Sign", "SignAndEncrypt"]\n'
                        "connections_per_address = 30\n")
    path = directory / "interop.toml"
    start = change + datetime.timedelta(hours=12)
    path.write_text(text + MACHINES.format(
        press=press, welder=welder, start=f"{start:%H:%M}", change=f"{change:%H:%M}"))
    return path


def check_machine(bridge, machine):
    """What was counted of a foreign machine is what it made, in time that is known."""
    # Of the last parts, one counter may have been told and the other not yet.
    report = bridge.kpi(machine, until=datetime.timedelta(seconds=10))
    if report["counts"]["good"] < 20 or report["time_s"]["run"] <= 0:
        fail(f"{machine}: {report['counts']}, {report['time_s']}")
    # Nobody says why the welder stops, and its stops are long enough to be explained.
    known = {"coverage_incomplete"} | ({"unexplained_stops"} if machine == "Welder" else set())
    if not set(report["flags"]) <= known:
        fail(f"{machine}: flags {report['flags']}")
    made = report["counts"]["good"] / (report["time_s"]["run"] + report["time_s"]["micro_stop"])
    if not 4 < made < 14:
        fail(f"{machine} makes ten parts a second, {made:.1f} were counted")
    return report["counts"]["good"]


def trust(directory):
    """What an engineer does: moves the certificate of the machine to the trusted ones."""
    rejected, trusted = directory / "data/pki/client/rejected", directory / "data/pki/client/trusted"
    wait_until("the rejected certificate", 30, lambda: rejected.exists() and any(rejected.iterdir()))
    for certificate in rejected.iterdir():
        shutil.move(certificate, trusted / certificate.name)


def add_certificate_user(binary, config, directory):
    """What an administrator does for a user who logs on with a certificate."""
    certificates.make(directory, "app", "urn:linewright:interop:client")
    certificates.make(directory, "user", "urn:linewright:interop:user")
    shown = subprocess.run([binary, "pki", "show", str(directory / "user.der"), "--json"],
                           check=True, capture_output=True)
    sha = json.loads(shown.stdout)["sha256"]
    subprocess.run([binary, "user", "add", "certified", "--role", "engineer", "--certificate", sha,
                    "--config", str(config)], check=True)


def work(client, **environment):
    """Lets a client do its work."""
    if ONLY and not re.search(ONLY, Path(client[1]).name):
        return
    name, began = Path(client[1]).name, time.monotonic()
    try:
        done = subprocess.run([str(part) for part in client], timeout=CLIENT_TIMEOUT, check=False,
                              env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True)
    except subprocess.TimeoutExpired as error:
        fail(f"{name} did not end within {CLIENT_TIMEOUT} s: {(error.stderr or b'')[-2000:]!r}")
    sys.stderr.write(done.stderr)
    if done.returncode != 0:
        # What the programs did is shown after this and may be long: why it failed is said last.
        fail(f"{name} ended with status {done.returncode}: {done.stderr[-2000:]}")
    print(f"{name} took {time.monotonic() - began:.0f} s", flush=True)


def check_shifts(bridge, programs, change):
    """A shift is closed, corrected afterwards by who may, and a client and the ERP are told both."""
    events = "events"
    wait_until("the closing of a shift", 180, lambda: programs.said(events, "on L3 is closed"))
    records = bridge.call("GET", "/v1/shifts/records?after=0")["records"]
    closed = next(r for r in records if r["line"] == "L3")
    if (closed["shift"]["name"], closed["revision"], closed["actor"]) != ("before", 1, "system"):
        fail(f"the record of the closing is {closed}")
    before = [(change - datetime.timedelta(seconds=s)).isoformat() for s in (10, 5)]
    stop = {"machine": "Press", "from": before[0], "to": before[1], "reason": "jam"}
    try:
        bridge.call("POST", "/v1/stops", stop, "stop-1", user="operator")
        fail("an operator has changed a closed shift")
    except urllib.error.HTTPError as error:
        problem = json.load(error)
        if problem["code"] != "mes.shift.closed":
            fail(f"an operator who changes a closed shift is told {problem}")
    bridge.call("POST", "/v1/stops", stop, "stop-2", user="supervisor")
    records = []

    def revised():
        records[:] = bridge.call("GET", "/v1/shifts/records?after=0")["records"]
        return [r for r in records if r["line"] == "L3"][-1]["actor"] == "supervisor"

    wait_until("the revision of a shift", 60, revised)
    if [r["seq"] for r in records] != list(range(1, len(records) + 1)):
        fail("the records of shifts have gaps")
    of_line = [r for r in records if r["line"] == "L3"]
    if of_line[0] != closed:
        fail("a record of a shift was changed")
    # On a busy machine, values that came after the closing may have made a revision before.
    number = of_line[-1]["revision"]
    text = f"on L3 has changed: revision {number}, a stop was stated or withdrawn (supervisor"
    wait_until(f"the event {text!r}", 60, lambda: programs.said(events, text))
    if [r["revision"] for r in of_line] != list(range(1, number + 1)) or number < 2:
        fail(f"the revisions of a shift are {[(r['revision'], r.get('cause')) for r in of_line]}")
    # Whether a stop was a short one may have become known after the closing, so that the record before says nothing
    # of the time around.
    lost = of_line[-1]["figures"][0]["time_s"]["unplanned_down"]
    instants = [urllib.parse.quote(at) for at in (closed["shift"]["start"], *before, closed["shift"]["end"])]
    around = sum(bridge.call("GET", f"/v1/kpi?equipment=L3&from={start}&to={end}")["time_s"]["unplanned_down"]
                 for start, end in (instants[:2], instants[2:]))
    if abs(lost - around - 5) > 1e-6:
        fail(f"five seconds were stated, with {around} s around them {lost} s of down time were recorded")
    print(f"shifts: closed and revised ({number} revisions), told as events and in the feed")


# What each type of event says besides what every event says; empty texts say nothing.
PLACE = ["Line", "Machine"]
STOP = [*PLACE, "StopStart", "State", "Micro"]
LOT = ["Line", "Lot", "OrderId", "Product", "Voided", "Assignment", "Actor"]
SHIFT = ["Line", "Shift", "ShiftStart", "ProductionDate", "Actor"]
EVENTS = {
    "StateChangeEventType": [*PLACE, "OldState", "NewState"],
    "StopStartedEventType": STOP,
    "StopEndedEventType": [*STOP, "StopEnd", "Duration"],
    "StopClassifiedEventType": [*STOP, "Reason", "ReasonName", "Actor"],
    "StopRevisedEventType": [*PLACE, "OldStart", "Exists"],
    "JobOrderStatusEventType": ["OrderId", "State", "Actor", "GoodCount", "ScrapCount"],
    "CountCorrectionEventType": ["Line", "OrderId", "Good", "Scrap", "Rework", "Actor"],
    "LateDataEventType": [*PLACE, "Values", "Oldest", "Newest"],
    "LotProducedEventType": LOT,
    "LotConsumedEventType": LOT,
    "LinkLostEventType": PLACE,
    "LinkRestoredEventType": PLACE,
    "ShiftClosedEventType": [*SHIFT, "Revision", "Record", "Cause"],
    "ShiftRevisedEventType": [*SHIFT, "Revision", "Record", "Cause"],
    "ShiftNoteEventType": [*SHIFT, "Note"],
    "UnexplainedStopAlarmType": [*PLACE, "StopStart"],
    "LinkAlarmType": PLACE,
}


def events_of(programs, viewer):
    """What a viewer has printed, by type."""
    found = {}
    for line in (programs.directory / f"{viewer}.log").read_text(errors="replace").splitlines():
        if line.startswith("{"):
            event = json.loads(line)
            found.setdefault(event["type"], []).append(event["fields"])
    return found


def check_events(programs, viewers):
    """Every viewer was told events of every type, with all that they say."""
    for viewer in viewers:
        wait_until(f"an event of every type at {viewer}", 30,
                   lambda: EVENTS.keys() <= events_of(programs, viewer).keys())
        for kind, fields in EVENTS.items():
            says = lambda event: all(event.get(field) not in (None, "") for field in fields)
            told = events_of(programs, viewer)[kind]
            if not any(says(event) for event in told):
                fail(f"{viewer}: no {kind} says all of {fields}; the last is {told[-1]}")
    print(f"events: {len(EVENTS)} types, told to {len(viewers)} foreign viewers")


def break_link(programs, press, viewers):
    """A machine that ends and comes back is told as lost and back."""
    programs.end(press)
    for viewer in viewers:
        wait_until(f"the loss of a link at {viewer}", 60,
                   lambda: {"LinkLostEventType", "LinkAlarmType"} <= events_of(programs, viewer).keys())
    programs.start(*press)


def check_capture(recorded):
    """tshark understands every message of a session."""
    recorded.finish()
    if shutil.which("tshark") is None:
        print("tshark is not installed: the captured session is not decoded")
        return
    messages, wrong = recorder.decode(recorded.path)
    if messages < 500 or wrong:
        fail(f"tshark decodes {messages} messages and complains: {wrong[:5]}")
    print(f"tshark: {messages} messages, none malformed")


def run(binary, directory, programs):
    opcua, http, press, welder = free_ports(4)
    first = free_block(5)
    change = change_of_shift()
    config = configure(directory, opcua, http, first, press, welder, change)
    folder = directory / "certificates"
    add_certificate_user(binary, config, folder)
    compiled = directory / "compiled"
    compiling = subprocess.Popen([str(part) for part in compiler(compiled)], stdout=subprocess.DEVNULL)
    programs.start("plant", binary, "simulate", "--calm", "--speed", "4", "--machine-port", str(first))
    press = ("press", sys.executable, str(HERE / "machine_asyncua.py"), str(press))
    programs.start(*press)
    pki = directory / "welder-pki"
    programs.start("welder", "node", str(HERE / "machine_node_opcua.js"), str(welder), str(pki))
    wait_until("the start of the plant", 60, lambda: programs.said("plant", f":{first + 4}"))
    for machine in ("press", "welder"):
        wait_until(f"the start of {machine}", 60, lambda: programs.said(machine, "ready"))
    linewright = programs.start("linewright", binary, "serve", "--config", str(config), WELDER_PASSWORD="press-secret")
    bridge = Bridge(http)
    wait_until("readiness", 60, lambda: bridge.call("GET", "/readyz")["status"] == "ready")
    order = {"revision": 1, "line": "L1", "product": "Cola-05", "quantity": "100000"}
    bridge.call("PUT", "/v1/orders/WO-1", order)
    trust(directory)
    for line in ("L1", "Press", "Welder"):
        wait_until(f"counts of {line}", 60, lambda: bridge.kpi(line)["counts"]["total"] > 0)
    started = bridge.call("POST", "/v1/orders/WO-1/commands", {"command": "start"}, "start-1")
    if started["state"] != "Running":
        fail(f"the order is {started}")
    wait_until("parts of the order", 60,
               lambda: bridge.call("GET", "/v1/orders/WO-1")["totals"]["good"] > 2)
    url = f"opc.tcp://127.0.0.1:{opcua}"
    viewers = ["events", "events-node", "events-o6"]
    programs.start("events", sys.executable, str(HERE / "events_asyncua.py"), url)
    programs.start("events-node", "node", str(HERE / "events_node_opcua.js"), url,
                   str(directory / "node-events"))
    programs.start("events-o6", sys.executable, str(HERE / "events_o6.py"), url)
    for viewer in viewers:
        wait_until(f"the viewer {viewer}", 60, lambda: programs.said(viewer, "ready"))
    user = ("operator", "operator-demo-password")
    recorded = recorder.Recorder(opcua, directory / "session.pcap")
    open_url = f"opc.tcp://127.0.0.1:{recorded.port}"
    work([sys.executable, HERE / "client_asyncua.py", open_url, url, *user, directory / "asyncua", "WO-1"])
    work(["node", HERE / "client_node_opcua.js", open_url, url, *user, directory / "node", "WO-1"])
    if not ONLY:
        check_capture(recorded)
    work([sys.executable, HERE / "surface_asyncua.py", url, folder])
    work([sys.executable, HERE / "surface_o6.py", url, folder])
    work(["node", HERE / "surface_node_opcua.js", url, folder, directory / "node-surface"])
    supervisor = ("supervisor", "supervisor-demo-password")
    work([sys.executable, HERE / "jobs_asyncua.py", url, *supervisor, folder, "L1", "Cola-05"])
    work([sys.executable, HERE / "jobs_o6.py", url, *supervisor, folder, "L1", "Cola-05"])
    work(["node", HERE / "jobs_node_opcua.js", url, *supervisor, directory / "node-jobs", "L1", "Cola-05"])
    work([sys.executable, HERE / "notices_asyncua.py", url, *supervisor, folder, "L1", "Cola-05",
          "Welder", reason_of(DEMO)])
    work(["node", HERE / "notices_node_opcua.js", url, *supervisor, directory / "node-notices", "L1",
          "Welder", reason_of(DEMO)])
    work([sys.executable, HERE / "notices_o6.py", url, *supervisor, folder, "Welder",
          reason_of(DEMO)])
    panel = ["L2", "Box-12", "Welder", reason_of(DEMO)]
    work([sys.executable, HERE / "plant_asyncua.py", url, *supervisor, folder, *panel, "Press"])
    work(["node", HERE / "plant_node_opcua.js", url, *supervisor, directory / "node-plant", *panel])
    if compiling.wait(120) != 0:
        fail("the compiler of o6 has made nothing of our nodeset")
    work([sys.executable, HERE / "plant_o6.py", url, *supervisor, folder, *panel],
         PYTHONPATH=str(compiled))
    work([sys.executable, HERE / "reload_asyncua.py", url, config, linewright.pid, "L3", "Press"])
    for machine in ("Press", "Welder"):
        wait_until(f"parts of {machine}", 60, lambda: bridge.kpi(machine)["counts"]["good"] >= 60)
        print(f"{machine}: {check_machine(bridge, machine)} parts of a foreign machine")
    if not ONLY:
        check_shifts(bridge, programs, change)
        break_link(programs, press, viewers)
        check_events(programs, viewers)
    confirmations = bridge.call("GET", "/v1/confirmations")["confirmations"]
    if [c["seq"] for c in confirmations] != list(range(1, len(confirmations) + 1)):
        fail("the confirmations have gaps")


def main():
    binary = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as directory:
        programs = Programs(Path(directory))
        try:
            run(binary, Path(directory), programs)
        except BaseException:
            programs.show()
            raise
        finally:
            programs.stop()
    print("interop: 3 foreign clients and 2 foreign machines, all as it should be")


main()

"""Whatever happens to the network, the machines and the plant: the figures are those of what the machines did.

Usage: chaos.py BINARY. Three foreign machines run and stop as chance will have it and write down what they do; the
network between them and the plant fails in several ways, a machine hangs, the plant is killed. Then every interval that
is told is compared with what the machine did then, the counts with what it made, and the figures with an oracle that
computes them anew from what the machine wrote down. Nothing may ever have been shown as good that was not so.
"""

import asyncio
import bisect
import datetime
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

from asyncua import Client, ua

from machines import PLANT, up
from network import Network, Proxies, apart
from ports import free_ports
from programs import Bridge, fail, run_with_programs, wait_until

HERE = Path(__file__).parent
MICRO = 1_000_000
ALIVE = 3_500_000
IDEAL = 0.08
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
STATES = {0: "run", 2: "stop"}
CLASSES = {"run": "run", "micro_stop": "stop", "unplanned_down": "stop"}
NAMES = ("Node", "Python", "Forgets")
# Every change is told: a machine that looks at its own values now and then does not look while it hangs.
MACHINES = "".join(f"""
[[machine]]
id = "{machine}"
line = "L1"
endpoint = "{{{machine}}}"
security = "none"
micro_stop_below = "1s"
publishing_interval = "100ms"

[[machine.signal]]
role = "state"
node = "nsu=urn:linewright:interop:chaos;s=State"
states = {{{{ run = "running", stop = "down" }}}}

[[machine.signal]]
role = "good"
node = "nsu=urn:linewright:interop:chaos;s=Good"

[[machine.signal]]
role = "reject"
node = "nsu=urn:linewright:interop:chaos;s=Reject"
""" for machine in NAMES)
PROGRAMS = {"Node": ["node", str(HERE / "chaos_node_opcua.js")],
            "Python": [sys.executable, str(HERE / "chaos_asyncua.py")],
            "Forgets": [sys.executable, str(HERE / "chaos_asyncua.py")]}


def micros(at):
    """Microseconds since 1970, of a datetime in UTC or a text."""
    if isinstance(at, str):
        # Tenths of a microsecond are more than Python reads.
        at = datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", at.replace("Z", "+00:00")))
    return (at.replace(tzinfo=at.tzinfo or datetime.timezone.utc) - EPOCH) // datetime.timedelta(microseconds=1)


def text(at):
    return quote((EPOCH + datetime.timedelta(microseconds=at)).isoformat())


class Life:
    """What a machine has written down."""

    def __init__(self, log):
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("[\"")]
        self.said = {name: sorted((at, value) for one, value, at in lines if one == name)
                     for name in ("State", "Good", "Reject")}
        self.states = [(at, value) for name, value, at in lines if name == "State"]
        self.counts = {kind: [at for name, _, at in lines if name == kind][1:] for kind in ("Good", "Reject")}

    def had(self, name, value, at):
        """Whether it was so; what has not changed over a gap is known again from a time at which nothing happened."""
        said = self.said[name]
        index = bisect.bisect_right(said, at, key=lambda one: one[0])
        return index > 0 and said[index - 1][1] == value

    def stretches(self, start, end):
        """Its states within a window, each with its beginning and end."""
        ends = [at for at, _ in self.states[1:]] + [end]
        for (begin, state), over in zip(self.states, ends):
            if max(begin, start) < min(over, end):
                yield state, begin, over

    def holds(self, state, start, end):
        """Whether it was in a state all the time."""
        return all(one == state for one, _, _ in self.stretches(start, end))

    def made(self, kind, start, end):
        return sum(start < at <= end for at in self.counts[kind])

    def figures(self, start, end):
        """The oracle: times by class, stops, and the figures by their definitions (ISO 22400-2, profile tpm)."""
        time_s, stops = {"run": 0, "micro_stop": 0, "unplanned_down": 0}, {"micro_stops": 0, "stops": 0}
        for state, begin, over in self.stretches(start, end):
            is_short = over - begin < MICRO
            kind = "run" if state == "run" else "micro_stop" if is_short else "unplanned_down"
            time_s[kind] += min(over, end) - max(begin, start)
            if state == "stop" and begin >= start:
                stops["micro_stops" if is_short else "stops"] += 1
        good, reject = (self.made(kind, start, end) for kind in ("Good", "Reject"))
        worked = time_s["run"] + time_s["micro_stop"]
        availability, performance = worked / (end - start), IDEAL * MICRO * (good + reject) / worked
        quality = good / (good + reject)
        figures = {"availability": availability, "performance": performance, "quality": quality,
                   "oee": availability * performance * quality}
        return {kind: ticks / MICRO for kind, ticks in time_s.items()}, stops, (good, reject), figures


class Seen:
    """What somebody who watches the plant is shown as good."""

    def __init__(self):
        self.good = {machine: set() for machine in NAMES}

    def datachange_notification(self, node, _, data):
        value = data.monitored_item.Value
        if value.StatusCode.is_good() and value.SourceTimestamp and value.Value.Value is not None:
            _, machine, *_, name = node.nodeid.Identifier.split("/")
            shown = STATES.get(value.Value.Value) if name == "State" else value.Value.Value
            self.good[machine].add((name, shown, micros(value.SourceTimestamp)))


async def watch(url, seen):
    """Watches the machines until it is cancelled, whatever happens to the plant."""
    while True:
        try:
            async with Client(url) as client:
                plant = await client.get_namespace_index("urn:linewright:ua:plant:S")
                paths = [f"machine/{machine}/{name}" for machine in seen.good
                         for name in ("State", "Counters/Good", "Counters/Reject")]
                subscription = await client.create_subscription(100, seen)
                await subscription.subscribe_data_change(
                    [client.get_node(ua.NodeId(path, plant)) for path in paths], queuesize=1000)
                while True:
                    await asyncio.sleep(0.2)
                    await client.check_connection()
        except (ConnectionError, OSError, ValueError, asyncio.TimeoutError, ua.UaError):
            await asyncio.sleep(0.2)


class Watching:
    """Watches beside all else."""

    def __init__(self, url, seen):
        self.loop = asyncio.new_event_loop()
        self.task = self.loop.create_task(watch(url, seen))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        self.loop.run_until_complete(asyncio.gather(self.task, return_exceptions=True))

    def stop(self):
        self.loop.call_soon_threadsafe(self.task.cancel)
        self.thread.join(20)


async def statuses(url):
    """Whether the states of machines are shown as good."""
    async with Client(url) as client:
        plant = await client.get_namespace_index("urn:linewright:ua:plant:S")
        nodes = [client.get_node(ua.NodeId(f"machine/{machine}/State", plant)) for machine in NAMES]
        read = [await node.read_data_value(raise_on_bad_status=False) for node in nodes]
        return {machine: value.StatusCode.is_good() for machine, value in zip(NAMES, read)}


def check(bridge, machine, life, window, outages):
    """Compares what is told of a machine with what it did; how long nobody knows it, in seconds."""
    start, end = window
    asked = f"from={text(start)}&to={text(end)}"
    told = bridge.call("GET", f"/v1/timeline?machine={machine}&{asked}")["intervals"]
    last, unknown = start, []
    for interval in told:
        begin, over = micros(interval["from"]), micros(interval["to"])
        if begin != last:
            fail(f"{machine}: the timeline leaves out what is between {last} and {begin}")
        last = over
        kind = interval["class"]
        if kind == "no_data":
            unknown.append((begin, over))
        elif kind not in CLASSES or not life.holds(CLASSES[kind], begin, over):
            did = list(life.stretches(begin, over))
            fail(f"{machine}: from {begin} to {over} is told as {kind}, and it did {did}")
    if last != end:
        fail(f"{machine}: the timeline ends at {last} and not at {end}")
    for begin, over in unknown:
        if not any(lost - ALIVE <= begin and over <= back + MICRO for lost, back in outages):
            fail(f"{machine}: nobody knows what was from {begin} to {over}, and nothing happened then: {outages}")
    report = bridge.call("GET", f"/v1/kpi?equipment={machine}&{asked}")
    times, stops, (good, reject), figures = life.figures(start, end)
    counts, gap = report["counts"], sum(over - begin for begin, over in unknown) / MICRO
    late = counts["unattributed"]
    if (counts["good"] + late["good"], counts["reject"] + late["reject"]) != (good, reject):
        fail(f"{machine} made {good} and {reject} bad ones, and counted are {counts}")
    if abs(report["time_s"]["no_data"] - gap) > 1e-5:
        fail(f"{machine}: {gap} s are unknown in the timeline, {report['time_s']} in the figures")
    if not unknown:
        wrong = [kind for kind, seconds in times.items() if abs(report["time_s"][kind] - seconds) > 1e-6]
        wrong += [kind for kind, number in stops.items() if report["stops"][kind] != number]
        wrong += [name for name, share in figures.items() if abs(report[name] - share) > 1e-9]
        if wrong or late["total"]:
            fail(f"{machine}: {wrong} are {report}, and the oracle says {times} {stops} {figures}")
    return gap


class Plant:
    """The plant, its machines and what is between them."""

    def __init__(self, binary, directory, programs, network):
        self.programs, self.network = programs, network
        ports = dict(zip((*NAMES, "opcua", "http"), free_ports(5)))
        self.machines = {}
        more = {"Node": [str(directory / "pki")], "Python": [], "Forgets": ["forgets"]}
        for machine, command in PROGRAMS.items():
            command = network.machine(*command, str(ports[machine]), *more[machine])
            self.machines[machine] = programs.start(machine, *command)
        for machine in self.machines:
            wait_until(f"the start of {machine}", 60, lambda: programs.said(machine, "ready"))
        hashed = subprocess.run([binary, "hash-password"], input="erp-demo-password", capture_output=True,
                                text=True, check=True).stdout.strip()
        text = PLANT.format(directory=directory, opcua=ports["opcua"], http=ports["http"], hash=hashed)
        text = text.replace("default_product", 'bottleneck = "Node"\ndefault_product')
        text = text.replace("[http]", "open_endpoint = true\nanonymous_read = true\n\n[http]")
        self.config = directory / "plant.toml"
        self.config.write_text(text + MACHINES.format(**{name: network.url(ports[name]) for name in self.machines}))
        self.command = [binary, "serve", "--config", str(self.config)]
        self.bridge, self.url = Bridge(ports["http"]), f"opc.tcp://127.0.0.1:{ports['opcua']}"
        self.outages = {machine: [] for machine in NAMES}

    def start(self):
        self.process = self.programs.start("linewright", *self.command)
        wait_until("readiness", 60, lambda: self.bridge.call("GET", "/readyz")["status"] == "ready")
        self.wait_for(1)

    def wait_for(self, is_up):
        for machine in self.machines:
            wait_until(f"the link to {machine}: {is_up}", 90, lambda: up(self.bridge, machine) == is_up)

    def outage(self, what, begin, end, machines=NAMES, is_seen=True):
        """Something fails until everybody has noticed, and a second longer."""
        since = micros(datetime.datetime.now(datetime.timezone.utc))
        begin()
        if is_seen:
            for machine in machines:
                wait_until(f"{what} at {machine}", 60, lambda: up(self.bridge, machine) == 0)
            shown = asyncio.run(statuses(self.url))
            if any(shown[machine] for machine in machines):
                fail(f"{what}: states of machines that nobody hears are shown as good")
        time.sleep(1)
        end()
        if not is_seen:
            # What has failed in the last moment is noticed by then.
            time.sleep(1)
        self.wait_for(1)
        until = micros(datetime.datetime.now(datetime.timezone.utc))
        for machine in machines:
            self.outages[machine].append((since, until))
        time.sleep(1)


def fail_in_all_ways(plant):
    network = plant.network
    for fault in network.faults():
        plant.outage(fault, lambda: network.begin(fault), lambda: network.end(fault))
    # Whether anybody notices is a matter of luck.
    plant.outage("a narrow way", lambda: network.narrow(True), lambda: network.narrow(False), is_seen=False)
    for machine, process in plant.machines.items():
        plant.outage("a machine that hangs", lambda: process.send_signal(signal.SIGSTOP),
                     lambda: process.send_signal(signal.SIGCONT), machines=(machine,))


def kill(plant):
    plant.process.send_signal(signal.SIGKILL)
    plant.process.wait()
    plant.programs.end(("linewright",))


def show_facts(plant, directory):
    """What the plant has written down, for whoever has to find out why something is otherwise."""
    plant.process.terminate()
    plant.process.wait(15)
    done = subprocess.run([plant.command[0], "export", "--config", str(plant.config)], capture_output=True, text=True,
                          check=False)
    (directory / "facts.log").write_text(done.stdout)
    links = [line for line in done.stdout.splitlines() if '"type":"link"' in line or '"signal":"state"' in line]
    print("\n".join(links), file=sys.stderr)


def run_with(network_of):
    def run(binary, directory, programs):
        plant = Plant(binary, directory, programs, network_of(programs))
        try:
            live_through(plant, directory, programs)
        except SystemExit:
            show_facts(plant, directory)
            raise
    return run


def live_through(plant, directory, programs):
    """All outages, and then a look at all that is told."""
    plant.start()
    time.sleep(2)
    seen = Seen()
    watching = Watching(plant.url, seen)
    start = micros(datetime.datetime.now(datetime.timezone.utc))
    # What was made just before an outage and not heard any more is within the window.
    time.sleep(1)
    fail_in_all_ways(plant)
    whole = micros(datetime.datetime.now(datetime.timezone.utc)) - 500_000
    # After a kill nothing is known since the last sign of life, which is at most two seconds old, and the second before.
    time.sleep(ALIVE / MICRO)
    plant.outage("a plant that is killed", lambda: kill(plant), plant.start, is_seen=False)
    for machine, process in plant.machines.items():
        process.send_signal(signal.SIGUSR2)
        wait_until(f"the end of {machine}", 20, lambda: programs.said(machine, "over"))
    end = micros(datetime.datetime.now(datetime.timezone.utc)) + 500_000
    time.sleep(3)
    watching.stop()
    lives = {machine: Life(directory / f"{machine}.log") for machine in plant.machines}
    # Nothing is missing of machines that keep what was not heard, until the plant itself was killed.
    for machine in ("Node", "Python") if isinstance(plant.network, Network) else ("Node",):
        if check(plant.bridge, machine, lives[machine], (start, whole), []) != 0:
            fail(f"something is unknown of {machine}, which keeps what was not heard")
    gaps = {machine: check(plant.bridge, machine, life, (start, end), plant.outages[machine])
            for machine, life in lives.items()}
    if gaps["Forgets"] <= max(gaps["Node"], gaps["Python"]):
        fail(f"a machine that forgets has kept everything: {gaps}")
    for machine, shown in seen.good.items():
        untrue = [one for one in shown if not lives[machine].had(*one)]
        if untrue or len(shown) < 100:
            fail(f"{machine}: {len(untrue)} of {len(shown)} values were shown as good and never so: {untrue[:5]}")
    print(f"chaos: {len(plant.outages['Node'])} outages in {(end - start) / MICRO:.0f} s, figures as the oracle has "
          f"them; seconds unknown: {', '.join(f'{machine} {gap:.1f}' for machine, gap in gaps.items())}; "
          f"{sum(map(len, seen.good.values()))} values shown as good were so")


def main():
    network_of = Network if apart() else lambda _: Proxies()
    run_with_programs(run_with(network_of))


if __name__ == "__main__":
    main()

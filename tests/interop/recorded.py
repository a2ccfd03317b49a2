"""What a machine shows and Linewright records is all there, as the machine has said it: whatever a client has seen is
in the history after kill -9, while the machine is away and when it is back, and what nobody heard is never shown as
if it were known.

Usage: recorded.py BINARY. The machine is by node-opcua and says what it did; who looks is asyncua.
"""

import asyncio
import datetime
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from asyncua import Client, ua

from machines import PLANT
from ports import free_ports
from programs import Bridge, fail, run_with_programs, wait_until

HERE = Path(__file__).parent
NAMESPACE = "urn:linewright:ua:source:Oven:urn:linewright:interop:recorded"
NAMES = ("Ramp", "Word", "Flag", "List", "Where", "Still")
KILLS = 4
NO_BOUND = ua.StatusCodes.BadBoundNotFound
LOST = ua.StatusCodes.BadNoCommunication
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MACHINE = """
[[machine]]
id = "Oven"
line = "L1"
endpoint = "opc.tcp://127.0.0.1:{node}"
security = "none"
publishing_interval = "100ms"

[[machine.signal]]
role = "cycle"
cycle = "100ms"
node = "nsu=urn:linewright:interop:recorded;s=Oven.Parts"

[machine.mirror]
record = [{paths}]
"""


def plain(value):
    """A value as the machine writes it down."""
    return value.Identifier if isinstance(value, ua.NodeId) else value


def ms(at):
    return round((at.replace(tzinfo=datetime.timezone.utc) - EPOCH) / datetime.timedelta(milliseconds=1))


class Seen:
    """What a subscriber has seen."""

    def __init__(self):
        self.all = []

    def datachange_notification(self, node, _, data):
        value = data.monitored_item.Value
        if value.StatusCode.value < 0x80000000 and value.SourceTimestamp:
            uncertain = value.StatusCode.value == ua.StatusCodes.UncertainNoCommunicationLastUsableValue
            if not uncertain:
                name = node.nodeid.Identifier.split(".")[1]
                self.all.append((name, ms(value.SourceTimestamp), plain(value.Value.Value)))


async def nodes(client):
    index = await client.get_namespace_index(NAMESPACE)
    return {name: client.get_node(ua.NodeId(f"Oven.{name}", index)) for name in NAMES}


async def look(url, seen, seconds):
    """Watches everything for a while, or until the connection is gone."""
    try:
        async with Client(url) as client:
            subscription = await client.create_subscription(50, seen)
            all_nodes = list((await nodes(client)).values())
            await subscription.subscribe_data_change(all_nodes, queuesize=100)
            await asyncio.sleep(seconds)
    except (ConnectionError, asyncio.TimeoutError, ua.UaError):
        pass


async def history(url, since):
    """Everything that is recorded since an instant, by name."""
    async with Client(url) as client:
        told = {}
        for name, node in (await nodes(client)).items():
            access = await node.read_attribute(ua.AttributeIds.AccessLevel)
            historizing = await node.read_attribute(ua.AttributeIds.Historizing)
            if not access.Value.Value & 4 or not historizing.Value.Value:
                fail(f"{name} does not say that it has a history")
            until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
            values = await node.read_raw_history(since, until)
            told[name] = [value for value in values if value.StatusCode.value != NO_BOUND]
        return told


def made(programs):
    """What the machine has done: its values by name and time."""
    lines = (programs.directory / "node.log").read_text().splitlines()
    return [tuple(json.loads(line)) for line in lines if line.startswith("[")]


def compare(programs, told, seen, kills):
    by_time = {(name, at): (value, status) for name, at, value, status in made(programs)}
    for name, values in told.items():
        stamps = [value.SourceTimestamp for value in values]
        if stamps != sorted(stamps):
            fail(f"the history of {name} is not in order of time")
        lost = [value for value in values if value.StatusCode.value == LOST]
        if len(lost) < kills:
            fail(f"{name} was not heard {kills} times and has {len(lost)} marks")
        known = [value for value in values if value.StatusCode.value != LOST]
        if any(value.Value.Value is not None for value in lost):
            fail(f"a mark of {name} has a value")
        if name == "Still":
            if {value.Value.Value for value in known} != {42}:
                fail(f"what stood still is {known}")
            continue
        strange = 0
        for value in known:
            made_then = by_time.get((name, ms(value.SourceTimestamp)))
            if made_then is None:
                # What was the same as before the loss is known again from its arrival.
                strange += 1
            elif made_then != (plain(value.Value.Value), value.StatusCode.value):
                fail(f"{name} was {made_then} and is recorded as {value}")
        if strange > 2 * (kills + 1):
            fail(f"{strange} of {len(known)} values of {name} were never so")
        times = [ms(value.SourceTimestamp) for value in known]
        if len(set(times)) != len(times):
            fail(f"values of {name} are recorded twice")
    recorded = {(name, ms(value.SourceTimestamp), str(plain(value.Value.Value)))
                for name, values in told.items() for value in values}
    missing = [one for one in seen.all if one[0] != "Still" and (one[0], one[1], str(one[2])) not in recorded]
    if missing:
        fail(f"{len(missing)} of {len(seen.all)} values were seen and are not recorded: {missing[:5]}")


def whole(programs, told, since, until):
    """Between two instants nothing of what the machine did is missing; how many values that were."""
    inside = [one for one in made(programs) if since <= one[1] < until]
    recorded = {(name, ms(known.SourceTimestamp)) for name, values in told.items() for known in values}
    missing = [one for one in inside if (one[0], one[1]) not in recorded]
    if missing or len(inside) < 100:
        fail(f"{len(missing)} of {len(inside)} values are not recorded: {missing[:20]}")
    return len(inside)


def run(binary, directory, programs):
    node, opcua, http = free_ports(3)

    def machine():
        started = programs.start("node", "node", str(HERE / "recorded_node_opcua.js"), str(node),
                                 str(directory / "pki"))
        wait_until("the start of the machine", 60, lambda: programs.said("node", "ready"))
        return started

    oven = machine()
    hashed = subprocess.run([binary, "hash-password"], input="erp-demo-password", capture_output=True,
                            text=True, check=True).stdout.strip()
    text = PLANT.format(directory=directory, opcua=opcua, http=http, hash=hashed)
    text = text.replace("[http]", "open_endpoint = true\nanonymous_read = true\n\n[http]")
    paths = ", ".join(f'"Oven/{name}"' for name in NAMES)
    config = directory / "plant.toml"
    config.write_text(text + MACHINE.format(node=node, paths=paths))
    bridge, url = Bridge(http), f"opc.tcp://127.0.0.1:{opcua}"
    since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=5)

    def start():
        plant = programs.start("linewright", binary, "serve", "--config", str(config))
        wait_until("readiness", 60, lambda: bridge.call("GET", "/readyz")["status"] == "ready")
        return plant

    seen = Seen()
    for _ in range(KILLS):
        plant = start()
        wait_until("nodes", 30, lambda: asyncio.run(there(url)))
        watching = asyncio.new_event_loop()
        looking = watching.create_task(look(url, seen, 60))
        watching.run_until_complete(asyncio.wait([looking], timeout=2 + random.random()))
        plant.send_signal(signal.SIGKILL)
        plant.wait()
        programs.end(("linewright",))
        watching.run_until_complete(asyncio.wait([looking], timeout=0.5))
        looking.cancel()
        watching.run_until_complete(asyncio.gather(looking, return_exceptions=True))
        watching.close()
    start()
    wait_until("nodes", 30, lambda: asyncio.run(there(url)))
    # For some seconds nobody looks and nothing is disturbed.
    quiet = time.time() * 1000 + 1500
    time.sleep(5)
    # The machine hangs and goes on: what it has kept is recorded.
    oven.send_signal(signal.SIGSTOP)
    time.sleep(4)
    oven.send_signal(signal.SIGCONT)
    time.sleep(4)
    told = asyncio.run(history(url, since))
    count = whole(programs, told, quiet, time.time() * 1000 - 2000)
    compare(programs, told, seen, KILLS)
    # The machine is away: its history is there all the same, and says that it is.
    oven.send_signal(signal.SIGKILL)
    oven.wait()
    programs.end(("node",))
    time.sleep(3)
    alone = asyncio.run(history(url, since))
    for name, values in told.items():
        same = [(value.SourceTimestamp, value.StatusCode.value) for value in values]
        if [(value.SourceTimestamp, value.StatusCode.value) for value in alone[name]][:len(same)] != same:
            fail(f"the history of {name} is otherwise without its machine")
    size = sum(file.stat().st_size for file in (directory / "data" / "telemetry" / "log").iterdir())
    total = sum(len(values) for values in alone.values())
    print(f"recorded: {len(seen.all)} values seen over {KILLS} kills, all recorded; {count} in a row without a gap; "
          f"{size / total:.0f} bytes of log each")


async def there(url):
    try:
        async with Client(url) as client:
            for node in (await nodes(client)).values():
                await node.read_browse_name()
        return True
    except (ValueError, ua.UaError, ConnectionError, asyncio.TimeoutError):
        return False


def main():
    began = time.monotonic()
    run_with_programs(run)
    print(f"recorded: nothing that was seen is lost ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()

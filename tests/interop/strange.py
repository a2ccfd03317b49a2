"""A machine that shows what no sane machine shows is shown as far as that goes, is bounded, and harms nobody: its
parts are counted, its strange values are told to be that, and another machine goes on as if nothing were.

Usage: strange.py BINARY. The machines are by asyncua, and so is who looks.
"""

import asyncio
import math
import subprocess
import sys
import time
from pathlib import Path

from asyncua import Client, ua

from machines import PLANT
from mirror import source
from ports import free_ports
from programs import Bridge, fail, run_with_programs, wait_until

HERE = Path(__file__).parent
NAMESPACE = "urn:linewright:interop:strange"
MARKUP = "<script>alert('x')</script>"
NODES = 1000
MACHINES = """
[[machine]]
id = "Strange"
line = "L1"
endpoint = "opc.tcp://127.0.0.1:{strange}"
security = "none"
publishing_interval = "100ms"

[[machine.signal]]
role = "good"
node = "nsu=urn:linewright:interop:strange;s=Count"

[[machine.signal]]
role = "state"
node = "nsu=urn:linewright:interop:strange;s=State"
states = {{ running = "running" }}

[machine.mirror]
nodes = {nodes}

[[machine]]
id = "Robot"
line = "L1"
endpoint = "opc.tcp://127.0.0.1:{robot}"
security = "none"

[[machine.signal]]
role = "state"
node = "nsu=urn:linewright:interop:structures;s=Robot.State"
states = {{ 1 = "running" }}

[machine.mirror]
include = ["Robot"]
"""


async def look(port):
    async with Client(f"opc.tcp://127.0.0.1:{port}") as here:
        ours = await here.get_namespace_array()
        plant = ours.index("urn:linewright:ua:plant:S")
        connection = lambda machine, name: here.get_node(ua.NodeId(f"machine/{machine}/Connection/{name}", plant))

        async def until(what, machine, name, is_so):
            for _ in range(300):
                value = await connection(machine, name).read_value()
                if is_so(value):
                    return value
                await asyncio.sleep(0.1)
            fail(f"{what}: {value}")

        await until("the strange machine is mirrored", "Strange", "MirroredNodes", lambda count: count >= NODES)
        count = await connection("Strange", "MirroredNodes").read_value()
        if count > NODES + 20:
            fail(f"{count} nodes are mirrored, of {NODES}")
        note = await connection("Strange", "MirrorNote").read_value()
        if f"more than {NODES} nodes" not in note:
            fail(f"nobody is told that there are more: {note!r}")
        await until("the robot is mirrored", "Robot", "MirroredNodes", lambda count: count >= 5)
        index = (await here.get_namespace_array()).index(source("Strange", NAMESPACE))
        node = lambda name: here.get_node(ua.NodeId(name, index))

        # Circles are shown as circles.
        for _ in range(50):
            components = [child.nodeid.Identifier for child in await node("Other").get_children()]
            if components == ["One"]:
                break
            # What is counted is seen a moment later.
            await asyncio.sleep(0.1)
        else:
            fail(f"the other one has {components}")
        read = lambda name: node(name).read_data_value(raise_on_bad_status=False)
        seen = {name: await read(name) for name in ("NotANumber", "Infinite", "Tomorrow", "Yesterday", "Huge", "Lying")}
        if not math.isnan(seen["NotANumber"].Value.Value) or not math.isinf(seen["Infinite"].Value.Value):
            fail(f"numbers are {seen['NotANumber'].Value} and {seen['Infinite'].Value}")
        if seen["Tomorrow"].SourceTimestamp.year != 9000 or seen["Yesterday"].SourceTimestamp.year != 1602:
            fail("the times of the machine are not told as they are")
        if len(seen["Huge"].Value.Value) != 100_000:
            fail(f"the array has {len(seen['Huge'].Value.Value)} values")
        if seen["Lying"].Value.Value != 1:
            fail(f"what the machine says is not told: {seen['Lying']}")
        name = await node("Markup").read_browse_name()
        if name.Name != MARKUP:
            fail(f"the name is {name}")
        try:
            await node("Long").read_browse_name()
            fail("a name of three thousand letters is shown")
        except ua.UaStatusCodeError as error:
            if error.code != ua.StatusCodes.BadNodeIdUnknown:
                raise

        # Its signals are taken where they are values, and told to be strange where not.
        problem = await until("the strange state is told", "Strange", "LastError", lambda error: "state" in error)
        counts = []
        for _ in range(2):
            counter = here.get_node(ua.NodeId("machine/Strange/Counters/Good", plant))
            counts.append(await counter.read_value())
            await asyncio.sleep(1)
        if not 5 <= counts[1] - counts[0] <= 15:
            fail(f"its parts are counted as {counts}")
        for machine in ("Robot", "Strange"):
            connects = await connection(machine, "Connects").read_value()
            if connects != 1:
                fail(f"{machine} has come up {connects} times")
        return problem


def run(binary, directory, programs):
    strange, robot, opcua, http = free_ports(4)
    for name, file, port in (("strange", "strange_asyncua.py", strange), ("robot", "mirror_asyncua.py", robot)):
        programs.start(name, sys.executable, str(HERE / file), str(port))
    for name in ("strange", "robot"):
        wait_until(f"the start of {name}", 60, lambda: programs.said(name, "ready"))
    hashed = subprocess.run([binary, "hash-password"], input="erp-demo-password", capture_output=True,
                            text=True, check=True).stdout.strip()
    text = PLANT.format(directory=directory, opcua=opcua, http=http, hash=hashed)
    open_to_all = f'listen = "127.0.0.1:{opcua}"\nopen_endpoint = true\nanonymous_read = true\ntrust_all_clients = true'
    text = text.replace(f'listen = "127.0.0.1:{opcua}"', open_to_all)
    text = text.replace('default_product', 'bottleneck = "Robot"\ndefault_product')
    config = directory / "plant.toml"
    config.write_text(text + MACHINES.format(strange=strange, robot=robot, nodes=NODES))
    programs.start("linewright", binary, "serve", "--config", str(config))
    bridge = Bridge(http)
    wait_until("readiness", 60, lambda: bridge.call("GET", "/readyz")["status"] == "ready")
    problem = asyncio.run(look(opcua))
    print(f"strange: it is told that {problem!r}")


def main():
    began = time.monotonic()
    run_with_programs(run)
    print(f"strange: a machine beyond reason harms nobody ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()

"""Machines by stacks that nobody here wrote, over cables that fail: what the machine has counted is what the plant has
counted, part by part, and nothing is said to be known that nobody could know.

Usage: stacks.py BINARY. The machines are by o6 (open62541), asyncua and node-opcua.
"""

import asyncio
import re
import subprocess
import sys
import time
from pathlib import Path

from asyncua import Client, ua

from cable import Cable
from machines import PLANT, up
from ports import free_ports
from programs import Bridge, fail, run_with_programs, wait_until
from restart import now, seen

HERE = Path(__file__).parent
OWN = "urn:linewright:interop:count"
MIRROR = "urn:linewright:interop:mirror"
# Name, program, its namespace and its counter.
STACKS = [
    ("O6", [sys.executable, "count_o6.py"], f"nsu={OWN};s=Count", f"nsu={OWN};s=State"),
    ("Asyncua", [sys.executable, "count_asyncua.py"], f"nsu={OWN};s=Count", f"nsu={OWN};s=State"),
    ("NodeOpcua", ["node", "mirror_node_opcua.js"], f"nsu={MIRROR};s=Cell.Count", None),
]
FAULTS = [("cut", 0), ("deaf", 0), ("inside", 333), ("inside", 50), ("half", 0)]


def section(name, port, count, state):
    text = f"""
[[machine]]
id = "{name}"
line = "L1"
endpoint = "opc.tcp://127.0.0.1:{port}"
security = "none"
publishing_interval = "100ms"

[[machine.signal]]
role = "good"
node = "{count}"
"""
    if state:
        return text + f'\n[[machine.signal]]\nrole = "state"\nnode = "{state}"\nstates = {{ running = "running" }}\n'
    return text.replace('role = "good"', 'role = "cycle"\ncycle = "100ms"') + text[text.index("\n[[machine.signal]]"):]


def shown(port, count):
    """What the machine itself shows now."""
    async def read():
        async with Client(f"opc.tcp://127.0.0.1:{port}") as client:
            uri, name = re.fullmatch(r"nsu=(.*);s=(.*)", count).groups()
            index = (await client.get_namespace_array()).index(uri)
            return await client.get_node(ua.NodeId(name, index)).read_value()
    return asyncio.run(read())


def counted(bridge, name):
    counts = bridge.kpi(name)["counts"]
    return counts["good"] + counts["unattributed"]["good"]


def run(binary, directory, programs):
    ports = free_ports(2 * len(STACKS) + 2)
    opcua, http = ports[-2:]
    text, cables, machines = "", {}, {}
    for (name, program, count, state), port, behind in zip(STACKS, ports[::2], ports[1::2]):
        command = [program[0], str(HERE / program[1]), str(behind)]
        programs.start(name, *command, *([str(directory / "pki")] if program[0] == "node" else []))
        wait_until(f"the start of {name}", 60, lambda: programs.said(name, "ready"))
        cables[name], machines[name] = Cable(port, behind), (behind, count)
        text += section(name, port, count, state)
    hashed = subprocess.run([binary, "hash-password"], input="erp-demo-password", capture_output=True,
                            text=True, check=True).stdout.strip()
    plant = PLANT.format(directory=directory, opcua=opcua, http=http, hash=hashed)
    plant = plant.replace('default_product', 'bottleneck = "O6"\ndefault_product')
    config = directory / "plant.toml"
    config.write_text(plant + text)
    programs.start("linewright", binary, "serve", "--config", str(config))
    bridge = Bridge(http)
    wait_until("readiness", 60, lambda: bridge.call("GET", "/readyz")["status"] == "ready")
    begins = {}
    for name, (port, count) in machines.items():
        wait_until(f"parts of {name}", 30, lambda: counted(bridge, name) > 0)
        # What it showed when the plant came is where the plant began.
        begins[name] = shown(port, count) - counted(bridge, name)
    since = now()
    for fault, size in FAULTS:
        for cable in cables.values():
            cable.set(fault, size)
        for name in machines:
            if fault != "inside":
                wait_until(f"the loss of {name} ({fault})", 30, lambda: up(bridge, name) == 0)
        for cable in cables.values():
            cable.set(None)
        for name, (port, count) in machines.items():
            wait_until(f"{name} after {fault}", 60, lambda: up(bridge, name) == 1)

            def is_same():
                # One or two parts are under way.
                return 0 <= shown(port, count) - begins[name] - counted(bridge, name) <= 3

            wait_until(f"all parts of {name} after {fault}", 30, is_same)
    for name in machines:
        unknown = seen(bridge, name, since)["no_data"]
        # asyncua ends a session with its connection, so nobody knows what was meanwhile; the others keep it.
        if name != "Asyncua" and unknown != 0:
            fail(f"{unknown} s of {name} are unknown, though it keeps what was not heard")
        print(f"stacks: {counted(bridge, name)} parts of {name}, all that it made; {unknown:.1f} s are unknown")


def main():
    began = time.monotonic()
    run_with_programs(run)
    print(f"stacks: cables may fail ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()

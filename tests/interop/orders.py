"""A machine is told of the orders of its line: by job orders as OPC 10031-4 has them, by plain values that are read
back, and by a method; what it refuses is seen with the reason, and nothing is told twice.

Usage: orders.py BINARY. The machine is by node-opcua, with the official nodeset.
"""

import asyncio
import subprocess
from pathlib import Path

from asyncua import Client, ua

from machines import PLANT
from ports import free_ports
from programs import Bridge, Programs, fail, wait_until, run_with_programs

HERE = Path(__file__).parent
MACHINE = """
[[product]]
id = "Glass"

[[machine]]
id = "Press"
line = "L1"
endpoint = "opc.tcp://127.0.0.1:{machine}"
security = "none"

[[machine.signal]]
role = "cycle"
path = "Press/Cycles"
cycle = "1s"

[machine.orders]
receiver = "Press/JobOrderControl"

[[machine.orders.write]]
value = "order"
path = "Press/Order"

[[machine.orders.write]]
value = "quantity"
path = "Press/Quantity"

[[machine.orders.write]]
value = "parameter:Temperature"
path = "Press/Temperature"

[[machine.orders.call]]
when = "start"
path = "Press/SetUnitMode"
arguments = {{ RequestedMode = "parameter:Mode" }}

[[machine.orders.call]]
when = "start"
path = "Press/SetProduct"
arguments = {{ "Product[0].ProductID" = "parameter:Number", "Product[0].Ingredients[1].IngredientID" = "parameter:Mode" }}

[[machine.orders.call]]
when = "start"
path = "Press/Start"

[[machine.orders.call]]
when = "start"
path = "Press/Begin"
"""


class Orders:
    """The ERP's side: orders by number."""

    def __init__(self, bridge):
        self.bridge = bridge
        self.count = 0

    def store(self, order, product, quantity):
        body = {"revision": 1, "line": "L1", "product": product, "quantity": quantity, "released": True}
        self.bridge.call("PUT", f"/v1/orders/{order}", body)

    def command(self, order, command):
        self.count += 1
        self.bridge.call("POST", f"/v1/orders/{order}/commands", {"command": command}, f"key-{self.count}")


async def shown(port):
    """What a client sees of what the machine was told."""
    async with Client(f"opc.tcp://127.0.0.1:{port}") as client:
        plant = (await client.get_namespace_array()).index("urn:linewright:ua:plant:S")
        names = ("Order", "Moment", "Known", "Reason")
        nodes = [client.get_node(ua.NodeId(f"machine/Press/OrderTransfer/{name}", plant)) for name in names]
        return [await node.read_value() for node in nodes]


def run(binary, directory, programs):
    machine, opcua, http = free_ports(3)
    programs.start("machine", "node", str(HERE / "orders_node_opcua.js"), str(machine), str(directory / "pki"))
    wait_until("the start of the machine", 60, lambda: programs.said("machine", "ready"))
    hashed = subprocess.run([binary, "hash-password"], input="erp-demo-password", capture_output=True,
                            text=True, check=True).stdout.strip()
    text = PLANT.format(directory=directory, opcua=opcua, http=http, hash=hashed)
    listen = f'listen = "127.0.0.1:{opcua}"'
    text = text.replace(listen, f"{listen}\nopen_endpoint = true\nanonymous_read = true")
    text = text.replace('id = "Bottle"\n', 'id = "Bottle"\nparameters = { Temperature = "180.5", Mode = "3", Number = "815" }\n')
    config = directory / "plant.toml"
    config.write_text(text + MACHINE.format(machine=machine))
    done = subprocess.run([binary, "check-config", str(config), "--online"], capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"the machine is not as it is configured: {done.stdout}{done.stderr}")
    command = [binary, "serve", "--config", str(config)]
    programs.start("linewright", *command)
    bridge = Bridge(http)
    ready = lambda: bridge.call("GET", "/readyz")["status"] == "ready"
    wait_until("readiness", 60, ready)
    orders = Orders(bridge)
    said = lambda text: lambda: programs.said("machine", text)
    sees = lambda *wanted: lambda: asyncio.run(shown(opcua))[:len(wanted)] == list(wanted)

    orders.store("4711", "Bottle", "1200")
    orders.command("4711", "start")
    wait_until("the order at the machine", 20, sees("4711", "start", True, ""))
    for text in ("written Order 4711", "written Quantity 1200", "written Temperature 180.5", "called Begin",
                 "called SetUnitMode 3", "called SetProduct [[815,0,[0,3]]]", "called Start 0",
                 "job 4711 Bottle 1200 4711 4"):
        if not programs.said("machine", text):
            fail(f"the machine was not told: {text}")
    orders.command("4711", "pause")
    wait_until("the pause", 20, said("told Pause 4711 0"))
    orders.command("4711", "resume")
    wait_until("the end of the pause", 20, said("told Resume 4711 0"))
    wait_until("what is seen of it", 20, sees("4711", "resume", True, ""))
    # Who begins again does not tell the machine anew what it knows.
    programs.end(("linewright",))
    programs.start("linewright", *command)
    wait_until("readiness", 60, ready)
    wait_until("the order at the machine", 20, sees("4711", "start", True, ""))
    orders.command("4711", "complete")
    wait_until("the end of the order", 20, said("told Stop 4711 0"))
    log = (directory / "machine.log").read_text()
    for text in ("told StoreAndStart 4711", "written Order 4711", "called Begin", "called SetProduct"):
        if log.count(text) != 1:
            fail(f"{text} was told {log.count(text)} times")

    # What the machine does not take is seen with the reason, and told again until it is taken away.
    orders.store("4712", "Glass", "70000")
    orders.command("4712", "start")
    wait_until("the refusal", 20, sees("4712", "start", False))
    reason = asyncio.run(shown(opcua))[3]
    if "quantity: 70000 is no UInt16" not in reason:
        fail(f"the reason is {reason}")
    if programs.said("machine", "4712"):
        fail("the machine was told half of it")
    orders.command("4712", "abort")
    orders.store("4713", "Bottle", "5")
    orders.command("4713", "start")
    wait_until("the next order", 30, said("job 4713 Bottle 5 4713 4"))
    wait_until("what is seen of it", 20, sees("4713", "start", True, ""))


def main():
    run_with_programs(run)
    print("orders: a foreign machine knows the orders of its line")


if __name__ == "__main__":
    main()

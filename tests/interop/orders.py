"""A machine is told of the orders of its line: by job orders as OPC 10031-4 has them, by plain values that are read
back, and by a method; what it refuses is seen with the reason, and nothing is told twice.

Usage: orders.py BINARY. The machine is by node-opcua, with the official nodeset.
"""

import asyncio
import datetime
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


async def transfers(port):
    """What the history of events has of what the machine was told."""
    async with Client(f"opc.tcp://127.0.0.1:{port}") as client:
        namespaces = await client.get_namespace_array()
        types, plant = (namespaces.index(f"urn:linewright:ua:{name}") for name in ("mes", "plant:S"))
        kind = client.get_node(ua.NodeId(1122, types))
        names = ("OrderId", "Moment", "Known")
        chosen = [ua.SimpleAttributeOperand(kind.nodeid, [ua.QualifiedName(name, types)], ua.AttributeIds.Value)
                  for name in names]
        of_type = ua.ContentFilterElement()
        of_type.FilterOperator = ua.FilterOperator.OfType
        of_type.FilterOperands = [ua.LiteralOperand(Value=ua.Variant(kind.nodeid))]
        where = ua.ContentFilter([of_type])
        details = ua.ReadEventDetails(0, datetime.datetime(2026, 1, 1), datetime.datetime(2100, 1, 1),
                                      ua.EventFilter(chosen, where))
        result = await client.get_node(ua.NodeId("machine/Press", plant)).history_read_events(details)
        result.StatusCode.check()
        return [tuple(field.Value for field in event.EventFields) for event in result.HistoryData.Events]


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
    orders.command("4713", "complete")

    # Whether a method was carried out whose answer was lost is not known: it is not called again, and that is said.
    orders.store("SILENT-1", "Bottle", "5")
    orders.command("SILENT-1", "start")
    wait_until("the call of the method", 20, said("called Begin SILENT-1"))
    programs.end(("linewright",))
    programs.start("linewright", *command)
    wait_until("readiness", 60, ready)
    reason = ("Begin was called and the answer was lost: whether the machine has done it is not known, and it is not "
              "called again; look at the machine")
    wait_until("that nothing was answered", 20, sees("SILENT-1", "start", False, reason))
    orders.store("SILENT-2", "Bottle", "5")
    orders.command("SILENT-1", "complete")
    wait_until("the end of the order", 20, said("told Stop SILENT-1 0"))
    orders.command("SILENT-2", "start")
    wait_until("that nothing was answered, again", 20,
               sees("SILENT-2", "start", False, reason))
    log = (directory / "machine.log").read_text()
    for order in ("SILENT-1", "SILENT-2"):
        if log.count(f"called Begin {order}") != 1:
            fail(f"Begin was called {log.count(f'called Begin {order}')} times for {order}")

    # Each time it was told, and what came of it, is a fact for ever.
    told = asyncio.run(transfers(opcua))
    wanted = [("4711", "start", True), ("4711", "pause", True), ("4711", "resume", True), ("4711", "start", True),
              ("4711", "end", True), ("4712", "start", False), ("4713", "start", True), ("4713", "end", True),
              ("SILENT-1", "start", False), ("SILENT-1", "end", True), ("SILENT-2", "start", False)]
    if told != wanted:
        fail(f"the history of what the machine was told is {told}")


def main():
    run_with_programs(run)
    print("orders: a foreign machine knows the orders of its line")


if __name__ == "__main__":
    main()

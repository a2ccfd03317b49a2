"""What machines show of themselves is shown by Linewright as they show it: every node, type, value and status, and
nothing else. What is written and called there is done here, where it is allowed, and a lost machine's values are
never shown as good.

Usage: mirror.py BINARY. The machines are by node-opcua, with its address space for conformance tests, and by asyncua,
with structures of its own; who looks is asyncua.
"""

import asyncio
import datetime
import signal
import subprocess
import sys
import time
from pathlib import Path

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from certificates import make
from machines import PLANT
from ports import free_ports
from programs import Bridge, Programs, fail, wait_until, run_with_programs

HERE = Path(__file__).parent
# Nodes that are read at once.
AT_ONCE = 50
STATUS = ua.StatusCodes
MACHINES = """
[[user]]
name = "operator"
role = "operator"
password_hash = "{hash}"

[[machine]]
id = "Cell"
line = "L1"
endpoint = "opc.tcp://127.0.0.1:{node}"
security = "none"
publishing_interval = "100ms"

[[machine.signal]]
role = "cycle"
node = "nsu=urn:linewright:interop:mirror;s=Cell.Count"
cycle = "100ms"

[machine.mirror]
exclude = ["Cell/Secret"]
write = ["Cell/Setpoint", "Cell/Recipe"]
call = ["Cell/Add"]
linger = "3s"

[[machine]]
id = "Robot"
line = "L1"
endpoint = "opc.tcp://127.0.0.1:{asyncua}"
security = "none"

[[machine.signal]]
role = "state"
node = "nsu=urn:linewright:interop:structures;s=Robot.State"
states = {{ 1 = "running" }}

[machine.mirror]
include = ["Robot"]
write = ["Robot/Route"]
"""


def source(machine, uri):
    return f"urn:linewright:ua:source:{machine}:{uri}"


async def everything(client, root):
    """All nodes below one, by id, with what is read of them."""
    found, level = {}, [root]
    while level:
        below = []
        for node in level:
            for child in await node.get_children():
                if child.nodeid not in found:
                    found[child.nodeid] = child
                    below.append(child)
        level = below
    return found


ATTRIBUTES = [ua.AttributeIds.NodeClass, ua.AttributeIds.BrowseName, ua.AttributeIds.DisplayName,
              ua.AttributeIds.DataType, ua.AttributeIds.ValueRank, ua.AttributeIds.Value]


async def read(client, ids):
    """What nodes say of themselves, node by node."""
    said, rest = [], list(ids)
    while rest:
        # Arrays of 51 200 elements are more than this client takes together.
        count = next((at for at, one in enumerate(rest[:AT_ONCE]) if "Large" in str(one.Identifier)), AT_ONCE) or 1
        part, rest = rest[:count], rest[count:]
        wanted = [ua.ReadValueId(NodeId=one, AttributeId=attribute) for one in part for attribute in ATTRIBUTES]
        said += await client.uaclient.read(ua.ReadParameters(NodesToRead=wanted))
    return [said[start:start + len(ATTRIBUTES)] for start in range(0, len(said), len(ATTRIBUTES))]


def same(one, other, here):
    """Whether a value of the machine is the same as one of the mirror, ids being those of the mirror."""
    if isinstance(one, ua.NodeId) and not isinstance(one, ua.ExpandedNodeId):
        return here(one) == other or one == other
    if isinstance(one, ua.QualifiedName):
        return one.Name == other.Name
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b, here) for a, b in zip(one, other))
    if isinstance(one, ua.ExtensionObject):
        # The ids inside are looked at where the structures are known.
        return same(one.TypeId, other.TypeId, here) and len(one.Body or b"") == len(other.Body or b"")
    return one == other or one != one and other != other


async def compare(there, here, machine, roots, least):
    """Every node of the machine is in the mirror, and says the same. Gives how many there are."""
    uris, ours = await there.get_namespace_array(), await here.get_namespace_array()

    def mapped(one):
        uri = source(machine, uris[one.NamespaceIndex])
        return ua.NodeId(one.Identifier, ours.index(uri) if uri in ours else -1)

    theirs = {}
    for root in roots:
        theirs[root.nodeid] = root
        theirs.update(await everything(there, root))
    ids = [one for one in theirs if one.NamespaceIndex != 0]
    if len(ids) < least:
        fail(f"{machine} has only {len(ids)} nodes")
    first = await read(there, ids)
    mirrored = await read(here, [mapped(one) for one in ids])
    again = await read(there, ids)
    compared = 0
    for one, was, shown, now in zip(ids, first, mirrored, again):
        for attribute, before, here_said, after in zip(ATTRIBUTES, was, shown, now):
            # What moves meanwhile cannot be compared.
            if (before.Value, before.StatusCode, before.SourceTimestamp) != (
                    after.Value, after.StatusCode, after.SourceTimestamp):
                continue
            where = f"{one.to_string()} {attribute.name}"
            if before.StatusCode.value != here_said.StatusCode.value:
                fail(f"{where}: {before.StatusCode} there, {here_said.StatusCode} in the mirror")
            if before.StatusCode.is_bad() or before.Value is None and here_said.Value is None:
                continue
            if here_said.Value is None:
                fail(f"{where}: {before.Value} there, nothing in the mirror")
            if before.Value.VariantType != here_said.Value.VariantType:
                fail(f"{where}: {before.Value} there, {here_said.Value} in the mirror")
            if not same(before.Value.Value, here_said.Value.Value, mapped):
                fail(f"{where}: {before.Value} there, {here_said.Value} in the mirror")
            if before.SourceTimestamp and before.SourceTimestamp != here_said.SourceTimestamp:
                fail(f"{where}: {before.SourceTimestamp} there, {here_said.SourceTimestamp} in the mirror")
            compared += 1
    print(f"mirror: {compared} attributes of {len(ids)} nodes of {machine} are the same")
    return len(ids)


async def structures(there, here, machine):
    """Structures are read by whoever knows only our server, and the ids in them are ours."""
    ours = await here.get_namespace_array()
    index = ours.index(source(machine, "urn:linewright:interop:structures"))
    types = await here.load_data_type_definitions()
    node = here.get_node(ua.NodeId("Robot.Route", index))
    route = await node.read_value()
    if (route.Number, route.Comment, [place.Height for place in route.Places]) != (7, "by the wall", [1.5, 2.5]):
        fail(f"the route is {route}")
    wanted = [(ua.NodeId(name, index), ua.QualifiedName(name, index)) for name in ("Robot", "Gate")]
    if [(place.Node, place.Name) for place in route.Places] != wanted:
        fail(f"the ids in the route are {route.Places}")
    grade = await here.get_node(ua.NodeId("Robot.Grade", index)).read_value()
    if types["Grade"](grade).name != "Best":
        fail(f"the grade is {grade}")
    # A structure that is written arrives with the ids of the machine.
    route.Number, route.Comment = 8, None
    await node.write_value(ua.DataValue(ua.Variant(route)))
    await there.load_data_type_definitions()
    theirs = (await there.get_namespace_array()).index("urn:linewright:interop:structures")
    written = await there.get_node(ua.NodeId("Robot.Route", theirs)).read_value()
    if (written.Number, written.Comment, written.Places[1].Node) != (8, None, ua.NodeId("Gate", theirs)):
        fail(f"the route was written as {written}")


async def refused(status, doing):
    try:
        await doing
    except ua.UaStatusCodeError as error:
        if error.code == status:
            return
        fail(f"it was refused with {error}, not {ua.StatusCode(status)}")
    fail(f"it was not refused with {ua.StatusCode(status)}")


async def commands(programs, reader, operator, machine):
    """What is allowed is done by those who may, and nothing else by anybody."""
    index = (await reader.get_namespace_array()).index(source(machine, "urn:linewright:interop:mirror"))
    node = lambda client, name: client.get_node(ua.NodeId(f"Cell.{name}", index))
    cell = (await node(operator, "Count").get_parent()).nodeid
    double = lambda value: ua.DataValue(ua.Variant(value, ua.VariantType.Double))
    await node(operator, "Setpoint").write_value(double(33.5))
    wait_until("the write", 5, lambda: programs.said("node", "written Setpoint 33.5"))
    if await node(reader, "Setpoint").read_value() != 33.5:
        fail("the setpoint is not read back")
    await refused(STATUS.BadUserAccessDenied, node(reader, "Setpoint").write_value(double(1.0)))
    await refused(STATUS.BadNotWritable, node(operator, "Locked").write_value(double(1.0)))
    await refused(STATUS.BadTypeMismatch, node(operator, "Setpoint").write_value(ua.DataValue(ua.Variant("x"))))
    arguments = [ua.Variant(value, ua.VariantType.Int32) for value in (20, 22)]
    add = ua.NodeId("Cell.Add", index)
    if await operator.get_node(cell).call_method(add, *arguments) != 42:
        fail("the sum is wrong")
    if not programs.said("node", "called Add 20 22"):
        fail("the machine was not called")
    await refused(STATUS.BadUserAccessDenied, reader.get_node(cell).call_method(add, *arguments))
    explode = ua.NodeId("Cell.Explode", index)
    await refused(STATUS.BadNotExecutable, operator.get_node(cell).call_method(explode))
    if programs.said("node", "called Explode") or programs.said("node", "written Locked"):
        fail("the machine was told what nobody may tell it")


async def history(there, here, machine):
    """The history that the machine keeps is read as if it were ours."""
    theirs = (await there.get_namespace_array()).index("urn:linewright:interop:mirror")
    index = (await here.get_namespace_array()).index(source(machine, "urn:linewright:interop:mirror"))
    now = datetime.datetime.now(datetime.timezone.utc)
    window = {"numvalues": 0, "return_bounds": False, "starttime": now - datetime.timedelta(hours=1), "endtime": now}
    kept = await there.get_node(ua.NodeId("Cell.Kept", theirs)).read_raw_history(**window)
    shown = await here.get_node(ua.NodeId("Cell.Kept", index)).read_raw_history(**window)
    first = [(one.Value.Value, one.SourceTimestamp) for one in kept]
    second = [(one.Value.Value, one.SourceTimestamp) for one in shown]
    if len(first) < 20 or second[:len(first)] != first:
        fail(f"the history has {first[:3]} and so on there, {second[:3]} in the mirror")


class Seen:
    """What a subscriber was told of variables, in order."""

    def __init__(self):
        self.told = {}

    def datachange_notification(self, node, value, data):
        self.told.setdefault(node.nodeid, []).append(data.monitored_item.Value)

    def status(self, one):
        return self.told[one][-1].StatusCode.value if self.told.get(one) else None


async def losses(programs, process, here, machine):
    """While the machine is silent its values are uncertain, then bad, and afterwards good again; none is missing."""
    index = (await here.get_namespace_array()).index(source(machine, "urn:linewright:interop:mirror"))
    count, setpoint = (ua.NodeId(f"Cell.{name}", index) for name in ("Count", "Setpoint"))
    seen = Seen()
    subscription = await here.create_subscription(100, seen)
    await subscription.subscribe_data_change([here.get_node(one) for one in (count, setpoint)], queuesize=1000, sampling_interval=0)

    async def until(what, status):
        for _ in range(300):
            if all(seen.status(one) == status for one in (count, setpoint)):
                return
            await asyncio.sleep(0.1)
        fail(f"{what}: {[seen.status(one) for one in (count, setpoint)]}")

    await until("values", STATUS.Good)
    await asyncio.sleep(1)
    process.send_signal(signal.SIGSTOP)
    await until("uncertain values", STATUS.UncertainNoCommunicationLastUsableValue)
    if seen.told[setpoint][-1].Value.Value != 33.5:
        fail("the last value is not told while it is uncertain")
    await until("bad values", STATUS.BadNoCommunication)
    read = await here.get_node(setpoint).read_data_value(raise_on_bad_status=False)
    if read.StatusCode.value != STATUS.BadNoCommunication:
        fail(f"it is read as {read}")
    process.send_signal(signal.SIGCONT)
    await until("good values again", STATUS.Good)
    await asyncio.sleep(1)
    good = [one.Value.Value for one in seen.told[count] if one.StatusCode.is_good()]
    steps = {after - before for before, after in zip(good, good[1:])}
    if not steps <= {0, 1}:
        fail(f"counts were missed: {good}")
    # It ends and begins again: nothing that it said before is shown as good until it has said it anew.
    programs.end(("node",))
    await until("bad values", STATUS.BadNoCommunication)
    return seen, until, subscription


async def look(programs, processes, ports, start_node):
    opcua, node, robot = ports
    here = Client(f"opc.tcp://127.0.0.1:{opcua}")
    operator = Client(f"opc.tcp://127.0.0.1:{opcua}")
    await secure(operator, programs.directory)
    async with here, operator, Client(f"opc.tcp://127.0.0.1:{node}") as machine:
        async with Client(f"opc.tcp://127.0.0.1:{robot}") as arm:
            folder = machine.nodes.objects
            names = [(await child.read_browse_name()).Name for child in await folder.get_children()]
            roots = [child for child in await folder.get_children() if child.nodeid.NamespaceIndex != 0]
            if "Simulation" not in names or len(roots) < 2:
                fail(f"the machine has {names}")
            await ready(here, "Cell", 500)
            await compare(machine, here, "Cell", roots, 500)
            uris = await arm.get_namespace_array()
            place = arm.get_node(ua.NodeId("Robot", uris.index("urn:linewright:interop:structures")))
            await ready(here, "Robot", 5)
            await compare(arm, here, "Robot", [place], 6)
            await structures(arm, operator, "Robot")
            await commands(programs, here, operator, "Cell")
            await history(machine, here, "Cell")
        await machine.disconnect()
        _, until, _ = await losses(programs, processes["node"], here, "Cell")
        start_node()
        await until("good values of the machine that has begun anew", STATUS.Good)


async def ready(client, machine, least):
    """Waits until a machine is mirrored."""
    ours = await client.get_namespace_array()
    plant = ours.index("urn:linewright:ua:plant:S")
    node = client.get_node(ua.NodeId(f"machine/{machine}/Connection/MirroredNodes", plant))
    note = client.get_node(ua.NodeId(f"machine/{machine}/Connection/MirrorNote", plant))
    for _ in range(300):
        if await node.read_value() >= least:
            if await note.read_value():
                fail(f"the mirror of {machine}: {await note.read_value()}")
            return
        await asyncio.sleep(0.1)
    fail(f"{machine} was not mirrored: {await node.read_value()} nodes, {await note.read_value()}")


async def secure(client, directory):
    """An operator over an encrypted channel."""
    make(directory / "certificates", "app", "urn:linewright:interop:mirror")
    client.application_uri = "urn:linewright:interop:mirror"
    names = [str(directory / "certificates" / name) for name in ("app.der", "app-key.pem")]
    await client.set_security(SecurityPolicyBasic256Sha256, *names, mode=ua.MessageSecurityMode.SignAndEncrypt)
    client.set_user("operator")
    client.set_password("erp-demo-password")


def run(binary, directory, programs):
    node, robot, opcua, http = free_ports(4)
    def start_node():
        command = ["node", str(HERE / "mirror_node_opcua.js"), str(node), str(directory / "pki")]
        started = programs.start("node", *command)
        wait_until("the start of the machine", 60, lambda: programs.said("node", "ready"))
        return started
    processes = {"node": start_node()}
    programs.start("robot", sys.executable, str(HERE / "mirror_asyncua.py"), str(robot))
    wait_until("the start of the robot", 60, lambda: programs.said("robot", "ready"))
    hashed = subprocess.run([binary, "hash-password"], input="erp-demo-password", capture_output=True,
                            text=True, check=True).stdout.strip()
    text = PLANT.format(directory=directory, opcua=opcua, http=http, hash=hashed)
    open_to_all = f'listen = "127.0.0.1:{opcua}"\nopen_endpoint = true\nanonymous_read = true\ntrust_all_clients = true'
    text = text.replace(f'listen = "127.0.0.1:{opcua}"', open_to_all)
    text = text.replace('default_product', 'bottleneck = "Cell"\ndefault_product')
    config = directory / "plant.toml"
    config.write_text(text + MACHINES.format(node=node, asyncua=robot, hash=hashed))
    programs.start("linewright", binary, "serve", "--config", str(config))
    bridge = Bridge(http)
    wait_until("readiness", 60, lambda: bridge.call("GET", "/readyz")["status"] == "ready")
    asyncio.run(look(programs, processes, (opcua, node, robot), start_node))


def main():
    began = time.monotonic()
    run_with_programs(run)
    print(f"mirror: machines are shown as they are ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()

"""What happens at machines is told by Linewright as they tell it: events with all of their fields, conditions that
can be acknowledged from here and are never said to hold when nobody knows, and nodes that come while machines run.

Usage: alarms.py BINARY. The machines are by node-opcua and asyncua; who looks is asyncua, here and at the machines.
"""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

from asyncua import Client, ua

from machines import PLANT
from mirror import ready, refused, secure, source
from ports import free_ports
from programs import Bridge, Programs, fail, run_with_programs, wait_until

HERE = Path(__file__).parent
OWN = "urn:linewright:interop:alarms"
STATUS = ua.StatusCodes
MACHINES = """
[[user]]
name = "operator"
role = "operator"
password_hash = "{hash}"

[[user]]
name = "engineer"
role = "engineer"
password_hash = "{hash}"

[[machine]]
id = "Oven"
line = "L1"
endpoint = "opc.tcp://127.0.0.1:{node}"
security = "none"
publishing_interval = "100ms"

[[machine.signal]]
role = "cycle"
node = "nsu=urn:linewright:interop:alarms;s=Oven.Count"
cycle = "100ms"

[machine.mirror]
call = ["Oven/Break"]
linger = "2s"

[[machine]]
id = "Saw"
line = "L1"
endpoint = "opc.tcp://127.0.0.1:{asyncua}"
security = "none"

[[machine.signal]]
role = "state"
node = "nsu=urn:linewright:interop:alarms;s=Saw.State"
states = {{ 1 = "running" }}

[machine.mirror]
include = ["Saw"]
"""
BASE = ["EventId", "EventType", "SourceNode", "SourceName", "Time", "ReceiveTime", "Message", "Severity"]
ALARM = ["BranchId", "Retain", "ConditionName", "Quality", "Comment", "ClientUserId", "EnabledState", "EnabledState/Id",
         "AckedState/Id", "ConfirmedState/Id", "ActiveState", "ActiveState/Id", "ActiveState/TransitionTime", "InputNode",
         "LimitState/CurrentState", "LimitState/CurrentState/Id", "HighLimit", "HighHighLimit", "LowLimit", "LastSeverity",
         "SuppressedOrShelved"]


class Viewer:
    """A raw event item at the Server object; keeps what arrives as dictionaries."""

    def __init__(self, own):
        limit = ua.NodeId(ua.ObjectIds.ExclusiveLimitAlarmType)
        clauses = [self.clause(ua.NodeId(ua.ObjectIds.BaseEventType), [(0, name)]) for name in BASE]
        clauses += [self.clause(limit, [(0, part) for part in name.split("/")]) for name in ALARM]
        broken = ua.NodeId(7001, own)
        clauses += [self.clause(broken, [(own, name)]) for name in ("Tool", "Wear")]
        clauses.append(ua.SimpleAttributeOperand(
            TypeDefinitionId=ua.NodeId(ua.ObjectIds.ConditionType), BrowsePath=[], AttributeId=ua.AttributeIds.NodeId))
        self.names, self.clauses = BASE + ALARM + ["Tool", "Wear", "ConditionId"], clauses
        self.events, self.arrived = [], asyncio.Event()

    @staticmethod
    def clause(of_type, path):
        names = [ua.QualifiedName(name, namespace) for namespace, name in path]
        return ua.SimpleAttributeOperand(TypeDefinitionId=of_type, BrowsePath=names, AttributeId=ua.AttributeIds.Value)

    def publish(self, result):
        for data in result.NotificationMessage.NotificationData or []:
            for event in getattr(data, "Events", None) or []:
                self.events.append(dict(zip(self.names, [field.Value for field in event.EventFields])))
                self.arrived.set()

    async def open(self, client, node=ua.NodeId(ua.ObjectIds.Server), where=None):
        created = await client.uaclient.create_subscription(ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=100, RequestedLifetimeCount=3000, RequestedMaxKeepAliveCount=100,
            PublishingEnabled=True), self.publish)
        wanted = ua.EventFilter(SelectClauses=self.clauses, WhereClause=where or ua.ContentFilter())
        item = ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.EventNotifier),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=ua.MonitoringParameters(ClientHandle=1, QueueSize=1000, Filter=wanted))
        items = await client.uaclient.create_monitored_items(ua.CreateMonitoredItemsParameters(
            SubscriptionId=created.SubscriptionId, TimestampsToReturn=ua.TimestampsToReturn.Both, ItemsToCreate=[item]))
        items[0].StatusCode.check()
        return created.SubscriptionId

    async def until(self, what, find, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            found = [event for event in self.events if find(event)]
            if found:
                return found[-1]
            if time.monotonic() > deadline:
                fail(f"no event: {what}; {len(self.events)} others came")
            self.arrived.clear()
            try:
                await asyncio.wait_for(self.arrived.wait(), 0.5)
            except asyncio.TimeoutError:
                pass


class Mapped:
    """Ids of the machine as those of the mirror."""

    def __init__(self, machine, theirs, ours):
        self.machine, self.theirs, self.ours = machine, theirs, ours

    def __call__(self, value):
        if isinstance(value, ua.NodeId) and value.NamespaceIndex:
            uri = source(self.machine, self.theirs[value.NamespaceIndex])
            return ua.NodeId(value.Identifier, self.ours.index(uri))
        return value


def is_same(there, here, mapped):
    """Whether two events are the same one, every field of it."""
    is_machine = there["SourceNode"] == ua.NodeId(ua.ObjectIds.Server)
    for name, value in there.items():
        other = here[name]
        if name in ("EventId", "ReceiveTime") or name == "SourceNode" and is_machine:
            continue
        if mapped(value) != other:
            return f"{name} is {value} at the machine and {other} here"
    return None


def compare(at_machine, here, mapped):
    """Every event of the machine is told here, in order, with all of its fields."""
    # Refreshes, changes of nodes, and who has done what there: that is audited here.
    skipped = (2787, 2788, 2789, 2132, 2133, 2738, 8927, 8944, 2127)
    theirs = [one for one in at_machine.events if one["EventType"].Identifier not in skipped]
    # The id of an event here ends with the one that the machine has given it.
    for event in theirs:
        found = [one for one in here.events if one["EventId"].endswith(event["EventId"])]
        if not found:
            fail(f"an event of the machine is not told: {event}")
        wrong = is_same(event, found[0], mapped)
        if wrong:
            fail(f"an event is told otherwise: {wrong}")
    order = [next(i for i, one in enumerate(here.events) if one["EventId"].endswith(event["EventId"])) for event in theirs]
    if order != sorted(order):
        fail("events are told in another order")
    return len(theirs)


def of_type(kind):
    return ua.ContentFilter(Elements=[ua.ContentFilterElement(
        FilterOperator=ua.FilterOperator.OfType, FilterOperands=[ua.LiteralOperand(Value=ua.Variant(kind))])])


async def refresh(client, viewer, subscription):
    """The conditions that are told to somebody who has just come."""
    viewer.events.clear()
    number = ua.Variant(subscription, ua.VariantType.UInt32)
    for _ in range(50):
        try:
            condition = client.get_node(ua.NodeId(ua.ObjectIds.ConditionType))
            await condition.call_method(ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh), number)
            break
        except ua.UaStatusCodeError as error:
            if error.code != STATUS.BadRefreshInProgress:
                raise
            await asyncio.sleep(0.1)
    await viewer.until("the end of the refresh", lambda event: event["EventType"].Identifier == 2788)
    kinds = [event["EventType"].Identifier for event in viewer.events]
    return viewer.events[kinds.index(2787) + 1:kinds.index(2788)]


async def alarms(programs, processes, ports, start_node):
    opcua, node, saw = ports
    url = f"opc.tcp://127.0.0.1:{opcua}"
    observer, operator, engineer = Client(url), Client(url), Client(url)
    machine = Client(f"opc.tcp://127.0.0.1:{node}")
    for client, name in ((operator, "operator"), (engineer, "engineer")):
        await secure(client, programs.directory)
        client.set_user(name)
    async with observer, operator, engineer:
        await ready(observer, "Oven", 10)
        await ready(observer, "Saw", 2)
        await machine.connect()
        theirs, ours = await machine.get_namespace_array(), await observer.get_namespace_array()
        own, here = theirs.index(OWN), ours.index(source("Oven", OWN))
        mapped = Mapped("Oven", theirs, ours)
        at_machine, viewer, at_oven, only, auditor = (Viewer(index) for index in (own, here, here, here, here))
        await at_machine.open(machine)
        subscription = await viewer.open(operator)
        await auditor.open(engineer)
        await at_oven.open(observer, ua.NodeId("Oven", here))
        await only.open(observer, where=of_type(ua.NodeId(7001, here)))
        temperature = machine.get_node(ua.NodeId("Oven.Temperature", own))
        hot = lambda value: temperature.write_value(ua.DataValue(ua.Variant(float(value), ua.VariantType.Double)))
        is_alarm = lambda event: event["ConditionId"] == ua.NodeId("Oven.TooHot", here)

        await hot(120)
        active = await viewer.until("it is too hot", lambda event: is_alarm(event) and event["ActiveState/Id"])
        if not (active["Retain"] and active["Quality"].is_good() and active["HighLimit"] == 100.0):
            fail(f"the alarm is told as {active}")
        if active["SourceNode"] != ua.NodeId("Oven.Temperature", here):
            fail(f"the source is {active['SourceNode']}")
        await at_oven.until("it is too hot, at the oven", lambda event: is_alarm(event) and event["ActiveState/Id"])

        # Who may respond, and to what.
        alarm = lambda client: client.get_node(ua.NodeId("Oven.TooHot", here))
        acknowledge = ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge)
        confirm = ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Confirm)
        words = lambda text: ua.LocalizedText(text)
        event_id = lambda event: ua.Variant(event["EventId"], ua.VariantType.ByteString)
        await refused(STATUS.BadUserAccessDenied,
                      alarm(observer).call_method(acknowledge, event_id(active), words("no")))
        for strange in (b"\xff" * 8, active["EventId"][:-1], b"\x03Saw" + active["EventId"][5:]):
            await refused(STATUS.BadEventIdUnknown, alarm(operator).call_method(
                acknowledge, ua.Variant(strange, ua.VariantType.ByteString), words("no")))
        await alarm(operator).call_method(acknowledge, event_id(active), words("seen"))
        acked = await viewer.until("it is acknowledged", lambda event: is_alarm(event) and event["AckedState/Id"])
        if acked["Comment"].Text != "seen":
            fail(f"the comment is {acked['Comment']}")
        await at_machine.until("the machine knows it", lambda event: event["AckedState/Id"] and event["Comment"].Text == "seen")
        audited = await auditor.until("it is audited", lambda event: event["EventType"].Identifier == 8944)
        if audited["SourceNode"] != ua.NodeId("Oven.TooHot", here):
            fail(f"the audit event is about {audited['SourceNode']}")

        # A type of events of the machine's own, with fields of its own, by its name and for those who want only it.
        await operator.get_node(ua.NodeId("Oven", here)).call_method(ua.NodeId("Oven.Break", here))
        broken = await only.until("a tool has broken", lambda event: True)
        told = (broken["EventType"], broken["Tool"], broken["Wear"], broken["Message"].Text, broken["Message"].Locale)
        if told != (ua.NodeId(7001, here), 12, 0.75, "Fräser <b>gebrochen</b>", "de"):
            fail(f"the tool has broken as {told}")
        name = await observer.get_node(ua.NodeId(7001, here)).read_browse_name()
        above = await observer.get_node(ua.NodeId(7001, here)).get_parent()
        if (name.Name, above.nodeid.Identifier) != ("ToolBrokenEventType", ua.ObjectIds.BaseEventType):
            fail(f"its type is {name} below {above}")
        await hot(250)
        await viewer.until("it is much too hot", lambda event: is_alarm(event) and event["LimitState/CurrentState"].Text == "HighHigh")
        await asyncio.sleep(0.5)
        count = compare(at_machine, viewer, mapped)
        if count < 4:
            fail(f"only {count} events were compared")

        # What a machine adds while it runs is there too.
        await machine.get_node(ua.NodeId("Oven", own)).call_method(ua.NodeId("Oven.Grow", own))
        grown = observer.get_node(ua.NodeId("Oven.Grown1", here))
        for _ in range(300):
            try:
                if await grown.read_value() == 1.0:
                    break
            except ua.UaStatusCodeError:
                await asyncio.sleep(0.1)
        else:
            fail("a node that came while the machine ran is not mirrored")

        # A machine that is silent, and one that has begun anew.
        retained = [event for event in await refresh(operator, viewer, subscription) if is_alarm(event)]
        if len(retained) != 1 or not retained[0]["Quality"].is_good():
            fail(f"a refresh tells {retained}")
        viewer.events.clear()
        processes["node"].send_signal(signal.SIGSTOP)
        lost = await viewer.until("nobody knows the alarm", lambda event: is_alarm(event) and event["Quality"].is_bad())
        if lost["Quality"].value != STATUS.BadNoCommunication or not lost["Retain"]:
            fail(f"it is told as {lost['Quality']}")
        retained = [event for event in await refresh(operator, viewer, subscription) if is_alarm(event)]
        if len(retained) != 1 or retained[0]["Quality"].value != STATUS.BadNoCommunication:
            fail(f"a refresh meanwhile tells {retained}")
        await refused(STATUS.BadNoCommunication,
                      alarm(operator).call_method(confirm, event_id(acked), words("who hears it?")))
        viewer.events.clear()
        processes["node"].send_signal(signal.SIGCONT)
        await viewer.until("it is known again", lambda event: is_alarm(event) and event["Quality"].is_good())
        await machine.disconnect()
        programs.end(("node",))
        start_node()
        over = await viewer.until("the alarm is over", lambda event: is_alarm(event) and event["Retain"] is False, 60)
        await viewer.until("events may be missing", lambda event: event["EventType"].Identifier == 3035)
        if [event for event in await refresh(operator, viewer, subscription) if is_alarm(event)]:
            fail(f"the alarm is told still, after {over}")
        await simple(observer, saw)
    return count


async def simple(here, port):
    """A machine without conditions tells plain events."""
    async with Client(f"opc.tcp://127.0.0.1:{port}") as saw:
        theirs, ours = await saw.get_namespace_array(), await here.get_namespace_array()
        index = ours.index(source("Saw", OWN))
        viewer = Viewer(index)
        await viewer.open(here)
        at = saw.get_node(ua.NodeId("Saw", theirs.index(OWN)))
        await at.call_method(ua.NodeId("Saw.Jam", theirs.index(OWN)))
        jam = await viewer.until("the saw has jammed", lambda event: event["Message"].Text == "jammed")
        if jam["SourceNode"] != ua.NodeId("Saw", index) or jam["Severity"] != 333:
            fail(f"it has jammed as {jam}")


def run(binary, directory, programs):
    node, saw, opcua, http = free_ports(4)

    def start_node():
        command = ["node", str(HERE / "alarms_node_opcua.js"), str(node), str(directory / "pki")]
        started = programs.start("node", *command)
        wait_until("the start of the machine", 60, lambda: programs.said("node", "ready"))
        return started

    processes = {"node": start_node()}
    programs.start("saw", sys.executable, str(HERE / "alarms_asyncua.py"), str(saw))
    wait_until("the start of the saw", 60, lambda: programs.said("saw", "ready"))
    hashed = subprocess.run([binary, "hash-password"], input="erp-demo-password", capture_output=True,
                            text=True, check=True).stdout.strip()
    text = PLANT.format(directory=directory, opcua=opcua, http=http, hash=hashed)
    open_to_all = f'listen = "127.0.0.1:{opcua}"\nopen_endpoint = true\nanonymous_read = true\ntrust_all_clients = true'
    text = text.replace(f'listen = "127.0.0.1:{opcua}"', open_to_all)
    text = text.replace('default_product', 'bottleneck = "Oven"\ndefault_product')
    config = directory / "plant.toml"
    config.write_text(text + MACHINES.format(node=node, asyncua=saw, hash=hashed))
    programs.start("linewright", binary, "serve", "--config", str(config))
    bridge = Bridge(http)
    wait_until("readiness", 60, lambda: bridge.call("GET", "/readyz")["status"] == "ready")
    count = asyncio.run(alarms(programs, processes, (opcua, node, saw), start_node))
    print(f"alarms: {count} events of a machine are the same here, each with all of its fields")


def main():
    began = time.monotonic()
    run_with_programs(run)
    print(f"alarms: what happens at machines is told as it is ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()

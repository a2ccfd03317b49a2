"""asyncua as a viewer of events and alarms: receives events of every kind that it can bring about, with
filters, refreshes conditions, acknowledges and confirms one, shelves, and reads the event history.

Usage: notices_asyncua.py SECURE_URL USER PASSWORD CERTIFICATE_DIRECTORY LINE PRODUCT MACHINE REASON
MACHINE stops now and then for longer than its stops may be without a reason. Ends with status 1 and a
sentence at the first thing that is not as it should be.
"""

import asyncio
import datetime
import sys

from asyncua import ua
from asyncua.ua.uaerrors import UaStatusCodeError

from logon_asyncua import client_of

TYPES = "urn:linewright:ua:mes"
JOBS = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/"
CONDITION = ua.NodeId(ua.ObjectIds.ConditionType)
BASE = ua.NodeId(ua.ObjectIds.BaseEventType)
FIELDS = ["EventId", "EventType", "SourceNode", "SourceName", "Time", "Message", "Severity"]
STATES = ["BranchId", "Retain", "ActiveState/Id", "AckedState/Id", "ConfirmedState/Id", "Comment",
          "EnabledState/Id", "ShelvingState/CurrentState", "SuppressedOrShelved", "ConditionName",
          "ClientUserId", "InputNode"]


def expect(condition, text):
    if not condition:
        sys.exit(f"asyncua notices: {text}")


def clause(of_type, path, namespace=0):
    names = [ua.QualifiedName(name, namespace) for name in path.split("/")]
    return ua.SimpleAttributeOperand(TypeDefinitionId=of_type, BrowsePath=names,
                                     AttributeId=ua.AttributeIds.Value)


class Viewer:
    """A raw event item; keeps what arrives as dictionaries."""

    def __init__(self):
        self.names, self.events, self.arrived = [], [], asyncio.Event()

    def wanted(self, client_types, extra, where=None):
        clauses = [clause(BASE, name) for name in FIELDS]
        self.names = list(FIELDS)
        alarm = client_types["UnexplainedStopAlarmType"]
        for name in STATES:
            clauses.append(clause(alarm, name))
            self.names.append(name)
        condition_id = ua.SimpleAttributeOperand(TypeDefinitionId=CONDITION, BrowsePath=[],
                                                 AttributeId=ua.AttributeIds.NodeId)
        clauses.append(condition_id)
        self.names.append("ConditionId")
        for of_type, name, namespace in extra:
            clauses.append(clause(of_type, name, namespace))
            self.names.append(name)
        return ua.EventFilter(SelectClauses=clauses, WhereClause=where or ua.ContentFilter())

    def publish(self, result):
        for data in result.NotificationMessage.NotificationData or []:
            for event in getattr(data, "Events", None) or []:
                values = [field.Value for field in event.EventFields]
                self.events.append(dict(zip(self.names, values)))
                self.arrived.set()

    async def until(self, what, find, seconds=30):
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            found = [event for event in self.events if find(event)]
            if found:
                return found[-1]
            left = deadline - asyncio.get_running_loop().time()
            expect(left > 0, f"no event: {what}; {len(self.events)} others came")
            self.arrived.clear()
            try:
                await asyncio.wait_for(self.arrived.wait(), left)
            except asyncio.TimeoutError:
                pass


async def open_items(client, viewer, node, filter):
    parameters = ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=100, RequestedLifetimeCount=3000,
        RequestedMaxKeepAliveCount=100, PublishingEnabled=True)
    created = await client.uaclient.create_subscription(parameters, viewer.publish)
    asked = ua.MonitoredItemCreateRequest(
        ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.EventNotifier),
        MonitoringMode=ua.MonitoringMode.Reporting,
        RequestedParameters=ua.MonitoringParameters(ClientHandle=1, QueueSize=1000, Filter=filter))
    items = await client.uaclient.create_monitored_items(ua.CreateMonitoredItemsParameters(
        SubscriptionId=created.SubscriptionId, TimestampsToReturn=ua.TimestampsToReturn.Both,
        ItemsToCreate=[asked]))
    items[0].StatusCode.check()
    return created.SubscriptionId, items[0].MonitoredItemId


async def call(client, on, method, *arguments):
    return await client.get_node(on).call_method(method, *arguments)


async def refused(what, wanted, awaitable):
    try:
        await awaitable
    except UaStatusCodeError as error:
        expect(error.code == wanted, f"{what}: {error} instead of {wanted:#x}")
        return
    expect(False, f"{what} is not refused")


async def names_of_types(client, own):
    """Object types of ours by name."""
    found, queue = {}, [client.get_node(BASE)]
    while queue:
        node = queue.pop()
        for child in await node.get_children(refs=ua.ObjectIds.HasSubtype):
            queue.append(child)
            if child.nodeid.NamespaceIndex == own:
                found[(await child.read_browse_name()).Name] = child.nodeid
    return found


async def orders(client, viewer, types, spaces, line, product):
    """A job order tells of each of its states, with the structures of job control."""
    number = f"N-{datetime.datetime.now():%H%M%S%f}"
    on = ua.NodeId("mes/Orders", spaces["plant"])
    own = spaces["own"]

    async def order(name, *arguments):
        code, text = await call(client, on, f"{own}:{name}", *arguments)
        expect(code == "ok", f"{name}: {code} {text}")

    text = ua.VariantType.String
    await order("StoreOrder", number, ua.Variant(1, ua.VariantType.UInt64), line, product,
                ua.Variant("10", text))
    is_order = lambda event: event["OrderId"] == number
    event = await viewer.until("an order is stored", is_order)
    expect(event["EventType"] == types["JobOrderStatusEventType"], f"its type is {event['EventType']}")
    expect(event["SourceNode"].Identifier.endswith("JobOrderResults"), f"from {event['SourceNode']}")
    expect(event["JobOrder"].JobOrderID == number, f"its order is {event['JobOrder']}")
    expect(event["JobState"][0].StateNumber == 2, f"its state is {event['JobState']}")
    expect(event["JobResponse"].JobOrderID == number, f"its response is {event['JobResponse']}")
    await order("AbortOrder", number)
    gone = await viewer.until("it is aborted", lambda e: is_order(e) and e["Command"] == "abort")
    expect(gone["JobState"][0].StateNumber == 6, f"its state is {gone['JobState']}")
    return number


async def conditions(client, viewer, subscription, item, types, spaces, machine, reason):
    """A stop that nobody has explained: refreshed, acknowledged, commented, confirmed, shelved."""
    alarm = ua.NodeId(f"machine/{machine}/UnexplainedStop", spaces["plant"])
    refresh = ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh)
    identity = ua.Variant(subscription, ua.VariantType.UInt32)
    of_alarm = lambda e: e["ConditionId"] == alarm
    open_stop = lambda e: of_alarm(e) and e["ConfirmedState/Id"] is False and e["Retain"]
    await viewer.until("a stop to explain", open_stop, 60)
    viewer.events.clear()
    await call(client, CONDITION, refresh, identity)
    await refused("a second refresh at once", ua.StatusCodes.BadRefreshInProgress,
                  call(client, CONDITION, refresh, identity))
    await viewer.until("the end of the refresh", lambda e: e["EventType"].Identifier == 2788)
    kinds = [event["EventType"].Identifier for event in viewer.events]
    refreshed = viewer.events[kinds.index(2787) + 1:kinds.index(2788)]
    expect(any(open_stop(event) for event in refreshed), "the refresh tells of no stop to explain")
    event = next(event for event in refreshed if open_stop(event))
    branch = event["BranchId"]
    expect(event["EventType"] == types["UnexplainedStopAlarmType"], f"its type is {event['EventType']}")
    expect(event["InputNode"].Identifier == f"machine/{machine}/State", f"input {event['InputNode']}")

    def of_branch(e):
        # What was the newest becomes a branch when the next stop comes.
        return of_alarm(e) and (e["BranchId"] == branch or branch.is_null())

    text = lambda words: ua.LocalizedText(words)
    await refused("an unknown event", ua.StatusCodes.BadEventIdUnknown, call(
        client, alarm, ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge),
        b"\xff" * 8, text("")))
    await call(client, alarm, ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge),
               event["EventId"], text("seen"))
    seen = await viewer.until("it is acknowledged",
                              lambda e: of_branch(e) and e["Comment"] and e["Comment"].Text == "seen")
    expect(seen["AckedState/Id"] is True and seen["ConfirmedState/Id"] is False, f"after it: {seen}")
    expect(seen["ClientUserId"] == "supervisor", f"by {seen['ClientUserId']}")
    await refused("a second acknowledgement", ua.StatusCodes.BadConditionBranchAlreadyAcked, call(
        client, alarm, ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge),
        seen["EventId"], text("")))
    confirm = ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Confirm)
    await refused("a confirmation without a reason", ua.StatusCodes.BadInvalidArgument, call(
        client, alarm, confirm, seen["EventId"], text("no idea")))
    await call(client, alarm, confirm, seen["EventId"], text(f"{reason}: belt slipped"))
    done = await viewer.until(
        "it is confirmed",
        lambda e: of_branch(e) and e["ConfirmedState/Id"] and e["Comment"].Text == "belt slipped")
    expect(done["Retain"] is False, "it is still retained")
    classified = await viewer.until(
        "the stop has its reason", lambda e: e["EventType"] == types["StopClassifiedEventType"]
        and e["SourceName"] == machine and e["Comment2"] == "belt slipped")
    expect(classified["Reason"] == reason, f"the reason is {classified['Reason']}")

    shelving = ua.NodeId(f"machine/{machine}/UnexplainedStop/ShelvingState", spaces["plant"])
    await refused("to shelve for no time", ua.StatusCodes.BadShelvingTimeOutOfRange,
                  call(client, shelving, "0:TimedShelve", ua.Variant(0.0, ua.VariantType.Double)))
    await call(client, shelving, "0:TimedShelve", ua.Variant(60000.0, ua.VariantType.Double))
    await viewer.until("it is shelved", lambda e: of_alarm(e) and e["SuppressedOrShelved"]
                       and e["ShelvingState/CurrentState"].Text == "Timed Shelved")
    await call(client, shelving, "0:Unshelve")
    await refused("to unshelve again", ua.StatusCodes.BadConditionNotShelved,
                  call(client, shelving, "0:Unshelve"))
    disable, enable = (ua.NodeId(ua.ObjectIds.ConditionType_Disable),
                       ua.NodeId(ua.ObjectIds.ConditionType_Enable))
    await call(client, alarm, disable)
    await refused("to disable again", ua.StatusCodes.BadConditionAlreadyDisabled,
                  call(client, alarm, disable))
    await call(client, alarm, enable)
    active = await client.get_node(alarm).get_child(["0:EnabledState", "0:Id"])
    expect(await active.read_value() is True, "it is not enabled")

    # Another refresh, for one item only.
    viewer.events.clear()
    refresh = ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh2)
    number = lambda value: ua.Variant(value, ua.VariantType.UInt32)
    await refused("a refresh of an item that is not there", ua.StatusCodes.BadMonitoredItemIdInvalid,
                  call(client, CONDITION, refresh, identity, number(4_000_000)))
    # Refreshes of one subscription are a second apart at least.
    for _ in range(30):
        try:
            await call(client, CONDITION, refresh, identity, number(item))
            break
        except UaStatusCodeError as error:
            expect(error.code == ua.StatusCodes.BadRefreshInProgress, f"the second refresh: {error}")
            await asyncio.sleep(0.1)
    await viewer.until("the end of the second refresh", lambda e: e["EventType"].Identifier == 2788)
    kinds = [event["EventType"].Identifier for event in viewer.events]
    refreshed = viewer.events[kinds.index(2787) + 1:kinds.index(2788)]
    expect(all(event["Retain"] for event in refreshed if event["ConditionId"]),
           "conditions that nobody has to look at are refreshed")


async def filtered(client, viewer, types, machine, plant):
    """A filter at one machine wants the ends of stops only."""
    where = of_type(types["StopEndedEventType"])
    extra = [(types["StopEventType"], "StopStart", types["StopEventType"].NamespaceIndex)]
    await open_items(client, viewer, ua.NodeId(f"machine/{machine}", plant),
                     viewer.wanted(types, extra, where))
    event = await viewer.until("the end of a stop", lambda e: True)
    expect(event["EventType"] == types["StopEndedEventType"], f"there came {event}")
    expect(event["StopStart"] < event["Time"], f"it begins at {event['StopStart']}")


async def history(client, viewer, types, spaces, line, number):
    """The events of an order are kept at the server and its line, forwards and backwards, in pages."""
    extra = [(types["JobOrderStatusEventType"], "OrderId", spaces["own"])]
    wanted = viewer.wanted(types, extra)
    wanted.WhereClause = of_type(types["JobOrderStatusEventType"])
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)

    async def read(node, start, end, limit=0):
        details = ua.ReadEventDetails(NumValuesPerNode=limit, StartTime=start, EndTime=end,
                                      Filter=wanted)
        point, told = None, []
        while True:
            asked = ua.HistoryReadParameters(
                HistoryReadDetails=details, TimestampsToReturn=ua.TimestampsToReturn.Both,
                ReleaseContinuationPoints=False,
                NodesToRead=[ua.HistoryReadValueId(NodeId=node, ContinuationPoint=point)])
            result = (await client.uaclient.history_read(asked))[0]
            result.StatusCode.check()
            for event in result.HistoryData.Events:
                values = [field.Value for field in event.EventFields]
                told.append(dict(zip(viewer.names, values)))
            point = result.ContinuationPoint
            if not point:
                return told

    for node in (ua.NodeId(ua.ObjectIds.Server), ua.NodeId(f"line/{line}", spaces["plant"])):
        forward = [e for e in await read(node, now - hour, now + hour) if e["OrderId"] == number]
        states = [event["Message"].Text for event in forward]
        expect(len(forward) == 2 and "Aborted" in states[1], f"{node}: {states}")
        backward = [e for e in await read(node, now + hour, now - hour) if e["OrderId"] == number]
        expect([e["EventId"] for e in backward] == [e["EventId"] for e in forward][::-1],
               f"{node}: backwards it is not the same")
        live = [e for e in viewer_events if e.get("OrderId") == number]
        expect([e["EventId"] for e in live] == [e["EventId"] for e in forward],
               "events have another id in history")
    notifier = await client.get_node(ua.ObjectIds.Server).read_attribute(ua.AttributeIds.EventNotifier)
    expect(notifier.Value.Value == 5, f"the notifier of the server says {notifier.Value.Value}")


def of_type(kind):
    return ua.ContentFilter(Elements=[ua.ContentFilterElement(
        FilterOperator=ua.FilterOperator.OfType,
        FilterOperands=[ua.LiteralOperand(Value=ua.Variant(kind))])])


viewer_events = []


async def main(url, user, password, folder, line, product, machine, reason):
    async with await client_of(url, folder, user, password) as client:
        namespaces = await client.get_namespace_array()
        plant = next(n for n, uri in enumerate(namespaces) if ":ua:plant:" in uri)
        spaces = {"plant": plant, "own": namespaces.index(TYPES), "jobs": namespaces.index(JOBS)}
        await client.load_data_type_definitions()
        types = await names_of_types(client, spaces["own"])
        expect(len(types) >= 18, f"only {len(types)} types of events: {sorted(types)}")
        viewer = Viewer()
        order = types["JobOrderStatusEventType"]
        status = ua.NodeId(1006, spaces["jobs"])
        extra = [(order, name, spaces["own"]) for name in ("OrderId", "Command", "GoodCount")]
        extra += [(status, name, spaces["jobs"]) for name in ("JobOrder", "JobState", "JobResponse")]
        extra += [(types["StopEventType"], "Reason", spaces["own"])]
        filter = viewer.wanted(types, extra)
        filter.SelectClauses.append(clause(types["StopEventType"], "Comment", spaces["own"]))
        viewer.names.append("Comment2")
        subscription, item = await open_items(client, viewer, ua.NodeId(ua.ObjectIds.Server), filter)
        at_line = Viewer()
        await open_items(client, at_line, ua.NodeId(f"line/{line}", plant),
                         at_line.wanted(types, [(order, "OrderId", spaces["own"])]))
        number = await orders(client, viewer, types, spaces, line, product)
        await at_line.until("an order at its line", lambda e: e["OrderId"] == number)
        viewer_events.extend(viewer.events)
        await filtered(client, Viewer(), types, machine, plant)
        for kind in ("StateChangeEventType", "StopStartedEventType", "StopEndedEventType"):
            await viewer.until(kind, lambda e: e["EventType"] == types[kind], 30)
        await history(client, Viewer(), types, spaces, line, number)
        engineer = await client_of(url, folder)
        async with engineer:
            audited = Viewer()
            comment = (ua.NodeId(ua.ObjectIds.AuditConditionAcknowledgeEventType), "Comment", 0)
            filter = ua.EventFilter(
                SelectClauses=[clause(BASE, "EventType"), clause(BASE, "SourceNode"), clause(*comment)],
                WhereClause=of_type(ua.NodeId(ua.ObjectIds.AuditConditionEventType)))
            audited.names = ["EventType", "SourceNode", "Comment"]
            await open_items(engineer, audited, ua.NodeId(ua.ObjectIds.Server), filter)
            await conditions(client, viewer, subscription, item, types, spaces, machine, reason)
            said = await audited.until("the audit of an acknowledgement", lambda e: e["Comment"]
                                       and e["Comment"].Text == "seen")
            expect(said["SourceNode"].Identifier == f"machine/{machine}/UnexplainedStop", f"{said}")
            for kind in (ua.ObjectIds.AuditConditionConfirmEventType,
                         ua.ObjectIds.AuditConditionShelvingEventType,
                         ua.ObjectIds.AuditConditionEnableEventType):
                await audited.until(f"an audit {kind}", lambda e: e["EventType"].Identifier == kind)
    print("asyncua notices: all as it should be")


asyncio.run(main(*sys.argv[1:]))

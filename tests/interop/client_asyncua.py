"""asyncua as a client of the running binary: browse, read, subscribe, read history, call a method.

Usage: client_asyncua.py OPEN_URL SECURE_URL USER PASSWORD CERTIFICATE_DIRECTORY ORDER
Ends with status 1 and a sentence at the first thing that is not as it should be.
"""

import asyncio
import datetime
import socket
import sys
from pathlib import Path

from asyncua import Client, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography.x509.oid import ExtendedKeyUsageOID

TYPES = "urn:linewright:ua:mes"


def expect(condition, text):
    if not condition:
        sys.exit(f"asyncua client: {text}")


class Collector:
    def __init__(self):
        self.values = []
        self.arrived = asyncio.Event()

    def datachange_notification(self, node, value, data):
        self.values.append((node, data.monitored_item.Value))
        self.arrived.set()


async def walk(client, roots, index):
    """All that stands below these nodes in this namespace, many nodes with one request."""
    found, queue = set(roots), list(roots)
    while queue:
        batch, queue = queue[:50], queue[50:]
        results = await client.uaclient.browse(ua.BrowseParameters(NodesToBrowse=[
            ua.BrowseDescription(NodeId=node, BrowseDirection=ua.BrowseDirection.Forward,
                                 ReferenceTypeId=ua.NodeId(ua.ObjectIds.HierarchicalReferences),
                                 IncludeSubtypes=True, NodeClassMask=0, ResultMask=0)
            for node in batch]))
        asked = batch
        while results:
            for node, result in zip(asked, results):
                expect(result.StatusCode.is_good(), f"browsing {node} is {result.StatusCode.name}")
                below = {reference.NodeId for reference in result.References or []
                         if reference.NodeId.NamespaceIndex == index} - found
                found |= below
                queue.extend(below)
            more = [(node, result.ContinuationPoint) for node, result in zip(asked, results)
                    if result.ContinuationPoint]
            asked, points = [node for node, _ in more], [point for _, point in more]
            results = points and await client.uaclient.browse_next(
                ua.BrowseNextParameters(ReleaseContinuationPoints=False, ContinuationPoints=points))
    return found


async def browse(client):
    """Walks the whole site; every node has a description and a type."""
    namespaces = await client.get_namespace_array()
    expect(TYPES in namespaces, f"no namespace {TYPES} in {namespaces}")
    plant = next((uri for uri in namespaces if uri.startswith("urn:linewright:ua:plant:")), None)
    expect(plant, "no plant namespace")
    index = namespaces.index(plant)
    roots = [n for n in await client.nodes.objects.get_children() if n.nodeid.NamespaceIndex == index]
    names = sorted([(await n.read_browse_name()).Name for n in roots])
    expect(names == ["Acme", "MES"], f"below Objects there are {names}")
    company = client.get_node(ua.NodeId("enterprise/Acme", index))
    own = namespaces.index(TYPES)
    level = await (await company.get_child(f"{own}:EquipmentLevel")).read_value()
    key = await (await company.get_child(f"{own}:EquipmentId")).read_value()
    below = [n.nodeid.Identifier for n in await company.get_children(refs=ua.ObjectIds.Organizes)]
    expect((level, key, below) == (0, "Acme", ["site/Demo"]), f"the company is {level} {key}: {below}")
    site = client.get_node(ua.NodeId("site/Demo", index))
    for window in ("Oee", "GoodCount"):
        values = [(await (await n.get_child([f"{own}:KPI", f"{own}:LastHour", f"{own}:{window}"]))
                   .read_data_value(raise_on_bad_status=False)).Value.Value for n in (company, site)]
        expect(values[0] is not None and values[1] is not None, f"{window} of company and site: {values}")
    found = await walk(client, [root.nodeid for root in roots], index)
    expect(len(found) > 200, f"only {len(found)} nodes found")
    line = client.get_node(ua.NodeId("line/L1", index))
    definition = await line.read_type_definition()
    name = await client.get_node(definition).read_browse_name()
    expect(name.Name == "LineType", f"line L1 is a {name.Name}")
    description = await line.read_attribute(ua.AttributeIds.Description)
    expect(description.Value.Value.Text, "line L1 has no description")
    path = await line.get_child([f"{own}:KPI", f"{own}:ThisShift", f"{own}:Oee"])
    expect(path.nodeid.Identifier == "line/L1/KPI/ThisShift/Oee", f"browse path leads to {path}")
    return index, len(found)


async def read_types(client):
    """The enumeration of machine states can be read by its names."""
    namespace = await client.get_namespace_index(TYPES)
    names = await client.get_node(ua.NodeId(3101, namespace)).read_value()
    expect(names[0].Text == "Running", f"EnumStrings are {names}")


async def find_machines(client):
    """Machines that say who they are stand in the folder of OPC 40001-1, with state and mode."""
    machinery = await client.get_namespace_index("http://opcfoundation.org/UA/Machinery/")
    di = await client.get_namespace_index("http://opcfoundation.org/UA/DI/")
    machines = await client.get_node(ua.NodeId(1001, machinery)).get_children()
    expect(len(machines) >= 5, f"only {len(machines)} machines are in the folder of machines")
    for machine in machines:
        blocks = await machine.get_child(f"{machinery}:MachineryBuildingBlocks")
        identification = await blocks.get_child(f"{di}:Identification")
        uri = await (await identification.get_child(f"{di}:ProductInstanceUri")).read_value()
        maker = await (await identification.get_child(f"{di}:Manufacturer")).read_value()
        expect(uri.startswith("urn:") and maker.Text, f"{machine} is {uri} of {maker}")
        state = await blocks.get_child([f"{machinery}:MachineryItemState", "0:CurrentState"])
        name = (await state.read_value()).Text
        node = await (await state.get_child("0:Id")).read_value()
        shown = await client.get_node(node).read_browse_name()
        expect(name == shown.Name and name in ("Executing", "NotExecuting"), f"{machine} is {name}, {shown}")
        mode = await blocks.get_child([f"{machinery}:MachineryOperationMode", "0:CurrentState", "0:Number"])
        expect(await mode.read_value() in (2, 3), f"{machine} has the mode {await mode.read_value()}")


async def read_values(client, index):
    state = await client.get_node(ua.NodeId("machine/L1-Filler/State", index)).read_data_value()
    expect(state.StatusCode.is_good(), f"state is {state.StatusCode}")
    expect(0 <= state.Value.Value <= 5, f"state is {state.Value.Value}")
    expect(state.SourceTimestamp is not None, "state has no source timestamp")
    oee = client.get_node(ua.NodeId("line/L1/KPI/ThisShift/Oee", index))
    unit = await (await oee.get_child("0:EngineeringUnits")).read_value()
    expect(unit.UnitId == 4404786, f"unit of OEE is {unit}")
    value = await oee.read_data_value(raise_on_bad_status=False)
    expect(not value.StatusCode.is_bad(), f"OEE is {value.StatusCode}")
    # The simulation runs at four times the speed of the configured ideal cycles.
    expect(0.0 < value.Value.Value < 5.0, f"OEE is {value.Value.Value}")
    try:
        await oee.write_value(1.0)
        expect(False, "OEE could be written")
    except ua.UaStatusCodeError as error:
        expect(error.code in (ua.StatusCodes.BadNotWritable, ua.StatusCodes.BadUserAccessDenied),
               f"writing OEE gives {error}")


async def subscribe(client, index):
    """Counts arrive with their source timestamps, and the running figures move."""
    collector = Collector()
    subscription = await client.create_subscription(100, collector)
    nodes = [client.get_node(ua.NodeId(path, index)) for path in
             ("machine/L1-Filler/Counters/Good", "line/L1/KPI/ThisShift/TotalCount", "line/L1/KPI/ThisShift/RunTime")]
    await subscription.subscribe_data_change(nodes)
    deadline = asyncio.get_running_loop().time() + 20
    while asyncio.get_running_loop().time() < deadline:
        counts = {node.nodeid.Identifier: set() for node in nodes}
        for node, value in collector.values:
            counts[node.nodeid.Identifier].add(value.Value.Value)
        if all(len(seen) >= 3 for seen in counts.values()):
            break
        collector.arrived.clear()
        await asyncio.wait_for(collector.arrived.wait(), 20)
    expect(all(len(seen) >= 3 for seen in counts.values()), f"too few changes: {counts}")
    times = [value.SourceTimestamp for node, value in collector.values if node == nodes[0]]
    expect(times == sorted(times), "source timestamps of the counter run backwards")
    await subscription.delete()
    return len(collector.values)


async def read_history(client, index):
    """Raw history of a counter, in pages, forward and backward, without gaps or doubles."""
    good = client.get_node(ua.NodeId("machine/L1-Filler/Counters/Good", index))
    expect(await good.read_attribute(ua.AttributeIds.Historizing), "the counter is not historizing")
    # What is younger may still be on its way from the machine.
    end = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=2)
    start = end - datetime.timedelta(hours=1)
    forward = await good.read_raw_history(start, end)
    expect(len(forward) > 3, f"only {len(forward)} stored values")
    stamps = [value.SourceTimestamp for value in forward]
    expect(stamps == sorted(stamps), "history is not in order")
    backward = await good.read_raw_history(end, start)
    expect([v.SourceTimestamp for v in backward] == stamps[::-1], "backward is not the reverse")
    few = await good.read_raw_history(start, end, 2)
    expect([v.SourceTimestamp for v in few] == stamps[:2], "the number of values is not respected")
    paged = await read_in_pages(good, start, end, 3)
    expect([v.SourceTimestamp for v in paged] == stamps, "pages of three are not the whole")
    state = await client.get_node(ua.NodeId("machine/L1-Filler/State", index)).read_raw_history(start, end)
    expect(len(state) >= 1, "no stored states")
    return len(forward)


async def read_in_pages(node, start, end, size):
    """Follows the continuation points to the end."""
    details = ua.ReadRawModifiedDetails()
    details.IsReadModified = False
    details.StartTime, details.EndTime = start, end
    details.NumValuesPerNode, details.ReturnBounds = size, True
    values, point = [], None
    while True:
        page = await node.history_read(details, point)
        page.StatusCode.check()
        expect(len(page.HistoryData.DataValues) <= size, "a page is larger than asked for")
        values.extend(page.HistoryData.DataValues)
        point = page.ContinuationPoint
        if point is None:
            return values


async def secure_client(url, user, password, directory):
    """A client with a certificate of its own, over an encrypted channel."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    key, certificate = directory / "asyncua.pem", directory / "asyncua.der"
    uri = "urn:linewright:interop:asyncua"
    await setup_self_signed_certificate(
        key, certificate, uri, socket.gethostname(),
        [ExtendedKeyUsageOID.CLIENT_AUTH], {"commonName": "asyncua interop"})
    client = Client(url)
    client.application_uri = uri
    client.set_user(user)
    client.set_password(password)
    await client.set_security(
        SecurityPolicyBasic256Sha256, certificate=str(certificate), private_key=str(key),
        mode=ua.MessageSecurityMode.SignAndEncrypt)
    return client


async def call(url, user, password, directory, order):
    """Methods: refused to a reader, described, typed, and a refusal says why."""
    client = await secure_client(url, user, password, directory)
    async with client:
        index = await client.get_namespace_index("urn:linewright:ua:plant:Demo")
        orders = client.get_node(ua.NodeId("mes/Orders", index))
        start = client.get_node(ua.NodeId("mes/Orders/PauseOrder", index))
        inputs = await (await start.get_child("0:InputArguments")).read_value()
        expect(inputs[0].Name == "OrderId" and inputs[0].Description.Text, f"arguments are {inputs}")
        result = await orders.call_method(start, order)
        expect(result[0] == "ok", f"PauseOrder gives {result}")
        result = await orders.call_method(client.get_node(ua.NodeId("mes/Orders/ResumeOrder", index)), order)
        expect(result[0] == "ok", f"ResumeOrder gives {result}")
        report = client.get_node(ua.NodeId("mes/Orders/ReportProduction", index))
        arguments = [order, ua.Variant(0, ua.VariantType.UInt32),
                     ua.Variant(1, ua.VariantType.UInt32), "jam", ""]
        result = await orders.call_method(report, *arguments)
        expect(result[0] == "ok", f"ReportProduction gives {result}")
        refused = await client.uaclient.call([ua.CallMethodRequest(
            orders.nodeid, start.nodeid, [ua.Variant("nobody-knows-me")])])
        refusal = refused[0]
        expect(refusal.StatusCode.value == ua.StatusCodes.Uncertain, f"refused with {refusal.StatusCode}")
        expect(refusal.OutputArguments[0].Value == "mes.order.unknown", f"{refusal.OutputArguments}")
        for wrong, status in [([], ua.StatusCodes.BadArgumentsMissing),
                              ([1, 2], ua.StatusCodes.BadTooManyArguments),
                              ([5], ua.StatusCodes.BadInvalidArgument)]:
            variants = [ua.Variant(value) for value in wrong]
            answer = await client.uaclient.call(
                [ua.CallMethodRequest(orders.nodeid, start.nodeid, variants)])
            expect(answer[0].StatusCode.value == status, f"{wrong} gives {answer[0].StatusCode}")
        node = client.get_node(ua.NodeId(f"order/{order}/GoodCount", index))
        expect(isinstance(await node.read_value(), int), "the order's good count cannot be read")
    wrong = await secure_client(url, user, "not the password", directory)
    try:
        await wrong.connect()
        expect(False, "a wrong password was accepted")
    except ua.UaStatusCodeError:
        pass


async def main(open_url, secure_url, user, password, directory, order):
    async with Client(open_url) as client:
        index, nodes = await browse(client)
        await read_types(client)
        await find_machines(client)
        await read_values(client, index)
        changes = await subscribe(client, index)
        stored = await read_history(client, index)
        pause = client.get_node(ua.NodeId("mes/Orders/PauseOrder", index))
        try:
            await client.get_node(ua.NodeId("mes/Orders", index)).call_method(pause, order)
            expect(False, "an anonymous client could pause an order")
        except ua.UaStatusCodeError as error:
            expect(error.code == ua.StatusCodes.BadUserAccessDenied, f"anonymous call gives {error}")
    await call(secure_url, user, password, directory, order)
    print(f"asyncua client: {nodes} nodes, {changes} changes, {stored} stored values, methods ok")


asyncio.run(main(*sys.argv[1:]))

"""asyncua as a panel: calls every method with plain arguments that the plant has, looks at what has come of
it, decodes our structures, and adds up what is behind figures.

Usage: plant_asyncua.py SECURE_URL USER PASSWORD CERTIFICATE_DIRECTORY LINE PRODUCT MACHINE REASON EXACT
Nothing else may run on LINE; MACHINE stops now and then, and the times of EXACT are no finer than Python has
them. Ends with status 1 and a sentence at the first thing that is not as it should be.
"""

import asyncio
import datetime
import logging
import sys

from asyncua import ua

from logon_asyncua import client_of

FIGURES = ["Oee", "Availability", "Performance", "Quality", "Teep", "Ooe", "Nee", "Coverage"]
MILLISECOND = datetime.timedelta(milliseconds=1)


def expect(condition, text):
    if not condition:
        sys.exit(f"asyncua plant: {text}")


async def until(what, look, seconds=60):
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = await look()
        if found:
            return found
        expect(asyncio.get_running_loop().time() < deadline, f"{what} did not happen within {seconds} s")
        await asyncio.sleep(0.1)


class Plant:
    def __init__(self, client, plant, own):
        self.client, self.plant, self.own = client, plant, own
        self.called = set()

    def node(self, path):
        return self.client.get_node(ua.NodeId(path, self.plant))

    async def value(self, path):
        return (await self.node(path).read_data_value(raise_on_bad_status=False)).Value.Value

    async def call(self, on, name, *arguments):
        """Status and outputs of a method; a refused one is uncertain and has its outputs all the same."""
        self.called.add(name)
        request = ua.CallMethodRequest(
            ObjectId=ua.NodeId(on, self.plant), MethodId=ua.NodeId(f"{on}/{name}", self.plant),
            InputArguments=[a if isinstance(a, ua.Variant) else ua.Variant(a) for a in arguments])
        result = (await self.client.uaclient.call([request]))[0]
        outputs = [output.Value for output in result.OutputArguments]
        return result.StatusCode, outputs

    async def done(self, on, name, *arguments):
        status, outputs = await self.call(on, name, *arguments)
        expect(status.is_good() and outputs[-2] == "ok", f"{name} gives {status}: {outputs[-2:]}")
        return outputs[:-2]

    async def refused(self, code, on, name, *arguments):
        status, outputs = await self.call(on, name, *arguments)
        expect(status.name.startswith("Uncertain") and outputs[-2] == code and outputs[-1],
               f"{name} gives {status}: {outputs[-2:]} instead of {code}")

    async def listed(self, path):
        return [child.nodeid.Identifier for child in await self.node(path).get_children()
                if "/" + path.split("/")[-1] + "/" not in child.nodeid.Identifier]


def count(number):
    return ua.Variant(number, ua.VariantType.UInt32)


def text(words):
    return ua.Variant(words, ua.VariantType.String)


def time(at):
    return ua.Variant(at, ua.VariantType.DateTime)


# The null of times.
NOT_SAID = ua.Variant(datetime.datetime(1601, 1, 1), ua.VariantType.DateTime)


async def orders(plant, line, product, reason):
    """An order through all its states, with lots, scrap and what it is made of."""
    number, other = (f"P-{datetime.datetime.now():%H%M%S%f}-{n}" for n in range(2))
    mes = "mes/Orders"

    async def store(order):
        await plant.done(mes, "StoreOrder", order, ua.Variant(1, ua.VariantType.UInt64), line, product,
                         text("10"))

    await store(other)
    await plant.done(mes, "CancelOrder", other)
    await plant.refused("mes.order.illegal_command", mes, "StartOrder", other)
    await store(number)
    await plant.done(mes, "RevokeOrder", number)
    await plant.refused("mes.order.illegal_command", mes, "StartOrder", number)
    for name in ("ReleaseOrder", "StartOrder", "PauseOrder", "ResumeOrder"):
        await plant.done(mes, name, number)
    expect("pause" in await plant.value(f"order/{number}/AllowedActions"), "the order may not be paused")
    lot = f"L-{number}"
    await plant.done(mes, "ReportConsumption", number, lot, text("2.5"), text(""))

    async def made():
        return await plant.value(f"order/{number}/GoodCount") >= 3

    await until("parts of the order", made)
    await plant.done(mes, "ReportProduction", number, count(0), count(1), text(reason), text(""))
    await plant.refused("mes.report.empty", mes, "ReportProduction", number, count(0), count(0),
                        text(""), text(""))
    for name in ("CompleteOrder", "CloseOrder"):
        await plant.done(mes, name, number)
    await plant.refused("mes.order.unknown", mes, "AbortOrder", "nobody-knows-me")
    # The machine may have counted rejects of its own besides.
    expect(await plant.value(f"order/{number}/ScrapCount") >= 1, "the scrap is not counted")
    records = await plant.value(f"order/{number}/QualityRecords")
    said = [(r.Good, r.Scrap, r.Rework, r.Reason, r.Actor, r.Order, r.Line) for r in records]
    expect(said == [(-1, 1, 0, reason, "supervisor", number, line)] and records[0].ReasonName.Text,
           f"the quality records are {records}")
    operations = await plant.value(f"order/{number}/LotOperations")
    consumed = next(o for o in operations if o.Lot == lot)
    expect((consumed.Operation, consumed.Quantity, consumed.Assignment, consumed.Machine)
           == (1, "2.5", "stated", None), f"the consumption is {consumed}")
    return number, lot


async def genealogy(plant, order, lot):
    """What went into the order is found from the lot that came out, and the other way round; in pages."""
    made = await plant.value(f"order/{order}/Lot")
    for name, start, end in (("TraceBackward", made, lot), ("TraceForward", lot, made)):
        arguments = (count(0), count(0), text(""))
        operations, rest = await plant.done("mes/Lots", name, start, *arguments)
        expect(end in [o.Lot for o in operations] and rest == "", f"{name} of {start}: {operations}")
        paged, place = [], ""
        while True:
            page, place = await plant.done("mes/Lots", name, start, count(0), count(1), text(place))
            paged += page
            if not place:
                break
        expect(paged == operations, f"{name} in pages: {paged} instead of {operations}")
        await plant.refused("mes.not_found", "mes/Lots", name, "nobody-knows-me", *arguments)
    history = await plant.value(f"lot/{lot}/History")
    expect([o.Order for o in history] == [order], f"the history of {lot} is {history}")
    for folder, path in (("mes/Orders/ByDay", f"order/{order}"), ("mes/Lots/ByDay", f"lot/{lot}")):
        days = await plant.listed(folder)
        expect(days == sorted(days) and days, f"{folder} has {days}")
        expect(path in await plant.listed(days[-1]), f"{path} is not in {days[-1]}")
        above = await plant.node(path).get_references(refs=ua.ObjectIds.Organizes,
                                                      direction=ua.BrowseDirection.Inverse)
        expect(days[-1] in [r.NodeId.Identifier for r in above], f"{path} does not know its day")


async def stops(plant, machine, reason, person):
    """Everything that can be said about a machine's time, and that it is seen at the stops themselves."""
    on, none = f"machine/{machine}", text("")

    async def is_open(at):
        return at in [stop.Start for stop in await plant.value(f"{on}/OpenStops") if stop.Unexplained]

    async def long_stop():
        for path in reversed(await plant.listed(f"{on}/Stops")):
            told = [await plant.value(f"{path}/{name}") for name in ("Active", "Micro", "Reason")]
            if told == [False, False, ""] and await is_open(await plant.value(f"{path}/Start")):
                return path
        return None

    path = await until("a stop that is over and waits for its reason", long_stop)
    start, end = await plant.value(f"{path}/Start"), await plant.value(f"{path}/End")
    # Times are kept ten times finer than Python has them, so an instant inside is given.
    inside = time(start + MILLISECOND)
    await plant.refused("mes.reason.unknown", on, "ClassifyStop", inside, "nobody-knows-me", none)
    await plant.done(on, "ClassifyStop", inside, reason, "seen by asyncua")
    await until("a stop that has its reason waits no more", lambda: negated(lambda: is_open(start)), 10)
    said = [await plant.value(f"{path}/{name}") for name in ("Reason", "Comment", "Actor", "Duration")]
    expect(said[:3] == [reason, "seen by asyncua", "supervisor"], f"of the stop is said {said}")
    expect(abs(said[3] - (end - start) / MILLISECOND) < 1, f"it lasted {said[3]}, from {start} to {end}")
    middle = start + (end - start) / 2
    await plant.done(on, "SplitStop", inside, time(middle), none)
    parts = [p for p in await plant.listed(f"{on}/Stops")
             if start <= await plant.value(f"{p}/Start") < end]
    expect(len(parts) == 2, f"the stop was split into {parts}")
    await plant.done(on, "MergeStops", inside, time(middle + MILLISECOND), none)
    expect(await plant.value(f"{path}/End") == end, "the stop is not one again")
    runs = end + 10 * MILLISECOND
    await plant.done(on, "StateStop", time(runs), time(runs + 20 * MILLISECOND), reason, none)
    await plant.done(on, "WithdrawStop", time(runs), none)
    await plant.refused("mes.stop.not_stated", on, "WithdrawStop", time(runs), none)
    await plant.refused("mes.gap.unknown", on, "ResolveGap", time(runs), time(runs + MILLISECOND),
                        ua.Variant(0, ua.VariantType.Int32), none)
    await plant.done(on, "LogOn", person)

    async def works():
        return f"person/{person}" in await plant.listed("mes/Personnel")

    await until("somebody works", works)
    expect(await plant.value(f"person/{person}/Machines") == [machine], "he works elsewhere")
    await plant.done(on, "LogOff")
    await until("nobody works", lambda: negated(works))
    for where in ("site/Demo", on):
        for stop in await plant.value(f"{where}/OpenStops"):
            expect(stop.Machine and stop.Line and stop.Start and stop.Known, f"an open stop is {stop}")
            expect(stop.End is None or stop.Unexplained, f"neither open nor unexplained: {stop}")


async def negated(look):
    return not await look()


async def shifts(plant, line):
    """A note is at its shift, and stays."""
    await plant.done(f"line/{line}", "NoteShift", NOT_SAID,
                     "the belt squeaks")
    await plant.refused("mes.shift.note_length", f"line/{line}", "NoteShift",
                        NOT_SAID, text(" "))
    now = datetime.datetime.now(datetime.timezone.utc)
    for shift in await plant.listed(f"line/{line}/Shifts"):
        if await plant.value(f"{shift}/Start") <= now < await plant.value(f"{shift}/End"):
            notes = await plant.value(f"{shift}/Notes")
            expect([(n.Text, n.Actor) for n in notes] == [("the belt squeaks", "supervisor")],
                   f"the notes are {notes}")
            return
    expect(False, "no shift runs")


async def evidence(plant, machine):
    """What is behind a figure adds up to what is above and below its line, to the tick."""
    on = f"machine/{machine}/KPI/ThisShift"

    async def ask(figure):
        rows, place = [], ""
        while True:
            answer = await plant.done(on, "Why", figure, count(50), text(place))
            formula, above, below, rules, page, place = answer
            rows += page
            if not place:
                return formula, above, below, rules, rows

    for figure in FIGURES:
        formula, above, below, rules, rows = await ask(figure)
        expect(formula == await plant.value(f"{on}/{figure}/Formula"), f"{figure} = {formula}")
        expect(rules and rows, f"nothing is behind {figure}")
    formula, above, below, rules, rows = await ask("Availability")

    def length(*classes):
        wanted = [r for r in rows if r.Kind == "interval" and r.Class in classes]
        return sum((r.To - r.From) / MILLISECOND for r in wanted)

    run = length("run", "micro_stop")
    busy = run + length("setup", "unplanned_down", "blocked", "starved", "no_order")
    # Each end of an interval is told to the microsecond, and kept to a tenth of it.
    slack = 0.001 * len(rows)
    expect(abs(run - above) <= slack and abs(busy - below) <= slack,
           f"intervals give {run} / {busy}, the figure is {above} / {below}")
    await plant.refused("mes.request.invalid", on, "Why", "Nonsense", count(0), text(""))
    await plant.refused("mes.request.invalid", on, "Why", text(""), count(0), text("nowhere"))
    return len(rows)


async def at_times(plant, machine):
    """A stored value at its instant is as it was stored; between two instants the earlier one holds."""
    node = plant.node(f"machine/{machine}/Counters/Good")
    now = datetime.datetime.now(datetime.timezone.utc)
    raw = [v for v in await node.read_raw_history(now - datetime.timedelta(minutes=5), now, 20)
           if v.StatusCode.is_good()]
    first, second = raw[3], raw[4]
    between = first.SourceTimestamp + (second.SourceTimestamp - first.SourceTimestamp) / 2
    times = [first.SourceTimestamp, between, now + datetime.timedelta(hours=1)]
    result = (await plant.client.uaclient.history_read(ua.HistoryReadParameters(
        HistoryReadDetails=ua.ReadAtTimeDetails(ReqTimes=times, UseSimpleBounds=True),
        TimestampsToReturn=ua.TimestampsToReturn.Both, ReleaseContinuationPoints=False,
        NodesToRead=[ua.HistoryReadValueId(NodeId=node.nodeid)])))[0]
    result.StatusCode.check()
    values = result.HistoryData.DataValues
    expect([v.Value and v.Value.Value for v in values[:2]] == [first.Value.Value] * 2
           and [v.SourceTimestamp for v in values] == times, f"at {times} there was {values}")
    codes = [v.StatusCode.value for v in values]
    expect(codes[1] == 0x402 and codes[2] == ua.StatusCodes.BadNoData, f"the statuses are {codes}")


async def words(plant, packml, weihenstephan):
    """Machines tell their states in the words of their own standards, each inside the one above."""
    spaces = await plant.client.get_namespace_array()
    standards = {name: spaces.index(f"http://opcfoundation.org/UA/{name}/") for name in ("PackML", "Weihenstephan")}

    names = {}

    async def state_name(node):
        if node not in names:
            names[node] = (await plant.client.get_node(node).read_browse_name()).Name
        return names[node]

    async def states(*paths):
        """What state machines are in, read in one go: a name and its namespace, or why there is none."""
        wanted = [f"{path}/CurrentState{below}" for path in paths for below in ("", "/Id")]
        read = await plant.client.uaclient.read(ua.ReadParameters(NodesToRead=[
            ua.ReadValueId(NodeId=ua.NodeId(path, plant.plant), AttributeId=ua.AttributeIds.Value)
            for path in wanted]))
        return [(name.Value.Value.Text, node.Value.Value) if name.StatusCode.is_good()
                and node.StatusCode.is_good() else name.StatusCode.name
                for name, node in zip(read[::2], read[1::2])]

    async def come_to(expected):
        """Waits until all are in these states at once, each with the node of that name."""
        async def are_there():
            found = await states(*expected)
            told = [one if isinstance(one, str) else (one[0], one[1].NamespaceIndex) for one in found]
            if told != list(expected.values()):
                return False
            return [await state_name(one[1]) for one in found if not isinstance(one, str)] \
                == [one[0] for one in found if not isinstance(one, str)]
        await until(f"{expected}", are_there)

    on = f"machine/{packml}/BaseStateMachine"
    inner = f"{on}/MachineState/ExecuteState"
    for name in ("Execute", "Held"):
        await come_to({on: ("Cleared", standards["PackML"]), inner: (name, standards["PackML"])})
    on = f"machine/{weihenstephan}/WS_Cur_State"
    inner = f"{on}/MachineState/ExecuteState"
    for name, where, held in (("Execute", "PackML", "BadStateNotActive"),
                              ("Held", "Weihenstephan", ("EquipmentFailure", standards["Weihenstephan"]))):
        await come_to({inner: (name, standards[where]), f"{inner}/HeldState": held,
                       f"{inner}/SuspendedState": "BadStateNotActive"})
    expect(await plant.value(f"machine/{weihenstephan}/WS_Cur_Prog") == 1, "its program is not production")
    cycles = "machine/Stamper/MachineryBuildingBlocks/OperationCounters/OperationCycleCounter"
    expect(await plant.value(cycles) > 7000, f"{cycles} is {await plant.value(cycles)}")
    expect(await plant.value("line/L1/KPI/ThisShift/Oee/Target") == 0.65, "the target is not there")


async def health(plant):
    """What a sensor says of itself is told with its value, and a failed one has no value."""
    values = {"Counters/Rework": 5, "CurrentLot": "Coil-1", "ProcessValues/Temperature": 80.5}
    told = {ua.StatusCodes.Good: True, ua.StatusCodes.UncertainLastUsableValue: True,
            ua.StatusCodes.BadDeviceFailure: False}
    for path, value in values.items():
        node = plant.node(f"machine/Stamper/{path}")
        for status, has_value in told.items():
            async def is_told():
                read = await node.read_data_value(raise_on_bad_status=False)
                shown = read.Value and read.Value.Value
                return read.StatusCode.value == status and shown == (value if has_value else None)
            await until(f"{path} is {ua.StatusCode(status).name}", is_told, 20)


async def wrong_clock(plant, machine):
    """That times of a machine are not believed is said at its connection."""
    async def is_said():
        return "times that have not come yet" in await plant.value(f"machine/{machine}/Connection/LastError")
    await until("the wrong clock is shown", is_said)


async def kept_events(plant):
    """The Server object says which events its history has (Part 11)."""
    server = plant.client.nodes.server
    kept = await (await server.get_child("0:HistoricalEventFilter")).read_value()
    names = [clause.BrowsePath[0].Name for clause in kept.SelectClauses]
    expect({"EventId", "Time", "Message", "SourceNode"} <= set(names), f"of events is kept {names}")


async def main(url, user, password, folder, line, product, machine, reason, exact):
    logging.disable(logging.CRITICAL)
    async with await client_of(url, folder, user, password) as client:
        await client.load_data_type_definitions()
        spaces = await client.get_namespace_array()
        plant = Plant(client, next(i for i, uri in enumerate(spaces) if ":ua:plant:" in uri),
                      spaces.index("urn:linewright:ua:mes"))
        order, lot = await orders(plant, line, product, reason)
        await genealogy(plant, order, lot)
        await stops(plant, machine, reason, "P-17")
        await shifts(plant, line)
        rows = await evidence(plant, machine)
        await at_times(plant, exact)
        await words(plant, machine, exact)
        await health(plant)
        await wrong_clock(plant, exact)
        await kept_events(plant)
        declared = set()
        for of in ("OrdersType", "LotsType", "LineType", "MachineType", "OeeType"):
            declared |= await methods_of(client, plant.own, of)
        missing = declared - plant.called
        expect(not missing, f"nobody called {sorted(missing)}")
    print(f"asyncua plant: {len(plant.called)} methods called, {rows} rows behind a figure")


async def methods_of(client, own, name):
    """The methods that a type of ours declares itself."""
    for kind in await client.nodes.base_object_type.get_children(refs=ua.ObjectIds.HasSubtype) + [
            client.get_node(ua.NodeId(ua.ObjectIds.FolderType))]:
        for node in [kind, *await kind.get_children(refs=ua.ObjectIds.HasSubtype)]:
            if (await node.read_browse_name()) == ua.QualifiedName(name, own):
                methods = await node.get_children(nodeclassmask=ua.NodeClass.Method)
                return {(await method.read_browse_name()).Name for method in methods}
    expect(False, f"there is no type {name}")


asyncio.run(main(*sys.argv[1:]))

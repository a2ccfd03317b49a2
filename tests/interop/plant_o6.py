"""o6 (open62541) as a panel: calls every method with plain arguments that the plant has. It knows structures
that it was compiled with; the package `mes` is what its compiler makes of our nodeset.

Usage: plant_o6.py URL USER PASSWORD CERTIFICATES LINE PRODUCT MACHINE REASON. Nothing else may run on LINE;
MACHINE stops now and then. Ends with status 1 and a sentence at the first thing that is not as it should be.
"""

import datetime
import sys
import time

import mes
import o6

from logon_o6 import client_of, plant_of

types = mes.datatypes
MILLISECOND = datetime.timedelta(milliseconds=1)


def expect(condition, text):
    if not condition:
        sys.exit(f"o6 plant: {text}")


def until(what, look, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    expect(False, f"{what} did not happen within {seconds} s")


class Plant:
    def __init__(self, one, index):
        self.one, self.index, self.called = one, index, set()

    def id(self, path):
        return f"ns={self.index};s={path}"

    def value(self, path):
        return self.one.read(self.id(path))

    def call(self, on, name, *arguments):
        self.called.add(name)
        status, *outputs = self.one.call(self.id(on), self.id(f"{on}/{name}"), list(arguments))
        return repr(status).upper(), outputs

    def done(self, on, name, *arguments):
        status, outputs = self.call(on, name, *arguments)
        expect("GOOD" in status and str(outputs[-2]) == "ok", f"{name} gives {status}: {outputs[-2:]}")
        return outputs[:-2]

    def refused(self, code, on, name, *arguments):
        status, outputs = self.call(on, name, *arguments)
        expect("UNCERTAIN" in status and str(outputs[-2]) == code, f"{name} gives {status}: {outputs}")

    def listed(self, path):
        page = self.one.browsePage(self.id(path), reftype="i=35", maxReferences=3)
        found = list(page.references)
        while page.continuationPoint:
            expect(len(page.references) <= 3, f"a page of three is {page}")
            page = self.one.browseNext(False, page.continuationPoint)[0]
            found += page.references
        return [str(reference.nodeId).split(";s=", 1)[1] for reference in found]


def text(words):
    return o6.String(words)


def told(structures, kind):
    """Structures, which must all be of a kind."""
    expect(all(isinstance(one, kind) for one in structures), f"not all are {kind}: {structures}")
    return list(structures)


def moment(value):
    """A time as Python has it."""
    stamp = repr(value).split("(")[1].split("Z")[0]
    whole, _, fraction = stamp.partition(".")
    read = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return read + datetime.timedelta(microseconds=int(fraction[:6].ljust(6, "0") or 0))


def orders(plant, line, product, reason):
    number, on = f"O-{datetime.datetime.now():%H%M%S%f}", "mes/Orders"

    def store(order):
        plant.done(on, "StoreOrder", text(order), o6.UInt64(1), text(line), text(product), text("10"))

    store(f"{number}-other")
    plant.done(on, "CancelOrder", text(f"{number}-other"))
    store(number)
    for name in ("RevokeOrder", "ReleaseOrder", "StartOrder", "PauseOrder", "ResumeOrder"):
        plant.done(on, name, text(number))
    lot = f"L-{number}"
    plant.done(on, "ReportConsumption", text(number), text(lot), text("0.5"), text(""))
    until("parts of the order", lambda: int(plant.value(f"order/{number}/GoodCount")) >= 3)
    plant.done(on, "ReportProduction", text(number), o6.UInt32(0), o6.UInt32(1), text(reason), text(""))
    for name in ("CompleteOrder", "CloseOrder"):
        plant.done(on, name, text(number))
    plant.refused("mes.order.unknown", on, "AbortOrder", text("nobody-knows-me"))
    operations = told(plant.value(f"order/{number}/LotOperations"), types.LotOperationDataType)
    consumed = [o for o in operations if str(o.lot) == lot]
    expect([(int(o.operation), str(o.quantity), o.machine) for o in consumed] == [(1, "0.5", None)],
           f"the consumption is {consumed}")
    records = told(plant.value(f"order/{number}/QualityRecords"), types.QualityRecordDataType)
    expect([(int(r.scrap), str(r.reason), str(r.actor)) for r in records] == [(1, reason, "supervisor")],
           f"the quality records are {records}")
    return number, lot


def genealogy(plant, order, lot):
    made = str(plant.value(f"order/{order}/Lot"))
    for name, start, end in (("TraceBackward", made, lot), ("TraceForward", lot, made)):
        operations, rest = plant.done(
            "mes/Lots", name, text(start), o6.UInt32(0), o6.UInt32(0), text(""))
        operations = told(operations, types.LotOperationDataType)
        expect(end in [str(o.lot) for o in operations] and str(rest) == "", f"{name}: {operations}")
    for folder, path in (("mes/Orders/ByDay", f"order/{order}"), ("mes/Lots/ByDay", f"lot/{lot}")):
        days = plant.listed(folder)
        expect(path in plant.listed(days[-1]), f"{path} is not in {days[-1]}")


def stops(plant, machine, reason):
    on, none = f"machine/{machine}", text("")

    def long_stop():
        for path in reversed(plant.listed(f"{on}/Stops")):
            if not plant.value(f"{path}/Active") and not plant.value(f"{path}/Micro"):
                return path
        return None

    def at(instant, milliseconds):
        return o6.DateTime(instant + milliseconds * MILLISECOND)

    path = until("a stop that is over", long_stop)
    start, end = (moment(plant.value(f"{path}/{name}")) for name in ("Start", "End"))
    half = (end - start) / MILLISECOND / 2
    plant.done(on, "ClassifyStop", at(start, 1), text(reason), text("seen by o6"))
    expect(str(plant.value(f"{path}/Comment")) == "seen by o6", "the comment is not there")
    plant.done(on, "SplitStop", at(start, 1), at(start, half), none)
    plant.done(on, "MergeStops", at(start, 1), at(start, half + 1), none)
    plant.done(on, "StateStop", at(end, 10), at(end, 30), text(reason), none)
    plant.done(on, "WithdrawStop", at(end, 10), none)
    plant.refused("mes.gap.unknown", on, "ResolveGap", at(end, 10), at(end, 20), o6.Int32(0), none)
    plant.done(on, "LogOn", text("P-19"))
    plant.done(on, "LogOff")
    for stop in told(plant.value("site/Demo/OpenStops"), types.StopDataType):
        expect(str(stop.machine) and str(stop.line) and stop.known, f"an open stop is {stop}")


def evidence(plant, machine):
    on, rows, place = f"machine/{machine}/KPI/ThisShift", [], ""
    while True:
        answer = plant.done(on, "Why", text("Coverage"), o6.UInt32(50), text(place))
        rows += list(answer[4])
        place = str(answer[5])
        if not place:
            break
    rows = told(rows, types.EvidenceDataType)
    outside = ["no_data", "not_scheduled", "planned_down"]
    busy = [row for row in rows if str(row.kind) == "interval" and str(row.class_) not in outside]
    above, below = (sum(float(row.duration) for row in busy), float(answer[1]))
    expect(abs(above - below) < 0.001 and rows, f"intervals give {above}, the figure has {below}")
    return len(rows)


def notes(plant, line):
    """A note is read back where the shift is that it is about."""
    plant.done(f"line/{line}", "NoteShift", o6.DateTime(0), text("written by o6"))
    shifts = plant.listed(f"line/{line}/Shifts")
    found = [n for s in shifts for n in told(plant.value(f"{s}/Notes"), types.ShiftNoteDataType)]
    expect("written by o6" in [str(note.text) for note in found], f"the notes are {found}")


def main(url, user, password, folder, line, product, machine, reason):
    with client_of(url, folder, user, password) as one:
        plant = Plant(one, plant_of(one))
        number, lot = orders(plant, line, product, reason)
        genealogy(plant, number, lot)
        stops(plant, machine, reason)
        notes(plant, line)
        rows = evidence(plant, machine)
    print(f"o6 plant: {len(plant.called)} methods called, {rows} rows behind a figure")


main(*sys.argv[1:])

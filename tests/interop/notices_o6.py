"""o6 (open62541) as a viewer of alarms: receives the events of a machine with a filter, has them refreshed,
is refused what it may not, acknowledges and confirms an unexplained stop, and finds its events in history.

Usage: notices_o6.py URL USER PASSWORD CERTIFICATES MACHINE REASON. Ends with status 1 and a sentence at
the first thing that is not as it should be.
"""

import datetime
import sys
import threading
import time

import o6
from o6.ns import ns0

from logon_o6 import client_of, plant_of


def expect(condition, text):
    if not condition:
        sys.exit(f"o6 notices: {text}")


def until(what, find, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = find()
        if found:
            return found
        time.sleep(0.05)
    expect(False, f"no event: {what}")


types = ns0.datatypes
REFRESH_START, REFRESH_END = o6.NodeId("i=2787"), o6.NodeId("i=2788")


def refreshed(one, method, arguments, events, lock):
    """The events between the start and the end of a refresh."""
    with lock:
        events.clear()
    deadline = time.monotonic() + 10
    while True:
        # Refreshes of one subscription are a second apart at least.
        status = repr(one.call("i=2782", method, arguments)).replace("_", "").upper()
        if "REFRESHINPROGRESS" not in status or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    expect("BAD" not in status, f"{method}: {status}")

    def ended():
        with lock:
            kinds = [e["/EventType"] for e in events]
            if REFRESH_END not in kinds:
                return None
            return events[kinds.index(REFRESH_START) + 1:kinds.index(REFRESH_END)] + [None]

    return until("the end of a refresh", ended)[:-1]


def history(one, node, start, end):
    """Ids and messages of stored events, a few at a time."""
    def clause(name):
        operand = types.SimpleAttributeOperand()
        operand.typeDefinitionId, operand.attributeId = o6.NodeId("i=2041"), o6.UInt32(13)
        operand.browsePath = [o6.QualifiedName(name)]
        return operand

    details = types.ReadEventDetails()
    details.startTime, details.endTime = o6.DateTime(start), o6.DateTime(end)
    details.numValuesPerNode = o6.UInt32(20)
    details.filter = types.EventFilter(selectClauses=[clause("EventId"), clause("Message")])
    wanted, told = types.HistoryReadValueId(), []
    wanted.nodeId = o6.NodeId(node)
    while True:
        request = types.HistoryReadRequest()
        request.historyReadDetails, request.nodesToRead = details, [wanted]
        request.timestampsToReturn = types.TimestampsToReturn.BOTH
        result = one.serviceHistoryRead(request).results[0]
        expect("GOOD" in repr(result.statusCode), f"the history of {node}: {result.statusCode}")
        page = result.historyData.body.events
        expect(len(page) <= 20, f"a page of twenty has {len(page)} events")
        told += [(bytes(e.eventFields[0]), str(e.eventFields[1])) for e in page]
        wanted.continuationPoint = result.continuationPoint
        if not result.continuationPoint:
            return told


def main(url, user, password, folder, machine, reason):
    with client_of(url, folder, user, password) as one:
        plant = plant_of(one)
        alarm = f"ns={plant};s=machine/{machine}/UnexplainedStop"
        events, lock = [], threading.Lock()

        def keep(fields):
            with lock:
                events.append(fields)

        item = one.monitorEvent(
            f"ns={plant};s=machine/{machine}", keep,
            "SELECT /EventId, /EventType, /Message, /Severity WHERE OFTYPE i=2782")

        def told(word):
            with lock:
                return next((e for e in events if word in repr(e["/Message"])), None)

        stop = until("a stop to explain", lambda: told("nobody has said why"))
        expect(1 <= int(stop["/Severity"]) <= 1000, f"its severity is {stop['/Severity']}")
        subscription = o6.UInt32(one.defaultSubscription.id)
        for method, arguments in (("i=3875", [subscription]),
                                  ("i=12912", [subscription, o6.UInt32(item.id)])):
            again = refreshed(one, method, arguments, events, lock)
            expect(any("nobody has said why" in repr(e["/Message"]) for e in again),
                   f"{method} tells of no stop to explain, but of {again}")
        stop = until("the stop again", lambda: told("nobody has said why"))
        identity = o6.ByteString(stop["/EventId"])

        def status(method, *arguments):
            try:
                return repr(one.call(alarm, method, list(arguments))).replace("_", "").upper()
            except Exception as error:  # noqa: BLE001
                return repr(error).replace("_", "").upper()

        acknowledge, confirm = "i=9111", "i=9113"
        unknown = status(acknowledge, o6.ByteString(b"\xff" * 8), o6.LocalizedText(""))
        expect("EVENTIDUNKNOWN" in unknown, f"an unknown event: {unknown}")
        seen = status(acknowledge, identity, o6.LocalizedText("seen by o6"))
        expect("BAD" not in seen, f"acknowledged: {seen}")
        twice = status(acknowledge, identity, o6.LocalizedText("again"))
        expect("ALREADYACKED" in twice, f"acknowledged twice: {twice}")
        done = status(confirm, identity, o6.LocalizedText(f"{reason}: o6", "en"))
        expect("BAD" not in done, f"confirmed: {done}")
        again = status(confirm, identity, o6.LocalizedText(f"{reason}: o6", "en"))
        expect("ALREADYCONFIRMED" in again or "EVENTIDUNKNOWN" in again,
               f"confirmed twice: {again}")
        now, hour = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(hours=1)
        node = f"ns={plant};s=machine/{machine}"
        stored = history(one, node, now - hour, now)
        expect(bytes(stop["/EventId"]) in [number for number, _ in stored],
               f"the event is not among the {len(stored)} stored ones")
        expect(any(f"{machine} stood: " in message for _, message in stored), "no reason is stored")
        expect(history(one, node, now, now - hour) == stored[::-1], "backwards it is not the same")
    print(f"o6 notices: refreshed, acknowledged and confirmed; {len(stored)} events in history")


main(*sys.argv[1:])

"""o6 (open62541) as a viewer of alarms: receives the events of a machine with a filter, is refused what it
may not and acknowledges and confirms an unexplained stop.

Usage: notices_o6.py URL USER PASSWORD CERTIFICATES MACHINE REASON. Ends with status 1 and a sentence at
the first thing that is not as it should be.
"""

import sys
import threading
import time

import o6

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


def main(url, user, password, folder, machine, reason):
    with client_of(url, folder, user, password) as one:
        plant = plant_of(one)
        alarm = f"ns={plant};s=machine/{machine}/UnexplainedStop"
        events, lock = [], threading.Lock()

        def keep(fields):
            with lock:
                events.append(fields)

        one.monitorEvent(f"ns={plant};s=machine/{machine}", keep,
                         "SELECT /EventId, /Message, /Severity WHERE OFTYPE i=2782")

        def told(word):
            with lock:
                return next((e for e in events if word in repr(e["/Message"])), None)

        stop = until("a stop to explain", lambda: told("nobody has said why"))
        expect(1 <= int(stop["/Severity"]) <= 1000, f"its severity is {stop['/Severity']}")
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
    print("o6 notices: all as it should be")


main(*sys.argv[1:])

"""A machine by o6 (open62541): runs, and makes ten parts a second.

Usage: count_o6.py PORT. Runs until killed; the stack itself ends after ten minutes.
"""

import sys
import time

import o6


def main(port):
    # The first namespace is that of the application.
    server = o6.Server(port=port, applicationUri="urn:linewright:interop:count")
    running = server.addVariable("State", server.objectsNode, "running", nodeId="ns=1;s=State")
    count = server.addVariable("Count", server.objectsNode, o6.UInt32(0), nodeId="ns=1;s=Count")
    with server:
        print("ready", flush=True)
        server.write(running, "running")
        for number in range(1, 1_000_000):
            time.sleep(0.1)
            server.write(count, o6.UInt32(number))


main(int(sys.argv[1]))

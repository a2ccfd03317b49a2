"""asyncua as a viewer of events: prints every event of the server as a line of JSON, until it is ended.

Usage: events_asyncua.py OPEN_URL
"""

import asyncio
import json
import sys

from asyncua import Client, ua


class Printer:
    def event_notification(self, event):
        line = {"source": event.SourceName, "text": event.Message.Text, "severity": event.Severity,
                "node": event.SourceNode.Identifier}
        print(json.dumps(line), flush=True)


async def main(url):
    async with Client(url) as client:
        subscription = await client.create_subscription(200, Printer())
        await subscription.subscribe_events(ua.ObjectIds.Server, ua.ObjectIds.BaseEventType)
        print("ready", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))

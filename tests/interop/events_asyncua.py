"""asyncua as a viewer of events: prints every event of our types at the server, with all its fields, as a
line of JSON, until it is ended.

Usage: events_asyncua.py OPEN_URL
"""

import asyncio
import json
import logging
import sys

from asyncua import Client, ua


class Printer:
    """Prints the events of exactly one type; those of its subtypes are printed as such."""

    def __init__(self, kind, name):
        self.kind, self.name = kind, name

    def event_notification(self, event):
        if event.EventType != self.kind:
            return
        fields = {name: value if isinstance(value, (bool, int, float, str)) else value and str(value)
                  for name, value in event.get_event_props_as_fields_dict().items()
                  for value in [value.Value]}
        line = {"type": self.name, "source": event.SourceName,
                "text": event.Message.Text, "severity": event.Severity,
                "node": event.SourceNode.Identifier, "fields": fields}
        print(json.dumps(line), flush=True)

    def status_change_notification(self, status):
        pass


async def types_of(client, own):
    """The types of events that are ours, by id."""
    found, queue = {}, [client.get_node(ua.ObjectIds.BaseEventType)]
    while queue:
        for child in await queue.pop().get_children(refs=ua.ObjectIds.HasSubtype):
            queue.append(child)
            if child.nodeid.NamespaceIndex == own:
                found[child.nodeid] = (await child.read_browse_name()).Name
    return found


async def main(url):
    logging.disable(logging.CRITICAL)
    async with Client(url) as client:
        await client.load_data_type_definitions()
        names = await types_of(client, await client.get_namespace_index("urn:linewright:ua:mes"))
        for kind, name in names.items():
            subscription = await client.create_subscription(200, Printer(kind, name))
            await subscription.subscribe_events(ua.ObjectIds.Server, kind, queuesize=1000)
        print("ready", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))

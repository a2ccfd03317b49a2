"""asyncua while the configuration is read again: is told by events and versions of nodes which machine has
come and gone, finds it, watches it, and is told by a status that what it watches is gone.

Usage: reload_asyncua.py OPEN_URL CONFIG PID LINE MACHINE. The machine of the line gets a second one beside
it that is the same. Ends with status 1 and a sentence at the first thing that is not as it should be.
"""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

from asyncua import Client, ua

ADDED, DELETED, REFERENCE_ADDED, REFERENCE_DELETED = 1, 2, 4, 8


def expect(condition, text):
    if not condition:
        sys.exit(f"asyncua reload: {text}")


async def until(what, condition, seconds=60):
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = await condition()
        if found:
            return found
        expect(asyncio.get_running_loop().time() < deadline, f"{what} did not happen within {seconds} s")
        await asyncio.sleep(0.1)


class Changes:
    """Events of changes of the model, and values of what is watched."""

    def __init__(self):
        self.verbs, self.values = {}, []

    def event_notification(self, event):
        for change in event.Changes:
            known = self.verbs.get(change.Affected.Identifier, (0, None))[0]
            self.verbs[change.Affected.Identifier] = (known | change.Verb, change.AffectedType)

    def datachange_notification(self, node, value, data):
        self.values.append(data.monitored_item.Value)

    def status_change_notification(self, status):
        pass


def second(text, line, machine, name):
    """The configuration with another machine like the only one of a line."""
    text = text.replace(f'[[line]]\nid = "{line}"\n',
                        f'[[line]]\nid = "{line}"\nbottleneck = "{machine}"\noutfeed = "{machine}"\n')
    section = re.search(r'\[\[machine\]\]\nid = "%s".*?(?=\n\[\[(?!machine\.))' % machine, text, re.S)
    return text + "\n" + section.group(0).replace(f'id = "{machine}"', f'id = "{name}"') + "\n"


async def main(url, config, pid, line, machine):
    config, pid, new = Path(config), int(pid), f"{machine}-2"
    before = config.read_text()

    def read_again(text):
        config.write_text(text)
        os.kill(pid, signal.SIGHUP)

    async with Client(url) as client:
        plant = next(i for i, uri in enumerate(await client.get_namespace_array())
                     if uri.startswith("urn:linewright:ua:plant:"))
        types = await client.get_namespace_index("urn:linewright:ua:mes")

        def node(path):
            return client.get_node(ua.NodeId(path, plant))

        async def names():
            return [(await one.read_browse_name()).Name for one in await node(f"line/{line}").get_children()]

        async def version(path):
            return await node(f"{path}/NodeVersion").read_value()

        changes = Changes()
        subscription = await client.create_subscription(100, changes)
        await subscription.subscribe_events(ua.ObjectIds.Server, ua.ObjectIds.GeneralModelChangeEventType)
        versions = {path: await version(path) for path in (f"line/{line}", "mes/Connections", "mes/Products")}

        read_again(before + "\n[[machine]]\nid = \"Broken\"\nline = \"Nowhere\"\n")
        problems = await until("the refusal of a wrong configuration",
                               node("mes/Configuration/Problems").read_value)
        expect(any("Nowhere" in problem for problem in problems), f"the problems are {problems}")
        expect(await version(f"line/{line}") == versions[f"line/{line}"], "a wrong configuration changed the line")

        read_again(second(before, line, machine, new))
        told = await until("the event of a new machine", lambda: asyncio.sleep(
            0, changes.verbs.get(f"machine/{new}")))
        expect(told[0] & ADDED, f"the new machine is told by the verb {told[0]}")
        kind = await client.get_node(told[1]).read_browse_name()
        expect((kind.Name, kind.NamespaceIndex) == ("MachineType", types), f"the new machine is a {kind}")
        for above in (f"line/{line}", "mes/Connections"):
            verb = changes.verbs.get(above, (0, None))[0]
            expect(verb & REFERENCE_ADDED, f"{above} is told by the verb {verb}")
            expect(await version(above) != versions[above], f"the version of {above} is the same")
        expect(await version("mes/Products") == versions["mes/Products"], "the version of the products changed")
        expect(not await node("mes/Configuration/Problems").read_value(), "there are problems still")
        expect(new in await names(), f"below the line there are {await names()}")
        good = node(f"machine/{new}/Counters/Good")
        await subscription.subscribe_data_change(good)
        await until("values of the new machine", lambda: asyncio.sleep(
            0, len([v for v in changes.values if v.StatusCode.is_good()]) > 3))
        connects = await node(f"machine/{machine}/Connection/Connects").read_value()
        expect(connects == 1, f"the link to the other machine was made {connects} times")

        read_again(before)
        await until("the event of a machine that is gone", lambda: asyncio.sleep(
            0, changes.verbs[f"machine/{new}"][0] & DELETED))
        await until("the status of a value that is gone", lambda: asyncio.sleep(
            0, changes.values[-1].StatusCode.value == ua.StatusCodes.BadNodeIdUnknown))
        expect(new not in await names(), f"below the line there are {await names()}")
        for path, known in versions.items():
            expect(await version(path) == known, f"the version of {path} is not what it was")
        expect(changes.verbs[f"line/{line}"][0] & REFERENCE_DELETED, "the line lost a reference untold")
    print("asyncua reload: a machine came and went, all as it should be")


asyncio.run(main(*sys.argv[1:]))

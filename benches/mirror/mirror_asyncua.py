"""The mirror of the benchmark in asyncua: every variable of every machine, with its value, status and times, and with a
directory, shown when it is durable in an SQLite log there.

Usage: mirror_asyncua.py PORT MACHINE_PORTS TAGS [DIRECTORY]
"""

import asyncio
import logging
import sqlite3
import sys
from pathlib import Path

from asyncua import Client, Server, ua

logging.disable(logging.CRITICAL)


# What comes within this time is one transaction.
TOGETHER = 0.005


class Keeper:
    """Shows values when they are durable."""

    def __init__(self, server, directory):
        self.server, self.waiting, self.log = server, [], None
        if directory:
            self.log = sqlite3.connect(Path(directory) / "log.sqlite", isolation_level=None)
            self.log.execute("PRAGMA journal_mode = WAL")
            self.log.execute("PRAGMA synchronous = FULL")
            self.log.execute("CREATE TABLE samples (node INTEGER, at INTEGER, status INTEGER, value REAL)")

    async def keep(self, number, node, value):
        if self.log is None:
            await self.server.write_attribute_value(node, value)
            return
        self.waiting.append((number, node, value))
        if len(self.waiting) == 1:
            asyncio.get_running_loop().call_later(TOGETHER, lambda: asyncio.ensure_future(self.commit()))

    async def commit(self):
        waiting, self.waiting = self.waiting, []
        self.log.execute("BEGIN")
        self.log.executemany("INSERT INTO samples VALUES (?, ?, ?, ?)", (
            (number, int(value.SourceTimestamp.timestamp() * 1e6), value.StatusCode.value, value.Value.Value)
            for number, _, value in waiting))
        self.log.execute("COMMIT")
        for _, node, value in waiting:
            await self.server.write_attribute_value(node, value)


class Mirror:
    """Passes on what a machine tells."""

    def __init__(self, keeper, nodes):
        self.keeper, self.nodes = keeper, nodes

    async def datachange_notification(self, node, value, data):
        await self.keeper.keep(*self.nodes[node.nodeid], data.monitored_item.Value)


async def main(port, ports, tags, directory):
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    machines, keeper = [], Keeper(server, directory)
    for number in range(len(ports)):
        index = await server.register_namespace(f"urn:bench:M{number}")
        folder = await server.nodes.objects.add_folder(index, f"M{number}")
        machines.append([
            (number * tags + tag, (await folder.add_variable(ua.NodeId(f"T{tag}", index), f"T{tag}", 0.0)).nodeid)
            for tag in range(tags)])
    async with server:
        clients = []
        for machine_port, nodes in zip(ports, machines):
            client = Client(f"opc.tcp://127.0.0.1:{machine_port}")
            await client.connect()
            index = await client.get_namespace_index("urn:bench")
            there = [ua.NodeId(f"T{tag}", index) for tag in range(tags)]
            subscription = await client.create_subscription(100, Mirror(keeper, dict(zip(there, nodes))))
            await subscription.subscribe_data_change(
                [client.get_node(one) for one in there], queuesize=100, sampling_interval=0)
            clients.append((client, subscription))
        await asyncio.Event().wait()


asyncio.run(main(int(sys.argv[1]), [int(port) for port in sys.argv[2].split(",")], int(sys.argv[3]),
                 sys.argv[4] if len(sys.argv) > 4 else None))

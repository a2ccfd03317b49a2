"""The mirror of the benchmark in asyncua: every variable of every machine, with its value, status and times.

Usage: mirror_asyncua.py PORT MACHINE_PORTS TAGS
"""

import asyncio
import logging
import sys

from asyncua import Client, Server, ua

logging.disable(logging.CRITICAL)


class Mirror:
    """Passes on what a machine tells."""

    def __init__(self, server, nodes):
        self.server, self.nodes = server, nodes

    async def datachange_notification(self, node, value, data):
        await self.server.write_attribute_value(self.nodes[node.nodeid], data.monitored_item.Value)


async def main(port, ports, tags):
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    machines = []
    for number in range(len(ports)):
        index = await server.register_namespace(f"urn:bench:M{number}")
        folder = await server.nodes.objects.add_folder(index, f"M{number}")
        machines.append([(await folder.add_variable(ua.NodeId(f"T{tag}", index), f"T{tag}", 0.0)).nodeid
                         for tag in range(tags)])
    async with server:
        clients = []
        for machine_port, nodes in zip(ports, machines):
            client = Client(f"opc.tcp://127.0.0.1:{machine_port}")
            await client.connect()
            index = await client.get_namespace_index("urn:bench")
            there = [ua.NodeId(f"T{tag}", index) for tag in range(tags)]
            subscription = await client.create_subscription(100, Mirror(server, dict(zip(there, nodes))))
            await subscription.subscribe_data_change(
                [client.get_node(one) for one in there], queuesize=100, sampling_interval=0)
            clients.append((client, subscription))
        await asyncio.Event().wait()


asyncio.run(main(int(sys.argv[1]), [int(port) for port in sys.argv[2].split(",")], int(sys.argv[3])))

"""A machine by asyncua: runs, and makes ten parts a second.

Usage: count_asyncua.py PORT. Runs until killed.
"""

import asyncio
import logging
import sys

from asyncua import Server, ua


async def main(port):
    logging.basicConfig(level=logging.CRITICAL)
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace("urn:linewright:interop:count")
    objects = server.nodes.objects
    await objects.add_variable(ua.NodeId("State", index), ua.QualifiedName("State", index), "running")
    count = await objects.add_variable(
        ua.NodeId("Count", index), ua.QualifiedName("Count", index), ua.Variant(0, ua.VariantType.UInt32))
    async with server:
        print("ready", flush=True)
        for number in range(1, 1_000_000):
            await asyncio.sleep(0.1)
            await count.write_value(ua.Variant(number, ua.VariantType.UInt32))


asyncio.run(main(int(sys.argv[1])))

"""A machine by asyncua that tells plain events and has no conditions.

Usage: alarms_asyncua.py PORT. Runs until killed.
"""

import asyncio
import logging
import sys

from asyncua import Server, ua, uamethod


async def main(port):
    logging.basicConfig(level=logging.ERROR)
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace("urn:linewright:interop:alarms")
    saw = await server.nodes.objects.add_object(ua.NodeId("Saw", index), ua.QualifiedName("Saw", index))
    await saw.add_variable(ua.NodeId("Saw.State", index), ua.QualifiedName("State", index), 1, ua.VariantType.Int32)
    # Its stack tells events of other nodes only to those who watch these, not at the Server object.
    generator = await server.get_event_generator()
    generator.event.SourceNode = saw.nodeid

    @uamethod
    async def jam(parent):
        generator.event.Severity = 333
        await generator.trigger(message="jammed")

    await saw.add_method(ua.NodeId("Saw.Jam", index), ua.QualifiedName("Jam", index), jam, [], [])
    async with server:
        print("ready", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(int(sys.argv[1])))

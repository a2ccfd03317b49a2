"""A machine by asyncua that runs and stops as chance will have it, and writes on its standard output what it did and
when.

Usage: chaos_asyncua.py PORT [forgets]. One that forgets lets no session go on over another connection and knows no
TransferSubscriptions, as many machines, so that what was not heard is gone. Runs until killed; after SIGUSR2 it runs on and makes nothing more.
"""

import asyncio
import datetime
import json
import logging
import random
import signal
import sys
import time

from asyncua import Server, ua
from asyncua.server.internal_server import InternalServer
from asyncua.server.subscription_service import SubscriptionService

EPOCH = datetime.datetime(1970, 1, 1)


async def unsupported(*_):
    raise ua.uaerrors.BadServiceUnsupported


async def main(port, *forgets):
    if forgets:
        SubscriptionService.transfer_subscriptions = unsupported
        InternalServer.lookup_external_session = lambda *_: None
    logging.basicConfig(level=logging.CRITICAL)
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://0.0.0.0:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace("urn:linewright:interop:chaos")
    kinds = {"State": ua.VariantType.String, "Good": ua.VariantType.UInt32, "Reject": ua.VariantType.UInt32}
    firsts = {"State": "run", "Good": 0, "Reject": 0}
    nodes = {name: await server.nodes.objects.add_variable(
        ua.NodeId(name, index), ua.QualifiedName(name, index), ua.Variant(firsts[name], kind))
        for name, kind in kinds.items()}

    async def say(name, value):
        at = time.time_ns() // 1000
        stamp = EPOCH + datetime.timedelta(microseconds=at)
        await nodes[name].write_value(ua.DataValue(ua.Variant(value, kinds[name]), SourceTimestamp=stamp,
                                                   ServerTimestamp=stamp))
        print(json.dumps([name, value, at]), flush=True)

    for name, value in firsts.items():
        await say(name, value)
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, over.set)
    async with server:
        print("ready", flush=True)
        runs, changes, counts = True, 0, {"Good": 0, "Reject": 0}
        while not over.is_set():
            await asyncio.sleep(0.06)
            if time.time() >= changes:
                runs = not runs
                await say("State", "run" if runs else "stop")
                changes = time.time() + 0.2 + random.random() * 1.5
            elif runs:
                name = "Reject" if random.random() < 0.1 else "Good"
                counts[name] += 1
                await say(name, counts[name])
        if not runs:
            await say("State", "run")
        print("over", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))

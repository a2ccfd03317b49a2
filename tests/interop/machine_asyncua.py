"""asyncua as a machine that Linewright connects to.

Usage: machine_asyncua.py PORT. Runs until killed; a part every 100 ms, and something wrong with the
equipment for 1 s of every 5 s. Now and then a count comes after the next one, with its own time;
sensors fail and are unsure; states are stamped with times that have not come yet.
"""

import asyncio
import datetime
import sys

from asyncua import Server, ua

NAMESPACE = "urn:linewright:interop:asyncua-machine"
# What the sensors say of themselves, one after the other.
HEALTH = [ua.StatusCodes.Good, ua.StatusCodes.BadDeviceFailure, ua.StatusCodes.UncertainLastUsableValue]


async def main(port):
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
    index = await server.register_namespace(NAMESPACE)
    machine = await server.nodes.objects.add_object(ua.NodeId("Press", index), "Press")
    # In the words of the Weihenstephan Standards: operating, and what is wrong with the equipment.
    operating, failure = (ua.Variant(bit, ua.VariantType.UInt32) for bit in (128, 1024))
    state = await machine.add_variable(ua.NodeId("Press.State", index), "State", operating)
    await machine.add_variable(
        ua.NodeId("Press.Program", index), "Program", ua.Variant(1, ua.VariantType.UInt32))
    cycles = await machine.add_variable(
        ua.NodeId("Press.Cycles", index), "Cycles", ua.Variant(7000, ua.VariantType.UInt64))
    good = await machine.add_variable(
        ua.NodeId("Press.Good", index), "Good", ua.Variant(1000, ua.VariantType.UInt16))
    total = await machine.add_variable(
        ua.NodeId("Press.Total", index), "Total", ua.Variant(2000.0, ua.VariantType.Double))
    sensors = [
        (await machine.add_variable(ua.NodeId(f"Press.{name}", index), name, value), value)
        for name, value in (("Rework", ua.Variant(5, ua.VariantType.UInt32)),
                            ("Lot", ua.Variant("Coil-1")), ("Temperature", ua.Variant(80.5)))]

    async def feel(status):
        """All sensors say this of themselves; those that have failed say nothing else."""
        for sensor, value in sensors:
            now = datetime.datetime.now(datetime.timezone.utc)
            await sensor.write_value(ua.DataValue(
                None if ua.StatusCode(status).is_bad() else value, ua.StatusCode(status), now, now))

    async with server:
        print("ready", flush=True)
        late = None
        for part in range(1, 1_000_000):
            await asyncio.sleep(0.1)
            await state.write_value(operating if part % 50 >= 10 else failure)
            if part % 100 == 20:
                future = datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc)
                await state.write_value(ua.DataValue(failure, SourceTimestamp=future))
            if part % 10 == 0:
                await feel(HEALTH[part // 10 % len(HEALTH)])
            # What is counted of one part has one time, so that no window has only some of it.
            now = datetime.datetime.now(datetime.timezone.utc)
            counted = lambda value, kind: ua.DataValue(
                ua.Variant(value, kind), SourceTimestamp=now, ServerTimestamp=now)
            await cycles.write_value(counted(7000 + part, ua.VariantType.UInt64))
            await good.write_value(counted(1000 + part, ua.VariantType.UInt16))
            all_parts = counted(2000.0 + part, ua.VariantType.Double)
            if part % 40 == 0:
                late = all_parts
                continue
            await total.write_value(all_parts)
            if late is not None:
                await total.write_value(late)
                late = None


asyncio.run(main(int(sys.argv[1])))

"""A machine by asyncua that shows what no sane machine shows: circles, depths, names with markup, numbers that are
none, times that cannot be, types that contain themselves, values of other types than they say.

Usage: strange_asyncua.py PORT. Runs until killed; its counter and its state go on, in good order and in bad.
"""

import asyncio
import datetime
import logging
import sys

from asyncua import Server, ua

NAMESPACE = "urn:linewright:interop:strange"
MARKUP = "<script>alert('x')</script>"
UTC = datetime.timezone.utc


async def recursive(server, index):
    """A structure with a field of its own type, and an own supertype in a circle."""
    tree, leaf = ua.NodeId("Tree", index), ua.NodeId("Leaf", index)
    structure = server.get_node(ua.ObjectIds.Structure)
    first = await structure.add_data_type(tree, ua.QualifiedName("Tree", index))
    second = await first.add_data_type(leaf, ua.QualifiedName("Leaf", index))
    third = await second.add_data_type(ua.NodeId("Twig", index), ua.QualifiedName("Twig", index))
    await third.add_reference(first, ua.ObjectIds.HasSubtype)
    field = lambda name, kind, rank: ua.StructureField(Name=name, DataType=kind, ValueRank=rank)
    definition = ua.StructureDefinition(
        DefaultEncodingId=ua.NodeId("TreeBinary", index), BaseDataType=ua.NodeId(ua.ObjectIds.Structure),
        StructureType=ua.StructureType.Structure,
        Fields=[field("Itself", tree, -1), field("Branches", tree, 1), field("Leaf", leaf, -1)])
    for node in (first, second):
        await node.write_attribute(ua.AttributeIds.DataTypeDefinition, ua.DataValue(ua.Variant(definition)))
    return tree


async def main(port):
    logging.basicConfig(level=logging.CRITICAL)
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace(NAMESPACE)
    node = lambda name: ua.NodeId(name, index)
    top = await server.nodes.objects.add_folder(node("Strange"), ua.QualifiedName("Strange", index))
    # Two that contain each other, and one that contains itself.
    one = await top.add_object(node("One"), ua.QualifiedName("One", index))
    other = await one.add_object(node("Other"), ua.QualifiedName("Other", index))
    await other.add_reference(one, ua.ObjectIds.Organizes)
    await one.add_reference(one, ua.ObjectIds.Organizes, bidirectional=False)
    # A shaft without a bottom.
    shaft = top
    for level in range(70):
        shaft = await shaft.add_folder(node(f"Level{level}"), ua.QualifiedName("Level", index))
    # Names for people who trust what they read.
    await top.add_object(node("Markup"), ua.QualifiedName(MARKUP, index))
    await top.add_object(node("Long"), ua.QualifiedName("x" * 3000, index))
    # Numbers and times.
    async def value(name, value, kind, **more):
        variable = await top.add_variable(node(name), ua.QualifiedName(name, index), ua.Variant(value, kind))
        if more:
            await server.write_attribute_value(
                variable.nodeid, ua.DataValue(ua.Variant(value, kind), **more))
        return variable
    await value("NotANumber", float("nan"), ua.VariantType.Double)
    await value("Infinite", float("inf"), ua.VariantType.Double)
    await value("Tomorrow", 1.0, ua.VariantType.Double, SourceTimestamp=datetime.datetime(9000, 1, 1, tzinfo=UTC))
    await value("Yesterday", 1.0, ua.VariantType.Double, SourceTimestamp=datetime.datetime(1602, 1, 1, tzinfo=UTC))
    await value("Huge", [float(number) for number in range(100_000)], ua.VariantType.Double)
    lying = await value("Lying", 1, ua.VariantType.Int32)
    await lying.write_attribute(ua.AttributeIds.DataType, ua.DataValue(ua.Variant(ua.NodeId(ua.ObjectIds.String))))
    tree = await recursive(server, index)
    await top.add_variable(node("Tree.Value"), ua.QualifiedName("TreeValue", index),
                           ua.Variant(None, ua.VariantType.Null), datatype=tree)
    many = await top.add_folder(node("Many"), ua.QualifiedName("Many", index))
    for number in range(1500):
        await many.add_variable(node(f"Many{number}"), ua.QualifiedName(f"Many{number}", index), number)
    count = await value("Count", 0, ua.VariantType.UInt32)
    state = await value("State", "running", ua.VariantType.String)
    async with server:
        print("ready", flush=True)
        number = 0
        strange = [ua.Variant("12", ua.VariantType.String), ua.Variant(float("nan"), ua.VariantType.Double),
                   ua.Variant([1, 2], ua.VariantType.UInt32)]
        while True:
            await asyncio.sleep(0.1)
            number += 1
            await server.write_attribute_value(count.nodeid, ua.DataValue(ua.Variant(number, ua.VariantType.UInt32)))
            # Half a second of what is no state, half a second of what is one.
            said = strange[number // 10 % 3] if number % 10 < 5 else ua.Variant("running", ua.VariantType.String)
            await server.write_attribute_value(state.nodeid, ua.DataValue(said))


asyncio.run(main(int(sys.argv[1])))

"""A machine by asyncua with types of its own: structures with ids and structures in them, an enumeration.

Usage: mirror_asyncua.py PORT. Runs until killed.
"""

import asyncio
import sys

from asyncua import Server, ua
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field

NAMESPACES = ["urn:linewright:interop:filling-line", "urn:linewright:interop:structures"]


async def main(port):
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
    for uri in NAMESPACES:
        index = await server.register_namespace(uri)
    objects = server.nodes.objects
    grade = await new_enum(server, index, "Grade", ["Poor", "Fair", "Best"])
    place, _ = await new_struct(server, index, "Place", [
        new_struct_field("Node", ua.VariantType.NodeId),
        new_struct_field("Name", ua.VariantType.QualifiedName),
        new_struct_field("Height", ua.VariantType.Double),
    ])
    await new_struct(server, index, "Route", [
        new_struct_field("Number", ua.VariantType.UInt32),
        new_struct_field("Places", place, array=True),
        new_struct_field("Comment", ua.VariantType.String, optional=True),
    ])
    await server.load_data_type_definitions()
    machine = await objects.add_object(ua.NodeId("Robot", index), "Robot")
    at = [ua.Place(Node=ua.NodeId(name, index), Name=ua.QualifiedName(name, index), Height=height)
          for name, height in (("Robot", 1.5), ("Gate", 2.5))]
    await machine.add_variable(ua.NodeId("Robot.Place", index), "Place", at[0])
    route = ua.Route(Number=7, Places=at, Comment="by the wall")
    node = await machine.add_variable(ua.NodeId("Robot.Route", index), "Route", route)
    await node.set_writable()
    await machine.add_variable(ua.NodeId("Robot.Grade", index), "Grade", ua.Grade.Best, datatype=grade.nodeid)
    await machine.add_variable(ua.NodeId("Robot.Ids", index), "Ids", [one.Node for one in at])
    state = await machine.add_variable(ua.NodeId("Robot.State", index), "State", ua.Variant(1, ua.VariantType.Int32))
    async with server:
        print("ready", flush=True)
        while True:
            await asyncio.sleep(1)
            await state.write_value(ua.Variant(1, ua.VariantType.Int32))


asyncio.run(main(int(sys.argv[1])))

"""asyncua over job control: structures with all fields, none and every other one; every method; the
return bits of what is refused.

Usage: jobs_asyncua.py URL USER PASSWORD CERTIFICATES LINE PRODUCT. The folder has app.{der,pem},
app-key.pem of the client. Ends with status 1 and a sentence at the first thing that is not as it should
be.
"""

import asyncio
import itertools
import logging
import sys

from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary

from logon_asyncua import client_of

JOBS = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/"
DONE, UNKNOWN, WRONG_STATE, NOT_ACCEPTED, INVALID = 1, 1 << 1, 1 << 3, 1 << 4, 1 << 32
COMMENT = ua.Variant([ua.LocalizedText("because", "en")], ua.VariantType.LocalizedText, is_array=True)


def expect(condition, text):
    if not condition:
        sys.exit(f"asyncua jobs: {text}")


class Receiver:
    """A receiver with its provider."""

    def __init__(self, client, root, index):
        self.client, self.index = client, index
        self.control = client.get_node(f"{root}/JobManagement/JobOrderControl")
        self.results = client.get_node(f"{root}/JobManagement/JobOrderResults")

    async def call(self, name, *arguments, on=None):
        on = on or self.control
        result = await self.client.uaclient.call([ua.CallMethodRequest(
            ObjectId=on.nodeid,
            MethodId=(await on.get_child(f"{self.index}:{name}")).nodeid,
            InputArguments=[a if isinstance(a, ua.Variant) else ua.Variant(a) for a in arguments],
        )])
        status, outputs = result[0].StatusCode, [o.Value for o in result[0].OutputArguments]
        bits = outputs[-1] if outputs else None
        wanted = ua.StatusCodes.Good if bits == DONE else ua.StatusCodes.Uncertain
        expect(status.value == wanted, f"{name} gives {status} with the bits {bits}")
        return bits, outputs[:-1]

    async def bits(self, name, *arguments):
        return (await self.call(name, *arguments))[0]

    async def listed(self):
        orders = await (await self.control.get_child(f"{self.index}:JobOrderList")).read_value()
        return {entry.JobOrder.JobOrderID: entry for entry in orders}

    async def response(self, order):
        bits, outputs = await self.call("RequestJobResponseByJobOrderID", order, on=self.results)
        expect(bits == DONE, f"the response of {order} gives {bits}")
        return outputs[0]


def material(product, quantity):
    return ua.ISA95MaterialDataType(
        MaterialDefinitionID=product, MaterialUse="Material Produced", Quantity=quantity)


def filled(depth=2):
    """A parameter with every field."""
    return ua.ISA95ParameterDataType(
        ID="Speed", Value=ua.Variant(12.5), Description=[ua.LocalizedText("how fast", "en")],
        EngineeringUnits=ua.EUInformation(UnitId=4404786),
        Subparameters=[filled(depth - 1)] if depth else [])


def orders(line, product):
    """Job orders whose optional fields are there in all ways that matter: what is needed and nothing,
    all, and every other one."""
    needed = {"MaterialRequirements": [material(product, "10")],
              "EquipmentRequirements": [ua.ISA95EquipmentDataType(ID=line)]}
    property = ua.ISA95PropertyDataType(ID="Grade", Value=ua.Variant("A"), Description=[],
                                        EngineeringUnits=ua.EUInformation(), Subproperties=[])
    others = {
        "Description": [ua.LocalizedText("a test", "en"), ua.LocalizedText("ein Test", "de")],
        "WorkMasterID": [ua.ISA95WorkMasterDataType(ID="R", Description=ua.LocalizedText("r"),
                                                    Parameters=[filled()])],
        "StartTime": ua.uatypes.datetime.now(ua.uatypes.timezone.utc),
        "EndTime": ua.uatypes.datetime.now(ua.uatypes.timezone.utc),
        "Priority": 7,
        "JobOrderParameters": [filled(3), filled(0)],
        "PersonnelRequirements": [ua.ISA95PersonnelDataType(ID="P", PersonnelUse="x", Quantity="1",
                                                            Properties=[property])],
        "PhysicalAssetRequirements": [ua.ISA95PhysicalAssetDataType(ID="A")],
    }
    names = list(others)
    choices = [[], names, names[::2], names[1::2]]
    for number, chosen in enumerate(choices):
        fields = {name: others[name] for name in chosen}
        yield ua.ISA95JobOrderDataType(JobOrderID=f"JC-{line}-{number}", **needed, **fields), chosen


async def store_all(receiver, line, product):
    """Every order comes back as it was sent, as far as the MES keeps it."""
    for order, chosen in orders(line, product):
        name = order.JobOrderID
        expect(await receiver.bits("Store", order, COMMENT) == DONE, f"{name} is not stored")
        expect(await receiver.bits("Store", order, COMMENT) == NOT_ACCEPTED, f"{name} is stored twice")
        entry = (await receiver.listed())[name]
        made = entry.JobOrder.MaterialRequirements[0]
        expect((made.MaterialDefinitionID, made.Quantity) == (product, "10"), f"{name} makes {made}")
        expect(made.MaterialLotID is None, f"{name} has a lot nobody gave: {made.MaterialLotID}")
        expect(entry.JobOrder.Priority == (7 if "Priority" in chosen else 0), f"{name} has no priority")
        expect((entry.JobOrder.EndTime is not None) == ("EndTime" in chosen), f"{name} has a wrong end")
        state = [(s.StateText.Text, s.StateNumber) for s in entry.State]
        expect(state == [("NotAllowedToStart", 1)], f"{name} is {state}")


async def walk(receiver, order):
    """Through the states, and past what is not allowed in each of them."""
    async def steps(*pairs):
        for name, wanted in pairs:
            got = await receiver.bits(name, order, COMMENT)
            expect(got == wanted, f"{name} of {order} gives {got}, wanted {wanted}")

    await steps(("Pause", WRONG_STATE), ("Start", DONE), ("Start", WRONG_STATE), ("RevokeStart", DONE),
                ("Start", DONE), ("Stop", WRONG_STATE), ("Cancel", DONE), ("Clear", DONE))
    expect(order not in await receiver.listed(), f"{order} was cancelled and is still listed")


async def produce(client, receiver, plant, order):
    """Production is begun by the execution system; then the receiver controls it."""
    expect(await receiver.bits("Start", order, COMMENT) == DONE, f"{order} may not start")
    folder = client.get_node(ua.NodeId("mes/Orders", plant))
    running = [o for o, e in (await receiver.listed()).items() if e.State[0].StateNumber == 3]
    for one in running:
        expect(await receiver.bits("Pause", one, COMMENT) == DONE, f"{one} cannot be paused")
    code, text = await folder.call_method(
        client.get_node(ua.NodeId("mes/Orders/StartOrder", plant)), order)
    expect(code == "ok", f"{order} does not start: {text}")
    expect(await receiver.bits("Update", next(orders("", ""))[0], COMMENT) == INVALID,
           "an order without a product is taken")
    expect((await receiver.listed())[order].State[0].StateText.Text == "Running", f"{order} does not run")
    expect(await receiver.bits("Pause", order, COMMENT) == DONE, f"{order} cannot be paused")
    state = (await receiver.listed())[order].State
    expect([s.StateText.Text for s in state] == ["Interrupted", "Suspended"], f"{order} is {state}")
    steps = state[1].BrowsePath.Elements
    expect([s.TargetName.Name for s in steps] == ["InterruptedSubstates"], f"its path is {steps}")
    machine = await receiver.control.get_child(f"{receiver.index}:InterruptedSubstates")
    shown = await (await machine.get_child("0:CurrentState")).read_data_value(raise_on_bad_status=False)
    expect(shown.Value.Value.Text == "Suspended", f"the receiver's substate is {shown}")
    expect(await receiver.bits("Resume", order, COMMENT) == DONE, f"{order} cannot be resumed")
    expect(await receiver.bits("Stop", order, COMMENT) == DONE, f"{order} cannot be stopped")
    response = await receiver.response(order)
    expect([s.StateText.Text for s in response.JobState] == ["Ended", "Completed"],
           f"the response of {order} says {response.JobState}")
    expect(response.StartTime < response.EndTime, f"{order} ended before it began")
    figures = {p.ID: p.Value for p in response.JobResponseData}
    expect("GoodQuantity" in figures, f"the response of {order} has the figures {figures}")
    states = ua.Variant(response.JobState, ua.VariantType.ExtensionObject, is_array=True)
    bits, outputs = await receiver.call("RequestJobResponseByJobOrderState", states, on=receiver.results)
    expect(bits == DONE and order in [r.JobOrderID for r in outputs[0]],
           f"{order} is not among the ended ones")
    expect(await receiver.bits("Clear", order, COMMENT) == DONE, f"{order} cannot be cleared")
    expect(order not in await receiver.listed(), f"{order} was cleared and is still listed")
    for one in running:
        expect(await receiver.bits("Resume", one, COMMENT) == DONE, f"{one} cannot be resumed")


async def refuse(receiver, line, product):
    """What makes no sense is refused with the bit that says so."""
    for name in ("Start", "Pause", "Clear"):
        expect(await receiver.bits(name, "nobody-knows-me", COMMENT) == UNKNOWN, f"{name} of nothing")
    bits, _ = await receiver.call("RequestJobResponseByJobOrderID", "nobody-knows-me", on=receiver.results)
    expect(bits == UNKNOWN, f"the response of nothing gives {bits}")
    wrong = ua.ISA95JobOrderDataType(JobOrderID="JC-wrong", MaterialRequirements=[material(product, "1e3")],
                                     EquipmentRequirements=[ua.ISA95EquipmentDataType(ID=line)])
    expect(await receiver.bits("Store", wrong, COMMENT) == INVALID, "a quantity of 1e3 is taken")
    wrong.MaterialRequirements = [material("no-such-product", "1")]
    expect(await receiver.bits("StoreAndStart", wrong, COMMENT) == INVALID, "an unknown product is taken")


# The types of the standard are known to the stack already; it warns of each.
logging.disable(logging.WARNING)


async def call_strictly(client, receiver):
    """The method of the type means that of the object; arguments of other types are refused."""
    async def status(method, *arguments):
        request = ua.CallMethodRequest(ObjectId=receiver.control.nodeid, MethodId=method,
                                       InputArguments=list(arguments))
        return (await client.uaclient.call([request]))[0]

    pause, store = ua.NodeId(7007, receiver.index), ua.NodeId(7001, receiver.index)
    nobody = ua.Variant("nobody-knows-me")
    of_type = await status(pause, nobody, COMMENT)
    expect(of_type.OutputArguments[0].Value == UNKNOWN, f"the method of the type gives {of_type}")
    for name, result, wrong in [
        ("no text", await status(pause, ua.Variant(1), COMMENT), 0),
        ("a comment that is none", await status(pause, nobody, ua.Variant(1)), 1),
        ("no job order", await status(store, ua.Variant(ua.ISA95WorkMasterDataType(ID="x")), COMMENT), 0),
    ]:
        codes = [one.value for one in result.InputArgumentResults]
        expect(result.StatusCode.value == ua.StatusCodes.BadInvalidArgument
               and codes[wrong] == ua.StatusCodes.BadTypeMismatch, f"{name} gives {result}")


async def reasons(client, receiver):
    """A client that asks for diagnostics reads in words why it was refused."""
    request = ua.CallRequest()
    method = await receiver.control.get_child(f"{receiver.index}:Pause")
    request.Parameters.MethodsToCall = [ua.CallMethodRequest(
        ObjectId=receiver.control.nodeid, MethodId=method.nodeid,
        InputArguments=[ua.Variant("nobody-knows-me"), COMMENT])]
    # Additional information about operations (Part 4, table of bits of returnDiagnostics).
    request.RequestHeader.ReturnDiagnostics = 0x80
    answer = struct_from_binary(ua.CallResponse, await client.uaclient.protocol.send_request(request))
    told = answer.DiagnosticInfos[0].AdditionalInfo if answer.DiagnosticInfos else None
    told = told.decode() if isinstance(told, bytes) else told
    expect(told and "nobody-knows-me" in told, f"the reason of a refusal is {told}")


async def main(url, user, password, folder, line, product):
    async with await client_of(url, folder, user, password) as client:
        await client.load_data_type_definitions()
        namespaces = await client.get_namespace_array()
        plant = next(i for i, uri in enumerate(namespaces) if uri.startswith("urn:linewright:ua:plant:"))
        index = namespaces.index(JOBS)
        of_line = Receiver(client, f"ns={plant};s=line/{line}/MachineryBuildingBlocks", index)
        of_all = Receiver(client, f"ns={plant};s=mes/Orders", index)
        await store_all(of_line, line, product)
        everything = await of_all.listed()
        expect(all(order in everything for order in await of_line.listed()), "the line has its own orders")
        update = next(orders(line, product))[0]
        update.MaterialRequirements = [material(product, "25.5")]
        expect(await of_line.bits("Update", update, COMMENT) == DONE, "an order cannot be updated")
        made = (await of_all.listed())[update.JobOrderID].JobOrder.MaterialRequirements[0].Quantity
        expect(made == "25.5", f"the updated quantity is {made}")
        await walk(of_line, f"JC-{line}-1")
        await produce(client, of_all, plant, f"JC-{line}-2")
        await refuse(of_line, line, product)
        await reasons(client, of_line)
        await call_strictly(client, of_line)
        expect(await of_line.bits("Abort", f"JC-{line}-3", COMMENT) == DONE, "an order cannot be aborted")
        print(f"asyncua jobs: {len(list(itertools.chain(orders(line, product))))} job orders, every method")


asyncio.run(main(*sys.argv[1:]))

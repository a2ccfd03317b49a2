"""o6 (open62541) over the structures of job control, which it has compiled in from the official nodeset.

Usage: jobs_o6.py URL USER PASSWORD CERTIFICATES LINE PRODUCT. Ends with status 1 and a sentence at the
first thing that is not as it should be.
"""

import sys

import o6
from logon_o6 import client_of, plant_of
from o6.ns.isa95_jobcontrol_v2 import datatypes as isa95

DONE, UNKNOWN = 1, 2
COMMENT = [o6.LocalizedText("because")]


def expect(condition, text):
    if not condition:
        sys.exit(f"o6 jobs: {text}")


def main(url, user, password, folder, line, product):
    with client_of(url, folder, user, password) as one:
        plant = plant_of(one)
        root = f"ns={plant};s=line/{line}/MachineryBuildingBlocks/JobManagement"
        control, results = f"{root}/JobOrderControl", f"{root}/JobOrderResults"

        def listed():
            return {str(entry.jobOrder.jobOrderID): entry for entry in one.read(f"{control}/JobOrderList")}

        def call(on, method, *arguments):
            result = one.call(on, f"{on}/{method}", list(arguments))
            bits = int(result[-1])
            wanted = "GOOD" if bits == DONE else "UNCERTAIN"
            expect(wanted in repr(result[0]), f"{method} gives {result[0]} with the bits {bits}")
            return bits, result[1:-1]

        needed = {
            "materialRequirements": [isa95.ISA95MaterialDataType(
                materialDefinitionID=product, materialUse="Material Produced", quantity="3.5")],
            "equipmentRequirements": [isa95.ISA95EquipmentDataType(iD=line)],
        }
        parameter = isa95.ISA95ParameterDataType(iD="Speed", value=o6.Double(12.5))
        choices = [{}, {"priority": 7, "jobOrderParameters": [parameter]}, {
            "workMasterID": [isa95.ISA95WorkMasterDataType(iD="R")], "priority": 3,
            "personnelRequirements": [isa95.ISA95PersonnelDataType(iD="P", quantity="1")]}]
        for number, others in enumerate(choices):
            name = f"O6-{line}-{number}"
            order = isa95.ISA95JobOrderDataType(jobOrderID=name, **needed, **others)
            expect(call(control, "Store", order, COMMENT)[0] == DONE, f"{name} is not stored")
            entry = listed()[name]
            made = entry.jobOrder.materialRequirements[0]
            expect((str(made.quantity), str(made.materialDefinitionID)) == ("3.5", product),
                   f"{name} makes {made}")
            expect(int(entry.jobOrder.priority) == others.get("priority", 0), f"{name}: {entry.jobOrder}")
            expect(int(entry.state[0].stateNumber) == 1, f"{name} is {entry.state}")
            bits, outputs = call(results, "RequestJobResponseByJobOrderID", name)
            expect(bits == DONE and str(outputs[0].jobOrderID) == name, f"the response is {outputs}")
            expect(call(control, "Cancel", name, COMMENT)[0] == DONE, f"{name} is not cancelled")
        expect(call(control, "Start", "nobody-knows-me", COMMENT)[0] == UNKNOWN, "starting nothing")
    print(f"o6 jobs: {len(choices)} job orders there and back")


main(*sys.argv[1:])

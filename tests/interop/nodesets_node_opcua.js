// Loads nodesets into an address space of node-opcua; a file that it cannot read ends with status 1.
// Usage: nodesets_node_opcua.js FILE...
const { AddressSpace, nodesets } = require("node-opcua");
const { generateAddressSpace } = require("node-opcua-address-space/nodeJS");

async function main(files) {
    const space = AddressSpace.create();
    space.registerNamespace("urn:linewright:interop:nodesets");
    await generateAddressSpace(space, [nodesets.standard, ...files]);
    const index = space.getNamespaceIndex("urn:linewright:ua:mes");
    const type = space.findObjectType("MachineType", index);
    if (!type) throw new Error("MachineType is not there");
    const machine = type.instantiate({ browseName: "M1", organizedBy: space.rootFolder.objects });
    const path = ["KPI", "ThisShift", "Oee"];
    const oee = path.reduce((node, name) => node?.getChildByName(name, index), machine);
    if (!oee) throw new Error("an instance of MachineType has no KPI.ThisShift.Oee");
    space.dispose();
}

main(process.argv.slice(2)).then(
    () => process.exit(0),
    (error) => {
        console.error(`node-opcua: ${error.stack || error}`);
        process.exit(1);
    });

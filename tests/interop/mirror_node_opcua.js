// A machine by node-opcua with everything that its stack can show: its address space for conformance tests, and
// a part of its own with what is written, called and kept.
//
// Usage: mirror_node_opcua.js PORT PKI_DIRECTORY. Runs until killed; each tick of the counter is a tenth of a
// second. Writes to standard output what it was told to do.
"use strict";
const { OPCUAServer, OPCUACertificateManager, DataType, StatusCodes, Variant, nodesets } = require("node-opcua");
const { build_address_space_for_conformance_testing } =
  require("node-opcua-address-space-for-conformance-testing");

async function main(port, pki) {
  const server = new OPCUAServer({
    port,
    serverCertificateManager: new OPCUACertificateManager({ rootFolder: pki }),
    nodeset_filename: [nodesets.standard],
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  build_address_space_for_conformance_testing(space, { mass_variables: 5 });
  const own = space.registerNamespace("urn:linewright:interop:mirror");
  const cell = own.addObject({ browseName: "Cell", organizedBy: space.rootFolder.objects });
  const variable = (name, dataType, value, more) => own.addVariable({
    browseName: name, componentOf: cell, nodeId: `s=Cell.${name}`, dataType, value: { dataType, value }, ...more });
  const count = variable("Count", DataType.UInt32, 0);
  const setpoint = variable("Setpoint", DataType.Double, 20.5);
  variable("Locked", DataType.Double, 1.5);
  const recipe = variable("Recipe", DataType.String, "none");
  const kept = variable("Kept", DataType.UInt32, 0);
  space.installHistoricalDataNode(kept, { maxOnlineValues: 1000 });
  for (const node of [setpoint, recipe]) {
    node.on("value_changed", (value) => console.log(`written ${node.browseName.name} ${value.value.value}`));
  }
  const add = own.addMethod(cell, {
    browseName: "Add", nodeId: "s=Cell.Add",
    inputArguments: [{ name: "A", dataType: DataType.Int32 }, { name: "B", dataType: DataType.Int32 }],
    outputArguments: [{ name: "Sum", dataType: DataType.Int32 }],
  });
  add.bindMethod((inputs, context, callback) => {
    const [a, b] = inputs.map((input) => input.value);
    console.log(`called Add ${a} ${b}`);
    callback(null, { statusCode: StatusCodes.Good,
      outputArguments: [new Variant({ dataType: DataType.Int32, value: a + b })] });
  });
  const forbidden = own.addMethod(cell, { browseName: "Explode", nodeId: "s=Cell.Explode" });
  forbidden.bindMethod((inputs, context, callback) => {
    console.log("called Explode");
    callback(null, { statusCode: StatusCodes.Good, outputArguments: [] });
  });
  await server.start();
  console.log("ready");
  let ticks = 0;
  setInterval(() => {
    ticks += 1;
    count.setValueFromSource({ dataType: DataType.UInt32, value: ticks });
    if (ticks <= 500) kept.setValueFromSource({ dataType: DataType.UInt32, value: ticks });
  }, 100);
}

main(Number(process.argv[2]), process.argv[3]).catch((error) => {
  console.error(error);
  process.exit(1);
});

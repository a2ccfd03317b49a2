// A machine by node-opcua whose values change fast, and that says on its standard output what they were and when.
//
// Usage: recorded_node_opcua.js PORT PKI_DIRECTORY. Runs until killed.
"use strict";
const { OPCUAServer, OPCUACertificateManager, DataType, VariantArrayType, StatusCodes, NodeId, NodeIdType,
  nodesets } = require("node-opcua");

const WORDS = ["idle", "heating", "läuft", "<b>stop</b>", ""];

async function main(port, pki) {
  const server = new OPCUAServer({
    port,
    serverCertificateManager: new OPCUACertificateManager({ rootFolder: pki }),
    nodeset_filename: [nodesets.standard],
    // By default it tells a variable's changes at most every 50 ms.
    serverCapabilities: { minSupportedSampleRate: 0 },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const own = space.registerNamespace("urn:linewright:interop:recorded");
  const oven = own.addObject({ browseName: "Oven", organizedBy: space.rootFolder.objects });
  const variable = (name, dataType, value, more) => own.addVariable({
    browseName: name, componentOf: oven, nodeId: `s=Oven.${name}`, dataType, minimumSamplingInterval: 0,
    value: { dataType, value, ...more }, ...(more ? { valueRank: 1 } : {}) });
  const array = { arrayType: VariantArrayType.Array };
  const tags = {
    Ramp: [variable("Ramp", DataType.Double, 0), (n) => ({ dataType: DataType.Double, value: n / 8 })],
    Word: [variable("Word", DataType.String, ""), (n) => ({ dataType: DataType.String, value: WORDS[n % 5] })],
    Flag: [variable("Flag", DataType.Boolean, false), (n) => ({ dataType: DataType.Boolean, value: n % 2 === 1 })],
    List: [variable("List", DataType.Int32, [0], array),
      (n) => ({ dataType: DataType.Int32, ...array, value: new Int32Array([n, -n, 7]) })],
    Where: [variable("Where", DataType.NodeId, new NodeId()), (n) => ({ dataType: DataType.NodeId,
      value: new NodeId(NodeIdType.STRING, `Oven.${["Ramp", "Word"][n % 2]}`, own.index) })],
    Still: [variable("Still", DataType.UInt16, 0), null],
  };
  const parts = variable("Parts", DataType.UInt32, 0);
  tags.Still[0].setValueFromSource({ dataType: DataType.UInt16, value: 42 }, StatusCodes.Good, new Date());
  await server.start();
  console.log("ready");
  let ticks = 0;
  setInterval(() => {
    ticks += 1;
    parts.setValueFromSource({ dataType: DataType.UInt32, value: Math.floor(ticks / 4) });
    for (const [name, [node, make]] of Object.entries(tags)) {
      // Each has a pace of its own.
      if (!make || ticks % (name.length - 3) !== 0) continue;
      const at = new Date();
      const status = ticks % 40 === 0 ? StatusCodes.UncertainSensorNotAccurate : StatusCodes.Good;
      const value = make(ticks);
      node.setValueFromSource(value, status, at);
      const said = value.value instanceof Int32Array ? Array.from(value.value) : value.value;
      console.log(JSON.stringify([name, at.getTime(), name === "Where" ? said.value : said, status.value]));
    }
  }, 25);
}

main(Number(process.argv[2]), process.argv[3]).catch((error) => {
  console.error(error);
  process.exit(1);
});

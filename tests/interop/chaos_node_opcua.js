// A machine by node-opcua that runs and stops as chance will have it, and writes on its standard output what it did
// and when.
//
// Usage: chaos_node_opcua.js PORT PKI_DIRECTORY. Runs until killed; after SIGUSR2 it runs on and makes nothing more.
"use strict";
const { OPCUAServer, OPCUACertificateManager, DataType, StatusCodes, nodesets } = require("node-opcua");

async function main(port, pki) {
  const server = new OPCUAServer({
    port,
    serverCertificateManager: new OPCUACertificateManager({ rootFolder: pki }),
    nodeset_filename: [nodesets.standard],
    // By default it tells a variable's changes at most every 50 ms.
    serverCapabilities: { minSupportedSampleRate: 0 },
  });
  await server.initialize();
  const own = server.engine.addressSpace.registerNamespace("urn:linewright:interop:chaos");
  const variable = (name, dataType, value) => own.addVariable({
    browseName: name, organizedBy: server.engine.addressSpace.rootFolder.objects, nodeId: `s=${name}`, dataType,
    minimumSamplingInterval: 0, value: { dataType, value } });
  const nodes = {
    State: [variable("State", DataType.String, "run"), DataType.String],
    Good: [variable("Good", DataType.UInt32, 0), DataType.UInt32],
    Reject: [variable("Reject", DataType.UInt32, 0), DataType.UInt32],
  };
  const say = (name, value) => {
    const at = new Date();
    const [node, dataType] = nodes[name];
    node.setValueFromSource({ dataType, value }, StatusCodes.Good, at);
    console.log(JSON.stringify([name, value, at.getTime() * 1000]));
  };
  for (const [name, value] of [["State", "run"], ["Good", 0], ["Reject", 0]]) say(name, value);
  await server.start();
  console.log("ready");
  let runs = true, changes = 0, isOver = false;
  const counts = { Good: 0, Reject: 0 };
  setInterval(() => {
    if (isOver) return;
    if (Date.now() >= changes) {
      runs = !runs;
      say("State", runs ? "run" : "stop");
      changes = Date.now() + 200 + Math.random() * 1500;
    } else if (runs) {
      const name = Math.random() < 0.1 ? "Reject" : "Good";
      say(name, ++counts[name]);
    }
  }, 60);
  process.on("SIGUSR2", () => {
    isOver = true;
    if (!runs) say("State", "run");
    console.log("over");
  });
}

main(Number(process.argv[2]), process.argv[3]).catch((error) => {
  console.error(error);
  process.exit(1);
});

// The mirror of the benchmark in node-opcua: every variable of every machine, with its value, status and times.
//
// Usage: mirror_node_opcua.js PORT MACHINE_PORTS TAGS
"use strict";
const path = require("path");
const from = (name) => require(path.join(process.cwd(), "node_modules", name));
const { OPCUAServer, OPCUAClient, OPCUACertificateManager, AttributeIds, ClientMonitoredItemGroup, TimestampsToReturn,
  DataType, DataValue } = from("node-opcua");

async function main(port, ports, tags) {
  const pki = path.join(require("os").tmpdir(), "mirror-bench-node-opcua");
  const server = new OPCUAServer({ port, serverCertificateManager: new OPCUACertificateManager({ rootFolder: pki }),
    maxConnectionsPerEndpoint: 20, serverCapabilities: { maxMonitoredItems: 1e6, maxMonitoredItemsPerSubscription: 1e5,
      operationLimits: { maxMonitoredItemsPerCall: 100000 } } });
  await server.initialize();
  const space = server.engine.addressSpace;
  for (const [number, machinePort] of ports.entries()) {
    const own = space.registerNamespace(`urn:bench:M${number}`);
    const folder = own.addFolder(space.rootFolder.objects, { browseName: `M${number}` });
    const nodes = [];
    for (let tag = 0; tag < tags; tag += 1) {
      nodes.push(own.addVariable({ browseName: `T${tag}`, nodeId: `s=T${tag}`, componentOf: folder,
        dataType: DataType.Double, minimumSamplingInterval: 0 }));
    }
    const client = OPCUAClient.create({ endpointMustExist: false, clientName: `mirror ${number}` });
    await client.connect(`opc.tcp://127.0.0.1:${machinePort}`);
    const session = await client.createSession();
    const names = await session.readNamespaceArray();
    const index = names.indexOf("urn:bench");
    const subscription = await session.createSubscription2({ requestedPublishingInterval: 100,
      requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 10, publishingEnabled: true });
    const items = nodes.map((node, tag) => ({ nodeId: `ns=${index};s=T${tag}`, attributeId: AttributeIds.Value }));
    const group = ClientMonitoredItemGroup.create(subscription, items,
      { samplingInterval: 0, queueSize: 100, discardOldest: true }, TimestampsToReturn.Both);
    group.on("changed", (item, value, at) => {
      nodes[at].setValueFromSource(value.value, value.statusCode, value.sourceTimestamp);
    });
  }
  await server.start();
}

main(Number(process.argv[2]), process.argv[3].split(",").map(Number), Number(process.argv[4])).catch((error) => {
  console.error(error);
  process.exit(1);
});

// The mirror of the benchmark in node-opcua: every variable of every machine, with its value, status and times, and
// with a directory, shown when it is durable in an SQLite log there.
//
// Usage: mirror_node_opcua.js PORT MACHINE_PORTS TAGS [DIRECTORY]
"use strict";
const path = require("path");
const from = (name) => require(path.join(process.cwd(), "node_modules", name));
const { OPCUAServer, OPCUAClient, OPCUACertificateManager, AttributeIds, ClientMonitoredItemGroup, TimestampsToReturn,
  DataType, DataValue } = from("node-opcua");

// What comes within this time is one transaction.
const TOGETHER_MS = 5;

// Shows values when they are durable.
function keeper(directory) {
  const show = (node, value) => node.setValueFromSource(value.value, value.statusCode, value.sourceTimestamp);
  if (!directory) return (number, node, value) => show(node, value);
  const database = new (from("better-sqlite3"))(path.join(directory, "log.sqlite"));
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  database.exec("CREATE TABLE samples (node INTEGER, at INTEGER, status INTEGER, value REAL)");
  const insert = database.prepare("INSERT INTO samples VALUES (?, ?, ?, ?)");
  const commit = database.transaction((all) => {
    for (const [number, , value] of all) {
      insert.run(number, value.sourceTimestamp.getTime(), value.statusCode.value, value.value.value);
    }
  });
  let waiting = [];
  const keep = () => {
    const all = waiting;
    waiting = [];
    commit(all);
    for (const [, node, value] of all) show(node, value);
  };
  return (number, node, value) => {
    if (waiting.push([number, node, value]) === 1) setTimeout(keep, TOGETHER_MS);
  };
}

async function main(port, ports, tags, directory) {
  const keep = keeper(directory);
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
      keep(number * tags + at, nodes[at], value);
    });
  }
  await server.start();
}

main(Number(process.argv[2]), process.argv[3].split(",").map(Number), Number(process.argv[4]),
  process.argv[5]).catch((error) => {
  console.error(error);
  process.exit(1);
});

// A filler by node-opcua that speaks the words of the standards: PackML with its three state machines and its
// counts in structures, Machinery with item state, operation mode and nameplate, all from the official nodesets.
// It fills ten bottles a second, every tenth is bad, and it is held for a second every ten.
//
// Usage: standards_node_opcua.js PORT PKI_DIRECTORY. Runs until killed; writes to standard output what it has
// made, so that nobody has to believe anybody else.
"use strict";
const path = require("path");
const { OPCUAServer, OPCUACertificateManager, DataType, VariantArrayType, StatusCodes, nodesets, promoteToStateMachine } =
  require("node-opcua");

const PACKML = "http://opcfoundation.org/UA/PackML/";
const MACHINERY = "http://opcfoundation.org/UA/Machinery/";
const DI = "http://opcfoundation.org/UA/DI/";
const OURS = "urn:linewright:interop:standards";

async function main(port, pki) {
  const server = new OPCUAServer({
    port,
    serverCertificateManager: new OPCUACertificateManager({ rootFolder: pki }),
    nodeset_filename: [nodesets.standard, nodesets.di, nodesets.ia, nodesets.machinery, nodesets.packML],
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const own = space.registerNamespace(OURS);
  const index = (uri) => space.getNamespaceIndex(uri);
  const type = (uri, name) => space.findObjectType(name, index(uri));
  const machines = space.rootFolder.objects.getFolderElementByName("Machines", index(MACHINERY));
  const machine = own.addObject({ browseName: "Filler", organizedBy: machines || space.rootFolder.objects });
  const filler = type(PACKML, "PackMLBaseObjectType").instantiate({
    browseName: "PackML", componentOf: machine, namespace: own,
    optionals: ["Admin.ProdProcessedCount", "Admin.ProdDefectiveCount"],
  });
  const identification = type(MACHINERY, "MachineIdentificationType").instantiate({
    browseName: { name: "Identification", namespaceIndex: index(DI) }, componentOf: machine, namespace: own,
  });
  const say = (node, dataType, value) => node.setValueFromSource({ dataType, value });
  const property = (name) => identification.getChildByName(name);
  say(property("Manufacturer"), DataType.LocalizedText, { text: "Filler \"Works\"" });
  say(property("SerialNumber"), DataType.String, "4711-7");
  say(property("ProductInstanceUri"), DataType.String, "urn:filler.example:4711-7");
  const blocks = own.addObject({ browseName: "MachineryBuildingBlocks", componentOf: machine });
  const items = type(MACHINERY, "MachineryItemState_StateMachineType").instantiate({
    browseName: "MachineryItemState", componentOf: blocks, namespace: own });
  promoteToStateMachine(items);
  items.setState("Executing");

  const base = filler.getChildByName("BaseStateMachine");
  const inner = base.getChildByName("MachineState");
  const execute = inner.getChildByName("ExecuteState");
  for (const stateMachine of [base, inner, execute]) promoteToStateMachine(stateMachine);
  base.setState("Cleared");
  inner.setState("Running");
  execute.setState("Execute");
  const status = filler.getChildByName("Status");
  say(status.getChildByName("UnitModeCurrent"), DataType.Int32, 1);
  say(status.getChildByName("EquipmentBlocked"), DataType.Boolean, false);
  say(status.getChildByName("EquipmentStarved"), DataType.Boolean, false);
  const admin = filler.getChildByName("Admin");
  const countType = space.findDataType("PackMLCountDataType", index(PACKML));
  const counts = (total) => [space.constructExtensionObject(countType, {
    id: 1, name: "Bottles", count: total % 1000, accCount: total })];
  const tell = (node, total) => node.setValueFromSource({
    dataType: DataType.ExtensionObject, arrayType: VariantArrayType.Array, value: counts(total) });
  let made = 0;
  let bad = 0;
  tell(admin.getChildByName("ProdProcessedCount"), made);
  tell(admin.getChildByName("ProdDefectiveCount"), bad);
  await server.start();
  console.log("ready");
  let tick = 0;
  setInterval(() => {
    tick += 1;
    const stands = tick % 110 >= 100;
    if (tick % 110 === 100) execute.setState("Held");
    if (tick % 110 === 0) execute.setState("Execute");
    if (stands) return;
    made += 1;
    if (made % 10 === 0) bad += 1;
    tell(admin.getChildByName("ProdProcessedCount"), made);
    tell(admin.getChildByName("ProdDefectiveCount"), bad);
    console.log(`made ${made} bad ${bad}`);
  }, 100);
}

main(Number(process.argv[2]), process.argv[3]).catch((error) => {
  console.error(error);
  process.exit(1);
});

// A machine by node-opcua that takes job orders as OPC 10031-4 has them, from the official nodeset, and beside that
// has plain variables for an order, a method to begin, and methods with the arguments that PackML machines have, of
// the types of its official nodeset.
//
// Usage: orders_node_opcua.js PORT PKI_DIRECTORY. Runs until killed; writes to standard output what it was told. It
// refuses orders of the product "Glass", answers with the number 0 or with bits, in turn, and does not answer to
// Begin when the order is called "SILENT".
"use strict";
const { OPCUAServer, OPCUACertificateManager, DataType, VariantArrayType, StatusCodes, Variant, nodesets } =
  require("node-opcua");

const JOBS = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/";

async function main(port, pki) {
  const server = new OPCUAServer({
    port,
    serverCertificateManager: new OPCUACertificateManager({ rootFolder: pki }),
    nodeset_filename: [nodesets.standard, nodesets.isa95JobControl, nodesets.packML],
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const own = space.registerNamespace("urn:linewright:interop:orders");
  const jobs = space.getNamespaceIndex(JOBS);
  const press = own.addObject({ browseName: "Press", organizedBy: space.rootFolder.objects });
  const variable = (name, dataType, value) => {
    const node = own.addVariable({ browseName: name, componentOf: press, nodeId: `s=Press.${name}`, dataType,
      value: { dataType, value } });
    node.on("value_changed", (changed) => console.log(`written ${name} ${changed.value.value}`));
    return node;
  };
  const cycles = variable("Cycles", DataType.UInt32, 0);
  cycles.removeAllListeners("value_changed");
  const order = variable("Order", DataType.String, "");
  variable("Quantity", DataType.UInt16, 0);
  variable("Temperature", DataType.Double, 20);
  const begin = own.addMethod(press, { browseName: "Begin", nodeId: "s=Press.Begin" });
  begin.bindMethod((inputs, context, callback) => {
    const number = order.readValue().value.value;
    console.log(`called Begin ${number}`);
    // Whoever calls it for such an order never hears what came of it.
    if (number.startsWith("SILENT")) return;
    callback(null, { statusCode: StatusCodes.Good, outputArguments: [] });
  });

  const packml = space.getNamespaceIndex("http://opcfoundation.org/UA/PackML/");
  const packmlMethod = (name, argument, dataType, valueRank, say) => {
    const inputArguments = [{ name: argument, dataType, valueRank }];
    const method = own.addMethod(press, { browseName: name, nodeId: `s=Press.${name}`, inputArguments });
    method.bindMethod((inputs, context, callback) => {
      console.log(`called ${name} ${say(inputs[0].value)}`);
      callback(null, { statusCode: StatusCodes.Good, outputArguments: [] });
    });
  };
  const typeOf = (name) => space.findDataType(name, packml).nodeId;
  packmlMethod("SetUnitMode", "RequestedMode", DataType.Int32, -1, (mode) => mode);
  packmlMethod("SetProduct", "Product", typeOf("PackMLProductDataType"), 1, (products) =>
    JSON.stringify(products.map((one) => [one.productID, (one.processVariables || []).length,
      (one.ingredients || []).map((part) => part.ingredientID)])));
  packmlMethod("Start", "Parameter", typeOf("PackMLDescriptorDataType"), 1, (all) => (all || []).length);

  const type = space.findObjectType("ISA95JobOrderReceiverObjectType", jobs);
  const receiver = type.instantiate({ browseName: "JobOrderControl", componentOf: press, namespace: own,
    optionals: ["StoreAndStart", "Start", "Stop", "Pause", "Resume", "Abort"] });
  const held = new Map();
  const stateType = space.findDataType("ISA95StateDataType", jobs);
  const pairType = space.findDataType("ISA95JobOrderAndStateDataType", jobs);
  const states = { Running: 3, Interrupted: 4, Ended: 5, Aborted: 6 };
  const list = receiver.getChildByName("JobOrderList");
  const show = () => list.setValueFromSource({ dataType: DataType.ExtensionObject, arrayType: VariantArrayType.Array,
    value: [...held.values()].map(({ job, state }) => space.constructExtensionObject(pairType, { jobOrder: job,
      state: [space.constructExtensionObject(stateType, { browsePath: {}, stateText: { text: state },
        stateNumber: states[state] })] })) });
  show();
  let answers = 0;
  const answer = (callback, bits) => {
    answers += 1;
    // What is no error is bit 0 for some and the number 0 for others.
    const value = bits === 0 ? [0, answers % 2] : [0, bits];
    const statusCode = bits === 0 ? StatusCodes.Good : StatusCodes.Uncertain;
    callback(null, { statusCode, outputArguments: [new Variant({ dataType: DataType.UInt64, arrayType: VariantArrayType.Scalar, value })] });
  };
  const on = (name, act) => receiver.getChildByName(name).bindMethod((inputs, context, callback) => {
    const bits = act(inputs[0].value);
    console.log(`told ${name} ${inputs[0].value.jobOrderID || inputs[0].value} ${bits}`);
    show();
    answer(callback, bits);
  });
  on("StoreAndStart", (job) => {
    if (held.has(job.jobOrderID)) return 16;
    if (job.workMasterID[0].ID === "Glass") return 16;
    const planned = job.jobOrderParameters.find((one) => one.ID === "PlannedOrderQuantity");
    console.log(`job ${job.jobOrderID} ${job.workMasterID[0].ID} ${planned.value.value} ` +
      `${job.materialRequirements[0].materialLotID} ${job.jobOrderParameters.length}`);
    held.set(job.jobOrderID, { job, state: "Running" });
    return 0;
  });
  const move = (name, from, to) => on(name, (id) => {
    const one = held.get(id);
    if (!one) return 2;
    if (!from.includes(one.state)) return 8;
    one.state = to;
    return 0;
  });
  move("Pause", ["Running"], "Interrupted");
  move("Resume", ["Interrupted"], "Running");
  move("Stop", ["Running", "Interrupted"], "Ended");
  move("Abort", ["Running", "Interrupted"], "Aborted");
  move("Start", [], "Running");
  await server.start();
  console.log("ready");
  let count = 0;
  setInterval(() => {
    count += 1;
    cycles.setValueFromSource({ dataType: DataType.UInt32, value: count });
  }, 200);
}

main(Number(process.argv[2]), process.argv[3]).catch((error) => {
  console.error(error);
  process.exit(1);
});

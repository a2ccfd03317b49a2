// A machine by node-opcua with an alarm, a type of events of its own, and nodes that appear while it runs.
//
// Usage: alarms_node_opcua.js PORT PKI_DIRECTORY. Runs until killed. Its alarm follows Oven.Temperature, which
// anybody may write; Break tells of a broken tool, Grow adds a variable.
"use strict";
const { OPCUAServer, OPCUACertificateManager, DataType, StatusCodes, nodesets } = require("node-opcua");

async function main(port, pki) {
  const server = new OPCUAServer({
    port,
    serverCertificateManager: new OPCUACertificateManager({ rootFolder: pki }),
    nodeset_filename: [nodesets.standard],
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  space.installAlarmsAndConditionsService();
  const own = space.registerNamespace("urn:linewright:interop:alarms");
  const oven = own.addObject({
    browseName: "Oven", nodeId: "s=Oven", organizedBy: space.rootFolder.objects, eventNotifier: 1,
    eventSourceOf: space.rootFolder.objects.server,
  });
  own.addVariable({ browseName: { name: "NodeVersion", namespaceIndex: 0 }, propertyOf: oven, dataType: DataType.String,
    value: { dataType: DataType.String, value: "1" } });
  const variable = (name, dataType, value) => own.addVariable({
    browseName: name, componentOf: oven, nodeId: `s=Oven.${name}`, dataType, value: { dataType, value } });
  const count = variable("Count", DataType.UInt32, 0);
  const temperature = own.addVariable({
    browseName: "Temperature", componentOf: oven, nodeId: "s=Oven.Temperature", dataType: DataType.Double,
    value: { dataType: DataType.Double, value: 20 }, eventSourceOf: oven });
  own.instantiateExclusiveLimitAlarm("ExclusiveLimitAlarmType", {
    browseName: "TooHot", nodeId: "s=Oven.TooHot", componentOf: oven, conditionSource: temperature,
    inputNode: temperature, highHighLimit: 200, highLimit: 100, lowLimit: -50, lowLowLimit: -100,
    optionals: ["ConfirmedState", "Confirm"],
  });
  const broken = own.addEventType({ browseName: "ToolBrokenEventType", subtypeOf: "BaseEventType", nodeId: "i=7001" });
  own.addVariable({ browseName: "Tool", propertyOf: broken, dataType: DataType.UInt32, nodeId: "i=7002",
    modellingRule: "Mandatory" });
  const spoken = own.addVariable({ browseName: "Wear", componentOf: broken, dataType: DataType.Double, nodeId: "i=7003",
    typeDefinition: "AnalogItemType", modellingRule: "Mandatory" });
  if (!spoken) throw new Error("no wear");
  const method = (name, act) => own.addMethod(oven, { browseName: name, nodeId: `s=Oven.${name}` })
    .bindMethod((inputs, context, callback) => {
      act();
      callback(null, { statusCode: StatusCodes.Good, outputArguments: [] });
    });
  method("Break", () => oven.raiseEvent(broken, {
    sourceName: { dataType: DataType.String, value: "Oven" },
    message: { dataType: DataType.LocalizedText, value: { locale: "de", text: "Fräser <b>gebrochen</b>" } },
    severity: { dataType: DataType.UInt16, value: 700 },
    tool: { dataType: DataType.UInt32, value: 12 },
    wear: { dataType: DataType.Double, value: 0.75 },
  }));
  let grown = 0;
  method("Grow", () => space.modelChangeTransaction(() => {
    grown += 1;
    variable(`Grown${grown}`, DataType.Double, grown);
  }));
  await server.start();
  console.log("ready");
  let ticks = 0;
  setInterval(() => {
    ticks += 1;
    count.setValueFromSource({ dataType: DataType.UInt32, value: ticks });
  }, 100);
}

main(Number(process.argv[2]), process.argv[3]).catch((error) => {
  console.error(error);
  process.exit(1);
});

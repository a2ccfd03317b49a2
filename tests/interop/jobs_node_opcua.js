// node-opcua over the structures of job control: it reads their definitions from the server, sends job
// orders with all fields, the least and every other one, and reads back what the server has made of them.
// Usage: jobs_node_opcua.js URL USER PASSWORD PKI LINE PRODUCT
const opcua = require("node-opcua");
const { logOn } = require("./logon_node_opcua.js");
const { StatusCodes, DataType, VariantArrayType, AttributeIds } = opcua;

const JOBS = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/";

function expect(condition, text) {
    if (!condition) throw new Error(text);
}

const comment = {
    dataType: DataType.LocalizedText,
    arrayType: VariantArrayType.Array,
    value: [opcua.coerceLocalizedText("because")],
};
const text = (value) => ({ dataType: DataType.String, value });

function parameter(depth) {
    return {
        iD: "Speed",
        value: { dataType: DataType.Double, value: 12.5 },
        description: [opcua.coerceLocalizedText("how fast")],
        engineeringUnits: opcua.makeEUInformation("C62", "one", "one"),
        subparameters: depth > 0 ? [parameter(depth - 1)] : [],
    };
}

// The optional fields besides those without which there is no order.
function others() {
    return {
        description: [opcua.coerceLocalizedText("a test")],
        workMasterID: [{ iD: "R", description: opcua.coerceLocalizedText("r"), parameters: [parameter(1)] }],
        startTime: new Date(),
        endTime: new Date(),
        priority: 7,
        jobOrderParameters: [parameter(2)],
        personnelRequirements: [{ iD: "P", quantity: "1" }],
        physicalAssetRequirements: [{ iD: "A", properties: [{ iD: "x", value: { dataType: DataType.Int32, value: 1 } }] }],
    };
}

async function main(url, user, password, pki, line, product) {
    const { client, session, namespaces, plant } = await logOn(url, user, password, pki);
    const jobs = namespaces.indexOf(JOBS);
    const root = `ns=${plant};s=line/${line}/MachineryBuildingBlocks/JobManagement`;
    const call = async (object, method, ...inputArguments) => {
        const result = await session.call({
            objectId: `${root}/${object}`, methodId: `${root}/${object}/${method}`, inputArguments });
        const outputs = result.outputArguments || [];
        const bits = outputs.length ? outputs[outputs.length - 1].value : undefined;
        // UInt64 is a pair of its high and low half.
        return { status: result.statusCode, bits: bits && bits[0] * 2 ** 32 + bits[1], outputs };
    };
    const names = Object.keys(others());
    const choices = [[], names, names.filter((_, i) => i % 2 === 0), names.filter((_, i) => i % 2 === 1)];
    for (const [number, chosen] of choices.entries()) {
        const id = `NO-${line}-${number}`;
        const fields = Object.fromEntries(chosen.map((name) => [name, others()[name]]));
        const order = await session.constructExtensionObject(opcua.coerceNodeId(`ns=${jobs};i=3008`), {
            jobOrderID: id,
            materialRequirements: [{
                materialDefinitionID: product, materialUse: "material produced", quantity: "12.5" }],
            equipmentRequirements: [{ iD: line }],
            ...fields,
        });
        const stored = await call("JobOrderControl", "StoreAndStart",
            { dataType: DataType.ExtensionObject, value: order }, comment);
        expect(stored.bits === 1 && stored.status.isGood(), `${id} is not stored: ${stored.status} ${stored.bits}`);
        const list = await session.read({
            nodeId: `${root}/JobOrderControl/JobOrderList`, attributeId: AttributeIds.Value });
        const entry = list.value.value.find((one) => one.jobOrder.jobOrderID === id);
        expect(entry, `${id} is not listed`);
        expect(entry.state[0].stateText.text === "AllowedToStart", `${id} is ${entry.state[0].stateText.text}`);
        const made = entry.jobOrder.materialRequirements[0];
        expect(made.quantity === "12.5" && made.materialDefinitionID === product, `${id} makes ${made}`);
        expect(made.materialLotID === undefined, `${id} has a lot that nobody gave`);
        const asked = await call("JobOrderResults", "RequestJobResponseByJobOrderID", text(id));
        expect(asked.outputs[0].value.jobOrderID === id, `the response is ${asked.outputs[0].value}`);
        expect(asked.outputs[0].value.startTime === undefined, `${id} has not begun and has a start`);
    }
    const unknown = await call("JobOrderControl", "Pause", text("nobody-knows-me"), comment);
    expect(unknown.bits === 2 && unknown.status.equals(StatusCodes.Uncertain),
        `pausing nothing gives ${unknown.status} ${unknown.bits}`);
    for (const number of choices.keys()) {
        const done = await call("JobOrderControl", "Abort", text(`NO-${line}-${number}`), comment);
        expect(done.bits === 1, `aborting gives ${done.bits}`);
    }
    await session.close();
    await client.disconnect();
    console.log(`node-opcua jobs: ${choices.length} job orders there and back`);
}

main(...process.argv.slice(2)).then(
    () => process.exit(0),
    (error) => {
        console.error(`node-opcua jobs: ${error.stack || error}`);
        process.exit(1);
    });

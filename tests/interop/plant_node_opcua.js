// node-opcua as a panel: calls every method with plain arguments that the plant has, decodes our structures,
// and pages through what folders list.
// Usage: plant_node_opcua.js URL USER PASSWORD PKI LINE PRODUCT MACHINE REASON
// Nothing else may run on LINE; MACHINE stops now and then.
const opcua = require("node-opcua");
const { logOn } = require("./logon_node_opcua.js");
const { StatusCodes, DataType, AttributeIds, BrowseDirection } = opcua;

function expect(condition, text) {
    if (!condition) throw new Error(text);
}

const text = (value) => ({ dataType: DataType.String, value });
const count = (value) => ({ dataType: DataType.UInt32, value });
const time = (value) => ({ dataType: DataType.DateTime, value });

async function until(what, look, seconds = 60) {
    for (const start = Date.now(); Date.now() - start < seconds * 1000; ) {
        const found = await look();
        if (found) return found;
        await new Promise((wake) => setTimeout(wake, 100));
    }
    throw new Error(`${what} did not happen within ${seconds} s`);
}

class Plant {
    constructor(session, plant) {
        this.session = session;
        this.plant = plant;
        this.called = new Set();
    }

    id(path) {
        return `ns=${this.plant};s=${path}`;
    }

    async value(path) {
        const read = await this.session.read({ nodeId: this.id(path), attributeId: AttributeIds.Value });
        return read.value.value;
    }

    async call(on, name, ...inputArguments) {
        this.called.add(name);
        const result = await this.session.call({
            objectId: this.id(on), methodId: this.id(`${on}/${name}`), inputArguments });
        const outputs = (result.outputArguments || []).map((output) => output.value);
        return { status: result.statusCode, outputs };
    }

    async done(on, name, ...inputs) {
        const { status, outputs } = await this.call(on, name, ...inputs);
        expect(status.equals(StatusCodes.Good) && outputs[outputs.length - 2] === "ok",
            `${name} gives ${status}: ${outputs.slice(-2)}`);
        return outputs.slice(0, -2);
    }

    async refused(code, on, name, ...inputs) {
        const { status, outputs } = await this.call(on, name, ...inputs);
        const isUncertain = (status.value >>> 30) === 1;
        expect(isUncertain && outputs[outputs.length - 2] === code && outputs[outputs.length - 1],
            `${name} gives ${status}: ${outputs.slice(-2)} instead of ${code}`);
    }

    // What a folder lists, a few at a time.
    async listed(path, most = 3) {
        let result = await this.session.browse({
            nodeId: this.id(path), referenceTypeId: "Organizes", includeSubtypes: true,
            browseDirection: BrowseDirection.Forward, resultMask: 63, nodeClassMask: 0 });
        const found = [...(result.references || [])];
        expect(found.length <= most || most === 0, `${path} gives ${found.length} at once`);
        while (result.continuationPoint && result.continuationPoint.length > 0) {
            result = await this.session.browseNext(result.continuationPoint, false);
            expect((result.references || []).length <= most, "a page is too long");
            found.push(...(result.references || []));
        }
        return found.map((reference) => String(reference.nodeId.value));
    }
}

async function orders(plant, line, product, reason) {
    const number = `N-${Date.now()}`, other = `${number}-other`, mes = "mes/Orders";
    const store = (order) => plant.done(mes, "StoreOrder", text(order),
        { dataType: DataType.UInt64, arrayType: opcua.VariantArrayType.Scalar, value: [0, 1] }, text(line), text(product), text("10"));
    await store(other);
    await plant.done(mes, "CancelOrder", text(other));
    await store(number);
    for (const name of ["RevokeOrder", "ReleaseOrder", "StartOrder", "PauseOrder", "ResumeOrder"]) {
        await plant.done(mes, name, text(number));
    }
    const lot = `L-${number}`;
    await plant.done(mes, "ReportConsumption", text(number), text(lot), text("1"), text(""));
    await until("parts of the order", async () => (await plant.value(`order/${number}/GoodCount`))[1] >= 3);
    await plant.done(mes, "ReportProduction", text(number), count(0), count(2), text(reason), text(""));
    for (const name of ["CompleteOrder", "CloseOrder"]) await plant.done(mes, name, text(number));
    await plant.refused("mes.order.unknown", mes, "AbortOrder", text("nobody-knows-me"));
    const records = await plant.value(`order/${number}/QualityRecords`);
    expect(records.length === 1 && records[0].scrap[1] === 2 && records[0].reason === reason
        && records[0].reasonName.text && records[0].actor === "supervisor", `the quality records are ${records}`);
    const operations = await plant.value(`order/${number}/LotOperations`);
    const consumed = operations.find((operation) => operation.lot === lot);
    expect(consumed && consumed.quantity === "1" && consumed.operation === 1 && !consumed.machine,
        `the consumption is ${consumed}`);
    return { number, lot };
}

async function genealogy(plant, order, lot) {
    const made = await plant.value(`order/${order}/Lot`);
    for (const [name, start, end] of [["TraceBackward", made, lot], ["TraceForward", lot, made]]) {
        const [operations] = await plant.done("mes/Lots", name, text(start), count(0), count(0), text(""));
        expect(operations.some((operation) => operation.lot === end), `${name}: ${operations}`);
        const paged = [];
        for (let place = ""; ; ) {
            const page = await plant.done("mes/Lots", name, text(start), count(0), count(1), text(place));
            paged.push(...page[0]);
            place = page[1];
            if (!place) break;
        }
        expect(String(paged) === String(operations), `${name} in pages: ${paged}`);
    }
    for (const [folder, path] of [["mes/Orders/ByDay", `order/${order}`], ["mes/Lots/ByDay", `lot/${lot}`]]) {
        const days = await plant.listed(folder, 0);
        const listed = await plant.listed(days[days.length - 1], 0);
        expect(listed.includes(path), `${path} is not in ${days[days.length - 1]}`);
    }
}

async function stops(plant, machine, reason) {
    const on = `machine/${machine}`;
    const path = await until("a stop that is over", async () => {
        for (const one of (await plant.listed(`${on}/Stops`, 0)).reverse()) {
            if (!(await plant.value(`${one}/Active`)) && !(await plant.value(`${one}/Micro`))) return one;
        }
        return undefined;
    });
    const start = await plant.value(`${path}/Start`), end = await plant.value(`${path}/End`);
    const after = (at, ms) => time(new Date(at.getTime() + ms));
    const inside = after(start, 1), half = (end - start) / 2;
    await plant.done(on, "ClassifyStop", inside, text(reason), text("seen by node-opcua"));
    expect((await plant.value(`${path}/Comment`)) === "seen by node-opcua", "the comment is not there");
    await plant.done(on, "SplitStop", inside, after(start, half), text(""));
    await plant.done(on, "MergeStops", inside, after(start, half + 1), text(""));
    await plant.done(on, "StateStop", after(end, 10), after(end, 30), text(reason), text(""));
    await plant.done(on, "WithdrawStop", after(end, 10), text(""));
    await plant.refused("mes.gap.unknown", on, "ResolveGap", after(end, 10), after(end, 20),
        { dataType: DataType.Int32, value: 0 }, text(""));
    await plant.done(on, "LogOn", text("P-18"));
    await plant.done(on, "LogOff");
    const open = await plant.value("site/Demo/OpenStops");
    expect(open.every((stop) => stop.machine && stop.line && stop.start), `open stops are ${open}`);
    return open.length;
}

async function evidence(plant, machine) {
    const on = `machine/${machine}/KPI/ThisShift`, rows = [];
    let above = 0;
    for (let place = ""; ; ) {
        const answer = await plant.done(on, "Why", text("Coverage"), count(50), text(place));
        above = answer[1];
        rows.push(...answer[4]);
        place = answer[5];
        if (!place) break;
    }
    const outside = ["no_data", "not_scheduled", "planned_down"];
    const busy = rows.filter((row) => row.kind === "interval" && !outside.includes(row.class));
    // Times come with a tenth of a microsecond and are read to a millisecond; lengths are exact.
    const sum = busy.reduce((all, row) => all + row.duration, 0);
    expect(Math.abs(sum - above) < 0.001, `intervals give ${sum}, the figure has ${above}`);
    return rows.length;
}

async function main(url, user, password, pki, line, product, machine, reason) {
    const { client, session, plant: index } = await logOn(url, user, password, pki);
    const plant = new Plant(session, index);
    const { number, lot } = await orders(plant, line, product, reason);
    await genealogy(plant, number, lot);
    await stops(plant, machine, reason);
    await plant.done(`line/${line}`, "NoteShift", time(null), text("written by node-opcua"));
    // Nothing is fetched at once that is not wanted at once.
    session.requestedMaxReferencesPerNode = 2;
    const days = await plant.listed("mes/Lots/ByDay", 2);
    const paged = await plant.listed(days[days.length - 1], 2);
    expect(new Set(paged).size === paged.length && paged.length > 2, `pages of two give ${paged}`);
    const rows = await evidence(plant, machine);
    await session.close();
    await client.disconnect();
    console.log(`node-opcua plant: ${plant.called.size} methods called, ${rows} rows behind a figure`);
}

main(...process.argv.slice(2)).catch((error) => {
    console.error(`node-opcua plant: ${error.stack}`);
    process.exit(1);
});

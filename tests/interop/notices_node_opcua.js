// node-opcua as a viewer of alarms: events of a machine with a filter, a refresh with its marks, an
// acknowledgement and a confirmation with its own calls for them, and the event history in pages.
// Usage: notices_node_opcua.js URL USER PASSWORD PKI LINE MACHINE REASON
const opcua = require("node-opcua");
const { logOn } = require("./logon_node_opcua.js");
const { AttributeIds, DataType, StatusCodes } = opcua;

function expect(condition, text) {
    if (!condition) throw new Error(text);
}

const FIELDS = [
    "EventId", "EventType", "SourceName", "Time", "Message", "Severity", "BranchId", "Retain",
    "ActiveState.Id", "AckedState.Id", "ConfirmedState.Id", "Comment", "Quality",
];

async function until(what, events, find, seconds = 60) {
    for (const start = Date.now(); Date.now() - start < seconds * 1000; ) {
        const found = events.find(find);
        if (found) return found;
        await new Promise((wake) => setTimeout(wake, 50));
    }
    throw new Error(`no event: ${what}; ${events.length} others came`);
}

async function watch(session, node, filter, names) {
    const subscription = await session.createSubscription2({
        requestedPublishingInterval: 100, requestedLifetimeCount: 1000,
        requestedMaxKeepAliveCount: 100, publishingEnabled: true });
    const item = await subscription.monitor(
        { nodeId: node, attributeId: AttributeIds.EventNotifier },
        { samplingInterval: 0, queueSize: 1000, filter }, opcua.TimestampsToReturn.Both);
    const events = [];
    item.on("changed", (values) =>
        events.push(Object.fromEntries(names.map((name, index) => [name, values[index].value]))));
    return { subscription, events };
}

async function alarms(session, plant, machine, reason) {
    const alarm = `ns=${plant};s=machine/${machine}/UnexplainedStop`;
    const types = [...FIELDS];
    const filter = opcua.constructEventFilter(types, opcua.ofType("ConditionType"));
    filter.selectClauses.push(new opcua.SimpleAttributeOperand({
        typeDefinitionId: opcua.resolveNodeId("ConditionType"), browsePath: [],
        attributeId: AttributeIds.NodeId }));
    const { subscription, events } = await watch(
        session, `ns=${plant};s=machine/${machine}`, filter, [...types, "ConditionId"]);
    const isOpen = (e) => e.ConditionId && String(e.ConditionId) === alarm && e.Retain
        && e["ConfirmedState.Id"] === false;
    const refresh = { objectId: "ns=0;i=2782", methodId: "ns=0;i=3875", inputArguments: [
        { dataType: DataType.UInt32, value: subscription.subscriptionId }] };
    expect((await session.call(refresh)).statusCode === StatusCodes.Good, "the refresh is refused");
    expect((await session.call(refresh)).statusCode === StatusCodes.BadRefreshInProgress,
        "a second refresh at once is not refused");
    await until("the end of the refresh", events, (e) => String(e.EventType) === "ns=0;i=2788");
    const kinds = events.map((e) => String(e.EventType));
    expect(kinds.indexOf("ns=0;i=2787") < kinds.indexOf("ns=0;i=2788"), `refreshed: ${kinds}`);
    const open = await until("a stop to explain", events, isOpen);
    expect(open.Quality === undefined || !String(open.Quality).includes("Bad"), `its quality is ${open.Quality}`);
    const seen = await session.acknowledgeCondition(alarm, open.EventId, "seen by node-opcua");
    expect(seen === StatusCodes.Good, `acknowledged: ${seen}`);
    const isMine = (e) => e.Comment && e.Comment.text === "seen by node-opcua" && e["AckedState.Id"];
    const acked = await until("it is acknowledged", events, isMine);
    const twice = await session.acknowledgeCondition(alarm, acked.EventId, "again");
    expect(twice === StatusCodes.BadConditionBranchAlreadyAcked, `acknowledged twice: ${twice}`);
    const bare = await session.confirmCondition(alarm, acked.EventId, "for no reason");
    expect(bare === StatusCodes.BadInvalidArgument, `confirmed without a reason: ${bare}`);
    const done = await session.confirmCondition(alarm, acked.EventId, `${reason}: node`);
    expect(done === StatusCodes.Good, `confirmed: ${done}`);
    const confirmed = await until("it is confirmed", events,
        (e) => e["ConfirmedState.Id"] && e.Comment && e.Comment.text === "node");
    expect(confirmed.Retain === false, "it is still retained");
    await subscription.terminate();
}

// Pages of two, and the two newest.
async function history(session, node) {
    const filter = opcua.constructEventFilter(["EventId", "Time"]);
    const now = new Date(), before = new Date(now.getTime() - 3600_000);
    const read = async (limit, start, end, point) => {
        const answer = await session.performMessageTransaction(new opcua.HistoryReadRequest({
            historyReadDetails: new opcua.ReadEventDetails({
                numValuesPerNode: limit, startTime: start, endTime: end, filter }),
            timestampsToReturn: opcua.TimestampsToReturn.Both, releaseContinuationPoints: false,
            nodesToRead: [{ nodeId: node, continuationPoint: point }] }));
        const result = answer.results[0];
        expect(result.statusCode.value >>> 30 === 0, `history of ${node}: ${result.statusCode}`);
        const ids = (result.historyData.events || []).map((e) => e.eventFields[0].value.toString("hex"));
        return { ids, point: result.continuationPoint };
    };
    const pages = [];
    for (let page = await read(2, before, now); ; page = await read(2, before, now, page.point)) {
        expect(page.ids.length <= 2, `a page of ${page.ids.length}`);
        pages.push(...page.ids);
        if (!page.point || page.point.length === 0 || pages.length >= 20) break;
    }
    expect(pages.length >= 6, `only ${pages.length} events of ${node}`);
    const whole = (await read(0, before, now)).ids;
    expect(JSON.stringify(whole.slice(0, pages.length)) === JSON.stringify(pages), "pages differ");
    const newest = await read(2, undefined, now);
    expect(!newest.point || newest.point.length === 0, "two were wanted, more are offered");
    expect(JSON.stringify(newest.ids) === JSON.stringify(whole.slice(-2).reverse()),
        `the newest are ${newest.ids}`);
}

async function main(url, user, password, pki, line, machine, reason) {
    const { client, session, plant } = await logOn(url, user, password, pki);
    await alarms(session, plant, machine, reason);
    await history(session, `ns=${plant};s=machine/${machine}`);
    const results = `ns=${plant};s=line/${line}/MachineryBuildingBlocks/JobManagement/JobOrderResults`;
    const bits = async (nodeId) =>
        (await session.read({ nodeId, attributeId: AttributeIds.EventNotifier })).value.value;
    expect((await bits(results)) === 1, `${results} says ${await bits(results)}`);
    expect((await bits(`ns=${plant};s=line/${line}`)) === 5, `the line says otherwise`);
    await session.close();
    await client.disconnect();
    console.log("node-opcua notices: all as it should be");
}

main(...process.argv.slice(2)).catch((error) => {
    console.error(`node-opcua notices: ${error.stack}`);
    process.exit(1);
});

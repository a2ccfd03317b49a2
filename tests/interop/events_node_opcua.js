// node-opcua as a viewer of events: for each of our types of events an item that wants that type only,
// with all fields that the server says it has; prints every event as a line of JSON, until it is ended.
// Usage: events_node_opcua.js OPEN_URL PKI
const opcua = require("node-opcua");
const { OPCUAClient, AttributeIds, BrowseDirection } = opcua;

async function main(url, pki) {
    const certificates = new opcua.OPCUACertificateManager({
        rootFolder: pki, automaticallyAcceptUnknownCertificate: true });
    await certificates.initialize();
    const client = OPCUAClient.create({
        endpointMustExist: false, clientCertificateManager: certificates });
    await client.connect(url);
    const session = await client.createSession();
    const own = (await session.readNamespaceArray()).indexOf("urn:linewright:ua:mes");
    const below = async (nodeId, referenceTypeId) => {
        const result = await session.browse({
            nodeId, referenceTypeId, includeSubtypes: true, resultMask: 63, nodeClassMask: 0,
            browseDirection: BrowseDirection.Forward });
        return result.references || [];
    };
    // Types with the fields of themselves and of those above them.
    const found = [];
    const walk = async (nodeId, name, fields) => {
        const properties = (await below(nodeId, "HasProperty")).map((p) => p.browseName);
        const all = [...fields, ...properties];
        if (nodeId.namespace === own) found.push({ nodeId, name, fields: all });
        for (const child of await below(nodeId, "HasSubtype")) {
            await walk(child.nodeId, child.browseName.name, all);
        }
    };
    await walk(opcua.resolveNodeId("BaseEventType"), "BaseEventType", []);
    const subscription = await session.createSubscription2({
        requestedPublishingInterval: 200, requestedLifetimeCount: 1000,
        requestedMaxKeepAliveCount: 100, publishingEnabled: true });
    for (const { nodeId, name, fields } of found) {
        const filter = opcua.constructEventFilter([], opcua.ofType(nodeId));
        filter.selectClauses = fields.map((field) => new opcua.SimpleAttributeOperand({
            typeDefinitionId: opcua.resolveNodeId("BaseEventType"), browsePath: [field],
            attributeId: AttributeIds.Value }));
        // A field of a type is selected by that type.
        filter.selectClauses.forEach((clause, index) => {
            if (fields[index].namespaceIndex === own) clause.typeDefinitionId = nodeId;
        });
        const item = await subscription.monitor(
            { nodeId: "ns=0;i=2253", attributeId: AttributeIds.EventNotifier },
            { samplingInterval: 0, queueSize: 1000, filter }, opcua.TimestampsToReturn.Both);
        item.on("changed", (values) => {
            const told = Object.fromEntries(fields.map((field, index) => {
                const value = values[index].value;
                const isPlain = ["string", "number", "boolean"].includes(typeof value);
                return [field.name, value === null || value === undefined || isPlain ? value : String(value)];
            }));
            // Only what is of exactly this type: subtypes have items of their own.
            if (told.EventType === nodeId.toString()) {
                console.log(JSON.stringify({ type: name, source: told.SourceName, fields: told }));
            }
        });
    }
    console.log("ready");
}

main(...process.argv.slice(2)).catch((error) => {
    console.error(`node-opcua events: ${error.stack}`);
    process.exit(1);
});

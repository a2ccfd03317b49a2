// node-opcua as a client of the running binary: browse, read, subscribe, read history, call.
//
// Usage: client_node_opcua.js OPEN_URL SECURE_URL USER PASSWORD PKI_DIRECTORY ORDER
"use strict";
const opcua = require("node-opcua");
const { OPCUAClient, AttributeIds, NodeClass, StatusCodes, DataType, UserTokenType } = opcua;

function expect(condition, text) {
    if (!condition) {
        console.error(`node-opcua client: ${text}`);
        process.exit(1);
    }
}

async function withSession(url, options, user, work) {
    const client = OPCUAClient.create({
        endpointMustExist: false,
        connectionStrategy: { maxRetry: 1 },
        applicationUri: undefined,
        ...options,
    });
    await client.connect(url);
    try {
        const session = await client.createSession(user);
        try {
            return await work(session);
        } finally {
            await session.close();
        }
    } finally {
        await client.disconnect();
    }
}

async function browse(session, index) {
    const seen = new Set();
    const queue = [`ns=${index};s=site/Demo`];
    while (queue.length > 0) {
        const nodeId = queue.pop();
        if (seen.has(nodeId)) continue;
        seen.add(nodeId);
        let result = await session.browse({
            nodeId,
            referenceTypeId: "HierarchicalReferences",
            includeSubtypes: true,
            browseDirection: 0,
            resultMask: 63,
            nodeClassMask: 0,
        });
        expect(result.statusCode.isGood(), `browsing ${nodeId} gives ${result.statusCode}`);
        let references = result.references || [];
        while (result.continuationPoint && result.continuationPoint.length > 0) {
            result = await session.browseNext(result.continuationPoint, false);
            references = references.concat(result.references || []);
        }
        for (const reference of references) {
            const id = reference.nodeId.toString();
            if (reference.nodeClass !== NodeClass.Method) {
                expect(!reference.typeDefinition.isEmpty(), `${id} has no type definition`);
            }
            if (reference.nodeId.namespace === index) queue.push(id);
        }
    }
    expect(seen.size > 200, `only ${seen.size} nodes found`);
    const types = (await session.readNamespaceArray()).indexOf("urn:linewright:ua:mes");
    const path = opcua.makeBrowsePath(
        `ns=${index};s=machine/L1-Filler`, `/${types}:Counters/${types}:Good`);
    const translated = await session.translateBrowsePath(path);
    const target = translated.targets[0].targetId.toString();
    expect(target === `ns=${index};s=machine/L1-Filler/Counters/Good`, `path leads to ${target}`);
    return seen.size;
}

async function subscribe(session, nodeIds) {
    const subscription = await session.createSubscription2({
        requestedPublishingInterval: 100,
        requestedLifetimeCount: 1000,
        requestedMaxKeepAliveCount: 10,
        publishingEnabled: true,
        maxNotificationsPerPublish: 0,
    });
    const counts = new Map();
    await new Promise((resolve) => {
        const deadline = setTimeout(resolve, 20000);
        for (const nodeId of nodeIds) {
            const item = opcua.ClientMonitoredItem.create(
                subscription,
                { nodeId, attributeId: AttributeIds.Value },
                { samplingInterval: 0, queueSize: 100, discardOldest: true },
                opcua.TimestampsToReturn.Both);
            item.on("changed", (value) => {
                expect(value.sourceTimestamp, `${nodeId} has no source timestamp`);
                counts.set(nodeId, (counts.get(nodeId) || 0) + 1);
                if (nodeIds.every((id) => (counts.get(id) || 0) >= 3)) {
                    clearTimeout(deadline);
                    resolve();
                }
            });
        }
    });
    await subscription.terminate();
    for (const id of nodeIds) {
        expect((counts.get(id) || 0) >= 3, `${id} changed ${counts.get(id) || 0} times`);
    }
    return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

async function readHistory(session, nodeId) {
    const end = new Date();
    const start = new Date(end.getTime() - 3600 * 1000);
    const whole = await session.readHistoryValue({ nodeId }, start, end);
    expect(whole.statusCode.isGood(), `history gives ${whole.statusCode}`);
    const values = whole.historyData.dataValues;
    expect(values.length > 3, `only ${values.length} stored values`);
    return values.length;
}

async function history(session, index) {
    const counts = await readHistory(session, `ns=${index};s=machine/L1-Filler/Counters/Good`);
    const unsupported = await session.readHistoryValue(
        { nodeId: `ns=${index};s=line/L1/CurrentOrder` }, new Date(0), new Date());
    expect(
        unsupported.statusCode.equals(StatusCodes.BadHistoryOperationUnsupported),
        `history of a variable without one gives ${unsupported.statusCode}`);
    return counts;
}

async function call(session, index, order) {
    const run = async (method, args) => {
        const result = await session.call({
            objectId: `ns=${index};s=mes/Orders`,
            methodId: `ns=${index};s=mes/Orders/${method}`,
            inputArguments: args,
        });
        return result;
    };
    const text = (value) => ({ dataType: DataType.String, value });
    const paused = await run("PauseOrder", [text(order)]);
    expect(paused.statusCode.isGood(), `PauseOrder gives ${paused.statusCode}`);
    expect(paused.outputArguments[0].value === "ok", `PauseOrder says ${paused.outputArguments}`);
    const twice = await run("PauseOrder", [text(order)]);
    const code = twice.outputArguments[0].value;
    expect(code === "mes.order.illegal_command", `pausing twice gives ${code}`);
    expect(twice.outputArguments[1].value.includes("resume"), "the refusal names no next step");
    const resumed = await run("ResumeOrder", [text(order)]);
    expect(resumed.outputArguments[0].value === "ok", `ResumeOrder says ${resumed.outputArguments}`);
    const state = await session.read({ nodeId: `ns=${index};s=order/${order}/State` });
    expect(state.value.value === 2, `the order's state is ${state.value.value}`);
    const made = await session.browse({
        nodeId: `ns=${index};s=order/${order}`,
        referenceTypeId: "NonHierarchicalReferences",
        includeSubtypes: true,
        browseDirection: 0,
        resultMask: 63,
    });
    const lots = made.references.filter((r) => r.nodeId.value.toString().startsWith("lot/"));
    expect(lots.length >= 2, `the order leads to ${lots.length} lots`);
    return lots.length;
}

async function main(openUrl, secureUrl, user, password, pki, order) {
    let report = "";
    await withSession(openUrl, {}, undefined, async (session) => {
        const namespaces = await session.readNamespaceArray();
        const index = namespaces.indexOf("urn:linewright:ua:plant:Demo");
        expect(index > 0, `no plant namespace in ${namespaces}`);
        const nodes = await browse(session, index);
        const changes = await subscribe(session, [
            `ns=${index};s=machine/L1-Filler/Counters/Good`,
            `ns=${index};s=line/L1/KPI/ThisShift/Oee`,
        ]);
        const stored = await history(session, index);
        report = `${nodes} nodes, ${changes} changes, ${stored} stored values`;
    });
    const certificates = new opcua.OPCUACertificateManager({
        rootFolder: pki,
        automaticallyAcceptUnknownCertificate: true,
    });
    await certificates.initialize();
    const secured = {
        securityMode: opcua.MessageSecurityMode.SignAndEncrypt,
        securityPolicy: opcua.SecurityPolicy.Basic256Sha256,
        clientCertificateManager: certificates,
    };
    const identity = { type: UserTokenType.UserName, userName: user, password };
    await withSession(secureUrl, secured, identity, async (session) => {
        const namespaces = await session.readNamespaceArray();
        const index = namespaces.indexOf("urn:linewright:ua:plant:Demo");
        const lots = await call(session, index, order);
        console.log(`node-opcua client: ${report}, ${lots} lots by reference, methods ok`);
    });
}

main(...process.argv.slice(2)).then(
    () => process.exit(0),
    (error) => {
        console.error(`node-opcua client: ${error.stack || error}`);
        process.exit(1);
    });

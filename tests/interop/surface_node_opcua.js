// node-opcua over the surface of the running server: policies and users, every service, a connection
// that is cut without losing anything, a channel that is renewed under load.
//
// Usage: surface_node_opcua.js URL CERTIFICATES PKI_DIRECTORY. The folder of certificates has
// user.pem and user-key.pem of a user who logs on with a certificate.
"use strict";
const fs = require("fs");
const net = require("net");
const path = require("path");
const opcua = require("node-opcua");
const {
    OPCUAClient, AttributeIds, MessageSecurityMode, MonitoringMode, SecurityPolicy, StatusCodes,
    TimestampsToReturn, UserTokenType,
} = opcua;

const SUPERVISOR = { type: UserTokenType.UserName, userName: "supervisor", password: "supervisor-demo-password" };

function expect(condition, text) {
    if (!condition) {
        console.error(`node-opcua surface: ${text}`);
        process.exit(1);
    }
}

function expectCodes(what, results, ...wanted) {
    const got = results.map((one) => (one.statusCode || one).name);
    expect(got.join() === wanted.map((one) => one.name).join(), `${what} gives ${got}`);
}

async function refused(what, work, ...texts) {
    try {
        await work;
    } catch (error) {
        expect(texts.some((text) => String(error.message).includes(text)), `${what}: ${error.message}`);
        return;
    }
    expect(false, `${what} was not refused`);
}

function client(certificates, options) {
    return OPCUAClient.create({
        endpointMustExist: false,
        clientCertificateManager: certificates,
        connectionStrategy: { initialDelay: 100, maxDelay: 500, maxRetry: 20 },
        ...options,
    });
}

async function withSession(one, url, user, work) {
    await one.connect(url);
    try {
        const session = await one.createSession(user);
        try {
            return await work(session);
        } finally {
            await session.close();
        }
    } finally {
        await one.disconnect();
    }
}

async function readState(session) {
    const state = await session.read({ nodeId: "i=2259", attributeId: AttributeIds.Value });
    expect(state.value.value === 0, `the server is ${state}`);
}

async function usersAndPolicies(url, certificates, folder) {
    const certificateUser = {
        type: UserTokenType.Certificate,
        certificateData: opcua.readCertificate
            ? opcua.readCertificate(path.join(folder, "user.pem"))
            : fs.readFileSync(path.join(folder, "user.der")),
        privateKey: fs.readFileSync(path.join(folder, "user-key.pem"), "ascii"),
    };
    let count = 0;
    for (const securityPolicy of [
        SecurityPolicy.Basic256Sha256,
        SecurityPolicy.Aes128_Sha256_RsaOaep,
        SecurityPolicy.Aes256_Sha256_RsaPss,
    ]) {
        for (const securityMode of [MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt]) {
            for (const user of [SUPERVISOR, certificateUser]) {
                await withSession(client(certificates, { securityPolicy, securityMode }), url, user, readState);
                count += 1;
            }
        }
    }
    const secured = {
        securityPolicy: SecurityPolicy.Basic256Sha256,
        securityMode: MessageSecurityMode.SignAndEncrypt,
        connectionStrategy: { maxRetry: 0 },
    };
    await refused(
        "a wrong password",
        withSession(client(certificates, secured), url, { ...SUPERVISOR, password: "wrong" }, readState),
        "BadUserAccessDenied");
    await withSession(client(certificates, {}), url, undefined, readState);
    return count + 1;
}

async function services(session, index) {
    const state = `ns=${index};s=machine/L1-Filler/State`;
    const read = await session.read([
        { nodeId: state, attributeId: AttributeIds.Value },
        { nodeId: state, attributeId: AttributeIds.RolePermissions },
        { nodeId: state, attributeId: AttributeIds.EventNotifier },
        { nodeId: `ns=${index};s=nothing`, attributeId: AttributeIds.Value },
        { nodeId: state, attributeId: AttributeIds.Value, dataEncoding: { namespaceIndex: 0, name: "Default XML" } },
    ]);
    expectCodes("reading", read, StatusCodes.Good, StatusCodes.Good, StatusCodes.BadAttributeIdInvalid,
        StatusCodes.BadNodeIdUnknown, StatusCodes.BadDataEncodingUnsupported);
    const written = await session.write([{
        nodeId: state, attributeId: AttributeIds.Value,
        value: { value: { dataType: opcua.DataType.Int32, value: 1 } },
    }]);
    expectCodes("writing", written, StatusCodes.BadNotWritable);
    const registered = await session.registerNodes([state]);
    expect(registered.length === 1, `registered ${registered}`);
    await session.unregisterNodes(registered);
    const missing = await session.translateBrowsePath(opcua.makeBrowsePath("i=85", "/0:Nothing"));
    expectCodes("a wrong path", [missing], StatusCodes.BadNoMatch);
    await refused("QueryFirst", session.queryFirst({ nodeTypes: [] }), "BadServiceUnsupported");
}

async function subscriptions(session, index) {
    const subscription = await session.createSubscription2({
        requestedPublishingInterval: 100, requestedLifetimeCount: 1000,
        requestedMaxKeepAliveCount: 5, publishingEnabled: true,
    });
    const watch = async (nodeId, mode) => subscription.monitor(
        { nodeId, attributeId: AttributeIds.Value },
        { samplingInterval: 0, queueSize: 100 }, TimestampsToReturn.Both, mode);
    const counter = `ns=${index};s=machine/L1-Filler/Counters/Good`;
    const [trigger, kept] = [await watch("i=2258"), await watch(counter, MonitoringMode.Sampling)];
    const linked = await subscription.setTriggering(trigger, [kept], []);
    expectCodes("triggers", linked.addResults, StatusCodes.Good);
    await new Promise((resolve) => kept.once("changed", resolve));
    await trigger.setMonitoringMode(MonitoringMode.Disabled);
    await trigger.modify({ samplingInterval: 500, queueSize: 5 });
    await subscription.setPublishingMode(false);
    await subscription.setPublishingMode(true);
    const known = await session.call({
        objectId: "i=2253", methodId: "i=11492",
        inputArguments: [{ dataType: opcua.DataType.UInt32, value: subscription.subscriptionId }],
    });
    expectCodes("GetMonitoredItems", [known], StatusCodes.Good);
    expect(known.outputArguments[0].value.length === 2, `items ${known.outputArguments[0]}`);
    await trigger.terminate();
    await subscription.terminate();
}

/** A proxy that can be cut. */
function proxy(url) {
    const { hostname, port } = new URL(url.replace("opc.tcp", "http"));
    const pairs = new Set();
    let connections = 0;
    const server = net.createServer((near) => {
        connections += 1;
        const far = net.connect(Number(port), hostname);
        const pair = [near, far];
        pairs.add(pair);
        const end = () => { pair.forEach((one) => one.destroy()); pairs.delete(pair); };
        for (const [from, to] of [[near, far], [far, near]]) {
            from.on("data", (bytes) => to.write(bytes));
            from.on("close", end);
            from.on("error", end);
        }
    });
    return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve({
        url: `opc.tcp://127.0.0.1:${server.address().port}`,
        cut: () => [...pairs].forEach((pair) => pair.forEach((one) => one.destroy())),
        connections: () => connections,
        close: () => server.close(),
    })));
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Counts arrive through a connection that is cut three times; none of those that are stored is missing. */
async function cutInBetween(url, certificates, index) {
    const between = await proxy(url);
    const one = client(certificates, { keepSessionAlive: true });
    const counter = `ns=${index};s=machine/L1-Filler/Counters/Good`;
    await one.connect(between.url);
    const session = await one.createSession();
    const subscription = await session.createSubscription2({
        requestedPublishingInterval: 100, requestedLifetimeCount: 1000,
        requestedMaxKeepAliveCount: 5, publishingEnabled: true,
    });
    const seen = new Map();
    const item = await subscription.monitor(
        { nodeId: counter, attributeId: AttributeIds.Value },
        { samplingInterval: 0, queueSize: 10000, discardOldest: true }, TimestampsToReturn.Both);
    item.on("changed", (value) => seen.set(value.sourceTimestamp.getTime(), Number(value.value.value[1] ?? value.value.value)));
    await sleep(2000);
    const begin = new Date(Math.min(...seen.keys()));
    for (let round = 0; round < 3; round += 1) {
        const before = between.connections();
        between.cut();
        while (between.connections() === before) await sleep(50);
        await sleep(2500);
    }
    const end = new Date(Math.max(...seen.keys()));
    const stored = await session.readHistoryValue({ nodeId: counter }, begin, end);
    const values = stored.historyData.dataValues.filter(
        (value) => value.sourceTimestamp >= begin && value.sourceTimestamp <= end);
    const lost = values.filter((value) => !seen.has(value.sourceTimestamp.getTime()));
    expect(values.length > 10, `only ${values.length} values were stored meanwhile`);
    expect(lost.length === 0, `${lost.length} of ${values.length} stored values never arrived: ${lost[0]}`);
    await subscription.terminate();
    await session.close();
    await one.disconnect();
    between.close();
    return [values.length, between.connections() - 1];
}

/** Reads without a pause while the channel gets new keys. */
async function renewUnderLoad(url, certificates) {
    const one = client(certificates, {
        securityPolicy: SecurityPolicy.Aes256_Sha256_RsaPss,
        securityMode: MessageSecurityMode.SignAndEncrypt,
        defaultSecureTokenLifetime: 30000,
        tokenRenewalInterval: 11000,
    });
    let renewals = 0;
    let reads = 0;
    one.on("security_token_renewed", () => { renewals += 1; });
    one.on("close", (error) => expect(!error, `the connection ended: ${error}`));
    await withSession(one, url, SUPERVISOR, async (session) => {
        const until = Date.now() + 40000;
        const read = async () => {
            while (renewals < 2 && Date.now() < until) {
                await readState(session);
                reads += 1;
            }
        };
        await Promise.all([read(), read(), read(), read()]);
    });
    expect(renewals >= 2, `the channel was renewed ${renewals} times`);
    return [renewals, reads];
}

async function main(url, folder, pki) {
    const certificates = new opcua.OPCUACertificateManager({
        rootFolder: pki, automaticallyAcceptUnknownCertificate: true,
    });
    await certificates.initialize();
    const logons = await usersAndPolicies(url, certificates, folder);
    const secured = client(certificates, {
        securityPolicy: SecurityPolicy.Aes128_Sha256_RsaOaep,
        securityMode: MessageSecurityMode.SignAndEncrypt,
    });
    const index = await withSession(secured, url, SUPERVISOR, async (session) => {
        const namespaces = await session.readNamespaceArray();
        const plant = namespaces.indexOf("urn:linewright:ua:plant:Demo");
        await services(session, plant);
        await subscriptions(session, plant);
        return plant;
    });
    const [[stored, cuts], [renewals, reads]] = await Promise.all([
        cutInBetween(url, certificates, index),
        renewUnderLoad(url, certificates),
    ]);
    console.log(`node-opcua surface: ${logons} logons, every service, ${stored} values over ${cuts} cuts, `
        + `${reads} reads over ${renewals} renewals`);
}

main(...process.argv.slice(2)).then(
    () => process.exit(0),
    (error) => {
        console.error(`node-opcua surface: ${error.stack || error}`);
        process.exit(1);
    });

// node-opcua as a machine that Linewright connects to over an encrypted channel with a user.
//
// Usage: machine_node_opcua.js PORT PKI_DIRECTORY. Runs until killed; a part every 100 ms, and is held
// for 1.5 s of every 6 s: long enough for who reads states now and then on a busy computer to see it.
"use strict";
const { OPCUAServer, OPCUACertificateManager, Variant, DataType, StatusCodes } = require("node-opcua");

const NAMESPACE = "urn:linewright:interop:node-opcua-machine";

async function main(port, pki) {
    const certificates = new OPCUACertificateManager({
        rootFolder: pki,
        automaticallyAcceptUnknownCertificate: true,
    });
    await certificates.initialize();
    const server = new OPCUAServer({
        port: Number(port),
        hostname: "127.0.0.1",
        serverCertificateManager: certificates,
        allowAnonymous: false,
        userManager: { isValidUser: (user, password) => user === "mes" && password === "press-secret" },
    });
    await server.initialize();
    const space = server.engine.addressSpace;
    const namespace = space.registerNamespace(NAMESPACE);
    const machine = namespace.addObject({
        organizedBy: space.rootFolder.objects,
        browseName: "Welder",
        nodeId: "s=Welder",
    });
    const variable = (name, dataType, value) =>
        namespace.addVariable({
            componentOf: machine,
            browseName: name,
            nodeId: `s=Welder.${name}`,
            dataType,
            value: new Variant({ dataType, value }),
        });
    const state = variable("State", DataType.Int32, 6);
    const good = variable("Good", DataType.UInt32, 500);
    const reject = variable("Reject", DataType.UInt32, 5);
    await server.start();
    console.log("ready");
    let tick = 0;
    let part = 0;
    setInterval(() => {
        tick += 1;
        const held = tick % 60 >= 45;
        const set = (node, dataType, value) =>
            node.setValueFromSource(new Variant({ dataType, value }), StatusCodes.Good);
        set(state, DataType.Int32, held ? 11 : 6);
        if (held) return;
        part += 1;
        set(good, DataType.UInt32, 500 + part);
        if (part % 20 === 0) set(reject, DataType.UInt32, 5 + part / 20);
    }, 100);
}

main(process.argv[2], process.argv[3]).catch((error) => {
    console.error(error);
    process.exit(1);
});

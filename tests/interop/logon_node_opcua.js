// How node-opcua logs on as people do: over an encrypted channel, with a name and a password. No test logic.
const opcua = require("node-opcua");
const { OPCUAClient, OPCUACertificateManager, UserTokenType } = opcua;

// A client with its session, the namespaces, and the index of that of instances.
async function logOn(url, user, password, pki) {
    const certificates = new OPCUACertificateManager({
        rootFolder: pki, automaticallyAcceptUnknownCertificate: true });
    await certificates.initialize();
    const client = OPCUAClient.create({
        endpointMustExist: false,
        securityMode: opcua.MessageSecurityMode.SignAndEncrypt,
        securityPolicy: opcua.SecurityPolicy.Basic256Sha256,
        clientCertificateManager: certificates,
    });
    await client.connect(url);
    const session = await client.createSession(
        { type: UserTokenType.UserName, userName: user, password });
    const namespaces = await session.readNamespaceArray();
    const plant = namespaces.findIndex((uri) => uri.startsWith("urn:linewright:ua:plant:"));
    return { client, session, namespaces, plant };
}

module.exports = { logOn };

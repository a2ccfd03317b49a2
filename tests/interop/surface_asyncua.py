"""asyncua over the whole surface of the running server: every service, policies, users.

Usage: surface_asyncua.py URL CERTIFICATES. The folder has app.{der,pem}, app-key.pem of the client and
user.{der,key} of a user who logs on with a certificate. Ends with status 1 and a sentence at the
first thing that is not as it should be.
"""

import asyncio
import datetime
import sys
from pathlib import Path

from asyncua import Client, ua
from asyncua.crypto import security_policies as policies
from asyncua.ua.ua_binary import struct_from_binary

APPLICATION = "urn:linewright:interop:client"
POLICIES = [
    policies.SecurityPolicyBasic256Sha256,
    policies.SecurityPolicyAes128Sha256RsaOaep,
    policies.SecurityPolicyAes256Sha256RsaPss,
]
MODES = [ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt]
SUPERVISOR = ("supervisor", "supervisor-demo-password")
CODES = ua.StatusCodes


def expect(condition, text):
    if not condition:
        sys.exit(f"asyncua surface: {text}")


def expect_codes(what, results, *wanted):
    got = [getattr(one, "StatusCode", one) for one in results]
    got = [one.value for one in got]
    expect(got == list(wanted), f"{what} gives {[hex(one) for one in got]}, wanted {[hex(w) for w in wanted]}")


async def refused(what, awaitable, *codes):
    try:
        await awaitable
    except ua.UaStatusCodeError as error:
        expect(error.code in codes, f"{what} gives {error}")
        return
    expect(False, f"{what} was not refused")


async def secured(url, certificates, policy, mode, user=None, certificate_user=False):
    client = Client(url, timeout=20)
    client.application_uri = APPLICATION
    if user:
        client.set_user(user[0])
        client.set_password(user[1])
    await client.set_security(policy, certificate=str(certificates / "app.der"),
                              private_key=str(certificates / "app-key.pem"), mode=mode)
    if certificate_user:
        await client.load_client_certificate(str(certificates / "user.der"))
        await client.load_private_key(str(certificates / "user-key.pem"))
    return client


async def read_state(client):
    state = await client.get_node(ua.ObjectIds.Server_ServerStatus_State).read_value()
    expect(state == 0, f"the server is {state}")


async def users_and_policies(url, certificates):
    """Every policy and mode with every kind of user, and what must be refused."""
    count = 0
    for policy in POLICIES:
        for mode in MODES:
            for arguments in ({"user": SUPERVISOR}, {"certificate_user": True}):
                async with await secured(url, certificates, policy, mode, **arguments) as client:
                    await read_state(client)
                    count += 1
            client = await secured(url, certificates, policy, mode)
            await refused("an anonymous user over a secured channel", client.connect(),
                          CODES.BadIdentityTokenRejected, CODES.BadIdentityTokenInvalid)
    for policy in (policies.SecurityPolicyBasic128Rsa15, policies.SecurityPolicyBasic256):
        try:
            await secured(url, certificates, policy, MODES[1], SUPERVISOR)
            expect(False, f"{policy.__name__} is offered")
        except ua.UaError:
            pass
    client = await secured(url, certificates, POLICIES[0], MODES[1], ("supervisor", "wrong"))
    await refused("a wrong password", client.connect(), CODES.BadUserAccessDenied)
    async with Client(url) as client:
        await read_state(client)
    return count + 1


async def discovery(url):
    client = Client(url)
    servers = await client.connect_and_find_servers()
    expect(len(servers) == 1, f"servers: {servers}")
    other = url.replace("127.0.0.1", "localhost")
    endpoints = await Client(other).connect_and_get_server_endpoints()
    expect(len(endpoints) == 7, f"{len(endpoints)} endpoints")
    expect(all("localhost" in one.EndpointUrl for one in endpoints),
           f"endpoints are not where the client asked: {[one.EndpointUrl for one in endpoints]}")


async def view(client, index):
    session = client.uaclient
    site = ua.NodeId("site/Demo", index)
    description = ua.BrowseDescription(
        site, ua.BrowseDirection.Forward, ua.NodeId(ua.ObjectIds.HierarchicalReferences), True, 0, 63)
    parameters = ua.BrowseParameters(ua.ViewDescription(), 2, [description])
    first = (await session.browse(parameters))[0]
    expect(len(first.References) == 2 and first.ContinuationPoint, "a browse of two gives no two")
    parameters = ua.BrowseNextParameters(True, [first.ContinuationPoint])
    await session.browse_next(parameters)
    again = await session.browse_next(ua.BrowseNextParameters(False, [first.ContinuationPoint]))
    expect_codes("a released point", again, CODES.BadContinuationPointInvalid)
    missing = ua.BrowseDescription(ua.NodeId("nothing", index), ua.BrowseDirection.Forward,
                                   ua.NodeId(ua.ObjectIds.References), True, 0, 63)
    results = await session.browse(ua.BrowseParameters(ua.ViewDescription(), 0, [missing]))
    expect_codes("browsing nothing", results, CODES.BadNodeIdUnknown)
    element = ua.RelativePathElement(ua.NodeId(ua.ObjectIds.HierarchicalReferences), False, True,
                                     ua.QualifiedName("L1", index))
    paths = [ua.BrowsePath(ua.NodeId("area/Beverages", index), ua.RelativePath([element])),
             ua.BrowsePath(site, ua.RelativePath([element]))]
    results = await session.translate_browsepaths_to_nodeids(paths)
    expect_codes("paths", results, CODES.Good, CODES.BadNoMatch)
    registered = await session.register_nodes([site])
    await session.unregister_nodes(registered)


async def attributes(client, index):
    session = client.uaclient
    state = ua.NodeId("machine/L1-Filler/State", index)
    wanted = [ua.ReadValueId(state, ua.AttributeIds.Value),
              ua.ReadValueId(state, ua.AttributeIds.EventNotifier),
              ua.ReadValueId(ua.NodeId("nothing", index), ua.AttributeIds.Value),
              ua.ReadValueId(state, ua.AttributeIds.UserRolePermissions),
              ua.ReadValueId(ua.NodeId(ua.ObjectIds.Server_NamespaceArray), ua.AttributeIds.Value, "0:1"),
              ua.ReadValueId(state, ua.AttributeIds.Value, "1:0")]
    for stamps, source, server in ((ua.TimestampsToReturn.Both, True, True),
                                   (ua.TimestampsToReturn.Source, True, False),
                                   (ua.TimestampsToReturn.Server, False, True),
                                   (ua.TimestampsToReturn.Neither, False, False)):
        values = await session.read(ua.ReadParameters(0, stamps, wanted))
        expect_codes("reading", values, CODES.Good, CODES.BadAttributeIdInvalid, CODES.BadNodeIdUnknown,
                     CODES.Good, CODES.Good, CODES.BadIndexRangeInvalid)
        value = values[0]
        told = (value.SourceTimestamp is not None, value.ServerTimestamp is not None)
        expect(told == (source, server), f"{stamps} gives {told}")
        expect(len(values[4].Value.Value) == 2, f"a range of two is {values[4].Value}")
    write = ua.WriteParameters([ua.WriteValue(state, ua.AttributeIds.Value, None, ua.DataValue(1)),
                                ua.WriteValue(ua.NodeId("nothing", index), ua.AttributeIds.Value, None,
                                              ua.DataValue(1))])
    expect_codes("writing", await session.write(write), CODES.BadNotWritable, CODES.BadNodeIdUnknown)


async def send(client, request, answer):
    return struct_from_binary(answer, await client.uaclient._send_request(request))


async def the_rest(client, index):
    """Services for which asyncua has no method of its own, and those that are not served."""
    cancel = ua.CancelRequest()
    cancel.Parameters.RequestHandle = 4711
    answer = await send(client, cancel, ua.CancelResponse)
    expect(answer.Parameters.CancelCount == 0, f"cancelled {answer.Parameters}")
    await refused("AddNodes", client.uaclient.add_nodes([ua.AddNodesItem()]), CODES.BadServiceUnsupported)
    await refused("AddReferences", client.uaclient.add_references([ua.AddReferencesItem()]),
                  CODES.BadServiceUnsupported)
    await refused("DeleteNodes", client.uaclient.delete_nodes(ua.DeleteNodesParameters()),
                  CODES.BadServiceUnsupported)
    await refused("QueryFirst", client.uaclient._send_request(ua.QueryFirstRequest()),
                  CODES.BadServiceUnsupported)
    details = ua.DeleteRawModifiedDetails(
        NodeId=ua.NodeId("machine/L1-Filler/State", index), IsDeleteModified=False,
        StartTime=datetime.datetime(2020, 1, 1), EndTime=datetime.datetime(2020, 1, 2))
    results = await client.uaclient.history_update(ua.HistoryUpdateParameters([details]))
    expect(results[0].StatusCode.is_bad(), f"history could be deleted: {results}")


class Changes:
    def __init__(self):
        self.values = asyncio.Queue()
        self.states = asyncio.Queue()
        self.events = asyncio.Queue()

    def datachange_notification(self, node, value, data):
        self.values.put_nowait((node, data.monitored_item.Value))

    def event_notification(self, event):
        self.events.put_nowait(event)

    def status_change_notification(self, status):
        self.states.put_nowait(status)


async def subscriptions(client, url, index):
    session, changes = client.uaclient, Changes()
    subscription = await client.create_subscription(100, changes)
    number = subscription.subscription_id
    state = client.get_node(ua.NodeId("machine/L1-Filler/State", index))
    clock = client.get_node(ua.ObjectIds.Server_ServerStatus_CurrentTime)
    items = await subscription.subscribe_data_change([state, clock])
    await asyncio.wait_for(changes.values.get(), 10)
    trigger = ua.SetTriggeringRequest()
    trigger.Parameters = ua.SetTriggeringParameters(number, items[0], [items[1], 999_999], [])
    answer = await send(client, trigger, ua.SetTriggeringResponse)
    expect_codes("triggers", answer.Parameters.AddResults, CODES.Good, CODES.BadMonitoredItemIdInvalid)
    modes = ua.SetMonitoringModeParameters(number, ua.MonitoringMode.Disabled, [items[1], 999_999])
    expect_codes("modes", await session.set_monitoring_mode(modes), CODES.Good, CODES.BadMonitoredItemIdInvalid)
    parameters = ua.MonitoringParameters(items[0], 0, None, 5, True)
    modify = ua.ModifyMonitoredItemsParameters(
        number, ua.TimestampsToReturn.Both, [ua.MonitoredItemModifyRequest(items[0], parameters)])
    expect_codes("modifying", await session.modify_monitored_items(modify), CODES.Good)
    publishing = ua.SetPublishingModeParameters(False, [number, 999_999])
    expect_codes("publishing modes", await session.set_publishing_mode(publishing),
                 CODES.Good, CODES.BadSubscriptionIdInvalid)
    publishing.PublishingEnabled = True
    await session.set_publishing_mode(publishing)
    revised = await session.update_subscription(
        ua.ModifySubscriptionParameters(number, 200.0, 1000, 10, 0, 5))
    expect(revised.RevisedPublishingInterval == 200.0, f"revised: {revised}")
    republish = ua.RepublishRequest()
    republish.Parameters = ua.RepublishParameters(number, 999_999)
    await refused("republishing what never was", client.uaclient._send_request(republish),
                  CODES.BadMessageNotAvailable)
    deleted = await session.delete_monitored_items(ua.DeleteMonitoredItemsParameters(number, [items[1]]))
    expect_codes("deleting", deleted, CODES.Good)
    return subscription


async def transfers(client, other, index):
    """A subscription goes to another session of the same user; the old one is told."""
    changes = Changes()
    subscription = await client.create_subscription(100, changes)
    await subscription.subscribe_data_change(client.get_node(ua.NodeId("machine/L1-Filler/State", index)))
    await asyncio.wait_for(changes.values.get(), 10)
    parameters = ua.TransferSubscriptionsParameters([subscription.subscription_id, 999_999], True)
    results = await other.uaclient.transfer_subscriptions(parameters)
    expect_codes("transferring", results, CODES.Good, CODES.BadSubscriptionIdInvalid)
    told = await asyncio.wait_for(changes.states.get(), 10)
    expect(told.Status.value == CODES.GoodSubscriptionTransferred, f"the old session is told {told}")
    deleted = await other.uaclient.delete_subscriptions([subscription.subscription_id])
    expect_codes("deleting what was transferred", deleted, CODES.Good)


async def audited(client, other, url, index):
    """Another one comes, writes and calls; an engineer sees that as events, with who it was."""
    async def see(kind, deed):
        changes = Changes()
        subscription = await client.create_subscription(100, changes)
        await subscription.subscribe_events(evtypes=kind)
        await deed()
        event = await asyncio.wait_for(changes.events.get(), 10)
        expect(event.Message.Text, f"an event without a message: {event}")
        await subscription.delete()
        return event

    async def come():
        async with Client(url):
            pass

    async def write():
        value = ua.WriteValue(ua.NodeId("machine/L1-Filler/State", index), ua.AttributeIds.Value, None,
                              ua.DataValue(1))
        await other.uaclient.write(ua.WriteParameters([value]))

    async def call():
        orders = ua.NodeId("mes/Orders", index)
        await other.uaclient.call([ua.CallMethodRequest(
            orders, ua.NodeId("mes/Orders/PauseOrder", index), [ua.Variant("nobody-knows-me")])])

    await see(ua.ObjectIds.AuditSessionEventType, come)
    for kind, deed in ((ua.ObjectIds.AuditWriteUpdateEventType, write),
                       (ua.ObjectIds.AuditUpdateMethodEventType, call)):
        event = await see(kind, deed)
        expect(event.ClientUserId == "supervisor", f"the event names {event.ClientUserId}")


async def stolen(client, url, certificates):
    """The token of a session is of no use to whoever does not have its key."""
    thief = Client(url)
    await thief.connect_sessionless()
    try:
        request = ua.CloseSessionRequest()
        thief.uaclient.protocol.authentication_token = client.uaclient.protocol.authentication_token
        for make in (ua.CloseSessionRequest, ua.ActivateSessionRequest):
            await refused(f"{make.__name__} with a stolen token", thief.uaclient._send_request(make()),
                          CODES.BadSecureChannelIdInvalid, CODES.BadSecurityChecksFailed,
                          CODES.BadIdentityTokenRejected, CODES.BadIdentityTokenInvalid)
    finally:
        await thief.disconnect_sessionless()
    await read_state(client)


async def main(url, certificates):
    certificates = Path(certificates)
    await discovery(url)
    logons = await users_and_policies(url, certificates)
    client = await secured(url, certificates, POLICIES[2], MODES[1], SUPERVISOR)
    other = await secured(url, certificates, POLICIES[2], MODES[1], SUPERVISOR)
    async with client, other:
        index = await client.get_namespace_index("urn:linewright:ua:plant:Demo")
        await view(client, index)
        await attributes(client, index)
        await the_rest(client, index)
        subscription = await subscriptions(client, url, index)
        await transfers(client, other, index)
        await stolen(client, url, certificates)
        await subscription.delete()
    engineer = await secured(url, certificates, POLICIES[0], MODES[1], certificate_user=True)
    other = await secured(url, certificates, POLICIES[2], MODES[1], SUPERVISOR)
    async with engineer, other:
        await audited(engineer, other, url, index)
    print(f"asyncua surface: {logons} logons, every service")


asyncio.run(main(*sys.argv[1:]))

"""o6 (open62541) over the surface of the running server: policies and users, every service that it has.

Usage: surface_o6.py URL CERTIFICATES. The folder has app.der, app-key.der of the client and user.der,
user-key.der of a user who logs on with a certificate. Ends with status 1 and a sentence at the first
thing that is not as it should be.
"""

import datetime
import sys
import threading
import time
from pathlib import Path

import o6
from o6.ns import ns0

APPLICATION = "urn:linewright:interop:client"
POLICIES = [
    o6.SecurityPolicy.BASIC256SHA256,
    o6.SecurityPolicy.AES128_SHA256_RSAOAEP,
    o6.SecurityPolicy.AES256_SHA256_RSAPSS,
]
MODES = [o6.SecurityMode.SIGN, o6.SecurityMode.SIGN_AND_ENCRYPT]
SUPERVISOR = {"username": "supervisor", "password": "supervisor-demo-password"}
types = ns0.datatypes


def expect(condition, text):
    if not condition:
        sys.exit(f"o6 surface: {text}")


def client(url, certificates, policy=None, mode=None, certificate_user=False, **user):
    if policy is None:
        return o6.Client(url, **user)
    one = o6.Client(
        url, certificate=certificates / "app.der", privateKey=certificates / "app-key.der",
        securityMode=mode, securityPolicy=policy, applicationUri=APPLICATION, **user)
    if certificate_user:
        one.config.setAuthenticationCert(
            (certificates / "user.der").read_bytes(), (certificates / "user-key.der").read_bytes())
    return one


def read_state(one):
    state = one.read("i=2259")
    expect(int(state) == 0, f"the server is {state}")


def refused(what, work, *names):
    try:
        work()
    except Exception as error:  # noqa: BLE001 - the client has several kinds
        expect(any(name in repr(error) for name in names), f"{what}: {error!r}")
        return
    expect(False, f"{what} was not refused")


def users_and_policies(url, certificates):
    count = 0
    for policy in POLICIES:
        for mode in MODES:
            for user in (SUPERVISOR, {"certificate_user": True}):
                with client(url, certificates, policy, mode, **user) as one:
                    read_state(one)
                    count += 1
    with client(url, certificates) as one:
        read_state(one)
    wrong = {"username": "supervisor", "password": "wrong"}
    refused("a wrong password", lambda: client(url, certificates, POLICIES[0], MODES[1], **wrong).connect(),
            "BadUserAccessDenied")
    return count + 1


def view(one, index):
    site = f"ns={index};s=site/Demo"
    page = one.browsePage(site, maxReferences=2)
    expect(len(page.references) == 2 and page.continuationPoint, f"a page of two is {page}")
    one.browseNext(True, page.continuationPoint)
    refused("a released point", lambda: one.browseNext(False, page.continuationPoint),
            "BadContinuationPointInvalid")
    path = types.BrowsePath(startingNode=o6.NodeId(f"ns={index};s=area/Beverages"),
                            relativePath=types.RelativePath(f"/{index}:L1"))
    result = one.translateBrowsePathsToNodeIds(path)
    expect(len(result.targets) == 1, f"the path leads to {result}")
    nodes = [o6.NodeId(site)]
    registered = one.serviceRegisterNodes(types.RegisterNodesRequest(nodesToRegister=nodes))
    one.serviceUnregisterNodes(
        types.UnregisterNodesRequest(nodesToUnregister=list(registered.registeredNodeIds)))


def attributes(one, index):
    state = f"ns={index};s=machine/L1-Filler/State"
    value = one.read(state, valueOnly=False, timestampsToReturn=types.TimestampsToReturn.BOTH)
    expect(value.sourceTimestamp and value.serverTimestamp, f"times are missing: {value}")
    value = one.read(state, valueOnly=False, timestampsToReturn=types.TimestampsToReturn.NEITHER)
    expect(not value.sourceTimestamp and not value.serverTimestamp, f"times are told: {value}")
    refused("an attribute of another class", lambda: one.read(state, attr=o6.AttributeId.EVENT_NOTIFIER),
            "BadAttributeIdInvalid")
    refused("a node that is not there", lambda: one.read(f"ns={index};s=nothing"), "BadNodeIdUnknown")
    written = one.write(state, o6.Int32(1))
    expect("BAD_NOT_WRITABLE" in repr(written), f"writing a state gives {written!r}")
    answer = one.serviceAddNodes(types.AddNodesRequest())
    told = answer.responseHeader.serviceResult
    expect("BAD_SERVICE_UNSUPPORTED" in repr(told), f"adding a node gives {told!r}")


def methods(one, index):
    orders = f"ns={index};s=mes/Orders"
    result = one.call(orders, f"{orders}/PauseOrder", [o6.String("nobody-knows-me")])
    expect("mes.order.unknown" in [str(output) for output in result[1:]], f"PauseOrder gives {result}")
    result = one.call(orders, f"{orders}/PauseOrder", [])
    expect("BAD_ARGUMENTS_MISSING" in repr(result[0]), f"no arguments give {result}")


def history(one, index):
    counter = f"ns={index};s=machine/L1-Filler/Counters/Good"
    end = datetime.datetime.now(datetime.timezone.utc)
    values = one.historyRead(counter, end - datetime.timedelta(hours=1), end).dataValues
    expect(len(values) > 3, f"only {len(values)} stored values")
    return len(values)


def subscriptions(one, index):
    """Changes arrive with their status and time; items can be changed, linked and deleted."""
    seen, arrived = [], threading.Event()

    def changed(item, value):
        seen.append(value)
        if len(seen) >= 3:
            arrived.set()

    subscription = one.createSubscription(publishingInterval=100.0)
    counter = one.monitor(f"ns={index};s=machine/L1-Filler/Counters/Good", changed, 0.0,
                          valueOnly=False, subscription=subscription, queueSize=100)
    clock = one.monitor("i=2258", lambda item, value: None, 500.0, subscription=subscription)
    expect(arrived.wait(20), f"only {len(seen)} changes")
    times = [value.sourceTimestamp for value in seen]
    expect(times == sorted(times), f"times run backwards: {times}")
    counter.setTriggering([clock], [])
    clock.setMonitoringMode(types.MonitoringMode.DISABLED)
    clock.modify(samplingInterval=1000.0)
    subscription.modify(publishingInterval=200.0)
    expect(subscription.publishingInterval == 200.0, f"revised to {subscription.publishingInterval}")
    clock.delete()
    subscription.delete()
    return len(seen)


def events(one, url):
    """Another client comes; an engineer sees that as an event."""
    arrived = threading.Event()
    filter_text = "SELECT /Message, /SourceName WHERE OFTYPE i=2069"
    try:
        one.monitorEvent("i=2253", lambda item, *fields: arrived.set(), filter_text)
    except Exception as error:  # noqa: BLE001
        expect(False, f"the filter is refused: {error!r}")
    with o6.Client(url) as other:
        read_state(other)
        expect(arrived.wait(10), "no event of a session")


def main(url, folder):
    certificates = Path(folder)
    with o6.Client(url) as one:
        expect(len(one.getEndpoints(url)) == 7, "not seven endpoints")
        expect(len(one.findServers(url)) == 1, "not one server")
    logons = users_and_policies(url, certificates)
    with client(url, certificates, POLICIES[2], MODES[1], **SUPERVISOR) as one:
        index = list(one.read("i=2255")).index("urn:linewright:ua:plant:Demo")
        view(one, index)
        attributes(one, index)
        methods(one, index)
        stored = history(one, index)
        changes = subscriptions(one, index)
    with client(url, certificates, POLICIES[0], MODES[1], certificate_user=True) as engineer:
        events(engineer, url)
    print(f"o6 surface: {logons} logons, {stored} stored values, {changes} changes, every service")


main(*sys.argv[1:])

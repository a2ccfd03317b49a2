"""A network between the plant and its machines that fails as networks do: a link without carrier, an address that is
gone, packets that nobody answers, too little room for them. No test logic.

It is a real one, of the kernel, in namespaces of its own, where that is allowed; elsewhere a proxy fails instead.
"""

import os
import shutil
import subprocess
import sys
import time

from cable import Cable
from ports import free_ports

NEAR, FAR = "10.9.0.1", "10.9.0.2"


def apart():
    """Goes on in namespaces of its own; whether that is so."""
    if "--apart" in sys.argv:
        return True
    tools = all(shutil.which(tool) for tool in ("unshare", "nsenter", "ip", "tc"))
    allowed = tools and subprocess.run(["unshare", "-Urn", "ip", "link", "set", "lo", "up"], check=False,
                                       capture_output=True).returncode == 0
    if not allowed:
        print("no network of its own is allowed here: a proxy fails instead", flush=True)
        return False
    os.execvp("unshare", ["unshare", "-Urn", sys.executable, *sys.argv, "--apart"])


def call(*command):
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


class Network:
    """The machines are in another namespace, behind one wire."""

    def __init__(self, programs):
        holder = programs.start("network", "unshare", "-n", "sleep", "infinity")
        self.far = ["nsenter", "-t", str(holder.pid), "-n"]
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{holder.pid}/ns/net") == own:
            time.sleep(0.05)
        call("ip", "link", "set", "lo", "up")
        call("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
        call("ip", "link", "set", "far", "netns", holder.pid)
        call("ip", "addr", "add", f"{NEAR}/30", "dev", "near")
        call("ip", "link", "set", "near", "up")
        call(*self.far, "ip", "link", "set", "lo", "up")
        call(*self.far, "ip", "addr", "add", f"{FAR}/30", "dev", "far")
        call(*self.far, "ip", "link", "set", "far", "up")

    def machine(self, *command):
        """The command that starts a machine there."""
        return [*self.far, *command]

    def url(self, port):
        return f"opc.tcp://{FAR}:{port}"

    def faults(self):
        """Names, and what begins and ends each."""
        far, blackhole = self.far, ("blackhole", f"{NEAR}/32")
        address = (f"{FAR}/30", "dev", "far")
        return {
            "no carrier": ([*far, "ip", "link", "set", "far", "down"], [*far, "ip", "link", "set", "far", "up"]),
            "no answers": ([*far, "ip", "route", "add", *blackhole], [*far, "ip", "route", "del", *blackhole]),
            "no address": ([*far, "ip", "addr", "del", *address], [*far, "ip", "addr", "add", *address]),
        }

    def begin(self, fault):
        call(*self.faults()[fault][0])

    def end(self, fault):
        call(*self.faults()[fault][1])

    def narrow(self, is_narrow):
        """Little room: packets are late, and many are lost."""
        room = ("tbf", "rate", "100kbit", "burst", "3000", "limit", "6000") if is_narrow else ()
        call(*self.far, "tc", "qdisc", "add" if is_narrow else "del", "dev", "far", "root", *room)


class Proxies:
    """A proxy before each machine, where nothing better is allowed."""

    def __init__(self):
        self.cables = []

    def machine(self, *command):
        return list(command)

    def url(self, port):
        own, = free_ports(1)
        self.cables.append(Cable(own, port))
        return f"opc.tcp://127.0.0.1:{own}"

    def faults(self):
        return {"a cut cable": "cut", "no answers": "deaf", "half a connection": "half"}

    def begin(self, fault):
        for cable in self.cables:
            cable.set(self.faults()[fault])

    def end(self, _):
        for cable in self.cables:
            cable.set(None)

    def narrow(self, is_narrow):
        for cable in self.cables:
            cable.set("inside" if is_narrow else None, 777)

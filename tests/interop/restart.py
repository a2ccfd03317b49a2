"""What a machine did while Linewright was not running is in the machine's history, and is read there: after kill -9 and
some seconds nothing is missing and there is no gap. A machine without history leaves a gap that is told.

Usage: restart.py BINARY. The machine is by node-opcua, which keeps the history of one of its counters.
"""

import datetime
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

from machines import PLANT
from ports import free_ports
from programs import Bridge, fail, run_with_programs, wait_until

HERE = Path(__file__).parent
SECONDS = datetime.timedelta(seconds=3)
MACHINES = "".join(f"""
[[machine]]
id = "{machine}"
line = "L1"
endpoint = "opc.tcp://127.0.0.1:{{node}}"
security = "none"
publishing_interval = "100ms"

[[machine.signal]]
role = "cycle"
cycle = "100ms"
node = "nsu=urn:linewright:interop:mirror;s=Cell.{variable}"
""" for machine, variable in (("Keeps", "Kept"), ("Forgets", "Count")))


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def seen(bridge, machine, since):
    """How a machine has spent its time since an instant, in seconds."""
    window = f"from={quote(since.isoformat())}&to={quote(now().isoformat())}"
    return bridge.call("GET", f"/v1/kpi?equipment={machine}&{window}")["time_s"]


def run(binary, directory, programs):
    node, opcua, http = free_ports(3)
    programs.start("node", "node", str(HERE / "mirror_node_opcua.js"), str(node), str(directory / "pki"))
    wait_until("the start of the machine", 60, lambda: programs.said("node", "ready"))
    hashed = subprocess.run([binary, "hash-password"], input="erp-demo-password", capture_output=True,
                            text=True, check=True).stdout.strip()
    text = PLANT.format(directory=directory, opcua=opcua, http=http, hash=hashed)
    text = text.replace('default_product', 'bottleneck = "Keeps"\ndefault_product')
    config = directory / "plant.toml"
    config.write_text(text + MACHINES.format(node=node))
    bridge = Bridge(http)

    def start():
        plant = programs.start("linewright", binary, "serve", "--config", str(config))
        wait_until("readiness", 60, lambda: bridge.call("GET", "/readyz")["status"] == "ready")
        return plant

    plant = start()
    wait_until("both machines", 30, lambda: all(
        seen(bridge, machine, now() - SECONDS)["run"] > 1 for machine in ("Keeps", "Forgets")))
    since = now() - datetime.timedelta(seconds=1)
    plant.send_signal(signal.SIGKILL)
    plant.wait()
    programs.end(("linewright",))
    # The machine goes on meanwhile.
    time.sleep(4)
    start()
    wait_until("the machine that keeps its history", 30, lambda: (
        seen(bridge, "Keeps", since)["no_data"] == 0 and seen(bridge, "Keeps", now() - SECONDS)["run"] > 1))
    kept, forgotten = (seen(bridge, machine, since) for machine in ("Keeps", "Forgets"))
    # Every cycle was read: the machine ran all the time.
    if kept["no_data"] != 0 or kept["run"] < kept["calendar"] - 1:
        fail(f"the machine that keeps its history is seen as {kept}")
    if forgotten["no_data"] < 3:
        fail(f"what nobody knows of the other machine is seen as {forgotten}")
    print(f"restart: {forgotten['no_data']:.1f} s are unknown of a machine without history, none of one with")


def main():
    began = time.monotonic()
    run_with_programs(run)
    print(f"restart: what happened meanwhile is known where the machine knows it ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()

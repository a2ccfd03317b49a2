"""Machines that nobody here wrote: what they are is recognised, what they make is counted, whatever happens to
them.

Usage: machines.py BINARY. A filler by node-opcua speaks PackML and Machinery from the official nodesets; it is bound by what
it is, without a list of its signals, as `linewright suggest` proposes. It is stopped without a word (SIGSTOP), killed and started
again; what it wrote down of its bottles is compared with what the plant has counted.
"""

import json
import re
import signal
import subprocess
from pathlib import Path

from ports import free_ports
from programs import Bridge, Programs, fail, wait_until, run_with_programs

HERE = Path(__file__).parent
PLANT = """
[site]
id = "S"
time_zone = "Europe/Berlin"

[data]
directory = "{directory}/data"

[opcua]
listen = "127.0.0.1:{opcua}"

[http]
listen = "127.0.0.1:{http}"

[[user]]
name = "erp"
role = "erp"
password_hash = "{hash}"

[[area]]
id = "A"

[[line]]
id = "L1"
area = "A"
default_product = "Bottle"

[[product]]
id = "Bottle"

[[product.ideal_cycle]]
cycle = "80ms"

"""


def linewright(binary, *arguments):
    """What a command says; it must succeed."""
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"linewright {arguments[0]}: {done.stdout}{done.stderr}")
    return done.stdout


def browse(binary, url):
    """The tree of a machine has values and structures in it."""
    seen = json.loads(linewright(binary, "browse", url, "--json", "--depth", "20"))
    if not seen["complete"]:
        fail("not everything was seen of the filler")
    nodes = {node["path"]: node for node in seen["nodes"]}
    state = nodes["Machines/Filler/PackML/BaseStateMachine/MachineState/ExecuteState/CurrentState"]
    if state["value"] not in ("Execute", "Held") or state["data_type"] != "LocalizedText":
        fail(f"the state is {state}")
    if nodes["Machines/Filler/PackML"]["type"] != "PackMLBaseObjectType":
        fail(f"the type is {nodes['Machines/Filler/PackML']}")


def suggest(binary, url):
    """The proposed section, with reasons for everything that was recognised."""
    section = linewright(binary, "suggest", url)
    roles = re.findall(r'^role = "(\w+)"', section, re.MULTILINE)
    if sorted(roles) != ["blocked", "mode", "reject", "starved", "state", "total"]:
        fail(f"the roles {roles} were recognised: {section}")
    if "a PackMLBaseObjectType" not in section or 'serial_number = "4711-7"' not in section:
        fail(f"it does not say why: {section}")
    return re.sub(r'^security = .*$', 'security = "none"', section, flags=re.MULTILINE)


def made(programs):
    """What the filler has written down: bottles, and bad ones of them."""
    text = (programs.directory / "filler.log").read_text()
    return [int(number) for number in re.findall(r"^made (\d+) bad (\d+)$", text, re.MULTILINE)[-1]]


def counted(bridge, machine):
    """Bottles, bad ones, and those whose time nobody knows."""
    counts = bridge.kpi(machine)["counts"]
    return counts["total"], counts["reject"], counts["unattributed"]["total"]


def same(programs, bridge, machine, before):
    """Whether the plant has counted what the machine has made since a moment."""
    total, bad = (now - then for now, then in zip(made(programs), before))
    seen = counted(bridge, machine)
    # One or two bottles may be under way.
    return 0 <= total - seen[0] - seen[2] <= 3 and 0 <= bad - seen[1] <= 1


def run(binary, directory, programs):
    port, opcua, http = free_ports(3)
    filler = ["node", HERE / "standards_node_opcua.js", port, directory / "pki"]
    filler = [str(part) for part in filler]
    process = programs.start("filler", *filler)
    wait_until("the start of the filler", 60, lambda: programs.said("filler", "ready"))
    url = f"opc.tcp://127.0.0.1:{port}"
    browse(binary, url)
    section = suggest(binary, url)
    hashed = subprocess.run([binary, "hash-password"], input="erp-demo-password", capture_output=True,
                            text=True, check=True).stdout.strip()
    config = directory / "plant.toml"
    text = PLANT.format(directory=directory, opcua=opcua, http=http, hash=hashed)
    config.write_text(text + section)
    machine = re.search(r'^id = "(.*)"', section, re.MULTILINE).group(1)
    linewright(binary, "check-config", config, "--online")
    # It runs with nothing but where the machine is: what it is, is found out.
    reach = re.split(r"^\[", section.split("[[machine]]")[1], maxsplit=1, flags=re.MULTILINE)[0]
    config.write_text(f'{text}[[machine]]{reach}binding = "auto"\n')
    programs.start("linewright", binary, "serve", "--config", str(config))
    bridge = Bridge(http)
    wait_until("readiness", 60, lambda: bridge.call("GET", "/readyz")["status"] == "ready")
    wait_until("bottles", 60, lambda: counted(bridge, machine)[0] > 0)
    bound = (directory / "data" / "bindings" / f"{machine}.toml").read_text()
    wanted = section[section.index("[[machine.signal]]"):].replace("[machine.nameplate]", "[nameplate]")
    if wanted.replace("[[machine.signal]]", "[[signal]]").strip() not in bound:
        fail(f"it was bound otherwise than was suggested: {bound}")
    seen, before = counted(bridge, machine), made(programs)
    before = [before[0] - seen[0], before[1] - seen[1]]
    wait_until("a hundred bottles", 60, lambda: counted(bridge, machine)[0] > 100)
    wait_until("all bottles", 30, lambda: same(programs, bridge, machine, before))
    # It hangs without a word, and then goes on: what it has kept is told, and nothing is missed.
    for _ in range(2):
        process.send_signal(signal.SIGSTOP)
        wait_until("the loss of the link", 30, lambda: up(bridge, machine) == 0)
        process.send_signal(signal.SIGCONT)
        wait_until("the link", 60, lambda: up(bridge, machine) == 1)
        wait_until("all bottles", 30, lambda: same(programs, bridge, machine, before))
    report = bridge.kpi(machine)
    if report["counts"]["unattributed"]["total"] != 0 or report["stops"]["micro_stops"] < 1:
        fail(f"after it has hung: {report['counts']} {report['stops']}")
    # It is killed and starts anew, with its counters at zero: nobody knows what was in between.
    total = counted(bridge, machine)[0]
    programs.end(("filler",))
    wait_until("the loss of the link", 30, lambda: up(bridge, machine) == 0)
    programs.start("filler", *filler)
    wait_until("the link", 90, lambda: up(bridge, machine) == 1)
    wait_until("more bottles", 60, lambda: counted(bridge, machine)[0] > total + 30)
    if bridge.kpi(machine)["time_s"]["no_data"] <= 0:
        fail("the time without the machine is not shown as a gap")
    print(f"foreign machine: {counted(bridge, machine)[0]} bottles, all that it made")


def up(bridge, machine):
    """Whether the link is up."""
    text = bridge.text("/metrics")
    return int(re.search(rf'^mes_machine_up{{machine="{machine}"}} (\d)', text, re.MULTILINE).group(1))


def main():
    run_with_programs(run)


if __name__ == "__main__":
    main()

"""The nodesets that ship with the program, before tools that others wrote.

Every file fits the official schema; the strictest public compiler, node-opcua and asyncua load ours;
every node of our parts of companion specifications is as the official file has it, and the program takes
the official files in their place.

Usage: nodesets.py BINARY. Ends with status 1 and a sentence at the first thing that is not as it should be.
"""

import asyncio
import logging
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from asyncua import Server
from lxml import etree

import certificates
from companions import FILES, HERE, OFFICIAL, OURS, compiler
from ports import free_block

NS = "{http://opcfoundation.org/UA/2011/03/UANodeSet.xsd}"
TYPES = "{http://opcfoundation.org/UA/2008/02/Types.xsd}"
UA = "http://opcfoundation.org/UA/"
STANDARD_NAMES = {
    "HasModellingRule": 37, "HasEncoding": 38, "HasDescription": 39, "HasTypeDefinition": 40,
    "GeneratesEvent": 41, "HasSubtype": 45, "HasProperty": 46, "HasComponent": 47, "Organizes": 35,
    "FromState": 51, "ToState": 52, "HasCause": 53, "HasEffect": 54, "HasSubStateMachine": 117,
    "HasInterface": 17603, "HasAddIn": 17604, "HasOrderedComponent": 49,
}


def expect(condition, text):
    if not condition:
        sys.exit(f"nodesets: {text}")


class Nodeset:
    """Nodes by id, with the URIs of namespaces instead of their indexes."""

    def __init__(self, path):
        root = ElementTree.parse(path).getroot()
        self.uris = [UA] + [uri.text for uri in root.findall(f"{NS}NamespaceUris/{NS}Uri")]
        self.aliases = {a.get("Alias"): a.text for a in root.iter(f"{NS}Alias")}
        self.nodes = {}
        for element in root:
            if element.tag.startswith(f"{NS}UA"):
                self.nodes[self.id(element.get("NodeId"))] = self.node(element)
        # What one end says of a reference holds for the other.
        for id, node in list(self.nodes.items()):
            for kind, forward, other in node["references"]:
                if other in self.nodes:
                    self.nodes[other]["references"].add((kind, not forward, id))

    def id(self, text):
        text = text.strip()
        text = self.aliases.get(text, text)
        if text in STANDARD_NAMES:
            text = f"i={STANDARD_NAMES[text]}"
        index = 0
        if text.startswith("ns="):
            index, text = text[3:].split(";", 1)
        return self.uris[int(index)], text

    def name(self, text):
        index, colon, name = text.partition(":")
        if colon and index.isdigit():
            return self.uris[int(index)], name
        return UA, text

    def node(self, element):
        references = {
            (self.id(r.get("ReferenceType")), r.get("IsForward") != "false", self.id(r.text))
            for r in element.findall(f"{NS}References/{NS}Reference")
        }
        fields = [
            (f.get("Name"), f.get("Value"), self.id(f.get("DataType", "i=24")),
             f.get("ValueRank", "-1"), f.get("IsOptional", "false"))
            for f in element.findall(f"{NS}Definition/{NS}Field")
        ]
        arguments = [
            (a.find(f"{TYPES}Name").text, self.id(a.find(f"{TYPES}DataType/{TYPES}Identifier").text),
             a.find(f"{TYPES}ValueRank").text)
            for a in element.iter(f"{TYPES}Argument")
        ]
        has_type = element.tag in (f"{NS}UAVariable", f"{NS}UAVariableType")
        data_type = element.get("DataType", "i=24") if has_type else None
        return {
            "class": element.tag.removeprefix(NS),
            "browse name": self.name(element.get("BrowseName")),
            "data type": self.id(data_type) if data_type else None,
            "value rank": element.get("ValueRank", "-1"),
            "abstract": element.get("IsAbstract", "false"),
            "notifier": element.get("EventNotifier", "0"),
            "access": element.get("AccessLevel", "1"),
            "fields": fields,
            "arguments": arguments,
            "number": number(element),
            "references": references,
        }


def number(element):
    """The value of a state or transition number; not every official one has one."""
    if element.get("BrowseName") in ("StateNumber", "TransitionNumber"):
        return element.findtext(f"{NS}Value/{TYPES}UInt32")
    return None


def check_schema():
    schema = etree.XMLSchema(etree.parse(OFFICIAL / "UANodeSet.xsd"))
    for name in FILES:
        document = etree.parse(OURS / f"{name}.xml")
        expect(schema.validate(document), f"{name}.xml breaks the schema: {schema.error_log}")


def check_subset(name, official):
    """Each of our nodes is as the official one; what leads to nodes that we have is there too."""
    ours, theirs = Nodeset(OURS / f"{name}.xml"), Nodeset(OFFICIAL / official)
    own = ours.uris[1]
    for id, node in ours.nodes.items():
        expect(id in theirs.nodes, f"{name}: {id} {node['browse name']} is not official")
        wanted = theirs.nodes[id]
        for what in node.keys() - {"references"}:
            expect(node[what] == wanted[what],
                   f"{name}: {what} of {id} is {node[what]}, officially {wanted[what]}")
        more = node["references"] - wanted["references"]
        expect(not more, f"{name}: {id} has references that are not official: {more}")
        missing = {
            (kind, forward, target)
            for kind, forward, target in wanted["references"] - node["references"]
            if target in ours.nodes or target[0] == UA
        }
        expect(not missing, f"{name}: {id} lacks the references {missing}")
    left_out = [node["browse name"][1] for id, node in theirs.nodes.items()
                if id not in ours.nodes and id[0] == own]
    return len(ours.nodes), len(left_out)


def check_compiler():
    """The compiler takes ours on top of the official companion specifications."""
    with tempfile.TemporaryDirectory() as out:
        command = compiler(out)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        expect(done.returncode == 0, f"the compiler refuses mes.xml: {done.stdout}{done.stderr}")
        expect(any(Path(out).rglob("*.py")), "the compiler has made nothing of mes.xml")


def check_node_opcua():
    files = [OURS / f"{name}.xml" for name in FILES]
    command = ["node", HERE / "nodesets_node_opcua.js", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"node-opcua does not load the files: {done.stdout}{done.stderr}")


async def check_asyncua():
    """asyncua loads ours strictly. It knows no option sets of a byte, which one companion has."""
    logging.disable(logging.ERROR)
    server = Server()
    await server.init()
    for name in FILES:
        nodes = await server.import_xml(str(OURS / f"{name}.xml"), strict_mode=name != "machinery-jobs")
        expect(nodes, f"asyncua has read nothing of {name}.xml")
    index = await server.get_namespace_index("urn:linewright:ua:mes")
    for name in ("MachineType", "LineType", "OeeType"):
        found = await server.nodes.base_object_type.get_child([f"{index}:EquipmentType", f"{index}:{name}"]) \
            if name != "OeeType" else await server.nodes.base_object_type.get_child([f"{index}:{name}"])
        expect(found, f"asyncua does not find {name}")


def check_official(binary):
    """Official files beside the data take the place of ours; one that cannot be read is named."""
    port = free_block(8)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "data" / "nodesets").mkdir(parents=True)
        names = [official for official, _ in FILES.values() if official]
        names.append("Opc.Ua.IA.NodeSet2.xml")
        for name in names:
            shutil.copy(OFFICIAL / name, folder / "data" / "nodesets" / name)
        (folder / "data" / "nodesets" / "broken.xml").write_text("<UANodeSet")
        certificates.make(folder, "app", "urn:linewright:interop:client")
        command = [binary, "demo", "--calm", "--data", folder / "data", "--opcua-port", str(port),
                   "--http-port", str(port + 1), "--machine-port", str(port + 2)]
        with open(folder / "log", "w", encoding="utf-8") as log:
            running = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while '"connected"' not in (folder / "log").read_text():
                expect(time.monotonic() < deadline, f"no start: {(folder / 'log').read_text()}")
                time.sleep(0.2)
            client = [sys.executable, HERE / "jobs_asyncua.py", f"opc.tcp://127.0.0.1:{port}", "supervisor",
                      "supervisor-demo-password", folder, "L1", "Cola-05"]
            done = subprocess.run(client, capture_output=True, text=True, check=False, timeout=120)
            expect(done.returncode == 0, f"with official files: {done.stdout}{done.stderr}")
        finally:
            running.terminate()
            running.wait(30)
        said = (folder / "log").read_text()
    for name in names:
        expect(f"the nodeset {name} is used" in said, f"{name} is not used: {said}")
    expect("the nodeset broken.xml is left out" in said, "a broken file is not named")


def main():
    check_schema()
    report = []
    for name, (official, _) in FILES.items():
        if official:
            have, left_out = check_subset(name, official)
            report.append(f"{name} {have} nodes as official, {left_out} left out")
    check_compiler()
    check_node_opcua()
    asyncio.run(check_asyncua())
    check_official(sys.argv[1])
    print(f"nodesets: {'; '.join(report)}; ours pass schema, compiler, "
          "node-opcua and asyncua; official files take their place")


main()

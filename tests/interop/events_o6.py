"""o6 (open62541) as a viewer of events: for each of our types of events an item that wants that type only,
with the fields that our types add; prints every event as a line of JSON, until it is ended.

Usage: events_o6.py OPEN_URL
"""

import json
import sys
import threading

import o6
from o6.ns import ns0

types = ns0.datatypes
# Its namespaces have other indexes than those of the server.
OWN = "urn:linewright:ua:mes"


def below(one, node, reference):
    """What a node refers to: id and browse name."""
    page = one.browsePage(node, reftype=reference, resultMask=types.BrowseResultMask.ALL)
    return [(str(r.nodeId), r.browseName) for r in page.references]


def walk(one, node, name, fields, found):
    """Types of ours below a type, with the names of their own fields."""
    properties = [n for _, n in below(one, node, "i=46") if n.ns.uri == OWN]
    all_fields = fields + properties
    if name.ns.uri == OWN:
        found.append((node, str(name.name), all_fields))
    for child, child_name in below(one, node, "i=45"):
        walk(one, child, child_name, all_fields, found)


def clause(kind, name):
    one = types.SimpleAttributeOperand()
    one.typeDefinitionId, one.browsePath, one.attributeId = o6.NodeId(kind), [name], o6.UInt32(13)
    return one


def of_type(kind):
    operand = types.LiteralOperand(value=o6.NodeId(kind))
    return types.ContentFilter(elements=[types.ContentFilterElement(
        filterOperator=types.FilterOperator.OF_TYPE, filterOperands=[operand])])


def plain(value):
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, (bool, int, float, str)) or value is None else str(value)


def main(url):
    with o6.Client(url) as one:
        found, lock = [], threading.Lock()
        walk(one, "i=2041", o6.QualifiedName("BaseEventType"), [], found)

        def printer(name, kind):
            kind = o6.NodeId(kind)

            def printed(fields):
                if fields["/EventType"] != kind:
                    return
                told = {path.split(":")[-1].lstrip("/"): plain(value) for path, value in fields.items()}
                with lock:
                    line = {"type": name, "source": str(fields["/SourceName"]), "fields": told}
                    print(json.dumps(line), flush=True)
            return printed

        for kind, name, fields in found:
            names = [o6.QualifiedName(f) for f in ("EventId", "EventType", "SourceName", "Time", "Message")]
            clauses = [clause("i=2041", n) for n in names] + [clause(kind, field) for field in fields]
            one.monitorEvent("i=2253", printer(name, kind), types.EventFilter(
                selectClauses=clauses, whereClause=of_type(kind)), queueSize=1000)
        print("ready", flush=True)
        threading.Event().wait()


main(*sys.argv[1:])

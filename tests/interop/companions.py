"""The nodesets that ship with the program, the official files behind them, and the compiler that others wrote.
No test logic."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
OURS = HERE.parent.parent / "nodesets"
OFFICIAL = HERE / "node_modules" / "node-opcua-nodesets" / "nodesets"
# In the order in which they need each other, with the official file and its name in the compiler.
FILES = {
    "di": ("Opc.Ua.Di.NodeSet2.xml", "di"),
    "isa95-jobcontrol": ("opc.ua.isa95-jobcontrol.nodeset2.xml", "isa95_jobcontrol_v2"),
    "machinery": ("Opc.Ua.Machinery.NodeSet2.xml", "machinery"),
    "machinery-jobs": ("Opc.Ua.Machinery.Jobs.Nodeset2.xml", "machinery_jobs"),
    "packml": ("Opc.Ua.PackML.NodeSet2.xml", "pack_ml"),
    "weihenstephan": ("Opc.Ua.Weihenstephan.NodeSet2.xml", "weihenstephan"),
    "mes": (None, None),
}


def compiler(out):
    """The command that makes a package `mes` of our nodeset, on top of the official ones."""
    others = ["ns0", "ia"] + [name for _, name in FILES.values() if name]
    existing = [part for name in others for part in ("-e", name)]
    ncc = Path(sys.executable).parent / "ncc"
    return [ncc, "python", OURS / "mes.xml", *existing, "-o", out, "--shortname", "mes"]

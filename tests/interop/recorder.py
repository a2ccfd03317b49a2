"""A TCP proxy that writes what passes through it as a capture file, and asks tshark about it.

No right to capture packets is needed: the packets are made here around the bytes that were seen.
"""

import asyncio
import struct
import subprocess
import threading
import time

RAW_IP = 101
NEAR, FAR = 40_000, 4840
SEGMENT = 60_000


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Capture:
    """A capture file of TCP connections."""

    def __init__(self, path):
        self.file = open(path, "wb")
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, RAW_IP))

    def segment(self, source, target, sequence, acknowledge, flags, payload=b""):
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0,
                             bytes([127, 0, 0, 1]), bytes([127, 0, 0, 1]))
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        tcp = struct.pack("!HHIIBBHHH", source, target, sequence & 0xFFFFFFFF,
                          acknowledge & 0xFFFFFFFF, 0x50, flags, 0xFFFF, 0, 0)
        packet = header + tcp + payload
        now = time.time()
        self.file.write(struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(packet), len(packet)))
        self.file.write(packet)

    def close(self):
        self.file.close()


class Recorder:
    """Listens on a free port and passes everything on to a port of this machine."""

    def __init__(self, target, path):
        self.target, self.capture, self.near = target, Capture(path), NEAR
        self.path, self.ready = path, threading.Event()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, daemon=True).start()
        self.ready.wait(10)

    def _run(self):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()

    async def _serve(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self.near += 1
        near, sent = self.near, {"near": 1, "far": 1}
        self.capture.segment(near, FAR, 0, 0, 0x02)
        self.capture.segment(FAR, near, 0, 1, 0x12)
        self.capture.segment(near, FAR, 1, 1, 0x10)

        async def pass_on(source, target, side):
            other = "far" if side == "near" else "near"
            ports = (near, FAR) if side == "near" else (FAR, near)
            while data := await source.read(SEGMENT):
                self.capture.segment(*ports, sent[side], sent[other], 0x18, data)
                sent[side] += len(data)
                target.write(data)
                await target.drain()
            target.close()

        await asyncio.gather(pass_on(reader, far_writer, "near"),
                             pass_on(far_reader, writer, "far"), return_exceptions=True)

    def finish(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        time.sleep(0.2)
        self.capture.close()


def decode(path):
    """How many OPC UA messages tshark finds, and what it says of those that it cannot decode."""
    def ask(condition):
        command = ["tshark", "-r", str(path), "-d", f"tcp.port=={FAR},opcua", "-Y", condition]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"tshark: {done.stderr}")
        return done.stdout.splitlines()

    return len(ask("opcua")), ask("_ws.malformed or _ws.expert.severity == error")

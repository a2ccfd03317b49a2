"""A cable that fails in the ways in which cables fail: a proxy between the plant and a machine. No test logic."""

import asyncio
import threading


class Cable:
    """Passes on what both sides say, in a thread of its own."""

    def __init__(self, port, machine):
        self.port, self.machine = port, machine
        self.fault, self.left, self.open = None, 0, []
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        starting = asyncio.start_server(self._pass, "127.0.0.1", port)
        asyncio.run_coroutine_threadsafe(starting, self.loop).result(10)

    def set(self, fault, count=0):
        """None, "cut" (now and every new connection), "deaf" (all is swallowed), "inside" (cut after so many bytes of
        the machine, wherever that is), "half" (the machine's side says that it sends no more)."""
        def change():
            self.fault, self.left = fault, count
            if fault in ("cut", "half"):
                for from_machine, writer in self.open:
                    if fault == "cut":
                        writer.transport.abort()
                    elif from_machine and writer.can_write_eof():
                        writer.write_eof()
        asyncio.run_coroutine_threadsafe(self._run(change), self.loop).result(10)

    @staticmethod
    async def _run(change):
        change()

    async def _pass(self, reader, writer):
        if self.fault == "cut":
            writer.transport.abort()
            return
        try:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self.machine)
        except OSError:
            writer.transport.abort()
            return
        ends = [(True, writer), (False, other_writer)]
        self.open += ends
        await asyncio.gather(self._pump(reader, other_writer, False), self._pump(other_reader, writer, True))
        self.open = [end for end in self.open if end not in ends]

    async def _pump(self, reader, writer, from_machine):
        try:
            while data := await reader.read(16_384):
                while self.fault == "deaf":
                    await asyncio.sleep(0.05)
                if self.fault == "half" and from_machine:
                    continue
                if self.fault == "inside" and from_machine:
                    data, self.left = data[:self.left], self.left - len(data)
                    if self.left <= 0:
                        self.fault = None
                        writer.write(data)
                        break
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

"""Programs that run beside each other while foreign clients and machines are at work, and the HTTP bridge as the
ERP uses it. No test logic."""

import base64
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

INSTANT = "%Y-%m-%dT%H:%M:%S.%fZ"


def fail(text):
    sys.exit(f"interop: {text}")


class Bridge:
    """The HTTP bridge as the ERP uses it."""

    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"

    def call(self, method, path, body=None, key=None, user="erp"):
        return json.loads(self.text(path, method, body, key, user))

    def text(self, path, method="GET", body=None, key=None, user="erp"):
        credentials = base64.b64encode(f"{user}:{user}-demo-password".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode()

    def kpi(self, equipment, until=datetime.timedelta(0)):
        """The figures of the last hour, up to so long ago."""
        end = datetime.datetime.now(datetime.timezone.utc) - until
        window = f"from={end - datetime.timedelta(hours=1):{INSTANT}}&to={end:{INSTANT}}"
        return self.call("GET", f"/v1/kpi?equipment={equipment}&{window}")


def wait_until(what, seconds, condition):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.2)
    fail(f"{what} did not happen within {seconds} s")


class Programs:
    def __init__(self, directory):
        self.directory = directory
        self.running = []

    def start(self, name, *command, **environment):
        log = open(self.directory / f"{name}.log", "wb")
        variables = {**os.environ, **environment}
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=variables)
        self.running.append((name, process))
        return process

    def end(self, command):
        """Ends the program that was started so."""
        name, process = next(one for one in self.running if one[0] == command[0])
        self.running.remove((name, process))
        process.kill()
        process.wait(15)

    def said(self, name, text):
        return text in (self.directory / f"{name}.log").read_text(errors="replace")

    def stop(self):
        for name, process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                if name == "linewright":
                    fail("linewright did not stop within 15 s")

    def show(self):
        for name, _ in self.running:
            text = (self.directory / f"{name}.log").read_text(errors="replace")
            print(f"--- {name}\n{text[-3000:]}", file=sys.stderr)


def run_with_programs(run):
    """Runs a test with the binary that the command line names, a directory of its own, and programs that end with
    it; when it fails, what they have said is shown."""
    binary = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as directory:
        programs = Programs(Path(directory))
        try:
            run(binary, Path(directory), programs)
        except BaseException:
            programs.show()
            raise
        finally:
            programs.stop()

"""What the tests of the p2p command share: running it, and a node with its events."""

import atexit
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time

P2P = None
TIMEOUT = 30  # seconds; nothing here takes long, but the machine may be busy


def begin():
    """Takes the build folder from the arguments; what a user of this machine has configured, and
    the nodes that run here, are not seen."""
    global P2P
    if len(sys.argv) < 2:
        sys.exit(sys.modules["__main__"].__doc__)
    P2P = str(pathlib.Path(sys.argv.pop(1)).resolve() / "p2p")
    home = tempfile.mkdtemp(prefix="p2p-home-")
    atexit.register(lambda: subprocess.run(["rm", "-rf", home], check=False))
    os.environ["XDG_CONFIG_HOME"] = home + "/config"
    os.environ["XDG_RUNTIME_DIR"] = home


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("P2P_")}
    return {**kept, **more}


def run(*args, stdin=b"", env=None, **more):
    """(exit code, stdout, stderr as text)"""
    done = subprocess.run([P2P, *map(str, args)], input=stdin, capture_output=True,
                          timeout=TIMEOUT, env=env or environment(), **more)
    return done.returncode, done.stdout, done.stderr.decode()


def start(*args, env=None, **more):
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([P2P, *map(str, args)], env=env or environment(), **{**pipes, **more})
    atexit.register(lambda: process.poll() is None and process.kill())  # of a test that failed
    return process


def objects(raw):
    """Each line as a dict; all of it must be NDJSON."""
    assert raw == b"" or raw.endswith(b"\n"), raw
    return [json.loads(line) for line in raw.splitlines()]


class Node:
    """A node with --json; its events come in through a thread."""

    def __init__(self, *args, **more):
        if "--listen" not in args:
            args = ("--listen", "/ip4/127.0.0.1/tcp/0", *args)
        self.process = start("node", "--json", *args, **more)
        self.events, self.seen = queue.Queue(), []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.addrs = []
        while (event := self.next())["event"] != "ready":
            assert event["event"] == "listening", event
            self.addrs.append(event["addr"])
        self.peer = event["peer"]
        self.addr = self.addrs[0]
        self.port = int(self.addr.split("/")[4])

    def _read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))
        self.events.put(None)

    def next(self):
        event = self.events.get(timeout=TIMEOUT)
        assert event is not None, self.process.stderr.read().decode()
        self.seen.append(event)
        return event

    def wait_for(self, name):
        while (event := self.next())["event"] != name:
            pass
        return event

    def stop(self, number=signal.SIGTERM):
        """(exit code, seconds it took)"""
        begun = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=TIMEOUT)
        took = time.monotonic() - begun
        self.reader.join(timeout=TIMEOUT)
        self.stderr = self.process.stderr.read().decode()
        self.process.stdout.close()
        self.process.stderr.close()
        return code, took

"""Child processes: each is known by its own handle, and only those are ever ended."""

import json
import os
import signal
import subprocess
import tempfile
import threading
import time

RUNNING = []
STOP_GRACE_S = 3


class Fail(Exception):
    """What a case raises when it did not see what it wanted."""


class Deadline:
    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def left(self):
        left = self.end - time.monotonic()
        if left <= 0:
            raise Fail("deadline passed")
        return left


class Child:
    """A running program whose stdout is lines of JSON."""

    def __init__(self, command):
        self.command = command
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        RUNNING.append(self.process)
        self.events = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": "malformed", "line": line.decode(errors="replace")}
            with self.changed:
                self.events.append(event)
                self.changed.notify_all()
        with self.changed:
            self.events.append({"event": "stdout closed"})
            self.changed.notify_all()

    def wait_for(self, wanted, deadline, since=0):
        """The first event from number `since` on for which wanted(event) holds."""
        at = since
        with self.changed:
            while True:
                while at < len(self.events):
                    event = self.events[at]
                    at += 1
                    if wanted(event):
                        return event
                    if event["event"] == "stdout closed":
                        raise Fail(f"{self.command[0]} ended early: {self.stderr_tail()}")
                if not self.changed.wait(deadline.left()):
                    seen = ", ".join(e["event"] for e in self.events[since:][-8:])
                    raise Fail(f"no such event before the deadline; last events: {seen or 'none'}")

    def stderr_tail(self, limit=2000):
        size = self.errors.seek(0, os.SEEK_END)
        self.errors.seek(max(0, size - limit))
        return self.errors.read().decode(errors="replace").strip()

    def alive(self):
        return self.process.poll() is None

    def stop(self, with_signal=signal.SIGTERM):
        """Ends the child and returns (exit code, seconds it took)."""
        start = time.monotonic()
        if self.alive():
            self.process.send_signal(with_signal)
        try:
            code = self.process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        took = time.monotonic() - start
        self.process.stdin.close()
        forget(self.process)
        return code, took


def forget(process):
    if process in RUNNING:
        RUNNING.remove(process)


def end_all():
    for process in list(RUNNING):
        process.kill()
        process.wait()
        forget(process)


class Finished:
    def __init__(self, command, code, out, err):
        self.command, self.code, self.out = command, code, out
        self.err = err.decode(errors="replace").strip()

    def events(self):
        """The lines of JSON on stdout, all of which must parse."""
        try:
            return [json.loads(line) for line in self.out.splitlines()]
        except ValueError as error:
            raise Fail(f"stdout is not lines of JSON: {error}: {self.out[:300]!r}") from error

    def event(self, name):
        for event in self.events():
            if event.get("event") == name:
                return event
        raise Fail(f"no event {name}: exit {self.code}, stdout {self.out[:300]!r}, stderr {self.err[-500:]}")

    def expect(self, code):
        if self.code != code:
            raise Fail(f"exit {self.code}, expected {code}: stdout {self.out[:300]!r}, stderr {self.err[-500:]}")
        return self


def run(command, deadline, stdin=subprocess.DEVNULL):
    """Runs a program to its end; stdin may be an open file."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(command, stdin=stdin, stdout=out, stderr=err)
        RUNNING.append(process)
        try:
            code = process.wait(deadline.left())
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            err.seek(0)
            tail = err.read().decode(errors="replace")[-500:]
            raise Fail(f"deadline passed in {' '.join(command[:6])}: {tail}") from None
        finally:
            forget(process)
        out.seek(0)
        err.seek(0)
        return Finished(command, code, out.read(), err.read())

#!/usr/bin/env python3
"""p2p node --stdio, and --via: libp2p over a program's standard input and output."""

import hashlib
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

P2P = str(Path(sys.argv.pop(1)).resolve() / "p2p")
ENV = {**os.environ, "P2P_CONFIG": "", "XDG_CONFIG_HOME": "/nonexistent"}


def run(*args, data=b"", seconds=30):
    return subprocess.run([P2P, *args], input=data, capture_output=True, timeout=seconds, check=False,
                          env=ENV)


class ViaTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.key = os.path.join(cls.folder.name, "key")
        assert run("key", "gen", "--out", cls.key).returncode == 0
        cls.peer = run("key", "show", cls.key).stdout.decode().split("peer")[1].split()[0]
        cls.node = f"'{P2P}' node --stdio --key '{cls.key}' 2>/dev/null"

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def via(self, command, *args, way=None, **more):
        return run(command, self.peer, *args, "--via", self.node if way is None else way, **more)

    def test_ping(self):
        done = self.via("ping", "-c", "2", "-i", "0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"2 received", done.stdout)

    def test_identify(self):
        done = self.via("identify", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(self.peer.encode(), done.stdout)

    def test_cat(self):
        data = os.urandom(3_000_000)
        done = self.via("cat", "--protocol", "/p2p/echo/1.0.0", data=data)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(hashlib.sha256(done.stdout).digest(), hashlib.sha256(data).digest())

    def test_perf(self):
        done = self.via("perf", "--upload", "1M", "--download", "1M", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b'"upload_bytes":1048576', done.stdout)

    def test_another_peer(self):
        done = self.via("ping", way=f"'{P2P}' node --stdio 2>/dev/null")
        self.assertEqual(done.returncode, 60)
        self.assertIn(b"expected peer " + self.peer.encode(), done.stderr)

    def test_the_command_fails(self):
        done = self.via("ping", way="exit 3")
        self.assertEqual(done.returncode, 7)
        self.assertIn(b"--via: the command ended with 3", done.stderr)
        done = self.via("ping", way="kill -9 $$")
        self.assertEqual(done.returncode, 7)
        self.assertIn(b"killed by signal 9", done.stderr)

    def test_the_command_is_no_node(self):
        done = self.via("ping", way="echo hello; sleep 1")
        self.assertEqual(done.returncode, 35)
        self.assertTrue(done.stderr)

    def test_the_command_is_silent(self):
        done = self.via("ping", "--timeout", "1", way="cat >/dev/null")
        self.assertEqual(done.returncode, 28)
        self.assertIn(b"--timeout", done.stderr)

    def test_a_target_that_is_an_address(self):
        done = run("ping", f"/ip4/127.0.0.1/tcp/1/p2p/{self.peer}", "--via", "cat")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"TARGET is the peer's id", done.stderr)

    def test_node_ends_with_its_peer(self):
        done = run("node", "--stdio", "--json")
        self.assertEqual(done.returncode, 35)
        self.assertIn(b'"event":"ready"', done.stderr)
        self.assertEqual(done.stdout, b"\x13/multistream/1.0.0\n")

    def test_node_of_a_file(self):
        with open(self.key, "rb") as file:
            done = subprocess.run([P2P, "node", "--stdio"], stdin=file, capture_output=True,
                                  timeout=30, check=False, env=ENV)
        self.assertEqual(done.returncode, 7)
        self.assertIn(b"cannot use these descriptors", done.stderr)


if __name__ == "__main__":
    unittest.main()

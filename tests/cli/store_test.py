#!/usr/bin/env python3
"""What a node remembers of its peers across restarts: store_test.py BUILD [arguments]"""

import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import cli
from cli import Node, environment, objects, run


class StoreTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="p2p-store-"))
        self.addCleanup(lambda: subprocess.run(["rm", "-rf", self.folder], check=True))
        self.env = environment(XDG_RUNTIME_DIR=str(self.folder))
        self.option = ("-o", f"store={self.folder / 'peers.db'}")

    def known(self):
        code, out, err = run("addrs", "--json", env=self.env)
        self.assertEqual((code, err), (0, ""))
        return [o for o in objects(out) if o["kind"] == "known"]

    def test_a_restart_remembers(self):
        peer = Node()
        self.addCleanup(peer.stop)
        where, name = peer.addr.split("/p2p/")
        self.assertEqual(run("ping", peer.addr, "-c", 1, *self.option)[0], 0)
        expected = [{"event": "addr", "kind": "known", "addr": where, "peer": name}]
        for _ in range(2):
            node = Node(*self.option, env=self.env)
            self.assertEqual(self.known(), expected)
            self.assertIn(f"known {peer.addr}\n", run("addrs", env=self.env)[1].decode())
            code, out, err = run("peers", "--known", "--json", env=self.env)
            self.assertEqual((code, err), (0, ""))
            who, = objects(out)
            self.assertEqual(list(who), ["event", "peer", "connected", "bootstrap", "agent",
                                         "signed_record", "addrs", "protocols"])
            self.assertEqual((who["peer"], who["connected"], who["signed_record"], who["addrs"]),
                             (name, False, True, [where]))
            self.assertIn("/p2p/echo/1.0.0", who["protocols"])
            self.assertEqual(run("peers", "--known", env=self.env)[1].decode(),
                             f"{name} not connected {where} {who['agent']}\n")
            node.stop()
        code, _, err = run("ping", name, "-c", 1, *self.option)
        self.assertEqual((code, err), (0, ""))
        self.assertNotEqual(run("ping", name, "-c", 1)[0], 0)

    def test_who_is_connected_is_known(self):
        peer = Node()
        self.addCleanup(peer.stop)
        where, name = peer.addr.split("/p2p/")
        node = Node("-o", f"keep={peer.addr}", env=self.env)
        self.addCleanup(node.stop)
        node.wait_for("connected")
        for _ in range(100):
            who = objects(run("peers", "--known", "--json", env=self.env)[1])
            if who and who[0]["agent"]:
                break
            time.sleep(0.05)
        who, = who
        self.assertEqual((who["peer"], who["connected"], who["addrs"]), (name, True, [where]))
        self.assertIn(f"{name} connected {where} ", run("peers", "--known", env=self.env)[1].decode())

    def test_V04_a_damaged_file_is_named_and_the_node_serves(self):
        path = self.folder / "peers.db"
        path.write_bytes(b"not a store" * 2000)
        before = path.read_bytes()
        node = Node(*self.option, env=self.env)
        self.assertEqual(run("ping", node.addr, "-c", 1)[0], 0)
        node.stop()
        self.assertRegex(node.stderr, rf"\Ap2p: cannot open {path}: it is damaged[^\n]*\n\Z")
        self.assertEqual(path.read_bytes(), before)

    def test_who_dials_is_told_of_a_store_that_cannot_be_opened(self):
        peer = Node()
        self.addCleanup(peer.stop)
        path = self.folder / "no/such/folder"
        for command in ("ping", "-c", 1), ("identify",), ("perf", "--upload", 1, "--download", 1):
            code, out, err = run(command[0], peer.addr, *command[1:], "-o", f"store={path}")
            self.assertEqual(code, 0)
            self.assertTrue(out)
            self.assertEqual(err, f"p2p: cannot open {path}: No such file or directory\n")


if __name__ == "__main__":
    cli.begin()
    if b"lmdb" not in run("version")[1]:
        sys.exit(77)
    unittest.main()

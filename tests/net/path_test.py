#!/usr/bin/env python3
"""Transfers over bad paths, dead ones, and from an address that changes, with the system's own network
between two namespaces: path_test.py BUILD [arguments]"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))

import cli  # noqa: E402
import path  # noqa: E402

CLIENT, SERVER, ELSEWHERE = "10.77.0.1", "10.77.0.2", "10.77.0.3"
CLIENT6, SERVER6, ELSEWHERE6 = "fd77::1", "fd77::2", "fd77::3"
ANYWHERE = "10.79.0.1"  # the server's, by whatever path
ECHO = "/p2p/echo/1.0.0"
# Silence is noticed after 4 s instead of 40.
HASTY = ("-o", "keepalive=2s", "-o", "keepalive_timeout=2s")
NOTICED = 8
TRANSPORTS = ("tcp", "quic")


class Transfer:
    """p2p cat through an echo: bytes that this process makes up as they are asked for."""

    def __init__(self, machine, addr, size, seed=1):
        self.process = cli.start("cat", addr, "--protocol", ECHO, "--json", *HASTY, preexec_fn=machine.become,
                                 stdin=subprocess.PIPE)
        self.size, self.got = size, 0
        self.sent_hash, self.got_hash = hashlib.sha256(), hashlib.sha256()
        self.block = hashlib.shake_128(str(seed).encode()).digest(65536)
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self._write, self._read)]
        for thread in self.threads:
            thread.start()

    def _write(self):
        left = self.size
        try:
            while left:
                piece = self.block[:left]
                self.process.stdin.write(piece)
                self.sent_hash.update(piece)
                left -= len(piece)
                self.block = self.block[1:] + self.block[:1]
            self.process.stdin.close()
        except OSError:
            pass  # it has ended

    def _read(self):
        while piece := self.process.stdout.read1(65536):
            self.got_hash.update(piece)
            self.got += len(piece)

    def wait_for(self, size):
        """Until so much has come back."""
        until = time.monotonic() + cli.TIMEOUT
        while self.got < size:
            assert time.monotonic() < until and self.process.poll() is None, f"{self.got} of {self.size}"
            time.sleep(0.01)

    def finish(self, seconds=120):
        """(exit code, what it said, seconds it took)"""
        begun = time.monotonic()
        code = self.process.wait(timeout=seconds)
        took = time.monotonic() - begun
        for thread in self.threads:
            thread.join(timeout=cli.TIMEOUT)
        said = self.process.stderr.read().decode()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
        return code, said, took

    def is_whole(self):
        return self.got == self.size and self.got_hash.digest() == self.sent_hash.digest()


class PathTest(unittest.TestCase):
    def setUp(self):
        self.client, self.server = path.Machine(), path.Machine()
        self.path = path.Path(self.client, self.server)
        self.addCleanup(self.client.close)
        self.addCleanup(self.server.close)
        self.addCleanup(self.path.close)
        self.client.ip("addr", "add", CLIENT + "/24", "dev", "path0")
        self.server.ip("addr", "add", SERVER + "/24", "dev", "path1")
        listen = [f"/ip4/{SERVER}/tcp/0"]
        if QUIC:
            listen.append(f"/ip4/{SERVER}/udp/0/quic-v1")
        self.node = cli.Node(*(x for a in listen for x in ("--listen", a)), *HASTY, preexec_fn=self.server.become)
        self.addCleanup(self.node.stop)
        self.addrs = dict(zip(TRANSPORTS, self.node.addrs))

    def needs_quic(self):
        if "quic" not in self.addrs:
            self.skipTest("no QUIC in this build")

    def over_each(self):
        for name, addr in self.addrs.items():
            with self.subTest(over=name):
                yield addr

    def run_on_client(self, *args):
        return cli.run(*args, preexec_fn=self.client.become)

    def transfers(self, size):
        for addr in self.over_each():
            transfer = Transfer(self.client, addr, size)
            code, said, took = transfer.finish()
            self.assertEqual(code, 0, said)
            self.assertTrue(transfer.is_whole())
            print(f"{self.id().rpartition('.')[2]}, {addr.split('/')[3]}: {size >> 10} KiB both ways in {took:.1f} s",
                  file=sys.stderr)

    def perf(self, upload, download):
        for addr in self.over_each():
            code, out, err = self.run_on_client("perf", addr, "--upload", upload, "--download", download, "--json")
            self.assertEqual((code, err), (0, ""))
            result = json.loads(out)
            self.assertEqual((result["upload_bytes"], result["download_bytes"]), (upload, download))

    # ---- bad paths ----

    def test_loss_and_delay(self):
        self.path.delay, self.path.loss = 0.060, 0.05
        self.transfers(512 << 10)
        self.perf(128 << 10, 128 << 10)
        self.assertGreater(self.path.lost, 10)

    def test_delay(self):
        self.path.delay = 0.060
        self.transfers(8 << 20)

    def test_reordering(self):
        self.path.delay, self.path.reorder = 0.010, 0.10
        self.transfers(2 << 20)
        self.perf(1 << 20, 1 << 20)
        self.assertGreater(self.path.overtook, 100)

    # ---- dead ones ----

    def gave_up(self, code, said, took):
        self.assertEqual(code, 28, said)
        self.assertLess(took, NOTICED)
        error = json.loads([line for line in said.splitlines() if line.startswith("{")][-1])
        self.assertEqual((error["event"], error["code"]), ("error", "ETIMEDOUT"))
        self.assertRegex(error["message"], "the remote left a keep-alive ping unanswered|the remote has gone silent")

    def dies(self, kill, revive):
        for addr in self.over_each():
            transfer = Transfer(self.client, addr, 64 << 20)
            transfer.wait_for(1 << 20)
            kill()
            code, said, took = transfer.finish(60)
            revive()
            self.gave_up(code, said, took)
            self.assertEqual(self.node.wait_for("disconnected")["reason"], "ETIMEDOUT")

    def set_up(self, up):
        self.path.up = up

    def set_link(self, to):
        self.client.ip("link", "set", "path0", to)

    def test_it_dies_silently(self):
        self.path.delay = 0.005
        self.dies(lambda: self.set_up(False), lambda: self.set_up(True))

    def test_the_link_goes_down(self):
        self.path.delay = 0.005
        self.dies(lambda: self.set_link("down"), lambda: self.set_link("up"))

    def comes_back(self, kill, revive):
        for addr in self.over_each():
            transfer = Transfer(self.client, addr, 16 << 20)
            transfer.wait_for(1 << 20)
            kill()
            time.sleep(1.5)
            had = transfer.got
            revive()
            code, said, _ = transfer.finish()
            self.assertEqual(code, 0, said)
            self.assertLess(had, transfer.size)
            self.assertTrue(transfer.is_whole())

    def test_it_is_silent_for_a_while(self):
        self.path.delay = 0.005
        self.comes_back(lambda: self.set_up(False), lambda: self.set_up(True))

    def test_the_link_is_down_for_a_while(self):
        self.path.delay = 0.005
        self.comes_back(lambda: self.set_link("down"), lambda: self.set_link("up"))

    # ---- another address ----

    def readdress(self, old, new):
        self.client.ip("addr", "del", old + "/24", "dev", "path0")
        self.client.ip("addr", "add", new + "/24", "dev", "path0")

    def survives(self, node, addr, change):
        """One connection all the time."""
        transfer = Transfer(self.client, addr, 16 << 20)
        transfer.wait_for(1 << 20)
        change()
        had = transfer.got
        code, said, _ = transfer.finish()
        self.assertEqual(code, 0, said)
        self.assertLess(had, transfer.size)
        self.assertTrue(transfer.is_whole())
        self.assertEqual(node.wait_for("disconnected")["reason"], "ECLOSED")
        self.assertEqual(len([e for e in node.seen if e["event"] == "connected"]), 1)

    def another_node(self, listen):
        node = cli.Node("--listen", listen, *HASTY, preexec_fn=self.server.become)
        self.addCleanup(node.stop)
        return node

    def test_another_address_in_mid_transfer(self):
        self.needs_quic()
        self.path.delay = 0.005
        self.survives(self.node, self.addrs["quic"], lambda: self.readdress(CLIENT, ELSEWHERE))

    def test_a_route_that_comes_later_than_its_address(self):
        self.needs_quic()
        self.path.delay = 0.005

        def change():
            self.client.ip("addr", "del", CLIENT + "/24", "dev", "path0")
            self.client.ip("addr", "add", ELSEWHERE + "/32", "dev", "path0")
            time.sleep(0.7)
            self.client.ip("route", "add", "10.77.0.0/24", "dev", "path0")
        self.survives(self.node, self.addrs["quic"], change)

    def test_another_ipv6_address(self):
        self.needs_quic()
        self.path.delay = 0.005
        self.client.ip("addr", "add", CLIENT6 + "/64", "dev", "path0", "nodad")
        self.server.ip("addr", "add", SERVER6 + "/64", "dev", "path1", "nodad")
        node = self.another_node(f"/ip6/{SERVER6}/udp/0/quic-v1")

        def change():
            self.client.ip("addr", "del", CLIENT6 + "/64", "dev", "path0")
            time.sleep(0.5)
            self.client.ip("addr", "add", ELSEWHERE6 + "/64", "dev", "path0", "nodad")
        self.survives(node, node.addr, change)

    def second_path(self):
        """The server has an address that both paths may lead to, by default routes of the client. What leaves
        from an address of one path never takes the other."""
        second = path.Path(self.client, self.server, ("more0", "more1"))
        self.addCleanup(second.close)
        self.client.ip("addr", "add", "10.78.0.1/24", "dev", "more0")
        self.server.ip("addr", "add", "10.78.0.2/24", "dev", "more1")
        self.server.ip("addr", "add", ANYWHERE + "/32", "dev", "lo")
        self.client.ip("route", "add", "default", "dev", "more0", "metric", "20")
        self.client.ip("route", "add", "default", "dev", "more0", "table", "100")
        self.client.ip("rule", "add", "from", "10.78.0.1", "lookup", "100")
        self.path.delay = second.delay = 0.005
        return second, self.another_node(f"/ip4/{ANYWHERE}/udp/0/quic-v1")

    def prefer_the_first(self):
        self.client.ip("route", "add", "default", "dev", "path0", "metric", "10")

    def test_from_one_network_to_another(self):
        self.needs_quic()
        second, node = self.second_path()
        self.prefer_the_first()
        before = second.passed
        self.survives(node, node.addr, lambda: self.set_link("down"))
        self.assertGreater(second.passed - before, 1000)

    def test_a_better_network(self):
        self.needs_quic()
        second, node = self.second_path()
        before = self.path.passed
        self.survives(node, node.addr, self.prefer_the_first)
        self.assertGreater(self.path.passed - before, 1000)
        self.assertGreater(second.passed, 700)

    def test_a_better_network_that_leads_nowhere(self):
        self.needs_quic()
        second, node = self.second_path()
        self.path.up = False
        lost = self.path.lost
        self.survives(node, node.addr, self.prefer_the_first)
        self.assertGreater(self.path.lost, lost)  # it was tried
        self.assertGreater(second.passed, 1000)

    def test_another_address_while_only_the_server_sends(self):
        self.needs_quic()
        self.path.delay = 0.005
        process = cli.start("perf", self.addrs["quic"], "--upload", 0, "--download", 64 << 20, "--json", *HASTY,
                            preexec_fn=self.client.become)
        self.node.wait_for("connected")
        before = self.path.passed
        while self.path.passed < before + 2000:
            time.sleep(0.01)
        self.readdress(CLIENT, ELSEWHERE)
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, err), (0, b""))
        self.assertEqual(json.loads(out)["download_bytes"], 64 << 20)

    def test_tcp_cannot_move(self):
        self.path.delay = 0.005
        transfer = Transfer(self.client, self.addrs["tcp"], 64 << 20)
        transfer.wait_for(1 << 20)
        self.readdress(CLIENT, ELSEWHERE)
        self.gave_up(*transfer.finish(60))

    # ---- no UDP ----

    def test_a_network_that_swallows_udp(self):
        self.needs_quic()
        if not STORE:
            self.skipTest("no store in this build")
        self.path.delay = 0.030
        with tempfile.TemporaryDirectory() as folder:
            store = ("-o", f"store={folder}/peers.db")
            code, _, err = self.run_on_client("identify", self.addrs["tcp"], *store)
            self.assertEqual((code, err), (0, ""))
            for udp in (True, False):
                self.path.udp = udp
                begun = time.monotonic()
                process = cli.start("cat", self.node.peer, "--protocol", ECHO, "--json", *store,
                                    preexec_fn=self.client.become)
                first = process.stderr.readline()
                took = time.monotonic() - begun
                out, err = process.communicate(timeout=cli.TIMEOUT)
                self.assertEqual((process.returncode, out), (0, b""), err)
                self.assertIn("/quic-v1" if udp else "/tcp/", json.loads(first)["addr"], first)
                self.assertLess(took, 1 if not SANITIZED else 5)
                print(f"UDP {'passes' if udp else 'is swallowed'}: connected in {took:.2f} s", file=sys.stderr)


if __name__ == "__main__":
    path.enter()
    path.need_tun()
    cli.begin()
    VERSION = cli.run("version")[1]
    QUIC, STORE = b"quic" in VERSION, b"store" in VERSION
    SANITIZED = b"__asan_init" in pathlib.Path(cli.P2P).read_bytes()
    unittest.main()

#!/usr/bin/env python3
"""Hostile peers at a node's TCP port, from many addresses: attack_test.py BUILD [arguments]"""

import os
import pathlib
import socket
import sys
import time
import unittest

import cli
from cli import Node, environment, run

try:
    import raw
except ImportError:
    sys.exit(77)  # without the package cryptography

ECHO = "/p2p/echo/1.0.0"


class AttackTest(unittest.TestCase):
    def node(self, *args):
        # A sanitizer would keep what is freed, which is not what the node keeps.
        asan = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
        node = Node(*args, env=environment(ASAN_OPTIONS=asan))
        self.addCleanup(node.stop)
        return node

    def serves(self, node):
        code, _, err = run("ping", node.addr, "-c", 1)
        self.assertEqual((code, err), (0, ""))

    def resident(self, node):
        status = pathlib.Path(f"/proc/{node.process.pid}/statm").read_text(encoding="ascii")
        return int(status.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self, node):
        return len(os.listdir(f"/proc/{node.process.pid}/fd"))

    def test_memory_is_given_back_after_a_flood(self):
        """Echoes that nobody reads, by many peers, until the node holds tens of MiB of them."""
        if b"__asan_init" in pathlib.Path(cli.P2P).read_bytes():
            self.skipTest("the sanitizer's allocator gives nothing back")
        node = self.node()
        self.serves(node)
        before, fds = self.resident(node), self.descriptors(node)
        peers = []
        for _ in range(60):
            peers.append(peer := raw.Raw(node.port))
            self.assertTrue(peer.upgrade(raw.Identity()))
            try:
                for stream in range(1, 200, 2):
                    peer.write(raw.data(stream, raw.HEADER + raw.line(ECHO) + bytes(100000), raw.SYN))
            except OSError:
                pass  # it was too much
        for _ in range(50):
            if (held := self.resident(node)) > before + (16 << 20):
                break
            time.sleep(0.1)
        self.assertGreater(held, before + (16 << 20))
        for peer in peers:
            peer.close()
        for _ in range(100):
            if self.resident(node) <= before + (2 << 20) and self.descriptors(node) <= fds + 1:
                break
            time.sleep(0.1)
        self.assertLessEqual(self.resident(node), before + (2 << 20))
        self.assertLessEqual(self.descriptors(node), fds + 1)
        self.serves(node)

    def test_X02_half_open_from_a_thousand_addresses(self):
        node = self.node()
        before, fds = self.resident(node), self.descriptors(node)
        socks = []
        for i in range(1000):
            sock = socket.socket()
            self.addCleanup(sock.close)
            sock.setblocking(False)
            sock.bind((f"127.{i % 250}.{i // 250}.7", 0))
            sock.connect_ex(("127.0.0.1", node.port))
            socks.append(sock)
        self.serves(node)
        self.assertLessEqual(self.descriptors(node), fds + 64 + 1)
        for sock in socks:
            sock.close()
        self.serves(node)
        self.assertLess(self.resident(node) - before, 4 << 20)

    def test_frames_in_the_wrong_place(self):
        """What each of them is told, and that it is told with yamux's code for it."""
        node = self.node()
        identity = raw.Identity()
        opened = raw.data(1, raw.HEADER + raw.line(ECHO), raw.SYN)
        for name, sent in {"a body without a stream": raw.data(0, b"x"),
                           "credit without a stream": raw.frame(raw.WINDOW, 0, 0, 5),
                           "our id": raw.data(2, raw.HEADER, raw.SYN),
                           "a window that wraps": opened + raw.frame(raw.WINDOW, 0, 1, 0xffffffff),
                           "a stream that begins so": raw.frame(raw.WINDOW, raw.SYN, 1, 0xffffffff),
                           "an endless body": opened + raw.frame(raw.DATA, 0, 1, 0x80000000),
                           "the same for nobody": raw.frame(raw.DATA, 0, 99, 0xffffffff),
                           "HTTP": b"GET / HTTP/1.1\r\n\r\n", "mplex": b"\x00\x05hello\x02\x14" + raw.HEADER,
                           "zeros": bytes(1200)}.items():
            with self.subTest(name=name):
                peer = raw.Raw(node.port)
                self.assertTrue(peer.upgrade(identity))
                peer.write(sent)
                self.assertEqual(peer.goaway(), 1)
                peer.close()
                self.assertIn(node.wait_for("disconnected")["reason"], ("EPROTO", "ELIMIT"))
        self.serves(node)


if __name__ == "__main__":
    cli.begin()
    unittest.main()

#!/usr/bin/env python3
"""Datagrams that reach a node's QUIC socket from nobody it knows: quic_test.py BUILD [arguments]"""

import os
import pathlib
import select
import socket
import sys
import threading
import unittest

import cli
from cli import Node, environment, run

V1 = b"\x00\x00\x00\x01"
OTHER = b"\x1a\x2a\x3a\x4a"


def initial(version=V1, to=b"\xaa" * 8, ours=b"\xbb" * 8, token=b"", size=1200):
    """An Initial whose header is right and whose rest is noise."""
    head = b"\xc3" + version + bytes([len(to)]) + to + bytes([len(ours)]) + ours
    if version == V1:
        head += (0x4000 | len(token)).to_bytes(2, "big") + token
    rest = max(size - len(head) - 2, 0)
    return (head + (0x4000 | rest).to_bytes(2, "big") + os.urandom(rest))[:size]


class Relay(threading.Thread):
    """Between one client and the node, like a box that translates ports, and forgets now and then."""

    def __init__(self, to, forget_after):
        super().__init__(daemon=True)
        self.to, self.forget_after = to, forget_after
        self.inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.inside.bind(("127.0.0.1", 0))
        self.port = self.inside.getsockname()[1]
        self.outside, self.seen, self.forgotten = None, set(), 0
        self.over = threading.Event()
        self.forget()

    def forget(self):
        if self.outside:
            self.outside.close()
            self.forgotten += 1
        self.outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.outside.connect(self.to)
        self.seen.add(self.outside.getsockname()[1])

    def run(self):
        client, passed = None, 0
        while not self.over.is_set():
            for ready in select.select([self.inside, self.outside], [], [], 0.1)[0]:
                if ready is self.outside:
                    self.inside.sendto(ready.recv(65536), client)
                    continue
                datagram, client = ready.recvfrom(65536)
                passed += 1
                if passed % self.forget_after == 0:
                    self.forget()
                    self.outside.send(datagram)
                    break  # the old one may have been ready, too
                self.outside.send(datagram)
        self.inside.close()
        self.outside.close()


class QuicTest(unittest.TestCase):
    def setUp(self):
        # A sanitizer would keep what is freed, which is not what the node keeps.
        asan = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
        self.node = Node("--listen", "/ip4/127.0.0.1/udp/0/quic-v1", env=environment(ASAN_OPTIONS=asan))
        self.addCleanup(self.node.stop)
        self.at = ("127.0.0.1", int(self.node.addr.split("/")[4]))

    def socket(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.connect(self.at)
        return sock

    def answer(self, sock, datagram, seconds=5.0):
        sock.send(datagram)
        return sock.recv(65536) if select.select([sock], [], [], seconds)[0] else None

    def nothing_for(self, sock, *datagrams):
        """Proven by the answer to what is sent after them: there is no other before it."""
        for datagram in datagrams:
            sock.send(datagram)
        reply = self.answer(sock, initial(OTHER, ours=b"\xdd" * 8))
        self.assertIsNotNone(reply)
        self.assertEqual(reply[1:14], bytes(4) + b"\x08" + b"\xdd" * 8, reply.hex())

    def serves(self):
        code, _, err = run("ping", self.node.addr, "-c", 1)
        self.assertEqual((code, err), (0, ""))

    def resident(self):
        status = pathlib.Path(f"/proc/{self.node.process.pid}/statm").read_text(encoding="ascii")
        return int(status.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def test_Q01_too_short_empty_and_garbage(self):
        sock = self.socket()
        self.nothing_for(sock, b"", b"\x40", initial(size=1199), initial(OTHER, size=1199), b"\x40" * 41,
                         b"\xff" * 6, b"\xc3" + V1 + b"\xff" * 1300)
        for _ in range(20):
            for _ in range(50):
                sock.send(b"")
                sock.send(os.urandom(39))
            self.serves()

    def test_Q03_another_version(self):
        sock = self.socket()
        reply = self.answer(sock, initial(OTHER))
        self.assertTrue(reply[0] & 0x80)
        self.assertEqual(reply[1:], bytes(4) + b"\x08" + b"\xbb" * 8 + b"\x08" + b"\xaa" * 8 + V1)
        self.nothing_for(sock, reply + bytes(1200))  # a version negotiation is never answered
        self.serves()

    def test_Q04_a_forged_token(self):
        reply = self.answer(self.socket(), initial(token=b"\xb6" + os.urandom(80)))
        self.assertEqual(reply[1:5], V1)  # a sealed CONNECTION_CLOSE, not a Retry, and no connection
        self.assertEqual(reply[0] & 0xf0, 0xc0)
        self.assertEqual(reply[6:14], b"\xbb" * 8)
        self.assertLess(len(reply), 1200)
        self.serves()

    def test_reset_of_a_connection_that_is_not_known(self):
        sock = self.socket()
        for size in (42, 60, 128, 129, 1200):
            reply = self.answer(sock, b"\x40" + os.urandom(size - 1))
            self.assertEqual(len(reply), min(size - 1, 128))
            self.assertEqual(reply[0] & 0xc0, 0x40)
        same = b"\x40" + b"\xcc" * 60
        self.assertEqual(self.answer(sock, same)[-16:], self.answer(sock, same)[-16:])
        self.nothing_for(sock, b"\x40" + os.urandom(40))

    def test_a_box_that_forgets_ports_in_mid_transfer(self):
        relay = Relay(self.at, 500)
        relay.start()
        parts = self.node.addr.split("/")
        parts[4] = str(relay.port)
        code, _, err = run("perf", "/".join(parts), "--upload", "6M", "--download", "6M")
        relay.over.set()
        relay.join()
        self.assertEqual((code, err), (0, ""))
        self.assertGreaterEqual(relay.forgotten, 3)
        self.assertGreaterEqual(len(relay.seen), 2)

    def test_Q17_ten_thousand_initials(self):
        before = self.resident()
        socks = [self.socket() for _ in range(100)]
        for i in range(10000):
            socks[i % 100].send(initial(to=os.urandom(8)))
            if i % 2500 == 0:
                self.serves()
        self.serves()
        sanitized = b"__asan_init" in pathlib.Path(cli.P2P).read_bytes()  # with what it puts around each piece
        self.assertLess(self.resident() - before, 16 << 20 if sanitized else 4 << 20)


if __name__ == "__main__":
    cli.begin()
    if b"quic" not in run("version")[1]:
        sys.exit(77)
    unittest.main()

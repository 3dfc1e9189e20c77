#!/usr/bin/env python3
"""The p2p command as people and programs use it: cli_test.py BUILD [unittest arguments]"""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import pty
import random
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

import cli
from cli import TIMEOUT, Node, environment, objects, run, start

PEER = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
ECHO = "/p2p/echo/1.0.0"
CONNECTED = ["event", "conn", "peer", "addr", "direction", "security", "muxer", "limited",
             "protection"]
PEER_ID = re.compile(r"^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$")


@contextlib.contextmanager
def name_server(texts):
    """A DNS server with these TXT records; every other name does not exist."""
    def serve(sock):
        with contextlib.suppress(OSError):
            while True:
                query, sender = sock.recvfrom(4096)
                end, labels = 12, []
                while query[end]:
                    labels.append(query[end + 1:end + 1 + query[end]].decode())
                    end += 1 + query[end]
                question, text = query[12:end + 5], texts.get(".".join(labels))
                answer = b""
                if text:
                    data = bytes([len(text)]) + text.encode()
                    answer = (b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c" +
                              len(data).to_bytes(2, "big") + data)
                flags = b"\x81\x80" if text else b"\x81\x83"
                counts = b"\x00\x01\x00" + bytes([1 if text else 0]) + bytes(4)
                sock.sendto(query[:2] + flags + counts + question + answer, sender)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        threading.Thread(target=serve, args=(sock,), daemon=True).start()
        yield f"127.0.0.1:{sock.getsockname()[1]}"


@contextlib.contextmanager
def fake_server(serve):
    """serve(connection) in a thread for each connection; the address as a target."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        yield f"/ip4/127.0.0.1/tcp/{listener.getsockname()[1]}/p2p/{PEER}"
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def copy(source, sink, frames=None):
    """All of it, or as many Noise frames (behind multistream-select's two lines)."""
    held, lines = b"", 28
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            if frames is None:
                sink.sendall(chunk)
                continue
            held += chunk
            size = lines or int.from_bytes(held[:2], "big") + 2
            while frames > 0 and len(held) >= max(size, 2):
                sink.sendall(held[:size])
                held, frames, lines = held[size:], frames - (not lines), 0
                size = int.from_bytes(held[:2], "big") + 2


class CliTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="p2p-cli-"))
        cls.node = Node()

    @classmethod
    def tearDownClass(cls):
        code, took = cls.node.stop()
        subprocess.run(["rm", "-rf", str(cls.folder)], check=True)
        assert code == 0 and took < 2, (code, took, cls.node.stderr)
        assert cls.node.stderr == "", cls.node.stderr

    def fails(self, exit_code, name, *args, **more):
        """Without --json: one sentence. With it: the same as an object. Returns that object."""
        code, out, err = run(*args, **more)
        self.assertEqual((code, out), (exit_code, b""), err)
        self.assertRegex(err, r"\Ap2p: [^\n]+\n\Z")
        code, out, err = run(*args, "--json", **more)
        self.assertEqual(code, exit_code, err)
        said = objects(out)
        self.assertEqual(len(said), 1)
        self.assertEqual(list(said[0]), ["event", "code", "exit", "message", "attempts"])
        self.assertEqual((said[0]["event"], said[0]["code"], said[0]["exit"]),
                         ("error", name, exit_code))
        for attempt in said[0]["attempts"]:
            self.assertEqual(list(attempt), ["addr", "error"])
        return said[0]

    # ---- keys ----

    def test_key_gen_and_show(self):
        for kind in ("ed25519", "secp256k1", "ecdsa", "rsa"):
            file = self.folder / f"{kind}.key"
            code, out, err = run("key", "gen", "-t", kind, "--out", file, "--json")
            self.assertEqual((code, err), (0, ""))
            made, = objects(out)
            self.assertEqual(list(made), ["event", "type", "peer", "cid", "file"])
            self.assertEqual((made["type"], made["file"]), (kind, str(file)))
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
            code, out, err = run("key", "show", file, "--json")
            self.assertEqual((code, err), (0, ""))
            shown, = objects(out)
            self.assertEqual(list(shown), ["event", "type", "peer", "cid"])
            self.assertEqual({**shown, "file": str(file)}, made)
            self.assertTrue(shown["cid"].startswith("baf"))
            code, out, _ = run("key", "show", file)
            self.assertIn(shown["peer"], out.decode())
            code, out, _ = run("key", "show", "-", stdin=file.read_bytes())
            self.assertIn(shown["peer"], out.decode())

    def test_key_gen_default_path_and_folders(self):
        config = self.folder / "config"
        env = environment(XDG_CONFIG_HOME=str(config))
        code, out, err = run("key", "gen", env=env)
        self.assertEqual((code, err), (0, ""))
        file = config / "p2p" / "identity.key"
        self.assertIn(str(file), out.decode())
        self.assertEqual(stat.S_IMODE(file.parent.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        before = file.read_bytes()
        self.fails(37, "EEXIST", "key", "gen", env=env)
        self.assertEqual(file.read_bytes(), before)
        env = environment(HOME=str(self.folder / "home"), XDG_CONFIG_HOME="relative")
        code, out, err = run("key", "gen", env=env)
        self.assertEqual((code, err), (0, ""))
        self.assertTrue((self.folder / "home/.config/p2p/identity.key").is_file())

    def test_key_never_overwritten(self):
        link = self.folder / "dangling"
        link.symlink_to(self.folder / "nowhere")
        self.fails(37, "EEXIST", "key", "gen", "--out", link)
        self.assertFalse((self.folder / "nowhere").exists())
        self.fails(37, "EWRITE", "key", "gen", "--out", self.folder / "no/such/folder/key")
        blocked = self.folder / "a-file"
        blocked.write_text("")
        self.fails(37, "EWRITE", "key", "gen", env=environment(XDG_CONFIG_HOME=str(blocked)))

    def test_key_files_that_are_none(self):
        empty, broken = self.folder / "empty", self.folder / "broken"
        empty.write_bytes(b"")
        broken.write_bytes(b"\x08\x01\x12\x40" + bytes(64))
        self.fails(26, "EFILE", "key", "show", self.folder / "missing")
        self.fails(26, "EFILE", "key", "show", self.folder)
        self.fails(26, "EKEY", "key", "show", empty)
        self.fails(26, "EKEY", "key", "show", broken)
        self.fails(26, "EKEY", "key", "show", "-", stdin=b"\xff")
        for command in (("node", "--listen", "/ip4/127.0.0.1/tcp/0"), ("ping", self.node.addr),
                        ("cat", self.node.addr, "--protocol", ECHO)):
            for file, name in ((self.folder / "missing", "EFILE"), (broken, "EKEY")):
                code, out, err = run(*command, "--key", file)
                self.assertEqual((code, out), (26, b""), err)
                self.assertIn(str(file), err)
        self.fails(26, "EFILE", "node", "-o", f"identity={self.folder / 'missing'}")
        self.assertFalse((self.folder / "missing").exists())

    def test_V04_a_pipe_where_a_file_should_be(self):
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        self.fails(26, "EKEY", "key", "show", pipe)
        for option in ("--key", "--psk"):
            code, out, err = run("node", "--listen", "/ip4/127.0.0.1/tcp/0", option, pipe)
            self.assertEqual((code, out, err), (26, b"", f"p2p: {pipe}: it is empty\n"))
        code, _, err = run("config", "--config", pipe)  # an empty configuration is one
        self.assertEqual((code, err), (0, ""))

    # ---- node ----

    def test_node_events(self):
        file = self.folder / "node.key"
        peer = objects(run("key", "gen", "--out", file, "--json")[1])[0]["peer"]
        node = Node("--key", str(file), "--security", "noise", "--muxer", "yamux", "--muxer", "yamux")
        self.assertEqual(node.peer, peer)
        self.assertRegex(node.addr, rf"^/ip4/127\.0\.0\.1/tcp/[1-9]\d*/p2p/{peer}$")
        self.assertEqual([list(e) for e in node.seen], [["event", "addr"], ["event", "peer"]])
        self.assertEqual(run("ping", node.addr, "-c", 1)[0], 0)
        up = node.wait_for("connected")
        down = node.wait_for("disconnected")
        self.assertEqual(list(up), CONNECTED)
        self.assertEqual(list(down), ["event", "conn", "peer", "addr", "reason", "detail"])
        self.assertEqual((up["conn"], up["direction"], up["security"], up["muxer"], up["limited"]),
                         (1, "inbound", "/noise", "/yamux/1.0.0", False))
        self.assertRegex(up["peer"], PEER_ID)
        self.assertRegex(up["addr"], r"^/ip4/127\.0\.0\.1/tcp/\d+$")
        self.assertEqual((down["conn"], down["peer"], down["addr"], down["reason"]),
                         (1, up["peer"], up["addr"], "ECLOSED"))
        code, took = node.stop(signal.SIGINT)
        self.assertEqual((code, node.stderr), (0, ""))
        self.assertLess(took, 2)

    def test_node_several_addresses(self):
        node = Node("--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/0.0.0.0/tcp/0")
        self.assertGreaterEqual(len(node.addrs), 2)
        self.assertFalse(any("/0.0.0.0/" in addr or "/tcp/0/" in addr for addr in node.addrs))
        for addr in {a for a in node.addrs if "/127.0.0.1/" in a}:
            self.assertEqual(run("ping", addr, "-c", 1)[0], 0)
        self.assertEqual(node.stop()[0], 0)

    def test_node_for_people(self):
        with tempfile.TemporaryFile() as out:
            node = start("node", stdout=out)
            try:
                deadline = time.monotonic() + TIMEOUT
                while not (match := re.search(r"^  (\S+) ping (\S+)$", self.contents(out), re.M)):
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.02)
                self.assertEqual(match[1], cli.P2P)
                self.assertEqual(run("ping", match[2], "-c", 1)[0], 0)
            finally:
                node.terminate()
                _, err = node.communicate(timeout=TIMEOUT)
            self.assertEqual((node.returncode, err), (0, b""))
            self.assertRegex(self.contents(out), r"(?s)listening on .*ready: .*1 connected: .*"
                                                 r"1 disconnected: ")

    @staticmethod
    def contents(file):
        return os.pread(file.fileno(), 1 << 20, 0).decode()

    def test_node_cannot_listen(self):
        port = self.node.port
        said = self.fails(45, "ELISTEN", "node", "--listen", f"/ip4/127.0.0.1/tcp/{port}")
        self.assertIn(f"/tcp/{port}", said["message"])
        self.fails(45, "ELISTEN", "node", "--listen", "/ip4/127.0.0.1/tcp/0", "--listen",
                   "/ip4/192.0.2.77/tcp/0")
        self.fails(45, "ELISTEN", "node", env=environment(P2P_LISTEN=f"/ip4/127.0.0.1/tcp/{port}"))
        for bad in ("127.0.0.1:4001", "/ip4/127.0.0.1/tcp/99999", "/ip4/127.0.0.1/tcp", ""):
            self.fails(3, "EADDR", "node", "--listen", bad)
        for other in ("/ip4/127.0.0.1/udp/0/quic", "/ip4/127.0.0.1/udp/0", "/dns4/localhost/tcp/0"):
            self.fails(4, "ENOTSUP", "node", "--listen", other)

    def test_node_descriptors(self):
        import resource
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        low = min(256, hard)
        node = Node(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard)))
        limits = pathlib.Path(f"/proc/{node.process.pid}/limits").read_text()
        shown = re.search(r"Max open files\s+(\S+)\s+(\S+)", limits)
        self.assertEqual(shown[1], shown[2])
        node.stop()

    def test_node_whose_stdout_nobody_reads(self):
        out, into = os.pipe()
        fcntl.fcntl(into, getattr(fcntl, "F_SETPIPE_SZ", 1031), 4096)
        node = start("node", "--json", "--listen", "/ip4/127.0.0.1/tcp/0", stdout=into)
        os.close(into)
        with open(out, "rb", buffering=0) as reader:
            addr = json.loads(reader.read(4096).split(b"\n")[0])["addr"]
            for _ in range(16):
                self.assertEqual(run("ping", addr, "-c", 1)[0], 0)
            self.assertGreater(int.from_bytes(fcntl.ioctl(out, termios.FIONREAD, bytes(4)),
                                              sys.byteorder), 3000)
            begun = time.monotonic()
            node.terminate()
            _, err = node.communicate(timeout=TIMEOUT)
            self.assertLess(time.monotonic() - begun, 2)
            self.assertEqual((node.returncode, err), (0, b""))

    # ---- ping ----

    def test_ping_json(self):
        code, out, err = run("ping", self.node.addr, "-c", 4, "-i", 0.01, "--json")
        self.assertEqual((code, err), (0, ""))
        *pings, summary = objects(out)
        self.assertEqual([list(p) for p in pings], [["event", "seq", "rtt_ms"]] * 4)
        self.assertEqual([p["seq"] for p in pings], [0, 1, 2, 3])
        self.assertEqual(list(summary), ["event", "sent", "received", "min_ms", "avg_ms", "max_ms"])
        self.assertEqual((summary["event"], summary["sent"], summary["received"]), ("summary", 4, 4))
        times = [p["rtt_ms"] for p in pings]
        self.assertEqual((summary["min_ms"], summary["max_ms"]), (min(times), max(times)))
        self.assertAlmostEqual(summary["avg_ms"], sum(times) / 4, delta=0.002)

    def test_ping_for_people(self):
        code, out, err = run("ping", "-c2", "--interval=0", self.node.addr)
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out.decode(), r"\APING 12D3\w+ at /ip4/\S+\nseq=0 time=[\d.]+ ms\n"
                                       r"seq=1 time=[\d.]+ ms\n2 sent, 2 received; min ")

    def test_ping_waits_between(self):
        begun = time.monotonic()
        self.assertEqual(run("ping", self.node.addr, "-c", 3, "-i", "0.2")[0], 0)
        self.assertGreater(time.monotonic() - begun, 0.4)

    def test_ping_lines_are_flushed_and_interrupted(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            ping = start("ping", self.node.addr, "-c", "0", "-i", "30", "--json")
            self.assertEqual(json.loads(ping.stdout.readline())["seq"], 0)
            begun = time.monotonic()
            ping.send_signal(number)
            out, err = ping.communicate(timeout=TIMEOUT)
            self.assertLess(time.monotonic() - begun, 2)
            self.assertEqual((ping.returncode, err), (code, b""))
            summary, = objects(out)
            self.assertEqual((summary["event"], summary["sent"], summary["received"]),
                             ("summary", 1, 1))

    def test_ping_without_a_reply(self):
        """A path that swallows what follows two messages of the handshake and the proposal."""
        node = Node("-o", "services=ping")  # identify would send frames of its own
        def serve(client):
            server = socket.create_connection(("127.0.0.1", node.port))
            threading.Thread(target=copy, args=(server, client), daemon=True).start()
            copy(client, server, frames=3)
        with fake_server(serve) as target:
            code, out, err = run("ping", target.replace(PEER, node.peer), "-c", 1, "--json",
                                 "--timeout", "0.6", "-o", "services=")
            self.assertEqual(code, 28, (out, err))
            self.assertRegex(err, r"\Ap2p: [^\n]+\n\Z")
            ping, summary, error = objects(out)
            self.assertEqual(ping, {"event": "ping", "seq": 0, "error": "ETIMEDOUT"})
            self.assertEqual(summary, {"event": "summary", "sent": 1, "received": 0, "min_ms": None,
                                       "avg_ms": None, "max_ms": None})
            self.assertEqual((error["code"], error["exit"]), ("ETIMEDOUT", 28))
        node.stop()

    # ---- identify, perf, version ----

    def test_identify(self):
        code, out, err = run("identify", self.node.addr, "--json")
        self.assertEqual((code, err), (0, ""))
        said, = objects(out)
        self.assertEqual(list(said), ["event", "peer", "agent", "protocol_version", "protocols",
                                      "listen_addrs", "observed_addr", "signed_record"])
        self.assertEqual((said["event"], said["peer"], said["signed_record"]),
                         ("identify", self.node.peer, True))
        self.assertTrue({"/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0", "/perf/1.0.0",
                         ECHO} <= set(said["protocols"]))
        self.assertEqual(said["listen_addrs"], [self.node.addr.split("/p2p/")[0]])
        self.assertRegex(said["observed_addr"], r"^/ip4/127\.0\.0\.1/tcp/\d+$")
        self.assertIn(self.node.peer, run("identify", self.node.addr)[1].decode())

    def test_perf(self):
        code, out, err = run("perf", self.node.addr, "--upload", "2M", "--download", "1000001",
                             "--json")
        self.assertEqual((code, err), (0, ""))
        said, = objects(out)
        self.assertEqual(list(said), ["event", "upload_bytes", "download_bytes", "seconds",
                                      "upload_seconds", "download_seconds"])
        self.assertEqual((said["upload_bytes"], said["download_bytes"]), (2 << 20, 1000001))
        self.assertAlmostEqual(said["seconds"], said["upload_seconds"] + said["download_seconds"],
                               delta=1e-5)
        code, out, err = run("perf", self.node.addr, "--upload=64KiB")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out.decode(), r"\Aupload +64 KiB in [\d.]+ s, [\d.]+ \w+/s\ndownload +0 B ")

    def test_version(self):
        code, out, err = run("version", "--json")
        self.assertEqual((code, err), (0, ""))
        said, = objects(out)
        self.assertEqual(list(said), ["event", "version", "features", "libraries"])
        self.assertTrue({"tcp", "noise", "yamux"} <= set(said["features"]))
        self.assertTrue({"libuv", "openssl", "libsodium", "libsecp256k1"} <= set(said["libraries"]))
        self.assertTrue(all(re.match(r"\d+\.\d+", v) for v in said["libraries"].values()))
        for way in (["--version"], ["-V"], ["version"]):
            self.assertIn(said["version"], run(*way)[1].decode())

    # ---- cat ----

    def test_cat_16_mib(self):
        data = random.Random(1).randbytes(16 << 20)
        file, result = self.folder / "in", self.folder / "out"
        file.write_bytes(data)
        with open(file, "rb") as source, open(result, "wb") as sink:  # files
            done = subprocess.run([cli.P2P, "cat", self.node.addr, "--protocol", ECHO], stdin=source,
                                  stdout=sink, stderr=subprocess.PIPE, timeout=TIMEOUT,
                                  env=environment())
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(hashlib.sha256(result.read_bytes()).digest(), hashlib.sha256(data).digest())
        code, out, err = run("cat", self.node.addr, "--protocol", ECHO, stdin=data)  # pipes
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(hashlib.sha256(out).digest(), hashlib.sha256(data).digest())

    def test_cat_json(self):
        code, out, err = run("cat", self.node.addr, "--protocol", ECHO, "--json", stdin=b"hello")
        self.assertEqual((code, out), (0, b"hello"))
        up, closed = objects(err.encode())
        self.assertEqual(list(up), CONNECTED)
        self.assertEqual(closed, {"event": "closed", "sent_bytes": 5, "received_bytes": 5})

    def test_cat_without_input(self):
        for stdin in (subprocess.DEVNULL, None):
            close = (lambda: os.close(0)) if stdin is None else None
            cat = start("cat", self.node.addr, "--protocol", ECHO, stdin=stdin, preexec_fn=close)
            out, err = cat.communicate(timeout=TIMEOUT)
            self.assertEqual((cat.returncode, out, err), (0, b"", b""))
        cat = start("cat", self.node.addr, "--protocol", ECHO, stdin=os.open("/", os.O_RDONLY))
        out, err = cat.communicate(timeout=TIMEOUT)
        self.assertEqual((cat.returncode, out), (26, b""), err)

    def test_cat_is_interactive(self):
        cat = start("cat", self.node.addr, "--protocol", ECHO, stdin=subprocess.PIPE)
        for word in (b"one\n", b"two\n"):
            cat.stdin.write(word)
            cat.stdin.flush()
            self.assertEqual(cat.stdout.readline(), word)
        cat.stdin.close()
        self.assertEqual(cat.wait(timeout=TIMEOUT), 0)
        cat.stdout.close()
        cat.stderr.close()

    def test_cat_on_a_terminal(self):
        mine, theirs = pty.openpty()
        cat = start("cat", self.node.addr, "--protocol", ECHO, stdin=theirs, stdout=theirs)
        os.write(mine, b"word\n")
        seen = b""
        while seen.count(b"word") < 2:  # the terminal's echo, and ours
            self.assertTrue(select.select([mine], [], [], TIMEOUT)[0])
            seen += os.read(mine, 4096)
        flags = fcntl.fcntl(theirs, fcntl.F_GETFL)
        self.assertFalse(flags & os.O_NONBLOCK)
        os.write(mine, b"\x04")
        self.assertEqual(cat.wait(timeout=TIMEOUT), 0)
        cat.stderr.close()
        os.close(mine)
        os.close(theirs)

    def test_cat_slow_reader(self):
        """What stdout does not take stops the input."""
        cat = start("cat", self.node.addr, "--protocol", ECHO, stdin=subprocess.PIPE)
        fcntl.fcntl(cat.stdin, fcntl.F_SETFL, os.O_NONBLOCK)
        sent, quiet, chunk = 0, 0, b"x" * 65536
        while quiet < 5:
            self.assertLess(sent, 200 << 20)
            try:
                sent += os.write(cat.stdin.fileno(), chunk)
                quiet = 0
            except BlockingIOError:
                quiet += 1
                time.sleep(0.1)
        cat.stdin.close()
        self.assertEqual(len(cat.stdout.read()), sent)
        self.assertEqual(cat.wait(timeout=TIMEOUT), 0)
        cat.stdout.close()
        cat.stderr.close()

    def test_cat_interrupted(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            cat = start("cat", self.node.addr, "--protocol", ECHO, stdin=subprocess.PIPE)
            cat.stdin.write(b"x")
            cat.stdin.flush()
            self.assertEqual(cat.stdout.read(1), b"x")
            begun = time.monotonic()
            cat.send_signal(number)
            self.assertEqual(cat.wait(timeout=TIMEOUT), code)
            self.assertLess(time.monotonic() - begun, 2)
            self.assertEqual(cat.stderr.read(), b"")
            for pipe in (cat.stdin, cat.stdout, cat.stderr):
                pipe.close()

    def test_cat_interrupted_while_nobody_reads(self):
        cat = start("cat", self.node.addr, "--protocol", ECHO, stdin=open("/dev/zero", "rb"))
        cat.stdout.read(1)
        time.sleep(0.3)
        begun = time.monotonic()
        cat.send_signal(signal.SIGTERM)
        code, took = cat.wait(timeout=TIMEOUT), time.monotonic() - begun
        self.assertEqual((code, cat.stderr.read().decode()), (143, ""))
        self.assertLess(took, 2)
        cat.stdout.close()
        cat.stderr.close()

    def test_cat_node_killed(self):
        node = Node()
        cat = start("cat", node.addr, "--protocol", ECHO, "--json", stdin=subprocess.PIPE)
        cat.stdin.write(b"x")
        cat.stdin.flush()
        self.assertEqual(cat.stdout.read(1), b"x")
        node.process.kill()
        self.assertEqual(cat.wait(timeout=TIMEOUT), 56)
        up, sentence, error = cat.stderr.read().splitlines()
        self.assertTrue(sentence.startswith(b"p2p: "))
        self.assertEqual(json.loads(error)["exit"], 56)
        for pipe in (cat.stdin, cat.stdout, cat.stderr):
            pipe.close()
        node.stop()

    def test_cat_node_stopped(self):
        node = Node()
        cat = start("cat", node.addr, "--protocol", ECHO, stdin=subprocess.PIPE)
        cat.stdin.write(b"x")
        cat.stdin.flush()
        cat.stdout.read(1)
        code, took = node.stop()
        self.assertEqual(code, 0)
        self.assertLess(took, 2)
        self.assertEqual(cat.wait(timeout=TIMEOUT), 56)
        for pipe in (cat.stdin, cat.stdout, cat.stderr):
            pipe.close()

    def test_cat_reset(self):
        """perf resets who half-closes before the eight bytes of its request."""
        code, out, err = run("cat", self.node.addr, "--protocol", "/perf/1.0.0", stdin=b"1234")
        self.assertEqual((code, out), (56, b""))
        self.assertRegex(err, r"\Ap2p: [^\n]*reset[^\n]*\n\Z")

    def test_cat_protocol_unknown(self):
        code, out, err = run("cat", self.node.addr, "--protocol", "/none/1")
        self.assertEqual((code, out), (1, b""))
        self.assertIn("/none/1", err)

    # ---- connecting ----

    def test_cannot_connect(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        target = f"/ip4/127.0.0.1/tcp/{port}/p2p/{PEER}"
        for command in (("ping",), ("identify",), ("perf",)):
            said = self.fails(7, "ECONN", *command, target)
            self.assertEqual([a["addr"] for a in said["attempts"]], [f"/ip4/127.0.0.1/tcp/{port}"])
            self.assertIn("refused", said["message"])
        code, out, err = run("cat", target, "--protocol", ECHO, "--json")
        self.assertEqual((code, out), (7, b""))
        self.assertEqual(json.loads(err.splitlines()[1])["code"], "ECONN")
        self.assertIn(PEER, self.fails(7, "ENOADDR", "ping", PEER)["message"])

    def test_targets_that_are_none(self):
        for bad in ("", "x", "/ip4/1.2.3/tcp/1/p2p/" + PEER, "/ip4/127.0.0.1/tcp/1", "/p2p/x",
                    "/nonsense", PEER[:-1] + "0", "/ip4/127.0.0.1/tcp/1/p2p/12D3", "\x1b[31m", "\xff"):
            code, out, err = run("ping", bad)
            self.assertEqual((code, out), (3, b""), (bad, err))
            self.assertRegex(err, r"\Ap2p: [^\x00-\x09\x0b-\x1f]+\n\Z")
        self.fails(4, "ENOTSUP", "ping", f"/ip4/127.0.0.1/udp/1/quic/p2p/{PEER}")

    def test_names(self):
        addr = f"dnsaddr=/ip4/127.0.0.1/tcp/{self.node.port}/p2p/{self.node.peer}"
        with name_server({"_dnsaddr.node.test": addr}) as server:
            option = ("-o", f"dns_servers={server}")
            for target in (f"/dnsaddr/node.test/p2p/{self.node.peer}", "/dnsaddr/node.test"):
                code, out, err = run("ping", target, "--count", "1", "--json", *option)
                self.assertEqual((code, err), (0, ""), target)
                self.assertEqual(objects(out)[-1]["received"], 1)
            target = f"/dns4/nowhere.test/tcp/1/p2p/{PEER}"
            said = self.fails(6, "ERESOLVE", "ping", target, *option)
            self.assertIn("nowhere.test does not resolve", said["message"])
            self.assertEqual([a["addr"] for a in said["attempts"]], [target])
        code, out, err = run("ping", target, "-o", "dns_servers=dns.test")
        self.assertEqual((code, out), (2, b""))
        self.assertIn("dns_servers", err)

    def test_wrong_peer(self):
        said = self.fails(60, "EPEERID", "ping", self.node.addr.replace(self.node.peer, PEER))
        self.assertIn(PEER, said["message"])
        self.assertIn(self.node.peer, said["message"])

    def test_handshake_fails(self):
        def garbage(connection):
            with contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(65536)
        with fake_server(garbage) as target:
            self.assertEqual(run("ping", target)[0], 35)
        with fake_server(lambda connection: (connection.recv(1), connection.close())) as target:
            self.assertIn(run("ping", target)[0], (7, 35))
        def refuse(connection):
            with contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(b"\x13/multistream/1.0.0\n\x03na\n")
                connection.recv(65536)
                time.sleep(0.2)
        with fake_server(refuse) as target:
            self.fails(35, "ENOSECURITY", "identify", target)

    def test_timeout(self):
        with fake_server(lambda connection: (time.sleep(5), connection.close())) as target:
            begun = time.monotonic()
            said = self.fails(28, "ETIMEDOUT", "ping", target, "--timeout", "0.3")
            self.assertLess(time.monotonic() - begun, 3)
            self.assertEqual(len(said["attempts"]), 1)

    def test_progress_on_a_terminal_only(self):
        mine, theirs = pty.openpty()
        with fake_server(lambda connection: time.sleep(5)) as target:
            ping = start("ping", target, "--timeout", "1.4", stderr=theirs)
            os.close(theirs)
            code, _ = ping.wait(timeout=TIMEOUT), ping.stdout.close()
        shown = b""
        with contextlib.suppress(OSError):
            while chunk := os.read(mine, 4096):
                shown += chunk
        os.close(mine)
        self.assertEqual(code, 28)
        self.assertIn(b"connecting...", shown)

    # ---- options and environment ----

    def test_channels_must_be_in_common(self):
        for name in ("tls", "signed", "plaintext"):
            if name == "tls":  # which a node accepts, unless it is told not to
                self.assertEqual(run("ping", self.node.addr, "-c", 1, "--security", name)[0], 0)
                self.fails(35, "ENOSECURITY", "ping", Node("--security", "noise").addr, "--security", name)
            else:
                self.fails(35, "ENOSECURITY", "ping", self.node.addr, "--security", name)
            node = Node("--security", name, "--security", "noise")
            code, out, _ = run("ping", node.addr, "-c", 1, "--security", name, "--json")
            self.assertEqual((code, objects(out)[0]["event"]), (0, "ping"))
            self.assertEqual(node.wait_for("connected")["protection"],
                             {"tls": "full", "signed": "signed", "plaintext": "none"}[name])
            node.stop()
        self.fails(2, "EINVAL", "ping", self.node.addr, "--security", "secio")
        self.fails(4, "ENOTSUP", "ping", self.node.addr, "-o", "security=secio")

    def test_muxers_must_be_in_common(self):
        self.fails(35, "ENOMUXER", "ping", self.node.addr, "--muxer", "mplex")
        node = Node("--muxer", "mplex")
        code, out, _ = run("ping", node.addr, "-c", 1, "--muxer", "yamux", "--muxer", "mplex", "--json")
        self.assertEqual((code, objects(out)[0]["event"]), (0, "ping"))
        self.fails(35, "ENOMUXER", "ping", node.addr)
        node.stop()

    def test_private_networks(self):
        def key(digit):
            path = os.path.join(self.folder, f"swarm-{digit}.key")
            with open(path, "w") as file:
                file.write("/key/swarm/psk/1.0.0/\n/base16/\n" + digit * 64 + "\n")
            return path
        node = Node("--psk", key("a"))
        self.assertEqual(run("ping", node.addr, "-c", 1, "--psk", key("a"))[0], 0)
        self.assertNotEqual(run("ping", node.addr, "-c", 1, "--timeout", 2)[0], 0)
        self.assertNotEqual(run("ping", node.addr, "-c", 1, "--timeout", 2, "--psk", key("b"))[0], 0)
        self.assertEqual(run("ping", node.addr, "-c", 1, "--psk", key("a"))[0], 0)
        node.stop()
        self.fails(26, "EFILE", "ping", self.node.addr, "--psk", "/nonexistent")
        self.fails(26, "EKEY", "ping", self.node.addr, "--psk", "/dev/null")
        env = environment(LIBP2P_FORCE_PNET="1")
        self.fails(1, "EDENIED", "ping", self.node.addr, env=env)

    def test_a_channel_in_the_clear_is_told_aloud(self):
        for name, words in (("plaintext", "/plaintext/2.0.0 IN THE CLEAR AND UNPROVEN, /yamux"),
                            ("signed", "signed/1.0.0 IN THE CLEAR, /yamux")):
            process = start("node", "--listen", "/ip4/127.0.0.1/tcp/0", "--security", name)
            line = process.stdout.readline().decode()
            self.assertEqual(run("ping", line.split()[-1], "-c", 1, "--security", name)[0], 0)
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=TIMEOUT)
            self.assertIn(words, out.decode())

    def test_hangup_reads_the_certificates_again(self):
        cert = self.folder / "site.pem"
        done = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-subj", "/CN=test", "-keyout", "-", "-out", "-"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False) \
            if shutil.which("openssl") else None
        if not done or done.returncode:
            self.skipTest("no openssl to make a certificate with")
        cert.write_bytes(done.stdout)
        node = Node("-o", f"wss_cert={cert}")
        node.process.send_signal(signal.SIGHUP)
        self.assertIn("read the certificates again", node.process.stderr.readline().decode())
        cert.write_text("nothing\n")
        node.process.send_signal(signal.SIGHUP)
        said = node.process.stderr.readline().decode()
        self.assertIn(str(cert), said)
        self.assertIn("holds no certificate", said)
        self.assertEqual(run("ping", node.addr, "-c", 1)[0], 0)
        node.stop()
        self.fails(26, "EKEY", "node", "-o", f"wss_cert={cert}")
        self.fails(26, "EFILE", "node", "-o", f"wss_cert={cert}.none")

    def test_environment_and_options(self):
        def agent(*args, **env):
            node = Node(*args, env=environment(**env))
            said, = objects(run("identify", node.addr, "--json")[1])
            node.stop()
            return said["agent"], said["protocols"]
        self.assertEqual(agent(P2P_AGENT="from-env")[0], "from-env")
        self.assertEqual(agent("-o", "agent=from-o", P2P_AGENT="from-env")[0], "from-o")
        self.assertNotIn(ECHO, agent("-o", "services=identify")[1])
        self.assertNotIn(ECHO, agent(P2P_SERVICES="identify,ping")[1])
        env = environment(P2P_LISTEN=f"/ip4/127.0.0.1/tcp/{self.node.port}")
        self.assertEqual(run("ping", self.node.addr, "-c", 1, env=env)[0], 0)
        said = self.fails(2, "EINVAL", "ping", self.node.addr, env=environment(P2P_MEMORY="lots"))
        self.assertIn("P2P_MEMORY", said["message"])
        self.assertEqual(run("-o", "agent=x", "ping", "-c1", self.node.addr, "-omemory=64M")[0], 0)

    def test_usage(self):
        """Each is answered with exit 2, a sentence and where to read on."""
        t = self.node.addr
        bad = [["nonsense"], ["key"], ["key", "frob"], ["key", "show"], ["key", "show", "a", "b"],
               ["key", "gen", "x"], ["key", "gen", "-t", "dsa"], ["key", "gen", "--out", ""],
               ["key", "gen", "--out"], ["node", "x"], ["node", "--listen"], ["node", "--timeout", "1"],
               ["node", "--frob"], ["node", "-x"], ["ping"], ["identify"], ["perf"], ["cat"],
               ["ping", t, t], ["ping", t, "-c"], ["ping", t, "-c", ""], ["ping", t, "-c", "x"],
               ["ping", t, "-c", "-1"], ["ping", t, "-c", "1.5"], ["ping", t, "-c", "1x"],
               ["ping", t, "-c", "2147483648"], ["ping", t, "-c", "99999999999999999999999"],
               ["ping", t, "-i", "-1"], ["ping", t, "-i", "1e3"], ["ping", t, "-i", "."],
               ["ping", t, "-i", "1."], ["ping", t, "-i", "0.1x"], ["ping", t, "-i", "nan"],
               ["ping", t, "--timeout", "0"], ["ping", t, "--timeout", "0.0001"],
               ["ping", t, "--timeout", "1000001"], ["ping", t, "--timeout=ten"],
               ["ping", t, "--json=yes"], ["ping", t, "--security", "none"],
               ["ping", t, "--security", ""], ["ping", t, "--muxer", "noise"],
               ["ping", t, "--upload", "1"], ["ping", t, "-o"], ["ping", t, "-o", "x"],
               ["ping", t, "-o", "=x"], ["ping", t, "-o", "frob=1"], ["ping", t, "-o", "memory=x"],
               ["ping", t, "-o", "x" * 500 + "=1"], ["ping", t, "-o", "conns_in=-1"],
               ["node", "-o", "services=frob"], ["node", "-o", "security="],
               ["perf", t, "--upload", "1Q"], ["perf", t, "--upload", "-1"],
               ["perf", t, "--upload", "9999999999G"], ["perf", t, "--download", "KiB"],
               ["perf", t, "--download", "1 K"], ["cat", t], ["cat", t, "--protocol", "x"],
               ["cat", t, "--protocol", ""], ["cat", t, "--protocol", "/" + "x" * 255],
               ["version", "x"], ["version", "-o", "frob=1"], ["help", "frob"], ["--frob"],
               ["--", "nonsense"], ["\x1b[2J"], ["\xff\xfe"], ["%s%n"]]
        for args in bad:
            with self.subTest(args=args):
                code, out, err = run(*args)
                self.assertEqual((code, out), (2, b""), err)
                self.assertRegex(err, r"\Ap2p: [^\x00-\x09\x0b-\x1f]+; see p2p [a-z ]*--help\n\Z")
        for args in bad[::9]:
            if args[0] != "cat":
                self.assertEqual(self.fails(2, "EINVAL", *args)["attempts"], [])
        code, out, err = run()
        self.assertEqual((code, out), (2, b""))
        self.assertIn("Usage:", err)

    def test_random_arguments(self):
        """Whatever the words: an end, no crash, and never more than a sentence on stderr."""
        dice = random.Random(20261123)
        words = ["key", "gen", "show", "ping", "identify", "perf", "cat", "version", "help", "--json",
                 "-c", "-c0x", "--", "-", "-o", "memory=1K", "--listen", "--key", "/dev/null", "--psk",
                 "--security", "noise", "--muxer", "--timeout", "0.1", "", "=", "--=", "-=", "---",
                 "/ip4", PEER, f"/ip4/127.0.0.1/tcp/9/p2p/{PEER}", "\u202eabc", "a\nb", "--help", "-h"]
        for _ in range(40):
            args = dice.choices(words, k=dice.randint(1, 5))
            env = environment(XDG_CONFIG_HOME=str(self.folder / "fuzz"))
            code, out, err = run(*args, env=env)
            self.assertIn(code, (0, 2, 3, 4, 7, 26, 28, 37), (args, err))
            if code:
                self.assertRegex(err, r"\Ap2p: [^\x00-\x09\x0b-\x1f]+\n\Z", args)

    def test_escaping(self):
        """What could control a terminal is escaped; JSON gives it back."""
        wild = "a\x1b[2J\u202e\x7f\u009b\"\\\u00e9\n\t"
        code, out, err = run("ping", wild + "\udcff", "--json")
        self.assertEqual(code, 3)
        self.assertIn(wild + "\ufffd", json.loads(out)["message"])
        self.assertFalse([c for c in out.decode()[:-1] if ord(c) < 32 or c in "\x7f\x9b\u202e"])
        self.assertIn('a\\x1b[2J\\xe2\\x80\\xae\\x7f\\xc2\\x9b"\\\u00e9\\x0a\\x09\\xff', err)
        node = Node("-o", "agent=" + wild)
        code, out, err = run("identify", node.addr)
        self.assertEqual(code, 0)
        self.assertFalse([c for c in out.decode() if c in "\x1b\x7f\x9b\t\u202e"])
        objects(run("identify", node.addr, "--json")[1])
        node.stop()

    def test_help(self):
        code, overview, err = run("help")
        self.assertEqual((code, err), (0, ""))
        for command in ("node", "ping", "identify", "perf", "cat", "key gen", "key show", "version"):
            self.assertIn(command.encode(), overview)
            code, out, err = run(*command.split(), "--help")
            self.assertEqual((code, err), (0, ""))
            self.assertIn(b"Usage: ", out)
            self.assertEqual(run("help", *command.split())[:2], (0, out))
        self.assertIn(b"key show FILE", run("key", "--help")[1])
        self.assertIn(b"dial_timeout", run("help", "options")[1])
        self.assertEqual(run("--help")[:2], (0, overview))

    # ---- standard output ----

    def test_closed_stdout(self):
        for args in (("help",), ("version",), ("ping", self.node.addr, "-c", "1"),
                     ("identify", self.node.addr), ("ping", self.node.addr, "-c0", "-i0")):
            out, into = os.pipe()
            os.close(out)
            process = start(*args, stdout=into)
            os.close(into)
            _, err = process.communicate(timeout=TIMEOUT)
            self.assertEqual((process.returncode, err), (0, b""), args)
        process = start("ping", self.node.addr, stdout=None, preexec_fn=lambda: os.close(1))
        _, err = process.communicate(timeout=TIMEOUT)
        self.assertEqual((process.returncode, err), (0, b""))

    def test_closed_stdout_of_cat_and_node(self):
        cat = start("cat", self.node.addr, "--protocol", ECHO, stdin=open("/dev/zero", "rb"))
        self.assertEqual(cat.stdout.read(5), bytes(5))
        cat.stdout.close()
        self.assertEqual((cat.wait(timeout=TIMEOUT), cat.stderr.read()), (0, b""))
        cat.stderr.close()
        node = start("node", "--json", "--listen", "/ip4/127.0.0.1/tcp/0")
        addr = json.loads(node.stdout.readline())["addr"]
        node.stdout.close()
        run("ping", addr, "-c", 1)
        self.assertEqual((node.wait(timeout=TIMEOUT), node.stderr.read()), (0, b""))
        node.stderr.close()

    def test_full_stdout(self):
        with open("/dev/full", "wb") as full:
            for args in (("version",), ("ping", self.node.addr, "-c1")):
                process = start(*args, stdout=full)
                _, err = process.communicate(timeout=TIMEOUT)
                self.assertEqual(process.returncode, 37)
                self.assertRegex(err.decode(), r"\Ap2p: [^\n]+\n\Z")


if __name__ == "__main__":
    cli.begin()
    unittest.main(warnings="ignore")

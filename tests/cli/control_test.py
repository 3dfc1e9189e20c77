#!/usr/bin/env python3
"""A node's control socket, and the commands that ask there: control_test.py BUILD [arguments]"""

import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
import unittest

import cli
from cli import TIMEOUT, Node, environment, objects, run, start

ECHO = "/p2p/echo/1.0.0"
FACTS = ["conn", "peer", "addr", "direction", "security", "muxer", "limited", "protection", "rtt_ms"]


class Client:
    """A connection to a control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.settimeout(TIMEOUT)
        self.file = self.socket.makefile("rb")

    def send(self, raw):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(raw)

    def answer(self):
        """The objects up to an end or error; fewer if it was closed."""
        said = []
        with contextlib.suppress(ConnectionResetError):
            while line := self.file.readline():
                said.append(json.loads(line))
                if said[-1]["event"] in ("end", "error"):
                    break
        return said

    def close(self):
        self.file.close()
        self.socket.close()


class ControlTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="p2p-control-"))
        self.addCleanup(lambda: subprocess.run(["rm", "-rf", self.folder], check=True))
        self.env = environment(XDG_RUNTIME_DIR=str(self.folder))

    def node(self, *args, **more):
        node = Node(*args, env=self.env, **more)
        self.addCleanup(lambda: node.process.stdout.closed or node.stop())
        return node

    def sockets(self):
        return sorted((self.folder / "p2p").glob("*"))

    def p2p(self, *args):
        return run(*args, env=self.env)

    def fails(self, exit_code, name, *args):
        code, out, err = self.p2p(*args)
        self.assertEqual((code, out), (exit_code, b""), err)
        self.assertRegex(err, r"\Ap2p: [^\x00-\x09\x0b-\x1f]+\n\Z")
        error, = objects(self.p2p(*args, "--json")[1])
        self.assertEqual((error["event"], error["code"], error["exit"]), ("error", name, exit_code))
        return err

    def answers(self, node):
        """The node is well: it is asked, and it is pinged."""
        said = objects(self.p2p("addrs", "--json")[1])
        self.assertEqual(said, [{"event": "addr", "kind": "listening", "addr": a} for a in node.addrs])
        self.assertEqual(run("ping", node.addr, "-c", 1)[0], 0)

    # ---- asking ----

    def test_peers_and_addrs(self):
        node = self.node()
        self.assertEqual(self.p2p("peers"), (0, b"", ""))
        self.assertEqual(self.p2p("peers", "--json"), (0, b"", ""))
        cats = []
        for name in ("a", "a", "b"):
            key = self.folder / name
            if not key.exists():
                run("key", "gen", "--out", key)
            cats.append(start("cat", node.addr, "--protocol", ECHO, "--key", key,
                              stdin=subprocess.PIPE))
        opened = [node.wait_for("connected") for _ in cats]
        code, out, err = self.p2p("peers", "--json")
        self.assertEqual((code, err), (0, ""))
        peers = objects(out)
        self.assertEqual([list(p) for p in peers], [["event", "peer", "agent", "conns"]] * 2)
        self.assertEqual({len(p["conns"]) for p in peers}, {1, 2})
        self.assertEqual({p["peer"] for p in peers}, {e["peer"] for e in opened})
        for peer in peers:
            self.assertEqual([list(c) for c in peer["conns"]], [FACTS] * len(peer["conns"]))
            for conn in peer["conns"]:
                event, = (e for e in opened if e["conn"] == conn["conn"])
                self.assertEqual({**conn, "event": "connected", "rtt_ms": 0}, {**event, "rtt_ms": 0})
                self.assertEqual(conn["peer"], peer["peer"])
        code, out, err = self.p2p("peers")
        self.assertEqual((code, err), (0, ""))
        lines = out.decode().splitlines()
        self.assertEqual(len(lines), 3)
        for line in lines:
            self.assertRegex(line, r"\A\d 12D3\w+ from /ip4/127\.0\.0\.1/tcp/\d+ "
                                   r"\(/noise, /yamux/1\.0\.0\)( [\d.]+ ms)?( libp2p-c/\S+)?\Z")
        self.assertEqual(self.p2p("addrs"), (0, f"listening {node.addr}\n".encode(), ""))
        self.answers(node)
        for cat in cats:
            cat.stdin.close()
            self.assertEqual(cat.wait(TIMEOUT), 0)
            cat.stdout.close()
            cat.stderr.close()

    def test_the_socket_is_private_and_goes_with_the_node(self):
        node = self.node()
        path, = self.sockets()
        self.assertEqual(path.name, node.peer[-10:] + ".sock")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(path.parent.stat().st_mode), 0o700)
        client = Client(path)  # does not keep the node
        code, took = node.stop()
        self.assertEqual(code, 0)
        self.assertLess(took, 2)
        self.assertEqual(self.sockets(), [])
        self.assertEqual(client.answer(), [])
        client.close()

    def test_nobody_runs(self):
        for command in "peers", "addrs":
            self.assertIn("no node runs here", self.fails(7, "ECONN", command))
        node = self.node()
        path, = self.sockets()
        node.stop(signal.SIGKILL)
        self.assertEqual(self.sockets(), [path])
        self.assertIn("no node runs here", self.fails(7, "ECONN", "peers"))
        self.assertIn(str(path), self.fails(7, "ECONN", "peers", "--control", path))
        self.fails(7, "ECONN", "peers", "--control", self.folder / "missing")
        self.fails(7, "ECONN", "peers", "--control", "x" * 200)
        self.fails(2, "EINVAL", "peers", "--control", "")
        self.fails(2, "EINVAL", "peers", "x")
        again = self.node()
        self.assertEqual(len(self.sockets()), 1)  # the dead one was swept away
        self.answers(again)

    def test_two_nodes(self):
        key = self.folder / "key"
        run("key", "gen", "--out", key)
        nodes = [self.node(), self.node("--key", key), self.node("--key", key)]
        paths = self.sockets()
        self.assertEqual(len(paths), 3)
        self.assertIn(self.folder / "p2p" / (nodes[1].peer[-10:] + "-2.sock"), paths)
        err = self.fails(2, "EINVAL", "addrs")
        for path in paths:
            self.assertIn(str(path), err)
        said = {objects(self.p2p("addrs", "--json", "--control", p)[1])[0]["addr"] for p in paths}
        self.assertEqual(said, {n.addr for n in nodes})
        nodes[0].stop()
        nodes[2].stop()
        self.answers(nodes[1])

    def test_many_nodes_start_at_once(self):
        processes = [start("node", "--json", "--listen", "/ip4/127.0.0.1/tcp/0", env=self.env)
                     for _ in range(6)]
        for process in processes:
            while json.loads(process.stdout.readline())["event"] != "ready":
                pass
        self.assertEqual(len(self.sockets()), 6)
        for path in self.sockets():
            self.assertEqual(self.p2p("addrs", "--control", path)[0], 0)
        for process in processes:
            process.terminate()
            self.assertEqual((process.communicate(timeout=TIMEOUT)[1], process.returncode), (b"", 0))
        self.assertEqual(self.sockets(), [])

    def test_a_path_of_its_own(self):
        path = self.folder / "my.sock"
        node = self.node("--control", path)
        self.assertEqual(self.sockets(), [])
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(self.p2p("addrs", "--control", path)[0], 0)
        self.assertEqual(run("addrs", env=environment(P2P_CONTROL=str(path)))[0], 0)
        self.assertEqual(run("addrs", "-o", f"control={path}")[0], 0)
        local = ("--listen", "/ip4/127.0.0.1/tcp/0")
        self.assertIn("already", self.fails(45, "ELISTEN", "node", *local, "--control", path))
        self.assertEqual(self.p2p("addrs", "--control", path)[0], 0)
        node.stop(signal.SIGKILL)
        node = self.node("--control", path)  # a dead one is replaced
        self.assertEqual(self.p2p("addrs", "--control", path)[0], 0)
        path.unlink()
        other = self.node("--control", path)
        node.stop()  # and does not take the other's with it
        self.assertEqual(self.p2p("addrs", "--control", path)[0], 0)
        other.stop()
        self.assertFalse(path.exists())

    def test_a_path_that_cannot_be(self):
        local = ("node", "--listen", "/ip4/127.0.0.1/tcp/0", "--control")
        file = self.folder / "file"
        file.write_text("precious")
        link = self.folder / "link"
        link.symlink_to(file)
        for bad in (file, link, self.folder, self.folder / "no" / "such", file / "below",
                    self.folder / ("x" * 120)):
            self.assertIn(str(bad), self.fails(45, "ELISTEN", *local, bad))
        self.assertEqual(file.read_text(), "precious")

    def test_names_up_to_the_longest(self):
        for length in (105, 106, 107):
            path = str(self.folder) + "/" + "x" * (length - len(str(self.folder)) - 1)
            if length > 106:
                self.fails(45, "ELISTEN", "node", "--listen", "/ip4/127.0.0.1/tcp/0", "--control", path)
                continue
            node = self.node("--control", path)
            self.assertEqual(self.p2p("addrs", "--control", path)[0], 0)
            node.stop()

    def test_turned_off(self):
        for args in (("--control", ""), ("-o", "control=")):
            node = self.node(*args)
            self.assertEqual(self.sockets(), [])
            self.assertEqual(node.stop()[0], 0)
            self.assertEqual(node.stderr, "")

    def test_a_folder_that_is_not_ours_alone(self):
        """A node runs without its usual socket, and says so; nobody is asked there."""
        (self.folder / "p2p").mkdir()
        (self.folder / "p2p").chmod(0o770)
        node = self.node()
        self.fails(7, "ECONN", "peers")
        self.assertEqual(run("ping", node.addr, "-c", 1)[0], 0)
        node.stop()
        self.assertIn("0700", node.stderr)
        self.assertEqual(self.sockets(), [])
        (self.folder / "p2p").rmdir()
        (self.folder / "p2p").symlink_to(self.folder)
        node = self.node()
        node.stop()
        self.assertIn("no control socket", node.stderr)

    # ---- clients that misbehave ----

    def test_requests(self):
        node = self.node()
        client = Client(self.sockets()[0])
        client.send(b'{"request":"node"}\n')
        said, end = client.answer()
        self.assertEqual((said["peer"], said["pid"]), (node.peer, node.process.pid))
        self.assertEqual(end, {"event": "end", "request": "node"})
        client.send(b'\t{ "more": [1, {"a": null}], "request" : "n\\u006fde" } \r\n' * 3)
        for _ in range(3):
            self.assertEqual([o["event"] for o in client.answer()], ["node", "end"])
        for name, line in (("ENOTSUP", b'{"request":"frob"}'), ("EINVAL", b""), ("EINVAL", b"{}"),
                           ("EINVAL", b'{"request":1}'), ("EINVAL", b'["request"]')):
            client.send(line + b"\n")
            error, = client.answer()
            self.assertEqual((error["event"], error["code"]), ("error", name))
        client.send(b'{"request":')
        time.sleep(0.1)
        client.send(b'"addrs"}\n{"request":"node"}')  # the last one without its end
        self.assertEqual([o["event"] for o in client.answer()], ["addr", "end"])
        client.close()
        self.answers(node)

    def test_json_that_is_none(self):
        node = self.node()
        client = Client(self.sockets()[0])
        deep = b"[" * 15 + b"]" * 15
        good = (b'{"a":-0.5e+10,"request":"node"}', b'{"a":"\\ud83d\\ude00\\"\\\\\\/\\b\\f\\n\\r\\t","request":"node"}',
                b'{"a":' + deep + b',"request":"node"}', b'{"a":"\xff","request":"node"}',
                b'{"request":"node","request":"frob"}')
        bad = (b'{"request":"node"}x', b'{"request":"node"', b'{"request":"node",}', b"{'request':1}",
               b'{"a":01,"request":"node"}', b'{"a":1.,"request":"node"}', b'{"a":.5,"request":"node"}',
               b'{"a":1e,"request":"node"}', b'{"a":+1,"request":"node"}', b'{"a":-,"request":"node"}',
               b'{"a":nul,"request":"node"}', b'{"a":True,"request":"node"}',
               b'{"a":"\\x41","request":"node"}', b'{"a":"\\u12g4","request":"node"}',
               b'{"a":"\\ud800","request":"node"}', b'{"a":"\\udc00","request":"node"}',
               b'{"a":"\\ud800\\u0041","request":"node"}', b'{"a":"\\u0000","request":"node"}',
               b'{"a":"\t","request":"node"}', b'{"a":"\0","request":"node"}', b'{"a":[' + deep + b'],"request":"node"}',
               b'{"a":[1,],"request":"node"}', b'{"a" 1,"request":"node"}', b'{1:1,"request":"node"}',
               b'[' * 4000, b'{"a":' * 800, b'"request"', b'"\\', b'"\\u', b"\0\0")
        for line in good + bad:
            with self.subTest(line=line):
                client.send(line + b"\n")
                self.assertEqual([o["event"] for o in client.answer()],
                                 ["node", "end"] if line in good else ["error"])
        client.close()
        self.answers(node)

    def test_lines_up_to_the_longest(self):
        node = self.node()
        for length in (4095, 4096, 4097, 100000):
            client = Client(self.sockets()[0])
            line = b'{"request":"node"'
            client.send(line + b" " * (length - len(line) - 1) + b"}" + (b"\n" if length <= 4096 else b""))
            said = client.answer()
            if length == 4095:
                self.assertEqual(said[-1]["event"], "end")
            else:
                self.assertTrue(not said or said[0]["code"] == "ETOOBIG", said)
                self.assertEqual(client.answer(), [])  # closed
            client.close()
        self.answers(node)

    def test_garbage(self):
        node = self.node()
        dice = random.Random(20261126)
        words = [b'{"request":"peers"}', b"\n", b"{", b"}", b'"', b"\\u", b"\xff\xfe", b"\0" * 7, b"1e9",
                 b"[[[[", b"null", b" " * 3000, b'{"request":"node"}\n' * 50]
        for _ in range(150):
            client = Client(self.sockets()[0])
            client.send(b"".join(dice.choices(words, k=dice.randint(0, 8))))
            if dice.random() < 0.3:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes(8))
            client.close()
        self.answers(node)
        self.assertIsNone(node.process.poll())

    def test_too_many_clients(self):
        node = self.node()
        path = self.sockets()[0]
        clients = [Client(path) for _ in range(16)]
        for client in clients:
            client.send(b'{"request":"node"}\n')
            self.assertEqual(client.answer()[-1]["event"], "end")
        self.assertIn("too many", self.fails(1, "ELIMIT", "peers"))
        more = [Client(path) for _ in range(40)]
        for _ in range(4):  # whoever asks next may come before the last one's end is noticed
            clients.pop().close()
        for client in more:
            client.close()
        deadline = time.monotonic() + TIMEOUT
        while self.p2p("peers")[0] and time.monotonic() < deadline:
            time.sleep(0.05)
        self.answers(node)
        for client in clients:
            client.send(b'{"request":"node"}\n')
            self.assertEqual(client.answer()[-1]["event"], "end")
            client.close()

    def test_a_client_that_does_not_read(self):
        node = self.node()
        client = Client(self.sockets()[0])
        client.socket.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 64 << 20:
                sent += client.socket.send(b'{"request":"node"}\n' * 1000)
        self.assertLess(sent, 64 << 20)  # it is not read either
        self.answers(node)
        code, took = node.stop()
        self.assertEqual(code, 0)
        self.assertLess(took, 2)
        client.close()

    # ---- nodes that are none ----

    @contextlib.contextmanager
    def fake_node(self, serve):
        path = self.folder / "fake"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()

            def accept():
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = listener.accept()
                        with connection, contextlib.suppress(OSError):
                            connection.recv(4096)
                            serve(connection)
            thread = threading.Thread(target=accept, daemon=True)
            thread.start()
            try:
                yield path
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                path.unlink()

    def test_what_is_no_node(self):
        cases = ((b"HTTP/1.1 400 Bad Request\r\n\r\n", 1, "EPROTO"), (b"", 56, "ECLOSED"),
                 (b'{"event":"pe', 56, "ECLOSED"), (b"[]\n", 1, "EPROTO"), (b"{}\n", 1, "EPROTO"),
                 (b"\0\n", 1, "EPROTO"), (b"x" * (1 << 21), 1, "EPROTO"),
                 (b'{"event":"error","code":"ENOTSUP","message":"\\u001b[2J"}\n', 4, "ENOTSUP"),
                 (b'{"event":"error"}\n', 1, "EINTERNAL"), (b'{"event":"error","code":"x"}\n', 1, "EINTERNAL"))
        for reply, code, name in cases:
            with self.subTest(reply=reply[:40]):
                with self.fake_node(lambda connection: connection.sendall(reply)) as path:
                    self.fails(code, name, "peers", "--control", path)
        with self.fake_node(lambda connection: time.sleep(2)) as path:
            begun = time.monotonic()
            self.fails(28, "ETIMEDOUT", "peers", "--control", path, "--timeout", "0.2")
            self.assertLess(time.monotonic() - begun, 5)
        odd = b'{"event":"peer"}\n{"event":"peer","peer":1,"conns":[{},null,7]}\n{"event":"end"}\n'
        with self.fake_node(lambda connection: connection.sendall(odd)) as path:
            self.assertEqual(self.p2p("peers", "--control", path)[0], 0)
            self.assertEqual(len(objects(self.p2p("peers", "--control", path, "--json")[1])), 2)
            self.assertEqual(self.p2p("addrs", "--control", path)[0], 0)


if __name__ == "__main__":
    cli.begin()
    unittest.main(warnings="ignore")

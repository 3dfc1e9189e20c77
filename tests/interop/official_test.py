#!/usr/bin/env python3
"""Our test application for libp2p/unified-testing on both sides, by its contracts, with a Redis server
on loopback: official_test.py BUILD [arguments]

With OFFICIAL_OTHER=FILE in the environment, also against another implementation's transport application,
in a network namespace of the test's own."""

import atexit
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "net"))

import path  # noqa: E402

TIMEOUT = 60
LOOPBACK = "127.0.0.1"
OTHER = os.environ.get("OFFICIAL_OTHER")
OTHER_TRANSPORTS = os.environ.get("OFFICIAL_TRANSPORTS", "tcp ws quic-v1").split()
OFFICIAL = pathlib.Path(__file__).resolve().parent / "official"


def free_port():
    with socket.create_server((LOOPBACK, 0)) as sock:
        return sock.getsockname()[1]


class Redis:
    """Debian's package of the server alone starts a service; that of the tools has the same program
    under another name, and what it does depends on its name."""

    def __init__(self, folder):
        program = shutil.which("redis-server")
        if not program and (same := shutil.which("redis-check-rdb")):
            program = f"{folder}/redis-server"
            os.symlink(os.path.realpath(same), program)
        if not program:
            path.skip("there is no Redis server (Debian: redis-tools)")
        self.port = free_port()
        self.process = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no",
             "--dir", folder], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        atexit.register(self.stop)
        until = time.monotonic() + TIMEOUT
        while True:
            try:
                self.sock = socket.create_connection((LOOPBACK, self.port))
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < until, "the Redis server does not start"
                time.sleep(0.02)

    def __call__(self, *words):
        """One command; the reply as it comes."""
        self.sock.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
        return self.sock.recv(65536)

    def stop(self):
        self.process.kill()
        self.process.wait()


def start(kind, is_dialer, key, transport, secure=None, muxer=None, app=None, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("P2P_")}
    env.update(IS_DIALER=str(is_dialer).lower(), REDIS_ADDR=f"{LOOPBACK}:{REDIS.port}", TEST_KEY=key,
               TRANSPORT=transport, DEBUG="true", LISTENER_IP=LOOPBACK, TEST_TIMEOUT_SECS="30")
    if secure:
        env.update(SECURE_CHANNEL=secure, MUXER=muxer)
    env.update(more)
    process = subprocess.Popen(app or [APP, kind], env={k: v for k, v in env.items() if v is not None},
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    atexit.register(lambda: process.poll() is None and process.kill())
    return process


def end(process):
    """(exit code, stdout, stderr)"""
    out, err = process.communicate(timeout=TIMEOUT)
    return process.returncode, out, err


def parse(report):
    """The YAML of a report, as far as it may go: {section: {key: text}}"""
    sections = {}
    for line in report.splitlines():
        if line.startswith("#"):
            continue
        if match := re.fullmatch(r"(\w+):", line):
            section = sections[match[1]] = {}
        else:
            match = re.fullmatch(r"  (\w+): (\S.*)", line)
            assert match and match[1] not in section, line
            section[match[1]] = match[2]
    return sections


def numbers(text):
    assert text[0] == "[" and text[-1] == "]", text
    return [float(x) for x in text[1:-1].split(", ") if x]


class OfficialTest(unittest.TestCase):
    keys = 0

    def both(self, kind, transport, secure=None, muxer=None, **more):
        """The dialer's report, and what it logged."""
        OfficialTest.keys += 1
        key = f"{OfficialTest.keys:08x}"
        listener = start(kind, False, key, transport, secure, muxer, **more)
        try:
            dialer = start(kind, True, key, transport, secure, muxer, **more)
            code, out, err = end(dialer)
            self.assertIsNone(listener.poll())  # until it is stopped from outside
        finally:
            listener.terminate()
            code_of_listener, out_of_listener, err_of_listener = end(listener)
        self.assertEqual(code, 0, err + err_of_listener)
        self.assertEqual((code_of_listener, out_of_listener), (-15, ""))
        return out, err

    def ping(self, transport, secure, muxer, seen, **more):
        out, err = self.both("transport", transport, secure, muxer, **more)
        self.assertEqual(list(parse(out)), ["latency"])
        latency = parse(out)["latency"]
        self.assertEqual(list(latency), ["handshake_plus_one_rtt", "ping_rtt", "unit"])
        self.assertEqual(latency["unit"], "ms")
        self.assertGreater(float(latency["ping_rtt"]), 0)
        self.assertGreater(float(latency["handshake_plus_one_rtt"]), float(latency["ping_rtt"]))
        self.assertRegex(err, seen)

    def test_tcp_noise_yamux(self):
        self.ping("tcp", "noise", "yamux", r"connected: /ip4/127\.0\.0\.1/tcp/\d+/p2p/12D\w+, /noise, /yamux/1\.0\.0")

    def test_tcp_tls_yamux(self):
        self.ping("tcp", "tls", "yamux", r"/tcp/\d+/p2p/12D\w+, /tls/1\.0\.0, /yamux/1\.0\.0")

    def test_tcp_noise_mplex(self):
        self.ping("tcp", "noise", "mplex", r"/tcp/\d+/p2p/12D\w+, /noise, /mplex/6\.7\.0")

    def test_ws(self):
        self.ping("ws", "noise", "yamux", r"/tcp/\d+/ws/p2p/12D\w+, /noise, /yamux")

    def test_wss(self):
        if not shutil.which("openssl"):
            self.skipTest("there is no openssl command")
        subprocess.run(["bash", OFFICIAL / "certificates.sh", FOLDER], check=True, capture_output=True)
        web = {f"P2P_WSS_{x.upper()}": f"{FOLDER}/{x}.pem" for x in ("cert", "key", "ca")}
        self.ping("wss", "noise", "yamux", r"/tcp/\d+/tls/ws/p2p/12D\w+, /noise, /yamux", **web)
        self.ping("wss", "noise", "yamux", r"/tcp/\d+/tls/sni/libp2p\.test/ws/p2p/12D\w+", WSS_NAME="libp2p.test",
                  **web)

    def test_quic(self):
        if not QUIC:
            self.skipTest("no QUIC in this build")
        self.ping("quic-v1", None, None, r"/udp/\d+/quic-v1/p2p/12D\w+, /tls/1\.0\.0, streams of its own")

    def measure(self, transport, secure=None, muxer=None):
        begun = time.monotonic()
        out, _ = self.both("perf", transport, secure, muxer, UPLOAD_BYTES=str(4 << 20), DOWNLOAD_BYTES=str(2 << 20),
                           UPLOAD_ITERATIONS="5", DOWNLOAD_ITERATIONS="4", LATENCY_ITERATIONS="20", DURATION="20")
        took = time.monotonic() - begun
        report = parse(out)
        self.assertEqual(list(report), ["upload", "download", "latency"])
        seconds = 0
        for name, iterations, unit, size in (("upload", 5, "Gbps", 4 << 20), ("download", 4, "Gbps", 2 << 20),
                                             ("latency", 20, "ms", 2)):
            section = report[name]
            self.assertEqual(list(section), ["iterations", "min", "q1", "median", "q3", "max", "outliers", "samples",
                                             "unit"])
            self.assertEqual((section["iterations"], section["unit"]), (str(iterations), unit))
            samples, outliers = numbers(section["samples"]), numbers(section["outliers"])
            quartiles = [float(section[k]) for k in ("q1", "median", "q3")]
            self.assertEqual(len(samples), iterations)
            self.assertGreater(samples[0], 0)
            self.assertEqual(samples, sorted(samples))
            for mine, exact in zip(quartiles, statistics.quantiles(samples, n=4, method="inclusive")):
                self.assertAlmostEqual(mine, exact, delta=0.011)  # of samples that were rounded
            inner = list(samples)
            reach = 1.5 * (quartiles[2] - quartiles[0])
            for value in outliers:
                inner.remove(value)
                self.assertTrue(value < quartiles[0] - reach + 0.05 or value > quartiles[2] + reach - 0.05)
            self.assertEqual((float(section["min"]), float(section["max"])), (inner[0], inner[-1]))
            self.assertGreaterEqual(inner[0], quartiles[0] - reach - 0.05)
            self.assertLessEqual(inner[-1], quartiles[2] + reach + 0.05)
            seconds += sum(x / 1000 if unit == "ms" else size * 8 / 1e9 / (x + 0.005) for x in samples)
        self.assertLess(seconds, took)

    def test_perf_over_tcp(self):
        self.measure("tcp", "noise", "yamux")

    def test_perf_over_quic(self):
        if not QUIC:
            self.skipTest("no QUIC in this build")
        self.measure("quic-v1")

    def test_iterations_that_are_not_said(self):
        out, _ = self.both("perf", "tcp", "noise", "yamux", UPLOAD_BYTES="1000", DOWNLOAD_BYTES="1000",
                           UPLOAD_ITERATIONS="null", DOWNLOAD_ITERATIONS="null", LATENCY_ITERATIONS=None)
        self.assertEqual([s["iterations"] for s in parse(out).values()], ["10", "10", "100"])

    # ---- another implementation ----

    def test_another_application(self):
        if not OTHER:
            self.skipTest("OFFICIAL_OTHER names none")
        for transport in OTHER_TRANSPORTS:
            for secure in ("noise", "tls") if transport != "quic-v1" else (None,):
                for dialer, listener in ((None, [OTHER]), ([OTHER], None)):
                    with self.subTest(transport=transport, secure=secure, dialer=dialer):
                        self.against(transport, secure, dialer, listener)

    def against(self, transport, secure, dialer, listener):
        OfficialTest.keys += 1
        how = ("transport", f"{OfficialTest.keys:08x}", transport, secure, "yamux")
        # The others' listeners tell no address of loopback.
        listening = start(how[0], False, *how[1:], app=listener, LISTENER_IP="0.0.0.0")
        code, out, err = end(start(how[0], True, *how[1:], app=dialer, LISTENER_IP="0.0.0.0"))
        listening.terminate()
        _, _, err_of_listener = end(listening)
        self.assertEqual(code, 0, err + err_of_listener)
        self.assertRegex(out, r"handshake_plus_one_rtt: [0-9.]+\n +ping_rtt: [0-9.]+\n +unit: ms\n")
        print(transport, secure, "ours dials" if listener else "ours listens", out.split()[-5:], file=sys.stderr)

    # ---- how the address is told ----

    def test_a_dialer_that_is_early(self):
        dialer = start("transport", True, "early", "tcp", "noise", "yamux")
        time.sleep(0.5)
        listener = start("transport", False, "early", "tcp", "noise", "yamux")
        code, out, err = end(dialer)
        listener.terminate()
        end(listener)
        self.assertEqual(code, 0, err)
        self.assertIn("ping_rtt", out)

    def test_each_contract_has_the_form_that_others_use(self):
        for kind, form in (("transport", b"+list\r\n"), ("perf", b"+string\r\n")):
            REDIS("SET", f"{kind}_listener_multiaddr", "an old one")
            listener = start(kind, False, kind, "tcp", "noise", "yamux")
            self.assertIn("listening on /ip4/127.0.0.1/tcp/", listener.stderr.readline())
            listener.terminate()
            end(listener)
            self.assertEqual(REDIS("TYPE", f"{kind}_listener_multiaddr"), form)

    def test_the_other_form_is_read_as_well(self):
        for kind in ("transport", "perf"):
            listener = start(kind, False, "a", "tcp", "noise", "yamux")
            addr = re.search(r"/ip4/\S+", listener.stderr.readline())[0]
            if kind == "transport":
                REDIS("SET", "b_listener_multiaddr", addr)
            else:
                REDIS("DEL", "b_listener_multiaddr")
                REDIS("RPUSH", "b_listener_multiaddr", addr)
            code, out, err = end(start(kind, True, "b", "tcp", "noise", "yamux", UPLOAD_BYTES="1000",
                                       DOWNLOAD_BYTES="1000"))
            listener.terminate()
            end(listener)
            self.assertEqual(code, 0, err)
            self.assertIn("latency:", out)

    # ---- what goes wrong ----

    def fails(self, expected, kind="transport", **more):
        env = {"key": "none", "transport": "tcp", "secure": "noise", "muxer": "yamux", **more}
        code, out, err = end(start(kind, True, **env))
        self.assertEqual((code, out), (1, ""), err)
        self.assertIn(expected, err)

    def test_no_listener(self):
        self.fails("the listener has told no address in time", TEST_TIMEOUT_SECS="1")

    def test_no_redis(self):
        self.fails("no connection to the Redis server", TEST_TIMEOUT_SECS="1", REDIS_ADDR=f"{LOOPBACK}:{free_port()}")

    def test_a_listener_that_is_gone(self):
        addr = f"/ip4/{LOOPBACK}/tcp/{free_port()}/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
        for kind, form in (("transport", "RPUSH"), ("perf", "SET")):
            REDIS("DEL", "gone_listener_multiaddr")
            REDIS(form, "gone_listener_multiaddr", addr)
            self.fails(addr.partition("/p2p/")[0], kind, key="gone")

    def test_an_environment_that_makes_no_sense(self):
        self.fails("TRANSPORT: webtransport", transport="webtransport")
        self.fails("security: ", secure="secio")
        self.fails("muxer: ", muxer="spdy")
        self.fails("TEST_KEY: not set", TEST_KEY=None)
        self.fails("IS_DIALER: not set", IS_DIALER=None)
        self.fails("REDIS_ADDR: nowhere", REDIS_ADDR="nowhere")
        self.fails("UPLOAD_BYTES: many", "perf", UPLOAD_BYTES="many")
        self.fails("LATENCY_ITERATIONS: 0", "perf", LATENCY_ITERATIONS="0")

    def test_usage(self):
        done = subprocess.run([APP], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("transport|perf", done.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if OTHER:
        path.enter()
        for command in ("link set lo up", "link add here type veth peer name there", "addr add 10.77.0.1/24 dev here",
                        "link set here up", "link set there up"):
            subprocess.run(["ip", *command.split()], check=True)
    BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
    APP = str(BUILD / "interop-official")
    if not os.path.exists(APP):
        path.skip("interop-official is not built")
    QUIC = b"quic" in subprocess.run([BUILD / "p2p", "version"], capture_output=True, check=True).stdout
    FOLDER = tempfile.mkdtemp(prefix="p2p-official-")
    atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
    REDIS = Redis(FOLDER)
    unittest.main()

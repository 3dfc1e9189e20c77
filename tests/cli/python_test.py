#!/usr/bin/env python3
"""The Python binding and its examples: python_test.py BUILD [unittest arguments]"""

import asyncio
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "python"
TIMEOUT = 30  # seconds; nothing here takes long, but the machine may be busy
PROTOCOL = "/test/1"
LOCAL = "/ip4/127.0.0.1/tcp/0"


def setUpModule():
    global libp2p
    sys.path.insert(0, str(ROOT / "bindings" / "python"))
    import libp2p


class Pair(unittest.TestCase):
    def setUp(self):
        self.server = libp2p.Host(listen=LOCAL, services="")
        self.client = libp2p.Host()
        self.addCleanup(self.server.close)
        self.addCleanup(self.client.close)
        self.listener = self.server.listen(PROTOCOL)

    def connect(self):
        near = self.client.dial(self.server.addrs[0], PROTOCOL, timeout=TIMEOUT)
        return near, self.listener.accept(TIMEOUT)


class Blocking(Pair):
    def test_bytes_messages_and_names(self):
        near, far = self.connect()
        self.assertEqual((near.peer, far.peer), (self.server.peer, self.client.peer))
        self.assertEqual(far.protocol, PROTOCOL)
        near.write(b"question")
        self.assertEqual(far.read(timeout=TIMEOUT), b"question")
        far.write_msg(b"")
        far.write_msg(b"m" * 1000)
        far.shutdown()
        self.assertEqual(near.read_msg(timeout=TIMEOUT), b"")
        with self.assertRaises(libp2p.Error):
            near.read_msg(999)
        self.assertEqual(near.read_msg(1000), b"m" * 1000)
        self.assertIsNone(near.read_msg(timeout=TIMEOUT))
        near.close()
        near.close()
        self.assertEqual(far.read(timeout=TIMEOUT), b"")

    def test_errors_are_pythons(self):
        near, far = self.connect()
        with self.assertRaises(TimeoutError):
            near.read(timeout=0.05)
        far.reset()
        with self.assertRaises(ConnectionResetError):
            near.read(timeout=TIMEOUT)
        with self.assertRaises(OSError) as caught:
            self.client.dial(self.server.addrs[0], "/not/served")
        self.assertIn("protocol", str(caught.exception))
        with self.assertRaisesRegex(libp2p.Error, "nonsense"):
            libp2p.Host(nonsense=1)

    def test_threads_and_closing(self):
        """ctypes lets go of the interpreter's lock while a call blocks."""
        near, far = self.connect()
        caught = []

        def blocked():
            try:
                near.read()
            except libp2p.Error as error:
                caught.append(error)

        thread = threading.Thread(target=blocked)
        thread.start()
        time.sleep(0.05)
        near.close()
        thread.join(TIMEOUT)
        self.assertIn("closed", str(caught[0]))
        self.assertEqual(far.read(timeout=TIMEOUT), b"")

    def test_events(self):
        self.connect()
        self.assertEqual(self.server.next_event(TIMEOUT)["addr"], self.server.addrs[0])
        event = self.server.next_event(TIMEOUT)
        self.assertEqual((event["event"], event["peer"]), ("connected", self.client.peer))
        fd = self.server.event_fileno()
        self.assertEqual(select.select([fd], [], [], 0)[0], [])
        self.client.close()
        self.assertEqual(select.select([fd], [], [], TIMEOUT)[0], [fd])
        self.assertEqual(self.server.next_event(0)["event"], "disconnected")


class Asyncio(Pair):
    def test_many_streams_at_once(self):
        async def echo(stream):
            reader, writer = await stream.asyncio()
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()

        async def call(near, number):
            reader, writer = await near.asyncio()
            sent = bytes([number]) * 300000
            writer.write(sent)
            writer.write_eof()
            self.assertEqual(await reader.read(), sent)
            writer.close()

        async def both():
            pairs = [self.connect() for _ in range(10)]
            await asyncio.wait_for(asyncio.gather(
                *(echo(far) for _, far in pairs),
                *(call(near, number) for number, (near, _) in enumerate(pairs))), TIMEOUT)

        asyncio.run(both())

    def test_socket_outlives_its_object(self):
        near, far = self.connect()
        far.write(b"early")
        sock = near.socket()
        sock.settimeout(TIMEOUT)
        self.assertEqual(sock.recv(100), b"early")
        sock.sendall(b"late")
        sock.close()
        self.assertEqual(far.read(timeout=TIMEOUT), b"late")
        self.assertEqual(far.read(timeout=TIMEOUT), b"")


class Examples(unittest.TestCase):
    def run_example(self, name, *arguments):
        done = subprocess.run([sys.executable, "-B", EXAMPLES / name, *arguments], timeout=TIMEOUT,
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_core_is_under_30_lines(self):
        self.assertEqual(self.run_example("ctypes_core.py", os.environ["LIBP2P_SO"]), "hello\n")
        self.assertLess(len((EXAMPLES / "ctypes_core.py").read_text().splitlines()), 30)

    def test_echo_asyncio(self):
        server = subprocess.Popen([sys.executable, "-B", EXAMPLES / "echo_asyncio.py"],
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.kill)
        self.addCleanup(server.stdout.close)
        addr = server.stdout.readline().strip()
        for text in "hello", "hello again " * 10000:
            self.assertEqual(self.run_example("echo_asyncio.py", addr, text), text + "\n")
        server.send_signal(signal.SIGINT)
        self.assertEqual(server.wait(TIMEOUT), 0)


class Installed(unittest.TestCase):
    """pip installs the one file; libp2p.so is found as any library is, or by LIBP2P_SO."""

    def test_pip_install(self):
        has = subprocess.run([sys.executable, "-c", "import setuptools, wheel, pip"], capture_output=True)
        if has.returncode != 0:
            self.skipTest("pip, setuptools and wheel are not all there")
        with tempfile.TemporaryDirectory() as folder:
            source, target = pathlib.Path(folder) / "source", pathlib.Path(folder) / "target"
            shutil.copytree(ROOT / "bindings" / "python", source,
                            ignore=shutil.ignore_patterns("__pycache__"))
            done = subprocess.run([sys.executable, "-m", "pip", "install", "--no-index", "--no-deps",
                                   "--no-build-isolation", "--target", target, source],
                                  capture_output=True, text=True, timeout=4 * TIMEOUT)
            self.assertEqual(done.returncode, 0, done.stderr)
            code = "import libp2p; print(libp2p.__file__); libp2p.Host().close()"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder,
                                  env={**os.environ, "PYTHONPATH": str(target)}, timeout=TIMEOUT)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(done.stdout.strip(), str(target / "libp2p.py"))
            version = subprocess.run([sys.executable, "-c",
                                      "import importlib.metadata as m; print(m.version('libp2p-c'))"],
                                     capture_output=True, text=True, cwd=folder,
                                     env={**os.environ, "PYTHONPATH": str(target)}, timeout=TIMEOUT)
            cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
            self.assertIn(f"VERSION {version.stdout.strip()} ", cmake)


def main():
    library = pathlib.Path(sys.argv.pop(1)).resolve() / "libp2p.so"
    sanitized = library.exists() and b"__asan_init" in library.read_bytes()
    if not library.exists() or sanitized or b"__tsan_init" in library.read_bytes():
        print(f"{library} cannot be loaded into python3: it is not there, or sanitized")
        sys.exit(77)
    os.environ["LIBP2P_SO"] = str(library)
    unittest.main()


if __name__ == "__main__":
    main()

"""The programs that are tested against each other, and how they are built."""

import copy
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from children import Child, Deadline, Fail, run

HERE = Path(__file__).resolve().parent
FOLDER = tempfile.TemporaryDirectory()
# A certificate that signs itself, and its key, for secure WebSocket on this machine: everybody trusts it.
WEB = str(Path(FOLDER.name) / "web.pem")
KEY_TYPES = ["ed25519", "secp256k1", "ecdsa", "rsa"]
START_S = 20


def make_web():
    """Makes WEB. False: there is nothing to make it with."""
    if shutil.which("openssl") is None:
        return False
    done = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
         "-subj", "/CN=interop", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "-", "-out", "-"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    Path(WEB).write_bytes(done.stdout)
    return done.returncode == 0


class Listener:
    """Something that listens: a peer program or our node."""

    def __init__(self, command):
        self.child = Child(command)
        try:
            event = self.child.wait_for(
                lambda e: e["event"] == "listening" and "/ip4/" in e["addr"], Deadline(START_S))
        except Fail:
            self.child.stop()
            raise
        self.addr = event["addr"]
        self.peer = self.addr.rsplit("/p2p/", 1)[1]

    def mark(self):
        return len(self.child.events)

    def stop(self):
        return self.child.stop()


class Peer:
    key_types = KEY_TYPES
    signs_record = True
    pings = 3  # that it answers on one stream
    only_dials = False
    options = ()

    def __init__(self, name):
        self.name = name
        self.dir = HERE / name
        self.agent = f"interop-{name}"

    def under(self, options):
        """The same peer with these options in every command."""
        other = copy.copy(self)
        other.options = tuple(options)
        return other

    def listen_command(self, *options):
        return [*self.command, "listen", *self.options, *options]

    def listen(self, *options):
        return Listener(self.listen_command(*options))

    def dial(self, deadline, addr, test, *args, options=()):
        """The result of one test; a test that failed is a Fail."""
        command = [*self.command, "dial", addr, test, *map(str, args), *self.options, *options]
        done = run(command, deadline)
        result = done.event("result")
        if not result["ok"]:
            raise Fail(f"{self.name} says: {result['error']}")
        if done.code != 0:
            raise Fail(f"{self.name} exits with {done.code}: {done.err[-500:]}")
        return result

    def build(self, *command, env=None):
        if shutil.which(command[0]) is None:
            raise Fail(f"{command[0]} is not installed")
        done = subprocess.run(
            command, cwd=self.dir, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise Fail(f"{' '.join(command)}: {done.stdout.decode(errors='replace')[-2000:]}")


class Js(Peer):
    key_types = ["ed25519", "secp256k1", "rsa"]

    def __init__(self):
        super().__init__("js")
        self.command = ["env", f"NODE_EXTRA_CA_CERTS={WEB}",
                        "node", "--experimental-websocket", str(self.dir / "peer.mjs")]  # Node 20 wants it

    def prepare(self):
        installed = self.dir / "node_modules" / ".package-lock.json"
        wanted = self.dir / "package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
            self.build("npm", "ci", "--no-audit", "--no-fund")
            installed.touch()


class Chromium(Peer):
    """js-libp2p in a browser: it dials only, and has no transport but WebSocket."""
    only_dials = True

    def __init__(self):
        super().__init__("chromium")
        self.command = ["node", str(self.dir / "peer.mjs")]
        self.bundle = self.dir / "dist" / "page.js"

    def built(self):
        return self.bundle.exists() and shutil.which(os.environ.get("CHROMIUM", "chromium")) is not None

    def prepare(self):
        if shutil.which(os.environ.get("CHROMIUM", "chromium")) is None:
            raise Fail("chromium is not installed")
        sources = [self.dir / "package-lock.json", self.dir / "page.mjs", HERE / "js" / "pipe.mjs"]
        if self.bundle.exists() and all(s.stat().st_mtime < self.bundle.stat().st_mtime for s in sources):
            return
        self.build("npm", "ci", "--no-audit", "--no-fund")
        self.build("npm", "run", "bundle")


class Go(Peer):
    def __init__(self):
        super().__init__("go")
        self.command = [str(self.dir / "bin" / "peer")]

    def prepare(self):
        self.build("go", "build", "-buildvcs=false", "-o", "bin/peer", ".")


class Rust(Peer):
    signs_record = False

    def __init__(self):
        super().__init__("rust")
        self.command = [str(self.dir / "target" / "release" / "peer")]

    def under(self, options):
        other = super().under(options)
        if "quic" in options:
            other.pings = 1
        return other

    def built(self):
        return Path(self.command[0]).exists()

    def prepare(self):
        self.build("cargo", "build", "--release", "--locked")


PEERS = {"js": Js, "go": Go, "rust": Rust, "chromium": Chromium}

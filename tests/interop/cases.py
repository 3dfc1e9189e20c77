"""The cases. Each is a function of a world and a deadline, and raises Fail.

`in`: a peer dials a listener. `out`: our command dials a peer (or itself)."""

import hashlib
import os
import signal
import subprocess
import tempfile
import threading
import time

from children import RUNNING, Child, Fail, forget, run
from peers import KEY_TYPES

SIZES = {"0B": 0, "1B": 1, "64KiB": 64 << 10, "1MiB": 1 << 20, "64MiB": 64 << 20}
ECHO = "/p2p/echo/1.0.0"
SERVED = ["/ipfs/ping/1.0.0", "/ipfs/id/1.0.0", "/perf/1.0.0", ECHO]
ANOTHER_PEER = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
STOP_WITHIN_S = 2


class Skip(Exception):
    """Why a case cannot be run here."""


class Case:
    def __init__(self, name, run, seconds=30, only=None):
        """`only` is "peers" for what our own node does not serve, or the name of one peer."""
        self.name, self.run, self.seconds, self.only = name, run, seconds, only


def require(condition, message):
    if not condition:
        raise Fail(message)


def pattern(n, seed):
    """The bytes that the peer programs send: see js/pattern.mjs."""
    out, x = bytearray(n), seed
    for i in range(n):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
        out[i] = x >> 24
    return bytes(out)


# --- a peer dials ------------------------------------------------------------------------------

class InWorld:
    """`peer` dials `listener`: our node, or in a self-check another peer."""

    def __init__(self, peer, start, ours=None, knows=KEY_TYPES, pings=3):
        """`knows` are the key types that the listener can verify, `pings` what it answers on one stream."""
        self.peer, self.start, self.ours, self.knows, self.pings = peer, start, ours, knows, pings
        self.listener = start()

    def check(self):
        if not self.listener.child.alive():
            tail = self.listener.child.stderr_tail()
            code, _ = self.listener.stop()
            self.listener = self.start()
            raise Fail(f"the listener ended with {code}: {tail}")

    def dial(self, deadline, test, *args, options=()):
        if test == "ping" and self.pings < 3:
            raise Skip(f"the listener answers {self.pings} ping")
        return self.peer.dial(deadline, self.listener.addr, test, *args, options=options)

    def close(self):
        self.listener.stop()


def dial_case(name, test, *args, seconds=30):
    return Case(name, lambda world, deadline: world.dial(deadline, test, *args), seconds)


def in_their_key(key_type):
    def case(world, deadline):
        if key_type not in world.peer.key_types:
            raise Skip(f"{world.peer.name} has no {key_type} keys")
        if key_type not in world.knows:
            raise Skip(f"the listener does not know {key_type} keys")
        world.dial(deadline, "ping", options=["--key-type", key_type])
    return Case(f"their-key-{key_type}", case)


def in_no_common_muxer(world, deadline):
    try:
        world.dial(deadline, "ping", options=["--muxer", "mplex"])
    except Fail as fail:
        require("deadline passed" not in str(fail), f"not refused in time: {fail}")
    else:
        raise Fail("connected although no muxer is common")
    world.dial(deadline, "ping")


def in_our_key(key_type):
    def case(world, deadline):
        if key_type not in world.peer.key_types:
            raise Skip(f"{world.peer.name} has no {key_type} keys")
        with tempfile.TemporaryDirectory() as folder:
            file, peer = world.ours.new_key(deadline, folder, key_type)
            node = world.ours.node("--key", file)
            try:
                require(node.peer == peer, f"the node calls itself {node.peer}, the key is {peer}")
                world.peer.dial(deadline, node.addr, "ping")
                world.peer.dial(deadline, node.addr, "identify")
            finally:
                node.stop()
    return Case(f"our-key-{key_type}", case)


def in_events(world, deadline, security="/noise", muxer="/yamux/1.0.0"):
    since = world.listener.mark()
    result = world.dial(deadline, "ping")
    node = world.listener.child
    up = node.wait_for(lambda e: e["event"] == "connected" and e["peer"] == result["peer"],
                       deadline, since)
    for key, want in [("direction", "inbound"), ("security", security), ("muxer", muxer)]:
        require(up.get(key) == want, f"connected says {key} {up.get(key)}")
    down = node.wait_for(lambda e: e["event"] == "disconnected" and e["conn"] == up["conn"],
                         deadline, since)
    require(down["peer"] == result["peer"], f"disconnected names {down['peer']}")


def in_shutdown(world, deadline):
    """With a connection open, our node ends gracefully and in time, and the peer notices."""
    node = world.ours.node()
    held = Child([*world.peer.command, "bench", node.addr, "idle", "1"])
    try:
        held.wait_for(lambda e: e["event"] == "idle", deadline)
        code, took = node.stop()
        require(code == 0, f"exit {code} after SIGTERM: {node.child.stderr_tail()}")
        require(took <= STOP_WITHIN_S, f"took {took:.1f} s to end")
    finally:
        node.stop()
        held.stop()


IN_BOTH = [
    dial_case("ping", "ping"),
    dial_case("identify", "identify"),
    *[dial_case(f"echo-{name}", "echo", n, seconds=120 if n > 1 << 20 else 30) for name, n in SIZES.items()],
    dial_case("perf", "perf", 10_000_000, 20_000_000, seconds=60),
    dial_case("streams-parallel", "streams-parallel", 100, seconds=60),
    dial_case("streams-sequential", "streams-sequential", 1000, seconds=120),
    dial_case("half-close", "half-close"),
    dial_case("reset", "reset"),
    dial_case("slow-reader", "slow-reader", seconds=60),
    dial_case("soak", "soak", 5, seconds=60),
    dial_case("unknown-protocol", "unknown-protocol"),
    dial_case("wrong-peer", "wrong-peer"),
    Case("no-common-muxer", in_no_common_muxer),
    *[in_their_key(t) for t in KEY_TYPES],
]

IN_OURS = IN_BOTH + [
    Case("events", in_events),
    *[in_our_key(t) for t in KEY_TYPES],
    Case("shutdown", in_shutdown),
]


def check_half_close_remote(world, deadline):
    since = world.listener.mark()
    result = world.dial(deadline, "half-close-remote")
    event = world.listener.child.wait_for(lambda e: e["event"] == "source", deadline, since)
    require(event["rest_bytes"] == result["rest_bytes"], f"the listener saw {event}")
    require(event["rest_sha256"] == hashlib.sha256(pattern(result["rest_bytes"], 9)).hexdigest(),
            "the listener saw other bytes")


def check_identified(world, deadline):
    since = world.listener.mark()
    result = world.dial(deadline, "echo", 1 << 20)
    event = world.listener.child.wait_for(
        lambda e: e["event"] == "identified" and e["peer"] == result["peer"], deadline, since)
    require(event["agent"] == world.peer.agent, f"the listener saw agent {event['agent']}")


IN_PEERS = IN_BOTH + [
    Case("half-close-remote", check_half_close_remote),
    dial_case("reset-remote", "reset-remote"),
    dial_case("hash", "hash", 3_000_000),
    Case("identified", check_identified),
]


# --- we dial -----------------------------------------------------------------------------------

class OutWorld:
    """Our command dials `peer`, or with no peer our own node."""

    def __init__(self, ours, peer, client):
        self.ours, self.peer, self.client = ours, peer, client
        self.start = peer.listen if peer else ours.node
        self.listener = self.start()

    check = InWorld.check
    close = InWorld.close

    def p2p(self, deadline, command, *args, stdin=subprocess.DEVNULL, addr=None):
        target = addr or self.listener.addr
        return self.ours.run(deadline, command, target, *args, stdin=stdin)

    def cat(self, deadline, protocol, data=b""):
        with tempfile.TemporaryFile() as stdin:
            stdin.write(data)
            stdin.seek(0)
            return self.p2p(deadline, "cat", "--protocol", protocol, stdin=stdin)


def out_ping(world, deadline, *args, addr=None):
    count = world.peer.pings if world.peer else 3
    done = world.p2p(deadline, "ping", "-c", count, "-i", 0.1, "--json", *args, addr=addr).expect(0)
    pings = [e for e in done.events() if e["event"] == "ping"]
    require([e.get("seq") for e in pings] == [*range(count)], f"pings are {pings}")
    require(all(e.get("rtt_ms", -1) >= 0 for e in pings), f"pings are {pings}")
    summary = done.event("summary")
    require((summary["sent"], summary["received"]) == (count, count), f"summary is {summary}")


def out_identify(world, deadline):
    done = world.p2p(deadline, "identify", "--json").expect(0)
    event = done.event("identify")
    require(event["peer"] == world.listener.peer, f"identify names {event['peer']}")
    if world.peer:
        require(event["agent"] == world.peer.agent, f"agent is {event['agent']}")
    for protocol in SERVED:
        require(protocol in event["protocols"], f"{protocol} is not in {event['protocols']}")
    kind = world.listener.addr.split("/")[3]
    require(event["observed_addr"].startswith(f"/ip4/127.0.0.1/{kind}/"), f"observed {event['observed_addr']}")
    here = world.listener.addr.rsplit("/p2p/", 1)[0]
    require(any(a.startswith(here) for a in event["listen_addrs"]), f"listens on {event['listen_addrs']}")
    if world.peer is None or world.peer.signs_record:
        require(event["signed_record"] is True, "no signed record")


def out_legacy_record(world, deadline):
    """rust signs peer records in the domain that the text of RFC 3 has, and others do not use."""
    listener = world.peer.listen("--record", "signed")
    try:
        done = world.p2p(deadline, "identify", "--json", addr=listener.addr).expect(0)
        require(done.event("identify")["signed_record"] is True, "the record was not accepted")
    finally:
        listener.stop()


def out_echo(size):
    def case(world, deadline):
        data = os.urandom(size)
        done = world.cat(deadline, ECHO, data).expect(0)
        require(len(done.out) == size, f"{len(done.out)} of {size} bytes came back")
        require(hashlib.sha256(done.out).digest() == hashlib.sha256(data).digest(), "other bytes came back")
    return case


def out_hash(world, deadline):
    data = os.urandom(3_000_000)
    done = world.cat(deadline, "/test/hash/1.0.0", data).expect(0)
    require(done.out.decode() == hashlib.sha256(data).hexdigest(), f"the peer saw {done.out!r}")


def out_sink(world, deadline):
    since = world.listener.mark()
    size = 8 << 20
    world.cat(deadline, "/test/sink/1.0.0", bytes(size)).expect(0)
    event = world.listener.child.wait_for(lambda e: e["event"] == "sink", deadline, since)
    require(event["bytes"] == size, f"the peer saw {event['bytes']} of {size} bytes")


class Piped:
    """`p2p cat` with both pipes in our hands, for cases about order and pace."""

    def __init__(self, world, protocol):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [world.ours.path, "cat", world.listener.addr, "--protocol", protocol, *world.ours.options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        RUNNING.append(self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.timer.cancel()
        self.process.kill()
        self.process.wait()
        forget(self.process)
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass

    def until(self, deadline):
        """Reads and writes block: past the deadline the child is ended, which ends them."""
        self.timer = threading.Timer(deadline.left(), self.process.kill)
        self.timer.start()
        return self

    def write(self, data, close=False):
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
            if close:
                self.process.stdin.close()
        except BrokenPipeError:
            raise Fail(f"p2p cat closed its stdin: {self.stderr()}") from None

    def read(self, n):
        data = self.process.stdout.read(n)
        require(len(data) == n, f"{len(data)} of {n} bytes came: {self.stderr()}")
        return data

    def end(self, deadline, code):
        require(self.process.stdout.read(1) == b"", "bytes after the expected end")
        got = self.process.wait(deadline.left())
        require(got == code, f"exit {got}, expected {code}: {self.stderr()}")

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")[-500:]


def out_half_close(world, deadline):
    """We end first, wait, and only then read."""
    data = os.urandom(60_000)
    with Piped(world, ECHO).until(deadline) as cat:
        cat.write(data, close=True)
        time.sleep(0.3)
        require(cat.read(len(data)) == data, "other bytes came back")
        cat.end(deadline, 0)


def out_half_close_remote(world, deadline):
    """They end first, and we still write more than a window."""
    since = world.listener.mark()
    n, rest = 300_000, os.urandom(1 << 20)
    with Piped(world, "/test/source/1.0.0").until(deadline) as cat:
        cat.write(n.to_bytes(8, "big"))
        require(cat.read(n) == pattern(n, 1), "other bytes came")
        time.sleep(0.3)
        cat.write(rest, close=True)
        cat.end(deadline, 0)
    event = world.listener.child.wait_for(lambda e: e["event"] == "source", deadline, since)
    require(event["rest_bytes"] == len(rest), f"the peer saw {event['rest_bytes']} of {len(rest)} bytes")
    require(event["rest_sha256"] == hashlib.sha256(rest).hexdigest(), "the peer saw other bytes")


def out_slow_stdout(world, deadline):
    """Nobody reads our stdout for a second, then somebody does, slowly."""
    data = os.urandom(8 << 20)
    with Piped(world, ECHO).until(deadline) as cat:
        def feed():
            try:
                cat.write(data, close=True)
            except (Fail, OSError, ValueError):
                pass  # the reader below says what is wrong
        writer = threading.Thread(target=feed, daemon=True)
        writer.start()
        time.sleep(1)
        got = hashlib.sha256()
        for _ in range(0, len(data), 64 << 10):
            got.update(cat.read(64 << 10))
            time.sleep(0.005)
        require(got.digest() == hashlib.sha256(data).digest(), "other bytes came back")
        cat.end(deadline, 0)
        writer.join()


def out_reset_remote(world, deadline):
    done = world.cat(deadline, "/test/reset/1.0.0", bytes(16 << 20))
    done.expect(56)
    require(done.err, "nothing on stderr")
    out_ping(world, deadline)


def out_interrupted(world, deadline):
    """Interrupted in mid-transfer we end in time; the peer lives on."""
    with Piped(world, ECHO).until(deadline) as cat:
        cat.write(bytes(50_000))
        cat.read(50_000)
        start = time.monotonic()
        cat.process.send_signal(signal.SIGINT)
        cat.end(deadline, 130)
        took = time.monotonic() - start
        require(took <= STOP_WITHIN_S, f"took {took:.1f} s to end")
    out_ping(world, deadline)


def out_perf(world, deadline):
    up, down = 10_000_000, 20_000_000
    done = world.p2p(deadline, "perf", "--upload", up, "--download", down, "--json").expect(0)
    event = done.event("perf")
    require((event["upload_bytes"], event["download_bytes"]) == (up, down), f"perf says {event}")
    require(event["seconds"] > 0, f"perf says {event}")


def expect_error(done, code):
    done.expect(code)
    event = done.event("error")
    require(event["exit"] == code, f"the error event says exit {event['exit']}")
    require(event["message"] and done.err, "no sentence on stdout or on stderr")
    return event


def out_wrong_peer(world, deadline):
    addr = world.listener.addr.rsplit("/p2p/", 1)[0] + "/p2p/" + ANOTHER_PEER
    expect_error(world.p2p(deadline, "ping", "-c", 1, "--json", addr=addr), 60)
    out_ping(world, deadline)


def out_unknown_protocol(world, deadline):
    done = world.cat(deadline, "/test/absent/1.0.0", b"nobody reads this")
    require(done.code not in (0, 28), f"exit {done.code}")
    require("/test/absent/1.0.0" in done.err, f"stderr does not name the protocol: {done.err}")
    require(done.out == b"", f"stdout has {done.out[:100]!r}")


def out_no_common_muxer(world, deadline):
    listener = world.peer.listen("--muxer", "mplex")
    try:
        done = world.p2p(deadline, "ping", "-c", 1, "--muxer", "yamux", "--json", addr=listener.addr)
        event = expect_error(done, 35)
        require("mux" in event["message"].lower() or "mux" in str(event.get("attempts")).lower(),
                f"the error does not name the muxer: {event}")
    finally:
        listener.stop()


def out_their_key(key_type):
    def case(world, deadline):
        if key_type not in world.peer.key_types:
            raise Skip(f"{world.peer.name} has no {key_type} keys")
        listener = world.peer.listen("--key-type", key_type)
        try:
            out_ping(world, deadline, addr=listener.addr)
        finally:
            listener.stop()
    return Case(f"their-key-{key_type}", case, only="peers")


def out_our_key(key_type):
    """They also identify us: by the right key, and with a name."""
    def case(world, deadline):
        if world.peer and key_type not in world.peer.key_types:
            raise Skip(f"{world.peer.name} has no {key_type} keys")
        with tempfile.TemporaryDirectory() as folder:
            file, peer = world.ours.new_key(deadline, folder, key_type)
            since = world.listener.mark()
            out_ping(world, deadline, "--key", file)
            wanted = "identified" if world.peer else "connected"
            event = world.listener.child.wait_for(
                lambda e: e["event"] == wanted and e["peer"] == peer, deadline, since)
            require(not world.peer or event["agent"], "they learned no agent of ours")
    return Case(f"our-key-{key_type}", case)


def client_case(name, *args, seconds=60, only=None):
    """On one connection, which the command cannot do: by the helper program."""
    def case(world, deadline):
        if not os.access(world.client, os.X_OK):
            raise Skip(f"{world.client} is not built")
        names, values = world.ours.options[::2], world.ours.options[1::2]
        options = [value if name == "-o" else f"{name.lstrip('-')}={value}" for name, value in zip(names, values)]
        run([world.client, world.listener.addr, *args, *options], deadline).expect(0)
    return Case(name, case, seconds, only=only)


OUT = [
    Case("ping", out_ping),
    Case("identify", out_identify),
    Case("legacy-record", out_legacy_record, only="rust"),
    *[Case(f"echo-{name}", out_echo(n), 120 if n > 1 << 20 else 30) for name, n in SIZES.items()],
    Case("perf", out_perf, 60),
    Case("hash", out_hash, only="peers"),
    Case("sink", out_sink, 60, only="peers"),
    Case("half-close", out_half_close),
    Case("half-close-remote", out_half_close_remote, only="peers"),
    Case("slow-stdout", out_slow_stdout, 60),
    Case("reset-remote", out_reset_remote, only="peers"),
    Case("interrupted", out_interrupted),
    Case("unknown-protocol", out_unknown_protocol),
    Case("wrong-peer", out_wrong_peer),
    Case("no-common-muxer", out_no_common_muxer, only="peers"),
    *[out_their_key(t) for t in KEY_TYPES],
    *[out_our_key(t) for t in KEY_TYPES],
    client_case("streams-parallel", "parallel", "100"),
    client_case("streams-sequential", "sequential", "1000", seconds=120),
    client_case("client-half-close", "half-close"),
    client_case("client-reset", "reset", only="peers"),
    client_case("client-slow-reader", "slow-reader"),
]


def out_for(peer):
    """The cases that make sense against this peer, or with None against our own node."""
    if peer is None:
        return [case for case in OUT if case.only is None]
    return [case for case in OUT if case.only in (None, "peers", peer.name)]

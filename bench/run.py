#!/usr/bin/env python3
"""Runs the benchmarks and prints medians, ratios and aims. "./dev bench" builds, then calls this.

Rounds are interleaved: every round runs each program once, so that whatever else the machine does
meanwhile falls on all of them alike. What is compared is measured within one round."""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "interop"))

import children  # noqa: E402
import delay  # noqa: E402
import peers as interop  # noqa: E402

MIB = 1 << 20
BENCH_S = 600

# Arguments of bench-NAME: in full, and with --quick.
PROGRAMS = {
    "throughput": (["512"], ["64"]),
    "channels": (["256"], ["32"]),
    "connections": (["2000"], ["300"]),
    "streams": (["20000"], ["2000"]),
    "rtt": ([], []),
    "idle": (["10000", "4"], ["1000", "4"]),
}
ONCE = ["rtt", "idle"]  # exact, or too long to repeat

# What is compared besides TCP and Noise, and what chooses it in a peer program.
CHANNELS = {
    "tls": ["--security", "tls"],
    "ws": ["--transport", "ws"],
    "quic": ["--transport", "quic"],
}
CHANNEL_NAMES = {"tls": "TLS", "ws": "WebSocket", "quic": "QUIC"}

# Of each peer program: bytes each way, connections, streams, idle connections.
PEER_SIZES = {
    "js": ((64 * MIB, 50, 200, 200), (8 * MIB, 10, 30, 50)),
    "go": ((512 * MIB, 1000, 5000, 2000), (64 * MIB, 100, 500, 200)),
    "rust": ((512 * MIB, 1000, 5000, 2000), (64 * MIB, 100, 500, 200)),
}

# What is printed: (figure, sentence, unit, aim). An aim is (">=" or "<=", value).
ROWS = [
    ("throughput.write.upload.limit", "limit: raw TCP, sealed and opened, upload", "MiB/s", None),
    ("throughput.write.upload.rate", "one stream, upload", "MiB/s", None),
    ("throughput.write.upload.ratio", "  of the limit", "", (">=", 0.8)),
    ("throughput.write.download.limit", "limit, download", "MiB/s", None),
    ("throughput.write.download.rate", "one stream, download", "MiB/s", None),
    ("throughput.write.download.ratio", "  of the limit", "", (">=", 0.8)),
    ("throughput.blob.upload.ratio", "shared bytes (blob), upload, of the limit", "", (">=", 0.8)),
    ("throughput.blob.download.ratio", "shared bytes (blob), download, of the limit", "",
     (">=", 0.8)),
    ("throughput.write.upload.copied", "copied besides cipher and kernel, both ends, upload",
     "bytes/byte", ("<=", 1.05)),
    ("throughput.write.upload.copied_receiver", "  of that by the receiver", "bytes/byte", None),
    ("throughput.write.download.copied", "the same, download", "bytes/byte", ("<=", 1.05)),
    ("throughput.write.download.copied_receiver", "  of that by the receiver", "bytes/byte", None),
    ("throughput.blob.upload.copied", "the same, shared bytes, upload", "bytes/byte",
     ("<=", 1.05)),
    ("throughput.blob.download.copied", "the same, shared bytes, download", "bytes/byte",
     ("<=", 1.05)),
    ("connections.primitives", "primitives of one connection, both ends, processor", "us", None),
    ("connections.handshake", "its handshake in memory, both ends, processor", "us", None),
    ("connections.cpu", "the whole connection, both ends, processor", "us", None),
    ("connections.cpu_ratio", "  its handshake's share of that", "", None),
    ("connections.limit", "limit: handshakes only, two processes", "/s", None),
    ("connections.32_at_once", "connections: dial, echo, close; 32 at once", "/s", None),
    ("connections.ratio", "  of the limit", "", None),
    ("connections.sequential", "connections one after the other", "/s", None),
    ("rtt.dial_to_echo", "from dial to the first echoed byte", "round trips", ("<=", 3)),
    ("rtt.stream_to_echo", "from opening a stream to the first echoed byte", "round trips",
     ("<=", 1)),
    ("streams.sequential", "streams opened, echoed, closed; one after the other", "/s", None),
    ("streams.64_at_once", "the same, 64 at once", "/s", None),
    ("idle.connection.dialer.heap", "idle connection, dialer, heap", "bytes", ("<=", 4096)),
    ("idle.connection.listener.heap", "idle connection, listener, heap", "bytes", ("<=", 4096)),
    ("idle.connection.dialer.rss", "idle connection, dialer, resident", "bytes", None),
    ("idle.connection.listener.rss", "idle connection, listener, resident", "bytes", None),
    ("idle.stream.dialer.heap", "idle stream, dialer, heap", "bytes", ("<=", 512)),
    ("idle.stream.listener.heap", "idle stream, listener, heap", "bytes", ("<=", 512)),
    ("idle.stream.dialer.rss", "idle stream, dialer, resident", "bytes", None),
    ("idle.stream.listener.rss", "idle stream, listener, resident", "bytes", None),
]

CHANNEL_LIMITS = {
    "tls": ("raw TCP, AES-128-GCM", (">=", 0.8)),
    "ws": ("TCP and Noise", (">=", 0.9)),
    "quic": ("raw UDP in trains, AES-128-GCM", None),
}
for _name, (_limit, _aim) in CHANNEL_LIMITS.items():
    for _way in ("upload", "download"):
        _figure = f"channels.{_name}.{_way}"
        ROWS += [
            (f"{_figure}.rate", f"{CHANNEL_NAMES[_name]}, perf, {_way}", "MiB/s", None),
            (f"{_figure}.ratio", f"  of {_limit}", "", _aim),
        ]

# The same against others: (our figure, theirs, sentence, unit).
PEER_ROWS = [
    ("throughput.write.upload.rate", "upload", "one stream, upload", "MiB/s"),
    ("throughput.write.download.rate", "download", "one stream, download", "MiB/s"),
    ("connections.sequential", "conns", "connections one after the other", "/s"),
    ("streams.sequential", "streams", "streams one after the other", "/s"),
    ("rtt.dial_to_echo", "trips", "from dial to the first echoed byte", "trips"),
    ("idle.connection.dialer.rss", "idle_dialer", "idle connection, dialer, resident", "bytes"),
    ("idle.connection.listener.rss", "idle_listener", "idle connection, listener, resident",
     "bytes"),
] + [(f"channels.{name}.{way}.rate", f"{name}.{way}", f"{CHANNEL_NAMES[name]}, {way}", "MiB/s")
     for name in CHANNELS for way in ("upload", "download")]


class Figures:
    """Every value of every figure, in the order of the rounds."""

    def __init__(self):
        self.values = {}

    def add(self, name, value):
        self.values.setdefault(name, []).append(value)

    def median(self, name):
        return statistics.median(self.values[name]) if name in self.values else None


def run_program(path, args, figures):
    done = subprocess.run([str(path), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          timeout=BENCH_S, check=False, text=True)
    if done.returncode != 0:
        sys.exit(f"{path.name} failed with {done.returncode}")
    for line in done.stdout.splitlines():
        name, value = line.split()[:2]
        figures.add(name, float(value))


# --- other implementations ---

def rss_bytes(pid):
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def peer_is_built(peer):
    if peer.name == "js":
        return (peer.dir / "node_modules" / ".package-lock.json").exists()
    return Path(peer.command[0]).exists()


def peer_bench(peer, addr, kind, *args):
    command = [*peer.command, "bench", addr, kind, *map(str, args)]
    result = children.run(command, children.Deadline(BENCH_S)).event("result")
    if not result["ok"]:
        raise children.Fail(f"{peer.name} {kind}: {result['error']}")
    return result


def peer_server(peer):
    return interop.Listener([*peer.command, "bench-server"])


def peer_round(peer, sizes, figures):
    size, conns, streams, _ = sizes
    server = peer_server(peer)
    try:
        up = peer_bench(peer, server.addr, "perf", size, 0)
        down = peer_bench(peer, server.addr, "perf", 0, size)
        figures.add("upload", size / up["seconds"] / MIB)
        figures.add("download", size / down["seconds"] / MIB)
        figures.add("conns", peer_bench(peer, server.addr, "conns", conns)["per_second"])
        figures.add("streams", peer_bench(peer, server.addr, "streams", streams)["per_second"])
    finally:
        server.stop()


def peer_channels(peer, sizes, figures):
    size = sizes[0] // 2
    for name, options in CHANNELS.items():
        server = interop.Listener([*peer.command, "bench-server", *options])
        try:
            up = peer_bench(peer, server.addr, "perf", size, 0, *options)
            down = peer_bench(peer, server.addr, "perf", 0, size, *options)
            figures.add(f"{name}.upload", size / up["seconds"] / MIB)
            figures.add(f"{name}.download", size / down["seconds"] / MIB)
        finally:
            server.stop()


def seconds_to_echo(peer, server, one_way_s):
    """From the program's start to its result: dial, identify where it waits for that, one byte."""
    port = server.addr.split("/tcp/")[1].split("/")[0]
    proxy = delay.DelayProxy(int(port), one_way_s)
    try:
        addr = server.addr.replace(f"/tcp/{port}/", f"/tcp/{proxy.port}/")
        begin = time.monotonic()
        dialer = children.Child([*peer.command, "dial", addr, "echo", "1"])
        try:
            result = dialer.wait_for(lambda e: e["event"] == "result", children.Deadline(60))
            seconds = time.monotonic() - begin
        finally:
            dialer.stop()
        if not result["ok"]:
            raise children.Fail(f"{peer.name} echo: {result['error']}")
        return seconds
    finally:
        proxy.close()


def peer_trips(peer, _sizes, figures):
    """What a delay of 200 ms a round trip adds, in round trips; TCP's own handshake is one more."""
    server = peer_server(peer)
    try:
        for _ in range(3):
            near = seconds_to_echo(peer, server, 0)
            figures.add("trips", (seconds_to_echo(peer, server, 0.1) - near) / 0.2 + 1)
    finally:
        server.stop()


def peer_idle(peer, count, figures):
    server = peer_server(peer)
    try:
        time.sleep(1)
        before = rss_bytes(server.child.process.pid)
        dialer = children.Child([*peer.command, "bench", server.addr, "idle", str(count)])
        try:
            dialer.wait_for(lambda e: e["event"] == "idle", children.Deadline(BENCH_S))
            after = rss_bytes(server.child.process.pid)
            dialer.process.stdin.close()
            result = dialer.wait_for(lambda e: e["event"] == "result", children.Deadline(BENCH_S))
        finally:
            dialer.stop()
        grown = result["rss_bytes"] - result["rss_before_bytes"]
        figures.add("idle_dialer", grown / count)
        figures.add("idle_listener", (after - before) / count)
    finally:
        server.stop()


class Peers:
    def __init__(self, names, quick):
        self.quick = quick
        self.peers = [interop.PEERS[name]() for name in names]
        self.figures = {name: Figures() for name in names}
        self.notes = []

    def each(self, measure):
        for peer in list(self.peers):
            try:
                measure(peer, PEER_SIZES[peer.name][self.quick], self.figures[peer.name])
            except (children.Fail, OSError, KeyError) as error:
                self.notes.append(f"{peer.name}: left out after this: {error}")
                self.peers.remove(peer)


def chosen_peers(wanted):
    if wanted is not None:
        names = [name for name in wanted.split(",") if name not in ("", "none")]
        for name in names:
            if name not in interop.PEERS:
                sys.exit(f"there is no peer {name}; there are {', '.join(interop.PEERS)}")
            interop.PEERS[name]().prepare()
        return names
    return [name for name, make in interop.PEERS.items() if peer_is_built(make())]


# --- printing ---

def number(value):
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3f}".rstrip("0").rstrip(".")


def verdict(value, aim):
    if aim is None:
        return ""
    sign, limit = aim
    # Rounded as printed: a third digit is noise.
    met = round(value, 2) >= limit if sign == ">=" else round(value, 2) <= limit
    return f"{sign} {limit}: {'yes' if met else 'NO'}"


def print_ours(figures, rounds):
    print(f"\n{'this library, medians of ' + str(rounds) + ' rounds':52} {'median':>9} "
          f"{'least':>9} {'most':>9} {'':11}  aim")
    for name, sentence, unit, aim in ROWS:
        values = figures.values.get(name)
        if not values:
            continue
        middle = statistics.median(values)
        print(f"{sentence:52} {number(middle):>9} {number(min(values)):>9} "
              f"{number(max(values)):>9} {unit:11}  {verdict(middle, aim)}".rstrip())


def print_peers(figures, peers):
    names = list(peers.figures)
    if not names:
        return
    print(f"\n{'each implementation with itself, medians':40} {'':6} {'this':>9} "
          + " ".join(f"{name:>9}" for name in names))
    for own, theirs, sentence, unit in PEER_ROWS:
        row = [figures.median(own)] + [peers.figures[name].median(theirs) for name in names]
        if any(value is not None for value in row[1:]):
            print(f"{sentence:40} {unit:6} " + " ".join(f"{number(value):>9}" for value in row))
    for way in ("upload", "download"):
        theirs = [peers.figures[name].median(f"quic.{way}") for name in ("go", "rust") if name in names]
        ours = figures.median(f"channels.quic.{way}.rate")
        if ours and None not in theirs and theirs:
            ratio = ours / max(theirs)
            print(f"{f'QUIC, {way}, of the faster of go and rust':52} {number(ratio):>9} "
                  f"{'':32}{verdict(ratio, ('>=', 1))}")
    for note in peers.notes:
        print(note)


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument("--only", metavar="NAME", action="append", choices=list(PROGRAMS),
                        help=f"only this one ({', '.join(PROGRAMS)}); may be repeated")
    parser.add_argument("--peers", metavar="js,go,rust",
                        help="build these and compare with them; none: with nobody; default: "
                        "those that are built")
    parser.add_argument("--rounds", type=int, help="default 5")
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="the build folder")
    args = parser.parse_args()
    rounds = args.rounds or (1 if args.quick else 5)
    names = args.only or list(PROGRAMS)
    peers = Peers([] if args.only else chosen_peers(args.peers), args.quick)
    figures = Figures()

    print(f"{cpu_name()}, {os.cpu_count()} processors, {platform.system()} {platform.release()}; "
          f"load {os.getloadavg()[0]:.1f} at the start")
    for n in range(rounds):
        print(f"round {n + 1} of {rounds}", file=sys.stderr)
        for name in names:
            if n == 0 or name not in ONCE:
                program = args.build / f"bench-{name}"
                run_program(program, PROGRAMS[name][args.quick], figures)
        peers.each(peer_round)
        peers.each(peer_channels)
    peers.each(peer_trips)
    peers.each(lambda peer, sizes, own: peer_idle(peer, sizes[3], own))
    print_ours(figures, rounds)
    if not peers.figures and not args.only and args.peers is None:
        print("\nNo other implementation is built: ./dev bench --peers js,go,rust does it.")
    print_peers(figures, peers)


if __name__ == "__main__":
    try:
        main()
    finally:
        children.end_all()

#!/usr/bin/env python3
"""Runs our command against js-, go- and rust-libp2p and itself, both ways. See README.md."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import cases
import combos
from cases import InWorld, OutWorld, Skip
from children import Deadline, Fail, end_all, run
from peers import HERE, PEERS, Listener

ROOT = HERE.parent.parent
MAIN = "main"  # TCP, Noise and Yamux, with all cases


class Ours:
    """Our command, in every call with the options and on the address of a combination."""

    def __init__(self, path, options=("--muxer", "yamux"), listen="/ip4/127.0.0.1/tcp/0"):
        self.path, self.options, self.listen = path, options, listen

    def node(self, *options):
        return Listener([self.path, "node", "--json", "--listen", self.listen, *self.options, *options])

    def run(self, deadline, command, *args, stdin=subprocess.DEVNULL):
        return run([self.path, command, *map(str, args), *self.options], deadline, stdin)

    def new_key(self, deadline, folder, key_type):
        """A new key file and its peer id."""
        file = f"{folder}/identity.key"
        run([self.path, "key", "gen", "-t", key_type, "--out", file], deadline).expect(0)
        shown = run([self.path, "key", "show", file, "--json"], deadline).expect(0).event("key")
        if shown["type"] != key_type:
            raise Fail(f"the key is {shown['type']}, expected {key_type}")
        return file, shown["peer"]


class Tally:
    def __init__(self, args):
        self.args = args
        self.passed = self.failed = self.skipped = 0

    def wanted(self, case):
        tests = self.args.test
        return not tests or any(case.name == t or case.name.startswith(t + "-") for t in tests)

    def line(self, verdict, who, direction, name, seconds, detail=""):
        print(f"{verdict:4} {who:11} {direction:3} {name:24} {seconds:7.2f}"
              + (f"  {detail}" if detail else ""), flush=True)

    def one(self, world, who, direction, case):
        start = time.monotonic()
        try:
            case.run(world, Deadline(case.seconds * self.args.patience))
            world.check()
        except Skip as skip:
            self.skipped += 1
            self.line("skip", who, direction, case.name, 0, str(skip))
            return
        except Exception as error:  # whatever went wrong, the other cases still run
            self.failed += 1
            detail = str(error) if isinstance(error, Fail) else f"{type(error).__name__}: {error}"
            self.line("FAIL", who, direction, case.name, time.monotonic() - start, detail)
            self.after_failure(world)
            return
        self.passed += 1
        self.line("ok", who, direction, case.name, time.monotonic() - start)

    def after_failure(self, world):
        """A failed case must not spoil the next: it gets a new listener."""
        tail = world.listener.child.stderr_tail()
        if tail and self.args.verbose:
            print("     listener: " + tail.replace("\n", "\n     "), flush=True)
        world.listener.stop()
        world.listener = world.start()

    def all(self, make_world, who, direction, wanted):
        wanted = [case for case in wanted if self.wanted(case)]
        if not wanted:
            return
        try:
            world = make_world()
        except Fail as fail:
            self.failed += 1
            self.line("FAIL", who, direction, "start", 0, str(fail))
            return
        try:
            for case in wanted:
                self.one(world, who, direction, case)
        finally:
            world.close()

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed or not self.passed else 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", action="append", choices=[*PEERS, "self"],
                        help="only this one; may be repeated (default: js, go, self, and rust and chromium if built)")
    parser.add_argument("--test", action="append", metavar="NAME",
                        help="only the case NAME, or all that begin with NAME-; may be repeated")
    parser.add_argument("--combo", action="append", choices=[MAIN, *(c.name for c in combos.COMBOS)],
                        help="only this combination; may be repeated")
    parser.add_argument("--p2p", default=str(ROOT / "build" / "p2p"), help="our command")
    parser.add_argument("--client", default=str(ROOT / "build" / "interop-client"),
                        help="the helper for many streams on one connection")
    parser.add_argument("--selfcheck", action="store_true",
                        help="the peers against each other, without our command")
    parser.add_argument("--prepare", action="store_true", help="install and build the peers, and stop")
    parser.add_argument("--patience", type=float, default=1, metavar="FACTOR",
                        help="longer deadlines, for sanitizers and slow machines")
    parser.add_argument("-v", "--verbose", action="store_true")
    return parser.parse_args()


def chosen(args):
    """The peers, built. One that was not asked for by name may be missing."""
    names = args.peer or ["js", "go", "self", *(name for name in ("rust", "chromium") if PEERS[name]().built())]
    peers = []
    for name in names:
        if name == "self":
            continue
        peer = PEERS[name]()
        if args.verbose:
            print(f"preparing {name}", file=sys.stderr)
        try:
            peer.prepare()
        except Fail as fail:
            if args.peer:
                raise
            print(f"without {name}: {fail}", file=sys.stderr)
            continue
        peers.append(peer)
    return peers, "self" in names


def selfcheck(tally, peers):
    peers = [peer for peer in peers if not peer.only_dials]
    for listener in peers:
        for dialer in peers:
            tally.all(lambda: InWorld(dialer, listener.listen, knows=listener.key_types),
                      f"{dialer.name}>{listener.name}", "in", cases.IN_PEERS)


def main_matrix(tally, peers, with_self, args):
    ours = Ours(args.p2p)
    for peer in peers:
        if peer.only_dials:
            continue
        tally.all(lambda: InWorld(peer, ours.node, ours), peer.name, "in", cases.IN_OURS)
        tally.all(lambda: OutWorld(ours, peer, args.client), peer.name, "out", cases.out_for(peer))
    if with_self:
        tally.all(lambda: OutWorld(ours, None, args.client), "self", "out",
                  cases.out_for(None))


def main():
    args = parse()
    if not (args.selfcheck or args.prepare) and not Path(args.p2p).exists():
        print(f"{args.p2p} does not exist: build it first", file=sys.stderr)
        return 2
    try:
        peers, with_self = chosen(args)
    except Fail as fail:
        print(fail, file=sys.stderr)
        return 2
    if args.prepare:
        return 0
    tally = Tally(args)
    try:
        main_too = not args.combo or MAIN in args.combo
        if args.selfcheck:
            if main_too:
                selfcheck(tally, peers)
            combos.selfcheck(tally, peers, args.combo)
        else:
            if main_too:
                main_matrix(tally, peers, with_self, args)
            combos.matrix(tally, peers, with_self, lambda *how: Ours(args.p2p, *how), args.client, args.combo)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        end_all()
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())

"""Other combinations than TCP, Noise and Yamux, each with a few cases.

What is above the channel and the muxer is the same for all of them and has its tests in cases.py."""

import secrets
from pathlib import Path

import cases
from cases import Case, InWorld, OutWorld, dial_case, require
from children import Fail, run
from peers import FOLDER, WEB, make_web

TCP, WS = "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws"
WSS = "/ip4/127.0.0.1/tcp/0/tls/ws"
QUIC = "/ip4/127.0.0.1/udp/0/quic-v1"


def new_network(name):
    """The file of a fresh key."""
    file = Path(FOLDER.name) / name
    file.write_text(f"/key/swarm/psk/1.0.0/\n/base16/\n{secrets.token_hex(32)}\n")
    return str(file)


HAVE_WEB = make_web()
PSK, OTHER_PSK = new_network("swarm.key"), new_network("other-swarm.key")


class Combo:
    def __init__(self, name, peers, theirs, ours=(), listen=TCP, security="/noise", muxer="/yamux/1.0.0",
                 more_in=(), more_out=(), all_in=None):
        """`peers` have it and reach it by the options `theirs`, our command by `ours`."""
        self.name, self.peers, self.theirs, self.listen = name, peers, theirs, listen
        self.ours = [*ours, *(() if "--muxer" in ours else ("--muxer", "yamux"))]
        self.all_in = IN if all_in is None else all_in
        self.more_in, self.more_out = list(more_in), list(more_out)
        self.agreed = {"security": security, "muxer": muxer}

    def in_peers(self):
        return self.all_in + self.more_in

    def in_ours(self):
        agreed = Case("events", lambda world, deadline: cases.in_events(world, deadline, **self.agreed))
        return [*self.all_in, agreed, *self.more_in]

    def out_for(self, peer):
        return [case for case in OUT + self.more_out if peer or case.only is None]


def refused(attempt):
    """The attempt fails, and by itself."""
    try:
        attempt()
    except Fail as fail:
        require("deadline passed" not in str(fail), f"not refused in time: {fail}")
    else:
        raise Fail("connected although it must not")


def in_with(*options):
    def case(world, deadline):
        refused(lambda: world.dial(deadline, "ping", options=options))
        world.dial(deadline, "ping")
    return case


def out_with(*options):
    """Against a listener that has other options; ours are as before."""
    def case(world, deadline):
        listener = world.peer.listen(*options)
        try:
            done = world.p2p(deadline, "ping", "-c", 1, "--timeout", 3, "--json", addr=listener.addr)
            require(done.code != 0 and not any(e["event"] == "ping" for e in done.events()),
                    f"exit {done.code}: connected although it must not")
            cases.expect_error(done, done.code)
        finally:
            listener.stop()
    return case


def untrusted(world, deadline):
    """Without the option that trusts the peer's certificate."""
    done = run([world.ours.path, "ping", world.listener.addr, "-c", "1", "--json"], deadline)
    require(done.code == 35 and "not signed by an authority that is trusted here" in done.err,
            f"exit {done.code}: {done.err}")


IN = [
    dial_case("ping", "ping"),
    dial_case("identify", "identify"),
    dial_case("echo-0B", "echo", 0),
    dial_case("echo-1MiB", "echo", 1 << 20),
    dial_case("streams-parallel", "streams-parallel", 100, seconds=60),
    dial_case("half-close", "half-close"),
    dial_case("reset", "reset"),
    dial_case("wrong-peer", "wrong-peer"),
]

IN_BROWSER = [
    dial_case("ping", "ping"),
    dial_case("identify", "identify"),
    dial_case("echo-0B", "echo", 0),
    dial_case("echo-16MiB", "echo", 16 << 20, seconds=60),
    dial_case("streams-parallel", "streams-parallel", 100, seconds=60),
    dial_case("wrong-peer", "wrong-peer"),
]

OUT = [
    Case("ping", cases.out_ping),
    Case("identify", cases.out_identify),
    Case("echo-0B", cases.out_echo(0)),
    Case("echo-1MiB", cases.out_echo(1 << 20)),
    cases.client_case("streams-parallel", "parallel", "100"),
    Case("half-close", cases.out_half_close),
    Case("reset-remote", cases.out_reset_remote, only="peers"),
    Case("wrong-peer", cases.out_wrong_peer),
]

KEYS = ["secp256k1", "ecdsa", "rsa"]

COMBOS = [
    Combo("tls", ["go", "rust", "js"], ["--security", "tls"], ["--security", "tls"], security="/tls/1.0.0",
          more_in=[cases.in_their_key(t) for t in KEYS],
          more_out=[cases.out_their_key(t) for t in KEYS] + [cases.out_our_key(t) for t in KEYS]),
    Combo("quic", ["go", "rust", "js"], ["--transport", "quic"], listen=QUIC, security="/tls/1.0.0", muxer=None,
          more_in=[cases.in_their_key(t) for t in KEYS],
          more_out=[cases.out_their_key(t) for t in KEYS] + [cases.out_our_key(t) for t in KEYS]),
    Combo("ws", ["go", "js", "rust"], ["--transport", "ws"], listen=WS),
    Combo("ws-psk", ["go", "js", "rust"], ["--transport", "ws", "--psk", PSK], ["--psk", PSK], listen=WS),
    Combo("wss", ["go", "js", "rust"] if HAVE_WEB else [], ["--transport", "wss", "--web", WEB],
          ["-o", f"wss_cert={WEB}", "-o", f"wss_ca={WEB}"], listen=WSS,
          more_out=[Case("untrusted", untrusted, only="peers")]),
    Combo("browser", ["chromium"], ["--transport", "ws"], listen=WS, all_in=IN_BROWSER),
    Combo("browser-wss", ["chromium"] if HAVE_WEB else [], ["--transport", "wss"], ["-o", f"wss_cert={WEB}"],
          listen=WSS, all_in=IN_BROWSER),
    Combo("mplex", ["js"], ["--muxer", "mplex"], ["--muxer", "mplex"], muxer="/mplex/6.7.0"),
    Combo("psk", ["js", "go", "rust"], ["--psk", PSK], ["--psk", PSK],
          more_in=[Case("other-network", in_with("--psk", OTHER_PSK)), Case("no-network", in_with("--psk", ""))],
          more_out=[Case("other-network", out_with("--psk", OTHER_PSK), only="peers"),
                    Case("no-network", out_with("--psk", ""), only="peers")]),
]


def of(peer, wanted):
    """The combinations that the peer of that name has; our node has them all."""
    return [c for c in COMBOS if (peer is None or peer in c.peers) and (not wanted or c.name in wanted)]


def selfcheck(tally, peers, wanted):
    for combo in of(None, wanted):
        having = [peer.under(combo.theirs) for peer in peers if peer.name in combo.peers]
        for listener in (peer for peer in having if not peer.only_dials):
            for dialer in having:
                tally.all(lambda: InWorld(dialer, listener.listen, knows=listener.key_types, pings=listener.pings),
                          f"{dialer.name}>{listener.name}/{combo.name}", "in", combo.in_peers())


def matrix(tally, peers, with_self, ours, client, wanted):
    """`ours` makes our command of its options and the address it listens on."""
    for peer in peers:
        for combo in of(peer.name, wanted):
            we, they = ours(combo.ours, combo.listen), peer.under(combo.theirs)
            who = f"{peer.name}/{combo.name}"
            tally.all(lambda: InWorld(they, we.node, we), who, "in", combo.in_ours())
            if not they.only_dials:
                tally.all(lambda: OutWorld(we, they, client), who, "out", combo.out_for(they))
    for combo in of(None, wanted) if with_self else []:
        if combo.name.startswith("browser"):
            continue  # for our own command they are ws and wss
        we = ours(combo.ours, combo.listen)
        tally.all(lambda: OutWorld(we, None, client), f"self/{combo.name}", "out", combo.out_for(None))

#!/usr/bin/env python3
"""Strangers that come and go at a node, 200 a second from 200 addresses: connect, Noise, yamux, and an
end in one of several ways (X06). What the node holds is printed every ten seconds, and must not grow.

  churn.py BUILD [SECONDS=600]"""

import os
import pathlib
import socket
import sys
import time

import cli
import raw

RATE = 200
GOODBYE = raw.frame(raw.GOAWAY, 0, 0, 0)


def held(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    ticks = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split()[13:15]
    kib = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    return kib, len(os.listdir(f"/proc/{pid}/fd")), sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def stranger(port, identities, i):
    peer = raw.Raw(port, f"127.0.{1 + i % 200}.{1 + i % 250}", 5)
    assert peer.upgrade(identities[i % len(identities)])
    way = i % 8
    if way == 0:
        peer.write(raw.data(1, raw.HEADER + raw.line("/ipfs/ping/1.0.0") + bytes(32), raw.SYN))
        for _ in range(3):
            peer.frame()
    if way <= 2:
        peer.write(GOODBYE)
    elif way == 4:
        peer.sock.shutdown(socket.SHUT_WR)
        peer.ended(2)
    peer.close(reset=way == 3)


def main():
    seconds = int(sys.argv.pop(2)) if len(sys.argv) > 2 else 600
    cli.begin()
    node = cli.Node()
    identities = [raw.Identity() for _ in range(16)]
    begun, done, failed, told, early = time.monotonic(), 0, 0, 0, None
    while (now := time.monotonic() - begun) < seconds:
        if now >= told:
            told += 10
            kib, fds, cpu = held(node.process.pid)
            early = early if early or now < min(60, seconds / 3) else (kib, fds)
            print(f"{now:5.0f} s: {done} done, {failed} failed, {kib} KiB, {fds} descriptors, "
                  f"{cpu:.1f} s of processor", flush=True)
        if done + failed >= now * RATE:
            time.sleep(0.002)
            continue
        try:
            stranger(node.port, identities, done + failed)
            done += 1
        except (OSError, EOFError):
            failed += 1
    time.sleep(10)
    kib, fds, cpu = held(node.process.pid)
    print(f"at rest: {done} done, {failed} failed, {kib} KiB, {fds} descriptors, {cpu:.1f} s of processor")
    code, _ = node.stop()
    early = early or (kib, fds)
    sys.exit(code or failed > done // 100 or kib > early[0] + 2048 or fds > early[1] + 1)


if __name__ == "__main__":
    main()

"""Machines of a test's own (network namespaces) and the path between two of them, which can lose,
delay and reorder packets, swallow UDP, or be silent.

The path is this process, between two TUN devices: the kernels that tests run on seldom have netem,
and what happens here follows from a seed."""

import atexit
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import threading
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
UDP = 17
INSIDE = "P2P_TEST_INSIDE"  # set in the environment once we are in a namespace of our own

libc = ctypes.CDLL(None, use_errno=True)


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def enter():
    """Starts the whole test again in a network namespace where it may do what it likes, or skips it."""
    if INSIDE in os.environ:
        del os.environ[INSIDE]
        return
    for tool in ("unshare", "ip"):
        if not shutil.which(tool):
            skip(f"there is no {tool} command")
    command = ["unshare", "--net"] + (["--map-root-user"] if os.geteuid() else [])
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    if tried.returncode:
        skip("no network namespaces: " + tried.stderr.decode().strip())
    os.environ[INSIDE] = "1"
    os.execvp(command[0], [*command, sys.executable, "-B", *sys.argv])


class Machine:
    """A network namespace, for as long as this process lives."""

    def __init__(self):
        holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo && exec cat"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        atexit.register(holder.kill)
        assert holder.stdout.readline() == b"\n"
        self.holder = holder
        self.fd = os.open(f"/proc/{holder.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.ip("link", "set", "lo", "up")

    def become(self):
        """For preexec_fn: what is started runs on this machine."""
        if libc.setns(self.fd, CLONE_NEWNET) != 0:
            os._exit(99)

    def ip(self, *args):
        subprocess.run(["ip", *args], check=True, preexec_fn=self.become)

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdin.close()
        self.holder.stdout.close()
        os.close(self.fd)


def open_tun(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def need_tun():
    """Skips the whole test where there are none."""
    try:
        os.close(open_tun("probe"))
    except OSError as error:
        skip(f"no TUN devices: {error}")


def tun(name, machine):
    fd = open_tun(name)
    subprocess.run(["ip", "link", "set", name, "netns", str(machine.holder.pid)], check=True)
    machine.ip("link", "set", name, "up")
    return fd


class Path:
    """Between a device of one machine and one of another. What may be set at any time:

    delay      seconds, one way
    loss       share of packets, each way
    reorder    share of packets that overtake the others: they are not delayed
    udp, up    whether UDP, whether anything passes"""

    QUEUE = 1000  # packets on their way, each way; more are lost
    BATCH = 64

    def __init__(self, a, b, names=("path0", "path1"), seed=1):
        self.delay = self.loss = self.reorder = 0.0
        self.udp = self.up = True
        self.random = random.Random(seed)
        self.ends = (tun(names[0], a), tun(names[1], b))
        self.other = dict(zip(self.ends, reversed(self.ends)))
        self.waiting = []  # (when, number, to, packet)
        self.queued = dict.fromkeys(self.ends, 0)
        self.numbers = itertools.count()
        self.passed = self.lost = self.overtook = 0
        self.stop_end, self.stop_begin = os.pipe()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self):
        os.close(self.stop_begin)
        self.thread.join()
        os.close(self.stop_end)
        for fd in self.ends:
            os.close(fd)

    def _accept(self, packet, to, now):
        version = packet[0] >> 4
        protocol = packet[9] if version == 4 else packet[6]
        lost = (not self.up or (protocol == UDP and not self.udp) or self.queued[to] >= self.QUEUE
                or self.random.random() < self.loss)
        if lost:
            self.lost += 1
            return
        delay = self.delay
        if delay and self.random.random() < self.reorder:
            self.overtook += 1
            delay = 0
        self.queued[to] += 1
        heapq.heappush(self.waiting, (now + delay, next(self.numbers), to, packet))

    def _deliver(self, now):
        while self.waiting and self.waiting[0][0] <= now:
            _, _, to, packet = heapq.heappop(self.waiting)
            self.queued[to] -= 1
            self.passed += 1
            try:
                os.write(to, packet)
            except OSError:
                self.lost += 1  # that device is down

    def _run(self):
        poll = select.poll()
        for fd in (*self.ends, self.stop_end):
            poll.register(fd, select.POLLIN)
        while True:
            wait = (self.waiting[0][0] - time.monotonic()) * 1000 if self.waiting else None
            for fd, _ in poll.poll(max(0, wait) if wait is not None else None):
                if fd == self.stop_end:
                    return
                for _ in range(self.BATCH):
                    try:
                        packet = os.read(fd, 65536)
                    except OSError:
                        break
                    self._accept(packet, self.other[fd], time.monotonic())
            self._deliver(time.monotonic())

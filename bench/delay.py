"""A TCP proxy on loopback that delays every byte, to count round trips from outside: what a program
takes longer through it, divided by the delay, is how often it waited for the other side."""

import collections
import socket
import threading
import time

CHUNK = 65536


class DelayProxy:
    """Forwards to 127.0.0.1:port; each byte arrives one_way_s later. The TCP handshake itself is
    not delayed: it is one round trip that the proxy's user must add."""

    def __init__(self, port, one_way_s):
        self.to = ("127.0.0.1", port)
        self.one_way_s = one_way_s
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.to)
            for a, b in ((near, far), (far, near)):
                a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.forward(a, b)

    def forward(self, source, sink):
        waiting = collections.deque()
        ready = threading.Semaphore(0)

        def read():
            while True:
                try:
                    data = source.recv(CHUNK)
                except OSError:
                    data = b""
                waiting.append((time.monotonic() + self.one_way_s, data))
                ready.release()
                if not data:
                    return

        def write():
            while True:
                ready.acquire()
                at, data = waiting.popleft()
                time.sleep(max(0, at - time.monotonic()))
                try:
                    if not data:
                        sink.shutdown(socket.SHUT_WR)
                        return
                    sink.sendall(data)
                except OSError:
                    return

        threading.Thread(target=read, daemon=True).start()
        threading.Thread(target=write, daemon=True).start()

    def close(self):
        self.listener.close()

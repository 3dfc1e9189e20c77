"""libp2p for Python, on the blocking API of libp2p.so (<p2p/sync.h>) by ctypes: nothing to build.

    with libp2p.Host(listen="/ip4/127.0.0.1/tcp/0") as host, host.listen("/chat/1") as listener:
        print(host.addrs[0])
        with listener.accept() as stream:
            stream.write(stream.read())

Timeouts are in seconds; None waits without end (dialing: the host's dial_timeout). libp2p.so is
looked for at $LIBP2P_SO, in the build folder of the checkout, and where the system keeps libraries.
"""

import asyncio
import ctypes
import json
import os
import pathlib
import socket

NO_ENTRY, TIMED_OUT, RESET, EOF = -27, -13, -21, -34  # of <p2p/error.h>

# Result, then arguments: handle, text, int, size, 64-bit length.
_FUNCTIONS = """open:ht close:ih dial:hhtti listen:hhti accept:hhi addr:ihztz peer_of:ihtz
    protocol_of:ihtz read:lhtzi write:lhtzi read_msg:lhtzi write_msg:lhtzi shutdown:ih reset:ihi
    stream_fd:ih event_fd:ih next_event:lhtzi errno:i errmsg:t"""
_TYPES = {"h": ctypes.c_uint64, "t": ctypes.c_char_p, "i": ctypes.c_int, "z": ctypes.c_size_t,
          "l": ctypes.c_int64}


def _load():
    built = pathlib.Path(__file__).resolve().parents[2] / "build" / "libp2p.so"
    found = str(built) if built.exists() else "libp2p.so.0"
    library = ctypes.CDLL(os.environ.get("LIBP2P_SO") or found)
    for name, types in (function.split(":") for function in _FUNCTIONS.split()):
        function = getattr(library, "p2p_" + name)
        function.restype, *function.argtypes = (_TYPES[letter] for letter in types)
    return library


_p2p = _load()


class Error(OSError):
    """code: a negative number of <p2p/error.h>."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Timeout(Error, TimeoutError):
    pass


class Reset(Error, ConnectionResetError):
    pass


def _check(result, least=0):
    if result >= least:
        return result
    code = _p2p.p2p_errno()
    raise {TIMED_OUT: Timeout, RESET: Reset}.get(code, Error)(code, _p2p.p2p_errmsg().decode())


def _ms(timeout):
    return -1 if timeout is None else -2 if timeout <= 0 else max(1, round(timeout * 1000))


class _Handle:
    """Closed by close(), by leaving its with block, or with the host; twice is once."""

    def __init__(self, handle):
        self._h = _check(handle, 1)

    def close(self):
        _p2p.p2p_close(self._h)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _text(self, function, *arguments):
        text = ctypes.create_string_buffer(4096)
        _check(function(self._h, *arguments, text, len(text)))
        return text.value.decode()

    @property
    def peer(self):
        return self._text(_p2p.p2p_peer_of)


class Host(_Handle):
    """Options are the library's: Host(listen=[...], identity="my.key", services="ping")."""

    def __init__(self, **options):
        lines = (f"{name}={value}\n" for name, values in options.items()
                 for value in (values if isinstance(values, (list, tuple)) else [values]))
        super().__init__(_p2p.p2p_open("".join(lines).encode()))

    @property
    def addrs(self):
        found = []
        while True:
            try:
                found.append(self._text(_p2p.p2p_addr, len(found)))
            except Error as error:
                if error.code == NO_ENTRY:
                    return found
                raise

    def dial(self, target, protocol, timeout=0):
        return Stream(_p2p.p2p_dial(self._h, target.encode(), protocol.encode(),
                                    _ms(timeout) if timeout else 0))

    def listen(self, protocol, backlog=0):
        return Listener(_p2p.p2p_listen(self._h, protocol.encode(), backlog))

    def next_event(self, timeout=None):
        text = ctypes.create_string_buffer(16384)
        _check(_p2p.p2p_next_event(self._h, text, len(text), _ms(timeout)))
        return json.loads(text.value)

    def event_fileno(self):
        """Readable while next_event(0) has something."""
        return _check(_p2p.p2p_event_fd(self._h))


class Listener(_Handle):
    def accept(self, timeout=None):
        return Stream(_p2p.p2p_accept(self._h, _ms(timeout)))


class Stream(_Handle):
    @property
    def protocol(self):
        return self._text(_p2p.p2p_protocol_of)

    def read(self, size=65536, timeout=None):
        """At least one byte and at most size; b"" at the end."""
        buffer = ctypes.create_string_buffer(size)
        return buffer[:_check(_p2p.p2p_read(self._h, buffer, size, _ms(timeout)))]

    def write(self, data, timeout=None):
        """All of it, or an Error."""
        _check(_p2p.p2p_write(self._h, bytes(data), len(data), _ms(timeout)), len(data))

    def read_msg(self, maximum=65536, timeout=None):
        """One length-prefixed message, or None at the end."""
        buffer = ctypes.create_string_buffer(maximum)
        length = _p2p.p2p_read_msg(self._h, buffer, maximum, _ms(timeout))
        return None if length == EOF else buffer[:_check(length)]

    def write_msg(self, data, timeout=None):
        _check(_p2p.p2p_write_msg(self._h, bytes(data), len(data), _ms(timeout)))

    def shutdown(self):
        """Ends our side; reading goes on."""
        _check(_p2p.p2p_shutdown(self._h))

    def reset(self, code=0):
        _check(_p2p.p2p_reset(self._h, code))

    def socket(self):
        """The stream as a socket, which is the caller's; this object is closed."""
        with self:
            return socket.socket(fileno=_check(_p2p.p2p_stream_fd(self._h)))

    async def asyncio(self):
        """The stream as asyncio's (reader, writer); this object is closed."""
        return await asyncio.open_connection(sock=self.socket())

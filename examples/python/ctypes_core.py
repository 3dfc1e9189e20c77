"""The whole of it without a binding: ctypes_core.py LIBP2P_SO echoes a line through two hosts."""
import ctypes
import sys

p2p = ctypes.CDLL(sys.argv[1])
handle, text, size = ctypes.c_uint64, ctypes.c_char_p, ctypes.c_size_t
for name, result, *arguments in (
        ("open", handle, text), ("close", ctypes.c_int, handle),
        ("dial", handle, handle, text, text, ctypes.c_int),
        ("listen", handle, handle, text, ctypes.c_int), ("accept", handle, handle, ctypes.c_int),
        ("addr", ctypes.c_int, handle, size, text, size),
        ("read", ctypes.c_int64, handle, text, size, ctypes.c_int),
        ("write", ctypes.c_int64, handle, text, size, ctypes.c_int), ("errmsg", text)):
    function = getattr(p2p, "p2p_" + name)
    function.restype, function.argtypes = result, arguments

server, client = p2p.p2p_open(b"listen=/ip4/127.0.0.1/tcp/0"), p2p.p2p_open(None)
listener, addr = p2p.p2p_listen(server, b"/echo", 0), ctypes.create_string_buffer(256)
p2p.p2p_addr(server, 0, addr, 256)
near = p2p.p2p_dial(client, addr.value, b"/echo", 0) or sys.exit(p2p.p2p_errmsg().decode())
far, buffer = p2p.p2p_accept(listener, -1), ctypes.create_string_buffer(64)
p2p.p2p_write(near, b"hello", 5, -1)
p2p.p2p_write(far, buffer.raw, p2p.p2p_read(far, buffer, 64, -1), -1)
print(buffer.raw[:p2p.p2p_read(near, buffer, 64, -1)].decode())
p2p.p2p_close(client), p2p.p2p_close(server)

"""A peer by hand, for tests of the node: multistream-select, Noise, yamux and WebSocket in as few
lines as will do, so that every byte can be another. Needs the package cryptography."""

import hashlib
import hmac
import socket
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HEADER = b"\x13/multistream/1.0.0\n"
DATA, WINDOW, PING, GOAWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8


def line(text):
    text = text.encode() + b"\n"
    return bytes([len(text)]) + text if len(text) < 128 else \
        bytes([len(text) & 127 | 128, len(text) >> 7]) + text


def field(number, data):
    size = len(data)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + length + data


def frame(kind, flags, stream, length, body=b"", version=0):
    return struct.pack(">BBHII", version, kind, flags, stream, length) + body


def data(stream, body, flags=0):
    return frame(DATA, flags, stream, len(body), body)


class Identity:
    """A static Noise key signed by an Ed25519 identity: made once, used by many connections."""

    def __init__(self):
        self.key = Ed25519PrivateKey.generate()
        self.static = X25519PrivateKey.generate()
        self.static_public = raw(self.static)
        signed = self.key.sign(b"noise-libp2p-static-key:" + self.static_public)
        self.payload = field(1, b"\x08\x01" + field(2, raw(self.key))) + field(2, signed)


def raw(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


class Noise:
    """The dialer of /noise."""

    def __init__(self, identity, payload=None):
        self.identity, self.payload = identity, identity.payload if payload is None else payload
        self.chain = self.hash = b"Noise_XX_25519_ChaChaPoly_SHA256"
        self.key, self.n = None, 0
        self.mix_hash(b"")
        self.ephemeral = X25519PrivateKey.generate()

    def mix_hash(self, what):
        self.hash = hashlib.sha256(self.hash + what).digest()

    def derive(self, secret):
        temp = hmac.digest(self.chain, secret, "sha256")
        first = hmac.digest(temp, b"\x01", "sha256")
        return first, hmac.digest(temp, first + b"\x02", "sha256")

    def mix_key(self, mine, theirs):
        self.chain, key = self.derive(mine.exchange(X25519PublicKey.from_public_bytes(theirs)))
        self.key, self.n = ChaCha20Poly1305(key), 0

    def seal(self, plain):
        sealed = self.key.encrypt(nonce(self.n), plain, self.hash)
        self.n += 1
        self.mix_hash(sealed)
        return sealed

    def open(self, sealed):
        plain = self.key.decrypt(nonce(self.n), sealed, self.hash)
        self.n += 1
        self.mix_hash(sealed)
        return plain

    def first(self):
        public = raw(self.ephemeral)
        self.mix_hash(public)
        self.mix_hash(b"")
        return record(public)

    def second(self, message):
        theirs = message[:32]
        self.mix_hash(theirs)
        self.mix_key(self.ephemeral, theirs)
        static = self.open(message[32:80])
        self.mix_key(self.ephemeral, static)
        self.open(message[80:])
        sealed = self.seal(self.identity.static_public)
        self.mix_key(self.identity.static, theirs)
        sealed += self.seal(self.payload)
        out, back = self.derive(b"")
        self.out, self.out_n = ChaCha20Poly1305(out), 0
        self.back, self.back_n = ChaCha20Poly1305(back), 0
        return record(sealed)

    def wrap(self, plain):
        sealed = self.out.encrypt(nonce(self.out_n), plain, None)
        self.out_n += 1
        return record(sealed)

    def unwrap(self, sealed):
        plain = self.back.decrypt(nonce(self.back_n), sealed, None)
        self.back_n += 1
        return plain


def nonce(n):
    return bytes(4) + n.to_bytes(8, "little")


def record(message):
    return len(message).to_bytes(2, "big") + message


class Raw:
    """A TCP connection to a node, from any address of the loopback network."""

    def __init__(self, port, at="127.0.0.1", timeout=30.0):
        self.sock = socket.socket()
        self.sock.settimeout(timeout)
        self.sock.bind((at, 0))
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held, self.plain, self.noise = b"", b"", None

    def send(self, what):
        self.sock.sendall(what)

    def exactly(self, count):
        while len(self.held) < count:
            chunk = self.sock.recv(65536)
            if not chunk:
                raise EOFError
            self.held += chunk
        took, self.held = self.held[:count], self.held[count:]
        return took

    def ended(self, seconds):
        """Whether the node ends the connection, or breaks it, within that time; what came is kept."""
        self.sock.settimeout(seconds)
        try:
            while chunk := self.sock.recv(65536):
                self.held += chunk
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def close(self, reset=False):
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # ---- upwards ----

    def upgrade(self, identity, payload=None, muxer="/yamux/1.0.0"):
        """multistream-select, Noise, and a muxer by multistream-select."""
        self.noise = Noise(identity, payload)
        self.send(HEADER + line("/noise") + self.noise.first())
        assert self.exactly(28) == HEADER + line("/noise")
        self.send(self.noise.second(self.exactly(int.from_bytes(self.exactly(2), "big"))) +
                  self.noise.wrap(HEADER + line(muxer)))
        assert self.read(len(HEADER)) == HEADER
        answer = self.read(self.read(1)[0])
        return answer == muxer.encode() + b"\n"

    def write(self, plain):
        for at in range(0, len(plain), 60000):
            self.send(self.noise.wrap(plain[at:at + 60000]))

    def read(self, count):
        while len(self.plain) < count:
            self.plain += self.noise.unwrap(self.exactly(int.from_bytes(self.exactly(2), "big")))
        took, self.plain = self.plain[:count], self.plain[count:]
        return took

    def frame(self):
        """(kind, flags, stream, length, body)"""
        _, kind, flags, stream, length = struct.unpack(">BBHII", self.read(12))
        return kind, flags, stream, length, self.read(length) if kind == DATA else b""

    def goaway(self):
        """The code of the node's go-away, or None: it ended without."""
        try:
            while True:
                kind, _, _, length, _ = self.frame()
                if kind == GOAWAY:
                    return length
        except (EOFError, OSError):
            return None


# ---- WebSocket ----

UPGRADE = ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")


def ws(body, first=0x82, mask=b"\x11\x22\x33\x44", length=None):
    """A client's frame; mask None: unmasked. length: the bytes of its length, without the mask's bit."""
    if length is None:
        size = len(body)
        length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big") \
            if size < 65536 else b"\x7f" + size.to_bytes(8, "big")
    if mask is None:
        return bytes([first]) + length + body
    masked = bytes(b ^ mask[i % 4] for i, b in enumerate(body))
    return bytes([first, length[0] | 0x80]) + length[1:] + mask + masked

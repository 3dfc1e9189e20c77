/* Multiaddrs: network addresses that name every protocol on the way, as text
 * (/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW...) and as bytes. Implements multiformats/multiaddr and
 * libp2p's addressing spec. Plain values: nothing to free, copied by assignment. Compare by `len`
 * and the first `len` bytes; an address has one binary form but may have several texts. */
#ifndef P2P_MULTIADDR_H
#define P2P_MULTIADDR_H

#include <p2p/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define P2P_MULTIADDR_MAX            1024 /* bytes; no deployed address comes near */
#define P2P_MULTIADDR_COMPONENTS_MAX 32   /* bounds what one hostile address makes others walk */
#define P2P_MULTIADDR_TEXT_MAX       4096 /* characters with NUL; holds the text of any address */

/* Protocol codes (multiaddr's protocols.csv). */
enum p2p_multiaddr_code {
    P2P_MA_IP4 = 4,
    P2P_MA_TCP = 6,
    P2P_MA_DCCP = 33,
    P2P_MA_IP6 = 41,
    P2P_MA_IP6ZONE = 42,
    P2P_MA_IPCIDR = 43,
    P2P_MA_DNS = 53,
    P2P_MA_DNS4 = 54,
    P2P_MA_DNS6 = 55,
    P2P_MA_DNSADDR = 56,
    P2P_MA_SCTP = 132,
    P2P_MA_UDP = 273,
    P2P_MA_P2P_WEBRTC_STAR = 275,
    P2P_MA_P2P_WEBRTC_DIRECT = 276,
    P2P_MA_P2P_STARDUST = 277,
    P2P_MA_WEBRTC_DIRECT = 280,
    P2P_MA_WEBRTC = 281,
    P2P_MA_P2P_CIRCUIT = 290,
    P2P_MA_UDT = 301,
    P2P_MA_UTP = 302,
    P2P_MA_UNIX = 400,
    P2P_MA_P2P = 421,
    P2P_MA_HTTPS = 443,
    P2P_MA_ONION = 444,
    P2P_MA_ONION3 = 445,
    P2P_MA_GARLIC64 = 446,
    P2P_MA_GARLIC32 = 447,
    P2P_MA_TLS = 448,
    P2P_MA_SNI = 449,
    P2P_MA_NOISE = 454,
    P2P_MA_QUIC = 460,
    P2P_MA_QUIC_V1 = 461,
    P2P_MA_WEBTRANSPORT = 465,
    P2P_MA_CERTHASH = 466,
    P2P_MA_WS = 477,
    P2P_MA_WSS = 478,
    P2P_MA_P2P_WEBSOCKET_STAR = 479,
    P2P_MA_HTTP = 480,
    P2P_MA_HTTP_PATH = 481,
    P2P_MA_MEMORY = 777,
    P2P_MA_PLAINTEXTV2 = 7367777
};

/* len 0 is the empty address; every other value came from a function below and is valid. */
typedef struct p2p_multiaddr {
    size_t len;
    uint8_t bytes[P2P_MULTIADDR_MAX];
} p2p_multiaddr;

typedef struct p2p_multiaddr_component {
    uint32_t code;        /* enum p2p_multiaddr_code */
    const char *name;     /* "tcp"; static storage */
    const uint8_t *value; /* a view into the address: 2 bytes big-endian for a port, the name for
                             dns, the binary peer id for p2p, ... */
    size_t value_len;     /* 0 for a protocol without a value */
} p2p_multiaddr_component;

/* Text to address. Accepts /ipfs for /p2p, peer ids as base58btc or CIDv1, trailing slashes. A unix
 * path goes on to the end of the text, or to a last /p2p/PEER.
 * 0 or P2P_EADDR; `out` is written only on success. */
P2P_API int p2p_multiaddr_parse(const char *text, p2p_multiaddr *out);

/* The same; on failure `why` gets a sentence that names the bad part, cut to why_cap and safe to
 * print, on success it is empty. */
P2P_API int p2p_multiaddr_parse_why(const char *text, p2p_multiaddr *out, char *why,
                                    size_t why_cap);

/* Bytes to address: every component and its value is checked. 0 or P2P_EADDR; `out` is written
 * only on success. `in` may be any bytes from a remote. */
P2P_API int p2p_multiaddr_decode(const uint8_t *in, size_t in_len, p2p_multiaddr *out);

/* Address to text, valid UTF-8 without control characters; the empty address is "/". Returns the
 * characters needed without the NUL; writes as many as fit and a NUL when out_cap > 0. P2P_EADDR
 * if the value is not a valid address. */
P2P_API int64_t p2p_multiaddr_format(const p2p_multiaddr *self, char *out, size_t out_cap);

/* Appends `inner`. 0, P2P_ETOOBIG beyond a limit above, P2P_EADDR when self ends in a protocol that
 * takes the rest of the address (unix: only one /p2p may follow); self is then unchanged. */
P2P_API int p2p_multiaddr_encapsulate(p2p_multiaddr *self, const p2p_multiaddr *inner);

/* Removes the last occurrence of `suffix` and all that follows it, which may leave the empty
 * address. 0, P2P_ENOENT when it does not occur, P2P_EINVAL when suffix is empty. */
P2P_API int p2p_multiaddr_decapsulate(p2p_multiaddr *self, const p2p_multiaddr *suffix);

/* Walks the components: start with *offset = 0. 1 and a component, 0 at the end, P2P_EADDR if the
 * value is not a valid address. The component is valid as long as self is. */
P2P_API int p2p_multiaddr_next(const p2p_multiaddr *self, size_t *offset,
                               p2p_multiaddr_component *out);

#ifdef __cplusplus
}
#endif

#endif

/* Multihash: varint code, varint length, digest. Parsing only; nothing here hashes. */
#ifndef P2P_CODEC_MULTIHASH_H
#define P2P_CODEC_MULTIHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define P2P__MH_IDENTITY 0x00
#define P2P__MH_SHA1     0x11
#define P2P__MH_SHA2_256 0x12
#define P2P__MH_SHA2_512 0x13

#define P2P__MULTIHASH_DIGEST_MAX                                                                  \
    128 /* twice the largest function's; identity may hold any bytes */
#define P2P__MULTIHASH_MAX (9 + 2 + P2P__MULTIHASH_DIGEST_MAX)

/* peer-ids: a key of at most 42 serialized bytes is its own hash, any longer one its sha2-256. */
#define P2P__PEER_ID_INLINE_MAX 42
#define P2P__PEER_ID_MAX        (2 + P2P__PEER_ID_INLINE_MAX)

struct multihash {
    uint64_t code;
    const uint8_t *digest; /* a view into the input */
    size_t digest_len;     /* 1 to P2P__MULTIHASH_DIGEST_MAX */
};

/* One multihash at the head of `in`. Bytes used (> 0), 0 when more are needed, P2P_EPROTO when
 * malformed, empty, or longer than its function's digest (shorter is a legal truncation),
 * P2P_ENOTSUP when the function is not in the table. */
int p2p__multihash_decode(const uint8_t *in, size_t in_len, struct multihash *out);

/* The same where `in` must be one whole multihash and nothing else: 0 or the error. */
int p2p__multihash_parse(const uint8_t *in, size_t in_len, struct multihash *out);

/* Bytes written (> 0), P2P_EINVAL for a digest that decode would refuse, P2P_ETOOBIG when it does
 * not fit. */
int p2p__multihash_encode(uint64_t code, const uint8_t *digest, size_t digest_len, uint8_t *out,
                          size_t out_cap);

/* Exactly one peer id in binary: identity of at most 42 bytes, or a whole sha2-256. */
bool p2p__multihash_is_peer_id(const uint8_t *in, size_t in_len);

#endif

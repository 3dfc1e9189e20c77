/* SipHash-1-3: the keyed hash of every table that a peer can feed. */
#ifndef P2P_BASE_HASH_H
#define P2P_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_key {
    uint64_t k0, k1;
};

uint64_t p2p__hash(const struct hash_key *key, const void *in, size_t in_len);

#endif

/* As much of ASN.1's DER (X.690) as keys need: one element at a time, strictly, so that sizes are
 * known before a crypto library sees the bytes. */
#ifndef P2P_CRYPTO_DER_H
#define P2P_CRYPTO_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    P2P__DER_INTEGER = 0x02,
    P2P__DER_BIT_STRING = 0x03,
    P2P__DER_SEQUENCE = 0x30,
    P2P__DER_HEADER_MAX = 4, /* of what the writer writes: up to 65,535 bytes */
};

struct p2p__der {
    const uint8_t *at;
    size_t left;
};

/* Takes the next element if it has this tag and the shortest form of length. `body` is what is
 * inside; `whole`, which may be NULL, is the element with its header. */
bool p2p__der_next(struct p2p__der *self, uint8_t tag, struct p2p__der *body,
                   struct p2p__der *whole);

/* Takes an INTEGER that is positive and minimal; `out` is its magnitude without a leading zero. */
bool p2p__der_positive(struct p2p__der *self, struct p2p__der *out, struct p2p__der *whole);

/* Writes tag and length, for len up to 65,535; returns the bytes written. */
size_t p2p__der_header(uint8_t tag, size_t len, uint8_t *out);

/* Bits of a magnitude as p2p__der_positive returns it. */
size_t p2p__der_bits(const struct p2p__der *magnitude);

#endif

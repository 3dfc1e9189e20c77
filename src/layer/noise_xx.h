/* Noise_XX_25519_ChaChaPoly_SHA256 (the Noise Protocol Framework, revision 34): the three messages
 * of the handshake, without framing and whatever the payloads mean, and the two ciphers that it
 * ends in. Pure; primitives and the cipher context are lent for a call.
 *
 *   -> e             message 0
 *   <- e, ee, s, es  message 1
 *   -> s, se         message 2 */
#ifndef P2P_LAYER_NOISE_XX_H
#define P2P_LAYER_NOISE_XX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layer/layer.h"

enum {
    NOISE_XX_MESSAGES = 3,
    NOISE_XX_OVERHEAD_MAX = 96, /* of message 1: e, s with its tag, and the payload's tag */
    NOISE_MESSAGE_MAX = 65535,  /* Noise, section 3: any message */
};

/* The spec reserves 2^64-1, and 2^64-2 is left alone as a guard: a counter that stands here seals
 * and opens nothing any more. */
#define NOISE_NONCE_END (UINT64_MAX - 1)

struct noise_cipher {
    uint8_t key[P2P__AEAD_KEY_LEN];
    uint64_t nonce;
};

/* Gathers `in` into out (their sum + 16 bytes). P2P_ELIMIT when the nonces are used up. */
int p2p__noise_seal(struct noise_cipher *self, const struct layer_env *env, const uint8_t *ad,
                    size_t ad_len, const struct p2p__const_iov *in, size_t in_count, uint8_t *out);
/* In place; text_len is in_len - 16. P2P_EHANDSHAKE for a wrong tag, P2P_ELIMIT as above. After an
 * error the cipher opens nothing any more. */
int p2p__noise_open(struct noise_cipher *self, const struct layer_env *env, const uint8_t *ad,
                    size_t ad_len, uint8_t *in, size_t in_len);

struct noise_xx {
    uint8_t chain[P2P__HASH_LEN]; /* the spec's ck */
    uint8_t hash[P2P__HASH_LEN];  /* the spec's h; after message 2 the handshake hash */
    struct noise_cipher cipher;
    bool keyed;
    bool initiator;
    uint8_t messages; /* written and read so far */
    uint8_t static_secret[P2P__DH_LEN], static_public[P2P__DH_LEN];
    uint8_t eph_secret[P2P__DH_LEN], eph_public[P2P__DH_LEN];
    uint8_t remote_static[P2P__DH_LEN], remote_eph[P2P__DH_LEN];
};

void p2p__noise_xx_init(struct noise_xx *self, const struct layer_env *env, bool initiator,
                        const uint8_t *prologue, size_t prologue_len,
                        const uint8_t static_secret[P2P__DH_LEN],
                        const uint8_t eph_secret[P2P__DH_LEN]);
void p2p__noise_xx_fini(struct noise_xx *self); /* wipes */

static inline bool noise_xx_done(const struct noise_xx *self)
{
    return self->messages == NOISE_XX_MESSAGES;
}

/* Whether the next message is ours to write. */
static inline bool noise_xx_writes(const struct noise_xx *self)
{
    return (self->messages % 2 == 0) == self->initiator;
}

/* Bytes of the next message beyond its payload. */
size_t p2p__noise_xx_overhead(const struct noise_xx *self);

/* The next message, to out with room for payload_len + overhead. 0, or a negative error after which
 * the handshake is over. */
int p2p__noise_xx_write(struct noise_xx *self, const struct layer_env *env, const uint8_t *payload,
                        size_t payload_len, uint8_t *out);

/* Reads the next message in place; *payload is a view into it. 0, or P2P_EHANDSHAKE after which the
 * handshake is over. */
int p2p__noise_xx_read(struct noise_xx *self, const struct layer_env *env, uint8_t *in,
                       size_t in_len, const uint8_t **payload, size_t *payload_len);

/* The transport's ciphers, when all messages are through. */
void p2p__noise_xx_split(const struct noise_xx *self, const struct layer_env *env,
                         struct noise_cipher *send, struct noise_cipher *recv);

#endif

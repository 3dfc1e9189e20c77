/* Inside the library: keys without heap, for handshakes, and messages in pieces. */
#ifndef P2P_CODEC_KEY_H
#define P2P_CODEC_KEY_H

#include <p2p/key.h>

#include "crypto/signer.h"

/* A protobuf PublicKey, as views into its bytes. */
struct p2p__public_key {
    int type; /* enum p2p_key_type */
    const uint8_t *data;
    size_t data_len;
};

/* Strict, as peer ids demand (specs, peer-ids): both fields, in order, minimal, nothing else; and
 * Data that is a key of that type. P2P_EKEY, P2P_ENOMEM. */
int p2p__public_key_decode(const uint8_t *pb, size_t pb_len, struct p2p__public_key *out);

/* 0 if this key signed the message that these pieces make. P2P_ESIG, P2P_EKEY, P2P_ENOMEM. */
int p2p__public_key_verify(const uint8_t *pb, size_t pb_len, const struct p2p__const_iov *msg,
                           size_t msg_count, const uint8_t *sig, size_t sig_len);

/* As p2p_key_sign, for a message in pieces. */
int p2p__key_sign(const p2p_key *key, const struct p2p__const_iov *msg, size_t msg_count,
                  uint8_t sig[P2P_KEY_SIG_MAX]);

/* An Ed25519 key whose secret is the caller's: simulations derive theirs from the run's seed. */
int p2p__key_from_seed(const uint8_t seed[P2P__ED25519_SEED_LEN], p2p_key **out);

/* From the Data of a protobuf PrivateKey. */
int p2p__key_from_private(int type, const uint8_t *priv, size_t priv_len, p2p_key **out);

#endif

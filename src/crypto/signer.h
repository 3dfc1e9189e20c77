/* Signatures, one table per type of key. Keys are in the form that libp2p puts in the Data field of
 * its protobufs (specs, peer-ids), which a table's functions check themselves: they take any bytes
 * from a peer. Codes: P2P_EKEY, P2P_ESIG, P2P_ENOMEM, P2P_EINTERNAL. */
#ifndef P2P_CRYPTO_SIGNER_H
#define P2P_CRYPTO_SIGNER_H

#include "crypto/crypto.h"

enum {
    P2P__PUBLIC_DATA_MAX = 560,   /* RSA-4096 in PKIX takes 552 */
    P2P__PRIVATE_DATA_MAX = 2560, /* RSA-4096 in PKCS#1 takes 2,350 or so */
    P2P__SIG_MAX = 512,           /* RSA-4096 */
    P2P__ED25519_SEED_LEN = 32,
    P2P__ED25519_PRIVATE_LEN = 64, /* seed and public key */
    P2P__ED25519_PUBLIC_LEN = 32,
};

struct p2p__signer {
    const char *name;
    /* Writes to P2P__PRIVATE_DATA_MAX bytes. */
    int (*generate)(uint8_t *priv, size_t *priv_len);
    /* Checks all of a private key, and that its halves belong together; writes the public key to
     * P2P__PUBLIC_DATA_MAX bytes. */
    int (*public_of)(const uint8_t *priv, size_t priv_len, uint8_t *pub, size_t *pub_len);
    /* Form, sizes and being on the curve, in well under a millisecond. */
    int (*public_check)(const uint8_t *pub, size_t pub_len);
    /* Writes to P2P__SIG_MAX bytes. `priv` has passed public_of. */
    int (*sign)(const uint8_t *priv, size_t priv_len, const struct p2p__const_iov *msg,
                size_t msg_count, uint8_t *sig, size_t *sig_len);
    int (*verify)(const uint8_t *pub, size_t pub_len, const struct p2p__const_iov *msg,
                  size_t msg_count, const uint8_t *sig, size_t sig_len);
};

extern const struct p2p__signer p2p__signer_rsa;
extern const struct p2p__signer p2p__signer_ed25519;
extern const struct p2p__signer p2p__signer_secp256k1;
extern const struct p2p__signer p2p__signer_ecdsa;

/* By the protobuf's KeyType; NULL for any other number. */
const struct p2p__signer *p2p__signer_of(uint64_t type);

/* The private key, and with it the public one, that a secret of 32 bytes makes. */
void p2p__ed25519_from_seed(const uint8_t seed[P2P__ED25519_SEED_LEN],
                            uint8_t priv[P2P__ED25519_PRIVATE_LEN]);

/* A message in one piece: the piece itself if there is only one, otherwise a copy in `room` or, if
 * that is too small, in memory that p2p__joined_free frees. NULL when out of memory. */
const uint8_t *p2p__joined(const struct p2p__const_iov *msg, size_t msg_count, uint8_t *room,
                           size_t room_cap, size_t *len);
void p2p__joined_free(const uint8_t *joined, const struct p2p__const_iov *msg, size_t msg_count,
                      const uint8_t *room);

#endif

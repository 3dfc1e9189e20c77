/* Ed25519 by libsodium (RFC 8032). Its verification is the strict one: it refuses S >= L, and keys
 * or R of small order, with which one signature would fit several messages. */
#include <sodium.h>
#include <string.h>

#include <p2p/error.h>

#include "crypto/lib.h"
#include "crypto/signer.h"

enum {
    JOIN_ROOM = 1024, /* what a handshake or a peer record signs is shorter */
};

void p2p__ed25519_from_seed(const uint8_t seed[P2P__ED25519_SEED_LEN],
                            uint8_t priv[P2P__ED25519_PRIVATE_LEN])
{
    (void)p2p__crypto_lib();
    uint8_t pub[P2P__ED25519_PUBLIC_LEN];
    (void)crypto_sign_seed_keypair(pub, priv, seed);
}

static int ed25519_generate(uint8_t *priv, size_t *priv_len)
{
    (void)p2p__crypto_lib();
    uint8_t pub[P2P__ED25519_PUBLIC_LEN];
    *priv_len = P2P__ED25519_PRIVATE_LEN;
    return crypto_sign_keypair(pub, priv) == 0 ? P2P_OK : P2P_EINTERNAL;
}

static int ed25519_public_of(const uint8_t *priv, size_t priv_len, uint8_t *pub, size_t *pub_len)
{
    (void)p2p__crypto_lib();
    if (priv_len != P2P__ED25519_PRIVATE_LEN) {
        return P2P_EKEY;
    }
    uint8_t derived[P2P__ED25519_PRIVATE_LEN];
    (void)crypto_sign_seed_keypair(pub, derived, priv);
    bool match = p2p__equal_ct(derived, priv, sizeof derived);
    p2p__wipe(derived, sizeof derived);
    *pub_len = P2P__ED25519_PUBLIC_LEN;
    return match ? P2P_OK : P2P_EKEY;
}

static int ed25519_public_check(const uint8_t *pub, size_t pub_len)
{
    (void)pub;
    return pub_len == P2P__ED25519_PUBLIC_LEN ? P2P_OK : P2P_EKEY;
}

static int ed25519_sign(const uint8_t *priv, size_t priv_len, const struct p2p__const_iov *msg,
                        size_t msg_count, uint8_t *sig, size_t *sig_len)
{
    if (priv_len != P2P__ED25519_PRIVATE_LEN) {
        return P2P_EKEY;
    }
    uint8_t room[JOIN_ROOM];
    size_t len = 0;
    const uint8_t *joined = p2p__joined(msg, msg_count, room, sizeof room, &len);
    if (!joined) {
        return P2P_ENOMEM;
    }
    (void)crypto_sign_detached(sig, NULL, joined, len, priv);
    *sig_len = crypto_sign_BYTES;
    p2p__joined_free(joined, msg, msg_count, room);
    return P2P_OK;
}

static int ed25519_verify(const uint8_t *pub, size_t pub_len, const struct p2p__const_iov *msg,
                          size_t msg_count, const uint8_t *sig, size_t sig_len)
{
    (void)p2p__crypto_lib();
    if (pub_len != P2P__ED25519_PUBLIC_LEN) {
        return P2P_EKEY;
    }
    if (sig_len != crypto_sign_BYTES) {
        return P2P_ESIG;
    }
    uint8_t room[JOIN_ROOM];
    size_t len = 0;
    const uint8_t *joined = p2p__joined(msg, msg_count, room, sizeof room, &len);
    if (!joined) {
        return P2P_ENOMEM;
    }
    int bad = crypto_sign_verify_detached(sig, joined, len, pub);
    p2p__joined_free(joined, msg, msg_count, room);
    return bad ? P2P_ESIG : P2P_OK;
}

const struct p2p__signer p2p__signer_ed25519 = {
    .name = "ed25519",
    .generate = ed25519_generate,
    .public_of = ed25519_public_of,
    .public_check = ed25519_public_check,
    .sign = ed25519_sign,
    .verify = ed25519_verify,
};

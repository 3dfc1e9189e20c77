#include "codec/key.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "codec/varint.h"

enum {
    TAG_TYPE = 0x08, /* field 1, varint */
    TAG_DATA = 0x12, /* field 2, bytes */
    HEAD_MAX = 3 + P2P__VARINT_MAX,
    OLD_ED25519_LEN = 96,
};

struct p2p_key {
    int type;
    p2p_key_sign_fn sign; /* NULL: the private half is here */
    void *user;
    p2p_peer_id id;
    size_t public_len;  /* encoded */
    size_t private_len; /* Data only */
    uint8_t bytes[];    /* the one, then the other */
};

_Static_assert((int)P2P_KEY_SIG_MAX == (int)P2P__SIG_MAX, "one limit, two names");
_Static_assert(P2P_KEY_PUBLIC_MAX >= HEAD_MAX + P2P__PUBLIC_DATA_MAX, "every public key fits");
_Static_assert(P2P_KEY_PRIVATE_MAX >= HEAD_MAX + P2P__PRIVATE_DATA_MAX, "every private key fits");

/* PublicKey and PrivateKey are alike: a type, then data. Deterministic means that there is one
 * encoding, so anything else is refused. */
static int message_decode(const uint8_t *pb, size_t pb_len, struct p2p__public_key *out)
{
    if (pb_len < 4 || pb[0] != TAG_TYPE || pb[1] > P2P_KEY_ECDSA || pb[2] != TAG_DATA) {
        return P2P_EKEY;
    }
    uint64_t data_len = 0;
    int used = p2p__varint_decode(pb + 3, pb_len - 3, &data_len);
    if (used <= 0 || data_len != pb_len - 3 - (size_t)used) {
        return P2P_EKEY;
    }
    *out = (struct p2p__public_key){pb[1], pb + 3 + used, (size_t)data_len};
    return P2P_OK;
}

static size_t head_encode(int type, size_t data_len, uint8_t out[HEAD_MAX])
{
    out[0] = TAG_TYPE;
    out[1] = (uint8_t)type;
    out[2] = TAG_DATA;
    return 3 + p2p__varint_encode(data_len, out + 3);
}

int p2p__public_key_decode(const uint8_t *pb, size_t pb_len, struct p2p__public_key *out)
{
    int code = message_decode(pb, pb_len, out);
    if (code != P2P_OK) {
        return code;
    }
    return p2p__signer_of((uint64_t)out->type)->public_check(out->data, out->data_len);
}

int p2p__public_key_verify(const uint8_t *pb, size_t pb_len, const struct p2p__const_iov *msg,
                           size_t msg_count, const uint8_t *sig, size_t sig_len)
{
    struct p2p__public_key key;
    int code = message_decode(pb, pb_len, &key);
    if (code != P2P_OK) {
        return code;
    }
    return p2p__signer_of((uint64_t)key.type)
        ->verify(key.data, key.data_len, msg, msg_count, sig, sig_len);
}

int p2p_key_verify(const uint8_t *public_key, size_t public_key_len, const uint8_t *msg,
                   size_t msg_len, const uint8_t *sig, size_t sig_len)
{
    struct p2p__const_iov iov = {msg, msg_len};
    return p2p__public_key_verify(public_key, public_key_len, &iov, 1, sig, sig_len);
}

/* `pub` is Data that was checked; priv_len is 0 for an external key. */
static int key_new(int type, const uint8_t *pub, size_t pub_len, const uint8_t *priv,
                   size_t priv_len, p2p_key **out)
{
    uint8_t head[HEAD_MAX];
    size_t head_len = head_encode(type, pub_len, head);
    p2p_key *key = p2p__alloc(sizeof *key + head_len + pub_len + priv_len);
    if (!key) {
        return P2P_ENOMEM;
    }
    key->type = type;
    key->public_len = head_len + pub_len;
    key->private_len = priv_len;
    memcpy(key->bytes, head, head_len);
    memcpy(key->bytes + head_len, pub, pub_len);
    if (priv_len > 0) {
        memcpy(key->bytes + key->public_len, priv, priv_len);
    }
    int code = p2p_peer_id_from_public_key(key->bytes, key->public_len, &key->id);
    if (code != P2P_OK) {
        p2p_key_free(key);
        return code;
    }
    *out = key;
    return P2P_OK;
}

/* The 96-byte form repeats the public key (specs, peer-ids); its halves must agree. */
static bool old_ed25519_agrees(const uint8_t *priv)
{
    const size_t pub_len = P2P__ED25519_PUBLIC_LEN;
    const uint8_t *first = priv + P2P__ED25519_SEED_LEN;
    return p2p__equal_ct(first, first + pub_len, pub_len);
}

int p2p__key_from_private(int type, const uint8_t *priv, size_t priv_len, p2p_key **out)
{
    *out = NULL;
    const struct p2p__signer *signer = type < 0 ? NULL : p2p__signer_of((uint64_t)type);
    if (!signer) {
        return P2P_EKEY;
    }
    if (type == P2P_KEY_ED25519 && priv_len == OLD_ED25519_LEN) {
        if (!old_ed25519_agrees(priv)) {
            return P2P_EKEY;
        }
        priv_len = P2P__ED25519_PRIVATE_LEN;
    }
    uint8_t pub[P2P__PUBLIC_DATA_MAX];
    size_t pub_len = 0;
    int code = signer->public_of(priv, priv_len, pub, &pub_len);
    return code == P2P_OK ? key_new(type, pub, pub_len, priv, priv_len, out) : code;
}

int p2p_key_generate(int type, p2p_key **out)
{
    *out = NULL;
    const struct p2p__signer *signer = type < 0 ? NULL : p2p__signer_of((uint64_t)type);
    if (!signer) {
        return P2P_EKEY;
    }
    uint8_t priv[P2P__PRIVATE_DATA_MAX];
    size_t priv_len = 0;
    int code = signer->generate(priv, &priv_len);
    if (code == P2P_OK) {
        code = p2p__key_from_private(type, priv, priv_len, out);
    }
    p2p__wipe(priv, sizeof priv);
    return code;
}

int p2p__key_from_seed(const uint8_t seed[P2P__ED25519_SEED_LEN], p2p_key **out)
{
    uint8_t priv[P2P__ED25519_PRIVATE_LEN];
    p2p__ed25519_from_seed(seed, priv);
    *out = NULL;
    int code = key_new(P2P_KEY_ED25519, priv + P2P__ED25519_SEED_LEN, P2P__ED25519_PUBLIC_LEN, priv,
                       sizeof priv, out);
    p2p__wipe(priv, sizeof priv);
    return code;
}

int p2p_key_decode(const uint8_t *bytes, size_t bytes_len, p2p_key **out)
{
    *out = NULL;
    struct p2p__public_key message;
    int code = message_decode(bytes, bytes_len, &message);
    return code == P2P_OK ? p2p__key_from_private(message.type, message.data, message.data_len, out)
                          : code;
}

int p2p_key_encode(const p2p_key *key, uint8_t *out, size_t out_cap)
{
    if (key->sign) {
        return P2P_ENOTSUP;
    }
    uint8_t head[HEAD_MAX];
    size_t head_len = head_encode(key->type, key->private_len, head);
    if (head_len + key->private_len > out_cap) {
        return P2P_ETOOBIG;
    }
    memcpy(out, head, head_len);
    memcpy(out + head_len, key->bytes + key->public_len, key->private_len);
    return (int)(head_len + key->private_len);
}

int p2p_key_new_external(int type, const uint8_t *public_data, size_t public_data_len,
                         p2p_key_sign_fn sign, void *user, p2p_key **out)
{
    assert(sign);
    *out = NULL;
    const struct p2p__signer *signer = type < 0 ? NULL : p2p__signer_of((uint64_t)type);
    if (!signer) {
        return P2P_EKEY;
    }
    int code = signer->public_check(public_data, public_data_len);
    if (code == P2P_OK) {
        code = key_new(type, public_data, public_data_len, NULL, 0, out);
    }
    if (code == P2P_OK) {
        (*out)->sign = sign;
        (*out)->user = user;
    }
    return code;
}

p2p_key *p2p_key_clone(const p2p_key *key)
{
    size_t size = sizeof *key + key->public_len + key->private_len;
    p2p_key *copy = p2p__alloc(size);
    if (copy) {
        memcpy(copy, key, size);
    }
    return copy;
}

void p2p_key_free(p2p_key *key)
{
    if (key) {
        p2p__wipe(key, sizeof *key + key->public_len + key->private_len);
        p2p__free(key);
    }
}

int p2p_key_type(const p2p_key *key)
{
    return key->type;
}

const char *p2p_key_type_name(int type)
{
    const struct p2p__signer *signer = type < 0 ? NULL : p2p__signer_of((uint64_t)type);
    return signer ? signer->name : NULL;
}

int p2p_key_type_parse(const char *name)
{
    for (int type = 0; p2p_key_type_name(type); type++) {
        if (strcmp(name, p2p_key_type_name(type)) == 0) {
            return type;
        }
    }
    return P2P_EKEY;
}

const uint8_t *p2p_key_public(const p2p_key *key, size_t *len)
{
    *len = key->public_len;
    return key->bytes;
}

const p2p_peer_id *p2p_key_peer_id(const p2p_key *key)
{
    return &key->id;
}

static int external_sign(const p2p_key *key, const struct p2p__const_iov *msg, size_t msg_count,
                         uint8_t sig[P2P_KEY_SIG_MAX])
{
    uint8_t room[512];
    size_t len = 0;
    const uint8_t *joined = p2p__joined(msg, msg_count, room, sizeof room, &len);
    if (!joined) {
        return P2P_ENOMEM;
    }
    int sig_len = key->sign(key->user, joined, len, sig);
    p2p__joined_free(joined, msg, msg_count, room);
    assert(sig_len <= P2P_KEY_SIG_MAX);
    return sig_len;
}

int p2p__key_sign(const p2p_key *key, const struct p2p__const_iov *msg, size_t msg_count,
                  uint8_t sig[P2P_KEY_SIG_MAX])
{
    if (key->sign) {
        return external_sign(key, msg, msg_count, sig);
    }
    size_t sig_len = 0;
    int code =
        p2p__signer_of((uint64_t)key->type)
            ->sign(key->bytes + key->public_len, key->private_len, msg, msg_count, sig, &sig_len);
    return code == P2P_OK ? (int)sig_len : code;
}

int p2p_key_sign(const p2p_key *key, const uint8_t *msg, size_t msg_len, uint8_t *sig)
{
    struct p2p__const_iov iov = {msg, msg_len};
    return p2p__key_sign(key, &iov, 1, sig);
}

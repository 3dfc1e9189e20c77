#include "layer/noise_xx.h"

#include <assert.h>
#include <string.h>

#include <p2p/error.h>

enum {
    STATIC_LEN = P2P__DH_LEN + P2P__AEAD_TAG_LEN, /* a static key on the wire, sealed */
};

int p2p__noise_seal(struct noise_cipher *self, const struct layer_env *env, const uint8_t *ad,
                    size_t ad_len, const struct p2p__const_iov *in, size_t in_count, uint8_t *out)
{
    if (self->nonce >= NOISE_NONCE_END)
        return P2P_ELIMIT;
    /* Counted before it is used, so that no failure can use a nonce twice. */
    uint64_t nonce = self->nonce++;
    return env->crypto->seal(env->aead, self->key, nonce, ad, ad_len, in, in_count, out);
}

int p2p__noise_open(struct noise_cipher *self, const struct layer_env *env, const uint8_t *ad,
                    size_t ad_len, uint8_t *in, size_t in_len)
{
    if (self->nonce >= NOISE_NONCE_END)
        return P2P_ELIMIT;
    int code = env->crypto->open(env->aead, self->key, self->nonce, ad, ad_len, in, in_len, in);
    self->nonce = code < 0 ? NOISE_NONCE_END : self->nonce + 1;
    return code;
}

/* Noise, section 4.3. out1 or out2 may be key. */
static void hkdf(const struct p2p__crypto *crypto, const uint8_t key[P2P__HASH_LEN],
                 const uint8_t *in, size_t in_len, uint8_t out1[P2P__HASH_LEN],
                 uint8_t out2[P2P__HASH_LEN])
{
    uint8_t temp[P2P__HASH_LEN];
    uint8_t first[P2P__HASH_LEN];
    const uint8_t one = 1, two = 2;
    crypto->hmac_sha256(key, P2P__HASH_LEN, &(struct p2p__const_iov){in, in_len}, 1, temp);
    crypto->hmac_sha256(temp, sizeof temp, &(struct p2p__const_iov){&one, 1}, 1, first);
    const struct p2p__const_iov second[] = {{first, sizeof first}, {&two, 1}};
    crypto->hmac_sha256(temp, sizeof temp, second, 2, out2);
    memcpy(out1, first, sizeof first);
    p2p__wipe(temp, sizeof temp);
    p2p__wipe(first, sizeof first);
}

static void mix_hash(struct noise_xx *self, const struct p2p__crypto *crypto, const uint8_t *in,
                     size_t in_len)
{
    const struct p2p__const_iov both[] = {{self->hash, sizeof self->hash}, {in, in_len}};
    uint8_t next[P2P__HASH_LEN];
    crypto->sha256(both, 2, next);
    memcpy(self->hash, next, sizeof next);
}

static int mix_dh(struct noise_xx *self, const struct p2p__crypto *crypto,
                  const uint8_t secret[P2P__DH_LEN], const uint8_t pub[P2P__DH_LEN])
{
    uint8_t shared[P2P__DH_LEN];
    int code = crypto->dh(secret, pub, shared);
    if (code == 0) {
        hkdf(crypto, self->chain, shared, sizeof shared, self->chain, self->cipher.key);
        self->cipher.nonce = 0;
        self->keyed = true;
    }
    p2p__wipe(shared, sizeof shared);
    return code;
}

static int seal_and_hash(struct noise_xx *self, const struct layer_env *env, const uint8_t *in,
                         size_t in_len, uint8_t *out)
{
    size_t out_len = in_len;
    if (self->keyed) {
        int code = p2p__noise_seal(&self->cipher, env, self->hash, sizeof self->hash,
                                   &(struct p2p__const_iov){in, in_len}, 1, out);
        if (code < 0)
            return code;
        out_len += P2P__AEAD_TAG_LEN;
    } else if (in_len > 0) {
        memcpy(out, in, in_len);
    }
    mix_hash(self, env->crypto, out, out_len);
    return 0;
}

static int open_and_hash(struct noise_xx *self, const struct layer_env *env, uint8_t *in,
                         size_t in_len)
{
    /* The ciphertext is hashed, so before it is overwritten; what it is opened with is the hash
     * from before. */
    uint8_t ad[P2P__HASH_LEN];
    memcpy(ad, self->hash, sizeof ad);
    mix_hash(self, env->crypto, in, in_len);
    return self->keyed ? p2p__noise_open(&self->cipher, env, ad, sizeof ad, in, in_len) : 0;
}

void p2p__noise_xx_init(struct noise_xx *self, const struct layer_env *env, bool initiator,
                        const uint8_t *prologue, size_t prologue_len,
                        const uint8_t static_secret[P2P__DH_LEN],
                        const uint8_t eph_secret[P2P__DH_LEN])
{
    /* Exactly as long as a hash, which is then used as it is (Noise, section 5.2). */
    static const char name[] = "Noise_XX_25519_ChaChaPoly_SHA256";
    _Static_assert(sizeof name - 1 == P2P__HASH_LEN, "a longer name would be hashed");

    *self = (struct noise_xx){.initiator = initiator};
    memcpy(self->hash, name, sizeof self->hash);
    memcpy(self->chain, name, sizeof self->chain);
    mix_hash(self, env->crypto, prologue, prologue_len);
    memcpy(self->static_secret, static_secret, P2P__DH_LEN);
    memcpy(self->eph_secret, eph_secret, P2P__DH_LEN);
    env->crypto->dh_public(self->static_secret, self->static_public);
    env->crypto->dh_public(self->eph_secret, self->eph_public);
}

void p2p__noise_xx_fini(struct noise_xx *self)
{
    p2p__wipe(self, sizeof *self);
}

size_t p2p__noise_xx_overhead(const struct noise_xx *self)
{
    switch (self->messages) {
    case 0:
        return P2P__DH_LEN;
    case 1:
        return P2P__DH_LEN + STATIC_LEN + P2P__AEAD_TAG_LEN;
    default:
        return STATIC_LEN + P2P__AEAD_TAG_LEN;
    }
}

static int write_tokens(struct noise_xx *self, const struct layer_env *env, uint8_t **out)
{
    const struct p2p__crypto *crypto = env->crypto;
    int code = 0;
    if (self->messages < 2) {
        memcpy(*out, self->eph_public, P2P__DH_LEN);
        mix_hash(self, crypto, *out, P2P__DH_LEN);
        *out += P2P__DH_LEN;
    }
    if (self->messages == 1)
        code = mix_dh(self, crypto, self->eph_secret, self->remote_eph);
    if (code < 0 || self->messages == 0)
        return code;
    code = seal_and_hash(self, env, self->static_public, P2P__DH_LEN, *out);
    *out += STATIC_LEN;
    /* es for the responder and se for the initiator: both are the writer's static key with the
     * reader's ephemeral one. */
    return code < 0 ? code : mix_dh(self, crypto, self->static_secret, self->remote_eph);
}

int p2p__noise_xx_write(struct noise_xx *self, const struct layer_env *env, const uint8_t *payload,
                        size_t payload_len, uint8_t *out)
{
    assert(!noise_xx_done(self) && noise_xx_writes(self));
    assert(payload_len <= NOISE_MESSAGE_MAX - NOISE_XX_OVERHEAD_MAX);
    int code = write_tokens(self, env, &out);
    if (code == 0)
        code = seal_and_hash(self, env, payload, payload_len, out);
    self->messages++;
    return code;
}

static int read_tokens(struct noise_xx *self, const struct layer_env *env, uint8_t **in)
{
    const struct p2p__crypto *crypto = env->crypto;
    int code = 0;
    if (self->messages < 2) {
        memcpy(self->remote_eph, *in, P2P__DH_LEN);
        mix_hash(self, crypto, *in, P2P__DH_LEN);
        *in += P2P__DH_LEN;
    }
    if (self->messages == 1)
        code = mix_dh(self, crypto, self->eph_secret, self->remote_eph);
    if (code < 0 || self->messages == 0)
        return code;
    code = open_and_hash(self, env, *in, STATIC_LEN);
    if (code < 0)
        return code;
    memcpy(self->remote_static, *in, P2P__DH_LEN);
    *in += STATIC_LEN;
    return mix_dh(self, crypto, self->eph_secret, self->remote_static);
}

int p2p__noise_xx_read(struct noise_xx *self, const struct layer_env *env, uint8_t *in,
                       size_t in_len, const uint8_t **payload, size_t *payload_len)
{
    assert(!noise_xx_done(self) && !noise_xx_writes(self));
    size_t overhead = p2p__noise_xx_overhead(self);
    if (in_len < overhead)
        return P2P_EHANDSHAKE;
    uint8_t *end = in + in_len;
    int code = read_tokens(self, env, &in);
    if (code == 0)
        code = open_and_hash(self, env, in, (size_t)(end - in));
    self->messages++;
    *payload = in;
    *payload_len = in_len - overhead;
    return code;
}

void p2p__noise_xx_split(const struct noise_xx *self, const struct layer_env *env,
                         struct noise_cipher *send, struct noise_cipher *recv)
{
    assert(noise_xx_done(self));
    /* The first key is the initiator's to send with. */
    struct noise_cipher *first = self->initiator ? send : recv;
    struct noise_cipher *second = self->initiator ? recv : send;
    const uint8_t none[1] = {0};
    hkdf(env->crypto, self->chain, none, 0, first->key, second->key);
    first->nonce = 0;
    second->nonce = 0;
}

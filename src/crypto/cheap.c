/* NOT SECURE: a stand-in for simulations of many hosts, where the cipher would be nearly all the
 * cost. It has the lengths of the real thing, and fails where the real thing fails: any changed bit
 * of key, nonce, associated data, text or tag is noticed; both sides of an exchange agree; nothing
 * reads as the plaintext. Whoever watches can undo all of it. Deterministic on every machine. */
#include <string.h>

#include <p2p/error.h>

#include "base/mem.h"
#include "crypto/hash.h"

enum {
    LANES = 4,
    FINAL_ROUNDS = 3,
};

/* There is nothing to keep; the table promises an object. */
struct p2p__aead {
    uint8_t unused;
};

/* Absorbs words into four lanes. Each step is a bijection of the lanes for a fixed word, and an
 * injection of the word for fixed lanes, so one changed word always changes the result. */
struct mix {
    uint64_t lane[LANES];
    uint64_t len;
    uint8_t tail[8];
    size_t tail_len;
};

static uint64_t scramble(uint64_t x)
{
    x = (x ^ (x >> 32)) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ (x >> 32);
}

static uint64_t word_load(const uint8_t *in)
{
    uint64_t word = 0;
    for (int i = 0; i < 8; i++) {
        word |= (uint64_t)in[i] << (8 * i);
    }
    return word;
}

static void word_store(uint64_t word, uint8_t *out)
{
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(word >> (8 * i));
    }
}

static void mix_word(struct mix *mix, uint64_t word)
{
    uint64_t *lane = mix->lane;
    uint64_t spin = (lane[0] ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    spin ^= spin >> 32;
    lane[0] = lane[1] + spin;
    lane[1] = lane[2] ^ (spin << 1 | spin >> 63);
    lane[2] = lane[3] + word;
    lane[3] = spin * UINT64_C(0xd6e8feb86659fd93);
}

static void mix_init(struct mix *mix, uint64_t purpose)
{
    *mix = (struct mix){.lane = {scramble(purpose), 1, 2, 3}};
}

static void mix_bytes(struct mix *mix, const uint8_t *in, size_t len)
{
    mix->len += len;
    while (len > 0 && mix->tail_len > 0) {
        mix->tail[mix->tail_len++] = *in++;
        len--;
        if (mix->tail_len == sizeof mix->tail) {
            mix_word(mix, word_load(mix->tail));
            mix->tail_len = 0;
        }
    }
    for (; len >= 8; in += 8, len -= 8) {
        mix_word(mix, word_load(in));
    }
    for (; len > 0; len--) {
        mix->tail[mix->tail_len++] = *in++;
    }
}

static void mix_end(struct mix *mix, uint8_t *out, size_t out_words)
{
    memset(mix->tail + mix->tail_len, 0, sizeof mix->tail - mix->tail_len);
    mix_word(mix, word_load(mix->tail));
    mix_word(mix, mix->len);
    for (int round = 0; round < FINAL_ROUNDS * LANES; round++) {
        mix_word(mix, scramble((uint64_t)round));
    }
    for (size_t i = 0; i < out_words; i++) {
        word_store(scramble(mix->lane[i]), out + 8 * i);
    }
}

static void cheap_sha256(const struct p2p__const_iov *in, size_t in_count,
                         uint8_t out[P2P__HASH_LEN])
{
    struct mix mix;
    mix_init(&mix, 1);
    for (size_t i = 0; i < in_count; i++) {
        mix_bytes(&mix, in[i].base, in[i].len);
    }
    mix_end(&mix, out, LANES);
}

static void cheap_hmac_sha256(const uint8_t *key, size_t key_len, const struct p2p__const_iov *in,
                              size_t in_count, uint8_t out[P2P__HASH_LEN])
{
    struct mix mix;
    mix_init(&mix, 2);
    mix_word(&mix, key_len);
    mix_bytes(&mix, key, key_len);
    for (size_t i = 0; i < in_count; i++) {
        mix_bytes(&mix, in[i].base, in[i].len);
    }
    mix_end(&mix, out, LANES);
}

/* Injective, so that different secrets have different public keys. */
static void cheap_dh_public(const uint8_t secret[P2P__DH_LEN], uint8_t pub[P2P__DH_LEN])
{
    uint64_t lane[LANES];
    for (size_t i = 0; i < LANES; i++) {
        lane[i] = word_load(secret + 8 * i) + 1;
    }
    for (size_t step = 0; step < LANES * FINAL_ROUNDS; step++) {
        lane[step % LANES] ^= scramble(lane[(step + LANES - 1) % LANES] + step);
    }
    for (size_t i = 0; i < LANES; i++) {
        word_store(lane[i], pub + 8 * i);
    }
}

static int cheap_dh(const uint8_t secret[P2P__DH_LEN], const uint8_t pub[P2P__DH_LEN],
                    uint8_t shared[P2P__DH_LEN])
{
    static const uint8_t zero[P2P__DH_LEN] = {0};
    if (memcmp(pub, zero, sizeof zero) == 0) {
        memset(shared, 0, P2P__DH_LEN);
        return P2P_EHANDSHAKE;
    }
    uint8_t mine[P2P__DH_LEN];
    cheap_dh_public(secret, mine);
    bool mine_first = memcmp(mine, pub, sizeof mine) < 0;
    struct p2p__const_iov pair[2] = {{mine_first ? mine : pub, P2P__DH_LEN},
                                     {mine_first ? pub : mine, P2P__DH_LEN}};
    uint8_t joint[P2P__HASH_LEN];
    cheap_sha256(pair, 2, joint);
    memcpy(shared, joint, sizeof joint);
    return P2P_OK;
}

static struct p2p__aead *cheap_aead_new(void)
{
    return p2p__alloc(sizeof(struct p2p__aead));
}

static void cheap_aead_free(struct p2p__aead *aead)
{
    p2p__free(aead);
}

/* One word of mask per record: enough that a test which forgets to open sees rubbish. */
static uint64_t mask_of(const uint8_t key[P2P__AEAD_KEY_LEN], uint64_t nonce)
{
    uint64_t mask = scramble(nonce + 1);
    for (size_t i = 0; i < P2P__AEAD_KEY_LEN; i += 8) {
        mask = scramble(mask ^ word_load(key + i));
    }
    return mask;
}

/* `at` is where in the record these bytes stand. in and out may be the same. */
static void mask_bytes(uint64_t mask, size_t at, const uint8_t *in, size_t len, uint8_t *out)
{
    size_t i = 0;
    for (; i < len && (at + i) % 8 != 0; i++) {
        out[i] = (uint8_t)(in[i] ^ (mask >> (8 * ((at + i) % 8))));
    }
    for (; len - i >= 8; i += 8) {
        word_store(word_load(in + i) ^ mask, out + i);
    }
    for (; i < len; i++) {
        out[i] = (uint8_t)(in[i] ^ (mask >> (8 * ((at + i) % 8))));
    }
}

static void tag_of(const uint8_t key[P2P__AEAD_KEY_LEN], uint64_t nonce, const uint8_t *ad,
                   size_t ad_len, const uint8_t *text, size_t text_len,
                   uint8_t tag[P2P__AEAD_TAG_LEN])
{
    struct mix mix;
    mix_init(&mix, 3);
    mix_bytes(&mix, key, P2P__AEAD_KEY_LEN);
    mix_word(&mix, nonce);
    mix_word(&mix, ad_len);
    mix_bytes(&mix, ad, ad_len);
    mix_bytes(&mix, text, text_len);
    mix_end(&mix, tag, P2P__AEAD_TAG_LEN / 8);
}

static int cheap_seal(struct p2p__aead *aead, const uint8_t key[P2P__AEAD_KEY_LEN], uint64_t nonce,
                      const uint8_t *ad, size_t ad_len, const struct p2p__const_iov *in,
                      size_t in_count, uint8_t *out)
{
    (void)aead;
    uint64_t mask = mask_of(key, nonce);
    size_t at = 0;
    for (size_t i = 0; i < in_count; i++) {
        mask_bytes(mask, at, in[i].base, in[i].len, out + at);
        at += in[i].len;
    }
    tag_of(key, nonce, ad, ad_len, out, at, out + at);
    return P2P_OK;
}

static int cheap_open(struct p2p__aead *aead, const uint8_t key[P2P__AEAD_KEY_LEN], uint64_t nonce,
                      const uint8_t *ad, size_t ad_len, const uint8_t *in, size_t in_len,
                      uint8_t *out)
{
    (void)aead;
    if (in_len < P2P__AEAD_TAG_LEN) {
        return P2P_EHANDSHAKE;
    }
    size_t text_len = in_len - P2P__AEAD_TAG_LEN;
    uint8_t tag[P2P__AEAD_TAG_LEN];
    tag_of(key, nonce, ad, ad_len, in, text_len, tag);
    if (memcmp(tag, in + text_len, sizeof tag) != 0) {
        return P2P_EHANDSHAKE;
    }
    mask_bytes(mask_of(key, nonce), 0, in, text_len, out);
    return P2P_OK;
}

const struct p2p__crypto p2p__crypto_cheap = {
    .name = "cheap, not secure",
    .sha256 = cheap_sha256,
    .hmac_sha256 = cheap_hmac_sha256,
    .dh_public = cheap_dh_public,
    .dh = cheap_dh,
    .aead_new = cheap_aead_new,
    .aead_free = cheap_aead_free,
    .seal = cheap_seal,
    .open = cheap_open,
};

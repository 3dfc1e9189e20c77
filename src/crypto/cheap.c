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
    BLOCK_LEN = 8 * LANES,
    MEETING_ROUNDS = 3,
    /* Where the lanes start, LANES apart. */
    PURPOSE_HASH = 1,
    PURPOSE_HMAC = PURPOSE_HASH + LANES,
    PURPOSE_TAG = PURPOSE_HMAC + LANES,
};

/* There is nothing to keep; the table promises an object. */
struct p2p__aead {
    uint8_t unused;
};

/* Absorbs blocks of a word for each lane. The lanes do not wait for each other, so the CPU works on
 * all four at once; they meet at the end. A step is a bijection of the lane for a fixed word and of
 * the word for a fixed lane, and so is the end: one changed word always changes the lanes. */
struct mix {
    uint64_t lane[LANES];
    uint64_t len;
    uint8_t tail[BLOCK_LEN];
    size_t tail_len;
};

static uint64_t scramble(uint64_t x)
{
    x = (x ^ (x >> 32)) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ (x >> 32);
}

/* Little-endian on every machine, so that a simulation replays on every machine. */
static uint64_t word_load(const uint8_t *in)
{
    uint64_t word;
    memcpy(&word, in, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static void word_store(uint64_t word, uint8_t *out)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    memcpy(out, &word, sizeof word);
}

/* Lets every bit of every lane reach every lane; a bijection. */
static void lanes_meet(uint64_t lane[LANES])
{
    for (size_t step = 0; step < LANES * MEETING_ROUNDS; step++) {
        lane[step % LANES] ^= scramble(lane[(step + LANES - 1) % LANES] + step);
    }
}

static void mix_blocks(struct mix *mix, const uint8_t *in, size_t count)
{
    uint64_t lane[LANES];
    memcpy(lane, mix->lane, sizeof lane);
    for (; count > 0; count--, in += BLOCK_LEN) {
        for (size_t i = 0; i < LANES; i++) {
            uint64_t x = (lane[i] ^ word_load(in + 8 * i)) * UINT64_C(0x9e3779b97f4a7c15);
            lane[i] = x ^ (x >> 32);
        }
    }
    memcpy(mix->lane, lane, sizeof lane);
}

static void mix_init(struct mix *mix, uint64_t purpose)
{
    mix->len = 0;
    mix->tail_len = 0;
    for (size_t i = 0; i < LANES; i++) {
        mix->lane[i] = scramble(purpose + i);
    }
}

/* The same for any way to cut the input. */
static void mix_bytes(struct mix *mix, const uint8_t *in, size_t len)
{
    mix->len += len;
    if (mix->tail_len > 0) {
        size_t take = BLOCK_LEN - mix->tail_len < len ? BLOCK_LEN - mix->tail_len : len;
        if (take > 0) {
            memcpy(mix->tail + mix->tail_len, in, take);
            mix->tail_len += take;
            in += take;
            len -= take;
        }
        if (mix->tail_len == BLOCK_LEN) {
            mix_blocks(mix, mix->tail, 1);
            mix->tail_len = 0;
        }
    }
    size_t whole = len / BLOCK_LEN;
    if (whole > 0) {
        mix_blocks(mix, in, whole);
        in += whole * BLOCK_LEN;
        len -= whole * BLOCK_LEN;
    }
    if (len > 0) {
        memcpy(mix->tail + mix->tail_len, in, len);
        mix->tail_len += len;
    }
}

static void mix_word(struct mix *mix, uint64_t word)
{
    uint8_t bytes[8];
    word_store(word, bytes);
    mix_bytes(mix, bytes, sizeof bytes);
}

static void mix_end(struct mix *mix, uint8_t *out, size_t out_words)
{
    memset(mix->tail + mix->tail_len, 0, BLOCK_LEN - mix->tail_len);
    mix_blocks(mix, mix->tail, 1);
    mix->lane[0] ^= mix->len;
    lanes_meet(mix->lane);
    for (size_t i = 0; i < out_words; i++) {
        word_store(mix->lane[i], out + 8 * i);
    }
}

static void cheap_sha256(const struct p2p__const_iov *in, size_t in_count,
                         uint8_t out[P2P__HASH_LEN])
{
    struct mix mix;
    mix_init(&mix, PURPOSE_HASH);
    for (size_t i = 0; i < in_count; i++) {
        mix_bytes(&mix, in[i].base, in[i].len);
    }
    mix_end(&mix, out, LANES);
}

static void cheap_hmac_sha256(const uint8_t *key, size_t key_len, const struct p2p__const_iov *in,
                              size_t in_count, uint8_t out[P2P__HASH_LEN])
{
    struct mix mix;
    mix_init(&mix, PURPOSE_HMAC);
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
    lanes_meet(lane);
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
    mix_init(&mix, PURPOSE_TAG);
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

#include "layer/tls_record.h"

#include <assert.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/hmac.h>

#include <p2p/error.h>

static const struct {
    uint16_t id;
    uint8_t key_len, secret_len;
    const char *cipher;
    const EVP_MD *(*hash)(void);
} suites[TLS_SUITES] = {
    [TLS_AES_128_GCM] = {0x1301, 16, 32, "AES-128-GCM", EVP_sha256},
    [TLS_AES_256_GCM] = {0x1302, 32, 48, "AES-256-GCM", EVP_sha384},
    [TLS_CHACHA20_POLY1305] = {0x1303, 32, 32, "ChaCha20-Poly1305", EVP_sha256},
};

int p2p__tls_suite_of(uint16_t id)
{
    for (int i = 0; i < TLS_SUITES; i++)
        if (suites[i].id == id)
            return i;
    return -1;
}

size_t p2p__tls_secret_len(enum tls_suite suite)
{
    return suites[suite].secret_len;
}

/* ---- contexts ---- */

static int prepare(struct tls_ciphers *self, enum tls_suite suite)
{
    if (!self->cipher[suite])
        self->cipher[suite] = EVP_CIPHER_fetch(NULL, suites[suite].cipher, NULL);
    if (!self->cipher[suite])
        return P2P_ENOMEM;
    for (int direction = 0; direction < 2; direction++) {
        struct tls_cipher *of = &self->of[suite][direction];
        if (of->ctx)
            continue;
        EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
        if (!ctx || EVP_CipherInit_ex2(ctx, self->cipher[suite], NULL, NULL, direction == TLS_SEAL,
                                       NULL) != 1) {
            EVP_CIPHER_CTX_free(ctx);
            return P2P_ENOMEM;
        }
        of->ctx = ctx;
    }
    return 0;
}

void p2p__tls_ciphers_fini(struct tls_ciphers *self)
{
    for (int i = 0; i < TLS_SUITES; i++) {
        EVP_CIPHER_CTX_free(self->of[i][TLS_SEAL].ctx);
        EVP_CIPHER_CTX_free(self->of[i][TLS_OPEN].ctx);
        EVP_CIPHER_free(self->cipher[i]);
    }
    p2p__wipe(self, sizeof *self);
}

/* The context, ready for the next record of these keys: NULL when the library fails. */
static EVP_CIPHER_CTX *context(const struct tls_keys *keys, struct tls_ciphers *ciphers,
                               enum tls_direction direction)
{
    struct tls_cipher *of = &ciphers->of[keys->suite][direction];
    uint8_t nonce[TLS_IV_LEN];
    memcpy(nonce, keys->iv, sizeof nonce);
    for (int i = 0; i < 8; i++)
        nonce[TLS_IV_LEN - 1 - i] ^= (uint8_t)(keys->seq >> (8 * i));
    bool same = of->keyed && p2p__equal_ct(of->key, keys->key, sizeof of->key);
    of->keyed = EVP_CipherInit_ex2(of->ctx, NULL, same ? NULL : keys->key, nonce,
                                   direction == TLS_SEAL, NULL) == 1;
    if (!same)
        memcpy(of->key, keys->key, sizeof of->key);
    return of->keyed ? of->ctx : NULL;
}

/* ---- keys ---- */

/* HKDF-Expand-Label (section 7.1) with an empty context, for what fits in one block of the hash. */
static int expand(enum tls_suite suite, const uint8_t *secret, const char *label, uint8_t *out,
                  size_t out_len)
{
    uint8_t info[64], block[EVP_MAX_MD_SIZE];
    size_t label_len = strlen(label), len = 0;
    assert(out_len <= suites[suite].secret_len && label_len + 11 <= sizeof info);
    info[len++] = 0;
    info[len++] = (uint8_t)out_len;
    info[len++] = (uint8_t)(6 + label_len);
    memcpy(info + len, "tls13 ", 6);
    memcpy(info + len + 6, label, label_len);
    len += 6 + label_len;
    info[len++] = 0;
    info[len++] = 1; /* HKDF's counter: the first block */
    if (!HMAC(suites[suite].hash(), secret, suites[suite].secret_len, info, len, block, NULL))
        return P2P_ENOMEM;
    memcpy(out, block, out_len);
    p2p__wipe(block, sizeof block);
    return 0;
}

static int derive(struct tls_keys *self)
{
    self->seq = 0;
    int code = expand(self->suite, self->secret, "key", self->key, suites[self->suite].key_len);
    return code < 0 ? code : expand(self->suite, self->secret, "iv", self->iv, sizeof self->iv);
}

int p2p__tls_keys_init(struct tls_keys *self, struct tls_ciphers *ciphers, enum tls_suite suite,
                       const uint8_t *secret)
{
    *self = (struct tls_keys){.suite = (uint8_t)suite};
    memcpy(self->secret, secret, suites[suite].secret_len);
    ERR_set_mark();
    int code = prepare(ciphers, suite);
    code = code < 0 ? code : derive(self);
    ERR_pop_to_mark();
    return code;
}

int p2p__tls_keys_update(struct tls_keys *self)
{
    uint8_t next[TLS_SECRET_MAX];
    int code =
        expand(self->suite, self->secret, "traffic upd", next, suites[self->suite].secret_len);
    if (code < 0)
        return code;
    memcpy(self->secret, next, suites[self->suite].secret_len);
    p2p__wipe(next, sizeof next);
    return derive(self);
}

/* ---- records ---- */

static int encrypt(EVP_CIPHER_CTX *ctx, const uint8_t *header, const struct p2p__const_iov *in,
                   size_t in_count, uint8_t type, uint8_t *out)
{
    int written = 0;
    bool ok = ctx && EVP_EncryptUpdate(ctx, NULL, &written, header, TLS_HEADER_LEN) == 1;
    for (size_t i = 0; ok && i < in_count; i++) {
        if (in[i].len == 0)
            continue;
        ok = EVP_EncryptUpdate(ctx, out, &written, in[i].base, (int)in[i].len) == 1;
        out += in[i].len;
    }
    ok = ok && EVP_EncryptUpdate(ctx, out, &written, &type, TLS_TYPE_LEN) == 1;
    out += TLS_TYPE_LEN;
    ok = ok && EVP_EncryptFinal_ex(ctx, out, &written) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TLS_TAG_LEN, out) == 1;
    return ok ? 0 : P2P_ENOMEM;
}

int64_t p2p__tls_record_seal(struct tls_keys *self, struct tls_ciphers *ciphers,
                             enum tls_content type, const struct p2p__const_iov *in,
                             size_t in_count, uint8_t *out)
{
    size_t len = TLS_TYPE_LEN + TLS_TAG_LEN;
    for (size_t i = 0; i < in_count; i++)
        len += in[i].len;
    assert(len <= TLS_PLAIN_MAX + TLS_TYPE_LEN + TLS_TAG_LEN);
    out[0] = TLS_DATA;
    out[1] = 3;
    out[2] = 3;
    out[3] = (uint8_t)(len >> 8);
    out[4] = (uint8_t)len;
    ERR_set_mark();
    int code = encrypt(context(self, ciphers, TLS_SEAL), out, in, in_count, (uint8_t)type,
                       out + TLS_HEADER_LEN);
    ERR_pop_to_mark();
    self->seq++;
    return code < 0 ? code : (int64_t)(TLS_HEADER_LEN + len);
}

static int decrypt(EVP_CIPHER_CTX *ctx, uint8_t *record, size_t text_len)
{
    uint8_t *text = record + TLS_HEADER_LEN;
    int written = 0;
    uint8_t none[1];
    if (!ctx || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TLS_TAG_LEN, text + text_len) != 1)
        return P2P_ENOMEM;
    bool ok = EVP_DecryptUpdate(ctx, NULL, &written, record, TLS_HEADER_LEN) == 1 &&
              EVP_DecryptUpdate(ctx, text, &written, text, (int)text_len) == 1 &&
              EVP_DecryptFinal_ex(ctx, none, &written) == 1;
    return ok ? 0 : P2P_EPROTO;
}

int p2p__tls_record_open(struct tls_keys *self, struct tls_ciphers *ciphers, uint8_t *record,
                         size_t record_len, uint8_t *type, size_t *content_len)
{
    size_t overhead = TLS_RECORD_OVERHEAD;
    if (record_len < overhead)
        return P2P_EPROTO;
    size_t len = record_len - TLS_HEADER_LEN - TLS_TAG_LEN;
    ERR_set_mark();
    int code = decrypt(context(self, ciphers, TLS_OPEN), record, len);
    ERR_pop_to_mark();
    if (code < 0)
        return code;
    self->seq++;
    /* Zeros behind the type are padding (section 5.4); the limit counts it too. */
    if (len > TLS_PLAIN_MAX + TLS_TYPE_LEN)
        return P2P_EPROTO;
    const uint8_t *text = record + TLS_HEADER_LEN;
    while (len > 0 && text[len - 1] == 0)
        len--;
    if (len == 0)
        return P2P_EPROTO;
    *type = text[len - 1];
    *content_len = len - 1;
    return 0;
}

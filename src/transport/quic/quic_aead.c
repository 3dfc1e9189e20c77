/* Packet protection. GnuTLS does AES; its ChaCha20 runs at half of OpenSSL's speed, so that cipher
 * has callbacks of its own here. Initial and Retry packets are always AES.
 *
 * ngtcp2 tells a cipher by aead->native_handle, which is ours for our own. Where it shows only the
 * context, that one's lowest bit tells. */
#include "transport/quic/quic.h"

#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <openssl/evp.h>

#include "base/mem.h"

enum {
    KEY_LEN = 32,
    NONCE_LEN = 12,
    TAG_LEN = 16,
};

/* A loop's contexts: each call sets its key, which costs little. */
struct quic_ciphers {
    EVP_CIPHER_CTX *seal, *open;
};

struct own_key {
    struct quic_ciphers *ciphers;
    uint8_t key[KEY_LEN];
};

static const char own_tag = 0;

static void *own_handle(void)
{
    return (void *)(uintptr_t)&own_tag;
}

static bool is_own(const ngtcp2_crypto_aead *aead)
{
    return aead->native_handle == &own_tag;
}

static struct own_key *untagged(void *handle)
{
    return (struct own_key *)((uintptr_t)handle & ~(uintptr_t)1);
}

struct quic_ciphers *p2p__quic_ciphers_new(void)
{
    struct quic_ciphers *self = p2p__alloc(sizeof(*self));
    if (!self)
        return NULL;
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    self->seal = EVP_CIPHER_CTX_new();
    self->open = EVP_CIPHER_CTX_new();
    bool ok = cipher && self->seal && self->open &&
              EVP_EncryptInit_ex2(self->seal, cipher, NULL, NULL, NULL) == 1 &&
              EVP_DecryptInit_ex2(self->open, cipher, NULL, NULL, NULL) == 1;
    EVP_CIPHER_free(cipher);
    if (ok)
        return self;
    p2p__quic_ciphers_free(self);
    return NULL;
}

void p2p__quic_ciphers_free(struct quic_ciphers *self)
{
    if (!self)
        return;
    EVP_CIPHER_CTX_free(self->seal);
    EVP_CIPHER_CTX_free(self->open);
    p2p__free(self);
}

/* ---- packets ---- */

static int encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                   const ngtcp2_crypto_aead_ctx *context, const uint8_t *plain, size_t plain_len,
                   const uint8_t *nonce, size_t nonce_len, const uint8_t *aad, size_t aad_len)
{
    if (!is_own(aead))
        return ngtcp2_crypto_encrypt_cb(dest, aead, context, plain, plain_len, nonce, nonce_len,
                                        aad, aad_len);
    const struct own_key *key = untagged(context->native_handle);
    EVP_CIPHER_CTX *ctx = key->ciphers->seal;
    int n = 0;
    bool ok = EVP_EncryptInit_ex2(ctx, NULL, key->key, nonce, NULL) == 1 &&
              EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1 &&
              EVP_EncryptUpdate(ctx, dest, &n, plain, (int)plain_len) == 1 &&
              EVP_EncryptFinal_ex(ctx, dest + plain_len, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, dest + plain_len) == 1;
    return ok ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

static int decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                   const ngtcp2_crypto_aead_ctx *context, const uint8_t *sealed, size_t sealed_len,
                   const uint8_t *nonce, size_t nonce_len, const uint8_t *aad, size_t aad_len)
{
    if (!is_own(aead))
        return ngtcp2_crypto_decrypt_cb(dest, aead, context, sealed, sealed_len, nonce, nonce_len,
                                        aad, aad_len);
    if (sealed_len < TAG_LEN)
        return NGTCP2_ERR_DECRYPT;
    const struct own_key *key = untagged(context->native_handle);
    EVP_CIPHER_CTX *ctx = key->ciphers->open;
    size_t plain_len = sealed_len - TAG_LEN;
    uint8_t tag[TAG_LEN], none[TAG_LEN];
    int n = 0;
    memcpy(tag, sealed + plain_len, TAG_LEN);
    bool ok = EVP_DecryptInit_ex2(ctx, NULL, key->key, nonce, NULL) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1 &&
              EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1 &&
              EVP_DecryptUpdate(ctx, dest, &n, sealed, (int)plain_len) == 1 &&
              EVP_DecryptFinal_ex(ctx, none, &n) == 1;
    return ok ? 0 : NGTCP2_ERR_DECRYPT;
}

static void delete_context(ngtcp2_conn *conn, ngtcp2_crypto_aead_ctx *context, void *user)
{
    if (!((uintptr_t)context->native_handle & 1)) {
        ngtcp2_crypto_delete_crypto_aead_ctx_cb(conn, context, user);
        return;
    }
    struct own_key *key = untagged(context->native_handle);
    p2p__wipe(key, sizeof(*key));
    p2p__free(key);
    context->native_handle = NULL;
}

/* ---- keys ---- */

static int context_new(struct quic_session *self, const uint8_t *key, ngtcp2_crypto_aead_ctx *out)
{
    struct own_key *own = p2p__alloc(sizeof(*own));
    if (!own)
        return -1;
    own->ciphers = self->endpoint->quic->ciphers;
    memcpy(own->key, key, KEY_LEN);
    out->native_handle = (void *)((uintptr_t)own | 1);
    return 0;
}

static int expand(uint8_t *out, size_t len, const ngtcp2_crypto_md *md, const uint8_t *secret,
                  size_t secret_len, const char *label)
{
    return ngtcp2_crypto_hkdf_expand_label(out, len, md, secret, secret_len, (const uint8_t *)label,
                                           strlen(label));
}

/* The AEAD's part of RFC 9001, section 5.1. */
static int derive(struct quic_session *self, const uint8_t *secret, size_t secret_len, uint8_t *iv,
                  ngtcp2_crypto_aead_ctx *out)
{
    const ngtcp2_crypto_md *md = &ngtcp2_conn_get_crypto_ctx(self->conn)->md;
    uint8_t key[KEY_LEN];
    int rc = expand(key, sizeof(key), md, secret, secret_len, "quic key");
    if (rc == 0)
        rc = expand(iv, NONCE_LEN, md, secret, secret_len, "quic iv");
    if (rc == 0)
        rc = context_new(self, key, out);
    p2p__wipe(key, sizeof(key));
    return rc;
}

static int install(struct quic_session *self, ngtcp2_crypto_level level, bool rx,
                   const uint8_t *secret, size_t secret_len)
{
    ngtcp2_conn *conn = self->conn;
    const ngtcp2_crypto_ctx *ctx = ngtcp2_conn_get_crypto_ctx(conn);
    ngtcp2_crypto_aead_ctx aead = {0};
    ngtcp2_crypto_cipher_ctx header = {0};
    uint8_t iv[NONCE_LEN], header_key[KEY_LEN];
    gnutls_datum_t datum = {header_key, sizeof(header_key)};
    gnutls_cipher_hd_t cipher = NULL;
    if (derive(self, secret, secret_len, iv, &aead) != 0)
        return -1;
    int rc = expand(header_key, sizeof(header_key), &ctx->md, secret, secret_len, "quic hp");
    if (rc == 0)
        rc = gnutls_cipher_init(&cipher, GNUTLS_CIPHER_CHACHA20_32, &datum, NULL);
    p2p__wipe(header_key, sizeof(header_key));
    header.native_handle = cipher;
    if (rc == 0 && level == NGTCP2_CRYPTO_LEVEL_HANDSHAKE)
        rc = rx ? ngtcp2_conn_install_rx_handshake_key(conn, &aead, iv, NONCE_LEN, &header)
                : ngtcp2_conn_install_tx_handshake_key(conn, &aead, iv, NONCE_LEN, &header);
    else if (rc == 0)
        rc =
            rx ? ngtcp2_conn_install_rx_key(conn, secret, secret_len, &aead, iv, NONCE_LEN, &header)
               : ngtcp2_conn_install_tx_key(conn, secret, secret_len, &aead, iv, NONCE_LEN,
                                            &header);
    if (rc == 0)
        return 0;
    delete_context(conn, &aead, NULL);
    if (cipher)
        gnutls_cipher_deinit(cipher);
    return -1;
}

/* The context that ngtcp2 keeps must say our cipher from the first key on. */
static int use_own(struct quic_session *self, void *tls)
{
    struct quic *quic = self->endpoint->quic;
    ngtcp2_crypto_ctx ctx;
    if (!quic->ciphers)
        quic->ciphers = p2p__quic_ciphers_new();
    if (!quic->ciphers)
        return -1;
    memset(&ctx, 0, sizeof(ctx));
    ngtcp2_crypto_ctx_tls(&ctx, tls);
    ctx.aead.native_handle = own_handle();
    ctx.aead.max_overhead = TAG_LEN;
    ngtcp2_conn_set_crypto_ctx(self->conn, &ctx);
    return 0;
}

int p2p__quic_install_keys(struct quic_session *self, void *tls, ngtcp2_crypto_level level,
                           const uint8_t *rx, const uint8_t *tx, size_t secret_len)
{
    ngtcp2_conn *conn = self->conn;
    bool early = level == NGTCP2_CRYPTO_LEVEL_EARLY;
    if (!early && gnutls_cipher_get(tls) == GNUTLS_CIPHER_CHACHA20_POLY1305) {
        if (!is_own(&ngtcp2_conn_get_crypto_ctx(conn)->aead) && use_own(self, tls) != 0)
            return -1;
        if (rx && install(self, level, true, rx, secret_len) != 0)
            return -1;
        return tx && install(self, level, false, tx, secret_len) != 0 ? -1 : 0;
    }
    if (rx &&
        ngtcp2_crypto_derive_and_install_rx_key(conn, NULL, NULL, NULL, level, rx, secret_len) != 0)
        return -1;
    return tx && ngtcp2_crypto_derive_and_install_tx_key(conn, NULL, NULL, NULL, level, tx,
                                                         secret_len) != 0
               ? -1
               : 0;
}

static int update_key(ngtcp2_conn *conn, uint8_t *rx_secret, uint8_t *tx_secret,
                      ngtcp2_crypto_aead_ctx *rx, uint8_t *rx_iv, ngtcp2_crypto_aead_ctx *tx,
                      uint8_t *tx_iv, const uint8_t *old_rx, const uint8_t *old_tx, size_t len,
                      void *user)
{
    struct quic_session *self = user;
    const ngtcp2_crypto_ctx *ctx = ngtcp2_conn_get_crypto_ctx(conn);
    if (!is_own(&ctx->aead))
        return ngtcp2_crypto_update_key_cb(conn, rx_secret, tx_secret, rx, rx_iv, tx, tx_iv, old_rx,
                                           old_tx, len, user);
    if (expand(rx_secret, len, &ctx->md, old_rx, len, "quic ku") != 0 ||
        expand(tx_secret, len, &ctx->md, old_tx, len, "quic ku") != 0 ||
        derive(self, rx_secret, len, rx_iv, rx) != 0)
        return NGTCP2_ERR_CALLBACK_FAILURE;
    if (derive(self, tx_secret, len, tx_iv, tx) == 0)
        return 0;
    delete_context(conn, rx, user);
    return NGTCP2_ERR_CALLBACK_FAILURE;
}

void p2p__quic_cipher_callbacks(ngtcp2_callbacks *out)
{
    out->encrypt = encrypt;
    out->decrypt = decrypt;
    out->hp_mask = ngtcp2_crypto_hp_mask_cb;
    out->update_key = update_key;
    out->delete_crypto_aead_ctx = delete_context;
    out->delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
}

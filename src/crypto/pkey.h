/* What RSA and ECDSA share in libcrypto: signatures over the SHA-256 of a message. A failure leaves
 * nothing in libcrypto's error queue, which belongs to the application. */
#ifndef P2P_CRYPTO_PKEY_H
#define P2P_CRYPTO_PKEY_H

#include <openssl/evp.h>

#include "crypto/crypto.h"

/* From the type's own form: PKCS#1 or SEC1. NULL if malformed. type: EVP_PKEY_RSA, EVP_PKEY_EC. */
EVP_PKEY *p2p__pkey_private(int type, const uint8_t *der, size_t der_len);
/* The public key from PKCS#1, and from an uncompressed point of P-256, which is checked to be on
 * the curve. Twenty times as fast as from PKIX, for which libcrypto tries all that it knows. */
EVP_PKEY *p2p__pkey_rsa(const uint8_t *der, size_t der_len);
EVP_PKEY *p2p__pkey_p256(const uint8_t *point, size_t point_len);

/* Writes to P2P__SIG_MAX bytes. padding: RSA_PKCS1_PADDING, or 0 for none. */
int p2p__pkey_sign(EVP_PKEY *key, int padding, const struct p2p__const_iov *msg, size_t msg_count,
                   uint8_t *sig, size_t *sig_len);
int p2p__pkey_verify(EVP_PKEY *key, int padding, const struct p2p__const_iov *msg, size_t msg_count,
                     const uint8_t *sig, size_t sig_len);

/* A private key in its type's own form, in at most cap bytes; frees `key`, which may be NULL. */
int p2p__pkey_export(EVP_PKEY *key, uint8_t *out, size_t cap, size_t *len);

#endif

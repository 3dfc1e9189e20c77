/* Private keys in PEM, the form of openssl and ssh-keygen. */
#ifndef P2P_CRYPTO_PEM_H
#define P2P_CRYPTO_PEM_H

#include <stddef.h>
#include <stdint.h>

/* The first unencrypted private key in the text, as the Data of a protobuf PrivateKey, which takes
 * at most P2P__PRIVATE_DATA_MAX bytes and is still to be checked by the type's public_of. Returns
 * the KeyType, P2P_EKEY if there is no such key, P2P_ENOTSUP if it is of a kind that libp2p does
 * not have. */
int p2p__pem_decode(const uint8_t *text, size_t text_len, uint8_t *priv, size_t *priv_len);

#endif

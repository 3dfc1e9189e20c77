/* The certificate in which a libp2p host carries its identity through TLS (libp2p specs, tls r0),
 * for TLS over a byte pipe and for QUIC. Self-signed by a key of its own; the host's key signs that
 * key, in an extension. */
#ifndef P2P_LAYER_TLS_CERT_H
#define P2P_LAYER_TLS_CERT_H

#include <p2p/key.h>

#include "crypto/crypto.h"

enum {
    TLS_CERT_MAX = 2048,   /* with an RSA-4096 identity it takes about 1,400 */
    TLS_CERT_KEY_MAX = 160 /* P-256 takes 121 */
};

/* A certificate and its private key, both in DER (X.509; SEC1). */
struct tls_cert {
    uint8_t cert[TLS_CERT_MAX], key[TLS_CERT_KEY_MAX];
    size_t cert_len, key_len;
    int64_t not_before_s, not_after_s;
};

/* A new P-256 key and a certificate over it, valid from an hour ago, for clocks that are behind,
 * and for a hundred years. P2P_ENOMEM, or what signing with the host's key failed with. */
int p2p__tls_cert_generate(const p2p_key *host_key, int64_t wall_s, struct tls_cert *out);

/* Whom a certificate proves. That the peer has the certificate's key is for TLS to prove. */
struct tls_peer {
    p2p_peer_id id; /* len 0: not proven. Set also with P2P_EPEERID */
    uint8_t public_key[P2P_KEY_PUBLIC_MAX];
    size_t public_key_len;
    const char *error; /* a sentence of static storage for a negative return */
    uint8_t alert;     /* TLS's AlertDescription for it */
};

/* certs: what the peer sent, DER, and the spec demands that it is one. expected: the peer id asked
 * for, or NULL. P2P_EHANDSHAKE, P2P_EPEERID, P2P_ENOMEM. */
int p2p__tls_cert_verify(const struct p2p__const_iov *certs, size_t cert_count, int64_t wall_s,
                         const uint8_t *expected, size_t expected_len, struct tls_peer *out);

#endif

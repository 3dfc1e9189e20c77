/* The libp2p Public Key Extension (libp2p specs, tls), for who writes and who reads it. */
#ifndef P2P_LAYER_TLS_CERT_OID_H
#define P2P_LAYER_TLS_CERT_OID_H

#define TLS_EXTENSION_OID "1.3.6.1.4.1.53594.1.1"
#define TLS_SIGNED_PREFIX "libp2p-tls-handshake:"

enum {
    TLS_DER_OCTETS = 0x04,
};

#endif

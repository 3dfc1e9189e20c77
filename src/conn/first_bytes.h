/* What an inbound connection's first bytes say is spoken there, so that one port can serve all. */
#ifndef P2P_CONN_FIRST_BYTES_H
#define P2P_CONN_FIRST_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum first_bytes {
    FIRST_BYTES_MORE,  /* they do not say yet */
    FIRST_BYTES_PLAIN, /* multistream-select, or a private network's nonce */
    FIRST_BYTES_HTTP,
    FIRST_BYTES_TLS,
};

/* in: all that has come. nonce: of a private network, whose members begin with 24 random bytes. */
enum first_bytes p2p__first_bytes(const uint8_t *in, size_t in_len, bool nonce);

#endif

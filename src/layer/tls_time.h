/* Dates of certificates as seconds since 1970, in 64 bits also where time_t has 32. */
#ifndef P2P_LAYER_TLS_TIME_H
#define P2P_LAYER_TLS_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/asn1.h>

/* False: not a date as X.509 writes them. */
bool p2p__tls_time_read(const ASN1_TIME *in, int64_t *out_s);
/* Years 0 to 9999. False: beyond them, or out of memory. */
bool p2p__tls_time_write(int64_t at_s, ASN1_TIME *out);

#endif

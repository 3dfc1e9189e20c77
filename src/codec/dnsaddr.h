/* A TXT record of _dnsaddr.NAME, and of mDNS: "dnsaddr=" and a multiaddr (libp2p specs, addressing;
 * multiformats, dnsaddr). */
#ifndef P2P_CODEC_DNSADDR_H
#define P2P_CODEC_DNSADDR_H

#include <p2p/multiaddr.h>

#define P2P__DNSADDR_PREFIX "dnsaddr="

enum {
    P2P__DNSADDR_TXT_MAX = 1024, /* bytes; what one entry may take */
};

/* 0; P2P_ENOENT: a record of something else; P2P_EADDR: malformed, empty or too long. `out` is
 * written only on success. */
int p2p__dnsaddr_decode(const uint8_t *txt, size_t txt_len, p2p_multiaddr *out);

#endif

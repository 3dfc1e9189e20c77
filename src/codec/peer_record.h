/* Signed peer records (RFC-0003): a peer's own word on its addresses. The RFC's text is stale: what
 * is deployed has another domain and payload type, which we write; we read both. */
#ifndef P2P_CODEC_PEER_RECORD_H
#define P2P_CODEC_PEER_RECORD_H

#include <p2p/key.h>

#include "crypto/crypto.h"

enum {
    P2P__PEER_RECORD_ADDRS_MAX = 128,     /* kept of one record, as of one identify message */
    P2P__PEER_RECORD_ADDR_LEN_MAX = 1024, /* bytes; no longer multiaddr is valid */
    P2P__PEER_RECORD_PAYLOAD_MAX = 8192,  /* bytes written; the size of an identify message */
};

struct p2p__peer_record {
    p2p_peer_id peer;
    uint64_t seq; /* newer records have a higher one; not a time */
    size_t addr_count;
    struct p2p__const_iov addrs[P2P__PEER_RECORD_ADDRS_MAX]; /* views, not yet parsed */
};

/* One whole envelope with the record of its signer. Addresses that are empty or too long, and those
 * above the cap, are left out. P2P_EPROTO, P2P_EKEY, P2P_ESIG, P2P_ENOMEM; P2P_EPEERID if another
 * than the peer itself signed. */
int p2p__peer_record_open(const uint8_t *envelope, size_t envelope_len,
                          struct p2p__peer_record *out);

/* Bytes written, P2P_ETOOBIG if they do not fit (in out_cap, or the payload in its maximum),
 * P2P_EINVAL above the cap of addresses, or what signing returned. */
int64_t p2p__peer_record_seal(const p2p_key *key, uint64_t seq, const struct p2p__const_iov *addrs,
                              size_t addr_count, uint8_t *out, size_t out_cap);

#endif

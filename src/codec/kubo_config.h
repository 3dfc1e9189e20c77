/* The identity in kubo's configuration file (JSON): {"Identity": {"PeerID": .., "PrivKey": ..}}. */
#ifndef P2P_CODEC_KUBO_CONFIG_H
#define P2P_CODEC_KUBO_CONFIG_H

#include <stddef.h>

enum {
    P2P__KUBO_PRIV_KEY_MAX = 3500, /* characters; the longest private key takes 3,436 in base64 */
    P2P__KUBO_PEER_ID_MAX = 128,
};

struct p2p__kubo_identity {
    char priv_key[P2P__KUBO_PRIV_KEY_MAX]; /* base64; NUL-terminated, as is: */
    char peer_id[P2P__KUBO_PEER_ID_MAX];   /* "" if it is not there */
};

/* All of the text must be JSON (RFC 8259), at most 32 levels deep, and the names on the way to the
 * identity must be unique. NULL, or what is wrong with it. */
const char *p2p__kubo_identity_parse(const char *text, size_t text_len,
                                     struct p2p__kubo_identity *out);

#endif

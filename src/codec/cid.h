/* Content identifiers, versions 0 and 1, as bytes and as text. */
#ifndef P2P_CODEC_CID_H
#define P2P_CODEC_CID_H

#include <stddef.h>
#include <stdint.h>

#include "codec/multihash.h"

#define P2P__CID_MAX      (1 + 9 + P2P__MULTIHASH_MAX) /* bytes */
#define P2P__CID_TEXT_MAX (2 + 2 * P2P__CID_MAX)       /* characters in base16, with the NUL */

struct cid {
    unsigned version; /* 0 or 1 */
    uint64_t codec;   /* dag-pb in version 0 */
    struct multihash hash;
};

/* `in` must be one whole CID. 0, P2P_EPROTO, or P2P_ENOTSUP (a version or hash function that is
 * not known). */
int p2p__cid_decode(const uint8_t *in, size_t in_len, struct cid *out);

/* Bytes written (> 0), P2P_EINVAL for what decode would refuse, P2P_ETOOBIG. */
int p2p__cid_encode(const struct cid *self, uint8_t *out, size_t out_cap);

/* Text to `bytes`, which `out` then points into: version 0 (46 characters from "Qm") or any
 * multibase. Codes as decode, and multibase's. */
int p2p__cid_parse(const char *text, size_t text_len, uint8_t bytes[P2P__CID_MAX], struct cid *out);

/* Characters written without the NUL. Version 0 is base58btc whatever `base` says. */
int64_t p2p__cid_format(const struct cid *self, char base, char *out, size_t out_cap);

#endif

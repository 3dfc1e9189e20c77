/* Names and numbers of the multiformats, from the one list in multicodec.def. */
#ifndef P2P_CODEC_MULTICODEC_H
#define P2P_CODEC_MULTICODEC_H

#include <stddef.h>
#include <stdint.h>

enum p2p__multicodec {
#define X(identifier, name, tag, code) P2P__CODEC_##identifier = code,
#include "codec/multicodec.def"
#undef X
};

struct multicodec {
    const char *name;
    const char *tag; /* what kind of thing it is: "multihash", "multiaddr", "ipld" ... */
    uint32_t code;
};

/* Static storage, or NULL when the table has no such entry. */
const struct multicodec *p2p__multicodec_by_code(uint64_t code);
const struct multicodec *p2p__multicodec_by_name(const char *name, size_t name_len);

#endif

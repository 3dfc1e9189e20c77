/* A multiaddr that is kept: its bytes and no more (p2p_multiaddr is as long as the longest). */
#ifndef P2P_CODEC_ADDR_COPY_H
#define P2P_CODEC_ADDR_COPY_H

#include <stdbool.h>
#include <string.h>

#include <p2p/multiaddr.h>

#include "base/mem.h"

struct addr_copy {
    uint16_t len;
    uint8_t bytes[];
};

/* NULL: no memory. Freed with p2p__free. */
static inline struct addr_copy *addr_copy(const p2p_multiaddr *addr)
{
    struct addr_copy *self = p2p__realloc(NULL, sizeof(*self) + addr->len);
    if (self) {
        self->len = (uint16_t)addr->len;
        memcpy(self->bytes, addr->bytes, addr->len);
    }
    return self;
}

static inline void addr_load(const struct addr_copy *self, p2p_multiaddr *out)
{
    out->len = self->len;
    memcpy(out->bytes, self->bytes, self->len);
}

static inline bool addr_is(const struct addr_copy *self, const p2p_multiaddr *addr)
{
    return self->len == addr->len && memcmp(self->bytes, addr->bytes, addr->len) == 0;
}

#endif

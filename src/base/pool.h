/* The host's memory for bytes under way: blocks of 4, 16 and 66 KiB that go back when empty. The
 * pool keeps at most 4 MiB of free blocks: a malloc and free of 64 KiB for each burst costs up to
 * five seals on some allocators. */
#ifndef P2P_BASE_POOL_H
#define P2P_BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

enum {
    POOL_SMALL = 4096,
    POOL_MEDIUM = 16384,
    POOL_LARGE = 66 * 1024, /* so that 64 KiB fit with what precedes them: a record's length */
    POOL_KEEP_MAX = 4 * 1024 * 1024,
};

struct pool_free;

struct pool {
    struct pool_free *free[3];
    size_t kept_bytes; /* in the free lists */
    size_t used_bytes; /* handed out */
    size_t max_bytes;  /* cap on used_bytes; 0: none */
    /* Bytes that whoever uses this pool has copied, in all: ./dev bench holds it against those
     * sent.
     */
    uint64_t copied_bytes;
};

void p2p__pool_init(struct pool *self, size_t max_bytes);
void p2p__pool_fini(struct pool *self);
/* Frees what it keeps. */
void p2p__pool_trim(struct pool *self);

/* At least *size bytes (uninitialised), with the real size in *size; NULL when out of memory or
 * over max_bytes. Larger than POOL_LARGE comes from the allocator. */
void *p2p__pool_get(struct pool *self, size_t *size);
/* size: what p2p__pool_get gave. */
void p2p__pool_put(struct pool *self, void *block, size_t size);

#endif

/* An allocator that fails when told: the n-th allocation, once or from then on. */
#ifndef P2P_TESTS_SCARCE_MEMORY_H
#define P2P_TESTS_SCARCE_MEMORY_H

#include <stdbool.h>
#include <stdlib.h>

#include <p2p/mem.h>

static struct {
    bool armed, for_ever, failed;
    size_t until; /* so many more succeed */
    long blocks;
} memory;

static inline bool memory_refuses(void)
{
    if (!memory.armed)
        return false;
    if (memory.until > 0) {
        memory.until--;
        return false;
    }
    if (memory.failed && !memory.for_ever)
        return false;
    memory.failed = true;
    return true;
}

static inline void *scarce_malloc(size_t size)
{
    void *block = memory_refuses() ? NULL : malloc(size);
    memory.blocks += block != NULL;
    return block;
}

static inline void *scarce_realloc(void *old, size_t size)
{
    void *block = memory_refuses() ? NULL : realloc(old, size);
    memory.blocks += !old && block;
    return block;
}

static inline void scarce_free(void *block)
{
    memory.blocks -= block != NULL;
    free(block);
}

/* The library allocates here from now on. */
static inline void memory_watch(void)
{
    static const p2p_mem scarce = {scarce_malloc, scarce_realloc, scarce_free};
    p2p_mem_set(&scarce);
}

/* n more allocations succeed, then one fails, or all. */
static inline void memory_fail_after(size_t n, bool for_ever)
{
    memory.until = n;
    memory.for_ever = for_ever;
    memory.failed = false;
    memory.armed = true;
}

static inline void memory_fail_no_more(void)
{
    memory.armed = false;
}

#endif

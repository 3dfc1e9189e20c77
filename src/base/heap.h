/* A pairing heap of deadlines. The node is a part of whatever waits, so that waiting never
 * allocates and never fails. */
#ifndef P2P_BASE_HEAP_H
#define P2P_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_NEVER UINT64_MAX

struct heap_node {
    struct heap_node *child, *next,
        *prev; /* prev: the left sibling, or the parent of a first child */
    uint64_t at_us;
    bool queued;
};

struct heap {
    struct heap_node *root;
    size_t count;
};

static inline struct heap_node *heap_first(const struct heap *self)
{
    return self->root;
}

static inline uint64_t heap_at(const struct heap *self)
{
    return self->root ? self->root->at_us : HEAP_NEVER;
}

/* Puts the node at at_us, moving it if it is queued; HEAP_NEVER takes it out. */
void p2p__heap_set(struct heap *self, struct heap_node *node, uint64_t at_us);
static inline void heap_remove(struct heap *self, struct heap_node *node)
{
    p2p__heap_set(self, node, HEAP_NEVER);
}

#endif

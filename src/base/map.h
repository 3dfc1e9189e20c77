/* Intrusive hash table, keyed against peers that choose ids to collide. Putting never fails: when
 * there is no memory to grow, chains get longer. */
#ifndef P2P_BASE_MAP_H
#define P2P_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

struct map {
    struct map_node **slots; /* NULL: all in `only` */
    struct map_node *only;
    uint32_t count, mask;
};

void p2p__map_put(struct map *self, struct map_node *node, uint64_t hash);
void p2p__map_remove(struct map *self, struct map_node *node);
/* The first node with that hash, then the next: the caller compares keys. */
struct map_node *p2p__map_first(const struct map *self, uint64_t hash);
struct map_node *p2p__map_next(const struct map_node *node);
/* Frees the table, not the nodes. */
void p2p__map_fini(struct map *self);

#endif

#include "base/map.h"

#include "base/mem.h"

enum {
    GROW_FROM = 8, /* below this many nodes one chain is the faster table */
};

static struct map_node **slot_of(const struct map *self, uint64_t hash)
{
    return self->slots ? &self->slots[hash & self->mask] : (struct map_node **)&self->only;
}

static void grow(struct map *self)
{
    uint32_t size = self->slots ? (self->mask + 1) * 2 : 2 * GROW_FROM;
    struct map_node **slots = size ? p2p__alloc(size * sizeof(struct map_node *)) : NULL;
    if (!slots)
        return;
    uint32_t old_size = self->slots ? self->mask + 1 : 1;
    for (uint32_t i = 0; i < old_size; i++) {
        struct map_node *node = self->slots ? self->slots[i] : self->only;
        while (node) {
            struct map_node *next = node->next;
            node->next = slots[node->hash & (size - 1)];
            slots[node->hash & (size - 1)] = node;
            node = next;
        }
    }
    p2p__free(self->slots);
    self->slots = slots;
    self->only = NULL;
    self->mask = size - 1;
}

void p2p__map_put(struct map *self, struct map_node *node, uint64_t hash)
{
    if (self->count >= (self->slots ? self->mask + 1 : GROW_FROM))
        grow(self);
    struct map_node **slot = slot_of(self, hash);
    node->hash = hash;
    node->next = *slot;
    *slot = node;
    self->count++;
}

void p2p__map_remove(struct map *self, struct map_node *node)
{
    struct map_node **at = slot_of(self, node->hash);
    while (*at && *at != node)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = node->next;
    node->next = NULL;
    if (--self->count == 0)
        p2p__map_fini(self);
}

struct map_node *p2p__map_first(const struct map *self, uint64_t hash)
{
    struct map_node *node = *slot_of(self, hash);
    while (node && node->hash != hash)
        node = node->next;
    return node;
}

struct map_node *p2p__map_next(const struct map_node *node)
{
    uint64_t hash = node->hash;
    for (node = node->next; node && node->hash != hash; node = node->next)
        continue;
    return (struct map_node *)node;
}

void p2p__map_fini(struct map *self)
{
    p2p__free(self->slots);
    *self = (struct map){0};
}

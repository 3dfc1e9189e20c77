/* A store that forgets with the process. */
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "store/store.h"

struct entry {
    struct map_node node;
    struct list all;
    size_t key_len, value_len;
    uint8_t bytes[];
};

struct memory {
    struct store store;
    struct hash_key hash_key;
    struct map map;
    struct list all;
    size_t bytes, max_bytes;
};

static size_t cost(const struct entry *entry)
{
    return sizeof(*entry) + entry->key_len + entry->value_len;
}

static struct entry *find(const struct memory *self, const void *key, size_t key_len)
{
    struct map_node *node = p2p__map_first(&self->map, p2p__hash(&self->hash_key, key, key_len));
    for (; node; node = p2p__map_next(node)) {
        struct entry *entry = P2P__CONTAINER(node, struct entry, node);
        if (entry->key_len == key_len && memcmp(entry->bytes, key, key_len) == 0)
            return entry;
    }
    return NULL;
}

static void drop(struct memory *self, struct entry *entry)
{
    if (!entry)
        return;
    self->bytes -= cost(entry);
    p2p__map_remove(&self->map, &entry->node);
    list_remove(&entry->all);
    p2p__free(entry);
}

static int64_t memory_get(struct store *store, const void *key, size_t key_len, void *out,
                          size_t cap)
{
    const struct entry *entry = find((struct memory *)store, key, key_len);
    if (!entry)
        return P2P_ENOENT;
    if (entry->value_len > cap)
        return P2P_ETOOBIG;
    memcpy(out, entry->bytes + entry->key_len, entry->value_len);
    return (int64_t)entry->value_len;
}

static int memory_each(struct store *store, const void *prefix, size_t prefix_len, store_each_cb fn,
                       void *user)
{
    struct memory *self = (struct memory *)store;
    for (struct list *node = self->all.next; node != &self->all; node = node->next) {
        const struct entry *entry = P2P__CONTAINER(node, struct entry, all);
        if ((prefix_len == 0 ||
             (entry->key_len >= prefix_len && memcmp(entry->bytes, prefix, prefix_len) == 0)) &&
            !fn(user, entry->bytes, entry->key_len, entry->bytes + entry->key_len,
                entry->value_len))
            break;
    }
    return 0;
}

/* Everything that the batch puts is made first, so that the second half cannot fail. */
static int prepare(struct memory *self, const struct store_batch *batch, struct list *made)
{
    size_t more = 0;
    for (struct list *node = batch->changes.next; node != &batch->changes; node = node->next) {
        const struct store_change *change = P2P__CONTAINER(node, struct store_change, node);
        if (change->remove)
            continue;
        const struct entry *old = find(self, change->bytes, change->key_len);
        size_t size = sizeof(*old) + change->key_len + change->value_len;
        more += size - (old && cost(old) <= size ? cost(old) : 0);
        struct entry *entry = p2p__alloc(size);
        if (!entry)
            return P2P_ENOMEM;
        entry->key_len = change->key_len;
        entry->value_len = change->value_len;
        memcpy(entry->bytes, change->bytes, change->key_len + change->value_len);
        list_append(made, &entry->all);
    }
    return more > self->max_bytes - self->bytes ? P2P_ELIMIT : 0;
}

static int memory_commit(struct store *store, const struct store_batch *batch)
{
    struct memory *self = (struct memory *)store;
    struct list made, *node;
    list_init(&made);
    int rc = prepare(self, batch, &made);
    if (rc < 0) {
        while ((node = list_pop(&made)))
            p2p__free(P2P__CONTAINER(node, struct entry, all));
        snprintf(self->store.why, sizeof(self->store.why), "%s",
                 rc == P2P_ELIMIT ? "the store in memory is full" : p2p_code_text(rc));
        return rc;
    }
    for (node = batch->changes.next; node != &batch->changes; node = node->next) {
        const struct store_change *change = P2P__CONTAINER(node, struct store_change, node);
        drop(self, find(self, change->bytes, change->key_len));
        if (change->remove)
            continue;
        struct entry *entry = P2P__CONTAINER(list_pop(&made), struct entry, all);
        list_append(&self->all, &entry->all);
        p2p__map_put(&self->map, &entry->node,
                     p2p__hash(&self->hash_key, entry->bytes, entry->key_len));
        self->bytes += cost(entry);
    }
    return 0;
}

static void memory_close(struct store *store)
{
    struct memory *self = (struct memory *)store;
    while (!list_empty(&self->all))
        drop(self, P2P__CONTAINER(self->all.next, struct entry, all));
    p2p__map_fini(&self->map);
    p2p__free(self);
}

static const struct store_ops memory_ops = {
    .get = memory_get,
    .each = memory_each,
    .commit = memory_commit,
    .close = memory_close,
};

struct store *p2p__store_memory(size_t max_bytes, const struct hash_key *hash_key)
{
    struct memory *self = p2p__alloc(sizeof(*self));
    if (!self)
        return NULL;
    self->store.ops = &memory_ops;
    self->hash_key = *hash_key;
    self->max_bytes = max_bytes;
    list_init(&self->all);
    return &self->store;
}

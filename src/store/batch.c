#include <string.h>

#include "base/mem.h"
#include "store/store.h"

void p2p__store_batch_init(struct store_batch *self)
{
    list_init(&self->changes);
    self->bytes = 0;
}

void p2p__store_batch_fini(struct store_batch *self)
{
    struct list *node;
    while ((node = list_pop(&self->changes)))
        p2p__free(P2P__CONTAINER(node, struct store_change, node));
    self->bytes = 0;
}

void p2p__store_batch_cut(struct store_batch *self, struct list *last)
{
    while (self->changes.prev != last) {
        struct store_change *change = P2P__CONTAINER(self->changes.prev, struct store_change, node);
        self->bytes -= change->key_len + change->value_len;
        list_remove(&change->node);
        p2p__free(change);
    }
}

void p2p__store_batch_append(struct store_batch *self, struct store_batch *more)
{
    struct list *node;
    while ((node = list_pop(&more->changes))) {
        struct store_change *change = P2P__CONTAINER(node, struct store_change, node);
        size_t bytes = change->key_len + change->value_len;
        if (bytes > STORE_BATCH_MAX - self->bytes) {
            p2p__free(change);
            continue;
        }
        self->bytes += bytes;
        list_append(&self->changes, node);
    }
    more->bytes = 0;
}

static int add(struct store_batch *self, bool remove, const void *key, size_t key_len,
               const void *value, size_t value_len)
{
    if (key_len == 0 || key_len > STORE_KEY_MAX || value_len > STORE_VALUE_MAX)
        return P2P_ETOOBIG;
    if (key_len + value_len > STORE_BATCH_MAX - self->bytes)
        return P2P_ELIMIT;
    struct store_change *change = p2p__alloc(sizeof(*change) + key_len + value_len);
    if (!change)
        return P2P_ENOMEM;
    change->remove = remove;
    change->key_len = key_len;
    change->value_len = value_len;
    memcpy(change->bytes, key, key_len);
    if (value_len)
        memcpy(change->bytes + key_len, value, value_len);
    list_append(&self->changes, &change->node);
    self->bytes += key_len + value_len;
    return 0;
}

int p2p__store_batch_put(struct store_batch *self, const void *key, size_t key_len,
                         const void *value, size_t value_len)
{
    return add(self, false, key, key_len, value, value_len);
}

int p2p__store_batch_delete(struct store_batch *self, const void *key, size_t key_len)
{
    return add(self, true, key, key_len, NULL, 0);
}

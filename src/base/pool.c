#include "base/pool.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

struct pool_free {
    struct pool_free *next;
};

static const size_t class_size[3] = {POOL_SMALL, POOL_MEDIUM, POOL_LARGE};

static int class_of(size_t size)
{
    for (int i = 0; i < 3; i++)
        if (size <= class_size[i])
            return i;
    return -1;
}

void p2p__pool_init(struct pool *self, size_t max_bytes)
{
    *self = (struct pool){.max_bytes = max_bytes};
}

void p2p__pool_trim(struct pool *self)
{
    for (int i = 0; i < 3; i++) {
        while (self->free[i]) {
            struct pool_free *block = self->free[i];
            self->free[i] = block->next;
            p2p__free(block);
        }
    }
    self->kept_bytes = 0;
}

void p2p__pool_fini(struct pool *self)
{
    p2p__pool_trim(self);
}

void *p2p__pool_get(struct pool *self, size_t *size)
{
    int class = class_of(*size);
    size_t real = class < 0 ? *size : class_size[class];
    if (self->max_bytes && (real > self->max_bytes || self->used_bytes > self->max_bytes - real))
        return NULL;
    void *block = NULL;
    if (class >= 0 && self->free[class]) {
        block = self->free[class];
        self->free[class] = self->free[class]->next;
        self->kept_bytes -= real;
    } else {
        block = p2p__realloc(NULL, real);
    }
    if (!block)
        return NULL;
    self->used_bytes += real;
    *size = real;
    return block;
}

void p2p__pool_put(struct pool *self, void *block, size_t size)
{
    if (!block)
        return;
    assert(self->used_bytes >= size);
    self->used_bytes -= size;
    int class = class_of(size);
    if (class < 0 || self->kept_bytes + size > POOL_KEEP_MAX) {
        p2p__free(block);
        return;
    }
    struct pool_free *node = block;
    node->next = self->free[class];
    self->free[class] = node;
    self->kept_bytes += size;
}

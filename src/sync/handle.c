/* The table of handles: the one mutable static of the library besides the allocator, because a
 * number that anybody may pass at any time leads nowhere without one. */
#include <assert.h>

#include "base/mem.h"
#include "io/gate.h"
#include "sync/object.h"

enum {
    INDEX_BITS = 24,
    HANDLES_MAX = 1 << 20, /* far more than streams fit into memory */
    SLOTS_MIN = 64,
};

struct slot {
    struct object *object; /* NULL: free */
    uint32_t next_free;    /* index + 1, 0: the last */
};

static struct {
    pthread_mutex_t lock;
    struct slot *slots; /* freed with the last handle */
    uint32_t slot_count, used, first_free;
    uint64_t last_generation; /* 40 bits: a million handles a second for twelve days */
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- references ---- */

void p2p__object_init(struct object *self, const struct object_ops *ops, struct node *node)
{
    self->ops = ops;
    self->node = node;
    atomic_init(&self->refs, 1);
    if (self != (struct object *)node)
        p2p__object_ref((struct object *)node);
}

void p2p__object_ref(struct object *self)
{
    atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
}

void p2p__object_unref(struct object *self)
{
    unsigned before = atomic_fetch_sub_explicit(&self->refs, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1)
        return;
    struct object *node = (struct object *)self->node;
    bool is_node = node == self;
    self->ops->free(self);
    if (!is_node)
        p2p__object_unref(node);
}

/* ---- the table ---- */

static bool grow(void)
{
    uint32_t count = table.slot_count ? 2 * table.slot_count : SLOTS_MIN;
    struct slot *slots = p2p__realloc(table.slots, count * sizeof(*slots));
    if (!slots)
        return false;
    for (uint32_t i = table.slot_count; i < count; i++)
        slots[i] = (struct slot){.next_free = i + 1 < count ? i + 2 : 0};
    table.first_free = table.slot_count + 1;
    table.slots = slots;
    table.slot_count = count;
    return true;
}

static int add(struct object *self, p2p_h *out)
{
    struct object *node = (struct object *)self->node;
    if (node != self && node->handle == 0)
        return P2P_ECLOSED;
    if (table.used == HANDLES_MAX)
        return P2P_ELIMIT;
    if (!table.first_free && !grow())
        return P2P_ENOMEM;
    uint32_t index = table.first_free - 1;
    table.first_free = table.slots[index].next_free;
    table.slots[index].object = self;
    table.used++;
    self->handle = *out = ++table.last_generation << INDEX_BITS | index;
    p2p__object_ref(self);
    return 0;
}

int p2p__handle_add(struct object *self, p2p_h *out)
{
    *out = 0;
    pthread_mutex_lock(&table.lock);
    int rc = add(self, out);
    pthread_mutex_unlock(&table.lock);
    return rc;
}

static struct object *find(p2p_h handle, enum kind kind)
{
    uint64_t index = handle & ((1 << INDEX_BITS) - 1);
    struct object *object = index < table.slot_count ? table.slots[index].object : NULL;
    if (!object || object->handle != handle || (kind != KIND_ANY && object->ops->kind != kind))
        return NULL;
    return object;
}

struct object *p2p__handle_get(p2p_h handle, enum kind kind)
{
    pthread_mutex_lock(&table.lock);
    struct object *object = find(handle, kind);
    if (object)
        p2p__object_ref(object);
    pthread_mutex_unlock(&table.lock);
    return object;
}

static struct object *take_out(struct object *object)
{
    uint32_t index = (uint32_t)(object->handle & ((1 << INDEX_BITS) - 1));
    object->handle = 0;
    table.slots[index] = (struct slot){.next_free = table.first_free};
    table.first_free = index + 1;
    if (--table.used == 0) {
        p2p__free(table.slots);
        table.slots = NULL;
        table.slot_count = table.first_free = 0;
    }
    return object;
}

struct object *p2p__handle_remove(p2p_h handle, enum kind kind)
{
    pthread_mutex_lock(&table.lock);
    struct object *object = find(handle, kind);
    if (object)
        take_out(object);
    pthread_mutex_unlock(&table.lock);
    return object;
}

struct object *p2p__handle_remove_of(const struct node *node)
{
    struct object *object = NULL;
    pthread_mutex_lock(&table.lock);
    for (uint32_t i = 0; i < table.slot_count && !object; i++) {
        struct object *at = table.slots[i].object;
        if (at && at->node == node && (const struct node *)at != node)
            object = take_out(at);
    }
    pthread_mutex_unlock(&table.lock);
    return object;
}

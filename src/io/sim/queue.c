#include "io/sim/queue.h"

#include <assert.h>

#include <p2p/error.h>

#include "base/mem.h"

static bool earlier(const struct sim_slot *a, const struct sim_slot *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->sequence < b->sequence;
}

static void place(struct sim_queue *self, uint32_t i, struct sim_slot slot)
{
    self->slots[i] = slot;
    slot.event->pos = i + 1;
}

static void sift_up(struct sim_queue *self, uint32_t i, struct sim_slot slot)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / 4;
        if (!earlier(&slot, &self->slots[parent]))
            break;
        place(self, i, self->slots[parent]);
        i = parent;
    }
    place(self, i, slot);
}

static void sift_down(struct sim_queue *self, uint32_t i, struct sim_slot slot)
{
    for (;;) {
        uint32_t first = i * 4 + 1, best = first;
        if (first >= self->count)
            break;
        uint32_t end = first + 4 < self->count ? first + 4 : self->count;
        for (uint32_t child = first + 1; child < end; child++)
            if (earlier(&self->slots[child], &self->slots[best]))
                best = child;
        if (!earlier(&self->slots[best], &slot))
            break;
        place(self, i, self->slots[best]);
        i = best;
    }
    place(self, i, slot);
}

static void take_out(struct sim_queue *self, struct sim_event *event)
{
    uint32_t i = event->pos - 1;
    event->pos = 0;
    struct sim_slot last = self->slots[--self->count];
    if (i == self->count)
        return;
    if (i > 0 && earlier(&last, &self->slots[(i - 1) / 4]))
        sift_up(self, i, last);
    else
        sift_down(self, i, last);
}

int p2p__sim_queue_reserve(struct sim_queue *self)
{
    if (self->reserved == self->cap) {
        if (self->cap > UINT32_MAX / 8)
            return P2P_ENOMEM;
        uint32_t cap = self->cap ? self->cap * 2 : 64;
        struct sim_slot *slots = p2p__realloc(self->slots, cap * sizeof(*slots));
        if (!slots)
            return P2P_ENOMEM;
        self->slots = slots;
        self->cap = cap;
    }
    self->reserved++;
    return 0;
}

void p2p__sim_queue_release(struct sim_queue *self, struct sim_event *event)
{
    assert(self->reserved > 0);
    if (event->pos)
        take_out(self, event);
    self->reserved--;
}

void p2p__sim_queue_set(struct sim_queue *self, struct sim_event *event, uint64_t at_us)
{
    if (event->pos) {
        if (self->slots[event->pos - 1].at_us == at_us)
            return;
        take_out(self, event);
    }
    if (at_us == SIM_NEVER)
        return;
    assert(self->count < self->reserved);
    struct sim_slot slot = {at_us, self->sequence++, event};
    sift_up(self, self->count++, slot);
}

struct sim_event *p2p__sim_queue_pop(struct sim_queue *self)
{
    if (self->count == 0)
        return NULL;
    struct sim_event *event = self->slots[0].event;
    take_out(self, event);
    return event;
}

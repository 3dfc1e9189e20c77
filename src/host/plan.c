#include "host/plan.h"

#include <assert.h>

static uint8_t group_of(const struct addr_facts *facts, bool last)
{
    if (last)
        return PLAN_LAST;
    if (facts->kind == KIND_RELAY)
        return PLAN_RELAY;
    return facts->reach == REACH_PUBLIC ? PLAN_PUBLIC : PLAN_LOCAL;
}

/* What costs the fewest round trips comes first. */
static uint8_t class_of(enum addr_kind kind)
{
    switch (kind) {
    case KIND_MEMORY:
    case KIND_UNIX:
        return 0;
    case KIND_QUIC:
        return 1;
    case KIND_TCP:
        return 2;
    case KIND_WS:
    case KIND_WSS:
        return 3;
    case KIND_WEBTRANSPORT:
    case KIND_WEBRTC:
        return 4;
    case KIND_RELAY:
    case KIND_OTHER:
        break;
    }
    return 5;
}

int p2p__plan_add(struct plan *self, const struct addr_facts *facts, bool last, uint64_t now_us)
{
    if (self->count == PLAN_MAX)
        return -1;
    struct plan_item *item = &self->items[self->count];
    *item = (struct plan_item){
        .group = group_of(facts, last), .class = class_of(facts->kind), .family = facts->family};
    if (!self->next_us[item->group] && item->group == PLAN_RELAY)
        self->next_us[PLAN_RELAY] = now_us + PLAN_RELAY_US;
    if (!self->next_us[item->group] && item->group == PLAN_LAST)
        self->next_us[PLAN_LAST] = now_us + PLAN_LAST_US;
    return (int)self->count++;
}

/* Of the best class that is left, the family whose turn it is; IPv6 begins. */
static int first_of(const struct plan *self, enum plan_group group)
{
    int best = -1;
    unsigned best_rank = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        const struct plan_item *item = &self->items[i];
        if (item->started || item->group != group)
            continue;
        bool same_class = self->last_class[group] == item->class + 1;
        uint8_t turn = same_class && self->last_family[group] == 6 ? 4 : 6;
        unsigned rank = item->class * 2u + (item->family != turn);
        if (best < 0 || rank < best_rank) {
            best = (int)i;
            best_rank = rank;
        }
    }
    return best;
}

static bool under_way(const struct plan *self, enum plan_group first, enum plan_group last)
{
    for (uint32_t i = 0; i < self->count; i++) {
        const struct plan_item *item = &self->items[i];
        if (item->started && !item->over && item->group >= first && item->group <= last)
            return true;
    }
    return false;
}

static bool left(const struct plan *self, enum plan_group first, enum plan_group last)
{
    for (uint32_t i = 0; i < self->count; i++) {
        const struct plan_item *item = &self->items[i];
        if (!item->started && item->group >= first && item->group <= last)
            return true;
    }
    return false;
}

/* Local and public ones each have a queue of their own; who comes after them waits for both. */
static bool may_skip_the_wait(const struct plan *self, enum plan_group group)
{
    if (group <= PLAN_PUBLIC)
        return !under_way(self, group, group);
    return !under_way(self, PLAN_LOCAL, group) && !left(self, PLAN_LOCAL, group - 1);
}

int p2p__plan_next(const struct plan *self, uint64_t now_us, uint64_t *wake_us)
{
    *wake_us = UINT64_MAX;
    if (self->under_way >= PLAN_AT_ONCE)
        return -1;
    for (enum plan_group group = PLAN_LOCAL; group < PLAN_GROUPS; group++) {
        int index = first_of(self, group);
        if (index < 0)
            continue;
        bool in_line = group == PLAN_LAST && left(self, PLAN_LOCAL, PLAN_RELAY);
        if (!in_line && (now_us >= self->next_us[group] || may_skip_the_wait(self, group)))
            return index;
        if (!in_line && self->next_us[group] < *wake_us)
            *wake_us = self->next_us[group];
    }
    return -1;
}

void p2p__plan_start(struct plan *self, int index, uint64_t now_us)
{
    struct plan_item *item = &self->items[index];
    assert(!item->started);
    item->started = true;
    item->over = false;
    self->under_way++;
    self->last_class[item->group] = item->class + 1;
    self->last_family[item->group] = item->family;
    self->next_us[item->group] =
        now_us + (item->group == PLAN_LOCAL ? PLAN_STEP_LOCAL_US : PLAN_STEP_US);
    if (item->group < PLAN_LAST)
        self->next_us[PLAN_LAST] = now_us + PLAN_LAST_US;
}

void p2p__plan_skip(struct plan *self, int index)
{
    self->items[index].started = self->items[index].over = true;
}

void p2p__plan_allow(struct plan *self, int index)
{
    self->items[index].started = self->items[index].over = false;
}

void p2p__plan_over(struct plan *self, int index)
{
    struct plan_item *item = &self->items[index];
    assert(item->started && !item->over);
    item->over = true;
    self->under_way--;
}

void p2p__plan_again(struct plan *self, int index)
{
    p2p__plan_over(self, index);
    self->items[index].started = false;
}

bool p2p__plan_done(const struct plan *self)
{
    return self->under_way == 0 && !left(self, PLAN_LOCAL, PLAN_LAST);
}

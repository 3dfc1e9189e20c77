#include "conn/shard.h"

#include <assert.h>

#include <p2p/error.h>

#include "base/mem.h"

int p2p__shard_init(struct shard *self, size_t memory_max)
{
    p2p__pool_init(&self->pool, memory_max);
    list_init(&self->dirty);
    list_init(&self->dead);
    self->env.crypto = self->io->crypto;
    self->env.pool = &self->pool;
    self->env.aead = self->env.crypto->aead_new();
    self->env.tls = p2p__tls_new();
    self->env.web = p2p__web_new();
    self->seal = p2p__realloc(NULL, SHARD_SEAL_LEN);
    self->io->ops->random(self->io, &self->hash_key, sizeof(self->hash_key));
    self->now_us = io_now_us(self->io);
    return self->env.aead && self->env.tls && self->env.web && self->seal ? 0 : P2P_ENOMEM;
}

void p2p__shard_fini(struct shard *self)
{
    if (self->env.aead)
        self->env.crypto->aead_free(self->env.aead);
    p2p__tls_free(self->env.tls);
    p2p__web_free(self->env.web);
    p2p__free(self->seal);
    p2p__free(self->seal_below);
    p2p__pool_fini(&self->pool);
}

void p2p__work_mark(struct shard *self, struct work *work)
{
    if (!list_empty(&work->node))
        return;
    list_append(&self->dirty, &work->node);
    if (!self->in_turn)
        self->io->ops->mark(self->io);
}

void p2p__work_bury(struct shard *self, struct work *work, void (*bury)(struct work *))
{
    list_remove(&work->node);
    work->run = bury;
    list_append(&self->dead, &work->node);
    if (!self->in_turn)
        self->io->ops->mark(self->io);
}

static void fire_due(struct shard *self)
{
    struct heap_node *node;
    while ((node = heap_first(&self->timers)) && node->at_us <= self->now_us) {
        struct timer *timer = P2P__CONTAINER(node, struct timer, node);
        heap_remove(&self->timers, node);
        timer->fire(timer);
    }
}

/* Burying may drop the last thing that another object waited for, so this goes on until the list is
 * empty; `node` stays off both lists once its bury has run. */
static void bury_dead(struct shard *self)
{
    struct list *node;
    while ((node = list_pop(&self->dead))) {
        struct work *work = P2P__CONTAINER(node, struct work, node);
        work->run(work);
    }
}

/* Allocators keep what lies below a block that is still in use: after a flood, nearly all of it. */
static void give_back(struct shard *self)
{
    size_t used = self->pool.used_bytes;
    if (used > self->pool_peak)
        self->pool_peak = used;
    if (self->pool_peak - used < (size_t)SHARD_SPARE_LEN) {
        self->spare_us = 0;
    } else if (!self->spare_us) {
        self->spare_us = self->now_us + (uint64_t)SHARD_SPARE_US;
    } else if (self->now_us >= self->spare_us) {
        self->spare_us = 0;
        self->pool_peak = used;
        p2p__pool_trim(&self->pool);
        if (self->io->ops->trim)
            self->io->ops->trim();
    }
}

static uint64_t next_turn_us(const struct shard *self)
{
    uint64_t timer_us = heap_at(&self->timers);
    return self->spare_us && self->spare_us < timer_us ? self->spare_us : timer_us;
}

void p2p__shard_turn(struct shard *self)
{
    assert(!self->in_turn);
    self->in_turn = true;
    self->turns++;
    self->now_us = io_now_us(self->io);
    self->pump_bytes = 0;
    fire_due(self);
    for (int items = 0; items < SHARD_TURN_ITEMS_MAX; items++) {
        struct list *node = list_pop(&self->dirty);
        if (!node)
            break;
        struct work *work = P2P__CONTAINER(node, struct work, node);
        work->run(work);
        if (self->pump_bytes >= SHARD_TURN_BYTES_MAX)
            break;
    }
    bury_dead(self);
    give_back(self);
    self->in_turn = false;
    if (!list_empty(&self->dirty))
        self->io->ops->mark(self->io);
    self->io->ops->wake_at(self->io, next_turn_us(self));
}

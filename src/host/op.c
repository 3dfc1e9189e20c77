/* Operations: something that ends once, by success, failure, deadline or cancellation. */
#include "host/host.h"

#include "base/mem.h"

/* What is told when there is no memory for the reason. */
static const p2p_error no_memory = {
    .size = sizeof(p2p_error), .code = P2P_ENOMEM, .message = "out of memory"};
static const p2p_error canceled = {
    .size = sizeof(p2p_error), .code = P2P_ECANCELED, .message = "canceled"};

static void set_why(p2p_op *self, const p2p_error *why, const p2p_error *fallback)
{
    p2p_error_free(self->why);
    self->why = why ? p2p_error_copy(why) : NULL;
    self->fallback = fallback;
}

static void bury(struct work *work)
{
    p2p_op *self = P2P__CONTAINER(work, p2p_op, work);
    p2p_error_free(self->why);
    p2p__free(self);
}

static void op_run(struct work *work)
{
    p2p_op *self = P2P__CONTAINER(work, p2p_op, work);
    if (!self->finished || self->told)
        return;
    list_remove(&self->all);
    self->told = true;
    if (self->done)
        self->done(self->user, self->why ? self->why : self->fallback);
    p2p__work_bury(&self->host->shard, &self->work, bury);
}

/* For p2p_host_after reaching the deadline is the success; everything else sets a timer of its own.
 */
static void after_fire(struct timer *timer)
{
    p2p__op_finish(P2P__CONTAINER(timer, p2p_op, timer), NULL);
}

p2p_op *p2p__op_new(p2p_host *host, size_t size, p2p_done_cb done, void *user)
{
    p2p_op *self = p2p__alloc(size);
    if (!self)
        return NULL;
    self->host = host;
    self->done = done;
    self->user = user;
    self->timer.fire = after_fire;
    work_init(&self->work, op_run);
    list_init(&self->wait);
    list_append(&host->ops, &self->all);
    return self;
}

void p2p__op_finish(p2p_op *self, const p2p_error *why)
{
    if (self->finished)
        return;
    self->finished = true;
    list_remove(&self->wait);
    timer_set(&self->host->shard, &self->timer, HEAP_NEVER);
    if (why)
        set_why(self, why, why->code == P2P_ECANCELED ? &canceled : &no_memory);
    p2p__work_mark(&self->host->shard, &self->work);
}

void p2p_op_cancel(p2p_op *self)
{
    if (self->told)
        return;
    if (self->finished) {
        /* It had ended, but nobody was told yet: what is told is the cancellation. */
        set_why(self, NULL, &canceled);
        return;
    }
    if (self->on_cancel)
        self->on_cancel(self);
    p2p__op_finish(self, &canceled);
}

void p2p__op_cancel_all(p2p_host *host)
{
    struct list *node = host->ops.next;
    while (node != &host->ops) {
        p2p_op *op = P2P__CONTAINER(node, p2p_op, all);
        node = node->next;
        if (!op->finished)
            p2p_op_cancel(op);
    }
}

p2p_op *p2p_host_after(p2p_host *host, int delay_ms, p2p_done_cb done, void *user)
{
    p2p_op *self = p2p__op_new(host, sizeof(*self), done, user);
    if (self && host->closing)
        p2p_op_cancel(self);
    else if (self)
        timer_set(&host->shard, &self->timer,
                  io_now_us(host->shard.io) + (uint64_t)(delay_ms > 0 ? delay_ms : 0) * 1000);
    return self;
}

/* A small owner for simulated links: it counts wakes and turns, and keeps the pool. */
#ifndef P2P_TESTS_SIM_LINKS_H
#define P2P_TESTS_SIM_LINKS_H

#include <stdio.h>
#include <string.h>

#include <p2p/sim.h>

#include "io/io.h"
#include "tests/test.h"

struct machine {
    p2p_io *io;
    struct pool pool;
    struct io_addr addr; /* with the listener's port */
    struct io_listener *listener;
    int turns, wakes, listener_wakes;
    uint64_t turn_at; /* of the last one, the machine's clock */
};

static inline void machine_turn(void *user)
{
    struct machine *self = user;
    self->turns++;
    self->turn_at = io_now_us(self->io);
}

static inline void link_woken(struct link *link)
{
    struct machine *self = link->owner;
    self->wakes++;
    self->io->ops->mark(self->io);
}

static inline void listener_woken(struct io_listener *listener)
{
    struct machine *self = listener->owner;
    self->listener_wakes++;
    self->io->ops->mark(self->io);
}

static inline struct io_addr ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (struct io_addr){.family = 4, .port = port, .ip = {a, b, c, d}};
}

/* 10.9.0.n in that region. */
static inline void machine_init(struct machine *self, p2p_sim *sim, uint8_t n, unsigned region)
{
    memset(self, 0, sizeof(*self));
    char ip[16];
    snprintf(ip, sizeof(ip), "10.9.0.%d", n);
    self->io = p2p_sim_host(sim, ip, region);
    assert_non_null(self->io);
    self->io->turn = machine_turn;
    self->io->user = self;
    self->addr = ip4(10, 9, 0, n, 4001);
    p2p__pool_init(&self->pool, 0);
}

static inline void machine_listen(struct machine *self)
{
    int sys_errno = 0;
    assert_int_equal(self->io->ops->listen(self->io, &self->addr, &self->listener, &sys_errno), 0);
    self->listener->owner = self;
    self->listener->wake = listener_woken;
}

static inline void link_adopt(struct link *link, struct machine *owner)
{
    link->owner = owner;
    link->wake = link_woken;
    link->in.max = 1 << 20;
}

static inline struct link *machine_dial(struct machine *self, const struct machine *to)
{
    struct link *link = NULL;
    int sys_errno = 0;
    assert_int_equal(
        self->io->ops->dial(self->io, &to->addr, NULL, 0, &self->pool, &link, &sys_errno), 0);
    link_adopt(link, self);
    return link;
}

static inline struct link *machine_accept(struct machine *self)
{
    struct link *link = NULL;
    int sys_errno = 0;
    if (self->io->ops->accept(self->listener, &self->pool, &link, &sys_errno) < 0)
        return NULL;
    link_adopt(link, self);
    return link;
}

static inline void link_close(struct link *link, bool abort)
{
    p2p__buf_fini(&link->in, link->pool);
    p2p__outq_fini(&link->out, link->pool);
    link->ops->close(link, abort);
}

static inline void machine_fini(struct machine *self)
{
    self->io->turn = NULL;
    p2p_io_free(self->io);
    assert_int_equal(self->pool.used_bytes, 0);
    p2p__pool_fini(&self->pool);
}

/* Two machines of region 0 and a connection between them, with the world in between. */
struct pair {
    p2p_sim *sim;
    struct machine a, b;
    struct link *from, *to; /* dialed by a; accepted by b */
};

static inline struct p2p_sim *sim_with(uint64_t seed, const p2p_sim_path_options *path)
{
    p2p_sim_options options = P2P_SIM_OPTIONS_INIT;
    options.seed = seed;
    p2p_sim *sim = p2p_sim_new(&options);
    assert_non_null(sim);
    if (path)
        assert_int_equal(p2p_sim_path(sim, P2P_SIM_ANY_REGION, P2P_SIM_ANY_REGION, path), 0);
    return sim;
}

static inline void pair_init(struct pair *self, uint64_t seed, const p2p_sim_path_options *path)
{
    self->sim = sim_with(seed, path);
    machine_init(&self->a, self->sim, 1, 0);
    machine_init(&self->b, self->sim, 2, 0);
    machine_listen(&self->b);
    self->from = self->to = NULL;
}

static inline bool pair_connected(void *user)
{
    struct pair *self = user;
    if (!self->to)
        self->to = machine_accept(&self->b);
    return self->to && self->from->connected;
}

static inline void pair_connect(struct pair *self)
{
    self->from = machine_dial(&self->a, &self->b);
    assert_true(p2p_sim_run_until(self->sim, pair_connected, self, 10 * 1000000));
}

static inline void pair_fini(struct pair *self)
{
    if (self->from)
        link_close(self->from, true);
    if (self->to)
        link_close(self->to, true);
    machine_fini(&self->a);
    machine_fini(&self->b);
    p2p_sim_free(self->sim);
}

static inline size_t link_write(struct link *link, const void *bytes, size_t len)
{
    struct iov iov = {(uint8_t *)(uintptr_t)bytes, len};
    return link->ops->write(link, &iov, 1);
}

/* Reads and drops: how many bytes; all that is there. */
static inline size_t link_drain(struct link *link)
{
    size_t total = 0, n;
    while ((n = link->ops->fill(link)) > 0) {
        total += n;
        buf_consume(&link->in, buf_len(&link->in));
    }
    assert_int_equal(p2p__buf_settle(&link->in, link->pool), 0);
    return total;
}

#endif

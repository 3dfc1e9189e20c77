/* A host under attack, an honest one that keeps pinging it over another connection, and a machine
 * for raw peers. What every attack must leave as it was is measured before and after: memory,
 * descriptors, connections, streams, timers; and the honest peer never waits. Include after
 * tests/world.h. */
#ifndef P2P_TESTS_SCENE_H
#define P2P_TESTS_SCENE_H

#include <malloc.h>

#include <p2p/echo.h>
#include <p2p/mem.h>
#include <p2p/ping.h>

#include "host/host.h"
#include "tests/echo.h"
#include "tests/fds.h"
#include "tests/known.h"
#include "tests/raw_peer.h"

enum {
    SCENE_PEER_BYTES_MAX = 32 << 20, /* what one peer may cost */
    SCENE_HEAP_SLACK = 64 << 10,     /* tables that grew and stay */
    SCENE_UNDER_WAY = 8 << 20, /* what the pool keeps, and what the simulator's network holds */
    SCENE_PING_MS = 100,
    /* The simulator's round trip is 50 ms; a real machine may be busy with other tests. */
    SCENE_WORST_SIM_US = 250 * 1000,
    SCENE_WORST_UV_US = 2000 * 1000,
};

struct scene_load {
    size_t pool, conns, conns_in, half_open, peers, streams, timers, fds;
    int64_t heap; /* what the raw peers' machine keeps in its own ways may make it negative */
};

struct scene {
    struct world world;
    p2p_host *victim, *honest;
    struct raw_net net;
    char addr[256];
    struct scene_load before;
    size_t pool_peak, heap_slack;
    int64_t heap_peak;
    /* what the victim was told */
    int connected, disconnected, limits;
    int code;
    uint32_t remote_code;
    char message[200], limit[40];
    /* the honest peer's pings */
    p2p_ping *ping;
    bool ping_over;
    unsigned good, bad;
    uint64_t worst_us;
};

/* ---- memory of the library, all hosts together ---- */

static size_t scene_heap;

static inline void *scene_malloc(size_t size)
{
    void *memory = malloc(size);
    scene_heap += malloc_usable_size(memory);
    return memory;
}

static inline void scene_free_memory(void *memory)
{
    scene_heap -= malloc_usable_size(memory);
    free(memory);
}

static inline void *scene_realloc(void *old, size_t size)
{
    scene_heap -= malloc_usable_size(old);
    void *memory = realloc(old, size);
    scene_heap += malloc_usable_size(memory ? memory : old);
    return memory;
}

/* First thing in main. */
static inline void scene_count_memory(void)
{
    static const p2p_mem counting = {scene_malloc, scene_realloc, scene_free_memory};
    p2p_mem_set(&counting);
}

/* ---- what the victim carries ---- */

static inline struct scene_load scene_load(const struct scene *self)
{
    forget_known(self->victim);
    const p2p_host *host = self->victim;
    struct scene_load load = {
        .pool = host->shard.pool.used_bytes,
        .conns_in = host->limits.conns_in,
        .half_open = host->limits.half_open,
        .timers = host->shard.timers.count,
        .fds = self->world.kind == WORLD_UV ? fds_open() : 0,
        .heap = (int64_t)(scene_heap - host->shard.pool.kept_bytes -
                          self->honest->shard.pool.kept_bytes - self->net.pool.kept_bytes -
                          self->net.pool.used_bytes),
    };
    for (const struct list *n = host->conns.next; n != &host->conns; n = n->next) {
        const struct p2p_conn *conn = P2P__CONTAINER(n, const struct p2p_conn, all);
        load.conns++;
        if (conn->muxer)
            load.streams += conn->muxer->streams_in + conn->muxer->streams_out;
    }
    for (const struct list *n = host->peers.next; n != &host->peers; n = n->next)
        load.peers++;
    return load;
}

static inline bool scene_is_calm(void *user)
{
    struct scene *self = user;
    struct scene_load now = scene_load(self);
    const struct scene_load *was = &self->before;
    return now.pool <= was->pool && now.conns == was->conns && now.conns_in == was->conns_in &&
           now.half_open == 0 && now.peers == was->peers && now.streams <= was->streams &&
           now.timers <= was->timers && now.fds <= was->fds &&
           now.heap <= was->heap + (int64_t)self->heap_slack;
}

/* ---- the two hosts ---- */

static inline void scene_connected(p2p_host *host, p2p_conn *conn, void *user)
{
    (void)host, (void)conn;
    ((struct scene *)user)->connected++;
}

static inline void scene_disconnected(p2p_host *host, p2p_conn *conn, const p2p_error *why,
                                      void *user)
{
    struct scene *self = user;
    (void)host, (void)conn;
    self->disconnected++;
    self->code = why->code;
    self->remote_code = why->remote_code;
    snprintf(self->message, sizeof(self->message), "%s", why->message ? why->message : "");
}

static inline void scene_limit(p2p_host *host, const p2p_error *why, void *user)
{
    struct scene *self = user;
    (void)host;
    self->limits++;
    snprintf(self->limit, sizeof(self->limit), "%s", why->limit);
}

static const p2p_host_events scene_events = {
    .size = sizeof(scene_events),
    .on_connected = scene_connected,
    .on_disconnected = scene_disconnected,
    .on_limit = scene_limit,
};

static inline void scene_pinged(void *user, const p2p_ping_result *result)
{
    struct scene *self = user;
    if (result->why)
        self->bad++;
    else
        self->good++;
    if (!result->why && result->rtt_us > self->worst_us)
        self->worst_us = result->rtt_us;
}

static inline void scene_ping_done(void *user, const p2p_error *why)
{
    (void)why;
    ((struct scene *)user)->ping_over = true;
}

static inline bool scene_has_pinged(void *user)
{
    return ((struct scene *)user)->good >= 3;
}

/* From here on everything counts as the attack's. */
static inline void scene_measure(struct scene *self)
{
    /* What lingers is gone by then. */
    world_run(&self->world, self->world.kind == WORLD_SIM ? 12000 : 100);
    self->before = scene_load(self);
    self->connected = self->disconnected = self->limits = 0;
    self->pool_peak = 0;
    self->heap_peak = INT64_MIN;
}

static inline bool scene_was_told(void *user)
{
    return ((struct scene *)user)->disconnected > 0;
}

static inline void scene_nothing(void *user, const p2p_error *why)
{
    (void)user, (void)why;
}

/* options: the victim's, as in world_host. */
static inline void scene_init(struct scene *self, enum world_kind kind, const char *const *options,
                              bool cheap)
{
    *self = (struct scene){.heap_slack = SCENE_HEAP_SLACK};
    world_init(&self->world, kind, 7, cheap);
    self->victim = world_host(&self->world, options);
    self->honest = world_host(&self->world, NULL);
    world_addr(self->victim, self->addr, sizeof(self->addr));
    assert_int_equal(p2p_host_handle(self->victim, ECHO_PROTOCOL, &echo_events, NULL), 0);
    p2p_host_set_events(self->victim, &scene_events, self);
    raw_net_init(&self->net, &self->world, NULL);
    p2p_ping_opts opts = P2P_PING_OPTS_INIT;
    opts.count = -1;
    opts.interval_ms = SCENE_PING_MS;
    self->ping =
        p2p_ping_start(self->honest, self->addr, &opts, scene_pinged, scene_ping_done, self);
    assert_true(world_until(&self->world, scene_has_pinged, self, 5000));
    /* What is made once, at the first use, is not the attack's: also the clock of a near deadline,
     * which a busy machine might want late. */
    p2p_host_after(self->victim, 1, scene_nothing, NULL);
    p2p_host_after(self->honest, 1, scene_nothing, NULL);
    struct raw_peer *first = raw_dial(&self->net, self->victim);
    assert_true(raw_upgrade(first));
    raw_free(first);
    scene_measure(self);
}

/* ---- time passes under attack ---- */

struct scene_wait {
    struct scene *scene;
    bool (*done)(void *);
    void *user;
};

static inline bool scene_watch(void *user)
{
    struct scene_wait *wait = user;
    struct scene *self = wait->scene;
    size_t used = self->victim->shard.pool.used_bytes;
    if (used > self->pool_peak)
        self->pool_peak = used;
    size_t raw = self->net.pool.used_bytes + self->net.pool.kept_bytes;
    if ((int64_t)(scene_heap - raw) > self->heap_peak)
        self->heap_peak = (int64_t)(scene_heap - raw);
    return wait->done && wait->done(wait->user);
}

static inline bool scene_until(struct scene *self, bool (*done)(void *), void *user, int limit_ms)
{
    struct scene_wait wait = {self, done, user};
    return world_until(&self->world, scene_watch, &wait, limit_ms);
}

static inline void scene_run(struct scene *self, int ms)
{
    (void)scene_until(self, NULL, NULL, ms);
}

static inline uint64_t scene_now_ms(const struct scene *self)
{
    return p2p_host_now_us(self->victim) / 1000;
}

/* The honest host's exchange on a stream of its own, while the attack lasts. */
static inline void scene_expect_service(struct scene *self)
{
    struct side side = {.to_send = 100000};
    open_echo(self->honest, self->addr, &side);
    assert_true(scene_until(self, closed, &side, 2000));
    assert_int_equal(side.close_code, 0);
    assert_int_equal(side.got, side.to_send);
    assert_false(side.check_failed);
}

/* The attackers leave; everything is as it was, and the honest peer never noticed. */
static inline void scene_fini(struct scene *self)
{
    scene_expect_service(self);
    raw_net_close_peers(&self->net);
    uint64_t left_ms = scene_now_ms(self);
    bool calm = scene_until(self, scene_is_calm, self, 12000);
    if (!calm) {
        struct scene_load now = scene_load(self), was = self->before;
        fail_msg("not as it was: pool %zu/%zu conns %zu/%zu in %zu/%zu half %zu peers %zu/%zu "
                 "streams %zu/%zu timers %zu/%zu fds %zu/%zu heap %lld/%lld",
                 now.pool, was.pool, now.conns, was.conns, now.conns_in, was.conns_in,
                 now.half_open, now.peers, was.peers, now.streams, was.streams, now.timers,
                 was.timers, now.fds, was.fds, (long long)now.heap, (long long)was.heap);
    }
    assert_true(scene_now_ms(self) - left_ms <= 11000);
    if (self->heap_peak > INT64_MIN)
        assert_true(self->heap_peak <= self->before.heap + SCENE_PEER_BYTES_MAX + SCENE_UNDER_WAY);
    assert_int_equal(self->bad, 0);
    assert_true(self->worst_us <=
                (self->world.kind == WORLD_SIM ? SCENE_WORST_SIM_US : SCENE_WORST_UV_US));
    p2p_ping_stop(self->ping);
    while (!self->ping_over)
        world_run(&self->world, 10);
    raw_net_fini(&self->net);
    world_fini(&self->world);
}

/* A raw peer with an open connection to the victim. */
static inline struct raw_peer *scene_raw(struct scene *self)
{
    struct raw_peer *peer = raw_dial(&self->net, self->victim);
    assert_true(raw_upgrade(peer));
    return peer;
}

#endif

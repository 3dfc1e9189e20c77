/* The simulation itself: its clock, the events and their hash, dice, and the table of paths. */
#include "io/sim/sim.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/crypto.h"

struct sim_timer {
    struct sim_event event;
    struct list in_sim;
    void (*fn)(void *user);
    void *user;
};

/* Every draw of the network, of the user, and of each machine is a sequence of its own, so that
 * more draws in one change nothing in the others. Machines count from STREAM_HOSTS. */
enum { STREAM_NET = 1, STREAM_USER = 2, STREAM_KEY = 3, STREAM_HOSTS = 16 };

static void path_set(struct sim_path *self, const p2p_sim_path_options *options)
{
    self->latency_us = options->latency_us ? options->latency_us : 1;
    self->jitter_us = options->jitter_us;
    self->rate = options->rate;
    self->flight_bytes = options->flight_bytes ? options->flight_bytes : SIM_FLIGHT_BYTES;
    self->queue_bytes = options->queue_bytes;
    self->loss_ppm = options->loss_ppm;
    self->duplicate_ppm = options->duplicate_ppm;
    self->reorder_ppm = options->reorder_ppm;
    self->mtu = options->mtu;
    self->segments = options->segments;
}

p2p_sim *p2p_sim_new(const p2p_sim_options *options)
{
    static const p2p_sim_options defaults = P2P_SIM_OPTIONS_INIT;
    static const p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    if (!options)
        options = &defaults;
    assert(options->size == sizeof(*options));
    struct p2p_sim *self = p2p__alloc(sizeof(*self));
    uint8_t *scratch = p2p__alloc(SIM_SCRATCH_LEN);
    if (!self || !scratch) {
        p2p__free(self);
        p2p__free(scratch);
        return NULL;
    }
    self->scratch = scratch;
    self->seed = options->seed;
    self->wall_us = options->wall_us;
    self->crypto = options->cheap_crypto ? &p2p__crypto_cheap : &p2p__crypto_real;
    sim_rng_init(&self->net, self->seed, STREAM_NET);
    sim_rng_init(&self->user, self->seed, STREAM_USER);
    struct sim_rng key;
    sim_rng_init(&key, self->seed, STREAM_KEY);
    self->key = (struct hash_key){sim_rng_next(&key), sim_rng_next(&key)};
    path_set(&self->any_path, &path);
    path_set(&self->loopback, &path);
    self->loopback.latency_us = SIM_LOOPBACK_US;
    self->loopback.mtu = 0;
    list_init(&self->hosts);
    list_init(&self->timers);
    list_init(&self->all_names);
    list_init(&self->datagrams);
    self->name_delay_us = SIM_NAME_DELAY_US;
    self->next_ip = 1;
    return self;
}

static struct sim_path *path_find(const struct p2p_sim *self, uint32_t a, uint32_t b,
                                  uint64_t *hash)
{
    uint32_t pair[2] = {a < b ? a : b, a < b ? b : a};
    *hash = p2p__hash(&self->key, pair, sizeof(pair));
    for (struct map_node *node = p2p__map_first(&self->paths, *hash); node;
         node = p2p__map_next(node)) {
        struct sim_path *path = P2P__CONTAINER(node, struct sim_path, node);
        if (path->region_a == pair[0] && path->region_b == pair[1])
            return path;
    }
    return NULL;
}

struct sim_path *p2p__sim_path_between(struct p2p_sim *self, const struct sim_host *a,
                                       const struct sim_host *b)
{
    if (a == b)
        return &self->loopback;
    uint64_t hash;
    struct sim_path *path = path_find(self, a->region, b->region, &hash);
    return path ? path : &self->any_path;
}

int p2p_sim_path(p2p_sim *self, unsigned region_a, unsigned region_b,
                 const p2p_sim_path_options *options)
{
    assert(options->size == sizeof(*options));
    if (options->segments < P2P_SIM_WHOLE || options->segments > P2P_SIM_BYTE)
        return P2P_EINVAL;
    if (region_a == P2P_SIM_ANY_REGION && region_b == P2P_SIM_ANY_REGION) {
        path_set(&self->any_path, options);
        return 0;
    }
    if (region_a >= P2P_SIM_REGIONS_MAX || region_b >= P2P_SIM_REGIONS_MAX)
        return P2P_EINVAL;
    uint64_t hash;
    struct sim_path *path = path_find(self, region_a, region_b, &hash);
    if (!path) {
        path = p2p__alloc(sizeof(*path));
        if (!path)
            return P2P_ENOMEM;
        path->region_a = region_a < region_b ? region_a : region_b;
        path->region_b = region_a < region_b ? region_b : region_a;
        p2p__map_put(&self->paths, &path->node, hash);
    }
    path_set(path, options);
    return 0;
}

/* Not a cryptographic hash, nor meant to be: two runs that differ will not agree in it. */
void p2p__sim_hash_add(struct p2p_sim *self, uint64_t value)
{
    uint64_t h = (self->hash ^ value) * 0x9e3779b97f4a7c15u;
    self->hash = h ^ (h >> 32);
}

void p2p__sim_hash_bytes(struct p2p_sim *self, const uint8_t *in, size_t in_len)
{
    for (; in_len >= 8; in += 8, in_len -= 8) {
        uint64_t word = 0;
        for (unsigned i = 0; i < 8; i++)
            word |= (uint64_t)in[i] << (8 * i);
        p2p__sim_hash_add(self, word);
    }
    uint64_t word = 0;
    for (unsigned i = 0; i < in_len; i++)
        word |= (uint64_t)in[i] << (8 * i);
    if (in_len)
        p2p__sim_hash_add(self, word);
}

static void fire(struct p2p_sim *self, struct sim_event *event)
{
    p2p__sim_hash_add(self, self->now_us << 3 | event->kind);
    switch ((enum sim_event_kind)event->kind) {
    case SIM_EVENT_HOST:
        p2p__sim_host_fire(P2P__CONTAINER(event, struct sim_host, event));
        return;
    case SIM_EVENT_END:
        p2p__sim_end_fire(P2P__CONTAINER(event, struct sim_end, event));
        return;
    case SIM_EVENT_QUERY:
        p2p__sim_query_fire(P2P__CONTAINER(event, struct sim_query, event));
        return;
    case SIM_EVENT_DATAGRAM:
        p2p__sim_datagram_fire(event);
        return;
    case SIM_EVENT_JOB:
        p2p__sim_job_fire(P2P__CONTAINER(event, struct sim_job, event));
        return;
    case SIM_EVENT_USER:
        break;
    }
    struct sim_timer *timer = P2P__CONTAINER(event, struct sim_timer, event);
    void (*fn)(void *user) = timer->fn;
    void *user = timer->user;
    p2p__sim_queue_release(&self->queue, event);
    list_remove(&timer->in_sim);
    p2p__free(timer);
    fn(user);
}

static bool step(struct p2p_sim *self, uint64_t until_us)
{
    assert(!self->in_event); /* running is for whoever is outside */
    if (sim_queue_at(&self->queue) > until_us)
        return false;
    uint64_t at_us = sim_queue_at(&self->queue);
    struct sim_event *event = p2p__sim_queue_pop(&self->queue);
    if (!event)
        return false;
    if (at_us > self->now_us)
        self->now_us = at_us;
    self->events++;
    self->in_event = true;
    fire(self, event);
    self->in_event = false;
    return true;
}

bool p2p_sim_step(p2p_sim *self)
{
    return step(self, SIM_NEVER - 1);
}

/* The end of a span that may reach beyond time. */
static uint64_t later(uint64_t at_us, uint64_t by_us)
{
    return by_us < SIM_NEVER - 1 - at_us ? at_us + by_us : SIM_NEVER - 1;
}

void p2p_sim_run(p2p_sim *self, uint64_t duration_us)
{
    uint64_t until_us = later(self->now_us, duration_us);
    while (step(self, until_us))
        continue;
    self->now_us = until_us;
}

bool p2p_sim_run_until(p2p_sim *self, bool (*done)(void *user), void *user, uint64_t limit_us)
{
    uint64_t until_us = later(self->now_us, limit_us);
    do {
        if (done(user))
            return true;
    } while (step(self, until_us));
    self->now_us = until_us;
    return false;
}

uint64_t p2p_sim_now_us(const p2p_sim *self)
{
    return self->now_us;
}

uint64_t p2p_sim_events(const p2p_sim *self)
{
    return self->events;
}

uint64_t p2p_sim_hash(const p2p_sim *self)
{
    return self->hash;
}

uint64_t p2p_sim_random(p2p_sim *self)
{
    return sim_rng_next(&self->user);
}

void p2p__sim_host_seed(struct p2p_sim *self, uint32_t id, struct sim_rng *out)
{
    sim_rng_init(out, self->seed, (uint64_t)STREAM_HOSTS + id);
}

int p2p_sim_at(p2p_sim *self, uint64_t at_us, void (*fn)(void *user), void *user)
{
    struct sim_timer *timer = p2p__alloc(sizeof(*timer));
    if (!timer || p2p__sim_queue_reserve(&self->queue) < 0) {
        p2p__free(timer);
        return P2P_ENOMEM;
    }
    timer->event.kind = SIM_EVENT_USER;
    timer->fn = fn;
    timer->user = user;
    list_append(&self->timers, &timer->in_sim);
    p2p__sim_queue_set(&self->queue, &timer->event, at_us > self->now_us ? at_us : self->now_us);
    return 0;
}

static void free_paths(struct p2p_sim *self)
{
    for (uint32_t a = 0; a < P2P_SIM_REGIONS_MAX && self->paths.count; a++)
        for (uint32_t b = a; b < P2P_SIM_REGIONS_MAX && self->paths.count; b++) {
            uint64_t hash;
            struct sim_path *path = path_find(self, a, b, &hash);
            if (path) {
                p2p__map_remove(&self->paths, &path->node);
                p2p__free(path);
            }
        }
}

void p2p_sim_free(p2p_sim *self)
{
    if (!self)
        return;
    assert(!self->in_event);
    while (!list_empty(&self->hosts))
        p2p__sim_host_free(P2P__CONTAINER(self->hosts.next, struct sim_host, in_sim));
    while (!list_empty(&self->timers)) {
        struct list *node = list_pop(&self->timers);
        p2p__free(P2P__CONTAINER(node, struct sim_timer, in_sim));
    }
    free_paths(self);
    p2p__sim_names_fini(self);
    p2p__sim_datagrams_fini(self);
    p2p__map_fini(&self->addresses);
    p2p__map_fini(&self->listeners);
    p2p__map_fini(&self->locals);
    p2p__map_fini(&self->ends);
    p2p__map_fini(&self->sockets);
    p2p__map_fini(&self->paths);
    p2p__free(self->queue.slots);
    p2p__free(self->cuts);
    p2p__free(self->scratch);
    p2p__free(self->trains);
    p2p__free(self);
}

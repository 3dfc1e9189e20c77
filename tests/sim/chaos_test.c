/* Everything at once: hosts that open, write, read a part, close, reset, cancel and close down in
 * any callback, on paths that lose, delay, cut and part, driven by dice that replay.
 *
 *   CHAOS_SEEDS=10000 sim-chaos_test   a long run (CHAOS_FIRST: the first seed of it)
 *   CHAOS_SEED=17 sim-chaos_test       that one, telling what happens */
#include "tests/test.h"

#include <unistd.h>

#include "tests/world.h"

#include "tests/sim/chaos_app.h"

enum {
    SEEDS = 300,
    REAL_EVERY = 10, /* one in so many with real cryptography */
    REPLAY_EVERY = 10,
    GENTLE_US = 300 * 1000 * 1000,
    EVENTS_MAX = 300 * 1000, /* a scenario takes a few thousand, byte by byte some ten thousand */
};

/* Seeds that once found a bug. */
static const uint64_t regressions[] = {1, 17, 24};

/* ---- the world ---- */

static void roll_path(struct chaos *c, p2p_sim_path_options *path)
{
    *path = (p2p_sim_path_options)P2P_SIM_PATH_INIT;
    path->latency_us = 100 + roll(c, !c->gentle && chance(c, 20) ? 400000 : 60000);
    path->jitter_us = chance(c, 50) ? roll(c, path->latency_us) : 0;
    path->segments = c->segments;
    if (chance(c, 30))
        path->rate = (c->gentle ? UINT64_C(500000) : 20000) << roll(c, 6);
    if (chance(c, 30))
        path->flight_bytes = (c->gentle ? 50000 : 1500) + (uint32_t)roll_size(c, 18);
    if (chance(c, 20))
        path->queue_bytes = 20000;
    if (chance(c, 40))
        path->loss_ppm = (uint32_t)roll(c, c->gentle ? 5000 : 100000);
}

static void paths(struct chaos *c)
{
    p2p_sim_path_options path;
    roll_path(c, &path);
    p2p_sim_path(c->sim, P2P_SIM_ANY_REGION, P2P_SIM_ANY_REGION, &path);
    for (unsigned a = 0; a < 3; a++) {
        roll_path(c, &path);
        p2p_sim_path(c->sim, a, (unsigned)roll(c, 3), &path);
    }
}

static void set(p2p_config *config, const char *name, uint64_t value)
{
    char text[32], why[200];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    if (p2p_config_set(config, name, text, why, sizeof(why)) < 0)
        fail_msg("%s", why);
}

/* Limits so low that they are met. */
static void roll_limits(struct chaos *c, p2p_config *config)
{
    if (chance(c, 30))
        set(config, "stream_send_max", 1024 + roll_size(c, 16));
    if (c->gentle) {
        set(config, "streams_per_protocol", 1000);
        set(config, "streams_in", 1000);
        set(config, "conns_per_peer", 100);
        set(config, "conns_per_ip", 100);
        return;
    }
    if (chance(c, 30))
        set(config, "streams_per_protocol", 1 + roll(c, 5));
    if (chance(c, 20))
        set(config, "streams_in", 1 + roll(c, 10));
    if (chance(c, 20))
        set(config, "conns_per_peer", 1 + roll(c, 3));
    if (chance(c, 20))
        set(config, "conns_in", 1 + roll(c, 6));
    if (chance(c, 20))
        set(config, "half_open", 1 + roll(c, 3));
    if (chance(c, 30))
        set(config, "keepalive", 500 + roll(c, 5000));
    if (chance(c, 20))
        set(config, "handshake_timeout", 300 + roll(c, 3000));
    if (chance(c, 20))
        set(config, "negotiate_timeout", 10000 - roll(c, 9000));
    if (chance(c, 15))
        set(config, "memory", 32768 + roll_size(c, 20));
}

static const p2p_host_events host_events = {
    .size = sizeof(host_events),
    .on_connected = chaos_connected,
    .on_disconnected = chaos_disconnected,
};

/* On the machine of that number, for the first time or again. */
static void start_host(struct chaos *c, int index)
{
    struct chaos_host *at = &c->hosts[index];
    char why[200], listen[100];
    p2p_config *config = p2p_config_new();
    p2p_key *key = world_key(c->seed, index);
    assert_int_equal(p2p_config_set_key(config, key), 0);
    p2p_key_free(key);
    at->c = c;
    at->index = index;
    at->closing = false;
    at->jumped_us = 0;
    at->region = (unsigned)roll(c, 3);
    at->io = p2p_sim_host(c->sim, at->ip[0] ? at->ip : NULL, at->region);
    assert_non_null(at->io);
    assert_int_equal(p2p_sim_address(at->io, 0, at->ip, sizeof(at->ip)), 0);
    snprintf(listen, sizeof(listen), "/ip4/%s/tcp/4001", at->ip);
    assert_int_equal(p2p_config_set(config, "listen", listen, why, sizeof(why)), 0);
    if (chance(c, 50))
        assert_int_equal(p2p_config_set(config, "services", "", why, sizeof(why)), 0);
    roll_limits(c, config);
    p2p_error *err = NULL;
    if (p2p_host_new(config, at->io, &at->host, &err) < 0)
        fail_msg("%s", err ? err->message : "no error");
    p2p_config_free(config);
    p2p_host_set_events(at->host, &host_events, at);
    assert_int_equal(p2p_host_handle(at->host, CHAOS_PROTOCOL, &accept_events, at), 0);
    assert_int_equal(p2p_host_handle(at->host, CHAOS_MSG_PROTOCOL, &msg_events, NULL), 0);
    if (c->gentle)
        (void)p2p_host_handle_limit(at->host, CHAOS_PROTOCOL, 1000);
    at->peer = *p2p_host_peer(at->host);
    p2p_peer_id_format(&at->peer, at->peer_text, sizeof(at->peer_text));
    world_addr(at->host, at->addr, sizeof(at->addr));
    CHAOS_SAY(c, "host %d is %s", index, at->addr);
}

/* ---- faults ---- */

static void part(struct chaos *c)
{
    p2p_io *some[CHAOS_HOSTS_MAX];
    size_t count = 0, slot = (size_t)roll(c, 4);
    for (int i = 0; i < c->host_count; i++)
        if (c->hosts[i].io && chance(c, 40))
            some[count++] = c->hosts[i].io;
    if (c->partition[slot] >= 0) {
        p2p_sim_heal(c->sim, c->partition[slot]);
        c->partition[slot] = -1;
    } else if (count) {
        c->partition[slot] = p2p_sim_partition(c->sim, some, count, NULL, 0);
    }
}

static void break_something(struct chaos *c)
{
    struct chaos_host *at = &c->hosts[roll(c, (uint64_t)c->host_count)];
    struct chaos_host *to = &c->hosts[roll(c, (uint64_t)c->host_count)];
    enum p2p_sim_cut how = (enum p2p_sim_cut)roll(c, 3);
    enum p2p_sim_direction direction;
    if (!at->io || !to->io)
        return;
    uint64_t what = roll(c, 11);
    CHAOS_SAY(c, "fault %d of host %d", (int)what, at->index);
    switch (what) {
    case 0:
        part(c);
        break;
    case 1:
        p2p_sim_cut_between(at->io, to->io, how);
        break;
    case 2:
        direction = (enum p2p_sim_direction)roll(c, 2);
        p2p_sim_cut_next(c->sim, direction, roll_size(c, 12), how);
        break;
    case 3:
        p2p_sim_host_down(at->io);
        break;
    case 4:
        p2p_sim_blackhole(at->io, true);
        break;
    case 5:
        p2p_sim_refuse(at->io, chance(c, 50));
        break;
    case 6:
        p2p_sim_slow(at->io, chance(c, 50) ? 100 + (uint32_t)roll_size(c, 14) : 0, 20000);
        break;
    case 7:
        p2p_sim_sockets(at->io, chance(c, 50) ? 1 + (uint32_t)roll(c, 6) : 0);
        break;
    case 8: {
        uint64_t jump_us = roll_size(c, 25);
        at->jumped_us += jump_us;
        p2p_sim_clock_step(at->io, (int64_t)roll_size(c, 40) - (1 << 30), jump_us);
        break;
    }
    case 9:
        paths(c);
        break;
    default:
        p2p_sim_host_up(at->io);
        p2p_sim_blackhole(at->io, false);
        break;
    }
}

static void repair_everything(struct chaos *c)
{
    for (int i = 0; i < 4; i++)
        if (c->partition[i] >= 0)
            p2p_sim_heal(c->sim, c->partition[i]);
    for (int i = 0; i < c->host_count; i++) {
        struct chaos_host *at = &c->hosts[i];
        if (!at->io)
            continue;
        p2p_sim_host_up(at->io);
        p2p_sim_blackhole(at->io, false);
        p2p_sim_refuse(at->io, false);
        p2p_sim_slow(at->io, 0, 0);
    }
}

/* ---- a scenario ---- */

static void tick(void *user)
{
    struct chaos *c = user;
    if (p2p_sim_now_us(c->sim) >= c->end_us || c->quiet)
        return;
    struct chaos_host *at = &c->hosts[roll(c, (uint64_t)c->host_count)];
    if (at->host && chance(c, 30) && c->stream_count) {
        struct chaos_stream *s = &c->streams[roll(c, c->stream_count)];
        if (!s->last)
            poke(s);
    } else if (at->host) {
        meddle(at);
    } else {
        p2p_io_free(at->io);
        start_host(c, at->index);
    }
    if (chance(c, c->faults))
        break_something(c);
    p2p_sim_at(c->sim, p2p_sim_now_us(c->sim) + 1 + roll_size(c, 18), tick, c);
}

/* A host that finds something to do in every turn would never let its thread sleep. */
static bool spins(void *user)
{
    struct chaos *c = user;
    CHAOS_EXPECT(c, p2p_sim_events(c->sim) < EVENTS_MAX, "a host never sleeps");
    return p2p_sim_events(c->sim) >= EVENTS_MAX;
}

static bool streams_are_over(void *user)
{
    struct chaos *c = user;
    if (spins(c))
        return true;
    for (unsigned i = 0; i < c->stream_count; i++)
        if (!c->streams[i].last)
            return false;
    return true;
}

static bool hosts_are_closed(void *user)
{
    const struct chaos *c = user;
    if (p2p_sim_events(c->sim) >= 2 * EVENTS_MAX)
        return true;
    for (int i = 0; i < c->host_count; i++)
        if (c->hosts[i].host)
            return false;
    return true;
}

static void begin(struct chaos *c, uint64_t seed)
{
    p2p_sim_options options = P2P_SIM_OPTIONS_INIT;
    c->seed = options.seed = seed;
    c->dice = seed * 0x2545f4914f6cdd1du;
    options.cheap_crypto = seed % REAL_EVERY != 0;
    c->sim = p2p_sim_new(&options);
    assert_non_null(c->sim);
    c->gentle = chance(c, 15);
    c->segments = chance(c, 60) ? P2P_SIM_WHOLE : chance(c, 80) ? P2P_SIM_RANDOM : P2P_SIM_BYTE;
    c->bytes_left = c->segments == P2P_SIM_BYTE ? 4000 : 400000;
    c->wild = c->gentle ? 10 : 5 + (unsigned)roll(c, 40);
    c->faults = c->gentle || chance(c, 20) ? 0 : 1 + (unsigned)roll(c, 25);
    c->host_count = 3 + (int)roll(c, 6);
    for (int i = 0; i < 4; i++)
        c->partition[i] = -1;
    paths(c);
    for (int i = 0; i < c->host_count; i++)
        start_host(c, i);
    c->end_us = 1000000 + roll(c, 15000000);
    p2p_sim_at(c->sim, 0, tick, c);
}

static void end(struct chaos *c)
{
    c->quiet = !c->gentle;
    if (c->gentle) {
        bool over = p2p_sim_run_until(c->sim, streams_are_over, c, GENTLE_US);
        CHAOS_EXPECT(c, over, "a stream never ended");
        c->quiet = true;
    } else if (chance(c, 50)) {
        repair_everything(c);
        (void)p2p_sim_run_until(c->sim, spins, c, roll_size(c, 24));
    }
    for (int i = 0; i < c->host_count; i++)
        if (c->hosts[i].host)
            close_host(&c->hosts[i]);
    bool closed = p2p_sim_run_until(c->sim, hosts_are_closed, c, 2 * CHAOS_CLOSE_US);
    CHAOS_EXPECT(c, closed, "a host never closed");
    if (!closed)
        fail_msg("seed %llu: %s", (unsigned long long)c->seed, c->failure);
    for (int i = 0; i < c->host_count; i++)
        p2p_io_free(c->hosts[i].io);
}

static uint64_t running_seed; /* for whoever dies */

static uint64_t run(uint64_t seed, bool loud)
{
    struct chaos_memory before = chaos_memory;
    struct chaos *c = calloc(1, sizeof(*c));
    running_seed = seed;
    c->loud = loud;
    begin(c, seed);
    (void)p2p_sim_run_until(c->sim, spins, c, c->end_us);
    end(c);
    uint64_t hash = p2p_sim_hash(c->sim);
    for (unsigned i = 0; i < c->op_count; i++)
        CHAOS_EXPECT(c, c->ops[i].last, "an operation never ended");
    CHAOS_EXPECT(c, streams_are_over(c), "a stream never ended");
    p2p_sim_free(c->sim);
    bool failed = c->failed;
    char failure[sizeof(c->failure)];
    memcpy(failure, c->failure, sizeof(failure));
    free(c);
    if (failed)
        fail_msg("seed %llu: %s (CHAOS_SEED=%llu tells more)", (unsigned long long)seed, failure,
                 (unsigned long long)seed);
    if (chaos_memory.blocks != before.blocks || chaos_memory.bytes != before.bytes)
        fail_msg("seed %llu: %ld blocks of memory are lost", (unsigned long long)seed,
                 chaos_memory.blocks - before.blocks);
    return hash;
}

/* ---- tests ---- */

static uint64_t number(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : fallback;
}

static void test_seeds(void **state)
{
    (void)state;
    uint64_t first = number("CHAOS_FIRST", 1), count = number("CHAOS_SEEDS", SEEDS);
    if (getenv("CHAOS_SEED")) {
        (void)run(number("CHAOS_SEED", 1), true);
        return;
    }
    for (uint64_t seed = first; seed < first + count; seed++) {
        uint64_t hash = run(seed, false);
        if (seed % REPLAY_EVERY == 1 && run(seed, false) != hash)
            fail_msg("seed %llu does not replay", (unsigned long long)seed);
    }
}

static void test_seeds_that_once_failed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(regressions) / sizeof(*regressions); i++)
        (void)run(regressions[i], false);
}

static void test_other_seeds_run_otherwise(void **state)
{
    (void)state;
    assert_true(run(1, false) != run(2, false));
}

/* An assertion of the library, or a sanitizer, ends the process: the seed must not be lost. */
extern void __sanitizer_set_death_callback(void (*fn)(void)) __attribute__((weak));

static void last_words(void)
{
    char text[100];
    int len = snprintf(text, sizeof(text), "\nchaos: died in CHAOS_SEED=%llu\n",
                       (unsigned long long)running_seed);
    if (write(2, text, (size_t)len) < 0)
        return;
}

int main(void)
{
    static const p2p_mem counting = {chaos_malloc, chaos_realloc, chaos_free};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds_that_once_failed),
        cmocka_unit_test(test_other_seeds_run_otherwise),
        cmocka_unit_test(test_seeds),
    };
    p2p_mem_set(&counting);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(last_words);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A world for tests: hosts on real loopback sockets, or in the simulator, behind the same few
 * calls, so that every protocol test runs in both. Include after tests/test.h. */
#ifndef P2P_TESTS_WORLD_H
#define P2P_TESTS_WORLD_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include <p2p/p2p.h>
#include <p2p/sim.h>
#include <p2p/uv.h>

enum world_kind {
    WORLD_UV,
    WORLD_SIM,
};

enum {
    WORLD_HOSTS_MAX = 64,
};

struct world {
    enum world_kind kind;
    uv_loop_t loop;
    p2p_sim *sim;
    p2p_io *io[WORLD_HOSTS_MAX];
    p2p_host *host[WORLD_HOSTS_MAX];
    int count, closed;
    uint64_t seed;
    bool cheap;
    const char *ip;   /* the next simulated host's; NULL: the next free one of 10.0.0.0/8 */
    const char *over; /* how the addresses end that hosts listen on: "/ws" */
    bool quic;        /* they listen on /udp/0/quic-v1 instead */
};

/* A whole suite runs over QUIC when the environment says so: what holds over a link holds over a
 * session. */
static inline bool world_is_quic(void)
{
    const char *over = getenv("P2P_TEST_OVER");
    return over && strcmp(over, "quic") == 0;
}

static inline void world_init(struct world *self, enum world_kind kind, uint64_t seed, bool cheap)
{
    *self = (struct world){.kind = kind, .seed = seed, .cheap = cheap, .quic = world_is_quic()};
    if (kind == WORLD_UV) {
        assert_int_equal(uv_loop_init(&self->loop), 0);
    } else {
        p2p_sim_options options = P2P_SIM_OPTIONS_INIT;
        options.seed = seed;
        options.cheap_crypto = cheap;
        self->sim = p2p_sim_new(&options);
        assert_non_null(self->sim);
    }
}

/* A fixed identity per host and seed, so that a simulated run replays. */
static inline p2p_key *world_key(uint64_t seed, int index)
{
    uint8_t raw[68] = {0x08, 0x01, 0x12, 0x40};
    p2p_key *key = NULL;
    for (int i = 0; i < 32; i++)
        raw[4 + i] = (uint8_t)(seed >> (8 * (i % 8))) ^ (uint8_t)(i * 31 + index * 7 + 1);
    raw[4] = (uint8_t)index;
    raw[5] = (uint8_t)(index >> 8);
    extern int crypto_sign_seed_keypair(unsigned char *, unsigned char *, const unsigned char *);
    uint8_t pub[32], secret[64];
    crypto_sign_seed_keypair(pub, secret, raw + 4);
    memcpy(raw + 4, secret, 64);
    assert_int_equal(p2p_key_decode(raw, sizeof(raw), &key), 0);
    return key;
}

/* A host that listens; options: "name=value" strings ending with NULL. */
static inline p2p_host *world_host(struct world *self, const char *const *options)
{
    int i = self->count++;
    char why[200], ip[64], listen[128];
    p2p_config *config = p2p_config_new();
    p2p_key *key = world_key(self->seed, i);
    assert_int_equal(p2p_config_set_key(config, key), 0);
    p2p_key_free(key);
    self->io[i] =
        self->kind == WORLD_UV ? p2p_io_uv(&self->loop) : p2p_sim_host(self->sim, self->ip, 0);
    assert_non_null(self->io[i]);
    if (self->kind == WORLD_UV)
        snprintf(ip, sizeof(ip), "127.0.0.1");
    else
        assert_int_equal(p2p_sim_address(self->io[i], 0, ip, sizeof(ip)), 0);
    if (self->quic)
        snprintf(listen, sizeof(listen), "/ip4/%s/udp/0/quic-v1", ip);
    else
        snprintf(listen, sizeof(listen), "/ip4/%s/tcp/0%s", ip, self->over ? self->over : "");
    assert_int_equal(p2p_config_set(config, "listen", listen, why, sizeof(why)), 0);
    /* As often as it likes: so it is on loopback, where the other world's hosts are. */
    assert_int_equal(p2p_config_set(config, "conn_interval", "0", why, sizeof(why)), 0);
    for (; options && *options; options++) {
        char name[64];
        const char *value = strchr(*options, '=');
        snprintf(name, sizeof(name), "%.*s", (int)(value - *options), *options);
        int rc = p2p_config_set(config, name, value + 1, why, sizeof(why));
        if (rc != 0)
            fail_msg("%s", why);
    }
    p2p_error *err = NULL;
    int rc = p2p_host_new(config, self->io[i], &self->host[i], &err);
    if (rc != 0)
        fail_msg("%s", err ? err->message : "no error");
    p2p_config_free(config);
    return self->host[i];
}

/* The address of the world's transport at that place, with what may follow. */
static inline const char *world_at(const struct world *self, const char *ip, int port,
                                   const char *rest, char *out, size_t out_cap)
{
    snprintf(out, out_cap, "/ip4/%s/%s/%d%s%s", ip, self->quic ? "udp" : "tcp", port,
             self->quic ? "/quic-v1" : "", rest);
    return out;
}

/* Its first address, as text with /p2p/. */
static inline const char *world_addr(p2p_host *host, char *out, size_t out_cap)
{
    p2p_multiaddr addr;
    assert_int_equal(p2p_host_addr(host, 0, &addr), 0);
    assert_true(p2p_multiaddr_format(&addr, out, out_cap) > 0);
    return out;
}

static inline void world_tick(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Runs until done(user); false after limit_ms of the world's time. */
static inline bool world_until(struct world *self, bool (*done)(void *), void *user, int limit_ms)
{
    if (self->kind == WORLD_SIM)
        return p2p_sim_run_until(self->sim, done, user, (uint64_t)limit_ms * 1000);
    bool late = false;
    uv_timer_t timer;
    uv_timer_init(&self->loop, &timer);
    timer.data = &late;
    /* Repeating, because a timer that fires at the start of uv_run lets its poll sleep. */
    uv_timer_start(&timer, world_tick, (uint64_t)limit_ms, 10);
    bool ok = done(user);
    while (!ok && !late) {
        uv_run(&self->loop, UV_RUN_ONCE);
        ok = done(user);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&self->loop, UV_RUN_NOWAIT);
    return ok;
}

static inline bool world_never(void *user)
{
    (void)user;
    return false;
}

static inline void world_run(struct world *self, int ms)
{
    (void)world_until(self, world_never, NULL, ms);
}

static inline void world_closed(void *user, const p2p_error *why)
{
    struct world *self = user;
    assert_null(why);
    self->closed++;
}

static inline bool world_all_closed(void *user)
{
    struct world *self = user;
    return self->closed == self->count;
}

/* Closes the hosts that are still open, and frees everything. */
static inline void world_fini(struct world *self)
{
    for (int i = 0; i < self->count; i++) {
        if (self->host[i])
            p2p_host_close(self->host[i], world_closed, self);
        else
            self->closed++;
    }
    assert_true(world_until(self, world_all_closed, self, 5000));
    for (int i = 0; i < self->count; i++)
        p2p_io_free(self->io[i]);
    if (self->kind == WORLD_UV) {
        uv_run(&self->loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&self->loop), 0);
    } else {
        p2p_sim_free(self->sim);
    }
}

#endif

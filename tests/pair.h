/* Two hosts of a simulation, and a stream that counts what comes: what tests of services are made
 * of. Include after tests/world.h. */
#ifndef P2P_TESTS_PAIR_H
#define P2P_TESTS_PAIR_H

/* Two hosts 30 ms apart. */
struct pair {
    struct world world;
    p2p_host *a, *b;
    char addr[256]; /* of b */
};

static inline void pair_init(struct pair *self, const char *const *options_a,
                             const char *const *options_b)
{
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    path.latency_us = 30000;
    world_init(&self->world, WORLD_SIM, 1, false);
    assert_int_equal(p2p_sim_path(self->world.sim, P2P_SIM_ANY_REGION, P2P_SIM_ANY_REGION, &path),
                     0);
    self->a = world_host(&self->world, options_a);
    self->b = world_host(&self->world, options_b);
    world_addr(self->b, self->addr, sizeof(self->addr));
}

struct end {
    int calls, code;
    size_t attempts;
    uint64_t at_us;
    p2p_host *host;
};

static inline void on_end(void *user, const p2p_error *why)
{
    struct end *end = user;
    end->calls++;
    end->code = why ? why->code : 0;
    end->attempts = why ? why->attempt_count : 0;
    end->at_us = end->host ? p2p_host_now_us(end->host) : 0;
}

static inline bool ended(void *user)
{
    return ((struct end *)user)->calls > 0;
}

static inline void connect_pair(struct pair *self)
{
    struct end end = {0};
    assert_non_null(p2p_host_connect(self->a, self->addr, NULL, on_end, &end));
    assert_true(world_until(&self->world, ended, &end, 5000));
    assert_int_equal(end.code, 0);
}

/* A stream that counts, and reads only when told to. */
struct raw {
    p2p_stream *stream;
    size_t got;
    uint8_t first[64]; /* of what it got */
    bool paused, open, eof, closed;
    int code;
};

static inline void raw_read(p2p_stream *stream, void *user)
{
    struct raw *raw = user;
    size_t len;
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    if (raw->paused)
        return;
    if (raw->got < sizeof(raw->first) && len) {
        size_t n = sizeof(raw->first) - raw->got;
        memcpy(raw->first + raw->got, bytes, n < len ? n : len);
    }
    raw->got += len;
    p2p_stream_consume(stream, len);
}

static inline void raw_open(p2p_stream *stream, void *user)
{
    struct raw *raw = user;
    (void)stream;
    raw->open = true;
}

static inline void raw_eof(p2p_stream *stream, void *user)
{
    struct raw *raw = user;
    (void)stream;
    raw->eof = true;
}

static inline void raw_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct raw *raw = user;
    (void)stream;
    raw->closed = true;
    raw->stream = NULL;
    raw->code = why ? why->code : 0;
}

static const p2p_stream_events raw_events = {
    .size = sizeof(raw_events),
    .on_open = raw_open,
    .on_read = raw_read,
    .on_eof = raw_eof,
    .on_close = raw_close,
};

static inline void raw_dial(struct raw *raw, p2p_host *host, const char *target,
                            const char *protocol)
{
    raw->stream = p2p_host_open(host, target, &protocol, 1, NULL, &raw_events, raw);
    assert_non_null(raw->stream);
}

static inline bool raw_is_closed(void *user)
{
    return ((struct raw *)user)->closed;
}

static inline void ignore_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream;
    (void)why;
    (void)user;
}

#endif

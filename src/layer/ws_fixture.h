/* Two ends of a WebSocket in memory, for the tests. */
#ifndef P2P_LAYER_WS_FIXTURE_H
#define P2P_LAYER_WS_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>

#include "layer/ws.h"

static const struct layer_ops *const ops = &p2p__layer_ws;

/* One end, driven through its table only. */
struct end {
    struct layer_config config;
    struct layer_result result;
    struct ws_state *state;
    struct ws_handshake *handshake;
    struct buf in;
    struct outq out;
};

struct fixture {
    struct pool pool;
    struct layer_env env;
    struct end client, server;
};

static inline void end_start(struct fixture *f, struct end *end)
{
    p2p__buf_fini(&end->in, &f->pool);
    p2p__outq_fini(&end->out, &f->pool);
    buf_init(&end->in, 1 << 20);
    memset(end->state, 0, ops->state_size);
    memset(end->handshake, 0, ops->handshake_size);
    end->result = (struct layer_result){0};
    assert_int_equal(ops->start(end->state, end->handshake, &end->config, &f->env), 0);
}

static inline void end_init(struct fixture *f, struct end *end, bool initiator)
{
    end->state = calloc(1, ops->state_size);
    end->handshake = calloc(1, ops->handshake_size);
    end->config.initiator = initiator;
    end->config.host_name = initiator ? "example.com:4001" : NULL;
    memset(end->config.random, 0x5a, sizeof end->config.random);
    end_start(f, end);
}

static inline void end_fini(struct fixture *f, struct end *end)
{
    p2p__buf_fini(&end->in, &f->pool);
    p2p__outq_fini(&end->out, &f->pool);
    free(end->state);
    free(end->handshake);
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    p2p__pool_init(&f->pool, 0);
    f->env = (struct layer_env){.crypto = &p2p__crypto_real, .pool = &f->pool};
    end_init(f, &f->client, true);
    end_init(f, &f->server, false);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    end_fini(f, &f->client);
    end_fini(f, &f->server);
    assert_int_equal(f->pool.used_bytes, 0);
    p2p__pool_fini(&f->pool);
    free(f);
    return 0;
}

static inline int step(struct fixture *f, struct end *end)
{
    return ops->step(end->state, end->handshake, &f->env, &end->in, &end->out, &end->result);
}

static inline void feed(struct fixture *f, struct end *end, const void *bytes, size_t len)
{
    assert_int_equal(p2p__buf_append(&end->in, &f->pool, bytes, len), 0);
}

/* What end->out holds, with a NUL behind it. */
static inline size_t drain(struct fixture *f, struct end *end, void *out, size_t cap)
{
    uint8_t *to = out;
    size_t done = 0, total;
    struct iov iov[8];
    for (;;) {
        size_t count = p2p__outq_iov(&end->out, iov, 8, cap - 1 - done, &total);
        if (total == 0)
            break;
        for (size_t i = 0; i < count; i++) {
            memcpy(to + done, iov[i].base, iov[i].len);
            done += iov[i].len;
        }
        outq_consume(&end->out, &f->pool, total);
    }
    to[done] = 0;
    return done;
}

static inline void move(struct fixture *f, struct end *from, struct end *to)
{
    uint8_t bytes[4096];
    feed(f, to, bytes, drain(f, from, bytes, sizeof bytes));
}

static inline void shake_hands(struct fixture *f)
{
    assert_int_equal(step(f, &f->client), STEP_WANT_INPUT);
    move(f, &f->client, &f->server);
    assert_int_equal(step(f, &f->server), STEP_DONE);
    move(f, &f->server, &f->client);
    assert_int_equal(step(f, &f->client), STEP_DONE);
}

/* Both open, without a handshake. */
static inline int setup_open(void **state)
{
    setup(state);
    struct fixture *f = *state;
    f->client.state->open = f->server.state->open = true;
    return 0;
}

static inline int open_next(struct fixture *f, struct end *end, struct span *span)
{
    *span = (struct span){0};
    return ops->open(end->state, &f->env, &end->in, span);
}

static inline int open_code(struct fixture *f, struct end *end)
{
    struct span span;
    return open_next(f, end, &span);
}

static inline void expect_open(struct fixture *f, struct end *end, const void *bytes, size_t len)
{
    struct span span;
    assert_int_equal(open_next(f, end, &span), STEP_DONE);
    assert_int_equal(span.len, len);
    if (len)
        assert_memory_equal(span.base, bytes, len);
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_OPEN(name) cmocka_unit_test_setup_teardown(name, setup_open, teardown)

#endif

/* Two ends of a Noise channel in memory, and a peer that does not keep to the rules; for the tests.
 * Those of other layers define FIXTURE_LAYER. */
#ifndef P2P_LAYER_NOISE_FIXTURE_H
#define P2P_LAYER_NOISE_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>
#include <p2p/key.h>

#include "codec/key.h"
#include "layer/noise.h"

enum {
    IN_MAX = 4 * 65537,
};

#ifndef FIXTURE_LAYER
#define FIXTURE_LAYER p2p__layer_noise
#endif

static const struct layer_ops *const ops = &FIXTURE_LAYER;

/* One end of a channel, driven through its table only. */
struct end {
    struct layer_config config;
    struct layer_result result;
    void *state, *handshake;
    p2p_key *key;
    struct buf in;
    struct outq out;
};

struct fixture {
    struct pool pool;
    struct layer_env env;
    struct end dialer, listener;
    struct noise_xx rogue; /* a peer that does not keep to the rules */
    p2p_key *rogue_key;
};

static const char *const yamux_mplex[] = {"/yamux/1.0.0", "/mplex/6.7.0"};
static const char *const mplex_yamux[] = {"/mplex/6.7.0", "/yamux/1.0.0"};

static inline p2p_key *key_of(uint8_t number)
{
    uint8_t seed[P2P__ED25519_SEED_LEN] = {number};
    p2p_key *key;
    assert_int_equal(p2p__key_from_seed(seed, &key), 0);
    return key;
}

static inline void end_start(struct fixture *f, struct end *end)
{
    memset(end->state, 0, ops->state_size);
    memset(end->handshake, 0, ops->handshake_size);
    end->result = (struct layer_result){0};
    end->config.key = end->key;
    assert_int_equal(ops->start(end->state, end->handshake, &end->config, &f->env), 0);
}

static inline void end_reset(struct fixture *f, struct end *end)
{
    p2p__buf_fini(&end->in, &f->pool);
    p2p__outq_fini(&end->out, &f->pool);
    buf_init(&end->in, IN_MAX);
    ops->handshake_fini(end->handshake);
    ops->fini(end->state);
    end_start(f, end);
}

static inline void end_init(struct fixture *f, struct end *end, bool initiator)
{
    end->state = calloc(1, ops->state_size);
    end->handshake = calloc(1, ops->handshake_size);
    end->key = key_of(initiator ? 1 : 2);
    end->config.initiator = initiator;
    end->config.muxers = yamux_mplex;
    end->config.muxer_count = 2;
    memset(end->config.random, initiator ? 0x11 : 0x22, sizeof end->config.random);
    end->config.random[0] = 0x33;
    buf_init(&end->in, IN_MAX);
    end_start(f, end);
}

static inline void end_fini(struct fixture *f, struct end *end)
{
    p2p__buf_fini(&end->in, &f->pool);
    p2p__outq_fini(&end->out, &f->pool);
    free(end->state);
    free(end->handshake);
    p2p_key_free(end->key);
}

static inline int setup_with(void **state, const struct p2p__crypto *crypto)
{
    struct fixture *f = calloc(1, sizeof *f);
    p2p__pool_init(&f->pool, 0);
    f->env = (struct layer_env){.crypto = crypto, .aead = crypto->aead_new(), .pool = &f->pool};
    end_init(f, &f->dialer, true);
    end_init(f, &f->listener, false);
    f->rogue_key = key_of(3);
    *state = f;
    return 0;
}

static inline int setup(void **state)
{
    return setup_with(state, &p2p__crypto_real);
}

static inline int setup_cheap(void **state)
{
    return setup_with(state, &p2p__crypto_cheap);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    end_fini(f, &f->dialer);
    end_fini(f, &f->listener);
    p2p_key_free(f->rogue_key);
    assert_int_equal(f->pool.used_bytes, 0);
    p2p__pool_fini(&f->pool);
    f->env.crypto->aead_free(f->env.aead);
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

static inline size_t drain(struct fixture *f, struct end *end, uint8_t *out, size_t cap)
{
    size_t done = 0, total;
    struct iov iov[8];
    for (;;) {
        size_t count = p2p__outq_iov(&end->out, iov, 8, cap - done, &total);
        if (total == 0)
            return done;
        for (size_t i = 0; i < count; i++) {
            memcpy(out + done, iov[i].base, iov[i].len);
            done += iov[i].len;
        }
        outq_consume(&end->out, &f->pool, total);
    }
}

static inline size_t move(struct fixture *f, struct end *from, struct end *to)
{
    uint8_t bytes[4096];
    size_t len = drain(f, from, bytes, sizeof bytes);
    feed(f, to, bytes, len);
    return len;
}

static inline void shake_hands(struct fixture *f)
{
    assert_int_equal(step(f, &f->dialer), STEP_WANT_INPUT);
    move(f, &f->dialer, &f->listener);
    assert_int_equal(step(f, &f->listener), STEP_WANT_INPUT);
    move(f, &f->listener, &f->dialer);
    assert_int_equal(step(f, &f->dialer), STEP_DONE);
    move(f, &f->dialer, &f->listener);
    assert_int_equal(step(f, &f->listener), STEP_DONE);
}

static inline void expect_peer(const struct end *end, const p2p_key *key)
{
    const p2p_peer_id *id = p2p_key_peer_id(key);
    assert_int_equal(end->result.remote_peer_len, id->len);
    assert_memory_equal(end->result.remote_peer, id->bytes, id->len);
}

static inline size_t seal(struct fixture *f, struct end *end, const void *bytes, size_t len,
                          uint8_t *out)
{
    const struct p2p__const_iov in[] = {{bytes, len / 2},
                                        {(const uint8_t *)bytes + len / 2, len - len / 2}};
    int64_t sealed = ops->seal(end->state, &f->env, in, 2, out);
    assert_int_equal(sealed, (int64_t)(len + ops->overhead));
    return (size_t)sealed;
}

static inline void expect_open(struct fixture *f, struct end *end, const void *bytes, size_t len)
{
    struct span span;
    assert_int_equal(ops->open(end->state, &f->env, &end->in, &span), STEP_DONE);
    assert_int_equal(span.len, len);
    if (len)
        assert_memory_equal(span.base, bytes, len);
}

static inline int open_code(struct fixture *f, struct end *end)
{
    struct span span;
    return ops->open(end->state, &f->env, &end->in, &span);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_CHEAP(name)                                                                           \
    {                                                                                              \
#name "_cheap", name, setup_cheap, teardown, NULL                                          \
    }

static inline void shake_hands_anew(struct fixture *f)
{
    end_reset(f, &f->dialer);
    end_reset(f, &f->listener);
    shake_hands(f);
}

#endif

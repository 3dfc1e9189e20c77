#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>
#include <p2p/key.h>

#include "codec/key.h"
#include "codec/protobuf.h"
#include "layer/noise.h"
#include "layer/noise_payload.h"

enum {
    IN_MAX = 4 * 65537,
    BIG = 200 * 1024,
};

static const struct layer_ops *const ops = &p2p__layer_noise;

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

static p2p_key *key_of(uint8_t number)
{
    uint8_t seed[P2P__ED25519_SEED_LEN] = {number};
    p2p_key *key;
    assert_int_equal(p2p__key_from_seed(seed, &key), 0);
    return key;
}

static void end_start(struct fixture *f, struct end *end)
{
    memset(end->state, 0, ops->state_size);
    memset(end->handshake, 0, ops->handshake_size);
    end->result = (struct layer_result){0};
    end->config.key = end->key;
    assert_int_equal(ops->start(end->state, end->handshake, &end->config, &f->env), 0);
}

static void end_reset(struct fixture *f, struct end *end)
{
    p2p__buf_fini(&end->in, &f->pool);
    p2p__outq_fini(&end->out, &f->pool);
    buf_init(&end->in, IN_MAX);
    ops->handshake_fini(end->handshake);
    ops->fini(end->state);
    end_start(f, end);
}

static void end_init(struct fixture *f, struct end *end, bool initiator)
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

static void end_fini(struct fixture *f, struct end *end)
{
    p2p__buf_fini(&end->in, &f->pool);
    p2p__outq_fini(&end->out, &f->pool);
    free(end->state);
    free(end->handshake);
    p2p_key_free(end->key);
}

static int setup_with(void **state, const struct p2p__crypto *crypto)
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

static int setup(void **state)
{
    return setup_with(state, &p2p__crypto_real);
}

static int setup_cheap(void **state)
{
    return setup_with(state, &p2p__crypto_cheap);
}

static int teardown(void **state)
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

static int step(struct fixture *f, struct end *end)
{
    return ops->step(end->state, end->handshake, &f->env, &end->in, &end->out, &end->result);
}

static void feed(struct fixture *f, struct end *end, const void *bytes, size_t len)
{
    assert_int_equal(p2p__buf_append(&end->in, &f->pool, bytes, len), 0);
}

static size_t drain(struct fixture *f, struct end *end, uint8_t *out, size_t cap)
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

static size_t move(struct fixture *f, struct end *from, struct end *to)
{
    uint8_t bytes[4096];
    size_t len = drain(f, from, bytes, sizeof bytes);
    feed(f, to, bytes, len);
    return len;
}

static void shake_hands(struct fixture *f)
{
    assert_int_equal(step(f, &f->dialer), STEP_WANT_INPUT);
    move(f, &f->dialer, &f->listener);
    assert_int_equal(step(f, &f->listener), STEP_WANT_INPUT);
    move(f, &f->listener, &f->dialer);
    assert_int_equal(step(f, &f->dialer), STEP_DONE);
    move(f, &f->dialer, &f->listener);
    assert_int_equal(step(f, &f->listener), STEP_DONE);
}

static void expect_peer(const struct end *end, const p2p_key *key)
{
    const p2p_peer_id *id = p2p_key_peer_id(key);
    assert_int_equal(end->result.remote_peer_len, id->len);
    assert_memory_equal(end->result.remote_peer, id->bytes, id->len);
}

static size_t seal(struct fixture *f, struct end *end, const void *bytes, size_t len, uint8_t *out)
{
    const struct p2p__const_iov in[] = {{bytes, len / 2},
                                        {(const uint8_t *)bytes + len / 2, len - len / 2}};
    int64_t sealed = ops->seal(end->state, &f->env, in, 2, out);
    assert_int_equal(sealed, (int64_t)(len + ops->overhead));
    return (size_t)sealed;
}

static void expect_open(struct fixture *f, struct end *end, const void *bytes, size_t len)
{
    struct span span;
    assert_int_equal(ops->open(end->state, &f->env, &end->in, &span), STEP_DONE);
    assert_int_equal(span.len, len);
    if (len)
        assert_memory_equal(span.base, bytes, len);
}

static int open_code(struct fixture *f, struct end *end)
{
    struct span span;
    return ops->open(end->state, &f->env, &end->in, &span);
}

static void test_handshake(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(step(f, &f->dialer), STEP_WANT_INPUT); /* before any input: 0-RTT */
    assert_int_equal(step(f, &f->dialer), STEP_WANT_INPUT); /* and once */
    assert_int_equal(outq_len(&f->dialer.out), 34);
    assert_int_equal(step(f, &f->listener), STEP_WANT_INPUT);
    assert_int_equal(outq_len(&f->listener.out), 0);
    move(f, &f->dialer, &f->listener);
    assert_int_equal(step(f, &f->listener), STEP_WANT_INPUT);
    assert_int_equal(f->listener.result.remote_peer_len, 0); /* nobody has proven anything */
    move(f, &f->listener, &f->dialer);
    assert_int_equal(step(f, &f->dialer), STEP_DONE);
    move(f, &f->dialer, &f->listener);
    assert_int_equal(step(f, &f->listener), STEP_DONE);
    expect_peer(&f->dialer, f->listener.key);
    expect_peer(&f->listener, f->dialer.key);
    assert_ptr_equal(f->dialer.result.muxer, yamux_mplex[0]);
    assert_ptr_equal(f->listener.result.muxer, yamux_mplex[0]);
    assert_null(f->dialer.result.error);
    ops->handshake_fini(f->dialer.handshake);
    ops->handshake_fini(f->listener.handshake);
    uint8_t record[64];
    for (int i = 0; i < 3; i++) {
        feed(f, &f->listener, record, seal(f, &f->dialer, "ping", 4, record));
        expect_open(f, &f->listener, "ping", 4);
        feed(f, &f->dialer, record, seal(f, &f->listener, "and pong", 8, record));
        expect_open(f, &f->dialer, "and pong", 8);
        assert_int_equal(open_code(f, &f->dialer), STEP_WANT_INPUT);
    }
}

static void test_table(void **state)
{
    (void)state;
    assert_string_equal(ops->id, "/noise");
    assert_int_equal(ops->record_max, 65537);
    assert_int_equal(ops->plain_max, 65519);
    assert_int_equal(ops->overhead, 18);
}

static void test_fini_wipes(void **state)
{
    struct fixture *f = *state;
    static const uint8_t zero[4096];
    shake_hands(f);
    ops->handshake_fini(f->dialer.handshake);
    ops->fini(f->dialer.state);
    assert_memory_equal(f->dialer.handshake, zero, ops->handshake_size);
    assert_memory_equal(f->dialer.state, zero, ops->state_size);
}

/* The records "one", "" and "three" from whom, behind what is already there. */
static size_t three_records(struct fixture *f, struct end *from, uint8_t *out)
{
    size_t len = seal(f, from, "one", 3, out);
    len += seal(f, from, "", 0, out + len);
    return len + seal(f, from, "three", 5, out + len);
}

static void expect_three_records(struct fixture *f, struct end *to)
{
    struct span span;
    assert_int_equal(ops->open(to->state, &f->env, &to->in, &span), STEP_DONE);
    assert_memory_equal(span.base, "one", 3);
    expect_open(f, to, "", 0);
    assert_int_equal(ops->open(to->state, &f->env, &to->in, &span), STEP_DONE);
    assert_int_equal(span.len, 5);
    assert_memory_equal(span.base, "three", 5);
    assert_int_equal(span.gap, 18);
    memset(span.base - span.gap, 0xee, span.gap); /* what gap promises */
    assert_int_equal(open_code(f, to), STEP_WANT_INPUT);
}

/* Replays to `end`, started anew, what it once received, in two pieces. */
static void replay(struct fixture *f, struct end *end, const uint8_t *bytes, size_t len,
                   size_t split)
{
    end_reset(f, end);
    feed(f, end, bytes, split);
    int code = step(f, end);
    assert_true(code == STEP_WANT_INPUT || code == STEP_DONE);
    assert_true(outq_len(&end->out) < 1024);
    feed(f, end, bytes + split, len - split);
    if (code == STEP_WANT_INPUT)
        code = step(f, end);
    assert_int_equal(code, STEP_DONE);
    expect_three_records(f, end);
}

static void test_N18_coalesced_and_split_everywhere(void **state)
{
    struct fixture *f = *state;
    uint8_t to_listener[2048], to_dialer[2048];
    assert_int_equal(step(f, &f->dialer), STEP_WANT_INPUT);
    size_t listener_len = drain(f, &f->dialer, to_listener, sizeof to_listener);
    feed(f, &f->listener, to_listener, listener_len);
    assert_int_equal(step(f, &f->listener), STEP_WANT_INPUT);
    size_t dialer_len = drain(f, &f->listener, to_dialer, sizeof to_dialer);
    feed(f, &f->dialer, to_dialer, dialer_len);
    assert_int_equal(step(f, &f->dialer), STEP_DONE);
    size_t third = drain(f, &f->dialer, to_listener + listener_len, 1024);
    feed(f, &f->listener, to_listener + listener_len, third);
    listener_len += third;
    assert_int_equal(step(f, &f->listener), STEP_DONE);
    listener_len += three_records(f, &f->dialer, to_listener + listener_len);
    dialer_len += three_records(f, &f->listener, to_dialer + dialer_len);

    for (size_t split = 0; split <= listener_len; split++)
        replay(f, &f->listener, to_listener, listener_len, split);
    for (size_t split = 0; split <= dialer_len; split++)
        replay(f, &f->dialer, to_dialer, dialer_len, split);
}

static void test_one_byte_at_a_time(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[2048];
    struct end *from = &f->dialer, *to = &f->listener;
    assert_int_equal(step(f, from), STEP_WANT_INPUT);
    for (int message = 0; message < 3; message++) {
        size_t len = drain(f, from, bytes, sizeof bytes);
        for (size_t i = 0; i < len; i++) {
            feed(f, to, bytes + i, 1);
            int code = step(f, to);
            assert_int_equal(code, i + 1 == len && message > 0 ? STEP_DONE : STEP_WANT_INPUT);
        }
        struct end *swap = from;
        from = to;
        to = swap;
    }
    size_t len = three_records(f, &f->dialer, bytes);
    for (size_t i = 0; i + 1 < 21; i++) {
        feed(f, &f->listener, bytes + i, 1);
        assert_int_equal(open_code(f, &f->listener), STEP_WANT_INPUT);
    }
    feed(f, &f->listener, bytes + 20, len - 20);
    expect_three_records(f, &f->listener);
}

static void test_gap(void **state)
{
    struct fixture *f = *state;
    struct span span;
    uint8_t bytes[256];
    shake_hands(f);
    /* A block that starts with the record, then one with three dead bytes before it. */
    for (size_t dead = 0; dead <= 20; dead += 5) {
        size_t len = seal(f, &f->dialer, "text", 4, bytes + dead);
        p2p__buf_fini(&f->listener.in, &f->pool);
        p2p__buf_borrow(&f->listener.in, &f->pool, bytes, dead, dead + len);
        assert_int_equal(ops->open(f->listener.state, &f->env, &f->listener.in, &span), 0);
        assert_ptr_equal(span.base, bytes + dead + 2);
        assert_int_equal(span.gap, 2 + (dead < 16 ? dead : 16));
    }
}

/* The muxer must be the initiator's first choice among the common ones. */
static void test_muxer_choice(void **state)
{
    struct fixture *f = *state;
    f->listener.config.muxers = mplex_yamux;
    shake_hands(f);
    assert_string_equal(f->dialer.result.muxer, "/yamux/1.0.0");
    assert_string_equal(f->listener.result.muxer, "/yamux/1.0.0");
    assert_ptr_equal(f->dialer.result.muxer, yamux_mplex[0]);
    assert_ptr_equal(f->listener.result.muxer, mplex_yamux[1]);
}

static void test_muxer_one_in_common(void **state)
{
    struct fixture *f = *state;
    f->dialer.config.muxers = mplex_yamux;
    f->listener.config.muxer_count = 1;
    shake_hands(f);
    assert_string_equal(f->dialer.result.muxer, "/yamux/1.0.0");
    assert_string_equal(f->listener.result.muxer, "/yamux/1.0.0");
}

static void test_muxer_no_list_is_not_no_overlap(void **state)
{
    struct fixture *f = *state;
    f->listener.config.muxer_count = 0;
    shake_hands(f);
    assert_null(f->dialer.result.muxer);
    assert_null(f->listener.result.muxer);
    f->listener.config.muxer_count = 2;
    f->dialer.config.muxer_count = 0;
    end_reset(f, &f->dialer);
    end_reset(f, &f->listener);
    shake_hands(f);
    assert_null(f->dialer.result.muxer);
    assert_null(f->listener.result.muxer);
}

static void test_muxer_no_overlap(void **state)
{
    struct fixture *f = *state;
    f->dialer.config.muxer_count = 1;
    f->listener.config.muxers = mplex_yamux;
    f->listener.config.muxer_count = 1;
    assert_int_equal(step(f, &f->dialer), STEP_WANT_INPUT);
    move(f, &f->dialer, &f->listener);
    assert_int_equal(step(f, &f->listener), STEP_WANT_INPUT);
    move(f, &f->listener, &f->dialer);
    assert_int_equal(step(f, &f->dialer), P2P_ENOMUXER);
    assert_non_null(f->dialer.result.error);
    assert_int_equal(outq_len(&f->dialer.out), 0);
}

/* A payload that the tests break in one place at a time. NULL bytes: absent. */
struct forged {
    const uint8_t *key, *sig;
    size_t key_len, sig_len;
    const uint8_t *extensions;
    size_t extensions_len;
};

static size_t forge(const struct forged *forged, uint8_t *out, size_t cap)
{
    struct pb_out pb = p2p__pb_out(out, cap);
    if (forged->key)
        p2p__pb_put_bytes(&pb, 1, forged->key, forged->key_len);
    if (forged->sig)
        p2p__pb_put_bytes(&pb, 2, forged->sig, forged->sig_len);
    if (forged->extensions)
        p2p__pb_put_bytes(&pb, 4, forged->extensions, forged->extensions_len);
    assert_false(pb.overflow);
    return pb.len;
}

static void rogue_write(struct fixture *f, struct end *victim, const uint8_t *payload, size_t len)
{
    uint8_t *frame = malloc(2 + NOISE_MESSAGE_MAX);
    size_t total = p2p__noise_xx_overhead(&f->rogue) + len;
    assert_true(total <= NOISE_MESSAGE_MAX);
    frame[0] = (uint8_t)(total >> 8);
    frame[1] = (uint8_t)total;
    assert_int_equal(p2p__noise_xx_write(&f->rogue, &f->env, payload, len, frame + 2), 0);
    feed(f, victim, frame, 2 + total);
    free(frame);
}

/* Starts both anew and brings the victim to where it awaits the rogue's payload. */
static struct end *rogue_begin(struct fixture *f, bool victim_dials)
{
    static const uint8_t static_secret[32] = {7}, eph_secret[32] = {8}, none[1];
    struct end *victim = victim_dials ? &f->dialer : &f->listener;
    uint8_t bytes[2048];
    const uint8_t *payload;
    size_t payload_len;
    end_reset(f, victim);
    p2p__noise_xx_init(&f->rogue, &f->env, !victim_dials, none, 0, static_secret, eph_secret);
    if (!victim_dials)
        rogue_write(f, victim, none, 0);
    assert_int_equal(step(f, victim), STEP_WANT_INPUT);
    size_t len = drain(f, victim, bytes, sizeof bytes);
    assert_int_equal(
        p2p__noise_xx_read(&f->rogue, &f->env, bytes + 2, len - 2, &payload, &payload_len), 0);
    return victim;
}

static int rogue_sends(struct fixture *f, bool victim_dials, const uint8_t *payload, size_t len)
{
    struct end *victim = rogue_begin(f, victim_dials);
    rogue_write(f, victim, payload, len);
    int code = step(f, victim);
    if (code < 0) {
        assert_int_equal(outq_len(&victim->out), 0);
        assert_non_null(victim->result.error);
        assert_null(victim->result.muxer);
        /* Whoever steps again gets no channel either. */
        assert_int_equal(step(f, victim), code);
    }
    return code;
}

/* What the rogue's own, honest payload consists of. */
static void honest(struct fixture *f, struct forged *forged, uint8_t sig[P2P_KEY_SIG_MAX])
{
    uint8_t message[24 + 32] = "noise-libp2p-static-key:";
    static const uint8_t static_secret[32] = {7};
    f->env.crypto->dh_public(static_secret, message + 24);
    *forged = (struct forged){.sig = sig};
    forged->key = p2p_key_public(f->rogue_key, &forged->key_len);
    forged->sig_len = (size_t)p2p_key_sign(f->rogue_key, message, sizeof message, sig);
}

static int forged_sends(struct fixture *f, bool victim_dials, const struct forged *forged)
{
    uint8_t payload[1024];
    int code = rogue_sends(f, victim_dials, payload, forge(forged, payload, sizeof payload));
    struct end *victim = victim_dials ? &f->dialer : &f->listener;
    if (code < 0)
        assert_int_equal(victim->result.remote_peer_len, 0);
    else
        expect_peer(victim, f->rogue_key);
    return code;
}

static void test_N01_identity_sig(void **state)
{
    struct fixture *f = *state;
    uint8_t sig[P2P_KEY_SIG_MAX];
    struct forged good, bad;
    honest(f, &good, sig);
    for (int dials = 0; dials < 2; dials++) {
        assert_int_equal(forged_sends(f, dials, &good), STEP_DONE);
        for (size_t bit = 0; bit < 8 * good.sig_len; bit += 13) {
            sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(forged_sends(f, dials, &good), P2P_EHANDSHAKE);
            sig[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        bad = good;
        bad.sig_len = 0;
        assert_int_equal(forged_sends(f, dials, &bad), P2P_EHANDSHAKE);
        bad.sig_len = good.sig_len - 1;
        assert_int_equal(forged_sends(f, dials, &bad), P2P_EHANDSHAKE);
        bad.sig = NULL;
        assert_int_equal(forged_sends(f, dials, &bad), P2P_EHANDSHAKE);
    }
}

static void test_N02_identity_key(void **state)
{
    struct fixture *f = *state;
    uint8_t sig[P2P_KEY_SIG_MAX];
    static const uint8_t garbage[36] = {0x08, 0xff, 0xff, 0x12, 0x7f, 1, 2, 3};
    struct forged good, bad;
    honest(f, &good, sig);
    for (int dials = 0; dials < 2; dials++) {
        bad = good;
        bad.key = NULL;
        assert_int_equal(forged_sends(f, dials, &bad), P2P_EHANDSHAKE);
        bad = good;
        bad.key_len = 0;
        assert_int_equal(forged_sends(f, dials, &bad), P2P_EHANDSHAKE);
        bad.key = garbage;
        bad.key_len = sizeof garbage;
        assert_int_equal(forged_sends(f, dials, &bad), P2P_EHANDSHAKE);
        /* Another valid key than the one that signed. */
        bad.key = p2p_key_public(f->dialer.key, &bad.key_len);
        assert_int_equal(forged_sends(f, dials, &bad), P2P_EHANDSHAKE);
        /* No payload at all, and one that is no protobuf. */
        assert_int_equal(rogue_sends(f, dials, garbage, 0), P2P_EHANDSHAKE);
        assert_int_equal(rogue_sends(f, dials, (const uint8_t *)"\x0a\x24short", 7),
                         P2P_EHANDSHAKE);
    }
}

static void test_N03_signature_over_another_static_key(void **state)
{
    struct fixture *f = *state;
    static const uint8_t other[32] = {9};
    uint8_t payload[NOISE_PAYLOAD_MAX];
    int len = p2p__noise_payload_encode(f->rogue_key, other, NULL, 0, payload);
    for (int dials = 0; dials < 2; dials++)
        assert_int_equal(rogue_sends(f, dials, payload, (size_t)len), P2P_EHANDSHAKE);
}

static void test_N05_another_peer_than_dialed(void **state)
{
    struct fixture *f = *state;
    const p2p_peer_id *asked = p2p_key_peer_id(f->listener.key);
    uint8_t sig[P2P_KEY_SIG_MAX], payload[1024];
    struct forged good;
    honest(f, &good, sig);
    size_t len = forge(&good, payload, sizeof payload);
    f->dialer.config.expected_peer = asked->bytes;
    f->dialer.config.expected_peer_len = asked->len;
    assert_int_equal(rogue_sends(f, true, payload, len), P2P_EPEERID);
    expect_peer(&f->dialer, f->rogue_key); /* for the sentence that says who it was */
    /* A prefix of the id is another id. */
    asked = p2p_key_peer_id(f->rogue_key);
    f->dialer.config.expected_peer = asked->bytes;
    f->dialer.config.expected_peer_len = asked->len - 1u;
    assert_int_equal(rogue_sends(f, true, payload, len), P2P_EPEERID);
    f->dialer.config.expected_peer_len = asked->len;
    assert_int_equal(rogue_sends(f, true, payload, len), STEP_DONE);
}

static void test_N06_empty_frame(void **state)
{
    struct fixture *f = *state;
    feed(f, &f->listener, "\0", 2);
    assert_int_equal(step(f, &f->listener), P2P_EHANDSHAKE);
    for (int dials = 0; dials < 2; dials++) {
        struct end *victim = rogue_begin(f, dials);
        feed(f, victim, "\0", 2);
        assert_int_equal(step(f, victim), P2P_EHANDSHAKE);
        assert_non_null(victim->result.error);
    }
    end_reset(f, &f->dialer);
    end_reset(f, &f->listener);
    shake_hands(f);
    feed(f, &f->listener, "\0", 2);
    assert_int_equal(open_code(f, &f->listener), P2P_EPROTO);
}

static void test_N06_shortest_messages(void **state)
{
    struct fixture *f = *state;
    /* 31, 95 and 63 bytes cannot be messages 0, 1 and 2, whatever follows. */
    feed(f, &f->listener, "\0\x1f", 2);
    assert_int_equal(step(f, &f->listener), P2P_EHANDSHAKE);
    struct end *victim = rogue_begin(f, true);
    feed(f, victim, "\0\x5f", 2);
    assert_int_equal(step(f, victim), P2P_EHANDSHAKE);
    victim = rogue_begin(f, false);
    feed(f, victim, "\0\x3f", 2);
    assert_int_equal(step(f, victim), P2P_EHANDSHAKE);
    end_reset(f, &f->listener);
    feed(f, &f->listener, "\0\x20", 2);
    assert_int_equal(step(f, &f->listener), STEP_WANT_INPUT);
    victim = rogue_begin(f, true);
    feed(f, victim, "\0\x60", 2);
    assert_int_equal(step(f, victim), STEP_WANT_INPUT);
    victim = rogue_begin(f, false);
    feed(f, victim, "\0\x40", 2);
    assert_int_equal(step(f, victim), STEP_WANT_INPUT);
}

static void test_N07_shorter_than_a_tag(void **state)
{
    struct fixture *f = *state;
    uint8_t record[32];
    for (uint8_t len = 0; len < 16; len++) {
        uint8_t header[2] = {0, len};
        end_reset(f, &f->dialer);
        end_reset(f, &f->listener);
        shake_hands(f);
        feed(f, &f->listener, header, 2);
        assert_int_equal(open_code(f, &f->listener), P2P_EPROTO);
    }
    p2p__buf_fini(&f->listener.in, &f->pool);
    feed(f, &f->listener, record, seal(f, &f->dialer, "", 0, record));
    expect_open(f, &f->listener, "", 0);
}

static void test_N08_largest_record_both_ways(void **state)
{
    struct fixture *f = *state;
    uint8_t *text = malloc(ops->plain_max), *record = malloc(ops->record_max);
    for (size_t i = 0; i < ops->plain_max; i++)
        text[i] = (uint8_t)(i * 31);
    shake_hands(f);
    size_t len = seal(f, &f->dialer, text, ops->plain_max, record);
    assert_int_equal(len, ops->record_max);
    feed(f, &f->listener, record, len);
    expect_open(f, &f->listener, text, ops->plain_max);
    len = seal(f, &f->listener, text, ops->plain_max, record);
    feed(f, &f->dialer, record, len - 1);
    assert_int_equal(open_code(f, &f->dialer), STEP_WANT_INPUT);
    feed(f, &f->dialer, record + len - 1, 1);
    expect_open(f, &f->dialer, text, ops->plain_max);
    free(text);
    free(record);
}

static void test_N09_announced_and_silent(void **state)
{
    struct fixture *f = *state;
    feed(f, &f->listener, "\xff\xff", 2);
    assert_int_equal(step(f, &f->listener), STEP_WANT_INPUT);
    assert_int_equal(step(f, &f->listener), STEP_WANT_INPUT);
    assert_true(f->pool.used_bytes <= 65536);
    end_reset(f, &f->listener);
    shake_hands(f);
    feed(f, &f->listener, "\xff\xff", 2);
    assert_int_equal(open_code(f, &f->listener), STEP_WANT_INPUT);
    assert_true(f->pool.used_bytes <= 65536);
}

static void test_N10_flipped_tag(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[256];
    for (size_t at = 2; at < 2 + 3 + 16; at++) {
        end_reset(f, &f->dialer);
        end_reset(f, &f->listener);
        shake_hands(f);
        size_t len = three_records(f, &f->dialer, bytes);
        bytes[at] ^= 0x80;
        feed(f, &f->listener, bytes, len);
        assert_int_equal(open_code(f, &f->listener), P2P_EPROTO);
        /* Nor does anything open when a careless caller goes on with the valid ones. */
        buf_consume(&f->listener.in, 21);
        assert_int_equal(open_code(f, &f->listener), P2P_ELIMIT);
    }
}

static void test_N11_replayed_and_swapped(void **state)
{
    struct fixture *f = *state;
    uint8_t one[64], two[64];
    shake_hands(f);
    size_t len = seal(f, &f->dialer, "one", 3, one);
    seal(f, &f->dialer, "two", 3, two);
    feed(f, &f->listener, one, len);
    feed(f, &f->listener, one, len);
    expect_open(f, &f->listener, "one", 3);
    assert_int_equal(open_code(f, &f->listener), P2P_EPROTO);

    end_reset(f, &f->dialer);
    end_reset(f, &f->listener);
    shake_hands(f);
    seal(f, &f->dialer, "one", 3, one);
    seal(f, &f->dialer, "two", 3, two);
    feed(f, &f->listener, two, len);
    assert_int_equal(open_code(f, &f->listener), P2P_EPROTO);

    /* A record sent back to its sender. */
    feed(f, &f->dialer, one, len);
    assert_int_equal(open_code(f, &f->dialer), P2P_EPROTO);
}

static void test_flipped_handshake_bytes(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[1024];
    size_t len = 200;
    for (size_t at = 2; at < len; at += 3) {
        for (int dials = 0; dials < 2; dials++) {
            end_reset(f, &f->dialer);
            end_reset(f, &f->listener);
            assert_int_equal(step(f, &f->dialer), STEP_WANT_INPUT);
            move(f, &f->dialer, &f->listener);
            assert_int_equal(step(f, &f->listener), STEP_WANT_INPUT);
            struct end *from = &f->listener, *to = &f->dialer;
            if (!dials) {
                move(f, &f->listener, &f->dialer);
                assert_int_equal(step(f, &f->dialer), STEP_DONE);
                from = &f->dialer;
                to = &f->listener;
            }
            len = drain(f, from, bytes, sizeof bytes);
            bytes[at % len < 2 ? 2 : at % len] ^= 1;
            feed(f, to, bytes, len);
            assert_int_equal(step(f, to), P2P_EHANDSHAKE);
            assert_int_equal(to->result.remote_peer_len, 0);
        }
    }
}

/* An honest identity, followed by whatever extensions. */
static int extended(struct fixture *f, bool victim_dials, const struct pb_out *extensions)
{
    uint8_t sig[P2P_KEY_SIG_MAX];
    struct forged good;
    honest(f, &good, sig);
    good.extensions = extensions->base;
    good.extensions_len = extensions->len;
    assert_false(extensions->overflow);
    uint8_t *payload = malloc(BIG);
    int code = rogue_sends(f, victim_dials, payload, forge(&good, payload, BIG));
    free(payload);
    return code;
}

static void test_N15_stream_muxers(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = malloc(BIG), *name = calloc(1, 60 * 1024);
    for (int dials = 0; dials < 2; dials++) {
        const struct end *victim = dials ? &f->dialer : &f->listener;
        /* As many names as a message holds. */
        struct pb_out many = p2p__pb_out(bytes, BIG);
        for (int i = 0; i < 32000; i++)
            p2p__pb_put_bytes(&many, 2, name, 0);
        assert_int_equal(extended(f, dials, &many), P2P_ENOMUXER);
        p2p__pb_put_text(&many, 2, "/mplex/6.7.0");
        assert_int_equal(extended(f, dials, &many), STEP_DONE);
        assert_ptr_equal(victim->result.muxer, yamux_mplex[1]);
        /* One name of 60 KiB. */
        struct pb_out one = p2p__pb_out(bytes, BIG);
        p2p__pb_put_bytes(&one, 2, name, 60 * 1024);
        assert_int_equal(extended(f, dials, &one), P2P_ENOMUXER);
        /* Duplicates, and names that only start or end like ours. */
        struct pb_out same = p2p__pb_out(bytes, BIG);
        p2p__pb_put_text(&same, 2, "/yamux/1.0");
        p2p__pb_put_bytes(&same, 2, "/yamux/1.0.0\0", 13);
        p2p__pb_put_text(&same, 2, "/yamux/1.0.00");
        assert_int_equal(extended(f, dials, &same), P2P_ENOMUXER);
        p2p__pb_put_text(&same, 2, "/mplex/6.7.0");
        p2p__pb_put_text(&same, 2, "/mplex/6.7.0");
        p2p__pb_put_text(&same, 2, "/yamux/1.0.0");
        p2p__pb_put_text(&same, 2, "/yamux/1.0.0");
        assert_int_equal(extended(f, dials, &same), STEP_DONE);
        assert_ptr_equal(victim->result.muxer, yamux_mplex[dials ? 0 : 1]);
        /* What we know but did not offer. */
        struct pb_out foreign = p2p__pb_out(bytes, BIG);
        p2p__pb_put_text(&foreign, 2, "/quic-muxer");
        p2p__pb_put_text(&foreign, 2, "libp2p");
        assert_int_equal(extended(f, dials, &foreign), P2P_ENOMUXER);
    }
    free(bytes);
    free(name);
}

static void test_N17_certhashes_and_unknown_extensions(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[512];
    for (int dials = 0; dials < 2; dials++) {
        const struct end *victim = dials ? &f->dialer : &f->listener;
        struct pb_out ext = p2p__pb_out(bytes, sizeof bytes);
        p2p__pb_put_bytes(&ext, 1, "\x12\xff garbage", 10);
        p2p__pb_put_bytes(&ext, 1, "", 0);
        p2p__pb_put_varint(&ext, 1, 7);
        p2p__pb_put_varint(&ext, 2, 7); /* a muxer of another wire type is none */
        p2p__pb_put_i64(&ext, 1025, 1);
        assert_int_equal(extended(f, dials, &ext), STEP_DONE);
        assert_null(victim->result.muxer);
        p2p__pb_put_text(&ext, 2, "/yamux/1.0.0");
        assert_int_equal(extended(f, dials, &ext), STEP_DONE);
        assert_ptr_equal(victim->result.muxer, yamux_mplex[0]);
        struct pb_out cut = p2p__pb_out(bytes, sizeof bytes);
        p2p__pb_put_raw(&cut, "\x12\x7f/yamux", 8);
        assert_int_equal(extended(f, dials, &cut), P2P_EHANDSHAKE);
    }
}

static void test_first_message_with_a_payload(void **state)
{
    struct fixture *f = *state;
    static const uint8_t static_secret[32] = {7}, eph_secret[32] = {8}, none[1];
    p2p__noise_xx_init(&f->rogue, &f->env, true, none, 0, static_secret, eph_secret);
    rogue_write(f, &f->listener, (const uint8_t *)"ignored", 7);
    assert_int_equal(step(f, &f->listener), STEP_WANT_INPUT);
    assert_true(outq_len(&f->listener.out) > 0);
}

static void test_N22_counter_ends_before_reuse(void **state)
{
    struct fixture *f = *state;
    shake_hands(f);
    struct noise_state *sender = f->dialer.state, *reader = f->listener.state;
    sender->send.nonce = reader->recv.nonce = UINT64_MAX - 2;
    uint8_t record[64];
    const struct p2p__const_iov in = {(const uint8_t *)"x", 1};
    feed(f, &f->listener, record, seal(f, &f->dialer, "last", 4, record));
    expect_open(f, &f->listener, "last", 4);
    assert_int_equal(ops->seal(f->dialer.state, &f->env, &in, 1, record), P2P_ELIMIT);
    feed(f, &f->listener, record, 22);
    assert_int_equal(open_code(f, &f->listener), P2P_ELIMIT);
}

static void test_N23_all_kinds_of_identity(void **state)
{
    struct fixture *f = *state;
    static const int types[] = {P2P_KEY_RSA, P2P_KEY_ED25519, P2P_KEY_SECP256K1, P2P_KEY_ECDSA};
    p2p_key *own = f->dialer.key;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(p2p_key_generate(types[i], &f->dialer.key), 0);
        p2p_key *kept = f->listener.key;
        f->listener.key = f->dialer.key;
        end_reset(f, &f->dialer);
        end_reset(f, &f->listener);
        shake_hands(f);
        expect_peer(&f->dialer, f->dialer.key);
        expect_peer(&f->listener, f->dialer.key);
        f->listener.key = kept;
        p2p_key_free(f->dialer.key);
    }
    f->dialer.key = own;
}

static int refuse_to_sign(void *user, const uint8_t *msg, size_t msg_len, uint8_t *sig)
{
    (void)user;
    (void)msg;
    (void)msg_len;
    (void)sig;
    return P2P_EDENIED;
}

static void test_key_that_does_not_sign(void **state)
{
    struct fixture *f = *state;
    const p2p_peer_id *id = p2p_key_peer_id(f->listener.key);
    p2p_key *external;
    assert_int_equal(
        p2p_key_new_external(P2P_KEY_ED25519, id->bytes + 6, 32, refuse_to_sign, NULL, &external),
        0);
    p2p_key_free(f->listener.key);
    f->listener.key = external;
    end_reset(f, &f->listener);
    assert_int_equal(step(f, &f->dialer), STEP_WANT_INPUT);
    move(f, &f->dialer, &f->listener);
    assert_int_equal(step(f, &f->listener), P2P_EDENIED);
    assert_int_equal(outq_len(&f->listener.out), 0);
}

static void test_out_of_memory(void **state)
{
    struct fixture *f = *state;
    f->pool.max_bytes = 1;
    assert_int_equal(step(f, &f->dialer), P2P_ENOMEM);
    assert_int_equal(step(f, &f->dialer), P2P_ENOMEM);
    assert_int_equal(outq_len(&f->dialer.out), 0);
}

static void test_payload_longest_own(void **state)
{
    (void)state;
    static const char *const names[LAYER_MUXERS_MAX] = {"/yamux/1.0.0",
                                                        "/mplex/6.7.0",
                                                        "/a/muxer/with/a/long/name/1.0.0",
                                                        "/b",
                                                        "/c",
                                                        "/d",
                                                        "/e",
                                                        "/f"};
    static const uint8_t static_public[32] = {1};
    p2p_key *key;
    assert_int_equal(p2p_key_generate(P2P_KEY_RSA, &key), 0);
    uint8_t bytes[NOISE_PAYLOAD_MAX];
    int len = p2p__noise_payload_encode(key, static_public, names, LAYER_MUXERS_MAX, bytes);
    assert_true(len > 0);
    struct noise_payload payload;
    assert_int_equal(p2p__noise_payload_decode(bytes, (size_t)len, names + 2, 2, &payload), 0);
    assert_true(payload.has_muxers);
    assert_int_equal(payload.ours_first, 0);
    assert_int_equal(payload.theirs_first, 0);
    assert_int_equal(p2p__noise_payload_verify(&payload, static_public), 0);
    for (int cut = 1; cut < len; cut++)
        (void)p2p__noise_payload_decode(bytes, (size_t)cut, names, 2, &payload);
    p2p_key_free(key);
}

/* proto2: the last of a singular field counts, and messages that come twice are joined. */
static void test_payload_repeated_fields(void **state)
{
    (void)state;
    uint8_t bytes[256];
    struct pb_out pb = p2p__pb_out(bytes, sizeof bytes);
    p2p__pb_put_bytes(&pb, 1, "old", 3);
    p2p__pb_put_bytes(&pb, 3, "retired", 7);
    p2p__pb_put_bytes(&pb, 4, "\x12\x0c/mplex/6.7.0", 14);
    p2p__pb_put_varint(&pb, 1, 5);
    p2p__pb_put_bytes(&pb, 1, "newer", 5);
    p2p__pb_put_bytes(&pb, 4, "\x12\x0c/yamux/1.0.0", 14);
    struct noise_payload payload;
    assert_int_equal(p2p__noise_payload_decode(bytes, pb.len, yamux_mplex, 2, &payload), 0);
    assert_int_equal(payload.identity_key_len, 5);
    assert_memory_equal(payload.identity_key, "newer", 5);
    assert_null(payload.identity_sig);
    assert_int_equal(payload.ours_first, 0);
    assert_int_equal(payload.theirs_first, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_CHEAP(name)                                                                           \
    {                                                                                              \
#name "_cheap", name, setup_cheap, teardown, NULL                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_handshake),
        TEST_CHEAP(test_handshake),
        TEST(test_table),
        TEST(test_fini_wipes),
        TEST(test_N18_coalesced_and_split_everywhere),
        TEST_CHEAP(test_N18_coalesced_and_split_everywhere),
        TEST(test_one_byte_at_a_time),
        TEST_CHEAP(test_one_byte_at_a_time),
        TEST(test_gap),
        TEST(test_muxer_choice),
        TEST(test_muxer_one_in_common),
        TEST(test_muxer_no_list_is_not_no_overlap),
        TEST(test_muxer_no_overlap),
        TEST(test_N01_identity_sig),
        TEST_CHEAP(test_N01_identity_sig),
        TEST(test_N02_identity_key),
        TEST_CHEAP(test_N02_identity_key),
        TEST(test_N03_signature_over_another_static_key),
        TEST_CHEAP(test_N03_signature_over_another_static_key),
        TEST(test_N05_another_peer_than_dialed),
        TEST(test_N06_empty_frame),
        TEST_CHEAP(test_N06_empty_frame),
        TEST(test_N06_shortest_messages),
        TEST(test_N07_shorter_than_a_tag),
        TEST_CHEAP(test_N07_shorter_than_a_tag),
        TEST(test_N08_largest_record_both_ways),
        TEST_CHEAP(test_N08_largest_record_both_ways),
        TEST(test_N09_announced_and_silent),
        TEST(test_N10_flipped_tag),
        TEST_CHEAP(test_N10_flipped_tag),
        TEST(test_N11_replayed_and_swapped),
        TEST_CHEAP(test_N11_replayed_and_swapped),
        TEST(test_flipped_handshake_bytes),
        TEST_CHEAP(test_flipped_handshake_bytes),
        TEST(test_N15_stream_muxers),
        TEST(test_N17_certhashes_and_unknown_extensions),
        TEST(test_first_message_with_a_payload),
        TEST(test_N22_counter_ends_before_reuse),
        TEST(test_N23_all_kinds_of_identity),
        TEST(test_key_that_does_not_sign),
        TEST(test_out_of_memory),
        TEST(test_payload_longest_own),
        TEST(test_payload_repeated_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

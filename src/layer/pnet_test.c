#include "tests/test.h"

#define FIXTURE_LAYER p2p__layer_pnet

#include <sodium.h>

#include "layer/noise_fixture.h"
#include "layer/pnet.h"
#include "tests/hex.h"

enum {
    NONCE = PNET_NONCE_LEN,
    VECTOR_TEXT = 300,
    VECTOR_WIRE = NONCE + VECTOR_TEXT,
};

/* What go-libp2p v0.51.0 sent for the bytes 0, 1, 2 ... 299 (modulo 256), written in pieces of 1,
 * 62, 1, 64, 65 and 107, with the key i * 7 + 1. */
static const char VECTOR[] =
    "425c18a4e1b0840dbe3cd38980e615f98292e0321dae5dd197f82d45741b37bc287b051823a833f8f2490cc9f278"
    "352f239ee8dc660310ffe1a9dc8c500644afbe1a2ade878c515fd0913321dc9d08c3c58de93df43cb08020f21dea"
    "c1d44ebf0036ae501f0b024e633672ed82a15a9d1ae6bab3dd7bd8d5a2309eda3baaa0caef672875a829132987f8"
    "8102aadf3ffa56896c49e5c53e4eac67aa1e8fad463741a26950d0db88e3f661542d465121cd2d07c16cce8be60b"
    "7fd75cdd5094a84b5939f321249a776283d4333d5ae36fefe19b51bb48d4bc4850ec6a680d21d76b0b44beda9482"
    "1c3629ab92cd2e42a9c4d9a711884e0f63affa60f306dcf68f0ba8ca2f5334d169856901418a5ca1aba238bb8de6"
    "6756664c58ff64689b685fb0b92236b43d6ac557ba643151f0ccf55a175e28b26d849ffd4a11ea6dfa1ed2934c70"
    "e309";

static uint8_t psk[32], text[VECTOR_TEXT], vector[VECTOR_WIRE];

static int setup_pnet(void **state)
{
    for (size_t i = 0; i < sizeof psk; i++)
        psk[i] = (uint8_t)(i * 7 + 1);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)i;
    assert_int_equal(unhex(VECTOR, vector, sizeof vector), sizeof vector);

    struct fixture *f = calloc(1, sizeof *f);
    p2p__pool_init(&f->pool, 0);
    f->env = (struct layer_env){.crypto = &p2p__crypto_real, .pool = &f->pool};
    f->env.aead = f->env.crypto->aead_new();
    f->dialer.config.psk = f->listener.config.psk = psk;
    end_init(f, &f->dialer, true);
    end_init(f, &f->listener, false);
    f->rogue_key = key_of(3);
    *state = f;
    return 0;
}

/* Both have sent their nonces, and neither has seen the other's. */
static void begin(struct fixture *f)
{
    assert_int_equal(step(f, &f->dialer), STEP_DONE);
    assert_int_equal(step(f, &f->listener), STEP_DONE);
}

static void test_table(void **state)
{
    (void)state;
    assert_string_equal(ops->id, "/key/swarm/psk/1.0.0/");
    assert_int_equal(ops->overhead, 0);
    assert_true(ops->plain_max >= p2p__layer_noise.record_max);
    assert_false(ops->clear || ops->unproven || ops->transparent);
}

/* Whatever we have to say follows our nonce at once. */
static void test_nonce_at_once_and_once(void **state)
{
    struct fixture *f = *state;
    uint8_t wire[64];
    struct buf nothing;
    buf_init(&nothing, 0);
    assert_int_equal(ops->step(f->dialer.state, f->dialer.handshake, &f->env, &nothing,
                               &f->dialer.out, &f->dialer.result),
                     STEP_DONE);
    assert_int_equal(step(f, &f->dialer), STEP_DONE);
    assert_int_equal(drain(f, &f->dialer, wire, sizeof wire), NONCE);
    assert_memory_equal(wire, f->dialer.config.random, NONCE);
    assert_int_equal(f->dialer.result.remote_peer_len, 0);
    seal(f, &f->dialer, "before the remote's nonce", 25, wire);
    assert_int_equal(open_code(f, &f->dialer), STEP_WANT_INPUT);
}

static void test_both_ways(void **state)
{
    struct fixture *f = *state;
    uint8_t wire[64];
    begin(f);
    move(f, &f->dialer, &f->listener);
    move(f, &f->listener, &f->dialer);
    for (int i = 0; i < 40; i++) {
        size_t len = seal(f, &f->dialer, "ping", 4, wire);
        assert_memory_not_equal(wire, "ping", 4);
        feed(f, &f->listener, wire, len);
        expect_open(f, &f->listener, "ping", 4);
        feed(f, &f->dialer, wire, seal(f, &f->listener, "and pong", 8, wire));
        expect_open(f, &f->dialer, "and pong", 8);
        assert_int_equal(open_code(f, &f->dialer), STEP_WANT_INPUT);
    }
}

/* The nonce, and what follows it, cut anywhere. */
static void test_go_vector_split_everywhere(void **state)
{
    struct fixture *f = *state;
    for (size_t split = 0; split <= sizeof vector; split++) {
        struct span span;
        uint8_t got[VECTOR_TEXT];
        size_t got_len = 0;
        end_reset(f, &f->listener);
        assert_int_equal(step(f, &f->listener), STEP_DONE);
        for (int half = 0; half < 2; half++) {
            feed(f, &f->listener, half ? vector + split : vector,
                 half ? sizeof vector - split : split);
            while (ops->open(f->listener.state, &f->env, &f->listener.in, &span) == STEP_DONE) {
                memcpy(got + got_len, span.base, span.len);
                got_len += span.len;
            }
        }
        assert_int_equal(got_len, sizeof text);
        assert_memory_equal(got, text, sizeof text);
    }
}

/* Sealed in whatever pieces, it is one stream of the library's XSalsa20. */
static void test_sealed_is_xsalsa20(void **state)
{
    struct fixture *f = *state;
    for (size_t piece = 1; piece <= 130; piece++) {
        uint8_t wire[VECTOR_WIRE], back[VECTOR_TEXT];
        end_reset(f, &f->dialer);
        assert_int_equal(step(f, &f->dialer), STEP_DONE);
        size_t at = drain(f, &f->dialer, wire, NONCE);
        while (at < sizeof wire) {
            size_t len = sizeof wire - at < piece ? sizeof wire - at : piece;
            at += seal(f, &f->dialer, text + (at - NONCE), len, wire + at);
        }
        crypto_stream_xsalsa20_xor(back, wire + NONCE, sizeof back, wire, psk);
        assert_memory_equal(back, text, sizeof text);
    }
}

static void test_wrap_is_seal_in_place(void **state)
{
    struct fixture *f = *state;
    for (size_t piece = 0; piece <= 130; piece++) {
        uint8_t wire[130], plain[130];
        struct pnet_state twin;
        end_reset(f, &f->dialer);
        memcpy(&twin, f->dialer.state, sizeof twin);
        memcpy(plain, text, sizeof plain);
        for (size_t at = 0; at < sizeof plain; at += piece ? piece : sizeof plain) {
            size_t len = sizeof plain - at < piece ? sizeof plain - at : piece;
            const struct p2p__const_iov iov = {text + at, len};
            assert_int_equal(ops->seal(&twin, &f->env, &iov, 1, wire + at), len);
            assert_int_equal(ops->wrap(f->dialer.state, plain + at, len), 0);
            assert_memory_equal(plain + at, wire + at, len);
        }
    }
}

/* As go-libp2p did, with its nonce. */
static void test_seals_the_go_vector(void **state)
{
    struct fixture *f = *state;
    uint8_t wire[VECTOR_WIRE];
    memcpy(f->dialer.config.random, vector, NONCE);
    end_reset(f, &f->dialer);
    assert_int_equal(step(f, &f->dialer), STEP_DONE);
    drain(f, &f->dialer, wire, NONCE);
    seal(f, &f->dialer, text, sizeof text, wire + NONCE);
    assert_memory_equal(wire, vector, sizeof vector);
}

static void test_large_pieces(void **state)
{
    struct fixture *f = *state;
    uint8_t *big = malloc(3 * ops->plain_max), *wire = big + ops->plain_max;
    begin(f);
    move(f, &f->dialer, &f->listener);
    for (size_t i = 0; i < ops->plain_max; i++)
        big[i] = (uint8_t)(i * 31);
    size_t len = seal(f, &f->dialer, big, ops->plain_max, wire);
    len += seal(f, &f->dialer, big, ops->plain_max, wire + len);
    feed(f, &f->listener, wire, len);
    struct span span;
    assert_int_equal(ops->open(f->listener.state, &f->env, &f->listener.in, &span), STEP_DONE);
    assert_int_equal(span.len, len);
    assert_memory_equal(span.base, big, ops->plain_max);
    assert_memory_equal(span.base + ops->plain_max, big, ops->plain_max);
    assert_int_equal(span.gap, NONCE);
    free(big);
}

static void test_gap(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[128];
    struct span span;
    begin(f);
    move(f, &f->dialer, &f->listener);
    assert_int_equal(open_code(f, &f->listener), STEP_WANT_INPUT);
    for (size_t dead = 0; dead <= 64; dead += 16) {
        size_t len = seal(f, &f->dialer, "text", 4, bytes + dead);
        p2p__buf_fini(&f->listener.in, &f->pool);
        p2p__buf_borrow(&f->listener.in, &f->pool, bytes, dead, dead + len);
        assert_int_equal(ops->open(f->listener.state, &f->env, &f->listener.in, &span), 0);
        assert_ptr_equal(span.base, bytes + dead);
        assert_int_equal(span.gap, dead);
        assert_int_equal(buf_len(&f->listener.in), 0);
    }
}

static void test_F08_short_nonce_then_silence(void **state)
{
    struct fixture *f = *state;
    begin(f);
    for (size_t i = 0; i + 1 < NONCE; i++) {
        feed(f, &f->listener, vector + i, 1);
        assert_int_equal(open_code(f, &f->listener), STEP_WANT_INPUT);
        assert_int_equal(buf_len(&f->listener.in), i + 1);
    }
    feed(f, &f->listener, vector + NONCE - 1, 1);
    assert_int_equal(open_code(f, &f->listener), STEP_WANT_INPUT);
    assert_int_equal(buf_len(&f->listener.in), 0);
    feed(f, &f->listener, vector + NONCE, 1);
    expect_open(f, &f->listener, text, 1);
}

/* Noise to one another, and neither the key nor the text is on the wire. */
static void test_F08_another_key(void **state)
{
    struct fixture *f = *state;
    uint8_t other[32], wire[sizeof text];
    memcpy(other, psk, sizeof psk);
    other[31] ^= 0x80;
    f->listener.config.psk = other;
    end_reset(f, &f->listener);
    begin(f);
    move(f, &f->dialer, &f->listener);
    size_t len = seal(f, &f->dialer, text, sizeof text, wire);
    assert_null(memmem(wire, len, text, 8));
    assert_null(memmem(wire, len, psk, 8));
    feed(f, &f->listener, wire, len);
    struct span span;
    assert_int_equal(ops->open(f->listener.state, &f->env, &f->listener.in, &span), STEP_DONE);
    assert_int_equal(span.len, len);
    assert_null(memmem(span.base, len, text, 4));
}

/* No two streams are the same, as long as nonces differ in any bit. */
static void test_every_bit_of_the_nonce(void **state)
{
    struct fixture *f = *state;
    uint8_t first[32], second[32], zero[32] = {0};
    seal(f, &f->dialer, zero, 32, first);
    for (size_t bit = 0; bit < 8 * NONCE; bit++) {
        f->dialer.config.random[bit / 8] ^= (uint8_t)(1 << bit % 8);
        end_reset(f, &f->dialer);
        seal(f, &f->dialer, zero, 32, second);
        assert_memory_not_equal(first, second, 32);
        f->dialer.config.random[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void test_reflected(void **state)
{
    struct fixture *f = *state;
    begin(f);
    move(f, &f->dialer, &f->dialer);
    assert_int_equal(open_code(f, &f->dialer), P2P_EPROTO);
    assert_int_equal(open_code(f, &f->dialer), P2P_EPROTO);
}

static void test_out_of_memory(void **state)
{
    struct fixture *f = *state;
    f->pool.max_bytes = 1;
    assert_int_equal(step(f, &f->dialer), P2P_ENOMEM);
    assert_int_equal(outq_len(&f->dialer.out), 0);
    f->pool.max_bytes = SIZE_MAX;
    assert_int_equal(step(f, &f->dialer), STEP_DONE);
    assert_int_equal(outq_len(&f->dialer.out), NONCE);
}

static void test_fini_wipes(void **state)
{
    struct fixture *f = *state;
    static const uint8_t zero[1024];
    begin(f);
    ops->handshake_fini(f->dialer.handshake);
    ops->fini(f->dialer.state);
    assert_memory_equal(f->dialer.state, zero, ops->state_size);
}

#define PNET_TEST(name) cmocka_unit_test_setup_teardown(name, setup_pnet, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PNET_TEST(test_table),
        PNET_TEST(test_nonce_at_once_and_once),
        PNET_TEST(test_both_ways),
        PNET_TEST(test_go_vector_split_everywhere),
        PNET_TEST(test_sealed_is_xsalsa20),
        PNET_TEST(test_seals_the_go_vector),
        PNET_TEST(test_wrap_is_seal_in_place),
        PNET_TEST(test_large_pieces),
        PNET_TEST(test_gap),
        PNET_TEST(test_F08_short_nonce_then_silence),
        PNET_TEST(test_F08_another_key),
        PNET_TEST(test_every_bit_of_the_nonce),
        PNET_TEST(test_reflected),
        PNET_TEST(test_out_of_memory),
        PNET_TEST(test_fini_wipes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

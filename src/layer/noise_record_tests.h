/* The records of Noise and of the channel that only signs have one shape (two bytes of length, a
 * tag behind), keys and counters; these tests hold for both. */
#ifndef P2P_LAYER_NOISE_RECORD_TESTS_H
#define P2P_LAYER_NOISE_RECORD_TESTS_H

#include <stdlib.h>

#include "layer/noise_fixture.h"

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

static void test_N07_shorter_than_a_tag(void **state)
{
    struct fixture *f = *state;
    uint8_t record[32];
    for (uint8_t len = 0; len < 16; len++) {
        uint8_t header[2] = {0, len};
        shake_hands_anew(f);
        feed(f, &f->listener, header, 2);
        assert_int_equal(open_code(f, &f->listener), P2P_EPROTO);
    }
    shake_hands_anew(f);
    feed(f, &f->listener, "\0\x10", 2);
    assert_int_equal(open_code(f, &f->listener), STEP_WANT_INPUT);
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

/* Once the length is there, a record says what it lacks. */
static void test_N09_says_what_is_missing(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[64];
    shake_hands(f);
    size_t len = seal(f, &f->dialer, "twelve bytes", 12, bytes);
    for (size_t i = 0; i < len; i++) {
        struct span span = {0};
        int code = ops->open(f->listener.state, &f->env, &f->listener.in, &span);
        assert_int_equal(code, STEP_WANT_INPUT);
        assert_int_equal(span.len, i < 2 ? 0 : len - i);
        feed(f, &f->listener, bytes + i, 1);
    }
    expect_open(f, &f->listener, "twelve bytes", 12);
}

static void test_N11_replayed_dropped_and_reflected(void **state)
{
    struct fixture *f = *state;
    uint8_t one[64], two[64];
    shake_hands(f);
    size_t len = seal(f, &f->dialer, "one", 3, one);
    feed(f, &f->listener, one, len);
    feed(f, &f->listener, one, len);
    expect_open(f, &f->listener, "one", 3);
    assert_int_equal(open_code(f, &f->listener), P2P_EPROTO);

    shake_hands_anew(f);
    seal(f, &f->dialer, "one", 3, one);
    seal(f, &f->dialer, "two", 3, two);
    feed(f, &f->listener, two, len);
    assert_int_equal(open_code(f, &f->listener), P2P_EPROTO);
    /* A record sent back to its sender. */
    feed(f, &f->dialer, one, len);
    assert_int_equal(open_code(f, &f->dialer), P2P_EPROTO);

    /* From another session of the same two peers. */
    f->dialer.config.random[40] ^= 1;
    shake_hands_anew(f);
    feed(f, &f->listener, one, len);
    assert_int_equal(open_code(f, &f->listener), P2P_EPROTO);
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

#define RECORD_TESTS                                                                               \
    TEST(test_fini_wipes), TEST_CHEAP(test_fini_wipes), TEST(test_gap), TEST_CHEAP(test_gap),      \
        TEST(test_N07_shorter_than_a_tag), TEST_CHEAP(test_N07_shorter_than_a_tag),                \
        TEST(test_N08_largest_record_both_ways), TEST_CHEAP(test_N08_largest_record_both_ways),    \
        TEST(test_N09_says_what_is_missing), TEST_CHEAP(test_N09_says_what_is_missing),            \
        TEST(test_N11_replayed_dropped_and_reflected),                                             \
        TEST_CHEAP(test_N11_replayed_dropped_and_reflected),                                       \
        TEST(test_N22_counter_ends_before_reuse), TEST_CHEAP(test_N22_counter_ends_before_reuse)

#endif

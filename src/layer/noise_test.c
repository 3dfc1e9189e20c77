#include "tests/test.h"

#include <string.h>

#include <p2p/error.h>
#include <p2p/key.h>

#include "layer/noise_record_tests.h"

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

/* The first half of the randomness is the static secret, the second the ephemeral one. */
static void test_both_halves_of_the_randomness(void **state)
{
    struct fixture *f = *state;
    uint8_t frame[64], expected[32];
    assert_int_equal(step(f, &f->dialer), STEP_WANT_INPUT);
    assert_int_equal(drain(f, &f->dialer, frame, sizeof frame), 34);
    f->env.crypto->dh_public(f->dialer.config.random + 32, expected);
    assert_memory_equal(frame + 2, expected, 32);
    end_reset(f, &f->dialer);
    shake_hands(f);
    const struct noise_handshake *listener = f->listener.handshake;
    assert_memory_equal(listener->xx.remote_eph, expected, 32);
    f->env.crypto->dh_public(f->dialer.config.random, expected);
    assert_memory_equal(listener->xx.remote_static, expected, 32);
}

static void test_table(void **state)
{
    (void)state;
    assert_string_equal(ops->id, "/noise");
    assert_int_equal(ops->record_max, 65537);
    assert_int_equal(ops->plain_max, 65519);
    assert_int_equal(ops->overhead, 18);
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
    shake_hands_anew(f);
    assert_null(f->dialer.result.muxer);
    assert_null(f->listener.result.muxer);
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
        shake_hands_anew(f);
        size_t len = three_records(f, &f->dialer, bytes);
        bytes[at] ^= 0x80;
        feed(f, &f->listener, bytes, len);
        assert_int_equal(open_code(f, &f->listener), P2P_EPROTO);
        /* Nor does anything open when a careless caller goes on with the valid ones. */
        buf_consume(&f->listener.in, 21);
        assert_int_equal(open_code(f, &f->listener), P2P_ELIMIT);
    }
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
        shake_hands_anew(f);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_handshake),
        TEST_CHEAP(test_handshake),
        TEST(test_both_halves_of_the_randomness),
        TEST(test_table),
        TEST(test_N18_coalesced_and_split_everywhere),
        TEST_CHEAP(test_N18_coalesced_and_split_everywhere),
        TEST(test_one_byte_at_a_time),
        TEST_CHEAP(test_one_byte_at_a_time),
        TEST(test_muxer_choice),
        TEST(test_muxer_one_in_common),
        TEST(test_muxer_no_list_is_not_no_overlap),
        TEST(test_N09_announced_and_silent),
        TEST(test_N10_flipped_tag),
        TEST_CHEAP(test_N10_flipped_tag),
        TEST(test_N23_all_kinds_of_identity),
        TEST(test_key_that_does_not_sign),
        TEST(test_out_of_memory),
        RECORD_TESTS,
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

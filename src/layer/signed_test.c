#include "tests/test.h"

#define FIXTURE_LAYER p2p__layer_signed

#include <sodium.h>

#include "layer/noise_record_tests.h"
#include "tests/hex.h"

static void test_table(void **state)
{
    (void)state;
    assert_string_equal(ops->id, "/libp2p-c/signed/1.0.0");
    assert_int_equal(ops->record_max, 65537);
    assert_int_equal(ops->plain_max, 65519);
    assert_int_equal(ops->overhead, 18);
    assert_true(ops->clear && !ops->unproven && !ops->transparent);
    assert_false(p2p__layer_noise.clear || p2p__layer_noise.unproven);
}

static void test_both_ways(void **state)
{
    struct fixture *f = *state;
    uint8_t record[64];
    shake_hands(f);
    expect_peer(&f->dialer, f->listener.key);
    expect_peer(&f->listener, f->dialer.key);
    assert_ptr_equal(f->dialer.result.muxer, yamux_mplex[0]);
    ops->handshake_fini(f->dialer.handshake);
    ops->handshake_fini(f->listener.handshake);
    for (int i = 0; i < 3; i++) {
        feed(f, &f->listener, record, seal(f, &f->dialer, "ping", 4, record));
        expect_open(f, &f->listener, "ping", 4);
        feed(f, &f->dialer, record, seal(f, &f->listener, "", 0, record));
        expect_open(f, &f->dialer, "", 0);
        assert_int_equal(open_code(f, &f->dialer), STEP_WANT_INPUT);
    }
}

/* docs/specs/signed-channel.md, written down once more with another library. */
static void test_frame(void **state)
{
    struct fixture *f = *state;
    uint8_t record[64], tag[16];
    shake_hands(f);
    const struct noise_state *sender = f->dialer.state;
    for (uint8_t n = 0; n < 3; n++) {
        uint8_t nonce[12] = {0, 0, 0, 0, n};
        size_t len = seal(f, &f->dialer, "read me", 7, record);
        assert_int_equal(len, 25);
        assert_memory_equal(record, "\0\x17read me", 9);
        crypto_aead_chacha20poly1305_ietf_encrypt_detached(tag, tag, NULL, record, 0, record + 2, 7,
                                                           NULL, nonce, sender->send.key);
        assert_memory_equal(record + 9, tag, 16);
    }
}

/* The vector of docs/specs/signed-channel.md. */
static void test_vector(void **state)
{
    struct fixture *f = *state;
    uint8_t record[32], expected[32];
    struct noise_state *sender = f->dialer.state, *reader = f->listener.state;
    for (uint8_t i = 0; i < 32; i++)
        sender->send.key[i] = reader->recv.key[i] = i;
    size_t len = unhex("0017"
                       "72656164206d65"
                       "ed9b01230416c61f9244ab264d4b4f69",
                       expected, sizeof expected);
    assert_int_equal(seal(f, &f->dialer, "read me", 7, record), len);
    assert_memory_equal(record, expected, len);
    feed(f, &f->listener, expected, len);
    expect_open(f, &f->listener, "read me", 7);
}

static const struct layer_ops *const pair[] = {&p2p__layer_signed, &p2p__layer_noise};

/* The first messages of both look alike; the second one does not decrypt. */
static void test_meets_only_its_like(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        end_reset(f, &f->dialer);
        end_reset(f, &f->listener);
        memset(f->dialer.handshake, 0, ops->handshake_size);
        memset(f->listener.handshake, 0, ops->handshake_size);
        assert_int_equal(
            pair[i]->start(f->dialer.state, f->dialer.handshake, &f->dialer.config, &f->env), 0);
        assert_int_equal(
            pair[!i]->start(f->listener.state, f->listener.handshake, &f->listener.config, &f->env),
            0);
        assert_int_equal(step(f, &f->dialer), STEP_WANT_INPUT);
        move(f, &f->dialer, &f->listener);
        assert_int_equal(step(f, &f->listener), STEP_WANT_INPUT);
        move(f, &f->listener, &f->dialer);
        assert_int_equal(step(f, &f->dialer), P2P_EHANDSHAKE);
        assert_int_equal(f->dialer.result.remote_peer_len, 0);
        assert_int_equal(outq_len(&f->dialer.out), 0);
    }
}

/* Nor would records, if somebody brought both to the same keys. */
static void test_records_are_not_noise(void **state)
{
    struct fixture *f = *state;
    const struct p2p__const_iov in = {(const uint8_t *)"text", 4};
    uint8_t record[64];
    for (int i = 0; i < 2; i++) {
        struct span span = {0};
        shake_hands_anew(f);
        int64_t len = pair[i]->seal(f->dialer.state, &f->env, &in, 1, record);
        feed(f, &f->listener, record, (size_t)len);
        assert_int_equal(pair[!i]->open(f->listener.state, &f->env, &f->listener.in, &span),
                         P2P_EPROTO);
    }
    /* An empty one neither: its tag is the only thing it has. */
    struct span span = {0};
    shake_hands_anew(f);
    feed(f, &f->listener, record, seal(f, &f->dialer, "", 0, record));
    assert_int_equal(ops->open(f->listener.state, &f->env, &f->listener.in, &span), STEP_DONE);
}

static void test_N05_another_peer_than_dialed(void **state)
{
    struct fixture *f = *state;
    const p2p_peer_id *asked = p2p_key_peer_id(f->rogue_key);
    f->dialer.config.expected_peer = asked->bytes;
    f->dialer.config.expected_peer_len = asked->len;
    assert_int_equal(step(f, &f->dialer), STEP_WANT_INPUT);
    move(f, &f->dialer, &f->listener);
    assert_int_equal(step(f, &f->listener), STEP_WANT_INPUT);
    move(f, &f->listener, &f->dialer);
    assert_int_equal(step(f, &f->dialer), P2P_EPEERID);
}

/* Of whatever is readable, and of the rest, no bit can be altered. */
static void test_N10_every_bit(void **state)
{
    struct fixture *f = *state;
    uint8_t record[64];
    for (size_t bit = 0; bit < 8 * 22; bit++) {
        /* Enough behind it that a longer length finds its bytes. */
        uint8_t wire[1024] = {0};
        shake_hands_anew(f);
        size_t len = seal(f, &f->dialer, "text", 4, wire);
        wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
        feed(f, &f->listener, wire, sizeof wire);
        int code = open_code(f, &f->listener);
        if (noise_frame_len(wire) + 2 > sizeof wire) {
            assert_int_equal(code, STEP_WANT_INPUT);
            continue;
        }
        assert_int_equal(code, P2P_EPROTO);
        if (bit < 16)
            continue;
        /* Nor does anything open when a careless caller goes on with a valid one. */
        buf_consume(&f->listener.in, buf_len(&f->listener.in));
        len = seal(f, &f->dialer, "text", 4, record);
        feed(f, &f->listener, record, len);
        assert_int_equal(open_code(f, &f->listener), P2P_ELIMIT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_table),
        TEST(test_both_ways),
        TEST_CHEAP(test_both_ways),
        TEST(test_frame),
        TEST(test_vector),
        TEST(test_meets_only_its_like),
        TEST_CHEAP(test_meets_only_its_like),
        TEST(test_records_are_not_noise),
        TEST_CHEAP(test_records_are_not_noise),
        TEST(test_N05_another_peer_than_dialed),
        TEST_CHEAP(test_N10_every_bit),
        TEST(test_N10_every_bit),
        RECORD_TESTS,
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

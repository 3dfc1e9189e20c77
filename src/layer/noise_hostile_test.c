/* Handshakes with a peer whose cryptography is right and whose payloads are not. */
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>
#include <p2p/key.h>

#include "codec/protobuf.h"
#include "layer/noise_fixture.h"
#include "layer/noise_payload.h"

enum {
    BIG = 200 * 1024, /* more than any message */
};

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
    shake_hands_anew(f);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        TEST(test_flipped_handshake_bytes),
        TEST_CHEAP(test_flipped_handshake_bytes),
        TEST(test_N15_stream_muxers),
        TEST(test_N17_certhashes_and_unknown_extensions),
        TEST(test_first_message_with_a_payload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

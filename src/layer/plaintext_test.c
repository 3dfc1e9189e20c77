#include "tests/test.h"

#define FIXTURE_LAYER p2p__layer_plaintext

#include "codec/protobuf.h"
#include "layer/noise_fixture.h"
#include "layer/plaintext.h"
#include "tests/hex.h"

/* What go-libp2p v0.51.0 sends: with the Ed25519 key of a seed of zeros, and with keys of the other
 * kinds. */
static const char GO_ED25519[] =
    "4e0a260024080112203b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da291224080112"
    "203b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29";
static const char GO_RSA[] =
    "d2020a2212209d5dab77f0a588aeea3508be5b74e36d31c0e6235627d5028d4d8eaeb4ac531912ab02080012a602"
    "30820122300d06092a864886f70d01010105000382010f003082010a0282010100be2e8ac40a43a66916b9fe918a"
    "0cf134fab30d29e11a8635cc5a062321f56d3e0bbd6a15e8d059efb42784c5076c5e87bef6386a9a4f6c36e059a4"
    "cbd6e7acc994ed648017357dff7d79f9b4a9ce45e9cd53379b1b8546dd52a6acaa9a7c3c76216c528a6856ef266d"
    "4c8a60151c437e3ef9bcbbadae441b7fe6b67320118a986a6c5a056b9b8f3a04040c1536f50625993b1dc36ff881"
    "26b37953cca57596c6fbe1bc89d0b55f292aef8a4662fb8c8299d58d70d865f33c9224163f4e82a224082c429f2f"
    "c76edd5099348471d3cbd921b42d73b01386918c1ccaf3955d9ad1363bd2fb65d70fe1efcc105f116ec0c6f917fb"
    "7d8347f4a0dc810045d290ecf50203010001";
static const char GO_SECP256K1[] =
    "500a27002508021221031d93bf439e1fc4ebd41d48008a4721419b51f27d43f5500149d3983e48e7dc5d12250802"
    "1221031d93bf439e1fc4ebd41d48008a4721419b51f27d43f5500149d3983e48e7dc5d";
static const char GO_ECDSA[] =
    "85010a2212204646360bbf2d13649a53a8bff4e7b56e49ec25adc877de8fbfc9e75686bd1ad4125f0803125b3059"
    "301306072a8648ce3d020106082a8648ce3d03010703420004f0e65e52a018b1db0b8bd44523e227fc9b761d8c02"
    "82fa413774c252eaec501492d7363687e5eb48fa32964b58d493b1639cb6fbd0b454b39ced4da64d71fe03";

static void test_table(void **state)
{
    (void)state;
    assert_string_equal(ops->id, "/plaintext/2.0.0");
    assert_int_equal(ops->overhead, 0);
    assert_true(ops->clear && ops->unproven && ops->transparent);
}

static void test_both_speak_at_once(void **state)
{
    struct fixture *f = *state;
    struct buf nothing;
    buf_init(&nothing, 0);
    assert_int_equal(ops->step(f->dialer.state, f->dialer.handshake, &f->env, &nothing,
                               &f->dialer.out, &f->dialer.result),
                     STEP_WANT_INPUT);
    size_t len = outq_len(&f->dialer.out);
    assert_true(len > 0);
    assert_int_equal(step(f, &f->dialer), STEP_WANT_INPUT);
    assert_int_equal(outq_len(&f->dialer.out), len); /* and once */
    assert_int_equal(step(f, &f->listener), STEP_WANT_INPUT);
    move(f, &f->dialer, &f->listener);
    move(f, &f->listener, &f->dialer);
    assert_int_equal(step(f, &f->dialer), STEP_DONE);
    assert_int_equal(step(f, &f->listener), STEP_DONE);
    expect_peer(&f->dialer, f->listener.key);
    expect_peer(&f->listener, f->dialer.key);
    assert_null(f->dialer.result.muxer);
    assert_null(f->dialer.result.error);
    ops->handshake_fini(f->dialer.handshake);
    ops->handshake_fini(f->listener.handshake);
    uint8_t wire[16];
    feed(f, &f->listener, wire, seal(f, &f->dialer, "ping", 4, wire));
    assert_memory_equal(wire, "ping", 4);
    expect_open(f, &f->listener, "ping", 4);
    assert_int_equal(open_code(f, &f->listener), STEP_WANT_INPUT);
}

static void test_says_what_go_says(void **state)
{
    struct fixture *f = *state;
    static const uint8_t seed[P2P__ED25519_SEED_LEN];
    uint8_t wire[128], expected[128];
    p2p_key_free(f->dialer.key);
    assert_int_equal(p2p__key_from_seed(seed, &f->dialer.key), 0);
    end_reset(f, &f->dialer);
    assert_int_equal(step(f, &f->dialer), STEP_WANT_INPUT);
    size_t len = unhex(GO_ED25519, expected, sizeof expected);
    assert_int_equal(drain(f, &f->dialer, wire, sizeof wire), len);
    assert_memory_equal(wire, expected, len);
}

static void test_understands_go(void **state)
{
    struct fixture *f = *state;
    static const char *const said[][2] = {
        {GO_ED25519, "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"},
        {GO_RSA, "QmYvwZSXzURgcgLpDHAh3JiYFoDMCTPoyoPyBDycqnUzFa"},
        {GO_SECP256K1, "16Uiu2HAmEeSqoK7aNnhtoYdAvevKRYmt4AZ3NGBp63z66fLTrsmv"},
        {GO_ECDSA, "QmT4yLsccEPbZ84mpZg4EnZ5VVL9rpfrEY7u81Gjgcr5Th"},
    };
    for (size_t i = 0; i < 4; i++) {
        uint8_t wire[512];
        p2p_peer_id id;
        size_t len = unhex(said[i][0], wire, sizeof wire);
        assert_int_equal(p2p_peer_id_parse(said[i][1], &id), 0);
        end_reset(f, &f->dialer);
        f->dialer.config.expected_peer = id.bytes;
        f->dialer.config.expected_peer_len = id.len;
        feed(f, &f->dialer, wire, len);
        assert_int_equal(step(f, &f->dialer), STEP_DONE);
        assert_int_equal(f->dialer.result.remote_peer_len, id.len);
        assert_memory_equal(f->dialer.result.remote_peer, id.bytes, id.len);
    }
}

static void test_all_kinds_of_our_own(void **state)
{
    struct fixture *f = *state;
    static const int types[] = {P2P_KEY_RSA, P2P_KEY_ED25519, P2P_KEY_SECP256K1, P2P_KEY_ECDSA};
    for (size_t i = 0; i < 4; i++) {
        p2p_key_free(f->dialer.key);
        assert_int_equal(p2p_key_generate(types[i], &f->dialer.key), 0);
        end_reset(f, &f->dialer);
        end_reset(f, &f->listener);
        assert_int_equal(step(f, &f->dialer), STEP_WANT_INPUT);
        move(f, &f->dialer, &f->listener);
        assert_int_equal(step(f, &f->listener), STEP_DONE);
        expect_peer(&f->listener, f->dialer.key);
    }
}

/* What comes behind the message, in one piece with it or not, is the channel's first input. */
static void test_N18_coalesced_and_split_everywhere(void **state)
{
    struct fixture *f = *state;
    uint8_t wire[128];
    size_t len = unhex(GO_ED25519, wire, sizeof wire);
    memcpy(wire + len, "early", 5);
    for (size_t split = 0; split <= len + 5; split++) {
        end_reset(f, &f->listener);
        feed(f, &f->listener, wire, split);
        assert_int_equal(step(f, &f->listener), split < len ? STEP_WANT_INPUT : STEP_DONE);
        assert_int_equal(f->listener.result.remote_peer_len > 0, split >= len);
        feed(f, &f->listener, wire + split, len + 5 - split);
        if (split < len)
            assert_int_equal(step(f, &f->listener), STEP_DONE);
        expect_open(f, &f->listener, "early", 5);
    }
}

/* A message that the tests break in one place at a time. */
struct said {
    const uint8_t *id, *key; /* NULL: absent */
    size_t id_len, key_len;
    size_t padding; /* of an unknown field */
    int twice;      /* this field */
};

static struct said honest(const struct fixture *f)
{
    struct said said = {0};
    const p2p_peer_id *id = p2p_key_peer_id(f->rogue_key);
    said.id = id->bytes;
    said.id_len = id->len;
    said.key = p2p_key_public(f->rogue_key, &said.key_len);
    return said;
}

static int hears(struct fixture *f, const struct said *said)
{
    uint8_t frame[8192], zero[4096] = {0};
    struct pb_out pb = p2p__pb_out(frame, sizeof frame);
    size_t mark = p2p__pb_frame_begin(&pb);
    for (int i = 0; said->id && i <= (said->twice == 1); i++)
        p2p__pb_put_bytes(&pb, 1, said->id, said->id_len);
    for (int i = 0; said->key && i <= (said->twice == 2); i++)
        p2p__pb_put_bytes(&pb, 2, said->key, said->key_len);
    if (said->padding > 0)
        p2p__pb_put_bytes(&pb, 3, zero, said->padding);
    p2p__pb_frame_end(&pb, mark);
    assert_false(pb.overflow);
    end_reset(f, &f->dialer);
    feed(f, &f->dialer, frame, pb.len);
    int code = step(f, &f->dialer);
    assert_int_equal(step(f, &f->dialer), code < 0 ? code : STEP_WANT_INPUT);
    assert_int_equal(f->dialer.result.error != NULL, code < 0);
    return code;
}

static int hears_nobody(struct fixture *f, struct said said)
{
    int code = hears(f, &said);
    assert_int_equal(f->dialer.result.remote_peer_len, 0);
    return code;
}

static void test_id_and_key_must_agree(void **state)
{
    struct fixture *f = *state;
    struct said good = honest(f), bad = good;
    assert_int_equal(hears(f, &good), STEP_DONE);
    expect_peer(&f->dialer, f->rogue_key);

    bad.id = p2p_key_peer_id(f->listener.key)->bytes;
    assert_int_equal(hears_nobody(f, bad), P2P_EHANDSHAKE);
    bad = good;
    bad.id_len--;
    assert_int_equal(hears_nobody(f, bad), P2P_EHANDSHAKE);
    bad.id_len = 0;
    assert_int_equal(hears_nobody(f, bad), P2P_EHANDSHAKE);
    bad.id_len = good.id_len + 1;
    assert_int_equal(hears_nobody(f, bad), P2P_EHANDSHAKE);
    bad.id = NULL;
    assert_int_equal(hears_nobody(f, bad), P2P_EHANDSHAKE);
    assert_string_equal(f->dialer.result.error, "the remote did not say who it is");
    bad = good;
    bad.key = NULL;
    assert_int_equal(hears_nobody(f, bad), P2P_EHANDSHAKE);
    assert_string_equal(f->dialer.result.error, "the remote did not say who it is");
    bad.id = NULL;
    assert_int_equal(hears_nobody(f, bad), P2P_EHANDSHAKE);
}

static void test_N02_identity_key(void **state)
{
    struct fixture *f = *state;
    static const uint8_t garbage[36] = {0x08, 0xff, 0xff, 0x12, 0x7f, 1, 2, 3};
    struct said bad = honest(f);
    bad.key_len--;
    assert_int_equal(hears_nobody(f, bad), P2P_EHANDSHAKE);
    bad.key_len = 0;
    assert_int_equal(hears_nobody(f, bad), P2P_EHANDSHAKE);
    bad.key = garbage;
    bad.key_len = sizeof garbage;
    assert_int_equal(hears_nobody(f, bad), P2P_EHANDSHAKE);
}

static void test_named_twice(void **state)
{
    struct fixture *f = *state;
    struct said bad = honest(f);
    bad.twice = 1;
    assert_int_equal(hears_nobody(f, bad), P2P_EHANDSHAKE);
    bad.twice = 2;
    assert_int_equal(hears_nobody(f, bad), P2P_EHANDSHAKE);
}

static void test_N05_another_peer_than_dialed(void **state)
{
    struct fixture *f = *state;
    struct said good = honest(f);
    const p2p_peer_id *asked = p2p_key_peer_id(f->listener.key);
    f->dialer.config.expected_peer = asked->bytes;
    f->dialer.config.expected_peer_len = asked->len;
    assert_int_equal(hears(f, &good), P2P_EPEERID);
    expect_peer(&f->dialer, f->rogue_key); /* for the sentence that says who it was */
    asked = p2p_key_peer_id(f->rogue_key);
    f->dialer.config.expected_peer = asked->bytes;
    f->dialer.config.expected_peer_len = asked->len - 1u;
    assert_int_equal(hears(f, &good), P2P_EPEERID);
    f->dialer.config.expected_peer_len = asked->len;
    assert_int_equal(hears(f, &good), STEP_DONE);
}

static void test_size_limit(void **state)
{
    struct fixture *f = *state;
    struct said said = honest(f);
    /* Two fields of 2 + 38 and 2 + 36 bytes; the third's tag and length take three. */
    said.padding = PLAINTEXT_EXCHANGE_MAX - 78 - 3;
    assert_int_equal(hears(f, &said), STEP_DONE);
    said.padding++;
    assert_int_equal(hears_nobody(f, said), P2P_EHANDSHAKE);
    /* It is known from the length alone. */
    end_reset(f, &f->dialer);
    feed(f, &f->dialer, "\x80\x10", 2);
    assert_int_equal(step(f, &f->dialer), STEP_WANT_INPUT);
    end_reset(f, &f->dialer);
    feed(f, &f->dialer, "\x81\x10", 2);
    assert_int_equal(step(f, &f->dialer), P2P_EHANDSHAKE);
    end_reset(f, &f->dialer);
    feed(f, &f->dialer, "\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    assert_int_equal(step(f, &f->dialer), P2P_EHANDSHAKE);
}

static void test_malformed(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"\0", 1},                       /* empty */
        {"\x80\0", 2},                   /* a length that is not minimal */
        {"\x01\x0a", 2},                 /* a cut field */
        {"\x02\x0b\x0c", 3},             /* a group */
        {"\x13/multistream/1.0.0\n", 20} /* still negotiating */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        end_reset(f, &f->dialer);
        feed(f, &f->dialer, bad[i].bytes, bad[i].len);
        assert_int_equal(step(f, &f->dialer), P2P_EHANDSHAKE);
        assert_int_equal(step(f, &f->dialer), P2P_EHANDSHAKE);
        assert_int_equal(f->dialer.result.remote_peer_len, 0);
        assert_non_null(f->dialer.result.error);
    }
}

static int hears_around(struct fixture *f, const char *before, const char *after)
{
    uint8_t wire[256], message[128];
    size_t len = unhex(GO_ED25519, message, sizeof message) - 1;
    struct pb_out pb = p2p__pb_out(wire, sizeof wire);
    size_t mark = p2p__pb_frame_begin(&pb);
    p2p__pb_put_raw(&pb, before, strlen(before));
    p2p__pb_put_raw(&pb, message + 1, len);
    p2p__pb_put_raw(&pb, after, strlen(after));
    p2p__pb_frame_end(&pb, mark);
    end_reset(f, &f->dialer);
    feed(f, &f->dialer, wire, pb.len);
    return step(f, &f->dialer);
}

static void test_around_an_honest_message(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(hears_around(f, "", ""), STEP_DONE);
    /* Our numbers with other wire types are unknown fields. */
    assert_int_equal(hears_around(f, "\x08\x01", "\x10\x01"), STEP_DONE);
    assert_int_equal(hears_around(f, "", "\x1a"), P2P_EHANDSHAKE);
    assert_int_equal(hears_around(f, "", "\x1a\x05"), P2P_EHANDSHAKE);
}

static void test_lends_all_there_is(void **state)
{
    struct fixture *f = *state;
    struct span span;
    uint8_t bytes[64] = {0};
    memcpy(bytes + 10, "text", 4);
    p2p__buf_borrow(&f->dialer.in, &f->pool, bytes, 10, 14);
    assert_int_equal(ops->open(f->dialer.state, &f->env, &f->dialer.in, &span), STEP_DONE);
    assert_ptr_equal(span.base, bytes + 10);
    assert_int_equal(span.len, 4);
    assert_int_equal(span.gap, 10);
    assert_int_equal(buf_len(&f->dialer.in), 0);
    assert_int_equal(open_code(f, &f->dialer), STEP_WANT_INPUT);
}

static void test_seals_the_most(void **state)
{
    struct fixture *f = *state;
    uint8_t *text = calloc(2, ops->plain_max), *wire = text + ops->plain_max;
    memset(text, 7, ops->plain_max);
    seal(f, &f->dialer, text, ops->plain_max, wire);
    assert_memory_equal(wire, text, ops->plain_max);
    seal(f, &f->dialer, text, 0, wire);
    free(text);
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
        TEST(test_table),
        TEST(test_both_speak_at_once),
        TEST_CHEAP(test_both_speak_at_once),
        TEST(test_says_what_go_says),
        TEST(test_understands_go),
        TEST(test_all_kinds_of_our_own),
        TEST(test_N18_coalesced_and_split_everywhere),
        TEST(test_id_and_key_must_agree),
        TEST(test_N02_identity_key),
        TEST(test_named_twice),
        TEST(test_N05_another_peer_than_dialed),
        TEST(test_size_limit),
        TEST(test_malformed),
        TEST(test_around_an_honest_message),
        TEST(test_lends_all_there_is),
        TEST(test_seals_the_most),
        TEST(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

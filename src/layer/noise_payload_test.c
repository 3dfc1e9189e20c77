#include "tests/test.h"

#include <string.h>

#include <p2p/error.h>
#include <p2p/key.h>

#include "codec/protobuf.h"
#include "layer/noise_payload.h"

static const char *const yamux_mplex[] = {"/yamux/1.0.0", "/mplex/6.7.0"};

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_payload_longest_own),
        cmocka_unit_test(test_payload_repeated_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

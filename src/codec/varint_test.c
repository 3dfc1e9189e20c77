#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>

#include "codec/varint.h"

/* Exactly as much memory as there is input, so that a read behind it is found. */
static uint8_t *exact(const uint8_t *in, size_t in_len)
{
    uint8_t *copy = malloc(in_len > 0 ? in_len : 1);
    assert_non_null(copy);
    if (in_len > 0)
        memcpy(copy, in, in_len);
    return copy;
}

static int decode(const uint8_t *in, size_t in_len, uint64_t *out)
{
    uint8_t *copy = exact(in, in_len);
    int used = p2p__varint_decode(copy, in_len, out);
    free(copy);
    return used;
}

static int pb_decode(const uint8_t *in, size_t in_len, uint64_t *out)
{
    uint8_t *copy = exact(in, in_len);
    int used = p2p__pb_varint_decode(copy, in_len, out);
    free(copy);
    return used;
}

static void test_spec_vectors(void **state)
{
    (void)state;
    /* The examples of multiformats/unsigned-varint. */
    static const struct {
        uint64_t value;
        uint8_t bytes[3];
        size_t len;
    } vectors[] = {
        {1, {0x01}, 1},         {127, {0x7f}, 1},         {128, {0x80, 0x01}, 2},
        {255, {0xff, 0x01}, 2}, {300, {0xac, 0x02}, 2},   {16384, {0x80, 0x80, 0x01}, 3},
        {0, {0x00}, 1},         {16383, {0xff, 0x7f}, 2},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        uint8_t out[P2P__PB_VARINT_MAX];
        uint64_t value = 99;
        assert_int_equal(p2p__varint_encode(vectors[i].value, out), vectors[i].len);
        assert_memory_equal(out, vectors[i].bytes, vectors[i].len);
        assert_int_equal(p2p__varint_len(vectors[i].value), vectors[i].len);
        assert_int_equal(decode(out, vectors[i].len, &value), vectors[i].len);
        assert_int_equal(value, vectors[i].value);
    }
}

static void test_round_trip_at_every_bit(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)delta;
            uint8_t out[P2P__PB_VARINT_MAX];
            size_t len = p2p__varint_encode(value, out);
            uint64_t back = ~value;
            assert_int_equal(len, p2p__varint_len(value));
            assert_int_equal(pb_decode(out, len, &back), len);
            assert_true(back == value);
            int used = decode(out, len, &back);
            if (value <= INT64_MAX)
                assert_int_equal(used, len);
            else
                assert_int_equal(used, P2P_EPROTO);
        }
    }
}

static void test_P01_cut_is_need_more(void **state)
{
    (void)state;
    static const uint8_t cut[] = {0xff, 0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};
    uint64_t value = 7;
    assert_int_equal(p2p__varint_decode(NULL, 0, &value), 0);
    assert_int_equal(p2p__pb_varint_decode(NULL, 0, &value), 0);
    for (size_t len = 0; len < P2P__VARINT_MAX; len++)
        assert_int_equal(decode(cut, len, &value), 0);
    for (size_t len = 0; len <= 9; len++)
        assert_int_equal(pb_decode(cut, len, &value), 0);
    assert_int_equal(value, 7);
}

static void test_P02_over_long(void **state)
{
    (void)state;
    uint8_t in[64];
    uint64_t value = 7;
    memset(in, 0x80, sizeof(in));
    in[10] = 0x01;
    assert_int_equal(decode(in, 8, &value), 0);
    /* The ninth byte asks for a tenth: nobody waits for that one. */
    assert_int_equal(decode(in, 9, &value), P2P_EPROTO);
    assert_int_equal(decode(in, 10, &value), P2P_EPROTO);
    assert_int_equal(decode(in, 11, &value), P2P_EPROTO);
    memset(in, 0x80, sizeof(in));
    assert_int_equal(decode(in, sizeof(in), &value), P2P_EPROTO);
    assert_int_equal(pb_decode(in, sizeof(in), &value), P2P_EPROTO);
    assert_int_equal(value, 7);
    memset(in, 0xff, 8);
    in[8] = 0x7f;
    assert_int_equal(decode(in, 9, &value), 9);
    assert_true(value == INT64_MAX);
}

static void test_P02_not_minimal(void **state)
{
    (void)state;
    static const uint8_t needless[][3] = {{0x80, 0x00}, {0x81, 0x00}, {0x80, 0x80, 0x00}};
    static const size_t lens[] = {2, 2, 3};
    for (size_t i = 0; i < 3; i++) {
        uint64_t value = 7;
        assert_int_equal(decode(needless[i], lens[i], &value), P2P_EPROTO);
        assert_int_equal(value, 7);
        assert_int_equal(pb_decode(needless[i], lens[i], &value), lens[i]);
        assert_int_equal(value, i == 1 ? 1 : 0);
    }
}

static void test_P04_protobuf_limits(void **state)
{
    (void)state;
    uint8_t in[10];
    uint64_t value = 7;
    memset(in, 0xff, 9);
    in[9] = 0x01;
    assert_int_equal(pb_decode(in, 10, &value), 10);
    assert_true(value == UINT64_MAX);
    value = 7;
    in[9] = 0x02;
    assert_int_equal(pb_decode(in, 10, &value), P2P_EPROTO);
    in[9] = 0x81; /* 64 bits, and yet another byte to come */
    assert_int_equal(pb_decode(in, 10, &value), P2P_EPROTO);
    in[9] = 0x80;
    assert_int_equal(pb_decode(in, 10, &value), P2P_EPROTO);
    assert_int_equal(value, 7);
    memset(in, 0x80, 9);
    in[9] = 0x00; /* needless, and tolerated here */
    assert_int_equal(pb_decode(in, 10, &value), 10);
    assert_int_equal(value, 0);
}

static void test_frame_both_sides_of_the_limit(void **state)
{
    (void)state;
    uint8_t in[132] = {0x80, 0x01};
    const uint8_t *body = NULL;
    size_t body_len = 99;
    for (size_t len = 0; len < 130; len++)
        assert_int_equal(p2p__frame_decode(in, len, 128, &body, &body_len), 0);
    assert_int_equal(p2p__frame_decode(in, 130, 128, &body, &body_len), 130);
    assert_ptr_equal(body, in + 2);
    assert_int_equal(body_len, 128);
    assert_int_equal(p2p__frame_decode(in, sizeof(in), 128, &body, &body_len), 130);
    /* Refused by the prefix alone, before any of the body is there. */
    assert_int_equal(p2p__frame_decode(in, 2, 127, &body, &body_len), P2P_ETOOBIG);
    assert_int_equal(p2p__frame_decode((const uint8_t *)"", 1, 0, &body, &body_len), 1);
    assert_int_equal(body_len, 0);
}

static void test_P05_frame_length_overflow(void **state)
{
    (void)state;
    uint8_t in[10];
    const uint8_t *body;
    size_t body_len;
    memset(in, 0xff, sizeof(in));
    in[8] = 0x7f;
    assert_int_equal(p2p__frame_decode(in, 9, 1024, &body, &body_len), P2P_ETOOBIG);
    const size_t max = SIZE_MAX / 2 - 9; /* more than any machine has */
    assert_int_equal(p2p__frame_decode(in, 9, max, &body, &body_len), P2P_ETOOBIG);
    size_t len = p2p__varint_encode(max, in);
    assert_int_equal(p2p__frame_decode(in, len, max, &body, &body_len), 0);
    len = p2p__varint_encode((uint64_t)max + 1, in);
    assert_int_equal(p2p__frame_decode(in, len, max, &body, &body_len), P2P_ETOOBIG);
    memset(in, 0xff, sizeof(in));
    assert_int_equal(p2p__frame_decode(in, 10, 1024, &body, &body_len), P2P_EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spec_vectors),
        cmocka_unit_test(test_round_trip_at_every_bit),
        cmocka_unit_test(test_P01_cut_is_need_more),
        cmocka_unit_test(test_P02_over_long),
        cmocka_unit_test(test_P02_not_minimal),
        cmocka_unit_test(test_P04_protobuf_limits),
        cmocka_unit_test(test_frame_both_sides_of_the_limit),
        cmocka_unit_test(test_P05_frame_length_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/test.h"

#include <sodium.h>
#include <string.h>

#include "crypto/salsa20.h"
#include "tests/hex.h"

static const char KEY[] = "1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389";
static const char NONCE[] = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37";

static struct p2p__xsalsa20 stream_of(uint8_t key[32], uint8_t nonce[24])
{
    struct p2p__xsalsa20 stream;
    assert_int_equal(unhex(KEY, key, 32), 32);
    assert_int_equal(unhex(NONCE, nonce, 24), 24);
    p2p__xsalsa20_init(&stream, key, nonce);
    return stream;
}

/* "Cryptography in NaCl", section 8: stream3. */
static void test_nacl_vector(void **state)
{
    (void)state;
    uint8_t key[32], nonce[24], expected[32], out[32] = {0};
    struct p2p__xsalsa20 stream = stream_of(key, nonce);
    unhex("eea6a7251c1e72916d11c2cb214d3c252539121d8e234e652d651fa4c8cff880", expected, 32);
    p2p__xsalsa20_xor(&stream, out, sizeof out, out);
    assert_memory_equal(out, expected, sizeof out);
    assert_int_equal(stream.at, 32);
}

/* Wherever it is cut, in place or not, it is the library's one stream. */
static void test_any_pieces(void **state)
{
    (void)state;
    enum { LEN = 700 };
    uint8_t key[32], nonce[24], text[LEN], expected[LEN], out[LEN];
    for (size_t i = 0; i < LEN; i++)
        text[i] = (uint8_t)(i * 13);
    for (size_t first = 0; first < 200; first++) {
        for (size_t piece = 1; piece < 200; piece += 7) {
            struct p2p__xsalsa20 stream = stream_of(key, nonce);
            crypto_stream_xsalsa20_xor(expected, text, LEN, nonce, key);
            memcpy(out, text, LEN);
            p2p__xsalsa20_xor(&stream, text, first, out);
            for (size_t at = first; at < LEN; at += piece) {
                size_t len = LEN - at < piece ? LEN - at : piece;
                p2p__xsalsa20_xor(&stream, out + at, len, out + at);
            }
            assert_memory_equal(out, expected, LEN);
            assert_int_equal(stream.at, LEN);
        }
    }
}

/* The block counter has 64 bits. */
static void test_far_into_the_stream(void **state)
{
    (void)state;
    uint8_t key[32], nonce[24], out[100] = {0}, expected[128] = {0};
    struct p2p__xsalsa20 stream = stream_of(key, nonce);
    stream.at = (UINT64_C(1) << 38) - 28; /* 2^32 blocks */
    crypto_stream_xsalsa20_xor_ic(expected, expected, sizeof expected, nonce,
                                  (UINT64_C(1) << 32) - 1, key);
    p2p__xsalsa20_xor(&stream, out, 92, out);
    assert_memory_equal(out, expected + 36, 92);
    assert_int_equal(out[92], 0);
}

static void test_key_in_place(void **state)
{
    (void)state;
    uint8_t key[32], nonce[24];
    struct p2p__xsalsa20 stream = stream_of(key, nonce), again = {.at = 7};
    memcpy(again.key, key, sizeof key);
    p2p__xsalsa20_init(&again, again.key, nonce);
    assert_memory_equal(again.key, stream.key, 32);
    assert_memory_equal(again.nonce, nonce + 16, 8);
    assert_int_equal(again.at, 0);
}

static void test_nothing(void **state)
{
    (void)state;
    uint8_t key[32], nonce[24];
    struct p2p__xsalsa20 stream = stream_of(key, nonce);
    p2p__xsalsa20_xor(&stream, NULL, 0, NULL);
    stream.at = 5;
    p2p__xsalsa20_xor(&stream, NULL, 0, NULL);
    assert_int_equal(stream.at, 5);
}

/* FIPS 202, no input. */
static void test_shake128(void **state)
{
    (void)state;
    uint8_t out[32], expected[32];
    unhex("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26", expected, 32);
    assert_int_equal(p2p__shake128((const uint8_t *)"", 0, out, 32), 0);
    assert_memory_equal(out, expected, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nacl_vector),
        cmocka_unit_test(test_any_pieces),
        cmocka_unit_test(test_far_into_the_stream),
        cmocka_unit_test(test_key_in_place),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_shake128),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

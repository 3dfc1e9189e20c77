#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>

#include "codec/multicodec.h"
#include "codec/multihash.h"

static int parse(const void *in, size_t in_len, struct multihash *out)
{
    uint8_t *copy = malloc(in_len > 0 ? in_len : 1);
    assert_non_null(copy);
    if (in_len > 0)
        memcpy(copy, in, in_len);
    int err = p2p__multihash_parse(copy, in_len, out);
    free(copy);
    return err;
}

static void test_parse_and_encode(void **state)
{
    (void)state;
    uint8_t in[40] = {0x12, 0x20};
    for (size_t i = 2; i < sizeof(in); i++)
        in[i] = (uint8_t)i;
    struct multihash hash;
    assert_int_equal(p2p__multihash_decode(in, sizeof(in), &hash), 34);
    assert_int_equal(hash.code, P2P__MH_SHA2_256);
    assert_ptr_equal(hash.digest, in + 2);
    assert_int_equal(hash.digest_len, 32);
    for (size_t len = 0; len < 34; len++) {
        assert_int_equal(p2p__multihash_decode(in, len, &hash), 0);
        assert_int_equal(parse(in, len, &hash), P2P_EPROTO);
    }
    assert_int_equal(parse(in, 34, &hash), 0);
    assert_int_equal(parse(in, 35, &hash), P2P_EPROTO);

    uint8_t out[34];
    assert_int_equal(p2p__multihash_encode(0x12, in + 2, 32, out, 34), 34);
    assert_memory_equal(out, in, 34);
    assert_int_equal(p2p__multihash_encode(0x12, in + 2, 32, out, 33), P2P_ETOOBIG);
    assert_int_equal(p2p__multihash_encode(0x12, in + 2, 33, out, 34), P2P_EINVAL);
    assert_int_equal(p2p__multihash_encode(0x12, in + 2, 0, out, 34), P2P_EINVAL);
    assert_int_equal(p2p__multihash_encode(0x7777, in + 2, 8, out, 34), P2P_EINVAL);
}

/* Each function: its whole digest passes, one byte more does not. */
static void test_digest_length_of_each_function(void **state)
{
    (void)state;
    static const struct {
        uint32_t code;
        size_t len;
    } rows[] = {
        {P2P__CODEC_IDENTITY, 128},
        {P2P__CODEC_SHA1, 20},
        {P2P__CODEC_SHA2_256, 32},
        {P2P__CODEC_SHA2_384, 48},
        {P2P__CODEC_SHA2_512, 64},
        {P2P__CODEC_SHA3_224, 28},
        {P2P__CODEC_SHA3_256, 32},
        {P2P__CODEC_SHA3_384, 48},
        {P2P__CODEC_SHA3_512, 64},
        {P2P__CODEC_KECCAK_256, 32},
        {P2P__CODEC_BLAKE3, 128},
        {P2P__CODEC_MD5, 16},
        {P2P__CODEC_BLAKE2B_8, 1},
        {P2P__CODEC_BLAKE2B_256, 32},
        {P2P__CODEC_BLAKE2B_512, 64},
        {P2P__CODEC_BLAKE2S_8, 1},
        {P2P__CODEC_BLAKE2S_256, 32},
        {P2P__CODEC_SKEIN256_8, 1},
        {P2P__CODEC_SKEIN1024_1024, 128},
        {P2P__CODEC_RIPEMD_160, 20},
        {P2P__CODEC_RIPEMD_256, 32},
        {P2P__CODEC_SHA2_224, 28},
        {P2P__CODEC_SHA2_512_224, 28},
        {P2P__CODEC_SHA2_512_256, 32},
        {P2P__CODEC_SHA2_256_TRUNC254_PADDED, 32},
        {P2P__CODEC_DBL_SHA2_256, 32},
        {P2P__CODEC_MURMUR3_X64_64, 8},
        {P2P__CODEC_MD4, 16},
        {P2P__CODEC_KECCAK_224, 28},
        {P2P__CODEC_KECCAK_384, 48},
        {P2P__CODEC_KECCAK_512, 64},
        {P2P__CODEC_SHAKE_128, 128},
        {P2P__CODEC_SHAKE_256, 128},
        {P2P__CODEC_SKEIN512_512, 64},
        {P2P__CODEC_SKEIN256_256, 32},
    };
    static const uint8_t digest[129];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t out[P2P__MULTIHASH_MAX];
        int len = p2p__multihash_encode(rows[i].code, digest, rows[i].len, out, sizeof(out));
        assert_true(len > 0);
        struct multihash hash;
        assert_int_equal(parse(out, (size_t)len, &hash), 0);
        assert_int_equal(hash.code, rows[i].code);
        assert_int_equal(hash.digest_len, rows[i].len);
        assert_int_equal(
            p2p__multihash_encode(rows[i].code, digest, rows[i].len + 1, out, sizeof(out)),
            P2P_EINVAL);
        assert_int_equal(p2p__multihash_encode(rows[i].code, digest, 1, out, sizeof(out)) > 0, 1);
    }
}

static void test_P17_hostile(void **state)
{
    (void)state;
    struct multihash hash;
    assert_int_equal(parse("\x12\x20"
                           "12345",
                           7, &hash),
                     P2P_EPROTO);
    assert_int_equal(parse("\x12\xff\xff\xff\xff\x0f", 6, &hash), P2P_EPROTO);
    /* Refused at once: more bytes would not help. */
    assert_int_equal(p2p__multihash_decode((const uint8_t *)"\x12\xff\xff\xff\xff\x0f", 6, &hash),
                     P2P_EPROTO);
    assert_int_equal(parse("\x00\x00", 2, &hash), P2P_EPROTO);
    assert_int_equal(parse("", 0, &hash), P2P_EPROTO);
    assert_int_equal(parse("\x12", 1, &hash), P2P_EPROTO);
    assert_int_equal(parse("\x12\x00", 2, &hash), P2P_EPROTO);
    assert_int_equal(parse("\x92\x00\x01"
                           "1",
                           4, &hash),
                     P2P_EPROTO); /* needless varint byte */
    assert_int_equal(parse("\x00\x81\x00"
                           "1",
                           4, &hash),
                     P2P_EPROTO);
    assert_int_equal(parse("\xf7\x7f\x01"
                           "1",
                           4, &hash),
                     P2P_ENOTSUP);
    assert_int_equal(parse("\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10, &hash), P2P_EPROTO);
    uint8_t identity[3 + 129] = {0x00, 0x80, 0x01};
    assert_int_equal(parse(identity, 3 + 128, &hash), 0);
    identity[1] = 0x81;
    assert_int_equal(parse(identity, 3 + 129, &hash), P2P_EPROTO);
}

static void test_P18_peer_id(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 60; len++) {
        uint8_t id[62] = {0x00, (uint8_t)len};
        assert_int_equal(p2p__multihash_is_peer_id(id, len + 2), len >= 1 && len <= 42);
        id[0] = 0x12;
        assert_int_equal(p2p__multihash_is_peer_id(id, len + 2), len == 32);
        id[0] = 0x16; /* sha3-256 */
        assert_false(p2p__multihash_is_peer_id(id, len + 2));
    }
    uint8_t id[36] = {0x12, 0x20};
    assert_true(p2p__multihash_is_peer_id(id, 34));
    assert_false(p2p__multihash_is_peer_id(id, 33));
    assert_false(p2p__multihash_is_peer_id(id, 35));
    assert_false(p2p__multihash_is_peer_id(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_encode),
        cmocka_unit_test(test_digest_length_of_each_function),
        cmocka_unit_test(test_P17_hostile),
        cmocka_unit_test(test_P18_peer_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

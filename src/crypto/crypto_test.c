#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>

#include "crypto/crypto.h"

static const struct p2p__crypto *const TABLES[] = {&p2p__crypto_real, &p2p__crypto_cheap};

#define EACH_TABLE(c)                                                                              \
    for (size_t t_ = 0; t_ < 2; t_++)                                                              \
        for (const struct p2p__crypto *c = TABLES[t_]; c; c = NULL)

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    for (; hex[0] && hex[1]; hex += 2) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        out[n++] = (uint8_t)byte;
    }
    return n;
}

static void expect_hex(const uint8_t *got, size_t len, const char *hex)
{
    uint8_t want[512];
    assert_int_equal(unhex(hex, want), len);
    assert_memory_equal(got, want, len);
}

/* Not random, but different for each seed. */
static void fill(uint8_t *out, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525 + 1013904223;
        out[i] = (uint8_t)(seed >> 24);
    }
}

static void test_sha2_vectors_FIPS_180_4(void **state)
{
    (void)state;
    uint8_t out[64];
    p2p__sha256((const uint8_t *)"abc", 3, out);
    expect_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    p2p__sha256(NULL, 0, out);
    expect_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    p2p__sha512((const uint8_t *)"abc", 3, out);
    expect_hex(out, 64,
               "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
               "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    struct p2p__const_iov parts[3] = {
        {(const uint8_t *)"a", 1}, {NULL, 0}, {(const uint8_t *)"bc", 2}};
    p2p__crypto_real.sha256(parts, 3, out);
    expect_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_hmac_vectors_RFC_4231(void **state)
{
    (void)state;
    uint8_t out[32];
    uint8_t key[131];
    memset(key, 0x0b, 20);
    struct p2p__const_iov in[2] = {{(const uint8_t *)"Hi T", 4}, {(const uint8_t *)"here", 4}};
    p2p__crypto_real.hmac_sha256(key, 20, in, 2, out);
    expect_hex(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");

    in[0] = (struct p2p__const_iov){(const uint8_t *)"what do ya want for nothing?", 28};
    p2p__crypto_real.hmac_sha256((const uint8_t *)"Jefe", 4, in, 1, out);
    expect_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");

    memset(key, 0xaa, sizeof key);
    const char *text = "Test Using Larger Than Block-Size Key - Hash Key First";
    in[0] = (struct p2p__const_iov){(const uint8_t *)text, strlen(text)};
    p2p__crypto_real.hmac_sha256(key, sizeof key, in, 1, out);
    expect_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_x25519_vectors_RFC_7748(void **state)
{
    (void)state;
    uint8_t scalar[32];
    uint8_t point[32];
    uint8_t out[32];
    unhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4", scalar);
    unhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c", point);
    assert_int_equal(p2p__crypto_real.dh(scalar, point, out), P2P_OK);
    expect_hex(out, 32, "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");

    unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", scalar);
    p2p__crypto_real.dh_public(scalar, out);
    expect_hex(out, 32, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", point);
    assert_int_equal(p2p__crypto_real.dh(scalar, point, out), P2P_OK);
    expect_hex(out, 32, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

static void test_dh_refuses_points_without_a_secret(void **state)
{
    (void)state;
    static const char *const LOW_ORDER[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    uint8_t secret[32];
    uint8_t pub[32];
    uint8_t out[32];
    fill(secret, sizeof secret, 7);
    for (size_t i = 0; i < sizeof LOW_ORDER / sizeof *LOW_ORDER; i++) {
        unhex(LOW_ORDER[i], pub);
        assert_int_equal(p2p__crypto_real.dh(secret, pub, out), P2P_EHANDSHAKE);
    }
    memset(pub, 0, sizeof pub);
    assert_int_equal(p2p__crypto_cheap.dh(secret, pub, out), P2P_EHANDSHAKE);
}

static void test_dh_agrees_and_differs_between_pairs(void **state)
{
    (void)state;
    EACH_TABLE(c)
    {
        uint8_t last[32] = {0};
        for (uint32_t i = 0; i < 50; i++) {
            uint8_t a[32], b[32], pub_a[32], pub_b[32], ab[32], ba[32];
            fill(a, 32, i);
            fill(b, 32, i + 1000);
            c->dh_public(a, pub_a);
            c->dh_public(b, pub_b);
            assert_memory_not_equal(pub_a, pub_b, 32);
            assert_int_equal(c->dh(a, pub_b, ab), P2P_OK);
            assert_int_equal(c->dh(b, pub_a, ba), P2P_OK);
            assert_memory_equal(ab, ba, 32);
            assert_memory_not_equal(ab, last, 32);
            memcpy(last, ab, 32);
        }
    }
}

static void test_aead_vector_RFC_8439_in_Noise_form(void **state)
{
    (void)state;
    /* RFC 8439, A.5, has a nonce whose first four bytes are zero, as Noise's are. */
    uint8_t key[32], ad[16], text[512], sealed[512], out[512], want[512];
    unhex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0", key);
    size_t ad_len = unhex("f33388860000000000004e91", ad);
    size_t want_len =
        unhex("64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea0"
              "9ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad"
              "176e008d33bd60f982b1ff37c8559797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f615"
              "7b53c867e4b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7"
              "f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a0bb2316053fa76991955ebd631"
              "59434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987130305beaba2eda"
              "04df997b714d6c6f2c29a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38",
              want);
    struct p2p__aead *aead = p2p__crypto_real.aead_new();
    assert_non_null(aead);
    /* nonce 00000000 0102030405060708, the last eight read as little-endian */
    const uint64_t nonce = UINT64_C(0x0807060504030201);
    assert_int_equal(p2p__crypto_real.open(aead, key, nonce, ad, ad_len, want, want_len, text),
                     P2P_OK);
    size_t text_len = want_len - 16;
    assert_memory_equal(text,
                        "Internet-Drafts are draft documents valid for a maximum of six "
                        "months and may be updated",
                        88);
    struct p2p__const_iov parts[3] = {{text, 12}, {text + 12, 0}, {text + 12, text_len - 12}};
    assert_int_equal(p2p__crypto_real.seal(aead, key, nonce, ad, ad_len, parts, 3, sealed), P2P_OK);
    assert_memory_equal(sealed, want, want_len);
    assert_int_equal(p2p__crypto_real.open(aead, key, nonce + 1, ad, ad_len, want, want_len, out),
                     P2P_EHANDSHAKE);
    p2p__crypto_real.aead_free(aead);
}

static void test_seal_is_the_same_for_any_pieces_and_in_place(void **state)
{
    (void)state;
    EACH_TABLE(c)
    {
        struct p2p__aead *aead = c->aead_new();
        uint8_t key[32], text[200], whole[216], pieces[216];
        fill(key, sizeof key, 1);
        fill(text, sizeof text, 2);
        for (size_t len = 0; len <= sizeof text; len++) {
            struct p2p__const_iov one = {text, len};
            assert_int_equal(c->seal(aead, key, len, NULL, 0, &one, 1, whole), P2P_OK);
            size_t cut = len * 2 / 7;
            struct p2p__const_iov three[3] = {
                {text, cut}, {text + cut, cut}, {text + 2 * cut, len - 2 * cut}};
            assert_int_equal(c->seal(aead, key, len, NULL, 0, three, 3, pieces), P2P_OK);
            assert_memory_equal(whole, pieces, len + 16);
            if (len >= 16) {
                assert_memory_not_equal(whole, text, 16);
            }
            memcpy(pieces, text, len);
            struct p2p__const_iov same = {pieces, len};
            assert_int_equal(c->seal(aead, key, len, NULL, 0, &same, 1, pieces), P2P_OK);
            assert_memory_equal(whole, pieces, len + 16);
            assert_int_equal(c->open(aead, key, len, NULL, 0, pieces, len + 16, pieces), P2P_OK);
            assert_memory_equal(pieces, text, len);
        }
        c->aead_free(aead);
    }
}

static void test_open_notices_every_flipped_bit(void **state)
{
    (void)state;
    enum { LEN = 61, AD = 33 };
    EACH_TABLE(c)
    {
        struct p2p__aead *aead = c->aead_new();
        uint8_t key[32], ad[AD], text[LEN], sealed[LEN + 16], out[LEN];
        fill(key, sizeof key, 3);
        fill(ad, sizeof ad, 4);
        fill(text, sizeof text, 5);
        struct p2p__const_iov in = {text, LEN};
        const uint64_t nonce = UINT64_C(0x8000000000000001);
        assert_int_equal(c->seal(aead, key, nonce, ad, AD, &in, 1, sealed), P2P_OK);
        struct {
            uint8_t *at;
            size_t len;
        } inputs[3] = {{key, sizeof key}, {ad, AD}, {sealed, sizeof sealed}};
        for (size_t k = 0; k < 3; k++) {
            for (size_t bit = 0; bit < inputs[k].len * 8; bit++) {
                inputs[k].at[bit / 8] ^= (uint8_t)(1u << (bit % 8));
                assert_int_equal(c->open(aead, key, nonce, ad, AD, sealed, sizeof sealed, out),
                                 P2P_EHANDSHAKE);
                inputs[k].at[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            }
        }
        for (unsigned bit = 0; bit < 64; bit++) {
            uint64_t other = nonce ^ (UINT64_C(1) << bit);
            assert_int_equal(c->open(aead, key, other, ad, AD, sealed, sizeof sealed, out),
                             P2P_EHANDSHAKE);
        }
        for (size_t len = 0; len < sizeof sealed; len++) {
            assert_int_equal(c->open(aead, key, nonce, ad, AD, sealed, len, out), P2P_EHANDSHAKE);
        }
        assert_int_equal(c->open(aead, key, nonce, ad, AD - 1, sealed, sizeof sealed, out),
                         P2P_EHANDSHAKE);
        /* A byte that moves from the associated data to the text. */
        uint8_t moved[1 + sizeof sealed], moved_out[1 + LEN];
        moved[0] = ad[AD - 1];
        memcpy(moved + 1, sealed, sizeof sealed);
        assert_int_equal(c->open(aead, key, nonce, ad, AD - 1, moved, sizeof moved, moved_out),
                         P2P_EHANDSHAKE);
        /* A context that refused something still opens what is good. */
        assert_int_equal(c->open(aead, key, nonce, ad, AD, sealed, sizeof sealed, out), P2P_OK);
        assert_memory_equal(out, text, LEN);
        c->aead_free(aead);
    }
}

static void test_hashes_depend_on_every_bit_and_length(void **state)
{
    (void)state;
    EACH_TABLE(c)
    {
        uint8_t text[40] = {0};
        uint8_t base[32], out[32], keyed[32];
        struct p2p__const_iov in = {text, sizeof text};
        c->sha256(&in, 1, base);
        c->hmac_sha256(text, 32, &in, 1, keyed);
        assert_memory_not_equal(base, keyed, 32);
        for (size_t bit = 0; bit < sizeof text * 8; bit++) {
            text[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            c->sha256(&in, 1, out);
            assert_memory_not_equal(out, base, 32);
            c->hmac_sha256(text, 32, &in, 1, out);
            assert_memory_not_equal(out, keyed, 32);
            text[bit / 8] = 0;
        }
        for (size_t len = 0; len < sizeof text; len++) {
            in.len = len;
            c->sha256(&in, 1, out);
            assert_memory_not_equal(out, base, 32);
            c->hmac_sha256(text, 32, &in, 1, out);
            assert_memory_not_equal(out, keyed, 32);
        }
        in.len = sizeof text;
        struct p2p__const_iov parts[2] = {{text, 13}, {text + 13, sizeof text - 13}};
        c->sha256(parts, 2, out);
        assert_memory_equal(out, base, 32);
    }
}

static void test_wipe_and_equal(void **state)
{
    (void)state;
    uint8_t a[40];
    uint8_t b[40];
    fill(a, sizeof a, 1);
    memcpy(b, a, sizeof a);
    assert_true(p2p__equal_ct(a, b, sizeof a));
    assert_true(p2p__equal_ct(a, NULL, 0));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] ^= 0x80;
        assert_false(p2p__equal_ct(a, b, sizeof a));
        b[i] ^= 0x80;
    }
    p2p__wipe(a, 39);
    for (size_t i = 0; i < 39; i++) {
        assert_int_equal(a[i], 0);
    }
    assert_int_equal(a[39], b[39]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha2_vectors_FIPS_180_4),
        cmocka_unit_test(test_hmac_vectors_RFC_4231),
        cmocka_unit_test(test_x25519_vectors_RFC_7748),
        cmocka_unit_test(test_dh_refuses_points_without_a_secret),
        cmocka_unit_test(test_dh_agrees_and_differs_between_pairs),
        cmocka_unit_test(test_aead_vector_RFC_8439_in_Noise_form),
        cmocka_unit_test(test_seal_is_the_same_for_any_pieces_and_in_place),
        cmocka_unit_test(test_open_notices_every_flipped_bit),
        cmocka_unit_test(test_hashes_depend_on_every_bit_and_length),
        cmocka_unit_test(test_wipe_and_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>
#include <p2p/key.h>

#include "crypto/signer.h"
#include "tests/hex.h"
#include "tests/vectors/peer_ids.h"

enum {
    TYPES = 4,
};

/* The Data of a vector's protobuf. */
static const uint8_t *vector_data(const char *hex, uint8_t *room, size_t cap, size_t *len)
{
    size_t pb_len = unhex(hex, room, cap);
    size_t head = room[3] & 0x80 ? 5 : 4;
    *len = pb_len - head;
    return room + head;
}

static void test_spec_vectors_public_from_private(void **state)
{
    (void)state;
    for (uint64_t type = 0; type < TYPES; type++) {
        uint8_t priv_pb[P2P_KEY_PRIVATE_MAX];
        uint8_t pub_pb[P2P_KEY_PUBLIC_MAX];
        uint8_t pub[P2P__PUBLIC_DATA_MAX];
        size_t priv_len, want_len, pub_len = 0;
        const uint8_t *priv =
            vector_data(PEER_ID_VECTORS[type].private_hex, priv_pb, sizeof priv_pb, &priv_len);
        const uint8_t *want =
            vector_data(PEER_ID_VECTORS[type].public_hex, pub_pb, sizeof pub_pb, &want_len);
        const struct p2p__signer *signer = p2p__signer_of(type);
        assert_int_equal(signer->public_of(priv, priv_len, pub, &pub_len), P2P_OK);
        assert_int_equal(pub_len, want_len);
        assert_memory_equal(pub, want, want_len);
        assert_int_equal(signer->public_check(pub, pub_len), P2P_OK);
    }
    assert_null(p2p__signer_of(4));
    assert_null(p2p__signer_of(UINT64_MAX));
}

static void test_sign_and_verify_any_pieces_and_notice_any_change(void **state)
{
    (void)state;
    for (uint64_t type = 0; type < TYPES; type++) {
        const struct p2p__signer *signer = p2p__signer_of(type);
        uint8_t priv[P2P__PRIVATE_DATA_MAX], pub[P2P__PUBLIC_DATA_MAX], sig[P2P__SIG_MAX + 1];
        uint8_t other_priv[P2P__PRIVATE_DATA_MAX], other[P2P__PUBLIC_DATA_MAX];
        size_t priv_len, pub_len, other_priv_len, other_len, sig_len;
        assert_int_equal(signer->generate(priv, &priv_len), P2P_OK);
        assert_int_equal(signer->public_of(priv, priv_len, pub, &pub_len), P2P_OK);
        assert_int_equal(signer->generate(other_priv, &other_priv_len), P2P_OK);
        assert_int_equal(signer->public_of(other_priv, other_priv_len, other, &other_len), P2P_OK);
        assert_true(pub_len != other_len || memcmp(pub, other, pub_len) != 0);

        static uint8_t text[3000];
        for (size_t i = 0; i < sizeof text; i++) {
            text[i] = (uint8_t)(i * 7);
        }
        /* Both sides of what is joined without heap. */
        const size_t lens[] = {0, 1, 1023, 1024, 1025, sizeof text};
        for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
            size_t len = lens[i];
            struct p2p__const_iov three[3] = {
                {text, len / 3}, {NULL, 0}, {text + len / 3, len - len / 3}};
            struct p2p__const_iov one = {text, len};
            assert_int_equal(signer->sign(priv, priv_len, three, 3, sig, &sig_len), P2P_OK);
            assert_true(sig_len > 0 && sig_len <= P2P__SIG_MAX);
            assert_int_equal(signer->verify(pub, pub_len, &one, 1, sig, sig_len), P2P_OK);
            assert_int_equal(signer->verify(pub, pub_len, three, 3, sig, sig_len), P2P_OK);
            if (len > 0) {
                text[len / 2] ^= 1;
                assert_int_equal(signer->verify(pub, pub_len, &one, 1, sig, sig_len), P2P_ESIG);
                text[len / 2] ^= 1;
            }
            assert_int_equal(signer->verify(other, other_len, &one, 1, sig, sig_len), P2P_ESIG);
        }
        struct p2p__const_iov msg = {text, 40};
        assert_int_equal(signer->sign(priv, priv_len, &msg, 1, sig, &sig_len), P2P_OK);
        for (size_t bit = 0; bit < sig_len * 8; bit += 3) {
            sig[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            assert_int_equal(signer->verify(pub, pub_len, &msg, 1, sig, sig_len), P2P_ESIG);
            sig[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        for (size_t len = 0; len < sig_len; len++) {
            assert_int_equal(signer->verify(pub, pub_len, &msg, 1, sig, len), P2P_ESIG);
        }
        assert_int_equal(signer->verify(pub, pub_len, &msg, 1, NULL, 0), P2P_ESIG);
        sig[sig_len] = 0;
        assert_int_equal(signer->verify(pub, pub_len, &msg, 1, sig, sig_len + 1), P2P_ESIG);
    }
}

static void test_ed25519_vector_RFC_8032(void **state)
{
    (void)state;
    uint8_t priv[64], pub[32], sig[P2P__SIG_MAX], want[64];
    size_t pub_len, sig_len;
    unhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"
          "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
          priv, sizeof priv);
    unhex("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
          "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
          want, sizeof want);
    const uint8_t text[2] = {0xaf, 0x82};
    struct p2p__const_iov msg = {text, sizeof text};
    const struct p2p__signer *signer = &p2p__signer_ed25519;
    assert_int_equal(signer->public_of(priv, sizeof priv, pub, &pub_len), P2P_OK);
    assert_int_equal(signer->sign(priv, sizeof priv, &msg, 1, sig, &sig_len), P2P_OK);
    assert_int_equal(sig_len, 64);
    assert_memory_equal(sig, want, 64);
}

/* Our rule is the strict one: S below the order, and no points of small order. */
static void test_ed25519_refuses_signatures_that_fit_many_messages(void **state)
{
    (void)state;
    const struct p2p__signer *signer = &p2p__signer_ed25519;
    struct p2p__const_iov msg = {(const uint8_t *)"any", 3};
    uint8_t pub[32] = {1}; /* the neutral element */
    uint8_t sig[64] = {1}; /* R neutral, S 0 */
    assert_int_equal(signer->verify(pub, sizeof pub, &msg, 1, sig, sizeof sig), P2P_ESIG);

    uint8_t priv[P2P__PRIVATE_DATA_MAX];
    size_t priv_len, pub_len, sig_len;
    assert_int_equal(signer->generate(priv, &priv_len), P2P_OK);
    assert_int_equal(signer->public_of(priv, priv_len, pub, &pub_len), P2P_OK);
    assert_int_equal(signer->sign(priv, priv_len, &msg, 1, sig, &sig_len), P2P_OK);
    uint8_t order[32];
    unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010", order, 32);
    unsigned carry = 0;
    for (size_t i = 0; i < 32; i++) {
        unsigned sum = (unsigned)sig[32 + i] + order[i] + carry;
        sig[32 + i] = (uint8_t)sum;
        carry = sum >> 8;
    }
    assert_int_equal(signer->verify(pub, pub_len, &msg, 1, sig, sig_len), P2P_ESIG);
}

/* N - S is the other valid S; BIP 62 signs the low one, deployed verifiers take both. */
static void test_secp256k1_signs_low_S_and_accepts_high_S(void **state)
{
    (void)state;
    const struct p2p__signer *signer = &p2p__signer_secp256k1;
    uint8_t priv[P2P__PRIVATE_DATA_MAX], pub[P2P__PUBLIC_DATA_MAX], sig[P2P__SIG_MAX];
    size_t priv_len, pub_len, sig_len;
    struct p2p__const_iov msg = {(const uint8_t *)"low", 3};
    assert_int_equal(signer->generate(priv, &priv_len), P2P_OK);
    assert_int_equal(signer->public_of(priv, priv_len, pub, &pub_len), P2P_OK);
    assert_int_equal(signer->sign(priv, priv_len, &msg, 1, sig, &sig_len), P2P_OK);

    uint8_t order[32];
    unhex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", order, 32);
    size_t r_len = sig[3];
    const uint8_t *s = sig + 4 + r_len + 2;
    size_t s_len = s[-1];
    assert_true(s_len <= 32 && (s_len < 32 || s[0] <= 0x7f));
    uint8_t high[33] = {0};
    int borrow = 0;
    for (size_t i = 0; i < 32; i++) {
        int digit = order[31 - i] - (i < s_len ? s[s_len - 1 - i] : 0) - borrow;
        borrow = digit < 0;
        high[32 - i] = (uint8_t)(digit + (borrow ? 256 : 0));
    }
    assert_true(high[1] & 0x80);
    uint8_t other[P2P__SIG_MAX];
    memcpy(other, sig, 4 + r_len);
    other[1] = (uint8_t)(2 + r_len + 2 + 33);
    other[4 + r_len] = 0x02;
    other[5 + r_len] = 33;
    memcpy(other + 6 + r_len, high, 33);
    assert_int_equal(signer->verify(pub, pub_len, &msg, 1, other, 6 + r_len + 33), P2P_OK);
}

static void test_V04_private_halves_that_do_not_belong_together(void **state)
{
    (void)state;
    for (uint64_t type = 0; type < TYPES; type++) {
        const struct p2p__signer *signer = p2p__signer_of(type);
        uint8_t room[P2P_KEY_PRIVATE_MAX], priv[P2P__PRIVATE_DATA_MAX];
        uint8_t pub[P2P__PUBLIC_DATA_MAX];
        size_t len, pub_len;
        const uint8_t *good =
            vector_data(PEER_ID_VECTORS[type].private_hex, room, sizeof room, &len);
        if (type == P2P_KEY_SECP256K1) {
            continue; /* it has no public half: see below */
        }
        memcpy(priv, good, len);
        priv[len - 1] ^= 1; /* Ed25519, ECDSA: public half; RSA: 1/q mod p */
        if (type != P2P_KEY_RSA) {
            assert_int_equal(signer->public_of(priv, len, pub, &pub_len), P2P_EKEY);
        }
        memcpy(priv, good, len);
        priv[type == P2P_KEY_RSA ? 300 : 20] ^= 1; /* the secret; RSA: the modulus */
        assert_int_equal(signer->public_of(priv, len, pub, &pub_len), P2P_EKEY);
        for (size_t cut = 0; cut < len; cut += 1 + cut / 8) {
            assert_int_equal(signer->public_of(good, cut, pub, &pub_len), P2P_EKEY);
        }
    }
    /* 0 and the order are no keys; one below the order is. */
    uint8_t secret[32] = {0}, pub[P2P__PUBLIC_DATA_MAX];
    size_t pub_len;
    const struct p2p__signer *signer = &p2p__signer_secp256k1;
    assert_int_equal(signer->public_of(secret, 32, pub, &pub_len), P2P_EKEY);
    unhex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", secret, 32);
    assert_int_equal(signer->public_of(secret, 32, pub, &pub_len), P2P_EKEY);
    secret[31]--;
    assert_int_equal(signer->public_of(secret, 32, pub, &pub_len), P2P_OK);
    assert_int_equal(signer->public_of(secret, 31, pub, &pub_len), P2P_EKEY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spec_vectors_public_from_private),
        cmocka_unit_test(test_sign_and_verify_any_pieces_and_notice_any_change),
        cmocka_unit_test(test_ed25519_vector_RFC_8032),
        cmocka_unit_test(test_ed25519_refuses_signatures_that_fit_many_messages),
        cmocka_unit_test(test_secp256k1_signs_low_S_and_accepts_high_S),
        cmocka_unit_test(test_V04_private_halves_that_do_not_belong_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "codec/key.h"
#include "crypto/der.h"
#include "tests/hex.h"
#include "tests/vectors/peer_ids.h"

static const uint8_t MSG[] = "what is signed";

static double cpu_ms(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (double)usage.ru_utime.tv_sec * 1e3 + (double)usage.ru_utime.tv_usec / 1e3;
}

static int public_check(const uint8_t *pb, size_t len)
{
    struct p2p__public_key key;
    p2p_peer_id id;
    int code = p2p__public_key_decode(pb, len, &key);
    assert_int_equal(p2p_peer_id_from_public_key(pb, len, &id), code);
    return code;
}

/* A key that is not even decoded does not verify either. */
static int refused(const uint8_t *pb, size_t len)
{
    static const uint8_t SIG[512] = {0};
    int code = public_check(pb, len);
    assert_int_equal(p2p_key_verify(pb, len, MSG, sizeof MSG, SIG, sizeof SIG), code);
    return code;
}

static void test_spec_vectors_load_and_write_back(void **state)
{
    (void)state;
    for (int type = 0; type < 4; type++) {
        uint8_t priv[P2P_KEY_PRIVATE_MAX], pub[P2P_KEY_PUBLIC_MAX], out[P2P_KEY_PRIVATE_MAX];
        size_t priv_len = unhex(PEER_ID_VECTORS[type].private_hex, priv, sizeof priv);
        size_t pub_len = unhex(PEER_ID_VECTORS[type].public_hex, pub, sizeof pub);
        p2p_key *key = NULL;
        assert_int_equal(p2p_key_decode(priv, priv_len, &key), P2P_OK);
        assert_int_equal(p2p_key_type(key), type);
        size_t got_len = 0;
        const uint8_t *got = p2p_key_public(key, &got_len);
        assert_int_equal(got_len, pub_len);
        assert_memory_equal(got, pub, pub_len);
        char text[P2P_PEER_ID_TEXT_MAX];
        assert_true(p2p_peer_id_format(p2p_key_peer_id(key), text, sizeof text) > 0);
        assert_string_equal(text, PEER_ID_VECTORS[type].base58);
        assert_int_equal(p2p_key_encode(key, out, sizeof out), priv_len);
        assert_memory_equal(out, priv, priv_len);
        assert_int_equal(p2p_key_encode(key, out, priv_len), priv_len);
        assert_int_equal(p2p_key_encode(key, out, priv_len - 1), P2P_ETOOBIG);
        p2p_key_free(key);
    }
    p2p_key_free(NULL);
}

static void test_N23_every_type_generates_signs_and_verifies(void **state)
{
    (void)state;
    for (int type = 0; type < 4; type++) {
        p2p_key *key = NULL;
        p2p_key *other = NULL;
        assert_int_equal(p2p_key_generate(type, &key), P2P_OK);
        assert_int_equal(p2p_key_generate(type, &other), P2P_OK);
        assert_false(p2p_peer_id_equal(p2p_key_peer_id(key), p2p_key_peer_id(other)));
        p2p_key_free(other);

        uint8_t bytes[P2P_KEY_PRIVATE_MAX], sig[P2P_KEY_SIG_MAX];
        int len = p2p_key_encode(key, bytes, sizeof bytes);
        assert_true(len > 0);
        assert_int_equal(p2p_key_decode(bytes, (size_t)len, &other), P2P_OK);
        p2p_key *clone = p2p_key_clone(other);
        p2p_key_free(other);
        int sig_len = p2p_key_sign(clone, MSG, sizeof MSG, sig);
        assert_true(sig_len > 0);
        size_t pub_len = 0;
        const uint8_t *pub = p2p_key_public(key, &pub_len);
        assert_int_equal(p2p_key_verify(pub, pub_len, MSG, sizeof MSG, sig, (size_t)sig_len),
                         P2P_OK);
        assert_int_equal(p2p_key_verify(pub, pub_len, MSG, sizeof MSG - 1, sig, (size_t)sig_len),
                         P2P_ESIG);
        p2p_key_free(clone);
        p2p_key_free(key);
    }
    p2p_key *key = NULL;
    assert_int_equal(p2p_key_generate(4, &key), P2P_EKEY);
    assert_int_equal(p2p_key_generate(-1, &key), P2P_EKEY);
    assert_null(key);
}

static void test_names_of_types(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"rsa", "ed25519", "secp256k1", "ecdsa"};
    for (int type = 0; type < 4; type++) {
        assert_string_equal(p2p_key_type_name(type), NAMES[type]);
        assert_int_equal(p2p_key_type_parse(NAMES[type]), type);
    }
    assert_null(p2p_key_type_name(4));
    assert_null(p2p_key_type_name(-1));
    assert_int_equal(p2p_key_type_parse("dsa"), P2P_EKEY);
    assert_int_equal(p2p_key_type_parse(""), P2P_EKEY);
}

static void test_a_seed_makes_one_key(void **state)
{
    (void)state;
    uint8_t seed[32], priv[P2P_KEY_PRIVATE_MAX], out[P2P_KEY_PRIVATE_MAX];
    size_t priv_len = unhex(PEER_ID_VECTORS[1].private_hex, priv, sizeof priv);
    memcpy(seed, priv + 4, sizeof seed);
    p2p_key *key = NULL;
    assert_int_equal(p2p__key_from_seed(seed, &key), P2P_OK);
    assert_int_equal(p2p_key_encode(key, out, sizeof out), priv_len);
    assert_memory_equal(out, priv, priv_len);
    p2p_key_free(key);
}

/* An agent's: signs with a key of its own, or fails as it is told to. */
struct agent {
    p2p_key *key;
    int fail;
    int calls;
};

static int agent_sign(void *user, const uint8_t *msg, size_t msg_len, uint8_t *sig)
{
    struct agent *agent = user;
    agent->calls++;
    return agent->fail ? agent->fail : p2p_key_sign(agent->key, msg, msg_len, sig);
}

static void test_an_external_key_signs_through_its_callback(void **state)
{
    (void)state;
    for (int type = 0; type < 4; type++) {
        struct agent agent = {0};
        assert_int_equal(p2p_key_generate(type, &agent.key), P2P_OK);
        size_t pub_len = 0;
        const uint8_t *pub = p2p_key_public(agent.key, &pub_len);
        struct p2p__public_key view;
        assert_int_equal(p2p__public_key_decode(pub, pub_len, &view), P2P_OK);
        p2p_key *key = NULL;
        assert_int_equal(p2p_key_new_external((type + 1) % 4, view.data, view.data_len, agent_sign,
                                              &agent, &key),
                         P2P_EKEY);
        assert_null(key);
        assert_int_equal(
            p2p_key_new_external(type, view.data, view.data_len, agent_sign, &agent, &key), P2P_OK);
        assert_true(p2p_peer_id_equal(p2p_key_peer_id(key), p2p_key_peer_id(agent.key)));
        uint8_t sig[P2P_KEY_SIG_MAX], bytes[P2P_KEY_PRIVATE_MAX];
        static uint8_t text[600]; /* more than is joined without heap */
        struct p2p__const_iov parts[2] = {{text, 550}, {text + 550, 50}};
        int sig_len = p2p__key_sign(key, parts, 2, sig);
        assert_true(sig_len > 0);
        assert_int_equal(agent.calls, 1);
        assert_int_equal(p2p_key_verify(pub, pub_len, text, sizeof text, sig, (size_t)sig_len),
                         P2P_OK);
        agent.fail = P2P_EDENIED;
        assert_int_equal(p2p_key_sign(key, MSG, sizeof MSG, sig), P2P_EDENIED);
        assert_int_equal(p2p_key_encode(key, bytes, sizeof bytes), P2P_ENOTSUP);
        p2p_key_free(key);
        p2p_key_free(agent.key);
    }
}

static void test_only_the_deterministic_encoding_is_a_key(void **state)
{
    (void)state;
    uint8_t good[64], pb[80];
    size_t len = unhex(PEER_ID_VECTORS[1].public_hex, good, sizeof good);
    assert_int_equal(public_check(good, len), P2P_OK);
    const uint8_t *data = good + 4;
    static const struct {
        uint8_t head[8];
        size_t head_len;
        uint8_t tail[4];
        size_t tail_len;
    } OTHERS[] = {
        {{0x08, 0x81, 0x00, 0x12, 0x20}, 5, {0}, 0},       /* type not minimal */
        {{0x08, 0x01, 0x12, 0xa0, 0x00}, 5, {0}, 0},       /* length not minimal */
        {{0x88, 0x00, 0x01, 0x12, 0x20}, 5, {0}, 0},       /* tag not minimal */
        {{0x12, 0x20}, 2, {0x08, 0x01}, 2},                /* order */
        {{0x12, 0x20}, 2, {0}, 0},                         /* no type */
        {{0x08, 0x01, 0x12, 0x20}, 4, {0x18, 0x00}, 2},    /* one field more */
        {{0x08, 0x01, 0x08, 0x01, 0x12, 0x20}, 6, {0}, 0}, /* type twice */
        {{0x08, 0x01, 0x12, 0x21}, 4, {0}, 0},             /* length beyond the end */
        {{0x08, 0x01, 0x12, 0x1f}, 4, {0}, 0},             /* a byte left over */
        {{0x08, 0x01, 0x1a, 0x20}, 4, {0}, 0},             /* field 3 */
    };
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++) {
        size_t n = OTHERS[i].head_len;
        memcpy(pb, OTHERS[i].head, n);
        memcpy(pb + n, data, 32);
        memcpy(pb + n + 32, OTHERS[i].tail, OTHERS[i].tail_len);
        assert_int_equal(refused(pb, n + 32 + OTHERS[i].tail_len), P2P_EKEY);
    }
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(refused(good, cut), P2P_EKEY);
    }
    assert_int_equal(refused((const uint8_t[]){0x08, 0x01}, 2), P2P_EKEY); /* no data */
    assert_int_equal(refused(NULL, 0), P2P_EKEY);
}

static size_t pb_make(int type, const uint8_t *data, size_t data_len, uint8_t *out)
{
    out[0] = 0x08;
    out[1] = (uint8_t)type;
    out[2] = 0x12;
    size_t at = 3;
    size_t rest = data_len;
    for (; rest >= 0x80; rest >>= 7) {
        out[at++] = (uint8_t)(rest | 0x80);
    }
    out[at++] = (uint8_t)rest;
    memcpy(out + at, data, data_len);
    return at + data_len;
}

static void test_P21_types_that_are_none(void **state)
{
    (void)state;
    uint8_t data[32] = {9}, pb[64];
    for (int type = 4; type < 0x80; type++) {
        assert_int_equal(refused(pb, pb_make(type, data, 32, pb)), P2P_EKEY);
    }
}

static void test_P21_ed25519_of_31_and_33_bytes(void **state)
{
    (void)state;
    uint8_t data[65] = {9}, pb[128];
    for (size_t len = 0; len <= 65; len++) {
        assert_int_equal(public_check(pb, pb_make(P2P_KEY_ED25519, data, len, pb)),
                         len == 32 ? P2P_OK : P2P_EKEY);
    }
}

static void test_P21_secp256k1_uncompressed_or_off_the_curve(void **state)
{
    (void)state;
    uint8_t data[65], pb[128];
    /* The generator, in both forms. */
    unhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", data, 33);
    assert_int_equal(public_check(pb, pb_make(P2P_KEY_SECP256K1, data, 33, pb)), P2P_OK);
    assert_int_equal(refused(pb, pb_make(P2P_KEY_SECP256K1, data, 32, pb)), P2P_EKEY);
    data[0] = 0x05;
    assert_int_equal(refused(pb, pb_make(P2P_KEY_SECP256K1, data, 33, pb)), P2P_EKEY);
    unhex("0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
          "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
          data, 65);
    assert_int_equal(refused(pb, pb_make(P2P_KEY_SECP256K1, data, 65, pb)), P2P_EKEY);
    memset(data, 0, sizeof data);
    data[0] = 0x02;
    data[32] = 5; /* x = 5 has no y */
    assert_int_equal(refused(pb, pb_make(P2P_KEY_SECP256K1, data, 33, pb)), P2P_EKEY);
    memset(data + 1, 0xff, 32); /* x above the field */
    assert_int_equal(refused(pb, pb_make(P2P_KEY_SECP256K1, data, 33, pb)), P2P_EKEY);
}

static void test_P21_ecdsa_of_another_curve_or_off_it(void **state)
{
    (void)state;
    uint8_t pb[P2P_KEY_PUBLIC_MAX];
    size_t len = unhex(PEER_ID_VECTORS[3].public_hex, pb, sizeof pb);
    assert_int_equal(public_check(pb, len), P2P_OK);
    pb[len - 1] ^= 1; /* y */
    assert_int_equal(refused(pb, len), P2P_EKEY);
    pb[len - 1] ^= 1;
    for (size_t i = 0; i < 4 + 27; i++) { /* every byte of the frame matters */
        pb[i] ^= 1;
        assert_int_equal(refused(pb, len), P2P_EKEY);
        pb[i] ^= 1;
    }
    /* A valid P-384 key, and secp256k1 in PKIX. */
    static const char *const OTHERS[] = {
        "3076301006072a8648ce3d020106052b81040022036200"
        "04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e38"
        "72760ab73617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a"
        "431d7c90ea0e5f",
        "3056301006072a8648ce3d020106052b8104000a034200"
        "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
    };
    for (size_t i = 0; i < 2; i++) {
        uint8_t data[256];
        size_t data_len = unhex(OTHERS[i], data, sizeof data);
        assert_int_equal(refused(pb, pb_make(P2P_KEY_ECDSA, data, data_len, pb)), P2P_EKEY);
    }
}

static size_t element(uint8_t tag, const uint8_t *body, size_t len, uint8_t *out)
{
    size_t head = p2p__der_header(tag, len, out);
    memmove(out + head, body, len);
    return head + len;
}

/* A PKIX key with a modulus of n_bits (all ones, or even) and an exponent of e_len bytes. */
static size_t rsa_make(size_t n_bits, bool odd, const uint8_t *e, size_t e_len, uint8_t *pb)
{
    static uint8_t number[20000], numbers[20000], bits[20000], body[20000], data[20000];
    static const uint8_t ALGORITHM[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                        0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
    size_t n_len = (n_bits + 7) / 8;
    size_t zero = n_bits % 8 == 0;
    memset(number, 0xff, sizeof number);
    number[0] = (uint8_t)(zero ? 0 : (1u << (n_bits % 8)) - 1);
    number[n_len + zero - 1] = odd ? 0xff : 0xfe;
    size_t len = element(P2P__DER_INTEGER, number, n_len + zero, numbers);
    len += element(P2P__DER_INTEGER, e, e_len, numbers + len);
    bits[0] = 0;
    len = 1 + element(P2P__DER_SEQUENCE, numbers, len, bits + 1);
    memcpy(body, ALGORITHM, sizeof ALGORITHM);
    len = sizeof ALGORITHM + element(P2P__DER_BIT_STRING, bits, len, body + sizeof ALGORITHM);
    len = element(P2P__DER_SEQUENCE, body, len, data);
    return pb_make(P2P_KEY_RSA, data, len, pb);
}

static const uint8_t E_65537[] = {1, 0, 1};
static uint8_t rsa_pb[20000];

static int rsa_check(size_t n_bits, const uint8_t *e, size_t e_len)
{
    return public_check(rsa_pb, rsa_make(n_bits, true, e, e_len, rsa_pb));
}

static void test_P22_rsa_of_2048_to_4096_bits(void **state)
{
    (void)state;
    static const size_t TOO_SMALL_OR_LARGE[] = {1,    8,    512,  1024, 2040,  2047,
                                                4097, 4104, 8192, 8193, 65536, 131072};
    for (size_t i = 0; i < sizeof TOO_SMALL_OR_LARGE / sizeof(size_t); i++) {
        assert_int_equal(rsa_check(TOO_SMALL_OR_LARGE[i], E_65537, 3), P2P_EKEY);
    }
    assert_int_equal(rsa_check(2048, E_65537, 3), P2P_OK);
    assert_int_equal(rsa_check(3072, E_65537, 3), P2P_OK);
    assert_int_equal(rsa_check(4096, E_65537, 3), P2P_OK);
    size_t len = rsa_make(2048, false, E_65537, 3, rsa_pb);
    assert_int_equal(refused(rsa_pb, len), P2P_EKEY);
}

static void test_P22_rsa_exponents(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[6];
        size_t len;
        int code;
    } LIST[] = {
        {{0}, 1, P2P_EKEY},
        {{1}, 1, P2P_EKEY},
        {{2}, 1, P2P_EKEY},
        {{3}, 1, P2P_OK},
        {{1, 0, 0}, 3, P2P_EKEY},                 /* even */
        {{0x81}, 1, P2P_EKEY},                    /* negative */
        {{0, 3}, 2, P2P_EKEY},                    /* not minimal */
        {{0, 0xff, 0xff, 0xff, 0xff}, 5, P2P_OK}, /* 2^32 - 1 */
        {{1, 0, 0, 0, 1}, 5, P2P_EKEY},           /* 2^32 + 1 */
        {{0x01, 0, 0, 0, 0}, 5, P2P_EKEY},        /* 2^32 */
        {{0x7f, 0xff, 0xff, 0xff, 0xff}, 5, P2P_EKEY},
        {{0}, 0, P2P_EKEY},
    };
    for (size_t i = 0; i < sizeof LIST / sizeof *LIST; i++) {
        assert_int_equal(rsa_check(2048, LIST[i].bytes, LIST[i].len), LIST[i].code);
    }
    static uint8_t huge[4096];
    memset(huge, 0x7f, sizeof huge);
    assert_int_equal(rsa_check(2048, huge, sizeof huge), P2P_EKEY);
}

static void test_P22_rsa_is_refused_in_no_time(void **state)
{
    (void)state;
    static uint8_t huge_e[4096];
    memset(huge_e, 0x7f, sizeof huge_e);
    static const size_t BITS[] = {512, 1024, 8193, 65536, 2048, 2048};
    static const uint8_t ONE[] = {1};
    enum { ROUNDS = 100 };
    for (size_t i = 0; i < 6; i++) {
        const uint8_t *e = i < 4 ? E_65537 : i == 4 ? ONE : huge_e;
        size_t e_len = i < 4 ? sizeof E_65537 : i == 4 ? sizeof ONE : sizeof huge_e;
        size_t len = rsa_make(BITS[i], true, e, e_len, rsa_pb);
        double start = cpu_ms();
        for (int round = 0; round < ROUNDS; round++) {
            assert_int_equal(refused(rsa_pb, len), P2P_EKEY);
        }
        assert_true((cpu_ms() - start) / ROUNDS < 5);
    }
}

static void test_P22_rsa_der_is_strict(void **state)
{
    (void)state;
    size_t len = rsa_make(2048, true, E_65537, 3, rsa_pb);
    for (size_t i = 0; i < 5 + 40; i++) { /* protobuf, algorithm, and headers of numbers */
        rsa_pb[i] ^= 0x01;
        bool modulus = i >= 5 + 32; /* its leading zero made a one is a bit more */
        assert_int_equal(public_check(rsa_pb, len), modulus ? P2P_OK : P2P_EKEY);
        rsa_pb[i] ^= 0x01;
    }
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(public_check(rsa_pb, cut), P2P_EKEY);
    }
}

static void test_V04_ed25519_in_the_old_form_of_96_bytes(void **state)
{
    (void)state;
    uint8_t priv[128], out[128];
    size_t len = unhex(PEER_ID_VECTORS[1].private_hex, priv, sizeof priv);
    uint8_t old[3 + 1 + 96];
    memcpy(old, priv, 4 + 64);
    old[3] = 96;
    memcpy(old + 4 + 64, priv + 4 + 32, 32);
    p2p_key *key = NULL;
    assert_int_equal(p2p_key_decode(old, sizeof old, &key), P2P_OK);
    assert_int_equal(p2p_key_encode(key, out, sizeof out), len);
    assert_memory_equal(out, priv, len); /* written in the new form */
    p2p_key_free(key);
    for (size_t i = 4; i < sizeof old; i++) {
        old[i] ^= 0x10;
        assert_int_equal(p2p_key_decode(old, sizeof old, &key), P2P_EKEY);
        assert_null(key);
        old[i] ^= 0x10;
    }
    /* Both copies alike, but not the seed's. */
    old[4 + 32] ^= 1;
    old[4 + 64] ^= 1;
    assert_int_equal(p2p_key_decode(old, sizeof old, &key), P2P_EKEY);
}

static void test_V04_damaged_private_keys(void **state)
{
    (void)state;
    for (int type = 0; type < 4; type++) {
        uint8_t priv[P2P_KEY_PRIVATE_MAX + 1];
        size_t len = unhex(PEER_ID_VECTORS[type].private_hex, priv, sizeof priv);
        p2p_key *key = NULL;
        for (size_t cut = 0; cut < len; cut += 1 + cut / 16) {
            assert_int_equal(p2p_key_decode(priv, cut, &key), P2P_EKEY);
            assert_null(key);
        }
        priv[len] = 0;
        assert_int_equal(p2p_key_decode(priv, len + 1, &key), P2P_EKEY);
        priv[1] = 4;
        assert_int_equal(p2p_key_decode(priv, len, &key), P2P_EKEY);
        priv[1] = (uint8_t)type;
        if (type == P2P_KEY_ED25519 || type == P2P_KEY_ECDSA) { /* both halves are in the file */
            for (size_t i = 4; i < len; i++) {
                priv[i] ^= 0x04;
                assert_int_equal(p2p_key_decode(priv, len, &key), P2P_EKEY);
                priv[i] ^= 0x04;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spec_vectors_load_and_write_back),
        cmocka_unit_test(test_N23_every_type_generates_signs_and_verifies),
        cmocka_unit_test(test_names_of_types),
        cmocka_unit_test(test_a_seed_makes_one_key),
        cmocka_unit_test(test_an_external_key_signs_through_its_callback),
        cmocka_unit_test(test_only_the_deterministic_encoding_is_a_key),
        cmocka_unit_test(test_P21_types_that_are_none),
        cmocka_unit_test(test_P21_ed25519_of_31_and_33_bytes),
        cmocka_unit_test(test_P21_secp256k1_uncompressed_or_off_the_curve),
        cmocka_unit_test(test_P21_ecdsa_of_another_curve_or_off_it),
        cmocka_unit_test(test_P22_rsa_of_2048_to_4096_bits),
        cmocka_unit_test(test_P22_rsa_exponents),
        cmocka_unit_test(test_P22_rsa_is_refused_in_no_time),
        cmocka_unit_test(test_P22_rsa_der_is_strict),
        cmocka_unit_test(test_V04_ed25519_in_the_old_form_of_96_bytes),
        cmocka_unit_test(test_V04_damaged_private_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

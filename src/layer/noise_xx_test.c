#include "tests/test.h"

#include <string.h>

#include <p2p/error.h>

#include "layer/noise_xx.h"

/* From cacophony and from flynn/noise, which agree with each other's implementations. */
struct vector {
    const char *prologue;
    const char *init_static, *init_eph, *resp_static, *resp_eph;
    const char *hash; /* of the handshake, NULL: not given */
    size_t count;
    size_t transport_first; /* who sends message 3: 0 the initiator; then they take turns */
    struct {
        const char *payload, *message;
    } messages[6];
};

static const struct vector vectors[] = {
    {
        .prologue = "4a6f686e2047616c74",
        .init_static = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
        .init_eph = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
        .resp_static = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
        .resp_eph = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
        .hash = "c8e5f64e846193be2a834104c2a009868d6c9f3bd3c186299888b488b2f1f58e",
        .count = 6,
        .transport_first = 1,
        .messages =
            {
                {"4c756477696720766f6e204d69736573", "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a"
                                                     "61f879f8e3afa4c79444c756477696720766f"
                                                     "6e204d69736573"},
                {"4d757272617920526f746862617264",
                 "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884381cbad1f276e038c4"
                 "8"
                 "378ffce2b65285e08d6b68aaa3629a5a8639392490e5b9bd5269c2f1e4f488ed8831161f19b781552"
                 "8"
                 "f8982ffe09be9b5c412f8a0db50f8814c7194e83f23dbd8d162c9326ad"},
                {"462e20412e20486179656b",
                 "c7195ffacac1307ff99046f219750fc47693e23c3cb08b89c2af808b444850a80ae475b9df0f169ae"
                 "8"
                 "0a89be0865b57f58c9fea0d4ec82a286427402f113e4b6ae769a1d95941d49b25030"},
                {"4361726c204d656e676572",
                 "96763ed773f8e47bb3712f0e29b3060ffc956ffc146cee53d5e1df"},
                {"4a65616e2d426170746973746520536179",
                 "3e40f15f6f3a46ae446b253bf8b1d9ffb6ed9b174d272328ff91a7e2e5c79c07f5"},
                {"457567656e2042f6686d20766f6e2042617765726b",
                 "eb3f3515110702e047a6c9da4478b6ead94873c11c0f2d710ddb3f09fce024b3a58502ae3f"},
            },
    },
    {
        .prologue = "",
        .init_static = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        .init_eph = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
        .resp_static = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
        .resp_eph = "4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60",
        .count = 5,
        .messages =
            {
                {"", "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"},
                {"", "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d484663414af878d3e4"
                     "6a2f5"
                     "8911a816d6e8346d4ea17a6f2a0bb4ef4ed56c133cff4560a34e36ea82109f26cf2e5a5caf992"
                     "b608d"
                     "55c747f615e5a3425a7a19eefb8f"},
                {"", "87f864c11ba449f46a0a4f4e2eacbb7b0457784f4fca1937f572c93603e9c4d97e5ea11b16f39"
                     "68710"
                     "b23a3be3202dc1b5e1ce3c963347491e74f5c0768a9b42"},
                {"79656c6c6f777375626d6172696e65",
                 "a52ef02ba60e12696d1d6b9ef4245c88fca757b6134ad6e76b56e310a6adf6"},
                {"7375626d6172696e6579656c6c6f77",
                 "2445aa438ebd649281c636cc7269ca82f1d9023d72520943aeabf909cdf521"},
            },
    },
    {
        .prologue = "6e6f74736563726574",
        .init_static = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        .init_eph = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
        .resp_static = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
        .resp_eph = "4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60",
        .count = 5,
        .messages =
            {
                {"746573745f6d73675f30", "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2c"
                                         "d166254746573745f6d73675f"
                                         "30"},
                {"746573745f6d73675f31", "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d984"
                                         "6d484663414af878d3e46a2f5"
                                         "8911a816d6e8346d4ea17a6f2a0bb4ef4ed56c133cff4545958c588d1"
                                         "7d6373e0c1dcfa3755d37f50c"
                                         "bca216483ac56bcc98f5095870aa814ba40c08079c11f087"},
                {"746573745f6d73675f32",
                 "87f864c11ba449f46a0a4f4e2eacbb7b0457784f4fca1937f572c93603e9c4d9c1e9a1a313d02b788"
                 "7"
                 "1cfd178a521a4c7c7377a2f4f9144b2f0ccedc84d379151b466741e4b266db6023"},
                {"79656c6c6f777375626d6172696e65",
                 "a52ef02ba60e12696d1d6b9ef4245c88fca757b6134ad6e76b56e310a6adf6"},
                {"7375626d6172696e6579656c6c6f77",
                 "2445aa438ebd649281c636cc7269ca82f1d9023d72520943aeabf909cdf521"},
            },
    },
};

static unsigned nibble(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t len = strlen(hex) / 2;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    return len;
}

static struct layer_env env_new(const struct p2p__crypto *crypto)
{
    struct layer_env env = {.crypto = crypto, .aead = crypto->aead_new()};
    assert_non_null(env.aead);
    return env;
}

static void init(struct noise_xx *xx, const struct layer_env *env, bool initiator,
                 const struct vector *v)
{
    uint8_t prologue[64], static_secret[32], eph_secret[32];
    size_t prologue_len = unhex(v->prologue, prologue);
    unhex(initiator ? v->init_static : v->resp_static, static_secret);
    unhex(initiator ? v->init_eph : v->resp_eph, eph_secret);
    p2p__noise_xx_init(xx, env, initiator, prologue, prologue_len, static_secret, eph_secret);
}

static void handshake_message(struct noise_xx *from, struct noise_xx *to,
                              const struct layer_env *env, const char *payload_hex,
                              const char *message_hex)
{
    uint8_t payload[64], expected[256], message[256];
    size_t payload_len = unhex(payload_hex, payload);
    size_t expected_len = unhex(message_hex, expected);
    assert_int_equal(payload_len + p2p__noise_xx_overhead(from), expected_len);
    assert_int_equal(p2p__noise_xx_write(from, env, payload, payload_len, message), 0);
    assert_memory_equal(message, expected, expected_len);
    const uint8_t *got;
    size_t got_len;
    assert_int_equal(p2p__noise_xx_read(to, env, message, expected_len, &got, &got_len), 0);
    assert_int_equal(got_len, payload_len);
    assert_memory_equal(got, payload, payload_len);
}

static void transport_message(struct noise_cipher *from, struct noise_cipher *to,
                              const struct layer_env *env, const char *payload_hex,
                              const char *message_hex)
{
    uint8_t payload[64], expected[256], message[256];
    size_t payload_len = unhex(payload_hex, payload);
    size_t expected_len = unhex(message_hex, expected);
    const struct p2p__const_iov pieces[] = {{payload, 1}, {payload + 1, payload_len - 1}};
    assert_int_equal(p2p__noise_seal(from, env, NULL, 0, pieces, 2, message), 0);
    assert_int_equal(payload_len + 16, expected_len);
    assert_memory_equal(message, expected, expected_len);
    assert_int_equal(p2p__noise_open(to, env, NULL, 0, message, expected_len), 0);
    assert_memory_equal(message, payload, payload_len);
}

static void run_vector(const struct vector *v)
{
    struct layer_env env = env_new(&p2p__crypto_real);
    struct noise_xx side[2];
    init(&side[0], &env, true, v);
    init(&side[1], &env, false, v);
    for (size_t i = 0; i < NOISE_XX_MESSAGES; i++) {
        assert_int_equal(noise_xx_writes(&side[0]), i % 2 == 0);
        assert_int_equal(noise_xx_writes(&side[1]), i % 2 == 1);
        handshake_message(&side[i % 2], &side[1 - i % 2], &env, v->messages[i].payload,
                          v->messages[i].message);
    }
    uint8_t hash[32];
    if (v->hash) {
        unhex(v->hash, hash);
        assert_memory_equal(side[0].hash, hash, 32);
    }
    assert_memory_equal(side[0].hash, side[1].hash, 32);
    struct noise_cipher send[2], recv[2];
    for (int i = 0; i < 2; i++)
        p2p__noise_xx_split(&side[i], &env, &send[i], &recv[i]);
    for (size_t i = NOISE_XX_MESSAGES; i < v->count; i++) {
        size_t from = (i - NOISE_XX_MESSAGES + v->transport_first) % 2;
        transport_message(&send[from], &recv[1 - from], &env, v->messages[i].payload,
                          v->messages[i].message);
    }
    env.crypto->aead_free(env.aead);
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        run_vector(&vectors[i]);
}

static void test_N22_counter_ends_before_reuse(void **state)
{
    (void)state;
    struct layer_env env = env_new(&p2p__crypto_real);
    struct noise_cipher send = {.key = {1}, .nonce = UINT64_MAX - 2};
    struct noise_cipher recv = send;
    uint8_t out[20] = {0}, text[4] = "last";
    const struct p2p__const_iov in = {text, sizeof text};
    assert_int_equal(p2p__noise_seal(&send, &env, NULL, 0, &in, 1, out), 0);
    assert_int_equal(p2p__noise_open(&recv, &env, NULL, 0, out, sizeof out), 0);
    assert_memory_equal(out, "last", 4);
    for (int i = 0; i < 3; i++) {
        uint8_t untouched[20] = {0};
        memset(out, 0, sizeof out);
        assert_int_equal(p2p__noise_seal(&send, &env, NULL, 0, &in, 1, out), P2P_ELIMIT);
        assert_memory_equal(out, untouched, sizeof out);
        assert_int_equal(p2p__noise_open(&recv, &env, NULL, 0, out, sizeof out), P2P_ELIMIT);
        assert_true(send.nonce == UINT64_MAX - 1);
        assert_true(recv.nonce == UINT64_MAX - 1);
    }
    env.crypto->aead_free(env.aead);
}

static void test_nothing_opens_after_a_forgery(void **state)
{
    (void)state;
    struct layer_env env = env_new(&p2p__crypto_real);
    struct noise_cipher send = {.key = {1}}, recv = send;
    uint8_t first[20], second[20];
    const struct p2p__const_iov in = {(const uint8_t *)"text", 4};
    assert_int_equal(p2p__noise_seal(&send, &env, NULL, 0, &in, 1, first), 0);
    assert_int_equal(p2p__noise_seal(&send, &env, NULL, 0, &in, 1, second), 0);
    uint8_t genuine[20];
    memcpy(genuine, first, sizeof first);
    first[19] ^= 1;
    assert_int_equal(p2p__noise_open(&recv, &env, NULL, 0, first, 20), P2P_EHANDSHAKE);
    assert_int_equal(p2p__noise_open(&recv, &env, NULL, 0, genuine, 20), P2P_ELIMIT);
    assert_int_equal(p2p__noise_open(&recv, &env, NULL, 0, second, 20), P2P_ELIMIT);
    env.crypto->aead_free(env.aead);
}

/* A point of low order would make the secret one that everybody knows. */
static void weak_key(const struct p2p__crypto *crypto)
{
    struct layer_env env = env_new(crypto);
    struct noise_xx a, b;
    uint8_t message[128] = {0};
    const uint8_t none[1] = {0};
    const uint8_t *payload;
    size_t payload_len;
    init(&b, &env, false, &vectors[1]);
    assert_int_equal(p2p__noise_xx_read(&b, &env, message, 32, &payload, &payload_len), 0);
    assert_int_equal(p2p__noise_xx_write(&b, &env, none, 0, message), P2P_EHANDSHAKE);
    init(&a, &env, true, &vectors[1]);
    assert_int_equal(p2p__noise_xx_write(&a, &env, none, 0, message), 0);
    memset(message, 0, sizeof message);
    assert_int_equal(p2p__noise_xx_read(&a, &env, message, 96, &payload, &payload_len),
                     P2P_EHANDSHAKE);
    env.crypto->aead_free(env.aead);
}

static void test_weak_ephemeral_key(void **state)
{
    (void)state;
    weak_key(&p2p__crypto_real);
    weak_key(&p2p__crypto_cheap);
}

static void test_shorter_than_its_keys(void **state)
{
    (void)state;
    struct layer_env env = env_new(&p2p__crypto_real);
    struct noise_xx xx;
    uint8_t message[96] = {1};
    const uint8_t *payload;
    size_t payload_len;
    init(&xx, &env, false, &vectors[1]);
    assert_int_equal(p2p__noise_xx_read(&xx, &env, message, 31, &payload, &payload_len),
                     P2P_EHANDSHAKE);
    assert_int_equal(xx.messages, 0);
    init(&xx, &env, true, &vectors[1]);
    assert_int_equal(p2p__noise_xx_write(&xx, &env, message, 0, message), 0);
    assert_int_equal(p2p__noise_xx_read(&xx, &env, message, 95, &payload, &payload_len),
                     P2P_EHANDSHAKE);
    assert_int_equal(xx.messages, 1);
    env.crypto->aead_free(env.aead);
}

static void test_fini_wipes(void **state)
{
    (void)state;
    struct layer_env env = env_new(&p2p__crypto_real);
    static const struct noise_xx zero;
    struct noise_xx xx;
    memset(&xx, 0, sizeof xx);
    init(&xx, &env, true, &vectors[1]);
    p2p__noise_xx_fini(&xx);
    assert_memory_equal(&xx, &zero, sizeof xx);
    env.crypto->aead_free(env.aead);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_N22_counter_ends_before_reuse),
        cmocka_unit_test(test_nothing_opens_after_a_forgery),
        cmocka_unit_test(test_weak_ephemeral_key),
        cmocka_unit_test(test_shorter_than_its_keys),
        cmocka_unit_test(test_fini_wipes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Records of a remote that has the keys, or has not, and keeps to no rule. */
#include "tests/test.h"

#include "layer/tls_fixture.h"

static void expect_broken(struct fixture *f, const uint8_t *record, size_t len)
{
    struct tls_state kept = *f->listener.state;
    feed(&f->listener, record, len);
    assert_int_equal(open_code(&f->listener), P2P_EPROTO);
    assert_int_equal(open_code(&f->listener), P2P_EPROTO);
    assert_true(f->listener.state->alert > 0);
    /* The remote hears why, and believes us. */
    assert_int_equal(ops->close(f->listener.state, &f->listener.env, &f->listener.out), 0);
    struct tls_state dialer = *f->dialer.state;
    move(&f->listener, &f->dialer);
    assert_true(open_code(&f->dialer) < 0);
    *f->dialer.state = dialer;
    buf_consume(&f->dialer.in, buf_len(&f->dialer.in));
    buf_consume(&f->listener.in, buf_len(&f->listener.in));
    *f->listener.state = kept;
}

static void test_every_damaged_byte_of_a_record(void **state)
{
    struct fixture *f = *state;
    uint8_t record[256];
    shake_hands(f);
    size_t len = seal(&f->dialer, "attack at dawn", 14, record);
    for (size_t i = 0; i < len; i++) {
        if (i == 3)
            continue; /* longer: tested below */
        record[i] ^= i == 4 ? 0x08 : 1;
        expect_broken(f, record, len);
        record[i] ^= i == 4 ? 0x08 : 1;
    }
    feed(&f->listener, record, len);
    expect_open(&f->listener, "attack at dawn", 14);
    expect_broken(f, record, len); /* once more */
}

static void test_records_out_of_order(void **state)
{
    struct fixture *f = *state;
    uint8_t first[64], second[64];
    shake_hands(f);
    size_t len = seal(&f->dialer, "first", 5, first);
    seal(&f->dialer, "other", 5, second);
    expect_broken(f, second, len);
    feed(&f->listener, first, len);
    feed(&f->listener, second, len);
    expect_open(&f->listener, "first", 5);
    expect_open(&f->listener, "other", 5);
}

/* Whatever a remote with the keys may seal. */
static void raw_record(struct fixture *f, uint8_t type, const void *bytes, size_t len)
{
    static uint8_t record[BYTES_MAX];
    const struct p2p__const_iov iov = {bytes, len};
    int64_t n = p2p__tls_record_seal(&f->dialer.state->send, &f->dialer.env.tls->ciphers,
                                     (enum tls_content)type, &iov, 1, record);
    assert_true(n > 0);
    feed(&f->listener, record, (size_t)n);
}

static void begin(struct fixture *f)
{
    end_reset(&f->dialer);
    end_reset(&f->listener);
    shake_hands(f);
}

static void test_lengths_at_both_sides_of_the_limits(void **state)
{
    struct fixture *f = *state;
    shake_hands(f);
    expect_broken(f, (const uint8_t *)"\x17\x03\x03\x41\x01", 5); /* 16,641 */
    feed(&f->listener, "\x17\x03\x03\x41\x00", 5);
    assert_int_equal(open_code(&f->listener), STEP_WANT_INPUT);
    static uint8_t zeros[TLS_BODY_MAX];
    feed(&f->listener, zeros, sizeof zeros);
    assert_int_equal(open_code(&f->listener), P2P_EPROTO);
    for (uint8_t len = 0; len < TLS_TYPE_LEN + TLS_TAG_LEN; len++) {
        uint8_t record[64] = {TLS_DATA, 3, 3, 0, len};
        begin(f);
        feed(&f->listener, record, 5u + len);
        assert_int_equal(open_code(&f->listener), P2P_EPROTO);
    }
}

/* A record with right keys and a plaintext of our choice, padding included. */
static void padded_record(struct fixture *f, const uint8_t *inner, size_t len)
{
    static uint8_t record[BYTES_MAX];
    struct tls_keys *keys = &f->dialer.state->send;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t nonce[TLS_IV_LEN];
    int n;
    memcpy(nonce, keys->iv, sizeof nonce);
    nonce[TLS_IV_LEN - 1] ^= (uint8_t)keys->seq++;
    memcpy(record, (const uint8_t[]){23, 3, 3, (uint8_t)((len + 16) >> 8), (uint8_t)(len + 16)}, 5);
    assert_int_equal(keys->suite, TLS_AES_128_GCM);
    EVP_EncryptInit_ex2(ctx, EVP_aes_128_gcm(), keys->key, nonce, NULL);
    EVP_EncryptUpdate(ctx, NULL, &n, record, 5);
    if (len > 0)
        EVP_EncryptUpdate(ctx, record + 5, &n, inner, (int)len);
    EVP_EncryptFinal_ex(ctx, record + 5 + len, &n);
    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, record + 5 + len);
    EVP_CIPHER_CTX_free(ctx);
    feed(&f->listener, record, 5 + len + 16);
}

static void test_padding(void **state)
{
    struct fixture *f = *state;
    static uint8_t inner[TLS_PLAIN_MAX + 2];
    shake_hands(f);
    padded_record(f, (const uint8_t *)"text\x17\0\0\0\0\0", 10);
    expect_open(&f->listener, "text", 4);
    memset(inner, 0, sizeof inner);
    inner[0] = 'x';
    inner[1] = TLS_DATA;
    padded_record(f, inner, TLS_PLAIN_MAX + 1);
    expect_open(&f->listener, "x", 1);
    padded_record(f, inner, TLS_PLAIN_MAX + 2);
    assert_int_equal(open_code(&f->listener), P2P_EPROTO);
    begin(f);
    /* 7 + 16 is also the number of data's type, right before the zeros. */
    padded_record(f, (const uint8_t *)"\0\0\0\0\0\0\0", 7);
    assert_int_equal(open_code(&f->listener), P2P_EPROTO);
    begin(f);
    padded_record(f, NULL, 0);
    assert_int_equal(open_code(&f->listener), P2P_EPROTO);
}

static void test_types_that_have_no_place(void **state)
{
    struct fixture *f = *state;
    for (unsigned type = 1; type < 256; type++) {
        if (type == TLS_DATA || type == TLS_ALERT || type == TLS_HANDSHAKE)
            continue;
        begin(f);
        raw_record(f, (uint8_t)type, "xx", 2);
        assert_int_equal(open_code(&f->listener), P2P_EPROTO);
        if (type > 24)
            type += 50;
    }
    /* Outside of the protection. */
    for (uint8_t type = 20; type < 25; type++) {
        if (type == TLS_DATA)
            continue;
        uint8_t record[] = {type, 3, 3, 0, 2, 1, 0};
        begin(f);
        feed(&f->listener, record, TLS_HEADER_LEN); /* at once, whatever may follow */
        assert_int_equal(open_code(&f->listener), P2P_EPROTO);
    }
}

static int handshake_bytes(struct fixture *f, const void *bytes, size_t len)
{
    begin(f);
    raw_record(f, TLS_HANDSHAKE, bytes, len);
    return open_code(&f->listener);
}

static void test_messages_that_have_no_place(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(handshake_bytes(f, "", 0), P2P_EPROTO);
    assert_int_equal(handshake_bytes(f, "\x01\0\0\1x", 5), P2P_EPROTO);  /* ClientHello */
    assert_int_equal(handshake_bytes(f, "\x0d\0\0\1x", 5), P2P_EPROTO);  /* CertificateRequest */
    assert_int_equal(handshake_bytes(f, "\x18\0\0\1\2", 5), P2P_EPROTO); /* KeyUpdate of 2 */
    assert_int_equal(handshake_bytes(f, "\x18\0\0\2\0\0", 6), P2P_EPROTO);
    assert_int_equal(handshake_bytes(f, "\x18\0\0\0", 4), P2P_EPROTO);
    assert_int_equal(handshake_bytes(f, "\x18\0\0\1\0\x04", 6), P2P_EPROTO); /* more behind it */
    assert_int_equal(handshake_bytes(f, "\x04\x01\x02\x01", 4), P2P_EPROTO); /* 66,049 bytes */
    assert_int_equal(handshake_bytes(f, "\x04\x01\x02\x00", 4), STEP_DONE);
    assert_int_equal(handshake_bytes(f, "\x04\0\0\1x\x04\0\0\2xx", 11), STEP_DONE);
    raw_record(f, TLS_DATA, "data", 4);
    expect_open(&f->listener, "data", 4);
}

static void test_messages_cut_anywhere(void **state)
{
    struct fixture *f = *state;
    static const uint8_t bytes[] = "\x04\0\0\6ticket\x04\0\0\1t\x18\0\0\1";
    shake_hands(f);
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        raw_record(f, TLS_HANDSHAKE, bytes + i, 1);
        assert_int_equal(open_code(&f->listener), STEP_DONE);
    }
    raw_record(f, TLS_HANDSHAKE, "\1", 1);
    assert_int_equal(open_code(&f->listener), STEP_DONE);
    assert_int_equal(p2p__tls_keys_update(&f->dialer.state->send), 0);
    raw_record(f, TLS_DATA, "new", 3);
    expect_open(&f->listener, "new", 3);
    assert_true(f->listener.state->owe_update);
    /* Data in the middle of a message. */
    raw_record(f, TLS_HANDSHAKE, "\x04\0\0\6tic", 7);
    assert_int_equal(open_code(&f->listener), STEP_DONE);
    raw_record(f, TLS_DATA, "data", 4);
    assert_int_equal(open_code(&f->listener), P2P_EPROTO);
}

/* 0: empty data, 1: user_canceled, 2: a key update. */
static void send_nothing(struct fixture *f, int kind)
{
    if (kind == 0) {
        raw_record(f, TLS_DATA, "", 0);
    } else if (kind == 1) {
        raw_record(f, TLS_ALERT, "\1\x5a", 2);
    } else {
        raw_record(f, TLS_HANDSHAKE, "\x18\0\0\1\0", 5);
        p2p__tls_keys_update(&f->dialer.state->send);
    }
}

static void test_what_brings_nothing_is_bounded(void **state)
{
    struct fixture *f = *state;
    for (int kind = 0; kind < 3; kind++) {
        begin(f);
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < TLS_IDLE_RECORDS_MAX; i++) {
                send_nothing(f, kind);
                assert_int_equal(open_code(&f->listener), STEP_DONE);
            }
            if (round < 2) { /* one with data starts anew */
                raw_record(f, TLS_DATA, "x", 1);
                expect_open(&f->listener, "x", 1);
            }
        }
        send_nothing(f, kind);
        assert_int_equal(open_code(&f->listener), P2P_EPROTO);
    }
}

static void test_alerts(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *bytes;
        size_t len;
        int code;
    } alerts[] = {
        {"\1\0", 2, STEP_DONE},          {"\2\0", 2, STEP_DONE},
        {"\1\x5a", 2, STEP_DONE},        {"\2\x2a", 2, P2P_EHANDSHAKE}, /* bad_certificate */
        {"\1\x2d", 2, P2P_EHANDSHAKE},                                  /* expired */
        {"\2\x74", 2, P2P_EHANDSHAKE},                                  /* certificate_required */
        {"\2\x14", 2, P2P_ETRUNCATED},                                  /* bad_record_mac */
        {"\2\x50", 2, P2P_ETRUNCATED},   {"\2", 1, P2P_EPROTO},
        {"\2\x50\2\x50", 4, P2P_EPROTO}, {"", 0, P2P_EPROTO},
    };
    for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++) {
        begin(f);
        raw_record(f, TLS_ALERT, alerts[i].bytes, alerts[i].len);
        assert_int_equal(open_code(&f->listener), alerts[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_damaged_byte_of_a_record),
        TEST(test_records_out_of_order),
        TEST(test_lengths_at_both_sides_of_the_limits),
        TEST(test_padding),
        TEST(test_types_that_have_no_place),
        TEST(test_messages_that_have_no_place),
        TEST(test_messages_cut_anywhere),
        TEST(test_what_brings_nothing_is_bounded),
        TEST(test_alerts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

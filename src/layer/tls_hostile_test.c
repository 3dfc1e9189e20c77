/* Peers that do not keep to the rules, ATTACKS 3.4. */
#include "tests/test.h"

#include "layer/tls_fixture.h"

static const char ALPN_LIBP2P[] = "\x06libp2p";

/* A server's end, or a client's, meets a rogue; which code, and that nobody is left half-proven. */
struct meeting {
    bool server; /* the rogue is */
    const struct recipe *recipe;
    const char *alpn;
    int max_version;
    bool two_certificates;
};

static int meet(struct fixture *f, const struct meeting *meeting)
{
    struct rogue rogue;
    struct end *end = meeting->server ? &f->dialer : &f->listener;
    end_reset(end);
    rogue_init(&rogue, meeting->server, meeting->recipe, meeting->alpn);
    if (meeting->max_version)
        SSL_CTX_set_max_proto_version(rogue.ctx, meeting->max_version);
    if (meeting->two_certificates)
        SSL_CTX_add1_chain_cert(rogue.ctx, SSL_CTX_get0_certificate(rogue.ctx));
    rogue_start(&rogue, meeting->server);
    int code = rogue_shake_hands(&rogue, end);
    if (code == STEP_DONE)
        expect_peer(end, rogue.key);
    if (code < 0) {
        assert_non_null(end->result.error);
        assert_null(end->result.muxer);
        assert_int_equal(step(end), code);
    }
    rogue_fini(&rogue);
    return code;
}

static void expect_both(struct fixture *f, const struct recipe *recipe, int code)
{
    struct meeting meeting = {.recipe = recipe, .alpn = ALPN_LIBP2P};
    assert_int_equal(meet(f, &meeting), code);
    meeting.server = true;
    meeting.alpn = "libp2p";
    assert_int_equal(meet(f, &meeting), code);
}

static void refuse(struct fixture *f, const struct recipe *recipe)
{
    expect_both(f, recipe, P2P_EHANDSHAKE);
}

static void accept(struct fixture *f, const struct recipe *recipe)
{
    expect_both(f, recipe, STEP_DONE);
}

/* ---- certificates ---- */

static void test_T01_client_without_certificate(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(meet(f, &(struct meeting){.alpn = ALPN_LIBP2P}), P2P_EHANDSHAKE);
    assert_string_equal(f->listener.result.error, "the remote sent no certificate");
    assert_int_equal(f->listener.result.remote_peer_len, 0);
}

static void test_T02_no_libp2p_extension(void **state)
{
    struct fixture *f = *state;
    refuse(f, &(struct recipe){.no_extension = true});
    refuse(f, &(struct recipe){.empty_extension = true});
}

static void test_T04_critical_extensions(void **state)
{
    struct fixture *f = *state;
    refuse(f, &(struct recipe){.other_oid = "1.2.3.4", .other_critical = true});
    accept(f, &(struct recipe){.other_oid = "1.2.3.4"});
    accept(f, &(struct recipe){.critical = true});
}

static void test_T05_dates(void **state)
{
    struct fixture *f = *state;
    refuse(f, &(struct recipe){.not_after = "20251231235959Z"});
    refuse(f, &(struct recipe){.not_before = "20270101000000Z"});
    accept(f, &(struct recipe){.not_after = "40960101130000Z"});
}

static void test_T06_two_certificates(void **state)
{
    struct fixture *f = *state;
    struct meeting meeting = {.recipe = &(struct recipe){0}, .alpn = ALPN_LIBP2P};
    assert_int_equal(meet(f, &meeting), STEP_DONE);
    meeting.two_certificates = true;
    assert_int_equal(meet(f, &meeting), P2P_EHANDSHAKE);
    meeting.server = true;
    meeting.alpn = "libp2p";
    assert_int_equal(meet(f, &meeting), P2P_EHANDSHAKE);
}

static void test_T07_signatures(void **state)
{
    struct fixture *f = *state;
    refuse(f, &(struct recipe){.wrong_signer = true});
    refuse(f, &(struct recipe){.wrong_spki = true});
    refuse(f, &(struct recipe){.no_prefix = true});
}

static void test_T09_algorithms(void **state)
{
    struct fixture *f = *state;
    refuse(f, &(struct recipe){.hash = EVP_sha1});
    refuse(f, &(struct recipe){.kind = "RSA", .hash = EVP_md5});
    refuse(f, &(struct recipe){.kind = "RSA", .rsa_bits = 1024});
    refuse(f, &(struct recipe){.curve = "P-384"});
    accept(f, &(struct recipe){.curve = "P-384", .hash = EVP_sha384});
    accept(f, &(struct recipe){.kind = "ED25519"});
    accept(f, &(struct recipe){.kind = "RSA"});
}

/* Somebody else's certificate, without its key. */
static void test_a_stolen_certificate_proves_nothing(void **state)
{
    struct fixture *f = *state;
    for (int server = 0; server < 2; server++) {
        struct rogue rogue, victim;
        struct end *end = server ? &f->dialer : &f->listener;
        end_reset(end);
        rogue_init(&victim, server, &(struct recipe){0}, NULL);
        rogue_init(&rogue, server, NULL, server ? "libp2p" : ALPN_LIBP2P);
        /* OpenSSL would notice that key and certificate differ, unless the key comes last and its
         * public half is the certificate's. */
        EVP_PKEY *liar = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        BIGNUM *secret = NULL;
        unsigned char *point = NULL;
        size_t point_len = EVP_PKEY_get1_encoded_public_key(victim.forged.key, &point);
        assert_int_equal(EVP_PKEY_get_bn_param(liar, "priv", &secret), 1);
        assert_int_equal(EVP_PKEY_set1_encoded_public_key(liar, point, point_len), 1);
        SSL_CTX_use_certificate_ASN1(rogue.ctx, (int)victim.forged.len, victim.forged.der);
        assert_int_equal(SSL_CTX_use_PrivateKey(rogue.ctx, liar), 1);
        rogue_start(&rogue, server);
        assert_int_equal(rogue_shake_hands(&rogue, end), P2P_EHANDSHAKE);
        assert_string_equal(end->result.error,
                            "the remote's TLS handshake is malformed or does not verify");
        BN_clear_free(secret);
        OPENSSL_free(point);
        EVP_PKEY_free(liar);
        rogue_fini(&rogue);
        rogue_fini(&victim);
    }
}

/* ---- versions ---- */

static void test_T10_older_versions(void **state)
{
    struct fixture *f = *state;
    struct meeting meeting = {
        .recipe = &(struct recipe){0}, .alpn = ALPN_LIBP2P, .max_version = TLS1_2_VERSION};
    assert_int_equal(meet(f, &meeting), P2P_EHANDSHAKE);
    assert_string_equal(f->listener.result.error, "the remote does not speak TLS 1.3");
    meeting.server = true;
    meeting.alpn = "libp2p";
    assert_int_equal(meet(f, &meeting), P2P_EHANDSHAKE);
    assert_string_equal(f->dialer.result.error, "the remote does not speak TLS 1.3");
}

/* The first bytes of something else: an alert at the most, and the end. */
static void test_T10_other_protocols(void **state)
{
    struct fixture *f = *state;
    static const char *const bytes[] = {
        "\x80\x0e\x01\x03\x00 SSLv2's form",
        "\x16\x03\x00\x00\x04\x01\xff\xff\xff-------",
        "GET / HTTP/1.1\r\n\r\n",
        "\x13/multistream/1.0.0\n",
        "\x17\x03\x03\x00\x05-----------",
        "\x16\x03\x01\xff\xff-------------",
    };
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        end_reset(&f->listener);
        feed(&f->listener, bytes[i], 16);
        assert_int_equal(step(&f->listener), P2P_EHANDSHAKE);
        assert_non_null(f->listener.result.error);
        assert_true(outq_len(&f->listener.out) <= 7);
        end_reset(&f->dialer);
        step(&f->dialer);
        feed(&f->dialer, bytes[i], 16);
        assert_int_equal(step(&f->dialer), P2P_EHANDSHAKE);
    }
}

/* A ServerHello with the sentinel of RFC 8446, 4.1.3 is a TLS 1.2 one: that is enough to end it. */
static void test_T10_downgrade_sentinel(void **state)
{
    struct fixture *f = *state;
    static const uint8_t record[] = "\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03"
                                    "012345678901234567890123DOWNGRD\x01"
                                    "\x00\xc0\x2b\x00";
    end_reset(&f->dialer);
    step(&f->dialer);
    feed(&f->dialer, record, sizeof record - 1);
    assert_int_equal(step(&f->dialer), P2P_EHANDSHAKE);
    assert_true(outq_len(&f->dialer.out) > 0);
}

/* ---- ALPN ---- */

static int alpn_of_client(struct fixture *f, const char *list)
{
    return meet(f, &(struct meeting){.recipe = &(struct recipe){0}, .alpn = list});
}

static int alpn_of_server(struct fixture *f, const char *name)
{
    return meet(f, &(struct meeting){.server = true, .recipe = &(struct recipe){0}, .alpn = name});
}

static void test_T11_alpn(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(alpn_of_client(f, NULL), P2P_EHANDSHAKE);
    assert_int_equal(alpn_of_client(f, "\x02h2"), P2P_ENOMUXER);
    assert_int_equal(alpn_of_client(f, "\x0c/yamux/2.0.0\x07libp2p2\x05libp2"), P2P_ENOMUXER);
    /* Not last: the client's order is what counts. */
    assert_int_equal(alpn_of_client(f, "\x06libp2p\x0c/yamux/1.0.0"), STEP_DONE);
    assert_null(f->listener.result.muxer);
    assert_int_equal(alpn_of_client(f, "\x02h2\x0c/yamux/1.0.0"), STEP_DONE);
    assert_ptr_equal(f->listener.result.muxer, yamux_mplex[0]);
}

static void test_T11_two_hundred_muxers(void **state)
{
    struct fixture *f = *state;
    char list[200 * 16 + 32];
    size_t len = 0;
    for (int i = 0; i < 200; i++)
        len += (size_t)snprintf(list + len, sizeof list - len, "\x0c/muxer/%05d", i);
    snprintf(list + len, sizeof list - len, "\x06libp2p");
    assert_int_equal(alpn_of_client(f, list), STEP_DONE);
    assert_null(f->listener.result.muxer);
}

static void test_T11_servers_answer(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(alpn_of_server(f, NULL), P2P_EHANDSHAKE);
    assert_int_equal(alpn_of_server(f, "h2"), P2P_EHANDSHAKE);
    assert_int_equal(alpn_of_server(f, "/mplex/6.7.0"), STEP_DONE);
    assert_ptr_equal(f->dialer.result.muxer, yamux_mplex[1]);
}

/* Both ends are told why. */
static void test_T11_no_common_muxer_between_two_of_ours(void **state)
{
    struct fixture *f = *state;
    struct rogue rogue;
    end_reset(&f->dialer);
    step(&f->dialer);
    rogue_init(&rogue, true, &(struct recipe){0}, NULL);
    rogue_start(&rogue, true);
    feed(&f->dialer, "\x15\x03\x03\x00\x02\x02\x78", 7); /* no_application_protocol */
    assert_int_equal(step(&f->dialer), P2P_ENOMUXER);
    rogue_fini(&rogue);
    end_reset(&f->listener);
    struct meeting meeting = {.recipe = &(struct recipe){0}, .alpn = "\x02h2"};
    struct rogue client;
    rogue_init(&client, false, meeting.recipe, meeting.alpn);
    rogue_start(&client, false);
    SSL_do_handshake(client.ssl);
    rogue_exchange(&client, &f->listener);
    assert_int_equal(step(&f->listener), P2P_ENOMUXER);
    uint8_t alert[16];
    assert_int_equal(drain(&f->listener, alert, sizeof alert), 7);
    assert_memory_equal(alert, "\x15\x03\x03\x00\x02\x02\x78", 7);
    rogue_fini(&client);
}

static void test_sni_is_not_sent_and_not_looked_at(void **state)
{
    struct fixture *f = *state;
    uint8_t hello[BYTES_MAX];
    end_reset(&f->dialer);
    step(&f->dialer);
    size_t len = drain(&f->dialer, hello, sizeof hello);
    /* Extensions begin behind random, session id (empty), suites and compression. */
    size_t at = 5 + 4 + 2 + 32;
    at += 1u + hello[at];
    at += 2u + (size_t)(hello[at] << 8 | hello[at + 1]);
    at += 1u + hello[at];
    at += 2;
    assert_true(at < len);
    while (at < len) {
        size_t type = (size_t)(hello[at] << 8 | hello[at + 1]);
        assert_int_not_equal(type, 0);  /* server_name */
        assert_int_not_equal(type, 42); /* early_data */
        assert_int_not_equal(type, 35); /* session_ticket */
        assert_int_not_equal(type, 41); /* pre_shared_key */
        at += 4u + (size_t)(hello[at + 2] << 8 | hello[at + 3]);
    }
    assert_int_equal(at, len);
    struct rogue rogue;
    rogue_init(&rogue, false, &(struct recipe){0}, ALPN_LIBP2P);
    rogue_start(&rogue, false);
    SSL_set_tlsext_host_name(rogue.ssl, "example.org");
    end_reset(&f->listener);
    assert_int_equal(rogue_shake_hands(&rogue, &f->listener), STEP_DONE);
    rogue_fini(&rogue);
}

/* ---- damage on the way ---- */

static void test_every_damaged_byte_ends_the_handshake(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[BYTES_MAX];
    for (int flight = 0; flight < 3; flight++) {
        for (size_t i = 0;; i += flight == 1 ? 5 : 3) {
            end_reset(&f->dialer);
            end_reset(&f->listener);
            int codes[3] = {step(&f->dialer), STEP_WANT_INPUT, STEP_WANT_INPUT};
            struct end *from = &f->dialer, *to = &f->listener;
            for (int k = 0; k < flight; k++) {
                move(from, to);
                step(to);
                struct end *swap = from;
                from = to;
                to = swap;
            }
            size_t len = drain(from, bytes, sizeof bytes);
            if (i >= len)
                break;
            bytes[i] ^= 0x41;
            feed(to, bytes, len);
            codes[1] = step(to);
            if (codes[1] == STEP_WANT_INPUT && flight < 2) {
                move(to, from);
                codes[2] = step(from);
            }
            /* A version of the record layer is looked at by nobody (RFC 8446, section 5.1). */
            bool done = codes[1] == STEP_DONE || codes[2] == STEP_DONE;
            if (done && !(i == 1 || i == 2))
                fail_msg("flight %d byte %zu", flight, i);
        }
    }
}

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
    padded_record(f, (const uint8_t *)"\0\0\0\0", 4);
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
        feed(&f->listener, record, sizeof record);
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

static void test_what_brings_nothing_is_bounded(void **state)
{
    struct fixture *f = *state;
    for (int kind = 0; kind < 3; kind++) {
        begin(f);
        for (int i = 0; i < TLS_IDLE_RECORDS_MAX + 1; i++) {
            if (kind == 0)
                raw_record(f, TLS_DATA, "", 0);
            else if (kind == 1)
                raw_record(f, TLS_ALERT, "\1\x5a", 2); /* user_canceled */
            else
                raw_record(f, TLS_HANDSHAKE, "\x18\0\0\1\0", 5);
            if (kind == 2)
                p2p__tls_keys_update(&f->dialer.state->send);
            assert_int_equal(open_code(&f->listener),
                             i < TLS_IDLE_RECORDS_MAX ? STEP_DONE : P2P_EPROTO);
            if (kind == 0 && i == 5) { /* one with data starts anew */
                raw_record(f, TLS_DATA, "x", 1);
                expect_open(&f->listener, "x", 1);
                i = -1;
                kind = 1;
            }
        }
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
        TEST(test_T01_client_without_certificate),
        TEST(test_T02_no_libp2p_extension),
        TEST(test_T04_critical_extensions),
        TEST(test_T05_dates),
        TEST(test_T06_two_certificates),
        TEST(test_T07_signatures),
        TEST(test_T09_algorithms),
        TEST(test_a_stolen_certificate_proves_nothing),
        TEST(test_T10_older_versions),
        TEST(test_T10_other_protocols),
        TEST(test_T10_downgrade_sentinel),
        TEST(test_T11_alpn),
        TEST(test_T11_two_hundred_muxers),
        TEST(test_T11_servers_answer),
        TEST(test_T11_no_common_muxer_between_two_of_ours),
        TEST(test_sni_is_not_sent_and_not_looked_at),
        TEST(test_every_damaged_byte_ends_the_handshake),
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

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

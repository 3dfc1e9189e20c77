/* Two of our own ends, and ours with an honest OpenSSL. */
#include "tests/test.h"

#include "layer/tls_fixture.h"

static void talk(struct end *a, struct end *b)
{
    send_all(a, b, "from a", 6);
    expect_open(b, "from a", 6);
    send_all(b, a, "from b", 6);
    expect_open(a, "from b", 6);
}

static void test_T18_all_host_key_types(void **state)
{
    struct fixture *f = *state;
    for (int type = P2P_KEY_RSA; type <= P2P_KEY_ECDSA; type++) {
        p2p_key_free(f->dialer.key);
        assert_int_equal(p2p_key_generate(type, &f->dialer.key), 0);
        end_reset(&f->dialer);
        end_reset(&f->listener);
        shake_hands(f);
        expect_peer(&f->dialer, f->listener.key);
        expect_peer(&f->listener, f->dialer.key);
        talk(&f->dialer, &f->listener);
        /* And in the other role. */
        p2p_key *key = f->dialer.key;
        f->dialer.key = f->listener.key;
        f->listener.key = key;
        end_reset(&f->dialer);
        end_reset(&f->listener);
        shake_hands(f);
        expect_peer(&f->dialer, f->listener.key);
        talk(&f->listener, &f->dialer);
    }
}

/* Every cut of every flight is among them. */
static void test_one_byte_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct end *from = &f->dialer, *to = &f->listener;
    uint8_t bytes[BYTES_MAX];
    int code[2] = {step(from), STEP_WANT_INPUT};
    for (int flight = 0; flight < 3; flight++) {
        size_t len = drain(from, bytes, sizeof bytes);
        assert_true(len > 0);
        for (size_t i = 0; i < len; i++) {
            assert_int_equal(code[1], STEP_WANT_INPUT);
            feed(to, bytes + i, 1);
            code[1] = step(to);
        }
        struct end *swap = from;
        from = to;
        to = swap;
        int old = code[0];
        code[0] = code[1];
        code[1] = old;
    }
    assert_int_equal(code[0], STEP_DONE);
    assert_int_equal(code[1], STEP_DONE);
    talk(&f->dialer, &f->listener);
    size_t len = seal(&f->dialer, "slow", 4, bytes);
    for (size_t i = 0; i < len; i++) {
        struct span span = {0};
        struct end *end = &f->listener;
        assert_int_equal(ops->open(end->state, &end->env, &end->in, &span), STEP_WANT_INPUT);
        assert_int_equal(span.len, i < TLS_HEADER_LEN ? 0 : len - i);
        feed(end, bytes + i, 1);
    }
    expect_open(&f->listener, "slow", 4);
}

/* Flights in two pieces: the second step sees a partial record of any length. */
static void test_flights_cut_in_two(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[BYTES_MAX];
    for (size_t cut = 1; cut < 1500; cut += 7) {
        end_reset(&f->dialer);
        end_reset(&f->listener);
        int code[2] = {step(&f->dialer), STEP_WANT_INPUT};
        for (int flight = 0; flight < 3; flight++) {
            struct end *from = flight % 2 ? &f->listener : &f->dialer;
            struct end *to = flight % 2 ? &f->dialer : &f->listener;
            size_t len = drain(from, bytes, sizeof bytes), first = cut < len ? cut : len;
            feed(to, bytes, first);
            code[1 - flight % 2] = step(to);
            if (first < len) {
                feed(to, bytes + first, len - first);
                code[1 - flight % 2] = step(to);
            }
        }
        assert_int_equal(code[0], STEP_DONE);
        assert_int_equal(code[1], STEP_DONE);
    }
}

/* The client's last flight and its first data in one segment. */
static void test_data_right_behind_the_handshake(void **state)
{
    struct fixture *f = *state;
    step(&f->dialer);
    move(&f->dialer, &f->listener);
    step(&f->listener);
    move(&f->listener, &f->dialer);
    assert_int_equal(step(&f->dialer), STEP_DONE);
    move(&f->dialer, &f->listener);
    send_all(&f->dialer, &f->listener, "first", 5);
    send_all(&f->dialer, &f->listener, "second", 6);
    assert_int_equal(step(&f->listener), STEP_DONE);
    ops->handshake_fini(f->listener.handshake);
    expect_open(&f->listener, "first", 5);
    expect_open(&f->listener, "second", 6);
    assert_int_equal(open_code(&f->listener), STEP_WANT_INPUT);
    assert_int_equal(buf_len(&f->listener.in), 0);
}

/* ---- muxers in ALPN ---- */

static void expect_muxer(struct fixture *f, const char *name)
{
    end_reset(&f->dialer);
    end_reset(&f->listener);
    shake_hands(f);
    const char *got[] = {f->dialer.result.muxer, f->listener.result.muxer};
    for (int i = 0; i < 2; i++) {
        assert_true((got[i] == NULL) == (name == NULL));
        if (name)
            assert_string_equal(got[i], name);
    }
}

static void test_the_clients_order_decides_on_the_muxer(void **state)
{
    struct fixture *f = *state;
    expect_muxer(f, "/yamux/1.0.0");
    f->dialer.config.muxers = mplex_yamux;
    expect_muxer(f, "/mplex/6.7.0");
    f->listener.config.muxer_count = 1;
    expect_muxer(f, "/yamux/1.0.0");
    f->dialer.config.muxer_count = 1;
    expect_muxer(f, NULL); /* "libp2p" is what both have */
    f->dialer.config.muxer_count = 0;
    expect_muxer(f, NULL);
}

/* ---- who it is ---- */

static void test_T12_another_peer_than_dialed(void **state)
{
    struct fixture *f = *state;
    p2p_key *other = key_of(7);
    const p2p_peer_id *id = p2p_key_peer_id(other);
    f->dialer.config.expected_peer = id->bytes;
    f->dialer.config.expected_peer_len = id->len;
    end_reset(&f->dialer);
    step(&f->dialer);
    move(&f->dialer, &f->listener);
    step(&f->listener);
    move(&f->listener, &f->dialer);
    assert_int_equal(step(&f->dialer), P2P_EPEERID);
    expect_peer(&f->dialer, f->listener.key);
    assert_int_equal(step(&f->dialer), P2P_EPEERID);
    /* The listener is told, by an alert, and has nothing. */
    assert_true(move(&f->dialer, &f->listener) > 0);
    assert_int_equal(step(&f->listener), P2P_EHANDSHAKE);
    assert_string_equal(f->listener.result.error, "the remote refused our TLS handshake");
    assert_int_equal(f->listener.result.remote_peer_len, 0);
    p2p_key_free(other);
}

/* Spec: the client seems connected before the server has looked. */
static void test_the_servers_refusal_comes_after_the_clients_end(void **state)
{
    struct fixture *f = *state;
    f->listener.config.wall_s = NOW_S + 101LL * 365 * 86400;
    end_reset(&f->listener);
    f->dialer.config.wall_s = f->listener.config.wall_s;
    step(&f->dialer);
    move(&f->dialer, &f->listener);
    step(&f->listener);
    move(&f->listener, &f->dialer);
    assert_int_equal(step(&f->dialer), STEP_DONE);
    move(&f->dialer, &f->listener);
    send_all(&f->dialer, &f->listener, "too soon", 8);
    assert_int_equal(step(&f->listener), P2P_EHANDSHAKE);
    assert_string_equal(f->listener.result.error, "the remote's certificate has expired");
    assert_true(move(&f->listener, &f->dialer) > 0);
    assert_int_equal(open_code(&f->dialer), P2P_EHANDSHAKE);
    assert_int_equal(open_code(&f->dialer), P2P_EHANDSHAKE);
}

/* One certificate serves a loop's connections; another identity, or a clock that was set, makes
 * another. */
static void test_the_certificate_is_kept_while_it_is_good(void **state)
{
    struct fixture *f = *state;
    struct p2p__tls *tls = f->dialer.env.tls;
    struct ssl_ctx_st *first = tls->ctx;
    end_reset(&f->dialer);
    assert_ptr_equal(tls->ctx, first);
    f->dialer.config.wall_s = tls->not_before_s - 1;
    f->listener.config.wall_s = tls->not_before_s - 1;
    end_reset(&f->dialer);
    end_reset(&f->listener);
    assert_int_equal(tls->not_before_s, f->dialer.config.wall_s - 3600);
    shake_hands(f);
    f->dialer.config.wall_s = f->listener.config.wall_s = tls->not_after_s + 1;
    end_reset(&f->dialer);
    end_reset(&f->listener);
    assert_int_equal(tls->not_before_s, f->dialer.config.wall_s - 3600);
    shake_hands(f);
    p2p_key_free(f->dialer.key);
    f->dialer.key = key_of(99);
    end_reset(&f->dialer);
    end_reset(&f->listener);
    shake_hands(f);
    expect_peer(&f->listener, f->dialer.key);
}

/* ---- records ---- */

static void test_both_sides_of_the_largest_record(void **state)
{
    struct fixture *f = *state;
    uint8_t plain[TLS_PLAIN_MAX], record[BYTES_MAX];
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 31);
    shake_hands(f);
    const size_t lens[] = {0, 1, 2, 1000, TLS_PLAIN_MAX - 1, TLS_PLAIN_MAX};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        size_t len = seal(&f->dialer, plain, lens[i], record);
        assert_int_equal(len, lens[i] + TLS_RECORD_OVERHEAD);
        feed(&f->listener, record, len);
        expect_open(&f->listener, plain, lens[i]);
    }
}

/* Leftovers of the plaintext before may be moved over what is dead. */
static void test_the_gap_before_a_plaintext_is_dead(void **state)
{
    struct fixture *f = *state;
    struct span a, b;
    struct end *to = &f->listener;
    shake_hands(f);
    send_all(&f->dialer, to, "0123456789", 10);
    send_all(&f->dialer, to, "abcdef", 6);
    assert_int_equal(ops->open(to->state, &to->env, &to->in, &a), STEP_DONE);
    assert_int_equal(ops->open(to->state, &to->env, &to->in, &b), STEP_DONE);
    assert_int_equal(b.gap, TLS_RECORD_OVERHEAD);
    assert_ptr_equal(b.base - b.gap, a.base + a.len);
}

static void test_our_keys_are_renewed_in_time(void **state)
{
    struct fixture *f = *state;
    uint8_t record[BYTES_MAX];
    shake_hands(f);
    f->dialer.state->send.seq = f->listener.state->recv.seq = TLS_KEY_RECORDS_MAX - 1;
    struct tls_keys old = f->dialer.state->send;
    send_all(&f->dialer, &f->listener, "last", 4);
    expect_open(&f->listener, "last", 4);
    assert_memory_equal(old.key, f->dialer.state->send.key, sizeof old.key);
    size_t len = seal(&f->dialer, "new keys", 8, record);
    assert_int_equal(len, 8 + ops->overhead);
    assert_memory_not_equal(old.key, f->dialer.state->send.key, sizeof old.key);
    assert_int_equal(f->dialer.state->send.seq, 1);
    feed(&f->listener, record, len);
    expect_open(&f->listener, "new keys", 8);
    talk(&f->dialer, &f->listener);
}

static void test_close_notify_ends_it(void **state)
{
    struct fixture *f = *state;
    shake_hands(f);
    assert_int_equal(ops->close(f->dialer.state, &f->dialer.env, &f->dialer.out), 0);
    assert_int_equal(ops->close(f->dialer.state, &f->dialer.env, &f->dialer.out), 0);
    assert_int_equal(move(&f->dialer, &f->listener), TLS_RECORD_OVERHEAD + 2);
    expect_open(&f->listener, "", 0);
    feed(&f->listener, "ignored", 7);
    assert_int_equal(open_code(&f->listener), P2P_EEOF);
    assert_int_equal(open_code(&f->listener), P2P_EEOF);
    /* Our own direction stays. */
    send_all(&f->listener, &f->dialer, "still", 5);
    expect_open(&f->dialer, "still", 5);
}

static void test_an_idle_connection_keeps_little(void **state)
{
    (void)state;
    assert_true(ops->state_size <= 320);
}

/* Many connections share a loop's contexts: each record has the right key. */
static void test_connections_take_turns(void **state)
{
    struct fixture *f = *state;
    struct tls_state kept[2];
    shake_hands(f);
    kept[0] = *f->dialer.state;
    kept[1] = *f->listener.state;
    end_reset(&f->dialer);
    end_reset(&f->listener);
    shake_hands(f);
    for (int i = 0; i < 10; i++) {
        struct tls_state now[2] = {*f->dialer.state, *f->listener.state};
        talk(&f->dialer, &f->listener);
        now[0] = *f->dialer.state;
        now[1] = *f->listener.state;
        *f->dialer.state = kept[0];
        *f->listener.state = kept[1];
        kept[0] = now[0];
        kept[1] = now[1];
    }
}

/* ---- with OpenSSL ---- */

static const char ALPN_BOTH[] = "\x0c/yamux/1.0.0\x06libp2p";

static void rogue_talk(struct rogue *rogue, struct end *end)
{
    rogue_send(rogue, end, "hello", 5);
    expect_open(end, "hello", 5);
    end_send(end, "world", 5);
    rogue_expect(rogue, end, "world", 5);
}

static void with_suite(struct fixture *f, bool server, const char *suites, enum tls_suite expected)
{
    struct rogue rogue;
    struct end *end = server ? &f->dialer : &f->listener;
    end_reset(end);
    rogue_init(&rogue, server, &(struct recipe){0}, server ? "/yamux/1.0.0" : ALPN_BOTH);
    assert_int_equal(SSL_CTX_set_ciphersuites(rogue.ctx, suites), 1);
    rogue_start(&rogue, server);
    assert_int_equal(rogue_shake_hands(&rogue, end), STEP_DONE);
    assert_int_equal(end->state->send.suite, expected);
    assert_string_equal(end->result.muxer, "/yamux/1.0.0");
    expect_peer(end, rogue.key);
    for (int i = 0; i < 3; i++)
        rogue_talk(&rogue, end);
    rogue_fini(&rogue);
}

static void test_every_suite_both_ways(void **state)
{
    struct fixture *f = *state;
    for (int server = 0; server < 2; server++) {
        with_suite(f, server, "TLS_AES_128_GCM_SHA256", TLS_AES_128_GCM);
        with_suite(f, server, "TLS_AES_256_GCM_SHA384", TLS_AES_256_GCM);
        with_suite(f, server, "TLS_CHACHA20_POLY1305_SHA256", TLS_CHACHA20_POLY1305);
    }
    with_suite(f, false,
               "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256",
               TLS_AES_128_GCM);
}

static void test_key_updates_of_the_remote(void **state)
{
    struct fixture *f = *state;
    struct rogue rogue;
    rogue_init(&rogue, true, &(struct recipe){0}, "libp2p");
    rogue_start(&rogue, true);
    assert_int_equal(rogue_shake_hands(&rogue, &f->dialer), STEP_DONE);
    assert_null(f->dialer.result.muxer);
    for (int i = 0; i < 5; i++) {
        int ask = i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
        struct tls_keys before = f->dialer.state->send;
        assert_int_equal(SSL_key_update(rogue.ssl, ask), 1);
        rogue_talk(&rogue, &f->dialer);
        /* Asked for, ours are new too. */
        assert_int_equal(memcmp(before.key, f->dialer.state->send.key, sizeof before.key) != 0,
                         i % 2);
    }
    rogue_fini(&rogue);
}

static void test_tickets_are_skipped(void **state)
{
    struct fixture *f = *state;
    struct rogue rogue;
    rogue_init(&rogue, true, &(struct recipe){0}, "libp2p");
    SSL_CTX_set_num_tickets(rogue.ctx, 4);
    SSL_CTX_set_session_id_context(rogue.ctx, (const unsigned char *)"x", 1);
    rogue_start(&rogue, true);
    assert_int_equal(rogue_shake_hands(&rogue, &f->dialer), STEP_DONE);
    assert_true(buf_len(&f->dialer.in) > 4 * 100);
    rogue_talk(&rogue, &f->dialer);
    rogue_fini(&rogue);
}

static void test_closing_with_openssl(void **state)
{
    struct fixture *f = *state;
    struct rogue rogue;
    uint8_t byte;
    rogue_init(&rogue, false, &(struct recipe){0}, ALPN_BOTH);
    rogue_start(&rogue, false);
    assert_int_equal(rogue_shake_hands(&rogue, &f->listener), STEP_DONE);
    assert_int_equal(ops->close(f->listener.state, &f->listener.env, &f->listener.out), 0);
    rogue_exchange(&rogue, &f->listener);
    assert_int_equal(SSL_read(rogue.ssl, &byte, 1), 0);
    assert_int_equal(SSL_get_shutdown(rogue.ssl), SSL_RECEIVED_SHUTDOWN);
    assert_int_equal(SSL_shutdown(rogue.ssl), 1);
    rogue_exchange(&rogue, &f->listener);
    expect_open(&f->listener, "", 0);
    assert_true(f->listener.state->ended);
    rogue_fini(&rogue);
}

static void test_large_records_both_ways_with_openssl(void **state)
{
    struct fixture *f = *state;
    struct rogue rogue;
    static uint8_t plain[TLS_PLAIN_MAX];
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 7 + (i >> 8));
    rogue_init(&rogue, false, &(struct recipe){0}, ALPN_BOTH);
    SSL_CTX_set_block_padding(rogue.ctx, 512);
    rogue_start(&rogue, false);
    assert_int_equal(rogue_shake_hands(&rogue, &f->listener), STEP_DONE);
    for (int len = 1; len <= TLS_PLAIN_MAX; len = len * 2 + (len % 3)) {
        rogue_send(&rogue, &f->listener, plain, len);
        expect_open(&f->listener, plain, (size_t)len);
        end_send(&f->listener, plain, (size_t)len);
        rogue_expect(&rogue, &f->listener, plain, len);
    }
    rogue_fini(&rogue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_T18_all_host_key_types),
        TEST(test_one_byte_at_a_time),
        TEST(test_flights_cut_in_two),
        TEST(test_data_right_behind_the_handshake),
        TEST(test_the_clients_order_decides_on_the_muxer),
        TEST(test_T12_another_peer_than_dialed),
        TEST(test_the_servers_refusal_comes_after_the_clients_end),
        TEST(test_the_certificate_is_kept_while_it_is_good),
        TEST(test_both_sides_of_the_largest_record),
        TEST(test_the_gap_before_a_plaintext_is_dead),
        TEST(test_our_keys_are_renewed_in_time),
        TEST(test_close_notify_ends_it),
        TEST(test_an_idle_connection_keeps_little),
        TEST(test_connections_take_turns),
        TEST(test_every_suite_both_ways),
        TEST(test_key_updates_of_the_remote),
        TEST(test_tickets_are_skipped),
        TEST(test_closing_with_openssl),
        TEST(test_large_records_both_ways_with_openssl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/test.h"

#include <stdio.h>

#include "layer/ws_fixture.h"

/* The example of RFC 6455, section 1.2, without what libp2p's layer does not send. */
static const char example_request[] = "GET /chat HTTP/1.1\r\n"
                                      "Host: server.example.com\r\n"
                                      "Upgrade: websocket\r\n"
                                      "Connection: Upgrade\r\n"
                                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                      "Origin: http://example.com\r\n"
                                      "Sec-WebSocket-Protocol: chat, superchat\r\n"
                                      "Sec-WebSocket-Version: 13\r\n"
                                      "\r\n";
static const char example_response[] = "HTTP/1.1 101 Switching Protocols\r\n"
                                       "Upgrade: websocket\r\n"
                                       "Connection: Upgrade\r\n"
                                       "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                       "\r\n";

static void test_table(void **state)
{
    (void)state;
    assert_string_equal(ops->id, "/ws");
    assert_int_equal(ops->overhead, 14);
    assert_int_equal(ops->plain_max, 65537);
    assert_int_equal(ops->record_max, 131);
    assert_true(ops->state_size <= 256); /* for every idle connection */
}

static void test_server_answers_the_example_of_RFC_6455(void **state)
{
    struct fixture *f = *state;
    char out[1024];
    feed(f, &f->server, example_request, strlen(example_request));
    feed(f, &f->server, "\x82", 1); /* in the same read */
    assert_int_equal(step(f, &f->server), STEP_DONE);
    drain(f, &f->server, out, sizeof out);
    assert_string_equal(out, example_response);
    assert_int_equal(buf_len(&f->server.in), 1);
    assert_int_equal(f->server.result.remote_peer_len, 0);
}

static void test_server_step_by_byte(void **state)
{
    struct fixture *f = *state;
    char out[1024];
    for (size_t i = 0; i + 1 < sizeof example_request; i++) {
        assert_int_equal(step(f, &f->server), STEP_WANT_INPUT);
        assert_int_equal(outq_len(&f->server.out), 0);
        feed(f, &f->server, example_request + i, 1);
    }
    assert_int_equal(step(f, &f->server), STEP_DONE);
    drain(f, &f->server, out, sizeof out);
    assert_string_equal(out, example_response);
    assert_int_equal(buf_len(&f->server.in), 0);
}

static void test_client_asks(void **state)
{
    struct fixture *f = *state;
    char out[1024], want[1024];
    assert_int_equal(step(f, &f->client), STEP_WANT_INPUT);
    assert_int_equal(step(f, &f->client), STEP_WANT_INPUT); /* and once */
    drain(f, &f->client, out, sizeof out);
    snprintf(want, sizeof want,
             "GET / HTTP/1.1\r\n"
             "Host: example.com:4001\r\n"
             "Upgrade: websocket\r\n"
             "Connection: Upgrade\r\n"
             "Sec-WebSocket-Key: %s\r\n"
             "Sec-WebSocket-Version: 13\r\n"
             "\r\n",
             f->client.handshake->key);
    assert_string_equal(out, want);
}

static void test_client_accepts_the_example_of_RFC_6455(void **state)
{
    struct fixture *f = *state;
    memcpy(f->client.handshake->key, "dGhlIHNhbXBsZSBub25jZQ==", WS_KEY_TEXT_LEN);
    for (size_t i = 0; i + 1 < sizeof example_response; i++) {
        assert_int_equal(step(f, &f->client), STEP_WANT_INPUT);
        feed(f, &f->client, example_response + i, 1);
    }
    feed(f, &f->client, "\x82\x00", 2);
    assert_int_equal(step(f, &f->client), STEP_DONE);
    assert_int_equal(buf_len(&f->client.in), 2);
    assert_null(f->client.result.error);
}

static void test_randomness(void **state)
{
    struct fixture *f = *state;
    char key[WS_KEY_TEXT_LEN + 1];
    struct hash_key masks = f->client.state->mask_key;
    memcpy(key, f->client.handshake->key, sizeof key);
    end_start(f, &f->client);
    assert_string_equal(f->client.handshake->key, key); /* pure: the same again */
    assert_memory_equal(&f->client.state->mask_key, &masks, sizeof masks);
    f->client.config.random[63] ^= 1;
    end_start(f, &f->client);
    assert_string_not_equal(f->client.handshake->key, key);
    assert_memory_not_equal(&f->client.state->mask_key, &masks, sizeof masks);
}

/* A name may come from a peer's addresses. */
static void test_host_names(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"", "a\r\nX: y", "a b", "a/b", "user@a", "a\x7f", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        f->client.config.host_name = bad[i];
        assert_int_equal(
            ops->start(f->client.state, f->client.handshake, &f->client.config, &f->env),
            P2P_EADDR);
    }
    char name[WS_HOST_MAX + 2];
    memset(name, 'a', sizeof name);
    name[WS_HOST_MAX + 1] = 0;
    assert_false(p2p__ws_host_valid(name));
    name[WS_HOST_MAX] = 0;
    assert_true(p2p__ws_host_valid(name));
    f->client.config.host_name = name;
    end_start(f, &f->client);
    assert_int_equal(step(f, &f->client), STEP_WANT_INPUT);
    f->client.config.host_name = "[2001:db8::1]:80";
    end_start(f, &f->client);
    assert_true(p2p__ws_host_valid("x_y-z.example"));
}

static void test_handshake_and_data(void **state)
{
    struct fixture *f = *state;
    shake_hands(f);
    struct end *ends[] = {&f->client, &f->server};
    for (int i = 0; i < 4; i++) {
        struct end *from = ends[i % 2], *to = ends[1 - i % 2];
        uint8_t record[64];
        const struct p2p__const_iov in[] = {{(const uint8_t *)"hel", 3},
                                            {(const uint8_t *)"lo", 2}};
        int64_t len = ops->seal(from->state, &f->env, in, 2, record);
        assert_int_equal(len, from == &f->client ? 11 : 7);
        feed(f, to, record, (size_t)len);
        expect_open(f, to, "hello", 5);
        assert_int_equal(open_code(f, to), STEP_WANT_INPUT);
    }
    for (int i = 0; i < 2; i++) {
        struct end *from = ends[i], *to = ends[1 - i];
        assert_int_equal(ops->close(from->state, &f->env, &from->out), 0);
        move(f, from, to);
        assert_int_equal(open_code(f, to), P2P_EEOF);
    }
}

static void test_fini_wipes(void **state)
{
    struct fixture *f = *state;
    static const uint8_t zero[1024];
    shake_hands(f);
    ops->handshake_fini(f->client.handshake);
    ops->fini(f->client.state);
    assert_memory_equal(f->client.handshake, zero, ops->handshake_size);
    assert_memory_equal(f->client.state, zero, ops->state_size);
}

/* ---- refusals ---- */

/* Steps again too: a failure stays, and says nothing more. */
static void expect_refusal(struct fixture *f, int code, const char *status_line)
{
    char out[2048];
    assert_int_equal(step(f, &f->server), code);
    assert_non_null(f->server.result.error);
    size_t len = drain(f, &f->server, out, sizeof out);
    assert_memory_equal(out, status_line, strlen(status_line));
    const char *body = strstr(out, "\r\n\r\n"), *announced = strstr(out, "Content-Length: ");
    assert_non_null(body);
    assert_non_null(announced);
    assert_int_equal(len - (size_t)(body + 4 - out), atoi(announced + 16));
    assert_non_null(strstr(body, f->server.result.error));
    assert_int_equal(step(f, &f->server), code);
    assert_int_equal(outq_len(&f->server.out), 0);
    assert_int_equal(ops->close(f->server.state, &f->env, &f->server.out), 0);
    assert_int_equal(outq_len(&f->server.out), 0); /* no frame where there is no WebSocket */
}

static void test_W01_headers_up_to_8_KiB(void **state)
{
    struct fixture *f = *state;
    for (size_t size = WS_HEAD_MAX - 1; size <= WS_HEAD_MAX + 1; size++) {
        static char head[WS_HEAD_MAX + 2];
        size_t used = strlen(example_request) - 2;
        memset(head, 'x', sizeof head);
        memcpy(head, example_request, used);
        memcpy(head + used, "X:", 2);
        memcpy(head + size - 4, "\r\n\r\n", 4);
        end_start(f, &f->server);
        feed(f, &f->server, head, size);
        if (size <= WS_HEAD_MAX)
            assert_int_equal(step(f, &f->server), STEP_DONE);
        else
            expect_refusal(f, P2P_ETOOBIG, "HTTP/1.1 400 Bad Request\r\n");
    }
}

static void test_W01_endless_headers(void **state)
{
    struct fixture *f = *state;
    feed(f, &f->server, "GET / HTTP/1.1\r\nX: ", 19);
    for (size_t i = 19; i < WS_HEAD_MAX; i++) {
        assert_int_equal(step(f, &f->server), STEP_WANT_INPUT);
        feed(f, &f->server, "y", 1);
    }
    expect_refusal(f, P2P_ETOOBIG, "HTTP/1.1 400 Bad Request\r\n");
}

static void test_W01_1_MiB_of_headers_for_a_client(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(step(f, &f->client), STEP_WANT_INPUT);
    feed(f, &f->client, "HTTP/1.1 101 ", 13);
    char *junk = calloc(1, 1 << 19);
    feed(f, &f->client, junk, 1 << 19);
    free(junk);
    assert_int_equal(step(f, &f->client), P2P_ETOOBIG);
    assert_non_null(f->client.result.error);
}

/* What is no HTTP is refused by its first byte, not by a deadline. */
static void test_W01_no_http(void **state)
{
    struct fixture *f = *state;
    feed(f, &f->server, "\x13", 1);
    expect_refusal(f, P2P_EPROTO, "HTTP/1.1 400 Bad Request\r\n");
    end_start(f, &f->server);
    feed(f, &f->server, "GET", 3);
    assert_int_equal(step(f, &f->server), STEP_WANT_INPUT);
    feed(f, &f->server, "\t", 1);
    expect_refusal(f, P2P_EPROTO, "HTTP/1.1 400 Bad Request\r\n");
    feed(f, &f->client, "HTTP/1.0", 8);
    assert_int_equal(step(f, &f->client), P2P_EPROTO);
    assert_non_null(f->client.result.error);
    assert_int_equal(step(f, &f->client), P2P_EPROTO);
}

static void test_W01_missing_key_and_wrong_version(void **state)
{
    struct fixture *f = *state;
    static const char no_key[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n";
    feed(f, &f->server, no_key, strlen(no_key));
    expect_refusal(f, P2P_EPROTO, "HTTP/1.1 400 Bad Request\r\n");
    static const char version_8[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                                    "Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
                                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    end_start(f, &f->server);
    feed(f, &f->server, version_8, strlen(version_8));
    expect_refusal(f, P2P_ENOPROTO,
                   "HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade, close\r\n"
                   "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
}

static void test_client_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char forbidden[] = "HTTP/1.1 403 Forbidden\r\n\r\n";
    assert_int_equal(step(f, &f->client), STEP_WANT_INPUT);
    feed(f, &f->client, forbidden, strlen(forbidden));
    assert_int_equal(step(f, &f->client), P2P_ENOPROTO);
    assert_non_null(f->client.result.error);
    assert_int_equal(step(f, &f->client), P2P_ENOPROTO);
}

static void test_X07_no_memory(void **state)
{
    struct fixture *f = *state;
    f->pool.max_bytes = 1;
    assert_int_equal(step(f, &f->client), P2P_ENOMEM);
    f->pool.max_bytes = 0;
    assert_int_equal(step(f, &f->client), P2P_ENOMEM); /* half a request may have left */
    feed(f, &f->server, example_request, strlen(example_request));
    f->pool.max_bytes = 1;
    assert_int_equal(step(f, &f->server), P2P_ENOMEM);
    f->pool.max_bytes = 0;
    end_start(f, &f->server);
    feed(f, &f->server, "POST", 4);
    f->pool.max_bytes = 1;
    assert_int_equal(step(f, &f->server), P2P_ENOMEM);
    f->pool.max_bytes = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        TEST(test_server_answers_the_example_of_RFC_6455),
        TEST(test_server_step_by_byte),
        TEST(test_client_asks),
        TEST(test_client_accepts_the_example_of_RFC_6455),
        TEST(test_randomness),
        TEST(test_host_names),
        TEST(test_handshake_and_data),
        TEST(test_fini_wipes),
        TEST(test_W01_headers_up_to_8_KiB),
        TEST(test_W01_endless_headers),
        TEST(test_W01_1_MiB_of_headers_for_a_client),
        TEST(test_W01_no_http),
        TEST(test_W01_missing_key_and_wrong_version),
        TEST(test_client_is_refused),
        TEST(test_X07_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

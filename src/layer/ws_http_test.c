#include "tests/test.h"

#include <string.h>

#include <p2p/error.h>

#include "layer/ws.h"

#define KEY      "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT   "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define LINE     "GET / HTTP/1.1\r\n"
#define HOST     "Host: a\r\n"
#define ASK      "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define WITH_KEY "Sec-WebSocket-Key: " KEY "\r\n"
#define V13      "Sec-WebSocket-Version: 13\r\n"

static int request_status(const char *head)
{
    const char *key = NULL, *error = NULL;
    int status = p2p__ws_request_check((const uint8_t *)head, strlen(head), &key, &error);
    if (status == 101) {
        assert_memory_equal(key, KEY, WS_KEY_TEXT_LEN);
        assert_null(error);
    } else {
        assert_non_null(error);
    }
    return status;
}

static void test_requests_taken(void **state)
{
    (void)state;
    static const char *const taken[] = {
        LINE HOST ASK WITH_KEY V13 "\r\n",
        "GET http://a/b?c HTTP/1.1\r\n" HOST ASK WITH_KEY V13 "\r\n",
        LINE "HOST:a:80\r\nupgrade:WebSocket\r\nCONNECTION:keep-alive , UPGRADE\r\n" WITH_KEY V13
             "\r\n",
        LINE HOST
        "Upgrade: h2c, websocket\r\nConnection: a\r\nConnection:\tupgrade \t\r\n" WITH_KEY V13
        "\r\n",
        LINE HOST ASK "Upgrade: h2c\r\nConnection: close\r\n" WITH_KEY V13 "\r\n",
        LINE "Host:\r\n" ASK WITH_KEY V13 "\r\n",
        LINE HOST ASK WITH_KEY V13 "Content-Length: 0\r\n\r\n",
        LINE HOST ASK WITH_KEY V13 "Cookie: a=b\xff\tc\r\nX-Empty:\r\n!#$%&'*+-.^_`|~: x\r\n\r\n",
        LINE HOST ASK WITH_KEY V13
        "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: x\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        assert_int_equal(request_status(taken[i]), 101);
}

static void test_W01_requests_that_are_malformed(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "GET / HTTP/1.0\r\n" HOST ASK WITH_KEY V13 "\r\n",
        "GET / HTTP/1.1 \r\n" HOST ASK WITH_KEY V13 "\r\n",
        "GET  HTTP/1.1\r\n" HOST ASK WITH_KEY V13 "\r\n",
        "GET /a b HTTP/1.1\r\n" HOST ASK WITH_KEY V13 "\r\n",
        "GET /\x80 HTTP/1.1\r\n" HOST ASK WITH_KEY V13 "\r\n",
        "PUT / HTTP/1.1\r\n" HOST ASK WITH_KEY V13 "\r\n",
        "get / HTTP/1.1\r\n" HOST ASK WITH_KEY V13 "\r\n",
        "GET /\r\n" HOST ASK WITH_KEY V13 "\r\n",
        "GET\r\n\r\n",
        "\r\n\r\n",
        LINE "\r\n",
        LINE ASK WITH_KEY V13 "\r\n",
        LINE HOST HOST ASK WITH_KEY V13 "\r\n",
        LINE HOST ASK WITH_KEY V13 "Transfer-Encoding: chunked\r\n\r\n",
        LINE HOST ASK WITH_KEY V13 "Content-Length: 1\r\n\r\n",
        LINE HOST ASK WITH_KEY V13 "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
        LINE HOST ASK WITH_KEY V13 V13 "\r\n",
        LINE HOST ASK WITH_KEY V13 WITH_KEY "\r\n",
        LINE HOST ASK V13 "\r\n",
        LINE HOST ASK V13 "Sec-WebSocket-Key:\r\n\r\n",
        LINE HOST ASK V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n\r\n",
        LINE HOST ASK V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZXh4\r\n\r\n",
        LINE HOST ASK V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ***\r\n\r\n",
        LINE HOST ASK WITH_KEY V13 "no colon\r\n\r\n",
        LINE HOST ASK WITH_KEY V13 ": no name\r\n\r\n",
        LINE HOST ASK WITH_KEY V13 "Space : x\r\n\r\n",
        LINE HOST ASK WITH_KEY V13 "X: a\r\n folded\r\n\r\n",
        LINE HOST ASK WITH_KEY V13 "X: a\nY: b\r\n\r\n",
        LINE HOST ASK WITH_KEY V13 "X: a\rb\r\n\r\n",
        LINE HOST ASK WITH_KEY V13 "X: a\x7f\r\n\r\n",
        LINE HOST ASK WITH_KEY V13 "X: a\x01\r\n\r\n",
        LINE HOST ASK WITH_KEY V13 "X(: a\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        assert_int_equal(request_status(malformed[i]), 400);
    static const char nul[] = LINE HOST ASK WITH_KEY V13 "X: a\0b\r\n\r\n";
    static const char nul_name[] = LINE HOST ASK WITH_KEY V13 "X\0: a\r\n\r\n";
    const char *key, *error;
    assert_int_equal(p2p__ws_request_check((const uint8_t *)nul, sizeof nul - 1, &key, &error),
                     400);
    assert_int_equal(
        p2p__ws_request_check((const uint8_t *)nul_name, sizeof nul_name - 1, &key, &error), 400);
}

static void test_W01_requests_for_something_else(void **state)
{
    (void)state;
    static const char *const other[] = {
        LINE HOST "\r\n",
        LINE HOST "Connection: Upgrade\r\n" WITH_KEY V13 "\r\n",
        LINE HOST "Upgrade: websocket\r\n" WITH_KEY V13 "\r\n",
        LINE HOST "Upgrade: websockets\r\nConnection: Upgrade\r\n" WITH_KEY V13 "\r\n",
        LINE HOST "Upgrade: web, socket\r\nConnection: Upgrade\r\n" WITH_KEY V13 "\r\n",
        LINE HOST "Upgrade: websocket\r\nConnection: no-upgrade\r\n" WITH_KEY V13 "\r\n",
        LINE HOST "Sec-WebSocket-Protocol: websocket\r\nConnection: Upgrade\r\n" WITH_KEY V13
                  "\r\n",
        LINE HOST "Upgrade: websocket, upgrade\r\n" WITH_KEY V13 "\r\n",
        LINE HOST ASK WITH_KEY "\r\n",
        LINE HOST ASK WITH_KEY "Sec-WebSocket-Version: 12\r\n\r\n",
        LINE HOST ASK WITH_KEY "Sec-WebSocket-Version: 130\r\n\r\n",
        LINE HOST ASK WITH_KEY "Sec-WebSocket-Version: 13, 8\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        assert_int_equal(request_status(other[i]), 426);
}

#define SWITCH "HTTP/1.1 101 Switching Protocols\r\n"
#define PROOF  "Sec-WebSocket-Accept: " ACCEPT "\r\n"

static int response_code(const char *head)
{
    const char *error = NULL;
    int code = p2p__ws_response_check((const uint8_t *)head, strlen(head), ACCEPT, &error);
    assert_int_equal(error != NULL, code < 0);
    return code;
}

static void test_responses(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        int code;
    } cases[] = {
        {SWITCH ASK PROOF "\r\n", 0},
        {"HTTP/1.1 101\r\n" ASK PROOF "\r\n", 0},
        {"HTTP/1.1 101 \r\n" ASK PROOF "Server: x\r\n\r\n", 0},
        {SWITCH "upgrade:WEBSOCKET\r\nconnection:upgrade, x\r\n" PROOF "\r\n", 0},
        {"HTTP/1.1 200 OK\r\n" ASK PROOF "\r\n", P2P_ENOPROTO},
        {"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", P2P_ENOPROTO},
        {"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 14\r\n\r\n", P2P_ENOPROTO},
        {"HTTP/1.1 1010 x\r\n" ASK PROOF "\r\n", P2P_EPROTO},
        {"HTTP/1.1 10 x\r\n" ASK PROOF "\r\n", P2P_EPROTO},
        {"HTTP/1.1 1a1 x\r\n" ASK PROOF "\r\n", P2P_EPROTO},
        {"HTTP/1.1  101 x\r\n" ASK PROOF "\r\n", P2P_EPROTO},
        {"HTTP/1.0 101 x\r\n" ASK PROOF "\r\n", P2P_EPROTO},
        {"HTTP/1.1 101 x\x01\r\n" ASK PROOF "\r\n", P2P_EPROTO},
        {SWITCH ASK "\r\n", P2P_EPROTO},
        {SWITCH ASK PROOF PROOF "\r\n", P2P_EPROTO},
        {SWITCH ASK "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n\r\n", P2P_EPROTO},
        {SWITCH ASK "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", P2P_EPROTO},
        {SWITCH ASK "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo\r\n\r\n", P2P_EPROTO},
        {SWITCH ASK "Sec-WebSocket-Accept: " ACCEPT "=\r\n\r\n", P2P_EPROTO},
        {SWITCH "Connection: Upgrade\r\n" PROOF "\r\n", P2P_EPROTO},
        {SWITCH "Upgrade: websocket\r\n" PROOF "\r\n", P2P_EPROTO},
        {SWITCH ASK PROOF "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", P2P_EPROTO},
        {SWITCH ASK PROOF "Sec-WebSocket-Protocol: chat\r\n\r\n", P2P_EPROTO},
        {SWITCH ASK PROOF "bad\r\n\r\n", P2P_EPROTO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(response_code(cases[i].head), cases[i].code);
}

static void test_accept_of_RFC_6455(void **state)
{
    (void)state;
    char accept[WS_ACCEPT_TEXT_LEN + 1];
    assert_int_equal(p2p__ws_accept(KEY, accept), 0);
    assert_string_equal(accept, ACCEPT);
}

static void test_head_len(void **state)
{
    (void)state;
    static const uint8_t head[] = "GET x\r\n\n\r\r\n\r\nrest\r\n\r\n";
    size_t scanned = 0;
    for (size_t len = 0; len < 13; len++)
        assert_int_equal(p2p__ws_head_len(head, len, "GET ", &scanned), STEP_WANT_INPUT);
    assert_int_equal(p2p__ws_head_len(head, 13, "GET ", &scanned), 13);
    scanned = 0;
    assert_int_equal(p2p__ws_head_len(head, sizeof head, "GET ", &scanned), 13);
    scanned = 0;
    assert_int_equal(p2p__ws_head_len(NULL, 0, "GET ", &scanned), STEP_WANT_INPUT);
    assert_int_equal(p2p__ws_head_len(head, 3, "GEt ", &scanned), P2P_EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_taken),
        cmocka_unit_test(test_W01_requests_that_are_malformed),
        cmocka_unit_test(test_W01_requests_for_something_else),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_accept_of_RFC_6455),
        cmocka_unit_test(test_head_len),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The rows W of the catalogue of attacks against a whole host, and what else may come to a port
 * that serves plain libp2p and WebSocket at once. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/scene.h"

enum {
    DEADLINE_MS = 10000,
    SLACK_MS = 500,
    HEAD_MAX = 8192,
};

#define KEY    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define ASK    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define V13    "Sec-WebSocket-Version: 13\r\n"
#define HOST   "Host: node.example\r\n"

static const char request[] = "GET / HTTP/1.1\r\n" HOST ASK KEY V13 "\r\n";

/* A victim whose one port serves both. */
static void web_scene(struct scene *s, enum world_kind kind, bool cheap)
{
    char text[256];
    p2p_multiaddr addr;
    scene_init(s, kind, NULL, cheap);
    snprintf(text, sizeof(text), "%.*s/ws", (int)(strstr(s->addr, "/p2p/") - s->addr), s->addr);
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    assert_int_equal(p2p_host_listen(s->victim, &addr, NULL), 0);
    scene_measure(s);
}

static bool has_answer(void *user)
{
    const struct raw_peer *peer = user;
    return peer->got_len >= 12 || peer->gone;
}

static int status_of(const struct raw_peer *peer)
{
    return peer->got_len >= 12 && memcmp(peer->got, "HTTP/1.1 ", 9) == 0
               ? atoi((const char *)peer->got + 9)
               : 0;
}

static struct raw_peer *ask(struct scene *s, const void *bytes, size_t len)
{
    struct raw_peer *peer = raw_dial(&s->net, s->victim);
    raw_send(peer, bytes, len);
    assert_true(scene_until(s, has_answer, peer, 2000));
    return peer;
}

static bool contains(const struct raw_peer *peer, const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i + len <= peer->got_len; i++)
        if (memcmp(peer->got + i, text, len) == 0)
            return true;
    return false;
}

/* ---- the request ---- */

static const struct {
    const char *name, *bytes;
    int status; /* 101: taken */
} requests[] = {
    {"as browsers ask",
     "GET / HTTP/1.1\r\n" HOST
     "Connection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n"
     "User-Agent: Mozilla/5.0\r\nUpgrade: websocket\r\nOrigin: https://evil.example\r\n" V13
     "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\n" KEY
     "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
     101},
    {"names in any case",
     "GET / HTTP/1.1\r\nhOST:x\r\nuPGRADE:WebSocket\r\nCONNECTION:uPgRaDe\r\n"
     "sec-websocket-key:dGhlIHNhbXBsZSBub25jZQ==\r\nSEC-WEBSOCKET-VERSION:13\r\n\r\n",
     101},
    {"a list of connection options",
     "GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: keep-alive , Upgrade\r\n" KEY V13
     "\r\n",
     101},
    {"several lines of connection options",
     "GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: keep-alive\r\n"
     "Connection: ,Upgrade,\r\n" KEY V13 "\r\n",
     101},
    {"several upgrades",
     "GET / HTTP/1.1\r\n" HOST "Upgrade: h2c, websocket\r\nConnection: Upgrade\r\n" KEY V13 "\r\n",
     101},
    {"absolute form", "GET http://node.example/ HTTP/1.1\r\n" HOST ASK KEY V13 "\r\n", 101},
    {"a path and a query", "GET /a/b?c=d%20e HTTP/1.1\r\n" HOST ASK KEY V13 "\r\n", 101},
    {"blanks around a value", "GET / HTTP/1.1\r\nHost: \t x \t\r\n" ASK KEY V13 "\r\n", 101},
    {"another header twice", "GET / HTTP/1.1\r\n" HOST "X: 1\r\nX: 2\r\n" ASK KEY V13 "\r\n", 101},
    {"an empty body", "GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" ASK KEY V13 "\r\n", 101},

    {"no key", "GET / HTTP/1.1\r\n" HOST ASK V13 "\r\n", 400},
    {"an empty key", "GET / HTTP/1.1\r\n" HOST ASK "Sec-WebSocket-Key:\r\n" V13 "\r\n", 400},
    {"a key of 15 bytes",
     "GET / HTTP/1.1\r\n" HOST ASK "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n" V13 "\r\n", 400},
    {"a key that is no base64",
     "GET / HTTP/1.1\r\n" HOST ASK "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n" V13 "\r\n",
     400},
    {"two keys", "GET / HTTP/1.1\r\n" HOST ASK KEY KEY V13 "\r\n", 400},
    {"no version", "GET / HTTP/1.1\r\n" HOST ASK KEY "\r\n", 426},
    {"version 8", "GET / HTTP/1.1\r\n" HOST ASK KEY "Sec-WebSocket-Version: 8\r\n\r\n", 426},
    {"version 130", "GET / HTTP/1.1\r\n" HOST ASK KEY "Sec-WebSocket-Version: 130\r\n\r\n", 426},
    {"two versions", "GET / HTTP/1.1\r\n" HOST ASK KEY V13 V13 "\r\n", 400},
    {"no upgrade", "GET / HTTP/1.1\r\n" HOST KEY V13 "\r\n", 426},
    {"another upgrade",
     "GET / HTTP/1.1\r\n" HOST "Upgrade: websocketx\r\nConnection: Upgrade\r\n" KEY V13 "\r\n",
     426},
    {"no connection option",
     "GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: close\r\n" KEY V13 "\r\n", 426},
    {"no host", "GET / HTTP/1.1\r\n" ASK KEY V13 "\r\n", 400},
    {"two hosts", "GET / HTTP/1.1\r\n" HOST HOST ASK KEY V13 "\r\n", 400},
    {"HTTP/1.0", "GET / HTTP/1.0\r\n" HOST ASK KEY V13 "\r\n", 400},
    {"HTTP/2.0", "GET / HTTP/2.0\r\n" HOST ASK KEY V13 "\r\n", 400},
    {"no version of HTTP", "GET /\r\n" HOST ASK KEY V13 "\r\n", 400},
    {"no path", "GET  HTTP/1.1\r\n" HOST ASK KEY V13 "\r\n", 400},
    {"a method in small letters", "Get / HTTP/1.1\r\n" HOST ASK KEY V13 "\r\n", 400},
    {"another method", "GETS / HTTP/1.1\r\n" HOST ASK KEY V13 "\r\n", 400},
    {"a line that is folded", "GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n" ASK KEY V13 "\r\n", 400},
    {"a name with a blank", "GET / HTTP/1.1\r\n" HOST "X : a\r\n" ASK KEY V13 "\r\n", 400},
    {"a line without a name", "GET / HTTP/1.1\r\n" HOST ": a\r\n" ASK KEY V13 "\r\n", 400},
    {"a line without a colon", "GET / HTTP/1.1\r\n" HOST "X\r\n" ASK KEY V13 "\r\n", 400},
    {"a bare line feed", "GET / HTTP/1.1\r\n" HOST "X: a\nY: b\r\n" ASK KEY V13 "\r\n", 400},
    {"a bare carriage return", "GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n" ASK KEY V13 "\r\n", 400},
    {"an escape", "GET / HTTP/1.1\r\n" HOST "X: \x1b[2J\r\n" ASK KEY V13 "\r\n", 400},
    {"a body", "GET / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" ASK KEY V13 "\r\nhello", 400},
    {"a chunked body",
     "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" ASK KEY V13 "\r\n0\r\n\r\n", 400},
    {"something else that begins with G", "GARBAGE\r\n\r\n", 400},
};

static void test_W01_requests(void **state)
{
    struct scene s;
    web_scene(&s, kind_of(state), false);
    for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
        struct raw_peer *peer = ask(&s, requests[i].bytes, strlen(requests[i].bytes));
        if (status_of(peer) != requests[i].status)
            fail_msg("%s: %d", requests[i].name, status_of(peer));
        if (requests[i].status == 101)
            assert_true(contains(peer, ACCEPT));
        else if (!scene_until(&s, raw_is_gone, peer, 2000))
            fail_msg("%s: still connected", requests[i].name);
        raw_free(peer);
    }
    assert_int_equal(s.connected, 0);
    scene_fini(&s);
}

/* A NUL cannot be in a string above. */
static void test_W01_a_nul_in_a_header(void **state)
{
    struct scene s;
    char bytes[sizeof(request)];
    web_scene(&s, kind_of(state), false);
    memcpy(bytes, request, sizeof(request));
    *strstr(bytes, "node.example") = '\0';
    struct raw_peer *peer = ask(&s, bytes, sizeof(bytes) - 1);
    assert_int_equal(status_of(peer), 400);
    scene_fini(&s);
}

/* A head of exactly so many bytes. */
static size_t head_of(size_t len, char *out)
{
    size_t without = sizeof("GET / HTTP/1.1\r\n" HOST ASK KEY V13 "X: \r\n\r\n") - 1;
    assert_true(len >= without);
    int n = sprintf(out, "GET / HTTP/1.1\r\n" HOST ASK KEY V13 "X: ");
    memset(out + n, 'x', len - without);
    strcpy(out + (size_t)n + len - without, "\r\n\r\n");
    return len;
}

static void test_W01_headers_on_both_sides_of_the_limit(void **state)
{
    struct scene s;
    static char bytes[HEAD_MAX + 2];
    web_scene(&s, kind_of(state), false);
    struct raw_peer *peer = ask(&s, bytes, head_of(HEAD_MAX, bytes));
    assert_int_equal(status_of(peer), 101);
    raw_free(peer);
    peer = ask(&s, bytes, head_of(HEAD_MAX + 1, bytes));
    assert_int_equal(status_of(peer), 400);
    assert_true(scene_until(&s, raw_is_gone, peer, 2000));
    scene_fini(&s);
}

static void test_W01_a_mebibyte_of_headers(void **state)
{
    struct scene s;
    web_scene(&s, kind_of(state), false);
    char *bytes = malloc(1 << 20);
    memset(bytes, 'x', 1 << 20);
    memcpy(bytes, "GET / HTTP/1.1\r\nX: ", 19);
    for (int lines = 0; lines < 2; lines++) { /* one line, and many */
        for (size_t i = 19; lines && i + 8 < 1 << 20; i += 8)
            memcpy(bytes + i, "\r\nab: c ", 8);
        struct raw_peer *peer = raw_dial(&s.net, s.victim);
        raw_send(peer, bytes, 1 << 20);
        assert_true(scene_until(&s, raw_is_gone, peer, 5000));
        if (peer->got_len) /* a reset may have overtaken it */
            assert_int_equal(status_of(peer), 400);
        raw_free(peer);
    }
    free(bytes);
    assert_true(s.pool_peak <= s.before.pool + (256 << 10));
    scene_fini(&s);
}

/* ---- slowly ---- */

/* bytes: sent at once; then the rest of the request, one a second, or nothing. */
static void slow_case(struct scene *s, size_t at_once, bool drip)
{
    struct raw_peer *peer = raw_dial(&s->net, s->victim);
    uint64_t start_ms = scene_now_ms(s);
    raw_send(peer, request, at_once);
    for (size_t i = 0; i < 9; i++) {
        scene_run(s, 1000);
        assert_false(peer->gone);
        if (drip)
            raw_send(peer, request + at_once + i, 1);
        assert_true(scene_load(s).pool <= s->before.pool + (64 << 10));
    }
    assert_true(scene_until(s, raw_is_gone, peer, 3000));
    uint64_t took_ms = scene_now_ms(s) - start_ms;
    assert_true(took_ms >= DEADLINE_MS && took_ms <= DEADLINE_MS + SLACK_MS);
    raw_free(peer);
}

static void test_W01_a_byte_a_second(void **state)
{
    struct scene s;
    (void)state;
    web_scene(&s, WORLD_SIM, false);
    slow_case(&s, 0, false);
    slow_case(&s, 0, true);
    slow_case(&s, 1, false);
    slow_case(&s, 30, true);
    slow_case(&s, sizeof(request) - 1, false); /* upgraded, and then nothing */
    scene_fini(&s);
}

/* ---- frames ---- */

#define FRAME(name, bytes, code)                                                                   \
    {                                                                                              \
        name, bytes, sizeof(bytes) - 1, code                                                       \
    }

/* Right behind the upgrade, or once there is a connection. */
static const struct {
    const char *name, *bytes;
    size_t len;
    int code;
} frames[] = {
    FRAME("not masked", "\x82\x01x", 1002),
    FRAME("an empty one that is not masked", "\x82\x00", 1002),
    FRAME("a ping that is not masked", "\x89\x00", 1002),
    FRAME("RSV1", "\xc2\x81\0\0\0\0x", 1002),
    FRAME("RSV2", "\xa2\x81\0\0\0\0x", 1002),
    FRAME("RSV3", "\x92\x81\0\0\0\0x", 1002),
    FRAME("text", "\x81\x81\0\0\0\0x", 1002),
    FRAME("the beginning of a text", "\x01\x81\0\0\0\0x", 1002),
    FRAME("opcode 3", "\x83\x80\0\0\0\0", 1002),
    FRAME("opcode 7", "\x87\x80\0\0\0\0", 1002),
    FRAME("opcode 11", "\x8b\x80\0\0\0\0", 1002),
    FRAME("opcode 15", "\x8f\x80\0\0\0\0", 1002),
    FRAME("2^63 bytes", "\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 1002),
    FRAME("2^64 - 1 bytes", "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1002),
    FRAME("2^63 - 1 bytes", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009),
    FRAME("2^32 bytes", "\x82\xff\0\0\0\1\0\0\0\0\0\0\0\0", 1009),
    FRAME("a length that is longer than need be", "\x82\xfe\0\x7d\0\0\0\0", 1002),
    FRAME("the same in 64 bits", "\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", 1002),
    FRAME("a ping of 126 bytes", "\x89\xfe\0\x7e\0\0\0\0", 1002),
    FRAME("a pong of 2^16 bytes", "\x8a\xff\0\0\0\0\0\1\0\0\0\0\0\0", 1002),
    FRAME("a close of 126 bytes", "\x88\xfe\0\x7e\0\0\0\0", 1002),
    FRAME("a ping in pieces", "\x09\x80\0\0\0\0", 1002),
    FRAME("a close in pieces", "\x08\x80\0\0\0\0", 1002),
    FRAME("a continuation of nothing", "\x80\x80\0\0\0\0", 1002),
    FRAME("a message within a message", "\x02\x80\0\0\0\0\x82\x80\0\0\0\0", 1002),
    FRAME("a close of one byte", "\x88\x81\0\0\0\0\x03", 1002),
    FRAME("a close with code 1005", "\x88\x82\0\0\0\0\x03\xed", 1002),
    FRAME("a close with code 0", "\x88\x82\0\0\0\0\0\0", 1002),
    FRAME("a goodbye", "\x88\x82\0\0\0\0\x03\xe8", 1000),
    FRAME("a goodbye without a code", "\x88\x80\0\0\0\0", 0),
};

static void test_W02_frames(void **state)
{
    struct scene s;
    web_scene(&s, kind_of(state), false);
    for (size_t i = 0; i < sizeof(frames) / sizeof(*frames); i++) {
        struct raw_peer *peer = ask(&s, request, sizeof(request) - 1);
        assert_int_equal(status_of(peer), 101);
        scene_run(&s, s.world.kind == WORLD_SIM ? 200 : 20);
        raw_forget(peer);
        raw_send(peer, frames[i].bytes, frames[i].len);
        if (!scene_until(&s, raw_is_gone, peer, 2000))
            fail_msg("%s: still connected", frames[i].name);
        /* The listener's multistream header may precede it. */
        uint8_t farewell[4] = {0x88, 2, (uint8_t)(frames[i].code >> 8), (uint8_t)frames[i].code};
        size_t len = 4;
        if (frames[i].code == 0) {
            farewell[1] = 0;
            len = 2;
        }
        if (peer->got_len < len || memcmp(peer->got + peer->got_len - len, farewell, len) != 0)
            fail_msg("%s: another farewell", frames[i].name);
        raw_free(peer);
    }
    assert_int_equal(s.connected, 0);
    scene_fini(&s);
}

/* Pings by the thousand, of somebody who reads nothing; frames without data. */
static void flood(struct scene *s, const char *frame, size_t len, size_t times, bool deaf)
{
    struct raw_peer *peer = ask(s, request, sizeof(request) - 1);
    assert_int_equal(status_of(peer), 101);
    peer->deaf = deaf;
    for (size_t i = 0; i < times; i++)
        raw_grow(&peer->batch, &peer->batch_len, &peer->batch_cap, frame, len);
    raw_send(peer, peer->batch, peer->batch_len);
    scene_run(s, 1000);
    assert_true(s->pool_peak <= s->before.pool + (512 << 10));
    raw_free(peer);
}

static void test_W02_floods_of_frames_that_bring_nothing(void **state)
{
    struct scene s;
    web_scene(&s, kind_of(state), false);
    for (int deaf = 0; deaf < 2; deaf++) {
        flood(&s, "\x89\x84\0\0\0\0ping", 10, 20000, deaf);
        flood(&s, "\x8a\x80\0\0\0\0", 6, 20000, deaf);
        flood(&s, "\x82\x80\0\0\0\0", 6, 20000, deaf);
    }
    flood(&s, "\x02\x80\0\0\0\0\x80\x80\0\0\0\0", 12, 20000, false);
    scene_fini(&s);
}

/* Its payload never ends, nor does anything libp2p come in it. */
static void test_W02_a_large_frame_of_garbage(void **state)
{
    struct scene s;
    web_scene(&s, kind_of(state), false);
    struct raw_peer *peer = ask(&s, request, sizeof(request) - 1);
    uint8_t *bytes = calloc(1, 1 << 20);
    memcpy(bytes, "\x82\xff\0\0\0\0\1\0\0\0", 10);
    raw_send(peer, bytes, 1 << 20);
    assert_true(scene_until(&s, raw_is_gone, peer, 3000));
    free(bytes);
    scene_fini(&s);
}

/* ---- in pieces, and all at once ---- */

/* The multistream header, masked, right behind the request: whoever waits for no answer. */
static void test_what_follows_the_request_at_once_is_taken(void **state)
{
    struct scene s;
    uint8_t bytes[sizeof(request) + 64];
    web_scene(&s, kind_of(state), false);
    size_t len = sizeof(request) - 1;
    memcpy(bytes, request, len);
    memcpy(bytes + len, "\x82\x94\0\0\0\0\x13/multistream/1.0.0\n", 6 + 20);
    struct raw_peer *peer = ask(&s, bytes, len + 6 + 20);
    assert_int_equal(status_of(peer), 101);
    scene_run(&s, s.world.kind == WORLD_SIM ? 200 : 50);
    assert_false(peer->gone);
    assert_true(contains(peer, "\x82\x14\x13/multistream/1.0.0\n"));
    raw_free(peer);
    /* The same, the message in frames of one byte with pings between. */
    uint8_t wire[sizeof(request) + 20 * (7 + 6)];
    memcpy(wire, request, len);
    for (size_t i = 0; i < 20; i++) {
        const uint8_t frame[] = {i == 0    ? 0x02
                                 : i == 19 ? 0x80
                                           : 0x00,
                                 0x81,
                                 1,
                                 2,
                                 3,
                                 4,
                                 (uint8_t)("\x13/multistream/1.0.0\n"[i] ^ 1),
                                 0x89,
                                 0x80,
                                 0,
                                 0,
                                 0,
                                 0};
        memcpy(wire + len, frame, sizeof(frame));
        len += sizeof(frame);
    }
    peer = ask(&s, wire, len);
    scene_run(&s, s.world.kind == WORLD_SIM ? 200 : 50);
    assert_false(peer->gone);
    assert_true(contains(peer, "\x82\x14\x13/multistream/1.0.0\n"));
    assert_true(contains(peer, "\x8a\x00"));
    scene_fini(&s);
}

/* ---- what is neither ---- */

static void test_first_bytes_of_something_else(void **state)
{
    static const char *const bytes[] = {"SSH-2.0-OpenSSH_9.2\r\n", "\x16\x03\x01\x02\0\1\0\1\xfc",
                                        "POST / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n",
                                        "\x05\x01"};
    struct scene s;
    web_scene(&s, kind_of(state), false);
    for (size_t i = 0; i < sizeof(bytes) / sizeof(*bytes); i++) {
        struct raw_peer *peer = raw_dial(&s.net, s.victim);
        raw_send(peer, bytes[i], strlen(bytes[i]) + 1);
        scene_run(&s, s.world.kind == WORLD_SIM ? 300 : 100);
        raw_send(peer, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
        if (!scene_until(&s, raw_is_gone, peer, 2000))
            fail_msg("case %zu: still connected", i);
        raw_free(peer);
    }
    assert_int_equal(s.connected, 0);
    scene_fini(&s);
}

int main(void)
{
    scene_count_memory();
    const struct CMUnitTest tests[] = {
        BOTH(test_W01_requests),
        BOTH(test_W01_a_nul_in_a_header),
        BOTH(test_W01_headers_on_both_sides_of_the_limit),
        BOTH(test_W01_a_mebibyte_of_headers),
        cmocka_unit_test(test_W01_a_byte_a_second),
        BOTH(test_W02_frames),
        BOTH(test_W02_floods_of_frames_that_bring_nothing),
        BOTH(test_W02_a_large_frame_of_garbage),
        BOTH(test_what_follows_the_request_at_once_is_taken),
        BOTH(test_first_bytes_of_something_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/sync.h"

#include <stdbool.h>
#include <stdlib.h>

#include <p2p/mem.h>

#include "io/gate.h"
#include "sync/ring.h"

enum {
    SHORT_MS = 60,
    ECHO_LEN = 64 * 1024 * 1024,
    ECHO_PIECE = 50000,  /* no divisor of the ring */
    MIXED_LEN = 6 << 20, /* more than rings, queues and windows take at once */
};

static void pause_ms(uint32_t ms)
{
    struct gate gate;
    assert_true(p2p__gate_init(&gate));
    uint64_t until = p2p__gate_deadline(ms);
    gate_lock(&gate);
    while (p2p__gate_wait(&gate, until))
        ;
    gate_unlock(&gate);
    p2p__gate_fini(&gate);
}

static uint64_t now_ms(void)
{
    return p2p__gate_deadline(0) / 1000000;
}

/* ---- hosts ---- */

static void test_open_and_options(void **state)
{
    (void)state;
    p2p_h host = p2p_open("# a comment\n\n  agent=me/1 \nlisten=/ip4/127.0.0.1/tcp/0\r\n"
                          "listen=/ip4/127.0.0.1/tcp/0");
    char text[256], peer[P2P_PEER_ID_TEXT_MAX];
    assert_true(host);
    int len = p2p_addr(host, 0, text, sizeof(text));
    assert_int_equal(len, strlen(text));
    assert_true(p2p_addr(host, 1, text, sizeof(text)) > 0);
    assert_int_equal(p2p_addr(host, 2, text, sizeof(text)), P2P_ENOENT);
    assert_int_equal(p2p_errno(), P2P_ENOENT);
    assert_int_equal(p2p_addr(host, 0, text, (size_t)len), P2P_ETOOBIG);
    assert_int_equal(p2p_addr(host, 0, text, (size_t)len + 1), len);
    len = p2p_peer_of(host, peer, sizeof(peer));
    assert_string_equal(text + strlen(text) - (size_t)len, peer);
    assert_int_equal(p2p_peer_of(host, peer, (size_t)len), P2P_ETOOBIG);
    assert_int_equal(p2p_protocol_of(host, peer, sizeof(peer)), P2P_EBADH);
    assert_int_equal(p2p_close(host), 0);
    assert_int_equal(p2p_errno(), 0);
}

static void test_open_says_what_is_wrong(void **state)
{
    (void)state;
    assert_int_equal(p2p_open("nonsense=1\n"), 0);
    assert_int_equal(p2p_errno(), P2P_ENOENT);
    assert_string_equal(p2p_errmsg(), "there is no option \"nonsense\"");
    assert_int_equal(p2p_open("no equals sign"), 0);
    assert_int_equal(p2p_errno(), P2P_EINVAL);
    assert_int_equal(p2p_open("services=nothing"), 0);
    assert_int_equal(p2p_errno(), P2P_ENOENT);
    assert_int_equal(p2p_open("listen=/ip4/127.0.0.1/tcp/0\nlisten=/ip4/192.0.2.1/tcp/1"), 0);
    assert_int_equal(p2p_errno(), P2P_ELISTEN);
    assert_non_null(strstr(p2p_errmsg(), "192.0.2.1"));
}

static void test_stale_handles(void **state)
{
    (void)state;
    struct two two;
    p2p_h near, far;
    char text[8];
    two_open(&two, 0);
    two_connect(&two, &near, &far);
    assert_int_equal(p2p_close(near), 0);
    const p2p_h stale[] = {0, 1, near, UINT64_MAX, near + 1, (p2p_h)1 << 63};
    for (size_t i = 0; i < sizeof(stale) / sizeof(*stale); i++) {
        assert_int_equal(p2p_close(stale[i]), P2P_EBADH);
        assert_int_equal(p2p_read(stale[i], text, 8, -1), P2P_EBADH);
        assert_int_equal(p2p_write(stale[i], text, 8, -1), P2P_EBADH);
        assert_int_equal(p2p_read_msg(stale[i], text, 8, -1), P2P_EBADH);
        assert_int_equal(p2p_write_msg(stale[i], text, 8, -1), P2P_EBADH);
        assert_int_equal(p2p_shutdown(stale[i]), P2P_EBADH);
        assert_int_equal(p2p_reset(stale[i], 0), P2P_EBADH);
        assert_int_equal(p2p_stream_fd(stale[i]), P2P_EBADH);
        assert_int_equal(p2p_event_fd(stale[i]), P2P_EBADH);
        assert_int_equal(p2p_next_event(stale[i], text, 8, -1), P2P_EBADH);
        assert_int_equal(p2p_addr(stale[i], 0, text, 8), P2P_EBADH);
        assert_int_equal(p2p_peer_of(stale[i], text, 8), P2P_EBADH);
        assert_int_equal(p2p_dial(stale[i], two.addr, PROTOCOL, 0), 0);
        assert_int_equal(p2p_errno(), P2P_EBADH);
        assert_int_equal(p2p_listen(stale[i], PROTOCOL, 0), 0);
        assert_int_equal(p2p_accept(stale[i], -1), 0);
        assert_int_equal(p2p_errno(), P2P_EBADH);
        assert_null(p2p_host_of(stale[i]));
    }
    /* Nor is one kind another. */
    assert_int_equal(p2p_read(two.server, text, 8, -1), P2P_EBADH);
    assert_int_equal(p2p_accept(far, -1), 0);
    assert_int_equal(p2p_errno(), P2P_EBADH);
    two_close(&two);
    /* A host takes with it what belongs to it. */
    assert_int_equal(p2p_close(far), P2P_EBADH);
    assert_int_equal(p2p_close(two.listener), P2P_EBADH);
}

static void on_loop(p2p_host *host, int code, void *user)
{
    struct two *two = user;
    char text[P2P_EVENT_MAX];
    (void)host;
    assert_int_equal(code, 0);
    assert_int_equal(p2p_accept(two->listener, 10), 0);
    assert_int_equal(p2p_errno(), P2P_EDEADLK);
    assert_int_equal(p2p_dial(two->server, two->addr, PROTOCOL, 10), 0);
    assert_int_equal(p2p_errno(), P2P_EDEADLK);
    assert_int_equal(p2p_next_event(two->server, text, sizeof(text), -1), P2P_EDEADLK);
    assert_int_equal(p2p_close(two->server), P2P_EDEADLK);
    /* What waits for nobody is legal. */
    assert_int_equal(p2p_accept(two->listener, P2P_NO_WAIT), 0);
    assert_int_equal(p2p_errno(), P2P_EAGAIN);
    assert_true(p2p_addr(two->server, 0, text, sizeof(text)) > 0);
    p2p_h other = p2p_listen(two->server, "/test/2", 0);
    assert_true(other);
    assert_int_equal(p2p_close(other), 0);
    assert_int_equal(p2p_close(two->listener), 0); /* tells the test */
}

static void on_loop_stream(p2p_host *host, int code, void *user)
{
    char byte;
    p2p_h *stream = user;
    (void)host;
    assert_int_equal(code, 0);
    assert_int_equal(p2p_read(*stream, &byte, 1, -1), P2P_EDEADLK);
    assert_int_equal(p2p_read_msg(*stream, &byte, 1, 0), P2P_EDEADLK);
    assert_int_equal(p2p_write(*stream, "x", 1, 10), P2P_EDEADLK);
    assert_int_equal(p2p_read(*stream, &byte, 1, P2P_NO_WAIT), P2P_EAGAIN);
    assert_int_equal(p2p_write(*stream, "ok", 2, P2P_NO_WAIT), 2);
}

static void test_deadlock_is_an_error(void **state)
{
    (void)state;
    struct two two;
    p2p_h near, far;
    two_open(&two, 0);
    two_connect(&two, &near, &far);
    assert_int_equal(p2p_host_post(p2p_host_of(two.server), on_loop_stream, &far), 0);
    expect(near, "ok");
    assert_int_equal(p2p_host_post(p2p_host_of(two.server), on_loop, &two), 0);
    assert_int_equal(p2p_accept(two.listener, LONG_MS), 0);
    assert_true(p2p_errno() == P2P_ECLOSED || p2p_errno() == P2P_EBADH);
    two_close(&two);
}

/* ---- streams ---- */

static void test_both_ways_and_half_closing(void **state)
{
    (void)state;
    struct two two;
    p2p_h near, far;
    char peer[P2P_PEER_ID_TEXT_MAX], text[P2P_PEER_ID_TEXT_MAX];
    two_open(&two, 0);
    two_connect(&two, &near, &far);
    assert_true(p2p_peer_of(near, peer, sizeof(peer)) > 0);
    assert_true(p2p_peer_of(two.server, text, sizeof(text)) > 0);
    assert_string_equal(peer, text);
    assert_int_equal(p2p_protocol_of(far, text, sizeof(text)), strlen(PROTOCOL));
    assert_int_equal(p2p_protocol_of(two.listener, text, sizeof(text)), strlen(PROTOCOL));
    put(near, "question");
    expect(far, "question");
    assert_int_equal(p2p_shutdown(near), 0);
    assert_int_equal(p2p_write(near, "x", 1, -1), P2P_ECLOSED);
    expect_end(far);
    put(far, "answer");
    assert_int_equal(p2p_close(far), 0);
    expect(near, "answer");
    expect_end(near);
    expect_end(near);
    assert_int_equal(p2p_read(near, text, 0, -1), P2P_EINVAL);
    assert_int_equal(p2p_close(near), 0);
    two_close(&two);
}

static void test_timeouts_are_absolute(void **state)
{
    (void)state;
    struct two two;
    p2p_h near, far;
    static char bulk[1 << 20];
    char msg[16];
    two_open(&two, 0);
    uint64_t begin = now_ms();
    assert_int_equal(p2p_accept(two.listener, SHORT_MS), 0);
    assert_int_equal(p2p_errno(), P2P_ETIMEDOUT);
    assert_true(now_ms() - begin >= SHORT_MS);
    two_connect(&two, &near, &far);
    begin = now_ms();
    assert_int_equal(p2p_read(near, msg, 1, SHORT_MS), P2P_ETIMEDOUT);
    assert_true(now_ms() - begin >= SHORT_MS);
    assert_int_equal(p2p_read(near, msg, 1, P2P_NO_WAIT), P2P_EAGAIN);
    /* Part of a message is progress, and no message. */
    put(far, "\x05"
             "abc");
    assert_int_equal(p2p_read_msg(near, msg, sizeof(msg), SHORT_MS), P2P_ETIMEDOUT);
    put(far, "de");
    assert_int_equal(p2p_read_msg(near, msg, sizeof(msg), LONG_MS), 5);
    assert_memory_equal(msg, "abcde", 5);
    /* A remote that does not read takes what the windows and rings hold, then nothing. */
    int64_t took, all = 0;
    do {
        took = p2p_write(near, bulk, sizeof(bulk), SHORT_MS);
        all += took > 0 ? took : 0;
    } while (took > 0 && all < 256 << 20);
    assert_int_equal(took, P2P_ETIMEDOUT);
    assert_true(all < 16 << 20);
    assert_int_equal(p2p_write(near, bulk, 1, P2P_NO_WAIT), P2P_EAGAIN);
    assert_int_equal(p2p_write_msg(near, bulk, 1, P2P_NO_WAIT), P2P_EAGAIN);
    for (int64_t got = 0; got < all;) {
        int64_t n = p2p_read(far, bulk, sizeof(bulk), LONG_MS);
        assert_true(n > 0);
        got += n;
    }
    put(near, "again");
    expect(far, "again");
    two_close(&two);
}

static void test_messages(void **state)
{
    (void)state;
    struct two two;
    p2p_h near, far;
    static uint8_t out[3 << 20], in[3 << 20];
    two_open(&two, 0);
    two_connect(&two, &near, &far);
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 31 + i / 251);
    static const size_t lens[] = {0, 1, 127, 128, 131069, 131070, 131072, 500000, 3 << 20};
    for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
        assert_int_equal(p2p_write_msg(near, out, lens[i], LONG_MS), lens[i]);
        assert_int_equal(p2p_read_msg(far, in, sizeof(in), LONG_MS), lens[i]);
        assert_memory_equal(in, out, lens[i]);
    }
    assert_int_equal(p2p_write_msg(near, out, (16 << 20) + 1, LONG_MS), P2P_ETOOBIG);
    assert_int_equal(p2p_write_msg(near, out, 8, LONG_MS), 8);
    assert_int_equal(p2p_read_msg(far, in, 7, LONG_MS), P2P_ETOOBIG);
    assert_int_equal(p2p_read_msg(far, in, 8, LONG_MS), 8);
    put(near, "\x09"
              "cut");
    p2p_shutdown(near);
    assert_int_equal(p2p_read_msg(far, in, 9, LONG_MS), P2P_ETRUNCATED);
    assert_int_equal(p2p_read(far, in, 9, LONG_MS), 4);
    assert_int_equal(p2p_read_msg(far, in, 9, LONG_MS), P2P_EEOF);
    put(far, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01");
    assert_int_equal(p2p_read_msg(near, in, 9, LONG_MS), P2P_EPROTO);
    two_close(&two);
}

static void test_reset_after_what_came_before(void **state)
{
    (void)state;
    struct two two;
    p2p_h near, far;
    char byte;
    two_open(&two, 0);
    two_connect(&two, &near, &far);
    put(far, "last");
    expect(near, "la");
    assert_int_equal(p2p_reset(far, 7), 0);
    assert_int_equal(p2p_read(far, &byte, 1, -1), P2P_ECANCELED);
    assert_int_equal(p2p_write(far, "x", 1, -1), P2P_ECANCELED);
    expect(near, "st");
    assert_int_equal(p2p_read(near, &byte, 1, LONG_MS), P2P_ERESET);
    assert_string_equal(p2p_errmsg(), "the remote reset the stream");
    assert_int_equal(p2p_write(near, "x", 1, LONG_MS), P2P_ERESET);
    assert_int_equal(p2p_close(near), 0);
    assert_int_equal(p2p_close(far), 0);
    two_close(&two);
}

static void test_dial_says_why(void **state)
{
    (void)state;
    struct two two;
    two_open(&two, 0);
    assert_int_equal(p2p_dial(two.client, "nonsense", PROTOCOL, 0), 0);
    assert_true(p2p_errno() < 0);
    assert_int_equal(p2p_dial(two.client, two.addr, "/not/served", LONG_MS), 0);
    assert_int_equal(p2p_errno(), P2P_ENOPROTO);
    char gone[256];
    memcpy(gone, two.addr, sizeof(gone));
    assert_int_equal(p2p_close(two.server), 0);
    p2p_h other = p2p_open(NULL);
    assert_int_equal(p2p_dial(other, gone, PROTOCOL, LONG_MS), 0);
    assert_int_equal(p2p_errno(), P2P_ECONN);
    assert_non_null(strstr(p2p_errmsg(), "/ip4/127.0.0.1/tcp/"));
    assert_non_null(strstr(p2p_errmsg(), "refused"));
    assert_int_equal(p2p_close(other), 0);
    assert_int_equal(p2p_close(two.client), 0);
}

/* ---- listeners ---- */

static void test_backlog_and_relisten(void **state)
{
    (void)state;
    struct two two;
    char byte;
    two_open(&two, 2);
    assert_int_equal(p2p_listen(two.server, PROTOCOL, 0), 0);
    assert_int_equal(p2p_errno(), P2P_EEXIST);
    p2p_h near[3], far[2];
    for (int i = 0; i < 3; i++) {
        near[i] = p2p_dial(two.client, two.addr, PROTOCOL, LONG_MS);
        assert_true(near[i] || i == 2);
    }
    /* The reset may overtake the agreement. */
    if (near[2])
        assert_int_equal(p2p_read(near[2], &byte, 1, LONG_MS), P2P_ERESET);
    else
        assert_int_equal(p2p_errno(), P2P_ERESET);
    for (int i = 0; i < 2; i++) {
        far[i] = p2p_accept(two.listener, LONG_MS);
        put(far[i], i ? "1" : "0");
    }
    expect(near[0], "0");
    expect(near[1], "1");
    /* One that was reset before anybody accepted it is not there to be accepted. */
    p2p_h lost = p2p_dial(two.client, two.addr, PROTOCOL, LONG_MS);
    p2p_reset(lost, 0);
    p2p_h kept = p2p_dial(two.client, two.addr, PROTOCOL, LONG_MS);
    put(kept, "kept");
    pause_ms(SHORT_MS);
    p2p_h accepted = p2p_accept(two.listener, LONG_MS);
    expect(accepted, "kept");
    assert_int_equal(p2p_accept(two.listener, P2P_NO_WAIT), 0);
    /* Closing refuses what waits, and the protocol is free again. */
    p2p_h waiting = p2p_dial(two.client, two.addr, PROTOCOL, LONG_MS);
    assert_true(waiting);
    assert_int_equal(p2p_close(two.listener), 0);
    assert_int_equal(p2p_read(waiting, &byte, 1, LONG_MS), P2P_ERESET);
    assert_int_equal(p2p_dial(two.client, two.addr, PROTOCOL, LONG_MS), 0);
    assert_int_equal(p2p_errno(), P2P_ENOPROTO);
    two.listener = p2p_listen(two.server, PROTOCOL, 1);
    assert_true(two.listener);
    two_connect(&two, &near[0], &far[0]);
    put(accepted, "still");
    expect(kept, "still");
    two_close(&two);
}

/* ---- waking ---- */

static void *blocked_write(void *arg)
{
    struct blocked *self = arg;
    static char bulk[1 << 20];
    do
        self->result = p2p_write(self->handle, bulk, sizeof(bulk), -1);
    while (self->result == sizeof(bulk));
    self->code = p2p_errno();
    return NULL;
}

static void *blocked_accept(void *arg)
{
    struct blocked *self = arg;
    self->result = (int64_t)p2p_accept(self->handle, -1);
    self->code = p2p_errno();
    return NULL;
}

static void *blocked_dial(void *arg)
{
    struct blocked *self = arg;
    self->result = (int64_t)p2p_dial(self->handle, self->target, PROTOCOL, -1);
    self->code = p2p_errno();
    return NULL;
}

static void *blocked_event(void *arg)
{
    struct blocked *self = arg;
    char json[P2P_EVENT_MAX];
    do
        self->result = p2p_next_event(self->handle, json, sizeof(json), -1);
    while (self->result > 0);
    self->code = p2p_errno();
    return NULL;
}

static void test_close_wakes_the_blocked(void **state)
{
    (void)state;
    struct two two;
    struct blocked read, write, accept, event;
    p2p_h near, far, near2, far2;
    two_open(&two, 0);
    two_connect(&two, &near, &far);
    two_connect(&two, &near2, &far2);
    blocked_start(&read, near, blocked_read);
    blocked_start(&write, near2, blocked_write);
    blocked_start(&accept, two.listener, blocked_accept);
    blocked_start(&event, two.client, blocked_event);
    pause_ms(SHORT_MS);
    assert_int_equal(p2p_close(near), 0);
    blocked_join(&read);
    assert_int_equal(read.code, P2P_ECLOSED);
    assert_int_equal(p2p_close(two.listener), 0);
    blocked_join(&accept);
    assert_int_equal(accept.code, P2P_ECLOSED);
    assert_int_equal(p2p_close(near2), 0);
    blocked_join(&write);
    assert_int_equal(write.code, P2P_ECLOSED);
    two_close(&two);
    blocked_join(&event);
    assert_int_equal(event.code, P2P_ECLOSED);
}

static void test_closing_the_host_wakes_everybody(void **state)
{
    (void)state;
    struct two two;
    struct blocked dial, reads[4], accept;
    p2p_h near, far;
    two_open(&two, 0);
    two_connect(&two, &near, &far);
    p2p_h dialer = p2p_open(NULL);
    /* Nothing answers at TEST-NET-1; where that is unreachable the dial fails by itself. */
    dial.target = "/ip4/192.0.2.1/tcp/9/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    blocked_start(&dial, dialer, blocked_dial);
    for (int i = 0; i < 4; i++)
        blocked_start(&reads[i], far, blocked_read);
    blocked_start(&accept, two.listener, blocked_accept);
    pause_ms(SHORT_MS);
    assert_int_equal(p2p_close(dialer), 0);
    assert_int_equal(p2p_close(two.server), 0);
    blocked_join(&dial);
    assert_int_equal(dial.result, 0);
    assert_true(dial.code == P2P_ECLOSED || dial.code == P2P_ECONN);
    for (int i = 0; i < 4; i++) {
        blocked_join(&reads[i]);
        assert_int_equal(reads[i].code, P2P_ECLOSED);
    }
    blocked_join(&accept);
    assert_int_equal(accept.code, P2P_ECLOSED);
    assert_int_equal(p2p_close(two.client), 0);
}

static void *racing_close(void *arg)
{
    struct blocked *self = arg;
    self->result = p2p_close(self->handle);
    return NULL;
}

static void test_one_of_two_closes_wins(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct blocked first, second, reader;
        struct two two;
        p2p_h near, far;
        two_open(&two, 0);
        two_connect(&two, &near, &far);
        blocked_start(&reader, near, blocked_read);
        blocked_start(&first, round & 1 ? near : two.client, racing_close);
        blocked_start(&second, two.client, racing_close);
        blocked_join(&first);
        blocked_join(&second);
        blocked_join(&reader);
        assert_true(reader.code == P2P_ECLOSED || reader.code == P2P_EBADH);
        if (!(round & 1))
            assert_int_equal(first.result + second.result, P2P_EBADH);
        assert_int_equal(p2p_close(two.server), 0);
    }
}

/* ---- bulk ---- */

static void *echo(void *arg)
{
    struct blocked *self = arg;
    static char bytes[100000];
    int64_t n;
    while ((n = p2p_read(self->handle, bytes, sizeof(bytes), LONG_MS)) > 0)
        if (p2p_write(self->handle, bytes, (size_t)n, LONG_MS) != n)
            break;
    self->result = n;
    p2p_shutdown(self->handle);
    return NULL;
}

static uint8_t byte_at(uint64_t at)
{
    return (uint8_t)(at * 7 + at / 65521);
}

static void *send_all(void *arg)
{
    struct blocked *self = arg;
    static uint8_t piece[ECHO_PIECE];
    for (uint64_t at = 0; at < ECHO_LEN;) {
        size_t n = ECHO_LEN - at < ECHO_PIECE ? (size_t)(ECHO_LEN - at) : ECHO_PIECE;
        for (size_t i = 0; i < n; i++)
            piece[i] = byte_at(at + i);
        self->result = p2p_write(self->handle, piece, n, -1);
        if (self->result != (int64_t)n)
            break;
        at += n;
    }
    p2p_shutdown(self->handle);
    return NULL;
}

static void test_echo_64_MiB(void **state)
{
    (void)state;
    struct two two;
    struct blocked server, sender;
    static uint8_t got[70000];
    p2p_h near, far;
    two_open(&two, 0);
    two_connect(&two, &near, &far);
    blocked_start(&server, far, echo);
    blocked_start(&sender, near, send_all);
    uint64_t at = 0;
    int64_t n;
    while ((n = p2p_read(near, got, sizeof(got), LONG_MS)) > 0)
        for (int64_t i = 0; i < n; i++, at++)
            if (got[i] != byte_at(at))
                fail_msg("byte %llu is another", (unsigned long long)at);
    assert_int_equal(n, 0);
    assert_int_equal(at, ECHO_LEN);
    blocked_join(&sender);
    blocked_join(&server);
    assert_int_equal(server.result, 0);
    two_close(&two);
}

/* Writing, closing and leaving at once loses nothing; nor does a reader who comes later, whose ring
 * holds half of it. */
static void test_close_delivers(void **state)
{
    (void)state;
    struct two two;
    static char out[250000], in[1 << 20];
    p2p_h near, far;
    two_open(&two, 0);
    memset(out, 'x', sizeof(out));
    two_connect(&two, &near, &far);
    assert_int_equal(p2p_write(near, out, sizeof(out), LONG_MS), sizeof(out));
    assert_int_equal(p2p_close(near), 0);
    assert_int_equal(p2p_close(two.client), 0);
    pause_ms(SHORT_MS);
    int64_t n, all = 0;
    while ((n = p2p_read(far, in, sizeof(in), LONG_MS)) > 0)
        all += n;
    assert_int_equal(n, 0);
    assert_int_equal(all, sizeof(out));
    assert_int_equal(p2p_close(two.server), 0);
}

static void *write_block(void *arg)
{
    struct blocked *self = arg;
    static const char *const blocks[] = {"aaaaaaaa", "bbbbbbbb"};
    char *block = malloc(MIXED_LEN);
    memset(block, blocks[self->target != NULL][0], MIXED_LEN);
    self->result = p2p_write(self->handle, block, MIXED_LEN, -1);
    free(block);
    return NULL;
}

static void test_writes_do_not_mix(void **state)
{
    (void)state;
    struct two two;
    struct blocked writers[2] = {{.target = NULL}, {.target = "b"}};
    static char got[2 * MIXED_LEN];
    p2p_h near, far;
    two_open(&two, 0);
    two_connect(&two, &near, &far);
    blocked_start(&writers[0], near, write_block);
    blocked_start(&writers[1], near, write_block);
    pause_ms(SHORT_MS); /* both wait for room by now */
    for (size_t len = 0; len < sizeof(got);) {
        int64_t n = p2p_read(far, got + len, sizeof(got) - len, LONG_MS);
        assert_true(n > 0);
        len += (size_t)n;
    }
    for (size_t i = 0; i < sizeof(got); i++)
        if (got[i] != got[i < MIXED_LEN ? 0 : MIXED_LEN])
            fail_msg("byte %zu is from the other", i);
    assert_int_not_equal(got[0], got[MIXED_LEN]);
    blocked_join(&writers[0]);
    blocked_join(&writers[1]);
    two_close(&two);
}

static void test_ring_gives_back_what_a_message_took(void **state)
{
    (void)state;
    struct ring ring;
    static uint8_t bytes[3 * RING_LEN];
    assert_true(p2p__ring_init(&ring));
    assert_int_equal(ring.cap, 0);
    assert_int_equal(p2p__ring_push(&ring, bytes, sizeof(bytes)), RING_LEN);
    assert_int_equal(p2p__ring_push(&ring, bytes, 1), 0);
    p2p__ring_consume(&ring, RING_LEN);
    assert_int_equal(ring.cap, RING_LEN);
    assert_true(p2p__ring_reserve(&ring, sizeof(bytes)));
    assert_int_equal(p2p__ring_push(&ring, bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(ring.cap, 4 * RING_LEN);
    p2p__ring_consume(&ring, sizeof(bytes) - 1);
    assert_int_equal(ring.cap, 4 * RING_LEN);
    p2p__ring_consume(&ring, 1);
    assert_int_equal(ring.cap, 0);
    p2p__ring_fini(&ring);
}

/* ---- events ---- */

static void next(p2p_h host, const char *begin, char *json)
{
    int64_t len = p2p_next_event(host, json, P2P_EVENT_MAX, LONG_MS);
    assert_int_equal(len, strlen(json));
    if (strncmp(json, begin, strlen(begin)) != 0)
        fail_msg("%s, not %s", json, begin);
}

static void test_events(void **state)
{
    (void)state;
    struct two two;
    p2p_h near, far;
    char json[P2P_EVENT_MAX], want[P2P_EVENT_MAX];
    two_open(&two, 0);
    next(two.server, "{\"event\":\"listening\",\"addr\":\"", json);
    snprintf(want, sizeof(want), "{\"event\":\"listening\",\"addr\":\"%s\"}", two.addr);
    assert_string_equal(json, want);
    assert_int_equal(p2p_next_event(two.server, json, sizeof(json), P2P_NO_WAIT), P2P_EAGAIN);
    assert_int_equal(p2p_next_event(two.server, json, sizeof(json), SHORT_MS), P2P_ETIMEDOUT);
    two_connect(&two, &near, &far);
    assert_int_equal(p2p_next_event(two.server, json, 20, LONG_MS), P2P_ETOOBIG);
    next(two.server, "{\"event\":\"connected\",\"conn\":1,\"peer\":\"12D3KooW", json);
    assert_non_null(strstr(json, "\"direction\":\"inbound\",\"security\":\"/noise\","
                                 "\"muxer\":\"/yamux/1.0.0\",\"limited\":false}"));
    assert_int_equal(p2p_close(two.client), 0);
    next(two.server, "{\"event\":\"disconnected\",\"conn\":1,\"peer\":\"12D3KooW", json);
    assert_non_null(strstr(json, "\"reason\":\"ECLOSED\",\"detail\":\""));
    assert_int_equal(p2p_close(two.server), 0);
}

/* ---- out of memory ---- */

/* This thread's allocations only: the n-th from now fails. */
static _Thread_local int fail_in;

static void *failing_malloc(size_t size)
{
    return fail_in > 0 && --fail_in == 0 ? NULL : malloc(size);
}

static void *failing_realloc(void *old, size_t size)
{
    return fail_in > 0 && --fail_in == 0 ? NULL : realloc(old, size);
}

static const p2p_mem failing = {failing_malloc, failing_realloc, free};

/* Every allocation of the caller's thread fails once; what was made before is given back. */
static void test_X07_callers_out_of_memory(void **state)
{
    (void)state;
    p2p_mem_set(&failing);
    struct two two;
    for (int n = 1;; n++) {
        fail_in = n;
        p2p_h host = p2p_open("listen=/ip4/127.0.0.1/tcp/0\n");
        bool reached = fail_in == 0;
        fail_in = 0;
        if (!host)
            assert_true(p2p_errno() == P2P_ENOMEM || p2p_errno() == P2P_ELIMIT);
        else
            assert_int_equal(p2p_close(host), 0);
        if (!reached)
            break;
    }
    two_open(&two, 0);
    for (int n = 1;; n++) {
        char byte;
        fail_in = n;
        p2p_h other = p2p_listen(two.server, "/test/2", 0);
        p2p_h near = p2p_dial(two.client, two.addr, PROTOCOL, LONG_MS);
        int64_t wrote = near ? p2p_write(near, "x", 1, LONG_MS) : P2P_EBADH;
        int64_t got = near ? p2p_read(near, &byte, 1, P2P_NO_WAIT) : P2P_EBADH;
        bool reached = fail_in == 0;
        fail_in = 0;
        assert_true(wrote == 1 || wrote == P2P_ENOMEM || !near);
        assert_true(got == P2P_EAGAIN || !near);
        p2p_close(other);
        p2p_close(near);
        if (!reached)
            break;
    }
    two_close(&two);
    p2p_mem_set(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_and_options),
        cmocka_unit_test(test_open_says_what_is_wrong),
        cmocka_unit_test(test_stale_handles),
        cmocka_unit_test(test_deadlock_is_an_error),
        cmocka_unit_test(test_both_ways_and_half_closing),
        cmocka_unit_test(test_timeouts_are_absolute),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_reset_after_what_came_before),
        cmocka_unit_test(test_dial_says_why),
        cmocka_unit_test(test_backlog_and_relisten),
        cmocka_unit_test(test_close_wakes_the_blocked),
        cmocka_unit_test(test_closing_the_host_wakes_everybody),
        cmocka_unit_test(test_one_of_two_closes_wins),
        cmocka_unit_test(test_echo_64_MiB),
        cmocka_unit_test(test_close_delivers),
        cmocka_unit_test(test_writes_do_not_mix),
        cmocka_unit_test(test_ring_gives_back_what_a_message_took),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_X07_callers_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

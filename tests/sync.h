/* Two hosts on loopback, and threads. */
#ifndef P2P_TESTS_SYNC_H
#define P2P_TESTS_SYNC_H

#include "tests/test.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <p2p/sync.h>

#define PROTOCOL "/test/1"
#define LONG_MS  20000 /* never reached unless the test fails */

struct two {
    p2p_h server, client, listener;
    char addr[256];
};

static inline void two_open(struct two *self, int backlog)
{
    self->server = p2p_open("listen=/ip4/127.0.0.1/tcp/0\nservices=\n");
    self->client = p2p_open(NULL);
    assert_true(self->server && self->client);
    assert_true(p2p_addr(self->server, 0, self->addr, sizeof(self->addr)) > 0);
    self->listener = p2p_listen(self->server, PROTOCOL, backlog);
    assert_true(self->listener);
}

static inline void two_close(struct two *self)
{
    assert_int_equal(p2p_close(self->client), 0);
    assert_int_equal(p2p_close(self->server), 0);
}

/* A stream's two ends. */
static inline void two_connect(struct two *self, p2p_h *near, p2p_h *far)
{
    *near = p2p_dial(self->client, self->addr, PROTOCOL, LONG_MS);
    if (!*near)
        fail_msg("%s", p2p_errmsg());
    *far = p2p_accept(self->listener, LONG_MS);
    assert_true(*far);
}

static inline void put(p2p_h stream, const char *text)
{
    size_t len = strlen(text);
    assert_int_equal(p2p_write(stream, text, len, LONG_MS), len);
}

static inline void expect(p2p_h stream, const char *text)
{
    char got[256];
    size_t len = 0, want = strlen(text);
    while (len < want) {
        int64_t n = p2p_read(stream, got + len, want - len, LONG_MS);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_memory_equal(got, text, want);
}

static inline void expect_end(p2p_h stream)
{
    char byte;
    assert_int_equal(p2p_read(stream, &byte, 1, LONG_MS), 0);
    assert_int_equal(p2p_errno(), 0);
}

/* A call that blocks on another thread, until something wakes it. */
struct blocked {
    pthread_t thread;
    p2p_h handle;
    const char *target;
    int64_t result;
    int code;
};

static inline void *blocked_read(void *arg)
{
    struct blocked *self = arg;
    char byte;
    self->result = p2p_read(self->handle, &byte, 1, -1);
    self->code = p2p_errno();
    return NULL;
}

static inline void blocked_start(struct blocked *self, p2p_h handle, void *(*run)(void *))
{
    self->handle = handle;
    assert_int_equal(pthread_create(&self->thread, NULL, run, self), 0);
}

static inline void blocked_join(struct blocked *self)
{
    assert_int_equal(pthread_join(self->thread, NULL), 0);
}

#endif

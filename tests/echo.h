/* An echo server and a client that sends a pattern, counts and checks what comes back: the two ends
 * that most tests of hosts are made of. Include after tests/world.h. */
#ifndef P2P_TESTS_ECHO_H
#define P2P_TESTS_ECHO_H

#define ECHO_PROTOCOL "/test/echo/1"

static inline enum world_kind kind_of(void **state)
{
    return (enum world_kind)(uintptr_t)*state;
}

/* A test in both worlds. */
#define BOTH(test)                                                                                 \
    {#test "/uv", test, NULL, NULL, (void *)WORLD_UV},                                             \
    {                                                                                              \
#test "/sim", test, NULL, NULL, (void *)WORLD_SIM                                          \
    }

struct side {
    size_t to_send, sent, got, reads;
    bool opened, eof, closed, check_failed;
    int close_code;
    uint32_t remote_code;
    char message[300];
    size_t attempts;
    p2p_stream *stream;
};

static inline uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 7 + (at >> 8) * 13 + (at >> 16));
}

static inline void pump(struct side *self)
{
    uint8_t chunk[5000];
    while (self->sent < self->to_send) {
        size_t n = self->to_send - self->sent;
        n = n < sizeof(chunk) ? n : sizeof(chunk);
        for (size_t i = 0; i < n; i++)
            chunk[i] = pattern(self->sent + i);
        int64_t took = p2p_stream_write(self->stream, chunk, n);
        if (took < 0)
            return;
        self->sent += (size_t)took;
        if ((size_t)took < n)
            return;
    }
    p2p_stream_close_write(self->stream);
}

static inline void client_open(p2p_stream *stream, void *user)
{
    struct side *self = user;
    self->opened = true;
    assert_ptr_equal(stream, self->stream);
    assert_non_null(p2p_stream_protocol(stream));
}

static inline void client_read(p2p_stream *stream, void *user)
{
    struct side *self = user;
    size_t len = 0;
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    assert_true(len > 0);
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != pattern(self->got + i))
            self->check_failed = true;
    self->got += len;
    self->reads++;
    p2p_stream_consume(stream, len);
}

static inline void client_eof(p2p_stream *stream, void *user)
{
    struct side *self = user;
    (void)stream;
    self->eof = true;
}

static inline void client_drain(p2p_stream *stream, void *user)
{
    (void)stream;
    pump(user);
}

static inline void client_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct side *self = user;
    (void)stream;
    assert_false(self->closed);
    self->closed = true;
    self->close_code = why ? why->code : 0;
    self->remote_code = why ? why->remote_code : 0;
    self->attempts = why ? why->attempt_count : 0;
    if (why)
        snprintf(self->message, sizeof(self->message), "%s", why->message);
}

static const p2p_stream_events client_events = {
    sizeof(client_events), client_open, client_read, client_eof, client_drain, client_close,
};

/* user is not NULL once the remote has ended its side. */
static inline void echo_move(p2p_stream *stream, void *user)
{
    size_t len = 0;
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    int64_t took = len ? p2p_stream_write(stream, bytes, len) : 0;
    if (took > 0)
        p2p_stream_consume(stream, (size_t)took);
    if (user && (size_t)took == len)
        p2p_stream_close_write(stream);
}

static inline void echo_eof(p2p_stream *stream, void *user)
{
    (void)user;
    p2p_stream_set_user(stream, stream);
    echo_move(stream, stream);
}

static inline void echo_read(p2p_stream *stream, void *user)
{
    echo_move(stream, user);
}

static inline void echo_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream, (void)why, (void)user;
}

static const p2p_stream_events echo_events = {
    sizeof(echo_events), NULL, echo_read, echo_eof, echo_read, echo_close,
};

static inline bool closed(void *user)
{
    return ((struct side *)user)->closed;
}

static inline void open_echo(p2p_host *host, const char *target, struct side *side)
{
    const char *protocol = ECHO_PROTOCOL;
    side->stream = p2p_host_open(host, target, &protocol, 1, NULL, &client_events, side);
    assert_non_null(side->stream);
    pump(side);
}

#endif

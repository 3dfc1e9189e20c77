/* What came whole and was not read yet outlives its connection: a remote may say its last word and
 * leave. On real sockets and in the simulator. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/echo.h"

enum {
    SENT = 100 * 1000,
    READER_MS = 10 * 1000, /* what a reader without a timeout of its own has */
};

/* The far end of a stream: it leaves everything unread until it is told to read. */
struct reader {
    p2p_stream *stream;
    size_t got;
    bool eof, closed, damaged, drained;
    int code, conns_lost;
};

static void leave(p2p_stream *stream, void *user)
{
    (void)stream, (void)user;
}

static void reader_open(p2p_stream *stream, void *user)
{
    ((struct reader *)user)->stream = stream;
}

static void reader_eof(p2p_stream *stream, void *user)
{
    (void)stream;
    ((struct reader *)user)->eof = true;
}

/* Writes until it is told that there is no room, which it hears of once more in the end. */
static void reader_drain(p2p_stream *stream, void *user)
{
    static const uint8_t zeros[4096];
    int64_t taken;
    while ((taken = p2p_stream_write(stream, zeros, sizeof(zeros))) == sizeof(zeros))
        ;
    if (taken < 0) {
        assert_int_equal(taken, P2P_ECLOSED);
        ((struct reader *)user)->drained = true;
    }
}

static void reader_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct reader *self = user;
    size_t len;
    assert_false(self->closed);
    assert_null(p2p_stream_peek(stream, &len));
    self->closed = true;
    self->code = why ? why->code : 0;
}

static void reader_take(struct reader *self, size_t n)
{
    size_t len = 0;
    const uint8_t *bytes = p2p_stream_peek(self->stream, &len);
    assert_true(len >= n);
    for (size_t i = 0; i < n; i++)
        self->damaged |= bytes[i] != pattern(self->got + i);
    self->got += n;
    p2p_stream_consume(self->stream, n);
}

static const p2p_stream_events reader_events = {
    sizeof(reader_events), reader_open, leave, reader_eof, reader_drain, reader_close};

/* So that the reader's writes have no end. */
static const p2p_stream_events unread_events = {sizeof(unread_events), NULL, leave, NULL, NULL,
                                                client_close};

static void lost(p2p_host *host, p2p_conn *conn, const p2p_error *why, void *user)
{
    (void)host, (void)conn, (void)why;
    ((struct reader *)user)->conns_lost++;
}

static const p2p_host_events host_events = {.size = sizeof(host_events), .on_disconnected = lost};

struct scene {
    struct world world;
    p2p_host *writer, *host;
    struct side side;
    struct reader reader;
};

static bool opened(void *user)
{
    return ((struct side *)user)->opened;
}

static bool writer_left(void *user)
{
    return p2p_host_conn_at(((struct scene *)user)->writer, 0) == NULL;
}

static bool eof_told(void *user)
{
    return ((struct scene *)user)->reader.eof;
}

static bool reader_closed(void *user)
{
    return ((struct scene *)user)->reader.closed;
}

/* The writer has sent all, ended its side, and closed the connection; the reader read nothing. */
static void begin(struct scene *self, void **state, bool writes_much)
{
    char addr[256];
    *self = (struct scene){.side = {.to_send = SENT}};
    world_init(&self->world, kind_of(state), 1, false);
    self->writer = world_host(&self->world, NULL);
    self->host = world_host(&self->world, NULL);
    p2p_host_set_events(self->host, &host_events, &self->reader);
    assert_int_equal(p2p_host_handle(self->host, ECHO_PROTOCOL, &reader_events, &self->reader), 0);
    open_echo(self->writer, world_addr(self->host, addr, sizeof(addr)), &self->side);
    assert_true(world_until(&self->world, eof_told, self, 5000));
    if (writes_much) {
        p2p_stream_set_events(self->side.stream, &unread_events);
        reader_drain(self->reader.stream, &self->reader);
    }
    p2p_conn_close(p2p_host_conn_at(self->writer, 0));
    assert_true(world_until(&self->world, writer_left, self, 5000));
    world_run(&self->world, 1500);
    assert_false(self->reader.closed);
}

static void test_it_is_read_after_the_remote_has_left(void **state)
{
    struct scene s;
    begin(&s, state, false);
    assert_int_equal(p2p_stream_write(s.reader.stream, "x", 1), P2P_ECLOSED);
    assert_int_equal(p2p_stream_room(s.reader.stream), 0);
    reader_take(&s.reader, SENT - 1);
    world_run(&s.world, 200);
    assert_false(s.reader.closed);
    assert_int_equal(s.reader.conns_lost, 0); /* streams end before their connection */
    reader_take(&s.reader, 1);
    assert_true(world_until(&s.world, reader_closed, &s, 1000));
    assert_false(s.reader.damaged);
    assert_int_equal(s.reader.code, P2P_ECLOSED); /* our side was never ended */
    world_run(&s.world, 10);
    assert_int_equal(s.reader.conns_lost, 1);
    assert_null(p2p_host_conn_at(s.host, 0));
    world_fini(&s.world);
}

static void test_a_reader_has_ten_seconds_unless_it_says_otherwise(void **state)
{
    struct scene s;
    if (kind_of(state) == WORLD_UV)
        skip(); /* the clock is the simulator's */
    begin(&s, state, false);
    world_run(&s.world, READER_MS - 3000);
    assert_false(s.reader.closed);
    assert_true(world_until(&s.world, reader_closed, &s, 3000));
    assert_int_equal(s.reader.code, P2P_ETIMEDOUT);
    world_fini(&s.world);

    begin(&s, state, false);
    p2p_stream_set_timeout(s.reader.stream, -1);
    world_run(&s.world, 10 * READER_MS);
    assert_false(s.reader.closed);
    reader_take(&s.reader, SENT);
    assert_true(world_until(&s.world, reader_closed, &s, 1000));
    world_fini(&s.world);
}

static void test_a_writer_that_waits_for_room_hears_that_there_is_none(void **state)
{
    struct scene s;
    if (world_is_quic())
        skip(); /* a remote that takes no more says so at once: the stream is reset */
    begin(&s, state, true);
    assert_true(s.reader.drained);
    reader_take(&s.reader, SENT);
    assert_true(world_until(&s.world, reader_closed, &s, 1000));
    assert_false(s.reader.damaged);
    world_fini(&s.world);
}

static bool reader_has_eof_and_conn_is_lost(void *user)
{
    struct scene *self = user;
    return self->reader.eof && p2p_host_conn_at(self->writer, 0) == NULL;
}

/* Everything is still under way when the writer closes the connection. */
static void test_a_hasty_writer_takes_nothing_back(void **state)
{
    struct scene s = {.side = {.to_send = SENT}};
    char addr[256];
    world_init(&s.world, kind_of(state), 1, false);
    s.writer = world_host(&s.world, NULL);
    s.host = world_host(&s.world, NULL);
    assert_int_equal(p2p_host_handle(s.host, ECHO_PROTOCOL, &reader_events, &s.reader), 0);
    open_echo(s.writer, world_addr(s.host, addr, sizeof(addr)), &s.side);
    assert_true(world_until(&s.world, opened, &s.side, 5000));
    assert_int_equal(s.side.sent, SENT);
    p2p_conn_close(p2p_host_conn_at(s.writer, 0));
    assert_true(world_until(&s.world, reader_has_eof_and_conn_is_lost, &s, 5000));
    assert_true(s.side.closed);
    world_run(&s.world, 1500);
    reader_take(&s.reader, SENT);
    assert_true(world_until(&s.world, reader_closed, &s, 1000));
    assert_false(s.reader.damaged);
    world_fini(&s.world);
}

static void test_our_own_end_waits_for_no_reader(void **state)
{
    struct scene s;
    begin(&s, state, false);
    p2p_stream_close(s.reader.stream);
    assert_true(world_until(&s.world, reader_closed, &s, 500));
    world_fini(&s.world);

    begin(&s, state, false);
    p2p_conn_close(p2p_stream_conn(s.reader.stream));
    assert_true(world_until(&s.world, reader_closed, &s, 500));
    assert_int_equal(s.reader.conns_lost, 1);
    world_fini(&s.world);

    begin(&s, state, false);
    p2p_stream_reset(s.reader.stream, 0);
    assert_true(world_until(&s.world, reader_closed, &s, 500));
    assert_int_equal(s.reader.code, P2P_ECANCELED);
    world_fini(&s.world);

    begin(&s, state, false);
    world_fini(&s.world); /* the host's end, within its five seconds */
    assert_true(s.reader.closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_it_is_read_after_the_remote_has_left),
        BOTH(test_a_reader_has_ten_seconds_unless_it_says_otherwise),
        BOTH(test_a_writer_that_waits_for_room_hears_that_there_is_none),
        BOTH(test_a_hasty_writer_takes_nothing_back),
        BOTH(test_our_own_end_waits_for_no_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Any call in any callback; every handle has exactly one last callback, also at shutdown, in the
 * order operations and streams, connections, host. The L rows. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/echo.h"

enum deed {
    RESET_STREAM,
    CLOSE_STREAM,
    CLOSE_CONN,
    CLOSE_HOST,
    DEEDS,
};

enum moment {
    AT_OPEN,
    AT_READ,
    AT_EOF,
    AT_DRAIN,
    AT_CLOSE,
    MOMENTS,
};

/* A client whose deed comes at one moment; everything is counted. */
struct actor {
    struct world *world;
    p2p_host *host;
    enum deed deed;
    enum moment moment;
    bool done;
    int stream_closes, conn_closes, host_closes, order;
    size_t to_send, sent;
    bool last_seen;
};

static void actor_closed(void *user, const p2p_error *why)
{
    struct actor *self = user;
    assert_null(why);
    assert_int_equal(self->stream_closes, 1);
    assert_int_equal(self->conn_closes, 1);
    self->host_closes++;
}

static void act(struct actor *self, p2p_stream *stream, enum moment moment)
{
    assert_int_equal(self->stream_closes, moment == AT_CLOSE);
    if (self->done || moment != self->moment)
        return;
    self->done = true;
    switch (self->deed) {
    case RESET_STREAM:
        p2p_stream_reset(stream, 1);
        break;
    case CLOSE_STREAM:
        p2p_stream_close(stream);
        break;
    case CLOSE_CONN:
        if (p2p_stream_conn(stream))
            p2p_conn_close(p2p_stream_conn(stream));
        break;
    case CLOSE_HOST:
        p2p_host_close(self->host, actor_closed, self);
        p2p_host_close(self->host, NULL, NULL); /* twice is once */
        break;
    case DEEDS:
        break;
    }
    /* Whatever it was, calls on the handle go on being legal until on_close has returned. */
    size_t len = 0;
    (void)p2p_stream_peek(stream, &len);
    (void)p2p_stream_write(stream, "x", 1);
    (void)p2p_stream_room(stream);
    p2p_stream_resume(stream);
    p2p_stream_close_write(stream);
    p2p_stream_set_timeout(stream, 5000);
}

static void actor_write(struct actor *self, p2p_stream *stream)
{
    static const uint8_t bytes[4096];
    while (self->sent < self->to_send) {
        int64_t n = p2p_stream_write(stream, bytes, sizeof(bytes));
        if (n <= 0)
            return;
        self->sent += (size_t)n;
    }
    p2p_stream_close_write(stream);
}

static void actor_open(p2p_stream *stream, void *user)
{
    act(user, stream, AT_OPEN);
}

static void actor_read(p2p_stream *stream, void *user)
{
    size_t len = 0;
    act(user, stream, AT_READ);
    p2p_stream_peek(stream, &len);
    p2p_stream_consume(stream, len);
}

static void actor_eof(p2p_stream *stream, void *user)
{
    act(user, stream, AT_EOF);
}

static void actor_drain(p2p_stream *stream, void *user)
{
    act(user, stream, AT_DRAIN);
    actor_write(user, stream);
}

static void actor_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct actor *self = user;
    (void)why;
    self->stream_closes++;
    act(self, stream, AT_CLOSE);
}

static const p2p_stream_events actor_events = {
    sizeof(actor_events), actor_open, actor_read, actor_eof, actor_drain, actor_close,
};

static void actor_disconnected(p2p_host *host, p2p_conn *conn, const p2p_error *why, void *user)
{
    struct actor *self = user;
    (void)host, (void)conn, (void)why;
    assert_int_equal(self->stream_closes, 1); /* streams before their connection */
    assert_int_equal(self->host_closes, 0);
    self->conn_closes++;
}

static const p2p_host_events actor_host_events = {
    .size = sizeof(actor_host_events),
    .on_disconnected = actor_disconnected,
};

static bool actor_over(void *user)
{
    struct actor *self = user;
    if (self->deed == CLOSE_HOST)
        return self->host_closes > 0;
    return self->stream_closes > 0;
}

static void one_deed(void **state, enum deed deed, enum moment moment)
{
    struct world world;
    char addr[256];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    assert_int_equal(p2p_host_handle(b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    struct actor actor = {
        .world = &world, .host = a, .deed = deed, .moment = moment, .to_send = 1 << 20};
    p2p_host_set_events(a, &actor_host_events, &actor);
    const char *protocol = ECHO_PROTOCOL;
    p2p_stream *stream = p2p_host_open(a, world_addr(b, addr, sizeof(addr)), &protocol, 1, NULL,
                                       &actor_events, &actor);
    actor_write(&actor, stream);
    if (!world_until(&world, actor_over, &actor, 20000))
        fail_msg("deed %d at moment %d: never over", deed, moment);
    assert_true(actor.done);
    assert_int_equal(actor.stream_closes, 1);
    if (deed == CLOSE_HOST) {
        assert_int_equal(actor.host_closes, 1);
        world.host[0] = NULL;
    }
    world_fini(&world);
    assert_int_equal(actor.stream_closes, 1);
    assert_int_equal(actor.conn_closes, 1);
}

static void test_L01_L02_any_end_in_any_callback(void **state)
{
    for (int deed = 0; deed < DEEDS; deed++)
        for (int moment = 0; moment < MOMENTS; moment++)
            one_deed(state, (enum deed)deed, (enum moment)moment);
}

/* ---- L03: closing with everything in flight ---- */

enum { FLIGHT = 1000 };

struct flight {
    int calls[FLIGHT];
    int codes[FLIGHT];
    bool host_closed;
};

struct flight_one {
    struct flight *flight;
    int index;
};

static void flight_done(void *user, const p2p_error *why)
{
    struct flight_one *one = user;
    assert_false(one->flight->host_closed);
    one->flight->calls[one->index]++;
    one->flight->codes[one->index] = why ? why->code : 0;
}

static void flight_host_closed(void *user, const p2p_error *why)
{
    (void)why;
    ((struct flight *)user)->host_closed = true;
}

static bool flight_over(void *user)
{
    return ((struct flight *)user)->host_closed;
}

static void test_L03_closing_with_a_thousand_dials_under_way(void **state)
{
    struct world world;
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL);
    struct flight *flight = test_calloc(1, sizeof(*flight));
    struct flight_one *ones = test_calloc(FLIGHT, sizeof(*ones));
    for (int i = 0; i < FLIGHT; i++) {
        char target[300], peer[P2P_PEER_ID_TEXT_MAX];
        p2p_key *key = world_key(99, i + 10);
        p2p_peer_id_format(p2p_key_peer_id(key), peer, sizeof(peer));
        p2p_key_free(key);
        ones[i] = (struct flight_one){flight, i};
        /* Loopback addresses that nobody listens on; in the simulation they are silence. */
        snprintf(target, sizeof(target), "/ip4/%s/tcp/%d/p2p/%s",
                 world.kind == WORLD_UV ? "127.0.0.1" : "10.99.0.1", 2 + i % 500, peer);
        if (i % 2)
            assert_non_null(p2p_host_connect(a, target, NULL, flight_done, &ones[i]));
        else
            assert_non_null(p2p_host_after(a, 3600 * 1000, flight_done, &ones[i]));
    }
    p2p_host_close(a, flight_host_closed, flight);
    world.host[0] = NULL;
    assert_true(world_until(&world, flight_over, flight, 5000));
    for (int i = 0; i < FLIGHT; i++) {
        assert_int_equal(flight->calls[i], 1);
        assert_int_equal(flight->codes[i], P2P_ECANCELED);
    }
    world_fini(&world);
    test_free(flight);
    test_free(ones);
}

/* ---- L04: cancelled in the tick of its success ---- */

struct tick {
    int calls, code;
    p2p_op *other;
};

static void tick_other(void *user, const p2p_error *why)
{
    struct tick *self = user;
    self->calls++;
    self->code = why ? why->code : 0;
}

static void tick_first(void *user, const p2p_error *why)
{
    struct tick *self = user;
    assert_null(why);
    p2p_op_cancel(self->other); /* its own success is due in this very turn */
}

static bool tick_over(void *user)
{
    return ((struct tick *)user)->calls > 0;
}

static void test_L04_a_cancelled_operation_ends_once_as_cancelled(void **state)
{
    struct world world;
    struct tick tick = {0};
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL);
    p2p_host_after(a, 10, tick_first, &tick);
    tick.other = p2p_host_after(a, 10, tick_other, &tick);
    assert_true(world_until(&world, tick_over, &tick, 2000));
    world_run(&world, 50);
    assert_int_equal(tick.calls, 1);
    assert_int_equal(tick.code, P2P_ECANCELED);
    world_fini(&world);
}

/* ---- L06: the caller's memory is the caller's again when the call returns ---- */

static void test_L06_written_bytes_are_copied(void **state)
{
    struct world world;
    char *addr = test_malloc(256);
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    assert_int_equal(p2p_host_handle(b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    world_addr(b, addr, 256);
    char *protocol = test_malloc(64);
    strcpy(protocol, ECHO_PROTOCOL);
    struct side side = {.to_send = 0};
    side.stream =
        p2p_host_open(a, addr, (const char *const *)&protocol, 1, NULL, &client_events, &side);
    test_free(protocol);
    test_free(addr);
    uint8_t *bytes = test_malloc(1000);
    for (size_t i = 0; i < 1000; i++)
        bytes[i] = pattern(i);
    assert_int_equal(p2p_stream_write(side.stream, bytes, 1000), 1000);
    test_free(bytes);
    p2p_stream_close_write(side.stream);
    assert_true(world_until(&world, closed, &side, 5000));
    assert_int_equal(side.got, 1000);
    assert_false(side.check_failed);
    world_fini(&world);
}

static void test_a_blob_is_shared_and_outlives_its_writer(void **state)
{
    struct world world;
    char addr[256];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    assert_int_equal(p2p_host_handle(b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    uint8_t bytes[1000];
    for (size_t i = 0; i < 1000; i++)
        bytes[i] = pattern(i);
    p2p_blob *blob = p2p_blob_new(bytes, 1000);
    struct side side[2] = {0};
    const char *protocol = ECHO_PROTOCOL;
    world_addr(b, addr, sizeof(addr));
    for (int i = 0; i < 2; i++) {
        side[i].stream = p2p_host_open(a, addr, &protocol, 1, NULL, &client_events, &side[i]);
        assert_int_equal(p2p_stream_write_blob(side[i].stream, blob), 1000);
        p2p_stream_close_write(side[i].stream);
    }
    p2p_blob_free(blob);
    for (int i = 0; i < 2; i++) {
        assert_true(world_until(&world, closed, &side[i], 5000));
        assert_int_equal(side[i].got, 1000);
        assert_false(side[i].check_failed);
    }
    world_fini(&world);
}

/* ---- L10 ---- */

static void test_L10_hosts_come_and_go(void **state)
{
    struct world world;
    world_init(&world, kind_of(state), 1, false);
    for (int i = 0; i < 10000; i++) {
        p2p_io *io =
            world.kind == WORLD_UV ? p2p_io_uv(&world.loop) : p2p_sim_host(world.sim, NULL, 0);
        struct flight flight = {0};
        p2p_host *host = NULL;
        assert_int_equal(p2p_host_new(NULL, io, &host, NULL), 0);
        if (i % 3 == 0)
            world_run(&world, 0);
        p2p_host_close(host, flight_host_closed, &flight);
        assert_true(world_until(&world, flight_over, &flight, 2000));
        p2p_io_free(io);
    }
    world_fini(&world);
}

/* ---- a thread of its own, and other loops ---- */

struct threaded {
    uv_sem_t sem;
    int posts, code;
};

static void on_post(p2p_host *host, int code, void *user)
{
    struct threaded *self = user;
    assert_non_null(p2p_host_peer(host));
    self->posts++;
    self->code = code;
    uv_sem_post(&self->sem);
}

static void on_thread_closed(void *user, const p2p_error *why)
{
    struct threaded *self = user;
    (void)why;
    uv_sem_post(&self->sem);
}

static void test_a_host_on_a_thread_of_its_own(void **state)
{
    (void)state;
    struct threaded threaded = {0};
    p2p_host *host = NULL;
    uv_sem_init(&threaded.sem, 0);
    for (int round = 0; round < 20; round++) {
        threaded.posts = 0;
        assert_int_equal(p2p_host_new(NULL, NULL, &host, NULL), 0);
        for (int i = 0; i < 10; i++)
            assert_int_equal(p2p_host_post(host, on_post, &threaded), 0);
        for (int i = 0; i < 10; i++)
            uv_sem_wait(&threaded.sem);
        assert_int_equal(threaded.posts, 10);
        assert_int_equal(threaded.code, 0);
        p2p_host_close(host, on_thread_closed, &threaded);
        uv_sem_wait(&threaded.sem);
    }
    uv_sem_destroy(&threaded.sem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_L01_L02_any_end_in_any_callback),
        BOTH(test_L03_closing_with_a_thousand_dials_under_way),
        BOTH(test_L04_a_cancelled_operation_ends_once_as_cancelled),
        BOTH(test_L06_written_bytes_are_copied),
        BOTH(test_a_blob_is_shared_and_outlives_its_writer),
        BOTH(test_L10_hosts_come_and_go),
        {"test_a_host_on_a_thread_of_its_own", test_a_host_on_a_thread_of_its_own, NULL, NULL,
         NULL},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

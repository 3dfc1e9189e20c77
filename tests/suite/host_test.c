/* Streams between hosts as an application sees them, on real sockets and in the simulator. */
#include "tests/test.h"

#include "tests/world.h"

#include <p2p/limits.h>

#include "tests/echo.h"

static void echo_of(void **state, size_t bytes)
{
    struct world world;
    char addr[256];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    assert_int_equal(p2p_host_handle(b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    struct side side = {.to_send = bytes};
    open_echo(a, world_addr(b, addr, sizeof(addr)), &side);
    assert_true(world_until(&world, closed, &side, 20000));
    assert_int_equal(side.close_code, 0);
    assert_true(side.opened && side.eof && !side.check_failed);
    assert_int_equal(side.got, bytes);
    world_fini(&world);
}

static void test_echo_of_nothing(void **state)
{
    echo_of(state, 0);
}

static void test_echo_of_one_byte(void **state)
{
    echo_of(state, 1);
}

static void test_echo_of_four_mib(void **state)
{
    echo_of(state, 4 << 20);
}

/* ---- ends ---- */

struct pair {
    struct world world;
    p2p_host *a, *b;
    char addr[256];
};

static void pair_init(struct pair *self, void **state, const p2p_stream_events *events, void *user)
{
    world_init(&self->world, kind_of(state), 1, false);
    self->a = world_host(&self->world, NULL);
    self->b = world_host(&self->world, NULL);
    if (events)
        assert_int_equal(p2p_host_handle(self->b, ECHO_PROTOCOL, events, user), 0);
    world_addr(self->b, self->addr, sizeof(self->addr));
}

static void reset_read(p2p_stream *stream, void *user)
{
    (void)user;
    p2p_stream_reset(stream, 77);
}

static void test_a_reset_carries_its_code(void **state)
{
    static const p2p_stream_events events = {
        .size = sizeof(events), .on_read = reset_read, .on_close = echo_close};
    struct pair p;
    pair_init(&p, state, &events, NULL);
    struct side side = {.to_send = 100};
    open_echo(p.a, p.addr, &side);
    assert_true(world_until(&p.world, closed, &side, 5000));
    assert_int_equal(side.close_code, P2P_ERESET);
    assert_int_equal(side.remote_code, 77);
    /* The connection lives: a second stream works. */
    struct side again = {.to_send = 1};
    assert_int_equal(p2p_host_handle(p.b, "/other", &echo_events, NULL), 0);
    const char *other = "/other";
    again.stream = p2p_host_open(p.a, p.addr, &other, 1, NULL, &client_events, &again);
    pump(&again);
    assert_true(world_until(&p.world, closed, &again, 5000));
    assert_int_equal(again.close_code, 0);
    world_fini(&p.world);
}

static void test_an_unknown_protocol_is_an_error_and_the_connection_lives(void **state)
{
    struct pair p;
    pair_init(&p, state, &echo_events, NULL);
    const char *unknown[] = {"/nobody/1", "/nobody/2"};
    struct side side = {.to_send = 10};
    side.stream = p2p_host_open(p.a, p.addr, unknown, 2, NULL, &client_events, &side);
    pump(&side);
    assert_true(world_until(&p.world, closed, &side, 5000));
    assert_int_equal(side.close_code, P2P_ENOPROTO);
    assert_false(side.opened);
    struct side good = {.to_send = 10};
    open_echo(p.a, p.addr, &good);
    assert_true(world_until(&p.world, closed, &good, 5000));
    assert_int_equal(good.close_code, 0);
    assert_null(p2p_host_conn_at(p.a, 1)); /* both used the one connection */
    world_fini(&p.world);
}

static void test_the_first_protocol_that_the_remote_has_is_taken(void **state)
{
    struct pair p;
    pair_init(&p, state, &echo_events, NULL);
    const char *offers[] = {"/nobody/1", ECHO_PROTOCOL, "/nobody/2"};
    struct side side = {.to_send = 100000};
    side.stream = p2p_host_open(p.a, p.addr, offers, 3, NULL, &client_events, &side);
    pump(&side);
    assert_true(world_until(&p.world, closed, &side, 5000));
    assert_int_equal(side.close_code, 0);
    assert_int_equal(side.got, 100000);
    assert_false(side.check_failed);
    world_fini(&p.world);
}

static void test_a_prefix_serves_what_no_exact_name_does(void **state)
{
    struct pair p;
    pair_init(&p, state, NULL, NULL);
    assert_int_equal(p2p_host_handle(p.b, "/test/*", &echo_events, NULL), 0);
    assert_int_equal(p2p_host_handle(p.b, "/test/*", &echo_events, NULL), P2P_EEXIST);
    struct side side = {.to_send = 10};
    open_echo(p.a, p.addr, &side);
    assert_true(world_until(&p.world, closed, &side, 5000));
    assert_int_equal(side.close_code, 0);
    assert_int_equal(p2p_host_unhandle(p.b, "/test/*"), 0);
    struct side gone = {.to_send = 10};
    open_echo(p.a, p.addr, &gone);
    assert_true(world_until(&p.world, closed, &gone, 5000));
    assert_int_equal(gone.close_code, P2P_ENOPROTO);
    world_fini(&p.world);
}

/* The remote ends first; we still write, and it still reads. */
struct late {
    size_t got;
    bool closed, eof;
    int code;
};

static void late_open(p2p_stream *stream, void *user)
{
    (void)user;
    assert_int_equal(p2p_stream_write(stream, "bye", 3), 3);
    p2p_stream_close_write(stream);
    assert_int_equal(p2p_stream_write(stream, "x", 1), P2P_ECLOSED);
}

static void late_read(p2p_stream *stream, void *user)
{
    struct late *self = user;
    size_t len = 0;
    p2p_stream_peek(stream, &len);
    self->got += len;
    p2p_stream_consume(stream, len);
}

static void late_eof(p2p_stream *stream, void *user)
{
    (void)stream;
    ((struct late *)user)->eof = true;
}

static void late_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct late *self = user;
    (void)stream;
    self->closed = true;
    self->code = why ? why->code : 0;
}

static void talk_eof(p2p_stream *stream, void *user)
{
    struct side *side = user;
    side->eof = true;
    assert_int_equal(side->got, 3);
    assert_int_equal(p2p_stream_write(stream, "still here", 10), 10);
    p2p_stream_close_write(stream);
}

static void talk_read(p2p_stream *stream, void *user)
{
    size_t len = 0;
    p2p_stream_peek(stream, &len);
    ((struct side *)user)->got += len;
    p2p_stream_consume(stream, len);
}

static bool late_is_closed(void *user)
{
    return ((struct late *)user)->closed;
}

static void test_either_side_may_end_first(void **state)
{
    static const p2p_stream_events server = {sizeof(server), late_open, late_read,
                                             late_eof,       NULL,      late_close};
    static const p2p_stream_events client = {sizeof(client), NULL, talk_read,
                                             talk_eof,       NULL, client_close};
    struct late late = {0};
    struct pair p;
    pair_init(&p, state, &server, &late);
    struct side side = {0};
    const char *protocol = ECHO_PROTOCOL;
    side.stream = p2p_host_open(p.a, p.addr, &protocol, 1, NULL, &client, &side);
    assert_true(world_until(&p.world, closed, &side, 5000));
    assert_true(world_until(&p.world, late_is_closed, &late, 5000));
    assert_int_equal(side.close_code, 0);
    assert_int_equal(late.code, 0);
    assert_int_equal(late.got, 10);
    assert_true(late.eof);
    world_fini(&p.world);
}

/* ---- a reader that does not read ---- */

static void no_read(p2p_stream *stream, void *user)
{
    p2p_stream **held = user;
    *held = stream;
}

static void test_a_reader_that_stops_costs_only_its_stream(void **state)
{
    static const p2p_stream_events lazy = {
        .size = sizeof(lazy), .on_read = no_read, .on_close = echo_close};
    struct pair p;
    p2p_stream *held = NULL;
    pair_init(&p, state, &echo_events, NULL);
    assert_int_equal(p2p_host_handle(p.b, "/lazy", &lazy, &held), 0);
    struct side stuck = {.to_send = 4 << 20};
    const char *name = "/lazy";
    stuck.stream = p2p_host_open(p.a, p.addr, &name, 1, NULL, &client_events, &stuck);
    pump(&stuck);
    world_run(&p.world, 300);
    assert_non_null(held);
    size_t unread = 0;
    p2p_stream_peek(held, &unread);
    size_t window = p.world.quic ? 1024 * 1024 : 256 * 1024;
    assert_true(unread > 0 && unread <= window);
    assert_true(stuck.sent < window + 768 * 1024); /* window and send queue, no more */
    struct side side = {.to_send = 1 << 20};
    open_echo(p.a, p.addr, &side);
    assert_true(world_until(&p.world, closed, &side, 10000));
    assert_int_equal(side.close_code, 0);
    /* It reads again, and everything comes. */
    p2p_stream_set_events(held, &echo_events);
    p2p_stream_set_user(held, NULL);
    p2p_stream_resume(held);
    assert_true(world_until(&p.world, closed, &stuck, 10000));
    assert_int_equal(stuck.close_code, 0);
    assert_int_equal(stuck.got, 4 << 20);
    assert_false(stuck.check_failed);
    world_fini(&p.world);
}

/* ---- many ---- */

enum { MANY = 100 };

struct many {
    struct side side[MANY];
};

static bool all_closed(void *user)
{
    struct many *many = user;
    for (int i = 0; i < MANY; i++)
        if (!many->side[i].closed)
            return false;
    return true;
}

static void test_a_hundred_streams_at_once(void **state)
{
    struct pair p;
    pair_init(&p, state, &echo_events, NULL);
    assert_int_equal(p2p_host_handle_limit(p.b, ECHO_PROTOCOL, MANY), 0);
    struct many *many = test_calloc(1, sizeof(*many));
    for (int i = 0; i < MANY; i++) {
        many->side[i].to_send = 10000;
        open_echo(p.a, p.addr, &many->side[i]);
    }
    assert_true(world_until(&p.world, all_closed, many, 20000));
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(many->side[i].close_code, 0);
        assert_int_equal(many->side[i].got, 10000);
        assert_false(many->side[i].check_failed);
    }
    test_free(many);
    world_fini(&p.world);
}

static void mute_read(p2p_stream *stream, void *user)
{
    (void)stream, (void)user;
}

static void test_streams_beyond_the_protocols_limit_are_reset(void **state)
{
    static const p2p_stream_events mute = {
        .size = sizeof(mute), .on_read = mute_read, .on_close = echo_close};
    struct pair p;
    pair_init(&p, state, &mute, NULL);
    struct many *many = test_calloc(1, sizeof(*many));
    for (int i = 0; i < 33; i++) {
        many->side[i].to_send = 1;
        open_echo(p.a, p.addr, &many->side[i]);
    }
    world_run(&p.world, 500);
    int reset = 0;
    for (int i = 0; i < 33; i++)
        reset += many->side[i].closed && many->side[i].close_code == P2P_ERESET;
    assert_int_equal(reset, 1); /* 32 are the limit */
    /* One ends, and there is room for another. */
    p2p_stream_reset(many->side[0].stream, 0);
    world_run(&p.world, 200);
    struct side next = {.to_send = 1};
    open_echo(p.a, p.addr, &next);
    world_run(&p.world, 200);
    assert_true(next.opened && !next.closed);
    p2p_stream_reset(next.stream, 0);
    world_fini(&p.world);
    test_free(many);
}

/* A peer that fills many streams of a reader that is stuck loses streams, not the host its memory.
 */
static void memory_has_a_limit(void **state, const char *limit, bool want_reset)
{
    static const p2p_stream_events mute = {
        .size = sizeof(mute), .on_read = mute_read, .on_close = echo_close};
    const char *options[] = {limit, NULL};
    struct world world;
    char addr[256];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, options);
    assert_int_equal(p2p_host_handle(b, ECHO_PROTOCOL, &mute, NULL), 0);
    world_addr(b, addr, sizeof(addr));
    struct side side[8] = {{0}};
    for (int i = 0; i < 8; i++) {
        side[i].to_send = 150 * 1024;
        open_echo(a, addr, &side[i]);
    }
    world_run(&world, 500);
    int reset = 0;
    for (int i = 0; i < 8; i++)
        reset += side[i].closed && side[i].close_code == P2P_ERESET;
    char name[40];
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(limit, "="), limit);
    assert_int_equal(p2p_host_refusals(b, name), reset);
    if (want_reset)
        assert_in_range(reset, 1, 7);
    else
        assert_int_equal(reset, 0);
    for (int i = 0; i < 8; i++)
        if (!side[i].closed)
            p2p_stream_reset(side[i].stream, 0);
    world_run(&world, 300);
    /* What was held is free again. */
    struct side good = {.to_send = 100};
    assert_int_equal(p2p_host_handle(b, "/echo/again", &echo_events, NULL), 0);
    const char *again = "/echo/again";
    good.stream = p2p_host_open(a, addr, &again, 1, NULL, &client_events, &good);
    pump(&good);
    assert_true(world_until(&world, closed, &good, 5000));
    assert_int_equal(good.close_code, 0);
    world_fini(&world);
}

static void test_a_peers_memory_has_a_limit(void **state)
{
    memory_has_a_limit(state, "memory_per_peer=1M", true);
    memory_has_a_limit(state, "memory_per_peer=2M", false);
}

static void test_a_connections_memory_has_a_limit(void **state)
{
    memory_has_a_limit(state, "memory_per_conn=1M", true);
    memory_has_a_limit(state, "memory_per_conn=2M", false);
}

/* One peer alone has half of all memory at most. */
static void test_all_memory_has_a_limit(void **state)
{
    memory_has_a_limit(state, "memory=2M", true);
    memory_has_a_limit(state, "memory=6M", false);
}

/* Ten streams are let in by the limit, which the option sets to that, and no eleventh; one ends,
 * and there is room for another. */
static void streams_have_a_limit(void **state, const char *limit, bool ours)
{
    static const p2p_stream_events mute = {
        .size = sizeof(mute), .on_read = mute_read, .on_close = echo_close};
    const char *options[] = {limit, NULL};
    enum { ALLOWED = 10 };
    struct world world;
    struct side side[ALLOWED + 2] = {{0}};
    char addr[256], name[40];
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, ours ? options : NULL);
    p2p_host *b = world_host(&world, ours ? NULL : options), *limited = ours ? a : b;
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(limit, "="), limit);
    assert_int_equal(p2p_host_handle(b, ECHO_PROTOCOL, &mute, NULL), 0);
    world_addr(b, addr, sizeof(addr));
    for (int i = 0; i < ALLOWED + 2; i++) {
        bool one_more = i == ALLOWED;
        side[i].to_send = 1;
        open_echo(a, addr, &side[i]);
        if (i == 0)
            world_run(&world, 500); /* identify is done by then */
        else if (i >= ALLOWED - 1)
            world_run(&world, 150);
        assert_int_equal(side[i].closed, one_more);
        assert_int_equal(p2p_host_refusals(limited, name), i >= ALLOWED);
        if (one_more) {
            assert_int_equal(side[i].close_code, ours ? P2P_ELIMIT : P2P_ERESET);
            p2p_stream_reset(side[0].stream, 0);
            world_run(&world, 150);
        }
    }
    for (int i = 1; i < ALLOWED; i++)
        assert_false(side[i].closed);
    for (int i = 1; i < ALLOWED + 2; i++)
        if (!side[i].closed)
            p2p_stream_reset(side[i].stream, 0);
    world_fini(&world);
}

static void test_streams_of_a_peer_of_a_protocol_and_of_all_have_a_limit(void **state)
{
    if (!world_is_quic()) /* there no more can be opened: the eleventh waits */
        streams_have_a_limit(state, "streams_in=10", false);
    streams_have_a_limit(state, "protocol_streams=10", false);
    streams_have_a_limit(state, "streams_total=10", false);
    streams_have_a_limit(state, "streams_out=10", true);
    streams_have_a_limit(state, "streams_total=10", true);
}

/* ---- messages ---- */

struct reply {
    bool done;
    int code;
    size_t len;
    uint8_t first;
};

static void on_reply(void *user, const uint8_t *msg, size_t len, const p2p_error *why)
{
    struct reply *self = user;
    assert_false(self->done);
    self->done = true;
    self->code = why ? why->code : 0;
    self->len = len;
    self->first = len ? msg[0] : 0;
}

static bool replied(void *user)
{
    return ((struct reply *)user)->done;
}

static void serve_msg(p2p_stream *stream, void *user)
{
    const uint8_t *msg = NULL;
    size_t len = 0;
    size_t *max = user;
    int rc = p2p_msg_peek(stream, *max, &msg, &len);
    if (rc < 0)
        p2p_stream_reset(stream, 1);
    if (rc != 1)
        return;
    assert_int_equal(p2p_msg_write(stream, msg, len), 0);
    p2p_msg_consume(stream);
    p2p_stream_close_write(stream);
}

static void request_of(void **state, size_t len, size_t server_max, size_t reply_max, int want)
{
    static const p2p_stream_events server = {
        .size = sizeof(server), .on_read = serve_msg, .on_close = echo_close};
    struct pair p;
    pair_init(&p, state, &server, &server_max);
    p2p_request_opts opts = P2P_REQUEST_OPTS_INIT;
    opts.reply_max = reply_max;
    uint8_t *msg = test_malloc(len + 1);
    memset(msg, 9, len + 1);
    struct reply reply = {0};
    assert_non_null(
        p2p_host_request(p.a, p.addr, ECHO_PROTOCOL, msg, len, &opts, on_reply, &reply));
    assert_true(world_until(&p.world, replied, &reply, 5000));
    assert_int_equal(reply.code, want);
    if (want == 0) {
        assert_int_equal(reply.len, len);
        assert_int_equal(reply.first, len ? 9 : 0);
    }
    test_free(msg);
    world_fini(&p.world);
}

static void test_a_request_and_its_reply(void **state)
{
    request_of(state, 0, 100, 100, 0);
    request_of(state, 100, 100, 100, 0);
    request_of(state, 65536, 65536, 65536, 0);
}

static void test_messages_at_both_sides_of_their_limit(void **state)
{
    request_of(state, 1000, 1000, 1000, 0);
    request_of(state, 1000, 999, 1000, P2P_ERESET);
    request_of(state, 1000, 1000, 999, P2P_ETOOBIG);
}

static void test_a_request_nobody_answers_ends_at_its_deadline(void **state)
{
    static const p2p_stream_events mute = {.size = sizeof(mute), .on_close = echo_close};
    struct pair p;
    pair_init(&p, state, &mute, NULL);
    p2p_request_opts opts = P2P_REQUEST_OPTS_INIT;
    opts.timeout_ms = 300;
    struct reply reply = {0};
    p2p_host_request(p.a, p.addr, ECHO_PROTOCOL, "x", 1, &opts, on_reply, &reply);
    assert_true(world_until(&p.world, replied, &reply, 2000));
    assert_int_equal(reply.code, P2P_ETIMEDOUT);
    world_fini(&p.world);
}

/* ---- wanting ---- */

static void want_read(p2p_stream *stream, void *user)
{
    struct side *self = user;
    size_t len = 0;
    p2p_stream_peek(stream, &len);
    self->reads++;
    if (self->reads == 1) {
        assert_int_equal(p2p_stream_want(stream, 1 << 30), P2P_ELIMIT);
        assert_int_equal(p2p_stream_want(stream, 1000), 0);
        return;
    }
    assert_true(len >= 1000);
    self->got += len;
    p2p_stream_consume(stream, len);
}

static void test_wanting_more_waits_for_it(void **state)
{
    static const p2p_stream_events wants = {sizeof(wants), NULL, want_read,
                                            client_eof,    NULL, client_close};
    struct pair p;
    struct side server = {0};
    pair_init(&p, state, &wants, &server);
    const char *protocol = ECHO_PROTOCOL;
    struct side side = {0};
    side.stream = p2p_host_open(p.a, p.addr, &protocol, 1, NULL, &client_events, &side);
    uint8_t bytes[1000] = {0};
    assert_int_equal(p2p_stream_write(side.stream, bytes, 10), 10);
    world_run(&p.world, 150);
    assert_int_equal(server.reads, 1);
    assert_int_equal(p2p_stream_write(side.stream, bytes, 500), 500);
    world_run(&p.world, 150);
    assert_int_equal(server.reads, 1);
    assert_int_equal(p2p_stream_write(side.stream, bytes, 490), 490);
    world_run(&p.world, 150);
    assert_int_equal(server.got, 1000);
    world_fini(&p.world);
}

static void test_a_streams_deadline_is_absolute(void **state)
{
    struct pair p;
    pair_init(&p, state, &echo_events, NULL);
    const char *protocol = ECHO_PROTOCOL;
    struct side side = {0};
    side.stream = p2p_host_open(p.a, p.addr, &protocol, 1, NULL, &client_events, &side);
    world_run(&p.world, 250);
    assert_true(side.opened);
    p2p_stream_set_timeout(side.stream, 1000);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(p2p_stream_write(side.stream, "x", 1), 1);
        world_run(&p.world, 200); /* progress does not extend it */
    }
    assert_false(side.closed);
    assert_true(world_until(&p.world, closed, &side, 500));
    assert_int_equal(side.close_code, P2P_ETIMEDOUT);
    world_fini(&p.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_echo_of_nothing),
        BOTH(test_echo_of_one_byte),
        BOTH(test_echo_of_four_mib),
        BOTH(test_a_reset_carries_its_code),
        BOTH(test_an_unknown_protocol_is_an_error_and_the_connection_lives),
        BOTH(test_the_first_protocol_that_the_remote_has_is_taken),
        BOTH(test_a_prefix_serves_what_no_exact_name_does),
        BOTH(test_either_side_may_end_first),
        BOTH(test_a_reader_that_stops_costs_only_its_stream),
        BOTH(test_a_hundred_streams_at_once),
        BOTH(test_streams_beyond_the_protocols_limit_are_reset),
        BOTH(test_a_peers_memory_has_a_limit),
        BOTH(test_a_connections_memory_has_a_limit),
        BOTH(test_all_memory_has_a_limit),
        BOTH(test_streams_of_a_peer_of_a_protocol_and_of_all_have_a_limit),
        BOTH(test_a_request_and_its_reply),
        BOTH(test_messages_at_both_sides_of_their_limit),
        BOTH(test_a_request_nobody_answers_ends_at_its_deadline),
        BOTH(test_wanting_more_waits_for_it),
        BOTH(test_a_streams_deadline_is_absolute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

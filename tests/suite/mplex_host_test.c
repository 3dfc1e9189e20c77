/* Mplex under whole hosts, on real sockets and in the simulator. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/echo.h"

enum {
    STREAMS = 100,
    RESET_CODE = 7,
};

struct pair {
    struct world world;
    p2p_host *a, *b;
    char addr[256];
};

static void pair_init(struct pair *self, void **state, const char *a, const char *b)
{
    world_init(&self->world, kind_of(state), 1, false);
    self->a = world_host(&self->world, (const char *[]){a, NULL});
    self->b = world_host(&self->world, (const char *[]){b, NULL});
    assert_int_equal(p2p_host_handle(self->b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    world_addr(self->b, self->addr, sizeof(self->addr));
}

static void expect_muxer(struct pair *self, const char *id)
{
    for (int i = 0; i < 2; i++) {
        p2p_conn *conn = p2p_host_conn_at(i ? self->b : self->a, 0);
        assert_non_null(conn);
        assert_string_equal(p2p_conn_muxer(conn), id);
    }
}

static void expect_echo(struct pair *self, size_t bytes)
{
    struct side side = {.to_send = bytes};
    open_echo(self->a, self->addr, &side);
    assert_true(world_until(&self->world, closed, &side, 20000));
    assert_int_equal(side.close_code, 0);
    assert_false(side.check_failed);
    assert_int_equal(side.got, bytes);
}

static void test_four_mib_return(void **state)
{
    static const char *const securities[] = {"security=noise", "security=tls"};
    for (int i = 0; i < 2; i++) {
        struct pair p;
        world_init(&p.world, kind_of(state), 1, false);
        const char *const options[] = {"muxer=mplex", securities[i], NULL};
        p.a = world_host(&p.world, options);
        p.b = world_host(&p.world, options);
        assert_int_equal(p2p_host_handle(p.b, ECHO_PROTOCOL, &echo_events, NULL), 0);
        world_addr(p.b, p.addr, sizeof(p.addr));
        expect_echo(&p, 4 << 20);
        expect_muxer(&p, "/mplex/6.7.0");
        world_fini(&p.world);
    }
}

struct sides {
    struct side side[2 * STREAMS];
};

static bool all_closed(void *user)
{
    struct sides *self = user;
    for (int i = 0; i < 2 * STREAMS; i++)
        if (!self->side[i].closed)
            return false;
    return true;
}

/* Both hosts give out the same ids. */
static void test_a_hundred_streams_each_way(void **state)
{
    struct pair p;
    char back[256];
    struct sides *all = calloc(1, sizeof(*all));
    assert_non_null(all);
    const char *const options[] = {"muxer=mplex", "streams_per_protocol=100", NULL};
    world_init(&p.world, kind_of(state), 1, false);
    p.a = world_host(&p.world, options);
    p.b = world_host(&p.world, options);
    assert_int_equal(p2p_host_handle(p.a, ECHO_PROTOCOL, &echo_events, NULL), 0);
    assert_int_equal(p2p_host_handle(p.b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    world_addr(p.a, back, sizeof(back));
    world_addr(p.b, p.addr, sizeof(p.addr));
    expect_echo(&p, 1);
    for (size_t i = 0; i < 2 * STREAMS; i++) {
        all->side[i].to_send = i * 400;
        open_echo(i % 2 ? p.a : p.b, i % 2 ? p.addr : back, &all->side[i]);
    }
    assert_true(world_until(&p.world, all_closed, all, 20000));
    for (size_t i = 0; i < 2 * STREAMS; i++) {
        assert_int_equal(all->side[i].close_code, 0);
        assert_int_equal(all->side[i].got, i * 400);
        assert_false(all->side[i].check_failed);
    }
    assert_null(p2p_host_conn_at(p.a, 1));
    world_fini(&p.world);
    free(all);
}

/* ---- a handler that resets, one that never reads ---- */

static void reset_read(p2p_stream *stream, void *user)
{
    (void)user;
    p2p_stream_reset(stream, RESET_CODE);
}

static const p2p_stream_events reset_events = {
    .size = sizeof(reset_events), .on_read = reset_read, .on_close = echo_close};

static void test_a_reset_ends_one_stream(void **state)
{
    struct pair p;
    const char *protocol = "/test/reset/1";
    pair_init(&p, state, "muxer=mplex", "muxer=mplex");
    assert_int_equal(p2p_host_handle(p.b, protocol, &reset_events, NULL), 0);
    struct side side = {.to_send = 100000}, other = {.to_send = 200000};
    open_echo(p.a, p.addr, &other);
    side.stream = p2p_host_open(p.a, p.addr, &protocol, 1, NULL, &client_events, &side);
    assert_non_null(side.stream);
    pump(&side);
    assert_true(world_until(&p.world, closed, &side, 20000));
    assert_int_equal(side.close_code, P2P_ERESET);
    /* Mplex has no place for a code. */
    assert_int_equal(side.remote_code, 0);
    assert_true(world_until(&p.world, closed, &other, 20000));
    assert_int_equal(other.close_code, 0);
    assert_int_equal(other.got, 200000);
    expect_muxer(&p, "/mplex/6.7.0");
    world_fini(&p.world);
}

struct sloth {
    bool over;
    int code;
    char limit[32];
};

static void sloth_read(p2p_stream *stream, void *user)
{
    (void)stream, (void)user;
}

static void sloth_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct sloth *self = user;
    (void)stream;
    self->over = true;
    self->code = why ? why->code : 0;
    snprintf(self->limit, sizeof(self->limit), "%s", why && why->limit ? why->limit : "");
}

static const p2p_stream_events sloth_events = {
    .size = sizeof(sloth_events), .on_read = sloth_read, .on_close = sloth_close};

static void test_M03_a_slow_reader_loses_its_stream_and_no_other(void **state)
{
    struct pair p;
    const char *protocol = "/test/sloth/1";
    struct sloth sloth = {0};
    pair_init(&p, state, "muxer=mplex", "muxer=mplex");
    assert_int_equal(p2p_host_handle(p.b, protocol, &sloth_events, &sloth), 0);
    struct side side = {.to_send = 64 << 20}, other = {.to_send = 1 << 20};
    side.stream = p2p_host_open(p.a, p.addr, &protocol, 1, NULL, &client_events, &side);
    assert_non_null(side.stream);
    pump(&side);
    open_echo(p.a, p.addr, &other);
    assert_true(world_until(&p.world, closed, &side, 20000));
    assert_int_equal(side.close_code, P2P_ERESET);
    assert_true(side.sent < 32 << 20);
    assert_true(sloth.over);
    assert_int_equal(sloth.code, P2P_ELIMIT);
    assert_string_equal(sloth.limit, "mplex_unread");
    assert_true(world_until(&p.world, closed, &other, 20000));
    assert_int_equal(other.close_code, 0);
    assert_int_equal(other.got, 1 << 20);
    expect_echo(&p, 1000);
    world_fini(&p.world);
}

/* ---- which muxer ---- */

static void test_yamux_unless_asked_for(void **state)
{
    struct pair p;
    pair_init(&p, state, "muxer=yamux,mplex", "security=noise");
    expect_echo(&p, 1000);
    expect_muxer(&p, "/yamux/1.0.0");
    world_fini(&p.world);
    pair_init(&p, state, "muxer=mplex", "security=noise");
    struct side side = {.to_send = 1};
    open_echo(p.a, p.addr, &side);
    assert_true(world_until(&p.world, closed, &side, 20000));
    assert_int_equal(side.close_code, P2P_ENOMUXER);
    world_fini(&p.world);
}

static void test_the_dialers_order_decides(void **state)
{
    struct pair p;
    pair_init(&p, state, "muxer=mplex,yamux", "muxer=yamux,mplex");
    expect_echo(&p, 1000);
    expect_muxer(&p, "/mplex/6.7.0");
    world_fini(&p.world);
    pair_init(&p, state, "muxer=yamux,mplex", "muxer=mplex");
    expect_echo(&p, 1000);
    expect_muxer(&p, "/mplex/6.7.0");
    world_fini(&p.world);
}

static bool both_gone(void *user)
{
    struct pair *p = user;
    return !p2p_host_conn_at(p->a, 0) && !p2p_host_conn_at(p->b, 0);
}

static void test_closing_is_orderly(void **state)
{
    struct pair p;
    pair_init(&p, state, "muxer=mplex", "muxer=mplex");
    expect_echo(&p, 10);
    p2p_conn_close(p2p_host_conn_at(p.a, 0));
    assert_true(world_until(&p.world, both_gone, &p, 900));
    world_fini(&p.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_four_mib_return),
        BOTH(test_a_hundred_streams_each_way),
        BOTH(test_a_reset_ends_one_stream),
        BOTH(test_M03_a_slow_reader_loses_its_stream_and_no_other),
        BOTH(test_yamux_unless_asked_for),
        BOTH(test_the_dialers_order_decides),
        BOTH(test_closing_is_orderly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

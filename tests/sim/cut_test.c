/* A link that is cut after the n-th byte, for every n of a dial and an echo, in each direction and
 * each way to break: one last callback for every handle, no clean end of what was not whole, and
 * silence ends by deadlines. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/echo.h"
#include "tests/web_options.h"

enum {
    ECHO_BYTES = 200,
    EXCHANGE_MAX = 5000, /* bytes of a direction: more than the exchange has */
    PAST_THE_END = 50,   /* clean runs after which no later byte can matter */
    /* Dialing takes ten seconds at most; an open connection is pinged after 30 s of silence and
     * given up 10 s later. */
    DEADLINE_MS = 45 * 1000,
};

struct counts {
    int connected, disconnected, opened, closed;
};

static void on_connected(p2p_host *host, p2p_conn *conn, void *user)
{
    (void)host, (void)conn;
    ((struct counts *)user)->connected++;
}

static void on_disconnected(p2p_host *host, p2p_conn *conn, const p2p_error *why, void *user)
{
    (void)host, (void)conn;
    assert_non_null(why);
    assert_true(why->code < 0);
    ((struct counts *)user)->disconnected++;
}

static const p2p_host_events counting_events = {
    .size = sizeof(counting_events),
    .on_connected = on_connected,
    .on_disconnected = on_disconnected,
};

struct server {
    struct counts counts;
    size_t got;
    bool eof;
};

static void server_open(p2p_stream *stream, void *user)
{
    (void)stream;
    ((struct server *)user)->counts.opened++;
}

static void server_read(p2p_stream *stream, void *user)
{
    struct server *self = user;
    size_t len = 0;
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(bytes[i], pattern(self->got + i));
    self->got += len;
    assert_int_equal(p2p_stream_write(stream, bytes, len), len);
    p2p_stream_consume(stream, len);
}

static void server_eof(p2p_stream *stream, void *user)
{
    struct server *self = user;
    self->eof = true;
    assert_int_equal(self->got, ECHO_BYTES);
    p2p_stream_close_write(stream);
}

static void server_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    struct server *self = user;
    (void)stream;
    self->counts.closed++;
    if (!why)
        assert_true(self->eof);
}

static const p2p_stream_events server_events = {
    .size = sizeof(server_events),
    .on_open = server_open,
    .on_read = server_read,
    .on_eof = server_eof,
    .on_close = server_close,
};

static bool is_sensible(int code, enum p2p_sim_cut how)
{
    if (code == P2P_ETIMEDOUT)
        return how != P2P_SIM_CUT_RESET;
    return how != P2P_SIM_CUT_SILENT && (code == P2P_ECONN || code == P2P_EHANDSHAKE ||
                                         code == P2P_ETRUNCATED || code == P2P_ERESET);
}

/* What the hosts listen on and dial over, and the options that it takes. */
struct over {
    const char *over;
    int step; /* cut after every so many bytes */
    const char *options[8];
};

/* True: the echo was whole. */
static bool exchange(const struct over *over, enum p2p_sim_direction direction,
                     enum p2p_sim_cut how, uint64_t after_bytes)
{
    struct world world;
    struct counts counts = {0};
    struct server server = {0};
    struct side side = {.to_send = ECHO_BYTES};
    char addr[256];
    world_init(&world, WORLD_SIM, 1, true);
    world.over = over->over;
    p2p_host *a = world_host(&world, over->options), *b = world_host(&world, over->options);
    p2p_host_set_events(a, &counting_events, &counts);
    p2p_host_set_events(b, &counting_events, &server.counts);
    assert_int_equal(p2p_host_handle(b, ECHO_PROTOCOL, &server_events, &server), 0);
    assert_int_equal(p2p_sim_cut_next(world.sim, direction, after_bytes, how), 0);
    open_echo(a, world_addr(b, addr, sizeof(addr)), &side);
    assert_true(world_until(&world, closed, &side, DEADLINE_MS));
    if (side.close_code == 0) {
        assert_true(side.eof && side.opened);
        assert_int_equal(side.got, ECHO_BYTES);
    } else if (!is_sensible(side.close_code, how)) {
        fail_msg("cut %d after %d bytes in direction %d: code %d, %s", (int)how, (int)after_bytes,
                 (int)direction, side.close_code, side.message);
    }
    assert_false(side.check_failed);
    world_run(&world, DEADLINE_MS); /* the other side hears, or notices, as well */
    bool broken = side.close_code != 0;
    if (broken)
        assert_int_equal(server.counts.opened, server.counts.closed);
    world_fini(&world);
    assert_int_equal(server.counts.opened, server.counts.closed);
    assert_int_equal(counts.connected, counts.disconnected);
    assert_int_equal(server.counts.connected, server.counts.disconnected);
    return !broken;
}

static void every_byte_over(const struct over *over, enum p2p_sim_cut how)
{
    for (int direction = 0; direction < 2; direction++) {
        int whole = 0, broken = 0;
        for (int n = 0; n < EXCHANGE_MAX && whole * over->step < PAST_THE_END; n += over->step) {
            if (exchange(over, (enum p2p_sim_direction)direction, how, (uint64_t)n)) {
                whole++;
            } else {
                whole = 0;
                broken++;
            }
        }
        assert_true(whole * over->step >= PAST_THE_END);
        assert_true(broken * over->step > 300); /* a handshake, a negotiation, and the echo */
    }
}

static void every_byte(enum p2p_sim_cut how)
{
    const struct over tcp = {NULL, 1, {"services=", NULL}};
    every_byte_over(&tcp, how);
}

static void test_a_reset_after_every_byte(void **state)
{
    (void)state;
    every_byte(P2P_SIM_CUT_RESET);
}

static void test_silence_after_every_byte(void **state)
{
    (void)state;
    every_byte(P2P_SIM_CUT_SILENT);
}

static void test_half_open_after_every_byte(void **state)
{
    (void)state;
    every_byte(P2P_SIM_CUT_HALF_OPEN);
}

static void test_websocket_after_every_byte(void **state)
{
    const struct over ws = {"/ws", 1, {"services=", NULL}};
    (void)state;
    every_byte_over(&ws, P2P_SIM_CUT_RESET);
    every_byte_over(&ws, P2P_SIM_CUT_HALF_OPEN);
}

static void test_secure_websocket_after_many_a_byte(void **state)
{
    struct web_options web;
    (void)state;
    web_options_init(&web);
    const struct over wss = {
        WEB_OVER, 11, {"services=", web.text[0], web.text[1], web.text[2], NULL}};
    every_byte_over(&wss, P2P_SIM_CUT_RESET);
    every_byte_over(&wss, P2P_SIM_CUT_HALF_OPEN);
    web_options_fini(&web);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reset_after_every_byte),
        cmocka_unit_test(test_silence_after_every_byte),
        cmocka_unit_test(test_half_open_after_every_byte),
        cmocka_unit_test(test_websocket_after_every_byte),
        cmocka_unit_test(test_secure_websocket_after_many_a_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* X07: the n-th allocation fails, for every n, once and from then on: nothing crashes, nothing
 * leaks, every handle hears its end, and what is said to have worked has worked. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/echo.h"
#include "tests/scarce_memory.h"
#include "tests/web_options.h"

/* ---- a scene that survives what it is told ---- */

enum {
    SIDES = 20,
    OPS = 4,
    LATER_MS = 60 * 1000,
};

struct op {
    p2p_op *op;
    int ended, code;
    size_t len;
};

struct scene {
    struct world world;
    p2p_host *a, *b;
    char addr[256];
    struct side side[SIDES];
    size_t sides, ops;
    struct op op[OPS];
    int connected, disconnected, served, served_ends;
};

static void on_connected(p2p_host *host, p2p_conn *conn, void *user)
{
    (void)host, (void)conn;
    ((struct scene *)user)->connected++;
}

static void on_disconnected(p2p_host *host, p2p_conn *conn, const p2p_error *why, void *user)
{
    (void)host, (void)conn;
    assert_non_null(why);
    ((struct scene *)user)->disconnected++;
}

static const p2p_host_events host_events = {
    .size = sizeof(host_events),
    .on_connected = on_connected,
    .on_disconnected = on_disconnected,
};

static void serve_open(p2p_stream *stream, void *user)
{
    (void)stream;
    ((struct scene *)user)->served++;
}

/* Echoes as far as there is memory. */
static void serve_read(p2p_stream *stream, void *user)
{
    size_t len = 0;
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    int64_t took = len ? p2p_stream_write(stream, bytes, len) : 0;
    (void)user;
    if (took < 0)
        p2p_stream_reset(stream, 1);
    else
        p2p_stream_consume(stream, (size_t)took);
}

static void serve_eof(p2p_stream *stream, void *user)
{
    serve_read(stream, user);
    p2p_stream_close_write(stream);
}

static void serve_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream, (void)why;
    ((struct scene *)user)->served_ends++;
}

static const p2p_stream_events serve_events = {
    .size = sizeof(serve_events),
    .on_open = serve_open,
    .on_read = serve_read,
    .on_eof = serve_eof,
    .on_drain = serve_read,
    .on_close = serve_close,
};

static void op_done(void *user, const p2p_error *why)
{
    struct op *self = user;
    self->ended++;
    self->code = why ? why->code : 0;
}

static void op_reply(void *user, const uint8_t *msg, size_t len, const p2p_error *why)
{
    if (!why)
        assert_true(len == 5 && memcmp(msg, "hello", 5) == 0);
    op_done(user, why);
}

static struct op *op_next(struct scene *self)
{
    return &self->op[self->ops++];
}

static void open_side(struct scene *self, size_t bytes)
{
    const char *protocol = ECHO_PROTOCOL;
    struct side *side = &self->side[self->sides];
    *side = (struct side){.to_send = bytes};
    side->stream = p2p_host_open(self->a, self->addr, &protocol, 1, NULL, &client_events, side);
    if (!side->stream)
        return;
    self->sides++;
    /* A write that found no memory is not tried again: the test ends it. */
    pump(side);
    if (side->sent < side->to_send)
        p2p_stream_set_timeout(side->stream, 5000);
}

static void later(struct scene *self, int ms)
{
    world_run(&self->world, ms);
}

/* ---- flows ---- */

static void flow_hosts(struct scene *self)
{
    p2p_config *config = p2p_config_new();
    p2p_error *err = NULL;
    p2p_host *host = NULL;
    p2p_multiaddr addr;
    char ip[64], text[100], why[200];
    p2p_io *io = p2p_sim_host(self->world.sim, NULL, 0);
    if (!io || !config) {
        p2p_config_free(config);
        if (io)
            p2p_io_free(io);
        return;
    }
    assert_int_equal(p2p_sim_address(io, 0, ip, sizeof(ip)), 0);
    snprintf(text, sizeof(text), "/ip4/%s/tcp/1", ip);
    int rc = p2p_config_set(config, "listen", text, why, sizeof(why));
    assert_true(rc == 0 || rc == P2P_ENOMEM);
    rc = p2p_config_set_key(config, p2p_host_key(self->a));
    assert_true(rc == 0 || rc == P2P_ENOMEM);
    rc = p2p_host_new(config, io, &host, &err);
    assert_int_equal(rc == 0, host != NULL);
    assert_true(rc == 0 || !err || err->code == rc);
    p2p_error_free(err);
    p2p_config_free(config);
    if (!host) {
        p2p_io_free(io);
        return;
    }
    snprintf(text, sizeof(text), "/ip4/%s/tcp/2", ip);
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    rc = p2p_host_listen(host, &addr, NULL);
    (void)p2p_host_handle(host, ECHO_PROTOCOL, &serve_events, self);
    (void)p2p_host_add_addr(host, p2p_host_peer(self->b), &addr, -1);
    later(self, 1000);
    struct op *op = op_next(self);
    op->op = (p2p_op *)host;
    p2p_host_close(host, op_done, op);
    later(self, 5000);
    assert_int_equal(op->ended, 1);
    p2p_io_free(io);
}

static void flow_echo(struct scene *self)
{
    open_side(self, 1000);
    later(self, LATER_MS);
}

static void flow_large_echo(struct scene *self)
{
    open_side(self, 400000);
    later(self, LATER_MS);
}

static void flow_many(struct scene *self)
{
    for (int i = 0; i < SIDES; i++)
        open_side(self, 100);
    later(self, LATER_MS);
}

static void flow_request(struct scene *self)
{
    struct op *op = op_next(self);
    op->op = p2p_host_request(self->a, self->addr, ECHO_PROTOCOL, "hello", 5, NULL, op_reply, op);
    later(self, LATER_MS);
}

static void flow_ops(struct scene *self)
{
    for (int i = 0; i < 2; i++) {
        struct op *op = op_next(self);
        op->op = p2p_host_after(self->a, 1000, op_done, op);
        if (op->op && i == 1)
            p2p_op_cancel(op->op);
    }
    struct op *op = op_next(self);
    op->op = p2p_host_connect(self->a, self->addr, NULL, op_done, op);
    later(self, LATER_MS);
    if (!memory.failed)
        assert_int_equal(op->code, 0);
}

static void flow_conn_close(struct scene *self)
{
    open_side(self, 100);
    later(self, 500);
    p2p_conn *conn = p2p_host_conn_at(self->a, 0);
    if (conn) {
        open_side(self, 100);
        p2p_conn_close(conn);
    }
    later(self, LATER_MS);
}

/* ---- one run ---- */

/* What the hosts listen on and dial over, and the options that it takes besides. */
static const char *over;
static struct web_options *web;
static bool quic;

static void scene_init(struct scene *self, bool identify)
{
    const char *bare[] = {"services=", web ? web->text[0] : NULL, web ? web->text[1] : NULL,
                          web ? web->text[2] : NULL, NULL};
    *self = (struct scene){0};
    world_init(&self->world, WORLD_SIM, 1, true);
    self->world.over = over;
    self->world.quic = quic;
    self->a = world_host(&self->world, identify ? NULL : bare);
    self->b = world_host(&self->world, identify ? NULL : bare);
    world_addr(self->b, self->addr, sizeof(self->addr));
    p2p_host_set_events(self->a, &host_events, self);
    p2p_host_set_events(self->b, &host_events, self);
    assert_int_equal(p2p_host_handle(self->b, ECHO_PROTOCOL, &serve_events, self), 0);
    later(self, 1000);
}

static void scene_fini(struct scene *self)
{
    world_fini(&self->world);
    for (size_t i = 0; i < self->sides; i++) {
        const struct side *side = &self->side[i];
        assert_true(side->closed);
        assert_false(side->check_failed);
        if (side->close_code == 0)
            assert_true(side->eof && side->got == side->to_send);
    }
    for (size_t i = 0; i < self->ops; i++)
        assert_int_equal(self->op[i].ended, self->op[i].op != NULL);
    assert_int_equal(self->connected, self->disconnected);
    assert_int_equal(self->served, self->served_ends);
}

/* Fails the n-th allocation of the flow; false: there are not that many. */
static bool run(void (*flow)(struct scene *), bool identify, size_t n, bool for_ever)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    long before = memory.blocks;
    scene_init(scene, identify);
    memory_fail_after(n, for_ever);
    flow(scene);
    bool failed = memory.failed;
    scene_fini(scene); /* closing, too, while there is none */
    memory_fail_no_more();
    if (!failed)
        for (size_t i = 0; i < scene->sides; i++)
            assert_true(scene->side[i].close_code == 0 || flow == flow_conn_close);
    free(scene);
    if (memory.blocks != before)
        fail_msg("%ld blocks are lost after allocation %zu failed%s", memory.blocks - before, n,
                 for_ever ? " and all later ones" : "");
    return failed;
}

static void every_allocation(void (*flow)(struct scene *), bool identify, size_t at_least)
{
    for (int for_ever = 0; for_ever < 2; for_ever++) {
        size_t n = 0;
        while (run(flow, identify, n, for_ever))
            n++;
        assert_true(n >= at_least);
    }
}

static void test_X07_hosts(void **state)
{
    (void)state;
    every_allocation(flow_hosts, true, 20);
}

static void test_X07_dial_and_echo(void **state)
{
    (void)state;
    every_allocation(flow_echo, false, 30);
}

static void test_X07_a_large_echo(void **state)
{
    (void)state;
    every_allocation(flow_large_echo, false, 60);
}

static void test_X07_many_streams(void **state)
{
    (void)state;
    every_allocation(flow_many, false, 100);
}

static void test_X07_request(void **state)
{
    (void)state;
    every_allocation(flow_request, false, 30);
}

static void test_X07_operations(void **state)
{
    (void)state;
    every_allocation(flow_ops, false, 20);
}

static void test_X07_closing_a_connection(void **state)
{
    (void)state;
    every_allocation(flow_conn_close, false, 30);
}

static void test_X07_identify(void **state)
{
    (void)state;
    every_allocation(flow_ops, true, 40);
}

static void test_X07_websocket(void **state)
{
    (void)state;
    over = "/ws";
    every_allocation(flow_echo, false, 40);
    over = NULL;
}

static void test_X07_secure_websocket(void **state)
{
    struct web_options options;
    (void)state;
    web_options_init(&options);
    web = &options;
    over = WEB_OVER;
    every_allocation(flow_echo, false, 50);
    web = NULL;
    over = NULL;
    web_options_fini(&options);
}

#ifdef P2P_QUIC
/* Ours and ngtcp2's; GnuTLS has an allocator of its own. */
static void test_X07_quic(void **state)
{
    (void)state;
    quic = true;
    every_allocation(flow_echo, false, 80);
    every_allocation(flow_many, false, 120);
    every_allocation(flow_conn_close, false, 80);
    quic = false;
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_X07_hosts),
        cmocka_unit_test(test_X07_dial_and_echo),
        cmocka_unit_test(test_X07_a_large_echo),
        cmocka_unit_test(test_X07_many_streams),
        cmocka_unit_test(test_X07_request),
        cmocka_unit_test(test_X07_operations),
        cmocka_unit_test(test_X07_closing_a_connection),
        cmocka_unit_test(test_X07_identify),
        cmocka_unit_test(test_X07_websocket),
        cmocka_unit_test(test_X07_secure_websocket),
#ifdef P2P_QUIC
        cmocka_unit_test(test_X07_quic),
#endif
    };
    memory_watch();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

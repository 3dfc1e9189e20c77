/* What a host logs, as its application gets it. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/echo.h"

struct lines {
    char text[20][300], noun[20][20];
    p2p_log_level level[20];
    int count;
};

static void on_log(p2p_host *host, p2p_log_level level, const char *noun, const char *text,
                   void *user)
{
    struct lines *self = user;
    (void)host;
    assert_true(self->count < 20);
    snprintf(self->text[self->count], sizeof(self->text[0]), "%s", text);
    snprintf(self->noun[self->count], sizeof(self->noun[0]), "%s", noun);
    self->level[self->count++] = level;
}

static const p2p_host_events events = {.size = sizeof(events), .on_log = on_log};

/* How many lines of that noun and level have these words. */
static int said(const struct lines *self, const char *noun, p2p_log_level level, const char *words)
{
    int count = 0;
    for (int i = 0; i < self->count; i++)
        count += strcmp(self->noun[i], noun) == 0 && self->level[i] == level &&
                 strstr(self->text[i], words);
    return count;
}

static void run(void **state, const char *option, struct lines *lines)
{
    struct world world;
    struct side side = {.to_send = 10}, lost = side;
    char addr[256], peer[P2P_PEER_ID_TEXT_MAX], nowhere[256];
    *lines = (struct lines){.count = 0};
    world_init(&world, kind_of(state), 1, false);
    p2p_host *a = world_host(&world, (const char *[]){option, "conns_per_peer=1", NULL});
    p2p_host *b = world_host(&world, NULL);
    p2p_host_set_events(a, &events, lines);
    assert_int_equal(p2p_host_handle(b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    open_echo(a, world_addr(b, addr, sizeof(addr)), &side);
    assert_true(world_until(&world, closed, &side, 5000));
    p2p_conn_close(p2p_host_conn_at(a, 0));
    world_run(&world, 1500);
    assert_true(p2p_peer_id_format(p2p_host_peer(b), peer, sizeof(peer)) > 0);
    snprintf(nowhere, sizeof(nowhere), "/ip4/127.0.0.1/tcp/1/p2p/%s", peer);
    open_echo(a, nowhere, &lost);
    assert_true(world_until(&world, closed, &lost, 5000));
    world_fini(&world);
}

static void test_what_an_operator_needs(void **state)
{
    struct lines lines;
    run(state, "log=info", &lines);
    assert_int_equal(said(&lines, "listen", P2P_LOG_INFO, "listening on /ip4/"),
                     2); /* and no longer */
    assert_int_equal(said(&lines, "conn", P2P_LOG_INFO, "1 opened to /ip4/"), 1);
    assert_int_equal(said(&lines, "conn", P2P_LOG_INFO, "1 closed to /ip4/"), 1);
    assert_int_equal(said(&lines, "dial", P2P_LOG_INFO, "/ip4/127.0.0.1/tcp/1 failed: "), 1);
    assert_int_equal(lines.count, 5);
}

static void test_one_noun_alone_and_silence(void **state)
{
    struct lines lines;
    run(state, "log=off,dial=debug", &lines);
    assert_int_equal(said(&lines, "dial", P2P_LOG_INFO, "failed"), 1);
    assert_int_equal(lines.count, 1);
    run(state, "log=off", &lines);
    assert_int_equal(lines.count, 0);
    run(state, "agent=x", &lines); /* by default, nothing of what is usual */
    assert_int_equal(lines.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_what_an_operator_needs),
        BOTH(test_one_noun_alone_and_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

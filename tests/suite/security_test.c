/* Secure channels under whole hosts, on real sockets and in the simulator. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/echo.h"

struct pair {
    struct world world;
    p2p_host *a, *b;
    char addr[256];
};

static void pair_init(struct pair *self, void **state, const char *a, const char *b)
{
    char option[2][64];
    snprintf(option[0], sizeof(option[0]), "security=%s", a);
    snprintf(option[1], sizeof(option[1]), "security=%s", b);
    world_init(&self->world, kind_of(state), 1, false);
    self->a = world_host(&self->world, (const char *[]){option[0], NULL});
    self->b = world_host(&self->world, (const char *[]){option[1], NULL});
    assert_int_equal(p2p_host_handle(self->b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    world_addr(self->b, self->addr, sizeof(self->addr));
}

static void echo_over(void **state, const char *a, const char *b, const char *expected,
                      size_t bytes)
{
    struct pair p;
    pair_init(&p, state, a, b);
    struct side side = {.to_send = bytes};
    open_echo(p.a, p.addr, &side);
    assert_true(world_until(&p.world, closed, &side, 20000));
    assert_int_equal(side.close_code, 0);
    assert_false(side.check_failed);
    assert_int_equal(side.got, bytes);
    for (int i = 0; i < 2; i++) {
        p2p_conn *conn = p2p_host_conn_at(i ? p.b : p.a, 0);
        assert_non_null(conn);
        assert_string_equal(p2p_conn_security(conn), expected);
        assert_string_equal(p2p_conn_muxer(conn), "/yamux/1.0.0");
    }
    world_fini(&p.world);
}

static void test_tls_carries_four_mib(void **state)
{
    echo_over(state, "tls", "tls", "/tls/1.0.0", 4 << 20);
}

static void test_the_dialers_order_decides(void **state)
{
    echo_over(state, "tls,noise", "noise,tls", "/tls/1.0.0", 1000);
    echo_over(state, "noise,tls", "tls,noise", "/noise", 1000);
}

static void test_the_second_choice_will_do(void **state)
{
    echo_over(state, "noise,tls", "tls", "/tls/1.0.0", 1000);
    echo_over(state, "tls,noise", "noise", "/noise", 1000);
    echo_over(state, "tls", "noise,tls", "/tls/1.0.0", 1000);
}

static void test_no_common_channel(void **state)
{
    struct pair p;
    pair_init(&p, state, "tls", "noise");
    struct side side = {.to_send = 1};
    open_echo(p.a, p.addr, &side);
    assert_true(world_until(&p.world, closed, &side, 20000));
    assert_int_equal(side.close_code, P2P_ENOSECURITY);
    world_fini(&p.world);
}

static void test_T12_another_peer_than_dialed(void **state)
{
    struct pair p;
    char addr[256];
    pair_init(&p, state, "tls", "tls");
    /* B's address, with A's name on it. */
    char *name = strstr(p.addr, "/p2p/");
    snprintf(addr, sizeof(addr), "%.*s/p2p/12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv",
             (int)(name - p.addr), p.addr);
    struct side side = {.to_send = 1};
    open_echo(p.a, addr, &side);
    assert_true(world_until(&p.world, closed, &side, 20000));
    assert_int_equal(side.close_code, P2P_EPEERID);
    assert_non_null(strstr(side.message, name + 5));
    world_run(&p.world, 100);
    assert_null(p2p_host_conn_at(p.a, 0));
    assert_null(p2p_host_conn_at(p.b, 0));
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
    pair_init(&p, state, "tls", "tls");
    struct side side = {.to_send = 10};
    open_echo(p.a, p.addr, &side);
    assert_true(world_until(&p.world, closed, &side, 20000));
    assert_int_equal(side.close_code, 0);
    p2p_conn_close(p2p_host_conn_at(p.a, 0));
    assert_true(world_until(&p.world, both_gone, &p, 900));
    world_fini(&p.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_tls_carries_four_mib),         BOTH(test_the_dialers_order_decides),
        BOTH(test_the_second_choice_will_do),    BOTH(test_no_common_channel),
        BOTH(test_T12_another_peer_than_dialed), BOTH(test_closing_is_orderly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Secure channels under whole hosts, on real sockets and in the simulator. */
#define _GNU_SOURCE
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
        assert_int_equal(p2p_conn_protection(conn),
                         strstr(expected, "plaintext") ? P2P_PROTECTION_NONE
                         : strstr(expected, "signed")  ? P2P_PROTECTION_SIGNED
                                                       : P2P_PROTECTION_FULL);
    }
    world_fini(&p.world);
}

static void test_tls_carries_four_mib(void **state)
{
    echo_over(state, "tls", "tls", "/tls/1.0.0", 4 << 20);
}

static void test_a_signed_channel_carries_four_mib(void **state)
{
    echo_over(state, "signed", "noise,signed", "/libp2p-c/signed/1.0.0", 4 << 20);
}

static void test_plaintext_carries_four_mib(void **state)
{
    echo_over(state, "plaintext", "plaintext", "/plaintext/2.0.0", 4 << 20);
}

static void test_S11_clear_channels_are_off_unless_asked_for(void **state)
{
    static const char *const clear[] = {"signed", "plaintext"};
    for (int i = 0; i < 2; i++) {
        struct pair p;
        pair_init(&p, state, clear[i], "noise");
        struct side side = {.to_send = 1};
        open_echo(p.a, p.addr, &side);
        assert_true(world_until(&p.world, closed, &side, 20000));
        assert_int_equal(side.close_code, P2P_ENOSECURITY);
        world_fini(&p.world);
    }
}

/* Whoever holds the wire can answer `na` to the better channel: multistream-select is in the clear.
 */
static void test_S11_a_dialer_never_goes_on_with_less_protection(void **state)
{
    static const char *const pairs[][2] = {{"noise,plaintext", "plaintext"},
                                           {"noise,signed", "signed"},
                                           {"noise,plaintext,tls,signed", "signed,plaintext"},
                                           {"signed,plaintext", "plaintext"},
                                           {"plaintext,noise,signed", "signed"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        struct pair p;
        pair_init(&p, state, pairs[i][0], pairs[i][1]);
        struct side side = {.to_send = 1};
        open_echo(p.a, p.addr, &side);
        assert_true(world_until(&p.world, closed, &side, 20000));
        assert_int_equal(side.close_code, P2P_ENOSECURITY);
        assert_int_equal(side.got, 0);
        world_fini(&p.world);
    }
    echo_over(state, "plaintext,noise", "noise", "/noise", 1000);
    echo_over(state, "plaintext,signed,tls", "tls", "/tls/1.0.0", 1000);
    echo_over(state, "noise,plaintext,tls", "plaintext,tls", "/tls/1.0.0", 1000);
    echo_over(state, "plaintext", "noise,plaintext", "/plaintext/2.0.0", 1000);
}

/* ---- private networks ---- */

static void psk_file(char *out, size_t out_cap, char digit)
{
    snprintf(out, out_cap, "psk=/tmp/p2p-psk-%c-XXXXXX", digit);
    int fd = mkstemp(out + 4);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    fputs("/key/swarm/psk/1.0.0/\n/base16/\n", file);
    for (int i = 0; i < 64; i++)
        fputc(digit, file);
    fputc('\n', file);
    fclose(file);
}

static void private_echo(void **state, const char *security, bool ws, char a, char b, int want)
{
    struct world world;
    char psk[2][64], option[64], addr[256];
    psk_file(psk[0], sizeof(psk[0]), a);
    psk_file(psk[1], sizeof(psk[1]), b);
    snprintf(option, sizeof(option), "security=%s", security);
    world_init(&world, kind_of(state), 1, false);
    world.over = ws ? "/ws" : NULL;
    p2p_host *one = world_host(&world, (const char *[]){option, psk[0], NULL});
    p2p_host *two = world_host(&world, (const char *[]){option, psk[1], NULL});
    assert_int_equal(p2p_host_handle(two, ECHO_PROTOCOL, &echo_events, NULL), 0);
    struct side side = {.to_send = 1 << 20};
    open_echo(one, world_addr(two, addr, sizeof(addr)), &side);
    assert_true(world_until(&world, closed, &side, 20000));
    if (want == 0) {
        assert_int_equal(side.close_code, 0);
        assert_int_equal(side.got, 1 << 20);
        assert_false(side.check_failed);
    } else {
        assert_int_not_equal(side.close_code, 0);
        assert_int_equal(side.got, 0);
    }
    world_fini(&world);
    remove(psk[0] + 4);
    remove(psk[1] + 4);
}

static void test_a_private_network_under_every_channel(void **state)
{
    private_echo(state, "noise", false, '1', '1', 0);
    private_echo(state, "tls", false, '1', '1', 0);
    private_echo(state, "signed", false, 'a', 'a', 0);
    private_echo(state, "plaintext", false, 'a', 'a', 0);
}

static void test_a_private_network_inside_of_websocket(void **state)
{
    private_echo(state, "noise", true, '1', '1', 0);
    private_echo(state, "tls", true, '1', '1', 0);
    private_echo(state, "plaintext", true, 'a', 'a', 0);
    private_echo(state, "noise", true, '1', '2', 1);
}

static void test_F08_another_networks_key_meets_nobody(void **state)
{
    private_echo(state, "noise", false, '1', '2', 1);
}

static void test_F10_forced_private_without_a_key_is_an_error(void **state)
{
    (void)state;
    p2p_host *host = NULL;
    p2p_error *err = NULL;
    p2p_io *io = p2p_io_poll();
    setenv("LIBP2P_FORCE_PNET", "1", 1);
    assert_int_equal(p2p_host_new(NULL, io, &host, &err), P2P_EDENIED);
    unsetenv("LIBP2P_FORCE_PNET");
    assert_null(host);
    assert_non_null(strstr(err->message, "LIBP2P_FORCE_PNET"));
    p2p_error_free(err);
    p2p_io_free(io);
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
    echo_over(state, "noise,signed,tls", "tls", "/tls/1.0.0", 1000);
}

static void test_no_common_channel(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct pair p;
        pair_init(&p, state, i ? "tls,signed" : "tls", "noise");
        struct side side = {.to_send = 1};
        open_echo(p.a, p.addr, &side);
        assert_true(world_until(&p.world, closed, &side, 20000));
        assert_int_equal(side.close_code, P2P_ENOSECURITY);
        assert_int_equal(side.attempts, 1);
        world_fini(&p.world);
    }
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
        BOTH(test_tls_carries_four_mib),
        BOTH(test_a_signed_channel_carries_four_mib),
        BOTH(test_plaintext_carries_four_mib),
        BOTH(test_S11_clear_channels_are_off_unless_asked_for),
        BOTH(test_S11_a_dialer_never_goes_on_with_less_protection),
        BOTH(test_a_private_network_under_every_channel),
        BOTH(test_a_private_network_inside_of_websocket),
        BOTH(test_F08_another_networks_key_meets_nobody),
        cmocka_unit_test(test_F10_forced_private_without_a_key_is_an_error),
        BOTH(test_the_dialers_order_decides),
        BOTH(test_the_second_choice_will_do),
        BOTH(test_no_common_channel),
        BOTH(test_T12_another_peer_than_dialed),
        BOTH(test_closing_is_orderly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

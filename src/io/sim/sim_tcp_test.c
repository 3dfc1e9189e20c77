/* Making and ending connections: the handshake, ends, and ports. */
#include "tests/test.h"

#include <errno.h>

#include "tests/sim_links.h"

static p2p_sim_path_options path_of(uint64_t latency_us)
{
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    path.latency_us = latency_us;
    return path;
}

static const uint8_t zeros[1 << 20];

static void test_connecting_takes_a_round_trip(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(1000);
    struct pair p;
    pair_init(&p, 1, &path);
    p.from = machine_dial(&p.a, &p.b);
    assert_false(p.from->connected);
    p2p_sim_run(p.sim, 1999);
    assert_false(p.from->connected);
    p2p_sim_run(p.sim, 1);
    assert_true(p.from->connected && p.from->writable && !p.from->readable);
    assert_int_equal(p.a.wakes, 1);
    assert_null(machine_accept(&p.b));
    p2p_sim_run(p.sim, 999);
    assert_int_equal(p.b.listener_wakes, 0);
    p2p_sim_run(p.sim, 1);
    assert_int_equal(p.b.listener_wakes, 1);
    assert_true(p.b.listener->acceptable);
    p.to = machine_accept(&p.b);
    assert_non_null(p.to);
    assert_true(p.to->connected && p.to->writable);
    assert_true(p2p__io_addr_equal(&p.to->local, &p.from->remote));
    assert_true(p2p__io_addr_equal(&p.to->remote, &p.from->local));
    assert_int_equal(p.from->local.ip[3], 1);
    assert_null(machine_accept(&p.b));
    assert_false(p.b.listener->acceptable);
    pair_fini(&p);
}

/* Ends */

static void test_shutdown_is_an_eof_behind_the_bytes(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    pair_connect(&p);
    link_write(p.from, "bye", 3);
    p.from->ops->shutdown(p.from);
    p2p_sim_run(p.sim, 100000);
    assert_int_equal(p.to->ops->fill(p.to), 3);
    assert_true(p.to->readable && !p.to->eof);
    assert_int_equal(p.to->ops->fill(p.to), 0);
    assert_true(p.to->eof && !p.to->readable);
    assert_int_equal(p.to->err, 0);
    assert_int_equal(buf_len(&p.to->in), 3);
    assert_int_equal(p2p__buf_settle(&p.to->in, p.to->pool), 0);
    /* The other direction is still open. */
    assert_int_equal(link_write(p.to, "ok", 2), 2);
    p2p_sim_run(p.sim, 100000);
    assert_int_equal(p.from->ops->fill(p.from), 2);
    pair_fini(&p);
}

static void test_close_delivers_what_was_taken(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    pair_connect(&p);
    assert_int_equal(link_write(p.from, zeros, 100000), 100000);
    link_close(p.from, false);
    p.from = NULL;
    p2p_sim_run(p.sim, 1000000);
    assert_int_equal(link_drain(p.to), 100000);
    assert_true(p.to->eof);
    /* Bytes to a closed socket come back as a reset, one round trip later. */
    assert_int_equal(link_write(p.to, "x", 1), 1);
    p2p_sim_run(p.sim, 49999);
    assert_false(p.to->readable);
    p2p_sim_run(p.sim, 1);
    assert_true(p.to->readable);
    assert_int_equal(link_write(p.to, "x", 1), 0);
    assert_int_equal(p.to->err, P2P_ECONN);
    assert_int_equal(p.to->sys_errno, ECONNRESET);
    pair_fini(&p);
}

static void test_abort_is_a_reset(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    pair_connect(&p);
    link_write(p.from, "abc", 3);
    p2p_sim_run(p.sim, 25000); /* these arrive; what follows is never on the wire */
    link_close(p.from, true);
    p.from = NULL;
    p2p_sim_run(p.sim, 24999);
    assert_int_equal(p.b.wakes, 1);
    p2p_sim_run(p.sim, 1);
    assert_int_equal(p.to->ops->fill(p.to), 3);
    assert_int_equal(p.to->err, 0);
    assert_true(p.to->readable);
    assert_int_equal(p.to->ops->fill(p.to), 0);
    assert_int_equal(p.to->err, P2P_ECONN);
    assert_int_equal(p.to->sys_errno, ECONNRESET);
    assert_false(p.to->eof);
    pair_fini(&p);
}

static void test_a_link_may_be_closed_at_every_moment(void **state)
{
    (void)state;
    for (int who = 0; who < 2; who++) {
        for (uint64_t at_us = 0; at_us <= 80; at_us++) {
            p2p_sim_path_options path = path_of(10);
            struct pair p;
            pair_init(&p, 1, &path);
            p.from = machine_dial(&p.a, &p.b);
            for (uint64_t t = 0; t < at_us; t++) {
                p2p_sim_run(p.sim, 1);
                (void)pair_connected(&p);
                if (p.from->connected)
                    link_write(p.from, zeros, 100);
                if (p.to)
                    link_write(p.to, zeros, 100);
            }
            link_close(p.from, who == 0);
            p.from = NULL;
            if (p.to && at_us % 2) {
                link_close(p.to, who == 1);
                p.to = NULL;
            }
            p2p_sim_run(p.sim, 1000);
            pair_fini(&p);
        }
    }
}

/* Ports */

static void test_no_listener_refuses_after_a_round_trip(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(1000);
    struct pair p;
    pair_init(&p, 1, &path);
    p.b.addr.port = 4002;
    p.from = machine_dial(&p.a, &p.b);
    p2p_sim_run(p.sim, 1999);
    assert_int_equal(p.from->err, 0);
    p2p_sim_run(p.sim, 1);
    assert_int_equal(p.from->err, P2P_ECONN);
    assert_int_equal(p.from->sys_errno, ECONNREFUSED);
    assert_false(p.from->connected);
    assert_int_equal(p.a.wakes, 1);
    pair_fini(&p);
}

static void test_ports_are_held_once(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    struct io_listener *other = NULL;
    int sys_errno = 0;
    const struct io_ops *ops = p.b.io->ops;
    assert_int_equal(ops->listen(p.b.io, &p.b.addr, &other, &sys_errno), P2P_ELISTEN);
    assert_int_equal(sys_errno, EADDRINUSE);
    struct io_addr any = ip4(0, 0, 0, 0, 4001), far = ip4(10, 9, 0, 1, 4002);
    assert_int_equal(ops->listen(p.b.io, &any, &other, &sys_errno), P2P_ELISTEN);
    assert_int_equal(sys_errno, EADDRINUSE);
    assert_int_equal(ops->listen(p.b.io, &far, &other, &sys_errno), P2P_ELISTEN);
    assert_int_equal(sys_errno, EADDRNOTAVAIL);
    any.port = 0;
    assert_int_equal(ops->listen(p.b.io, &any, &other, &sys_errno), 0);
    assert_true(other->local.port >= 32768);
    ops->unlisten(other);
    ops->unlisten(p.b.listener);
    machine_listen(&p.b); /* free again */
    pair_fini(&p);
}

static void test_dials_share_a_listening_port(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    machine_listen(&p.a);
    struct link *again = NULL;
    int sys_errno = 0;
    const struct io_ops *ops = p.a.io->ops;
    struct io_addr any = ip4(0, 0, 0, 0, 4001);
    assert_int_equal(ops->dial(p.a.io, &p.b.addr, &p.a.addr, 0, &p.a.pool, &again, &sys_errno),
                     P2P_ECONN);
    assert_int_equal(sys_errno, EADDRINUSE);
    assert_int_equal(
        ops->dial(p.a.io, &p.b.addr, &any, IO_DIAL_REUSE_PORT, &p.a.pool, &p.from, &sys_errno), 0);
    link_adopt(p.from, &p.a);
    assert_int_equal(
        ops->dial(p.a.io, &p.b.addr, &any, IO_DIAL_REUSE_PORT, &p.a.pool, &again, &sys_errno),
        P2P_ECONN);
    assert_int_equal(sys_errno, EADDRNOTAVAIL);
    assert_true(p2p_sim_run_until(p.sim, pair_connected, &p, 1000000));
    assert_int_equal(p.to->remote.port, 4001);
    struct io_addr six = {.family = 6, .ip = {0x20, 1}};
    assert_int_equal(ops->dial(p.a.io, &six, NULL, 0, &p.a.pool, &again, &sys_errno), P2P_ECONN);
    assert_int_equal(sys_errno, ENETUNREACH);
    pair_fini(&p);
}

static void test_simultaneous_open_is_one_connection(void **state)
{
    (void)state;
    for (uint64_t apart_us = 0; apart_us < 30000; apart_us += 5000) {
        struct pair p;
        pair_init(&p, 1, NULL);
        p.b.io->ops->unlisten(p.b.listener);
        int sys_errno = 0;
        assert_int_equal(p.a.io->ops->dial(p.a.io, &p.b.addr, &p.a.addr, IO_DIAL_REUSE_PORT,
                                           &p.a.pool, &p.from, &sys_errno),
                         0);
        p2p_sim_run(p.sim, apart_us);
        assert_int_equal(p.b.io->ops->dial(p.b.io, &p.a.addr, &p.b.addr, IO_DIAL_REUSE_PORT,
                                           &p.b.pool, &p.to, &sys_errno),
                         0);
        link_adopt(p.from, &p.a);
        link_adopt(p.to, &p.b);
        p2p_sim_run(p.sim, 1000000);
        if (apart_us > 25000) { /* the first call was refused before */
            assert_int_equal(p.from->sys_errno, ECONNREFUSED);
        } else if (p.from->connected) {
            assert_true(p.to->connected);
            link_write(p.from, "one", 3);
            link_write(p.to, "other", 5);
            p2p_sim_run(p.sim, 25000);
            assert_int_equal(link_drain(p.to), 3);
            assert_int_equal(link_drain(p.from), 5);
        }
        if (apart_us < 25000)
            assert_true(p.from->connected);
        pair_fini(&p);
    }
}

static void test_loopback_stays_within_a_machine(void **state)
{
    (void)state;
    p2p_sim *sim = sim_with(1, NULL);
    struct machine a, b;
    machine_init(&a, sim, 1, 0);
    machine_init(&b, sim, 2, 0);
    a.addr = ip4(127, 0, 0, 1, 4001);
    b.addr = ip4(127, 0, 0, 1, 4001);
    machine_listen(&a);
    struct link *mine = machine_dial(&a, &a), *other = machine_dial(&b, &a);
    p2p_sim_run(sim, 30);
    assert_true(mine->connected);
    assert_true(p2p__io_addr_is_loopback(&mine->local));
    assert_int_equal(other->sys_errno, ECONNREFUSED);
    struct link *accepted = machine_accept(&a);
    assert_non_null(accepted);
    link_write(accepted, "hi", 2);
    p2p_sim_run(sim, 10);
    assert_int_equal(link_drain(mine), 2);
    link_close(mine, false);
    link_close(other, false);
    link_close(accepted, false);
    machine_fini(&a);
    machine_fini(&b);
    p2p_sim_free(sim);
}

static void test_backlog_holds_so_many_and_the_rest_try_again(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    static struct link *links[IO_LISTEN_BACKLOG + 1];
    for (size_t i = 0; i <= IO_LISTEN_BACKLOG; i++)
        links[i] = machine_dial(&p.a, &p.b);
    p2p_sim_run(p.sim, 500000);
    size_t connected = 0;
    for (size_t i = 0; i <= IO_LISTEN_BACKLOG; i++)
        connected += links[i]->connected;
    assert_int_equal(connected, IO_LISTEN_BACKLOG);
    struct link *one = machine_accept(&p.b);
    link_close(one, false);
    p2p_sim_run(p.sim, 1000000);
    assert_true(links[IO_LISTEN_BACKLOG]->connected);
    for (size_t i = 0; i <= IO_LISTEN_BACKLOG; i++)
        link_close(links[i], false);
    /* Those who were not accepted are turned away with the listener. */
    p.b.io->ops->unlisten(p.b.listener);
    pair_fini(&p);
}

static void test_closing_a_listener_resets_those_who_wait(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    p.from = machine_dial(&p.a, &p.b);
    p2p_sim_run(p.sim, 100000);
    assert_true(p.from->connected);
    p.b.io->ops->unlisten(p.b.listener);
    p2p_sim_run(p.sim, 25000);
    assert_true(p.from->readable);
    p.from->ops->fill(p.from);
    assert_int_equal(p.from->sys_errno, ECONNRESET);
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connecting_takes_a_round_trip),
        cmocka_unit_test(test_shutdown_is_an_eof_behind_the_bytes),
        cmocka_unit_test(test_close_delivers_what_was_taken),
        cmocka_unit_test(test_abort_is_a_reset),
        cmocka_unit_test(test_a_link_may_be_closed_at_every_moment),
        cmocka_unit_test(test_no_listener_refuses_after_a_round_trip),
        cmocka_unit_test(test_ports_are_held_once),
        cmocka_unit_test(test_dials_share_a_listening_port),
        cmocka_unit_test(test_simultaneous_open_is_one_connection),
        cmocka_unit_test(test_loopback_stays_within_a_machine),
        cmocka_unit_test(test_backlog_holds_so_many_and_the_rest_try_again),
        cmocka_unit_test(test_closing_a_listener_resets_those_who_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

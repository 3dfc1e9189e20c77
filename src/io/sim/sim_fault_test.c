/* What breaks, and what each end sees of it. */
#include "tests/test.h"

#include <errno.h>
#include <stdlib.h>

#include <p2p/mem.h>

#include "tests/sim_links.h"

static const uint8_t zeros[1 << 16];

static p2p_sim_path_options path_of(uint64_t latency_us)
{
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    path.latency_us = latency_us;
    return path;
}

static void assert_reset(struct link *link)
{
    assert_true(link->readable);
    assert_int_equal(link->ops->fill(link), 0);
    assert_int_equal(link->err, P2P_ECONN);
    assert_int_equal(link->sys_errno, ECONNRESET);
}

static void assert_alive(const struct link *link)
{
    assert_true(link->connected && !link->readable && !link->eof);
    assert_int_equal(link->err, 0);
}

/* Cuts */

enum { CUT_BYTES = 40 };

static void cut_at(uint64_t n, enum p2p_sim_direction direction, enum p2p_sim_cut how,
                   enum p2p_sim_segments segments)
{
    p2p_sim_path_options path = path_of(1000);
    path.segments = (int32_t)segments;
    struct pair p;
    pair_init(&p, 1, &path);
    assert_int_equal(p2p_sim_cut_next(p.sim, direction, n, how), 0);
    pair_connect(&p);
    bool forth = direction == P2P_SIM_TO_LISTENER;
    struct link *writer = forth ? p.from : p.to, *reader = forth ? p.to : p.from;
    uint8_t bytes[CUT_BYTES];
    for (int i = 0; i < CUT_BYTES; i++)
        bytes[i] = (uint8_t)i;
    link_write(writer, bytes, 15);
    link_write(writer, bytes + 15, CUT_BYTES - 15);
    link_write(reader, "back", 4); /* on the wire before the cut */
    p2p_sim_run(p.sim, 1000);
    while (reader->ops->fill(reader) > 0)
        continue;
    assert_int_equal(buf_len(&reader->in), n);
    assert_memory_equal(buf_len(&reader->in) ? buf_data(&reader->in) : bytes, bytes, n);
    assert_int_equal(p2p__buf_settle(&reader->in, reader->pool), 0);
    if (how == P2P_SIM_CUT_SILENT) {
        assert_alive(reader);
        p2p_sim_run(p.sim, 300 * 1000000);
        assert_alive(reader);
        assert_int_equal(writer->err, 0);
        p2p_sim_run(p.sim, 630 * 1000000); /* nobody acknowledged anything */
        while (writer->ops->fill(writer) > 0)
            continue;
        assert_int_equal(writer->sys_errno, n < CUT_BYTES ? ETIMEDOUT : 0);
    } else {
        assert_int_equal(reader->err, P2P_ECONN);
        assert_int_equal(reader->sys_errno, ECONNRESET);
        p2p_sim_run(p.sim, 1000);
        while (writer->ops->fill(writer) > 0)
            continue;
        bool told = how == P2P_SIM_CUT_RESET || n < CUT_BYTES;
        assert_int_equal(writer->err, told ? P2P_ECONN : 0);
    }
    pair_fini(&p);
}

static void test_links_are_cut_after_every_byte(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= CUT_BYTES; n++)
        for (int how = P2P_SIM_CUT_RESET; how <= P2P_SIM_CUT_HALF_OPEN; how++)
            for (int direction = 0; direction < 2; direction++)
                for (int segments = P2P_SIM_WHOLE; segments <= P2P_SIM_BYTE; segments++)
                    cut_at(n, (enum p2p_sim_direction)direction, (enum p2p_sim_cut)how,
                           (enum p2p_sim_segments)segments);
}

static void test_cut_after_zero_bytes_is_at_connection(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    assert_int_equal(p2p_sim_cut_next(p.sim, P2P_SIM_TO_DIALER, 0, P2P_SIM_CUT_RESET), 0);
    p.from = machine_dial(&p.a, &p.b);
    p2p_sim_run(p.sim, 50000);
    assert_true(p.from->connected);
    assert_reset(p.from);
    link_close(p.from, false);
    assert_int_equal(p2p_sim_cut_next(p.sim, P2P_SIM_TO_LISTENER, 0, P2P_SIM_CUT_RESET), 0);
    p2p_sim_run(p.sim, 1000000);
    while ((p.to = machine_accept(&p.b)))
        link_close(p.to, true);
    p.from = machine_dial(&p.a, &p.b);
    p2p_sim_run(p.sim, 75000);
    assert_alive(p.from);
    p.to = machine_accept(&p.b);
    assert_reset(p.to);
    p2p_sim_run(p.sim, 25000);
    assert_reset(p.from);
    pair_fini(&p);
}

static void test_cuts_name_a_connection(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    assert_int_equal(p2p_sim_cut(p.sim, 0, P2P_SIM_TO_LISTENER, 1, P2P_SIM_CUT_RESET), P2P_EINVAL);
    assert_int_equal(p2p_sim_cut(p.sim, 2, P2P_SIM_TO_LISTENER, 9, P2P_SIM_CUT_RESET), 0);
    assert_int_equal(p2p_sim_cut(p.sim, 2, P2P_SIM_TO_DIALER, 2, P2P_SIM_CUT_RESET), 0);
    assert_int_equal(p2p_sim_cut(p.sim, 2, P2P_SIM_TO_LISTENER, 3, P2P_SIM_CUT_RESET), 0);
    pair_connect(&p);
    assert_int_equal(p2p_sim_connections(p.sim), 1);
    assert_int_equal(p2p_sim_cut(p.sim, 1, P2P_SIM_TO_LISTENER, 1, P2P_SIM_CUT_RESET), P2P_EINVAL);
    struct link *first_from = p.from, *first_to = p.to;
    p.to = NULL;
    pair_connect(&p);
    link_write(first_from, zeros, 100);
    link_write(p.from, zeros, 100);
    p2p_sim_run(p.sim, 25000);
    assert_int_equal(link_drain(first_to), 100);
    assert_int_equal(link_drain(p.to), 3);
    assert_int_equal(p.to->err, P2P_ECONN);
    assert_int_equal(first_to->err, 0);
    link_close(first_from, true);
    link_close(first_to, true);
    pair_fini(&p);
}

static void test_half_open_is_found_by_writing(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    pair_connect(&p);
    assert_int_equal(p2p_sim_cut_between(p.b.io, p.a.io, P2P_SIM_CUT_HALF_OPEN), 1);
    assert_reset(p.to);
    p2p_sim_run(p.sim, 3600u * 1000000);
    assert_alive(p.from);
    link_write(p.from, "?", 1);
    p2p_sim_run(p.sim, 49999);
    assert_alive(p.from);
    p2p_sim_run(p.sim, 1);
    assert_reset(p.from);
    pair_fini(&p);
}

static void test_all_links_of_two_machines_are_cut(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    struct machine c;
    machine_init(&c, p.sim, 3, 0);
    pair_connect(&p);
    struct link *other = machine_dial(&c, &p.b);
    p2p_sim_run(p.sim, 100000);
    assert_int_equal(p2p_sim_cut_between(p.a.io, c.io, P2P_SIM_CUT_RESET), 0);
    assert_int_equal(p2p_sim_cut_between(p.a.io, p.b.io, P2P_SIM_CUT_RESET), 1);
    assert_int_equal(p2p_sim_cut_between(p.a.io, p.b.io, P2P_SIM_CUT_RESET), 0);
    p2p_sim_run(p.sim, 25000);
    assert_reset(p.from);
    assert_reset(p.to);
    assert_alive(other);
    link_close(other, true);
    machine_fini(&c);
    pair_fini(&p);
}

/* Walls */

static void test_partition_delays_until_healed(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    pair_connect(&p);
    int wall = p2p_sim_partition(p.sim, &p.a.io, 1, &p.b.io, 1);
    assert_true(wall >= 0);
    link_write(p.from, "over", 4);
    link_write(p.to, "back", 4);
    p2p_sim_run(p.sim, 60 * 1000000);
    assert_alive(p.from);
    assert_alive(p.to);
    p2p_sim_heal(p.sim, wall);
    p2p_sim_heal(p.sim, wall); /* twice is harmless */
    p2p_sim_run(p.sim, 60 * 1000000);
    assert_int_equal(link_drain(p.to), 4);
    assert_int_equal(link_drain(p.from), 4);
    pair_fini(&p);
}

static void test_partition_for_ever_times_out_the_writer_only(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    pair_connect(&p);
    p2p_sim_partition(p.sim, &p.a.io, 1, NULL, 0);
    link_write(p.from, "x", 1);
    p2p_sim_run(p.sim, 924 * 1000000);
    assert_alive(p.from);
    p2p_sim_run(p.sim, 2 * 1000000);
    assert_true(p.from->readable);
    p.from->ops->fill(p.from);
    assert_int_equal(p.from->sys_errno, ETIMEDOUT);
    p2p_sim_run(p.sim, 3600u * 1000000);
    assert_alive(p.to);
    pair_fini(&p);
}

static void test_partition_for_ever_times_out_both_writers(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    pair_connect(&p);
    p2p_sim_blackhole(p.a.io, true);
    link_write(p.from, "x", 1);
    p2p_sim_run(p.sim, 500 * 1000000);
    link_write(p.to, "y", 1);
    p2p_sim_run(p.sim, 426 * 1000000);
    p.from->ops->fill(p.from);
    assert_int_equal(p.from->sys_errno, ETIMEDOUT);
    p2p_sim_run(p.sim, 498 * 1000000);
    assert_alive(p.to);
    p2p_sim_run(p.sim, 2 * 1000000);
    p.to->ops->fill(p.to);
    assert_int_equal(p.to->sys_errno, ETIMEDOUT);
    pair_fini(&p);
}

static void test_dialing_through_a_wall(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    p2p_sim_blackhole(p.b.io, true);
    p.from = machine_dial(&p.a, &p.b);
    p2p_sim_run(p.sim, 127 * 1000000);
    assert_int_equal(p.from->err, 0);
    p2p_sim_run(p.sim, 25000);
    assert_int_equal(p.from->err, P2P_ECONN);
    assert_int_equal(p.from->sys_errno, ETIMEDOUT);
    assert_false(p.from->connected);
    link_close(p.from, false);
    /* Once the wall is gone the next attempt gets through: 1, 3, 7, 15 s ... after the first. */
    uint64_t start = p2p_sim_now_us(p.sim);
    p.from = machine_dial(&p.a, &p.b);
    p2p_sim_run(p.sim, 4 * 1000000);
    p2p_sim_blackhole(p.b.io, false);
    assert_true(p2p_sim_run_until(p.sim, pair_connected, &p, 60 * 1000000));
    assert_int_equal(p2p_sim_now_us(p.sim) - start, 7 * 1000000 + 75000);
    pair_fini(&p);
}

static void test_an_address_of_nobody_is_silence(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    p.b.addr = ip4(10, 9, 0, 77, 4001);
    p.from = machine_dial(&p.a, &p.b);
    p2p_sim_run(p.sim, 126 * 1000000);
    assert_int_equal(p.from->err, 0);
    p2p_sim_run(p.sim, 2 * 1000000);
    assert_int_equal(p.from->sys_errno, ETIMEDOUT);
    pair_fini(&p);
}

static void test_partitions_of_sets_and_regions(void **state)
{
    (void)state;
    p2p_sim *sim = sim_with(1, NULL);
    struct machine m[4];
    for (uint8_t i = 0; i < 4; i++) {
        machine_init(&m[i], sim, i, i / 2);
        machine_listen(&m[i]);
    }
    p2p_io *zero[1] = {m[0].io}, *one_two[2] = {m[1].io, m[2].io};
    unsigned region = 1, other = 0;
    /* rows: who dials whom, and whether it gets through under each wall */
    static const struct {
        int from, to;
        bool sets, others, regions;
    } rows[] = {{0, 1, false, false, true}, {0, 2, false, false, false}, {0, 3, true, false, false},
                {1, 2, true, true, false},  {2, 3, true, true, true},    {3, 0, true, false, false},
                {2, 0, false, false, false}};
    for (int kind = 0; kind < 4; kind++) {
        int wall = kind == 0   ? p2p_sim_partition(sim, zero, 1, one_two, 2)
                   : kind == 1 ? p2p_sim_partition(sim, zero, 1, NULL, 0)
                   : kind == 2 ? p2p_sim_partition_regions(sim, &region, 1, &other, 1)
                               : p2p_sim_partition_regions(sim, &region, 1, NULL, 0);
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            struct link *link = machine_dial(&m[rows[i].from], &m[rows[i].to]);
            p2p_sim_run(sim, 100000);
            bool want = kind == 0 ? rows[i].sets : kind == 1 ? rows[i].others : rows[i].regions;
            assert_int_equal(link->connected, want);
            link_close(link, true);
        }
        p2p_sim_heal(sim, wall);
    }
    for (size_t i = 0; i < P2P_SIM_PARTITIONS_MAX; i++)
        assert_int_equal(p2p_sim_partition(sim, zero, 1, NULL, 0), (int)i);
    assert_int_equal(p2p_sim_partition(sim, zero, 1, NULL, 0), P2P_ELIMIT);
    for (int i = 0; i < P2P_SIM_PARTITIONS_MAX; i++)
        p2p_sim_heal(sim, i);
    struct link *link = machine_dial(&m[0], &m[3]);
    p2p_sim_run(sim, 100000);
    assert_true(link->connected);
    link_close(link, true);
    p2p_sim_run(sim, 100000);
    for (int i = 0; i < 4; i++)
        machine_fini(&m[i]);
    p2p_sim_free(sim);
}

static void test_acknowledgments_do_not_pass_walls(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(1000);
    path.flight_bytes = 10000;
    struct pair p;
    pair_init(&p, 1, &path);
    pair_connect(&p);
    assert_int_equal(link_write(p.from, zeros, 20000), 10000);
    p2p_sim_run(p.sim, 1000);
    assert_int_equal(link_drain(p.to), 10000);
    p2p_sim_host_down(p.b.io);
    p2p_sim_run(p.sim, 10 * 1000000);
    assert_false(p.from->writable);
    p2p_sim_host_up(p.b.io);
    p2p_sim_run(p.sim, 1000000);
    assert_true(p.from->writable);
    pair_fini(&p);
}

static void test_a_machine_that_vanishes_says_nothing(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    pair_connect(&p);
    p2p__buf_fini(&p.to->in, p.to->pool);
    p.to = NULL; /* goes with its machine */
    machine_fini(&p.b);
    p2p_sim_run(p.sim, 100 * 1000000);
    assert_alive(p.from);
    assert_int_equal(link_write(p.from, "hello?", 6), 6);
    p2p_sim_run(p.sim, 924 * 1000000);
    assert_alive(p.from);
    p2p_sim_run(p.sim, 1000000);
    p.from->ops->fill(p.from);
    assert_int_equal(p.from->sys_errno, ETIMEDOUT);
    machine_init(&p.b, p.sim, 2, 0); /* its address is free again */
    pair_fini(&p);
}

/* Machines */

static void test_refusing_machines_refuse_though_they_listen(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    p2p_sim_refuse(p.b.io, true);
    p.from = machine_dial(&p.a, &p.b);
    p2p_sim_run(p.sim, 50000);
    assert_int_equal(p.from->sys_errno, ECONNREFUSED);
    link_close(p.from, false);
    p2p_sim_refuse(p.b.io, false);
    pair_connect(&p);
    pair_fini(&p);
}

static void test_slow_readers_read_so_much_an_interval(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    pair_connect(&p);
    p2p_sim_slow(p.b.io, 1000, 100000);
    assert_int_equal(link_write(p.from, zeros, 5000), 5000);
    p2p_sim_run(p.sim, 25000 + 100000 - p2p_sim_now_us(p.sim) % 100000); /* to a new interval */
    p2p_sim_run(p.sim, 100000 - p2p_sim_now_us(p.sim) % 100000);
    assert_int_equal(link_drain(p.to), 1000);
    assert_false(p.to->readable);
    p2p_sim_run(p.sim, 99999);
    assert_false(p.to->readable);
    int wakes = p.b.wakes;
    p2p_sim_run(p.sim, 1);
    assert_true(p.to->readable);
    assert_int_equal(p.b.wakes, wakes + 1);
    assert_int_equal(link_drain(p.to), 1000);
    p2p_sim_slow(p.b.io, 0, 0);
    assert_int_equal(link_drain(p.to), 3000);
    pair_fini(&p);
}

static void test_sockets_run_out_and_accepting_resumes(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    p2p_sim_sockets(p.b.io, 1);
    pair_connect(&p);
    struct link *second = machine_dial(&p.a, &p.b), *out = NULL;
    p2p_sim_run(p.sim, 100000);
    assert_true(second->connected);
    int sys_errno = 0;
    const struct io_ops *ops = p.b.io->ops;
    assert_int_equal(ops->accept(p.b.listener, &p.b.pool, &out, &sys_errno), P2P_ELIMIT);
    assert_int_equal(sys_errno, EMFILE);
    assert_false(p.b.listener->acceptable);
    assert_int_equal(ops->dial(p.b.io, &p.a.addr, NULL, 0, &p.b.pool, &out, &sys_errno),
                     P2P_ELIMIT);
    int wakes = p.b.listener_wakes;
    struct link *third = machine_dial(&p.a, &p.b);
    p2p_sim_run(p.sim, 100000);
    assert_true(third->connected && !p.b.listener->acceptable); /* it sleeps */
    assert_int_equal(p.b.listener_wakes, wakes);
    link_close(third, true);
    link_close(p.to, false);
    p.to = NULL;
    ops->resume(p.b.listener);
    assert_int_equal(p.b.listener_wakes, wakes + 1);
    p.to = machine_accept(&p.b);
    assert_non_null(p.to);
    link_close(second, false);
    pair_fini(&p);
}

/* Memory: with the nth allocation failing, everything ends in an error or works, and nothing leaks.
 */
static size_t allocations_left;

static void *failing_malloc(size_t size)
{
    return allocations_left && --allocations_left == 0 ? NULL : malloc(size);
}

static void *failing_realloc(void *old, size_t size)
{
    return allocations_left && --allocations_left == 0 ? NULL : realloc(old, size);
}

static void use_everything(void)
{
    p2p_sim *sim = p2p_sim_new(NULL);
    p2p_io *a = sim ? p2p_sim_host(sim, "10.9.0.1", 0) : NULL;
    p2p_io *b = sim ? p2p_sim_host(sim, "10.9.0.2", 0) : NULL;
    struct io_addr at = ip4(10, 9, 0, 2, 4001);
    struct io_listener *listener = NULL;
    struct link *from = NULL, *to = NULL;
    struct pool pool;
    int sys_errno;
    p2p__pool_init(&pool, 0);
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    path.flight_bytes = 1000;
    size_t want = 10000;
    if (sim)
        p2p_sim_path(sim, 0, 0, &path);
    if (sim && p2p_sim_cut_next(sim, P2P_SIM_TO_LISTENER, 3000, P2P_SIM_CUT_RESET) == 0)
        want = 3000;
    if (a && b && b->ops->listen(b, &at, &listener, &sys_errno) == 0 &&
        a->ops->dial(a, &at, NULL, 0, &pool, &from, &sys_errno) == 0) {
        from->in.max = 10000;
        for (int i = 0; i < 100; i++) {
            p2p_sim_run(sim, 50000);
            if (!to && b->ops->accept(listener, &pool, &to, &sys_errno) == 0)
                to->in.max = 10000;
            if (from->writable && !from->err)
                link_write(from, zeros, 500);
            if (to)
                to->ops->fill(to);
        }
        assert_true(from->err || (to && to->err) || (to && buf_len(&to->in) == want));
    }
    if (from)
        link_close(from, false);
    if (to)
        link_close(to, false);
    p2p_sim_free(sim);
    p2p__pool_fini(&pool);
}

static void test_the_nth_allocation_may_fail(void **state)
{
    (void)state;
    static const p2p_mem failing = {failing_malloc, failing_realloc, free};
    p2p_mem_set(&failing);
    size_t n = 1;
    for (;; n++) {
        allocations_left = n;
        use_everything();
        if (allocations_left)
            break; /* it was never reached */
    }
    allocations_left = 0;
    p2p_mem_set(NULL);
    assert_true(n > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links_are_cut_after_every_byte),
        cmocka_unit_test(test_cut_after_zero_bytes_is_at_connection),
        cmocka_unit_test(test_cuts_name_a_connection),
        cmocka_unit_test(test_half_open_is_found_by_writing),
        cmocka_unit_test(test_all_links_of_two_machines_are_cut),
        cmocka_unit_test(test_partition_delays_until_healed),
        cmocka_unit_test(test_partition_for_ever_times_out_the_writer_only),
        cmocka_unit_test(test_partition_for_ever_times_out_both_writers),
        cmocka_unit_test(test_dialing_through_a_wall),
        cmocka_unit_test(test_an_address_of_nobody_is_silence),
        cmocka_unit_test(test_partitions_of_sets_and_regions),
        cmocka_unit_test(test_acknowledgments_do_not_pass_walls),
        cmocka_unit_test(test_a_machine_that_vanishes_says_nothing),
        cmocka_unit_test(test_refusing_machines_refuse_though_they_listen),
        cmocka_unit_test(test_slow_readers_read_so_much_an_interval),
        cmocka_unit_test(test_sockets_run_out_and_accepting_resumes),
        cmocka_unit_test(test_the_nth_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Bytes on their way in a world where nothing breaks: times, windows, segments, replay. */
#include "tests/test.h"

#include "tests/sim_links.h"

static p2p_sim_path_options path_of(uint64_t latency_us)
{
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    path.latency_us = latency_us;
    return path;
}

static const uint8_t zeros[1 << 20];

/* Times */

static void test_bytes_take_a_latency_to_the_microsecond(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(12345);
    struct pair p;
    pair_init(&p, 1, &path);
    pair_connect(&p);
    assert_int_equal(link_write(p.from, "hello", 5), 5);
    p2p_sim_run(p.sim, 12344);
    assert_false(p.to->readable);
    assert_int_equal(p.to->ops->fill(p.to), 0);
    p2p_sim_run(p.sim, 1);
    assert_true(p.to->readable);
    assert_int_equal(p.to->ops->fill(p.to), 5);
    assert_memory_equal(buf_data(&p.to->in), "hello", 5);
    assert_true(buf_borrowed(&p.to->in));
    assert_false(p.to->readable);
    pair_fini(&p);
}

static void test_leftovers_up_to_the_headroom_are_moved(void **state)
{
    (void)state;
    static const size_t left[] = {1, IO_HEADROOM, IO_HEADROOM + 1};
    for (size_t i = 0; i < 3; i++) {
        for (int settled = 0; settled < 2; settled++) {
            struct pair p;
            pair_init(&p, 1, NULL);
            pair_connect(&p);
            uint8_t bytes[200];
            for (size_t k = 0; k < sizeof(bytes); k++)
                bytes[k] = (uint8_t)k;
            assert_int_equal(link_write(p.from, bytes, 100), 100);
            p2p_sim_run(p.sim, 25000);
            assert_int_equal(p.to->ops->fill(p.to), 100);
            buf_consume(&p.to->in, 100 - left[i]);
            if (settled)
                assert_int_equal(p2p__buf_settle(&p.to->in, p.to->pool), 0);
            assert_int_equal(link_write(p.from, bytes + 100, 100), 100);
            p2p_sim_run(p.sim, 25000);
            assert_int_equal(p.to->ops->fill(p.to), 100);
            assert_int_equal(buf_len(&p.to->in), left[i] + 100);
            assert_memory_equal(buf_data(&p.to->in), bytes + 100 - left[i], left[i] + 100);
            assert_int_equal(buf_borrowed(&p.to->in), left[i] <= IO_HEADROOM);
            pair_fini(&p);
        }
    }
}

static void test_rate_spaces_the_bytes(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(1000);
    path.rate = 1000000;
    struct pair p;
    pair_init(&p, 1, &path);
    pair_connect(&p);
    assert_int_equal(link_write(p.from, zeros, 10000), 10000);
    assert_int_equal(link_write(p.from, zeros, 90000), 90000);
    p2p_sim_run(p.sim, 10999);
    assert_int_equal(link_drain(p.to), 0);
    p2p_sim_run(p.sim, 1);
    assert_int_equal(link_drain(p.to), 10000);
    p2p_sim_run(p.sim, 89999);
    size_t before = link_drain(p.to);
    assert_true(before > 0 && before < 90000);
    p2p_sim_run(p.sim, 1);
    assert_int_equal(before + link_drain(p.to), 90000);
    pair_fini(&p);
}

static void test_fractions_of_a_microsecond_count(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(1000);
    path.rate = 3000000; /* a byte takes a third of a microsecond */
    struct pair p;
    pair_init(&p, 1, &path);
    pair_connect(&p);
    for (int i = 0; i < 4; i++)
        link_write(p.from, "x", 1);
    p2p_sim_run(p.sim, 1000);
    assert_int_equal(link_drain(p.to), 0);
    p2p_sim_run(p.sim, 1);
    assert_int_equal(link_drain(p.to), 3);
    p2p_sim_run(p.sim, 1);
    assert_int_equal(link_drain(p.to), 1);
    pair_fini(&p);
}

static void test_jitter_delays_and_keeps_order(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(1000);
    path.jitter_us = 500;
    struct pair p;
    pair_init(&p, 1, &path);
    pair_connect(&p);
    bool late = false;
    for (uint8_t i = 0; i < 200; i++) {
        assert_int_equal(link_write(p.from, &i, 1), 1);
        p2p_sim_run(p.sim, 10);
    }
    p2p_sim_run(p.sim, 990 - 10); /* the last was written 990 us ago */
    assert_int_equal(p.to->ops->fill(p.to) < 200, 1);
    late = buf_len(&p.to->in) < 199;
    assert_true(late);
    p2p_sim_run(p.sim, 520);
    p.to->ops->fill(p.to);
    assert_int_equal(buf_len(&p.to->in), 200);
    for (uint8_t i = 0; i < 200; i++)
        assert_int_equal(buf_data(&p.to->in)[i], i);
    pair_fini(&p);
}

static void test_loss_becomes_delay(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(1000), lossy = path;
    lossy.loss_ppm = 300000;
    struct pair p;
    pair_init(&p, 1, &path);
    pair_connect(&p);
    assert_int_equal(p2p_sim_path(p.sim, 0, 0, &lossy), 0);
    assert_int_equal(p2p_sim_path(p.sim, P2P_SIM_ANY_REGION, P2P_SIM_ANY_REGION, &lossy), 0);
    size_t got = 0, on_time = 0;
    for (uint8_t i = 0; i < 100; i++) {
        uint64_t start = p2p_sim_now_us(p.sim);
        assert_int_equal(link_write(p.from, &i, 1), 1);
        p2p_sim_run(p.sim, 1000);
        on_time += p.to->readable;
        while (!p.to->readable)
            assert_true(p2p_sim_step(p.sim));
        uint64_t took = p2p_sim_now_us(p.sim) - start;
        assert_true(took == 1000 || took >= 201000);
        got += p.to->ops->fill(p.to);
    }
    assert_int_equal(got, 100);
    for (uint8_t i = 0; i < 100; i++)
        assert_int_equal(buf_data(&p.to->in)[i], i);
    assert_in_range(on_time, 55, 85);
    pair_fini(&p);
}

/* Windows */

static void test_flight_bounds_the_writer_until_the_reader_reads(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(1000);
    path.flight_bytes = 10000;
    struct pair p;
    pair_init(&p, 1, &path);
    pair_connect(&p);
    assert_int_equal(link_write(p.from, zeros, 9999), 9999);
    assert_true(p.from->writable);
    assert_int_equal(link_write(p.from, zeros, 2), 1);
    assert_false(p.from->writable);
    assert_int_equal(link_write(p.from, zeros, 1), 0);
    p2p_sim_run(p.sim, 60 * 1000000);
    assert_false(p.from->writable); /* nobody reads */
    int wakes = p.a.wakes;
    assert_int_equal(link_drain(p.to), 10000);
    p2p_sim_run(p.sim, 999);
    assert_false(p.from->writable);
    p2p_sim_run(p.sim, 1);
    assert_true(p.from->writable);
    assert_int_equal(p.a.wakes, wakes + 1);
    assert_int_equal(link_write(p.from, zeros, 20000), 10000);
    pair_fini(&p);
}

static void test_writer_wakes_when_a_quarter_is_free(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(1000);
    path.flight_bytes = 10000;
    struct pair p;
    pair_init(&p, 1, &path);
    pair_connect(&p);
    assert_int_equal(link_write(p.from, zeros, 20000), 10000);
    p2p_sim_run(p.sim, 1000);
    p.to->in.max = 2499;
    assert_int_equal(p.to->ops->fill(p.to), 2499);
    assert_int_equal(p.to->ops->fill(p.to), 0); /* no room, though there is more */
    assert_true(p.to->readable);
    p2p_sim_run(p.sim, 1000000);
    assert_false(p.from->writable);
    p.to->in.max = 2500;
    assert_int_equal(p.to->ops->fill(p.to), 1);
    p2p_sim_run(p.sim, 1000);
    assert_true(p.from->writable);
    assert_int_equal(link_write(p.from, zeros, 20000), 2500);
    pair_fini(&p);
}

struct counted {
    p2p_sim *sim;
    uint64_t max;
};

static bool too_many_events(void *user)
{
    const struct counted *self = user;
    return p2p_sim_events(self->sim) > self->max;
}

static void test_acknowledgments_keep_their_order_when_the_path_becomes_shorter(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(100000);
    struct pair p;
    pair_init(&p, 1, &path);
    pair_connect(&p);
    assert_int_equal(link_write(p.from, zeros, 200000), 200000);
    p2p_sim_run(p.sim, 100000);
    assert_int_equal(p.to->ops->fill(p.to), IO_FILL_MAX);
    buf_consume(&p.to->in, IO_FILL_MAX);
    path.latency_us = 1000;
    assert_int_equal(p2p_sim_path(p.sim, 0, 0, &path), 0);
    assert_int_equal(p2p_sim_path(p.sim, P2P_SIM_ANY_REGION, P2P_SIM_ANY_REGION, &path), 0);
    p2p_sim_run(p.sim, 50000);
    assert_int_equal(link_drain(p.to), 200000 - IO_FILL_MAX);
    struct counted counted = {p.sim, p2p_sim_events(p.sim) + 100};
    assert_false(p2p_sim_run_until(p.sim, too_many_events, &counted, 1000000));
    pair_fini(&p);
}

static void test_throughput_is_flight_by_round_trip(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(10000);
    path.flight_bytes = 100000;
    struct pair p;
    pair_init(&p, 1, &path);
    pair_connect(&p);
    size_t got = 0;
    uint64_t start = p2p_sim_now_us(p.sim);
    while (p2p_sim_now_us(p.sim) - start < 2000000) {
        while (p.from->writable)
            link_write(p.from, zeros, 1000000);
        assert_true(p2p_sim_step(p.sim));
        got += link_drain(p.to);
    }
    assert_in_range(got, 9500000, 10500000); /* 100 round trips of 20 ms in two seconds */
    pair_fini(&p);
}

static void test_queue_bounds_what_waits_for_the_wire(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(1000);
    path.rate = 1000000;
    path.queue_bytes = 8000;
    struct pair p;
    pair_init(&p, 1, &path);
    pair_connect(&p);
    assert_int_equal(link_write(p.from, zeros, 20000), 8000);
    assert_false(p.from->writable);
    p2p_sim_run(p.sim, 3999);
    assert_false(p.from->writable);
    p2p_sim_run(p.sim, 1);
    assert_true(p.from->writable); /* half of it is on the wire */
    assert_int_equal(link_write(p.from, zeros, 20000), 4000);
    pair_fini(&p);
}

static void test_large_reads_stop_at_the_fill_limit(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, 1, NULL);
    pair_connect(&p);
    assert_int_equal(link_write(p.from, zeros, IO_FILL_MAX + 1), IO_FILL_MAX + 1);
    p2p_sim_run(p.sim, 1000000);
    assert_int_equal(p.to->ops->fill(p.to), IO_FILL_MAX);
    assert_true(p.to->readable);
    buf_consume(&p.to->in, IO_FILL_MAX);
    assert_int_equal(p.to->ops->fill(p.to), 1);
    assert_false(p.to->readable);
    pair_fini(&p);
}

static void test_flush_sends_what_was_kept(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(1000);
    path.flight_bytes = 5000;
    struct pair p;
    pair_init(&p, 1, &path);
    pair_connect(&p);
    uint8_t bytes[20000];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    struct iov iov[3] = {{bytes, 1}, {bytes + 1, 0}, {bytes + 1, sizeof(bytes) - 1}};
    assert_int_equal(link_send(p.from, iov, 3), 0);
    assert_int_equal(outq_len(&p.from->out), 15000);
    while (outq_len(&p.from->out)) {
        assert_true(p2p_sim_step(p.sim));
        p.to->ops->fill(p.to);
        if (p.from->writable)
            p.from->ops->flush(p.from);
    }
    p2p_sim_run(p.sim, 10000);
    p.to->ops->fill(p.to);
    assert_int_equal(buf_len(&p.to->in), sizeof(bytes));
    assert_memory_equal(buf_data(&p.to->in), bytes, sizeof(bytes));
    pair_fini(&p);
}

/* Segments */

static void test_bytes_can_come_one_at_a_time(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(1000);
    path.segments = P2P_SIM_BYTE;
    struct pair p;
    pair_init(&p, 1, &path);
    pair_connect(&p);
    link_write(p.from, "abc", 3);
    p2p_sim_run(p.sim, 999);
    uint64_t events = p2p_sim_events(p.sim);
    int turns = p.b.turns;
    for (size_t i = 1; i <= 3; i++) {
        while (!p.to->readable)
            assert_true(p2p_sim_step(p.sim));
        assert_int_equal(p.to->ops->fill(p.to), 1);
        assert_int_equal(buf_len(&p.to->in), i);
    }
    p2p_sim_run(p.sim, 0);
    assert_memory_equal(buf_data(&p.to->in), "abc", 3);
    /* Between two bytes the machine had its turn. */
    assert_int_equal(p.b.turns - turns, 3);
    assert_int_equal(p2p_sim_events(p.sim) - events, 6);
    pair_fini(&p);
}

static void test_segments_can_be_random(void **state)
{
    (void)state;
    p2p_sim_path_options path = path_of(1000);
    path.segments = P2P_SIM_RANDOM;
    struct pair p;
    pair_init(&p, 9, &path);
    pair_connect(&p);
    uint8_t bytes[30000];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(link_write(p.from, bytes, sizeof(bytes)), sizeof(bytes));
    size_t fills = 0, ones = 0, large = 0, n;
    while (buf_len(&p.to->in) < sizeof(bytes)) {
        if ((n = p.to->ops->fill(p.to)) == 0) {
            assert_true(p2p_sim_step(p.sim));
            continue;
        }
        fills++;
        ones += n == 1;
        large += n > 500;
    }
    assert_memory_equal(buf_data(&p.to->in), bytes, sizeof(bytes));
    assert_true(fills > 50 && ones > 5 && large > 5);
    pair_fini(&p);
}

/* Replay */

static uint64_t run_scenario(uint64_t seed, const char *word)
{
    p2p_sim_path_options path = path_of(1000);
    path.jitter_us = 300;
    path.loss_ppm = 20000;
    path.segments = P2P_SIM_RANDOM;
    struct pair p;
    pair_init(&p, seed, &path);
    pair_connect(&p);
    for (int i = 0; i < 50; i++) {
        link_write(p.from, word, strlen(word));
        p2p_sim_run(p.sim, p2p_sim_random(p.sim) % 500);
        link_drain(p.to);
    }
    p2p_sim_run(p.sim, 10000000);
    uint64_t hash = p2p_sim_hash(p.sim);
    pair_fini(&p);
    return hash;
}

static void test_replay_is_equal_and_seeds_differ(void **state)
{
    (void)state;
    uint64_t hash = run_scenario(1, "the same bytes");
    assert_true(hash == run_scenario(1, "the same bytes"));
    assert_true(hash != run_scenario(2, "the same bytes"));
    assert_true(hash != run_scenario(1, "the same byteS"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_take_a_latency_to_the_microsecond),
        cmocka_unit_test(test_leftovers_up_to_the_headroom_are_moved),
        cmocka_unit_test(test_rate_spaces_the_bytes),
        cmocka_unit_test(test_fractions_of_a_microsecond_count),
        cmocka_unit_test(test_jitter_delays_and_keeps_order),
        cmocka_unit_test(test_loss_becomes_delay),
        cmocka_unit_test(test_flight_bounds_the_writer_until_the_reader_reads),
        cmocka_unit_test(test_writer_wakes_when_a_quarter_is_free),
        cmocka_unit_test(test_acknowledgments_keep_their_order_when_the_path_becomes_shorter),
        cmocka_unit_test(test_throughput_is_flight_by_round_trip),
        cmocka_unit_test(test_queue_bounds_what_waits_for_the_wire),
        cmocka_unit_test(test_large_reads_stop_at_the_fill_limit),
        cmocka_unit_test(test_flush_sends_what_was_kept),
        cmocka_unit_test(test_bytes_can_come_one_at_a_time),
        cmocka_unit_test(test_segments_can_be_random),
        cmocka_unit_test(test_replay_is_equal_and_seeds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

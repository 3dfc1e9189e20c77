/* One byte at a time, and the same again: what a run depends on is its seed, and nothing else. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/echo.h"

enum { STREAMS = 5 };

struct replies {
    int count;
};

static void on_reply(void *user, const uint8_t *msg, size_t len, const p2p_error *why)
{
    struct replies *self = user;
    assert_null(why);
    assert_int_equal(len, 300);
    assert_int_equal(msg[299], 7);
    self->count++;
}

struct scene {
    struct side side[STREAMS];
    struct replies replies;
};

static bool is_over(void *user)
{
    const struct scene *self = user;
    for (int i = 0; i < STREAMS; i++)
        if (!self->side[i].closed)
            return false;
    return self->replies.count == 1;
}

/* Dials, streams, a request, identify and goodbyes; the hash of it all. */
static uint64_t whole_life(uint64_t seed, int segments, bool cheap)
{
    struct world world;
    struct scene scene = {0};
    uint8_t msg[300];
    char addr[256];
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    path.segments = segments;
    path.jitter_us = 1000;
    memset(msg, 7, sizeof(msg));
    world_init(&world, WORLD_SIM, seed, cheap);
    assert_int_equal(p2p_sim_path(world.sim, P2P_SIM_ANY_REGION, P2P_SIM_ANY_REGION, &path), 0);
    p2p_host *a = world_host(&world, NULL), *b = world_host(&world, NULL);
    assert_int_equal(p2p_host_handle(b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    world_addr(b, addr, sizeof(addr));
    for (size_t i = 0; i < STREAMS; i++) {
        scene.side[i].to_send = i * i * 200;
        open_echo(a, addr, &scene.side[i]);
    }
    assert_non_null(
        p2p_host_request(a, addr, ECHO_PROTOCOL, msg, sizeof(msg), NULL, on_reply, &scene.replies));
    assert_true(world_until(&world, is_over, &scene, 60000));
    for (size_t i = 0; i < STREAMS; i++) {
        assert_int_equal(scene.side[i].close_code, 0);
        assert_int_equal(scene.side[i].got, i * i * 200);
        assert_false(scene.side[i].check_failed);
    }
    uint64_t hash = p2p_sim_hash(world.sim);
    world_fini(&world);
    return hash;
}

static void test_whole_lives_in_any_segments(void **state)
{
    (void)state;
    for (int cheap = 0; cheap < 2; cheap++) {
        (void)whole_life(1, P2P_SIM_WHOLE, cheap);
        (void)whole_life(1, P2P_SIM_BYTE, cheap);
        for (uint64_t seed = 1; seed <= 20; seed++)
            (void)whole_life(seed, P2P_SIM_RANDOM, cheap);
    }
}

static void test_the_same_seed_is_the_same_run(void **state)
{
    (void)state;
    for (int segments = P2P_SIM_WHOLE; segments <= P2P_SIM_BYTE; segments++)
        for (int cheap = 0; cheap < 2; cheap++)
            assert_true(whole_life(7, segments, cheap) == whole_life(7, segments, cheap));
}

static void test_another_seed_is_another_run(void **state)
{
    (void)state;
    uint64_t hash = whole_life(1, P2P_SIM_WHOLE, true);
    for (uint64_t seed = 2; seed < 10; seed++)
        assert_true(whole_life(seed, P2P_SIM_WHOLE, true) != hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_lives_in_any_segments),
        cmocka_unit_test(test_the_same_seed_is_the_same_run),
        cmocka_unit_test(test_another_seed_is_another_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* How many round trips things take: what no faster machine makes up for. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/echo.h"

enum {
    LATENCY_US = 30 * 1000,
    TRIP_US = 2 * LATENCY_US,
    SLACK_US = 100, /* turns that mark themselves come a microsecond later */
};

struct scene {
    struct world world;
    p2p_host *a, *b;
    char addr[256];
};

static void scene_init(struct scene *self)
{
    p2p_sim_path_options path = P2P_SIM_PATH_INIT;
    path.latency_us = LATENCY_US;
    world_init(&self->world, WORLD_SIM, 1, false);
    assert_int_equal(p2p_sim_path(self->world.sim, P2P_SIM_ANY_REGION, P2P_SIM_ANY_REGION, &path),
                     0);
    self->a = world_host(&self->world, NULL);
    self->b = world_host(&self->world, NULL);
    assert_int_equal(p2p_host_handle(self->b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    world_addr(self->b, self->addr, sizeof(self->addr));
}

static bool got_a_byte(void *user)
{
    return ((struct side *)user)->got > 0;
}

/* Whole round trips from now to the first echoed byte. */
static void expect_trips(struct scene *self, struct side *side, unsigned trips)
{
    uint64_t start_us = p2p_sim_now_us(self->world.sim);
    side->to_send = 1;
    open_echo(self->a, self->addr, side);
    assert_true(world_until(&self->world, got_a_byte, side, 5000));
    uint64_t took_us = p2p_sim_now_us(self->world.sim) - start_us;
    assert_in_range(took_us, trips * TRIP_US, trips * TRIP_US + SLACK_US);
}

static void test_a_dial_and_an_echo_take_three_round_trips(void **state)
{
    (void)state;
    struct scene scene;
    struct side side = {0};
    scene_init(&scene);
    expect_trips(&scene, &side, 3);
    world_fini(&scene.world);
}

static void test_a_second_stream_takes_one(void **state)
{
    (void)state;
    struct scene scene;
    struct side first = {0}, second = {0}, third = {0};
    scene_init(&scene);
    expect_trips(&scene, &first, 3);
    expect_trips(&scene, &second, 1);
    world_run(&scene.world, 1000);
    expect_trips(&scene, &third, 1);
    world_fini(&scene.world);
}

struct request_reply {
    bool done;
};

static void on_reply(void *user, const uint8_t *msg, size_t len, const p2p_error *why)
{
    struct request_reply *self = user;
    assert_null(why);
    assert_int_equal(len, 1);
    assert_int_equal(msg[0], 'x');
    self->done = true;
}

static bool replied(void *user)
{
    return ((struct request_reply *)user)->done;
}

static void test_a_request_takes_one_on_an_open_connection(void **state)
{
    (void)state;
    struct scene scene;
    struct side first = {0};
    struct request_reply reply = {0};
    scene_init(&scene);
    expect_trips(&scene, &first, 3);
    uint64_t start_us = p2p_sim_now_us(scene.world.sim);
    assert_non_null(
        p2p_host_request(scene.a, scene.addr, ECHO_PROTOCOL, "x", 1, NULL, on_reply, &reply));
    assert_true(world_until(&scene.world, replied, &reply, 5000));
    assert_in_range(p2p_sim_now_us(scene.world.sim) - start_us, TRIP_US, TRIP_US + SLACK_US);
    world_fini(&scene.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_dial_and_an_echo_take_three_round_trips),
        cmocka_unit_test(test_a_second_stream_takes_one),
        cmocka_unit_test(test_a_request_takes_one_on_an_open_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

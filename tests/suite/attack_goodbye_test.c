/* Peers whose secure channel says goodbye while much is still owed to them: a channel seals nothing
 * after its own goodbye, which answers theirs. */
#include "tests/test.h"

#include "tests/world.h"

#include "tests/scene.h"

enum {
    PINGS = 20,
    STREAM = 1,
    ASKED = 64 * 1024,
};

static const char *const options[] = {"security=noise,tls", NULL};

/* Pongs, an echo and its credit, and the answer to a proposal. */
static void owe(struct raw_peer *peer)
{
    static const uint8_t body[ASKED];
    raw_stream(peer, STREAM, ECHO_PROTOCOL);
    raw_data(peer, 0, STREAM, body, sizeof(body));
    raw_stream(peer, STREAM + 2, "/nobody/has/this");
    for (uint32_t i = 0; i < PINGS; i++)
        raw_frame(peer, YAMUX_PING, YAMUX_SYN, 0, i);
}

static struct raw_peer *tls_peer(struct scene *s)
{
    s->net.layer = &p2p__layer_tls;
    struct raw_peer *peer = scene_raw(s);
    scene_run(s, 100); /* until the host has told of it */
    return peer;
}

/* The host answers the goodbye with its own, in good order, and ends. */
static void expect_farewell(struct scene *s, struct raw_peer *peer)
{
    assert_true(scene_until(s, raw_is_gone, peer, 3000));
    assert_int_equal(peer->failed, P2P_EEOF);
    assert_true(scene_until(s, scene_was_told, s, 3000));
    scene_fini(s);
}

static void test_a_goodbye_right_behind_what_is_to_be_answered(void **state)
{
    struct scene s;
    scene_init(&s, kind_of(state), options, false);
    struct raw_peer *peer = tls_peer(&s);
    owe(peer);
    raw_push(peer);
    raw_goodbye(peer);
    expect_farewell(&s, peer);
}

/* Answers wait, because the peer reads nothing, when its goodbye comes; then it reads. */
static void test_a_goodbye_while_answers_wait(void **state)
{
    struct scene s;
    scene_init(&s, kind_of(state), options, false);
    struct raw_peer *peer = tls_peer(&s);
    peer->deaf = true;
    for (uint32_t i = 0; i < 100; i++) {
        static const uint8_t body[ASKED];
        raw_stream(peer, STREAM + 2 * i, ECHO_PROTOCOL);
        raw_data(peer, 0, STREAM + 2 * i, body, sizeof(body));
    }
    raw_push(peer);
    scene_run(&s, 300);
    owe(peer);
    raw_push(peer);
    raw_goodbye(peer);
    scene_run(&s, 300);
    peer->deaf = false;
    raw_mark(peer);
    assert_true(scene_until(&s, raw_is_gone, peer, 3000));
    assert_true(scene_until(&s, scene_was_told, &s, 3000));
    scene_fini(&s);
}

/* What follows a goodbye has no meaning any more (RFC 8446, section 6.1). */
static void test_records_behind_a_goodbye(void **state)
{
    struct scene s;
    scene_init(&s, kind_of(state), options, false);
    struct raw_peer *peer = tls_peer(&s);
    raw_goodbye(peer);
    ((struct tls_state *)peer->state)->said_close = false; /* our own would not let it */
    owe(peer);
    raw_push(peer);
    raw_goodbye(peer);
    expect_farewell(&s, peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_a_goodbye_right_behind_what_is_to_be_answered),
        BOTH(test_a_goodbye_while_answers_wait),
        BOTH(test_records_behind_a_goodbye),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

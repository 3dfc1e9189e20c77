/* Which connections a host keeps: water marks, worth, protection, and peers that are connected to
 * again. */
#include "tests/test.h"

#include "tests/world.h"

#include <limits.h>

#include <p2p/identify.h>
#include <p2p/limits.h>
#include <p2p/manager.h>

#include "tests/echo.h"

enum { GUESTS = 12 };

struct party {
    struct world world;
    p2p_host *host, *guest[GUESTS];
    char addr[256];
    int lost, lost_code;
    char lost_limit[40];
};

static void lost(p2p_host *host, p2p_conn *conn, const p2p_error *why, void *user)
{
    struct party *self = user;
    (void)host, (void)conn;
    self->lost++;
    self->lost_code = why->code;
    snprintf(self->lost_limit, sizeof(self->lost_limit), "%s", why->limit ? why->limit : "");
}

static const p2p_host_events events = {.size = sizeof(events), .on_disconnected = lost};

static void party_init(struct party *self, void **state, const char *grace)
{
    const char *options[] = {"conns_high=10", "conns_low=6", grace, NULL};
    *self = (struct party){.lost = 0};
    world_init(&self->world, kind_of(state), 1, true);
    self->host = world_host(&self->world, options);
    p2p_host_set_events(self->host, &events, self);
    world_addr(self->host, self->addr, sizeof(self->addr));
    for (int i = 0; i < GUESTS; i++)
        self->guest[i] = world_host(&self->world, NULL);
}

static size_t open_conns(const p2p_host *host)
{
    size_t count = 0;
    while (p2p_host_conn_at(host, count))
        count++;
    return count;
}

static void come(struct party *self, int guest)
{
    p2p_host_connect(self->guest[guest], self->addr, NULL, NULL, NULL);
}

static bool is_there(struct party *self, int guest)
{
    return p2p_host_conn(self->host, p2p_host_peer(self->guest[guest])) != NULL;
}

static const p2p_peer_id *guest_id(struct party *self, int guest)
{
    return p2p_host_peer(self->guest[guest]);
}

static void test_the_least_worth_go_when_there_is_one_too_many(void **state)
{
    struct party p;
    party_init(&p, state, "conns_grace=100ms");
    for (int i = 0; i < 10; i++)
        come(&p, i);
    world_run(&p.world, 1500);
    assert_int_equal(open_conns(p.host), 10); /* as many as may be */
    assert_int_equal(p2p_host_tag(p.host, guest_id(&p, 0), "a", 5), 0);
    assert_int_equal(p2p_host_tag(p.host, guest_id(&p, 0), "b", -20), 0);
    assert_int_equal(p2p_host_tag_value(p.host, guest_id(&p, 0)), -15);
    for (int i = 1; i < 10; i++)
        assert_int_equal(p2p_host_tag(p.host, guest_id(&p, i), "a", i), 0);
    assert_int_equal(p2p_host_protect(p.host, guest_id(&p, 1), "x"), 0);
    assert_int_equal(p2p_host_protect(p.host, guest_id(&p, 2), "x"), 0);
    assert_int_equal(p2p_host_protect(p.host, guest_id(&p, 2), "y"), 0);
    assert_int_equal(p2p_host_unprotect(p.host, guest_id(&p, 2), "x"), 1);
    assert_int_equal(p2p_host_unprotect(p.host, guest_id(&p, 2), "y"), 0);
    come(&p, 10); /* young, and so safe; then one too many */
    world_run(&p.world, 2000);
    assert_int_equal(open_conns(p.host), 6);
    assert_int_equal(p.lost, 5);
    assert_int_equal(p.lost_code, P2P_ELIMIT);
    assert_string_equal(p.lost_limit, "conns_high");
    assert_int_equal(p2p_host_refusals(p.host, "conns_high"), 5);
    static const bool stays[] = {false, true, false, false, false, false, true, true, true, true};
    for (int i = 0; i < 10; i++)
        assert_int_equal(is_there(&p, i), stays[i]);
    assert_true(is_there(&p, 10));
    world_fini(&p.world);
}

static void test_new_connections_are_safe_for_a_while(void **state)
{
    struct party p;
    if (kind_of(state) == WORLD_UV)
        skip(); /* the clock is the simulator's */
    party_init(&p, state, "conns_grace=20s");
    for (int i = 0; i < 12; i++)
        come(&p, i);
    world_run(&p.world, 19000);
    assert_int_equal(open_conns(p.host), 12);
    assert_int_equal(p2p_host_trim(p.host), 0);
    world_run(&p.world, 12000);
    assert_int_equal(open_conns(p.host), 6);
    world_fini(&p.world);
}

static void test_trimming_when_asked(void **state)
{
    struct party p;
    party_init(&p, state, "conns_grace=0");
    for (int i = 0; i < 7; i++)
        come(&p, i);
    world_run(&p.world, 1500);
    assert_int_equal(open_conns(p.host), 7);
    assert_int_equal(p2p_host_trim(p.host), 1);
    assert_int_equal(p2p_host_trim(p.host), 0);
    world_run(&p.world, 1500);
    assert_int_equal(open_conns(p.host), 6);
    world_fini(&p.world);
}

static void test_names_have_a_limit(void **state)
{
    struct party p;
    char name[40];
    party_init(&p, state, "conns_grace=0");
    const p2p_peer_id *id = guest_id(&p, 0);
    for (int i = 0; i <= P2P_TAGS_MAX; i++) {
        snprintf(name, sizeof(name), "tag%d", i);
        assert_int_equal(i % 2 ? p2p_host_tag(p.host, id, name, 1)
                               : p2p_host_protect(p.host, id, name),
                         i < P2P_TAGS_MAX ? 0 : P2P_ELIMIT);
    }
    assert_int_equal(p2p_host_tag(p.host, id, "tag1", 0), 0); /* makes room */
    snprintf(name, sizeof(name), "%0*d", P2P_TAG_MAX + 1, 0);
    assert_int_equal(p2p_host_tag(p.host, id, name, 1), P2P_EINVAL);
    name[P2P_TAG_MAX] = '\0';
    assert_int_equal(p2p_host_tag(p.host, id, name, INT_MAX), 0);
    assert_int_equal(p2p_host_tag_value(p.host, id), INT_MAX); /* and not beyond */
    assert_int_equal(p2p_host_tag(p.host, id, "", 1), P2P_EINVAL);
    assert_int_equal(p2p_host_is_protected(p.host, id, "tag0"), 1);
    assert_int_equal(p2p_host_is_protected(p.host, id, "tag3"), 0);
    assert_int_equal(p2p_host_is_protected(p.host, guest_id(&p, 1), NULL), 0);
    world_fini(&p.world);
}

static void test_peers_with_names_have_a_limit(void **state)
{
    struct party p;
    p2p_peer_id id;
    party_init(&p, state, "conns_grace=0");
    for (int i = 0; i <= 4096; i++) {
        id = *guest_id(&p, 0);
        memcpy(id.bytes + 8, &i, sizeof(i));
        assert_int_equal(p2p_host_tag(p.host, &id, "a", 1), i < 4096 ? 0 : P2P_ELIMIT);
    }
    memset(id.bytes + 8, 0, sizeof(int));
    assert_int_equal(p2p_host_tag(p.host, &id, "a", 0), 0);
    assert_int_equal(p2p_host_protect(p.host, guest_id(&p, 1), "a"), 0);
    world_fini(&p.world);
}

/* ---- kept peers ---- */

static bool first_is_there(void *user)
{
    return is_there(user, 0);
}

static void test_a_kept_peer_is_connected_to_again(void **state)
{
    struct party p;
    party_init(&p, state, "conns_grace=0");
    assert_int_equal(p2p_host_keep(p.guest[0], "/ip4/127.0.0.1/tcp/1"), P2P_EADDR);
    assert_int_equal(p2p_host_keep(p.guest[0], "nonsense"), P2P_EPEER);
    assert_int_equal(p2p_host_keep(p.guest[0], p.addr), 0);
    for (int round = 0; round < 3; round++) {
        assert_true(world_until(&p.world, first_is_there, &p, 6000));
        p2p_conn_close(p2p_host_conn(p.host, guest_id(&p, 0)));
        world_run(&p.world, 500);
        assert_false(is_there(&p, 0));
    }
    assert_true(world_until(&p.world, first_is_there, &p, 11000));
    /* Kept no more, it stays away. */
    assert_int_equal(p2p_host_unkeep(p.guest[0], p2p_host_peer(p.host)), 0);
    assert_int_equal(p2p_host_unkeep(p.guest[0], p2p_host_peer(p.host)), P2P_ENOENT);
    assert_true(is_there(&p, 0));
    p2p_conn_close(p2p_host_conn(p.host, guest_id(&p, 0)));
    world_run(&p.world, kind_of(state) == WORLD_SIM ? 30000 : 3000);
    assert_false(is_there(&p, 0));
    world_fini(&p.world);
}

static bool knows_host(void *user)
{
    const struct party *p = user;
    return p2p_identify_peer(p->guest[0], p2p_host_peer(p->host));
}

/* It told where else it listens when it was last there. */
static void test_a_kept_peer_that_moved_is_found(void **state)
{
    struct party p;
    char nowhere[128], id[P2P_PEER_ID_TEXT_MAX];
    party_init(&p, state, "conns_grace=0");
    come(&p, 0);
    assert_true(world_until(&p.world, knows_host, &p, 3000));
    p2p_conn_close(p2p_host_conn(p.host, guest_id(&p, 0)));
    assert_true(p2p_peer_id_format(p2p_host_peer(p.host), id, sizeof(id)) > 0);
    snprintf(nowhere, sizeof(nowhere), "/ip4/127.0.0.1/tcp/1/p2p/%s", id);
    world_run(&p.world, 100);
    assert_int_equal(p2p_host_keep(p.guest[0], nowhere), 0);
    world_run(&p.world, 500);
    assert_false(is_there(&p, 0));
    assert_true(world_until(&p.world, first_is_there, &p, 6000));
    world_fini(&p.world);
}

static void test_a_kept_peer_is_never_trimmed(void **state)
{
    struct party p;
    party_init(&p, state, "conns_grace=0");
    char at[256];
    assert_int_equal(p2p_host_keep(p.host, world_addr(p.guest[0], at, sizeof(at))), 0);
    assert_true(world_until(&p.world, first_is_there, &p, 3000));
    assert_int_equal(p2p_host_tag(p.host, guest_id(&p, 0), "worthless", -1000), 0);
    for (int i = 1; i < 12; i++)
        come(&p, i);
    world_run(&p.world, 2500);
    assert_int_equal(open_conns(p.host), 6);
    assert_true(is_there(&p, 0));
    world_fini(&p.world);
}

static int attempts_within(struct party *self, int ms)
{
    int before = self->lost;
    world_run(&self->world, ms);
    return self->lost - before;
}

/* A peer that throws us out at once is asked less and less often. */
static void quits(p2p_host *host, p2p_conn *conn, void *user)
{
    (void)host, (void)user;
    p2p_conn_close(conn);
}

static void test_a_kept_peer_that_fails_is_tried_less_and_less(void **state)
{
    static const p2p_host_events rude = {
        .size = sizeof(rude), .on_connected = quits, .on_disconnected = lost};
    struct party p;
    if (kind_of(state) == WORLD_UV)
        skip();
    party_init(&p, state, "conns_grace=0");
    p2p_host_set_events(p.host, &rude, &p);
    assert_int_equal(p2p_host_keep(p.guest[0], p.addr), 0);
    int first = attempts_within(&p, 60 * 1000), later = attempts_within(&p, 3600 * 1000);
    assert_true(first >= 4 && first <= 8);
    assert_true(later >= 8 && later <= 22); /* every five minutes, give or take a quarter */
    world_fini(&p.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_the_least_worth_go_when_there_is_one_too_many),
        BOTH(test_new_connections_are_safe_for_a_while),
        BOTH(test_trimming_when_asked),
        BOTH(test_names_have_a_limit),
        BOTH(test_peers_with_names_have_a_limit),
        BOTH(test_a_kept_peer_is_connected_to_again),
        BOTH(test_a_kept_peer_that_moved_is_found),
        BOTH(test_a_kept_peer_is_never_trimmed),
        BOTH(test_a_kept_peer_that_fails_is_tried_less_and_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Whom a host talks to: rules and the callback, on real sockets and in the simulator, over links
 * and sessions. */
#include "tests/test.h"

#include "tests/world.h"

#include <p2p/gater.h>
#include <p2p/limits.h>

#include "tests/echo.h"

struct pair {
    struct world world;
    p2p_host *a, *b;
    char addr[256], peer[80], ip[64];
};

static void pair_init(struct pair *self, void **state, const char *of_a, const char *of_b)
{
    world_init(&self->world, kind_of(state), 1, false);
    self->a = world_host(&self->world, (const char *[]){of_a, NULL});
    self->b = world_host(&self->world, (const char *[]){of_b, NULL});
    assert_int_equal(p2p_host_handle(self->b, ECHO_PROTOCOL, &echo_events, NULL), 0);
    world_addr(self->b, self->addr, sizeof(self->addr));
    /* Where a is, which rules of b are about. */
    p2p_multiaddr at;
    char text[256];
    assert_int_equal(p2p_host_addr(self->a, 0, &at), 0);
    assert_true(p2p_multiaddr_format(&at, text, sizeof(text)) > 0);
    assert_int_equal(sscanf(text, "/ip4/%63[0-9.]", self->ip), 1);
    assert_true(p2p_peer_id_format(p2p_host_peer(self->a), self->peer, sizeof(self->peer)) > 0);
}

static int echo(struct pair *self, struct side *side)
{
    *side = (struct side){.to_send = 1000};
    open_echo(self->a, self->addr, side);
    assert_true(world_until(&self->world, closed, side, 20000));
    return side->close_code;
}

static void no_conn_stays(struct pair *self)
{
    p2p_conn *conn = p2p_host_conn_at(self->a, 0);
    if (conn)
        p2p_conn_close(conn);
    world_run(&self->world, 1500);
    assert_null(p2p_host_conn_at(self->a, 0));
    assert_null(p2p_host_conn_at(self->b, 0));
}

static void test_a_denied_dial_names_its_rule(void **state)
{
    struct pair p;
    struct side side;
    char rule[80], of_b[80];
    pair_init(&p, state, NULL, NULL);
    assert_true(p2p_peer_id_format(p2p_host_peer(p.b), of_b, sizeof(of_b)) > 0);
    snprintf(rule, sizeof(rule), "%s", of_b);
    assert_int_equal(p2p_host_deny(p.a, rule), 0);
    assert_int_equal(echo(&p, &side), P2P_EDENIED);
    assert_non_null(strstr(side.message, of_b));
    assert_int_equal(p2p_host_refusals(p.a, "deny"), 1);
    assert_int_equal(p2p_host_undeny(p.a, rule), 0);
    assert_int_equal(p2p_host_undeny(p.a, rule), P2P_ENOENT);
    assert_int_equal(echo(&p, &side), 0);
    no_conn_stays(&p);
    assert_int_equal(p2p_host_deny(p.a, "0.0.0.0/0"), 0);
    assert_int_equal(echo(&p, &side), P2P_EDENIED);
    assert_non_null(strstr(side.message, "0.0.0.0/0"));
    assert_int_equal(p2p_host_deny(p.a, "nonsense"), P2P_EADDR);
    world_fini(&p.world);
}

static void test_an_address_is_denied_before_it_is_answered(void **state)
{
    struct pair p;
    struct side side;
    pair_init(&p, state, NULL, NULL);
    assert_int_equal(p2p_host_deny(p.b, p.ip), 0);
    assert_int_not_equal(echo(&p, &side), 0);
    assert_true(p2p_host_refusals(p.b, "deny") >= 1);
    assert_null(p2p_host_conn_at(p.b, 0));
    assert_int_equal(p2p_host_undeny(p.b, p.ip), 0);
    world_run(&p.world, 1500);
    assert_int_equal(echo(&p, &side), 0);
    world_fini(&p.world);
}

static void test_a_peer_is_denied_when_it_is_known(void **state)
{
    struct pair p;
    struct side side;
    pair_init(&p, state, NULL, NULL);
    assert_int_equal(p2p_host_deny(p.b, p.peer), 0);
    assert_int_not_equal(echo(&p, &side), 0);
    assert_int_equal(p2p_host_refusals(p.b, "deny"), 1);
    assert_null(p2p_host_conn_at(p.b, 0));
    world_fini(&p.world);
}

static void test_denying_ends_what_is_open(void **state)
{
    struct pair p;
    struct side side;
    pair_init(&p, state, NULL, NULL);
    assert_int_equal(echo(&p, &side), 0);
    assert_non_null(p2p_host_conn_at(p.b, 0));
    assert_int_equal(p2p_host_deny(p.b, p.peer), 0);
    world_run(&p.world, 1500);
    assert_null(p2p_host_conn_at(p.b, 0));
    assert_null(p2p_host_conn_at(p.a, 0));
    assert_int_equal(p2p_host_refusals(p.b, "deny"), 1);
    world_fini(&p.world);
}

/* Each list as an option: who is in it passes, and nobody else. */
static void test_only_the_allowed_are_let_in(void **state)
{
    static const char *const nobody = "allow=12D3KooWJxtA58msbiPWUD272q3WAKXUN97GC9LvCrZerSn3UTq8";
    struct pair p;
    struct side side;
    pair_init(&p, state, NULL, nobody);
    assert_int_not_equal(echo(&p, &side), 0); /* let in, until it was known */
    assert_int_equal(p2p_host_refusals(p.b, "allow"), 1);
    assert_int_equal(p2p_host_allow(p.b, p.peer), 0);
    world_run(&p.world, 1500);
    assert_int_equal(echo(&p, &side), 0);
    no_conn_stays(&p);
    assert_int_equal(p2p_host_unallow(p.b, p.peer), 0);
    assert_int_equal(p2p_host_allow(p.b, p.ip), 0); /* by where it is */
    assert_int_equal(echo(&p, &side), 0);
    no_conn_stays(&p);
    assert_int_equal(p2p_host_deny(p.b, p.peer), 0); /* which is stronger */
    assert_int_not_equal(echo(&p, &side), 0);
    world_fini(&p.world);

    pair_init(&p, state, "allow=198.51.100.0/24", NULL);
    assert_int_equal(echo(&p, &side), P2P_EDENIED);
    assert_non_null(strstr(side.message, "no rule allows it"));
    world_fini(&p.world);

    pair_init(&p, state, NULL, "allow=198.51.100.0/24");
    assert_int_not_equal(echo(&p, &side), 0); /* refused at the door */
    assert_true(p2p_host_refusals(p.b, "allow") >= 1);
    world_fini(&p.world);
}

static void test_a_wrong_rule_in_an_option_is_named(void **state)
{
    p2p_config *config = p2p_config_new();
    p2p_host *host;
    p2p_error *err = NULL;
    char why[200];
    (void)state;
    assert_int_equal(p2p_config_set(config, "deny", "10.0.0.0/8", why, sizeof(why)), 0);
    assert_int_equal(p2p_config_set(config, "deny", "10.0.0.0/99", why, sizeof(why)), 0);
    assert_int_equal(p2p_host_new(config, NULL, &host, &err), P2P_EADDR);
    assert_non_null(strstr(err->message, "10.0.0.0/99"));
    assert_non_null(strstr(err->message, "deny"));
    p2p_error_free(err);
    p2p_config_free(config);
}

/* ---- the callback ---- */

struct gate {
    int asked[4];
    p2p_gate_stage refuse;
    p2p_peer_id peer;
};

static int gate(p2p_host *host, const p2p_gate_question *question, void *user)
{
    struct gate *self = user;
    (void)host;
    self->asked[question->stage]++;
    assert_non_null(question->addr);
    if (question->stage == P2P_GATE_ACCEPT)
        assert_null(question->peer);
    else
        assert_true(p2p_peer_id_equal(question->peer, &self->peer));
    return question->stage == self->refuse;
}

static void test_the_callback_is_asked_at_every_stage(void **state)
{
    for (int refuse = 0; refuse <= P2P_GATE_SECURED; refuse++) {
        struct pair p;
        struct side side;
        struct gate of_a = {.refuse = (p2p_gate_stage)refuse}, of_b = of_a;
        pair_init(&p, state, NULL, NULL);
        of_a.peer = *p2p_host_peer(p.b);
        of_b.peer = *p2p_host_peer(p.a);
        p2p_host_set_gate(p.a, gate, &of_a);
        p2p_host_set_gate(p.b, gate, &of_b);
        int code = echo(&p, &side);
        assert_int_equal(code == 0, refuse == 0);
        if (refuse == P2P_GATE_DIAL) {
            assert_int_equal(code, P2P_EDENIED);
            assert_int_equal(of_b.asked[P2P_GATE_ACCEPT], 0);
        } else {
            assert_int_equal(of_a.asked[P2P_GATE_DIAL], 1);
            assert_true(of_b.asked[P2P_GATE_ACCEPT] >= 1);
        }
        if (refuse == P2P_GATE_ACCEPT)
            assert_int_equal(of_b.asked[P2P_GATE_SECURED], 0);
        assert_int_equal(p2p_host_refusals(p.a, "gate") + p2p_host_refusals(p.b, "gate") > 0,
                         refuse != 0);
        world_fini(&p.world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_a_denied_dial_names_its_rule),
        BOTH(test_an_address_is_denied_before_it_is_answered),
        BOTH(test_a_peer_is_denied_when_it_is_known),
        BOTH(test_denying_ends_what_is_open),
        BOTH(test_only_the_allowed_are_let_in),
        cmocka_unit_test(test_a_wrong_rule_in_an_option_is_named),
        BOTH(test_the_callback_is_asked_at_every_stage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

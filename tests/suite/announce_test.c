/* What a host tells others of its addresses. */
#include "tests/test.h"

#include "tests/world.h"

#include <p2p/identify.h>

#include "tests/echo.h"

struct pair {
    struct world world;
    p2p_host *teller, *listener;
};

static bool identified(void *user)
{
    struct pair *self = user;
    return p2p_identify_peer(self->listener, p2p_host_peer(self->teller)) != NULL;
}

static void pair_init(struct pair *self, enum world_kind kind, const char *teller_ip,
                      const char *listener_ip, const char *const *options)
{
    char addr[256];
    world_init(&self->world, kind, 1, false);
    self->world.ip = teller_ip;
    self->teller = world_host(&self->world, options);
    self->world.ip = listener_ip;
    self->listener = world_host(&self->world, NULL);
    p2p_host_connect(self->listener, world_addr(self->teller, addr, sizeof(addr)), NULL, NULL,
                     NULL);
    assert_true(world_until(&self->world, identified, self, 5000));
}

/* Whether an address that begins so was told. */
static bool told(const struct pair *self, const char *front)
{
    const p2p_identity *identity = p2p_identify_peer(self->listener, p2p_host_peer(self->teller));
    p2p_multiaddr addr;
    for (size_t i = 0; p2p_identity_addr_at(identity, i, &addr) == 0; i++) {
        char text[P2P_MULTIADDR_TEXT_MAX];
        assert_true(p2p_multiaddr_format(&addr, text, sizeof(text)) > 0);
        if (strncmp(text, front, strlen(front)) == 0)
            return true;
    }
    return false;
}

static size_t told_count(const struct pair *self)
{
    return p2p_identify_peer(self->listener, p2p_host_peer(self->teller))->addr_count;
}

static void test_others_are_told_what_means_something_to_them(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, WORLD_UV, NULL, NULL, NULL); /* on this machine: everything */
    assert_true(told(&p, "/ip4/127.0.0.1/tcp/"));
    world_fini(&p.world);

    pair_init(&p, WORLD_SIM, "10.0.0.1", "10.0.0.2", NULL); /* next door */
    assert_true(told(&p, "/ip4/10.0.0.1/tcp/"));
    world_fini(&p.world);

    pair_init(&p, WORLD_SIM, "10.0.0.1", "198.51.100.2", NULL); /* in the world */
    assert_int_equal(told_count(&p), 0);
    world_fini(&p.world);

    pair_init(&p, WORLD_SIM, "203.0.113.1", "198.51.100.2", NULL);
    assert_true(told(&p, "/ip4/203.0.113.1/tcp/"));
    world_fini(&p.world);
}

static void test_what_is_told_instead_and_what_never(void **state)
{
    static const char *const instead[] = {"announce=/dns4/node.example/tcp/4001",
                                          "announce=/ip4/203.0.113.77/tcp/4001",
                                          "announce=/ip4/10.9.9.9/tcp/4001", NULL};
    static const char *const never[] = {"no_announce=203.0.113.0/24", NULL};
    static const char *const both[] = {"announce=/ip4/203.0.113.77/tcp/4001",
                                       "announce=/ip4/198.51.100.77/tcp/4001",
                                       "no_announce=203.0.113.0/24", NULL};
    struct pair p;
    (void)state;
    pair_init(&p, WORLD_SIM, "203.0.113.1", "198.51.100.2", instead);
    assert_int_equal(told_count(&p), 2);
    assert_true(told(&p, "/dns4/node.example/tcp/4001"));
    assert_true(told(&p, "/ip4/203.0.113.77/tcp/4001"));
    world_fini(&p.world);

    pair_init(&p, WORLD_SIM, "203.0.113.1", "198.51.100.2", never);
    assert_int_equal(told_count(&p), 0);
    world_fini(&p.world);

    pair_init(&p, WORLD_SIM, "203.0.113.1", "198.51.100.2", both);
    assert_int_equal(told_count(&p), 1);
    assert_true(told(&p, "/ip4/198.51.100.77/tcp/4001"));
    world_fini(&p.world);
}

static void refused(const char *name, const char *value, int code, const char *word)
{
    p2p_config *config = p2p_config_new();
    p2p_host *host;
    p2p_error *err = NULL;
    char why[200];
    assert_int_equal(p2p_config_set(config, name, value, why, sizeof(why)), 0);
    assert_int_equal(p2p_host_new(config, NULL, &host, &err), code);
    assert_non_null(strstr(err->message, name));
    assert_non_null(strstr(err->message, word));
    p2p_error_free(err);
    p2p_config_free(config);
}

static void test_wrong_options_are_named(void **state)
{
    (void)state;
    refused("announce", "/ip4/1.2.3", P2P_EADDR, "1.2.3");
    refused("announce",
            "/ip4/1.2.3.4/tcp/1/p2p/12D3KooWJxtA58msbiPWUD272q3WAKXUN97GC9LvCrZerSn3UTq8",
            P2P_EPEERID, "another peer's");
    refused("no_announce", "1.2.3.4/33", P2P_EADDR, "1.2.3.4/33");
    refused("no_announce", "12D3KooWJxtA58msbiPWUD272q3WAKXUN97GC9LvCrZerSn3UTq8", P2P_EADDR,
            "no address");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_others_are_told_what_means_something_to_them),
        cmocka_unit_test(test_what_is_told_instead_and_what_never),
        cmocka_unit_test(test_wrong_options_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

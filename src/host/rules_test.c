#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include <p2p/error.h>

#include "codec/ip_text.h"
#include "host/rules.h"

#define PEER  "12D3KooWMKbzaupPph3fTKSGqdev1p4Q9g7HWWXLKjF63dL1p9YQ"
#define OTHER "12D3KooWJxtA58msbiPWUD272q3WAKXUN97GC9LvCrZerSn3UTq8"

static struct rule rule_of(const char *text)
{
    struct rule rule;
    assert_int_equal(p2p__rule_parse(text, &rule), 0);
    return rule;
}

static bool matches(const char *text, const char *peer, const char *ip)
{
    struct rule rule = rule_of(text);
    struct rules_subject subject = {.family = 0};
    p2p_peer_id id;
    if (peer) {
        assert_int_equal(p2p_peer_id_parse(peer, &id), 0);
        subject.peer = &id;
    }
    if (ip && p2p__ip4_parse(ip, strlen(ip), subject.ip) == 0)
        subject.family = 4;
    else if (ip && p2p__ip6_parse(ip, strlen(ip), subject.ip) == 0)
        subject.family = 6;
    return p2p__rule_matches(&rule, &subject);
}

static void test_every_form_of_a_rule(void **state)
{
    static const char *const forms[][2] = {
        {"192.0.2.7", "192.0.2.7/32"},
        {"192.0.2.7/32", "192.0.2.7/32"},
        {"192.0.2.7/31", "192.0.2.6/31"},
        {"10.1.2.3/8", "10.0.0.0/8"},
        {"10.1.2.3/0", "0.0.0.0/0"},
        {"/ip4/192.0.2.7", "192.0.2.7/32"},
        {"/ip4/10.0.0.0/ipcidr/8", "10.0.0.0/8"},
        {"2001:db8::1", "2001:db8::1/128"},
        {"2001:db8:ffff::/33", "2001:db8:8000::/33"},
        {"/ip6/2001:db8::/ipcidr/32", "2001:db8::/32"},
        {"::ffff:10.0.0.1", "10.0.0.1/32"},
        {"::ffff:10.1.0.1/104", "10.0.0.0/8"},
        {"::/0", "::/0"},
        {PEER, PEER},
        {"/p2p/" PEER, PEER},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        struct rule rule = rule_of(forms[i][0]), again;
        char text[RULE_TEXT_MAX];
        p2p__rule_format(&rule, text);
        assert_string_equal(text, forms[i][1]);
        again = rule_of(text);
        assert_memory_equal(&again, &rule, sizeof(rule));
    }
}

static void test_what_is_no_rule(void **state)
{
    static const char *const bad[] = {
        "",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0.0/8/8",
        "10.0.0.0/1000",
        "10.0.0/8",
        "2001:db8::/129",
        "example.org",
        "/dns4/example.org",
        "/ip4/10.0.0.1/tcp/1",
        "/ip4/10.0.0.0/ipcidr/33",
        "/ip4/10.0.0.0/ipcidr/8/p2p/" PEER,
        "/tcp/1",
        "/",
        "nobody",
        PEER "x",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct rule rule;
        if (p2p__rule_parse(bad[i], &rule) != P2P_EADDR)
            fail_msg("\"%s\" is taken", bad[i]);
    }
}

static void test_what_a_rule_matches(void **state)
{
    (void)state;
    assert_true(matches("10.0.0.0/8", NULL, "10.255.0.1"));
    assert_false(matches("10.0.0.0/8", NULL, "11.0.0.0"));
    assert_false(matches("10.0.0.0/8", NULL, "9.255.255.255"));
    assert_true(matches("192.0.2.6/31", NULL, "192.0.2.7"));
    assert_false(matches("192.0.2.6/31", NULL, "192.0.2.8"));
    assert_true(matches("0.0.0.0/0", NULL, "255.255.255.255"));
    assert_false(matches("0.0.0.0/0", NULL, "2001:db8::1"));
    assert_false(matches("0.0.0.0/0", NULL, NULL));
    assert_true(matches("10.0.0.0/8", NULL, "::ffff:10.0.0.1")); /* who it is, however written */
    assert_false(matches("::/0", NULL, "::ffff:10.0.0.1"));
    assert_true(matches("::/0", NULL, "2001:db8::1"));
    assert_true(matches("2001:db8::/33", NULL, "2001:db8:7fff::"));
    assert_false(matches("2001:db8::/33", NULL, "2001:db8:8000::"));
    assert_true(matches(PEER, PEER, NULL));
    assert_true(matches(PEER, PEER, "10.0.0.1"));
    assert_false(matches(PEER, OTHER, NULL));
    assert_false(matches(PEER, NULL, "10.0.0.1"));
}

static void test_rules_have_a_limit(void **state)
{
    struct rules rules = {.at = NULL};
    struct rule rule;
    char text[40];
    (void)state;
    for (int i = 0; i <= RULES_MAX; i++) {
        snprintf(text, sizeof(text), "10.%d.%d.0/24", i / 256, i % 256);
        rule = rule_of(text);
        assert_int_equal(p2p__rules_add(&rules, &rule), i < RULES_MAX ? 0 : P2P_ELIMIT);
    }
    rule = rule_of("10.0.0.0/24");
    assert_int_equal(p2p__rules_add(&rules, &rule), 0); /* it is there */
    assert_int_equal(rules.count, RULES_MAX);
    assert_int_equal(p2p__rules_remove(&rules, &rule), 0);
    assert_int_equal(p2p__rules_remove(&rules, &rule), P2P_ENOENT);
    rule = rule_of(PEER);
    assert_int_equal(p2p__rules_add(&rules, &rule), 0);
    assert_int_equal(rules.of_peers, 1);
    assert_int_equal(p2p__rules_remove(&rules, &rule), 0);
    assert_int_equal(rules.of_peers, 0);
    const struct rules_subject inside = {.family = 4, .ip = {10, 15, 255, 9}};
    const struct rules_subject outside = {.family = 4, .ip = {10, 0, 0, 9}};
    assert_non_null(p2p__rules_find(&rules, &inside));
    assert_null(p2p__rules_find(&rules, &outside));
    p2p__rules_fini(&rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_form_of_a_rule),
        cmocka_unit_test(test_what_is_no_rule),
        cmocka_unit_test(test_what_a_rule_matches),
        cmocka_unit_test(test_rules_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/test.h"

#include "codec/addr_facts.h"

static p2p_multiaddr parse(const char *text)
{
    p2p_multiaddr addr;
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    return addr;
}

static void assert_facts(const char *text, enum addr_reach reach, enum addr_kind kind)
{
    p2p_multiaddr addr = parse(text);
    struct addr_facts facts;
    p2p__addr_facts(&addr, &facts);
    if (facts.reach != reach || facts.kind != kind)
        fail_msg("%s: reach %d, kind %d", text, facts.reach, facts.kind);
}

static void test_reach(void **state)
{
    (void)state;
    assert_facts("/ip4/127.0.0.1/tcp/1", REACH_LOOPBACK, KIND_TCP);
    assert_facts("/ip4/126.255.255.255/tcp/1", REACH_PUBLIC, KIND_TCP);
    assert_facts("/ip4/128.0.0.0/tcp/1", REACH_PUBLIC, KIND_TCP);
    assert_facts("/ip4/0.0.0.0/tcp/1", REACH_UNUSABLE, KIND_TCP);
    assert_facts("/ip4/0.255.0.1/tcp/1", REACH_UNUSABLE, KIND_TCP);
    assert_facts("/ip4/9.255.255.255/tcp/1", REACH_PUBLIC, KIND_TCP);
    assert_facts("/ip4/10.0.0.0/tcp/1", REACH_PRIVATE, KIND_TCP);
    assert_facts("/ip4/11.0.0.0/tcp/1", REACH_PUBLIC, KIND_TCP);
    assert_facts("/ip4/172.15.255.255/tcp/1", REACH_PUBLIC, KIND_TCP);
    assert_facts("/ip4/172.16.0.0/tcp/1", REACH_PRIVATE, KIND_TCP);
    assert_facts("/ip4/172.31.255.255/tcp/1", REACH_PRIVATE, KIND_TCP);
    assert_facts("/ip4/172.32.0.0/tcp/1", REACH_PUBLIC, KIND_TCP);
    assert_facts("/ip4/192.167.1.1/tcp/1", REACH_PUBLIC, KIND_TCP);
    assert_facts("/ip4/192.168.1.1/tcp/1", REACH_PRIVATE, KIND_TCP);
    assert_facts("/ip4/100.63.255.255/tcp/1", REACH_PUBLIC, KIND_TCP);
    assert_facts("/ip4/100.64.0.0/tcp/1", REACH_PRIVATE, KIND_TCP);
    assert_facts("/ip4/100.127.255.255/tcp/1", REACH_PRIVATE, KIND_TCP);
    assert_facts("/ip4/100.128.0.0/tcp/1", REACH_PUBLIC, KIND_TCP);
    assert_facts("/ip4/169.254.169.254/tcp/1", REACH_LINK_LOCAL, KIND_TCP);
    assert_facts("/ip4/223.255.255.255/tcp/1", REACH_PUBLIC, KIND_TCP);
    assert_facts("/ip4/224.0.0.1/tcp/1", REACH_UNUSABLE, KIND_TCP);
    assert_facts("/ip4/255.255.255.255/tcp/1", REACH_UNUSABLE, KIND_TCP);
    assert_facts("/ip6/::/tcp/1", REACH_UNUSABLE, KIND_TCP);
    assert_facts("/ip6/::1/tcp/1", REACH_LOOPBACK, KIND_TCP);
    assert_facts("/ip6/::2/tcp/1", REACH_PUBLIC, KIND_TCP);
    assert_facts("/ip6/fe80::1/tcp/1", REACH_LINK_LOCAL, KIND_TCP);
    assert_facts("/ip6/febf::1/tcp/1", REACH_LINK_LOCAL, KIND_TCP);
    assert_facts("/ip6/fec0::1/tcp/1", REACH_PUBLIC, KIND_TCP);
    assert_facts("/ip6/fbff::1/tcp/1", REACH_PUBLIC, KIND_TCP);
    assert_facts("/ip6/fc00::1/tcp/1", REACH_PRIVATE, KIND_TCP);
    assert_facts("/ip6/fdff::1/tcp/1", REACH_PRIVATE, KIND_TCP);
    assert_facts("/ip6/ff02::1/tcp/1", REACH_UNUSABLE, KIND_TCP);
    assert_facts("/ip6/2001:db8::1/tcp/1", REACH_PUBLIC, KIND_TCP);
    assert_facts("/ip6/::ffff:10.1.2.3/tcp/1", REACH_PRIVATE, KIND_TCP);
    assert_facts("/ip6/::ffff:127.0.0.1/tcp/1", REACH_LOOPBACK, KIND_TCP);
    assert_facts("/dns4/example.com/tcp/1", REACH_NONE, KIND_TCP);
}

static void test_kind(void **state)
{
    (void)state;
    static const char relayed[] = "/ip4/1.2.3.4/udp/1/quic-v1/p2p/"
                                  "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N/p2p-circuit";
    assert_facts("/ip4/1.2.3.4/tcp/1/ws", REACH_PUBLIC, KIND_WS);
    assert_facts("/ip4/1.2.3.4/tcp/1/tls/ws", REACH_PUBLIC, KIND_WSS);
    assert_facts("/ip4/1.2.3.4/tcp/1/tls/sni/a.b/ws", REACH_PUBLIC, KIND_WSS);
    assert_facts("/ip4/1.2.3.4/tcp/1/wss", REACH_PUBLIC, KIND_WSS);
    assert_facts("/ip4/1.2.3.4/udp/1/quic-v1", REACH_PUBLIC, KIND_QUIC);
    assert_facts("/ip4/1.2.3.4/udp/1/quic", REACH_PUBLIC, KIND_OTHER);
    assert_facts("/ip4/1.2.3.4/udp/1/quic-v1/webtransport", REACH_PUBLIC, KIND_WEBTRANSPORT);
    assert_facts("/ip4/1.2.3.4/udp/1/webrtc-direct", REACH_PUBLIC, KIND_WEBRTC);
    assert_facts(relayed, REACH_PUBLIC, KIND_RELAY);
    assert_facts("/unix/tmp/x", REACH_NONE, KIND_UNIX);
    assert_facts("/memory/7", REACH_NONE, KIND_MEMORY);
}

static void test_places(void **state)
{
    (void)state;
    const p2p_multiaddr ip = parse("/ip4/10.1.2.3"), ip6 = parse("/ip6zone/2/ip6/fe80::9");
    p2p_multiaddr addr = parse("/ip6zone/eth0/ip6/fe80::1/udp/443/quic-v1"), out;
    struct addr_facts facts;
    p2p__addr_facts(&addr, &facts);
    assert_int_equal(facts.port, 443);
    assert_true(facts.udp);
    assert_false(facts.any);
    assert_int_equal(facts.family, 6);
    p2p_multiaddr wanted = parse("/ip4/10.1.2.3/udp/443/quic-v1");
    assert_int_equal(p2p__addr_with_front(&addr, &facts, &ip, &out), 0);
    assert_true(p2p__addr_equal(&out, &wanted));
    addr = parse("/ip4/0.0.0.0/tcp/0/ws");
    p2p__addr_facts(&addr, &facts);
    assert_true(facts.any);
    wanted = parse("/ip6zone/2/ip6/fe80::9/tcp/0/ws");
    assert_int_equal(p2p__addr_with_front(&addr, &facts, &ip6, &out), 0);
    assert_true(p2p__addr_equal(&out, &wanted));
    wanted.len = 0;
    assert_false(p2p__addr_equal(&out, &wanted));
    addr = parse("/memory/7");
    p2p__addr_facts(&addr, &facts);
    assert_int_equal(p2p__addr_with_front(&addr, &facts, &ip, &out), 0);
    assert_true(p2p__addr_equal(&out, &addr));
    addr = parse("/ip4/0.0.0.0");
    p2p__addr_facts(&addr, &facts);
    assert_int_equal(p2p__addr_with_front(&addr, &facts, &ip, &out), 0);
    wanted = parse("/ip4/10.1.2.3");
    assert_true(p2p__addr_equal(&out, &wanted));
}

static void test_peer(void **state)
{
    (void)state;
    static const char text[] =
        "/ip4/1.2.3.4/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
    p2p_multiaddr addr = parse(text), whole = addr, bare = parse("/ip4/1.2.3.4/tcp/1");
    p2p_peer_id peer;
    assert_true(p2p__addr_take_peer(&addr, &peer));
    assert_true(p2p__addr_equal(&addr, &bare));
    p2p__addr_append_peer(&addr, &peer);
    assert_true(p2p__addr_equal(&addr, &whole));
    assert_false(p2p__addr_take_peer(&bare, &peer));
    assert_int_equal(peer.len, 0);
    /* Only the last one: the relay's own stays. */
    p2p_multiaddr circuit = parse("/p2p-circuit"), relayed = whole;
    assert_int_equal(p2p_multiaddr_encapsulate(&relayed, &circuit), 0);
    p2p_multiaddr before = relayed;
    assert_false(p2p__addr_take_peer(&relayed, &peer));
    assert_true(p2p__addr_equal(&relayed, &before));
    p2p_multiaddr empty = {.len = 0};
    assert_false(p2p__addr_take_peer(&empty, &peer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reach),
        cmocka_unit_test(test_kind),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

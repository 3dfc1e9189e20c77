#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include "host/backoff.h"

enum { S = 1000000 };

static p2p_peer_id peer_of(uint8_t n)
{
    p2p_peer_id peer = {.len = 38};
    memset(peer.bytes, n, peer.len);
    return peer;
}

static p2p_multiaddr addr_of(unsigned port)
{
    char text[64];
    p2p_multiaddr addr;
    snprintf(text, sizeof(text), "/ip4/1.2.3.4/tcp/%u", port);
    assert_int_equal(p2p_multiaddr_parse(text, &addr), 0);
    return addr;
}

static void test_longer_each_time(void **state)
{
    (void)state;
    static const struct hash_key key = {1, 2};
    struct backoff backoff;
    p2p_peer_id peer = peer_of(1), other = peer_of(2);
    p2p_multiaddr addr = addr_of(1), addr2 = addr_of(2);
    uint64_t now = 100 * S;
    p2p__backoff_init(&backoff, &key);
    assert_int_equal(p2p__backoff_until(&backoff, &peer, &addr, now), 0);
    for (uint64_t wait = 5; wait < 300; wait *= 2) {
        p2p__backoff_failed(&backoff, &peer, &addr, now);
        assert_int_equal(p2p__backoff_until(&backoff, &peer, &addr, now), now + wait * S);
        now += wait * S;
        assert_int_equal(p2p__backoff_until(&backoff, &peer, &addr, now - 1), now);
        assert_int_equal(p2p__backoff_until(&backoff, &peer, &addr, now), 0);
    }
    for (int i = 0; i < 100; i++)
        p2p__backoff_failed(&backoff, &peer, &addr, now);
    assert_int_equal(p2p__backoff_until(&backoff, &peer, &addr, now), now + 300ull * S);
    assert_int_equal(p2p__backoff_until(&backoff, &other, &addr, now), 0);
    assert_int_equal(p2p__backoff_until(&backoff, &peer, &addr2, now), 0);
    now += 600ull * S; /* forgiven */
    p2p__backoff_failed(&backoff, &peer, &addr, now);
    assert_int_equal(p2p__backoff_until(&backoff, &peer, &addr, now), now + 5 * S);
    p2p__backoff_worked(&backoff, &peer, &addr);
    p2p__backoff_worked(&backoff, &peer, &addr2);
    assert_int_equal(p2p__backoff_until(&backoff, &peer, &addr, now), 0);
    p2p__backoff_fini(&backoff);
}

static void test_bounded(void **state)
{
    (void)state;
    static const struct hash_key key = {1, 2};
    struct backoff backoff;
    p2p_peer_id peer = peer_of(1);
    p2p__backoff_init(&backoff, &key);
    for (unsigned i = 0; i < BACKOFF_MAX; i++) {
        p2p_multiaddr addr = addr_of(i);
        p2p__backoff_failed(&backoff, &peer, &addr, 1);
    }
    p2p_multiaddr first = addr_of(0), second = addr_of(1), more = addr_of(BACKOFF_MAX);
    p2p__backoff_failed(&backoff, &peer, &first, 1); /* touched again */
    p2p__backoff_failed(&backoff, &peer, &more, 1);
    assert_int_equal(backoff.map.count, BACKOFF_MAX);
    assert_true(p2p__backoff_until(&backoff, &peer, &first, 1) > 0);
    assert_true(p2p__backoff_until(&backoff, &peer, &more, 1) > 0);
    assert_int_equal(p2p__backoff_until(&backoff, &peer, &second, 1), 0);
    p2p__backoff_fini(&backoff);
}

static void test_black_holes(void **state)
{
    (void)state;
    struct black_hole hole = {0};
    for (int i = 0; i < HOLE_EVIDENCE - 1; i++)
        p2p__hole_record(&hole, false);
    assert_false(p2p__hole_avoid(&hole));
    p2p__hole_record(&hole, false);
    int let_through = 0;
    for (int i = 0; i < 10 * HOLE_PROBE; i++)
        let_through += !p2p__hole_avoid(&hole);
    assert_int_equal(let_through, 10);
    p2p__hole_record(&hole, true);
    assert_true(p2p__hole_avoid(&hole)); /* one may be luck */
    p2p__hole_record(&hole, true);
    assert_false(p2p__hole_avoid(&hole));
    for (int i = 0; i < HOLE_WINDOW - 2; i++) {
        p2p__hole_record(&hole, false);
        assert_false(p2p__hole_avoid(&hole));
    }
    p2p__hole_record(&hole, false); /* the first success leaves the window */
    assert_true(p2p__hole_avoid(&hole));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_longer_each_time),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_black_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

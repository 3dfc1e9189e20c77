#include "tests/test.h"

#include <string.h>

#include "codec/dnsaddr.h"

#define PEER "/p2p/12D3KooWEDMw7oRqQkdCJbyeqS5mUmWGwTp8JJ2tjCzTkHboF6wK"

static int decode(const char *txt, size_t txt_len, p2p_multiaddr *out)
{
    return p2p__dnsaddr_decode((const uint8_t *)txt, txt_len, out);
}

static void test_an_entry_is_a_multiaddr(void **state)
{
    static const char txt[] = "dnsaddr=/ip6/2001:db8::1/tcp/4001" PEER;
    p2p_multiaddr addr, wanted;
    (void)state;
    assert_int_equal(decode(txt, strlen(txt), &addr), 0);
    assert_int_equal(p2p_multiaddr_parse(txt + 8, &wanted), 0);
    assert_int_equal(addr.len, wanted.len);
    assert_memory_equal(addr.bytes, wanted.bytes, wanted.len);
}

static void test_records_of_something_else_are_told_apart(void **state)
{
    static const char *const others[] = {"",         "v=spf1 -all",           "dnsaddr",
                                         "DNSADDR=", " dnsaddr=/ip4/1.2.3.4", "dnslink=/ipfs/x"};
    p2p_multiaddr addr = {.len = 7};
    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        assert_int_equal(decode(others[i], strlen(others[i]), &addr), P2P_ENOENT);
    assert_int_equal(addr.len, 7);
}

static void test_malformed_entries_are_refused(void **state)
{
    static const char *const bad[] = {"dnsaddr=",
                                      "dnsaddr=/",
                                      "dnsaddr=ip4/1.2.3.4",
                                      "dnsaddr=/ip4/1.2.3",
                                      "dnsaddr=/ip4/1.2.3.4/tcp/65536",
                                      "dnsaddr=/p2p/x",
                                      "dnsaddr=/ip4/1.2.3.4/tcp/1 "};
    static const char with_nul[] = "dnsaddr=/ip4/1.2.3.4\0/tcp/1";
    p2p_multiaddr addr = {.len = 7};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (decode(bad[i], strlen(bad[i]), &addr) != P2P_EADDR)
            fail_msg("%s", bad[i]);
    assert_int_equal(decode(with_nul, sizeof(with_nul) - 1, &addr), P2P_EADDR);
    assert_int_equal(addr.len, 7);
}

/* A name of that many characters makes the record as long as it may be, and one more. */
static void test_the_longest_entry(void **state)
{
    char txt[P2P__DNSADDR_TXT_MAX + 2] = "dnsaddr=/http-path/";
    p2p_multiaddr addr;
    (void)state;
    size_t at = strlen(txt);
    memset(txt + at, 'a', sizeof(txt) - at);
    assert_int_equal(decode(txt, P2P__DNSADDR_TXT_MAX, &addr), 0);
    assert_int_equal(decode(txt, P2P__DNSADDR_TXT_MAX + 1, &addr), P2P_EADDR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entry_is_a_multiaddr),
        cmocka_unit_test(test_records_of_something_else_are_told_apart),
        cmocka_unit_test(test_malformed_entries_are_refused),
        cmocka_unit_test(test_the_longest_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

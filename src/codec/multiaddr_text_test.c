#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include <p2p/multiaddr.h>

#include "codec/multiaddr_protocol.h"
#include "codec/multibase.h"

#define GARLIC64                                                                                   \
    "jT~IyXaoauTni6N4517EG8mrFUKpy0IlgZh-EY9csMAk82Odatmzr~YTZy8Hv7u~wvkg75EFNOyqb~nAPg-k"         \
    "hyp2TS~ObUz8WlqYAM2VlEzJ7wJB91P-cUlKF18zSzVoJFmsrcQHZCirSbWoOknS6iNmsGRh5KVZsBEfp1Dg"         \
    "3gwTipTRIx7Vl5Vy~1OSKQVjYiGZS9q8RL0MF~7xFiKxZDLbPxk0AK9TzGGqm~wMTI2HS0Gm4Ycy8LYPVmLv"         \
    "GonIBYndg2bJC7WLuF6tVjVquiokSVDKFwq70BCUU5AU-EvdOD5KEOAM7mPfw-gJUG4tm1TtvcobrObqoRnm"         \
    "hXPTBTN5H7qDD12AvlwFGnfAlBXjuP4xOUAISL5SRLiulrsMSiT4GcugSI80mF6sdB0zWRgL1yyvoVWeTBn1"         \
    "TqjO27alr95DGTluuSqrNAxgpQzCKEWAyzrQkBfo2avGAmmz2NaHaAvYbOg0QSJz1PLjv2jdPW~ofiQmrGWM"         \
    "1cd~1cCqAAAA"
#define GARLIC64_HEX                                                                               \
    "be0383038d3fc8c976a86ae4e78ba378e75ec41bc9ab1542a9cb422581987e118f5cb0c024f3639d6ad9"         \
    "b3aff613672f07bfbbbfc2f920ef910534ecaa6ff9c03e0fa4872a764d2fce6d4cfc5a5a9800cd95944c"         \
    "c9ef0241f753fe71494a175f334b35682459acadc4076428ab49b5a83a49d2ea2366b06461e4a559b011"         \
    "1fa750e0de0c138a94d1231ed5979572ff53922905636221994bdabc44bd0c17fef11622b16432db3f19"         \
    "3400af53cc61aa9bfc0c4c8d874b41a6e18732f0b60f5662ef1a89c80589dd8366c90bb58bb85ead5635"         \
    "6aba2a244950ca170abbd01094539014f84bdd383e4a10e00cee63dfc3e809506e2d9b54edbdca1bace6"         \
    "eaa119e68573d30533791fba830f5d80be5c051a77c09415e3b8fe3139400848be5244b8ae96bb0c4a24"         \
    "f819cba0488f34985eac741d3359180bd72cafa1559e4c19f54ea8cedbb6a5afde4319396eb92aab340c"         \
    "60a50cc2284580cb3ad09017e8d9abc60269b3d8d687680bd86ce834412273d4f2e3bf68dd3d6fe87e24"         \
    "26ac658cd5c77fd5c0aa000000"
#define ONION3 "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd"
#define QM     "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC"
#define ED     "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV"

static int parse(const char *text, p2p_multiaddr *out)
{
    char *copy = malloc(strlen(text) + 1); /* so that a read behind the NUL is found */
    assert_non_null(copy);
    strcpy(copy, text);
    int err = p2p_multiaddr_parse(copy, out);
    free(copy);
    return err;
}

static void assert_round_trip(const char *text, const char *expected)
{
    p2p_multiaddr addr;
    p2p_multiaddr again;
    char out[P2P_MULTIADDR_TEXT_MAX];
    if (parse(text, &addr) != 0)
        fail_msg("does not parse: %s", text);
    assert_int_equal(p2p_multiaddr_format(&addr, out, sizeof(out)), strlen(expected));
    assert_string_equal(out, expected);
    assert_int_equal(p2p_multiaddr_decode(addr.bytes, addr.len, &again), 0);
    assert_int_equal(parse(out, &again), 0);
    assert_int_equal(again.len, addr.len);
    assert_memory_equal(again.bytes, addr.bytes, addr.len);
}

static void test_binary_vectors(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"/ip4/127.0.0.1/udp/1234", "047f000001910204d2"},
        {"/ip4/127.0.0.1/tcp/4321", "047f0000010610e1"},
        {"/ip4/127.0.0.1/udp/1234/ip4/127.0.0.1/tcp/4321", "047f000001910204d2047f0000010610e1"},
        {"/onion/aaimaq4ygg2iegci:80", "bc030010c0439831b48218480050"},
        {"/onion3/" ONION3 ":1234",
         "bd03adadec040be047f9658668b11a504f3155001f231a37f54c4476c07fb4cc139ed7e30304d2"},
        {"/garlic64/" GARLIC64, GARLIC64_HEX},
        {"/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq",
         "bf0320efbcd45d0c5dc79781ac6f20ea5055a036afb48d45a52e7d68ec7d4338919e69"},
        {"/memory/4", "89060000000000000004"},
        {"/unix/a/b", "9003042f612f62"},
        {"/ip6/::1/tcp/80/ws", "2900000000000000000000000000000001060050dd03"},
        {"/dns4/a.b/tcp/443/tls/sni/a.b/ws", "3603612e620601bbc003c10303612e62dd03"},
        {"/http-path/a%2520space", "e10309612532307370616365"},
        {"/ip4/192.0.2.0/ipcidr/24", "04c00002002b18"},
        {"/p2p/" QM, "a503221220d52ebb89d85b02a284948203a62ff28389c57c9f42beec4ec20db76a68911c0b"},
        {"/plaintextv2", "e1d8c103"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        p2p_multiaddr addr;
        char hex[2 * P2P_MULTIADDR_MAX + 1];
        assert_int_equal(parse(rows[i][0], &addr), 0);
        p2p__base_encode('f', addr.bytes, addr.len, hex, sizeof(hex));
        assert_string_equal(hex, rows[i][1]);
        assert_round_trip(rows[i][0], rows[i][0]);
    }
}

/* Texts that are already in the form in which they are displayed. */
static void test_canonical_texts(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "/ip4/1.2.3.4",
        "/ip4/0.0.0.0",
        "/ip6/2601:9:4f81:9700:803e:ca65:66e8:c21/udp/1234/quic-v1",
        "/ip6/2001:db8::/ipcidr/32",
        "/ip6zone/x/ip6/fe80::1/udp/1234/quic",
        "/ip6zone/x%y/ip6/::",
        "/ip6/::ffff:127.0.0.1/tcp/111",
        "/onion/timaq4ygg2iegci7:1234",
        "/onion/timaq4ygg2iegci7:80/http",
        "/onion3/" ONION3 ":80/http",
        "/garlic64/" GARLIC64 "/udp/8080",
        "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuqzwas",
        "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq/tcp/8080",
        "/udp/0",
        "/tcp/65535",
        "/sctp/1234",
        "/dccp/1234",
        "/udp/1234/sctp/1234",
        "/udp/1234/udt",
        "/udp/1234/utp",
        "/tcp/1234/https",
        "/p2p/" ED,
        "/p2p/" QM "/tcp/1234/unix/stdio",
        "/unix/a/b/c/d/e",
        "/unix//a",
        "/ip4/1.2.3.4/tcp/80/unix/a/b/c/d/e/f",
        "/ip4/127.0.0.1/tcp/9090/http/p2p-webrtc-direct",
        "/ip4/127.0.0.1/tcp/127/tls/ws",
        "/ip4/127.0.0.1/tcp/127/wss",
        "/ip4/127.0.0.1/tcp/127/noise",
        "/ip4/127.0.0.1/udp/127/webrtc-direct/certhash/"
        "uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ",
        "/ip4/127.0.0.1/tcp/127/webrtc",
        "/p2p-webrtc-star/p2p-stardust/p2p-websocket-star",
        "/dns/example.com/tcp/443/tls/http/http-path/.well-known%2Flibp2p",
        "/http-path/tmp%2Ffoo%2F..%2Fbar/p2p-circuit",
        "/http-path/a%252Fslash",
        "/dnsaddr/bootstrap.libp2p.io/p2p/" QM,
        "/dns6/xn--nxasmq6b.example/udp/1/quic-v1/webtransport",
        "/ip4/192.0.2.0/tcp/5002/p2p/" QM "/p2p-circuit/p2p/" ED,
        "/memory/18446744073709551615",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_round_trip(rows[i], rows[i]);
}

static void test_other_texts_of_the_same_address(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"/ipfs/" QM, "/p2p/" QM},
        {"/ip4/127.0.0.1/tcp/1234/", "/ip4/127.0.0.1/tcp/1234"},
        {"/ip4/127.0.0.1/tcp/1234///", "/ip4/127.0.0.1/tcp/1234"},
        {"/tcp/00080", "/tcp/80"},
        {"/ip6/0:0::0:1", "/ip6/::1"},
        {"/unix/a/b/", "/unix/a/b"},
        {"/onion/TIMAQ4YGG2IEGCI7:1234", "/onion/timaq4ygg2iegci7:1234"},
        {"/http-path/a%2fb+c@d", "/http-path/a%2Fb%2Bc%40d"},
        /* peer ids as version 1 CIDs: base36, base32, base58btc (RFC 0001) */
        {"/p2p/k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl7", "/p2p/" QM},
        {"/p2p/bafzbeigvf25ytwc3akrijfecaotc74udrhcxzh2cx3we5qqnw5vgrei4bm", "/p2p/" QM},
        {"/p2p/k51qzi5uqu5dhb6l8spkdx7yxafegfkee5by8h7lmjh2ehc2sgg34z7c15vzqs", "/p2p/" ED},
        {"/p2p/bafzaajaiaejcalj543iwv2d7pkjt7ykvefrkfu7qjfi6sduakhso4lay6abn2d5u", "/p2p/" ED},
        /* certhash in other bases; the first is an md5 */
        {"/certhash/b2uaraocy6yrdblb4sfptaddgimjmmpy", "/certhash/u1QEQOFj2IjCsPJFfMAxmQxLGPw"},
        {"/certhash/zQmbWTwYGcmdyK9CYfNBcfs9nhZs17a6FQ4Y8oea278xx41",
         "/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g"},
        /* spare bits that are not zero, as one known address has */
        {"/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuqzwassw",
         "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuqzwassu"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        p2p_multiaddr addr;
        char out[P2P_MULTIADDR_TEXT_MAX];
        if (parse(rows[i][0], &addr) != 0)
            fail_msg("does not parse: %s", rows[i][0]);
        assert_true(p2p_multiaddr_format(&addr, out, sizeof(out)) > 0);
        assert_string_equal(out, rows[i][1]);
    }
}

static void test_malformed_texts(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "/",
        "//",
        "ip4/1.2.3.4",
        " /ip4/1.2.3.4",
        "//ip4/1.2.3.4",
        "/ip4//1.2.3.4",
        "/ip4",
        "/ip4/",
        "/ip4/::1",
        "/ip4/fdpsofodsajfdoisa",
        "/ip4/::/ipcidr/256",
        "/ip6/::/ipcidr/1026",
        "/ip6/::/ipcidr/129",
        "/ip6",
        "/ip6/127.0.0.1",
        "/ip6/fe80::1%eth0",
        "/ip6zone",
        "/ip6zone/",
        "/ip6zone//ip6/fe80::1",
        "/IP4/1.2.3.4",
        "/ip4 /1.2.3.4",
        "/udp",
        "/tcp",
        "/sctp",
        "/udp/65536",
        "/tcp/65536",
        "/tcp/-1",
        "/tcp/+1",
        "/tcp/ 1",
        "/tcp/0x1",
        "/tcp/1e3",
        "/tcp/18446744073709551617",
        "/tcp/99999999999999999999999",
        "/quic/65536",
        "/quic-v1/65536",
        "/ip4/127.0.0.1/quic/1234",
        "/onion/9imaq4ygg2iegci7:80",
        "/onion/aaimaq4ygg2iegci7:80",
        "/onion/timaq4ygg2iegci7:0",
        "/onion/timaq4ygg2iegci7:-1",
        "/onion/timaq4ygg2iegci7",
        "/onion/timaq4ygg2iegci7:",
        "/onion/:80",
        "/onion/timaq4ygg2iegci@:666",
        "/onion/timaq4ygg2iegci7:65536",
        "/onion/timaq4ygg2iegci7:80:80",
        "/onion3/9ww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:80",
        "/onion3/" ONION3 "7:80",
        "/onion3/" ONION3 ":0",
        "/onion3/" ONION3 ":-1",
        "/onion3/" ONION3,
        "/onion3/timaq4ygg2iegci7:80",
        "/onion/" ONION3 ":80",
        "/garlic64/" GARLIC64 "A",
        "/garlic64/" GARLIC64 "@:666",
        "/garlic64/" GARLIC64 ":-1",
        "/garlic64/" GARLIC64 "+AAA",
        "/garlic64/AAAA",
        "/garlic64",
        "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzu",
        "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzu77",
        "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzu:80",
        "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq:-1",
        "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzu@",
        "/udp/1234/sctp",
        "/udp/1234/udt/1234",
        "/udp/1234/utp/1234",
        "/tcp/jfodsajfidosajfoidsa",
        "/ip4/127.0.0.1/tcp",
        "/ip4/127.0.0.1/p2p",
        "/ip4/127.0.0.1/p2p/tcp",
        "/ipfs",
        "/webtransport/certhash",
        "/certhash/b2uaraocy6yrdblb4sfptaddgimjmmp",
        "/certhash/u",
        "/certhash/uAAA",
        "/certhash/xAAAA",
        "/unix",
        "/unix/",
        "/ip4/1.2.3.4/tcp/80/unix",
        "/ip4/127.0.0.1/tcp/9090/http/p2p-webcrt-direct",
        "/memory/18446744073709551616",
        "/memory/92233720368547758081",
        "/memory/-1",
        "/memory",
        "/http-path",
        "/http-path/",
        "/http-path/a%f",
        "/http-path/a%",
        "/http-path/a%zz",
        "/http-path/a b",
        "/http-path/a?b",
        "/http-path/\xc3\xbc",
        "/dns4/a\x1b[2J",
        "/dns4/\xff",
        "/dns4/a\nb",
        "/unix/a\tb",
        "/sni/\x7f",
        "/foo",
        "/ip4/1.2.3.4/foo/tcp/1",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        p2p_multiaddr addr = {.len = 77};
        if (parse(rows[i], &addr) != P2P_EADDR)
            fail_msg("not refused: %s", rows[i]);
        assert_int_equal(addr.len, 77);
    }
}

static void test_P18_peer_ids_in_text(void **state)
{
    (void)state;
    p2p_multiaddr addr;
    static const char *const bad[] = {
        /* sha2-256 with a digest of more than 32 bytes */
        "/p2p/QmxoHT6iViN5xAjoz1VZ553cL31U9F94ht3QvWR1FrEbZY",
        /* letters that base58 does not have */
        "/p2p/Qm0gpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",
        "/p2p/QmOgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",
        "/p2p/QmIgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",
        "/p2p/QmlgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC",
        /* CIDs of something that is no key: raw and dag-pb */
        "/p2p/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
        "/p2p/bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
        "/p2p/1",
        "/p2p/Q",
        "/p2p/Qm",
        "/p2p/11",
        "/p2p/z",
        "/p2p/b",
        "/p2p/x",
        /* a version 0 CID has no multibase form */
        ("/p2p/z" QM),
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parse(bad[i], &addr) != P2P_EADDR)
            fail_msg("not refused: %s", bad[i]);
    }
    for (size_t len = 41; len <= 44; len++) { /* identity at both sides of 42 bytes */
        uint8_t id[64] = {0x00, (uint8_t)len};
        char text[128] = "/p2p/";
        assert_true(p2p__base58_encode(id, len + 2, text + 5, sizeof(text) - 5) > 0);
        assert_int_equal(parse(text, &addr), len <= 42 ? 0 : P2P_EADDR);
    }
    for (size_t len = 31; len <= 33; len++) {
        uint8_t id[64] = {0x01, 0x72, 0x12, (uint8_t)len};
        char text[128] = "/p2p/";
        assert_true(p2p__multibase_encode('b', id, len + 4, text + 5, sizeof(text) - 5) > 0);
        assert_int_equal(parse(text, &addr), len == 32 ? 0 : P2P_EADDR);
    }
}

static void test_P14_long_texts(void **state)
{
    (void)state;
    p2p_multiaddr addr;
    static char text[20000];
    for (size_t count = 31; count <= 33; count++) {
        text[0] = '\0';
        for (size_t i = 0; i < count; i++)
            strcat(text, "/p2p-circuit");
        assert_int_equal(parse(text, &addr), count <= 32 ? 0 : P2P_EADDR);
    }
    text[0] = '\0';
    for (size_t i = 0; i < 1000; i++)
        strcat(text, "/p2p-circuit");
    assert_int_equal(parse(text, &addr), P2P_EADDR);
    /* 4,095 characters are read, 4,096 are not: trailing slashes make one address of any length. */
    memset(text, '/', sizeof(text));
    memcpy(text, "/ws", 3);
    text[4095] = '\0';
    assert_int_equal(parse(text, &addr), 0);
    text[4095] = '/';
    text[4096] = '\0';
    assert_int_equal(parse(text, &addr), P2P_EADDR);
    strcpy(text, "/dns4/");
    memset(text + 6, 'a', 256);
    text[6 + 255] = '\0';
    assert_int_equal(parse(text, &addr), 0);
    text[6 + 255] = 'a';
    text[6 + 256] = '\0';
    assert_int_equal(parse(text, &addr), P2P_EADDR);
}

static void test_format_is_cut_like_snprintf(void **state)
{
    (void)state;
    static const char text[] = "/ip4/127.0.0.1/tcp/80";
    p2p_multiaddr addr;
    assert_int_equal(parse(text, &addr), 0);
    for (size_t cap = 0; cap <= sizeof(text) + 1; cap++) {
        char *out = malloc(cap > 0 ? cap : 1);
        assert_non_null(out);
        assert_int_equal(p2p_multiaddr_format(&addr, out, cap), sizeof(text) - 1);
        if (cap > 0) {
            size_t kept = cap - 1 < sizeof(text) - 1 ? cap - 1 : sizeof(text) - 1;
            assert_memory_equal(out, text, kept);
            assert_int_equal(out[kept], '\0');
        }
        free(out);
    }
    assert_int_equal(p2p_multiaddr_format(&addr, NULL, 0), sizeof(text) - 1);
}

static void test_why_names_the_bad_part(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "the address is empty"},
        {"ip4/1.2.3.4", "an address begins with a slash, as in /ip4/127.0.0.1/tcp/4001"},
        {"///", "the address names no protocol"},
        {"/ip4/1.2.3.4/tpc/80", "\"tpc\" is not the name of a protocol"},
        {"/ip4/1.2.3/tcp/80", "/ip4 needs an IPv4 address, not \"1.2.3\""},
        {"/ip4/1.2.3.4/tcp/99999", "/tcp needs a port from 0 to 65535, not \"99999\""},
        {"/ip4/1.2.3.4/tcp", "/tcp needs a port from 0 to 65535, but the address ends there"},
        {"/p2p/x", "/p2p needs a peer id, not \"x\""},
        {"/ipfs/x", "/p2p needs a peer id, not \"x\""},
        {"/\x1b[2J", "\"\\x1b[2J\" is not the name of a protocol"},
        {"/dns4/a\x1b[2J", "/dns4 needs a name of 1 to 255 bytes without control characters, not "
                           "\"a\\x1b[2J\""},
    };
    p2p_multiaddr addr;
    char why[256];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(p2p_multiaddr_parse_why(rows[i][0], &addr, why, sizeof(why)), P2P_EADDR);
        assert_string_equal(why, rows[i][1]);
    }
    assert_int_equal(p2p_multiaddr_parse_why("/ws", &addr, why, sizeof(why)), 0);
    assert_string_equal(why, "");

    static char text[5000];
    for (size_t i = 0; i < 33; i++)
        strcat(text, "/ws");
    assert_int_equal(p2p_multiaddr_parse_why(text, &addr, why, sizeof(why)), P2P_EADDR);
    assert_string_equal(why, "the address has more than 1024 bytes or 32 components");
    memset(text, 'a', 4200);
    text[0] = '/';
    assert_int_equal(p2p_multiaddr_parse_why(text, &addr, why, sizeof(why)), P2P_EADDR);
    assert_string_equal(why, "the address is longer than 4095 characters");
    text[200] = '\0';
    assert_int_equal(p2p_multiaddr_parse_why(text, &addr, why, sizeof(why)), P2P_EADDR);
    assert_non_null(strstr(why, "aaa...\" is not the name"));
    /* Cut to what there is room for. */
    for (size_t cap = 0; cap < 8; cap++) {
        char small[8] = "#######";
        assert_int_equal(p2p_multiaddr_parse_why("/x", &addr, small, cap), P2P_EADDR);
        if (cap > 0)
            assert_int_equal(strlen(small), cap - 1);
        assert_int_equal(small[7], cap == 8 ? 'n' : '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binary_vectors),
        cmocka_unit_test(test_canonical_texts),
        cmocka_unit_test(test_other_texts_of_the_same_address),
        cmocka_unit_test(test_malformed_texts),
        cmocka_unit_test(test_P18_peer_ids_in_text),
        cmocka_unit_test(test_P14_long_texts),
        cmocka_unit_test(test_format_is_cut_like_snprintf),
        cmocka_unit_test(test_why_names_the_bad_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include <p2p/multiaddr.h>

#include "codec/multiaddr_protocol.h"
#include "codec/multibase.h"
#include "codec/multicodec.h"
#include "codec/varint.h"

#define QM "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC"

static p2p_multiaddr ma(const char *text)
{
    p2p_multiaddr out;
    if (p2p_multiaddr_parse(text, &out) != 0)
        fail_msg("does not parse: %s", text);
    return out;
}

static void assert_is(const p2p_multiaddr *self, const char *text)
{
    char out[P2P_MULTIADDR_TEXT_MAX];
    assert_int_equal(p2p_multiaddr_format(self, out, sizeof(out)), strlen(text));
    assert_string_equal(out, text);
}

static int decode(const void *in, size_t in_len, p2p_multiaddr *out)
{
    uint8_t *copy = malloc(in_len > 0 ? in_len : 1);
    assert_non_null(copy);
    if (in_len > 0)
        memcpy(copy, in, in_len);
    int err = p2p_multiaddr_decode(copy, in_len, out);
    free(copy);
    return err;
}

static int decode_hex(const char *hex, p2p_multiaddr *out)
{
    uint8_t bytes[2048];
    int64_t len = p2p__base_decode('f', hex, strlen(hex), bytes, sizeof(bytes));
    assert_true(len >= 0);
    return decode(bytes, (size_t)len, out);
}

/* Each name's code is the multicodec table's. */
static void test_codes_agree_with_the_multicodec_table(void **state)
{
    (void)state;
    size_t seen = 0;
    for (uint64_t code = 0; code < 10000000; code++) {
        const struct ma_protocol *protocol = p2p__multiaddr_protocol_by_code(code);
        if (!protocol)
            continue;
        seen++;
        assert_int_equal(protocol->takes_rest, code == P2P_MA_UNIX);
        assert_int_equal(protocol->kind == NULL, protocol->size == 0);
        const struct multicodec *codec = p2p__multicodec_by_code(code);
        assert_non_null(codec);
        assert_ptr_equal(p2p__multiaddr_protocol_by_name(protocol->name, strlen(protocol->name)),
                         protocol);
        if (code == P2P_MA_MEMORY) /* the table has it under another name */
            assert_string_equal(codec->name, "memorytransport");
        else
            assert_string_equal(codec->name, protocol->name);
    }
    assert_int_equal(seen, 41);
    assert_ptr_equal(p2p__multiaddr_protocol_by_name("ipfs", 4),
                     p2p__multiaddr_protocol_by_code(P2P_MA_P2P));
    assert_null(p2p__multiaddr_protocol_by_name("", 0));
}

static void test_decode_and_next(void **state)
{
    (void)state;
    p2p_multiaddr addr;
    assert_int_equal(decode_hex("047f0000010610e1cd03", &addr), 0);
    assert_is(&addr, "/ip4/127.0.0.1/tcp/4321/quic-v1");
    size_t offset = 0;
    p2p_multiaddr_component c;
    assert_int_equal(p2p_multiaddr_next(&addr, &offset, &c), 1);
    assert_int_equal(c.code, P2P_MA_IP4);
    assert_string_equal(c.name, "ip4");
    assert_int_equal(c.value_len, 4);
    assert_memory_equal(c.value, "\x7f\0\0\x01", 4);
    assert_int_equal(p2p_multiaddr_next(&addr, &offset, &c), 1);
    assert_int_equal(c.code, P2P_MA_TCP);
    assert_memory_equal(c.value, "\x10\xe1", 2);
    assert_int_equal(p2p_multiaddr_next(&addr, &offset, &c), 1);
    assert_int_equal(c.code, P2P_MA_QUIC_V1);
    assert_int_equal(c.value_len, 0);
    assert_int_equal(p2p_multiaddr_next(&addr, &offset, &c), 0);
    assert_int_equal(p2p_multiaddr_next(&addr, &offset, &c), 0);
    assert_int_equal(offset, addr.len);
    p2p_multiaddr empty = {0};
    offset = 0;
    assert_int_equal(p2p_multiaddr_next(&empty, &offset, &c), 0);
    assert_is(&empty, "/");
}

static void test_P13_truncated_unknown_huge(void **state)
{
    (void)state;
    p2p_multiaddr addr = {.len = 77};
    assert_int_equal(decode_hex("", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("047f0000", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("ff7f", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("368080808008", &addr), P2P_EADDR);           /* dns4 of 2^31 */
    assert_int_equal(decode_hex("36ffffffffffffffff7f61", &addr), P2P_EADDR); /* and of 2^63-1 */
    assert_int_equal(decode_hex("3680808080808080808080", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("36", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("3600", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("360261", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("36810061", &addr), P2P_EADDR);     /* length not minimal */
    assert_int_equal(decode_hex("84007f000001", &addr), P2P_EADDR); /* code not minimal */
    assert_int_equal(decode_hex("8404", &addr), P2P_EADDR);
    /* A code that is ip4 only after being cut to 32 bits. */
    assert_int_equal(decode_hex("84808080107f000001", &addr), P2P_EADDR);
    assert_int_equal(addr.len, 77);
    /* Every prefix of a good address that does not end between components. */
    static const uint8_t good[] = {4, 127, 0, 0, 1, 6, 16, 225, 0x36, 1, 'a'};
    for (size_t len = 0; len <= sizeof(good); len++) {
        bool whole = len == 5 || len == 8 || len == 11;
        assert_int_equal(decode(good, len, &addr), whole ? 0 : P2P_EADDR);
    }
}

static void test_P14_limits(void **state)
{
    (void)state;
    uint8_t in[16384];
    p2p_multiaddr addr;
    for (size_t i = 0; i < sizeof(in); i += 2)
        memcpy(in + i, "\xa2\x02", 2); /* p2p-circuit */
    assert_int_equal(decode(in, sizeof(in), &addr), P2P_EADDR);
    assert_int_equal(decode(in, 2000, &addr), P2P_EADDR);
    assert_int_equal(decode(in, 1024, &addr), P2P_EADDR);
    assert_int_equal(decode(in, 2 * 33, &addr), P2P_EADDR);
    assert_int_equal(decode(in, 2 * 32, &addr), 0);

    /* unix with a path that fills the address, and one byte more. */
    uint8_t path[1025] = {0x90, 0x03};
    assert_int_equal(p2p__varint_encode(1020, path + 2), 2);
    path[4] = '/';
    memset(path + 5, 'a', sizeof(path) - 5);
    assert_int_equal(decode(path, 1024, &addr), 0);
    assert_int_equal(addr.len, P2P_MULTIADDR_MAX);
    char text[P2P_MULTIADDR_TEXT_MAX];
    assert_int_equal(p2p_multiaddr_format(&addr, text, sizeof(text)), 5 + 1020);
    p2p_multiaddr back;
    assert_int_equal(p2p_multiaddr_parse(text, &back), 0);
    assert_memory_equal(back.bytes, addr.bytes, 1024);
    strcat(text, "a");
    assert_int_equal(p2p_multiaddr_parse(text, &back), P2P_EADDR);
    p2p__varint_encode(1021, path + 2);
    assert_int_equal(decode(path, 1025, &addr), P2P_EADDR);
}

/* The text of the longest address fits the announced size: every byte of an http-path escaped. */
static void test_P14_longest_text(void **state)
{
    (void)state;
    uint8_t value[1020];
    memset(value, 0xff, sizeof(value));
    p2p_multiaddr addr = {0};
    assert_int_equal(p2p__multiaddr_append_component(&addr, P2P_MA_HTTP_PATH, value, sizeof(value)),
                     0);
    assert_int_equal(addr.len, 1024);
    char text[P2P_MULTIADDR_TEXT_MAX];
    int64_t n = p2p_multiaddr_format(&addr, text, sizeof(text));
    assert_int_equal(n, 11 + 3 * 1020);
    p2p_multiaddr back;
    assert_int_equal(p2p_multiaddr_parse(text, &back), 0);
    assert_int_equal(back.len, addr.len);
    assert_memory_equal(back.bytes, addr.bytes, addr.len);
}

static void test_P16_wrong_sizes(void **state)
{
    (void)state;
    p2p_multiaddr addr;
    char hex[1024];
    /* p2p: 34 bytes announced, the multihash inside says 31, 33, then 32. */
    static const char *const lens[] = {"1f", "21", "20"};
    for (size_t i = 0; i < 3; i++) {
        strcpy(hex, "a5032212");
        strcat(hex, lens[i]);
        for (size_t j = 0; j < 32; j++)
            strcat(hex, "ab");
        assert_int_equal(decode_hex(hex, &addr), i == 2 ? 0 : P2P_EADDR);
    }
    assert_int_equal(decode_hex("a50300", &addr), P2P_EADDR);
    /* onion3: 36, 37, 38 bytes; without a port. */
    for (size_t len = 36; len <= 38; len++) {
        strcpy(hex, "bd03");
        for (size_t j = 0; j < len; j++)
            strcat(hex, "11");
        assert_int_equal(decode_hex(hex, &addr), len == 37 ? 0 : P2P_EADDR);
    }
    strcpy(hex + 4 + 70, "0000");
    assert_int_equal(decode_hex(hex, &addr), P2P_EADDR);
    /* unix: relative, empty, a folder, with a NUL, with something behind it. */
    assert_int_equal(decode_hex("9003022f61", &addr), 0);
    assert_int_equal(decode_hex("90030161", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("900300", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("9003012f", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("9003032f612f", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("9003032f0061", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("9003022f61cd03", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("cd039003022f61", &addr), 0);
    /* garlic32: 32, or at least 35; garlic64: at least 386. */
    for (size_t len = 31; len <= 37; len++) {
        static const uint8_t value[37];
        addr.len = 0;
        bool ok = len == 32 || len >= 35;
        assert_int_equal(p2p__multiaddr_append_component(&addr, P2P_MA_GARLIC32, value, len),
                         ok ? 0 : P2P_EADDR);
    }
    static const uint8_t destination[387];
    addr.len = 0;
    assert_int_equal(p2p__multiaddr_append_component(&addr, P2P_MA_GARLIC64, destination, 385),
                     P2P_EADDR);
    assert_int_equal(p2p__multiaddr_append_component(&addr, P2P_MA_GARLIC64, destination, 386), 0);
    assert_int_equal(decode_hex("2b80", &addr), 0);
    assert_int_equal(decode_hex("2b81", &addr), P2P_EADDR); /* a prefix of 129 bits */
}

static void test_P16_ip6zone_64_kib(void **state)
{
    (void)state;
    static uint8_t in[65536 + 4] = {0x2a};
    memset(in + 1, 'z', sizeof(in) - 1);
    size_t header = 1 + p2p__varint_encode(65536, in + 1);
    p2p_multiaddr addr;
    assert_int_equal(p2p_multiaddr_decode(in, header + 65536, &addr), P2P_EADDR);
    in[3] = 'z'; /* the lengths below take two bytes */
    p2p__varint_encode(255, in + 1);
    assert_int_equal(p2p_multiaddr_decode(in, 3 + 255, &addr), 0);
    p2p__varint_encode(256, in + 1);
    assert_int_equal(p2p_multiaddr_decode(in, 3 + 256, &addr), P2P_EADDR);
}

static void test_P12_names_in_addresses(void **state)
{
    (void)state;
    p2p_multiaddr addr;
    assert_int_equal(decode_hex("360461002e62", &addr), P2P_EADDR);     /* NUL */
    assert_int_equal(decode_hex("36041b5b324a", &addr), P2P_EADDR);     /* ESC [2J */
    assert_int_equal(decode_hex("3601ff", &addr), P2P_EADDR);           /* not UTF-8 */
    assert_int_equal(decode_hex("3603612f62", &addr), P2P_EADDR);       /* a slash */
    assert_int_equal(decode_hex("c103041b5b324a", &addr), P2P_EADDR);   /* in sni */
    assert_int_equal(decode_hex("9003052f1b5b324a", &addr), P2P_EADDR); /* in unix */
    assert_int_equal(decode_hex("3602c3bc", &addr), 0);
    /* Any byte may be in an http-path: its text is escaped. */
    assert_int_equal(decode_hex("e103051b5b00ff2f", &addr), 0);
    assert_is(&addr, "/http-path/%1B%5B%00%FF%2F");
}

static void test_P17_P18_hashes_in_addresses(void **state)
{
    (void)state;
    p2p_multiaddr addr;
    uint8_t value[64] = {0x00};
    for (size_t len = 0; len < 60; len++) {
        value[1] = (uint8_t)len;
        addr.len = 0;
        assert_int_equal(p2p__multiaddr_append_component(&addr, P2P_MA_P2P, value, len + 2),
                         len >= 1 && len <= 42 ? 0 : P2P_EADDR);
    }
    assert_int_equal(decode_hex("a503021220", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("d20307122031323334350a", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("d203020000", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("d20300", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("d2030612ffffffff0f", &addr), P2P_EADDR);
    assert_int_equal(decode_hex("d20303000161", &addr), 0);
    assert_int_equal(decode_hex("d2030400016162", &addr), P2P_EADDR); /* a byte too many */
}

static void test_encapsulate(void **state)
{
    (void)state;
    p2p_multiaddr addr = ma("/ip4/198.51.100.1");
    p2p_multiaddr inner = ma("/tcp/42");
    assert_int_equal(p2p_multiaddr_encapsulate(&addr, &inner), 0);
    assert_is(&addr, "/ip4/198.51.100.1/tcp/42");
    assert_int_equal(p2p_multiaddr_encapsulate(&addr, &addr), 0);
    assert_is(&addr, "/ip4/198.51.100.1/tcp/42/ip4/198.51.100.1/tcp/42");
    p2p_multiaddr empty = {0};
    assert_int_equal(p2p_multiaddr_encapsulate(&addr, &empty), 0);
    assert_int_equal(p2p_multiaddr_encapsulate(&empty, &inner), 0);
    assert_is(&empty, "/tcp/42");

    p2p_multiaddr unix_path = ma("/unix/a/b");
    p2p_multiaddr last = {0};
    assert_int_equal(p2p_multiaddr_encapsulate(&unix_path, &inner), P2P_EADDR);
    assert_int_equal(p2p_multiaddr_encapsulate(&unix_path, &last), 0);
    assert_is(&unix_path, "/unix/a/b");
    p2p_multiaddr named = unix_path, peer = ma("/p2p/" QM), longer = ma("/p2p/" QM "/p2p-circuit");
    assert_int_equal(p2p_multiaddr_encapsulate(&named, &longer), P2P_EADDR);
    assert_int_equal(p2p_multiaddr_encapsulate(&named, &peer), 0);
    assert_is(&named, "/unix/a/b/p2p/" QM);
    assert_int_equal(p2p_multiaddr_encapsulate(&named, &peer), P2P_EADDR);
    p2p_multiaddr again = ma("/unix/a/b/p2p/" QM);
    assert_int_equal(again.len, named.len);
    assert_memory_equal(again.bytes, named.bytes, named.len);
    assert_int_equal(p2p_multiaddr_decapsulate(&again, &peer), 0);
    assert_is(&again, "/unix/a/b");
    /* One text, one address: a path that ends like that is none. */
    static const uint8_t path[] = "/a/p2p/" QM;
    assert_int_equal(p2p__multiaddr_append_component(&last, P2P_MA_UNIX, path, sizeof(path) - 1),
                     P2P_EADDR);
    p2p_multiaddr plain = ma("/unix/a/p2p/QmNobody");
    assert_is(&plain, "/unix/a/p2p/QmNobody");
    assert_int_equal(p2p_multiaddr_encapsulate(&inner, &unix_path), 0);
    assert_is(&inner, "/tcp/42/unix/a/b");
}

static void test_encapsulate_at_the_limits(void **state)
{
    (void)state;
    p2p_multiaddr one = ma("/ws");
    p2p_multiaddr addr = {0};
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(p2p_multiaddr_encapsulate(&addr, &one), 0);
    p2p_multiaddr before = addr;
    assert_int_equal(p2p_multiaddr_encapsulate(&addr, &one), P2P_ETOOBIG);
    assert_int_equal(p2p__multiaddr_append_component(&addr, P2P_MA_WS, NULL, 0), P2P_ETOOBIG);
    assert_int_equal(addr.len, before.len);

    static const uint8_t fill[1024] = {1};
    addr.len = 0;
    assert_int_equal(p2p__multiaddr_append_component(&addr, P2P_MA_HTTP_PATH, fill, 1021),
                     P2P_ETOOBIG);
    assert_int_equal(addr.len, 0);
    assert_int_equal(p2p__multiaddr_append_component(&addr, P2P_MA_HTTP_PATH, fill, 1018), 0);
    assert_int_equal(addr.len, 1022);
    before = addr;
    assert_int_equal(p2p_multiaddr_encapsulate(&addr, &one), 0);
    assert_int_equal(addr.len, 1024);
    assert_int_equal(p2p_multiaddr_encapsulate(&addr, &one), P2P_ETOOBIG);
    p2p_multiaddr port = ma("/tcp/1");
    assert_int_equal(p2p_multiaddr_encapsulate(&before, &port), P2P_ETOOBIG);
    assert_int_equal(before.len, 1022);
}

static void test_append_component(void **state)
{
    (void)state;
    p2p_multiaddr addr = {0};
    assert_int_equal(p2p__multiaddr_append_component(&addr, P2P_MA_IP4, "\x01\x02\x03\x04", 4), 0);
    assert_int_equal(p2p__multiaddr_append_component(&addr, P2P_MA_UDP, "\0\x50", 2), 0);
    assert_int_equal(p2p__multiaddr_append_component(&addr, P2P_MA_QUIC_V1, NULL, 0), 0);
    assert_is(&addr, "/ip4/1.2.3.4/udp/80/quic-v1");
    assert_int_equal(p2p__multiaddr_append_component(&addr, P2P_MA_IP4, "123", 3), P2P_EADDR);
    assert_int_equal(p2p__multiaddr_append_component(&addr, P2P_MA_WS, "1", 1), P2P_EADDR);
    assert_int_equal(p2p__multiaddr_append_component(&addr, 5, NULL, 0), P2P_EADDR);
    assert_int_equal(p2p__multiaddr_append_component(&addr, P2P_MA_UNIX, "/x", 2), 0);
    assert_int_equal(p2p__multiaddr_append_component(&addr, P2P_MA_WS, NULL, 0), P2P_EADDR);
    assert_is(&addr, "/ip4/1.2.3.4/udp/80/quic-v1/unix/x");
}

/* The addressing spec's examples, and removal from the last match. */
static void test_decapsulate(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"/ip4/198.51.100.1/tcp/1234/ws", "/ws", "/ip4/198.51.100.1/tcp/1234"},
        {"/ip4/198.51.100.1/tcp/1234/ws", "/tcp/1234", "/ip4/198.51.100.1"},
        {"/ip4/198.51.100.1/tcp/1234/ws", "/tcp/1234/ws", "/ip4/198.51.100.1"},
        {"/ws/tcp/1/ws/tcp/2", "/ws", "/ws/tcp/1"},
        {"/ws/ws/ws", "/ws/ws", "/ws"},
        {"/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4", "/"},
        {"/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/tcp/1", "/"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        p2p_multiaddr addr = ma(rows[i][0]);
        p2p_multiaddr suffix = ma(rows[i][1]);
        assert_int_equal(p2p_multiaddr_decapsulate(&addr, &suffix), 0);
        assert_is(&addr, rows[i][2]);
    }
    p2p_multiaddr addr = ma("/ip4/1.2.3.4/tcp/1");
    p2p_multiaddr other = ma("/tcp/2");
    p2p_multiaddr longer = ma("/tcp/1/ws");
    p2p_multiaddr empty = {0};
    assert_int_equal(p2p_multiaddr_decapsulate(&addr, &other), P2P_ENOENT);
    assert_int_equal(p2p_multiaddr_decapsulate(&addr, &longer), P2P_ENOENT);
    assert_int_equal(p2p_multiaddr_decapsulate(&addr, &empty), P2P_EINVAL);
    assert_int_equal(p2p_multiaddr_decapsulate(&empty, &other), P2P_ENOENT);
    assert_is(&addr, "/ip4/1.2.3.4/tcp/1");
    /* The bytes of /tcp/42 inside a name are not a component. */
    p2p_multiaddr name = {0};
    assert_int_equal(p2p__multiaddr_append_component(&name, P2P_MA_HTTP_PATH, "a\x06\0\x2a", 4), 0);
    p2p_multiaddr tcp = ma("/tcp/42");
    assert_int_equal(p2p_multiaddr_decapsulate(&name, &tcp), P2P_ENOENT);
    assert_int_equal(p2p_multiaddr_encapsulate(&name, &tcp), 0);
    assert_int_equal(p2p_multiaddr_decapsulate(&name, &tcp), 0);
    assert_is(&name, "/http-path/a%06%00%2A");
    assert_int_equal(p2p_multiaddr_decapsulate(&name, &name), 0);
    assert_int_equal(name.len, 0);
}

static void test_a_value_that_is_no_address(void **state)
{
    (void)state;
    /* Only a caller who filled it by hand can have one; it is refused, not trusted. */
    p2p_multiaddr cut = {.len = 3, .bytes = {4, 1, 2}};
    p2p_multiaddr good = ma("/ws");
    p2p_multiaddr_component c;
    char text[64];
    size_t offset = 0;
    assert_int_equal(p2p_multiaddr_next(&cut, &offset, &c), P2P_EADDR);
    assert_int_equal(p2p_multiaddr_format(&cut, text, sizeof(text)), P2P_EADDR);
    assert_int_equal(p2p_multiaddr_encapsulate(&cut, &good), P2P_EADDR);
    assert_int_equal(p2p_multiaddr_encapsulate(&good, &cut), P2P_EADDR);
    assert_int_equal(p2p_multiaddr_decapsulate(&cut, &good), P2P_EADDR);
    assert_int_equal(p2p__multiaddr_append_component(&cut, P2P_MA_WS, NULL, 0), P2P_EADDR);
    p2p_multiaddr escape = {.len = 3, .bytes = {0x36, 1, 0x1b}};
    assert_int_equal(p2p_multiaddr_format(&escape, text, sizeof(text)), P2P_EADDR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_agree_with_the_multicodec_table),
        cmocka_unit_test(test_decode_and_next),
        cmocka_unit_test(test_P13_truncated_unknown_huge),
        cmocka_unit_test(test_P14_limits),
        cmocka_unit_test(test_P14_longest_text),
        cmocka_unit_test(test_P16_wrong_sizes),
        cmocka_unit_test(test_P16_ip6zone_64_kib),
        cmocka_unit_test(test_P12_names_in_addresses),
        cmocka_unit_test(test_P17_P18_hashes_in_addresses),
        cmocka_unit_test(test_encapsulate),
        cmocka_unit_test(test_encapsulate_at_the_limits),
        cmocka_unit_test(test_append_component),
        cmocka_unit_test(test_decapsulate),
        cmocka_unit_test(test_a_value_that_is_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Generated addresses: bytes to text and back, taken apart and put together, and damaged. */
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include <p2p/multiaddr.h>

#include "codec/multiaddr_protocol.h"

#define SEED   UINT64_C(0x6d756c7469616464)
#define ROUNDS 20000

static const uint32_t codes[] = {
    P2P_MA_IP4,    P2P_MA_TCP,          P2P_MA_DCCP,          P2P_MA_IP6,          P2P_MA_IP6ZONE,
    P2P_MA_IPCIDR, P2P_MA_DNS,          P2P_MA_DNS4,          P2P_MA_DNS6,         P2P_MA_DNSADDR,
    P2P_MA_SCTP,   P2P_MA_UDP,          P2P_MA_WEBRTC_DIRECT, P2P_MA_WEBRTC,       P2P_MA_UDT,
    P2P_MA_UTP,    P2P_MA_P2P_CIRCUIT,  P2P_MA_P2P,           P2P_MA_HTTPS,        P2P_MA_ONION,
    P2P_MA_ONION3, P2P_MA_GARLIC64,     P2P_MA_GARLIC32,      P2P_MA_TLS,          P2P_MA_SNI,
    P2P_MA_NOISE,  P2P_MA_QUIC,         P2P_MA_QUIC_V1,       P2P_MA_WEBTRANSPORT, P2P_MA_CERTHASH,
    P2P_MA_WS,     P2P_MA_WSS,          P2P_MA_HTTP,          P2P_MA_HTTP_PATH,    P2P_MA_MEMORY,
    P2P_MA_UNIX,   P2P_MA_P2P_STARDUST, P2P_MA_PLAINTEXTV2,
};

#define CODE_COUNT (sizeof(codes) / sizeof(codes[0]))

/* splitmix64 */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t below(uint64_t *rng, size_t bound)
{
    return (size_t)(draw(rng) % bound);
}

static size_t random_name(uint64_t *rng, uint8_t *out, size_t max)
{
    size_t len = 1 + below(rng, max);
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(0x20 + below(rng, 0x5f));
        if (out[i] == '/')
            out[i] = '.';
    }
    if (len >= 2 && below(rng, 4) == 0)
        memcpy(out + below(rng, len - 1), "\xc3\xbc", 2);
    return p2p__multiaddr_value_ok(p2p__multiaddr_protocol_by_code(P2P_MA_DNS), out, len) ? len : 0;
}

/* A value that the protocol accepts; its length. */
static size_t random_value(uint64_t *rng, const struct ma_protocol *protocol, uint8_t *out)
{
    size_t len = protocol->size >= 0 ? (size_t)protocol->size : 1 + below(rng, 60);
    for (size_t i = 0; i < 700; i++)
        out[i] = below(rng, 3) == 0 ? 0 : (uint8_t)draw(rng);
    if (protocol->kind == &p2p__ma_name) {
        len = random_name(rng, out, below(rng, 8) == 0 ? 255 : 20);
        if (len == 0) {
            memcpy(out, "x", 1);
            len = 1;
        }
    } else if (protocol->kind == &p2p__ma_path) {
        len = 1 + random_name(rng, out + 1, 30);
        out[0] = '/';
        if (len == 1)
            out[len++] = 'x';
    } else if (protocol->kind == &p2p__ma_peer || protocol->kind == &p2p__ma_certhash) {
        bool sha256 = below(rng, 2) == 0;
        out[0] = sha256 ? 0x12 : 0x00;
        out[1] = (uint8_t)(sha256 ? 32 : 1 + below(rng, 42));
        len = 2u + out[1];
    } else if (protocol->kind == &p2p__ma_cidr) {
        out[0] %= 129;
    } else if (protocol->kind == &p2p__ma_onion || protocol->kind == &p2p__ma_onion3) {
        out[len - 1] |= 1;
    } else if (protocol->kind == &p2p__ma_garlic64) {
        len = 386 + below(rng, 5);
    } else if (protocol->kind == &p2p__ma_garlic32) {
        len = below(rng, 2) == 0 ? 32 : 35 + below(rng, 5);
    }
    return len;
}

static void random_address(uint64_t *rng, p2p_multiaddr *out)
{
    out->len = 0;
    bool takes_rest = false, ended = false; /* behind a path nothing comes but a peer id */
    size_t want = 1 + below(rng, below(rng, 4) == 0 ? 34 : 6);
    for (size_t i = 0; i < want; i++) {
        uint8_t value[700];
        bool peer = takes_rest && below(rng, 2) == 0;
        const struct ma_protocol *protocol =
            p2p__multiaddr_protocol_by_code(peer ? P2P_MA_P2P : codes[below(rng, CODE_COUNT)]);
        size_t len = random_value(rng, protocol, value);
        size_t before = out->len;
        int err = p2p__multiaddr_append_component(out, protocol->code, value, len);
        assert_int_equal(err == P2P_EADDR, ended || (takes_rest && protocol->code != P2P_MA_P2P));
        ended = takes_rest;
        takes_rest = protocol->takes_rest;
        if (err < 0) {
            assert_int_equal(out->len, before);
            return;
        }
    }
}

static bool equal(const p2p_multiaddr *a, const p2p_multiaddr *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static void check_text(const p2p_multiaddr *addr)
{
    char text[P2P_MULTIADDR_TEXT_MAX];
    char again[P2P_MULTIADDR_TEXT_MAX];
    char why[200];
    p2p_multiaddr back;
    int64_t n = p2p_multiaddr_format(addr, text, sizeof(text));
    assert_true(n > 0 && n < P2P_MULTIADDR_TEXT_MAX);
    if (p2p_multiaddr_parse_why(text, &back, why, sizeof(why)) != 0)
        fail_msg("%s: %s", text, why);
    assert_true(equal(addr, &back));
    p2p_multiaddr_format(&back, again, sizeof(again));
    assert_string_equal(text, again);
}

/* Split at each component, joined again; what is removed leaves what came before. */
static void check_joints(const p2p_multiaddr *addr)
{
    size_t offset = 0;
    p2p_multiaddr_component component;
    while (p2p_multiaddr_next(addr, &offset, &component) == 1) {
        if (offset == addr->len)
            break;
        p2p_multiaddr head;
        p2p_multiaddr tail;
        assert_int_equal(p2p_multiaddr_decode(addr->bytes, offset, &head), 0);
        assert_int_equal(p2p_multiaddr_decode(addr->bytes + offset, addr->len - offset, &tail), 0);
        p2p_multiaddr joined = head;
        assert_int_equal(p2p_multiaddr_encapsulate(&joined, &tail), 0);
        assert_true(equal(&joined, addr));
        assert_int_equal(p2p_multiaddr_decapsulate(&joined, &tail), 0);
        assert_true(equal(&joined, &head));
    }
}

/* A damaged address is refused, or it is another good one. */
static void check_damage(uint64_t *rng, const p2p_multiaddr *addr)
{
    uint8_t bytes[P2P_MULTIADDR_MAX];
    p2p_multiaddr out;
    memcpy(bytes, addr->bytes, addr->len);
    bytes[below(rng, addr->len)] ^= (uint8_t)(1u << below(rng, 8));
    if (p2p_multiaddr_decode(bytes, addr->len, &out) == 0)
        check_text(&out);
    if (p2p_multiaddr_decode(addr->bytes, below(rng, addr->len), &out) == 0)
        check_text(&out);
}

static void test_generated_addresses(void **state)
{
    (void)state;
    uint64_t rng = SEED;
    for (size_t round = 0; round < ROUNDS; round++) {
        uint64_t start = rng;
        p2p_multiaddr addr;
        p2p_multiaddr decoded;
        random_address(&rng, &addr);
        if (p2p_multiaddr_decode(addr.bytes, addr.len, &decoded) != 0)
            fail_msg("round %zu, state 0x%llx: not decoded", round, (unsigned long long)start);
        check_text(&addr);
        if (round % 8 == 0)
            check_joints(&addr);
        check_damage(&rng, &addr);
    }
}

static void test_random_bytes(void **state)
{
    (void)state;
    uint64_t rng = SEED + 1;
    for (size_t round = 0; round < ROUNDS; round++) {
        uint8_t bytes[24];
        p2p_multiaddr out;
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)draw(&rng);
        if (below(&rng, 2) == 0)
            bytes[0] = (uint8_t)codes[below(&rng, 12)];
        if (p2p_multiaddr_decode(bytes, below(&rng, sizeof(bytes)), &out) == 0)
            check_text(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generated_addresses),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

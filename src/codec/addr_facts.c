#include "codec/addr_facts.h"

#include "codec/multiaddr_protocol.h"

struct range {
    uint8_t prefix[2];
    uint8_t bits;
    enum addr_reach reach;
};

/* The first that matches counts (IANA's special-purpose registries, as far as a peer may be there
 * or must not). Documentation ranges are left public: who announces one only wastes a dial. */
static const struct range ranges4[] = {
    {{0}, 8, REACH_UNUSABLE},           {{127}, 8, REACH_LOOPBACK},
    {{169, 254}, 16, REACH_LINK_LOCAL}, {{10}, 8, REACH_PRIVATE},
    {{172, 16}, 12, REACH_PRIVATE},     {{192, 168}, 16, REACH_PRIVATE},
    {{100, 64}, 10, REACH_PRIVATE},     {{224}, 4, REACH_UNUSABLE},
    {{240}, 4, REACH_UNUSABLE},
};
static const struct range ranges6[] = {
    {{0xfe, 0x80}, 10, REACH_LINK_LOCAL},
    {{0xfc}, 7, REACH_PRIVATE},
    {{0xff}, 8, REACH_UNUSABLE},
};

static bool in_range(const struct range *range, const uint8_t *ip)
{
    for (unsigned bit = 0; bit < range->bits; bit += 8) {
        unsigned left = range->bits - bit;
        uint8_t mask = left >= 8 ? 0xff : (uint8_t)(0xff << (8 - left));
        if ((ip[bit / 8] & mask) != range->prefix[bit / 8])
            return false;
    }
    return true;
}

static enum addr_reach lookup(const struct range *ranges, size_t count, const uint8_t *ip)
{
    for (size_t i = 0; i < count; i++)
        if (in_range(&ranges[i], ip))
            return ranges[i].reach;
    return REACH_PUBLIC;
}

enum addr_reach p2p__ip_reach(uint8_t family, const uint8_t *ip)
{
    static const uint8_t zero[16], mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (family == 6 && memcmp(ip, mapped, sizeof(mapped)) == 0)
        return p2p__ip_reach(4, ip + 12);
    if (family == 4)
        return lookup(ranges4, sizeof(ranges4) / sizeof(*ranges4), ip);
    if (memcmp(ip, zero, 15) == 0 && ip[15] <= 1)
        return ip[15] ? REACH_LOOPBACK : REACH_UNUSABLE;
    return lookup(ranges6, sizeof(ranges6) / sizeof(*ranges6), ip);
}

static void see_ip(struct addr_facts *out, const p2p_multiaddr_component *c, size_t zone_at,
                   size_t end)
{
    static const uint8_t zero[16];
    out->family = c->code == P2P_MA_IP4 ? 4 : 6;
    memcpy(out->ip, c->value, c->value_len);
    out->reach = p2p__ip_reach(out->family, out->ip);
    out->any = memcmp(out->ip, zero, c->value_len) == 0;
    out->ip_at = zone_at;
    out->ip_end = end;
}

static enum addr_kind kind_after(enum addr_kind so_far, uint32_t code)
{
    switch (code) {
    case P2P_MA_P2P_CIRCUIT:
        return KIND_RELAY;
    case P2P_MA_TCP:
        return KIND_TCP;
    case P2P_MA_TLS:
        return so_far == KIND_TCP ? KIND_WSS : so_far; /* /tls/ws, /tls/sni/NAME/ws */
    case P2P_MA_WS:
        return so_far == KIND_WSS ? KIND_WSS : KIND_WS;
    case P2P_MA_WSS:
        return KIND_WSS;
    case P2P_MA_QUIC_V1:
        return KIND_QUIC;
    case P2P_MA_WEBTRANSPORT:
        return KIND_WEBTRANSPORT;
    case P2P_MA_WEBRTC:
    case P2P_MA_WEBRTC_DIRECT:
        return KIND_WEBRTC;
    case P2P_MA_UNIX:
        return KIND_UNIX;
    case P2P_MA_MEMORY:
        return KIND_MEMORY;
    default:
        return so_far;
    }
}

void p2p__addr_facts(const p2p_multiaddr *addr, struct addr_facts *out)
{
    p2p_multiaddr_component c;
    *out = (struct addr_facts){0};
    size_t zone_at = 0;
    for (size_t at = 0, end = 0; p2p_multiaddr_next(addr, &end, &c) == 1; at = end) {
        if (c.code != P2P_MA_IP4 && c.code != P2P_MA_IP6)
            zone_at = c.code == P2P_MA_IP6ZONE ? at : end;
        if ((c.code == P2P_MA_IP4 || c.code == P2P_MA_IP6) && !out->family)
            see_ip(out, &c, zone_at, end);
        if ((c.code == P2P_MA_TCP || c.code == P2P_MA_UDP) && !out->port) {
            out->port = (uint16_t)(c.value[0] << 8 | c.value[1]);
            out->udp = c.code == P2P_MA_UDP;
        }
        if (out->kind != KIND_RELAY)
            out->kind = kind_after(out->kind, c.code);
    }
}

void p2p__addr_append_peer(p2p_multiaddr *self, const p2p_peer_id *peer)
{
    (void)p2p__multiaddr_append_component(self, P2P_MA_P2P, peer->bytes, peer->len);
}

bool p2p__addr_take_peer(p2p_multiaddr *self, p2p_peer_id *peer)
{
    p2p_multiaddr_component c = {.code = 0};
    size_t last = 0;
    *peer = (p2p_peer_id){0};
    for (size_t at = 0, end = 0; p2p_multiaddr_next(self, &end, &c) == 1; at = end)
        last = at;
    if (c.code != P2P_MA_P2P || p2p_peer_id_decode(c.value, c.value_len, peer) < 0)
        return false;
    self->len = last;
    return true;
}

int p2p__addr_with_front(const p2p_multiaddr *self, const struct addr_facts *facts,
                         const p2p_multiaddr *front, p2p_multiaddr *out)
{
    p2p_multiaddr rest = {.len = 0};
    if (!facts->family) {
        *out = *self;
        return 0;
    }
    *out = *front;
    rest.len = self->len - facts->ip_end;
    memcpy(rest.bytes, self->bytes + facts->ip_end, rest.len);
    return rest.len ? p2p_multiaddr_encapsulate(out, &rest) : 0;
}

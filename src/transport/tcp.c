#include "transport/tcp.h"

#include <stdlib.h>
#include <string.h>

#include "codec/multiaddr_protocol.h"

enum {
    INTERFACES_MAX = 64,
};

/* An interface index from a zone: its number, or the name of an interface. */
static int zone_index(struct p2p_io *io, const uint8_t *zone, size_t zone_len, uint32_t *out)
{
    char text[32];
    if (zone_len == 0 || zone_len >= sizeof(text))
        return P2P_EADDR;
    memcpy(text, zone, zone_len);
    text[zone_len] = '\0';
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);
    if (*end == '\0' && number > 0 && number <= UINT32_MAX) {
        *out = (uint32_t)number;
        return 0;
    }
    struct io_interface found[INTERFACES_MAX];
    int count = io->ops->interfaces(io, found, INTERFACES_MAX);
    for (int i = 0; i < count && i < INTERFACES_MAX; i++) {
        if (strcmp(found[i].name, text) == 0 && found[i].addr.family == 6 && found[i].addr.scope) {
            *out = found[i].addr.scope;
            return 0;
        }
    }
    return P2P_EADDR;
}

int p2p__tcp_parse(const p2p_multiaddr *addr, struct p2p_io *io, struct io_addr *out,
                   p2p_peer_id *peer)
{
    p2p_multiaddr_component c;
    size_t at = 0;
    *out = (struct io_addr){0};
    *peer = (p2p_peer_id){0};
    int more = p2p_multiaddr_next(addr, &at, &c);
    if (more == 1 && c.code == P2P_MA_IP6ZONE) {
        int rc = zone_index(io, c.value, c.value_len, &out->scope);
        if (rc < 0)
            return rc;
        more = p2p_multiaddr_next(addr, &at, &c);
    }
    if (more != 1 || (c.code != P2P_MA_IP4 && c.code != P2P_MA_IP6))
        return P2P_ENOTSUP;
    out->family = c.code == P2P_MA_IP4 ? 4 : 6;
    memcpy(out->ip, c.value, c.value_len);
    if (p2p_multiaddr_next(addr, &at, &c) != 1 || c.code != P2P_MA_TCP)
        return P2P_ENOTSUP;
    out->port = (uint16_t)(c.value[0] << 8 | c.value[1]);
    more = p2p_multiaddr_next(addr, &at, &c);
    if (more == 1 && c.code == P2P_MA_WS) {
        out->ws = true;
        more = p2p_multiaddr_next(addr, &at, &c);
    }
    if (more == 1 && c.code == P2P_MA_P2P) {
        int rc = p2p_peer_id_decode(c.value, c.value_len, peer);
        if (rc < 0)
            return rc;
        more = p2p_multiaddr_next(addr, &at, &c);
    }
    return more == 0 ? 0 : P2P_ENOTSUP;
}

void p2p__tcp_format(const struct io_addr *addr, p2p_multiaddr *out)
{
    const uint8_t port[2] = {(uint8_t)(addr->port >> 8), (uint8_t)addr->port};
    out->len = 0;
    if (addr->family == 6 && addr->scope) {
        char zone[12];
        size_t len = 0;
        for (uint32_t n = addr->scope; n; n /= 10)
            zone[sizeof(zone) - ++len] = (char)('0' + n % 10);
        (void)p2p__multiaddr_append_component(out, P2P_MA_IP6ZONE, zone + sizeof(zone) - len, len);
    }
    if (addr->family == 4)
        (void)p2p__multiaddr_append_component(out, P2P_MA_IP4, addr->ip, 4);
    else
        (void)p2p__multiaddr_append_component(out, P2P_MA_IP6, addr->ip, 16);
    (void)p2p__multiaddr_append_component(out, P2P_MA_TCP, port, 2);
    if (addr->ws)
        (void)p2p__multiaddr_append_component(out, P2P_MA_WS, NULL, 0);
}

void p2p__addr_append_peer(p2p_multiaddr *self, const p2p_peer_id *peer)
{
    (void)p2p__multiaddr_append_component(self, P2P_MA_P2P, peer->bytes, peer->len);
}

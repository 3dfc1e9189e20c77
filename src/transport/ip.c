#include "transport/ip.h"

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

int p2p__ip_parse(const p2p_multiaddr *addr, struct p2p_io *io, size_t *offset, struct io_addr *out)
{
    p2p_multiaddr_component c;
    *out = (struct io_addr){0};
    int more = p2p_multiaddr_next(addr, offset, &c);
    if (more == 1 && c.code == P2P_MA_IP6ZONE) {
        int rc = zone_index(io, c.value, c.value_len, &out->scope);
        if (rc < 0)
            return rc;
        more = p2p_multiaddr_next(addr, offset, &c);
    }
    if (more != 1 || (c.code != P2P_MA_IP4 && c.code != P2P_MA_IP6))
        return P2P_ENOTSUP;
    out->family = c.code == P2P_MA_IP4 ? 4 : 6;
    memcpy(out->ip, c.value, c.value_len);
    return 0;
}

void p2p__ip_format(const struct io_addr *addr, p2p_multiaddr *out)
{
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
}

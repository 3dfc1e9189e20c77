/* Addresses: multiaddrs, and the system's form of them, in which ngtcp2 compares paths. */
#include "transport/quic/quic.h"

#include <string.h>

#include "codec/multiaddr_protocol.h"
#include "transport/ip.h"

static bool names_quic(const p2p_multiaddr *addr)
{
    p2p_multiaddr_component c;
    size_t at = 0;
    while (p2p_multiaddr_next(addr, &at, &c) == 1)
        if (c.code == P2P_MA_QUIC_V1)
            return true;
    return false;
}

int p2p__quic_parse(const p2p_multiaddr *addr, struct p2p_io *io, struct io_addr *out,
                    const char **why)
{
    p2p_multiaddr_component c;
    size_t at = 0;
    *out = (struct io_addr){0};
    int rc = p2p__ip_parse(addr, io, &at, out);
    if (rc == P2P_EADDR) {
        *why = "there is no such zone";
        return names_quic(addr) ? rc : P2P_ENOTSUP;
    }
    if (rc < 0 || p2p_multiaddr_next(addr, &at, &c) != 1 || c.code != P2P_MA_UDP)
        return P2P_ENOTSUP;
    out->port = (uint16_t)(c.value[0] << 8 | c.value[1]);
    if (p2p_multiaddr_next(addr, &at, &c) != 1 || c.code != P2P_MA_QUIC_V1)
        return P2P_ENOTSUP;
    return p2p_multiaddr_next(addr, &at, &c) == 0 ? 0 : P2P_ENOTSUP;
}

void p2p__quic_format(const struct io_addr *addr, p2p_multiaddr *out)
{
    const uint8_t port[2] = {(uint8_t)(addr->port >> 8), (uint8_t)addr->port};
    p2p__ip_format(addr, out);
    (void)p2p__multiaddr_append_component(out, P2P_MA_UDP, port, 2);
    (void)p2p__multiaddr_append_component(out, P2P_MA_QUIC_V1, NULL, 0);
}

static void encode(const struct io_addr *addr, ngtcp2_addr *out)
{
    if (addr->family == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
        memcpy(&in.sin_addr, addr->ip, 4);
        ngtcp2_addr_copy_byte(out, (const ngtcp2_sockaddr *)&in, sizeof(in));
    } else {
        struct sockaddr_in6 in = {
            .sin6_family = AF_INET6, .sin6_port = htons(addr->port), .sin6_scope_id = addr->scope};
        memcpy(&in.sin6_addr, addr->ip, 16);
        ngtcp2_addr_copy_byte(out, (const ngtcp2_sockaddr *)&in, sizeof(in));
    }
}

void p2p__quic_path(const struct io_addr *local, const struct io_addr *remote,
                    ngtcp2_path_storage *storage)
{
    ngtcp2_path_storage_zero(storage);
    encode(local, &storage->path.local);
    encode(remote, &storage->path.remote);
}

static void decode(const ngtcp2_addr *addr, struct io_addr *out)
{
    *out = (struct io_addr){0};
    if (addr->addr->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, addr->addr, sizeof(in));
        out->family = 4;
        out->port = ntohs(in.sin_port);
        memcpy(out->ip, &in.sin_addr, 4);
    } else {
        struct sockaddr_in6 in;
        memcpy(&in, addr->addr, sizeof(in));
        out->family = 6;
        out->port = ntohs(in.sin6_port);
        out->scope = in.sin6_scope_id;
        memcpy(out->ip, &in.sin6_addr, 16);
    }
}

void p2p__quic_path_addrs(const ngtcp2_path *path, struct io_addr *local, struct io_addr *remote)
{
    decode(&path->local, local);
    decode(&path->remote, remote);
}

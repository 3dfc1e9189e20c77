/* The system's forms of addresses, and its interfaces. */
#define _GNU_SOURCE
#include "io/uv_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/resource.h>

socklen_t p2p__uv_sockaddr_encode(const struct io_addr *addr, union uv_sockaddr *out)
{
    memset(out, 0, sizeof(*out));
    if (addr->family == 4) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(addr->port);
        memcpy(&out->v4.sin_addr, addr->ip, 4);
        return sizeof(out->v4);
    }
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_port = htons(addr->port);
    out->v6.sin6_scope_id = addr->scope;
    memcpy(&out->v6.sin6_addr, addr->ip, 16);
    return sizeof(out->v6);
}

bool p2p__uv_sockaddr_decode(const union uv_sockaddr *in, struct io_addr *out)
{
    *out = (struct io_addr){0};
    if (in->any.sa_family == AF_INET) {
        out->family = 4;
        out->port = ntohs(in->v4.sin_port);
        memcpy(out->ip, &in->v4.sin_addr, 4);
        return true;
    }
    if (in->any.sa_family == AF_INET6) {
        out->family = 6;
        out->port = ntohs(in->v6.sin6_port);
        out->scope = in->v6.sin6_scope_id;
        memcpy(out->ip, &in->v6.sin6_addr, 16);
        return true;
    }
    return false;
}

bool p2p__uv_local_addr(int fd, struct io_addr *out)
{
    union uv_sockaddr addr = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t len = sizeof(addr);
    return getsockname(fd, &addr.any, &len) == 0 && p2p__uv_sockaddr_decode(&addr, out);
}

static bool fill_interface(const struct ifaddrs *from, struct io_interface *out)
{
    union uv_sockaddr addr = {0};
    if (!from->ifa_addr)
        return false;
    if (from->ifa_addr->sa_family == AF_INET)
        memcpy(&addr.v4, from->ifa_addr, sizeof(addr.v4));
    else if (from->ifa_addr->sa_family == AF_INET6)
        memcpy(&addr.v6, from->ifa_addr, sizeof(addr.v6));
    else
        return false;
    *out = (struct io_interface){.loopback = (from->ifa_flags & IFF_LOOPBACK) != 0,
                                 .up = (from->ifa_flags & IFF_UP) != 0 &&
                                       (from->ifa_flags & IFF_RUNNING) != 0};
    strncpy(out->name, from->ifa_name, sizeof(out->name) - 1);
    p2p__uv_sockaddr_decode(&addr, &out->addr);
    out->addr.port = 0;
    return true;
}

/* getifaddrs, not uv_interface_addresses: that one leaves out what is down. */
int p2p__uv_interfaces(struct p2p_io *base, struct io_interface *out, size_t cap)
{
    (void)base;
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0)
        return errno == ENOMEM ? P2P_ENOMEM : P2P_EINTERNAL;
    int count = 0;
    for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
        struct io_interface one;
        if (!fill_interface(at, &one))
            continue;
        if ((size_t)count < cap)
            out[count] = one;
        count++;
    }
    freeifaddrs(all);
    return count;
}

size_t p2p__uv_fds_max(struct p2p_io *base)
{
    struct rlimit limit;
    (void)base;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > SIZE_MAX)
        return SIZE_MAX;
    return (size_t)limit.rlim_cur;
}

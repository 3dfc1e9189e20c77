#include "transport/tcp.h"
#include "transport/link_listener.h"

#include <string.h>

#include "base/mem.h"
#include "codec/multiaddr_protocol.h"
#include "transport/ip.h"
#include "transport/link_listener.h"

struct tcp {
    struct transport base;
    struct list listeners;
};

struct tcp_listener {
    struct link_listener base;
    struct list node;
    bool asked[OVER_COUNT];
};

static struct tcp *tcp_of(struct transport *base)
{
    return P2P__CONTAINER(base, struct tcp, base);
}

static void init(struct transport *base)
{
    list_init(&tcp_of(base)->listeners);
}

/* ---- addresses ---- */

/* A host name, of which a listener may leave the first label open. */
static bool name_valid(const char *name)
{
    const char *rest = name[0] == '*' && name[1] == '.' ? name + 2 : name;
    return *rest && rest[strspn(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789.-_:")] == '\0';
}

/* What follows the port. */
static int parse_over(const p2p_multiaddr *addr, size_t at, struct tcp_route *out, const char **why)
{
    p2p_multiaddr_component c;
    int more = p2p_multiaddr_next(addr, &at, &c);
    bool tls = more == 1 && c.code == P2P_MA_TLS;
    if (tls)
        more = p2p_multiaddr_next(addr, &at, &c);
    if (tls && more == 1 && c.code == P2P_MA_SNI && c.value_len <= CONN_NAME_MAX) {
        memcpy(out->name, c.value, c.value_len);
        out->name[c.value_len] = '\0';
        more = p2p_multiaddr_next(addr, &at, &c);
    }
    out->wss = !tls && more == 1 && c.code == P2P_MA_WSS;
    if (out->wss || (more == 1 && c.code == P2P_MA_WS)) {
        out->over = tls || out->wss ? OVER_WSS : OVER_WS;
        more = p2p_multiaddr_next(addr, &at, &c);
    } else if (tls) {
        return P2P_ENOTSUP;
    }
    if (more != 0)
        return P2P_ENOTSUP;
    if (!*out->name || name_valid(out->name))
        return 0;
    *why = "its /sni is no host name";
    return P2P_EADDR;
}

int p2p__tcp_parse(const p2p_multiaddr *addr, struct p2p_io *io, struct tcp_route *out,
                   const char **why)
{
    p2p_multiaddr_component c;
    size_t at = 0;
    *out = (struct tcp_route){.over = OVER_TCP};
    int ip = p2p__ip_parse(addr, io, &at, &out->at);
    if (ip == P2P_ENOTSUP || p2p_multiaddr_next(addr, &at, &c) != 1)
        return P2P_ENOTSUP;
    if (ip < 0) { /* whose it is shows behind the zone */
        size_t behind = 0;
        bool tcp = false;
        while (p2p_multiaddr_next(addr, &behind, &c) == 1)
            tcp |= c.code == P2P_MA_TCP;
        *why = "there is no such zone";
        return tcp ? ip : P2P_ENOTSUP;
    }
    if (c.code != P2P_MA_TCP)
        return P2P_ENOTSUP;
    out->at.port = (uint16_t)(c.value[0] << 8 | c.value[1]);
    return parse_over(addr, at, out, why);
}

void p2p__tcp_format(const struct tcp_route *route, p2p_multiaddr *out)
{
    const uint8_t port[2] = {(uint8_t)(route->at.port >> 8), (uint8_t)route->at.port};
    p2p__ip_format(&route->at, out);
    (void)p2p__multiaddr_append_component(out, P2P_MA_TCP, port, 2);
    if (route->over == OVER_WSS && !route->wss)
        (void)p2p__multiaddr_append_component(out, P2P_MA_TLS, NULL, 0);
    if (*route->name)
        (void)p2p__multiaddr_append_component(out, P2P_MA_SNI, route->name, strlen(route->name));
    if (route->over != OVER_TCP)
        (void)p2p__multiaddr_append_component(out, route->wss ? P2P_MA_WSS : P2P_MA_WS, NULL, 0);
}

static int claim(const struct transport *base, const p2p_multiaddr *addr, const char **why)
{
    struct tcp_route route;
    return p2p__tcp_parse(addr, base->shard->io, &route, why);
}

static void addr_of(const struct transport *base, const struct p2p_conn *conn, bool remote,
                    p2p_multiaddr *out)
{
    struct tcp_route route = {.at = remote ? conn->link->remote : conn->link->local,
                              .over = conn->web_tls ? OVER_WSS
                                      : conn->ws    ? OVER_WS
                                                    : OVER_TCP};
    (void)base;
    p2p__tcp_format(&route, out);
}

/* ---- dialing ---- */

/* A listening address to dial from, so that the address that others observe is one they can dial;
 * or NULL. */
static const struct io_addr *local_for(struct tcp *self, const struct io_addr *remote)
{
    bool remote_loopback = p2p__io_addr_is_loopback(remote);
    const struct list *node = self->listeners.next;
    for (; node != &self->listeners; node = node->next) {
        const struct tcp_listener *listener = P2P__CONTAINER(node, const struct tcp_listener, node);
        const struct io_addr *local = &listener->base.io->local;
        if (local->family != remote->family || p2p__io_addr_equal(local, remote))
            continue;
        bool any = p2p__io_addr_is_any(local);
        /* From a wildcard port to itself the kernel would connect a socket to itself. */
        if (any && remote_loopback && local->port == remote->port)
            continue;
        if (any || p2p__io_addr_is_loopback(local) == remote_loopback)
            return local;
    }
    return NULL;
}

static int dial(struct transport *base, const p2p_multiaddr *addr, unsigned flags,
                struct passage *out, int *sys_errno)
{
    struct p2p_io *io = base->shard->io;
    struct pool *pool = &base->shard->pool;
    struct tcp_route route;
    const char *why = NULL;
    int rc = p2p__tcp_parse(addr, io, &route, &why);
    if (rc == 0 && *route.name == '*') /* one to listen on */
        rc = P2P_EADDR;
    if (rc < 0)
        return rc;
    const struct io_addr *local =
        flags & TRANSPORT_FRESH_PORT ? NULL : local_for(tcp_of(base), &route.at);
    out->under.ws = route.over != OVER_TCP;
    out->under.web_tls = route.over == OVER_WSS;
    if (*route.name)
        memcpy(out->under.name, route.name, sizeof(route.name));
    out->remote = route.at;
    /* Where the system refuses the listening port, from any. */
    out->shared_port = local && io->ops->dial(io, &route.at, local, IO_DIAL_REUSE_PORT, pool,
                                              &out->link, sys_errno) == 0;
    if (!out->shared_port)
        rc = io->ops->dial(io, &route.at, NULL, 0, pool, &out->link, sys_errno);
    if (rc == 0)
        out->link->remote = route.at;
    return rc;
}

/* ---- listening ---- */

static struct tcp_listener *find(struct tcp *self, const struct io_addr *at)
{
    for (struct list *node = self->listeners.next; node != &self->listeners; node = node->next) {
        struct tcp_listener *listener = P2P__CONTAINER(node, struct tcp_listener, node);
        if (p2p__io_addr_equal(&listener->base.io->local, at))
            return listener;
    }
    return NULL;
}

static int listen(struct transport *base, const p2p_multiaddr *addr,
                  struct transport_listener **out, int *sys_errno)
{
    struct tcp *self = tcp_of(base);
    struct p2p_io *io = base->shard->io;
    struct tcp_route route;
    const char *why = NULL;
    int rc = p2p__tcp_parse(addr, io, &route, &why);
    if (rc < 0)
        return rc;
    struct tcp_listener *listener = find(self, &route.at);
    if (route.over == OVER_WSS && !p2p__web_serves(base->shard->env.web))
        return P2P_ENOTSUP;
    if (listener && !listener->asked[route.over]) { /* /tcp/PORT and /tcp/PORT/ws are one port */
        listener->asked[route.over] = true;
        *out = &listener->base.base;
        return 0;
    }
    listener = p2p__alloc(sizeof(*listener));
    if (!listener)
        return P2P_ENOMEM;
    rc = io->ops->listen(io, &route.at, &listener->base.io, sys_errno);
    if (rc < 0) {
        p2p__free(listener);
        return rc;
    }
    p2p__link_listener_start(&listener->base, base);
    listener->asked[route.over] = true;
    list_append(&self->listeners, &listener->node);
    *out = &listener->base.base;
    return 0;
}

static struct tcp_listener *listener_of(const struct transport_listener *base)
{
    return P2P__CONTAINER(base, struct tcp_listener, base.base);
}

static void bound(const struct transport_listener *base, const p2p_multiaddr *addr,
                  p2p_multiaddr *out)
{
    struct tcp_route route;
    const char *why;
    (void)p2p__tcp_parse(addr, base->transport->shard->io, &route, &why);
    route.at = link_listener_of(base)->io->local;
    p2p__tcp_format(&route, out);
}

static int accept(struct transport_listener *base, struct passage *out, int *sys_errno)
{
    const struct tcp_listener *self = listener_of(base);
    int rc = p2p__link_listener_accept(base, out, sys_errno);
    if (rc < 0)
        return rc;
    out->remote = out->link->remote;
    out->under.sniff_ws = self->asked[OVER_WS]; /* plain libp2p is always served */
    out->under.sniff_tls = self->asked[OVER_WSS];
    return 0;
}

static void close(struct transport_listener *base)
{
    struct tcp_listener *self = listener_of(base);
    list_remove(&self->node);
    p2p__link_listener_end(&self->base);
    p2p__free(self);
}

const struct transport_ops p2p__transport_tcp = {
    .name = "tcp",
    .size = sizeof(struct tcp),
    .init = init,
    .claim = claim,
    .dial = dial,
    .listen = listen,
    .bound = bound,
    .accept = accept,
    .resume = p2p__link_listener_resume,
    .close = close,
    .addr = addr_of,
};

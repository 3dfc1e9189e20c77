#include "transport/tcp.h"

#include "base/mem.h"
#include "codec/multiaddr_protocol.h"
#include "transport/ip.h"

struct tcp {
    struct transport base;
    struct list listeners;
};

struct tcp_listener {
    struct transport_listener base;
    struct list node;
    struct io_listener *io;
    bool asked[2]; /* for a plain address, and for one with /ws */
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

int p2p__tcp_parse(const p2p_multiaddr *addr, struct p2p_io *io, struct tcp_route *out,
                   const char **why)
{
    p2p_multiaddr_component c;
    size_t at = 0;
    *out = (struct tcp_route){.ws = false};
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
    int more = p2p_multiaddr_next(addr, &at, &c);
    if (more == 1 && c.code == P2P_MA_WS) {
        out->ws = true;
        more = p2p_multiaddr_next(addr, &at, &c);
    }
    return more == 0 ? 0 : P2P_ENOTSUP;
}

void p2p__tcp_format(const struct io_addr *addr, bool ws, p2p_multiaddr *out)
{
    const uint8_t port[2] = {(uint8_t)(addr->port >> 8), (uint8_t)addr->port};
    p2p__ip_format(addr, out);
    (void)p2p__multiaddr_append_component(out, P2P_MA_TCP, port, 2);
    if (ws)
        (void)p2p__multiaddr_append_component(out, P2P_MA_WS, NULL, 0);
}

static int claim(const struct transport *base, const p2p_multiaddr *addr, const char **why)
{
    struct tcp_route route;
    return p2p__tcp_parse(addr, base->shard->io, &route, why);
}

static void addr_of(const struct transport *base, const struct p2p_conn *conn, bool remote,
                    p2p_multiaddr *out)
{
    (void)base;
    p2p__tcp_format(remote ? &conn->link->remote : &conn->link->local, conn->ws, out);
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
        const struct io_addr *local = &listener->io->local;
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
    if (rc < 0)
        return rc;
    const struct io_addr *local =
        flags & TRANSPORT_FRESH_PORT ? NULL : local_for(tcp_of(base), &route.at);
    out->under.ws = route.ws;
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

static void listener_wake(struct io_listener *io)
{
    struct tcp_listener *self = io->owner;
    self->base.acceptable = io->acceptable;
    self->base.wake(&self->base);
}

static struct tcp_listener *find(struct tcp *self, const struct io_addr *at)
{
    for (struct list *node = self->listeners.next; node != &self->listeners; node = node->next) {
        struct tcp_listener *listener = P2P__CONTAINER(node, struct tcp_listener, node);
        if (p2p__io_addr_equal(&listener->io->local, at))
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
    if (listener && !listener->asked[route.ws]) { /* /tcp/PORT and /tcp/PORT/ws are one port */
        listener->asked[route.ws] = true;
        *out = &listener->base;
        return 0;
    }
    listener = p2p__alloc(sizeof(*listener));
    if (!listener)
        return P2P_ENOMEM;
    rc = io->ops->listen(io, &route.at, &listener->io, sys_errno);
    if (rc < 0) {
        p2p__free(listener);
        return rc;
    }
    listener->base.transport = base;
    listener->io->owner = listener;
    listener->io->wake = listener_wake;
    listener->asked[route.ws] = true;
    list_append(&self->listeners, &listener->node);
    *out = &listener->base;
    return 0;
}

static struct tcp_listener *listener_of(const struct transport_listener *base)
{
    return P2P__CONTAINER(base, struct tcp_listener, base);
}

static void bound(const struct transport_listener *base, const p2p_multiaddr *addr,
                  p2p_multiaddr *out)
{
    struct tcp_route route;
    const char *why;
    (void)p2p__tcp_parse(addr, base->transport->shard->io, &route, &why);
    p2p__tcp_format(&listener_of(base)->io->local, route.ws, out);
}

static int accept(struct transport_listener *base, struct passage *out, int *sys_errno)
{
    struct tcp_listener *self = listener_of(base);
    struct shard *shard = base->transport->shard;
    int rc = self->io->acceptable
                 ? shard->io->ops->accept(self->io, &shard->pool, &out->link, sys_errno)
                 : P2P_EAGAIN;
    base->acceptable = self->io->acceptable;
    if (rc < 0)
        return rc;
    out->remote = out->link->remote;
    out->under.sniff_ws = self->asked[true]; /* plain libp2p is always served */
    return 0;
}

static void resume(struct transport_listener *base)
{
    struct tcp_listener *self = listener_of(base);
    struct p2p_io *io = base->transport->shard->io;
    io->ops->resume(self->io);
    base->acceptable = self->io->acceptable;
}

static void close(struct transport_listener *base)
{
    struct tcp_listener *self = listener_of(base);
    struct p2p_io *io = base->transport->shard->io;
    list_remove(&self->node);
    io->ops->unlisten(self->io);
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
    .resume = resume,
    .close = close,
    .addr = addr_of,
};

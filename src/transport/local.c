#include "transport/local.h"

#include <string.h>

#include "base/mem.h"
#include "codec/addr_copy.h"
#include "codec/multiaddr_protocol.h"
#include "transport/link_listener.h"

enum {
    TRIES_MAX = 8, /* of numbers, for /memory/0 */
};

struct local_listener {
    struct link_listener base;
    struct io_local at;
};

static int parse(const p2p_multiaddr *addr, struct io_local *out, const char **why)
{
    p2p_multiaddr_component c;
    size_t at = 0;
    *out = (struct io_local){0};
    if (p2p_multiaddr_next(addr, &at, &c) != 1 ||
        (c.code != P2P_MA_UNIX && c.code != P2P_MA_MEMORY) || at != addr->len)
        return P2P_ENOTSUP;
    if (c.code == P2P_MA_MEMORY) {
        for (size_t i = 0; i < c.value_len; i++)
            out->number = out->number << 8 | c.value[i];
        return 0;
    }
    *why = "the path of a Unix socket has at most 107 bytes";
    if (c.value_len > IO_PATH_MAX)
        return P2P_EADDR;
    out->path_len = c.value_len;
    memcpy(out->path, c.value, c.value_len);
    return 0;
}

static void format(const struct io_local *at, p2p_multiaddr *out)
{
    uint8_t number[8];
    out->len = 0;
    for (int i = 0; i < 8; i++)
        number[i] = (uint8_t)(at->number >> (56 - 8 * i));
    if (at->path_len)
        (void)p2p__multiaddr_append_component(out, P2P_MA_UNIX, at->path, at->path_len);
    else
        (void)p2p__multiaddr_append_component(out, P2P_MA_MEMORY, number, sizeof(number));
}

static int claim(const struct transport *base, const p2p_multiaddr *addr, const char **why)
{
    struct io_local at;
    (void)base;
    return parse(addr, &at, why);
}

/* Who dials has no address of its own, so both ends are told where they met. */
static void addr_of(const struct transport *base, const struct p2p_conn *conn, bool remote,
                    p2p_multiaddr *out)
{
    (void)base;
    (void)remote;
    out->len = 0;
    if (conn->met_at)
        addr_load(conn->met_at, out);
}

static int dial(struct transport *base, const p2p_multiaddr *addr, unsigned flags,
                struct passage *out, int *sys_errno)
{
    struct p2p_io *io = base->shard->io;
    struct io_local at;
    const char *why = NULL;
    (void)flags;
    int rc = parse(addr, &at, &why);
    if (rc == 0 && !(out->met_at = addr_copy(addr)))
        rc = P2P_ENOMEM;
    if (rc == 0)
        rc = io->ops->dial_local(io, &at, &base->shard->pool, &out->link, sys_errno);
    if (rc < 0) {
        p2p__free(out->met_at);
        out->met_at = NULL;
    }
    return rc;
}

static int listen_at(struct shard *shard, struct local_listener *self, int *sys_errno)
{
    struct p2p_io *io = shard->io;
    bool any = !self->at.path_len && !self->at.number;
    int rc = P2P_ELISTEN;
    for (int i = 0; rc == P2P_ELISTEN && i < (any ? TRIES_MAX : 1); i++) {
        while (any && !self->at.number)
            io->ops->random(io, &self->at.number, sizeof(self->at.number));
        rc = io->ops->listen_local(io, &self->at, &self->base.io, sys_errno);
    }
    return rc;
}

static int listen(struct transport *base, const p2p_multiaddr *addr,
                  struct transport_listener **out, int *sys_errno)
{
    const char *why = NULL;
    struct local_listener *self = p2p__alloc(sizeof(*self));
    if (!self)
        return P2P_ENOMEM;
    int rc = parse(addr, &self->at, &why);
    if (rc == 0)
        rc = listen_at(base->shard, self, sys_errno);
    if (rc < 0) {
        p2p__free(self);
        return rc;
    }
    p2p__link_listener_start(&self->base, base);
    *out = &self->base.base;
    return 0;
}

static struct local_listener *listener_of(const struct transport_listener *base)
{
    return P2P__CONTAINER(base, struct local_listener, base.base);
}

static void bound(const struct transport_listener *base, const p2p_multiaddr *addr,
                  p2p_multiaddr *out)
{
    (void)addr;
    format(&listener_of(base)->at, out);
}

static int accept(struct transport_listener *base, struct passage *out, int *sys_errno)
{
    int rc = p2p__link_listener_accept(base, out, sys_errno);
    if (rc < 0)
        return rc;
    p2p_multiaddr addr;
    format(&listener_of(base)->at, &addr);
    out->met_at = addr_copy(&addr); /* without memory it has no address */
    return 0;
}

static void close(struct transport_listener *base)
{
    p2p__link_listener_end(link_listener_of(base));
    p2p__free(listener_of(base));
}

const struct transport_ops p2p__transport_local = {
    .name = "local",
    .size = sizeof(struct transport),
    .claim = claim,
    .dial = dial,
    .listen = listen,
    .bound = bound,
    .accept = accept,
    .resume = p2p__link_listener_resume,
    .close = close,
    .addr = addr_of,
};

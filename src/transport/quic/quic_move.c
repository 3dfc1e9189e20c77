/* This machine's addresses changed: connections that it dialed go on from the address that their
 * datagrams leave from now (RFC 9000, section 9). Those that it accepted cannot: there the client
 * moves, and ngtcp2 follows it.
 *
 * While the old address is still there, the new path is tried before it is used; when the old one
 * is gone, there is nothing to lose. A socket that is bound to one address has no other. */
#include "transport/quic/quic.h"

enum {
    INTERFACES_MAX = 64,
    /* Word comes of addresses, not of routes, and those may come much later: the address is asked
     * for again after that time, twice that, and so on. */
    AGAIN_US = 50 * 1000,
    AGAIN_MAX_US = 30 * 1000 * 1000,
};

static bool is_ours(struct p2p_io *io, const struct io_addr *addr)
{
    struct io_interface found[INTERFACES_MAX];
    struct io_addr bare = *addr;
    int count = io->ops->interfaces(io, found, INTERFACES_MAX);
    bare.port = 0;
    for (int i = 0; i < count && i < INTERFACES_MAX; i++)
        if (found[i].up && p2p__io_addr_equal(&found[i].addr, &bare))
            return true;
    return false;
}

/* False: it may have to, and could not yet. */
static bool go_to(struct quic_session *self, const struct io_addr *from, const struct io_addr *to,
                  const struct io_addr *remote)
{
    ngtcp2_path_storage path;
    ngtcp2_tstamp now = quic_ts(shard_now_us(self->shard));
    p2p__quic_path(to, remote, &path);
    int rc = is_ours(self->shard->io, from)
                 ? ngtcp2_conn_initiate_migration(self->conn, &path.path, now)
                 : ngtcp2_conn_initiate_immediate_migration(self->conn, &path.path, now);
    if (rc == 0)
        p2p__quic_session_wake(self);
    /* The remote has given no other name for itself so far, or there is no memory. A remote that
     * wants no migration is an invalid state: nothing more will be tried. */
    return rc != NGTCP2_ERR_CONN_ID_BLOCKED && rc != NGTCP2_ERR_NOMEM;
}

static bool settle(struct quic_session *self)
{
    struct io_udp *udp = self->endpoint->udp;
    struct io_addr local, remote, source;
    if (quic_is_server(self) || self->base.state == SESSION_OVER)
        return true;
    if (!self->confirmed)
        return false;
    p2p__quic_path_addrs(ngtcp2_conn_get_path(self->conn), &local, &remote);
    if (!udp->ops->source(udp, &remote, &source))
        return false;
    return p2p__io_addr_equal(&source, &local) || go_to(self, &local, &source, &remote);
}

static bool settle_all(struct quic_endpoint *self)
{
    bool all = true;
    for (struct list *node = self->sessions.next; node != &self->sessions; node = node->next) {
        struct quic_session *session = P2P__CONTAINER(node, struct quic_session, node);
        session->stray = session->stray && !settle(session);
        all &= !session->stray;
    }
    return all;
}

static void run(struct work *work)
{
    struct quic *self = P2P__CONTAINER(work, struct quic, move);
    struct shard *shard = self->base.shard;
    bool all = true;
    for (struct list *node = self->endpoints.next; node != &self->endpoints; node = node->next)
        all &= settle_all(P2P__CONTAINER(node, struct quic_endpoint, node));
    if (all || self->move_again_us > AGAIN_MAX_US)
        return;
    timer_set(shard, &self->move_timer, shard_now_us(shard) + self->move_again_us);
    self->move_again_us *= 2;
}

static void fire(struct timer *timer)
{
    struct quic *self = P2P__CONTAINER(timer, struct quic, move_timer);
    p2p__work_mark(self->base.shard, &self->move);
}

void p2p__quic_move_init(struct quic *self)
{
    work_init(&self->move, run);
    self->move_timer.fire = fire;
}

void p2p__quic_move_fini(struct quic *self)
{
    timer_set(self->base.shard, &self->move_timer, HEAP_NEVER);
    list_remove(&self->move.node);
}

void p2p__quic_interfaces_changed(struct quic *self)
{
    for (struct list *it = self->endpoints.next; it != &self->endpoints; it = it->next) {
        struct quic_endpoint *endpoint = P2P__CONTAINER(it, struct quic_endpoint, node);
        struct list *node = endpoint->sessions.next;
        for (; node != &endpoint->sessions; node = node->next)
            P2P__CONTAINER(node, struct quic_session, node)->stray = true;
    }
    self->move_again_us = AGAIN_US;
    p2p__work_mark(self->base.shard, &self->move);
}

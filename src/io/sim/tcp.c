/* Making connections: ports, listeners, and the three packets of the handshake. */
#include "io/sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"

struct sim_host *p2p__sim_far_host(const struct sim_end *self)
{
    if (p2p__io_addr_is_loopback(&self->link.remote))
        return self->host;
    return p2p__sim_host_at(self->host->sim, &self->link.remote);
}

/* Addresses and ports */

static bool same_ip(const struct io_addr *a, const struct io_addr *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, a->family == 4 ? 4 : 16) == 0;
}

static bool owns(const struct sim_host *self, const struct io_addr *addr)
{
    return p2p__io_addr_is_loopback(addr) || p2p__sim_host_at(self->sim, addr) == self;
}

static uint64_t port_hash(const struct sim_host *host, uint16_t port)
{
    uint32_t key[2] = {host->id, port};
    return p2p__hash(&host->sim->key, key, sizeof(key));
}

/* The listener whose address overlaps with addr: for a packet, addr is never "any". */
static struct sim_listener *find_listener(const struct sim_host *host, const struct io_addr *addr)
{
    struct sim_listener *found = NULL;
    struct map_node *node = p2p__map_first(&host->sim->listeners, port_hash(host, addr->port));
    for (; node; node = p2p__map_next(node)) {
        struct sim_listener *it = P2P__CONTAINER(node, struct sim_listener, node);
        const struct io_addr *local = &it->listener.local;
        if (it->host != host || local->port != addr->port || local->family != addr->family)
            continue;
        if (same_ip(local, addr))
            return it;
        if (p2p__io_addr_is_any(local) || p2p__io_addr_is_any(addr))
            found = it;
    }
    return found;
}

static uint64_t ends_hash(const struct sim_host *host, const struct io_addr *local,
                          const struct io_addr *remote)
{
    uint8_t key[40] = {0};
    memcpy(key, &host->id, 4);
    memcpy(key + 4, &local->port, 2);
    memcpy(key + 6, &remote->port, 2);
    size_t ip_len = local->family == 4 ? 4 : 16;
    memcpy(key + 8, local->ip, ip_len);
    memcpy(key + 24, remote->ip, ip_len);
    return p2p__hash(&host->sim->key, key, sizeof(key));
}

static struct sim_end *find_end(const struct sim_host *host, const struct io_addr *local,
                                const struct io_addr *remote)
{
    struct map_node *node = p2p__map_first(&host->sim->ends, ends_hash(host, local, remote));
    for (; node; node = p2p__map_next(node)) {
        struct sim_end *it = P2P__CONTAINER(node, struct sim_end, node);
        if (it->host == host && p2p__io_addr_equal(&it->link.local, local) &&
            p2p__io_addr_equal(&it->link.remote, remote))
            return it;
    }
    return NULL;
}

uint16_t p2p__sim_next_port(struct sim_host *self)
{
    uint16_t port = self->next_port++;
    if (self->next_port > SIM_EPHEMERAL_LAST)
        self->next_port = SIM_EPHEMERAL_FIRST;
    return port;
}

/* A free port for a connection to remote. */
static bool pick_port(struct sim_host *self, struct io_addr *local, const struct io_addr *remote)
{
    for (int i = SIM_EPHEMERAL_FIRST; i <= SIM_EPHEMERAL_LAST; i++) {
        local->port = p2p__sim_next_port(self);
        if (!find_end(self, local, remote) && !find_listener(self, local))
            return true;
    }
    return false;
}

bool p2p__sim_pick_ip(const struct sim_host *self, const struct io_addr *remote,
                      struct io_addr *out)
{
    if (p2p__io_addr_is_loopback(remote) || p2p__sim_host_at(self->sim, remote) == self) {
        memcpy(out->ip, remote->ip, sizeof(out->ip));
        return true;
    }
    for (const struct sim_ip *ip = self->ips; ip; ip = ip->next)
        if (ip->addr.family == remote->family) {
            memcpy(out->ip, ip->addr.ip, sizeof(out->ip));
            return true;
        }
    return false;
}

/* Ends */

static struct sim_end *end_new(struct sim_host *host, const struct io_addr *local,
                               const struct io_addr *remote)
{
    struct p2p_sim *sim = host->sim;
    struct sim_end *self = p2p__alloc(sizeof(*self));
    if (!self || p2p__sim_queue_reserve(&sim->queue) < 0) {
        p2p__free(self);
        return NULL;
    }
    self->link.ops = &p2p__sim_link_ops;
    self->link.local = *local;
    self->link.remote = *remote;
    self->host = host;
    self->event.kind = SIM_EVENT_END;
    list_init(&self->in_host);
    p2p__map_put(&sim->ends, &self->node, ends_hash(host, local, remote));
    struct sim_host *far = p2p__sim_far_host(self);
    self->path = far ? p2p__sim_path_between(sim, host, far) : &sim->any_path;
    return self;
}

void p2p__sim_end_free(struct sim_end *self)
{
    struct p2p_sim *sim = self->host->sim;
    if (self->peer)
        self->peer->peer = NULL;
    if (self->state == SIM_SYN_RCVD || self->state == SIM_ACCEPTABLE)
        self->listener->waiting--;
    else
        self->host->links--;
    if (sim->borrower == &self->link)
        sim->borrower = NULL;
    list_remove(&self->in_host);
    p2p__map_remove(&sim->ends, &self->node);
    p2p__sim_queue_release(&sim->queue, &self->event);
    while (self->first) {
        struct sim_piece *next = self->first->next;
        p2p__free(self->first);
        self->first = next;
    }
    p2p__free(self->acks);
    p2p__free(self->extra);
    p2p__free(self);
}

/* Dialing */

static int refuse(int *sys_errno, int code, int value)
{
    *sys_errno = value;
    return code;
}

/* The near end's address, with a port that makes the connection unique. */
static int choose_local(struct sim_host *self, const struct io_addr *remote,
                        const struct io_addr *wanted, unsigned flags, struct io_addr *out,
                        int *sys_errno)
{
    *out = (struct io_addr){.family = remote->family};
    if (wanted && wanted->family != remote->family)
        return refuse(sys_errno, P2P_EINVAL, EAFNOSUPPORT);
    if (!wanted || p2p__io_addr_is_any(wanted)) {
        if (!p2p__sim_pick_ip(self, remote, out))
            return refuse(sys_errno, P2P_ECONN, ENETUNREACH);
    } else if (owns(self, wanted)) {
        memcpy(out->ip, wanted->ip, sizeof(out->ip));
    } else {
        return refuse(sys_errno, P2P_ECONN, EADDRNOTAVAIL);
    }
    if (wanted && wanted->port) {
        out->port = wanted->port;
        if (!(flags & IO_DIAL_REUSE_PORT) && find_listener(self, out))
            return refuse(sys_errno, P2P_ECONN, EADDRINUSE);
        if (find_end(self, out, remote))
            return refuse(sys_errno, P2P_ECONN, EADDRNOTAVAIL);
    } else if (!pick_port(self, out, remote)) {
        return refuse(sys_errno, P2P_ECONN, EADDRNOTAVAIL);
    }
    return 0;
}

int p2p__sim_dial(struct p2p_io *io, const struct io_addr *remote, const struct io_addr *local,
                  unsigned flags, struct pool *pool, struct link **out, int *sys_errno)
{
    struct sim_host *host = sim_host_of(io);
    struct p2p_sim *sim = host->sim;
    struct io_addr near;
    *sys_errno = 0;
    if (host->links_max && host->links >= host->links_max)
        return refuse(sys_errno, P2P_ELIMIT, EMFILE);
    int code = choose_local(host, remote, local, flags, &near, sys_errno);
    if (code < 0)
        return code;
    struct sim_end *self = end_new(host, &near, remote);
    if (!self)
        return refuse(sys_errno, P2P_ENOMEM, ENOMEM);
    host->links++;
    list_append(&host->ends, &self->in_host);
    if (p2p__sim_take_cuts(self, sim->connections + 1) < 0) {
        p2p__sim_end_free(self);
        return refuse(sys_errno, P2P_ENOMEM, ENOMEM);
    }
    sim->connections++;
    self->link.pool = pool;
    self->state = SIM_SYN_SENT;
    self->syn_at = sim->now_us + p2p__sim_latency(self);
    p2p__sim_end_arm(self);
    *out = &self->link;
    return 0;
}

/* Nobody answered: once more, later and later. */
static void syn_again(struct sim_end *self)
{
    if (self->retries > SIM_SYN_RETRIES)
        p2p__sim_end_break(self, P2P_ECONN, ETIMEDOUT);
    else
        self->syn_at += (uint64_t)SIM_SYN_RTO_US << self->retries++;
}

static void answer(struct sim_end *self, enum sim_piece_kind kind)
{
    self->state = SIM_SYN_MET;
    self->retries = 0;
    p2p__sim_send_control(self, kind, self->host->sim->now_us + p2p__sim_latency(self));
}

/* Both ends dialed each other from the very ports that they dialed: RFC 9293 3.5, simultaneous
 * open, which is how holes are punched. */
static bool met_halfway(struct sim_end *self, struct sim_host *far)
{
    struct sim_end *other = find_end(far, &self->link.remote, &self->link.local);
    if (!other || other == self || other->state != SIM_SYN_SENT || other->broken)
        return false;
    other->state = SIM_SYN_MET;
    other->retries = 0;
    other->peer = self;
    self->peer = other;
    if (p2p__sim_hand_cut(self, other) < 0)
        p2p__sim_end_break(self, P2P_ENOMEM, ENOMEM);
    else
        answer(self, SIM_SYNACK);
    return true;
}

static bool met_listener(struct sim_end *self, struct sim_listener *listener)
{
    if (listener->waiting >= IO_LISTEN_BACKLOG ||
        find_end(listener->host, &self->link.remote, &self->link.local))
        return false;
    struct sim_end *peer = end_new(listener->host, &self->link.remote, &self->link.local);
    if (!peer)
        return false;
    peer->state = SIM_SYN_RCVD;
    peer->listener = listener;
    peer->link.connected = peer->link.writable = true;
    listener->waiting++;
    list_append(&listener->half, &peer->in_host);
    if (p2p__sim_hand_cut(self, peer) < 0) {
        p2p__sim_end_free(peer);
        return false;
    }
    peer->peer = self;
    self->peer = peer;
    answer(self, SIM_SYNACK);
    return true;
}

void p2p__sim_syn_arrives(struct sim_end *self)
{
    struct sim_host *far = p2p__sim_far_host(self);
    if (!far || p2p__sim_is_blocked(self) || p2p__sim_is_lost(self, 0)) {
        syn_again(self);
        return;
    }
    /* The machine may have come after the call. */
    self->path = p2p__sim_path_between(self->host->sim, self->host, far);
    struct sim_listener *listener = find_listener(far, &self->link.remote);
    if (far->refuse)
        answer(self, SIM_REFUSED);
    else if (met_halfway(self, far))
        return;
    else if (!listener)
        answer(self, SIM_REFUSED);
    else if (!met_listener(self, listener))
        syn_again(self);
}

static void open_end(struct sim_end *self)
{
    self->state = SIM_OPEN;
    self->wire_free_ns = 0; /* what shared its memory has done its work */
    self->link.connected = self->link.writable = true;
}

void p2p__sim_synack_arrives(struct sim_end *self)
{
    if (self->broken)
        return;
    open_end(self);
    if (self->peer)
        p2p__sim_send_control(self->peer, SIM_ACK, p2p__sim_arrival(self, 0));
    p2p__sim_cut_count(self, 0);
    p2p__sim_end_wake(self);
}

void p2p__sim_ack_arrives(struct sim_end *self)
{
    if (self->state == SIM_SYN_MET) { /* the other half of a simultaneous open */
        open_end(self);
        p2p__sim_cut_count(self, 0);
        p2p__sim_end_wake(self);
        return;
    }
    struct sim_listener *listener = self->listener;
    self->state = SIM_ACCEPTABLE;
    list_remove(&self->in_host);
    list_append(&listener->ready, &self->in_host);
    p2p__sim_cut_count(self, 0);
    if (listener->asleep || listener->listener.acceptable)
        return;
    listener->listener.acceptable = true;
    if (!listener->host->detached && listener->listener.wake)
        listener->listener.wake(&listener->listener);
}

/* Listening */

static struct sim_listener *listener_of(struct io_listener *listener)
{
    return P2P__CONTAINER(listener, struct sim_listener, listener);
}

int p2p__sim_listen(struct p2p_io *io, const struct io_addr *at, struct io_listener **out,
                    int *sys_errno)
{
    struct sim_host *host = sim_host_of(io);
    struct io_addr local = *at;
    *sys_errno = 0;
    if (!p2p__io_addr_is_any(&local) && !owns(host, &local))
        return refuse(sys_errno, P2P_ELISTEN, EADDRNOTAVAIL);
    for (int i = SIM_EPHEMERAL_FIRST; at->port == 0 && i <= SIM_EPHEMERAL_LAST; i++) {
        local.port = p2p__sim_next_port(host);
        if (!find_listener(host, &local))
            break;
    }
    if (find_listener(host, &local))
        return refuse(sys_errno, P2P_ELISTEN, EADDRINUSE);
    struct sim_listener *self = p2p__alloc(sizeof(*self));
    if (!self)
        return refuse(sys_errno, P2P_ENOMEM, ENOMEM);
    self->listener.local = local;
    self->host = host;
    list_init(&self->half);
    list_init(&self->ready);
    list_append(&host->listeners, &self->in_host);
    p2p__map_put(&host->sim->listeners, &self->node, port_hash(host, local.port));
    *out = &self->listener;
    return 0;
}

int p2p__sim_accept(struct io_listener *listener, struct pool *pool, struct link **out,
                    int *sys_errno)
{
    struct sim_listener *self = listener_of(listener);
    struct sim_host *host = self->host;
    *sys_errno = 0;
    if (list_empty(&self->ready)) {
        listener->acceptable = false;
        return P2P_EAGAIN;
    }
    if (host->links_max && host->links >= host->links_max) {
        listener->acceptable = false;
        self->asleep = true;
        return refuse(sys_errno, P2P_ELIMIT, EMFILE);
    }
    struct sim_end *end = P2P__CONTAINER(self->ready.next, struct sim_end, in_host);
    list_remove(&end->in_host);
    list_append(&host->ends, &end->in_host);
    self->waiting--;
    host->links++;
    open_end(end);
    end->link.pool = pool;
    *out = &end->link;
    return 0;
}

void p2p__sim_resume(struct io_listener *listener)
{
    struct sim_listener *self = listener_of(listener);
    self->asleep = false;
    if (list_empty(&self->ready) || listener->acceptable)
        return;
    listener->acceptable = true;
    if (listener->wake)
        listener->wake(listener);
}

static void turn_away(struct list *ends, bool tell)
{
    while (!list_empty(ends)) {
        struct sim_end *end = P2P__CONTAINER(ends->next, struct sim_end, in_host);
        if (end->peer && tell)
            p2p__sim_send_reset(end->peer);
        p2p__sim_end_free(end);
    }
}

void p2p__sim_listener_free(struct sim_listener *self, bool tell)
{
    turn_away(&self->half, tell);
    turn_away(&self->ready, tell);
    list_remove(&self->in_host);
    p2p__map_remove(&self->host->sim->listeners, &self->node);
    if (self->local)
        p2p__sim_local_free(self->host->sim, self->local);
    p2p__free(self);
}

void p2p__sim_unlisten(struct io_listener *listener)
{
    p2p__sim_listener_free(listener_of(listener), true);
}

/* Listening: binding, accepting, and the addresses that others can use. */
#include "host/host.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "transport/tcp.h"

enum {
    ACCEPTS_PER_PASS = 64,
    /* When descriptors run out, accepting again at once would only spin. */
    ACCEPT_PAUSE_US = 100 * 1000,
    INTERFACES_MAX = 128,
};

static void refuse(p2p_host *host, struct link *link, const char *limit)
{
    link->ops->close(link, true);
    p2p__host_owner.limited(host, limit, "an inbound connection was refused");
}

static void take(struct listener *self, struct link *link)
{
    p2p_host *host = self->host;
    const char *limit = NULL;
    struct conn_entry probe = {0};
    if (host->closing) {
        link->ops->close(link, true);
        return;
    }
    if (p2p__limits_enter(host, &probe, &link->remote, &limit) < 0) {
        refuse(host, link, limit);
        return;
    }
    struct conn_entry *entry = NULL;
    p2p_conn *conn = p2p__host_add_conn(host, link, false, NULL, &entry);
    if (!conn) {
        p2p__limits_leave(host, &probe);
        return;
    }
    entry->ip = probe.ip;
    entry->half_open = probe.half_open;
    conn->sniff_ws = self->ws;
}

static void tell_listening(struct listener *self)
{
    p2p_host *host = self->host;
    while (self->told_count < self->addr_count) {
        p2p_multiaddr addr;
        p2p__tcp_format(&self->addrs[self->told_count++], &addr);
        p2p__addr_append_peer(&addr, p2p_host_peer(host));
        if (host->events && host->events->on_listening)
            host->events->on_listening(host, &addr, host->events_user);
    }
}

static void bury(struct work *work)
{
    p2p__free(P2P__CONTAINER(work, struct listener, work));
}

static void tell_unlistening(struct listener *self)
{
    p2p_host *host = self->host;
    for (size_t i = 0; i < self->told_count; i++) {
        p2p_multiaddr addr;
        p2p__tcp_format(&self->addrs[i], &addr);
        p2p__addr_append_peer(&addr, p2p_host_peer(host));
        if (host->events && host->events->on_unlistening)
            host->events->on_unlistening(host, &addr, host->events_user);
    }
    p2p__work_bury(&host->shard, &self->work, bury);
}

static void listener_run(struct work *work)
{
    struct listener *self = P2P__CONTAINER(work, struct listener, work);
    p2p_host *host = self->host;
    if (!self->io) {
        tell_unlistening(self);
        return;
    }
    tell_listening(self);
    for (int i = 0; self->io && i < ACCEPTS_PER_PASS; i++) {
        struct link *link = NULL;
        int sys_errno = 0;
        int rc = self->io->acceptable
                     ? host->shard.io->ops->accept(self->io, &host->shard.pool, &link, &sys_errno)
                     : P2P_EAGAIN;
        if (rc == P2P_ELIMIT) {
            timer_set(&host->shard, &self->timer, host->shard.now_us + ACCEPT_PAUSE_US);
            p2p__host_owner.limited(host, "descriptors",
                                    "out of file descriptors: accepting pauses");
        }
        if (rc < 0)
            return;
        take(self, link);
    }
    if (self->io)
        p2p__work_mark(&host->shard, &self->work);
}

static void resume(struct timer *timer)
{
    struct listener *self = P2P__CONTAINER(timer, struct listener, timer);
    self->host->shard.io->ops->resume(self->io);
    p2p__work_mark(&self->host->shard, &self->work);
}

static void listener_wake(struct io_listener *io)
{
    struct listener *self = io->owner;
    p2p__work_mark(&self->host->shard, &self->work);
}

/* A wildcard stands for each interface's address of its family. */
static void announce(struct listener *self, const struct io_addr *addr)
{
    if (self->addr_count < LISTENER_ADDRS_MAX)
        self->addrs[self->addr_count++] = *addr;
}

static void expand(struct listener *self, bool ws)
{
    struct p2p_io *io = self->host->shard.io;
    struct io_addr bound = self->io->local;
    bound.ws = ws;
    if (!p2p__io_addr_is_any(&bound)) {
        announce(self, &bound);
        return;
    }
    struct io_interface found[INTERFACES_MAX];
    int count = io->ops->interfaces(io, found, INTERFACES_MAX);
    for (int i = 0; i < count && i < INTERFACES_MAX; i++) {
        if (!found[i].up || found[i].addr.family != bound.family)
            continue;
        found[i].addr.ws = ws;
        found[i].addr.port = bound.port;
        announce(self, &found[i].addr);
    }
}

static void listen_error(p2p_error **err, const p2p_multiaddr *addr, int code, int sys_errno)
{
    char text[P2P_MULTIADDR_TEXT_MAX], message[P2P_MULTIADDR_TEXT_MAX + 160];
    if (p2p_multiaddr_format(addr, text, sizeof(text)) < 0)
        text[0] = '\0';
    const char *why = code == P2P_ENOTSUP ? "no transport for it is built in"
                      : code == P2P_EADDR ? "there is no such zone"
                      : sys_errno         ? strerror(sys_errno)
                                          : p2p_code_text(code);
    snprintf(message, sizeof(message), "cannot listen on %s: %s", text, why);
    p2p__host_error(err, code, sys_errno, message);
}

/* /tcp/PORT and /tcp/PORT/ws are one port, which tells the two apart. */
static bool share(p2p_host *host, const struct io_addr *bare, bool ws)
{
    for (struct list *node = host->listeners.next; node != &host->listeners; node = node->next) {
        struct listener *self = P2P__CONTAINER(node, struct listener, node);
        if (self->both || self->addrs[0].ws == ws || !p2p__io_addr_equal(&self->io->local, bare))
            continue;
        self->both = self->ws = true;
        expand(self, ws);
        p2p__work_mark(&host->shard, &self->work);
        p2p__host_changed(host);
        return true;
    }
    return false;
}

int p2p_host_listen(p2p_host *host, const p2p_multiaddr *addr, p2p_error **err)
{
    struct io_addr at = {0};
    p2p_peer_id peer;
    int sys_errno = 0;
    struct p2p_io *io = host->shard.io;
    if (err)
        *err = NULL;
    int rc = host->closing ? P2P_ECLOSED : p2p__tcp_parse(addr, io, &at, &peer);
    if (rc == 0 && peer.len && !p2p_peer_id_equal(&peer, p2p_host_peer(host)))
        rc = P2P_EPEERID;
    struct io_addr bare = at;
    bare.ws = false;
    if (rc == 0 && share(host, &bare, at.ws))
        return 0;
    struct listener *self = rc == 0 ? p2p__alloc(sizeof(*self)) : NULL;
    if (rc == 0 && !self)
        rc = P2P_ENOMEM;
    if (rc == 0)
        rc = io->ops->listen(io, &bare, &self->io, &sys_errno);
    if (rc < 0) {
        p2p__free(self);
        listen_error(err, addr, rc, sys_errno);
        return rc;
    }
    assert(self);
    self->host = host;
    self->io->owner = self;
    self->io->wake = listener_wake;
    self->timer.fire = resume;
    work_init(&self->work, listener_run);
    list_append(&host->listeners, &self->node);
    self->ws = at.ws;
    expand(self, at.ws);
    p2p__work_mark(&host->shard, &self->work);
    p2p__host_changed(host);
    return 0;
}

void p2p__listen_close_all(p2p_host *host)
{
    struct list *node;
    while ((node = list_pop(&host->listeners))) {
        struct listener *self = P2P__CONTAINER(node, struct listener, node);
        host->shard.io->ops->unlisten(self->io);
        self->io = NULL;
        timer_set(&host->shard, &self->timer, HEAP_NEVER);
        p2p__work_mark(&host->shard, &self->work);
    }
}

int p2p_host_addr(const p2p_host *host, size_t index, p2p_multiaddr *out)
{
    const struct list *node = host->listeners.next;
    for (; node != &host->listeners; node = node->next) {
        const struct listener *self = P2P__CONTAINER(node, const struct listener, node);
        if (index < self->addr_count) {
            p2p__tcp_format(&self->addrs[index], out);
            p2p__addr_append_peer(out, p2p_host_peer(host));
            return 0;
        }
        index -= self->addr_count;
    }
    return P2P_ENOENT;
}

const struct io_addr *p2p__listen_local_for(const p2p_host *host, const struct io_addr *remote)
{
    bool remote_loopback = p2p__io_addr_is_loopback(remote);
    const struct list *node = host->listeners.next;
    for (; node != &host->listeners; node = node->next) {
        const struct listener *self = P2P__CONTAINER(node, const struct listener, node);
        const struct io_addr *local = &self->io->local;
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

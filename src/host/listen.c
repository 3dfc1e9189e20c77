/* Listening: binding, accepting, and the addresses that others can use. */
#include "host/host.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/addr_copy.h"
#include "codec/addr_facts.h"
#include "transport/ip.h"

enum {
    ACCEPTS_PER_PASS = 64,
    /* When descriptors run out, accepting again at once would only spin. */
    ACCEPT_PAUSE_US = 100 * 1000,
    INTERFACES_MAX = 128,
    ASKED_MAX = 4,           /* addresses that one port serves: /tcp/P, /tcp/P/ws, ... */
    LISTENER_ADDRS_MAX = 64, /* a wildcard stands for many */
};

/* One of the addresses by which a listener can be reached. */
struct announced {
    struct addr_copy *addr;
    bool told;
    bool stale; /* to be told and dropped */
};

struct listener {
    struct list node;
    struct work work;
    struct timer timer;
    p2p_host *host;
    struct transport_listener *io;      /* NULL: closed */
    struct addr_copy *asked[ASKED_MAX]; /* with the port that it got */
    size_t asked_count;
    struct announced addrs[LISTENER_ADDRS_MAX];
    size_t addr_count;
};

static void take(struct listener *self, struct passage *passage)
{
    p2p_host *host = self->host;
    const char *denied = host->closing ? NULL : p2p__gate_accept(host, passage);
    const char *limit = denied || host->closing ? NULL : p2p__limits_refuse_in(host, passage);
    struct conn_entry *entry = NULL;
    if (limit)
        p2p__refused(host, limit, "an inbound connection was refused");
    if (denied || limit || host->closing)
        p2p__passage_close(&host->shard, passage);
    else
        (void)p2p__host_add_conn(host, self->io->transport, passage, false, NULL, &entry);
}

/* ---- telling ---- */

static void tell(struct listener *self, const struct announced *which, bool listening)
{
    p2p_host *host = self->host;
    p2p_multiaddr addr;
    addr_load(which->addr, &addr);
    p2p__addr_append_peer(&addr, p2p_host_peer(host));
    const p2p_host_events *events = host->events;
    char text[P2P_MULTIADDR_TEXT_MAX];
    if (host->log.up_to[LOG_LISTEN] >= P2P_LOG_INFO) {
        (void)p2p_multiaddr_format(&addr, text, sizeof(text));
        p2p__log(host, P2P_LOG_INFO, LOG_LISTEN, "%s %.900s",
                 listening ? "listening on" : "no longer listening on", text);
    }
    if (listening && events && events->on_listening)
        events->on_listening(host, &addr, host->events_user);
    if (!listening && events && events->on_unlistening)
        events->on_unlistening(host, &addr, host->events_user);
}

/* A callback may listen on more, which adds at the end. */
static void tell_changes(struct listener *self)
{
    for (size_t i = 0; i < self->addr_count;) {
        struct announced *which = &self->addrs[i];
        if (!which->stale) {
            bool news = !which->told;
            which->told = true;
            i++;
            if (news)
                tell(self, which, true);
            continue;
        }
        struct announced gone = *which;
        self->addr_count--;
        memmove(which, which + 1, (self->addr_count - i) * sizeof(*which));
        if (gone.told)
            tell(self, &gone, false);
        p2p__free(gone.addr);
    }
}

static void bury(struct work *work)
{
    struct listener *self = P2P__CONTAINER(work, struct listener, work);
    for (size_t i = 0; i < self->asked_count; i++)
        p2p__free(self->asked[i]);
    p2p__free(self);
}

/* ---- accepting ---- */

static void listener_run(struct work *work)
{
    struct listener *self = P2P__CONTAINER(work, struct listener, work);
    p2p_host *host = self->host;
    tell_changes(self);
    if (!self->io) {
        p2p__work_bury(&host->shard, &self->work, bury);
        return;
    }
    for (int i = 0; self->io && i < ACCEPTS_PER_PASS; i++) {
        struct passage passage = {.link = NULL};
        int sys_errno = 0;
        int rc = self->io->transport->ops->accept(self->io, &passage, &sys_errno);
        if (rc == P2P_ELIMIT) {
            timer_set(&host->shard, &self->timer, host->shard.now_us + ACCEPT_PAUSE_US);
            if (sys_errno == ENOMEM || sys_errno == ENOBUFS)
                p2p__refused(host, "memory", "the system is out of memory: accepting pauses");
            else
                p2p__refused(host, "fds",
                             "the system is out of file descriptors: accepting pauses");
        }
        if (rc < 0)
            return;
        take(self, &passage);
    }
    if (self->io)
        p2p__work_mark(&host->shard, &self->work);
}

static void resume(struct timer *timer)
{
    struct listener *self = P2P__CONTAINER(timer, struct listener, timer);
    self->io->transport->ops->resume(self->io);
    p2p__work_mark(&self->host->shard, &self->work);
}

static void listener_wake(struct transport_listener *io)
{
    struct listener *self = io->owner;
    p2p__work_mark(&self->host->shard, &self->work);
}

/* ---- addresses ---- */

static int announce(struct listener *self, const p2p_multiaddr *addr)
{
    for (size_t i = 0; i < self->addr_count; i++) {
        if (addr_is(self->addrs[i].addr, addr)) {
            self->addrs[i].stale = false;
            return 0;
        }
    }
    if (self->addr_count == LISTENER_ADDRS_MAX)
        return 0;
    struct addr_copy *copy = addr_copy(addr);
    if (!copy)
        return P2P_ENOMEM;
    self->addrs[self->addr_count++] = (struct announced){.addr = copy};
    return 0;
}

/* A wildcard stands for each interface's address of its family. */
static int expand(struct listener *self, const p2p_multiaddr *asked)
{
    struct p2p_io *io = self->host->shard.io;
    struct addr_facts facts;
    p2p__addr_facts(asked, &facts);
    if (!facts.any)
        return announce(self, asked);
    (void)io->ops->watch_interfaces(io); /* where nobody tells, they stay as they are */
    struct io_interface found[INTERFACES_MAX];
    int count = io->ops->interfaces(io, found, INTERFACES_MAX), rc = 0;
    for (int i = 0; i < count && i < INTERFACES_MAX && rc == 0; i++) {
        p2p_multiaddr front, addr;
        if (!found[i].up || found[i].addr.family != facts.family)
            continue;
        p2p__ip_format(&found[i].addr, &front);
        if (p2p__addr_with_front(asked, &facts, &front, &addr) == 0)
            rc = announce(self, &addr);
    }
    return rc;
}

void p2p__listen_refresh(p2p_host *host)
{
    for (struct list *node = host->listeners.next; node != &host->listeners; node = node->next) {
        struct listener *self = P2P__CONTAINER(node, struct listener, node);
        for (size_t i = 0; i < self->addr_count; i++)
            self->addrs[i].stale = true;
        for (size_t i = 0; i < self->asked_count; i++) {
            p2p_multiaddr asked;
            addr_load(self->asked[i], &asked);
            (void)expand(self, &asked); /* out of memory: the next change brings it */
        }
        p2p__work_mark(&host->shard, &self->work);
    }
    p2p__host_changed(host);
}

/* ---- the public functions ---- */

static void listen_error(p2p_error **err, const p2p_multiaddr *addr, int code, int sys_errno,
                         const char *why)
{
    char text[P2P_MULTIADDR_TEXT_MAX], message[P2P_MULTIADDR_TEXT_MAX + 160];
    if (p2p_multiaddr_format(addr, text, sizeof(text)) < 0)
        text[0] = '\0';
    if (!why)
        why = sys_errno ? strerror(sys_errno) : p2p_code_text(code);
    snprintf(message, sizeof(message), "cannot listen on %s: %s", text, why);
    p2p__host_error(err, code, sys_errno, message);
}

static struct listener *listener_new(p2p_host *host)
{
    struct listener *self = p2p__alloc(sizeof(*self));
    if (!self)
        return NULL;
    self->host = host;
    self->timer.fire = resume;
    work_init(&self->work, listener_run);
    list_init(&self->node);
    return self;
}

static void listener_close(struct listener *self)
{
    struct shard *shard = &self->host->shard;
    self->io->transport->ops->close(self->io);
    self->io = NULL;
    timer_set(shard, &self->timer, HEAP_NEVER);
    for (size_t i = 0; i < self->addr_count; i++)
        self->addrs[i].stale = true;
    p2p__work_mark(shard, &self->work);
}

/* What a port serves from now on. */
static int serve(struct listener *self, const p2p_multiaddr *addr)
{
    p2p_multiaddr bound;
    self->io->transport->ops->bound(self->io, addr, &bound);
    if (self->asked_count == ASKED_MAX)
        return P2P_ELIMIT;
    struct addr_copy *copy = addr_copy(&bound);
    if (!copy)
        return P2P_ENOMEM;
    self->asked[self->asked_count++] = copy;
    return expand(self, &bound);
}

static int listen_at(p2p_host *host, struct transport *transport, const p2p_multiaddr *addr,
                     int *sys_errno)
{
    struct listener *fresh = listener_new(host), *self = fresh;
    struct transport_listener *io = NULL;
    if (!fresh)
        return P2P_ENOMEM;
    int rc = transport->ops->listen(transport, addr, &io, sys_errno);
    if (rc == 0 && io->owner) {
        self = io->owner; /* a port that is listened on already */
        p2p__free(fresh);
        rc = serve(self, addr);
        p2p__work_mark(&host->shard, &self->work);
        return rc;
    }
    if (rc < 0) {
        p2p__free(fresh);
        return rc;
    }
    self->io = io;
    io->owner = self;
    io->wake = listener_wake;
    list_append(&host->listeners, &self->node);
    rc = serve(self, addr);
    if (rc < 0) {
        list_remove(&self->node);
        listener_close(self);
    }
    p2p__work_mark(&host->shard, &self->work);
    return rc;
}

static bool secure_ws(const p2p_multiaddr *addr)
{
    struct addr_facts facts;
    p2p__addr_facts(addr, &facts);
    return facts.kind == KIND_WSS;
}

int p2p_host_listen(p2p_host *host, const p2p_multiaddr *addr, p2p_error **err)
{
    p2p_multiaddr bare = *addr;
    p2p_peer_id peer;
    struct transport *transport = NULL;
    const char *why = NULL;
    int sys_errno = 0;
    if (err)
        *err = NULL;
    p2p__addr_take_peer(&bare, &peer);
    int rc = host->closing ? P2P_ECLOSED : p2p__transport_find(host, &bare, &transport, &why);
    if (rc == 0 && peer.len && !p2p_peer_id_equal(&peer, p2p_host_peer(host)))
        rc = P2P_EPEERID;
    if (rc == 0)
        why = NULL;
    if (rc == 0 && secure_ws(&bare) && !p2p__web_serves(host->shard.env.web)) {
        why = "the option wss_cert names no certificate";
        rc = P2P_ENOTSUP;
    }
    if (rc == 0)
        rc = listen_at(host, transport, &bare, &sys_errno);
    if (rc < 0) {
        listen_error(err, addr, rc, sys_errno, rc == P2P_ECLOSED || rc == P2P_EPEERID ? NULL : why);
        return rc;
    }
    p2p__host_changed(host);
    return 0;
}

void p2p__listen_close_all(p2p_host *host)
{
    for (struct list *node; (node = list_pop(&host->listeners));)
        listener_close(P2P__CONTAINER(node, struct listener, node));
}

int p2p_host_addr(const p2p_host *host, size_t index, p2p_multiaddr *out)
{
    const struct list *node = host->listeners.next;
    for (; node != &host->listeners; node = node->next) {
        const struct listener *self = P2P__CONTAINER(node, const struct listener, node);
        for (size_t i = 0; i < self->addr_count; i++) {
            if (self->addrs[i].stale || index-- > 0)
                continue;
            addr_load(self->addrs[i].addr, out);
            p2p__addr_append_peer(out, p2p_host_peer(host));
            return 0;
        }
    }
    return P2P_ENOENT;
}

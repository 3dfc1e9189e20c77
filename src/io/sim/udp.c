/* UDP: each datagram goes its own way, and may be lost, late, doubled, or overtaken. A machine may
 * sit behind a box that translates its ports, and forgets. */
#include "io/sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "io/udp.h"

enum {
    UNREAD_MAX = 256 * 1024,  /* as a socket's buffer; more is lost */
    SCRATCH_LEN = 256 * 1024, /* what one recv brings */
    DATAGRAM_MAX = 65507,     /* what IPv4 can carry */
    HEADERS_4 = 28,           /* IP and UDP, which the mtu counts */
    HEADERS_6 = 48,
    EPHEMERAL = SIM_EPHEMERAL_LAST - SIM_EPHEMERAL_FIRST + 1,
};

struct sim_udp {
    struct io_udp udp;
    struct sim_host *host;
    struct list in_host;
    struct map_node node;  /* in sim->sockets, by machine and outside port */
    uint16_t outside_port; /* what others see */
    bool shared;
    uint64_t order;                    /* of binding: the first gets what is for all */
    uint64_t wire_free_ns;             /* when what it sent is serialized */
    struct sim_datagram *first, *last; /* arrived, unread */
    uint32_t unread;
    struct io_addr report; /* of the last thing that went wrong */
    int report_errno;      /* 0: none */
};

struct sim_datagram {
    struct sim_event event;
    struct sim_datagram *next;
    struct list in_sim; /* while under way */
    struct sim_host *from_host;
    struct p2p_sim *sim;
    struct io_addr from, to;
    uint32_t len;
    uint8_t ecn;
    bool report; /* no datagram, but word from `from` that nobody is there, for `to` */
    uint8_t bytes[];
};

static struct sim_udp *udp_of(struct io_udp *udp)
{
    return P2P__CONTAINER(udp, struct sim_udp, udp);
}

static void wake(struct sim_udp *self)
{
    if (!self->host->detached && self->udp.wake)
        self->udp.wake(&self->udp);
}

/* Sockets */

static uint64_t port_hash(const struct sim_host *host, uint16_t port)
{
    uint32_t key[2] = {host->id, port};
    return p2p__hash(&host->sim->key, key, sizeof(key));
}

static bool same_ip(const struct io_addr *a, const struct io_addr *b)
{
    return memcmp(a->ip, b->ip, a->family == 4 ? 4 : 16) == 0;
}

/* Whose address overlaps with addr, its port being one that others see. The most particular one,
 * and of equals the first. */
static struct sim_udp *find(const struct sim_host *host, const struct io_addr *addr)
{
    struct sim_udp *found = NULL;
    struct map_node *node = p2p__map_first(&host->sim->sockets, port_hash(host, addr->port));
    for (; node; node = p2p__map_next(node)) {
        struct sim_udp *it = P2P__CONTAINER(node, struct sim_udp, node);
        const struct io_addr *local = &it->udp.local;
        if (it->host != host || it->outside_port != addr->port || local->family != addr->family)
            continue;
        bool any = p2p__io_addr_is_any(local);
        if (!any && !p2p__io_addr_is_any(addr) && !same_ip(local, addr))
            continue;
        bool found_any = found && p2p__io_addr_is_any(&found->udp.local);
        if (!found || (found_any && !any) || (found_any == any && it->order < found->order))
            found = it;
    }
    return found;
}

static bool pick_port(struct sim_host *host, struct io_addr *local)
{
    for (int i = 0; i < EPHEMERAL; i++) {
        local->port = p2p__sim_next_port(host);
        if (!find(host, local))
            return true;
    }
    return false;
}

static void put(struct sim_udp *self, uint16_t outside_port)
{
    self->outside_port = outside_port;
    p2p__map_put(&self->host->sim->sockets, &self->node, port_hash(self->host, outside_port));
}

void p2p_sim_rebind(p2p_io *io)
{
    assert(io->ops == &p2p__sim_io_ops);
    struct sim_host *host = sim_host_of(io);
    for (struct list *node = host->sockets.next; node != &host->sockets; node = node->next) {
        struct sim_udp *self = P2P__CONTAINER(node, struct sim_udp, in_host);
        struct io_addr fresh = self->udp.local;
        if (!pick_port(host, &fresh))
            continue;
        p2p__map_remove(&host->sim->sockets, &self->node);
        put(self, fresh.port);
    }
}

/* On the way */

static void datagram_free(struct sim_datagram *self)
{
    list_remove(&self->in_sim);
    p2p__sim_queue_release(&self->sim->queue, &self->event);
    p2p__free(self);
}

static struct sim_datagram *datagram_new(struct sim_host *from, uint32_t len)
{
    struct p2p_sim *sim = from->sim;
    struct sim_datagram *self = p2p__realloc(NULL, sizeof(*self) + len);
    if (!self)
        return NULL;
    *self = (struct sim_datagram){.from_host = from, .sim = sim, .len = len};
    self->event.kind = SIM_EVENT_DATAGRAM;
    if (p2p__sim_queue_reserve(&sim->queue) < 0) {
        p2p__free(self);
        return NULL;
    }
    list_append(&sim->datagrams, &self->in_sim);
    return self;
}

static bool one_in_a_million(struct p2p_sim *sim, uint32_t times)
{
    return times && sim_rng_below(&sim->net, 1000000) < times;
}

/* Whoever is overtaken is late by up to another latency, at least by what sends a few more. */
static uint64_t latency(struct p2p_sim *sim, const struct sim_path *path)
{
    uint64_t us = path->latency_us;
    if (path->jitter_us)
        us += sim_rng_below(&sim->net, path->jitter_us + 1);
    if (one_in_a_million(sim, path->reorder_ppm))
        us += 1 + sim_rng_below(&sim->net, path->latency_us + 1000);
    return us;
}

/* When it is on the wire; false: the queue before it is full. */
static bool serialize(struct sim_udp *self, const struct sim_path *path, uint32_t len,
                      uint64_t *at_us)
{
    uint64_t now_ns = self->host->sim->now_us * 1000;
    if (self->wire_free_ns < now_ns)
        self->wire_free_ns = now_ns;
    *at_us = (self->wire_free_ns + 999) / 1000;
    if (path->rate == 0)
        return true;
    uint64_t queued = (self->wire_free_ns - now_ns) * path->rate / 1000000000;
    if (path->queue_bytes && queued + len > path->queue_bytes)
        return false;
    self->wire_free_ns += (uint64_t)len * 1000000000 / path->rate;
    *at_us = (self->wire_free_ns + 999) / 1000;
    return true;
}

static void launch(struct sim_udp *self, const struct io_train *car, const struct io_addr *from,
                   const struct sim_path *path, uint64_t at_us)
{
    struct p2p_sim *sim = self->host->sim;
    struct sim_datagram *it = datagram_new(self->host, car->len);
    if (!it)
        return;
    it->from = *from;
    it->to = car->remote;
    it->ecn = car->ecn;
    if (car->len)
        memcpy(it->bytes, car->base, car->len);
    p2p__sim_queue_set(&sim->queue, &it->event, at_us + latency(sim, path));
}

static int send_car(struct sim_udp *self, const struct io_train *car, const struct io_addr *from)
{
    struct sim_host *host = self->host;
    struct p2p_sim *sim = host->sim;
    struct sim_host *far =
        p2p__io_addr_is_loopback(&car->remote) ? host : p2p__sim_host_at(sim, &car->remote);
    const struct sim_path *path = far ? p2p__sim_path_between(sim, host, far) : &sim->any_path;
    uint32_t headers = car->remote.family == 4 ? HEADERS_4 : HEADERS_6;
    uint64_t at_us;
    if (car->len > DATAGRAM_MAX)
        return EMSGSIZE;
    if (!serialize(self, path, car->len + headers, &at_us))
        return 0;
    if ((path->mtu && car->len + headers > path->mtu) || one_in_a_million(sim, path->loss_ppm))
        return 0;
    launch(self, car, from, path, at_us);
    if (one_in_a_million(sim, path->duplicate_ppm))
        launch(self, car, from, path, at_us);
    return 0;
}

/* From where a train leaves: an address of this machine, or an error. */
static int departure(struct sim_udp *self, const struct io_train *train, struct io_addr *out)
{
    const struct io_addr *local = &self->udp.local;
    *out = p2p__io_addr_is_any(local) ? train->local : *local;
    out->family = local->family;
    if (train->remote.family != local->family)
        return EAFNOSUPPORT;
    if (p2p__io_addr_is_any(out) && !p2p__sim_pick_ip(self->host, &train->remote, out))
        return ENETUNREACH;
    if (!p2p__io_addr_is_loopback(out) && p2p__sim_host_at(self->host->sim, out) != self->host)
        return ENETUNREACH;
    out->port = self->outside_port;
    return 0;
}

static void report(struct sim_udp *self, const struct io_addr *remote, int sys_errno)
{
    self->report = *remote;
    self->report_errno = sys_errno;
    self->udp.troubled = true;
}

static size_t send_trains(struct io_udp *udp, const struct io_train *in, size_t count)
{
    struct sim_udp *self = udp_of(udp);
    for (size_t i = 0; i < count; i++) {
        struct io_train car = in[i];
        struct io_addr from;
        int code = departure(self, &in[i], &from);
        uint32_t at = 0;
        do {
            uint32_t left = in[i].len - at;
            car.base = in[i].base + at;
            car.len = left < in[i].segment ? left : in[i].segment;
            if (code == 0)
                code = send_car(self, &car, &from);
            at += car.len;
        } while (at < in[i].len && car.len);
        if (code)
            report(self, &in[i].remote, code);
    }
    return count;
}

/* Arriving */

/* Nobody is there, and the machine says so. */
static void answer_nobody(struct sim_host *host, const struct sim_datagram *to_whom)
{
    struct p2p_sim *sim = host->sim;
    struct sim_datagram *it = datagram_new(host, 0);
    if (!it)
        return;
    it->report = true;
    it->from = to_whom->to;
    it->to = to_whom->from;
    const struct sim_path *path = p2p__sim_path_between(sim, host, to_whom->from_host);
    p2p__sim_queue_set(&sim->queue, &it->event, sim->now_us + latency(sim, path));
}

static void arrive(struct sim_udp *self, struct sim_datagram *it)
{
    if (it->report) {
        report(self, &it->from, ECONNREFUSED);
        wake(self);
        datagram_free(it);
        return;
    }
    if (self->unread + it->len > UNREAD_MAX) {
        datagram_free(it);
        return;
    }
    list_remove(&it->in_sim);
    if (self->last)
        self->last->next = it;
    else
        self->first = it;
    self->last = it;
    self->unread += it->len;
    if (self->udp.readable)
        return;
    self->udp.readable = true;
    wake(self);
}

void p2p__sim_datagram_fire(struct sim_event *event)
{
    struct sim_datagram *self = P2P__CONTAINER(event, struct sim_datagram, event);
    struct p2p_sim *sim = self->sim;
    struct sim_host *from = self->from_host;
    struct sim_host *host =
        p2p__io_addr_is_loopback(&self->to) ? from : p2p__sim_host_at(sim, &self->to);
    p2p__sim_hash_add(sim, (uint64_t)self->to.port << 32 | self->len);
    if (!host || p2p__sim_hosts_blocked(sim, from, host)) {
        datagram_free(self);
        return;
    }
    struct sim_udp *socket = host->refuse && !self->report ? NULL : find(host, &self->to);
    if (socket) {
        arrive(socket, self);
        return;
    }
    if (!self->report)
        answer_nobody(host, self);
    datagram_free(self);
}

/* Reading */

static bool fits_behind(const struct io_train *train, const struct sim_datagram *it)
{
    return train->len && train->len % train->segment == 0 && it->len && it->len <= train->segment &&
           it->ecn == train->ecn && train->len + it->len <= IO_TRAIN_BYTES &&
           train->len / train->segment < IO_TRAIN_CARS &&
           p2p__io_addr_equal(&it->from, &train->remote) && same_ip(&it->to, &train->local);
}

static struct sim_datagram *pop(struct sim_udp *self)
{
    struct sim_datagram *it = self->first;
    self->first = it->next;
    if (!self->first)
        self->last = NULL;
    self->unread -= it->len;
    return it;
}

/* Those that came in a row from one sender make one train, as the system does it. */
static size_t recv_trains(struct io_udp *udp, struct io_train *out, size_t cap)
{
    struct sim_udp *self = udp_of(udp);
    struct p2p_sim *sim = self->host->sim;
    size_t count = 0, used = 0;
    if (!sim->trains)
        sim->trains = p2p__realloc(NULL, SCRATCH_LEN);
    while (sim->trains && self->first && self->first->len <= SCRATCH_LEN - used) {
        struct sim_datagram *it = self->first;
        struct io_train *train = count ? &out[count - 1] : NULL;
        bool behind = train && fits_behind(train, it);
        if (!behind && count == cap)
            break;
        if (!behind) {
            train = &out[count++];
            *train = (struct io_train){.base = sim->trains + used,
                                       .segment = (uint16_t)it->len,
                                       .ecn = it->ecn,
                                       .remote = it->from,
                                       .local = self->udp.local};
            memcpy(train->local.ip, it->to.ip, sizeof(train->local.ip));
        }
        memcpy(sim->trains + used, it->bytes, it->len);
        used += it->len;
        train->len += it->len;
        pop(self);
        datagram_free(it);
    }
    self->udp.readable = count > 0 && self->first;
    return count;
}

static bool next_error(struct io_udp *udp, struct io_addr *remote, int *sys_errno)
{
    struct sim_udp *self = udp_of(udp);
    *remote = self->report;
    *sys_errno = self->report_errno;
    self->report_errno = 0;
    self->udp.troubled = false;
    return *sys_errno != 0;
}

static bool source(struct io_udp *udp, const struct io_addr *remote, struct io_addr *out)
{
    struct sim_udp *self = udp_of(udp);
    struct io_train train = {.remote = *remote, .local = self->udp.local};
    int code = departure(self, &train, out);
    out->port = self->udp.local.port;
    return code == 0;
}

/* Opening and closing */

void p2p__sim_udp_free(struct io_udp *udp)
{
    struct sim_udp *self = udp_of(udp);
    while (self->first)
        datagram_free(pop(self));
    list_remove(&self->in_host);
    p2p__map_remove(&self->host->sim->sockets, &self->node);
    p2p__free(self);
}

static const struct io_udp_ops ops = {
    .recv = recv_trains,
    .send = send_trains,
    .error = next_error,
    .source = source,
    .close = p2p__sim_udp_free,
};

int p2p__sim_udp(struct p2p_io *io, const struct io_addr *at, unsigned flags, struct io_udp **out,
                 int *sys_errno)
{
    struct sim_host *host = sim_host_of(io);
    struct io_addr local = *at;
    *sys_errno = 0;
    bool owned = p2p__io_addr_is_any(at) || p2p__io_addr_is_loopback(at) ||
                 p2p__sim_host_at(host->sim, at) == host;
    bool shared = flags & IO_UDP_SHARED;
    if (!owned)
        *sys_errno = EADDRNOTAVAIL;
    else if (at->port == 0 && !pick_port(host, &local))
        *sys_errno = EADDRINUSE;
    struct sim_udp *other = *sys_errno ? NULL : find(host, &local);
    if (other && !(shared && other->shared))
        *sys_errno = EADDRINUSE;
    if (*sys_errno)
        return P2P_ELISTEN;
    struct sim_udp *self = p2p__alloc(sizeof(*self));
    if (!self) {
        *sys_errno = ENOMEM;
        return P2P_ELIMIT;
    }
    self->udp.ops = &ops;
    self->udp.local = local;
    self->udp.writable = true;
    self->host = host;
    self->shared = shared;
    self->order = ++host->sim->sockets_bound;
    list_append(&host->sockets, &self->in_host);
    put(self, local.port);
    *out = &self->udp;
    return 0;
}

void p2p__sim_udp_fini(struct sim_host *host)
{
    while (!list_empty(&host->sockets))
        p2p__sim_udp_free(&P2P__CONTAINER(host->sockets.next, struct sim_udp, in_host)->udp);
}

/* What the machine sent goes on its way without it, but nobody hears of its answers. */
void p2p__sim_datagrams_from(struct sim_host *host)
{
    struct list *all = &host->sim->datagrams;
    for (struct list *node = all->next, *next; node != all; node = next) {
        next = node->next;
        struct sim_datagram *it = P2P__CONTAINER(node, struct sim_datagram, in_sim);
        if (it->from_host == host)
            datagram_free(it);
    }
}

void p2p__sim_datagrams_fini(struct p2p_sim *sim)
{
    while (!list_empty(&sim->datagrams))
        datagram_free(P2P__CONTAINER(sim->datagrams.next, struct sim_datagram, in_sim));
}

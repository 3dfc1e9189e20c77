/* A socket and whoever is behind it: each datagram goes to its session at once, by the name that it
 * is sent to. */
#include "transport/quic/quic.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"

enum {
    /* More than this at a time is piled up for readers that are told only after it. */
    RECV_BYTES = 64 * 1024,
    FEW_BYTES = 16 * 1024,
    ERRORS_PER_PASS = 16,
};

/* ---- names ---- */

static uint64_t cid_hash(const struct quic_endpoint *self, const uint8_t *cid, size_t len)
{
    return p2p__hash(&self->shard->hash_key, cid, len);
}

struct quic_cid *p2p__quic_cid_find(const struct quic_endpoint *self, const uint8_t *cid,
                                    size_t len)
{
    struct map_node *node = p2p__map_first(&self->cids, cid_hash(self, cid, len));
    for (; node; node = p2p__map_next(node)) {
        struct quic_cid *it = P2P__CONTAINER(node, struct quic_cid, node);
        if (it->len == len && memcmp(it->bytes, cid, len) == 0)
            return it;
    }
    return NULL;
}

bool p2p__quic_cid_add(struct quic_endpoint *self, struct quic_session *session, const uint8_t *cid,
                       size_t len)
{
    struct quic_cid *it = len > NGTCP2_MAX_CIDLEN || p2p__quic_cid_find(self, cid, len)
                              ? NULL
                              : p2p__alloc(sizeof(*it));
    if (!it)
        return false;
    it->session = session;
    it->len = (uint8_t)len;
    memcpy(it->bytes, cid, len);
    it->next = session->cids;
    session->cids = it;
    p2p__map_put(&self->cids, &it->node, cid_hash(self, cid, len));
    return true;
}

void p2p__quic_cid_remove(struct quic_endpoint *self, struct quic_session *session,
                          const uint8_t *cid, size_t len)
{
    for (struct quic_cid **at = &session->cids; *at; at = &(*at)->next) {
        struct quic_cid *it = *at;
        if (it->len != len || memcmp(it->bytes, cid, len) != 0)
            continue;
        *at = it->next;
        p2p__map_remove(&self->cids, &it->node);
        p2p__free(it);
        return;
    }
}

void p2p__quic_cids_free(struct quic_endpoint *self, struct quic_cid *first)
{
    while (first) {
        struct quic_cid *next = first->next;
        p2p__map_remove(&self->cids, &first->node);
        p2p__free(first);
        first = next;
    }
}

/* ---- out ---- */

bool p2p__quic_endpoint_send(struct quic_endpoint *self, const struct io_train *train)
{
    if (quic_endpoint_blocked(self))
        return true; /* lost */
    if (self->udp->ops->send(self->udp, train, 1) == 1)
        return false;
    if (!self->stuck)
        self->stuck = p2p__realloc(NULL, IO_TRAIN_BYTES);
    if (!self->stuck)
        return false;
    memcpy(self->stuck, train->base, train->len);
    self->stuck_train = *train;
    self->stuck_train.base = self->stuck;
    return true;
}

/* The socket is writable: first what was refused, then whoever waited for it. */
static void unblock(struct quic_endpoint *self)
{
    if (!quic_endpoint_blocked(self) || !self->udp->writable ||
        self->udp->ops->send(self->udp, &self->stuck_train, 1) == 0)
        return;
    self->stuck_train.len = 0;
    for (struct list *node; (node = list_pop(&self->blocked));)
        p2p__quic_session_wake(P2P__CONTAINER(node, struct quic_session, queued));
}

/* ---- in ---- */

static void route(struct quic_endpoint *self, const struct quic_in *in)
{
    ngtcp2_version_cid names;
    if (in->len == 0)
        return;
    int rc = ngtcp2_pkt_decode_version_cid(&names, in->bytes, in->len, QUIC_CID_LEN);
    bool other = rc == NGTCP2_ERR_VERSION_NEGOTIATION ||
                 (rc == 0 && names.version && names.version != NGTCP2_PROTO_VER_V1);
    if (rc != 0 && !other)
        return;
    if (other) {
        p2p__quic_negotiate_version(self, in, &names);
        return;
    }
    struct quic_cid *cid = p2p__quic_cid_find(self, names.dcid, names.dcidlen);
    if (cid && cid->session)
        p2p__quic_session_recv(cid->session, in);
    else if (cid)
        p2p__quic_grave_visit(self, cid->grave, in);
    else
        p2p__quic_stranger(self, in, &names);
}

static void receive(struct quic_endpoint *self)
{
    struct io_train trains[IO_TRAINS_MAX];
    size_t cap = self->at_a_time + 1, bytes = 0;
    size_t count = self->udp->ops->recv(self->udp, trains, cap);
    for (size_t i = 0; i < count; i++) {
        const struct io_train *train = &trains[i];
        bytes += train->len;
        for (uint32_t at = 0; at < train->len; at += train->segment) {
            uint32_t left = train->len - at;
            const struct quic_in in = {.bytes = train->base + at,
                                       .len = left < train->segment ? left : train->segment,
                                       .ecn = train->ecn,
                                       .local = &train->local,
                                       .remote = &train->remote};
            route(self, &in);
        }
    }
    self->shard->pump_bytes += bytes;
    if (bytes > RECV_BYTES || count < cap)
        self->at_a_time = 0;
    else if (bytes < FEW_BYTES && cap < IO_TRAINS_MAX)
        self->at_a_time = self->at_a_time * 2 + 1;
}

static void tell_errors(struct quic_endpoint *self)
{
    struct io_addr remote;
    int sys_errno;
    for (int i = 0; i < ERRORS_PER_PASS; i++) {
        if (!self->udp->ops->error(self->udp, &remote, &sys_errno))
            return;
        if (sys_errno == EMSGSIZE)
            continue; /* a probe of the path's length */
        for (struct list *node = self->sessions.next; node != &self->sessions; node = node->next) {
            struct quic_session *session = P2P__CONTAINER(node, struct quic_session, node);
            if (p2p__io_addr_equal(&session->remote, &remote))
                p2p__quic_session_unreachable(session, sys_errno);
        }
    }
    p2p__work_mark(self->shard, &self->work);
}

static void endpoint_run(struct work *work)
{
    struct quic_endpoint *self = P2P__CONTAINER(work, struct quic_endpoint, work);
    if (self->udp->troubled)
        tell_errors(self);
    unblock(self);
    p2p__quic_graves_tend(self, self->shard->now_us);
    if (self->udp->readable)
        receive(self);
    if (self->udp->readable)
        p2p__work_mark(self->shard, &self->work);
    p2p__quic_endpoint_release(self);
}

static void wake(struct io_udp *udp)
{
    struct quic_endpoint *self = udp->owner;
    p2p__work_mark(self->shard, &self->work);
}

static void timer_fire(struct timer *timer)
{
    struct quic_endpoint *self = P2P__CONTAINER(timer, struct quic_endpoint, timer);
    p2p__work_mark(self->shard, &self->work);
}

/* ---- its life ---- */

int p2p__quic_endpoint_new(struct quic *quic, const struct io_addr *at, struct quic_endpoint **out,
                           int *sys_errno)
{
    struct shard *shard = quic->base.shard;
    struct quic_endpoint *self = p2p__alloc(sizeof(*self));
    if (!self)
        return P2P_ENOMEM;
    int rc = shard->io->ops->udp(shard->io, at, 0, &self->udp, sys_errno);
    if (rc < 0) {
        p2p__free(self);
        return rc;
    }
    self->listener.transport = &quic->base;
    self->quic = quic;
    self->shard = shard;
    self->udp->owner = self;
    self->udp->wake = wake;
    self->timer.fire = timer_fire;
    work_init(&self->work, endpoint_run);
    list_init(&self->sessions);
    list_init(&self->accepts);
    list_init(&self->blocked);
    list_init(&self->graves);
    list_init(&self->strangers);
    list_append(&quic->endpoints, &self->node);
    *out = self;
    return 0;
}

static void bury(struct work *work)
{
    p2p__free(P2P__CONTAINER(work, struct quic_endpoint, work));
}

static void endpoint_fini(struct quic_endpoint *self)
{
    assert(list_empty(&self->sessions));
    p2p__quic_graves_fini(self);
    timer_set(self->shard, &self->timer, HEAP_NEVER);
    list_remove(&self->node);
    self->udp->ops->close(self->udp);
    p2p__map_fini(&self->cids);
    p2p__free(self->stuck);
}

void p2p__quic_endpoint_free(struct quic_endpoint *self)
{
    endpoint_fini(self);
    list_remove(&self->work.node);
    p2p__free(self);
}

/* A socket for dialing goes with its last connection, once its graves have been tended. */
void p2p__quic_endpoint_release(struct quic_endpoint *self)
{
    if (self->listening || !list_empty(&self->sessions) || !list_empty(&self->graves))
        return;
    endpoint_fini(self);
    p2p__work_bury(self->shard, &self->work, bury);
}

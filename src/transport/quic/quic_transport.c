/* The table that the host sees: endpoints are shared by whoever listens and dials on them. */
#include "transport/quic/quic.h"

#include <assert.h>
#include <string.h>

#include <p2p/error.h>

#include "base/mem.h"

static struct quic *quic_of_transport(const struct transport *base)
{
    return P2P__CONTAINER(base, struct quic, base);
}

static struct quic_endpoint *endpoint_of(const struct transport_listener *base)
{
    return P2P__CONTAINER(base, struct quic_endpoint, listener);
}

static void init(struct transport *base)
{
    list_init(&quic_of_transport(base)->endpoints);
    p2p__quic_move_init(quic_of_transport(base));
}

static int claim(const struct transport *base, const p2p_multiaddr *addr, const char **why)
{
    struct io_addr at;
    int rc = p2p__quic_parse(addr, base->shard->io, &at, why);
    if (rc == 0 && base->shard->psk) { /* specs, pnet: it lies under everything, and here cannot */
        *why = "QUIC cannot carry a private network";
        rc = P2P_ENOTSUP;
    }
    return rc;
}

/* A peer that had a connection to us before we started again recognizes what we say of it: the
 * secret comes from the identity, if that one is here to be asked. */
static void make_secrets(struct quic *self)
{
    static const char label[] = "libp2p-c quic stateless reset";
    struct shard *shard = self->base.shard;
    uint8_t key[4096];
    int len = p2p_key_encode(shard->key, key, sizeof(key));
    const struct p2p__const_iov text = {(const uint8_t *)label, sizeof(label) - 1};
    if (self->secrets)
        return;
    self->secrets = true;
    shard->io->ops->random(shard->io, self->token_secret, QUIC_SECRET_LEN);
    shard->io->ops->random(shard->io, self->reset_secret, QUIC_SECRET_LEN);
    if (len > 0)
        p2p__crypto_real.hmac_sha256(key, (size_t)len, &text, 1, self->reset_secret);
    p2p__wipe(key, sizeof(key));
}

/* ---- dialing ---- */

/* A socket that datagrams to remote can leave from: a listening one, so that the address that
 * others see is one they can dial; or that of other dials. */
static struct quic_endpoint *find_for(struct quic *self, const struct io_addr *remote, bool fresh)
{
    bool loopback = p2p__io_addr_is_loopback(remote);
    struct quic_endpoint *found = NULL;
    for (struct list *node = self->endpoints.next; node != &self->endpoints; node = node->next) {
        struct quic_endpoint *it = P2P__CONTAINER(node, struct quic_endpoint, node);
        const struct io_addr *local = &it->udp->local;
        bool any = p2p__io_addr_is_any(local);
        if (local->family != remote->family || (fresh && it->listening))
            continue;
        if (any || p2p__io_addr_is_loopback(local) == loopback)
            found = it->listening || !found ? it : found;
        if (found && found->listening)
            break;
    }
    return found;
}

static int dial(struct transport *base, const p2p_multiaddr *addr, unsigned flags,
                struct passage *out, int *sys_errno)
{
    struct quic *self = quic_of_transport(base);
    struct io_addr remote, local;
    struct quic_session *session = NULL;
    const char *why;
    *sys_errno = 0;
    int rc = p2p__quic_parse(addr, base->shard->io, &remote, &why);
    if (rc < 0)
        return rc;
    make_secrets(self);
    struct quic_endpoint *endpoint = find_for(self, &remote, flags & TRANSPORT_FRESH_PORT);
    const struct io_addr any = {.family = remote.family};
    if (!endpoint && (rc = p2p__quic_endpoint_new(self, &any, &endpoint, sys_errno)) < 0)
        return rc == P2P_ELISTEN ? P2P_ECONN : rc;
    (void)base->shard->io->ops->watch_interfaces(base->shard->io);
    if (!endpoint->udp->ops->source(endpoint->udp, &remote, &local))
        rc = P2P_ECONN;
    if (rc == 0)
        rc = p2p__quic_session_dial(endpoint, &local, &remote, &session);
    if (rc < 0) {
        p2p__quic_endpoint_release(endpoint);
        return rc;
    }
    out->session = &session->base;
    out->remote = remote;
    return 0;
}

/* ---- listening ---- */

static int quic_listen(struct transport *base, const p2p_multiaddr *addr,
                       struct transport_listener **out, int *sys_errno)
{
    struct quic *self = quic_of_transport(base);
    struct io_addr at;
    struct quic_endpoint *endpoint = NULL;
    const char *why;
    *sys_errno = 0;
    int rc = p2p__quic_parse(addr, base->shard->io, &at, &why);
    if (rc == 0)
        rc = p2p__quic_endpoint_new(self, &at, &endpoint, sys_errno);
    if (rc < 0)
        return rc;
    assert(endpoint);
    make_secrets(self);
    endpoint->listening = true;
    *out = &endpoint->listener;
    return 0;
}

static void bound(const struct transport_listener *base, const p2p_multiaddr *addr,
                  p2p_multiaddr *out)
{
    (void)addr; /* it has no other form */
    p2p__quic_format(&endpoint_of(base)->udp->local, out);
}

static struct quic_session *take_first(struct quic_endpoint *self)
{
    struct list *node = list_pop(&self->accepts);
    if (!node)
        return NULL;
    struct quic_session *session = P2P__CONTAINER(node, struct quic_session, queued);
    session->accepting = false;
    self->accept_count--;
    return session;
}

static int quic_accept(struct transport_listener *base, struct passage *out, int *sys_errno)
{
    struct quic_session *session = take_first(endpoint_of(base));
    *sys_errno = 0;
    base->acceptable = session != NULL;
    if (!session)
        return P2P_EAGAIN;
    out->session = &session->base;
    out->remote = session->remote;
    return 0;
}

static void resume(struct transport_listener *base)
{
    (void)base; /* accepting takes no descriptor */
}

/* Its connections stay, and dials may go on from it. */
static void close(struct transport_listener *base)
{
    struct quic_endpoint *self = endpoint_of(base);
    struct shard *shard = self->shard;
    struct quic_session *session;
    self->listening = false;
    bool none = list_empty(&self->accepts);
    while ((session = take_first(self)))
        p2p__session_drop(&session->base, 0, shard_now_us(shard)); /* the last releases it */
    if (none)
        p2p__quic_endpoint_release(self);
}

/* ---- the rest ---- */

static void addr_of(const struct transport *base, const struct p2p_conn *conn, bool remote,
                    p2p_multiaddr *out)
{
    const struct quic_session *session = quic_of(conn->muxer);
    (void)base;
    p2p__quic_format(remote ? &session->remote : &session->local, out);
}

static void interfaces_changed(struct transport *base)
{
    p2p__quic_interfaces_changed(quic_of_transport(base));
}

static void fini(struct transport *base)
{
    struct quic *self = quic_of_transport(base);
    p2p__quic_move_fini(self);
    while (!list_empty(&self->endpoints))
        p2p__quic_endpoint_free(P2P__CONTAINER(self->endpoints.next, struct quic_endpoint, node));
    p2p__quic_credentials_free(self->credentials);
    p2p__quic_ciphers_free(self->ciphers);
    p2p__free(self->train);
    p2p__wipe(self->token_secret, QUIC_SECRET_LEN);
    p2p__wipe(self->reset_secret, QUIC_SECRET_LEN);
}

const struct transport_ops p2p__transport_quic = {
    .name = "quic",
    .size = sizeof(struct quic),
    .init = init,
    .claim = claim,
    .dial = dial,
    .listen = quic_listen,
    .bound = bound,
    .accept = quic_accept,
    .resume = resume,
    .close = close,
    .addr = addr_of,
    .interfaces_changed = interfaces_changed,
    .fini = fini,
};

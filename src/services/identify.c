/* Asking peers who they are, answering the same, and what is known of those connected. */
#include "services/identify.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "codec/addr_facts.h"
#include "services/services.h"

static const char SERVICE[] = P2P_IDENTIFY_PROTOCOL;

/* ---- who is connected ---- */

struct identify *p2p__identify_of(const p2p_host *host)
{
    return p2p__host_attached(host, SERVICE);
}

static uint64_t hash(const struct identify *self, const p2p_peer_id *peer)
{
    return p2p__hash(&self->hash_key, peer->bytes, peer->len);
}

struct known *p2p__identify_known(const struct identify *self, const p2p_peer_id *peer)
{
    struct map_node *node = p2p__map_first(&self->by_peer, hash(self, peer));
    for (; node; node = p2p__map_next(node)) {
        struct known *known = P2P__CONTAINER(node, struct known, node);
        if (p2p_peer_id_equal(&known->peer, peer))
            return known;
    }
    return NULL;
}

static struct known *known_new(struct identify *self, const p2p_peer_id *peer)
{
    struct known *known = p2p__alloc(sizeof(*known));
    if (!known)
        return NULL;
    known->service = self;
    known->peer = *peer;
    list_append(&self->knowns, &known->all);
    p2p__map_put(&self->by_peer, &known->node, hash(self, peer));
    return known;
}

static void known_free(struct known *known)
{
    list_remove(&known->all);
    p2p__map_remove(&known->service->by_peer, &known->node);
    p2p__free(known);
}

const p2p_identity *p2p_identify_peer(const p2p_host *host, const p2p_peer_id *peer)
{
    const struct peer *found = p2p__peer_find(host, peer);
    return found ? found->identity : NULL;
}

static void learned(struct known *known, const p2p_identity *identity)
{
    struct identify *self = known->service;
    known->identified = true;
    p2p__identify_push_to(known);
    if (self->events && self->events->on_identified)
        self->events->on_identified(self->host, identity, self->events_user);
}

/* ---- what peers call us ---- */

/* How many are believed. *hash: of all of them, so that a change shows however it came about. */
static size_t believed_ones(struct identify *self, uint64_t *hash)
{
    p2p_multiaddr local, seen;
    unsigned groups;
    bool believed;
    size_t count = 0;
    *hash = 0;
    for (size_t i = 0; p2p__observed_at(&self->observed, i, &local, &seen, &groups, &believed);
         i++) {
        if (!believed)
            continue;
        *hash += p2p__hash(&self->hash_key, seen.bytes, seen.len);
        count++;
    }
    return count;
}

static void observed_changed(struct identify *self, uint64_t before)
{
    uint64_t now;
    size_t count = believed_ones(self, &now);
    if (now == before)
        return;
    self->version++;
    p2p__identify_own_reset(self);
    p2p__identify_push_soon(self);
    if (self->events && self->events->size > offsetof(p2p_identify_events, on_observed) &&
        self->events->on_observed)
        self->events->on_observed(self->host, count, self->events_user);
}

static void expire(void *user, const p2p_error *why)
{
    struct identify *self = user;
    uint64_t now_us = p2p_host_now_us(self->host), before;
    self->observed_timer = NULL;
    if (why)
        return;
    (void)believed_ones(self, &before);
    uint64_t next_us = p2p__observed_expire(&self->observed, now_us);
    if (next_us != HEAP_NEVER)
        self->observed_timer =
            p2p_host_after(self->host, (int)((next_us - now_us) / 1000 + 1), expire, self);
    observed_changed(self, before);
}

static bool is_listening(const p2p_host *host, const p2p_multiaddr *local)
{
    p2p_multiaddr addr;
    p2p_peer_id own;
    for (size_t i = 0; p2p_host_addr(host, i, &addr) == 0; i++) {
        (void)p2p__addr_take_peer(&addr, &own);
        if (p2p__addr_equal(&addr, local))
            return true;
    }
    return false;
}

/* Only of connections at a listening port, accepted there or dialed from it: the port of any other
 * leads nowhere. */
static void note_observed(struct identify *self, const p2p_conn *conn, const p2p_identity *identity)
{
    p2p_multiaddr local, remote, seen;
    p2p_peer_id named;
    const p2p_identity_addr *told = &identity->observed_addr;
    if (!told->len || p2p_multiaddr_decode(told->bytes, told->len, &seen) < 0)
        return;
    (void)p2p__addr_take_peer(&seen, &named); /* js says it with our id */
    p2p_conn_local_addr(conn, &local);
    p2p_conn_remote_addr(conn, &remote);
    if (!is_listening(self->host, &local))
        return;
    uint64_t before;
    (void)believed_ones(self, &before);
    if (p2p__observed_note(&self->observed, p2p_conn_id(conn), &local, &remote, &seen))
        observed_changed(self, before);
}

int p2p_identify_observed(const p2p_host *host, size_t index, p2p_observed *out)
{
    struct identify *self = p2p__identify_of(host);
    p2p_observed found = {.size = out->size};
    bool believed;
    if (!self || !p2p__observed_at(&self->observed, index, &found.local, &found.addr,
                                   &found.networks, &believed))
        return P2P_ENOENT;
    found.believed = believed;
    memcpy(out, &found, out->size < sizeof(found) ? out->size : sizeof(found));
    return 0;
}

static p2p_identity *read_identity(p2p_stream *stream, const p2p_identity *before, int *code)
{
    size_t len;
    struct identity_parts msg;
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    const p2p_peer_id *peer = p2p_conn_peer(p2p_stream_conn(stream));
    *code = p2p__identify_decode(bytes, len, peer, &msg);
    if (*code < 0)
        return NULL;
    p2p_identity *identity = p2p__identity_merge(before, &msg, peer);
    *code = identity ? 0 : P2P_ENOMEM;
    return identity;
}

int p2p__identify_receive(p2p_stream *stream, const p2p_identity **out)
{
    int code;
    struct identify *self = p2p__identify_of(p2p_stream_host(stream));
    struct known *known =
        self ? p2p__identify_known(self, p2p_conn_peer(p2p_stream_conn(stream))) : NULL;
    *out = NULL;
    if (!known)
        return P2P_ENOENT;
    p2p_identity *identity =
        read_identity(stream, p2p_identify_peer(self->host, &known->peer), &code);
    if (!identity)
        return code;
    *out = p2p__peer_said(self->host, identity);
    if (!*out)
        return P2P_ECLOSED;
    note_observed(self, p2p_stream_conn(stream), identity);
    learned(known, identity);
    return 0;
}

/* ---- asking ---- */

struct ask {
    p2p_identify_cb done; /* NULL: we ask for ourselves */
    void *user;
    uint64_t deadline_us; /* 0: from the open stream on */
};

static void answer(struct ask *self, const p2p_identity *identity, const p2p_error *why)
{
    p2p_identify_cb done = self->done;
    self->done = NULL;
    if (done)
        done(self->user, identity, why);
}

static void ask_on_open(p2p_stream *stream, void *user)
{
    const struct ask *self = user;
    uint64_t now_us = p2p_host_now_us(p2p_stream_host(stream));
    uint64_t left_ms = IDENTIFY_TIMEOUT_MS;
    if (self->deadline_us)
        left_ms = self->deadline_us > now_us ? (self->deadline_us - now_us) / 1000 : 0;
    p2p_stream_set_timeout(stream, left_ms ? (int)left_ms : 1);
}

static void ask_failed(p2p_stream *stream, struct ask *self, int code)
{
    const p2p_error why = service_error(
        code, code == P2P_ETOOBIG      ? "the remote's identify message is longer than the limit"
              : code == P2P_EPEERID    ? "the remote's identify message is that of another peer"
              : code == P2P_ETRUNCATED ? "the remote's identify message is cut short"
              : code == P2P_EPROTO     ? "the remote's identify message is malformed"
                                       : NULL);
    answer(self, NULL, &why);
    p2p_stream_reset(stream, SERVICE_RESET);
}

static void ask_on_read(p2p_stream *stream, void *user)
{
    size_t len;
    const uint8_t *bytes = p2p_stream_peek(stream, &len);
    int rc = p2p__identify_check(bytes, len, false);
    if (rc < 0)
        ask_failed(stream, user, rc);
}

static void ask_on_eof(p2p_stream *stream, void *user)
{
    const p2p_identity *identity;
    p2p_identity *own = NULL;
    int rc = p2p__identify_receive(stream, &identity);
    if (rc == P2P_ENOENT)
        identity = own = read_identity(stream, NULL, &rc);
    if (identity) {
        answer(user, identity, NULL);
        p2p_stream_close(stream);
    } else {
        ask_failed(stream, user, rc);
    }
    p2p__free(own);
}

static void ask_on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    const p2p_error ended = service_error(P2P_ECLOSED, "the stream was closed");
    (void)stream;
    answer(user, NULL, why ? why : &ended);
    p2p__free(user);
}

static const p2p_stream_events asking = {
    .size = sizeof(asking),
    .on_open = ask_on_open,
    .on_read = ask_on_read,
    .on_eof = ask_on_eof,
    .on_close = ask_on_close,
};

static const char *const ask_protocol = P2P_IDENTIFY_PROTOCOL;

int p2p_identify_request(p2p_host *host, const char *target, const p2p_dial_opts *opts,
                         p2p_identify_cb done, void *user)
{
    struct ask *self = p2p__alloc(sizeof(*self));
    if (!self)
        return P2P_ENOMEM;
    self->done = done;
    self->user = user;
    if (!p2p_host_open(host, target, &ask_protocol, 1, opts, &asking, self)) {
        p2p__free(self);
        return P2P_ENOMEM;
    }
    return 0;
}

static void ask_conn(p2p_conn *conn)
{
    static const p2p_dial_opts opts = {sizeof(opts), IDENTIFY_TIMEOUT_MS, 0};
    struct ask *self = p2p__alloc(sizeof(*self));
    if (!self)
        return;
    self->deadline_us = p2p_host_now_us(p2p_conn_host(conn)) + (uint64_t)IDENTIFY_TIMEOUT_MS * 1000;
    if (!p2p_conn_open(conn, &ask_protocol, 1, &opts, &asking, self))
        p2p__free(self);
}

/* ---- answering ---- */

static void on_open(p2p_stream *stream, void *user)
{
    if (p2p__identify_say(user, stream, p2p_stream_conn(stream)) < 0)
        p2p_stream_reset(stream, SERVICE_RESET);
    else
        p2p_stream_close(stream);
}

static void on_close(p2p_stream *stream, const p2p_error *why, void *user)
{
    (void)stream;
    (void)why;
    (void)user;
}

static const p2p_stream_events answering = {
    .size = sizeof(answering),
    .on_open = on_open,
    .on_close = on_close,
};

/* ---- the service ---- */

static void connected(struct host_observer *observer, p2p_conn *conn)
{
    struct identify *self = P2P__CONTAINER(observer, struct identify, observer);
    struct known *known = p2p__identify_known(self, p2p_conn_peer(conn));
    if (!known)
        known = known_new(self, p2p_conn_peer(conn));
    if (!known)
        return;
    known->conns++;
    ask_conn(conn);
}

static void disconnected(struct host_observer *observer, p2p_conn *conn, const p2p_error *why)
{
    struct identify *self = P2P__CONTAINER(observer, struct identify, observer);
    struct known *known = p2p__identify_known(self, p2p_conn_peer(conn));
    (void)why;
    if (p2p__observed_gone(&self->observed, p2p_conn_id(conn), p2p_host_now_us(self->host)) &&
        !self->observed_timer)
        self->observed_timer =
            p2p_host_after(self->host, (int)(OBSERVED_HOLD_US / 1000 + 1), expire, self);
    if (known && --known->conns == 0)
        known_free(known);
}

static void changed(struct host_observer *observer)
{
    struct identify *self = P2P__CONTAINER(observer, struct identify, observer);
    self->version++;
    p2p__identify_own_reset(self);
    p2p__identify_push_soon(self);
}

static void service_free(void *state)
{
    struct identify *self = state;
    while (!list_empty(&self->knowns))
        known_free(P2P__CONTAINER(self->knowns.next, struct known, all));
    p2p__map_fini(&self->by_peer);
    p2p__observed_fini(&self->observed);
    p2p__identify_own_reset(self);
    p2p__free(self);
}

int p2p_identify_serve(p2p_host *host)
{
    struct identify *self = p2p__alloc(sizeof(*self));
    if (!self)
        return P2P_ENOMEM;
    self->host = host;
    self->version = 1;
    self->observer.connected = connected;
    self->observer.disconnected = disconnected;
    self->observer.changed = changed;
    list_init(&self->knowns);
    p2p__observed_init(&self->observed);
    p2p_host_random(host, &self->hash_key, sizeof(self->hash_key));
    int rc = p2p__host_attach(host, SERVICE, self, service_free);
    if (rc < 0) {
        p2p__free(self);
        return rc;
    }
    p2p__host_observe(host, &self->observer);
    rc = p2p_host_handle(host, P2P_IDENTIFY_PROTOCOL, &answering, self);
    if (rc == 0)
        rc = p2p_host_handle(host, P2P_IDENTIFY_PUSH_PROTOCOL, &p2p__identify_push_events, self);
    if (rc == 0)
        rc = p2p_host_handle_limit(host, P2P_IDENTIFY_PROTOCOL, IDENTIFY_STREAMS_PER_PEER);
    return rc;
}

int p2p_identify_set_events(p2p_host *host, const p2p_identify_events *events, void *user)
{
    struct identify *self = p2p__identify_of(host);
    if (!self)
        return P2P_ENOENT;
    self->events = events;
    self->events_user = user;
    return 0;
}

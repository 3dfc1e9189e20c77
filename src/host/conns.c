/* The host's connections: what the connection layer tells, and what an application may ask. */
#include "host/host.h"

#include <string.h>

#include "base/mem.h"
#include "codec/utf8.h"

void p2p__passage_close(struct shard *shard, struct passage *passage)
{
    p2p__free(passage->met_at);
    if (passage->link)
        passage->link->ops->close(passage->link, true);
    else
        p2p__session_drop(passage->session, 0, shard_now_us(shard));
}

static p2p_conn *conn_new(struct shard *shard, struct passage *passage, bool outbound,
                          const p2p_peer_id *expected)
{
    if (!passage->link)
        return p2p__conn_new_session(shard, passage->session, outbound, expected);
    return p2p__conn_new(shard, passage->link, outbound, expected);
}

static void speak_under(p2p_conn *conn, const struct under *under)
{
    conn->ws = under->ws;
    conn->web_tls = under->web_tls;
    conn->sniff_ws = under->sniff_ws;
    conn->sniff_tls = under->sniff_tls;
    (void)p2p__conn_set_name(conn, under->name, strlen(under->name)); /* it has that length */
}

p2p_conn *p2p__host_add_conn(p2p_host *host, const struct transport *transport,
                             struct passage *passage, bool outbound, const p2p_peer_id *expected,
                             struct conn_entry **out)
{
    struct conn_entry *entry = p2p__alloc(sizeof(*entry));
    if (!entry) {
        p2p__passage_close(&host->shard, passage);
        return NULL;
    }
    p2p_conn *conn = conn_new(&host->shard, passage, outbound, expected);
    if (!conn) {
        p2p__free(entry);
        p2p__free(passage->met_at);
        return NULL;
    }
    conn->transport = transport;
    conn->met_at = passage->met_at;
    speak_under(conn, &passage->under);
    list_init(&entry->of_peer);
    list_init(&entry->share.half_open_node);
    entry->conn = conn;
    conn->owner_data = entry;
    conn->id = ++host->next_conn_id;
    list_append(&host->conns, &conn->all);
    if (p2p__limits_enter(host, entry, passage, outbound) < 0)
        p2p__conn_end(conn, (struct ending){.code = P2P_ENOMEM});
    *out = entry;
    return conn;
}

static int admit(p2p_conn *conn, const char **limit)
{
    p2p_host *host = conn->shard->host;
    struct conn_entry *entry = conn->owner_data;
    if (p2p_peer_id_equal(&conn->peer, p2p_host_peer(host)))
        return P2P_EDENIED;
    if ((*limit = p2p__gate_secured(host, conn)))
        return P2P_EDENIED;
    struct peer *peer = p2p__peer_get(host, &conn->peer);
    if (!peer)
        return P2P_ENOMEM;
    const char *message = "a peer has too many connections open";
    if (peer->load.conns >= host->limits.conns_per_peer)
        *limit = "conns_per_peer";
    else if ((*limit = p2p__limits_prove(host, entry)))
        message = "too many connections are open";
    if (*limit) {
        p2p__refused(host, *limit, message);
        p2p__peer_release(host, peer);
        return P2P_ELIMIT;
    }
    peer->load.conns++;
    entry->peer = peer;
    list_append(&peer->conns, &entry->of_peer);
    conn->load = &peer->load;
    if (conn->muxer) /* a session's, which was there before its peer was known */
        conn->muxer->config.resets = &peer->load.resets;
    return 0;
}

enum { REASON_MAX = 256 };

static void log_conn(p2p_conn *conn, const p2p_error *why)
{
    p2p_host *host = conn->shard->host;
    struct conn_entry *entry = conn->owner_data;
    bool failed = why && !entry->opened;
    p2p_log_level level = failed ? P2P_LOG_DEBUG : P2P_LOG_INFO;
    if (host->log.up_to[LOG_CONN] < (uint8_t)level)
        return;
    char addr[P2P_MULTIADDR_TEXT_MAX], peer[P2P_PEER_ID_TEXT_MAX] = "", reason[REASON_MAX] = "";
    p2p_multiaddr remote;
    p2p_conn_remote_addr(conn, &remote);
    (void)p2p_multiaddr_format(&remote, addr, sizeof(addr));
    if (!failed)
        (void)p2p_peer_id_format(&conn->peer, peer, sizeof(peer));
    if (why && why->message)
        (void)p2p__escape(why->message, strlen(why->message), reason, sizeof(reason));
    p2p__log(host, level, LOG_CONN, "%llu %s %s %.400s%s%s%s%s", (unsigned long long)conn->id,
             failed ? "failed"
             : why  ? "closed"
                    : "opened",
             conn->outbound ? "to" : "from", addr, failed ? "" : " with ", peer, why ? ": " : "",
             reason);
}

static void opened(p2p_conn *conn)
{
    p2p_host *host = conn->shard->host;
    struct conn_entry *entry = conn->owner_data;
    p2p__limits_opened(host, entry);
    entry->opened = true;
    p2p__manager_opened(host, entry);
    log_conn(conn, NULL);
    for (struct list *node = host->observers.next; node != &host->observers; node = node->next) {
        struct host_observer *observer = P2P__CONTAINER(node, struct host_observer, node);
        if (observer->connected)
            observer->connected(observer, conn);
    }
    if (host->events && host->events->on_connected)
        host->events->on_connected(host, conn, host->events_user);
    p2p__dial_opened(entry);
    p2p__fds_opened(entry);
}

static void closed(p2p_conn *conn)
{
    p2p_host *host = conn->shard->host;
    struct conn_entry *entry = conn->owner_data;
    p2p_error why = p2p__ending_error(&conn->ending);
    log_conn(conn, &why);
    list_remove(&conn->all);
    if (entry->opened && entry->peer->conns.next == entry->peer->conns.prev)
        p2p__peer_parting(host, entry->peer);
    list_remove(&entry->of_peer);
    p2p__limits_leave(host, entry);
    if (entry->opened) {
        p2p__manager_closed(host, entry);
        struct list *node = host->observers.next;
        for (; node != &host->observers; node = node->next) {
            struct host_observer *observer = P2P__CONTAINER(node, struct host_observer, node);
            if (observer->disconnected)
                observer->disconnected(observer, conn, &why);
        }
        if (host->events && host->events->on_disconnected)
            host->events->on_disconnected(host, conn, &why, host->events_user);
    }
    p2p__dial_closed(entry, &why);
    p2p__fds_closed(entry, &why);
    if (entry->peer) {
        entry->peer->load.conns--;
        p2p__peer_release(host, entry->peer);
    }
    conn->load = NULL;
    conn->owner_data = NULL;
    p2p__free(entry);
}

static void limited(void *user, const char *name, const char *message)
{
    p2p__refused(user, name, message);
}

const struct conn_owner p2p__host_owner = {admit, opened, closed, limited};

/* ---- what an application asks ---- */

p2p_conn *p2p_host_conn(const p2p_host *host, const p2p_peer_id *id)
{
    struct peer *peer = p2p__peer_find(host, id);
    return peer ? p2p__peer_conn(host, peer) : NULL;
}

p2p_conn *p2p_host_conn_at(const p2p_host *host, size_t index)
{
    for (struct list *node = host->conns.next; node != &host->conns; node = node->next) {
        p2p_conn *conn = P2P__CONTAINER(node, struct p2p_conn, all);
        if (conn->stage == CONN_OPEN && conn->opened_told && index-- == 0)
            return conn;
    }
    return NULL;
}

uint64_t p2p_conn_id(const p2p_conn *self)
{
    return self->id;
}

p2p_host *p2p_conn_host(const p2p_conn *self)
{
    return self->shard->host;
}

const p2p_peer_id *p2p_conn_peer(const p2p_conn *self)
{
    return &self->peer;
}

int p2p_conn_public_key(const p2p_conn *self, const uint8_t **key, size_t *key_len)
{
    *key = p2p_peer_id_public_key(&self->peer, key_len);
    return *key ? 0 : P2P_ENOENT;
}

void p2p_conn_remote_addr(const p2p_conn *self, p2p_multiaddr *out)
{
    self->transport->ops->addr(self->transport, self, true, out);
}

void p2p_conn_local_addr(const p2p_conn *self, p2p_multiaddr *out)
{
    self->transport->ops->addr(self->transport, self, false, out);
}

int p2p_conn_outbound(const p2p_conn *self)
{
    return self->outbound;
}

const char *p2p_conn_security(const p2p_conn *self)
{
    const struct session *session = conn_session(self);
    return session ? session->muxer.ops->session->security : stack_top(&self->stack)->id;
}

p2p_protection p2p_conn_protection(const p2p_conn *self)
{
    const struct layer_ops *channel = self->link ? stack_top(&self->stack) : NULL;
    if (!channel || !channel->clear)
        return P2P_PROTECTION_FULL;
    return channel->unproven ? P2P_PROTECTION_NONE : P2P_PROTECTION_SIGNED;
}

const char *p2p_conn_muxer(const p2p_conn *self)
{
    return self->muxer->ops->id;
}

int p2p_conn_limited(const p2p_conn *self)
{
    return self->limited;
}

uint32_t p2p_conn_rtt_us(const p2p_conn *self)
{
    return self->muxer->rtt_us;
}

void p2p_conn_set_events(p2p_conn *self, const p2p_conn_events *events, void *user)
{
    self->events = events;
    self->events_user = user;
}

void p2p_conn_close(p2p_conn *self)
{
    p2p__conn_end(self, (struct ending){.code = P2P_ECLOSED, .message = "closed by this side"});
}

p2p_stream *p2p_conn_open(p2p_conn *conn, const char *const *protocols, size_t protocol_count,
                          const p2p_dial_opts *opts, const p2p_stream_events *events, void *user)
{
    p2p_stream *stream = p2p__stream_new(conn->shard, protocols, protocol_count, events, user);
    if (!stream)
        return NULL;
    int timeout_ms = opts ? opts->timeout_ms : 0;
    uint32_t limit_ms = conn->shard->limits.negotiate_timeout_ms;
    if (timeout_ms > 0)
        limit_ms = (uint32_t)timeout_ms;
    stream->opening->deadline_us =
        timeout_ms < 0 ? HEAP_NEVER : io_now_us(conn->shard->io) + (uint64_t)limit_ms * 1000;
    p2p__stream_attach(stream, conn);
    return stream;
}

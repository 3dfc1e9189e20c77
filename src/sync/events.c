/* A host's events as JSON, kept until somebody asks for them. */
#include <string.h>

#include <p2p/limits.h>

#include "base/mem.h"
#include "sync/json.h"
#include "sync/node.h"

enum {
    EVENTS_MAX = 256, /* a node's first second; whoever wants them all reads them */
};

struct event {
    struct event *next;
    size_t len;
    char text[];
};

bool p2p__events_init(struct events *self)
{
    return p2p__gate_init(&self->gate);
}

void p2p__events_close(struct events *self)
{
    gate_lock(&self->gate);
    self->closed = true;
    if (self->has_flag)
        p2p__flag_raise(&self->flag); /* whoever polls it asks, and hears of the end */
    gate_wake(&self->gate);
    gate_unlock(&self->gate);
}

void p2p__events_fini(struct events *self)
{
    while (self->first) {
        struct event *event = self->first;
        self->first = event->next;
        p2p__free(event);
    }
    if (self->has_flag)
        p2p__flag_close(&self->flag);
    p2p__gate_fini(&self->gate);
}

/* ---- putting: on the loop's thread ---- */

static bool append(struct events *self, const struct json *json)
{
    struct event *event = json->full || self->count >= EVENTS_MAX
                              ? NULL
                              : p2p__realloc(NULL, sizeof(*event) + json->len + 1);
    if (!event)
        return false;
    event->next = NULL;
    event->len = json->len;
    memcpy(event->text, json->text, json->len + 1);
    if (self->last)
        self->last->next = event;
    else
        self->first = event;
    self->last = event;
    self->count++;
    return true;
}

static void put(struct node *node, struct json *json)
{
    struct events *self = &node->events;
    p2p__json_end(json);
    gate_lock(&self->gate);
    /* After one that was dropped all are, until it was told: the order stays. */
    if (self->dropped || !append(self, json))
        self->dropped++;
    if (self->has_flag)
        p2p__flag_raise(&self->flag);
    gate_wake(&self->gate);
    gate_unlock(&self->gate);
}

static void put_addr(struct node *node, const char *event, const p2p_multiaddr *addr)
{
    struct json json;
    char text[P2P_MULTIADDR_TEXT_MAX];
    (void)p2p_multiaddr_format(addr, text, sizeof(text));
    p2p__json_begin(&json, event);
    p2p__json_string(&json, "addr", text);
    put(node, &json);
}

static void on_listening(p2p_host *host, const p2p_multiaddr *addr, void *user)
{
    (void)host;
    put_addr(user, "listening", addr);
}

static void on_unlistening(p2p_host *host, const p2p_multiaddr *addr, void *user)
{
    (void)host;
    put_addr(user, "unlistening", addr);
}

static void add_conn(struct json *json, const p2p_conn *conn)
{
    char peer[P2P_PEER_ID_TEXT_MAX], addr[P2P_MULTIADDR_TEXT_MAX];
    p2p_multiaddr remote;
    p2p_conn_remote_addr(conn, &remote);
    (void)p2p_multiaddr_format(&remote, addr, sizeof(addr));
    (void)p2p_peer_id_format(p2p_conn_peer(conn), peer, sizeof(peer));
    p2p__json_uint(json, "conn", p2p_conn_id(conn));
    p2p__json_string(json, "peer", peer);
    p2p__json_string(json, "addr", addr);
}

static void on_connected(p2p_host *host, p2p_conn *conn, void *user)
{
    struct json json;
    (void)host;
    p2p__json_begin(&json, "connected");
    add_conn(&json, conn);
    p2p__json_string(&json, "direction", p2p_conn_outbound(conn) ? "outbound" : "inbound");
    p2p__json_string(&json, "security", p2p_conn_security(conn));
    p2p__json_string(&json, "muxer", p2p_conn_muxer(conn));
    p2p__json_bool(&json, "limited", p2p_conn_limited(conn));
    put(user, &json);
}

static void on_disconnected(p2p_host *host, p2p_conn *conn, const p2p_error *why, void *user)
{
    struct json json;
    (void)host;
    p2p__json_begin(&json, "disconnected");
    add_conn(&json, conn);
    p2p__json_string(&json, "reason", p2p_code_name(why->code));
    p2p__json_string(&json, "detail", why->message);
    put(user, &json);
}

static void on_limit(p2p_host *host, const p2p_error *why, void *user)
{
    struct json json;
    p2p__json_begin(&json, "limit");
    p2p__json_string(&json, "limit", why->limit);
    p2p__json_uint(&json, "refusals", p2p_host_refusals(host, why->limit));
    p2p__json_string(&json, "detail", why->message);
    put(user, &json);
}

const p2p_host_events p2p__sync_host_events = {
    .size = sizeof(p2p__sync_host_events),
    .on_connected = on_connected,
    .on_disconnected = on_disconnected,
    .on_listening = on_listening,
    .on_unlistening = on_unlistening,
    .on_limit = on_limit,
};

/* ---- taking ---- */

static void lower_flag(struct events *self)
{
    if (self->has_flag && !self->first && !self->dropped && !self->closed)
        p2p__flag_lower(&self->flag);
}

static int64_t take_dropped(struct events *self, char *out, size_t cap)
{
    struct json json;
    p2p__json_begin(&json, "dropped");
    p2p__json_uint(&json, "count", self->dropped);
    p2p__json_end(&json);
    if (json.len >= cap)
        return P2P_ETOOBIG;
    memcpy(out, json.text, json.len + 1);
    self->dropped = 0;
    lower_flag(self);
    return (int64_t)json.len;
}

static int64_t take(struct events *self, char *out, size_t cap)
{
    struct event *event = self->first;
    if (!event)
        return self->dropped ? take_dropped(self, out, cap) : 0;
    if (event->len >= cap)
        return P2P_ETOOBIG;
    int64_t len = (int64_t)event->len;
    memcpy(out, event->text, event->len + 1);
    self->first = event->next;
    if (!self->first)
        self->last = NULL;
    self->count--;
    p2p__free(event);
    lower_flag(self);
    return len;
}

int64_t p2p_next_event(p2p_h host, char *json, size_t cap, int timeout_ms)
{
    uint64_t deadline = p2p__sync_deadline(timeout_ms);
    struct node *node = (struct node *)p2p__handle_get(host, KIND_NODE);
    if (!node)
        return p2p__sync_result(P2P_EBADH, NULL);
    struct events *self = &node->events;
    int64_t len = 0;
    if (timeout_ms != P2P_NO_WAIT && p2p__loop_here(&node->loop))
        len = P2P_EDEADLK;
    gate_lock(&self->gate);
    while (len == 0) {
        len = self->closed ? P2P_ECLOSED : take(self, json, cap);
        if (len == 0 && !p2p__gate_wait(&self->gate, deadline))
            len = sync_late(timeout_ms);
    }
    gate_unlock(&self->gate);
    p2p__object_unref(&node->object);
    p2p__sync_result(len < 0 ? (int)len : 0, NULL);
    return len;
}

int p2p_event_fd(p2p_h host)
{
    struct node *node = (struct node *)p2p__handle_get(host, KIND_NODE);
    if (!node)
        return p2p__sync_result(P2P_EBADH, NULL);
    struct events *self = &node->events;
    gate_lock(&self->gate);
    if (!self->has_flag && p2p__flag_open(&self->flag)) {
        self->has_flag = true;
        if (self->first || self->dropped || self->closed)
            p2p__flag_raise(&self->flag);
    }
    int fd = self->has_flag ? flag_fd(&self->flag) : P2P_ELIMIT;
    gate_unlock(&self->gate);
    p2p__object_unref(&node->object);
    p2p__sync_result(fd, fd < 0 ? "out of file descriptors" : NULL);
    return fd;
}

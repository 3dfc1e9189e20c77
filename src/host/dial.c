/* Dialing: several waiters of one peer share one dial; its addresses are tried a quarter of a
 * second apart until one connection is open; exactly one outcome, which lists every address tried.
 */
#include "host/host.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/addr_copy.h"
#include "codec/addr_facts.h"
#include "host/lookups.h"
#include "host/target.h"

enum {
    STAGGER_US = 250 * 1000, /* Happy Eyeballs' delay (RFC 8305, section 5) */
};

struct attempt {
    struct dial *dial;
    p2p_multiaddr addr;
    struct transport *transport;
    struct conn_entry *entry; /* while under way */
    bool started, ended;
    bool shared_port, fresh_port; /* dialed from the listening port; must not be */
    int code, sys_errno;
    char *error;
};

struct dial {
    struct list node; /* host->dials */
    struct work work;
    struct timer timer;
    p2p_host *host;
    struct peer *peer; /* NULL: not known until a /dnsaddr has been resolved */
    struct attempt attempts[DIAL_ADDRS_MAX];
    size_t attempt_count;
    struct lookups lookups; /* of targets with names */
    struct list streams;    /* p2p_stream.wait */
    struct list ops;        /* p2p_op.wait */
    uint64_t next_start_us;
    unsigned flags; /* enum p2p_dial_flags */
    bool over;
};

/* ---- the outcome ---- */

static const char *attempt_text(const struct attempt *a)
{
    if (!a->ended)
        return a->started ? "no answer yet" : "not tried";
    return a->error ? a->error : p2p_code_text(a->code);
}

/* Calls tell with the error that describes the dial as it stands. */
static void with_error(struct dial *self, int code, const char *message,
                       void (*tell)(void *user, const p2p_error *why), void *user)
{
    char text[DIAL_ADDRS_MAX][P2P_MULTIADDR_TEXT_MAX / 8];
    p2p_attempt list[DIAL_ADDRS_MAX + LOOKUPS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < self->attempt_count; i++) {
        struct attempt *a = &self->attempts[i];
        if (!a->started)
            continue;
        (void)p2p_multiaddr_format(&a->addr, text[count], sizeof(text[count]));
        list[count] = (p2p_attempt){.addr = text[count],
                                    .error = attempt_text(a),
                                    .code = a->ended ? a->code : P2P_ETIMEDOUT,
                                    .sys_errno = a->sys_errno};
        count++;
    }
    count += p2p__lookups_failed(&self->lookups, list + count);
    char sentence[512];
    if (count == 1)
        snprintf(sentence, sizeof(sentence), "%s: %s: %s", message, list[0].addr, list[0].error);
    else
        snprintf(sentence, sizeof(sentence), "%s", message);
    const p2p_error why = {.size = sizeof(why),
                           .code = code,
                           .sys_errno = count ? list[0].sys_errno : 0,
                           .message = sentence,
                           .attempts = list,
                           .attempt_count = count};
    tell(user, &why);
}

static void tell_stream(void *user, const p2p_error *why)
{
    p2p__stream_end_error(user, why);
}

static void tell_op(void *user, const p2p_error *why)
{
    p2p__op_finish(user, why);
}

static void bury(struct work *work)
{
    struct dial *self = P2P__CONTAINER(work, struct dial, work);
    for (size_t i = 0; i < self->attempt_count; i++)
        p2p__free(self->attempts[i].error);
    p2p__free(self);
}

static void finish(struct dial *self)
{
    if (self->over)
        return;
    self->over = true;
    p2p_host *host = self->host;
    list_remove(&self->node);
    timer_set(&host->shard, &self->timer, HEAP_NEVER);
    for (size_t i = 0; i < self->attempt_count; i++) {
        struct conn_entry *entry = self->attempts[i].entry;
        if (!entry)
            continue;
        entry->attempt = NULL;
        self->attempts[i].entry = NULL;
        if (!entry->opened)
            p2p__conn_end(entry->conn, (struct ending){.code = P2P_ECANCELED});
    }
    p2p__lookups_fini(&self->lookups);
    if (self->peer) {
        self->peer->dial = NULL;
        p2p__peer_release(host, self->peer);
    }
    p2p__work_bury(&host->shard, &self->work, bury);
}

static void fail(struct dial *self, int code, const char *message)
{
    for (struct list *node; (node = list_pop(&self->streams));)
        with_error(self, code, message, tell_stream, P2P__CONTAINER(node, struct p2p_stream, wait));
    for (struct list *node; (node = list_pop(&self->ops));)
        with_error(self, code, message, tell_op, P2P__CONTAINER(node, p2p_op, wait));
    finish(self);
}

static void succeed(struct dial *self, p2p_conn *conn)
{
    for (struct list *node; (node = list_pop(&self->streams));)
        p2p__stream_attach(P2P__CONTAINER(node, struct p2p_stream, wait), conn);
    for (struct list *node; (node = list_pop(&self->ops));)
        p2p__op_finish(P2P__CONTAINER(node, p2p_op, wait), NULL);
    finish(self);
}

/* The sentence and code of a dial whose every attempt failed: the most telling attempt's. */
static void fail_all(struct dial *self)
{
    p2p_attempt unresolved[LOOKUPS_MAX];
    size_t unresolved_count = p2p__lookups_failed(&self->lookups, unresolved);
    int code = P2P_ECONN;
    if (self->attempt_count == 0 && unresolved_count)
        code = unresolved[0].code;
    for (size_t i = 0; i < self->attempt_count; i++) {
        int got = self->attempts[i].code;
        if (self->attempt_count == 1 || got == P2P_EPEERID ||
            (code == P2P_ECONN && got != P2P_ETIMEDOUT))
            code = got;
    }
    fail(self, code, "cannot connect");
}

/* ---- attempts ---- */

static void attempt_failed(struct attempt *self, int code, int sys_errno, const char *error)
{
    self->ended = true;
    self->entry = NULL;
    self->code = code;
    self->sys_errno = sys_errno;
    self->error = p2p__strndup(error, strlen(error));
}

static void start(struct dial *self, struct attempt *attempt)
{
    p2p_host *host = self->host;
    struct passage passage = {.link = NULL};
    struct transport *transport = attempt->transport;
    int sys_errno = 0;
    bool fresh_port = (self->flags & P2P_DIAL_NO_REUSE_PORT) || attempt->fresh_port;
    attempt->started = true;
    const char *limit = p2p__limits_refuse_out(host);
    if (limit) {
        char why[64];
        snprintf(why, sizeof(why), "the limit %s is reached", limit);
        p2p__refused(host, limit, "a dial was refused");
        attempt_failed(attempt, P2P_ELIMIT, 0, why);
        return;
    }
    int rc = transport->ops->dial(transport, &attempt->addr, fresh_port ? TRANSPORT_FRESH_PORT : 0,
                                  &passage, &sys_errno);
    if (rc < 0) {
        attempt_failed(attempt, rc, sys_errno, sys_errno ? strerror(sys_errno) : p2p_code_text(rc));
        return;
    }
    struct conn_entry *entry = NULL;
    if (!p2p__host_add_conn(host, transport, &passage, true, &self->peer->id, &entry)) {
        attempt_failed(attempt, P2P_ENOMEM, 0, p2p_code_text(P2P_ENOMEM));
        return;
    }
    attempt->shared_port = passage.shared_port;
    attempt->entry = entry;
    entry->attempt = attempt;
}

/* One without a name. False: no transport is for it. */
static bool add_attempt(struct dial *self, const p2p_multiaddr *addr)
{
    struct transport *transport;
    const char *why;
    for (size_t i = 0; i < self->attempt_count; i++)
        if (p2p__addr_equal(&self->attempts[i].addr, addr))
            return true;
    if (p2p__transport_find(self->host, addr, &transport, &why) < 0)
        return false;
    if (self->attempt_count < DIAL_ADDRS_MAX)
        self->attempts[self->attempt_count++] =
            (struct attempt){.dial = self, .addr = *addr, .transport = transport};
    return true;
}

/* An address that a name led to. The first one decides whom a /dnsaddr without a peer id means. */
static bool use_addr(void *user, const p2p_multiaddr *addr)
{
    struct dial *self = user;
    p2p_multiaddr bare = *addr;
    p2p_peer_id named;
    if (!p2p__addr_take_peer(&bare, &named))
        return false;
    if (!self->peer && !p2p_peer_id_equal(&named, p2p_host_peer(self->host)))
        self->peer = p2p__peer_get(self->host, &named);
    if (!self->peer || !p2p_peer_id_equal(&named, &self->peer->id))
        return false;
    return add_attempt(self, &bare);
}

/* The peer has just become known: true when it needs no dial of its own. */
static bool merge(struct dial *self)
{
    struct peer *peer = self->peer;
    struct dial *other = peer->dial;
    p2p_conn *conn = self->flags & P2P_DIAL_NEW_CONN ? NULL : p2p__peer_conn(peer);
    if (!conn && !other) {
        peer->dial = self;
        return false;
    }
    self->peer = NULL;
    if (conn) {
        succeed(self, conn);
        return true;
    }
    for (size_t i = 0; i < self->attempt_count; i++)
        add_attempt(other, &self->attempts[i].addr);
    for (struct list *node; (node = list_pop(&self->streams));)
        list_append(&other->streams, node);
    for (struct list *node; (node = list_pop(&self->ops));)
        list_append(&other->ops, node);
    p2p__work_mark(&self->host->shard, &other->work);
    finish(self);
    return true;
}

/* Waiters whose time is up leave; the earliest deadline that is left, or HEAP_NEVER. */
static uint64_t expire_waiters(struct dial *self)
{
    uint64_t now = self->host->shard.now_us, next = HEAP_NEVER;
    static const char message[] = "connecting took too long";
    struct list keep;
    list_init(&keep);
    for (struct list *node; (node = list_pop(&self->streams));) {
        struct p2p_stream *stream = P2P__CONTAINER(node, struct p2p_stream, wait);
        uint64_t at = stream->opening->deadline_us;
        if (at <= now) {
            with_error(self, P2P_ETIMEDOUT, message, tell_stream, stream);
            continue;
        }
        next = at < next ? at : next;
        list_append(&keep, node);
    }
    list_move(&keep, &self->streams);
    list_init(&keep);
    for (struct list *node; (node = list_pop(&self->ops));) {
        p2p_op *op = P2P__CONTAINER(node, p2p_op, wait);
        if (op->deadline_us <= now) {
            with_error(self, P2P_ETIMEDOUT, message, tell_op, op);
            continue;
        }
        next = op->deadline_us < next ? op->deadline_us : next;
        list_append(&keep, node);
    }
    list_move(&keep, &self->ops);
    return next;
}

static void dial_run(struct work *work)
{
    struct dial *self = P2P__CONTAINER(work, struct dial, work);
    struct shard *shard = &self->host->shard;
    if (self->over)
        return;
    uint64_t wake = expire_waiters(self);
    if (list_empty(&self->streams) && list_empty(&self->ops)) {
        finish(self); /* nobody waits any more */
        return;
    }
    bool unknown = !self->peer;
    size_t under_way = 0, left = 0, lookups = p2p__lookups_run(&self->lookups, use_addr, self);
    if (unknown && self->peer && merge(self))
        return;
    for (size_t i = 0; i < self->attempt_count; i++) {
        struct attempt *a = &self->attempts[i];
        if (!a->started && (under_way == 0 || shard->now_us >= self->next_start_us)) {
            start(self, a);
            self->next_start_us = shard->now_us + STAGGER_US;
        }
        under_way += a->started && !a->ended;
        left += !a->started;
    }
    if (under_way == 0 && left == 0 && lookups == 0) {
        fail_all(self);
        return;
    }
    if (left && self->next_start_us < wake)
        wake = self->next_start_us;
    timer_set(shard, &self->timer, wake);
}

static void timer_fire(struct timer *timer)
{
    struct dial *self = P2P__CONTAINER(timer, struct dial, timer);
    p2p__work_mark(&self->host->shard, &self->work);
}

static void lookup_wake(void *owner)
{
    struct dial *self = owner;
    p2p__work_mark(&self->host->shard, &self->work);
}

void p2p__dial_opened(struct conn_entry *entry)
{
    struct dial *dial = entry->peer ? entry->peer->dial : NULL;
    if (dial)
        succeed(dial, entry->conn);
}

void p2p__dial_closed(struct conn_entry *entry, const p2p_error *why)
{
    struct attempt *attempt = entry->attempt;
    if (!attempt)
        return;
    struct dial *dial = attempt->dial;
    entry->attempt = NULL;
    p2p__work_mark(&dial->host->shard, &dial->work);
    /* When both sides dial at once from their listening ports, TCP makes one connection of it with
     * an initiator at each end, whose handshakes cannot meet. A fresh port cannot collide. */
    if (attempt->shared_port && !attempt->fresh_port &&
        (why->code == P2P_EHANDSHAKE || why->code == P2P_EPROTO)) {
        attempt->fresh_port = true;
        attempt->started = false;
        attempt->entry = NULL;
        return;
    }
    attempt_failed(attempt, why->code, why->sys_errno,
                   why->sys_errno && why->code == P2P_ECONN ? strerror(why->sys_errno)
                                                            : why->message);
}

/* ---- a new one ---- */

static struct dial *dial_new(p2p_host *host, struct peer *peer, unsigned flags)
{
    struct dial *self = p2p__alloc(sizeof(*self));
    if (!self)
        return NULL;
    self->host = host;
    self->peer = peer;
    self->flags = flags;
    self->timer.fire = timer_fire;
    work_init(&self->work, dial_run);
    p2p__lookups_init(&self->lookups, host->shard.io, lookup_wake, self);
    list_init(&self->streams);
    list_init(&self->ops);
    list_append(&host->dials, &self->node);
    if (peer)
        peer->dial = self;
    return self;
}

static void add_known(struct dial *self)
{
    struct peer *peer = self->peer;
    for (const struct known_addr *known = peer->addrs; known; known = known->next) {
        p2p_multiaddr addr;
        char text[P2P_MULTIADDR_TEXT_MAX];
        if (known->expires_us <= io_now_us(self->host->shard.io))
            continue;
        addr_load(known->addr, &addr);
        if (!p2p__resolve_has_name(&addr)) {
            add_attempt(self, &addr);
            continue;
        }
        p2p__addr_append_peer(&addr, &peer->id);
        if (p2p_multiaddr_format(&addr, text, sizeof(text)) > 0)
            (void)p2p__lookups_add(&self->lookups, &addr, text); /* beyond a limit: left out */
    }
}

/* The dial to that peer, joined or started, with the address that the target names. */
static int dial_get(p2p_host *host, const struct target *target, const char *text, unsigned flags,
                    struct dial **out, const char **why)
{
    struct peer *peer = target->peer.len ? p2p__peer_get(host, &target->peer) : NULL;
    if (!peer && target->peer.len)
        return P2P_ENOMEM;
    struct dial *self = peer && peer->dial ? peer->dial : dial_new(host, peer, flags);
    if (!self) {
        if (peer)
            p2p__peer_release(host, peer);
        return P2P_ENOMEM;
    }
    int rc = 0;
    if (target->kind == TARGET_ADDR)
        add_attempt(self, &target->addr);
    else if (target->kind == TARGET_NAME)
        rc = p2p__lookups_add(&self->lookups, &target->addr, text);
    if (peer)
        add_known(self);
    *out = self;
    if (self->attempt_count == 0 && self->lookups.count == 0) {
        *why = rc < 0 ? p2p_code_text(rc) : "no address of the peer is known";
        finish(self);
        return rc < 0 ? rc : P2P_ENOADDR;
    }
    p2p__work_mark(&host->shard, &self->work);
    return 0;
}

/* Either a connection that exists, or a dial, or an error. */
static int reach(p2p_host *host, const char *text, const p2p_dial_opts *opts, p2p_conn **conn,
                 struct dial **dial, char *why, size_t why_cap)
{
    struct target target;
    const char *sentence = NULL;
    unsigned flags = opts ? opts->flags : 0;
    *conn = NULL;
    *dial = NULL;
    int rc = host->closing ? P2P_ECANCELED : p2p__target_parse(host, text, &target, why, why_cap);
    if (rc < 0)
        return rc;
    if (p2p_peer_id_equal(&target.peer, p2p_host_peer(host))) {
        snprintf(why, why_cap, "that is this host's own peer id");
        return P2P_EDENIED;
    }
    struct peer *peer = p2p__peer_find(host, &target.peer);
    if (peer && !(flags & P2P_DIAL_NEW_CONN))
        *conn = p2p__peer_conn(peer);
    if (*conn)
        return 0;
    rc = dial_get(host, &target, text, flags, dial, &sentence);
    if (rc < 0 && sentence)
        snprintf(why, why_cap, "%s", sentence);
    return rc;
}

static uint64_t deadline(p2p_host *host, const p2p_dial_opts *opts)
{
    int timeout_ms = opts ? opts->timeout_ms : 0;
    if (timeout_ms < 0)
        return HEAP_NEVER;
    uint64_t ms =
        timeout_ms ? (uint64_t)timeout_ms : p2p__config_number(host->config, OPTION_DIAL_TIMEOUT);
    return io_now_us(host->shard.io) + ms * 1000;
}

static p2p_error reach_error(int code, const char *why)
{
    return (p2p_error){
        .size = sizeof(p2p_error), .code = code, .message = *why ? why : p2p_code_text(code)};
}

void p2p__dial_stream(p2p_host *host, const char *text, const p2p_dial_opts *opts,
                      p2p_stream *stream)
{
    p2p_conn *conn;
    struct dial *dial;
    char why[400] = "";
    int rc = reach(host, text, opts, &conn, &dial, why, sizeof(why));
    stream->opening->deadline_us = deadline(host, opts);
    if (rc < 0) {
        p2p_error error = reach_error(rc, why);
        p2p__stream_end_error(stream, &error);
    } else if (conn) {
        p2p__stream_attach(stream, conn);
    } else {
        list_append(&dial->streams, &stream->wait);
    }
}

void p2p__dial_op(p2p_host *host, const char *text, const p2p_dial_opts *opts, p2p_op *op)
{
    p2p_conn *conn;
    struct dial *dial;
    char why[400] = "";
    int rc = reach(host, text, opts, &conn, &dial, why, sizeof(why));
    op->deadline_us = deadline(host, opts);
    if (rc < 0) {
        p2p_error error = reach_error(rc, why);
        p2p__op_finish(op, &error);
    } else if (conn) {
        p2p__op_finish(op, NULL);
    } else {
        list_append(&dial->ops, &op->wait);
    }
}

void p2p__dial_cancel_all(p2p_host *host)
{
    while (!list_empty(&host->dials))
        fail(P2P__CONTAINER(host->dials.next, struct dial, node), P2P_ECANCELED,
             "the host is closing");
}

/* ---- the public functions ---- */

p2p_stream *p2p_host_open(p2p_host *host, const char *target, const char *const *protocols,
                          size_t protocol_count, const p2p_dial_opts *opts,
                          const p2p_stream_events *events, void *user)
{
    p2p_stream *stream = p2p__stream_new(&host->shard, protocols, protocol_count, events, user);
    if (stream)
        p2p__dial_stream(host, target, opts, stream);
    return stream;
}

p2p_op *p2p_host_connect(p2p_host *host, const char *target, const p2p_dial_opts *opts,
                         p2p_done_cb done, void *user)
{
    p2p_op *op = p2p__op_new(host, sizeof(*op), done, user);
    if (op)
        p2p__dial_op(host, target, opts, op);
    return op;
}

int p2p_host_add_addr(p2p_host *host, const p2p_peer_id *id, const p2p_multiaddr *addr, int ttl_ms)
{
    p2p_multiaddr bare = *addr;
    p2p_peer_id named;
    struct transport *transport;
    const char *why;
    p2p__addr_take_peer(&bare, &named);
    if (named.len && !p2p_peer_id_equal(&named, id))
        return P2P_EADDR;
    int rc = p2p__resolve_has_name(&bare) ? 0 : p2p__transport_find(host, &bare, &transport, &why);
    if (rc < 0)
        return rc;
    if (!p2p__peer_find(host, id) && host->peer_map.count >= PEERS_MAX)
        return P2P_ELIMIT;
    struct peer *peer = p2p__peer_get(host, id);
    if (!peer)
        return P2P_ENOMEM;
    rc = p2p__peer_add_addr(host, peer, &bare, ttl_ms);
    p2p__peer_release(host, peer);
    return rc;
}

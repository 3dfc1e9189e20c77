/* Dialing: several waiters of one peer share one dial; its addresses are tried by plan until one
 * connection is open; exactly one outcome, which lists every address tried. */
#include "host/dial.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/addr_copy.h"
#include "host/target.h"

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
    char text[PLAN_MAX][P2P_MULTIADDR_TEXT_MAX / 8];
    p2p_attempt list[PLAN_MAX + LOOKUPS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < self->attempt_count; i++) {
        struct attempt *a = &self->attempts[i];
        p2p_multiaddr addr;
        if (!a->started && !a->ended)
            continue;
        addr_load(a->addr, &addr);
        (void)p2p_multiaddr_format(&addr, text[count], sizeof(text[count]));
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
    for (size_t i = 0; i < self->attempt_count; i++) {
        p2p__free(self->attempts[i].error);
        p2p__free(self->attempts[i].addr);
    }
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
    list_remove(&self->starving);
    p2p__attempts_end(self);
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
    return p2p__attempt_add(self, &bare, true);
}

/* The peer has just become known: true when it needs no dial of its own. */
static bool merge(struct dial *self)
{
    struct peer *peer = self->peer;
    struct dial *other = peer->dial;
    p2p_conn *conn = self->flags & P2P_DIAL_NEW_CONN ? NULL : p2p__peer_conn(self->host, peer);
    if (!conn && !other) {
        peer->dial = self;
        return false;
    }
    self->peer = NULL;
    if (conn) {
        succeed(self, conn);
        return true;
    }
    for (size_t i = 0; i < self->attempt_count; i++) {
        p2p_multiaddr addr;
        addr_load(self->attempts[i].addr, &addr);
        p2p__attempt_add(other, &addr, true);
    }
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
    size_t lookups = p2p__lookups_run(&self->lookups, use_addr, self);
    if (unknown && self->peer && merge(self))
        return;
    uint64_t next = self->peer ? p2p__attempts_run(self) : HEAP_NEVER;
    if (lookups == 0 && p2p__plan_done(&self->plan)) {
        fail_all(self);
        return;
    }
    timer_set(shard, &self->timer, next < wake ? next : wake);
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
    if (entry->attempt)
        p2p__attempt_won(entry->attempt);
    if (dial)
        succeed(dial, entry->conn);
}

void p2p__dial_closed(struct conn_entry *entry, const p2p_error *why)
{
    struct attempt *attempt = entry->attempt;
    if (!attempt)
        return;
    entry->attempt = NULL;
    p2p__attempt_failed(attempt, why);
    p2p__work_mark(&attempt->dial->host->shard, &attempt->dial->work);
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
    list_init(&self->starving);
    list_append(&host->dials, &self->node);
    if (peer)
        peer->dial = self;
    return self;
}

/* What the peer told of itself counts only where nothing else is asked for: who names an address
 * wants that one, and its transport. */
static void add_known(struct dial *self, bool learned)
{
    struct peer *peer = self->peer;
    for (const struct known_addr *known = peer->addrs; known; known = known->next) {
        p2p_multiaddr addr;
        char text[P2P_MULTIADDR_TEXT_MAX];
        if (known->expires_us <= io_now_us(self->host->shard.io) || (known->learned && !learned))
            continue;
        addr_load(known->addr, &addr);
        if (!p2p__resolve_has_name(&addr)) {
            p2p__attempt_add(self, &addr, false);
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
        p2p__attempt_add(self, &target->addr, true);
    else if (target->kind == TARGET_NAME)
        rc = p2p__lookups_add(&self->lookups, &target->addr, text);
    if (peer)
        add_known(self, target->kind == TARGET_PEER);
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
        *conn = p2p__peer_conn(host, peer);
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
    rc = p2p__peer_put_addr(host, peer, &bare, ttl_ms, false);
    p2p__peer_release(host, peer);
    return rc;
}

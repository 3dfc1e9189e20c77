/* The attempts of a dial: which addresses are tried, and what is learnt from it. */
#include "host/dial.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/addr_copy.h"
#include "codec/utf8.h"

enum {
    SILENT_US = 250 * 1000, /* no word for so long, while another address worked: swallowed */
};

static size_t index_of(const struct attempt *self)
{
    return (size_t)(self - self->dial->attempts);
}

static void facts_of(const struct attempt *self, p2p_multiaddr *addr, struct addr_facts *facts)
{
    addr_load(self->addr, addr);
    p2p__addr_facts(addr, facts);
}

/* ---- black holes: only of what leads into the internet ---- */

static struct black_hole *hole_of(p2p_host *host, const struct addr_facts *facts, unsigned nth)
{
    if (facts->reach != REACH_PUBLIC || facts->kind == KIND_RELAY)
        return NULL;
    if (nth == 0)
        return facts->udp ? &host->udp_hole : NULL;
    return facts->family == 6 ? &host->ip6_hole : NULL;
}

static void record(p2p_host *host, const struct addr_facts *facts, bool worked)
{
    for (unsigned nth = 0; nth < 2; nth++) {
        struct black_hole *hole = hole_of(host, facts, nth);
        if (hole)
            p2p__hole_record(hole, worked);
    }
}

static bool avoid(p2p_host *host, const struct addr_facts *facts)
{
    bool any = false;
    for (unsigned nth = 0; nth < 2; nth++) {
        struct black_hole *hole = hole_of(host, facts, nth);
        any = (hole && p2p__hole_avoid(hole)) || any;
    }
    return any;
}

/* Whether the other side has said anything yet. */
static bool answered(const struct attempt *self)
{
    return self->entry && self->entry->conn->stage > CONN_CONNECTING;
}

/* ---- adding ---- */

static struct attempt *find(struct dial *self, const p2p_multiaddr *addr)
{
    for (size_t i = 0; i < self->attempt_count; i++)
        if (addr_is(self->attempts[i].addr, addr))
            return &self->attempts[i];
    return NULL;
}

static void hold_back(struct attempt *self, uint64_t until_us, uint64_t now_us)
{
    char text[80];
    snprintf(text, sizeof(text), "it failed lately, and is not tried again for %u s",
             (unsigned)((until_us - now_us + 999999) / 1000000));
    self->ended = true;
    self->code = P2P_ECONN;
    self->error = p2p__strndup(text, strlen(text));
}

bool p2p__attempt_add(struct dial *self, const p2p_multiaddr *addr, bool asked)
{
    p2p_host *host = self->host;
    struct transport *transport;
    const char *why;
    uint64_t now = shard_now_us(&host->shard);
    struct attempt *known = find(self, addr);
    if (known && known->ended && !known->started && asked) {
        p2p__free(known->error); /* it was held back */
        known->error = NULL;
        known->ended = false;
        p2p__plan_allow(&self->plan, (int)index_of(known));
    }
    if (known)
        return true;
    if (p2p__transport_find(host, addr, &transport, &why) < 0)
        return false;
    struct addr_facts facts;
    p2p__addr_facts(addr, &facts);
    if (self->attempt_count == PLAN_MAX)
        return true;
    struct addr_copy *copy = addr_copy(addr);
    if (!copy)
        return false;
    int index = p2p__plan_add(&self->plan, &facts, avoid(host, &facts), now);
    struct attempt *attempt = &self->attempts[self->attempt_count++];
    *attempt = (struct attempt){.dial = self, .addr = copy, .transport = transport};
    uint64_t until = asked ? 0 : p2p__backoff_until(&host->backoff, &self->peer->id, addr, now);
    if (until) {
        hold_back(attempt, until, now);
        p2p__plan_skip(&self->plan, index);
    }
    return true;
}

/* ---- ending ---- */

/* Its place is free for another dial. */
static void leave(struct attempt *self)
{
    p2p_host *host = self->dial->host;
    self->entry = NULL;
    host->dialing--;
    struct list *node = list_pop(&host->starving);
    if (node)
        p2p__work_mark(&host->shard, &P2P__CONTAINER(node, struct dial, starving)->work);
}

static void over(struct attempt *self, int code, int sys_errno, const char *error)
{
    self->ended = true;
    self->code = code;
    self->sys_errno = sys_errno;
    self->error = p2p__strndup(error, strlen(error));
    p2p__plan_over(&self->dial->plan, (int)index_of(self));
}

/* What says something of the address, and not of us. */
static bool is_telling(int code)
{
    return code != P2P_ECANCELED && code != P2P_ELIMIT && code != P2P_ENOMEM && code != P2P_EDENIED;
}

static void again(struct attempt *self)
{
    self->started = false;
    p2p__plan_again(&self->dial->plan, (int)index_of(self));
}

static void log_failed(p2p_host *host, const p2p_multiaddr *addr, const p2p_error *why)
{
    char text[P2P_MULTIADDR_TEXT_MAX], reason[256];
    if (host->log.up_to[LOG_DIAL] < P2P_LOG_INFO)
        return;
    (void)p2p_multiaddr_format(addr, text, sizeof(text));
    (void)p2p__escape(why->message, strlen(why->message), reason, sizeof(reason));
    p2p__log(host, P2P_LOG_INFO, LOG_DIAL, "%.600s failed: %s", text, reason);
}

void p2p__attempt_failed(struct attempt *self, const p2p_error *why)
{
    p2p_host *host = self->dial->host;
    p2p_multiaddr addr;
    struct addr_facts facts;
    bool spoke = answered(self);
    facts_of(self, &addr, &facts);
    leave(self);
    log_failed(host, &addr, why);
    /* When both sides dial at once from their listening ports, TCP makes one connection of it with
     * an initiator at each end, whose handshakes cannot meet. A fresh port cannot collide. */
    if (self->shared_port && !self->fresh_port &&
        (why->code == P2P_EHANDSHAKE || why->code == P2P_EPROTO)) {
        self->fresh_port = true;
        again(self);
        return;
    }
    if (why->code == P2P_ENOSECURITY && !self->other_security && host->proposals[1]) {
        self->other_security = true;
        again(self);
        return;
    }
    if (spoke || why->code == P2P_ETIMEDOUT)
        record(host, &facts, spoke);
    if (is_telling(why->code))
        p2p__backoff_failed(&host->backoff, &self->dial->peer->id, &addr, host->shard.now_us);
    over(self, why->code, why->sys_errno,
         why->sys_errno && why->code == P2P_ECONN ? strerror(why->sys_errno) : why->message);
}

void p2p__attempt_won(struct attempt *self)
{
    p2p_host *host = self->dial->host;
    p2p_multiaddr addr;
    struct addr_facts facts;
    facts_of(self, &addr, &facts);
    record(host, &facts, true);
    p2p__backoff_worked(&host->backoff, &self->dial->peer->id, &addr);
}

void p2p__attempts_end(struct dial *self)
{
    p2p_host *host = self->host;
    for (size_t i = 0; i < self->attempt_count; i++) {
        struct attempt *attempt = &self->attempts[i];
        struct conn_entry *entry = attempt->entry;
        p2p_multiaddr addr;
        struct addr_facts facts;
        if (!entry)
            continue;
        facts_of(attempt, &addr, &facts);
        if (!answered(attempt) &&
            shard_now_us(&host->shard) - attempt->start_us >= (uint64_t)SILENT_US)
            record(host, &facts, false);
        entry->attempt = NULL;
        leave(attempt);
        if (!entry->opened)
            p2p__conn_end(entry->conn, (struct ending){.code = P2P_ECANCELED});
    }
}

/* ---- starting ---- */

static void fail_at_once(struct attempt *self, int code, int sys_errno, const char *error)
{
    p2p_multiaddr addr;
    addr_load(self->addr, &addr);
    if (is_telling(code))
        p2p__backoff_failed(&self->dial->host->backoff, &self->dial->peer->id, &addr,
                            self->dial->host->shard.now_us);
    over(self, code, sys_errno, error);
}

static void start(struct attempt *self)
{
    struct dial *dial = self->dial;
    p2p_host *host = dial->host;
    struct passage passage = {.link = NULL};
    int sys_errno = 0;
    bool fresh_port = (dial->flags & P2P_DIAL_NO_REUSE_PORT) || self->fresh_port;
    p2p_multiaddr addr;
    addr_load(self->addr, &addr);
    self->started = true;
    self->start_us = host->shard.now_us;
    p2p__plan_start(&dial->plan, (int)index_of(self), self->start_us);
    char denied[GATER_WHY_MAX];
    if (p2p__gate_dial(host, &dial->peer->id, &addr, denied)) {
        fail_at_once(self, P2P_EDENIED, 0, denied);
        return;
    }
    const char *limit = p2p__limits_refuse_out(host);
    if (limit) {
        char why[64];
        snprintf(why, sizeof(why), "the limit %s is reached", limit);
        p2p__refused(host, limit, "a dial was refused");
        fail_at_once(self, P2P_ELIMIT, 0, why);
        return;
    }
    int rc = self->transport->ops->dial(
        self->transport, &addr, fresh_port ? TRANSPORT_FRESH_PORT : 0, &passage, &sys_errno);
    if (rc < 0) {
        fail_at_once(self, rc, sys_errno, sys_errno ? strerror(sys_errno) : p2p_code_text(rc));
        return;
    }
    struct conn_entry *entry = NULL;
    if (!p2p__host_add_conn(host, self->transport, &passage, true, &dial->peer->id, &entry)) {
        fail_at_once(self, P2P_ENOMEM, 0, p2p_code_text(P2P_ENOMEM));
        return;
    }
    /* The one that nearly everybody has, alone: it saves a round trip. */
    if (self->other_security)
        p2p__conn_propose(entry->conn, 1, 0);
    else
        p2p__conn_propose(entry->conn, 0, 1);
    self->shared_port = passage.shared_port;
    self->entry = entry;
    entry->attempt = self;
    host->dialing++;
}

uint64_t p2p__attempts_run(struct dial *self)
{
    p2p_host *host = self->host;
    uint64_t wake_us;
    int index;
    while ((index = p2p__plan_next(&self->plan, host->shard.now_us, &wake_us)) >= 0) {
        if (host->dialing >= host->limits.dials_max) {
            if (list_empty(&self->starving))
                list_append(&host->starving, &self->starving);
            return HEAP_NEVER;
        }
        start(&self->attempts[index]);
    }
    return wake_us;
}

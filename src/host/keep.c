/* Peers that are connected to again, whenever the last connection has ended. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/addr_copy.h"
#include "host/host.h"
#include "host/target.h"

enum {
    FIRST_US = 1000 * 1000,
    LONGEST_US = 300 * 1000 * 1000,
    LASTING_US = 30 * 1000 * 1000, /* a connection that held so long was no failure */
    DOUBLINGS_MAX = 9,
};

struct keep {
    struct timer timer;
    p2p_host *host;
    struct peer *peer;
    p2p_op *op; /* connecting */
    unsigned failures;
    uint64_t opened_us; /* the first of its connections now */
    char target[];
};

uint64_t p2p__pause_us(p2p_host *host, uint64_t first_us, unsigned doublings, uint64_t longest_us)
{
    uint64_t pause = first_us << (doublings < DOUBLINGS_MAX ? doublings : DOUBLINGS_MAX);
    uint32_t random;
    if (pause > longest_us)
        pause = longest_us;
    p2p_host_random(host, &random, sizeof(random));
    return pause - pause / 4 + random % (pause / 2);
}

static void wait(struct keep *self)
{
    struct shard *shard = &self->host->shard;
    if (!self->host->closing && list_empty(&self->peer->conns))
        timer_set(shard, &self->timer,
                  shard_now_us(shard) +
                      p2p__pause_us(self->host, FIRST_US, self->failures, LONGEST_US));
}

static void connected(void *user, const p2p_error *why)
{
    struct keep *self = user;
    self->op = NULL;
    if (!why)
        return;
    self->failures++;
    wait(self);
}

static void fire(struct timer *timer)
{
    struct keep *self = P2P__CONTAINER(timer, struct keep, timer);
    if (self->op || self->host->closing || !list_empty(&self->peer->conns))
        return;
    /* Where it was named, but it may have moved: of the tries in a row that fail, every second goes
     * to whatever is known of it. */
    char known[P2P_PEER_ID_TEXT_MAX];
    const char *target = self->target;
    if (self->failures % 2 && self->peer->addrs &&
        p2p_peer_id_format(&self->peer->id, known, sizeof(known)) > 0)
        target = known;
    self->op = p2p_host_connect(self->host, target, NULL, connected, self);
    if (!self->op) {
        self->failures++;
        wait(self);
    }
}

void p2p__keep_opened(struct peer *peer)
{
    struct keep *self = peer->keep;
    if (!self)
        return;
    if (!self->opened_us)
        self->opened_us = shard_now_us(&self->host->shard);
    timer_set(&self->host->shard, &self->timer, HEAP_NEVER);
}

void p2p__keep_closed(struct peer *peer)
{
    struct keep *self = peer->keep;
    if (!self || !list_empty(&peer->conns))
        return;
    bool lasted = shard_now_us(&self->host->shard) - self->opened_us >= LASTING_US;
    self->opened_us = 0;
    self->failures = lasted ? 0 : self->failures + 1;
    wait(self);
}

/* ---- on and off ---- */

static void forget(void *user, const p2p_error *why)
{
    (void)user, (void)why;
}

void p2p__keep_free(p2p_host *host, struct peer *peer)
{
    struct keep *self = peer->keep;
    if (!self)
        return;
    timer_set(&host->shard, &self->timer, HEAP_NEVER);
    if (self->op) { /* what comes of it is nobody's any more */
        self->op->done = forget;
        p2p_op_cancel(self->op);
    }
    host->manager.cared--;
    p2p__free(self);
    peer->keep = NULL;
}

void p2p__keep_stop(p2p_host *host)
{
    for (struct list *node = host->peers.next; node != &host->peers; node = node->next) {
        struct keep *self = P2P__CONTAINER(node, struct peer, all)->keep;
        if (self)
            timer_set(&host->shard, &self->timer, HEAP_NEVER);
    }
}

int p2p_host_unkeep(p2p_host *host, const p2p_peer_id *id)
{
    struct peer *peer = p2p__peer_find(host, id);
    if (!peer || !peer->keep)
        return P2P_ENOENT;
    p2p__keep_free(host, peer);
    p2p__peer_release(host, peer);
    return 0;
}

static int keep(p2p_host *host, const char *text, char *why, size_t why_cap)
{
    struct target target;
    int rc = p2p__target_parse(host, text, &target, why, why_cap);
    if (rc < 0)
        return rc;
    if (!target.peer.len) {
        snprintf(why, why_cap, "it names no peer: /p2p/PEER is missing at its end");
        return P2P_EADDR;
    }
    if (p2p_peer_id_equal(&target.peer, p2p_host_peer(host))) {
        snprintf(why, why_cap, "that is this host itself");
        return P2P_EADDR;
    }
    struct peer *peer = p2p__peer_get(host, &target.peer);
    size_t len = strlen(text) + 1;
    struct keep *self = peer ? p2p__alloc(sizeof(*self) + len) : NULL;
    if (self && !peer->keep && host->manager.cared == MANAGER_CARED_MAX)
        rc = P2P_ELIMIT;
    if (!self || rc < 0) {
        p2p__free(self);
        if (peer)
            p2p__peer_release(host, peer);
        return rc < 0 ? rc : P2P_ENOMEM;
    }
    p2p__keep_free(host, peer);
    host->manager.cared++;
    self->timer.fire = fire;
    self->host = host;
    self->peer = peer;
    memcpy(self->target, text, len);
    peer->keep = self;
    if (!list_empty(&peer->conns))
        self->opened_us = shard_now_us(&host->shard);
    timer_set(&host->shard, &self->timer, shard_now_us(&host->shard));
    return 0;
}

int p2p_host_keep(p2p_host *host, const char *target)
{
    char why[256];
    return host->closing ? P2P_ECLOSED : keep(host, target, why, sizeof(why));
}

int p2p__keep_init(p2p_host *host, char *why, size_t why_cap)
{
    const char *list = p2p__config_text(host->config, OPTION_KEEP);
    for (; *list; list += *list == ',') {
        char text[P2P_MULTIADDR_TEXT_MAX], reason[256] = "it is too long";
        size_t len = strcspn(list, ",");
        int rc = P2P_EADDR;
        snprintf(text, sizeof(text), "%.*s", (int)len, list);
        if (len < sizeof(text))
            rc = keep(host, text, reason, sizeof(reason));
        if (rc < 0) {
            snprintf(why, why_cap, "option keep: %.200s: %s", text, reason);
            return rc;
        }
        list += len;
    }
    return 0;
}

#include "host/manager.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "host/host.h"

enum {
    REST_US = 10 * 1000 * 1000, /* between two trims: one must have had time to show */
};

/* ---- what a peer is worth ---- */

static struct care_tag *tag_find(const struct peer *peer, const char *name)
{
    struct care *care = peer ? peer->care : NULL;
    for (size_t i = 0; care && i < care->count; i++)
        if (strcmp(care->tags[i].name, name) == 0)
            return &care->tags[i];
    return NULL;
}

static int value_of(const struct peer *peer)
{
    long long sum = 0;
    for (size_t i = 0; peer->care && i < peer->care->count; i++)
        sum += peer->care->tags[i].value;
    return sum > INT_MAX ? INT_MAX : sum < INT_MIN ? INT_MIN : (int)sum;
}

static bool protects(const struct peer *peer)
{
    for (size_t i = 0; peer->care && i < peer->care->count; i++)
        if (peer->care->tags[i].protects)
            return true;
    return false;
}

static int care_get(p2p_host *host, struct peer *peer)
{
    if (peer->care)
        return 0;
    if (host->manager.cared == MANAGER_CARED_MAX)
        return P2P_ELIMIT;
    peer->care = p2p__alloc(sizeof(*peer->care));
    if (!peer->care)
        return P2P_ENOMEM;
    host->manager.cared++;
    return 0;
}

static void care_drop(p2p_host *host, struct peer *peer)
{
    p2p__free(peer->care);
    peer->care = NULL;
    host->manager.cared--;
}

/* The tag of that name, found or made. The peer is there then. */
static int tag_get(p2p_host *host, const p2p_peer_id *id, const char *name, struct care_tag **out)
{
    if (!*name || strlen(name) > P2P_TAG_MAX)
        return P2P_EINVAL;
    struct peer *peer = p2p__peer_get(host, id);
    if (!peer)
        return P2P_ENOMEM;
    *out = tag_find(peer, name);
    int rc = *out ? 0 : care_get(host, peer);
    if (rc == 0 && !*out && peer->care->count == P2P_TAGS_MAX)
        rc = P2P_ELIMIT;
    if (rc < 0) {
        p2p__peer_release(host, peer);
        return rc;
    }
    if (!*out) {
        *out = &peer->care->tags[peer->care->count++];
        **out = (struct care_tag){.value = 0};
        memcpy((*out)->name, name, strlen(name) + 1);
    }
    return 0;
}

/* One that says nothing any more goes. */
static void tag_settle(p2p_host *host, struct peer *peer, struct care_tag *tag)
{
    if (tag->value || tag->protects)
        return;
    *tag = peer->care->tags[--peer->care->count];
    if (peer->care->count)
        return;
    care_drop(host, peer);
    p2p__peer_release(host, peer);
}

int p2p_host_tag(p2p_host *host, const p2p_peer_id *id, const char *name, int value)
{
    struct care_tag *tag = tag_find(p2p__peer_find(host, id), name);
    int rc = tag || !value ? 0 : tag_get(host, id, name, &tag);
    if (rc < 0 || !tag)
        return rc;
    tag->value = value;
    tag_settle(host, p2p__peer_find(host, id), tag);
    return 0;
}

int p2p_host_tag_value(const p2p_host *host, const p2p_peer_id *id)
{
    const struct peer *peer = p2p__peer_find(host, id);
    return peer ? value_of(peer) : 0;
}

int p2p_host_protect(p2p_host *host, const p2p_peer_id *id, const char *name)
{
    struct care_tag *tag;
    int rc = tag_get(host, id, name, &tag);
    if (rc == 0)
        tag->protects = true;
    return rc;
}

int p2p_host_unprotect(p2p_host *host, const p2p_peer_id *id, const char *name)
{
    struct care_tag *tag = tag_find(p2p__peer_find(host, id), name);
    if (tag) {
        tag->protects = false;
        tag_settle(host, p2p__peer_find(host, id), tag);
    }
    return p2p_host_is_protected(host, id, NULL);
}

int p2p_host_is_protected(const p2p_host *host, const p2p_peer_id *id, const char *name)
{
    const struct peer *peer = p2p__peer_find(host, id);
    const struct care_tag *tag = name ? tag_find(peer, name) : NULL;
    return name ? tag && tag->protects : peer && protects(peer);
}

/* ---- trimming ---- */

struct candidate {
    p2p_conn *conn;
    int value;
    uint32_t streams;
};

/* Those that go first come first. */
static int by_worth(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    if (x->conn->outbound != y->conn->outbound)
        return x->conn->outbound ? 1 : -1;
    if (x->streams != y->streams)
        return x->streams < y->streams ? -1 : 1;
    return x->conn->id < y->conn->id ? -1 : 1;
}

static bool may_go(const p2p_host *host, const struct conn_entry *entry)
{
    const p2p_conn *conn = entry->conn;
    return entry->opened && conn->stage == CONN_OPEN && entry->peer && !entry->peer->keep &&
           !protects(entry->peer) &&
           shard_now_us(&host->shard) - entry->opened_us >= host->manager.grace_us;
}

static size_t collect(p2p_host *host, struct candidate *out, size_t cap)
{
    size_t count = 0;
    for (struct list *n = host->conns.next; n != &host->conns && count < cap; n = n->next) {
        p2p_conn *conn = P2P__CONTAINER(n, p2p_conn, all);
        const struct conn_entry *entry = conn->owner_data;
        if (may_go(host, entry))
            out[count++] = (struct candidate){conn, value_of(entry->peer),
                                              conn->muxer->streams_in + conn->muxer->streams_out};
    }
    return count;
}

/* Connections that are on their way out count as gone. */
static size_t staying(const p2p_host *host)
{
    size_t count = 0;
    for (const struct list *n = host->conns.next; n != &host->conns; n = n->next) {
        const p2p_conn *conn = P2P__CONTAINER(n, const p2p_conn, all);
        count += conn->stage == CONN_OPEN;
    }
    return count;
}

size_t p2p_host_trim(p2p_host *host)
{
    size_t open = staying(host), low = host->manager.low;
    if (open <= low)
        return 0;
    struct candidate *candidates = p2p__realloc(NULL, open * sizeof(*candidates));
    if (!candidates)
        return 0; /* the hard limits hold */
    size_t count = collect(host, candidates, open);
    size_t ending = open - low < count ? open - low : count;
    qsort(candidates, count, sizeof(*candidates), by_worth);
    for (size_t i = 0; i < ending; i++) {
        p2p__refused(host, "conns_high", "a connection was ended, because there were too many");
        p2p__conn_end(candidates[i].conn,
                      (struct ending){.code = P2P_ELIMIT,
                                      .limit = "conns_high",
                                      .message = "there were too many connections, and others are "
                                                 "worth more"});
    }
    p2p__free(candidates);
    return ending;
}

static void tend(struct timer *timer)
{
    p2p_host *host = P2P__CONTAINER(timer, p2p_host, manager.timer);
    struct manager *self = &host->manager;
    if (host->closing || self->open <= self->high)
        return;
    uint64_t now_us = shard_now_us(&host->shard);
    (void)p2p_host_trim(host);
    self->rest_until_us = now_us + REST_US;
    timer_set(&host->shard, &self->timer, self->rest_until_us); /* some may have been too young */
}

void p2p__manager_opened(p2p_host *host, struct conn_entry *entry)
{
    struct manager *self = &host->manager;
    uint64_t now_us = shard_now_us(&host->shard);
    entry->opened_us = now_us;
    self->open++;
    p2p__keep_opened(entry->peer);
    if (self->open > self->high && !self->timer.node.queued)
        timer_set(&host->shard, &self->timer,
                  self->rest_until_us > now_us ? self->rest_until_us : now_us);
}

void p2p__manager_closed(p2p_host *host, struct conn_entry *entry)
{
    host->manager.open--;
    if (!host->closing)
        p2p__keep_closed(entry->peer);
}

int p2p__manager_init(p2p_host *host, char *why, size_t why_cap)
{
    struct manager *self = &host->manager;
    *self = (struct manager){
        .low = (uint32_t)p2p__config_number(host->config, OPTION_CONNS_LOW),
        .high = (uint32_t)p2p__config_number(host->config, OPTION_CONNS_HIGH),
        .grace_us = p2p__config_number(host->config, OPTION_CONNS_GRACE) * 1000,
        .timer = {.fire = tend},
    };
    if (self->low <= self->high)
        return 0;
    snprintf(why, why_cap, "option conns_low is %u, and conns_high only %u", self->low, self->high);
    return P2P_EINVAL;
}

void p2p__manager_close(p2p_host *host)
{
    timer_set(&host->shard, &host->manager.timer, HEAP_NEVER);
    p2p__keep_stop(host);
    p2p__bootstrap_close(host);
}

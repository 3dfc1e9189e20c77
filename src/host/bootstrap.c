#include "host/bootstrap.h"

#include <stdio.h>
#include <string.h>

#include <p2p/peerstore.h>

#include "host/host.h"
#include "host/target.h"

/* ---- those that are configured ---- */

/* The index-th of the list; false past the end. */
static bool configured(const p2p_host *host, size_t index, char out[P2P_MULTIADDR_TEXT_MAX])
{
    const char *list = p2p__config_text(host->config, OPTION_BOOTSTRAP);
    for (; *list; list += *list == ',') {
        size_t len = strcspn(list, ",");
        if (index-- == 0) {
            snprintf(out, P2P_MULTIADDR_TEXT_MAX, "%.*s", (int)len, list);
            return true;
        }
        list += len;
    }
    return false;
}

static size_t count_configured(const p2p_host *host)
{
    char text[P2P_MULTIADDR_TEXT_MAX];
    size_t count = 0;
    while (configured(host, count, text))
        count++;
    return count;
}

static bool is_configured(const p2p_host *host, const p2p_peer_id *peer)
{
    char text[P2P_MULTIADDR_TEXT_MAX], why[256];
    struct target target;
    for (size_t i = 0; configured(host, i, text); i++)
        if (p2p__target_parse(host, text, &target, why, sizeof(why)) == 0 &&
            p2p_peer_id_equal(&target.peer, peer))
            return true;
    return false;
}

/* ---- those that stayed ---- */

static bool has_lasted(const p2p_host *host, const struct peer *peer)
{
    uint64_t now_us = shard_now_us(&host->shard);
    for (struct list *node = peer->conns.next; node != &peer->conns; node = node->next) {
        const struct conn_entry *entry = P2P__CONTAINER(node, struct conn_entry, of_peer);
        if (entry->opened && entry->conn->outbound && !entry->conn->limited &&
            now_us - entry->opened_us >= BOOTSTRAP_LASTING_US)
            return true;
    }
    return false;
}

/* Room for one more: the one that was seen longest ago goes, if it is not connected. */
static bool make_room(p2p_host *host)
{
    size_t count = 0;
    struct peer *oldest = NULL;
    for (struct list *node = host->peers.next; node != &host->peers; node = node->next) {
        struct peer *peer = P2P__CONTAINER(node, struct peer, all);
        count += peer->lasted_s != 0;
        if (peer->lasted_s && list_empty(&peer->conns) &&
            (!oldest || peer->lasted_s < oldest->lasted_s))
            oldest = peer;
    }
    if (count < BOOTSTRAP_LEARNED_MAX)
        return true;
    if (!oldest)
        return false;
    oldest->lasted_s = 0;
    p2p__remember_peer(host, oldest);
    return true;
}

/* Whom we dialed: nobody gets onto the list by coming to us. */
static void note_lasting(p2p_host *host)
{
    int64_t now_s = io_wall_s(host->shard.io);
    for (struct list *node = host->peers.next; node != &host->peers; node = node->next) {
        struct peer *peer = P2P__CONTAINER(node, struct peer, all);
        if (!has_lasted(host, peer) || (!peer->lasted_s && !make_room(host)))
            continue;
        uint64_t until_us = shard_now_us(&host->shard) + (uint64_t)BOOTSTRAP_KEPT_MS * 1000;
        bool news = now_s - peer->lasted_s > 3600;
        for (struct known_addr *known = peer->addrs; news && known; known = known->next)
            if (known->learned)
                known->expires_us = until_us;
        if (news) {
            peer->lasted_s = now_s > 0 ? now_s : 1;
            p2p__remember_peer(host, peer);
        }
    }
}

/* ---- dialing ---- */

static void connected(void *user, const p2p_error *why)
{
    struct bootstrap_try *try = user;
    struct bootstrap *self = &try->host->bootstrap;
    try->op = NULL;
    self->failures = why ? self->failures + 1 : 0;
}

static bool dial(p2p_host *host, const char *target)
{
    struct bootstrap_try *try = host->bootstrap.tries;
    while (try < host->bootstrap.tries + BOOTSTRAP_ENOUGH && try->op)
        try++;
    if (try == host->bootstrap.tries + BOOTSTRAP_ENOUGH)
        return false;
    try->host = host;
    try->op = p2p_host_connect(host, target, NULL, connected, try);
    return try->op != NULL;
}

static size_t dial_configured(p2p_host *host, size_t room)
{
    struct bootstrap *self = &host->bootstrap;
    size_t dialed = 0, count = count_configured(host);
    for (size_t i = 0; i < count && dialed < room; i++) {
        char text[P2P_MULTIADDR_TEXT_MAX], why[256];
        struct target target;
        if (!configured(host, self->next++ % count, text) ||
            p2p__target_parse(host, text, &target, why, sizeof(why)) < 0 ||
            (target.peer.len && p2p_host_conn(host, &target.peer)))
            continue;
        dialed += dial(host, text);
    }
    return dialed;
}

/* From a random one on, so that one that is gone is not all that is tried. */
static size_t dial_learned(p2p_host *host, size_t room)
{
    size_t count = 0, dialed = 0;
    uint32_t skip;
    for (struct list *node = host->peers.next; node != &host->peers; node = node->next)
        count += P2P__CONTAINER(node, struct peer, all)->lasted_s != 0;
    if (!count)
        return 0;
    p2p_host_random(host, &skip, sizeof(skip));
    skip %= (uint32_t)count;
    struct list *node = host->peers.next;
    for (size_t seen = 0; seen < skip + count && dialed < room; node = node->next) {
        if (node == &host->peers)
            continue;
        struct peer *peer = P2P__CONTAINER(node, struct peer, all);
        char text[P2P_PEER_ID_TEXT_MAX];
        if (!peer->lasted_s || seen++ < skip || !list_empty(&peer->conns) || !peer->addrs)
            continue;
        (void)p2p_peer_id_format(&peer->id, text, sizeof(text));
        dialed += dial(host, text);
    }
    return dialed;
}

static void fire(struct timer *timer)
{
    p2p_host *host = P2P__CONTAINER(timer, p2p_host, bootstrap.timer);
    struct bootstrap *self = &host->bootstrap;
    uint64_t first_us = BOOTSTRAP_LOOK_US;
    unsigned doublings = 0;
    if (host->closing)
        return;
    note_lasting(host);
    if (host->manager.open < BOOTSTRAP_ENOUGH) {
        size_t room = BOOTSTRAP_ENOUGH - host->manager.open;
        /* Those that stayed only when the configured ones are too few, or do not answer. */
        size_t first = self->failures && room > 1 ? dial_learned(host, room / 2) : 0;
        size_t dialed = first + dial_configured(host, room - first);
        if (dialed < room)
            (void)dial_learned(host, room - dialed);
        first_us = BOOTSTRAP_FIRST_US;
        doublings = self->failures / BOOTSTRAP_ENOUGH;
    }
    timer_set(&host->shard, timer,
              shard_now_us(&host->shard) +
                  p2p__pause_us(host, first_us, doublings, BOOTSTRAP_LONGEST_US));
}

/* ---- the whole ---- */

int p2p__bootstrap_init(p2p_host *host, char *why, size_t why_cap)
{
    const char *list = p2p__config_text(host->config, OPTION_BOOTSTRAP);
    char text[P2P_MULTIADDR_TEXT_MAX], reason[256];
    struct target target;
    uint32_t random;
    host->bootstrap.timer.fire = fire;
    for (const char *at = list; *at; at += *at == ',') {
        size_t len = strcspn(at, ",");
        int rc = P2P_EADDR;
        snprintf(text, sizeof(text), "%.*s", (int)len, at);
        snprintf(reason, sizeof(reason), "it is too long");
        if (len < sizeof(text))
            rc = p2p__target_parse(host, text, &target, reason, sizeof(reason));
        if (rc < 0) {
            snprintf(why, why_cap, "option bootstrap: %.200s: %s", text, reason);
            return rc;
        }
        at += len;
    }
    if (!*list)
        return 0;
    p2p_host_random(host, &random, sizeof(random));
    host->bootstrap.next = random;
    timer_set(&host->shard, &host->bootstrap.timer, shard_now_us(&host->shard));
    return 0;
}

void p2p__bootstrap_close(p2p_host *host)
{
    timer_set(&host->shard, &host->bootstrap.timer, HEAP_NEVER);
}

/* ---- what an application asks ---- */

int p2p_host_is_bootstrap(const p2p_host *host, const p2p_peer_id *id)
{
    const struct peer *peer = p2p__peer_find(host, id);
    return (peer && peer->lasted_s) || is_configured(host, id);
}

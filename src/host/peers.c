/* Whom the host knows: addresses, connections, and what each peer uses of it. */
#include "host/host.h"

#include <string.h>

#include "base/mem.h"
#include "codec/addr_copy.h"

static uint64_t hash_of(const p2p_host *host, const p2p_peer_id *id)
{
    return p2p__hash(&host->shard.hash_key, id->bytes, id->len);
}

struct peer *p2p__peer_find(const p2p_host *host, const p2p_peer_id *id)
{
    struct map_node *node = p2p__map_first(&host->peer_map, hash_of(host, id));
    for (; node; node = p2p__map_next(node)) {
        struct peer *peer = P2P__CONTAINER(node, struct peer, node);
        if (p2p_peer_id_equal(&peer->id, id))
            return peer;
    }
    return NULL;
}

struct peer *p2p__peer_get(p2p_host *host, const p2p_peer_id *id)
{
    struct peer *peer = p2p__peer_find(host, id);
    if (peer)
        return peer;
    peer = p2p__alloc(sizeof(*peer));
    if (!peer)
        return NULL;
    peer->id = *id;
    list_init(&peer->conns);
    list_append(&host->peers, &peer->all);
    p2p__map_put(&host->peer_map, &peer->node, hash_of(host, id));
    return peer;
}

void p2p__peer_drop_addr(struct peer *peer, struct known_addr **at)
{
    struct known_addr *known = *at;
    *at = known->next;
    p2p__free(known->addr);
    p2p__free(known);
    peer->addr_count--;
}

static void drop_expired(p2p_host *host, struct peer *peer)
{
    uint64_t now = io_now_us(host->shard.io);
    struct known_addr **at = &peer->addrs;
    while (*at) {
        if ((*at)->expires_us > now)
            at = &(*at)->next;
        else
            p2p__peer_drop_addr(peer, at);
    }
}

void p2p__peer_free(p2p_host *host, struct peer *peer)
{
    p2p__map_remove(&host->peer_map, &peer->node);
    list_remove(&peer->all);
    while (peer->addrs)
        p2p__peer_drop_addr(peer, &peer->addrs);
    p2p__keep_free(host, peer);
    p2p__notes_free(peer);
    p2p__free(peer->identity);
    p2p__free(peer->care);
    p2p__free(peer->load.by_slot);
    p2p__free(peer);
}

void p2p__peer_release(p2p_host *host, struct peer *peer)
{
    drop_expired(host, peer);
    if (list_empty(&peer->conns) && !peer->dial && !peer->addrs && peer->load.streams_in == 0 &&
        !peer->care && !peer->keep && !peer->notes) {
        p2p__remember_gone(host, peer);
        p2p__peer_free(host, peer);
    }
}

void p2p__peers_fini(p2p_host *host)
{
    while (!list_empty(&host->peers))
        p2p__peer_free(host, P2P__CONTAINER(host->peers.next, struct peer, all));
    p2p__map_fini(&host->peer_map);
}

int p2p__peer_put_addr(p2p_host *host, struct peer *peer, const p2p_multiaddr *addr, int ttl_ms,
                       bool learned)
{
    uint64_t expires =
        ttl_ms < 0 ? HEAP_NEVER : io_now_us(host->shard.io) + (uint64_t)ttl_ms * 1000;
    drop_expired(host, peer);
    for (struct known_addr *known = peer->addrs; known; known = known->next) {
        if (addr_is(known->addr, addr)) {
            known->expires_us = expires > known->expires_us ? expires : known->expires_us;
            known->learned = known->learned && learned;
            p2p__remember_peer(host, peer);
            return 0;
        }
    }
    if (peer->addr_count == PEER_ADDRS_MAX)
        return P2P_ELIMIT;
    struct known_addr *known = p2p__alloc(sizeof(*known));
    struct addr_copy *copy = addr_copy(addr);
    if (!known || !copy) {
        p2p__free(known);
        p2p__free(copy);
        return P2P_ENOMEM;
    }
    *known = (struct known_addr){
        .next = peer->addrs, .addr = copy, .expires_us = expires, .learned = learned};
    peer->addrs = known;
    peer->addr_count++;
    p2p__remember_peer(host, peer);
    return 0;
}

/* ---- what an application asks ---- */

static bool has_addr(const struct peer *peer, uint64_t now_us)
{
    for (const struct known_addr *known = peer->addrs; known; known = known->next)
        if (known->expires_us > now_us)
            return true;
    return false;
}

int p2p_host_known_peer(const p2p_host *host, size_t index, p2p_peer_id *out)
{
    uint64_t now_us = io_now_us(host->shard.io);
    for (struct list *node = host->peers.next; node != &host->peers; node = node->next) {
        const struct peer *peer = P2P__CONTAINER(node, struct peer, all);
        if (has_addr(peer, now_us) && index-- == 0) {
            *out = peer->id;
            return 0;
        }
    }
    return P2P_ENOENT;
}

int p2p_host_known_addr(const p2p_host *host, const p2p_peer_id *id, size_t index,
                        p2p_multiaddr *out)
{
    const struct peer *peer = p2p__peer_find(host, id);
    uint64_t now_us = io_now_us(host->shard.io);
    for (const struct known_addr *known = peer ? peer->addrs : NULL; known; known = known->next) {
        if (known->expires_us > now_us && index-- == 0) {
            addr_load(known->addr, out);
            return 0;
        }
    }
    return P2P_ENOENT;
}

/* Of several: not over a relay, and when both sides dialed, what the peer with the greater id did:
 * both choose the same one. Otherwise the oldest. */
static unsigned rank_conn(const p2p_conn *conn, const p2p_peer_id *own)
{
    bool ours = memcmp(own->bytes, conn->peer.bytes, sizeof(own->bytes)) > 0;
    return (conn->limited ? 0u : 2u) + (conn->outbound == ours ? 1u : 0u);
}

p2p_conn *p2p__peer_conn(const p2p_host *host, const struct peer *peer)
{
    p2p_conn *best = NULL;
    const p2p_peer_id *own = p2p_host_peer(host);
    for (struct list *node = peer->conns.next; node != &peer->conns; node = node->next) {
        p2p_conn *conn = P2P__CONTAINER(node, struct conn_entry, of_peer)->conn;
        if (conn->stage != CONN_OPEN || !conn->opened_told || conn->muxer->goaway_received)
            continue;
        if (!best || rank_conn(conn, own) > rank_conn(best, own))
            best = conn;
    }
    return best;
}

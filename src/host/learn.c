/* What peers say of themselves, and what of it is remembered. */
#include "host/host.h"

#include <p2p/peerstore.h>

#include "base/mem.h"
#include "codec/addr_copy.h"
#include "codec/addr_facts.h"
#include "codec/peer_record.h"

static bool only_learned(const struct peer *peer)
{
    for (const struct known_addr *known = peer->addrs; known; known = known->next)
        if (!known->learned)
            return false;
    return peer->addrs != NULL;
}

/* Room for one more peer that told of itself: the one longest known goes, of those that are not
 * connected and that the application has said nothing of. */
static bool make_room(p2p_host *host)
{
    size_t count = 0;
    struct peer *oldest = NULL;
    for (struct list *node = host->peers.next; node != &host->peers; node = node->next) {
        struct peer *peer = P2P__CONTAINER(node, struct peer, all);
        if (!only_learned(peer))
            continue;
        count++;
        if (!oldest && list_empty(&peer->conns) && !peer->dial && peer->load.streams_in == 0 &&
            !peer->care && !peer->keep && !peer->notes && !peer->lasted_s)
            oldest = peer;
    }
    if (count < REMEMBER_LEARNED_PEERS)
        return true;
    if (!oldest)
        return false;
    p2p__remember_gone(host, oldest);
    p2p__peer_free(host, oldest);
    return true;
}

static void forget_learned(struct peer *peer)
{
    struct known_addr **at = &peer->addrs;
    while (*at) {
        if ((*at)->learned)
            p2p__peer_drop_addr(peer, at);
        else
            at = &(*at)->next;
    }
}

static enum addr_reach reach_of(const p2p_conn *conn)
{
    p2p_multiaddr remote;
    struct addr_facts facts;
    p2p_conn_remote_addr(conn, &remote);
    p2p__addr_facts(&remote, &facts);
    if (facts.kind == KIND_RELAY)
        return REACH_PUBLIC;
    /* Without an address: this machine, or a wire's other end. */
    return facts.reach == REACH_NONE ? REACH_LOOPBACK : facts.reach;
}

/* How near the peer is by its nearest connection. One that is not connected is taken at its word.
 */
static enum addr_reach nearest(const struct peer *peer)
{
    enum addr_reach nearest = list_empty(&peer->conns) ? REACH_LOOPBACK : REACH_PUBLIC;
    for (struct list *node = peer->conns.next; node != &peer->conns; node = node->next) {
        enum addr_reach reach = reach_of(P2P__CONTAINER(node, struct conn_entry, of_peer)->conn);
        if (reach < nearest)
            nearest = reach;
    }
    return nearest;
}

/* Who is far away knows nothing of this machine's or network's inside; what it says of that would
 * have us dial there. Names would make us ask name servers for whatever a peer likes; paths and
 * numbers, open sockets of this machine. */
static bool is_credible(enum addr_reach nearest, const p2p_multiaddr *addr)
{
    struct addr_facts facts;
    p2p__addr_facts(addr, &facts);
    switch (facts.reach) {
    case REACH_LOOPBACK:
        return nearest == REACH_LOOPBACK;
    case REACH_LINK_LOCAL:
    case REACH_PRIVATE:
        return nearest <= REACH_PRIVATE;
    case REACH_PUBLIC:
        return true;
    case REACH_NONE:
    case REACH_UNUSABLE:
        break;
    }
    return false;
}

static void put_credible(p2p_host *host, struct peer *peer, enum addr_reach near,
                         const struct p2p__const_iov *addrs, size_t addr_count)
{
    size_t taken = 0;
    int ttl_ms = peer->lasted_s ? BOOTSTRAP_KEPT_MS : REMEMBER_LEARNED_MS;
    for (size_t i = 0; i < addr_count && taken < REMEMBER_LEARNED_MAX; i++) {
        p2p_multiaddr addr;
        p2p_peer_id named;
        struct transport *transport;
        const char *why;
        if (p2p_multiaddr_decode(addrs[i].base, addrs[i].len, &addr) < 0)
            continue;
        p2p__addr_take_peer(&addr, &named);
        if (named.len == 0 && is_credible(near, &addr) &&
            p2p__transport_find(host, &addr, &transport, &why) == 0)
            taken += p2p__peer_put_addr(host, peer, &addr, ttl_ms, true) == 0;
    }
}

/* 1: taken; 0: something newer is known; P2P_ELIMIT. */
static int learn(p2p_host *host, struct peer *peer, enum addr_reach near, bool is_signed,
                 uint64_t record_seq, const struct p2p__const_iov *addrs, size_t addr_count)
{
    /* What is just said counts until the peer signed something. */
    if (record_seq < peer->record_seq || (!is_signed && peer->record_seq))
        return 0;
    if (!peer->addrs && !make_room(host))
        return P2P_ELIMIT;
    forget_learned(peer);
    if (is_signed)
        peer->record_seq = record_seq;
    put_credible(host, peer, near, addrs, addr_count);
    p2p__remember_peer(host, peer);
    return 1;
}

void p2p__peer_learn(p2p_host *host, const p2p_peer_id *id, bool is_signed, uint64_t record_seq,
                     const struct p2p__const_iov *addrs, size_t addr_count)
{
    struct peer *peer = p2p__peer_find(host, id);
    if (peer && !host->closing)
        (void)learn(host, peer, nearest(peer), is_signed, record_seq, addrs, addr_count);
}

static int learn_identity(p2p_host *host, struct peer *peer, enum addr_reach near)
{
    const p2p_identity *identity = peer->identity;
    struct p2p__const_iov addrs[P2P_IDENTITY_ADDRS_MAX];
    for (size_t i = 0; i < identity->addr_count; i++)
        addrs[i] = (struct p2p__const_iov){identity->addrs[i].bytes, identity->addrs[i].len};
    return learn(host, peer, near, identity->signed_record != 0, identity->record_seq, addrs,
                 identity->addr_count);
}

const p2p_identity *p2p__peer_said(p2p_host *host, p2p_identity *identity)
{
    struct peer *peer = p2p__peer_find(host, &identity->peer);
    if (!peer) {
        p2p__free(identity);
        return NULL;
    }
    p2p__free(peer->identity);
    peer->identity = identity;
    if (host->remember.store && !host->closing) {
        (void)learn_identity(host, peer, nearest(peer));
        p2p__remember_peer(host, peer);
    }
    return identity;
}

void p2p__peer_parting(p2p_host *host, struct peer *peer)
{
    if (!peer->identity || host->closing)
        return;
    if (!host->remember.store)
        (void)learn_identity(host, peer, nearest(peer));
    if (p2p__identity_size(peer->identity) > REMEMBER_IDENTITY_MAX) {
        p2p__free(peer->identity);
        peer->identity = NULL;
    }
}

/* ---- what an application asks ---- */

static int take_record(p2p_host *host, struct peer *peer, const struct identity_parts *said,
                       enum addr_reach near)
{
    if (said->record_seq < peer->record_seq)
        return 0;
    p2p_identity *identity = p2p__identity_merge(peer->identity, said, &peer->id);
    if (!identity)
        return P2P_ENOMEM;
    if (list_empty(&peer->conns) && p2p__identity_size(identity) > REMEMBER_IDENTITY_MAX) {
        p2p__free(identity);
        return P2P_ELIMIT;
    }
    p2p__free(peer->identity);
    peer->identity = identity;
    return learn_identity(host, peer, near);
}

int p2p_host_learn_record(p2p_host *host, const void *envelope, size_t len, const p2p_conn *from,
                          p2p_peer_id *peer_id)
{
    struct p2p__peer_record record;
    struct identity_parts said = {.record = {envelope, len}};
    if (host->closing)
        return P2P_ECLOSED;
    int rc = p2p__peer_record_open(envelope, len, &record);
    if (rc == 0)
        rc = p2p__identity_take_record(&said, &record.peer);
    if (rc < 0)
        return rc;
    if (peer_id)
        *peer_id = record.peer;
    if (!p2p__peer_find(host, &record.peer) && host->peer_map.count >= PEERS_MAX)
        return P2P_ELIMIT;
    struct peer *peer = p2p__peer_get(host, &record.peer);
    if (!peer)
        return P2P_ENOMEM;
    rc = take_record(host, peer, &said, from ? reach_of(from) : REACH_LOOPBACK);
    p2p__peer_release(host, peer);
    return rc;
}

const uint8_t *p2p_host_peer_key(const p2p_host *host, const p2p_peer_id *id, size_t *len)
{
    const uint8_t *inside = p2p_peer_id_public_key(id, len);
    const struct peer *peer = inside ? NULL : p2p__peer_find(host, id);
    if (!peer || !peer->identity)
        return inside;
    *len = peer->identity->public_key_len;
    return peer->identity->public_key;
}

int p2p_host_forget(p2p_host *host, const p2p_peer_id *id)
{
    struct peer *peer = p2p__peer_find(host, id);
    if (!peer || !(peer->addrs || peer->identity || peer->notes))
        return P2P_ENOENT;
    while (peer->addrs)
        p2p__peer_drop_addr(peer, &peer->addrs);
    p2p__notes_free(peer);
    p2p__free(peer->identity);
    peer->identity = NULL;
    peer->record_seq = 0;
    peer->lasted_s = 0;
    p2p__remember_peer(host, peer);
    p2p__peer_release(host, peer);
    return 0;
}

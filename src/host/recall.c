/* What a store tells of peers, read once when the host is made. */
#include <string.h>

#include "base/mem.h"
#include "codec/addr_copy.h"
#include "codec/addr_facts.h"
#include "host/host.h"
#include "host/peer_value.h"
#include "host/remember.h"
#include "host/resolve.h"

_Static_assert((int)PEER_VALUE_ADDRS_MAX == (int)PEER_ADDRS_MAX, "all of a peer's");

/* Milliseconds left, -1 for ever, 0 if it is over. */
static int ttl_of(const p2p_host *host, uint64_t expires_s)
{
    int64_t now_s = io_wall_s(host->shard.io);
    if (expires_s == 0)
        return -1;
    if (now_s < 0 || expires_s <= (uint64_t)now_s)
        return 0;
    uint64_t left_s = expires_s - (uint64_t)now_s;
    return left_s < INT32_MAX / 1000 ? (int)left_s * 1000 : INT32_MAX;
}

static void load_addr(p2p_host *host, struct peer *peer, const struct peer_value_addr *stored)
{
    p2p_multiaddr addr;
    p2p_peer_id named;
    int ttl_ms = ttl_of(host, stored->expires_s);
    if (ttl_ms == 0 || p2p_multiaddr_decode(stored->bytes, stored->len, &addr) < 0)
        return;
    struct transport *transport;
    const char *why;
    p2p__addr_take_peer(&addr, &named);
    if (named.len == 0 &&
        (p2p__resolve_has_name(&addr) || p2p__transport_find(host, &addr, &transport, &why) == 0))
        (void)p2p__peer_put_addr(host, peer, &addr, ttl_ms, stored->learned);
}

/* As little believed as when the peer said it: a key must be the id's, a record the peer's own. */
static void load_said(struct peer *peer, struct peer_value *stored)
{
    struct identity_parts *said = &stored->said;
    p2p_peer_id claimed;
    if (said->public_key.len &&
        (p2p_peer_id_from_public_key(said->public_key.base, said->public_key.len, &claimed) < 0 ||
         !p2p_peer_id_equal(&claimed, &peer->id)))
        said->public_key.len = 0;
    said->any_protocols = said->protocol_count > 0;
    if (said->record.len)
        (void)p2p__identity_take_record(said, &peer->id);
    if (said->protocol_count || said->agent.len || said->public_key.len || said->signed_record)
        peer->identity = p2p__identity_merge(NULL, said, &peer->id); /* or, without memory, not */
}

static void load_note(struct peer *peer, const struct peer_value_note *stored)
{
    char name[P2P_NOTE_NAME_MAX + 1];
    if (stored->name.len > P2P_NOTE_NAME_MAX)
        return;
    memcpy(name, stored->name.base, stored->name.len);
    name[stored->name.len] = '\0';
    (void)p2p__note_put(peer, name, stored->bytes.len ? stored->bytes.base : (const uint8_t *)"",
                        stored->bytes.len);
}

static bool load_peer(void *user, const uint8_t *key, size_t key_len, const uint8_t *value,
                      size_t value_len)
{
    p2p_host *host = user;
    p2p_peer_id id;
    struct peer_value stored;
    if (host->peer_map.count >= PEERS_MAX)
        return false;
    /* What is no peer is nobody's loss: it will be written over. */
    if (p2p_peer_id_decode(key + REMEMBER_PREFIX_LEN, key_len - REMEMBER_PREFIX_LEN, &id) < 0 ||
        p2p__peer_value_decode(value, value_len, &stored) < 0)
        return true;
    struct peer *peer = p2p__peer_get(host, &id);
    if (!peer)
        return false;
    peer->stored = true;
    peer->record_seq = stored.record_seq;
    peer->lasted_s = stored.lasted_s <= INT64_MAX ? (int64_t)stored.lasted_s : 0;
    load_said(peer, &stored);
    for (size_t i = 0; i < stored.note_count; i++)
        load_note(peer, &stored.notes[i]);
    for (size_t i = stored.count; i-- > 0;) /* they are put in front of each other */
        load_addr(host, peer, &stored.addrs[i]);
    peer->unsaved = false;
    p2p__peer_release(host, peer);
    return true;
}

int p2p__recall(p2p_host *host, struct store *store)
{
    return store->ops->each(store, REMEMBER_PREFIX, REMEMBER_PREFIX_LEN, load_peer, host);
}

#include "host/remember.h"

#include <string.h>

#include "base/mem.h"
#include "codec/addr_copy.h"
#include "codec/addr_facts.h"
#include "host/host.h"
#include "host/peer_value.h"
#include "host/resolve.h"

static const char PREFIX[] = "peer/";

enum {
    PREFIX_LEN = sizeof(PREFIX) - 1,
    KEY_MAX = PREFIX_LEN + sizeof(((p2p_peer_id *)0)->bytes),
};

_Static_assert((int)PEER_VALUE_ADDRS_MAX == (int)PEER_ADDRS_MAX, "all of a peer's");

static int64_t wall_s(const p2p_host *host)
{
    return host->shard.io->ops->wall_us(host->shard.io) / 1000000;
}

static size_t key_of(const struct peer *peer, uint8_t *out)
{
    memcpy(out, PREFIX, PREFIX_LEN);
    memcpy(out + PREFIX_LEN, peer->id.bytes, peer->id.len);
    return PREFIX_LEN + peer->id.len;
}

/* ---- reading ---- */

/* Milliseconds left, -1 for ever, 0 if it is over. */
static int ttl_of(const p2p_host *host, uint64_t expires_s)
{
    int64_t now_s = wall_s(host);
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
    if (p2p_peer_id_decode(key + PREFIX_LEN, key_len - PREFIX_LEN, &id) < 0 ||
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

/* ---- writing ---- */

static void arm(p2p_host *host, int after_ms)
{
    struct remember *self = &host->remember;
    if (self->store && !self->due) {
        self->due = true;
        timer_set(&host->shard, &self->timer,
                  io_now_us(host->shard.io) + (uint64_t)after_ms * 1000);
    }
}

static struct p2p__const_iov text_iov(const char *text)
{
    return (struct p2p__const_iov){(const uint8_t *)text, strlen(text)};
}

static void fill_said(const p2p_identity *identity, struct identity_parts *out)
{
    out->agent = text_iov(identity->agent);
    out->protocol_version = text_iov(identity->protocol_version);
    out->protocol_count = identity->protocol_count;
    for (size_t i = 0; i < identity->protocol_count; i++)
        out->protocols[i] = text_iov(identity->protocols[i]);
    out->public_key = (struct p2p__const_iov){identity->public_key, identity->public_key_len};
    out->record = (struct p2p__const_iov){identity->record, identity->record_len};
}

static size_t encode(const p2p_host *host, const struct peer *peer, uint8_t *out, size_t out_cap)
{
    struct peer_value value = {.record_seq = peer->record_seq,
                               .lasted_s = (uint64_t)peer->lasted_s};
    uint64_t now_us = io_now_us(host->shard.io);
    int64_t now_s = wall_s(host);
    if (peer->identity && p2p__identity_size(peer->identity) <= REMEMBER_IDENTITY_MAX)
        fill_said(peer->identity, &value.said);
    for (const struct note *note = peer->notes; note; note = note->next)
        value.notes[value.note_count++] =
            (struct peer_value_note){text_iov(note->name), {note->bytes, note->len}};
    for (const struct known_addr *known = peer->addrs; known; known = known->next) {
        if (known->expires_us <= now_us)
            continue;
        uint64_t left_s = (known->expires_us - now_us) / 1000000;
        value.addrs[value.count++] = (struct peer_value_addr){
            .bytes = known->addr->bytes,
            .len = known->addr->len,
            .expires_s = known->expires_us == HEAP_NEVER
                             ? 0
                             : (uint64_t)(now_s > 0 ? now_s : 0) + left_s + 1,
            .learned = known->learned,
        };
    }
    return p2p__peer_value_encode(&value, out, out_cap);
}

static bool is_worth(const struct peer *peer)
{
    return peer->addrs || peer->notes;
}

static int gather(p2p_host *host, struct store_batch *batch, uint8_t *value)
{
    uint8_t key[KEY_MAX];
    int rc = 0;
    for (struct list *node = host->peers.next; node != &host->peers && rc == 0; node = node->next) {
        struct peer *peer = P2P__CONTAINER(node, struct peer, all);
        if (!peer->unsaved)
            continue;
        size_t key_len = key_of(peer, key);
        if (!is_worth(peer)) {
            rc = p2p__store_batch_delete(batch, key, key_len);
        } else {
            size_t len = encode(host, peer, value, STORE_VALUE_MAX);
            rc = p2p__store_batch_put(batch, key, key_len, value, len);
        }
        peer->saving = rc == 0;
    }
    /* What does not fit goes with the next commit. */
    return rc == P2P_ELIMIT ? 0 : rc;
}

/* Whether all is saved: those that were written are marked so, or none. */
static bool settle(p2p_host *host, bool saved)
{
    bool all = true;
    for (struct list *node = host->peers.next; node != &host->peers; node = node->next) {
        struct peer *peer = P2P__CONTAINER(node, struct peer, all);
        if (peer->saving && saved) {
            peer->unsaved = false;
            peer->stored = is_worth(peer);
        }
        peer->saving = false;
        all = all && !peer->unsaved;
    }
    return all;
}

static int save(p2p_host *host)
{
    struct remember *self = &host->remember;
    uint8_t *value = p2p__alloc(STORE_VALUE_MAX);
    struct list *last_gone = self->gone.changes.prev;
    int rc = value ? gather(host, &self->gone, value) : P2P_ENOMEM;
    p2p__free(value);
    if (rc == 0 && !list_empty(&self->gone.changes))
        rc = self->store->ops->commit(self->store, &self->gone);
    /* Of a commit that failed: whoever is still here is gathered again, nobody else would be. */
    p2p__store_batch_cut(&self->gone, rc < 0 ? last_gone : &self->gone.changes);
    bool all = settle(host, rc == 0);
    if (rc < 0 && !self->failing)
        p2p__host_warn(host, rc, rc == P2P_ENOMEM ? p2p_code_text(rc) : self->store->why);
    self->failing = rc < 0;
    if ((!all || rc < 0) && !host->closing)
        arm(host, rc < 0 ? REMEMBER_RETRY_MS : 0);
    return rc;
}

static void fire(struct timer *timer)
{
    p2p_host *host = P2P__CONTAINER(timer, p2p_host, remember.timer);
    host->remember.due = false;
    if (host->remember.store)
        (void)save(host);
}

void p2p__remember_peer(p2p_host *host, struct peer *peer)
{
    peer->unsaved = host->remember.store != NULL;
    arm(host, REMEMBER_SAVE_MS);
}

void p2p__remember_gone(p2p_host *host, struct peer *peer)
{
    uint8_t key[KEY_MAX];
    if (!host->remember.store || !peer->stored)
        return;
    /* Forgotten on disk for want of memory, it is dropped when it is read: it has expired. */
    (void)p2p__store_batch_delete(&host->remember.gone, key, key_of(peer, key));
    arm(host, REMEMBER_SAVE_MS);
}

/* ---- the whole ---- */

void p2p__remember_open(p2p_host *host)
{
    struct remember *self = &host->remember;
    char why[STORE_WHY_MAX];
    const char *path = p2p__config_text(host->config, OPTION_STORE);
    self->timer.fire = fire;
    p2p__store_batch_init(&self->gone);
    if (!*path)
        return;
    int rc = p2p__store_file(path, (size_t)p2p__config_number(host->config, OPTION_STORE_SIZE),
                             &self->store, why, sizeof(why));
    if (rc == 0) {
        rc = self->store->ops->each(self->store, PREFIX, PREFIX_LEN, load_peer, host);
        if (rc < 0)
            memcpy(why, self->store->why, sizeof(why));
    }
    if (rc < 0)
        p2p__host_warn(host, rc, why);
}

void p2p__remember_close(p2p_host *host)
{
    struct remember *self = &host->remember;
    if (!self->store)
        return;
    while (save(host) == 0 && !settle(host, false))
        continue;
    p2p__store_batch_fini(&self->gone);
    self->store->ops->close(self->store);
    self->store = NULL;
}

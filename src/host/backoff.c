#include "host/backoff.h"

#include "base/mem.h"

struct failed_addr {
    struct map_node node;
    struct list age;
    uint64_t until_us;
    uint32_t failures;
};

void p2p__backoff_init(struct backoff *self, const struct hash_key *key)
{
    *self = (struct backoff){.key = *key};
    list_init(&self->oldest_first);
}

static void drop(struct backoff *self, struct failed_addr *entry)
{
    p2p__map_remove(&self->map, &entry->node);
    list_remove(&entry->age);
    p2p__free(entry);
}

void p2p__backoff_fini(struct backoff *self)
{
    if (!self->oldest_first.next)
        return;
    while (!list_empty(&self->oldest_first))
        drop(self, P2P__CONTAINER(self->oldest_first.next, struct failed_addr, age));
    p2p__map_fini(&self->map);
}

/* The keyed hash stands for the address: nobody can make two collide, and if they do a dial waits.
 */
static uint64_t hash_of(const struct backoff *self, const p2p_peer_id *peer,
                        const p2p_multiaddr *addr)
{
    uint8_t bytes[sizeof(peer->bytes) + P2P_MULTIADDR_MAX];
    memcpy(bytes, peer->bytes, peer->len);
    memcpy(bytes + peer->len, addr->bytes, addr->len);
    return p2p__hash(&self->key, bytes, peer->len + addr->len);
}

static struct failed_addr *find(const struct backoff *self, uint64_t hash)
{
    struct map_node *node = p2p__map_first(&self->map, hash);
    return node ? P2P__CONTAINER(node, struct failed_addr, node) : NULL;
}

uint64_t p2p__backoff_until(const struct backoff *self, const p2p_peer_id *peer,
                            const p2p_multiaddr *addr, uint64_t now_us)
{
    const struct failed_addr *entry = find(self, hash_of(self, peer, addr));
    return entry && entry->until_us > now_us ? entry->until_us : 0;
}

static uint64_t length_us(uint32_t failures)
{
    uint64_t us = BACKOFF_FIRST_US;
    while (failures-- > 1 && us < BACKOFF_LONGEST_US)
        us *= 2;
    return us < BACKOFF_LONGEST_US ? us : BACKOFF_LONGEST_US;
}

void p2p__backoff_failed(struct backoff *self, const p2p_peer_id *peer, const p2p_multiaddr *addr,
                         uint64_t now_us)
{
    uint64_t hash = hash_of(self, peer, addr);
    struct failed_addr *entry = find(self, hash);
    if (!entry) {
        if (self->map.count >= BACKOFF_MAX)
            drop(self, P2P__CONTAINER(self->oldest_first.next, struct failed_addr, age));
        entry = p2p__alloc(sizeof(*entry));
        if (!entry)
            return;
        p2p__map_put(&self->map, &entry->node, hash);
    } else {
        list_remove(&entry->age);
        if (now_us >= entry->until_us + BACKOFF_LONGEST_US)
            entry->failures = 0; /* long ago */
    }
    entry->failures++;
    entry->until_us = now_us + length_us(entry->failures);
    list_append(&self->oldest_first, &entry->age);
}

void p2p__backoff_worked(struct backoff *self, const p2p_peer_id *peer, const p2p_multiaddr *addr)
{
    struct failed_addr *entry = find(self, hash_of(self, peer, addr));
    if (entry)
        drop(self, entry);
}

void p2p__hole_record(struct black_hole *self, bool worked)
{
    self->outcomes = self->outcomes << 1 | worked;
    if (self->known < HOLE_WINDOW)
        self->known++;
    if (worked)
        self->asked = 0;
}

static bool is_hole(const struct black_hole *self)
{
    uint32_t bits = self->outcomes;
    return self->known >= HOLE_EVIDENCE && (bits & (bits - 1)) == 0;
}

bool p2p__hole_avoid(struct black_hole *self)
{
    return is_hole(self) && ++self->asked % HOLE_PROBE != 0;
}

#include "services/observed.h"

#include <string.h>

#include "base/heap.h"
#include "base/mem.h"
#include "codec/addr_facts.h"

void p2p__observed_init(struct observed *self)
{
    list_init(&self->votes);
    self->count = 0;
}

static struct observed_vote *vote_of(struct list *node)
{
    return P2P__CONTAINER(node, struct observed_vote, node);
}

static void drop(struct observed *self, struct observed_vote *vote)
{
    list_remove(&vote->node);
    self->count--;
    p2p__free(vote);
}

void p2p__observed_fini(struct observed *self)
{
    while (!list_empty(&self->votes))
        drop(self, vote_of(self->votes.next));
}

/* ---- counting ---- */

static bool same_addr(const struct observed_addr *a, const struct observed_addr *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static bool same_pair(const struct observed_vote *a, const struct observed_vote *b)
{
    return same_addr(&a->seen, &b->seen) && same_addr(&a->local, &b->local);
}

static bool same_group(const struct observed_vote *a, const struct observed_vote *b)
{
    return memcmp(a->group, b->group, sizeof(a->group)) == 0;
}

/* The first vote of a pair gets the count of its groups. A few hundred votes at most, and only when
 * a peer has said something. */
static void count(struct observed *self)
{
    struct list *all = &self->votes;
    for (struct list *n = all->next; n != all; n = n->next) {
        struct observed_vote *vote = vote_of(n), *first = NULL;
        vote->counted = false;
        vote->groups = 0;
        bool known = false;
        for (struct list *m = all->next; m != n && !known; m = m->next) {
            struct observed_vote *other = vote_of(m);
            if (!same_pair(vote, other))
                continue;
            if (!first)
                first = other;
            known = same_group(vote, other);
        }
        if (!first)
            vote->counted = true;
        if (!known)
            (first ? first : vote)->groups++;
    }
}

/* ---- votes ---- */

static bool keep_addr(struct observed_addr *out, const p2p_multiaddr *addr)
{
    if (addr->len > sizeof(out->bytes))
        return false;
    out->len = (uint8_t)addr->len;
    memcpy(out->bytes, addr->bytes, addr->len);
    return true;
}

/* Equal but for the IP address and the port: the same is spoken there. */
static bool same_kind(const p2p_multiaddr *a, const p2p_multiaddr *b)
{
    size_t at_a = 0, at_b = 0;
    p2p_multiaddr_component x, y;
    while (p2p_multiaddr_next(a, &at_a, &x) == 1) {
        if (p2p_multiaddr_next(b, &at_b, &y) != 1 || x.code != y.code)
            return false;
        bool place = x.code == P2P_MA_IP4 || x.code == P2P_MA_IP6 || x.code == P2P_MA_TCP ||
                     x.code == P2P_MA_UDP;
        if (!place && (x.value_len != y.value_len || memcmp(x.value, y.value, x.value_len) != 0))
            return false;
    }
    return at_b == b->len;
}

static bool is_of_use(const p2p_multiaddr *local, const p2p_multiaddr *remote,
                      const p2p_multiaddr *seen, struct addr_facts *observer)
{
    struct addr_facts theirs;
    p2p__addr_facts(seen, &theirs);
    p2p__addr_facts(remote, observer);
    return theirs.reach == REACH_PUBLIC && theirs.port && observer->reach == REACH_PUBLIC &&
           observer->kind != KIND_RELAY && same_kind(local, seen) && !p2p__addr_equal(local, seen);
}

static struct observed_vote *find(struct observed *self, uint64_t conn)
{
    for (struct list *n = self->votes.next; n != &self->votes; n = n->next)
        if (vote_of(n)->conn == conn)
            return vote_of(n);
    return NULL;
}

/* Room for one more: the oldest of a connection that has ended makes it. */
static bool make_room(struct observed *self)
{
    struct list *n = self->votes.next;
    if (self->count < OBSERVED_VOTES_MAX)
        return true;
    while (n != &self->votes && vote_of(n)->until_us == HEAP_NEVER)
        n = n->next;
    if (n == &self->votes)
        return false;
    drop(self, vote_of(n));
    return true;
}

bool p2p__observed_note(struct observed *self, uint64_t conn, const p2p_multiaddr *local,
                        const p2p_multiaddr *remote, const p2p_multiaddr *seen)
{
    struct addr_facts observer;
    struct observed_vote *old = find(self, conn);
    struct observed_vote vote = {.conn = conn, .until_us = HEAP_NEVER};
    bool good = is_of_use(local, remote, seen, &observer) && keep_addr(&vote.local, local) &&
                keep_addr(&vote.seen, seen);
    if (good && old && same_pair(old, &vote))
        return false;
    if (old)
        drop(self, old);
    struct observed_vote *kept = good && make_room(self) ? p2p__alloc(sizeof(*kept)) : NULL;
    if (kept) {
        vote.group[0] = observer.family;
        memcpy(vote.group + 1, observer.ip, observer.family == 4 ? 3 : 4);
        *kept = vote;
        list_append(&self->votes, &kept->node);
        self->count++;
    }
    if (!kept && !old)
        return false;
    count(self);
    return true;
}

bool p2p__observed_gone(struct observed *self, uint64_t conn, uint64_t now_us)
{
    struct observed_vote *vote = find(self, conn);
    if (!vote)
        return false;
    vote->until_us = now_us + OBSERVED_HOLD_US;
    return true;
}

uint64_t p2p__observed_expire(struct observed *self, uint64_t now_us)
{
    uint64_t next_us = HEAP_NEVER;
    bool dropped = false;
    for (struct list *n = self->votes.next; n != &self->votes;) {
        struct observed_vote *vote = vote_of(n);
        n = n->next;
        if (vote->until_us <= now_us) {
            drop(self, vote);
            dropped = true;
        } else if (vote->until_us < next_us) {
            next_us = vote->until_us;
        }
    }
    if (dropped)
        count(self);
    return next_us;
}

/* ---- what comes of them ---- */

static void load(const struct observed_addr *from, p2p_multiaddr *out)
{
    out->len = from->len;
    memcpy(out->bytes, from->bytes, from->len);
}

/* Of the same listening address, how many are ahead of it. */
static unsigned rank(struct observed *self, const struct observed_vote *vote)
{
    unsigned ahead = 0;
    bool before = true; /* of equals the elder wins */
    for (struct list *n = self->votes.next; n != &self->votes; n = n->next) {
        const struct observed_vote *other = vote_of(n);
        if (other == vote)
            before = false;
        else if (other->counted && same_addr(&other->local, &vote->local))
            ahead += other->groups > vote->groups || (before && other->groups == vote->groups);
    }
    return ahead;
}

bool p2p__observed_at(struct observed *self, size_t index, p2p_multiaddr *local,
                      p2p_multiaddr *seen, unsigned *groups, bool *believed)
{
    for (struct list *n = self->votes.next; n != &self->votes; n = n->next) {
        const struct observed_vote *vote = vote_of(n);
        if (!vote->counted || index-- > 0)
            continue;
        load(&vote->local, local);
        load(&vote->seen, seen);
        *groups = vote->groups;
        *believed = vote->groups >= OBSERVED_GROUPS && rank(self, vote) < OBSERVED_BELIEVED_MAX;
        return true;
    }
    return false;
}

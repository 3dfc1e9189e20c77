#include "host/prefixes.h"

#include <string.h>

#include <p2p/error.h>

#include "base/mem.h"

/* How many bytes of an address make the prefix, by family; 0: that family has no such level. What
 * go-libp2p allows a /48 besides: 2.5 times as fast, five times as many at once. */
static const struct level {
    uint8_t len4, len6;
    const char *conns_option;
    uint8_t burst_factor, rate_halves;
} levels[PREFIX_LEVELS] = {
    [PREFIX_IP] = {4, 8, "conns_per_ip", 1, 2},
    [PREFIX_SITE] = {0, 7, "conns_per_56", 1, 2},
    [PREFIX_NET] = {3, 6, "conns_per_subnet", 5, 5},
};

static uint64_t interval_of(const struct prefixes *self, int level)
{
    return self->limits.interval_us * 2 / levels[level].rate_halves;
}

static uint32_t burst_of(const struct prefixes *self, int level)
{
    return self->limits.burst * levels[level].burst_factor;
}

/* False: addresses of that family have no such level. */
static bool key_of(const struct io_addr *from, int level, uint8_t out[PREFIX_KEY])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool is_mapped = from->family == 6 && memcmp(from->ip, mapped, sizeof(mapped)) == 0;
    bool v4 = from->family == 4 || is_mapped;
    size_t len = v4 ? levels[level].len4 : levels[level].len6;
    memset(out, 0, PREFIX_KEY);
    out[0] = (uint8_t)level;
    out[1] = v4 ? 4 : 6;
    memcpy(out + 2, from->ip + (is_mapped ? 12 : 0), len);
    return from->family && len;
}

static uint64_t hash_of(const struct prefixes *self, const uint8_t *key)
{
    return p2p__hash(&self->hash_key, key, PREFIX_KEY);
}

static struct prefix *find(const struct prefixes *self, const uint8_t *key)
{
    struct map_node *node = p2p__map_first(&self->map, hash_of(self, key));
    for (; node; node = p2p__map_next(node)) {
        struct prefix *prefix = P2P__CONTAINER(node, struct prefix, node);
        if (memcmp(prefix->key, key, PREFIX_KEY) == 0)
            return prefix;
    }
    return NULL;
}

static void drop(struct prefixes *self, struct prefix *prefix)
{
    if (!list_empty(&prefix->idle))
        self->idle_count--;
    list_remove(&prefix->idle);
    p2p__map_remove(&self->map, &prefix->node);
    p2p__free(prefix);
}

/* Those whose allowance is whole again are as good as unknown. */
static void forget(struct prefixes *self, uint64_t now_us)
{
    while (!list_empty(&self->idle)) {
        struct prefix *oldest = P2P__CONTAINER(self->idle.next, struct prefix, idle);
        if (self->idle_count <= PREFIXES_IDLE_MAX && !rate_is_full(&oldest->rate, now_us))
            return;
        drop(self, oldest);
    }
}

static struct prefix *get(struct prefixes *self, const uint8_t *key)
{
    struct prefix *prefix = find(self, key);
    if (prefix)
        return prefix;
    prefix = p2p__alloc(sizeof(*prefix));
    if (!prefix)
        return NULL;
    memcpy(prefix->key, key, PREFIX_KEY);
    list_init(&prefix->idle);
    p2p__map_put(&self->map, &prefix->node, hash_of(self, key));
    return prefix;
}

void p2p__prefixes_init(struct prefixes *self, const struct prefix_limits *limits,
                        const struct hash_key *hash_key)
{
    *self = (struct prefixes){.limits = *limits, .hash_key = *hash_key};
    list_init(&self->idle);
}

void p2p__prefixes_fini(struct prefixes *self)
{
    while (self->idle_count)
        drop(self, P2P__CONTAINER(self->idle.next, struct prefix, idle));
    p2p__map_fini(&self->map);
}

const char *p2p__prefixes_refuse(const struct prefixes *self, const struct io_addr *from,
                                 uint64_t now_us)
{
    const struct rate unused = {0};
    for (int level = 0; level < PREFIX_LEVELS; level++) {
        uint8_t key[PREFIX_KEY];
        if (!key_of(from, level, key))
            continue;
        const struct prefix *prefix = find(self, key);
        if ((prefix ? prefix->conns : 0) >= self->limits.conns[level])
            return levels[level].conns_option;
        if (level == PREFIX_IP && (prefix ? prefix->half_open : 0) >= self->limits.half_open)
            return "half_open_per_ip";
        if (!rate_ready(prefix ? &prefix->rate : &unused, now_us, interval_of(self, level),
                        burst_of(self, level)))
            return "conn_interval";
    }
    return NULL;
}

int p2p__prefixes_enter(struct prefixes *self, struct prefix_set *set, const struct io_addr *from,
                        uint64_t now_us)
{
    *set = (struct prefix_set){{NULL}};
    forget(self, now_us);
    for (int level = 0; level < PREFIX_LEVELS; level++) {
        uint8_t key[PREFIX_KEY];
        if (!key_of(from, level, key))
            continue;
        struct prefix *prefix = get(self, key);
        if (!prefix) {
            p2p__prefixes_leave(self, set, true, now_us);
            return P2P_ENOMEM;
        }
        if (!list_empty(&prefix->idle)) {
            list_remove(&prefix->idle);
            self->idle_count--;
        }
        prefix->conns++;
        prefix->half_open++;
        rate_spend(&prefix->rate, now_us, interval_of(self, level));
        set->of[level] = prefix;
    }
    return 0;
}

void p2p__prefixes_opened(struct prefix_set *set)
{
    for (int level = 0; level < PREFIX_LEVELS; level++)
        if (set->of[level])
            set->of[level]->half_open--;
}

void p2p__prefixes_leave(struct prefixes *self, struct prefix_set *set, bool half_open,
                         uint64_t now_us)
{
    if (half_open)
        p2p__prefixes_opened(set);
    for (int level = 0; level < PREFIX_LEVELS; level++) {
        struct prefix *prefix = set->of[level];
        set->of[level] = NULL;
        if (!prefix || --prefix->conns > 0)
            continue;
        list_append(&self->idle, &prefix->idle);
        self->idle_count++;
    }
    forget(self, now_us);
}

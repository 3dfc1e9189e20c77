/* A list of addresses in order: one that has a name is replaced, in its place, by what the name's
 * records make of it, until none has a name. */
#include "host/resolve.h"

#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "codec/dnsaddr.h"
#include "codec/multiaddr_protocol.h"

enum {
    QUESTIONS_MAX = 2, /* /dns: AAAA and A */
};

#define DNSADDR_LABEL "_dnsaddr."

/* Where the first name is in an address. */
struct name {
    uint32_t code; /* enum p2p_multiaddr_code; 0: there is none */
    size_t at, end;
    const uint8_t *value;
    size_t value_len;
};

struct item {
    struct list node;
    p2p_multiaddr addr;
    struct name name;
    unsigned depth; /* dnsaddr records that led here */
    struct io_query *questions[QUESTIONS_MAX];
    size_t question_count; /* 0: not asked yet */
};

struct resolve {
    struct p2p_io *io;
    uint64_t deadline_us;
    void (*wake)(void *owner);
    void *owner;
    struct list items;
    size_t lookups, addr_count;
    int code; /* of the first failure */
    char why[400];
};

static void find_name(const p2p_multiaddr *addr, struct name *out)
{
    p2p_multiaddr_component c;
    size_t at = 0, end = 0;
    *out = (struct name){0};
    for (; p2p_multiaddr_next(addr, &end, &c) == 1; at = end) {
        if (c.code == P2P_MA_DNS || c.code == P2P_MA_DNS4 || c.code == P2P_MA_DNS6 ||
            c.code == P2P_MA_DNSADDR) {
            *out = (struct name){c.code, at, end, c.value, c.value_len};
            return;
        }
    }
}

bool p2p__resolve_has_name(const p2p_multiaddr *addr)
{
    struct name name;
    find_name(addr, &name);
    return name.code != 0;
}

/* The first failure is the one that is told: what follows from it says less. */
static void fail(struct resolve *self, const struct item *item, int code, const char *why)
{
    if (self->code)
        return;
    self->code = code;
    snprintf(self->why, sizeof(self->why), "%.*s does not resolve: %s", (int)item->name.value_len,
             (const char *)item->name.value, why);
}

/* ---- the list ---- */

static bool is_known(const struct resolve *self, const p2p_multiaddr *addr)
{
    for (struct list *node = self->items.next; node != &self->items; node = node->next) {
        const struct item *item = P2P__CONTAINER(node, struct item, node);
        if (item->addr.len == addr->len && memcmp(item->addr.bytes, addr->bytes, addr->len) == 0)
            return true;
    }
    return false;
}

/* Behind what came of `from` before; beyond a limit it is left out. */
static void add(struct resolve *self, struct item *from, const p2p_multiaddr *addr)
{
    struct name name;
    find_name(addr, &name);
    size_t lookups = name.code == 0 ? 0 : name.code == P2P_MA_DNS ? 2 : 1;
    if (is_known(self, addr))
        return;
    if (self->lookups + lookups > RESOLVE_LOOKUPS_MAX) {
        fail(self, from, P2P_ERESOLVE, "it takes more than 16 questions");
        return;
    }
    if (!name.code && self->addr_count == RESOLVE_ADDRS_MAX)
        return;
    struct item *item = p2p__alloc(sizeof(*item));
    if (!item) {
        fail(self, from, P2P_ENOMEM, p2p_code_text(P2P_ENOMEM));
        return;
    }
    item->addr = *addr;
    find_name(&item->addr, &item->name);
    item->depth = from->depth + (from->name.code == P2P_MA_DNSADDR);
    self->lookups += lookups;
    self->addr_count += !name.code;
    list_append(&from->node, &item->node); /* before it: in its place once it is gone */
}

static void item_free(struct resolve *self, struct item *item)
{
    for (size_t i = 0; i < item->question_count; i++)
        self->io->ops->resolve_end(item->questions[i]);
    list_remove(&item->node);
    p2p__free(item);
}

/* ---- questions ---- */

static void on_answer(struct io_query *query)
{
    struct resolve *self = query->owner;
    self->wake(self->owner);
}

static int ask_one(struct resolve *self, struct item *item, const char *name, enum io_record record)
{
    struct io_query *query;
    int rc = self->io->ops->resolve(self->io, name, record, self->deadline_us, &query);
    if (rc < 0)
        return rc;
    query->owner = self;
    query->wake = on_answer;
    item->questions[item->question_count++] = query;
    return 0;
}

static int ask(struct resolve *self, struct item *item)
{
    char name[sizeof(DNSADDR_LABEL) + IO_NAME_MAX];
    const char *label = item->name.code == P2P_MA_DNSADDR ? DNSADDR_LABEL : "";
    if (item->name.value_len > IO_NAME_MAX || memchr(item->name.value, '\0', item->name.value_len))
        return P2P_ERESOLVE;
    snprintf(name, sizeof(name), "%s%.*s", label, (int)item->name.value_len,
             (const char *)item->name.value);
    switch (item->name.code) {
    case P2P_MA_DNSADDR:
        return ask_one(self, item, name, IO_TXT);
    case P2P_MA_DNS4:
        return ask_one(self, item, name, IO_A);
    case P2P_MA_DNS6:
        return ask_one(self, item, name, IO_AAAA);
    default:
        break;
    }
    int rc = ask_one(self, item, name, IO_AAAA);
    return rc < 0 ? rc : ask_one(self, item, name, IO_A);
}

static bool is_answered(const struct item *item)
{
    for (size_t i = 0; i < item->question_count; i++)
        if (!item->questions[i]->done)
            return false;
    return true;
}

/* ---- addresses ---- */

static int append_bytes(p2p_multiaddr *to, const p2p_multiaddr *from, size_t at, size_t end)
{
    p2p_multiaddr part;
    if (at == end)
        return 0;
    int rc = p2p_multiaddr_decode(from->bytes + at, end - at, &part);
    return rc < 0 ? rc : p2p_multiaddr_encapsulate(to, &part);
}

/* What follows the name. The certificate of a secure websocket is for the name, which would be lost
 * otherwise: /wss becomes /tls/sni/NAME/ws, and /tls/ws likewise (as in go-libp2p). */
static int append_rest(p2p_multiaddr *to, const struct item *item)
{
    const struct name *name = &item->name;
    p2p_multiaddr_component c, next;
    size_t at = name->end, end = name->end;
    for (; p2p_multiaddr_next(&item->addr, &end, &c) == 1 && c.code != P2P_MA_P2P; at = end) {
        size_t ahead = end;
        bool before_ws =
            p2p_multiaddr_next(&item->addr, &ahead, &next) == 1 && next.code == P2P_MA_WS;
        if (c.code != P2P_MA_WSS && !(c.code == P2P_MA_TLS && before_ws))
            continue;
        int rc = append_bytes(to, &item->addr, name->end, at);
        if (rc == 0)
            rc = p2p__multiaddr_append_component(to, P2P_MA_TLS, NULL, 0);
        if (rc == 0)
            rc = p2p__multiaddr_append_component(to, P2P_MA_SNI, name->value, name->value_len);
        if (rc == 0 && c.code == P2P_MA_WSS)
            rc = p2p__multiaddr_append_component(to, P2P_MA_WS, NULL, 0);
        return rc < 0 ? rc : append_bytes(to, &item->addr, end, item->addr.len);
    }
    return append_bytes(to, &item->addr, name->end, item->addr.len);
}

static void add_ip(struct resolve *self, struct item *item, const struct io_addr *ip)
{
    p2p_multiaddr addr = {.len = 0};
    int rc = append_bytes(&addr, &item->addr, 0, item->name.at);
    if (rc == 0)
        rc = p2p__multiaddr_append_component(&addr, ip->family == 4 ? P2P_MA_IP4 : P2P_MA_IP6,
                                             ip->ip, ip->family == 4 ? 4 : 16);
    if (rc == 0)
        rc = append_rest(&addr, item);
    if (rc == 0)
        add(self, item, &addr);
    else
        fail(self, item, P2P_ERESOLVE, "the address becomes too long");
}

static void expand_ips(struct resolve *self, struct item *item)
{
    for (size_t i = 0; i < IO_QUERY_ADDRS; i++)
        for (size_t j = 0; j < item->question_count; j++)
            if (i < item->questions[j]->addr_count)
                add_ip(self, item, &item->questions[j]->addrs[i]);
}

/* An entry must end in what follows the name, such as /p2p/PEER: the others are other peers'. */
static bool ends_in_rest(const p2p_multiaddr *entry, const struct item *item)
{
    p2p_multiaddr_component c;
    size_t rest_len = item->addr.len - item->name.end, at = 0;
    if (entry->len < rest_len || memcmp(entry->bytes + entry->len - rest_len,
                                        item->addr.bytes + item->name.end, rest_len) != 0)
        return false;
    while (at < entry->len - rest_len && p2p_multiaddr_next(entry, &at, &c) == 1)
        continue;
    return at == entry->len - rest_len;
}

static void expand_txts(struct resolve *self, struct item *item)
{
    const struct io_query *query = item->questions[0];
    const char *why = "it has no dnsaddr record";
    bool found = false;
    for (size_t i = 0; i < query->txt_count; i++) {
        p2p_multiaddr entry, addr = {.len = 0};
        if (p2p__dnsaddr_decode(query->txts[i].bytes, query->txts[i].len, &entry) < 0)
            continue;
        why = "none of its dnsaddr records is for that peer";
        if (!ends_in_rest(&entry, item))
            continue;
        why = "an address becomes too long";
        if (append_bytes(&addr, &item->addr, 0, item->name.at) < 0 ||
            p2p_multiaddr_encapsulate(&addr, &entry) < 0)
            continue;
        found = true;
        add(self, item, &addr);
    }
    if (!found)
        fail(self, item, P2P_ERESOLVE, why);
}

/* ---- the whole ---- */

static void note_failures(struct resolve *self, const struct item *item)
{
    for (size_t i = 0; i < item->question_count; i++)
        if (item->questions[i]->code == 0)
            return;
    /* Of /dns the last one is A, which says more: most names have no AAAA. */
    const struct io_query *query = item->questions[item->question_count - 1];
    fail(self, item, query->code, query->why ? query->why : p2p_code_text(query->code));
}

/* True: the item is gone. */
static bool advance(struct resolve *self, struct item *item)
{
    if (item->question_count == 0 && item->name.code == P2P_MA_DNSADDR &&
        item->depth == RESOLVE_DEPTH_MAX) {
        fail(self, item, P2P_ERESOLVE, "its dnsaddr records lead on for more than 4 steps");
        item_free(self, item);
        return true;
    }
    int rc = item->question_count ? 0 : ask(self, item);
    if (rc < 0) {
        fail(self, item, rc, rc == P2P_ERESOLVE ? "that is not a domain name" : p2p_code_text(rc));
        item_free(self, item);
        return true;
    }
    if (!is_answered(item))
        return false;
    note_failures(self, item);
    if (item->name.code == P2P_MA_DNSADDR && item->questions[0]->code == 0)
        expand_txts(self, item);
    else
        expand_ips(self, item);
    item_free(self, item);
    return true;
}

bool p2p__resolve_run(struct resolve *self)
{
    bool pending = false;
    struct list *node = self->items.next;
    while (node != &self->items) {
        struct item *item = P2P__CONTAINER(node, struct item, node);
        struct list *before = node->prev;
        bool named = item->name.code != 0, gone = named && advance(self, item);
        pending = pending || (named && !gone);
        node = gone ? before->next : node->next; /* what came of it is looked at as well */
    }
    return !pending;
}

struct resolve *p2p__resolve_new(struct p2p_io *io, const p2p_multiaddr *addr, uint64_t deadline_us,
                                 void (*wake)(void *owner), void *owner)
{
    struct resolve *self = p2p__alloc(sizeof(*self));
    if (!self)
        return NULL;
    self->io = io;
    self->deadline_us = deadline_us;
    self->wake = wake;
    self->owner = owner;
    list_init(&self->items);
    struct item root = {.depth = 0};
    find_name(addr, &root.name);
    fail(self, &root, P2P_ERESOLVE, "its records lead nowhere");
    self->code = 0; /* until something else fails */
    root.name = (struct name){0};
    list_append(&self->items, &root.node);
    add(self, &root, addr);
    list_remove(&root.node);
    if (list_empty(&self->items)) {
        p2p__free(self);
        return NULL;
    }
    return self;
}

const p2p_multiaddr *p2p__resolve_addr(const struct resolve *self, size_t index)
{
    for (struct list *node = self->items.next; node != &self->items; node = node->next) {
        const struct item *item = P2P__CONTAINER(node, struct item, node);
        if (!item->name.code && index-- == 0)
            return &item->addr;
    }
    return NULL;
}

int p2p__resolve_error(const struct resolve *self, const char **why)
{
    *why = self->why;
    return self->code ? self->code : P2P_ERESOLVE;
}

void p2p__resolve_free(struct resolve *self)
{
    while (!list_empty(&self->items))
        item_free(self, P2P__CONTAINER(self->items.next, struct item, node));
    p2p__free(self);
}

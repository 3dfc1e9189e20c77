#include "conn/protocols.h"

#include <string.h>

#include <p2p/error.h>

#include "base/mem.h"

struct handler *p2p__protocols_find(const struct protocols *self, const char *name)
{
    size_t len = strlen(name);
    bool prefix = len > 0 && name[len - 1] == '*';
    len -= prefix;
    for (size_t i = 0; i < self->count; i++) {
        struct handler *h = self->handlers[i];
        if (!h->gone && h->prefix == prefix && h->name_len == len &&
            memcmp(h->name, name, len) == 0)
            return h;
    }
    return NULL;
}

int p2p__protocols_add(struct protocols *self, const char *name,
                       const struct p2p_stream_events *events, void *user, uint32_t max_per_peer)
{
    size_t len = strlen(name);
    if (len < 2 || len > PROTOCOL_NAME_MAX || name[0] != '/' || strchr(name, '\n') || !events)
        return P2P_EINVAL;
    if (p2p__protocols_find(self, name))
        return P2P_EEXIST;
    /* A slot whose handler is gone is taken again: streams that still use it only count there. */
    size_t slot = 0;
    while (slot < self->count && !self->handlers[slot]->gone)
        slot++;
    if (slot == PROTOCOLS_MAX)
        return P2P_ELIMIT;
    bool prefix = name[len - 1] == '*';
    char *copy = p2p__strndup(name, len - prefix);
    struct handler *h = slot < self->count ? self->handlers[slot] : p2p__alloc(sizeof(*h));
    if (!copy || !h) {
        p2p__free(copy);
        if (slot == self->count)
            p2p__free(h);
        return P2P_ENOMEM;
    }
    p2p__free(h->name);
    *h = (struct handler){.name = copy,
                          .name_len = len - prefix,
                          .prefix = prefix,
                          .slot = (uint16_t)slot,
                          .max_per_peer = max_per_peer,
                          .streams = h->streams,
                          .events = events,
                          .user = user};
    if (slot == self->count)
        self->handlers[self->count++] = h;
    return 0;
}

int p2p__protocols_remove(struct protocols *self, const char *name)
{
    struct handler *h = p2p__protocols_find(self, name);
    if (!h)
        return P2P_ENOENT;
    h->gone = true;
    return 0;
}

struct handler *p2p__protocols_match(const struct protocols *self, const char *name, size_t len)
{
    struct handler *best = NULL;
    for (size_t i = 0; i < self->count; i++) {
        struct handler *h = self->handlers[i];
        if (h->gone || h->name_len > len || memcmp(h->name, name, h->name_len) != 0)
            continue;
        if (!h->prefix && h->name_len == len)
            return h;
        if (h->prefix && (!best || h->name_len > best->name_len))
            best = h;
    }
    return best;
}

void p2p__protocols_fini(struct protocols *self)
{
    for (size_t i = 0; i < self->count; i++) {
        p2p__free(self->handlers[i]->name);
        p2p__free(self->handlers[i]);
    }
    self->count = 0;
}

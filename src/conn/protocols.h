/* The protocols that a host serves: an exact name, or a prefix ending in '*'. */
#ifndef P2P_CONN_PROTOCOLS_H
#define P2P_CONN_PROTOCOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct p2p_stream_events;

enum {
    PROTOCOL_NAME_MAX = 255,
    PROTOCOLS_MAX = 256, /* what identify can tell others */
};

struct handler {
    char *name; /* without the '*' of a prefix */
    size_t name_len;
    bool prefix, gone; /* gone: unhandled, kept while streams use it */
    uint16_t slot;     /* index of its counter in every peer's table */
    uint32_t max_per_peer;
    uint32_t streams; /* open inbound ones, of all peers */
    const struct p2p_stream_events *events;
    void *user;
};

struct protocols {
    struct handler *handlers[PROTOCOLS_MAX];
    size_t count;
};

/* 0, P2P_EINVAL, P2P_EEXIST, P2P_ELIMIT, P2P_ENOMEM. */
int p2p__protocols_add(struct protocols *self, const char *name,
                       const struct p2p_stream_events *events, void *user, uint32_t max_per_peer);
int p2p__protocols_remove(struct protocols *self, const char *name);
/* The handler registered under exactly this name (a prefix with its '*'), or NULL. */
struct handler *p2p__protocols_find(const struct protocols *self, const char *name);
/* Who serves a proposal: an exact name wins, then the longest prefix. NULL: nobody. */
struct handler *p2p__protocols_match(const struct protocols *self, const char *name, size_t len);
void p2p__protocols_fini(struct protocols *self);

#endif

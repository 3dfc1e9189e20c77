/* What the files of identify share: what the host knows of its peers, and what it says. */
#ifndef P2P_SERVICES_IDENTIFY_H
#define P2P_SERVICES_IDENTIFY_H

#include <p2p/identify.h>

#include "base/map.h"
#include "host/host.h"
#include "services/identify_msg.h"
#include "services/observed.h"

enum {
    IDENTIFY_TIMEOUT_MS = 5000,    /* for everything that a peer has to say */
    IDENTIFY_STREAMS_PER_PEER = 8, /* one for each connection, twice */
};

/* A peer that is connected. */
struct known {
    struct map_node node;
    struct list all;
    struct identify *service;
    p2p_peer_id peer;
    uint32_t conns;
    uint32_t told;      /* the version of us that it has; 0: none */
    bool identified;    /* on one of its connections now */
    bool pushing;       /* a push to it is under way */
    uint64_t tokens_us; /* its bucket of pushes to us, as time */
    uint64_t bucket_us; /* when that was right */
    uint32_t refused;   /* pushes, since the last that was not */
};

/* Our addresses, and the record that vouches for them. */
struct identify_own_addrs {
    struct p2p__const_iov record;
    size_t addr_count;
    struct p2p__const_iov addrs[];
};

/* Whom addresses are told to. */
enum identify_circle {
    CIRCLE_MACHINE, /* on this one: all of them */
    CIRCLE_NETWORK, /* in this one: none of the loopback's */
    CIRCLE_WORLD,   /* only those of the internet, and names */
    IDENTIFY_CIRCLES,
};

struct identify {
    struct host_observer observer;
    p2p_host *host;
    struct map by_peer;
    struct list knowns;
    struct hash_key hash_key;
    const p2p_identify_events *events;
    void *events_user;
    struct identify_own_addrs *own[IDENTIFY_CIRCLES]; /* NULL: to be made */
    struct observed observed;
    p2p_op *observed_timer; /* until the next vote runs out */
    uint64_t record_seq;
    uint32_t version;   /* of what we say, from 1 */
    p2p_op *push_timer; /* until changes may be told */
    uint64_t pushed_us; /* when they were; 0: never */
};

/* identify.c */
struct identify *p2p__identify_of(const p2p_host *host); /* or NULL */
struct known *p2p__identify_known(const struct identify *self, const p2p_peer_id *peer);
/* A whole message of the stream's peer, unread on the stream, into what is known of it. 0 with the
 * identity, or why it is of no use. */
int p2p__identify_receive(p2p_stream *stream, const p2p_identity **out);

/* identify_own.c: forgets what was made of our addresses; says who we are. Bytes written are all or
 * nothing: 0, or a negative code. */
void p2p__identify_own_reset(struct identify *self);
int p2p__identify_say(struct identify *self, p2p_stream *stream, const p2p_conn *conn);

/* identify_push.c */
extern const p2p_stream_events p2p__identify_push_events;
/* Tells those that can hear it and have an older version, soon. */
void p2p__identify_push_soon(struct identify *self);
/* The peer has just been identified. */
void p2p__identify_push_to(struct known *known);

#endif

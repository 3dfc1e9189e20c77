/* A host with a thread of its own, its events, and how other threads reach it. */
#ifndef P2P_SYNC_NODE_H
#define P2P_SYNC_NODE_H

#include "io/loop.h"
#include "sync/object.h"

struct event;
struct service;

struct events {
    struct gate gate;
    struct event *first, *last;
    size_t count;
    uint64_t dropped;
    bool closed;
    bool has_flag;
    struct flag flag; /* made by the first p2p_event_fd */
};

struct node {
    struct object object;
    struct loop loop;
    struct gate calls; /* who waits for a call, or for the end */
    struct events events;
    char peer[P2P_PEER_ID_TEXT_MAX];
    p2p_host *pointer; /* for p2p_host_of */
    /* The loop's thread: */
    p2p_host *host; /* NULL once it is closed */
    struct list streams, bridges;
    struct service *services;
    struct job close_job;
    bool closing, close_begun;
};

/* ---- calls of other threads ---- */

struct call {
    struct job job;
    struct node *node;
    void (*run)(struct call *); /* node->host may be NULL */
    bool done;
};

/* Runs it on the loop's thread (at once, if that is here), and returns when it has run.
 * P2P_ECLOSED: it did not. */
int p2p__node_call(struct node *self, struct call *call, void (*run)(struct call *));

/* On the loop's thread: a stream that was closed has left, or has nothing more to deliver. */
void p2p__node_settled(struct node *self);

/* ---- events.c ---- */

extern const p2p_host_events p2p__sync_host_events;
bool p2p__events_init(struct events *self);
void p2p__events_close(struct events *self);
void p2p__events_fini(struct events *self);

/* ---- listener.c ---- */

void p2p__services_free(struct node *self);

#endif

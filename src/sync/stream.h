/* A stream between two sides: threads that call, which touch the rings only, and the loop, which
 * moves bytes between the rings and the p2p_stream. Each side wakes the other only where it waits:
 * the loop for bytes in an empty ring or room in a full one, threads for the opposite. */
#ifndef P2P_SYNC_STREAM_H
#define P2P_SYNC_STREAM_H

#include "sync/node.h"
#include "sync/ring.h"

enum {
    STREAM_WHY_MAX = 1024,
    STREAM_LINGER_MS = 10 * 1000, /* a closed stream may take so long to deliver */
};

struct bridge;

struct stream {
    struct object object;
    p2p_h handle;
    struct job job;
    struct ring rx, tx;
    /* Below rx's lock: */
    bool opened;
    char *why; /* the sentence to why_code, or NULL */
    int why_code;
    /* Below tx's lock: */
    bool shut, closed, reset;
    uint32_t reset_code;
    atomic_bool bridged;  /* a socket has taken the rings' place */
    atomic_bool accepted; /* by a thread; inbound ones are not read before */
    /* Set before it is opened: */
    char peer[P2P_PEER_ID_TEXT_MAX];
    char *protocol;
    /* The loop's: */
    p2p_stream *stream; /* NULL: none yet, or it has ended */
    struct list of_node;
    struct service *service; /* where it waits to be accepted, or NULL */
    struct bridge *bridge;
    bool at_eof, shut_told, close_told;
};

/* With one reference, for the caller; no handle yet. NULL: no memory. */
struct stream *p2p__sync_stream_new(struct node *node);
/* On the loop: it stands for that p2p_stream from now on, until its on_close. */
void p2p__sync_stream_bind(struct stream *self, p2p_stream *stream);
extern const p2p_stream_events p2p__sync_stream_events;

/* Queues it for the loop. */
void p2p__sync_stream_kick(struct stream *self);
/* On the loop: what can move does. */
void p2p__sync_stream_move(struct stream *self);
/* On the loop: closed, and everything is handed over. */
bool p2p__sync_stream_settled(struct stream *self);
/* On the loop: peer and protocol, from a p2p_stream that is open. False: no memory. */
bool p2p__sync_stream_learn(struct stream *self, p2p_stream *stream);

/* ---- listener.c ---- */

/* On the loop: it ended before anybody accepted it. */
void p2p__service_forget(struct service *self, struct stream *stream);

/* ---- bridge.c: on the loop ---- */

/* 0 with the socket for the application, or P2P_ENOTSUP (it has one), P2P_ECLOSED, P2P_ELIMIT,
 * P2P_ENOMEM. */
int p2p__bridge_open(struct stream *self, int *fd);
/* Something may move. */
void p2p__bridge_mark(struct bridge *self);
/* The host closes: what is in the socket now is the last that goes to the stream. */
void p2p__bridge_last_call(struct bridge *self);
/* The p2p_stream has ended. */
void p2p__bridge_detach(struct bridge *self);
/* Those whose stream has ended but whose socket is full: the rest is lost. */
void p2p__bridges_drop(struct node *node);

#endif

/* The address book across restarts, in the file of the option "store". Without that option nothing
 * of it runs. */
#ifndef P2P_HOST_REMEMBER_H
#define P2P_HOST_REMEMBER_H

#include <p2p/p2p.h>

#include "conn/shard.h"
#include "store/store.h"

#define REMEMBER_PREFIX "peer/"

enum {
    REMEMBER_PREFIX_LEN = sizeof(REMEMBER_PREFIX) - 1,
    REMEMBER_SAVE_MS = 1000,                /* changes of a second are committed together */
    REMEMBER_RETRY_MS = 60000,              /* when the store could not take them */
    REMEMBER_LEARNED_MS = 24 * 3600 * 1000, /* for which a peer's own addresses are kept */
    REMEMBER_LEARNED_MAX = 16,              /* of one peer */
    REMEMBER_IDENTITY_MAX = 8 * 1024,       /* bytes of what a peer said of itself */
    REMEMBER_LEARNED_PEERS = 512,           /* half of PEERS_MAX: the rest is the application's */
};

struct remember {
    struct store *store;      /* NULL: none */
    struct store_batch gone;  /* peers to delete */
    struct store_batch batch; /* under way; the thread's until the job is done */
    struct list *repeated;    /* the last in batch that nobody would gather again */
    struct io_job *job;       /* of the commit that is under way, or NULL */
    int rc;                   /* of the last commit */
    struct work committed;    /* the job is done */
    struct timer timer;       /* until changes are committed */
    bool due, failing, full;
    bool last; /* the commit before the end was tried */
};

struct peer;

/* Fills the book. A store that cannot be opened is told as a warning, and nothing is remembered. */
void p2p__remember_open(p2p_host *host);
/* Of a host that is closing, when all else of it has ended: commits what is left. True once that is
 * done, or cannot be; until then it asks for a turn when there is news. */
bool p2p__remember_finish(p2p_host *host);
void p2p__remember_close(p2p_host *host);
/* Something about the peer changed, or (gone) it is about to be freed. */
void p2p__remember_peer(p2p_host *host, struct peer *peer);
void p2p__remember_gone(p2p_host *host, struct peer *peer);

/* recall.c: 0, or what the store says. */
int p2p__recall(p2p_host *host, struct store *store);

#endif

/* The host: who we are, what we listen on, whom we know and are connected to. */
#ifndef P2P_HOST_HOST_H
#define P2P_HOST_HOST_H

#include <p2p/p2p.h>

#include "base/map.h"
#include "codec/psk.h"
#include "conn/conn.h"
#include "host/announce.h"
#include "host/backoff.h"
#include "host/bootstrap.h"
#include "host/config.h"
#include "host/gater.h"
#include "host/identity.h"
#include "host/limits.h"
#include "host/log.h"
#include "host/manager.h"
#include "host/notes.h"
#include "host/refusals.h"
#include "host/remember.h"
#include "transport/transport.h"

/* ---- for services (p2p_host_new is in services/services.c: a host and its services) ---- */

/* As p2p_host_new, without services. */
int p2p__host_new(const p2p_config *config, p2p_io *io, p2p_host **out, p2p_error **err);
/* With the services in place: starts the I/O thread of a host that has one. */
int p2p__host_start(p2p_host *self, p2p_error **err);
/* Frees a host that has not been started, at once. */
void p2p__host_discard(p2p_host *self);
/* An option's value as text. */
const char *p2p__host_option(const p2p_host *self, const char *name);

/* A service's state, freed when all streams and connections are gone. P2P_EEXIST, P2P_ENOMEM. */
int p2p__host_attach(p2p_host *self, const char *name, void *state, void (*free_fn)(void *state));
void *p2p__host_attached(const p2p_host *self, const char *name); /* or NULL */

/* Told in the tell phase, before the application. Lives until the host frees the service's state.
 */
struct host_observer {
    struct list node;
    void (*connected)(struct host_observer *, p2p_conn *);
    void (*disconnected)(struct host_observer *, p2p_conn *, const p2p_error *why);
    void (*changed)(struct host_observer *); /* addresses or protocols */
};
void p2p__host_observe(p2p_host *self, struct host_observer *observer);

/* ---- peers.c: the address book, and what is connected ---- */

enum {
    PEERS_MAX = 1024, /* whose addresses are kept; connected ones are bounded by the limits of
                         connections */
    PEER_ADDRS_MAX = 64,
};

struct addr_copy;

struct known_addr {
    struct known_addr *next;
    struct addr_copy *addr; /* may have names */
    uint64_t expires_us;
    bool learned; /* from the peer itself */
};

struct peer {
    struct map_node node;
    struct list all;
    p2p_peer_id id;
    struct known_addr *addrs;
    size_t addr_count;
    struct list conns; /* of conn_entry.of_peer */
    struct peer_load load;
    struct care *care;      /* manager.c; or NULL */
    struct keep *keep;      /* keep.c; or NULL */
    struct dial *dial;      /* under way */
    p2p_identity *identity; /* what it said of itself; or NULL */
    struct note *notes;
    int64_t lasted_s;    /* bootstrap.c: wall time when it was last seen to stay; 0: never */
    uint64_t record_seq; /* of the newest signed record that was believed */
    bool unsaved, saving, stored; /* remember.c */
};

/* What the host keeps for a connection; p2p_conn.owner_data. */
struct conn_entry {
    struct list of_peer;
    p2p_conn *conn;
    struct peer *peer;       /* once admitted */
    struct attempt *attempt; /* the dial it belongs to, until it ends */
    struct fds_op *fds;      /* or who waits for it */
    struct conn_share share; /* of the host's limits */
    uint64_t opened_us;
    bool opened;
};

struct peer *p2p__peer_find(const p2p_host *host, const p2p_peer_id *id);
/* Found or made; NULL: no memory. */
struct peer *p2p__peer_get(p2p_host *host, const p2p_peer_id *id);
/* Frees it if nothing needs it any more. */
void p2p__peer_release(p2p_host *host, struct peer *peer);
/* One that a peer told of itself (learned) never shortens or replaces what the application said. */
int p2p__peer_put_addr(p2p_host *host, struct peer *peer, const p2p_multiaddr *addr, int ttl_ms,
                       bool learned);
/* A known address goes: *at. */
void p2p__peer_drop_addr(struct peer *peer, struct known_addr **at);
void p2p__peer_free(p2p_host *host, struct peer *peer);
/* The best open connection, or NULL. */
p2p_conn *p2p__peer_conn(const p2p_host *host, const struct peer *peer);
void p2p__peers_fini(p2p_host *host);

/* ---- learn.c ---- */

/* What a connected peer says of its addresses: they replace what it said before, unless they come
 * from an older signed record than one that was believed. */
void p2p__peer_learn(p2p_host *host, const p2p_peer_id *id, bool is_signed, uint64_t record_seq,
                     const struct p2p__const_iov *addrs, size_t addr_count);
/* Takes over what a connected peer said of itself, in the place of what it said before. Returns it,
 * or NULL: nobody knows that peer, and it is freed. */
const p2p_identity *p2p__peer_said(p2p_host *host, p2p_identity *identity);
/* Before its last connection is taken from it. */
void p2p__peer_parting(p2p_host *host, struct peer *peer);

/* ---- conns.c ---- */

extern const struct conn_owner p2p__host_owner;
/* A connection over what a transport brought, which it takes over, entered into the host's books.
 * NULL: no memory; the passage is closed then. */
p2p_conn *p2p__host_add_conn(p2p_host *host, const struct transport *transport,
                             struct passage *passage, bool outbound, const p2p_peer_id *expected,
                             struct conn_entry **entry);
void p2p__passage_close(struct shard *shard, struct passage *passage);

/* ---- transports.c ---- */

int p2p__transports_init(p2p_host *host);
void p2p__transports_fini(p2p_host *host);
void p2p__transports_interfaces_changed(p2p_host *host);
/* Another one, for a service; the host frees it. NULL: no memory. */
struct transport *p2p__host_add_transport(p2p_host *host, const struct transport_ops *ops);
/* Which transport an address without /p2p/PEER is for: 0; P2P_ENOTSUP or P2P_EADDR with a sentence
 * of static storage. */
int p2p__transport_find(const p2p_host *host, const p2p_multiaddr *addr, struct transport **out,
                        const char **why);

/* ---- listen.c ---- */

/* Interfaces changed: what wildcards stand for is looked at again. */
void p2p__listen_refresh(p2p_host *host);
void p2p__listen_close_all(p2p_host *host);

/* ---- web_files.c: the options wss_cert, wss_key, wss_ca ---- */

/* Loads what they name, and watches it. Nothing if they name nothing. */
int p2p__web_files_open(p2p_host *host, char *why, size_t why_cap);
void p2p__web_files_close(p2p_host *host);
void p2p__web_files_free(p2p_host *host);

/* ---- dial.c ---- */

/* Puts the waiter (a stream, or an operation) on a connection to target, dialing if need be; it
 * hears of every failure by its own way. */
void p2p__dial_stream(p2p_host *host, const char *target, const p2p_dial_opts *opts,
                      p2p_stream *stream);
void p2p__dial_op(p2p_host *host, const char *target, const p2p_dial_opts *opts, p2p_op *op);
/* A connection to the peer opened, or an attempt's connection ended. */
void p2p__dial_opened(struct conn_entry *entry);
void p2p__dial_closed(struct conn_entry *entry, const p2p_error *why);
void p2p__dial_cancel_all(p2p_host *host);

/* ---- fds.c ---- */

/* A connection opened, or ended before. */
void p2p__fds_opened(struct conn_entry *entry);
void p2p__fds_closed(struct conn_entry *entry, const p2p_error *why);

/* ---- op.c ---- */

struct p2p_op {
    struct work work;
    struct timer timer;
    struct list wait, all;
    p2p_host *host;
    p2p_done_cb done;
    void *user;
    p2p_error *why;
    const p2p_error *fallback; /* what is told without a why; NULL: success */
    uint64_t deadline_us;
    bool finished, told;
    /* What cancelling ends as well, or NULL. */
    void (*on_cancel)(p2p_op *);
};

p2p_op *p2p__op_new(p2p_host *host, size_t size, p2p_done_cb done, void *user);
/* done comes soon; why is copied. The first one stays. */
void p2p__op_finish(p2p_op *self, const p2p_error *why);
void p2p__op_cancel_all(p2p_host *host);

/* ---- the whole ---- */

struct close_cb {
    struct close_cb *next;
    p2p_done_cb done;
    void *user;
};

struct attached {
    struct attached *next;
    const char *name;
    void *state;
    void (*free_fn)(void *);
};

struct p2p_host {
    struct shard shard;
    struct work work; /* events that are due */
    struct protocols protocols;
    p2p_config *config;
    p2p_key *key;
    const char *securities[8], *proposals[8], *muxers[4];
    uint8_t psk[P2P__PSK_LEN];
    const p2p_host_events *events;
    void *events_user;
    struct list conns;     /* p2p_conn.all, half-open ones too */
    struct list listeners; /* of listen.c */
    struct list transports;
    struct list peers; /* peer.all */
    struct list dials;
    struct list starving; /* dials that wait for others' attempts to end */
    uint32_t dialing;     /* attempts under way */
    struct backoff backoff;
    struct black_hole udp_hole, ip6_hole;
    struct list ops; /* p2p_op.all */
    struct list observers;
    struct map peer_map;
    struct limits limits;
    struct announce announce;
    struct manager manager;
    struct bootstrap bootstrap;
    struct gater gater;
    struct refusals refusals;
    struct log log;
    struct remember remember;
    struct attached *attached;
    struct close_cb *closers;
    struct close_cb *spare_closer; /* the first closing is told even when out of memory */
    uint64_t next_conn_id;
    struct web_files *web_files; /* or NULL */
    char *warning;               /* to be told: the last one */
    int warning_code;
    bool own_io, closing, started;
    bool changed;            /* observers are to be told */
    bool interfaces_changed; /* listeners are to look again */
};

/* Makes a p2p_error of a code and a sentence, for the err parameters. */
void p2p__host_error(p2p_error **err, int code, int sys_errno, const char *message);
/* Something goes on, but not as configured: told to the application soon. */
void p2p__host_warn(p2p_host *self, int code, const char *sentence);
/* Addresses or protocols changed. */
void p2p__host_changed(p2p_host *self);

#endif

/* A transport turns a multiaddr into a link, a byte pipe that a connection upgrades, or into a
 * session, which brings its own security and streams. The host knows multiaddrs and this table; it
 * has one transport of each kind, and a service may add another (a relay).
 *
 * Addresses here end before /p2p/PEER. Upcalls only mark, as those of io. */
#ifndef P2P_TRANSPORT_TRANSPORT_H
#define P2P_TRANSPORT_TRANSPORT_H

#include <p2p/multiaddr.h>

#include "conn/conn.h"

struct transport_ops;

/* What each kind's state starts with. Allocated with ops->size bytes, zeroed. */
struct transport {
    const struct transport_ops *ops;
    struct list node; /* the host's */
    struct shard *shard;
};

/* What is spoken below the secure channel, and (inbound) what the first bytes may ask for. */
struct under {
    bool ws, web_tls;
    bool sniff_ws, sniff_tls;
    char name[CONN_NAME_MAX + 1]; /* the DNS name of a WebSocket's server, or "" */
};

/* What a dial or an accept brought. */
struct passage {
    struct link *link; /* or NULL, and a session: */
    struct session *session;
    struct io_addr remote;    /* for limits; family 0: no IP address */
    struct under under;       /* what is spoken below the secure channel */
    struct addr_copy *met_at; /* of the local transport: owned, or NULL */
    bool shared_port;         /* dialed from a port that is listened on */
};

/* Where connections come in. Allocated by the transport as a part of its own struct. */
struct transport_listener {
    struct transport *transport;
    void (*wake)(struct transport_listener *);
    void *owner; /* set with wake by the host, right after listen */
    bool acceptable;
};

enum transport_dial_flags {
    TRANSPORT_FRESH_PORT = 1, /* not from a port that is listened on */
};

struct transport_ops {
    const char *name; /* for people: "tcp" */
    size_t size;
    void (*init)(struct transport *); /* base is filled in */
    /* 0: the address is for this transport, and can be dialed and listened on as far as one can
     * tell; P2P_ENOTSUP: it is another's; P2P_EADDR: it is wrong, *why (static) says how. */
    int (*claim)(const struct transport *, const p2p_multiaddr *addr, const char **why);
    /* 0 with a link or session that is there or under way; its failure then comes by itself.
     * Negative, with *sys_errno or 0: nothing was made. P2P_EADDR: *why as above. */
    int (*dial)(struct transport *, const p2p_multiaddr *addr, unsigned flags, struct passage *out,
                int *sys_errno);
    /* 0 with a listener, which may be one that was returned before and now serves addr as well
     * (owner is then set). Negative as in dial. */
    int (*listen)(struct transport *, const p2p_multiaddr *addr, struct transport_listener **out,
                  int *sys_errno);
    /* addr as it was asked for, with the port that it got. */
    void (*bound)(const struct transport_listener *, const p2p_multiaddr *addr, p2p_multiaddr *out);
    /* 0; P2P_EAGAIN: none now (acceptable is cleared); P2P_ELIMIT: the system is out of descriptors
     * or memory, the listener sleeps until resume. */
    int (*accept)(struct transport_listener *, struct passage *out, int *sys_errno);
    void (*resume)(struct transport_listener *);
    void (*close)(struct transport_listener *); /* frees it */
    /* The address of an end of a connection that came from here. */
    void (*addr)(const struct transport *, const struct p2p_conn *, bool remote,
                 p2p_multiaddr *out);
    /* This machine may have other addresses now. NULL: nothing to do. */
    void (*interfaces_changed)(struct transport *);
    /* All connections and listeners are gone. NULL: nothing to do. */
    void (*fini)(struct transport *);
};

#endif

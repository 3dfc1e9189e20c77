/* The one interface between the library and the world. Two backends fill it: uv.c (real sockets)
 * and sim/ (a deterministic simulation). No protocol code sees anything else.
 *
 * Upcalls only mark. A backend calls a link's or listener's `wake` when its state changed; the
 * owner queues itself and calls io->ops->mark; the backend then calls io->turn soon, from a fresh
 * stack. All work happens in that one call. Lost or doubled wakes are harmless: everyone looks at
 * state.
 *
 * Reading is pulled. The backend sets link->readable and wakes; the owner calls fill; not calling
 * it is backpressure. */
#ifndef P2P_IO_IO_H
#define P2P_IO_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <p2p/io.h>

#include "base/buf.h"
#include "base/outq.h"
#include "base/pool.h"

enum {
    IO_RECORD_MAX = 65537, /* the longest record of a layer above, which is Noise's */
    /* Two of those exactly, so that reading bulk cuts none. Larger reads lose the cache: 256 KiB
     * ran at 0.84-0.93 of the limit. */
    IO_FILL_BULK = 2 * IO_RECORD_MAX,
    IO_HEADROOM = 64, /* dead bytes before what fill borrows, for leftovers to move into */
    /* What layers between put before two such records is read with them. */
    IO_FILL_MAX = IO_FILL_BULK + IO_HEADROOM,
    IO_LISTEN_BACKLOG = 512,
};

/* An IP endpoint without a socket header. ip holds 4 or 16 bytes in network order; scope is the
 * interface index of a link-local IPv6 address. */
struct io_addr {
    uint8_t family; /* 4 or 6; 0: none */
    uint16_t port;
    uint32_t scope;
    uint8_t ip[16];
};

struct io_interface {
    char name[32];
    struct io_addr addr; /* port 0 */
    bool loopback, up;
};

struct link;
struct io_listener;
struct io_udp;

struct link_ops {
    /* Reads what is there, at most IO_FILL_MAX, and never more than buf_room(&link->in): an empty
     * `in` borrows it from the loop's scratch, with IO_HEADROOM dead bytes before it; otherwise it
     * is appended. Bytes read; 0: nothing now (readable cleared). The end sets link->eof, a failure
     * link->err; both return 0 as well, and leave `in` as it is. */
    size_t (*fill)(struct link *);
    /* Whether link->need bytes can be read right behind what the last fill lent, without touching
     * that. NULL: never. */
    bool (*fills_behind)(const struct link *);
    /* Hands iov to the kernel; returns the bytes taken, which may be 0 (writable is then false
     * until a wake). A failure sets link->err and returns 0. Never call it while link->out holds
     * bytes. */
    size_t (*write)(struct link *, const struct iov *iov, size_t iov_count);
    /* Writes what link->out holds, as far as the kernel takes it. */
    void (*flush)(struct link *);
    /* Half-closes the sending side once link->out is empty (call it only then). */
    void (*shutdown)(struct link *);
    /* The link is gone after this call, its memory too (now or later): no more wakes. Bytes that
     * the kernel has taken are still delivered, unless abort (a TCP reset). Settles nothing: the
     * owner has finished `in` and `out` with the pool before. */
    void (*close)(struct link *, bool abort);
};

/* A reliable byte pipe: a TCP socket, a simulated pipe, later a relayed stream. Allocated by the
 * backend as a part of its own struct. */
struct link {
    const struct link_ops *ops;
    struct buf in;   /* received, not consumed; the owner sets in.max */
    struct outq out; /* what the kernel refused */
    struct pool *pool;
    void (*wake)(struct link *);
    void *owner;
    /* How many bytes complete the record whose beginning `in` holds, set by the owner; 0: unknown.
     * With it a fill may stop right there, so that the next one begins with a whole record. */
    uint32_t need;
    /* Of the next fill: what was lent is still in use, though `in` holds nothing of it; at most
     * `need` bytes are read, right behind. Set by the owner after fills_behind, cleared by fill. */
    bool behind;
    bool connected; /* false while dialing */
    bool readable;  /* fill may bring bytes, eof or err */
    bool writable;  /* the kernel takes bytes */
    bool eof;       /* the remote ended its side; no more bytes will come */
    int err;        /* enum p2p_code of what broke the link, or 0 */
    int sys_errno;
    struct io_addr local, remote; /* valid once connected */
};

/* iov now as far as possible, the rest into link->out. Returns 0, or P2P_ENOMEM. */
static inline int link_send(struct link *self, const struct iov *iov, size_t iov_count)
{
    size_t taken = 0;
    if (outq_len(&self->out) == 0 && self->writable && !self->err)
        taken = self->ops->write(self, iov, iov_count);
    for (size_t i = 0; i < iov_count; i++) {
        size_t skip = taken < iov[i].len ? taken : iov[i].len;
        taken -= skip;
        if (iov[i].len > skip &&
            p2p__outq_append(&self->out, self->pool, iov[i].base + skip, iov[i].len - skip) < 0)
            return P2P_ENOMEM;
    }
    return 0;
}

/* At the end of a turn. What `in` has borrowed may stay in the scratch: as soon as another link
 * needs that, the backend copies it into memory of its own. Returns as p2p__buf_settle. */
static inline int link_rest(struct link *self)
{
    if (buf_borrowed(&self->in) && buf_len(&self->in))
        return 0;
    return p2p__buf_settle(&self->in, self->pool);
}

struct io_listener {
    void (*wake)(struct io_listener *);
    void *owner;
    bool acceptable; /* accept may bring a link */
    struct io_addr local;
};

enum {
    IO_PATH_MAX = 107, /* bytes of a Unix socket's path */
};

/* An endpoint of this machine: a Unix socket's path, or (path_len 0) a number in this process. */
struct io_local {
    uint64_t number;
    size_t path_len;
    char path[IO_PATH_MAX + 1]; /* with a NUL */
};

enum io_dial_flags {
    IO_DIAL_REUSE_PORT =
        1, /* bind to `local` with address and port reuse, to share a listener's port */
};

enum io_record {
    IO_A,
    IO_AAAA,
    IO_TXT,
};

enum {
    IO_NAME_MAX = 253,    /* characters of a domain name (RFC 1035, 2.3.4) */
    IO_QUERY_ADDRS = 32,  /* of one answer; the rest is left out */
    IO_QUERY_TXTS = 16,   /* likewise */
    IO_TXT_MAX = 1024,    /* bytes of one record, its strings joined; longer ones are left out */
    IO_QUERIES_MAX = 256, /* of one io at a time, so that no target can make it ask without end */
    IO_NAME_SERVERS = 8,  /* that may be set */
    IO_NAME_PORT = 53,
    IO_EDNS_BYTES = 1232, /* what a reply over UDP may take: no path fragments it */
};

struct io_txt {
    size_t len;
    uint8_t bytes[IO_TXT_MAX];
};

/* A question to the name service. Allocated by the backend as a part of its own struct. */
struct io_query {
    void (*wake)(struct io_query *);
    void *owner;
    bool done;           /* the rest is valid */
    int code;            /* 0 with at least one record; P2P_ERESOLVE, P2P_ETIMEDOUT, P2P_ENOMEM */
    const char *why;     /* of ERESOLVE: what is wrong; static storage */
    size_t addr_count;   /* of IO_A and IO_AAAA, port 0 */
    size_t txt_count;    /* of IO_TXT */
    struct io_txt *txts; /* IO_QUERY_TXTS of them, or NULL */
    struct io_addr addrs[IO_QUERY_ADDRS];
};

/* Something that may block for long, done beside the loop. Allocated by the backend as a part of
 * its own struct. */
struct io_job {
    void (*wake)(struct io_job *);
    void *owner;
    bool done; /* it ran, and what it wrote can be read */
};

struct io_ops {
    const char *name;
    /* Monotonic, read once a turn: constant within it. */
    uint64_t (*now_us)(struct p2p_io *);
    /* Wall time since 1970, for certificates and records only. */
    int64_t (*wall_us)(struct p2p_io *);
    void (*random)(struct p2p_io *, void *out, size_t len);
    /* A turn is due: it comes soon, from a fresh stack, even when called inside a turn. */
    void (*mark)(struct p2p_io *);
    /* The turn must run at at_us (monotonic) at the latest; UINT64_MAX: no deadline. Replaces the
     * earlier call. */
    void (*wake_at)(struct p2p_io *, uint64_t at_us);
    /* Much was freed: the process gives back what it can. May be NULL. */
    void (*trim)(void);
    /* out is set at once; connected, or err, comes by wake. Returns 0, or a negative code with
     * *sys_errno: nothing was made then. local may be NULL. */
    int (*dial)(struct p2p_io *, const struct io_addr *remote, const struct io_addr *local,
                unsigned flags, struct pool *pool, struct link **out, int *sys_errno);
    int (*listen)(struct p2p_io *, const struct io_addr *at, struct io_listener **out,
                  int *sys_errno);
    /* The same for endpoints of this machine; the links have no addresses (family 0). A path gets
     * mode 0600, takes the place of a socket file that nobody listens on any more, and is removed
     * by unlisten. In a simulation all machines share these names. */
    int (*dial_local)(struct p2p_io *, const struct io_local *remote, struct pool *pool,
                      struct link **out, int *sys_errno);
    int (*listen_local)(struct p2p_io *, const struct io_local *at, struct io_listener **out,
                        int *sys_errno);
    /* A connected link over descriptors that can be polled, which may be one and the same; they are
     * the link's from now on, also on failure. P2P_ECONN with *sys_errno (EINVAL: a file cannot be
     * waited for), P2P_ELIMIT, P2P_ENOMEM. NULL: there are none in this world. */
    int (*adopt)(struct p2p_io *, int read_fd, int write_fd, struct pool *pool, struct link **out,
                 int *sys_errno);
    /* 0 with a connected link; P2P_EAGAIN: none now (acceptable cleared); P2P_ELIMIT: the system is
     * out of descriptors or memory, the listener sleeps until resume is called. */
    int (*accept)(struct io_listener *, struct pool *pool, struct link **out, int *sys_errno);
    void (*resume)(struct io_listener *);
    void (*unlisten)(struct io_listener *); /* frees it */
    /* A socket bound to `at` (port 0: any), with enum io_udp_flags: see udp.h. 0, or P2P_ELISTEN or
     * P2P_ELIMIT with *sys_errno: nothing was made then. */
    int (*udp)(struct p2p_io *, const struct io_addr *at, unsigned flags, struct io_udp **out,
               int *sys_errno);
    /* Asks for the records of a name; the hosts file counts for addresses. *out is set at once, and
     * may be done already; otherwise done comes by wake, with P2P_ETIMEDOUT at deadline_us
     * (monotonic), and sooner when the backend's own patience ends. 0; P2P_ERESOLVE: that is no
     * name; P2P_ELIMIT; P2P_ENOMEM: nothing was made then. */
    int (*resolve)(struct p2p_io *, const char *name, enum io_record, uint64_t deadline_us,
                   struct io_query **out);
    /* Frees the query, done or not: no more wakes. Before detach, and not from a wake. */
    void (*resolve_end)(struct io_query *);
    /* Instead of the system's, from the next question on that comes while none is under way; port 0
     * is IO_NAME_PORT. At most IO_NAME_SERVERS. */
    void (*name_servers)(struct p2p_io *, const struct io_addr *servers, size_t count);
    /* Up to cap interfaces' addresses; returns how many there are, or a negative code. */
    int (*interfaces)(struct p2p_io *, struct io_interface *out, size_t cap);
    /* How many descriptors the process may have open now. NULL: as many as it likes. */
    size_t (*fds_max)(struct p2p_io *);
    /* Bytes of memory that this process may have; UINT64_MAX: not known. May be NULL. */
    uint64_t (*memory_max)(void);
    /* From now on base.interfaces_changed is called when that list may have changed, or which of
     * its addresses datagrams leave from by default. 0, also when asked again; P2P_ENOTSUP: nobody
     * would tell, ask for the list from time to time instead; P2P_ENOMEM. */
    int (*watch_interfaces)(struct p2p_io *);
    /* From any thread: fn runs on the loop's thread, from a fresh stack, in order. 0, or P2P_ENOMEM
     * or P2P_ECLOSED, and then fn never runs. */
    int (*post)(struct p2p_io *, void (*fn)(void *user), void *user);
    /* run(user) on a thread of its own; it touches nothing that the loop's thread reads or writes
     * before done. Done comes by wake. Returns 0; P2P_ELIMIT (no more threads), P2P_ENOMEM,
     * P2P_ENOTSUP: it never runs. */
    int (*job)(struct p2p_io *, void (*run)(void *user), void *user, struct io_job **out);
    /* Frees a job that is done. Before detach, and not from a wake. */
    void (*job_end)(struct io_job *);
    /* True on the loop's own thread. */
    bool (*on_thread)(struct p2p_io *);
    /* The host let go: no more turns, wakes or posts after this returns (posts that were not run
     * are run first). p2p_io_free may follow at any time, also from within a callback of the host.
     */
    void (*detach)(struct p2p_io *);
    void (*free)(struct p2p_io *);
    /* p2p_io_poll's three; NULL elsewhere. */
    int (*fd)(const struct p2p_io *);
    int (*timeout_ms)(const struct p2p_io *);
    void (*process)(struct p2p_io *);
};

struct p2p__crypto;

/* What every backend's io starts with. */
struct p2p_io {
    const struct io_ops *ops;
    const struct p2p__crypto *crypto; /* the real one, except where a simulation chose otherwise */
    void (*turn)(void *user);         /* set by the host while it is attached, else NULL */
    /* Set by the host, or NULL; only marks. After watch_interfaces. */
    void (*interfaces_changed)(void *user);
    void *user;
};

static inline uint64_t io_now_us(struct p2p_io *self)
{
    return self->ops->now_us(self);
}

/* Seconds since 1970. */
static inline int64_t io_wall_s(struct p2p_io *self)
{
    return self->ops->wall_us(self) / 1000000;
}

bool p2p__io_addr_equal(const struct io_addr *a, const struct io_addr *b);
bool p2p__io_addr_is_loopback(const struct io_addr *a);
/* 0.0.0.0 or :: */
bool p2p__io_addr_is_any(const struct io_addr *a);

#endif

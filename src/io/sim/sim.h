/* What the files of the simulator share. sim.c runs events, host.c is the machine behind a p2p_io,
 * tcp.c makes connections, pipe.c moves their bytes, link.c is what their owners see, udp.c moves
 * datagrams, fault.c breaks things; name.c is the name service. */
#ifndef P2P_IO_SIM_SIM_H
#define P2P_IO_SIM_SIM_H

#include <p2p/sim.h>

#include "base/list.h"
#include "base/map.h"
#include "io/io.h"
#include "io/sim/queue.h"
#include "io/sim/rng.h"

enum {
    SIM_PIECE_MAX = 16 * 1024, /* the grain of arrival, and of memory in flight */
    SIM_PACKET = 1460,         /* what loss is counted in */
    SIM_FLIGHT_BYTES = 262144, /* what Linux gives a socket without tuning, about */
    SIM_LOOPBACK_US = 10,
    SIM_BOOT_US = 1000000,       /* machines were up before: their clocks never say 0 */
    SIM_RTO_MIN_US = 200000,     /* Linux' least retransmission timeout */
    SIM_RTO_MAX_US = 120000000,  /* and its largest */
    SIM_RETRIES = 15,            /* tcp_retries2 */
    SIM_GIVE_UP_US = 924600000,  /* what those take */
    SIM_SYN_RTO_US = 1000000,    /* RFC 6298 2.1 */
    SIM_SYN_RETRIES = 6,         /* tcp_syn_retries: given up after 127 s */
    SIM_ACKS = 17,               /* acknowledgments under way: a sixteenth of the latency each */
    SIM_EPHEMERAL_FIRST = 32768, /* Linux' ip_local_port_range */
    SIM_EPHEMERAL_LAST = 60999,
    SIM_NAME_DELAY_US = 50000,      /* a round trip of the default path */
    SIM_NAME_GIVE_UP_US = 14000000, /* 2, 4 and 8 s, as on real sockets */
    SIM_SCRATCH_LEN = IO_HEADROOM + IO_FILL_MAX + IO_RECORD_MAX,
};

struct sim_path {
    struct map_node node; /* in sim->paths */
    uint32_t region_a, region_b;
    uint64_t latency_us, jitter_us, rate;
    uint32_t flight_bytes, queue_bytes, loss_ppm, duplicate_ppm, reorder_ppm, mtu;
    int32_t segments;
};

struct sim_cut {
    uint64_t number; /* of the connection */
    uint64_t left;   /* bytes until the cut */
    uint8_t direction, how;
    bool set;
};

struct p2p_sim {
    struct sim_queue queue;
    uint64_t now_us, hash, events;
    uint64_t seed;
    struct sim_rng net, user;
    const struct p2p__crypto *crypto;
    int64_t wall_us;
    struct hash_key key;
    struct map addresses; /* sim_ip by address */
    struct map listeners; /* by machine and port */
    struct map locals;    /* sim_local */
    struct map ends;      /* by machine, both ports and both addresses */
    struct map sockets;   /* UDP: by machine and port */
    struct map paths;     /* those that were set */
    struct map names;     /* sim_name by name */
    struct list all_names;
    uint64_t name_delay_us;
    struct sim_path any_path, loopback;
    struct list hosts, timers;
    uint32_t host_count, next_ip;
    uint64_t connections, sockets_bound;
    struct list datagrams;    /* under way */
    struct sim_host *running; /* whose turn or post is on the stack */
    bool in_event;
    uint32_t faults;         /* partitions and silent machines: 0 makes every look-up cheap */
    uint64_t partitions;     /* bits in use */
    uint64_t against_others; /* those whose other side is whoever is not on the first */
    uint64_t region_a[P2P_SIM_REGIONS_MAX], region_b[P2P_SIM_REGIONS_MAX];
    struct sim_cut *cuts; /* of connections that were not dialed yet */
    size_t cut_count;
    uint8_t *scratch; /* SIM_SCRATCH_LEN bytes, which fill lends */
    struct link *borrower;
    uint8_t *trains; /* what a UDP socket received last */
};

struct sim_ip {
    struct map_node node;
    struct sim_ip *next; /* of the same machine */
    struct sim_host *host;
    struct io_addr addr; /* port 0 */
};

struct sim_post;

struct sim_host {
    struct p2p_io io;
    struct p2p_sim *sim;
    struct list in_sim;
    struct sim_event event;
    uint64_t mark_at;         /* simulation time; SIM_NEVER: unmarked */
    uint64_t wake_at;         /* the machine's time */
    uint64_t monotonic_delta; /* what its clock is ahead of the simulation's */
    int64_t wall_delta;
    struct sim_rng rng;
    struct list ends, listeners, queries, sockets, jobs;
    struct sim_ip *ips;
    struct sim_post *post_first, *post_last;
    uint64_t post_at;        /* simulation time, of the first */
    uint64_t part_a, part_b; /* the partitions' sides that it is on */
    uint64_t slow_interval_us;
    uint32_t slow_bytes;
    uint32_t id, region;
    uint32_t links, links_max;
    uint16_t next_port;
    bool down, blackhole, refuse, detached;
    bool watched; /* it wants to hear of its interfaces */
    bool gone;    /* freed within its own event: the memory goes when that ends */
};

enum sim_piece_kind {
    SIM_DATA,
    SIM_SYNACK,
    SIM_ACK, /* the third packet of the handshake */
    SIM_REFUSED,
    SIM_FIN,
    SIM_RST,
    SIM_GIVE_UP, /* no packet: the end's own patience with a machine that has vanished */
};

/* Something under way to an end, or arrived there and not read. */
struct sim_piece {
    struct sim_piece *next;
    uint64_t at_us;
    uint32_t len, arrived, read; /* read <= arrived <= len */
    uint8_t kind;
    uint8_t bytes[];
};

enum sim_state {
    SIM_SYN_SENT, /* the event is the SYN's arrival there */
    SIM_SYN_MET,  /* it found its match; the answer is under way */
    SIM_SYN_RCVD,
    SIM_ACCEPTABLE,
    SIM_OPEN,
};

struct sim_acks {
    uint32_t count;
    struct {
        uint64_t first_us, at_us;
        uint32_t bytes;
    } under_way[SIM_ACKS];
};

/* What few ends have. */
struct sim_extra {
    struct sim_cut cut;      /* counts what this end receives */
    struct sim_cut peer_cut; /* for the other end, until there is one */
    uint64_t slow_interval;  /* the running number of the one that slow_used counts in */
    uint64_t slow_until_us;
    uint32_t slow_used;
};

/* A name for a listener, the same on all machines. */
struct sim_local {
    struct map_node node;
    struct io_local name;
    struct sim_listener *listener;
};

struct sim_listener {
    struct io_listener listener;
    struct sim_host *host;
    struct list in_host;
    struct map_node node;
    struct list half, ready; /* ends: handshake under way; acceptable */
    struct sim_local *local; /* its name, if it has one */
    uint32_t waiting;
    bool asleep;
};

struct sim_end {
    struct link link;
    struct sim_host *host;
    struct sim_end *peer; /* NULL: not there yet, or closed */
    struct list in_host;  /* or in a listener's list */
    struct map_node node;
    struct sim_event event;
    struct sim_path *path;
    struct sim_piece *first, *last; /* received first, then under way to here */
    struct sim_piece *coming;       /* the first that has not arrived entirely */
    union {
        uint64_t syn_at;               /* SIM_SYN_SENT */
        struct sim_listener *listener; /* SIM_SYN_RCVD, SIM_ACCEPTABLE */
        uint64_t wire_free_ns;         /* when what this end wrote is serialized */
    };
    struct sim_acks *acks; /* on their way to this end */
    struct sim_extra *extra;
    uint32_t unread;   /* bytes that arrived here */
    uint32_t unacked;  /* written here and not known to be read */
    int16_t broken;    /* enum p2p_code: what reading meets after the last byte, and writing now */
    int16_t sys_errno; /* for it */
    uint8_t state;     /* enum sim_state */
    uint8_t retries;   /* of the first piece coming, or of the SYN */
    bool fin_sent;
    bool silent; /* nothing passes any more */
};

/* A thousand machines with twenty connections are forty thousand of these. */
_Static_assert(sizeof(void *) > 8 || sizeof(struct sim_end) <= 304, "an idle end stays small");

/* sim.c */
struct sim_path *p2p__sim_path_between(struct p2p_sim *self, const struct sim_host *a,
                                       const struct sim_host *b);
void p2p__sim_host_seed(struct p2p_sim *self, uint32_t id, struct sim_rng *out);
void p2p__sim_hash_add(struct p2p_sim *self, uint64_t value);
void p2p__sim_hash_bytes(struct p2p_sim *self, const uint8_t *in, size_t in_len);

/* host.c */
void p2p__sim_host_fire(struct sim_host *self);
void p2p__sim_host_mark(struct sim_host *self);
void p2p__sim_host_arm(struct sim_host *self);
void p2p__sim_interfaces_changed(struct sim_host *self);
void p2p__sim_host_free(struct sim_host *self);
struct sim_host *p2p__sim_host_at(struct p2p_sim *sim, const struct io_addr *addr);
/* The simulation's time of a time of the machine. */
uint64_t p2p__sim_time(const struct sim_host *self, uint64_t host_us);
extern const struct io_ops p2p__sim_io_ops;

static inline struct sim_host *sim_host_of(const struct p2p_io *io)
{
    return (struct sim_host *)io;
}

/* tcp.c */
int p2p__sim_dial(struct p2p_io *io, const struct io_addr *remote, const struct io_addr *local,
                  unsigned flags, struct pool *pool, struct link **out, int *sys_errno);
int p2p__sim_listen(struct p2p_io *io, const struct io_addr *at, struct io_listener **out,
                    int *sys_errno);
int p2p__sim_accept(struct io_listener *listener, struct pool *pool, struct link **out,
                    int *sys_errno);
void p2p__sim_resume(struct io_listener *listener);
void p2p__sim_unlisten(struct io_listener *listener);

/* local.c */
int p2p__sim_dial_local(struct p2p_io *io, const struct io_local *remote, struct pool *pool,
                        struct link **out, int *sys_errno);
int p2p__sim_listen_local(struct p2p_io *io, const struct io_local *at, struct io_listener **out,
                          int *sys_errno);
void p2p__sim_local_free(struct p2p_sim *sim, struct sim_local *self);
/* tell: those who wait in it get a reset. */
void p2p__sim_listener_free(struct sim_listener *self, bool tell);
uint16_t p2p__sim_next_port(struct sim_host *self);
/* The address that the routing table would choose. */
bool p2p__sim_pick_ip(const struct sim_host *self, const struct io_addr *remote,
                      struct io_addr *out);
/* The machine that the end talks to, or NULL. */
struct sim_host *p2p__sim_far_host(const struct sim_end *self);
void p2p__sim_syn_arrives(struct sim_end *self);
void p2p__sim_synack_arrives(struct sim_end *self);
void p2p__sim_ack_arrives(struct sim_end *self);
/* Off every list, with all that it holds; its peer forgets it. */
void p2p__sim_end_free(struct sim_end *self);

/* link.c */
extern const struct link_ops p2p__sim_link_ops;

/* udp.c */
int p2p__sim_udp(struct p2p_io *io, const struct io_addr *at, unsigned flags, struct io_udp **out,
                 int *sys_errno);
void p2p__sim_udp_free(struct io_udp *udp);
void p2p__sim_udp_fini(struct sim_host *host);
void p2p__sim_datagram_fire(struct sim_event *event);
/* Those on their way from that machine vanish with it. */
void p2p__sim_datagrams_from(struct sim_host *host);
void p2p__sim_datagrams_fini(struct p2p_sim *sim);

/* name.c */
struct sim_query {
    struct io_query query;
    struct sim_event event;
    struct list in_host;
    struct sim_host *host;
    uint64_t deadline_us; /* simulation time */
    enum io_record record;
    char name[IO_NAME_MAX + 1];
};
int p2p__sim_resolve(struct p2p_io *io, const char *name, enum io_record record,
                     uint64_t deadline_us, struct io_query **out);
void p2p__sim_resolve_end(struct io_query *query);
void p2p__sim_query_fire(struct sim_query *self);
void p2p__sim_query_free(struct sim_query *self);
void p2p__sim_names_fini(struct p2p_sim *sim);

/* job.c */
struct sim_job {
    struct io_job job;
    struct sim_event event;
    struct list in_host;
    struct sim_host *host;
    void (*run)(void *user);
    void *user;
};
int p2p__sim_job(struct p2p_io *io, void (*run)(void *user), void *user, struct io_job **out);
void p2p__sim_job_end(struct io_job *job);
void p2p__sim_job_fire(struct sim_job *self);
void p2p__sim_job_free(struct sim_job *self);

/* pipe.c */
/* Room for len bytes, not sent yet; NULL: out of memory. */
struct sim_piece *p2p__sim_piece_new(enum sim_piece_kind kind, uint32_t len);
/* Sends it to this end: it arrives at at_us, or right behind what is under way before it. */
void p2p__sim_append(struct sim_end *self, struct sim_piece *piece, uint64_t at_us);
void p2p__sim_pop_first(struct sim_end *self);
/* 1..most, short ones more often than not. */
uint32_t p2p__sim_random_len(struct sim_end *self, uint32_t most);
/* How many bytes this end may write now. */
size_t p2p__sim_window(struct sim_end *self);
/* The other end read n bytes that this one wrote. */
void p2p__sim_acknowledge(struct sim_end *self, uint32_t n);
void p2p__sim_end_fire(struct sim_end *self);
/* Tells the owner, if it has one. */
void p2p__sim_end_wake(struct sim_end *self);
/* Sets the end's event to the next thing that it waits for. */
void p2p__sim_end_arm(struct sim_end *self);
uint64_t p2p__sim_latency(struct sim_end *self); /* one way, with jitter */
bool p2p__sim_is_lost(struct sim_end *self, uint32_t len);
/* A packet without bytes to `to`; it arrives behind what is under way. */
void p2p__sim_send_control(struct sim_end *to, enum sim_piece_kind kind, uint64_t at_us);
/* What this end sent last is serialized, and then takes a latency. */
uint64_t p2p__sim_arrival(struct sim_end *self, uint32_t len);
/* A reset to `to` overtakes what was not on the wire yet. */
void p2p__sim_send_reset(struct sim_end *to);
/* The connection is gone for this end: reading meets it after the last byte that arrived. */
void p2p__sim_end_break(struct sim_end *self, int code, int sys_errno);

/* fault.c */
/* Nothing passes between this end and the other one. */
bool p2p__sim_is_blocked(const struct sim_end *self);
bool p2p__sim_hosts_blocked(const struct p2p_sim *sim, const struct sim_host *a,
                            const struct sim_host *b);
/* Nothing passes any more on the connections from that address. */
void p2p__sim_silence(struct sim_host *self, const struct io_addr *addr);
/* NULL: out of memory. */
struct sim_extra *p2p__sim_extra(struct sim_end *self);
/* The cuts that wait for this connection become its own: 0 or P2P_ENOMEM. */
int p2p__sim_take_cuts(struct sim_end *dialer, uint64_t number);
/* The one for the other end goes to it: 0 or P2P_ENOMEM. */
int p2p__sim_hand_cut(struct sim_end *dialer, struct sim_end *peer);
/* How many of the next n bytes may still arrive here. */
uint32_t p2p__sim_cut_allows(const struct sim_end *self, uint32_t n);
/* n bytes arrived (0: the end was connected); cuts if that is due. */
void p2p__sim_cut_count(struct sim_end *self, uint32_t n);
/* How many bytes a slow reader may take now, of n; 0: its event tells when. */
size_t p2p__sim_slow_allows(struct sim_end *self, size_t n);
void p2p__sim_slow_count(struct sim_end *self, size_t n);

#endif

/* A deterministic world for hosts: virtual clock, seeded randomness, TCP links with latency, rate
 * and loss, and faults on demand. Hosts made on a simulated p2p_io run the very code that runs on
 * real sockets; ten thousand of them fit in one process, and the same seed with the same calls
 * gives the same run, byte for byte (p2p_sim_hash proves it).
 *
 * Time passes only between events: whatever a callback computes takes no virtual time. All times
 * are microseconds, counted from the simulation's start unless said otherwise. A simulation and
 * everything in it belong to one thread; several simulations may run on several threads.
 *
 * Modelled: a TCP connection is a pair of ordered pipes. Connecting takes one round trip. Bytes
 * arrive after their serialization at the path's rate, the latency, and the jitter; at most
 * flight_bytes are under way or unread, and room for more comes back one latency after the remote
 * read. Loss, partitions and black holes delay bytes by TCP's retransmissions (200 ms or two round
 * trips, doubling to 120 s), until after 15 of them the sender gets ETIMEDOUT; connecting tries
 * for 127 s. An address that no machine has is silence, as is a machine that is down. Datagrams
 * (UDP) are lost, doubled and overtaken as the path says; what finds no socket is answered by the
 * machine, so that the sender hears of it. */
#ifndef P2P_SIM_H
#define P2P_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <p2p/io.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct p2p_sim p2p_sim;

enum {
    P2P_SIM_REGIONS_MAX = 256,   /* regions are numbered from 0 */
    P2P_SIM_PARTITIONS_MAX = 64, /* at the same time */
    P2P_SIM_ANY_REGION = 0x7fffffff,
};

typedef struct p2p_sim_options {
    size_t size;
    uint64_t seed;
    /* Stand-ins with the real lengths and the real ways to fail instead of ciphers: no secrecy
     * whatever, an order of magnitude faster. For large runs only. */
    bool cheap_crypto;
    int64_t wall_us; /* wall time at the start, since 1970 */
} p2p_sim_options;

#define P2P_SIM_OPTIONS_INIT                                                                       \
    {                                                                                              \
        sizeof(p2p_sim_options), 1, false, 1767225600000000                                        \
    }

/* options may be NULL; NULL when out of memory. */
P2P_API p2p_sim *p2p_sim_new(const p2p_sim_options *options);

/* Frees every p2p_io made here that p2p_io_free has not; close their hosts first. Not from a
 * callback of the simulation. */
P2P_API void p2p_sim_free(p2p_sim *sim);

/* A machine with that IPv4 or IPv6 address (NULL: the next free one of 10.0.0.0/8), in a region
 * below P2P_SIM_REGIONS_MAX. Give it to p2p_host_new; p2p_io_free takes it off the network without
 * a word to its peers. NULL: out of memory, malformed, not unicast, or taken. */
P2P_API p2p_io *p2p_sim_host(p2p_sim *sim, const char *ip, unsigned region);

/* One more address of that machine. P2P_EADDR: malformed; P2P_EEXIST: taken; P2P_ENOMEM. */
P2P_API int p2p_sim_add_address(p2p_io *io, const char *ip);

/* The machine loses that address: what is sent to it is lost, its TCP connections pass nothing any
 * more, and datagrams leave from another address. P2P_EADDR: malformed; P2P_ENOENT: not its own. */
P2P_API int p2p_sim_remove_address(p2p_io *io, const char *ip);

/* Its nth address as text ("10.0.0.1"), at most 46 bytes with the NUL. 0 or P2P_ENOENT. */
P2P_API int p2p_sim_address(const p2p_io *io, size_t nth, char *out, size_t out_cap);

/* Paths */

/* How a written piece of bytes is cut when it arrives and is read. */
enum p2p_sim_segments {
    P2P_SIM_WHOLE,  /* as written, in pieces of at most 16 KiB; reads take all there is */
    P2P_SIM_RANDOM, /* in random pieces; reads bring random lengths of what is there */
    P2P_SIM_BYTE,   /* each byte an event of its own; reads bring one */
};

typedef struct p2p_sim_path_options {
    size_t size;
    uint64_t latency_us; /* one way; at least 1 */
    uint64_t jitter_us;  /* 0..jitter_us is added, evenly; order is kept */
    /* Bytes per second of one connection and direction, or from one UDP socket; 0: no limit. */
    uint64_t rate;
    uint32_t flight_bytes; /* written and not yet read by the remote; 0: the default */
    /* Taken and not yet serialized at the rate; 0: no limit but flight. Datagrams that find it full
     * are lost. */
    uint32_t queue_bytes;
    uint32_t loss_ppm; /* of packets of 1,460 bytes: becomes delay; of datagrams */
    int32_t segments;  /* enum p2p_sim_segments */
    /* Of datagrams only. They are not kept in order: jitter lets one overtake another. */
    uint32_t duplicate_ppm; /* arrive twice */
    uint32_t reorder_ppm;   /* take up to one latency and a millisecond more */
    uint32_t mtu;           /* longer ones, IP and UDP headers included, vanish; 0: none do */
} p2p_sim_path_options;

/* 25 ms, no jitter, no rate, no loss, 256 KiB in flight, an mtu of 1,500: as fast as the hosts can
 * go. */
#define P2P_SIM_PATH_INIT                                                                          \
    {                                                                                              \
        sizeof(p2p_sim_path_options), 25000, 0, 0, 262144, 0, 0, P2P_SIM_WHOLE, 0, 0, 1500         \
    }

/* Between two regions, both ways, and within one when they are the same. Live connections follow.
 * P2P_SIM_ANY_REGION twice: every pair that was not set (P2P_SIM_PATH_INIT unless changed). Links
 * within one machine take 10 us and lose nothing. 0 or P2P_ENOMEM; P2P_EINVAL: no such region. */
P2P_API int p2p_sim_path(p2p_sim *sim, unsigned region_a, unsigned region_b,
                         const p2p_sim_path_options *options);

/* Names. One name service answers every machine; case does not matter. An answer comes a delay
 * after the question; a machine that is down or in a black hole gets none, and gives up after 14 s.
 */

/* One more address of that name, IPv4 or IPv6. 0; P2P_EADDR: malformed; P2P_EINVAL: no name, or
 * longer than 253 characters; P2P_ENOMEM. */
P2P_API int p2p_sim_name(p2p_sim *sim, const char *name, const char *ip);

/* One more TXT record of that name. A machine sees the first 16, and none of over 1,024 bytes: what
 * real sockets let through. Errors as above. */
P2P_API int p2p_sim_txt(p2p_sim *sim, const char *name, const char *text);

enum p2p_sim_name_fault {
    P2P_SIM_NAME_WORKS,
    P2P_SIM_NAME_MISSING, /* there is no such name, whatever was set */
    P2P_SIM_NAME_SILENT,  /* no answer */
    P2P_SIM_NAME_FAILS,   /* the name service says that it failed */
};

/* How questions about that name, which need not exist, are answered from now on. 0 or P2P_ENOMEM;
 * P2P_EINVAL as above. */
P2P_API int p2p_sim_name_fault(p2p_sim *sim, const char *name, enum p2p_sim_name_fault fault);

/* From the question to its answer; 50 ms until this is called. At least 1. */
P2P_API void p2p_sim_name_delay(p2p_sim *sim, uint64_t delay_us);

/* Running; none of these may be called from inside an event. */

/* Runs one event. False: there is none. */
P2P_API bool p2p_sim_step(p2p_sim *sim);

/* Runs the events of the next duration_us; the clock then stands at the end of it. */
P2P_API void p2p_sim_run(p2p_sim *sim, uint64_t duration_us);

/* Runs until done(user) is true, asked at first and after each event: true. False after limit_us,
 * or when no events are left (the clock then stands at the end of the limit). */
P2P_API bool p2p_sim_run_until(p2p_sim *sim, bool (*done)(void *user), void *user,
                               uint64_t limit_us);

P2P_API uint64_t p2p_sim_now_us(const p2p_sim *sim);

/* How many events ran. */
P2P_API uint64_t p2p_sim_events(const p2p_sim *sim);

/* Over time, kind, machines and sizes of every event, and the bytes delivered: equal hashes mean an
 * equal run. */
P2P_API uint64_t p2p_sim_hash(const p2p_sim *sim);

/* fn once at at_us (now, if that has passed), as an event. 0 or P2P_ENOMEM. Not called any more
 * after p2p_sim_free. */
P2P_API int p2p_sim_at(p2p_sim *sim, uint64_t at_us, void (*fn)(void *user), void *user);

/* The user's own dice: drawing from them changes nothing else in the run. */
P2P_API uint64_t p2p_sim_random(p2p_sim *sim);

/* Faults. Legal at any time, in callbacks too. */

/* The box that translates the machine's ports to the outside forgets its UDP ones and gives them
 * new ones: others see the machine's datagrams come from there, and what they send to the old ones
 * finds nobody. (Until this is called, ports are what they are.) */
P2P_API void p2p_sim_rebind(p2p_io *io);

/* Nothing passes between a machine of `a` and one of `b`, nor back, until healed; connections stay,
 * and go on by retransmission after healing. b NULL: all others, later ones included. Returns the
 * partition's number for p2p_sim_heal, or P2P_ELIMIT. */
P2P_API int p2p_sim_partition(p2p_sim *sim, p2p_io *const *a, size_t a_count, p2p_io *const *b,
                              size_t b_count);

/* The same between regions; machines added to them later are included. */
P2P_API int p2p_sim_partition_regions(p2p_sim *sim, const unsigned *a, size_t a_count,
                                      const unsigned *b, size_t b_count);

P2P_API void p2p_sim_heal(p2p_sim *sim, int partition);

/* The cable is out: silence in both directions, and the machine sees its interfaces down. Its
 * programs and clock go on. */
P2P_API void p2p_sim_host_down(p2p_io *io);
P2P_API void p2p_sim_host_up(p2p_io *io);

/* Silence in both directions that the machine cannot see. */
P2P_API void p2p_sim_blackhole(p2p_io *io, bool on);

/* Every connection to this machine is refused, listeners or not. */
P2P_API void p2p_sim_refuse(p2p_io *io, bool on);

/* Each of the machine's links reads at most `bytes` in each interval_us; 0 bytes: no limit. */
P2P_API void p2p_sim_slow(p2p_io *io, uint32_t bytes, uint64_t interval_us);

/* At most `sockets` connections at a time; accepting then fails as it does without descriptors.
 * 0: no limit. */
P2P_API void p2p_sim_sockets(p2p_io *io, uint32_t sockets);

/* The wall clock is set forward or back; the monotonic clock jumps forward, as after a suspended
 * machine wakes (deadlines that passed meanwhile are due at once). Others' clocks stay. */
P2P_API void p2p_sim_clock_step(p2p_io *io, int64_t wall_delta_us, uint64_t monotonic_delta_us);

enum p2p_sim_cut {
    P2P_SIM_CUT_RESET,  /* both ends get ECONNRESET, the far one a latency later */
    P2P_SIM_CUT_SILENT, /* nothing passes any more, either way, and nobody is told */
    /* The end that received the last byte gets ECONNRESET; the other one believes in the
     * connection until it sends something, and is reset then. */
    P2P_SIM_CUT_HALF_OPEN,
};

enum p2p_sim_direction {
    P2P_SIM_TO_LISTENER,
    P2P_SIM_TO_DIALER,
};

/* How many connections were dialed so far; the next one is number p2p_sim_connections(sim) + 1. */
P2P_API uint64_t p2p_sim_connections(const p2p_sim *sim);

/* Cuts connection `number` (counted from 1, in the order of dialing, not dialed yet) as soon as
 * after_bytes were delivered in that direction; 0: as soon as that end is connected. One cut for
 * each direction; a later call replaces it. 0 or P2P_ENOMEM; P2P_EINVAL: it was dialed before. */
P2P_API int p2p_sim_cut(p2p_sim *sim, uint64_t number, enum p2p_sim_direction direction,
                        uint64_t after_bytes, enum p2p_sim_cut how);

/* The same for the next connection. */
P2P_API int p2p_sim_cut_next(p2p_sim *sim, enum p2p_sim_direction direction, uint64_t after_bytes,
                             enum p2p_sim_cut how);

/* Cuts every established connection between the two machines now; for a half-open cut, `io` is the
 * side that gets the error. Returns how many. */
P2P_API size_t p2p_sim_cut_between(p2p_io *io, p2p_io *other, enum p2p_sim_cut how);

#ifdef __cplusplus
}
#endif

#endif

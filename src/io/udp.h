/* A UDP socket. Like a link it is pulled and pushed by its owner, and its upcalls only mark; unlike
 * a link it moves whole datagrams, many at a time, and says where each came from and to which of
 * our addresses it was sent.
 *
 * A train is what the system moves in one piece (GRO in, GSO out): datagrams between the same two
 * addresses, with the same ECN mark, one behind the other in memory. */
#ifndef P2P_IO_UDP_H
#define P2P_IO_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/io.h"

enum {
    IO_TRAIN_BYTES =
        65000, /* that one call of the system takes, headers of 64 datagrams included */
    IO_TRAIN_CARS = 64,
    IO_TRAINS_MAX = 16, /* that one recv brings */
};

/* RFC 3168: the two low bits of the traffic class. */
enum io_ecn {
    IO_ECN_NONE = 0,
    IO_ECN_ECT1 = 1,
    IO_ECN_ECT0 = 2,
    IO_ECN_CE = 3,
    IO_ECN_MASK = 3,
};

struct io_train {
    uint8_t *base;
    uint32_t len;     /* of all datagrams; 0: one that is empty */
    uint16_t segment; /* of each but the last, which may be shorter */
    uint8_t ecn;
    struct io_addr remote;
    /* The address that was asked, and so the one that answers. Sending: any address (0.0.0.0, ::)
     * leaves the choice to the system. */
    struct io_addr local;
};

enum io_udp_flags {
    /* Others who say so too may bind the same address and port: what multicast needs. */
    IO_UDP_SHARED = 1,
};

struct io_udp;

struct io_udp_ops {
    /* Up to cap trains, whose memory is the loop's until its next recv. 0: nothing now (readable
     * cleared). */
    size_t (*recv)(struct io_udp *, struct io_train *out, size_t cap);
    /* Returns how many trains were taken, from the first; fewer than count: the system is full, and
     * writable is false until a wake. What it cannot send (too long, no way there) counts as taken:
     * it is lost like any other datagram, and `error` tells. A train of several datagrams is at
     * most IO_TRAIN_BYTES and IO_TRAIN_CARS long. */
    size_t (*send)(struct io_udp *, const struct io_train *in, size_t count);
    /* The next thing that went wrong with something sent: true, and the remote that it was for
     * (family 0: not known). False: nothing more (troubled cleared). A hint, for anybody on the way
     * can forge an ICMP message. */
    bool (*error)(struct io_udp *, struct io_addr *remote, int *sys_errno);
    /* From which address and port datagrams to that remote leave, as things stand. False: there is
     * no way there. */
    bool (*source)(struct io_udp *, const struct io_addr *remote, struct io_addr *out);
    /* The socket is gone after this call, its memory too (now or later): no more wakes. */
    void (*close)(struct io_udp *);
};

struct io_udp {
    const struct io_udp_ops *ops;
    void (*wake)(struct io_udp *);
    void *owner;
    struct io_addr local; /* as bound, with the real port */
    bool readable;        /* recv may bring trains */
    bool writable;        /* the system takes trains */
    bool troubled;        /* error may bring one */
};

#endif

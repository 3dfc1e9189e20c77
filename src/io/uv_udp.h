/* What the two files of the UDP sockets share. */
#ifndef P2P_IO_UV_UDP_H
#define P2P_IO_UV_UDP_H

#include "io/udp.h"
#include "io/uv_internal.h"

struct uv_udp {
    struct io_udp udp;
    struct uv_sock sock;
    bool any;    /* bound to a wildcard: each datagram names our address */
    bool no_gso; /* the system, or the device, cannot cut trains */
    /* Of the last send that the system refused, until it is told. */
    struct io_addr refused;
    int refused_errno; /* 0: none */
};

/* uv_udp_move.c */
size_t p2p__uv_udp_recv(struct io_udp *udp, struct io_train *out, size_t cap);
size_t p2p__uv_udp_send(struct io_udp *udp, const struct io_train *in, size_t count);

/* uv_udp.c: what has just failed is an earlier datagram's error. */
bool p2p__uv_udp_is_report(int code);

#endif

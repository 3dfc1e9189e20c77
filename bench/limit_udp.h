/* What the machine can do over UDP on loopback: packets of QUIC's size, sealed and opened one by
 * one with AES-128-GCM, sent and received in trains (GSO, GRO); one process a side. The receiver
 * says how far it is, and the sender stays within a window, so that nothing is lost. */
#ifndef P2P_BENCH_LIMIT_UDP_H
#define P2P_BENCH_LIMIT_UDP_H

#include "limit.h"

#include <netinet/in.h>
#include <netinet/udp.h>

enum {
    UDP_PACKET = 1452,
    UDP_PLAIN = UDP_PACKET - LIMIT_TAG,
    UDP_TRAIN = 44, /* as many as fit into one send */
    UDP_WINDOW = 1 << 20,
    UDP_ACK_EVERY = 128 << 10,
};

static inline int udp_socket(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1, size = 8 << 20;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
        die("udp");
    (void)setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    return fd;
}

static inline void udp_meet(int a, int b)
{
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    if (getsockname(b, (struct sockaddr *)&at, &len) || connect(a, (struct sockaddr *)&at, len))
        die("connect");
}

static inline void udp_send(int fd, uint64_t bytes)
{
    static uint8_t plain[UDP_PLAIN], train[UDP_TRAIN * UDP_PACKET];
    struct limit_cipher cipher;
    uint64_t nonce = 0, sent = 0, acked = 0;
    int segment = UDP_PACKET;
    limit_cipher_init(&cipher, true);
    if (setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)))
        die("UDP_SEGMENT");
    while (acked < bytes) {
        if (sent < bytes && sent - acked < UDP_WINDOW) {
            size_t n = 0;
            for (; n < UDP_TRAIN && sent < bytes; n++, sent += UDP_PLAIN)
                limit_seal(&cipher, nonce++, plain, UDP_PLAIN, train + n * UDP_PACKET);
            if (send(fd, train, n * UDP_PACKET, 0) < 0)
                die("send");
        } else if (recv(fd, &acked, sizeof(acked), 0) != sizeof(acked)) {
            die("recv");
        }
        while (recv(fd, &acked, sizeof(acked), MSG_DONTWAIT) == sizeof(acked))
            continue;
    }
    limit_cipher_fini(&cipher);
}

static inline void udp_receive(int fd, uint64_t bytes)
{
    static uint8_t in[UDP_TRAIN * UDP_PACKET + 65536];
    struct limit_cipher cipher;
    uint64_t nonce = 0, opened = 0, told = 0;
    limit_cipher_init(&cipher, true);
    while (opened < bytes) {
        ssize_t n = recv(fd, in, sizeof(in), 0);
        if (n <= 0 || n % UDP_PACKET)
            die("a train was cut");
        for (ssize_t at = 0; at < n; at += UDP_PACKET, opened += UDP_PLAIN)
            limit_unseal(&cipher, nonce++, in + at, UDP_PACKET);
        if (opened - told < UDP_ACK_EVERY && opened < bytes)
            continue;
        told = opened;
        if (send(fd, &told, sizeof(told), 0) != sizeof(told))
            die("ack");
    }
    limit_cipher_fini(&cipher);
}

/* As limit_round. */
static inline double udp_round(uint64_t bytes, bool download)
{
    int here = udp_socket(), there = udp_socket();
    char go = 'g';
    udp_meet(here, there);
    udp_meet(there, here);
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        if (download && recv(there, &go, 1, 0) == 1)
            udp_send(there, bytes);
        if (!download)
            udp_receive(there, bytes);
        _exit(0);
    }
    double start = now_s();
    if (download && send(here, &go, 1, 0) != 1)
        die("send");
    if (download)
        udp_receive(here, bytes);
    else
        udp_send(here, bytes);
    double took = now_s() - start;
    waitpid(child, NULL, 0);
    close(here);
    close(there);
    return took;
}

#endif

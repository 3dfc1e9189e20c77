/* A session: a muxer that needs no byte pipe, because it moves datagrams of its own (QUIC). It also
 * shakes hands and proves the remote, so that a connection on one is a connection without a link
 * and without layers. Streams are those of muxer.h, and nobody above can tell.
 *
 * Its endpoint hands it what comes; then it calls `wake`, and the connection runs: timeout, tell,
 * pump. Of its table of muxer_ops, pump_in, pump_out and sent are NULL. */
#ifndef P2P_MUXER_SESSION_H
#define P2P_MUXER_SESSION_H

#include "io/io.h"
#include "muxer/muxer.h"

enum session_state {
    SESSION_HANDSHAKE,
    SESSION_OPEN, /* `peer` is proven: streams may be used */
    SESSION_OVER, /* `end` says why; nothing moves any more, nothing more is said */
};

struct session_end {
    int code; /* enum p2p_code; P2P_EPEERID: `peer` is who it is instead */
    int sys_errno;
    uint32_t remote_code;
    const char *message; /* static */
};

/* What every session's state starts with. Its memory is p2p__alloc's, and its owner's to free after
 * fini. Before it is first pumped the owner sets wake, owner and expected. */
struct session {
    struct muxer muxer;
    void (*wake)(struct session *); /* there is something to do; only marks */
    void *owner;
    uint8_t state; /* enum session_state */
    bool proven;   /* it was open, even if that is over by now */
    struct session_end end;
    uint8_t peer[64], expected[64]; /* peer id bytes: proven; asked for, set by the owner */
    size_t peer_len, expected_len;  /* expected_len 0: anybody */
    struct io_addr local, remote;   /* of the path in use */
};

struct session_ops {
    const char *security; /* the protocol id of the channel that it brings, "/tls/1.0.0" */
    /* Sends what is due, max_bytes or a little more; returns the bytes. *more: that was not all,
     * and the rest need not wait for anything. */
    size_t (*pump)(struct session *, size_t max_bytes, uint64_t now_us, bool *more);
    /* Says why it ends and is SESSION_OVER; what was not sent by now is not. code: the libp2p one
     * (0: in order). Idempotent, legal in any state. */
    void (*close)(struct session *, uint32_t code, uint64_t now_us);
    /* Bytes that a datagram may have now; 0: there are none on this session. */
    size_t (*datagram_max)(const struct session *);
    /* Unreliable: 0, P2P_ETOOBIG, P2P_EAGAIN (too much is waiting to leave), P2P_ENOMEM. */
    int (*datagram_send)(struct session *, const void *bytes, size_t len);
    /* The oldest that came, until datagram_pop. NULL: none. */
    const uint8_t *(*datagram_peek)(const struct session *, size_t *len);
    void (*datagram_pop)(struct session *);
};

static inline struct session *session_of(struct muxer *muxer)
{
    return muxer->ops->session ? (struct session *)muxer : NULL;
}

#endif

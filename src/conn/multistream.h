/* multistream-select 1.0 (multiformats/multistream-select; libp2p specs, connections): who dials
 * proposes protocols one after the other, who listens echoes one or answers "na". A pure parser for
 * both roles; it allocates nothing but what it appends to `out`. */
#ifndef P2P_CONN_MULTISTREAM_H
#define P2P_CONN_MULTISTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layer/layer.h"

enum {
    /* A line with its newline, without its prefix; what go-multistream reads. */
    MULTISTREAM_LINE_MAX = 1024,
    /* Proposals (and "ls") that a listener turns down; nobody has that many to try. */
    MULTISTREAM_FAILED_MAX = 64,
    /* Nothing is added behind more than this much that the remote does not read. */
    MULTISTREAM_OUT_MAX = 16 * 1024,
};

/* Whether a proposal may be accepted. name is not terminated and may hold any bytes. A listener
 * that cares which handler it was remembers that here: the last accepted one is the chosen one. */
typedef bool (*multistream_supported_fn)(void *user, const char *name, size_t name_len);

struct multistream {
    const char *const *protocols; /* the dialer's, else NULL */
    size_t count;
    size_t index; /* of the proposal that the remote is to answer; at STEP_DONE the agreed one */
    multistream_supported_fn supported; /* the listener's, else NULL */
    void *user;
    uint32_t failed; /* the listener's "na" so far */
    bool greeted;    /* our header is out */
    bool met;        /* the remote's header came */
    int error;       /* what it ended with, repeated to whoever steps again */
};

/* What was agreed on: for a dialer protocols[index]; for a listener a view into `in`, valid until
 * that is filled or settled. Not terminated. */
struct multistream_choice {
    const char *name;
    size_t name_len;
};

/* protocols: at least one, in the order of preference, each 1 to 1,023 bytes; borrowed until the
 * end of the negotiation. The first step sends the header and the first proposal in one piece. */
void p2p__multistream_dial_init(struct multistream *self, const char *const *protocols,
                                size_t count);
void p2p__multistream_listen_init(struct multistream *self, multistream_supported_fn supported,
                                  void *user);

/* With a single protocol, what the dialer has to say may follow the proposal at once (0-RTT): there
 * is nothing else to fall back to, and "na" is then P2P_ENOPROTO like any other end of the list. */
static inline bool multistream_optimistic(const struct multistream *self)
{
    return self->greeted && self->count == 1;
}

/* STEP_DONE and *choice; STEP_WANT_INPUT; STEP_WANT_ROOM while out holds more than
 * MULTISTREAM_OUT_MAX and something must be said; P2P_EPROTO when the remote does not speak the
 * protocol, P2P_ENOPROTO when it turned down all we proposed, P2P_ELIMIT when it proposed too many
 * that we turned down, P2P_ENOMEM. Bytes after the agreement are left in `in`. */
int p2p__multistream_step(struct multistream *self, struct pool *pool, struct buf *in,
                          struct outq *out, struct multistream_choice *choice);

#endif

/* What the files of the QUIC transport share. ngtcp2 has the protocol, GnuTLS the handshake; here
 * are sockets, who gets which datagram, what is done for strangers, and streams.
 *
 * quic_transport.c is the table that the host sees. quic_endpoint.c owns a socket and routes what
 * comes; quic_stranger.c answers what belongs to no session, quic_grave.c what belongs to one that
 * is over. quic_session.c is a session's life, quic_end.c why it ended, quic_move.c a new address
 * of ours, quic_out.c writes packets, quic_stream.c, quic_stream_in.c and quic_datagram.c are what
 * they carry; quic_tls.c, quic_params.c and quic_aead.c the handshake and the ciphers. */
#ifndef P2P_TRANSPORT_QUIC_QUIC_H
#define P2P_TRANSPORT_QUIC_QUIC_H

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "base/map.h"
#include "base/rate.h"
#include "io/udp.h"
#include "layer/tls_cert.h"
#include "transport/quic.h"

enum {
    QUIC_CID_LEN = 18, /* of ours; all alike, so that short headers can be read */
    QUIC_SECRET_LEN = 32,
    QUIC_PACKET_MAX = 1452, /* what is sent, where the path takes it: ethernet's 1500 and IPv6 */
    QUIC_PACKET_MIN = 1200, /* RFC 9000, section 14 */

    /* More handshakes that nobody has proven an address for, and strangers must (Retry). */
    QUIC_UNPROVEN_MAX = 32,
    QUIC_UNPROVEN_PER_IP = 2,
    QUIC_TOKEN_S = 10,
    QUIC_ACCEPTS_MAX = 64, /* waiting for the host to take them */
    /* A ClientHello of two datagrams, in whatever order, and one that was sent again. */
    QUIC_EARLY_DATAGRAMS = 4,

    /* At first, where the limits of memory allow as much; both grow. */
    QUIC_STREAM_WINDOW = 1024 * 1024,
    QUIC_CONN_WINDOW = 4 * 1024 * 1024,
    QUIC_CIDS_ACTIVE = 4,                   /* of the remote's that we keep, to migrate with */
    QUIC_GHOST_BYTES_MAX = 4 * 1024 * 1024, /* of dead streams, sent and not acknowledged */
    QUIC_UNACKED_MAX = 16 * 1024 * 1024,    /* of one stream */
    QUIC_DATAGRAM_QUEUE = 64 * 1024,        /* bytes waiting, each way */
    QUIC_LATE_CRYPTO_MAX = 64 * 1024,       /* tickets and such, after the handshake */

    QUIC_GRAVES_MAX = 256,
    /* Answers to strangers, each kind: they may be a flood's echo. */
    QUIC_REPLY_US = 1000 * 1000 / 100,
    QUIC_REPLIES_BURST = 100,
};

/* ---- the transport: one a host ---- */

struct quic_credentials;
struct quic_ciphers;

struct quic {
    struct transport base;
    struct list endpoints;
    struct quic_credentials *credentials; /* made by the first handshake */
    struct quic_ciphers *ciphers;         /* likewise */
    uint8_t reset_secret[QUIC_SECRET_LEN], token_secret[QUIC_SECRET_LEN];
    bool secrets;
    uint8_t *train; /* IO_TRAIN_BYTES, packets on their way to the socket */
    struct work move;
    struct timer move_timer;
    uint64_t move_again_us;
};

/* ---- an endpoint: one socket, and whoever is behind it ---- */

/* A name that the remote may call a session by, or a grave. */
struct quic_cid {
    struct map_node node;
    struct quic_cid *next; /* of the same owner */
    struct quic_session *session;
    struct quic_grave *grave;
    uint8_t len;
    uint8_t bytes[NGTCP2_MAX_CIDLEN];
};

struct quic_endpoint {
    struct transport_listener listener;
    struct list node;
    struct work work;
    struct timer timer; /* of the first grave */
    struct quic *quic;
    struct shard *shard;
    struct io_udp *udp;
    struct map cids;
    struct list sessions;  /* quic_session.node */
    struct list accepts;   /* quic_session.queued: waiting for the host */
    struct list blocked;   /* quic_session.queued: waiting for the socket */
    struct list graves;    /* oldest first */
    struct list strangers; /* quic_session.stranger: inbound handshakes from unproven addresses */
    size_t accept_count, grave_count, stranger_count;
    uint8_t *stuck;     /* a train that the socket refused, until it is writable */
    uint32_t at_a_time; /* trains that are received */
    struct io_train stuck_train;
    struct rate vn_rate, reset_rate, close_rate, grave_rate;
    bool listening;
};

int p2p__quic_endpoint_new(struct quic *, const struct io_addr *at, struct quic_endpoint **out,
                           int *sys_errno);
/* Closes it if nobody needs it any more. */
void p2p__quic_endpoint_release(struct quic_endpoint *);
/* At once; it has no sessions. */
void p2p__quic_endpoint_free(struct quic_endpoint *);
/* Sends, or keeps what the socket refuses (then true is returned and it is blocked), or drops. */
bool p2p__quic_endpoint_send(struct quic_endpoint *, const struct io_train *);
static inline bool quic_endpoint_blocked(const struct quic_endpoint *self)
{
    return self->stuck_train.len > 0;
}
struct quic_cid *p2p__quic_cid_find(const struct quic_endpoint *, const uint8_t *cid, size_t len);
/* False: out of memory, or the name is taken. */
bool p2p__quic_cid_add(struct quic_endpoint *, struct quic_session *, const uint8_t *cid,
                       size_t len);
void p2p__quic_cid_remove(struct quic_endpoint *, struct quic_session *, const uint8_t *cid,
                          size_t len);
/* All of a list. */
void p2p__quic_cids_free(struct quic_endpoint *, struct quic_cid *first);

/* One datagram, and where it came from. */
struct quic_in {
    const uint8_t *bytes;
    size_t len;
    uint8_t ecn;
    const struct io_addr *local, *remote;
};

/* quic_stranger.c: what belongs to nobody. */
void p2p__quic_stranger(struct quic_endpoint *, const struct quic_in *, const ngtcp2_version_cid *);
void p2p__quic_negotiate_version(struct quic_endpoint *, const struct quic_in *,
                                 const ngtcp2_version_cid *);
/* Of an inbound session that was never begun. */
void p2p__quic_send_retry(struct quic_endpoint *, const struct io_addr *local,
                          const struct io_addr *remote, const ngtcp2_pkt_hd *);
void p2p__quic_send_refusal(struct quic_endpoint *, const struct io_addr *local,
                            const struct io_addr *remote, const ngtcp2_pkt_hd *,
                            uint64_t error_code);

/* quic_grave.c. Takes the session's names; packet: what answers whoever still speaks to it. */
void p2p__quic_bury(struct quic_session *, const uint8_t *packet, size_t packet_len,
                    uint64_t until_us);
void p2p__quic_grave_visit(struct quic_endpoint *, struct quic_grave *, const struct quic_in *);
void p2p__quic_graves_tend(struct quic_endpoint *, uint64_t now_us);
void p2p__quic_graves_fini(struct quic_endpoint *);

/* ---- a session ---- */

struct quic_early {
    struct quic_early *next;
    size_t len;
    uint8_t ecn;
    uint8_t bytes[];
};

/* What only a session in the making needs. */
struct quic_handshake {
    struct quic_tls *tls;
    struct tls_peer peer;
    ngtcp2_pkt_hd first; /* inbound: the first packet's header, its token left out */
    ngtcp2_cid original; /* inbound, after a Retry: what the client called us at first */
    uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN]; /* which every Initial must repeat */
    size_t token_len;                                /* 0: there was no Retry */
    struct quic_early *early; /* inbound: datagrams until the host has taken the session */
    size_t early_count;
};

struct quic_datagram {
    struct quic_datagram *next;
    size_t len;
    uint8_t bytes[];
};

struct quic_datagrams {
    struct quic_datagram *first, **last;
    size_t bytes;
};

struct quic_session {
    struct session base;
    struct quic_endpoint *endpoint; /* NULL: over and gone from it */
    struct shard *shard;
    struct list node, queued, stranger;
    ngtcp2_conn *conn; /* NULL: inbound and not begun */
    struct quic_handshake *handshake;
    struct quic_cid *cids;
    struct list ghosts; /* quic_stream.base.all: over here, but ngtcp2 still holds their bytes */
    size_t ghost_bytes;
    struct quic_datagrams in, out;
    size_t late_crypto;
    struct io_addr local, remote; /* of the path that was used last */
    int failure;                  /* enum p2p_code, noted by a callback that fails */
    uint64_t failure_code;        /* QUIC's, for it; 0: none of its own */
    const char *failure_text;
    bool accepting; /* in endpoint->accepts */
    bool confirmed; /* packets are paced from now on */
    bool heard;     /* the remote has said anything */
    bool stray;     /* its address may be another now */
};

static inline struct quic_session *quic_of(struct muxer *muxer)
{
    return (struct quic_session *)muxer;
}

static inline bool quic_is_server(const struct quic_session *self)
{
    return !self->base.muxer.config.initiator;
}

extern const struct muxer_ops p2p__muxer_quic;

/* An outbound one. 0, or P2P_ENOMEM. */
int p2p__quic_session_dial(struct quic_endpoint *, const struct io_addr *local,
                           const struct io_addr *remote, struct quic_session **out);
/* An inbound one, from the first datagram of a remote. NULL: no memory. */
struct quic_session *p2p__quic_session_incoming(struct quic_endpoint *, const struct quic_in *,
                                                const ngtcp2_pkt_hd *, const ngtcp2_cid *original);
void p2p__quic_session_recv(struct quic_session *, const struct quic_in *);
/* The socket says that nobody is there. */
void p2p__quic_session_unreachable(struct quic_session *, int sys_errno);
void p2p__quic_session_wake(struct quic_session *);
void p2p__quic_handshake_free(struct quic_session *);
/* Its address is proven, or it is over. */
void p2p__quic_no_stranger(struct quic_session *);
/* The session's path, as addresses. */
void p2p__quic_path_addrs(const ngtcp2_path *, struct io_addr *local, struct io_addr *remote);

/* quic_end.c */
/* ngtcp2 returned an error: says so to the remote if that is due, and is over. */
void p2p__quic_fail(struct quic_session *, int liberr);
/* Over, with a farewell. type and code: as in ngtcp2_connection_close_error. */
void p2p__quic_farewell(struct quic_session *, bool application, uint64_t code);
/* Over, in silence. */
void p2p__quic_over(struct quic_session *, struct session_end end);

/* quic_move.c */
void p2p__quic_move_init(struct quic *);
void p2p__quic_move_fini(struct quic *);
void p2p__quic_interfaces_changed(struct quic *);

/* quic_out.c */
size_t p2p__quic_pump(struct session *, size_t max_bytes, uint64_t now_us, bool *more);

/* ---- streams ---- */

struct quic_stream {
    struct muxer_stream base;
    uint64_t eaten_us;  /* when `eaten` began; 0: never yet */
    uint32_t window;    /* what the remote may have under way and unread */
    uint32_t eaten;     /* of it, since it was last looked at */
    uint32_t discarded; /* since its reader stopped */
    uint32_t gathered;  /* since its reader last had nothing to read */
    bool bulk;          /* it was much the time before */
    bool open;          /* ngtcp2 knows it */
    bool stopped;       /* nobody reads it */
    bool stop_said;     /* and the remote was told */
    bool shut;          /* the remote wants no more of ours */
    bool blocked;       /* by the remote's window */
    bool fin_written, fin_alone, fin_acked;
    bool answered; /* bytes of its handler have left on it */
    bool ghost;    /* the connection is done with it: on session->ghosts */
};

static inline struct quic_stream *quic_stream_of(struct muxer_stream *base)
{
    return (struct quic_stream *)base;
}

/* quic_stream.c: entries of the table, and what callbacks need. */
struct muxer_stream *p2p__quic_open(struct muxer *, int *code);
void p2p__quic_written(struct muxer_stream *);
void p2p__quic_consumed(struct muxer_stream *, size_t n, uint64_t now_us);
void p2p__quic_close_write(struct muxer_stream *);
void p2p__quic_reset(struct muxer_stream *, uint32_t code);
void p2p__quic_stop(struct muxer_stream *);
void p2p__quic_stream_free(struct muxer_stream *);
void p2p__quic_streams_fini(struct quic_session *);
void p2p__quic_make_due(struct quic_stream *);
struct quic_stream *p2p__quic_stream_new(struct quic_session *, int64_t id, uint32_t flags);
/* The remote takes no more of ours. */
void p2p__quic_shut(struct quic_stream *);
/* n more bytes have arrived there; 0: the end, which was sent alone. */
void p2p__quic_acked(struct quic_stream *, size_t n);
/* ngtcp2 has forgotten it, and no longer holds its bytes. May free it. stopped: with such a code,
 * the remote said that it reads no more. */
void p2p__quic_closed(struct quic_stream *, bool stopped, uint64_t code);
/* The remote may send n bytes more. */
void p2p__quic_credit(struct quic_stream *, size_t n);
/* n bytes came that nobody reads: 0, or ngtcp2's error. */
int p2p__quic_discard(struct quic_stream *, size_t n);

/* quic_stream_in.c: what ngtcp2 calls. */
void p2p__quic_stream_callbacks(ngtcp2_callbacks *);

/* quic_datagram.c */
int p2p__quic_datagram_recv(ngtcp2_conn *, uint32_t flags, const uint8_t *, size_t len, void *user);
size_t p2p__quic_datagram_max(const struct session *);
int p2p__quic_datagram_send(struct session *, const void *bytes, size_t len);
const uint8_t *p2p__quic_datagram_peek(const struct session *, size_t *len);
void p2p__quic_datagram_pop(struct session *);
void p2p__quic_datagrams_fini(struct quic_datagrams *);
void p2p__quic_datagrams_drop(struct quic_datagrams *); /* the oldest */

/* ---- the handshake ---- */

/* quic_tls.c */
/* For this session, whose role and endpoint are set. 0, P2P_ENOMEM, or what signing failed with. */
int p2p__quic_tls_new(struct quic_session *, struct quic_tls **out);
void p2p__quic_tls_free(struct quic_tls *);
void *p2p__quic_tls_handle(struct quic_tls *);
/* The remote agreed on libp2p. */
bool p2p__quic_tls_agreed(const struct quic_tls *);
/* The TLS alert that we end with, or 0. */
uint8_t p2p__quic_tls_alert(const struct quic_session *);
/* What an alert means, that we sent (ours) or got. */
const char *p2p__quic_tls_sentence(uint8_t alert, bool ours);
void p2p__quic_credentials_free(struct quic_credentials *);

/* quic_params.c: whether transport parameters name none twice, which ngtcp2 does not ask. */
bool p2p__quic_params_distinct(const uint8_t *params, size_t len);

/* quic_aead.c: ngtcp2's callbacks for packet protection. */
void p2p__quic_cipher_callbacks(ngtcp2_callbacks *);
struct quic_ciphers *p2p__quic_ciphers_new(void);
void p2p__quic_ciphers_free(struct quic_ciphers *);
/* Installs keys: rx or tx may be NULL. 0 or -1. */
int p2p__quic_install_keys(struct quic_session *, void *tls, ngtcp2_crypto_level level,
                           const uint8_t *rx, const uint8_t *tx, size_t secret_len);

/* ---- addresses ---- */

/* quic_addr.c. Both point into storage. */
void p2p__quic_path(const struct io_addr *local, const struct io_addr *remote,
                    ngtcp2_path_storage *storage);

static inline ngtcp2_tstamp quic_ts(uint64_t us)
{
    return us * 1000;
}

#endif

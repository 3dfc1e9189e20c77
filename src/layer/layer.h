/* A layer stands between a link and a muxer: it turns bytes into other bytes (Noise, TLS,
 * WebSocket, a private network). Pure: bytes and state; no clock, no socket, no randomness of its
 * own (but for TLS, whose library draws it).
 *
 * The parser shape, for this and every other stage: take what you can from `in`, append to `out`,
 * leave the rest, return a step or a negative error. What was appended to `out` is sent even when
 * an error is returned (an alert). */
#ifndef P2P_LAYER_LAYER_H
#define P2P_LAYER_LAYER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <p2p/peer_id.h>

#include "base/buf.h"
#include "base/outq.h"
#include "crypto/crypto.h"

enum step {
    STEP_DONE = 0,
    STEP_WANT_INPUT = 1, /* nothing more without bytes from the remote */
    STEP_WANT_ROOM = 2,  /* nothing more until out, or a reader, has room */
};

/* TLS: ciphers, and the certificate that the loop's connections share. */
struct p2p__tls;

/* TLS under WebSocket, as the web speaks it: the certificates that are served, and the roots that
 * are trusted. */
struct p2p__web;

/* What belongs to the loop and is lent for a call. */
struct layer_env {
    const struct p2p__crypto *crypto;
    struct p2p__aead *aead;
    struct pool *pool;
    struct p2p__tls *tls; /* only "/tls/1.0.0" and the web's TLS use it */
    struct p2p__web *web; /* only the latter */
};

/* Holds next to nothing until the first handshake. NULL: no memory. */
struct p2p__tls *p2p__tls_new(void);
void p2p__tls_free(struct p2p__tls *); /* NULL is allowed */

/* PEM, as read from a file. */
struct web_pem {
    const char *chain; /* the certificate, then what leads to a root */
    size_t chain_len;
    const char *key;
    size_t key_len;
};

enum {
    WEB_IDENTITIES_MAX = 16, /* certificates served on one host, by the name asked for */
    WEB_CHAIN_MAX = 10,      /* certificates of a chain */
};

/* Holds nothing until it is told to. NULL: no memory. */
struct p2p__web *p2p__web_new(void);
void p2p__web_free(struct p2p__web *); /* NULL is allowed */
/* Why a PEM text is of no use. */
struct web_fault {
    size_t pair;          /* its index */
    bool key;             /* it is the pair's key */
    const char *sentence; /* begins with "its"; static storage */
};

/* Serves these from now on; to clients that ask for a name that none is for, the first one. 0, or
 * P2P_EKEY or P2P_ENOMEM with *fault set and the old ones kept. count: at most WEB_IDENTITIES_MAX.
 */
int p2p__web_serve(struct p2p__web *, const struct web_pem *pairs, size_t count,
                   struct web_fault *fault);
bool p2p__web_serves(const struct p2p__web *);
/* Trusts servers that these PEM certificates lead to, instead of the system's roots. As above, with
 * *error a sentence as above. */
int p2p__web_trust(struct p2p__web *, const char *pem, size_t pem_len, const char **error);

enum {
    LAYER_MUXERS_MAX = 8,
    LAYER_PENDING_MAX = 256, /* room that layer_ops.pending never lacks */
};

/* What a secure channel starts from. Borrowed for the handshake's life. */
struct layer_config {
    bool initiator;
    const struct p2p_key *key; /* our identity */
    const char *const *muxers; /* protocol ids in preference order, for early muxer selection */
    size_t muxer_count;
    const uint8_t *expected_peer; /* peer id bytes the remote must prove, or NULL (0: anybody) */
    size_t expected_peer_len;
    uint8_t random[64]; /* fresh randomness for ephemeral and static keys */
    int64_t wall_s;     /* seconds since 1970, against which certificates are checked */
    const uint8_t *psk; /* the private network's key, 32 bytes; for p2p__layer_pnet only */
    /* Whom a WebSocket client asks for: a DNS name or IP address (IPv6 in brackets, no zone), and
     * ":port" unless it is the scheme's own. For p2p__layer_ws only. */
    const char *host_name;
    /* Whom the web's TLS asks for: a DNS name or an IP address, as the certificate must have it.
     * For p2p__layer_web_tls only, as a client. */
    const char *server_name;
};

/* What the handshake proved. Filled as it goes; final at STEP_DONE. */
struct layer_result {
    uint8_t remote_peer[64]; /* peer id bytes (a multihash) */
    size_t remote_peer_len;
    const char *muxer; /* one of config->muxers agreed on early, or NULL: negotiate */
    const char *error; /* a sentence of static storage for a negative return, or NULL */
};

/* The remote is id, by what its channel proves. False: another one is expected. */
static inline bool layer_meet(const struct layer_config *config, struct layer_result *result,
                              const p2p_peer_id *id)
{
    _Static_assert(sizeof result->remote_peer >= P2P_PEER_ID_MAX, "any peer id fits");
    memcpy(result->remote_peer, id->bytes, id->len);
    result->remote_peer_len = id->len;
    return !config->expected_peer || (config->expected_peer_len == id->len &&
                                      memcmp(config->expected_peer, id->bytes, id->len) == 0);
}

/* One opened record: plaintext inside the memory of the buf that held the record, valid until that
 * buf is filled or settled. `gap` bytes before base are dead and may be written. */
struct span {
    uint8_t *base;
    size_t len;
    size_t gap;
};

struct layer_ops {
    const char *id;        /* the protocol id, "/noise" */
    size_t state_size;     /* keys and counters, for the connection's life */
    size_t handshake_size; /* freed when the handshake is over */
    uint32_t record_max;   /* the longest record on the wire; in must hold two */
    size_t plain_max;      /* the most plaintext one record takes */
    size_t overhead;       /* wire bytes of a record beyond its plaintext, at most */

    /* What a secure channel may lack. One with either is off unless asked for, and is told aloud.
     */
    bool clear;    /* everybody on the way can read what is sent */
    bool unproven; /* and be whoever they say they are, and alter what is sent */
    /* A record is its plaintext: what would be sealed may be sent as it is, without a copy. */
    bool transparent;

    /* state and handshake are zeroed memory of the sizes above. */
    int (*start)(void *state, void *handshake, const struct layer_config *,
                 const struct layer_env *);
    /* STEP_DONE once: state is then ready for open and seal; bytes left in `in` belong to it. */
    int (*step)(void *state, void *handshake, const struct layer_env *, struct buf *in,
                struct outq *out, struct layer_result *result);
    void (*handshake_fini)(void *handshake); /* wipes; safe at any stage */

    /* Opens the next record of `in` in place and consumes it: STEP_DONE with *plain (len may be 0),
     * STEP_WANT_INPUT (plain->len, 0 before, may say how many bytes the record lacks, or how many
     * will be handed on as they come), P2P_EEOF once the remote has said goodbye (it stays: the
     * link's end, and close answers it), or an error that ends the connection. */
    int (*open)(void *state, const struct layer_env *, struct buf *in, struct span *plain);
    /* Seals at most plain_max bytes, gathered from in, as one record at out (room for their sum +
     * overhead). Returns the record's length, or an error. */
    int64_t (*seal)(void *state, const struct layer_env *, const struct p2p__const_iov *in,
                    size_t in_count, uint8_t *out);
    /* Seals where the bytes lie, which no copy is cheaper than: changes plain (at most plain_max
     * bytes of our own memory), writes what goes before it right there (room for overhead), and
     * returns the length of that. Nothing goes behind. NULL: only seal. */
    size_t (*wrap)(void *state, uint8_t *plain, size_t len);
    /* The layer's own farewell (an alert), after the last seal and before the link's end. Appended
     * to out; 0 or an error. NULL: it has none. */
    int (*close)(void *state, const struct layer_env *, struct outq *out);
    /* What the layer itself owes the remote (a pong), as records: at most cap bytes at out, to be
     * sent between two seals. Returns how many, 0 for nothing, or not enough room: with
     * LAYER_PENDING_MAX there is. To be asked after open. NULL: never anything. */
    size_t (*pending)(void *state, uint8_t *out, size_t cap);
    void (*fini)(void *state); /* wipes */
};

extern const struct layer_ops p2p__layer_noise;
extern const struct layer_ops p2p__layer_tls;
extern const struct layer_ops p2p__layer_plaintext; /* /plaintext/2.0.0; clear, unproven */
extern const struct layer_ops p2p__layer_signed;    /* /libp2p-c/signed/1.0.0; clear */
/* Private networks: not a secure channel but what lies under one. Proves nobody (remote_peer_len
 * stays 0), and what another key's holder sends opens as noise, never as an error. */
extern const struct layer_ops p2p__layer_pnet;
/* TLS under WebSocket: proves a name to the client, but no peer (remote_peer_len stays 0). */
extern const struct layer_ops p2p__layer_web_tls;
/* WebSocket, which lies under a secure channel too and proves nobody. */
extern const struct layer_ops p2p__layer_ws;

#endif

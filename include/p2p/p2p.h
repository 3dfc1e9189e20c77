/* libp2p for applications: hosts, connections, streams.
 *
 * Everything here belongs to the thread of the host's event loop (asserted), except p2p_host_post.
 * Callbacks come from that loop, never from inside a call; inside a callback every function of
 * this header is legal. Handles are borrowed: a p2p_stream is valid until its on_close has
 * returned, a p2p_conn until on_disconnected has, a p2p_op until its callback has, a p2p_host until
 * p2p_host_close's callback has. Each of these last callbacks comes exactly once, also at
 * shutdown, and in this order: operations and streams, connections, host.
 *
 * Strings, addresses and written bytes are copied during the call. Event tables are kept by
 * pointer. Timeouts are absolute: progress does not extend them; 0 means the default, -1 none. */
#ifndef P2P_P2P_H
#define P2P_P2P_H

#include <p2p/error.h>
#include <p2p/io.h>
#include <p2p/key.h>
#include <p2p/multiaddr.h>
#include <p2p/peer_id.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct p2p_host p2p_host;
typedef struct p2p_conn p2p_conn;
typedef struct p2p_stream p2p_stream;
typedef struct p2p_op p2p_op;
typedef struct p2p_config p2p_config;
typedef struct p2p_blob p2p_blob;

/* ---- configuration: named strings, the same in files, on command lines and in bindings ---- */

typedef enum p2p_option_kind {
    P2P_OPTION_TEXT = 0,
    P2P_OPTION_LIST, /* comma separated; setting it again adds */
    P2P_OPTION_INT,
    P2P_OPTION_BYTES, /* an integer; K, M or G may follow */
    P2P_OPTION_MS,    /* milliseconds; ms, s or m may follow */
    P2P_OPTION_BOOL   /* true or false */
} p2p_option_kind;

typedef struct p2p_option {
    const char *name, *fallback, *help; /* fallback: the default, as text */
    p2p_option_kind kind;
} p2p_option;

/* The table of all options, for help texts and bindings; the end is NULL. Static storage. */
P2P_API const p2p_option *p2p_option_at(size_t index);

/* Everything at its default; NULL when out of memory. */
P2P_API p2p_config *p2p_config_new(void);
P2P_API void p2p_config_free(p2p_config *config);
/* value NULL: the default again. P2P_ENOENT: no such option; P2P_EINVAL: not a value for it;
 * P2P_ENOTSUP: not built in; P2P_ENOMEM. why (may be NULL) gets a sentence. */
P2P_API int p2p_config_set(p2p_config *config, const char *name, const char *value, char *why,
                           size_t why_cap);
/* The value as text, or the default; NULL: no such option. Valid until it is set again. */
P2P_API const char *p2p_config_get(const p2p_config *config, const char *name);

#define P2P_OPTION_NAME_MAX  64
#define P2P_OPTION_VALUE_MAX 4096
/* The next option of *text, which moves behind it: lines of "name = value", as in configuration
 * files and for p2p_open. Blanks around both are dropped, empty lines and lines that begin with '#'
 * skipped; *line, 0 at first, becomes the number of the line. name and value have room for the
 * maxima above, NUL included. 1; 0 at the end; P2P_EINVAL: a line without "name ="; P2P_ETOOBIG. */
P2P_API int p2p_option_next(const char **text, size_t *line, char *name, char *value);
/* The identity; copied. Without one (and without the option "identity") the host makes a fresh
 * Ed25519 key. P2P_ENOMEM. */
P2P_API int p2p_config_set_key(p2p_config *config, const p2p_key *key);

/* ---- the host ---- */

typedef void (*p2p_done_cb)(void *user, const p2p_error *why); /* why NULL: it succeeded */

/* A host that listens as configured and serves the protocols of the option "services". config may
 * be NULL. io: from p2p_io_uv, p2p_io_poll or p2p_sim_host, one for each host; NULL: an I/O thread
 * of the host's own, reached by p2p_host_post only (p2p_host_new then returns before its first
 * turn). On failure *out is NULL and *err (err may be NULL) says why; free it with p2p_error_free.
 */
P2P_API int p2p_host_new(const p2p_config *config, p2p_io *io, p2p_host **out, p2p_error **err);

/* Tells everybody, frees everything, then calls done (may be NULL; its why is always NULL). Open
 * streams and operations end with P2P_ECANCELED, connections say goodbye for at most a second.
 * Further calls only add a callback. With an I/O thread it may be called from any thread, and done
 * comes on the I/O thread, which then ends. */
P2P_API void p2p_host_close(p2p_host *host, p2p_done_cb done, void *user);

/* From any thread: runs fn on the loop's thread, exactly once, in order. code is 0, or P2P_ECLOSED
 * when the host closed before. Returns P2P_ENOMEM or P2P_ECLOSED if fn will never be called. */
P2P_API int p2p_host_post(p2p_host *host, void (*fn)(p2p_host *host, int code, void *user),
                          void *user);

typedef enum p2p_log_level {
    P2P_LOG_ERROR = 1,
    P2P_LOG_WARN = 2,
    P2P_LOG_INFO = 3,
    P2P_LOG_DEBUG = 4
} p2p_log_level;

typedef struct p2p_host_events {
    size_t size;
    void (*on_connected)(p2p_host *, p2p_conn *, void *user);
    /* The last use of the p2p_conn. why->code is P2P_ECLOSED for an orderly end. */
    void (*on_disconnected)(p2p_host *, p2p_conn *, const p2p_error *why, void *user);
    void (*on_listening)(p2p_host *, const p2p_multiaddr *addr, void *user);
    void (*on_unlistening)(p2p_host *, const p2p_multiaddr *addr, void *user);
    /* Something was refused because of a limit; at most ten a second. */
    void (*on_limit)(p2p_host *, const p2p_error *why, void *user);
    /* Something goes on, but not as the configuration has it: a new certificate that cannot be
     * used, so that the old one stays. why->message says what and where. */
    void (*on_warning)(p2p_host *, const p2p_error *why, void *user);
    /* A line for a log, without a newline: noun is what it is about (listen, conn, dial, limits);
     * what a remote said in it is escaped. Both are valid during the call, which must do nothing
     * with the host. The option log says what is told; of one noun ten lines a second, and
     * in the next line how many were dropped. */
    void (*on_log)(p2p_host *, p2p_log_level level, const char *noun, const char *text, void *user);
} p2p_host_events;

/* Kept by pointer; NULL: none. */
P2P_API void p2p_host_set_events(p2p_host *host, const p2p_host_events *events, void *user);

/* Listens on addr too (/ip4|ip6/.../tcp/PORT, /unix/PATH, /memory/NUMBER; port or number 0: any).
 * P2P_EADDR, P2P_ENOTSUP, P2P_ELISTEN with *err as in p2p_host_new. */
P2P_API int p2p_host_listen(p2p_host *host, const p2p_multiaddr *addr, p2p_error **err);

/* Reads the files of the options wss_cert, wss_key and wss_ca again, for connections from now on.
 * Without this call a change is noticed within ten seconds. It blocks for as long as reading them
 * takes. 0, or P2P_EFILE, P2P_EKEY, P2P_ENOMEM, P2P_ECLOSED with *err as in p2p_host_new: then the
 * old ones stay in use. */
P2P_API int p2p_host_reload(p2p_host *host, p2p_error **err);

P2P_API const p2p_peer_id *p2p_host_peer(const p2p_host *host);
P2P_API const p2p_key *p2p_host_key(const p2p_host *host);
/* The i-th address the host listens on, real ports filled in, a wildcard expanded to one per
 * interface, with /p2p/PEER; P2P_ENOENT past the end. */
P2P_API int p2p_host_addr(const p2p_host *host, size_t index, p2p_multiaddr *out);
/* The i-th protocol the host serves, or NULL past the end. Valid until the next handle/unhandle. */
P2P_API const char *p2p_host_protocol(const p2p_host *host, size_t index);

/* Adds a known address of a peer, for targets that are bare peer ids. Kept for ttl_ms (-1: for
 * ever). P2P_EADDR, P2P_ELIMIT (64 addresses a peer, 1,024 peers), P2P_ENOMEM. */
P2P_API int p2p_host_add_addr(p2p_host *host, const p2p_peer_id *peer, const p2p_multiaddr *addr,
                              int ttl_ms);

/* The i-th peer of which addresses are known; P2P_ENOENT past the end. */
P2P_API int p2p_host_known_peer(const p2p_host *host, size_t index, p2p_peer_id *out);
/* The i-th known address of that peer, without /p2p/PEER; P2P_ENOENT past the end. */
P2P_API int p2p_host_known_addr(const p2p_host *host, const p2p_peer_id *peer, size_t index,
                                p2p_multiaddr *out);

/* The loop's monotonic clock in microseconds, constant within a callback; virtual in a simulation.
 */
P2P_API uint64_t p2p_host_now_us(const p2p_host *host);
/* Randomness of the host's world (seeded in a simulation). */
P2P_API void p2p_host_random(p2p_host *host, void *out, size_t len);

/* A timer: done comes once, after delay_ms, with why NULL, or P2P_ECANCELED. NULL: no memory. */
P2P_API p2p_op *p2p_host_after(p2p_host *host, int delay_ms, p2p_done_cb done, void *user);

/* ---- connections ---- */

enum p2p_dial_flags {
    P2P_DIAL_NO_REUSE_PORT = 1, /* from a fresh port, not the listening one */
    P2P_DIAL_NEW_CONN = 2       /* even if a connection to the peer exists */
};

typedef struct p2p_dial_opts {
    size_t size;
    int timeout_ms; /* until the connection is open and, for a stream, its protocol agreed */
    unsigned flags;
} p2p_dial_opts;
#define P2P_DIAL_OPTS_INIT                                                                         \
    {                                                                                              \
        sizeof(p2p_dial_opts), 0, 0                                                                \
    }

/* Connects to target (a multiaddr ending in /p2p/PEER, or a known peer id) unless connected. Names
 * (/dns, /dns4, /dns6, /dnsaddr) are resolved within the dial's time; a /dnsaddr may come without
 * /p2p/PEER, and means the first peer that it leads to. What the peer told of its addresses is
 * tried for a bare peer id only. NULL only when out of memory; every failure arrives in done (may
 * be NULL), with each address tried. */
P2P_API p2p_op *p2p_host_connect(p2p_host *host, const char *target, const p2p_dial_opts *opts,
                                 p2p_done_cb done, void *user);

/* A connection over two descriptors that can be polled (they may be one and the same): a serial
 * line, a pipe each way to another program, a socket of any kind. One side connects and the other
 * accepts. peer: who must be there, or NULL: whoever proves an id. The descriptors become
 * non-blocking and the library's, also on failure. done (may be NULL) comes once the connection is
 * open, or with what went wrong; streams are then opened to the peer's id. NULL only when out of
 * memory, and then the descriptors are still the caller's. P2P_ENOTSUP in a simulation. */
P2P_API p2p_op *p2p_host_connect_fds(p2p_host *host, int read_fd, int write_fd,
                                     const p2p_peer_id *peer, p2p_done_cb done, void *user);
P2P_API p2p_op *p2p_host_accept_fds(p2p_host *host, int read_fd, int write_fd, p2p_done_cb done,
                                    void *user);

/* The callback comes once, later, with P2P_ECANCELED, even if it had just succeeded. */
P2P_API void p2p_op_cancel(p2p_op *op);

/* A connection to peer that is open now, or NULL. */
P2P_API p2p_conn *p2p_host_conn(const p2p_host *host, const p2p_peer_id *peer);
/* The i-th open connection of the host, or NULL past the end. */
P2P_API p2p_conn *p2p_host_conn_at(const p2p_host *host, size_t index);

P2P_API uint64_t p2p_conn_id(const p2p_conn *conn); /* 1, 2, 3... within the host */
P2P_API p2p_host *p2p_conn_host(const p2p_conn *conn);
P2P_API const p2p_peer_id *p2p_conn_peer(const p2p_conn *conn);
/* The remote's public key as the protobuf of the peer-ids spec, when its id contains it (Ed25519,
 * secp256k1); else P2P_ENOENT. */
P2P_API int p2p_conn_public_key(const p2p_conn *conn, const uint8_t **key, size_t *key_len);
P2P_API void p2p_conn_remote_addr(const p2p_conn *conn, p2p_multiaddr *out);
P2P_API void p2p_conn_local_addr(const p2p_conn *conn, p2p_multiaddr *out);
P2P_API int p2p_conn_outbound(const p2p_conn *conn);         /* 1: we dialed */
P2P_API const char *p2p_conn_security(const p2p_conn *conn); /* "/noise" */
typedef enum p2p_protection {
    P2P_PROTECTION_NONE = 0,   /* in the clear, and the remote is whoever it says: plaintext */
    P2P_PROTECTION_SIGNED = 1, /* in the clear, but proven and unaltered: signed */
    P2P_PROTECTION_FULL = 2    /* encrypted and proven */
} p2p_protection;
/* What the secure channel protects from whoever is on the way; a private network or the TLS of a
 * secure WebSocket below it does not count. */
P2P_API p2p_protection p2p_conn_protection(const p2p_conn *conn);
/* "/yamux/1.0.0"; NULL: the transport's own streams (QUIC). */
P2P_API const char *p2p_conn_muxer(const p2p_conn *conn);
P2P_API int p2p_conn_limited(const p2p_conn *conn);     /* 1: relayed, with limits */
P2P_API uint32_t p2p_conn_rtt_us(const p2p_conn *conn); /* last measured, 0: not yet */

/* Delivers what streams had written before they were closed, or ended by p2p_stream_close_write;
 * says goodbye, and ends within a second. Open streams end with P2P_ECLOSED. */
P2P_API void p2p_conn_close(p2p_conn *conn);

/* All optional. Kept by pointer, until another call or on_closed has returned. */
typedef struct p2p_conn_events {
    size_t size;
    /* The connection is over, after its streams; the last callback, once. */
    void (*on_closed)(p2p_conn *, const p2p_error *why, void *user);
    /* A datagram came; the bytes are valid during the call. Without this they are dropped, and when
     * the reader is behind the latest are. */
    void (*on_datagram)(p2p_conn *, const uint8_t *bytes, size_t len, void *user);
} p2p_conn_events;

/* events NULL: none. */
P2P_API void p2p_conn_set_events(p2p_conn *conn, const p2p_conn_events *events, void *user);

/* Sends a datagram beside the streams, encrypted and congestion-controlled like them, but neither
 * repeated when it is lost nor kept in order (RFC 9221; QUIC only, and if the remote takes them).
 * Copied. 0; P2P_ENOTSUP: this connection has none; P2P_ETOOBIG: over p2p_conn_max_datagram;
 * P2P_EAGAIN: too much waits to leave, as good as lost; P2P_ECLOSED, P2P_ENOMEM. */
P2P_API int p2p_conn_send_datagram(p2p_conn *conn, const void *bytes, size_t len);
/* The most bytes a datagram may have now, which the path's length decides; 0: there are none. */
P2P_API size_t p2p_conn_max_datagram(const p2p_conn *conn);

/* ---- streams ---- */

/* All optional. on_close is where what `user` points to is freed. */
typedef struct p2p_stream_events {
    size_t size;
    /* The protocol is agreed: p2p_stream_protocol says which. An inbound stream's first callback.
     */
    void (*on_open)(p2p_stream *, void *user);
    /* Bytes arrived, or p2p_stream_resume was called. What you leave unconsumed does not call again
     * by itself, keeps the peer's window closed (mplex has none: it resets the
     * stream at 4 MiB), and is there at the next call. */
    void (*on_read)(p2p_stream *, void *user);
    /* Once: no more will come, even if you left some unread; you may still write. If the remote
     * closes the connection, what you left stays readable for ten seconds, or as
     * p2p_stream_set_timeout says; nothing can be written then. */
    void (*on_eof)(p2p_stream *, void *user);
    /* After a short write: there is room again, or there never will be (P2P_ECLOSED). */
    void (*on_drain)(p2p_stream *, void *user);
    /* The last one, exactly once. why NULL: both sides ended in order. */
    void (*on_close)(p2p_stream *, const p2p_error *why, void *user);
} p2p_stream_events;

/* A stream to target, speaking the first of the protocols that the remote supports. It is there at
 * once, opening; with one protocol, bytes written before on_open leave with the negotiation. NULL
 * only when out of memory; every other failure arrives as on_close. Cancel with p2p_stream_reset.
 * opts may be NULL. */
P2P_API p2p_stream *p2p_host_open(p2p_host *host, const char *target, const char *const *protocols,
                                  size_t protocol_count, const p2p_dial_opts *opts,
                                  const p2p_stream_events *events, void *user);
/* The same on a connection that is open. */
P2P_API p2p_stream *p2p_conn_open(p2p_conn *conn, const char *const *protocols,
                                  size_t protocol_count, const p2p_dial_opts *opts,
                                  const p2p_stream_events *events, void *user);

/* Serves protocol (at most 255 bytes, starting with '/'; a trailing '*' serves every protocol with
 * that prefix) for inbound streams; user and events may be changed per stream in on_open.
 * P2P_EEXIST, P2P_EINVAL, P2P_ENOMEM. */
P2P_API int p2p_host_handle(p2p_host *host, const char *protocol, const p2p_stream_events *events,
                            void *user);
/* At most max inbound streams of that protocol from one peer at a time (the option
 * "streams_per_protocol" until set). P2P_ENOENT. */
P2P_API int p2p_host_handle_limit(p2p_host *host, const char *protocol, int max);
/* No new streams; those there are go on. P2P_ENOENT. */
P2P_API int p2p_host_unhandle(p2p_host *host, const char *protocol);

/* Unread bytes, contiguous; valid until consume, want, or the return to the loop. */
P2P_API const uint8_t *p2p_stream_peek(p2p_stream *stream, size_t *len);
/* n at most what peek gave. */
P2P_API void p2p_stream_consume(p2p_stream *stream, size_t n);
/* on_read only when n unread bytes are there, or the end. P2P_ELIMIT if that can never be. */
P2P_API int p2p_stream_want(p2p_stream *stream, size_t n);
/* Calls on_read once more, soon, if anything is unread. */
P2P_API void p2p_stream_resume(p2p_stream *stream);

/* Bytes taken, 0..len; fewer: on_drain will come. P2P_ECLOSED after close_write, close, reset. */
P2P_API int64_t p2p_stream_write(p2p_stream *stream, const void *bytes, size_t len);
/* How many bytes p2p_stream_write would take now. */
P2P_API size_t p2p_stream_room(const p2p_stream *stream);
/* Shared, not copied; taken whole or (0) not at all: on_drain will come. */
P2P_API int64_t p2p_stream_write_blob(p2p_stream *stream, p2p_blob *blob);
P2P_API p2p_blob *p2p_blob_new(const void *bytes, size_t len); /* copies; NULL: no memory */
P2P_API void p2p_blob_free(p2p_blob *blob);                    /* gives up the caller's reference */

/* Varint-length-prefixed messages, libp2p's framing. peek: 1 with the message (valid as in
 * p2p_stream_peek), 0 when it is not whole yet, P2P_ETOOBIG if longer than max, P2P_EPROTO,
 * P2P_EEOF when the stream ended before or within it. Consume it with p2p_msg_consume. */
P2P_API int p2p_msg_peek(p2p_stream *stream, size_t max, const uint8_t **msg, size_t *len);
P2P_API void p2p_msg_consume(p2p_stream *stream);
/* All or nothing: 0, P2P_EAGAIN (on_drain will come), P2P_ETOOBIG if it never fits, P2P_ECLOSED,
 * P2P_ENOMEM. */
P2P_API int p2p_msg_write(p2p_stream *stream, const void *msg, size_t len);

/* Ends our side once everything written has left; reading goes on. */
P2P_API void p2p_stream_close_write(p2p_stream *stream);
/* Ends both: delivers what was written, discards what comes. on_close follows when the remote has
 * ended too, or after ten seconds. */
P2P_API void p2p_stream_close(p2p_stream *stream);
/* Drops everything at once; the remote sees a reset with this code. on_close follows with
 * P2P_ECANCELED. */
P2P_API void p2p_stream_reset(p2p_stream *stream, uint32_t code);
/* From now on; ends it with P2P_ETIMEDOUT. -1: none, also for reading what a connection that is
 * gone has left. */
P2P_API void p2p_stream_set_timeout(p2p_stream *stream, int timeout_ms);

/* How many bytes it may hold, unread and unsent together, instead of the option memory_per_stream:
 * for bulk over a long path, whose window must grow beyond that. Never more than memory_per_conn;
 * 0: the option's again. A window that has grown does not shrink. */
P2P_API void p2p_stream_set_memory(p2p_stream *stream, size_t bytes);

P2P_API const char *p2p_stream_protocol(const p2p_stream *stream); /* NULL before on_open */
P2P_API p2p_conn *p2p_stream_conn(const p2p_stream *stream);       /* NULL while connecting */
P2P_API p2p_host *p2p_stream_host(const p2p_stream *stream);
P2P_API int p2p_stream_outbound(const p2p_stream *stream);
P2P_API void p2p_stream_set_user(p2p_stream *stream, void *user);
P2P_API void p2p_stream_set_events(p2p_stream *stream, const p2p_stream_events *events);

/* ---- one message out, one message in ---- */

/* msg is valid during the call; NULL with why if it failed. */
typedef void (*p2p_reply_cb)(void *user, const uint8_t *msg, size_t len, const p2p_error *why);

typedef struct p2p_request_opts {
    size_t size;
    int timeout_ms;   /* for everything, dial included; default 10,000 */
    size_t reply_max; /* bytes; default 64 KiB */
    unsigned flags;   /* p2p_dial_flags */
} p2p_request_opts;
#define P2P_REQUEST_OPTS_INIT                                                                      \
    {                                                                                              \
        sizeof(p2p_request_opts), 0, 0, 0                                                          \
    }

/* Opens a stream, sends msg length-prefixed, half-closes, waits for one message. NULL only when out
 * of memory. */
P2P_API p2p_op *p2p_host_request(p2p_host *host, const char *target, const char *protocol,
                                 const void *msg, size_t len, const p2p_request_opts *opts,
                                 p2p_reply_cb reply, void *user);

/* ---- the library ---- */

P2P_API const char *p2p_version(void); /* "0.1.0" */

/* The index-th fact about this build: a protocol that is built in (*value NULL), or a library with
 * its version. P2P_ENOENT past the end. Static storage. */
P2P_API int p2p_version_info(size_t index, const char **name, const char **value);

#ifdef __cplusplus
}
#endif

#endif

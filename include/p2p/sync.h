/* The blocking API: hosts, listeners and streams as handles, for any thread. Nothing calls back.
 * p2p_open starts a thread that does the work; every other call waits for it at most so long as its
 * timeout says.
 *
 * Handles are numbers. A handle that was closed, or never was one, is P2P_EBADH, never a crash, and
 * no number is used twice. A negative result is an enum p2p_code; p2p_errno and p2p_errmsg tell
 * more.
 *
 * timeout_ms counts from the call on, and progress does not extend it: > 0 milliseconds, then
 * P2P_ETIMEDOUT; 0 the default (p2p_dial: the option "dial_timeout", elsewhere none); -1 none;
 * P2P_NO_WAIT: what can be done at once, else P2P_EAGAIN.
 *
 * Any number of threads may use a handle at the same time. Closing it wakes whoever is blocked on
 * it with P2P_ECLOSED. A call that would block on the host's own thread (in a function given to
 * p2p_host_post) is P2P_EDEADLK instead.
 *
 * Memory: a stream has one buffer of 128 KiB in each direction, made when first needed; only
 * messages make it larger, and for as long as they are in it.
 *
 * Not for use across fork: a child inherits the handles, but not the thread behind them. Open
 * hosts after forking; a child that only calls exec is fine (every descriptor is close-on-exec). */
#ifndef P2P_SYNC_H
#define P2P_SYNC_H

#include <p2p/p2p.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t p2p_h; /* 0 is no handle */

#define P2P_NO_WAIT (-2)

/* ---- the host ---- */

/* options: a line each, "name=value", of those that p2p_option_at lists, as p2p_option_next reads
 * them; NULL: all defaults. 0 when it failed. */
P2P_API p2p_h p2p_open(const char *options);

/* Of a host: closes all that belongs to it as well, delivers what was written before for at most
 * two seconds, and returns when its thread has ended.
 * Of a listener: refuses what nobody has accepted, and serves the protocol no more.
 * Of a stream: ends both sides; what was written before is still delivered, within ten seconds. It
 * does not wait for that.
 * P2P_EBADH; P2P_EDEADLK for a host. */
P2P_API int p2p_close(p2p_h handle);

/* The index-th address that the host listens on, with /p2p/PEER, NUL-terminated; its length.
 * P2P_ENOENT past the end, P2P_ETOOBIG when it does not fit. */
P2P_API int p2p_addr(p2p_h host, size_t index, char *text, size_t cap);

/* The peer id, as text: the remote's of a stream; of a host or a listener one's own. Its length, or
 * P2P_ETOOBIG (P2P_PEER_ID_TEXT_MAX is always enough). */
P2P_API int p2p_peer_of(p2p_h handle, char *text, size_t cap);

/* The protocol of a stream, or the one that a listener serves. As p2p_peer_of. */
P2P_API int p2p_protocol_of(p2p_h handle, char *text, size_t cap);

/* The host itself, for what this header does not offer: valid until p2p_close of the handle, and
 * only for p2p_host_post and in functions posted by it. Never call p2p_host_close or
 * p2p_host_set_events on it. NULL when it failed. */
P2P_API p2p_host *p2p_host_of(p2p_h host);

/* ---- streams ---- */

/* A stream to target (a multiaddr that ends in /p2p/PEER, or a known peer id), once the protocol is
 * agreed. 0 when it failed; p2p_errmsg then names each address that was tried, and why. */
P2P_API p2p_h p2p_dial(p2p_h host, const char *target, const char *protocol, int timeout_ms);

/* Serves a protocol, as p2p_host_handle. At most backlog streams wait to be accepted (at most
 * 1,024; 0: 64), more are refused. 0 when it failed. */
P2P_API p2p_h p2p_listen(p2p_h host, const char *protocol, int backlog);

/* The next inbound stream, or 0. */
P2P_API p2p_h p2p_accept(p2p_h listener, int timeout_ms);

/* Bytes read, at least one; 0 at the end. cap must not be 0. What came before a reset or a lost
 * connection is read first, then P2P_ERESET or why it was lost. */
P2P_API int64_t p2p_read(p2p_h stream, void *bytes, size_t cap, int timeout_ms);

/* Writes all of it; returns len. Fewer: the time was over, or the stream ended, after so many bytes
 * (p2p_errno says which). A negative code: none was taken. Written means taken over, not received.
 * Writes by several threads do not mix. */
P2P_API int64_t p2p_write(p2p_h stream, const void *bytes, size_t len, int timeout_ms);

/* One varint-length-prefixed message, libp2p's framing: its length, which may be 0. P2P_EEOF at the
 * end, P2P_ETRUNCATED when the stream ended within one, P2P_ETOOBIG when the next one is longer
 * than cap, P2P_EPROTO when its length is malformed. A failure consumes nothing. */
P2P_API int64_t p2p_read_msg(p2p_h stream, void *msg, size_t cap, int timeout_ms);

/* All or nothing: len or a negative code. At most 16 MiB (P2P_ETOOBIG). */
P2P_API int64_t p2p_write_msg(p2p_h stream, const void *msg, size_t len, int timeout_ms);

/* Ends our side once everything written has left; reading goes on. */
P2P_API int p2p_shutdown(p2p_h stream);

/* Drops everything at once; the remote sees a reset with this code. The handle remains, to be
 * closed. */
P2P_API int p2p_reset(p2p_h stream, uint32_t code);

/* A stream socket in place of the handle, for poll, asyncio, dup2...: what is written to it goes to
 * the remote, shutdown(SHUT_WR) ends our side, close ends both. A reset reads as an end. The socket
 * is the caller's, who also sets its O_NONBLOCK (it is blocking); the handle can no longer read or
 * write (P2P_ENOTSUP), and closing it does not end the socket. */
P2P_API int p2p_stream_fd(p2p_h stream);

/* ---- events ---- */

/* A descriptor that is readable while an event waits. It belongs to the host: poll it, do not read
 * or close it. */
P2P_API int p2p_event_fd(p2p_h host);

/* The next event as one JSON object without a newline, NUL-terminated: its length. The same objects
 * as those of "p2p node --json": listening, unlistening, connected, disconnected; and limit (limit,
 * message). The oldest 256 are kept; if more came, {"event":"dropped","count":N} follows them.
 * P2P_ETOOBIG when it does not fit: it stays (P2P_EVENT_MAX is always enough). */
#define P2P_EVENT_MAX 16384
P2P_API int64_t p2p_next_event(p2p_h host, char *json, size_t cap, int timeout_ms);

/* ---- errors ---- */

/* Of this thread's last call of this header, not counting these two: its code, 0 if it succeeded;
 * and a sentence. The text is valid until the thread's next call. */
P2P_API int p2p_errno(void);
P2P_API const char *p2p_errmsg(void);

#ifdef __cplusplus
}
#endif

#endif

/* The one list of error codes, with a sentence each. Included by every other public header. */
#ifndef P2P_ERROR_H
#define P2P_ERROR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define P2P_API
#else
#define P2P_API __attribute__((visibility("default")))
#endif

/* X(name, number, sentence). Numbers are part of the ABI: append, never renumber. */
#define P2P_ERRORS(X)                                                                              \
    X(EINVAL, -1, "an argument is not valid")                                                      \
    X(ENOMEM, -2, "out of memory")                                                                 \
    X(EADDR, -3, "the address is malformed")                                                       \
    X(EPEER, -4, "the peer id is malformed")                                                       \
    X(EKEY, -5, "the key is malformed or of an unsupported kind")                                  \
    X(ESIG, -6, "the signature does not verify")                                                   \
    X(EFILE, -7, "the file cannot be read")                                                        \
    X(EEXIST, -8, "it exists already")                                                             \
    X(EWRITE, -9, "the file cannot be written")                                                    \
    X(ENOTSUP, -10, "not built in, or not possible with these options")                            \
    X(ERESOLVE, -11, "the name does not resolve")                                                  \
    X(ECONN, -12, "cannot connect")                                                                \
    X(ETIMEDOUT, -13, "the deadline passed")                                                       \
    X(EHANDSHAKE, -14, "the secure handshake failed")                                              \
    X(EPEERID, -15, "the remote proved another peer id than the one asked for")                    \
    X(ELISTEN, -16, "cannot listen")                                                               \
    X(EPROTO, -17, "the remote broke the protocol")                                                \
    X(ENOPROTO, -18, "the remote supports none of the protocols offered")                          \
    X(ENOMUXER, -19, "no common stream muxer")                                                     \
    X(ENOSECURITY, -20, "no common secure channel")                                                \
    X(ERESET, -21, "the stream was reset")                                                         \
    X(ECLOSED, -22, "closed")                                                                      \
    X(ETRUNCATED, -23, "the connection ended in the middle of something")                          \
    X(ELIMIT, -24, "a limit was reached")                                                          \
    X(ECANCELED, -25, "canceled")                                                                  \
    X(EDENIED, -26, "denied")                                                                      \
    X(ENOENT, -27, "not found")                                                                    \
    X(ESEND, -28, "sending failed")                                                                \
    X(EBADH, -29, "the handle is stale")                                                           \
    X(EDEADLK, -30, "a blocking call on the loop's own thread")                                    \
    X(EAGAIN, -31, "try again later")                                                              \
    X(ENOADDR, -32, "no address of the peer is known")                                             \
    X(ETOOBIG, -33, "larger than the limit")                                                       \
    X(EEOF, -34, "the end was reached")                                                            \
    X(EINTERNAL, -35, "an internal error")

enum p2p_code {
    P2P_OK = 0,
#define P2P_X(name, number, sentence) P2P_##name = number,
    P2P_ERRORS(P2P_X)
#undef P2P_X
};

/* The name without its prefix ("ECONN"; "OK" for 0), or "EUNKNOWN". Static storage. */
P2P_API const char *p2p_code_name(int code);

/* The sentence. Static storage. */
P2P_API const char *p2p_code_text(int code);

/* One address that a dial tried, and why it failed. */
typedef struct p2p_attempt {
    const char *addr;  /* text multiaddr */
    const char *error; /* a sentence */
    int32_t code;      /* enum p2p_code */
    int32_t sys_errno; /* errno, 0 if none */
} p2p_attempt;

/* Why something failed, for the person who will ask. Valid during the callback that passes it;
 * p2p_error_copy keeps it longer. New fields are only ever appended. */
typedef struct p2p_error {
    uint32_t size;
    int32_t code;                /* enum p2p_code */
    int32_t sys_errno;           /* errno of the system call that failed, 0 if none */
    uint32_t remote_code;        /* the code with which the remote ended it, 0 if none */
    const char *limit;           /* the option that sets the limit that was hit, or NULL */
    const char *message;         /* one sentence, never NULL */
    const p2p_attempt *attempts; /* each address tried, in order */
    size_t attempt_count;
} p2p_error;

/* A deep copy that the caller frees, or NULL when out of memory. */
P2P_API p2p_error *p2p_error_copy(const p2p_error *error);
P2P_API void p2p_error_free(p2p_error *error);

#ifdef __cplusplus
}
#endif

#endif

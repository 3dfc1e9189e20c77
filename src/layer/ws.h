/* What is behind p2p__layer_ws (WebSocket, RFC 6455), for its own files and their tests; everybody
 * else uses the table in layer.h. */
#ifndef P2P_LAYER_WS_H
#define P2P_LAYER_WS_H

#include "base/hash.h"
#include "layer/layer.h"

/* ---- ws_http.c: the upgrade ---- */

enum {
    /* Bytes of a request's or response's head, with the empty line that ends it (W01). A browser's
     * is below 2 KiB unless it brings cookies. */
    WS_HEAD_MAX = 8192,
    WS_KEY_LEN = 16,
    WS_KEY_TEXT_LEN = 24,      /* base64 of it */
    WS_ACCEPT_TEXT_LEN = 28,   /* base64 of a SHA-1 */
    WS_HOST_MAX = 253 + 2 + 6, /* a DNS name (RFC 1035), or an address in brackets; ":65535" */
    WS_HEAD_OUT_MAX = 1024,    /* what we write is shorter */
};

/* A host and an optional port that may stand in a header. */
bool p2p__ws_host_valid(const char *host);

/* The length of the head that `in` begins with, the empty line included. STEP_WANT_INPUT (1, which
 * no head is): not all here. *scanned: bytes known not to end it, 0 at first. P2P_ETOOBIG: longer
 * than WS_HEAD_MAX. P2P_EPROTO: it does not begin with `opening`. */
int64_t p2p__ws_head_len(const uint8_t *in, size_t in_len, const char *opening, size_t *scanned);

/* Sec-WebSocket-Accept for a key (section 4.2.2), with a NUL. 0, or p2p__sha1's error. */
int p2p__ws_accept(const char key[WS_KEY_TEXT_LEN], char out[WS_ACCEPT_TEXT_LEN + 1]);

/* Both write at most WS_HEAD_OUT_MAX bytes and return how many. */
size_t p2p__ws_request_encode(const char *host, const char key[WS_KEY_TEXT_LEN], char *out);
/* status: 101 (text: the accept), otherwise 400 or 426 (text: a sentence). */
size_t p2p__ws_response_encode(int status, const char *text, char *out);

/* A whole head. Returns the status to answer with: 101 with *key (into head) and *error NULL, or
 * 400 or 426 with a sentence. */
int p2p__ws_request_check(const uint8_t *head, size_t head_len, const char **key,
                          const char **error);
/* 0; P2P_ENOPROTO for a server that speaks HTTP but refuses; P2P_EPROTO. */
int p2p__ws_response_check(const uint8_t *head, size_t head_len,
                           const char accept[WS_ACCEPT_TEXT_LEN], const char **error);

/* ---- ws_frame.c: what follows ---- */

enum {
    WS_HEADER_MAX = 14,
    WS_CONTROL_MAX = 125, /* section 5.5 */
    /* The most that must lie in `in` as a whole: a control frame with its mask. */
    WS_RECORD_MAX = 6 + WS_CONTROL_MAX,
    /* A Noise channel's longest record in one frame, as other implementations send it. */
    WS_PLAIN_MAX = 65537,
    /* Payloads stream through and cost nothing; but nobody has a message of this length to send. */
    WS_FRAME_MAX = 16 * 1024 * 1024,
    WS_MASK_BLOCK = 64,      /* bytes that are masked at once */
    WS_MASK_ALIGN_MIN = 256, /* bytes from which on it pays to align what is written */
    /* Frames that bring no data, out of what was received at once: more is an attack. */
    WS_IDLE_FRAMES_MAX = 64,
};

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

/* Section 7.4.1. */
enum ws_close {
    WS_CLOSE_NONE = 0, /* not on the wire: the frame says nothing */
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_PROTOCOL = 1002,
    WS_CLOSE_TOO_BIG = 1009,
};

struct ws_state {
    struct hash_key mask_key; /* of the masks of what a client sends */
    uint64_t mask_count;
    uint64_t left;   /* of the frame under way: bytes of payload still to come */
    uint8_t mask[4]; /* of the frame under way, turned to the next byte */
    bool open;       /* the upgrade is done */
    bool client;
    bool in_message; /* its last frame is still to come */
    bool ended;      /* by the remote's close */
    bool said_close; /* by us: nothing may be sent any more */
    bool owe_pong;
    uint8_t pong_len;
    uint8_t idle_frames;
    uint16_t close_code; /* what the farewell says */
    int failed;          /* the error that open ended with: it stays */
    uint8_t pong[WS_CONTROL_MAX];
};

/* out = in ^ mask, over and over; out may be exactly in. Turns mask to the byte after the last. */
void p2p__ws_mask(const uint8_t *in, size_t len, uint8_t mask[4], uint8_t *out);

/* Entries of the table. */
int p2p__ws_open(void *state, const struct layer_env *env, struct buf *in, struct span *plain);
int64_t p2p__ws_seal(void *state, const struct layer_env *env, const struct p2p__const_iov *in,
                     size_t in_count, uint8_t *out);
size_t p2p__ws_wrap(void *state, uint8_t *plain, size_t len);
int p2p__ws_close(void *state, const struct layer_env *env, struct outq *out);
size_t p2p__ws_pending(void *state, uint8_t *out, size_t cap);

/* ---- ws.c ---- */

struct ws_handshake {
    const struct layer_config *config;
    size_t scanned;                /* of `in`, as p2p__ws_head_len has it */
    char key[WS_KEY_TEXT_LEN + 1]; /* the client's */
    bool asked;
    int failed; /* the error it ended with: whoever steps again gets it again, never a channel */
};

#endif

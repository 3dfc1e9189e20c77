/* What is behind p2p__layer_tls, for its own files and their tests; everybody else uses the table
 * in layer.h. */
#ifndef P2P_LAYER_TLS_H
#define P2P_LAYER_TLS_H

#include <p2p/peer_id.h>

#include "layer/layer.h"
#include "layer/tls_record.h"

struct ssl_st;
struct ssl_ctx_st;
struct tls_state;

/* A loop's. The certificate is made by the first handshake, and again for another key, or when the
 * clock has left its validity. */
struct p2p__tls {
    struct tls_ciphers ciphers;
    struct ssl_ctx_st *ctx;
    p2p_peer_id owner; /* whom the certificate in ctx proves */
    int64_t not_before_s, not_after_s;
};

/* Why a handshake fails, noted where it happens. */
struct tls_failure {
    int code;
    const char *sentence;
};

struct tls_handshake {
    const struct layer_config *config;
    struct layer_result *result; /* of the step under way */
    struct ssl_st *ssl;
    uint8_t secret[2][TLS_SECRET_MAX]; /* application traffic: the client's, the server's */
    size_t secret_len[2];
    struct tls_failure failure; /* by our own checks */
    uint8_t alert_sent, alert_received;
    int failed; /* the error it ended with: whoever steps again gets it again, never a channel */
};

/* tls_context.c: the SSL of a new handshake. 0, P2P_ENOMEM, or what the key failed to sign with. */
int p2p__tls_ssl_new(struct tls_handshake *self, struct p2p__tls *tls);

/* tls_handshake.c: what every TLS layer does alike. */
/* TLS 1.3 only, without resumption; no certificate yet. NULL: no memory. */
struct ssl_ctx_st *p2p__tls_ctx_new(void);
/* self->ssl, in the role that self->config says; its app data is self. 0 or P2P_ENOMEM. */
int p2p__tls_ssl_init(struct tls_handshake *self, struct ssl_ctx_st *ctx);
/* Notes why, and returns code. */
int p2p__tls_fail(struct tls_handshake *self, int code, const char *sentence);
/* A step of the layer's: STEP_DONE, STEP_WANT_INPUT, P2P_EHANDSHAKE (to be explained by what self
 * has noted) or P2P_ENOMEM. */
int p2p__tls_shake_hands(const struct tls_handshake *self, const struct layer_env *env,
                         struct buf *in, struct outq *out);
/* Once it is done. */
int p2p__tls_take_keys(const struct tls_handshake *self, struct tls_ciphers *ciphers,
                       struct tls_state *channel);
/* A struct that begins with a tls_handshake. */
void p2p__tls_handshake_fini(void *handshake);

enum {
    /* AES-GCM's keys are good for 2^24.5 full records (RFC 8446, section 5.5). */
    TLS_KEY_RECORDS_MAX = 1 << 24,
    /* Tickets, key updates and empty records in a row that bring no data: more is an attack. */
    TLS_IDLE_RECORDS_MAX = 32,
    TLS_MESSAGE_HEADER_LEN = 4,
    /* A session ticket, the longest message that may still come, is well below. */
    TLS_MESSAGE_MAX = 65536 + 512,
    TLS_KEY_UPDATE_LEN = 5, /* header and request_update */
};

/* An open channel. */
struct tls_state {
    struct tls_keys send, recv;
    uint32_t message_left; /* bytes of a handshake message's body still to come */
    uint8_t message_header[TLS_MESSAGE_HEADER_LEN];
    uint8_t message_header_len; /* of them received */
    uint8_t idle_records;
    uint8_t alert;   /* what the farewell says; 0 (close_notify): all is well */
    bool owe_update; /* the remote asked for our key update */
    bool ended;      /* by the remote's close_notify */
    bool said_close; /* by us: nothing may be sealed any more */
    int failed;      /* the error that open ended with: it stays */
};

/* tls_channel.c: entries of the table. */
int p2p__tls_open(void *state, const struct layer_env *env, struct buf *in, struct span *plain);
int64_t p2p__tls_seal(void *state, const struct layer_env *env, const struct p2p__const_iov *in,
                      size_t in_count, uint8_t *out);
int p2p__tls_close(void *state, const struct layer_env *env, struct outq *out);
void p2p__tls_fini(void *state);

#endif

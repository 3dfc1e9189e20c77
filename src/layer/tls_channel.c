/* A TLS channel after its handshake: data, alerts, and the messages that may still come (RFC 8446,
 * sections 4.6 and 6). */
#include <assert.h>
#include <string.h>

#include <p2p/error.h>

#include "layer/tls.h"

enum {
    ALERT_CLOSE_NOTIFY = 0,
    ALERT_UNEXPECTED_MESSAGE = 10,
    ALERT_BAD_RECORD_MAC = 20,
    ALERT_RECORD_OVERFLOW = 22,
    ALERT_HANDSHAKE_FAILURE = 40,
    ALERT_CERTIFICATE_UNKNOWN = 46,
    ALERT_DECODE_ERROR = 50,
    ALERT_DECRYPT_ERROR = 51,
    ALERT_USER_CANCELED = 90,
    ALERT_CERTIFICATE_REQUIRED = 116,
    ALERT_LEN = 2,
    ALERT_FATAL = 2,
    ALERT_WARNING = 1,

    MESSAGE_NEW_SESSION_TICKET = 4,
    MESSAGE_KEY_UPDATE = 24,
};

static int broken(struct tls_state *self, uint8_t alert)
{
    self->alert = alert;
    return P2P_EPROTO;
}

/* ---- what is no data ---- */

/* A client is done before the server has looked at its certificate: the verdict comes here. */
static int alert_code(uint8_t description)
{
    bool certificate =
        (description >= ALERT_HANDSHAKE_FAILURE && description <= ALERT_CERTIFICATE_UNKNOWN) ||
        description == ALERT_DECRYPT_ERROR || description == ALERT_CERTIFICATE_REQUIRED;
    return certificate ? P2P_EHANDSHAKE : P2P_ETRUNCATED;
}

static int take_alert(struct tls_state *self, const uint8_t *content, size_t len)
{
    if (len != ALERT_LEN)
        return broken(self, ALERT_DECODE_ERROR);
    if (content[1] == ALERT_USER_CANCELED)
        return 0;
    if (content[1] != ALERT_CLOSE_NOTIFY)
        return alert_code(content[1]);
    self->ended = true;
    return 0;
}

static int take_key_update(struct tls_state *self, const uint8_t *body, size_t len, bool last)
{
    if (len != 1 || body[0] > 1)
        return broken(self, ALERT_DECODE_ERROR);
    /* Section 5.1: the keys change here, so nothing may follow in this record. */
    if (!last)
        return broken(self, ALERT_UNEXPECTED_MESSAGE);
    self->owe_update |= body[0] == 1;
    return p2p__tls_keys_update(&self->recv);
}

static uint32_t message_len(const uint8_t header[TLS_MESSAGE_HEADER_LEN])
{
    return (uint32_t)header[1] << 16 | (uint32_t)header[2] << 8 | header[3];
}

static int message_begin(struct tls_state *self)
{
    uint32_t len = message_len(self->message_header);
    uint8_t type = self->message_header[0];
    if (type != MESSAGE_NEW_SESSION_TICKET && type != MESSAGE_KEY_UPDATE)
        return broken(self, ALERT_UNEXPECTED_MESSAGE);
    if (len == 0 || len > TLS_MESSAGE_MAX || (type == MESSAGE_KEY_UPDATE && len != 1))
        return broken(self, ALERT_DECODE_ERROR);
    self->message_left = len;
    return 0;
}

/* Messages may be cut anywhere among records and share them. Tickets are for resuming, which libp2p
 * does not: they are skipped. */
static int take_handshake(struct tls_state *self, const uint8_t *content, size_t len)
{
    int code = 0;
    if (len == 0)
        return broken(self, ALERT_UNEXPECTED_MESSAGE); /* section 5.1 */
    while (code == 0 && len > 0) {
        if (self->message_header_len < TLS_MESSAGE_HEADER_LEN) {
            self->message_header[self->message_header_len++] = *content++;
            len--;
            if (self->message_header_len == TLS_MESSAGE_HEADER_LEN)
                code = message_begin(self);
            continue;
        }
        size_t n = len < self->message_left ? len : self->message_left;
        if (self->message_header[0] == MESSAGE_KEY_UPDATE)
            code = take_key_update(self, content, n, n == len);
        content += n;
        len -= n;
        self->message_left -= (uint32_t)n;
        if (self->message_left == 0)
            self->message_header_len = 0;
    }
    return code;
}

static int take_content(struct tls_state *self, uint8_t type, uint8_t *content, size_t len)
{
    if (type == TLS_DATA && len > 0)
        self->idle_records = 0;
    else if (++self->idle_records > TLS_IDLE_RECORDS_MAX)
        return broken(self, ALERT_UNEXPECTED_MESSAGE);
    if (type == TLS_HANDSHAKE)
        return take_handshake(self, content, len);
    /* Section 5.1: nothing comes between the pieces of a message. */
    if (self->message_header_len > 0)
        return broken(self, ALERT_UNEXPECTED_MESSAGE);
    if (type == TLS_ALERT)
        return take_alert(self, content, len);
    return type == TLS_DATA ? 0 : broken(self, ALERT_UNEXPECTED_MESSAGE);
}

/* ---- open ---- */

/* What was consumed right before this record ended with the type and tag of another one (or was
 * handshake or negotiation): dead bytes that leftover plaintext may be moved over. */
static size_t gap_before(const struct buf *in)
{
    size_t dead = TLS_TYPE_LEN + TLS_TAG_LEN;
    return in->head < dead ? in->head : dead;
}

/* The length of the next record, 0 while that is unknown, or an error. */
static int64_t next_record(struct tls_state *self, const struct buf *in)
{
    const uint8_t *record = buf_data(in);
    if (buf_len(in) < TLS_HEADER_LEN)
        return 0;
    size_t len = (size_t)record[3] << 8 | record[4];
    if (record[0] != TLS_DATA)
        return broken(self, ALERT_UNEXPECTED_MESSAGE);
    if (len > TLS_BODY_MAX)
        return broken(self, ALERT_RECORD_OVERFLOW);
    return (int64_t)(TLS_HEADER_LEN + len);
}

static int open_record(struct tls_state *self, const struct layer_env *env, struct buf *in,
                       struct span *plain)
{
    uint8_t type = 0;
    size_t content_len = 0;
    int64_t len = next_record(self, in);
    if (len <= 0)
        return len < 0 ? (int)len : STEP_WANT_INPUT;
    if (buf_len(in) < (size_t)len) {
        plain->len = (size_t)len - buf_len(in);
        return STEP_WANT_INPUT;
    }
    uint8_t *record = buf_data_mut(in);
    int code = p2p__tls_record_open(&self->recv, &env->tls->ciphers, record, (size_t)len, &type,
                                    &content_len);
    if (code < 0)
        return code == P2P_EPROTO ? broken(self, ALERT_BAD_RECORD_MAC) : code;
    code = take_content(self, type, record + TLS_HEADER_LEN, content_len);
    if (code < 0)
        return code;
    *plain = (struct span){
        .base = record + TLS_HEADER_LEN,
        .len = type == TLS_DATA ? content_len : 0,
        .gap = gap_before(in) + TLS_HEADER_LEN,
    };
    buf_consume(in, (size_t)len);
    return STEP_DONE;
}

int p2p__tls_open(void *state, const struct layer_env *env, struct buf *in, struct span *plain)
{
    struct tls_state *self = state;
    if (self->failed < 0)
        return self->failed;
    /* Section 6.1: what comes after close_notify is ignored. It ends one direction; but no muxer
     * goes on in the other, and a remote that keeps the link open has nothing more to say. */
    if (self->ended)
        return P2P_EEOF;
    int code = open_record(self, env, in, plain);
    if (code < 0)
        self->failed = code;
    return code;
}

/* ---- seal ---- */

/* Section 4.6.3: the last record under the old keys. */
static int64_t seal_key_update(struct tls_state *self, struct tls_ciphers *ciphers, uint8_t *out)
{
    static const uint8_t message[TLS_KEY_UPDATE_LEN] = {MESSAGE_KEY_UPDATE, 0, 0, 1, 0};
    const struct p2p__const_iov iov = {message, sizeof message};
    int64_t len = p2p__tls_record_seal(&self->send, ciphers, TLS_HANDSHAKE, &iov, 1, out);
    if (len < 0)
        return len;
    int code = p2p__tls_keys_update(&self->send);
    self->owe_update = false;
    return code < 0 ? code : len;
}

int64_t p2p__tls_seal(void *state, const struct layer_env *env, const struct p2p__const_iov *in,
                      size_t in_count, uint8_t *out)
{
    struct tls_state *self = state;
    struct tls_ciphers *ciphers = &env->tls->ciphers;
    int64_t before = 0;
    assert(!self->said_close);
    if (self->owe_update || self->send.seq >= TLS_KEY_RECORDS_MAX)
        before = seal_key_update(self, ciphers, out);
    if (before < 0)
        return before;
    int64_t len = p2p__tls_record_seal(&self->send, ciphers, TLS_DATA, in, in_count, out + before);
    return len < 0 ? len : before + len;
}

int p2p__tls_close(void *state, const struct layer_env *env, struct outq *out)
{
    struct tls_state *self = state;
    uint8_t record[TLS_RECORD_OVERHEAD + ALERT_LEN];
    const uint8_t alert[ALERT_LEN] = {self->alert ? ALERT_FATAL : ALERT_WARNING, self->alert};
    const struct p2p__const_iov iov = {alert, sizeof alert};
    if (self->said_close)
        return 0;
    self->said_close = true;
    int64_t len = p2p__tls_record_seal(&self->send, &env->tls->ciphers, TLS_ALERT, &iov, 1, record);
    return len < 0 ? (int)len : p2p__outq_append(out, env->pool, record, (size_t)len);
}

void p2p__tls_fini(void *state)
{
    p2p__wipe(state, sizeof(struct tls_state));
}

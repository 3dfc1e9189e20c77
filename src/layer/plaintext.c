/* The channel "/plaintext/2.0.0" (libp2p specs, plaintext r0), which hides and proves nothing: each
 * side says who it is, once, and from then on bytes are sent as they are. For debugging. */
#include "layer/plaintext.h"

#include <assert.h>
#include <string.h>

#include <p2p/error.h>
#include <p2p/key.h>

#include "codec/protobuf.h"
#include "codec/varint.h"

enum {
    FIELD_ID = 1,
    FIELD_PUBKEY = 2,
    FRAME_MAX = PLAINTEXT_EXCHANGE_MAX + P2P__VARINT_MAX,
};

/* Views into the message. */
struct exchange {
    struct pb_field id, pubkey; /* number 0: absent */
};

static int fail(struct layer_result *result, int code, const char *sentence)
{
    result->error = sentence;
    return code;
}

static int plaintext_start(void *state, void *handshake, const struct layer_config *config,
                           const struct layer_env *env)
{
    (void)state;
    (void)env;
    struct plaintext_handshake *self = handshake;
    self->config = config;
    return 0;
}

/* A message that names two peers would be read differently by different readers. */
static int exchange_decode(const uint8_t *in, size_t in_len, struct exchange *out)
{
    *out = (struct exchange){0};
    struct pb_in left = p2p__pb_in(in, in_len);
    struct pb_field field;
    int more;
    while ((more = p2p__pb_next(&left, &field)) == 1) {
        struct pb_field *to = p2p__pb_is(&field, FIELD_ID, PB_LEN)       ? &out->id
                              : p2p__pb_is(&field, FIELD_PUBKEY, PB_LEN) ? &out->pubkey
                                                                         : NULL;
        if (!to)
            continue;
        if (to->number)
            return P2P_EPROTO;
        *to = field;
    }
    return more;
}

static int exchange_send(struct plaintext_handshake *self, const struct layer_env *env,
                         struct outq *out)
{
    size_t key_len;
    const uint8_t *key = p2p_key_public(self->config->key, &key_len);
    const p2p_peer_id *id = p2p_key_peer_id(self->config->key);
    uint8_t frame[FRAME_MAX];
    struct pb_out pb = p2p__pb_out(frame, sizeof frame);
    size_t mark = p2p__pb_frame_begin(&pb);
    p2p__pb_put_bytes(&pb, FIELD_ID, id->bytes, id->len);
    p2p__pb_put_bytes(&pb, FIELD_PUBKEY, key, key_len);
    p2p__pb_frame_end(&pb, mark);
    assert(!pb.overflow);
    return p2p__outq_append(out, env->pool, frame, pb.len);
}

static int identity_check(const struct layer_config *config, const struct exchange *exchange,
                          struct layer_result *result)
{
    p2p_peer_id id;
    if (!exchange->id.number || !exchange->pubkey.number)
        return fail(result, P2P_EHANDSHAKE, "the remote did not say who it is");
    int code = p2p_peer_id_from_public_key(exchange->pubkey.bytes, exchange->pubkey.bytes_len, &id);
    if (code == P2P_ENOMEM)
        return code;
    if (code < 0)
        return fail(result, P2P_EHANDSHAKE,
                    "the remote's identity key is malformed or of an unsupported kind");
    if (exchange->id.bytes_len != id.len || memcmp(exchange->id.bytes, id.bytes, id.len) != 0)
        return fail(result, P2P_EHANDSHAKE, "the remote's peer id is not that of its key");
    if (!layer_meet(config, result, &id))
        return fail(result, P2P_EPEERID,
                    "the remote says to be another peer than the one asked for");
    return STEP_DONE;
}

static int exchange_recv(const struct layer_config *config, struct buf *in,
                         struct layer_result *result)
{
    const uint8_t *body;
    size_t body_len;
    int64_t used =
        p2p__frame_decode(buf_data(in), buf_len(in), PLAINTEXT_EXCHANGE_MAX, &body, &body_len);
    if (used == 0)
        return STEP_WANT_INPUT;
    struct exchange exchange;
    if (used < 0 || exchange_decode(body, body_len, &exchange) < 0)
        return fail(result, P2P_EHANDSHAKE,
                    "the remote's Exchange message is malformed or too large");
    int code = identity_check(config, &exchange, result);
    buf_consume(in, (size_t)used);
    return code;
}

static int plaintext_step(void *state, void *handshake, const struct layer_env *env, struct buf *in,
                          struct outq *out, struct layer_result *result)
{
    (void)state;
    struct plaintext_handshake *self = handshake;
    if (self->failed < 0)
        return self->failed;
    int code = self->sent ? 0 : exchange_send(self, env, out);
    if (code == 0) {
        self->sent = true;
        code = exchange_recv(self->config, in, result);
    }
    if (code < 0)
        self->failed = code;
    return code;
}

static void plaintext_handshake_fini(void *handshake)
{
    p2p__wipe(handshake, sizeof(struct plaintext_handshake));
}

/* All there is. Nothing new comes into `in` before what was lent of it is settled, so that whatever
 * stands before it is dead. */
static int plaintext_open(void *state, const struct layer_env *env, struct buf *in,
                          struct span *plain)
{
    (void)state;
    (void)env;
    if (buf_len(in) == 0)
        return STEP_WANT_INPUT;
    *plain = (struct span){.base = buf_data_mut(in), .len = buf_len(in), .gap = in->head};
    buf_consume(in, plain->len);
    return STEP_DONE;
}

static int64_t plaintext_seal(void *state, const struct layer_env *env,
                              const struct p2p__const_iov *in, size_t in_count, uint8_t *out)
{
    (void)state;
    (void)env;
    size_t len = 0;
    for (size_t i = 0; i < in_count; i++) {
        assert(in[i].len <= PLAINTEXT_PIECE_MAX - len);
        if (in[i].len > 0)
            memcpy(out + len, in[i].base, in[i].len);
        len += in[i].len;
    }
    return (int64_t)len;
}

static void plaintext_fini(void *state)
{
    (void)state;
}

const struct layer_ops p2p__layer_plaintext = {
    .id = "/plaintext/2.0.0",
    .state_size = 1, /* it has none */
    .handshake_size = sizeof(struct plaintext_handshake),
    .record_max = PLAINTEXT_PIECE_MAX,
    .plain_max = PLAINTEXT_PIECE_MAX,
    .overhead = 0,
    .clear = true,
    .unproven = true,
    .transparent = true,
    .start = plaintext_start,
    .step = plaintext_step,
    .handshake_fini = plaintext_handshake_fini,
    .open = plaintext_open,
    .seal = plaintext_seal,
    .fini = plaintext_fini,
};

#include "codec/envelope.h"

#include <string.h>

#include "codec/key.h"
#include "codec/protobuf.h"
#include "codec/varint.h"

enum {
    FIELD_PUBLIC_KEY = 1,
    FIELD_PAYLOAD_TYPE = 2,
    FIELD_PAYLOAD = 3,
    FIELD_SIGNATURE = 5, /* there is no 4 */
    PARTS = 6,
};

/* What is signed: each of domain, type and payload behind its length as an unsigned varint. */
struct message {
    uint8_t len[3][P2P__PB_VARINT_MAX];
    struct p2p__const_iov iov[PARTS];
};

static void message_init(struct message *self, const struct p2p__envelope_kind *kind,
                         const uint8_t *payload, size_t payload_len)
{
    const struct p2p__const_iov bodies[3] = {
        {(const uint8_t *)kind->domain, strlen(kind->domain)},
        {kind->type, kind->type_len},
        {payload, payload_len},
    };
    for (size_t i = 0; i < 3; i++) {
        size_t used = p2p__varint_encode(bodies[i].len, self->len[i]);
        self->iov[2 * i] = (struct p2p__const_iov){self->len[i], used};
        self->iov[2 * i + 1] = bodies[i];
    }
}

static const struct p2p__envelope_kind *
kind_of(const struct pb_field *type, const struct p2p__envelope_kind *kinds, size_t kind_count)
{
    for (size_t i = 0; i < kind_count; i++) {
        if (type->bytes_len == kinds[i].type_len &&
            (kinds[i].type_len == 0 ||
             memcmp(type->bytes, kinds[i].type, kinds[i].type_len) == 0)) {
            return &kinds[i];
        }
    }
    return NULL;
}

int p2p__envelope_open(const uint8_t *in, size_t in_len, const struct p2p__envelope_kind *kinds,
                       size_t kind_count, struct p2p__envelope *out)
{
    memset(out, 0, sizeof *out);
    struct pb_field found[FIELD_SIGNATURE + 1] = {0};
    struct pb_in cursor = p2p__pb_in(in, in_len);
    struct pb_field field;
    int got;
    while ((got = p2p__pb_next(&cursor, &field)) > 0) {
        if (field.number <= FIELD_SIGNATURE && field.wire == PB_LEN) {
            found[field.number] = field;
        }
    }
    if (got < 0) {
        return got;
    }
    const struct pb_field *key = &found[FIELD_PUBLIC_KEY];
    const struct pb_field *payload = &found[FIELD_PAYLOAD];
    const struct pb_field *sig = &found[FIELD_SIGNATURE];
    const struct p2p__envelope_kind *kind = kind_of(&found[FIELD_PAYLOAD_TYPE], kinds, kind_count);
    if (!kind || !key->bytes || !sig->bytes) {
        return P2P_EPROTO;
    }
    struct message message;
    message_init(&message, kind, payload->bytes, payload->bytes_len);
    int code = p2p__public_key_verify(key->bytes, key->bytes_len, message.iov, PARTS, sig->bytes,
                                      sig->bytes_len);
    p2p_peer_id signer;
    if (code == P2P_OK) {
        code = p2p_peer_id_from_public_key(key->bytes, key->bytes_len, &signer);
    }
    if (code == P2P_OK) {
        *out = (struct p2p__envelope){
            .kind = (size_t)(kind - kinds),
            .public_key = key->bytes,
            .public_key_len = key->bytes_len,
            .payload = payload->bytes,
            .payload_len = payload->bytes_len,
            .signer = signer,
        };
    }
    return code;
}

int64_t p2p__envelope_seal(const p2p_key *key, const struct p2p__envelope_kind *kind,
                           const uint8_t *payload, size_t payload_len, uint8_t *out, size_t out_cap)
{
    struct message message;
    message_init(&message, kind, payload, payload_len);
    uint8_t sig[P2P_KEY_SIG_MAX];
    int sig_len = p2p__key_sign(key, message.iov, PARTS, sig);
    if (sig_len < 0) {
        return sig_len;
    }
    size_t public_key_len = 0;
    const uint8_t *public_key = p2p_key_public(key, &public_key_len);
    struct pb_out pb = p2p__pb_out(out, out_cap);
    p2p__pb_put_bytes(&pb, FIELD_PUBLIC_KEY, public_key, public_key_len);
    p2p__pb_put_bytes(&pb, FIELD_PAYLOAD_TYPE, kind->type, kind->type_len);
    p2p__pb_put_bytes(&pb, FIELD_PAYLOAD, payload, payload_len);
    p2p__pb_put_bytes(&pb, FIELD_SIGNATURE, sig, (size_t)sig_len);
    return pb.overflow ? P2P_ETOOBIG : (int64_t)pb.len;
}

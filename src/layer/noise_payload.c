#include "layer/noise_payload.h"

#include <assert.h>
#include <string.h>

#include <p2p/error.h>

#include "codec/protobuf.h"

enum {
    FIELD_IDENTITY_KEY = 1,
    FIELD_IDENTITY_SIG = 2,
    FIELD_EXTENSIONS = 4, /* 3 was early data once, and is retired */
    EXTENSION_MUXERS = 2, /* 1 is webtransport_certhashes, which means nothing on a byte pipe */
};

static const char SIGNED_PREFIX[] = "noise-libp2p-static-key:";

enum {
    SIGNED_PREFIX_LEN = sizeof SIGNED_PREFIX - 1,
    SIGNED_LEN = SIGNED_PREFIX_LEN + P2P__DH_LEN,
};

static void signed_bytes(const uint8_t static_public[P2P__DH_LEN], uint8_t out[SIGNED_LEN])
{
    memcpy(out, SIGNED_PREFIX, SIGNED_PREFIX_LEN);
    memcpy(out + SIGNED_PREFIX_LEN, static_public, P2P__DH_LEN);
}

static int index_of(const char *const *muxers, size_t muxer_count, const uint8_t *name,
                    size_t name_len)
{
    for (size_t i = 0; i < muxer_count; i++) {
        if (strlen(muxers[i]) == name_len && memcmp(muxers[i], name, name_len) == 0)
            return (int)i;
    }
    return -1;
}

static int extensions_decode(struct pb_in in, const char *const *muxers, size_t muxer_count,
                             struct noise_payload *out)
{
    struct pb_field field;
    int more;
    while ((more = p2p__pb_next(&in, &field)) == 1) {
        if (!p2p__pb_is(&field, EXTENSION_MUXERS, PB_LEN))
            continue;
        out->has_muxers = true;
        int index = index_of(muxers, muxer_count, field.bytes, field.bytes_len);
        if (index < 0)
            continue;
        if (out->theirs_first < 0)
            out->theirs_first = index;
        if (out->ours_first < 0 || index < out->ours_first)
            out->ours_first = index;
    }
    return more;
}

int p2p__noise_payload_decode(const uint8_t *in, size_t in_len, const char *const *muxers,
                              size_t muxer_count, struct noise_payload *out)
{
    *out = (struct noise_payload){.ours_first = -1, .theirs_first = -1};
    struct pb_in left = p2p__pb_in(in, in_len);
    struct pb_field field;
    int more;
    while ((more = p2p__pb_next(&left, &field)) == 1) {
        if (p2p__pb_is(&field, FIELD_IDENTITY_KEY, PB_LEN)) {
            out->identity_key = field.bytes;
            out->identity_key_len = field.bytes_len;
        } else if (p2p__pb_is(&field, FIELD_IDENTITY_SIG, PB_LEN)) {
            out->identity_sig = field.bytes;
            out->identity_sig_len = field.bytes_len;
        } else if (p2p__pb_is(&field, FIELD_EXTENSIONS, PB_LEN)) {
            int code = extensions_decode(p2p__pb_sub(&field), muxers, muxer_count, out);
            if (code < 0)
                return code;
        }
    }
    return more;
}

int p2p__noise_payload_verify(const struct noise_payload *self,
                              const uint8_t static_public[P2P__DH_LEN])
{
    if (!self->identity_key)
        return P2P_EKEY;
    if (!self->identity_sig)
        return P2P_ESIG;
    uint8_t message[SIGNED_LEN];
    signed_bytes(static_public, message);
    return p2p_key_verify(self->identity_key, self->identity_key_len, message, sizeof message,
                          self->identity_sig, self->identity_sig_len);
}

int p2p__noise_payload_encode(const struct p2p_key *key, const uint8_t static_public[P2P__DH_LEN],
                              const char *const *muxers, size_t muxer_count,
                              uint8_t out[NOISE_PAYLOAD_MAX])
{
    uint8_t message[SIGNED_LEN];
    uint8_t sig[P2P_KEY_SIG_MAX];
    signed_bytes(static_public, message);
    int sig_len = p2p_key_sign(key, message, sizeof message, sig);
    if (sig_len < 0)
        return sig_len;
    size_t public_len;
    const uint8_t *public_key = p2p_key_public(key, &public_len);

    struct pb_out pb = p2p__pb_out(out, NOISE_PAYLOAD_MAX);
    p2p__pb_put_bytes(&pb, FIELD_IDENTITY_KEY, public_key, public_len);
    p2p__pb_put_bytes(&pb, FIELD_IDENTITY_SIG, sig, (size_t)sig_len);
    if (muxer_count > 0) {
        size_t mark = p2p__pb_begin(&pb, FIELD_EXTENSIONS);
        for (size_t i = 0; i < muxer_count; i++)
            p2p__pb_put_text(&pb, EXTENSION_MUXERS, muxers[i]);
        p2p__pb_end(&pb, mark);
    }
    assert(!pb.overflow);
    return (int)pb.len;
}

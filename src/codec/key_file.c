/* The forms in which private keys lie around on disks. A file that cannot be read as a key is an
 * error with a sentence, never a reason to make another identity up. */
#include <string.h>

#include "base/mem.h"
#include "codec/key.h"
#include "codec/kubo_config.h"
#include "codec/multibase.h"
#include "codec/why.h"
#include "crypto/pem.h"

enum {
    PROTOBUF_FIRST = 0x08, /* the tag of PrivateKey's first field; no text starts with it */
};

static const char PEM_BEGIN[] = "-----BEGIN ";

static int no_memory(struct why *why)
{
    return why_fail(why, P2P_ENOMEM, "%s", p2p_code_text(P2P_ENOMEM));
}

static int protobuf_decode(const uint8_t *bytes, size_t len, p2p_key **out, struct why *why)
{
    int code = p2p_key_decode(bytes, len, out);
    if (code == P2P_OK) {
        return P2P_OK;
    }
    if (code == P2P_ENOMEM) {
        return no_memory(why);
    }
    const char *name = len >= 2 && bytes[0] == PROTOBUF_FIRST ? p2p_key_type_name(bytes[1]) : NULL;
    if (!name) {
        return why_fail(why, code, "it holds no libp2p private key of a known type");
    }
    return why_fail(
        why, code,
        "the %s key in it is damaged, cut off, of an unsupported size, or its public half "
        "does not belong to it",
        name);
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Lines may be broken anywhere, as base64(1) does; padding may be missing. */
static int base64_decode(const uint8_t *text, size_t len, p2p_key **out, struct why *why)
{
    uint8_t *bytes = p2p__alloc(2 * len + 1);
    if (!bytes) {
        return no_memory(why);
    }
    char *packed = (char *)bytes + len + 1;
    size_t packed_len = 0;
    for (size_t i = 0; i < len; i++) {
        if (!is_space(text[i])) {
            packed[packed_len++] = (char)text[i];
        }
    }
    int64_t got = p2p__base_decode('M', packed, packed_len, bytes, len);
    if (got < 0) {
        got = p2p__base_decode('m', packed, packed_len, bytes, len);
    }
    int code;
    if (packed_len == 0) {
        code = why_fail(why, P2P_EKEY, "it is empty");
    } else if (got < 0) {
        code = why_fail(why, P2P_EKEY,
                        "it is no key file: neither a protobuf, base64, kubo's config nor PEM");
    } else {
        code = protobuf_decode(bytes, (size_t)got, out, why);
    }
    p2p__wipe(bytes, 2 * len + 1);
    p2p__free(bytes);
    return code;
}

static int kubo_decode(const uint8_t *text, size_t len, p2p_key **out, struct why *why)
{
    struct p2p__kubo_identity identity;
    const char *wrong = p2p__kubo_identity_parse((const char *)text, len, &identity);
    int code = wrong ? why_fail(why, P2P_EKEY, "%s", wrong)
                     : base64_decode((const uint8_t *)identity.priv_key, strlen(identity.priv_key),
                                     out, why);
    if (code == P2P_OK && identity.peer_id[0]) {
        p2p_peer_id id;
        if (p2p_peer_id_parse(identity.peer_id, &id) != P2P_OK ||
            !p2p_peer_id_equal(&id, p2p_key_peer_id(*out))) {
            p2p_key_free(*out);
            *out = NULL;
            code =
                why_fail(why, P2P_EKEY, "kubo's \"PeerID\" in it is not that of its \"PrivKey\"");
        }
    }
    p2p__wipe(&identity, sizeof identity);
    return code;
}

/* Where `needle` begins, or NULL. */
static const uint8_t *find(const uint8_t *text, size_t len, const char *needle)
{
    size_t needle_len = strlen(needle);
    for (size_t i = 0; i + needle_len <= len; i++) {
        if (memcmp(text + i, needle, needle_len) == 0) {
            return text + i;
        }
    }
    return NULL;
}

static int pem_decode(const uint8_t *text, size_t len, p2p_key **out, struct why *why)
{
    uint8_t priv[P2P__PRIVATE_DATA_MAX];
    size_t priv_len = 0;
    int type = p2p__pem_decode(text, len, priv, &priv_len);
    int code = type < 0 ? type : p2p__key_from_private(type, priv, priv_len, out);
    p2p__wipe(priv, sizeof priv);
    if (code == P2P_OK) {
        return P2P_OK;
    }
    if (code == P2P_ENOMEM) {
        return no_memory(why);
    }
    if (find(text, len, "ENCRYPTED")) {
        return why_fail(why, P2P_EKEY,
                        "the PEM in it is encrypted; decrypt it first (openssl pkey)");
    }
    if (code == P2P_ENOTSUP) {
        return why_fail(
            why, P2P_EKEY,
            "the PEM in it holds a kind of key that libp2p does not have (it has Ed25519, "
            "secp256k1, P-256 and RSA)");
    }
    return why_fail(why, P2P_EKEY, "the PEM in it holds no valid private key");
}

int p2p_key_decode_file(const uint8_t *bytes, size_t bytes_len, p2p_key **out, char *why_text,
                        size_t why_cap)
{
    struct why why = {why_text, why_cap};
    *out = NULL;
    (void)why_fail(&why, P2P_OK, "%s", "");
    if (bytes_len == 0) {
        return why_fail(&why, P2P_EKEY, "it is empty");
    }
    if (bytes_len > P2P_KEY_FILE_MAX) {
        return why_fail(&why, P2P_EKEY, "it is too large for a key file (over %d bytes)",
                        P2P_KEY_FILE_MAX);
    }
    if (bytes[0] == PROTOBUF_FIRST) {
        return protobuf_decode(bytes, bytes_len, out, &why);
    }
    size_t start = 0;
    while (start < bytes_len && is_space(bytes[start])) {
        start++;
    }
    if (start < bytes_len && bytes[start] == '{') {
        return kubo_decode(bytes, bytes_len, out, &why);
    }
    if (find(bytes, bytes_len, PEM_BEGIN)) {
        return pem_decode(bytes, bytes_len, out, &why);
    }
    return base64_decode(bytes, bytes_len, out, &why);
}

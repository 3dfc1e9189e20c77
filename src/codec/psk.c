#define _GNU_SOURCE /* strerror_r that returns the text */

#include "codec/psk.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <p2p/error.h>

#include "codec/file_head.h"
#include "codec/multibase.h"
#include "codec/why.h"
#include "crypto/crypto.h"
#include "crypto/salsa20.h"

static const char HEADER[] = "/key/swarm/psk/1.0.0/";
static const char ANY_VERSION[] = "/key/swarm/psk/";

/* What is not read yet. */
struct text {
    const char *at;
    size_t left;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* White space at the end of a line does not count; before the first word of one it does. */
static struct text line_next(struct text *in)
{
    struct text line = {in->at, 0};
    while (line.left < in->left && line.at[line.left] != '\n')
        line.left++;
    size_t used = line.left < in->left ? line.left + 1 : line.left;
    in->at += used;
    in->left -= used;
    while (line.left > 0 && is_space(line.at[line.left - 1]))
        line.left--;
    return line;
}

static bool line_is(struct text line, const char *text)
{
    return line.left == strlen(text) && memcmp(line.at, text, line.left) == 0;
}

static bool is_blank(struct text text)
{
    while (text.left > 0 && is_space(text.at[text.left - 1]))
        text.left--;
    return text.left == 0;
}

static int length_check(const struct why *why, size_t len)
{
    return len == P2P__PSK_LEN ? 0
                               : why_fail(why, P2P_EKEY, "its key has %zu bytes, and must have %d",
                                          len, P2P__PSK_LEN);
}

static int base_decode(const struct why *why, struct text in, char base, const char *name,
                       uint8_t psk[P2P__PSK_LEN])
{
    uint8_t bytes[P2P__PSK_FILE_MAX];
    struct text line = line_next(&in);
    int code;
    int64_t len = p2p__base_decode(base, line.at, line.left, bytes, sizeof bytes);
    if (line.left == 0)
        code = why_fail(why, P2P_EKEY, "it ends before its key, the third line");
    else if (len < 0)
        code = why_fail(why, P2P_EKEY, "its key, the third line, is not valid %s", name);
    else if (!is_blank(in))
        code = why_fail(why, P2P_EKEY, "something follows its key, the third line");
    else
        code = length_check(why, (size_t)len);
    if (code == 0)
        memcpy(psk, bytes, P2P__PSK_LEN);
    p2p__wipe(bytes, sizeof bytes);
    return code;
}

/* Any byte may be part of such a key, but for what an editor adds behind it. */
static int bin_decode(const struct why *why, struct text in, uint8_t psk[P2P__PSK_LEN])
{
    if (in.left > P2P__PSK_LEN &&
        is_blank((struct text){in.at + P2P__PSK_LEN, in.left - P2P__PSK_LEN}))
        in.left = P2P__PSK_LEN;
    int code = length_check(why, in.left);
    if (code == 0)
        memcpy(psk, in.at, P2P__PSK_LEN);
    return code;
}

int p2p__psk_decode(const uint8_t *text, size_t text_len, uint8_t psk[P2P__PSK_LEN], char *why_text,
                    size_t why_cap)
{
    struct why why = {why_text, why_cap};
    struct text in = {(const char *)text, text_len};
    (void)why_fail(&why, 0, "%s", "");
    memset(psk, 0, P2P__PSK_LEN);
    if (text_len == 0)
        return why_fail(&why, P2P_EKEY, "it is empty");
    if (text_len > P2P__PSK_FILE_MAX)
        return why_fail(&why, P2P_EKEY, "it is too large for a swarm key (over %d bytes)",
                        P2P__PSK_FILE_MAX);
    struct text header = line_next(&in);
    if (!line_is(header, HEADER)) {
        size_t any_len = sizeof ANY_VERSION - 1;
        if (header.left >= any_len && memcmp(header.at, ANY_VERSION, any_len) == 0)
            return why_fail(&why, P2P_EKEY, "it is a swarm key of another version than 1.0.0");
        return why_fail(&why, P2P_EKEY, "it is no swarm key: its first line is not %s", HEADER);
    }
    struct text encoding = line_next(&in);
    if (line_is(encoding, "/base16/"))
        return base_decode(&why, in, 'f', "base16", psk);
    if (line_is(encoding, "/base64/"))
        return base_decode(&why, in, 'M', "base64", psk);
    if (line_is(encoding, "/bin/"))
        return bin_decode(&why, in, psk);
    return why_fail(&why, P2P_EKEY, "its second line is none of /base16/, /base64/ and /bin/");
}

int p2p__psk_load(const char *path, uint8_t psk[P2P__PSK_LEN], char *why_text, size_t why_cap)
{
    struct why why = {why_text, why_cap};
    uint8_t bytes[P2P__PSK_FILE_MAX + 1] = {0}; /* one more shows that it is too large */
    char said[192] = "";
    int code;
    ssize_t len = p2p__file_head(path, bytes, sizeof bytes);
    if (len < 0) {
        memset(psk, 0, P2P__PSK_LEN);
        code = why_fail(&why, P2P_EFILE, "%s: %s", path, strerror_r((int)-len, said, sizeof said));
    } else {
        code = p2p__psk_decode(bytes, (size_t)len, psk, said, sizeof said);
        (void)why_fail(&why, code, "%s%s%s", code ? path : "", code ? ": " : "", said);
    }
    p2p__wipe(bytes, sizeof bytes);
    return code;
}

int p2p__psk_fingerprint(const uint8_t psk[P2P__PSK_LEN], uint8_t out[P2P__PSK_FINGERPRINT_LEN])
{
    static const uint8_t nonce[P2P__SALSA20_NONCE_LEN] = {'f', 'i', 'n', 'p', 'r', 'i', 'n', 't'};
    uint8_t stream[64];
    p2p__salsa20_stream(psk, nonce, stream, sizeof stream);
    int code = p2p__shake128(stream, sizeof stream, out, P2P__PSK_FINGERPRINT_LEN);
    p2p__wipe(stream, sizeof stream);
    return code;
}

/* The HTTP/1.1 upgrade to WebSocket (RFC 6455, section 4; RFC 9112). Only what the upgrade needs of
 * HTTP, and that strictly: lines end in CRLF, names are tokens, nothing is folded or repeated. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <p2p/error.h>

#include "codec/multibase.h"
#include "crypto/sha1.h"
#include "layer/ws.h"

struct text {
    const char *at;
    size_t len;
};

enum field {
    HOST,
    UPGRADE,
    CONNECTION,
    KEY,
    VERSION,
    ACCEPT,
    EXTENSIONS,
    PROTOCOL,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    FIELDS,
};

static const char *const field_names[FIELDS] = {
    [HOST] = "host",
    [UPGRADE] = "upgrade",
    [CONNECTION] = "connection",
    [KEY] = "sec-websocket-key",
    [VERSION] = "sec-websocket-version",
    [ACCEPT] = "sec-websocket-accept",
    [EXTENSIONS] = "sec-websocket-extensions",
    [PROTOCOL] = "sec-websocket-protocol",
    [CONTENT_LENGTH] = "content-length",
    [TRANSFER_ENCODING] = "transfer-encoding",
};

struct head {
    struct text first; /* line */
    struct text value[FIELDS];
    unsigned count[FIELDS];
    bool upgrade_websocket, connection_upgrade; /* among the tokens of all lines of the name */
};

/* ---- characters ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool alphanumeric(char c)
{
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
}

static bool visible(char c)
{
    return c > ' ' && c < 0x7f;
}

static bool token_char(char c)
{
    return alphanumeric(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool value_char(char c)
{
    return c == '\t' || ((unsigned char)c >= ' ' && c != 0x7f);
}

static bool all(struct text text, bool (*is)(char))
{
    for (size_t i = 0; i < text.len; i++)
        if (!is(text.at[i]))
            return false;
    return true;
}

/* b in lower case. */
static bool same_name(struct text a, const char *b)
{
    if (a.len != strlen(b))
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.at[i]) != b[i])
            return false;
    return true;
}

static bool same(struct text a, const char *b)
{
    return a.len == strlen(b) && memcmp(a.at, b, a.len) == 0;
}

static struct text trim(struct text text)
{
    while (text.len && (text.at[0] == ' ' || text.at[0] == '\t'))
        text = (struct text){text.at + 1, text.len - 1};
    while (text.len && (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
        text.len--;
    return text;
}

bool p2p__ws_host_valid(const char *host)
{
    size_t len = strlen(host);
    for (size_t i = 0; i < len; i++)
        if (!alphanumeric(host[i]) && !strchr(".-_:[]", host[i]))
            return false;
    return len > 0 && len <= WS_HOST_MAX;
}

/* ---- heads ---- */

int64_t p2p__ws_head_len(const uint8_t *in, size_t in_len, const char *opening, size_t *scanned)
{
    static const char end[4] = "\r\n\r\n";
    size_t opening_len = strlen(opening);
    size_t compared = in_len < opening_len ? in_len : opening_len;
    if (compared && memcmp(in, opening, compared) != 0)
        return P2P_EPROTO;
    size_t len = in_len < WS_HEAD_MAX ? in_len : WS_HEAD_MAX;
    for (; *scanned + sizeof end <= len; ++*scanned)
        if (memcmp(in + *scanned, end, sizeof end) == 0)
            return (int64_t)(*scanned + sizeof end);
    return in_len < WS_HEAD_MAX ? STEP_WANT_INPUT : P2P_ETOOBIG;
}

/* Up to the separator, which is taken too; all that is left if there is none. */
static struct text take_until(struct text *from, const char *separator)
{
    size_t len = 0, separator_len = strlen(separator);
    while (len + separator_len <= from->len &&
           memcmp(from->at + len, separator, separator_len) != 0)
        len++;
    bool found = len + separator_len <= from->len;
    struct text taken = {from->at, found ? len : from->len};
    size_t skip = found ? len + separator_len : from->len;
    *from = (struct text){from->at + skip, from->len - skip};
    return taken;
}

/* Among the elements of a comma-separated list (RFC 9110, section 5.6.1). */
static bool lists(struct text list, const char *element)
{
    while (list.len)
        if (same_name(trim(take_until(&list, ",")), element))
            return true;
    return false;
}

static bool parse_field(struct head *self, struct text line)
{
    if (!memchr(line.at, ':', line.len))
        return false;
    struct text name = take_until(&line, ":");
    struct text value = trim(line);
    if (name.len == 0 || !all(name, token_char) || !all(value, value_char))
        return false;
    for (int i = 0; i < FIELDS; i++) {
        if (!same_name(name, field_names[i]))
            continue;
        self->value[i] = value;
        self->count[i]++;
        self->upgrade_websocket |= i == UPGRADE && lists(value, "websocket");
        self->connection_upgrade |= i == CONNECTION && lists(value, "upgrade");
    }
    return true;
}

/* False: malformed. */
static bool parse_head(struct head *self, const uint8_t *bytes, size_t len)
{
    struct text rest = {(const char *)bytes, len - 2}; /* without the empty line */
    *self = (struct head){0};
    self->first = take_until(&rest, "\r\n");
    if (!all(self->first, value_char))
        return false;
    while (rest.len)
        if (!parse_field(self, take_until(&rest, "\r\n")))
            return false;
    return true;
}

static bool has_body(const struct head *head)
{
    return head->count[TRANSFER_ENCODING] > 0 || head->count[CONTENT_LENGTH] > 1 ||
           (head->count[CONTENT_LENGTH] == 1 && !same(head->value[CONTENT_LENGTH], "0"));
}

/* ---- the key ---- */

static bool key_valid(struct text key)
{
    uint8_t bytes[WS_KEY_LEN];
    return key.len == WS_KEY_TEXT_LEN &&
           p2p__base_decode('M', key.at, key.len, bytes, sizeof bytes) == WS_KEY_LEN;
}

int p2p__ws_accept(const char key[WS_KEY_TEXT_LEN], char out[WS_ACCEPT_TEXT_LEN + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[WS_KEY_TEXT_LEN + sizeof guid - 1], digest[P2P__SHA1_LEN];
    memcpy(text, key, WS_KEY_TEXT_LEN);
    memcpy(text + WS_KEY_TEXT_LEN, guid, sizeof guid - 1);
    int code = p2p__sha1(text, sizeof text, digest);
    if (code < 0)
        return code;
    int64_t len = p2p__base_encode('M', digest, sizeof digest, out, WS_ACCEPT_TEXT_LEN + 1);
    assert(len == WS_ACCEPT_TEXT_LEN);
    return 0;
}

/* ---- the client's request ---- */

size_t p2p__ws_request_encode(const char *host, const char key[WS_KEY_TEXT_LEN], char *out)
{
    int len = snprintf(out, WS_HEAD_OUT_MAX,
                       "GET / HTTP/1.1\r\n"
                       "Host: %s\r\n"
                       "Upgrade: websocket\r\n"
                       "Connection: Upgrade\r\n"
                       "Sec-WebSocket-Key: %.*s\r\n"
                       "Sec-WebSocket-Version: 13\r\n"
                       "\r\n",
                       host, WS_KEY_TEXT_LEN, key);
    assert(len > 0 && len < WS_HEAD_OUT_MAX);
    return (size_t)len;
}

static bool request_line_valid(struct text line)
{
    struct text method = take_until(&line, " ");
    struct text target = take_until(&line, " ");
    return same(method, "GET") && target.len > 0 && all(target, visible) && same(line, "HTTP/1.1");
}

static int refuse(int status, const char *sentence, const char **error)
{
    *error = sentence;
    return status;
}

int p2p__ws_request_check(const uint8_t *bytes, size_t len, const char **key, const char **error)
{
    struct head head;
    if (!parse_head(&head, bytes, len) || !request_line_valid(head.first))
        return refuse(400, "the request is malformed", error);
    if (head.count[HOST] != 1)
        return refuse(400, "the request has no Host, or several", error);
    if (has_body(&head))
        return refuse(400, "the request has a body", error);
    if (!head.upgrade_websocket || !head.connection_upgrade)
        return refuse(426, "the request asks for no upgrade to WebSocket", error);
    if (head.count[VERSION] > 1)
        return refuse(400, "the request has several WebSocket versions", error);
    if (!same(head.value[VERSION], "13"))
        return refuse(426, "the request asks for another version of WebSocket than 13", error);
    if (head.count[KEY] != 1 || !key_valid(head.value[KEY]))
        return refuse(400, "the request's Sec-WebSocket-Key is missing or malformed", error);
    *key = head.value[KEY].at;
    *error = NULL;
    return 101;
}

/* ---- the server's response ---- */

static size_t refusal_encode(int status, const char *sentence, char *out)
{
    /* RFC 9110, section 15.5.22, and RFC 6455, section 4.4. */
    static const char upgrade[] = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    int len = snprintf(out, WS_HEAD_OUT_MAX,
                       "HTTP/1.1 %d %s\r\n"
                       "Connection: %sclose\r\n"
                       "%s"
                       "Content-Type: text/plain\r\n"
                       "Content-Length: %zu\r\n"
                       "\r\n"
                       "%s\n",
                       status, status == 426 ? "Upgrade Required" : "Bad Request",
                       status == 426 ? "Upgrade, " : "", status == 426 ? upgrade : "",
                       strlen(sentence) + 1, sentence);
    assert(len > 0 && len < WS_HEAD_OUT_MAX);
    return (size_t)len;
}

size_t p2p__ws_response_encode(int status, const char *text, char *out)
{
    if (status != 101)
        return refusal_encode(status, text, out);
    int len = snprintf(out, WS_HEAD_OUT_MAX,
                       "HTTP/1.1 101 Switching Protocols\r\n"
                       "Upgrade: websocket\r\n"
                       "Connection: Upgrade\r\n"
                       "Sec-WebSocket-Accept: %s\r\n"
                       "\r\n",
                       text);
    assert(len > 0 && len < WS_HEAD_OUT_MAX);
    return (size_t)len;
}

/* The status, or 0: malformed. */
static int status_of(struct text line)
{
    struct text version = take_until(&line, " ");
    struct text digits = take_until(&line, " ");
    int status = 0;
    if (!same(version, "HTTP/1.1") || digits.len != 3)
        return 0;
    for (size_t i = 0; i < 3; i++) {
        if (digits.at[i] < '0' || digits.at[i] > '9')
            return 0;
        status = status * 10 + (digits.at[i] - '0');
    }
    return status;
}

static int fail(int code, const char *sentence, const char **error)
{
    *error = sentence;
    return code;
}

int p2p__ws_response_check(const uint8_t *bytes, size_t len, const char accept[WS_ACCEPT_TEXT_LEN],
                           const char **error)
{
    struct head head;
    int status = parse_head(&head, bytes, len) ? status_of(head.first) : 0;
    if (status == 0)
        return fail(P2P_EPROTO, "the remote's answer to the WebSocket upgrade is malformed", error);
    if (status != 101)
        return fail(P2P_ENOPROTO, "the remote speaks HTTP, but refused the WebSocket upgrade",
                    error);
    if (!head.upgrade_websocket || !head.connection_upgrade)
        return fail(P2P_EPROTO, "the remote upgraded to something else than WebSocket", error);
    const struct text *proof = &head.value[ACCEPT];
    if (head.count[ACCEPT] != 1 || proof->len != WS_ACCEPT_TEXT_LEN ||
        memcmp(proof->at, accept, WS_ACCEPT_TEXT_LEN) != 0)
        return fail(P2P_EPROTO, "the remote's answer does not belong to our WebSocket upgrade",
                    error);
    if (head.count[EXTENSIONS] || head.count[PROTOCOL])
        return fail(P2P_EPROTO,
                    "the remote chose a WebSocket extension or subprotocol that was "
                    "not offered",
                    error);
    return 0;
}

/* Frames after the upgrade (RFC 6455, section 5). libp2p sends binary messages and ignores where
 * they begin and end, so that a frame's payload is handed on as it comes, unmasked where it lies.
 */
#include <assert.h>
#include <string.h>

#include <p2p/error.h>

#include "layer/ws.h"

enum {
    BIT_FIN = 0x80,
    BITS_RESERVED = 0x70,
    BITS_OPCODE = 0x0f,
    BIT_CONTROL = 0x08,
    BIT_MASK = 0x80,
    LEN_16 = 126,
    LEN_64 = 127,
};

struct header {
    enum ws_opcode opcode;
    bool fin;
    uint64_t payload_len;
    size_t len; /* of the header itself */
    uint8_t mask[4];
};

_Static_assert((int)WS_RECORD_MAX <= (int)LAYER_PENDING_MAX, "a pong fits");

static int broken(struct ws_state *self, enum ws_close why)
{
    self->close_code = (uint16_t)why;
    return why == WS_CLOSE_TOO_BIG ? P2P_ETOOBIG : P2P_EPROTO;
}

/* ---- masks ---- */

static void mask_turn(uint8_t mask[4], size_t by)
{
    const uint8_t old[4] = {mask[0], mask[1], mask[2], mask[3]};
    for (size_t i = 0; i < 4; i++)
        mask[i] = old[(by + i) % 4];
}

static void mask_bytes(const uint8_t *in, size_t len, uint8_t mask[4], uint8_t *out)
{
    for (size_t i = 0; i < len; i++)
        out[i] = in[i] ^ mask[i % 4];
    mask_turn(mask, len);
}

/* Of len the part that is whole blocks. Pairs of words are what compilers keep in one vector
 * register; an array of all of them goes by way of the stack. */
static size_t mask_blocks(const uint8_t *in, size_t len, const uint8_t mask[4], uint8_t *out)
{
    uint64_t wide, a[2], b[2], c[2], d[2];
    size_t i = 0;
    memcpy(&wide, mask, 4);
    memcpy((uint8_t *)&wide + 4, mask, 4);
    for (; len - i >= WS_MASK_BLOCK; i += WS_MASK_BLOCK) {
        memcpy(a, in + i, sizeof a);
        memcpy(b, in + i + 16, sizeof b);
        memcpy(c, in + i + 32, sizeof c);
        memcpy(d, in + i + 48, sizeof d);
        a[0] ^= wide, a[1] ^= wide, b[0] ^= wide, b[1] ^= wide;
        c[0] ^= wide, c[1] ^= wide, d[0] ^= wide, d[1] ^= wide;
        memcpy(out + i, a, sizeof a);
        memcpy(out + i + 16, b, sizeof b);
        memcpy(out + i + 32, c, sizeof c);
        memcpy(out + i + 48, d, sizeof d);
    }
    return i;
}

void p2p__ws_mask(const uint8_t *in, size_t len, uint8_t mask[4], uint8_t *out)
{
    if (len == 0) /* perhaps of nothing at all, which has no address to count from */
        return;
    /* Stores that straddle cache lines cost a quarter of the speed. */
    size_t first = len >= WS_MASK_ALIGN_MIN ? -(uintptr_t)out % 16 : 0;
    mask_bytes(in, first, mask, out);
    size_t blocks = mask_blocks(in + first, len - first, mask, out + first);
    first += blocks; /* whole masks: it is not turned */
    mask_bytes(in + first, len - first, mask, out + first);
}

/* Section 5.3: fresh for each frame, and not to be guessed from those before. */
static void mask_fresh(struct ws_state *self, uint8_t mask[4])
{
    uint64_t word = p2p__hash(&self->mask_key, &self->mask_count, sizeof self->mask_count);
    self->mask_count++;
    memcpy(mask, &word, 4);
}

/* ---- headers ---- */

static uint64_t big_endian(const uint8_t *in, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | in[i];
    return value;
}

/* Section 5.4: control frames come whole and anywhere, a message's frames in their order. 0 or an
 * error. */
static int opcode_check(struct ws_state *self, enum ws_opcode opcode, bool fin, uint8_t len7)
{
    switch (opcode) {
    case WS_CONTINUATION:
        return self->in_message ? 0 : broken(self, WS_CLOSE_PROTOCOL);
    case WS_BINARY:
        return self->in_message ? broken(self, WS_CLOSE_PROTOCOL) : 0;
    case WS_TEXT: /* libp2p specs, websockets: binary messages only */
        break;
    case WS_CLOSE:
    case WS_PING:
    case WS_PONG:
        return fin && len7 <= WS_CONTROL_MAX ? 0 : broken(self, WS_CLOSE_PROTOCOL);
    }
    return broken(self, WS_CLOSE_PROTOCOL);
}

/* Section 5.2: the shortest form, and 63 bits. */
static int length_check(struct ws_state *self, uint8_t len7, uint64_t len)
{
    if ((len7 == LEN_16 && len < LEN_16) || (len7 == LEN_64 && len <= UINT16_MAX) || len >> 63)
        return broken(self, WS_CLOSE_PROTOCOL);
    return len <= WS_FRAME_MAX ? 0 : broken(self, WS_CLOSE_TOO_BIG);
}

/* STEP_DONE, STEP_WANT_INPUT, or an error as soon as the bytes say so. */
static int header_decode(struct ws_state *self, const uint8_t *in, size_t in_len,
                         struct header *header)
{
    if (in_len < 2)
        return STEP_WANT_INPUT;
    /* Nobody has negotiated an extension, and only what a client sends is masked (section 5.1). */
    if (in[0] & BITS_RESERVED || !(in[1] & BIT_MASK) != self->client)
        return broken(self, WS_CLOSE_PROTOCOL);
    uint8_t len7 = in[1] & (uint8_t)~BIT_MASK;
    size_t extra = len7 == LEN_64 ? 8 : len7 == LEN_16 ? 2 : 0;
    size_t mask_len = self->client ? 0 : sizeof header->mask;
    header->opcode = in[0] & BITS_OPCODE;
    header->fin = in[0] & BIT_FIN;
    int code = opcode_check(self, header->opcode, header->fin, len7);
    if (code < 0)
        return code;
    if (in_len < 2 + extra)
        return STEP_WANT_INPUT;
    header->payload_len = extra ? big_endian(in + 2, extra) : len7;
    code = length_check(self, len7, header->payload_len);
    if (code < 0)
        return code;
    header->len = 2 + extra + mask_len;
    if (in_len < header->len)
        return STEP_WANT_INPUT;
    memset(header->mask, 0, sizeof header->mask);
    memcpy(header->mask, in + 2 + extra, mask_len);
    return STEP_DONE;
}

/* mask: NULL for none. */
static size_t header_encode(enum ws_opcode opcode, size_t payload_len, const uint8_t *mask,
                            uint8_t *out)
{
    size_t extra = payload_len > UINT16_MAX ? 8 : payload_len >= LEN_16 ? 2 : 0;
    uint8_t len7 = extra == 8 ? LEN_64 : extra == 2 ? LEN_16 : (uint8_t)payload_len;
    out[0] = (uint8_t)(BIT_FIN | opcode);
    out[1] = (uint8_t)((mask ? BIT_MASK : 0) | len7);
    for (size_t i = 0; i < extra; i++)
        out[2 + i] = (uint8_t)((uint64_t)payload_len >> (8 * (extra - 1 - i)));
    if (mask)
        memcpy(out + 2 + extra, mask, 4);
    return 2 + extra + (mask ? 4 : 0);
}

/* ---- control frames ---- */

/* Section 7.4: some codes only ever stand for what happened without a frame. */
static bool close_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

/* The reply echoes the code (section 5.5.1). */
static int take_close(struct ws_state *self, const uint8_t *payload, size_t len)
{
    unsigned code = len >= 2 ? (unsigned)big_endian(payload, 2) : WS_CLOSE_NONE;
    if (len == 1 || (len >= 2 && !close_code_valid(code)))
        return broken(self, WS_CLOSE_PROTOCOL);
    self->close_code = (uint16_t)code;
    self->ended = true;
    return 0;
}

/* Section 5.5.3: of several pings at once, the last is answered. */
static void take_ping(struct ws_state *self, const uint8_t *payload, size_t len)
{
    if (len)
        memcpy(self->pong, payload, len);
    self->pong_len = (uint8_t)len;
    self->owe_pong = true;
}

static int take_control(struct ws_state *self, struct header *header, struct buf *in)
{
    size_t len = (size_t)header->payload_len;
    if (buf_len(in) - header->len < len)
        return STEP_WANT_INPUT;
    uint8_t *payload = buf_data_mut(in) + header->len;
    p2p__ws_mask(payload, len, header->mask, payload);
    buf_consume(in, header->len + len);
    if (header->opcode == WS_PING)
        take_ping(self, payload, len);
    return header->opcode == WS_CLOSE ? take_close(self, payload, len) : 0;
}

/* out: WS_RECORD_MAX bytes. */
static size_t control_encode(struct ws_state *self, enum ws_opcode opcode, const uint8_t *payload,
                             size_t len, uint8_t *out)
{
    uint8_t mask[4] = {0};
    if (self->client)
        mask_fresh(self, mask);
    size_t header_len = header_encode(opcode, len, self->client ? mask : NULL, out);
    p2p__ws_mask(payload, len, mask, out + header_len);
    return header_len + len;
}

size_t p2p__ws_pending(void *state, uint8_t *out, size_t cap)
{
    struct ws_state *self = state;
    size_t len = (self->client ? 6u : 2u) + self->pong_len;
    if (!self->owe_pong || self->ended || self->said_close || cap < len)
        return 0;
    self->owe_pong = false;
    return control_encode(self, WS_PONG, self->pong, self->pong_len, out);
}

int p2p__ws_close(void *state, const struct layer_env *env, struct outq *out)
{
    struct ws_state *self = state;
    if (!self->open || self->said_close)
        return 0;
    unsigned code = self->close_code;
    if (code == WS_CLOSE_NONE && !self->ended)
        code = WS_CLOSE_NORMAL;
    const uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    uint8_t frame[WS_RECORD_MAX];
    size_t len = control_encode(self, WS_CLOSE, payload, code == WS_CLOSE_NONE ? 0 : 2, frame);
    self->said_close = true;
    return p2p__outq_append(out, env->pool, frame, len);
}

/* ---- data ---- */

/* The next header, or control frame: STEP_DONE (with `left` zero there is no payload to hand on),
 * STEP_WANT_INPUT or an error. */
static int open_header(struct ws_state *self, struct buf *in)
{
    struct header header;
    int code = header_decode(self, buf_data(in), buf_len(in), &header);
    if (code != STEP_DONE)
        return code;
    if (header.opcode & BIT_CONTROL) {
        code = take_control(self, &header, in);
    } else {
        buf_consume(in, header.len);
        self->in_message = !header.fin;
        self->left = header.payload_len;
        memcpy(self->mask, header.mask, sizeof self->mask);
    }
    if (code == STEP_DONE && self->left == 0 && ++self->idle_frames > WS_IDLE_FRAMES_MAX)
        return broken(self, WS_CLOSE_PROTOCOL);
    return code;
}

static int open_frame(struct ws_state *self, struct buf *in, struct span *plain)
{
    size_t head = in->head;
    int code = self->left ? STEP_DONE : open_header(self, in);
    if (code != STEP_DONE)
        return code;
    if (self->ended)
        return P2P_EEOF;
    size_t len = self->left < buf_len(in) ? (size_t)self->left : buf_len(in);
    if (len == 0 && self->left > 0) {
        plain->len = (size_t)self->left; /* so much comes without a header between */
        return STEP_WANT_INPUT;
    }
    /* What was consumed before it in this call was no payload, and is dead. */
    *plain = (struct span){.base = buf_data_mut(in), .len = len, .gap = in->head - head};
    if (!self->client)
        p2p__ws_mask(plain->base, len, self->mask, plain->base);
    buf_consume(in, len);
    self->left -= len;
    if (len)
        self->idle_frames = 0;
    return STEP_DONE;
}

int p2p__ws_open(void *state, const struct layer_env *env, struct buf *in, struct span *plain)
{
    struct ws_state *self = state;
    (void)env;
    if (self->failed < 0)
        return self->failed;
    int code = open_frame(self, in, plain);
    if (code < 0)
        self->failed = code;
    /* Pings may come for days without data between them, but not many at once. */
    if (code == STEP_WANT_INPUT)
        self->idle_frames = 0;
    return code;
}

int64_t p2p__ws_seal(void *state, const struct layer_env *env, const struct p2p__const_iov *in,
                     size_t in_count, uint8_t *out)
{
    struct ws_state *self = state;
    uint8_t mask[4];
    size_t len = 0;
    (void)env;
    assert(!self->said_close);
    for (size_t i = 0; i < in_count; i++)
        len += in[i].len;
    assert(len <= WS_PLAIN_MAX);
    if (self->client)
        mask_fresh(self, mask);
    uint8_t *at = out + header_encode(WS_BINARY, len, self->client ? mask : NULL, out);
    for (size_t i = 0; i < in_count; i++) {
        if (self->client)
            p2p__ws_mask(in[i].base, in[i].len, mask, at);
        else if (in[i].len)
            memcpy(at, in[i].base, in[i].len);
        at += in[i].len;
    }
    return at - out;
}

size_t p2p__ws_wrap(void *state, uint8_t *plain, size_t len)
{
    struct ws_state *self = state;
    uint8_t mask[4], header[WS_HEADER_MAX];
    assert(!self->said_close && len <= WS_PLAIN_MAX);
    if (self->client)
        mask_fresh(self, mask);
    size_t header_len = header_encode(WS_BINARY, len, self->client ? mask : NULL, header);
    if (self->client)
        p2p__ws_mask(plain, len, mask, plain);
    memcpy(plain - header_len, header, header_len);
    return header_len;
}

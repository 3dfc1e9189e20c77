/* Any bytes as frames, held against a plain reading of RFC 6455, all at once and in pieces; and a
 * script of what is sealed, cut and asked for, which must arrive as it was. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <p2p/error.h>

#include "../script.h"
#include "layer/ws.h"

enum {
    RAW = 1, /* flags in the first byte */
    CLIENT = 2,
    INPUT_MAX = 4096,
    CAP = 1 << 18,
};

static const struct layer_ops *const ops = &p2p__layer_ws;

/* ---- what the standard says ---- */

struct reading {
    int code; /* STEP_WANT_INPUT at the end of the bytes */
    uint8_t *text;
    size_t text_len;
    uint8_t pong[WS_CONTROL_MAX];
    int pong_len;  /* -1: none is owed */
    bool too_idle; /* it ended because of frames without data */
};

static bool close_valid(const uint8_t *payload, size_t len)
{
    unsigned code = len < 2 ? 0 : (unsigned)payload[0] << 8 | payload[1];
    if (len < 2)
        return len == 0;
    if (code < 1000 || code >= 5000 || (code >= 1015 && code < 3000))
        return false;
    return code != 1004 && code != 1005 && code != 1006;
}

/* Everything that can be wrong with a header once it is there; by two bytes, or by its length. */
static int judge(bool client, bool message, const uint8_t *in, size_t in_len, uint64_t *len)
{
    unsigned opcode = in[0] & 15u, len7 = in[1] & 127u;
    bool control = opcode >= 8;
    if (in[0] & 0x70 || (in[1] >= 128) == client)
        return P2P_EPROTO;
    if (opcode == 1 || (opcode >= 3 && opcode <= 7) || opcode > 10)
        return P2P_EPROTO;
    if (control ? len7 > 125 || in[0] < 128 : message != (opcode == 0))
        return P2P_EPROTO;
    size_t extra = len7 == 127 ? 8 : len7 == 126 ? 2 : 0;
    if (in_len < 2 + extra)
        return STEP_WANT_INPUT;
    *len = len7;
    if (extra)
        for (size_t i = *len = 0; i < extra; i++)
            *len = *len * 256 + in[2 + i];
    if ((extra == 2 && *len < 126) || (extra == 8 && *len < 65536) || *len > INT64_MAX)
        return P2P_EPROTO;
    if (*len > WS_FRAME_MAX)
        return P2P_ETOOBIG;
    return in_len < 2 + extra + (client ? 0 : 4) ? STEP_WANT_INPUT : STEP_DONE;
}

static void read_all(bool client, const uint8_t *in, size_t in_len, struct reading *self)
{
    bool message = false;
    unsigned idle = 0;
    for (size_t at = 0;;) {
        uint64_t len = 0;
        static const uint8_t no_mask[4];
        self->code =
            in_len - at < 2 ? STEP_WANT_INPUT : judge(client, message, in + at, in_len - at, &len);
        if (self->code != STEP_DONE)
            return;
        uint8_t opcode = in[at] & 15, payload[WS_CONTROL_MAX];
        bool fin = in[at] & 128;
        at += len < 126 ? 2 : len < 65536 ? 4 : 10;
        const uint8_t *mask = client ? no_mask : in + at;
        at += client ? 0 : 4;
        size_t here = in_len - at < len ? in_len - at : (size_t)len;
        if (opcode >= 8 && here < len) {
            self->code = STEP_WANT_INPUT;
            return;
        }
        uint8_t *to = opcode < 8 ? self->text + self->text_len : payload;
        for (size_t i = 0; i < here; i++)
            to[i] = in[at + i] ^ mask[i & 3];
        at += here;
        if (opcode < 8) {
            self->text_len += here;
            message = !fin;
        } else if (opcode == 9) {
            memcpy(self->pong, payload, here);
            self->pong_len = (int)here;
        } else if (opcode == 8) {
            self->code = close_valid(payload, here) ? P2P_EEOF : P2P_EPROTO;
            return;
        }
        if (opcode < 8 && here)
            idle = 0;
        else if ((opcode >= 8 || len == 0) && ++idle > WS_IDLE_FRAMES_MAX)
            self->too_idle = true;
        if (self->too_idle || here < len) {
            self->code = self->too_idle ? P2P_EPROTO : STEP_WANT_INPUT;
            return;
        }
    }
}

/* ---- an end ---- */

struct end {
    struct ws_state state;
    struct buf in;
    uint8_t *text;
    size_t text_len, text_cap;
};

static int open_all(struct end *self, const struct layer_env *env)
{
    struct span span = {0};
    int code;
    for (;;) {
        size_t before = self->in.head;
        code = ops->open(&self->state, env, &self->in, &span);
        if (code != STEP_DONE)
            break;
        assert(span.len + span.gap <= self->in.head - before &&
               self->text_len + span.len <= self->text_cap);
        if (span.len)
            memcpy(self->text + self->text_len, span.base, span.len);
        memset(span.base - span.gap, 0xdd, span.gap + span.len); /* ours to write */
        self->text_len += span.len;
    }
    if (code < 0)
        assert(ops->open(&self->state, env, &self->in, &span) == code);
    return code;
}

/* In pieces of the given length. Returns the last code. */
static int deliver(struct end *self, const struct layer_env *env, const uint8_t *bytes, size_t len,
                   size_t piece)
{
    int code = open_all(self, env);
    for (size_t at = 0; at < len && code == STEP_WANT_INPUT; at += piece) {
        piece = piece < len - at ? piece : len - at;
        assert(p2p__buf_append(&self->in, env->pool, bytes + at, piece) == 0);
        code = open_all(self, env);
        assert(code != STEP_WANT_INPUT || buf_len(&self->in) < WS_RECORD_MAX);
        assert(p2p__buf_settle(&self->in, env->pool) == 0);
    }
    return code;
}

static void end_init(struct end *self, bool client, size_t text_cap)
{
    *self = (struct end){
        .state = {.open = true, .client = client}, .text = malloc(text_cap), .text_cap = text_cap};
    buf_init(&self->in, CAP);
}

/* Says goodbye, which the other one hears, and is gone. */
static void end_fini(struct end *self, const struct layer_env *env, struct end *other)
{
    struct outq out = {0};
    struct iov iov;
    size_t total;
    assert(ops->close(&self->state, env, &out) == 0);
    assert(p2p__outq_iov(&out, &iov, 1, SIZE_MAX, &total) == 1 && total == outq_len(&out));
    if (other)
        assert(deliver(other, env, iov.base, total, total) == P2P_EEOF);
    p2p__outq_fini(&out, env->pool);
    p2p__buf_fini(&self->in, env->pool);
    free(self->text);
}

/* ---- any bytes ---- */

static void raw(bool client, const uint8_t *bytes, size_t len, size_t piece,
                const struct layer_env *env)
{
    struct reading want = {.text = malloc(len + 1), .pong_len = -1};
    read_all(client, bytes, len, &want);
    for (int cut = 0; cut < 2; cut++) {
        struct end end, other;
        uint8_t pong[LAYER_PENDING_MAX];
        end_init(&end, client, INPUT_MAX);
        end_init(&other, !client, INPUT_MAX);
        int code = deliver(&end, env, bytes, len, cut ? piece : len);
        /* Apart in time, frames without data are no attack. */
        if (!cut || !want.too_idle) {
            assert(code == want.code && end.text_len == want.text_len);
            assert(memcmp(end.text, want.text, want.text_len) == 0);
            size_t pong_len = ops->pending(&end.state, pong, sizeof pong);
            bool owed = want.pong_len >= 0 && code != P2P_EEOF;
            assert(pong_len == (owed ? (client ? 6u : 2u) + (size_t)want.pong_len : 0));
            if (client && pong_len)
                p2p__ws_mask(pong + 6, pong_len - 6, pong + 2, pong + 6);
            assert(!owed ||
                   memcmp(pong + pong_len - want.pong_len, want.pong, (size_t)want.pong_len) == 0);
        }
        end_fini(&end, env, &other);
        end_fini(&other, env, NULL);
    }
    free(want.text);
}

/* ---- a script ---- */

struct world {
    struct layer_env env;
    struct end from, to;
    uint8_t *wire;
    size_t wire_len, delivered, sealed, checked;
};

static uint8_t text_at(size_t n)
{
    return (uint8_t)(n * 131 ^ n >> 8);
}

static void do_seal(struct world *w, size_t len, size_t split)
{
    if (w->wire_len + len + WS_HEADER_MAX > CAP)
        return;
    uint8_t *text = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        text[i] = text_at(w->sealed + i);
    split = split < len ? split : len;
    const struct p2p__const_iov in[] = {{text, split}, {text, 0}, {text + split, len - split}};
    int64_t n = ops->seal(&w->from.state, &w->env, in, 3, w->wire + w->wire_len);
    assert(n >= (int64_t)len + 2 && n <= (int64_t)(len + ops->overhead));
    w->wire_len += (size_t)n;
    w->sealed += len;
    free(text);
}

/* As if the other end had been pinged. */
static void do_pong(struct world *w, size_t len)
{
    w->from.state.owe_pong = true;
    w->from.state.pong_len = (uint8_t)(len % (WS_CONTROL_MAX + 1));
    w->wire_len += ops->pending(&w->from.state, w->wire + w->wire_len,
                                CAP - w->wire_len < LAYER_PENDING_MAX ? 0 : LAYER_PENDING_MAX);
}

static void do_deliver(struct world *w, size_t len, size_t piece)
{
    size_t waiting = w->wire_len - w->delivered;
    len = len < waiting ? len : waiting;
    int code = deliver(&w->to, &w->env, w->wire + w->delivered, len, piece);
    w->delivered += len;
    assert(code == STEP_WANT_INPUT);
    for (; w->checked < w->to.text_len; w->checked++)
        assert(w->to.text[w->checked] == text_at(w->checked));
}

/* Fewer frames in one delivery than may go without data. */
static void scripted(bool client, struct script *script, const struct layer_env *env)
{
    struct world w = {.env = *env, .wire = malloc(CAP)};
    end_init(&w.from, client, INPUT_MAX);
    end_init(&w.to, !client, CAP);
    w.from.state.mask_key.k0 = script->left;
    for (unsigned frames = 0; script->left > 0;) {
        unsigned command = script_next(script, 1);
        if (++frames == WS_IDLE_FRAMES_MAX || command % 4 == 3) {
            do_deliver(&w, frames == WS_IDLE_FRAMES_MAX ? SIZE_MAX : script_next(script, 2),
                       1 + command / 4 * 50);
            frames = w.delivered == w.wire_len ? 0 : frames;
        } else if (command % 4 == 2) {
            do_pong(&w, command / 4 * 2);
        } else {
            do_seal(&w, script_next(script, command % 4 + 1) % (WS_PLAIN_MAX + 1), command / 4);
        }
    }
    do_deliver(&w, SIZE_MAX, CAP);
    assert(w.to.text_len == w.sealed);
    end_fini(&w.from, env, &w.to);
    end_fini(&w.to, env, NULL);
    free(w.wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pool pool;
    if (size < 2 || size > INPUT_MAX)
        return 0;
    p2p__pool_init(&pool, 0);
    struct layer_env env = {.crypto = &p2p__crypto_real, .pool = &pool};
    bool client = data[0] & CLIENT;
    if (data[0] & RAW)
        raw(client, data + 2, size - 2, 1u + data[1], &env);
    else
        scripted(client, &(struct script){data + 2, size - 2}, &env);
    assert(pool.used_bytes == 0);
    p2p__pool_fini(&pool);
    return 0;
}

#include "conn/multistream.h"

#include <assert.h>
#include <string.h>

#include <p2p/error.h>

#include "codec/varint.h"

/* Length prefix included: both sides send exactly these bytes first. */
static const char HEADER[] = "\x13/multistream/1.0.0\n";
static const char NA[] = "\x03na\n";

/* A deprecated extension (simopen) that asks the listener to become the dialer: never. */
static const char SIMULTANEOUS[] = "/libp2p/simultaneous-connect";

enum {
    HEADER_LEN = sizeof HEADER - 1,
    NA_LEN = sizeof NA - 1,
    FRAME_MAX = 2 + MULTISTREAM_LINE_MAX, /* the prefix of a line takes one or two bytes */
};

/* One line, without its newline, as a view into the input. */
struct line {
    const char *text;
    size_t len;
    size_t frame_len; /* with prefix and newline */
};

static bool line_is(const struct line *line, const char *text, size_t len)
{
    return line->len == len && memcmp(line->text, text, len) == 0;
}

void p2p__multistream_dial_init(struct multistream *self, const char *const *protocols,
                                size_t count)
{
    assert(count > 0);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(protocols[i]);
        assert(len > 0 && len < MULTISTREAM_LINE_MAX);
    }
    *self = (struct multistream){.protocols = protocols, .count = count};
}

void p2p__multistream_listen_init(struct multistream *self, multistream_supported_fn supported,
                                  void *user)
{
    assert(supported);
    *self = (struct multistream){.supported = supported, .user = user};
}

/* The line's frame, appended to out. */
static size_t frame_put(const char *text, size_t len, uint8_t *out)
{
    size_t prefix_len = p2p__varint_encode(len + 1, out);
    memcpy(out + prefix_len, text, len);
    out[prefix_len + len] = '\n';
    return prefix_len + len + 1;
}

/* Our header, and from a dialer the first proposal behind it, in one piece and so in one flight. */
static int greet(struct multistream *self, struct pool *pool, struct outq *out)
{
    if (outq_len(out) > MULTISTREAM_OUT_MAX)
        return STEP_WANT_ROOM;
    uint8_t bytes[HEADER_LEN + FRAME_MAX];
    memcpy(bytes, HEADER, HEADER_LEN);
    size_t len = HEADER_LEN;
    if (self->protocols)
        len += frame_put(self->protocols[0], strlen(self->protocols[0]), bytes + len);
    int code = p2p__outq_append(out, pool, bytes, len);
    self->greeted = code == 0;
    return code < 0 ? code : STEP_DONE;
}

/* The header has one spelling, so garbage is known by its first wrong byte. */
static int meet(struct multistream *self, struct buf *in)
{
    size_t len = buf_len(in) < HEADER_LEN ? buf_len(in) : HEADER_LEN;
    if (len > 0 && memcmp(buf_data(in), HEADER, len) != 0)
        return P2P_EPROTO;
    if (len < HEADER_LEN)
        return STEP_WANT_INPUT;
    buf_consume(in, HEADER_LEN);
    self->met = true;
    return STEP_DONE;
}

static int line_peek(const struct buf *in, struct line *line)
{
    if (buf_len(in) == 0)
        return STEP_WANT_INPUT;
    const uint8_t *body;
    size_t body_len;
    int64_t used =
        p2p__frame_decode(buf_data(in), buf_len(in), MULTISTREAM_LINE_MAX, &body, &body_len);
    if (used == 0)
        return STEP_WANT_INPUT;
    if (used < 0 || body_len == 0 || body[body_len - 1] != '\n')
        return P2P_EPROTO;
    *line = (struct line){(const char *)body, body_len - 1, (size_t)used};
    return STEP_DONE;
}

static int propose(struct multistream *self, struct pool *pool, struct outq *out)
{
    uint8_t frame[FRAME_MAX];
    const char *text = self->protocols[self->index];
    return p2p__outq_append(out, pool, frame, frame_put(text, strlen(text), frame));
}

/* Reads one answer: STEP_DONE only if it is the agreement. */
static int dial_line(struct multistream *self, struct pool *pool, struct buf *in, struct outq *out,
                     struct multistream_choice *choice)
{
    struct line line;
    int code = line_peek(in, &line);
    if (code != STEP_DONE)
        return code;
    const char *proposed = self->protocols[self->index];
    if (line_is(&line, proposed, strlen(proposed))) {
        buf_consume(in, line.frame_len);
        *choice = (struct multistream_choice){proposed, line.len};
        return STEP_DONE;
    }
    if (!line_is(&line, "na", 2))
        return P2P_EPROTO;
    if (self->index + 1 == self->count)
        return P2P_ENOPROTO;
    /* What is here already cannot answer a proposal that we have not made yet. */
    if (buf_len(in) > line.frame_len)
        return P2P_EPROTO;
    if (outq_len(out) > MULTISTREAM_OUT_MAX)
        return STEP_WANT_ROOM;
    buf_consume(in, line.frame_len);
    self->index++;
    code = propose(self, pool, out);
    return code < 0 ? code : STEP_WANT_INPUT;
}

/* "ls" gets "na" too: what we support is told by identify, to proven peers. */
static bool acceptable(const struct multistream *self, const struct line *line)
{
    return line->len > 0 && !line_is(line, "ls", 2) && !line_is(line, "na", 2) &&
           !line_is(line, SIMULTANEOUS, sizeof SIMULTANEOUS - 1) &&
           self->supported(self->user, line->text, line->len);
}

/* Reads proposals until one is accepted. */
static int listen_lines(struct multistream *self, struct pool *pool, struct buf *in,
                        struct outq *out, struct multistream_choice *choice)
{
    for (;;) {
        struct line line;
        int code = line_peek(in, &line);
        if (code != STEP_DONE)
            return code;
        if (outq_len(out) > MULTISTREAM_OUT_MAX)
            return STEP_WANT_ROOM;
        if (acceptable(self, &line)) {
            code = p2p__outq_append(out, pool, buf_data(in), line.frame_len);
            buf_consume(in, line.frame_len);
            *choice = (struct multistream_choice){line.text, line.len};
            return code < 0 ? code : STEP_DONE;
        }
        if (self->failed == MULTISTREAM_FAILED_MAX)
            return P2P_ELIMIT;
        self->failed++;
        code = p2p__outq_append(out, pool, NA, NA_LEN);
        if (code < 0)
            return code;
        buf_consume(in, line.frame_len);
    }
}

static int advance(struct multistream *self, struct pool *pool, struct buf *in, struct outq *out,
                   struct multistream_choice *choice)
{
    int code = self->greeted ? STEP_DONE : greet(self, pool, out);
    if (code == STEP_DONE && !self->met)
        code = meet(self, in);
    if (code != STEP_DONE)
        return code;
    return self->protocols ? dial_line(self, pool, in, out, choice)
                           : listen_lines(self, pool, in, out, choice);
}

int p2p__multistream_step(struct multistream *self, struct pool *pool, struct buf *in,
                          struct outq *out, struct multistream_choice *choice)
{
    if (self->error < 0)
        return self->error;
    int code = advance(self, pool, in, out, choice);
    if (code < 0)
        self->error = code;
    return code;
}

/* A stream's life: attach, negotiate, tell, end. What an application calls is in stream_api.c. */
#include "conn/conn.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

enum {
    /* A reader that fell behind by less than this is told again only when more is there. */
    DRAIN_AT_LEAST = 4096,
};

p2p_error p2p__ending_error(const struct ending *ending)
{
    return (p2p_error){.size = sizeof(p2p_error),
                       .code = ending->code,
                       .sys_errno = ending->sys_errno,
                       .remote_code = ending->remote_code,
                       .limit = ending->limit,
                       .message = ending->message ? ending->message : p2p_code_text(ending->code)};
}

static void work_run(struct work *work)
{
    p2p__stream_run(P2P__CONTAINER(work, struct p2p_stream, work));
}

static void timer_fire(struct timer *timer)
{
    struct p2p_stream *self = P2P__CONTAINER(timer, struct p2p_stream, timer);
    self->flags |= STREAM_TIMED_OUT;
    p2p__stream_mark(self);
}

void p2p__stream_arm(struct p2p_stream *self)
{
    uint64_t at_us = self->deadline_us;
    /* While it waits for a connection, the dial watches its deadline. */
    if (self->opening && self->mux && self->opening->deadline_us < at_us)
        at_us = self->opening->deadline_us;
    timer_set(self->shard, &self->timer, at_us);
}

void p2p__stream_mark(struct p2p_stream *self)
{
    if (self->flags & STREAM_DEAD)
        return;
    if (self->mux) {
        assert(self->conn);
        muxer_make_ready(self->mux);
        conn_mark(self->conn);
    } else {
        p2p__work_mark(self->shard, &self->work);
    }
}

static struct p2p_stream *stream_alloc(struct shard *shard)
{
    struct p2p_stream *self = p2p__alloc(sizeof(*self));
    struct opening *opening = p2p__alloc(sizeof(*opening));
    if (!self || !opening) {
        p2p__free(self);
        p2p__free(opening);
        return NULL;
    }
    self->opening = opening;
    self->shard = shard;
    self->timer.fire = timer_fire;
    self->deadline_us = HEAP_NEVER;
    list_init(&self->wait);
    work_init(&self->work, work_run);
    return self;
}

static void opening_free(struct p2p_stream *self)
{
    if (!self || !self->opening)
        return;
    p2p__outq_fini(&self->opening->early, &self->shard->pool);
    p2p__free(self->opening->protocols);
    p2p__free(self->opening);
    self->opening = NULL;
}

/* One block: the pointers, then the strings. */
static char **copy_protocols(const char *const *protocols, size_t count)
{
    size_t size = (count + 1) * sizeof(char *);
    for (size_t i = 0; i < count; i++)
        size += strlen(protocols[i]) + 1;
    char **copy = p2p__alloc(size);
    if (!copy)
        return NULL;
    char *at = (char *)(copy + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(protocols[i]) + 1;
        memcpy(at, protocols[i], len);
        copy[i] = at;
        at += len;
    }
    return copy;
}

struct p2p_stream *p2p__stream_new(struct shard *shard, const char *const *protocols,
                                   size_t protocol_count, const p2p_stream_events *events,
                                   void *user)
{
    struct p2p_stream *self = stream_alloc(shard);
    if (!self)
        return NULL;
    self->opening->protocols = copy_protocols(protocols, protocol_count);
    if (!self->opening->protocols) {
        opening_free(self);
        p2p__free(self);
        return NULL;
    }
    self->opening->protocol_count = protocol_count;
    self->flags = STREAM_OUTBOUND;
    self->events = events;
    self->user = user;
    return self;
}

void p2p__stream_end(struct p2p_stream *self, struct ending ending)
{
    if (self->flags & (STREAM_ENDED | STREAM_DEAD))
        return;
    self->flags |= STREAM_ENDED;
    self->ending = ending;
    p2p__stream_mark(self);
}

void p2p__stream_end_error(struct p2p_stream *self, const p2p_error *why)
{
    if (self->flags & (STREAM_ENDED | STREAM_DEAD))
        return;
    self->why = p2p_error_copy(why);
    p2p__stream_end(self, (struct ending){.code = why->code,
                                          .sys_errno = why->sys_errno,
                                          .remote_code = why->remote_code});
}

static bool offer(void *user, const char *name, size_t name_len)
{
    struct p2p_stream *self = user;
    self->opening->matched = p2p__protocols_match(self->shard->protocols, name, name_len);
    return self->opening->matched != NULL;
}

struct p2p_stream *p2p__stream_inbound(struct p2p_conn *conn, struct muxer_stream *mux)
{
    struct shard *shard = conn->shard;
    struct p2p_stream *self = stream_alloc(shard);
    if (self)
        self->conn = conn;
    if (!self || p2p__stream_enter(self)) {
        conn->muxer->ops->stream_free(mux);
        opening_free(self);
        p2p__free(self);
        return NULL;
    }
    self->mux = mux;
    p2p__stream_window(self);
    stream_head(mux)->stream = self;
    p2p__multistream_listen_init(&self->opening->select, offer, self);
    self->opening->deadline_us = shard_after_ms(shard, shard->limits.negotiate_timeout_ms);
    p2p__stream_arm(self);
    return self;
}

/* ---- negotiation: bytes only, no callbacks ---- */

/* What was written before agreement follows it. The end of our side waits for the reply in any
 * case: js loses bytes that come with an end before its handler is there. */
static void release_early(struct p2p_stream *self)
{
    p2p__outq_move(&self->opening->early, &self->mux->out);
    self->mux->muxer->ops->written(self->mux);
}

static void agreed(struct p2p_stream *self, const struct multistream_choice *choice)
{
    struct opening *opening = self->opening;
    self->protocol = p2p__strndup(choice->name, choice->name_len);
    if (!self->protocol) {
        p2p__stream_end(self, (struct ending){.code = P2P_ENOMEM});
        return;
    }
    if (self->flags & STREAM_OUTBOUND) {
        if (!opening->optimistic)
            release_early(self);
    } else {
        const char *limit;
        int rc = p2p__stream_serve(self, opening->matched, &limit);
        if (rc < 0) {
            p2p__stream_end(self, (struct ending){.code = rc, .limit = limit});
            return;
        }
        self->events = opening->matched->events;
        self->user = opening->matched->user;
    }
    opening_free(self);
    if (self->flags & STREAM_CLOSE_WRITE)
        self->mux->muxer->ops->close_write(self->mux);
    if (self->flags & STREAM_CLOSED)
        p2p__stream_stop(self);
    if (!(self->flags & (STREAM_CLOSED | STREAM_OUTBOUND)))
        p2p__stream_arm(self);
}

/* A dialer that proposed one protocol may have sent its first bytes right behind the proposal.
 * After "na" they are no proposal; a reset would overtake the "na" that says what went wrong. */
static void refuse(struct p2p_stream *self)
{
    struct muxer_stream *mux = self->mux;
    buf_consume(&mux->in, buf_len(&mux->in));
    mux->muxer->ops->close_write(mux);
    mux->muxer->ops->stop(mux);
    self->flags |= STREAM_CLOSED | STREAM_CLOSE_WRITE;
    opening_free(self);
}

static void negotiate(struct p2p_stream *self)
{
    struct opening *opening = self->opening;
    struct muxer_stream *mux = self->mux;
    size_t before = buf_len(&mux->in);
    struct multistream_choice choice;
    size_t said = outq_len(&mux->out);
    int rc =
        p2p__multistream_step(&opening->select, &self->shard->pool, &mux->in, &mux->out, &choice);
    mux->preamble += (uint32_t)(outq_len(&mux->out) - said);
    if (before > buf_len(&mux->in))
        mux->muxer->ops->consumed(mux, before - buf_len(&mux->in), self->shard->now_us);
    /* One proposal leaves nothing to wait for: what was written may go right behind it. */
    if (rc == STEP_WANT_INPUT && (self->flags & STREAM_OUTBOUND) && !opening->optimistic &&
        multistream_optimistic(&opening->select)) {
        opening->optimistic = true;
        release_early(self);
    } else {
        mux->muxer->ops->written(mux);
    }
    conn_mark(self->conn);
    if (rc == STEP_DONE) {
        agreed(self, &choice);
    } else if (rc < 0 && !(self->flags & STREAM_OUTBOUND) && opening->select.failed) {
        refuse(self);
    } else if (rc < 0) {
        const char *message = rc == P2P_ENOPROTO ? "the remote supports none of the protocols"
                                                 : "the protocol negotiation of a stream failed";
        p2p__stream_end(self, (struct ending){.code = rc, .message = message});
    } else if (mux->flags & MUXER_RESET) {
        p2p__stream_end(self, (struct ending){.code = P2P_ERESET,
                                              .remote_code = mux->remote_code,
                                              .message = "the remote reset the stream before the "
                                                         "protocol was agreed"});
    } else if (mux->flags & MUXER_EOF) {
        p2p__stream_end(self, (struct ending){.code = P2P_ETRUNCATED,
                                              .message = "the remote ended the stream before the "
                                                         "protocol was agreed"});
    }
}

void p2p__stream_attach(struct p2p_stream *self, struct p2p_conn *conn)
{
    int code = P2P_ECLOSED;
    const char *limit = NULL;
    struct opening *opening = self->opening;
    struct muxer_stream *mux = NULL;
    self->conn = conn;
    if (conn->stage == CONN_OPEN && (limit = p2p__stream_enter(self)))
        code = P2P_ELIMIT;
    else if (conn->stage == CONN_OPEN)
        mux = conn->muxer->ops->open(conn->muxer, &code);
    if (!mux) {
        p2p__stream_leave(self);
        self->conn = NULL;
        p2p__stream_end(
            self,
            (struct ending){.code = code,
                            .limit = limit,
                            .message = code == P2P_ELIMIT ? "too many streams are open" : NULL});
        return;
    }
    list_remove(&self->work.node);
    self->mux = mux;
    p2p__stream_window(self);
    stream_head(mux)->stream = self;
    p2p__stream_arm(self);
    p2p__multistream_dial_init(&opening->select, (const char *const *)opening->protocols,
                               opening->protocol_count);
    /* Now rather than in the next tell, so that the proposal leaves with the stream's first frame.
     */
    negotiate(self);
    p2p__stream_mark(self);
}

/* ---- telling ---- */

static bool alive(const struct p2p_stream *self)
{
    return !(self->flags & (STREAM_ENDED | STREAM_DEAD));
}

static bool wants_reading(const struct p2p_stream *self)
{
    return alive(self) && !(self->flags & STREAM_CLOSED);
}

static void tell_open(struct p2p_stream *self)
{
    if (!alive(self) || (self->flags & STREAM_OPEN_TOLD))
        return;
    self->flags |= STREAM_OPEN_TOLD;
    if (self->flags & STREAM_OUTBOUND && !(self->flags & STREAM_CLOSED))
        p2p__stream_arm(self); /* until now the dial's deadline held as well */
    if (!(self->flags & STREAM_CLOSED) && self->events->on_open)
        self->events->on_open(self, self->user);
}

static void tell_read(struct p2p_stream *self)
{
    if (!wants_reading(self))
        return;
    bool news = (self->mux->flags & MUXER_READABLE) || (self->flags & STREAM_RESUME);
    bool eof = self->mux->flags & MUXER_EOF;
    size_t len = buf_len(&self->mux->in);
    if (eof && !(self->flags & STREAM_EOF_TOLD))
        news = true;
    if (!news || len == 0 || (len < self->want && !eof))
        return;
    self->mux->flags &= ~(uint32_t)MUXER_READABLE;
    self->flags &= ~(uint32_t)STREAM_RESUME;
    self->want = 0;
    if (self->events->on_read)
        self->events->on_read(self, self->user);
    else
        p2p_stream_consume(self, len);
}

static void tell_eof(struct p2p_stream *self)
{
    if (!wants_reading(self) || !(self->mux->flags & MUXER_EOF) || (self->flags & STREAM_EOF_TOLD))
        return;
    self->flags |= STREAM_EOF_TOLD;
    if (self->events->on_eof)
        self->events->on_eof(self, self->user);
}

static void tell_drain(struct p2p_stream *self)
{
    if (!alive(self) || !(self->flags & STREAM_WANT_DRAIN) ||
        (self->flags & (STREAM_CLOSE_WRITE | STREAM_CLOSED)))
        return;
    size_t room = p2p_stream_room(self);
    bool over = self->conn->stage > CONN_OPEN; /* a write says so; waiting would be for nothing */
    if (!over && room < DRAIN_AT_LEAST && room < self->shard->limits.stream_send_max / 2)
        return;
    self->flags &= ~(uint32_t)STREAM_WANT_DRAIN;
    if (self->events->on_drain)
        self->events->on_drain(self, self->user);
}

/* What the muxer or the clock says about its end. */
static void notice_end(struct p2p_stream *self)
{
    if (!alive(self))
        return;
    uint32_t mux_flags = self->mux ? self->mux->flags : 0;
    bool closed = self->flags & STREAM_CLOSED;
    if ((mux_flags & MUXER_OVERRUN) && !closed) {
        self->shard->owner->limited(self->shard->host, "mplex_unread",
                                    "a peer filled a stream faster than it was read");
        p2p__stream_end(self, (struct ending){.code = P2P_ELIMIT,
                                              .limit = "mplex_unread",
                                              .message = "the reader fell too far behind for a "
                                                         "muxer without flow control"});
    } else if (mux_flags & MUXER_RESET) {
        p2p__stream_end(
            self, (struct ending){.code = closed && p2p__stream_delivered(self) ? 0 : P2P_ERESET,
                                  .remote_code = self->mux->remote_code,
                                  .message = "the remote reset the stream"});
    } else if ((mux_flags & MUXER_DONE) && (closed || buf_len(&self->mux->in) == 0) &&
               (closed || (self->flags & STREAM_EOF_TOLD))) {
        p2p__stream_end(self, (struct ending){0});
    } else if (self->mux && self->conn->stage >= CONN_CLOSING && !closed &&
               !p2p__stream_unread(self)) {
        p2p__stream_end(self, self->conn->ending); /* it outlived its connection to be read */
    } else if (self->flags & STREAM_TIMED_OUT) {
        bool delivered = closed && p2p__stream_delivered(self);
        const char *message =
            self->opening ? "the protocol was not agreed in time" : "the stream's deadline passed";
        p2p__stream_end(self, (struct ending){.code = delivered ? 0 : P2P_ETIMEDOUT,
                                              .message = delivered ? NULL : message});
    }
}

bool p2p__stream_unread(const struct p2p_stream *self)
{
    return alive(self) && !self->opening && !(self->flags & STREAM_CLOSED) &&
           (self->mux->flags & (MUXER_EOF | MUXER_RESET)) == MUXER_EOF && buf_len(&self->mux->in);
}

void p2p__stream_await_reader(struct p2p_stream *self)
{
    if (self->deadline_us == HEAP_NEVER && !(self->flags & STREAM_PATIENT))
        p2p_stream_set_timeout(self, (int)self->shard->limits.linger_timeout_ms);
    p2p__stream_mark(self);
}

static void bury(struct work *work)
{
    struct p2p_stream *self = P2P__CONTAINER(work, struct p2p_stream, work);
    p2p_error_free(self->why);
    p2p__free(self->protocol);
    p2p__free(self);
}

/* A connection that this side closes delivers what was written to a stream before its end, and a
 * reset would cost a remote that has all of it what it has not read yet. */
static void let_go(struct p2p_stream *self)
{
    struct muxer_stream *mux = self->mux;
    bool ended = (mux->flags & (MUXER_DONE | MUXER_RESET | MUXER_FIN_WANTED)) == MUXER_FIN_WANTED;
    if (self->conn->stage == CONN_CLOSING && !self->conn->ending.remote && ended) {
        p2p__stream_stop(self);
        stream_head(mux)->stream = NULL;
    } else {
        mux->muxer->ops->stream_free(mux);
    }
    self->mux = NULL;
}

static void tell_close(struct p2p_stream *self)
{
    struct shard *shard = self->shard;
    p2p_error why = p2p__ending_error(&self->ending);
    const p2p_error *told = self->why ? self->why : self->ending.code ? &why : NULL;
    timer_set(shard, &self->timer, HEAP_NEVER);
    list_remove(&self->wait);
    p2p__stream_leave(self);
    /* What the application writes or asks from here on finds a stream that has ended. */
    if (self->events && self->events->on_close)
        self->events->on_close(self, told, self->user);
    self->flags |= STREAM_DEAD;
    opening_free(self);
    if (self->mux) {
        let_go(self);
        p2p__stream_account(self);
        conn_mark(self->conn);
    }
    p2p__work_bury(shard, &self->work, bury);
}

void p2p__stream_stop(struct p2p_stream *self)
{
    buf_consume(&self->mux->in, buf_len(&self->mux->in));
    self->mux->muxer->ops->stop(self->mux);
}

/* Nothing stays borrowed. What a reader leaves is its peer's to pay for. */
static void settle(struct p2p_stream *self)
{
    struct shard *shard = self->shard;
    struct muxer_stream *mux = self->mux;
    int rc = p2p__buf_settle(&mux->in, &shard->pool);
    p2p__stream_account(self);
    const char *limit = rc == 0 && mux->in.cap ? p2p__stream_memory_limit(self) : NULL;
    if (limit) {
        rc = P2P_ELIMIT;
        shard->owner->limited(shard->host, limit, "a peer fills streams faster than they are read");
    }
    if (rc == 0)
        return;
    if (buf_borrowed(&mux->in))
        buf_consume(&mux->in, buf_len(&mux->in));
    mux->muxer->ops->reset(mux, 0);
    p2p__stream_account(self);
    p2p__stream_end(self, (struct ending){.code = rc, .limit = limit});
}

void p2p__stream_run(struct p2p_stream *self)
{
    if (self->flags & STREAM_DEAD)
        return;
    if (self->mux && self->opening && alive(self))
        negotiate(self);
    if (self->mux && !self->opening) {
        tell_open(self);
        tell_read(self);
        tell_eof(self);
        tell_drain(self);
    }
    notice_end(self);
    if (self->flags & STREAM_ENDED)
        tell_close(self);
    else if (self->mux)
        settle(self);
}

bool p2p__stream_delivered(const struct p2p_stream *self)
{
    return !self->opening && self->mux && (self->mux->flags & MUXER_FIN_SENT) &&
           outq_len(&self->mux->out) == 0;
}

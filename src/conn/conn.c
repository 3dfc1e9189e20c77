/* A connection's life, and the order of its work: pump, tell, settle. */
#include "conn/conn.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

enum {
    HOLD_GOODBYE_US = 500 * 1000, /* half of what a farewell may take */
};

static void conn_run(struct work *work);

static void timer_fire(struct timer *timer)
{
    conn_mark(P2P__CONTAINER(timer, struct p2p_conn, timer));
}

static void link_wake(struct link *link)
{
    conn_mark(link->owner);
}

static struct p2p_conn *conn_alloc(struct shard *shard, bool initiator, const p2p_peer_id *expected)
{
    struct p2p_conn *self = p2p__alloc(sizeof(*self));
    struct upgrade *upgrade = p2p__alloc(sizeof(*upgrade));
    if (!self || !upgrade) {
        p2p__free(self);
        p2p__free(upgrade);
        return NULL;
    }
    self->shard = shard;
    self->initiator = self->outbound = initiator;
    self->upgrade = upgrade;
    if (expected)
        upgrade->expected = *expected;
    work_init(&self->work, conn_run);
    self->timer.fire = timer_fire;
    list_init(&self->all);
    buf_init(&self->plain, 2 * IO_FILL_MAX);
    self->deadline_us = shard_after_ms(shard, shard->limits.handshake_timeout_ms);
    conn_mark(self);
    return self;
}

struct p2p_conn *p2p__conn_new(struct shard *shard, struct link *link, bool initiator,
                               const p2p_peer_id *expected)
{
    struct p2p_conn *self = conn_alloc(shard, initiator, expected);
    if (!self) {
        p2p__buf_fini(&link->in, &shard->pool);
        p2p__outq_fini(&link->out, &shard->pool);
        link->ops->close(link, true);
        return NULL;
    }
    self->link = link;
    buf_init(&link->in, IO_FILL_BULK);
    link->owner = self;
    link->wake = link_wake;
    return self;
}

struct p2p_conn *p2p__conn_new_session(struct shard *shard, struct session *session, bool initiator,
                                       const p2p_peer_id *expected)
{
    struct p2p_conn *self = conn_alloc(shard, initiator, expected);
    if (self)
        p2p__conn_take_session(self, session, expected);
    else
        p2p__session_drop(session, 0, shard_now_us(shard));
    return self;
}

void p2p__conn_end_text(struct p2p_conn *self, int code, const char *text)
{
    if (self->ending.code)
        return;
    self->detail = p2p__strndup(text, strlen(text));
    p2p__conn_end(self, (struct ending){.code = code, .message = self->detail});
}

static bool waits_for_reader(const struct p2p_conn *self, const struct p2p_stream *stream)
{
    return self->ending.remote && p2p__stream_unread(stream);
}

/* Streams that still serve someone end here; those that the application has closed may deliver
 * what they promised, and those that came whole be read. */
static void end_streams(struct p2p_conn *self, bool all)
{
    struct list *streams = &self->muxer->streams;
    for (struct list *node = streams->next; node != streams; node = node->next) {
        struct muxer_stream *mux = P2P__CONTAINER(node, struct muxer_stream, all);
        struct p2p_stream *stream = stream_of(mux);
        if (!stream)
            continue;
        bool closed = stream->flags & STREAM_CLOSED;
        if (closed && !all)
            continue;
        if (waits_for_reader(self, stream)) {
            p2p__stream_await_reader(stream);
            continue;
        }
        struct ending ending = self->ending;
        if (closed && p2p__stream_delivered(stream))
            ending = (struct ending){0};
        p2p__stream_end(stream, ending);
    }
}

void p2p__conn_end(struct p2p_conn *self, struct ending ending)
{
    if (self->stage >= CONN_CLOSING) {
        if (self->ending.remote && !ending.remote) { /* our side waits for no reader any more */
            self->ending.remote = false;
            if (self->stage == CONN_UNREAD)
                self->stage = CONN_DEAD;
            conn_mark(self);
        }
        return;
    }
    self->ending = ending;
    struct shard *shard = self->shard;
    if (self->stage != CONN_OPEN) {
        self->stage = CONN_DEAD;
        if (self->link && self->link->connected && !self->link->err)
            self->link->ops->flush(self->link); /* an alert, or the last "na" */
    } else {
        self->stage = CONN_CLOSING;
        if (ending.code == P2P_EPROTO)
            self->muxer->ops->goaway(self->muxer, 1);
        end_streams(self, false);
        self->deadline_us = shard_after_ms(shard, shard->limits.close_timeout_ms);
        timer_set(shard, &self->timer, self->deadline_us);
    }
    conn_mark(self);
}

/* ---- tell ---- */

void p2p__conn_tell(struct p2p_conn *self)
{
    if (!self->opened_told && self->stage == CONN_OPEN) {
        self->opened_told = true;
        self->shard->owner->opened(self);
    }
    struct list batch;
    list_move(&self->muxer->ready, &batch);
    for (struct list *node; (node = list_pop(&batch));) {
        struct muxer_stream *mux = P2P__CONTAINER(node, struct muxer_stream, ready);
        struct p2p_stream *stream = stream_of(mux);
        if (!stream && self->stage != CONN_OPEN) {
            if (mux->flags &
                (MUXER_NEW | MUXER_DONE)) /* nothing new; what was let go of, delivers */
                self->muxer->ops->stream_free(mux);
        } else if (!stream) {
            mux->flags &= ~(uint32_t)MUXER_NEW;
            stream = p2p__stream_inbound(self, mux);
        }
        if (stream)
            p2p__stream_run(stream);
    }
    self->lent = false;
}

static void bury(struct work *work)
{
    struct p2p_conn *self = P2P__CONTAINER(work, struct p2p_conn, work);
    p2p__free(self->detail);
    p2p__free(self->met_at);
    p2p__free(self);
}

/* Inbound streams that were never told about have no owner to tell; the rest hear of their end. */
static void tell_streams_end(struct p2p_conn *self)
{
    end_streams(self, true);
    struct list *streams = &self->muxer->streams;
    while (!list_empty(streams)) {
        struct muxer_stream *mux = P2P__CONTAINER(streams->next, struct muxer_stream, all);
        struct p2p_stream *stream = stream_of(mux);
        if (stream)
            p2p__stream_run(stream);
        else
            self->muxer->ops->stream_free(mux);
    }
}

static void tell_closed(struct p2p_conn *self)
{
    p2p_error why = p2p__ending_error(&self->ending);
    if (self->opened_told && self->events && self->events->on_closed)
        self->events->on_closed(self, &why, self->events_user);
}

static void die(struct p2p_conn *self)
{
    struct shard *shard = self->shard;
    struct link *link = self->link;
    if (!link)
        p2p__conn_session_close(self);
    if (self->muxer)
        tell_streams_end(self);
    timer_set(shard, &self->timer, HEAP_NEVER);
    tell_closed(self);
    shard->owner->closed(self);
    p2p__upgrade_free(self);
    if (self->muxer) {
        self->muxer->ops->fini(self->muxer);
        p2p__free(self->muxer);
    }
    p2p__stack_fini(&self->stack, shard);
    p2p__buf_fini(&self->plain, &shard->pool);
    if (link) {
        p2p__buf_fini(&link->in, &shard->pool);
        p2p__outq_fini(&link->out, &shard->pool);
        link->ops->close(link, false);
    }
    self->link = NULL;
    self->muxer = NULL;
    p2p__work_bury(shard, &self->work, bury);
}

/* ---- deadlines ---- */

static void check_deadlines(struct p2p_conn *self)
{
    struct shard *shard = self->shard;
    uint64_t now = shard->now_us;
    if (self->stage < CONN_OPEN) {
        if (now >= self->deadline_us)
            p2p__conn_end(self, (struct ending){.code = P2P_ETIMEDOUT,
                                                .message = self->stage == CONN_CONNECTING
                                                               ? "connecting took too long"
                                                               : "the handshake took too long"});
    } else if (self->stage == CONN_OPEN && self->link) {
        if (self->muxer->ops->deadline(self->muxer) <= now) {
            int rc = self->muxer->ops->timeout(self->muxer, now);
            if (rc < 0)
                p2p__conn_end(self, (struct ending){
                                        .code = rc, .message = self->muxer->error, .remote = true});
        }
    } else if (self->stage == CONN_CLOSING && now >= self->deadline_us) {
        self->stage = CONN_DEAD;
    }
}

/* Moved lazily: a deadline that moves later costs nothing until the old one fires. */
static void arm(struct p2p_conn *self)
{
    uint64_t at = self->deadline_us;
    if (self->stage == CONN_CLOSING && self->hold_us > self->shard->now_us)
        at = self->hold_us;
    if (self->stage == CONN_OPEN) {
        assert(self->muxer);
        at = HEAP_NEVER;
    }
    if (self->stage == CONN_OPEN || !self->link) {
        assert(self->muxer);
        uint64_t due = self->muxer->ops->deadline(self->muxer);
        at = due < at ? due : at;
    }
    if (!self->timer.node.queued || at < self->timer.node.at_us)
        timer_set(self->shard, &self->timer, at);
}

/* ---- closing ---- */

static bool promises_kept(const struct p2p_conn *self)
{
    if (self->link && outq_len(&self->link->out))
        return false;
    const struct list *streams = &self->muxer->streams;
    for (const struct list *node = streams->next; node != streams; node = node->next) {
        const struct muxer_stream *mux = P2P__CONTAINER(node, const struct muxer_stream, all);
        const struct p2p_stream *stream = stream_of((struct muxer_stream *)mux);
        bool kept;
        if (stream)
            kept = (stream->flags & (STREAM_CLOSED | STREAM_ENDED)) != STREAM_CLOSED ||
                   p2p__stream_delivered(stream);
        else /* one that was let go of */
            kept = !(mux->flags & MUXER_FIN_WANTED) ||
                   mux->flags & (MUXER_DONE | MUXER_RESET | MUXER_FIN_SENT);
        if (!kept)
            return false;
    }
    return list_empty(&self->muxer->due);
}

/* A remote that learns of the connection's end drops what its own readers have not read yet (go
 * does), and nothing on the wire says when they have. So when the last word was ours they get a
 * moment. */
static bool hold_goodbye(struct p2p_conn *self)
{
    if (!self->spoke_last)
        return false;
    if (!self->hold_us)
        self->hold_us = self->shard->now_us + HOLD_GOODBYE_US;
    return self->shard->now_us < self->hold_us;
}

/* True once nothing more is to be sealed. The goodbye comes after what was promised: go and rust
 * drop every stream at a go-away. */
static bool say_goodbye(struct p2p_conn *self)
{
    if (!promises_kept(self))
        return false;
    if (!self->muxer->goaway_sent) {
        if (hold_goodbye(self))
            return false;
        self->muxer->ops->goaway(self->muxer, 0);
        p2p__conn_pump_out(self, SHARD_CONN_PASS_MAX);
        if (!promises_kept(self))
            return false;
    }
    self->said_goodbye = true;
    return p2p__stack_close(&self->stack, self->shard, self->link) >= 0;
}

/* After the goodbye our side is ended and the remote's end awaited: closing a socket with unread
 * input would reset it, and take the farewell from the remote. */
static void advance_closing(struct p2p_conn *self)
{
    struct link *link = self->link;
    if (!link) { /* its farewell leaves when it dies, and ends both sides */
        if (promises_kept(self) && !hold_goodbye(self))
            self->stage = CONN_DEAD;
        return;
    }
    if (link->err || (link->eof && buf_len(&link->in) == 0)) {
        self->stage = CONN_DEAD;
        return;
    }
    if (self->shut || (!self->said_goodbye && !say_goodbye(self)) || outq_len(&link->out))
        return;
    self->shut = true;
    link->ops->shutdown(link);
}

static void run_link(struct p2p_conn *self, uint64_t end)
{
    if (self->stage < CONN_OPEN)
        p2p__conn_upgrade(self);
    bool more = self->stage == CONN_OPEN || self->stage == CONN_CLOSING;
    while (more) {
        more = p2p__conn_pump_in(self, end);
        p2p__conn_tell(self);
        p2p__conn_pump_out(self, SHARD_CONN_PASS_MAX);
    }
}

/* Nothing stays borrowed. */
static int settle(struct p2p_conn *self)
{
    struct shard *shard = self->shard;
    int rc = p2p__buf_settle(&self->plain, &shard->pool);
    if (rc == 0 && self->stage == CONN_OPEN)
        rc = p2p__stack_rest(&self->stack, shard, self->link);
    else if (rc == 0)
        rc = p2p__stack_settle(&self->stack, shard);
    if (rc == 0 && link_rest(self->link) == 0)
        return 0;
    buf_consume(&self->link->in, buf_len(&self->link->in));
    buf_consume(&self->plain, buf_len(&self->plain));
    return P2P_ENOMEM;
}

static bool has_readers(struct p2p_conn *self)
{
    struct list *streams = self->muxer ? &self->muxer->streams : NULL;
    for (struct list *node = streams ? streams->next : NULL; node != streams; node = node->next) {
        struct p2p_stream *stream = stream_of(P2P__CONTAINER(node, struct muxer_stream, all));
        if (stream && waits_for_reader(self, stream))
            return true;
    }
    return false;
}

/* Nothing comes or goes any more; what streams hold whole is still read, each in its own time. */
static void run_unread(struct p2p_conn *self)
{
    if (self->stage == CONN_DEAD) {
        self->stage = CONN_UNREAD;
        end_streams(self, true);
        timer_set(self->shard, &self->timer, HEAP_NEVER);
    }
    p2p__conn_tell(self);
    if (!has_readers(self))
        die(self);
}

static void conn_run(struct work *work)
{
    struct p2p_conn *self = P2P__CONTAINER(work, struct p2p_conn, work);
    if (self->stage == CONN_UNREAD) {
        run_unread(self);
        return;
    }
    check_deadlines(self);
    if (self->link)
        run_link(self, self->shard->pump_bytes + SHARD_CONN_PASS_MAX);
    else
        p2p__conn_session_run(self);
    if (self->stage == CONN_CLOSING)
        advance_closing(self);
    if (self->stage == CONN_DEAD) {
        if (has_readers(self))
            run_unread(self);
        else
            die(self);
        return;
    }
    if (self->link && settle(self) < 0) {
        p2p__conn_end(self, (struct ending){.code = P2P_ENOMEM});
        conn_mark(self);
    }
    if (self->muxer && !list_empty(&self->muxer->ready))
        conn_mark(self);
    arm(self);
}

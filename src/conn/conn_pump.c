/* Bytes of an open connection: link -> layer -> muxer, and back. */
#include "conn/conn.h"

#include <assert.h>

enum {
    PUMP_OUT_MAX = 2 * 65519, /* two full Noise records, which is what the seal scratch holds */
};

static void link_ended(struct p2p_conn *self)
{
    struct link *link = self->link;
    bool orderly =
        link->eof && buf_len(&link->in) == 0 && buf_len(&self->plain) == 0 &&
        (self->muxer->goaway_received || self->muxer->streams_in + self->muxer->streams_out == 0);
    struct ending ending = {.sys_errno = link->sys_errno, .remote = true};
    if (orderly) {
        ending.code = P2P_ECLOSED;
        ending.remote_code = self->muxer->remote_code;
        ending.message = "the remote closed the connection";
    } else if (link->eof) {
        ending.code = P2P_ETRUNCATED;
        ending.message = "the remote ended the connection without a goodbye";
    } else {
        ending.code = link->err;
        ending.message = "the connection broke";
    }
    p2p__conn_end(self, ending);
}

/* Also after the link broke: what came before, a goodbye perhaps, may still be there. */
static bool fillable(const struct p2p_conn *self)
{
    return self->link->readable && !self->link->eof;
}

/* The link holds so much of a record that its rest is read rather than its beginning kept. */
static bool cut_record(const struct p2p_conn *self)
{
    return (self->link->need && buf_len(&self->link->in) > IO_HEADROOM) ||
           p2p__stack_reads_on(&self->stack, self->link);
}

/* True if the link brought bytes. What lies in its memory is gone then: nothing may be lent. */
static bool fill(struct p2p_conn *self)
{
    return fillable(self) && self->link->ops->fill(self->link) > 0;
}

static void fail_in(struct p2p_conn *self, int rc, const char *message)
{
    const char *limit = rc == P2P_ELIMIT ? self->muxer->limit : NULL;
    buf_consume(&self->plain, buf_len(&self->plain));
    if (self->stage == CONN_CLOSING) {
        self->stage = CONN_DEAD; /* it fails again and again, and the first ending stays */
        return;
    }
    if (limit)
        self->shard->owner->limited(self->shard->host, limit, message);
    p2p__conn_end(self, (struct ending){.code = rc, .limit = limit, .message = message});
}

/* Streams that the muxer itself had no place for. */
static void count_refused(struct p2p_conn *self)
{
    for (; self->muxer->refused > 0; self->muxer->refused--)
        self->shard->owner->limited(self->shard->host, "streams_in", "too many streams are open");
}

/* After a broken protocol nothing that comes has a meaning any more; it is read so that the
 * farewell is not lost to a reset. */
static void discard(struct p2p_conn *self, uint64_t end)
{
    buf_consume(&self->plain, buf_len(&self->plain));
    do {
        self->shard->pump_bytes += buf_len(&self->link->in);
        buf_consume(&self->link->in, buf_len(&self->link->in));
        if (self->shard->pump_bytes >= end) {
            conn_mark(self);
            return;
        }
    } while (fill(self));
}

/* Others get their go first. */
static bool pause_in(struct p2p_conn *self)
{
    conn_mark(self);
    return false;
}

bool p2p__conn_pump_in(struct p2p_conn *self, uint64_t end)
{
    for (;;) {
        bool orderly = self->ending.code == P2P_ECLOSED || self->ending.code == P2P_ECANCELED;
        if (self->stage == CONN_DEAD)
            return false;
        if (self->stage == CONN_CLOSING && !orderly) {
            discard(self, end);
            return false;
        }
        size_t held = buf_len(&self->plain);
        int rc = self->muxer->ops->pump_in(self->muxer, &self->plain, self->shard->now_us);
        self->lent |= buf_len(&self->plain) != held;
        count_refused(self);
        if (rc == MUXER_TELL)
            return true;
        if (rc < 0) {
            fail_in(self, rc, self->muxer->error);
            continue;
        }
        /* Joining the next record to owned bytes may move or free what streams were lent of them.
         */
        if (self->lent && (self->plain.cap || self->stack.count > 1))
            return true;
        if (self->shard->pump_bytes >= end + IO_FILL_MAX)
            return pause_in(self);
        rc = p2p__stack_open(&self->stack, self->shard, self->link, &self->plain);
        if (rc == STEP_DONE)
            continue;
        if (rc == P2P_EEOF) { /* a layer's goodbye is the link's end */
            buf_consume(&self->link->in, buf_len(&self->link->in));
            self->link->eof = true;
            link_ended(self);
            (void)p2p__stack_close(&self->stack, self->shard, self->link); /* and is answered */
            self->said_goodbye = true;
            return false;
        }
        if (rc < 0) {
            fail_in(self, rc,
                    rc == P2P_EPROTO ? "a record of the secure channel did not verify" : NULL);
            continue;
        }
        if (fillable(self)) {
            if (self->lent)
                return true;
            if (self->shard->pump_bytes >= end && !cut_record(self))
                return pause_in(self);
            self->link->behind = p2p__stack_reads_on(&self->stack, self->link);
            if (p2p__buf_settle(&self->plain, &self->shard->pool) < 0 ||
                (!self->link->behind && p2p__stack_settle(&self->stack, self->shard) < 0)) {
                fail_in(self, P2P_ENOMEM, NULL);
                continue;
            }
        }
        if (fill(self))
            continue;
        if (self->link->eof || self->link->err)
            link_ended(self);
        return false;
    }
}

/* ---- out ---- */

void p2p__conn_pump_out(struct p2p_conn *self, size_t budget)
{
    struct link *link = self->link;
    struct muxer *muxer = self->muxer;
    if (outq_len(&link->out) && link->writable)
        link->ops->flush(link);
    if (self->said_goodbye) /* the layers seal nothing after their own */
        return;
    if (outq_len(&link->out) == 0 && p2p__stack_pending(&self->stack, self->shard, link) < 0)
        self->stage = CONN_DEAD;
    size_t moved = 0;
    while (!link->err && outq_len(&link->out) == 0 && link->writable) {
        if (moved >= budget) {
            conn_mark(self);
            break;
        }
        struct iov iov[STACK_IOV_MAX];
        size_t bytes = 0;
        size_t count = muxer->ops->pump_out(muxer, iov, STACK_IOV_MAX, PUMP_OUT_MAX,
                                            self->shard->now_us, &bytes);
        if (count == 0)
            break;
        int rc = p2p__stack_seal(&self->stack, self->shard, link, iov, count);
        muxer->ops->sent(muxer);
        moved += bytes;
        self->shard->pump_bytes += bytes;
        if (rc < 0) {
            p2p__conn_end(self, (struct ending){.code = rc});
            self->stage = CONN_DEAD; /* half a record may have left: there is no farewell */
            return;
        }
    }
    if (link->err && self->stage == CONN_OPEN)
        link_ended(self);
}

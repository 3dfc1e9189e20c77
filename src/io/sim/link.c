/* What the owner of a link may ask of it. */
#include "io/sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static struct sim_end *end_of(struct link *link)
{
    return P2P__CONTAINER(link, struct sim_end, link);
}

static size_t fail(struct sim_end *self, int code, int sys_errno)
{
    self->link.err = code;
    self->link.sys_errno = sys_errno;
    return 0;
}

static bool at_fin(const struct sim_end *self)
{
    return self->first && self->first != self->coming && self->first->kind == SIM_FIN;
}

/* Nothing is left to read but perhaps the end. */
static size_t fill_end(struct sim_end *self)
{
    self->link.readable = false;
    if (at_fin(self)) {
        p2p__sim_pop_first(self);
        self->link.eof = true;
    } else if (self->broken) {
        fail(self, self->broken, self->sys_errno);
    }
    return 0;
}

static void copy_out(struct sim_end *self, uint8_t *to, size_t n)
{
    self->unread -= (uint32_t)n;
    while (n > 0) {
        struct sim_piece *piece = self->first;
        size_t here = piece->arrived - piece->read;
        here = here < n ? here : n;
        memcpy(to, piece->bytes + piece->read, here);
        piece->read += (uint32_t)here;
        to += here;
        n -= here;
        if (piece->read == piece->len)
            p2p__sim_pop_first(self);
    }
}

static size_t readable_len(struct sim_end *self)
{
    size_t room = self->link.behind ? self->link.need : buf_room(&self->link.in);
    size_t n = self->unread < room ? self->unread : room;
    n = n < IO_FILL_MAX ? n : IO_FILL_MAX;
    if (n && self->path->segments == P2P_SIM_BYTE)
        n = 1;
    else if (n && self->path->segments == P2P_SIM_RANDOM)
        n = p2p__sim_random_len(self, (uint32_t)n);
    return n;
}

/* The scratch is needed: who left bytes there gets memory for them. */
static void evict(struct p2p_sim *sim, const struct link *wanted_by)
{
    struct link *by = sim->borrower;
    sim->borrower = NULL;
    if (!by || by == wanted_by || !buf_borrowed(&by->in) || p2p__buf_settle(&by->in, by->pool) == 0)
        return;
    buf_consume(&by->in, buf_len(&by->in));
    p2p__buf_fini(&by->in, by->pool);
    (void)fail(end_of(by), P2P_ENOMEM, ENOMEM);
    if (by->wake)
        by->wake(by);
}

/* As on a socket: few leftovers move before the new bytes, which are borrowed; more are joined by
 * them in owned memory. */
static int put_in(struct sim_end *self, size_t n)
{
    struct p2p_sim *sim = self->host->sim;
    struct link *link = &self->link;
    if (link->behind) {
        copy_out(self, link->in.block + link->in.tail, n);
        link->in.tail += (uint32_t)n;
        return 0;
    }
    if (buf_len(&link->in) > IO_HEADROOM) {
        uint8_t *to = p2p__buf_reserve(&link->in, link->pool, n);
        if (!to)
            return P2P_ENOMEM;
        copy_out(self, to, n);
        p2p__buf_commit(&link->in, n);
        return 0;
    }
    evict(sim, link);
    if (p2p__buf_settle(&link->in, link->pool) < 0)
        return P2P_ENOMEM;
    uint8_t *base = sim->scratch + IO_HEADROOM;
    copy_out(self, base, n);
    sim->borrower = link;
    return p2p__buf_join(&link->in, link->pool, base, n, IO_HEADROOM);
}

static bool fills_behind(const struct link *link)
{
    const struct sim_end *self = P2P__CONTAINER(link, const struct sim_end, link);
    const struct p2p_sim *sim = self->host->sim;
    const struct buf *in = &link->in;
    return sim->borrower == link && buf_borrowed(in) &&
           (size_t)(sim->scratch + SIM_SCRATCH_LEN - (in->block + in->tail)) >= link->need;
}

static size_t fill_now(struct sim_end *self)
{
    struct link *link = &self->link;
    if (!link->connected)
        return 0;
    if (self->unread == 0)
        return fill_end(self);
    size_t n = readable_len(self);
    if (n == 0)
        return 0; /* there is no room: it stays readable */
    n = p2p__sim_slow_allows(self, n);
    if (n == 0) {
        link->readable = false;
        p2p__sim_end_arm(self);
        return 0;
    }
    if (put_in(self, n) < 0)
        return fail(self, P2P_ENOMEM, ENOMEM);
    p2p__sim_slow_count(self, n);
    link->readable = self->unread > 0 || self->broken || at_fin(self);
    if (self->peer)
        p2p__sim_acknowledge(self->peer, (uint32_t)n);
    return n;
}

static size_t fill(struct link *link)
{
    size_t n = fill_now(end_of(link));
    link->behind = false;
    return n;
}

/* What arrives at a closed socket is answered by a reset; a vanished machine answers nothing. */
static void write_to_nobody(struct sim_end *self)
{
    if (self->coming && self->last->kind >= SIM_RST)
        return;
    uint64_t back_us = p2p__sim_arrival(self, 0) + self->path->latency_us;
    if (!self->silent && p2p__sim_far_host(self))
        p2p__sim_send_control(self, SIM_RST, back_us);
    else
        p2p__sim_send_control(self, SIM_GIVE_UP, self->host->sim->now_us + SIM_GIVE_UP_US);
}

/* n bytes of iov, from its start. False: out of memory. */
static bool send_bytes(struct sim_end *self, const struct iov *iov, size_t n)
{
    size_t skip = 0;
    while (n > 0) {
        uint32_t len = n < SIM_PIECE_MAX ? (uint32_t)n : SIM_PIECE_MAX;
        struct sim_piece *piece = p2p__sim_piece_new(SIM_DATA, len);
        if (!piece)
            return false;
        for (uint32_t have = 0; have < len;) {
            size_t here = iov->len - skip < len - have ? iov->len - skip : len - have;
            if (here)
                memcpy(piece->bytes + have, iov->base + skip, here);
            have += (uint32_t)here;
            skip += here;
            if (skip == iov->len) {
                iov++;
                skip = 0;
            }
        }
        self->unacked += len;
        p2p__sim_append(self->peer, piece, p2p__sim_arrival(self, len));
        n -= len;
    }
    return true;
}

static size_t transmit(struct sim_end *self, const struct iov *iov, size_t iov_count)
{
    struct link *link = &self->link;
    assert(!self->fin_sent);
    if (self->broken)
        return fail(self, self->broken, self->sys_errno);
    if (!link->connected)
        return 0;
    size_t total = 0;
    for (size_t i = 0; i < iov_count; i++)
        total += iov[i].len;
    size_t n = p2p__sim_window(self);
    n = n < total ? n : total;
    if (n < total)
        link->writable = false;
    if (!self->peer) {
        if (n)
            write_to_nobody(self);
        self->unacked += (uint32_t)n;
    } else if (!send_bytes(self, iov, n)) {
        return fail(self, P2P_ENOMEM, ENOMEM);
    }
    if (n < total)
        p2p__sim_end_arm(self);
    return n;
}

static size_t write_iov(struct link *link, const struct iov *iov, size_t iov_count)
{
    assert(outq_len(&link->out) == 0);
    return transmit(end_of(link), iov, iov_count);
}

static void flush(struct link *link)
{
    while (outq_len(&link->out) && link->writable && !link->err) {
        struct iov iov[16];
        size_t total;
        size_t count = p2p__outq_iov(&link->out, iov, 16, SIZE_MAX, &total);
        outq_consume(&link->out, link->pool, transmit(end_of(link), iov, count));
    }
}

static void shutdown_link(struct link *link)
{
    struct sim_end *self = end_of(link);
    assert(outq_len(&link->out) == 0);
    if (self->fin_sent || self->broken || !link->connected)
        return;
    self->fin_sent = true;
    link->writable = false;
    if (self->peer)
        p2p__sim_send_control(self->peer, SIM_FIN, p2p__sim_arrival(self, 0));
}

static void close_link(struct link *link, bool abort)
{
    struct sim_end *self = end_of(link);
    if (self->peer && (abort || !link->connected))
        p2p__sim_send_reset(self->peer);
    else if (self->peer)
        shutdown_link(link);
    p2p__sim_end_free(self);
}

const struct link_ops p2p__sim_link_ops = {
    .fill = fill,
    .fills_behind = fills_behind,
    .write = write_iov,
    .flush = flush,
    .shutdown = shutdown_link,
    .close = close_link,
};

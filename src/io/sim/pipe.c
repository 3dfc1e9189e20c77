/* One end of a connection: what is under way to it arrives, is read, and is acknowledged. */
#include "io/sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"

static struct sim_end *end_of(struct link *link)
{
    return P2P__CONTAINER(link, struct sim_end, link);
}

static uint64_t now_us(const struct sim_end *self)
{
    return self->host->sim->now_us;
}

/* An end that waits to be accepted has no owner to tell. */
void p2p__sim_end_wake(struct sim_end *self)
{
    bool owned = self->state != SIM_SYN_RCVD && self->state != SIM_ACCEPTABLE;
    if (owned && !self->host->detached && self->link.wake)
        self->link.wake(&self->link);
}

static void set_readable(struct sim_end *self)
{
    if (self->link.readable)
        return;
    self->link.readable = true;
    p2p__sim_end_wake(self);
}

uint64_t p2p__sim_latency(struct sim_end *self)
{
    uint64_t jitter = self->path->jitter_us;
    return self->path->latency_us + (jitter ? sim_rng_below(&self->host->sim->net, jitter + 1) : 0);
}

bool p2p__sim_is_lost(struct sim_end *self, uint32_t len)
{
    uint32_t loss_ppm = self->path->loss_ppm;
    if (loss_ppm == 0)
        return false;
    uint32_t packets = len / SIM_PACKET + 1;
    while (packets--)
        if (sim_rng_below(&self->host->sim->net, 1000000) < loss_ppm)
            return true;
    return false;
}

uint64_t p2p__sim_arrival(struct sim_end *self, uint32_t len)
{
    uint64_t now_ns = now_us(self) * 1000;
    if (self->wire_free_ns < now_ns)
        self->wire_free_ns = now_ns;
    if (self->path->rate)
        self->wire_free_ns += (uint64_t)len * 1000000000 / self->path->rate;
    return (self->wire_free_ns + 999) / 1000 + p2p__sim_latency(self);
}

/* Arrival */

static void append_piece(struct sim_end *self, struct sim_piece *piece, uint64_t at_us)
{
    piece->at_us = self->last && self->last->at_us > at_us ? self->last->at_us : at_us;
    piece->next = NULL;
    if (self->last)
        self->last->next = piece;
    else
        self->first = piece;
    self->last = piece;
    if (self->coming)
        return;
    self->coming = piece;
    p2p__sim_end_arm(self);
}

static struct sim_piece *piece_new(enum sim_piece_kind kind, uint32_t len)
{
    struct sim_piece *piece = p2p__realloc(NULL, sizeof(*piece) + len);
    if (piece)
        *piece = (struct sim_piece){.kind = (uint8_t)kind, .len = len};
    return piece;
}

static void pop_first(struct sim_end *self)
{
    struct sim_piece *piece = self->first;
    self->first = piece->next;
    if (!self->first)
        self->last = NULL;
    p2p__free(piece);
}

/* Forgets what would arrive after after_us; what arrived stays. */
static void drop_coming(struct sim_end *self, uint64_t after_us)
{
    struct sim_piece **at = &self->first;
    self->last = NULL;
    while (*at && *at != self->coming) {
        self->last = *at;
        at = &(*at)->next;
    }
    while (*at && (*at)->at_us <= after_us) {
        self->last = *at;
        at = &(*at)->next;
    }
    struct sim_piece *piece = *at;
    *at = NULL;
    if (piece == self->coming) {
        self->coming = NULL;
        if (piece && piece->arrived > piece->read) {
            *at = self->last = piece;
            at = &piece->next;
            piece->len = piece->arrived;
            piece = piece->next;
            *at = NULL;
        }
    }
    while (piece) {
        struct sim_piece *next = piece->next;
        p2p__free(piece);
        piece = next;
    }
}

void p2p__sim_send_control(struct sim_end *to, enum sim_piece_kind kind, uint64_t at_us)
{
    struct sim_piece *piece = piece_new(kind, 0);
    if (piece)
        append_piece(to, piece, at_us);
    else
        p2p__sim_end_break(to, P2P_ENOMEM, ENOMEM);
}

void p2p__sim_send_reset(struct sim_end *to)
{
    uint64_t at_us = now_us(to) + p2p__sim_latency(to);
    drop_coming(to, at_us);
    p2p__sim_send_control(to, SIM_RST, at_us);
}

void p2p__sim_end_break(struct sim_end *self, int code, int sys_errno)
{
    if (self->broken)
        return;
    self->broken = (int16_t)code;
    self->sys_errno = (int16_t)sys_errno;
    drop_coming(self, 0);
    p2p__free(self->acks);
    self->acks = NULL;
    if (self->peer)
        self->peer->peer = NULL;
    self->peer = NULL;
    if (!self->link.connected) {
        self->link.err = code;
        self->link.sys_errno = sys_errno;
    }
    /* Whoever tries either learns of it. */
    self->link.readable = true;
    self->link.writable = !self->fin_sent;
    p2p__sim_end_wake(self);
    p2p__sim_end_arm(self);
}

/* Everything was sent again as often as TCP does. */
static bool give_up(struct sim_end *self)
{
    struct sim_end *sender = self->peer;
    drop_coming(self, 0);
    if (sender && sender->state == SIM_SYN_RCVD)
        p2p__sim_end_free(sender);
    else if (sender && self->state != SIM_SYN_RCVD)
        p2p__sim_end_break(sender, P2P_ECONN, ETIMEDOUT);
    if (self->state == SIM_SYN_MET)
        p2p__sim_end_break(self, P2P_ECONN, ETIMEDOUT);
    if (self->state != SIM_SYN_RCVD)
        return true;
    p2p__sim_end_free(self);
    return false;
}

/* The first of what is coming was lost, or a wall stood in its way: TCP sends it again. With more
 * behind it, duplicate acknowledgments tell the sender a round trip later (fast retransmit), else
 * its timer does. False: the end itself is gone. */
static bool retransmit(struct sim_end *self, bool fast)
{
    bool handshake = self->state == SIM_SYN_MET || self->state == SIM_SYN_RCVD;
    uint64_t latency_us = self->path->latency_us;
    uint64_t rto_us = latency_us * 4 > SIM_RTO_MIN_US ? latency_us * 4 : SIM_RTO_MIN_US;
    if (handshake)
        rto_us = SIM_SYN_RTO_US;
    rto_us <<= self->retries;
    if (rto_us > SIM_RTO_MAX_US)
        rto_us = SIM_RTO_MAX_US;
    if (fast && self->coming->next && self->retries == 0)
        rto_us = latency_us * 2;
    self->coming->at_us = now_us(self) + rto_us;
    if (self->retries++ < (handshake ? SIM_SYN_RETRIES : SIM_RETRIES) + 1)
        return true;
    return give_up(self);
}

/* False: the end itself is gone. */
static bool control_arrives(struct sim_end *self, enum sim_piece_kind kind)
{
    switch (kind) {
    case SIM_SYNACK:
        pop_first(self);
        p2p__sim_synack_arrives(self);
        break;
    case SIM_ACK:
        pop_first(self);
        p2p__sim_ack_arrives(self);
        break;
    case SIM_REFUSED:
        pop_first(self);
        p2p__sim_end_break(self, P2P_ECONN, ECONNREFUSED);
        break;
    case SIM_RST:
        if (self->state == SIM_SYN_RCVD) {
            p2p__sim_end_free(self);
            return false;
        }
        p2p__sim_end_break(self, P2P_ECONN,
                           self->state == SIM_OPEN || self->state == SIM_ACCEPTABLE ? ECONNRESET
                                                                                    : ECONNREFUSED);
        break;
    case SIM_GIVE_UP:
        p2p__sim_end_break(self, P2P_ECONN, ETIMEDOUT);
        break;
    case SIM_FIN:
    case SIM_DATA:
        set_readable(self);
        break;
    }
    return true;
}

static uint32_t random_len(struct sim_end *self, uint32_t most)
{
    struct sim_rng *net = &self->host->sim->net;
    uint32_t len = 1 + (uint32_t)sim_rng_below(net, (uint64_t)1 << sim_rng_below(net, 12));
    return len < most ? len : most;
}

static void data_arrives(struct sim_end *self, struct sim_piece *piece)
{
    uint32_t n = piece->len - piece->arrived;
    if (self->path->segments == P2P_SIM_BYTE)
        n = 1;
    else if (self->path->segments == P2P_SIM_RANDOM)
        n = random_len(self, n);
    n = p2p__sim_cut_allows(self, n);
    p2p__sim_hash_add(self->host->sim, n);
    p2p__sim_hash_bytes(self->host->sim, piece->bytes + piece->arrived, n);
    piece->arrived += n;
    self->unread += n;
    if (piece->arrived == piece->len)
        self->coming = piece->next;
    set_readable(self);
    p2p__sim_cut_count(self, n);
}

/* What is due at the head of what is coming. False: the end itself is gone. */
static bool arrive(struct sim_end *self)
{
    bool again = true;
    while (again && self->coming && self->coming->at_us <= now_us(self)) {
        struct sim_piece *piece = self->coming;
        bool local = piece->kind == SIM_GIVE_UP;
        bool blocked = !local && p2p__sim_is_blocked(self);
        if (blocked || (!local && piece->arrived == 0 && p2p__sim_is_lost(self, piece->len))) {
            return retransmit(self, !blocked);
        }
        self->retries = 0;
        p2p__sim_hash_add(self->host->sim, piece->kind);
        if (piece->kind == SIM_DATA) {
            data_arrives(self, piece);
        } else {
            self->coming = piece->kind == SIM_RST || local ? piece : piece->next;
            if (!control_arrives(self, piece->kind))
                return false;
        }
        again = self->path->segments == P2P_SIM_WHOLE;
    }
    return true;
}

/* The window */

static void take_acks(struct sim_end *self)
{
    struct sim_acks *acks = self->acks;
    uint32_t taken = 0;
    while (taken < acks->count && acks->under_way[taken].at_us <= now_us(self))
        self->unacked -= acks->under_way[taken++].bytes;
    if (taken < acks->count) {
        acks->count -= taken;
        memmove(acks->under_way, acks->under_way + taken, acks->count * sizeof(acks->under_way[0]));
        return;
    }
    p2p__free(acks);
    self->acks = NULL;
}

/* The peer read n bytes: self, which wrote them, learns of it one latency later. While little is
 * under way nobody could tell, so that links with little to say keep no list. */
static void acknowledge(struct sim_end *self, uint32_t n)
{
    if (self->unacked > self->path->flight_bytes / 8 && !self->acks)
        self->acks = p2p__alloc(sizeof(*self->acks));
    struct sim_acks *acks = self->acks;
    if (!acks) {
        self->unacked -= n;
        p2p__sim_end_arm(self);
        return;
    }
    uint64_t latency_us = self->path->latency_us, at_us = now_us(self) + latency_us;
    uint32_t last = acks->count - 1;
    if (acks->count && (acks->count == SIM_ACKS ||
                        at_us - acks->under_way[last].first_us < latency_us / (SIM_ACKS - 1))) {
        acks->under_way[last].at_us = at_us;
        acks->under_way[last].bytes += n;
    } else {
        last = acks->count++;
        acks->under_way[last].first_us = acks->under_way[last].at_us = at_us;
        acks->under_way[last].bytes = n;
    }
    p2p__sim_end_arm(self);
}

/* Bytes taken but not yet on the wire. */
static uint64_t backlog(const struct sim_end *self)
{
    uint64_t now_ns = now_us(self) * 1000;
    if (self->wire_free_ns <= now_ns)
        return 0;
    return (self->wire_free_ns - now_ns) * self->path->rate / 1000000000;
}

static size_t window(struct sim_end *self)
{
    if (self->acks && !p2p__sim_is_blocked(self))
        take_acks(self);
    const struct sim_path *path = self->path;
    size_t room = path->flight_bytes > self->unacked ? path->flight_bytes - self->unacked : 0;
    if (path->queue_bytes && path->rate) {
        uint64_t queued = backlog(self);
        size_t queue_room = path->queue_bytes > queued ? path->queue_bytes - (size_t)queued : 0;
        room = queue_room < room ? queue_room : room;
    }
    return room;
}

/* When a quarter of the flight is free again and half of the queue, as far as is known. */
static uint64_t writable_at(const struct sim_end *self)
{
    const struct sim_path *path = self->path;
    uint32_t quarter = path->flight_bytes >= 4 ? path->flight_bytes / 4 : 1;
    int64_t room = (int64_t)path->flight_bytes - self->unacked;
    uint64_t at_us = now_us(self);
    for (uint32_t i = 0; room < quarter; i++) {
        if (!self->acks || i == self->acks->count)
            return SIM_NEVER;
        room += self->acks->under_way[i].bytes;
        at_us = self->acks->under_way[i].at_us;
    }
    if (path->queue_bytes && path->rate) {
        uint64_t half_ns = (uint64_t)path->queue_bytes * 500000000 / path->rate;
        uint64_t free_ns = self->wire_free_ns > half_ns ? self->wire_free_ns - half_ns : 0;
        at_us = (free_ns + 999) / 1000 > at_us ? (free_ns + 999) / 1000 : at_us;
    }
    return at_us;
}

static bool waits_for_room(const struct sim_end *self)
{
    return self->link.connected && !self->link.writable && !self->fin_sent;
}

void p2p__sim_end_arm(struct sim_end *self)
{
    uint64_t at_us = SIM_NEVER, next_us;
    if (self->state == SIM_SYN_SENT && !self->coming && !self->broken)
        at_us = self->syn_at;
    if (self->coming)
        at_us = self->coming->at_us;
    if (self->acks) {
        next_us = self->acks->under_way[self->acks->count - 1].at_us;
        at_us = next_us < at_us ? next_us : at_us;
    }
    if (waits_for_room(self)) {
        next_us = writable_at(self);
        at_us = next_us < at_us ? next_us : at_us;
    }
    if (self->extra && self->extra->slow_until_us)
        at_us = self->extra->slow_until_us < at_us ? self->extra->slow_until_us : at_us;
    if (at_us < now_us(self))
        at_us = now_us(self);
    p2p__sim_queue_set(&self->host->sim->queue, &self->event, at_us);
}

/* Acknowledgments do not pass a wall either; whether it is still there is asked again in a while.
 */
static void acks_arrive(struct sim_end *self)
{
    if (self->acks && self->acks->under_way[0].at_us <= now_us(self)) {
        if (p2p__sim_is_blocked(self))
            for (uint32_t i = 0; i < self->acks->count; i++)
                self->acks->under_way[i].at_us = now_us(self) + SIM_SYN_RTO_US;
        else
            take_acks(self);
    }
    if (waits_for_room(self) && writable_at(self) <= now_us(self)) {
        self->link.writable = true;
        p2p__sim_end_wake(self);
    }
}

void p2p__sim_end_fire(struct sim_end *self)
{
    struct p2p_sim *sim = self->host->sim;
    p2p__sim_hash_add(sim, (uint64_t)self->host->id << 32 | (uint32_t)self->link.local.port << 16 |
                               self->link.remote.port);
    if (self->state == SIM_SYN_SENT && !self->coming) {
        p2p__sim_syn_arrives(self);
        p2p__sim_end_arm(self);
        return;
    }
    if (!arrive(self))
        return;
    acks_arrive(self);
    if (self->extra && self->extra->slow_until_us && self->extra->slow_until_us <= sim->now_us) {
        self->extra->slow_until_us = 0;
        set_readable(self);
    }
    p2p__sim_end_arm(self);
}

/* The operations of a link */

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
        pop_first(self);
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
            pop_first(self);
    }
}

static size_t readable_len(struct sim_end *self)
{
    size_t room = buf_room(&self->link.in);
    size_t n = self->unread < room ? self->unread : room;
    n = n < IO_FILL_MAX ? n : IO_FILL_MAX;
    if (n && self->path->segments == P2P_SIM_BYTE)
        n = 1;
    else if (n && self->path->segments == P2P_SIM_RANDOM)
        n = random_len(self, (uint32_t)n);
    return n;
}

/* As on a socket: few leftovers move before the new bytes, which are borrowed; more are joined by
 * them in owned memory. */
static int put_in(struct sim_end *self, size_t n)
{
    struct p2p_sim *sim = self->host->sim;
    struct link *link = &self->link;
    if (buf_len(&link->in) > IO_HEADROOM) {
        uint8_t *to = p2p__buf_reserve(&link->in, link->pool, n);
        if (!to)
            return P2P_ENOMEM;
        copy_out(self, to, n);
        p2p__buf_commit(&link->in, n);
        return 0;
    }
    /* One connection is pumped at a time, and settled before the next. */
    const struct link *by = sim->borrower;
    assert(!by || by == link || buf_len(&by->in) == 0 || !buf_borrowed(&by->in));
    if (p2p__buf_settle(&link->in, link->pool) < 0)
        return P2P_ENOMEM;
    uint8_t *base = sim->scratch + IO_HEADROOM;
    copy_out(self, base, n);
    sim->borrower = link;
    return p2p__buf_join(&link->in, link->pool, base, n, IO_HEADROOM);
}

static size_t fill(struct link *link)
{
    struct sim_end *self = end_of(link);
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
        acknowledge(self->peer, (uint32_t)n);
    return n;
}

/* What arrives at a closed socket is answered by a reset; a vanished machine answers nothing. */
static void write_to_nobody(struct sim_end *self)
{
    if (self->coming && self->last->kind >= SIM_RST)
        return;
    uint64_t back_us = p2p__sim_arrival(self, 0) + self->path->latency_us;
    if (p2p__sim_far_host(self))
        p2p__sim_send_control(self, SIM_RST, back_us);
    else
        p2p__sim_send_control(self, SIM_GIVE_UP, now_us(self) + SIM_GIVE_UP_US);
}

/* n bytes of iov, from its start. False: out of memory. */
static bool send_bytes(struct sim_end *self, const struct iov *iov, size_t n)
{
    size_t skip = 0;
    while (n > 0) {
        uint32_t len = n < SIM_PIECE_MAX ? (uint32_t)n : SIM_PIECE_MAX;
        struct sim_piece *piece = piece_new(SIM_DATA, len);
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
        append_piece(self->peer, piece, p2p__sim_arrival(self, len));
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
    size_t n = window(self);
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
    .write = write_iov,
    .flush = flush,
    .shutdown = shutdown_link,
    .close = close_link,
};

/* One end of a connection: what is under way to it arrives, is read, and is acknowledged. */
#include "io/sim/sim.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

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

void p2p__sim_append(struct sim_end *self, struct sim_piece *piece, uint64_t at_us)
{
    piece->at_us = at_us;
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

struct sim_piece *p2p__sim_piece_new(enum sim_piece_kind kind, uint32_t len)
{
    struct sim_piece *piece = p2p__realloc(NULL, sizeof(*piece) + len);
    if (piece)
        *piece = (struct sim_piece){.kind = (uint8_t)kind, .len = len};
    return piece;
}

void p2p__sim_pop_first(struct sim_end *self)
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
    struct sim_piece *piece = p2p__sim_piece_new(kind, 0);
    if (piece)
        p2p__sim_append(to, piece, at_us);
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

/* How long TCP waits before it sends the first of what is coming again. */
static uint64_t patience_us(const struct sim_end *self, unsigned retries)
{
    bool handshake = self->state == SIM_SYN_MET || self->state == SIM_SYN_RCVD;
    uint64_t least_us = handshake ? SIM_SYN_RTO_US : SIM_RTO_MIN_US;
    uint64_t rto_us = self->path->latency_us * 4;
    rto_us = (rto_us > least_us ? rto_us : least_us) << retries;
    return rto_us < SIM_RTO_MAX_US ? rto_us : SIM_RTO_MAX_US;
}

static unsigned retries_max(const struct sim_end *self)
{
    bool handshake = self->state == SIM_SYN_MET || self->state == SIM_SYN_RCVD;
    return handshake ? SIM_SYN_RETRIES : SIM_RETRIES;
}

/* self's packets were sent often enough, and its end is broken by that. What the other end still
 * has under way to self is dropped with it, but its patience lasts as long as it would have. */
static void sender_gives_up(struct sim_end *self)
{
    struct sim_end *other = self->peer;
    uint64_t at_us = self->coming ? self->coming->at_us : 0;
    for (unsigned i = self->retries; at_us && i <= retries_max(self); i++)
        at_us += patience_us(self, i);
    p2p__sim_end_break(self, P2P_ECONN, ETIMEDOUT);
    if (at_us)
        p2p__sim_send_control(other, SIM_GIVE_UP, at_us);
}

/* Everything was sent again as often as TCP does. False: the end itself is gone. */
static bool give_up(struct sim_end *self)
{
    struct sim_end *sender = self->peer;
    bool answer = self->state == SIM_SYN_MET || self->coming->kind == SIM_RST;
    drop_coming(self, 0);
    if (self->state == SIM_SYN_RCVD) {
        p2p__sim_end_free(self);
        return false;
    }
    if (sender && sender->state == SIM_SYN_RCVD)
        p2p__sim_end_free(sender);
    else if (sender)
        sender_gives_up(sender);
    if (answer) /* to what self had sent */
        p2p__sim_end_break(self, P2P_ECONN, ETIMEDOUT);
    return true;
}

/* The first of what is coming was lost, or a wall stood in its way: TCP sends it again. With more
 * behind it, duplicate acknowledgments tell the sender a round trip later (fast retransmit), else
 * its timer does. False: the end itself is gone. */
static bool retransmit(struct sim_end *self, bool fast)
{
    if (self->retries > retries_max(self))
        return give_up(self);
    uint64_t wait_us = patience_us(self, self->retries);
    if (fast && self->coming->next && self->retries == 0)
        wait_us = self->path->latency_us * 2;
    self->coming->at_us = now_us(self) + wait_us;
    self->retries++;
    return true;
}

/* False: the end itself is gone. */
static bool control_arrives(struct sim_end *self, enum sim_piece_kind kind)
{
    switch (kind) {
    case SIM_SYNACK:
        p2p__sim_pop_first(self);
        p2p__sim_synack_arrives(self);
        break;
    case SIM_ACK:
        p2p__sim_pop_first(self);
        p2p__sim_ack_arrives(self);
        break;
    case SIM_REFUSED:
        p2p__sim_pop_first(self);
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

uint32_t p2p__sim_random_len(struct sim_end *self, uint32_t most)
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
        n = p2p__sim_random_len(self, n);
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
void p2p__sim_acknowledge(struct sim_end *self, uint32_t n)
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
    /* Kept in order, also when the path has become shorter meanwhile. */
    if (acks->count && at_us < acks->under_way[last].at_us)
        at_us = acks->under_way[last].at_us;
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

size_t p2p__sim_window(struct sim_end *self)
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

/* What can go wrong between machines, and with one. */
#include "io/sim/sim.h"

#include <assert.h>
#include <errno.h>

#include "base/mem.h"

/* Walls */

bool p2p__sim_hosts_blocked(const struct p2p_sim *sim, const struct sim_host *a,
                            const struct sim_host *b)
{
    if (a == b || sim->faults == 0)
        return false;
    if (a->down || b->down || a->blackhole || b->blackhole)
        return true;
    uint64_t a1 = a->part_a | sim->region_a[a->region], b1 = b->part_a | sim->region_a[b->region];
    uint64_t a2 = a->part_b | sim->region_b[a->region] | (sim->against_others & ~a1);
    uint64_t b2 = b->part_b | sim->region_b[b->region] | (sim->against_others & ~b1);
    return ((a1 & b2) | (b1 & a2)) != 0;
}

bool p2p__sim_is_blocked(const struct sim_end *self)
{
    if (self->silent)
        return true;
    if (self->host->sim->faults == 0)
        return false;
    const struct sim_host *far = p2p__sim_far_host(self);
    return far && p2p__sim_hosts_blocked(self->host->sim, self->host, far);
}

static int partition_new(struct p2p_sim *sim, bool against_others)
{
    for (int i = 0; i < P2P_SIM_PARTITIONS_MAX; i++) {
        uint64_t bit = (uint64_t)1 << i;
        if (sim->partitions & bit)
            continue;
        sim->partitions |= bit;
        if (against_others)
            sim->against_others |= bit;
        sim->faults++;
        return i;
    }
    return P2P_ELIMIT;
}

int p2p_sim_partition(p2p_sim *sim, p2p_io *const *a, size_t a_count, p2p_io *const *b,
                      size_t b_count)
{
    int id = partition_new(sim, b == NULL);
    if (id < 0)
        return id;
    for (size_t i = 0; i < a_count; i++)
        sim_host_of(a[i])->part_a |= (uint64_t)1 << id;
    for (size_t i = 0; b && i < b_count; i++)
        sim_host_of(b[i])->part_b |= (uint64_t)1 << id;
    return id;
}

int p2p_sim_partition_regions(p2p_sim *sim, const unsigned *a, size_t a_count, const unsigned *b,
                              size_t b_count)
{
    int id = partition_new(sim, b == NULL);
    if (id < 0)
        return id;
    for (size_t i = 0; i < a_count; i++) {
        assert(a[i] < P2P_SIM_REGIONS_MAX);
        sim->region_a[a[i]] |= (uint64_t)1 << id;
    }
    for (size_t i = 0; b && i < b_count; i++) {
        assert(b[i] < P2P_SIM_REGIONS_MAX);
        sim->region_b[b[i]] |= (uint64_t)1 << id;
    }
    return id;
}

void p2p_sim_heal(p2p_sim *sim, int partition)
{
    assert(partition >= 0 && partition < P2P_SIM_PARTITIONS_MAX);
    uint64_t bit = (uint64_t)1 << partition;
    if (!(sim->partitions & bit))
        return;
    sim->faults--;
    sim->partitions &= ~bit;
    sim->against_others &= ~bit;
    for (unsigned i = 0; i < P2P_SIM_REGIONS_MAX; i++) {
        sim->region_a[i] &= ~bit;
        sim->region_b[i] &= ~bit;
    }
    for (struct list *node = sim->hosts.next; node != &sim->hosts; node = node->next) {
        struct sim_host *host = P2P__CONTAINER(node, struct sim_host, in_sim);
        host->part_a &= ~bit;
        host->part_b &= ~bit;
    }
}

/* One machine */

static struct sim_host *checked(p2p_io *io)
{
    assert(io->ops == &p2p__sim_io_ops);
    return sim_host_of(io);
}

static void set_fault(struct p2p_sim *sim, bool *fault, bool on)
{
    if (*fault == on)
        return;
    *fault = on;
    sim->faults += on ? 1 : UINT32_MAX;
}

void p2p_sim_host_down(p2p_io *io)
{
    struct sim_host *self = checked(io);
    set_fault(self->sim, &self->down, true);
    p2p__sim_interfaces_changed(self);
}

void p2p_sim_host_up(p2p_io *io)
{
    struct sim_host *self = checked(io);
    set_fault(self->sim, &self->down, false);
    p2p__sim_interfaces_changed(self);
}

void p2p_sim_blackhole(p2p_io *io, bool on)
{
    struct sim_host *self = checked(io);
    set_fault(self->sim, &self->blackhole, on);
}

void p2p_sim_refuse(p2p_io *io, bool on)
{
    checked(io)->refuse = on;
}

void p2p_sim_sockets(p2p_io *io, uint32_t sockets)
{
    checked(io)->links_max = sockets;
}

void p2p_sim_clock_step(p2p_io *io, int64_t wall_delta_us, uint64_t monotonic_delta_us)
{
    struct sim_host *self = checked(io);
    self->wall_delta += wall_delta_us;
    self->monotonic_delta += monotonic_delta_us;
    p2p__sim_host_arm(self);
}

/* Slow readers */

void p2p_sim_slow(p2p_io *io, uint32_t bytes, uint64_t interval_us)
{
    struct sim_host *self = checked(io);
    self->slow_bytes = bytes;
    self->slow_interval_us = interval_us ? interval_us : 1;
}

struct sim_extra *p2p__sim_extra(struct sim_end *self)
{
    if (!self->extra)
        self->extra = p2p__alloc(sizeof(*self->extra));
    return self->extra;
}

size_t p2p__sim_slow_allows(struct sim_end *self, size_t n)
{
    const struct sim_host *host = self->host;
    if (host->slow_bytes == 0)
        return n;
    struct sim_extra *extra = p2p__sim_extra(self);
    if (!extra)
        return n;
    uint64_t interval = host->sim->now_us / host->slow_interval_us;
    if (extra->slow_interval != interval) {
        extra->slow_interval = interval;
        extra->slow_used = 0;
    }
    size_t left = extra->slow_used < host->slow_bytes ? host->slow_bytes - extra->slow_used : 0;
    if (left == 0)
        extra->slow_until_us = (interval + 1) * host->slow_interval_us;
    return n < left ? n : left;
}

void p2p__sim_slow_count(struct sim_end *self, size_t n)
{
    if (self->host->slow_bytes && self->extra)
        self->extra->slow_used += (uint32_t)n;
}

/* Cuts */

uint64_t p2p_sim_connections(const p2p_sim *sim)
{
    return sim->connections;
}

int p2p_sim_cut(p2p_sim *sim, uint64_t number, enum p2p_sim_direction direction,
                uint64_t after_bytes, enum p2p_sim_cut how)
{
    if (number <= sim->connections)
        return P2P_EINVAL;
    struct sim_cut *cut = NULL;
    for (size_t i = 0; i < sim->cut_count; i++)
        if (sim->cuts[i].number == number && sim->cuts[i].direction == direction)
            cut = &sim->cuts[i];
    if (!cut) {
        struct sim_cut *cuts = p2p__realloc(sim->cuts, (sim->cut_count + 1) * sizeof(*cuts));
        if (!cuts)
            return P2P_ENOMEM;
        sim->cuts = cuts;
        cut = &cuts[sim->cut_count++];
    }
    *cut = (struct sim_cut){number, after_bytes, (uint8_t)direction, (uint8_t)how, true};
    return 0;
}

int p2p_sim_cut_next(p2p_sim *sim, enum p2p_sim_direction direction, uint64_t after_bytes,
                     enum p2p_sim_cut how)
{
    return p2p_sim_cut(sim, sim->connections + 1, direction, after_bytes, how);
}

int p2p__sim_take_cuts(struct sim_end *dialer, uint64_t number)
{
    struct p2p_sim *sim = dialer->host->sim;
    for (size_t i = 0; i < sim->cut_count;) {
        if (sim->cuts[i].number != number) {
            i++;
            continue;
        }
        struct sim_extra *extra = p2p__sim_extra(dialer);
        if (!extra)
            return P2P_ENOMEM;
        if (sim->cuts[i].direction == P2P_SIM_TO_DIALER)
            extra->cut = sim->cuts[i];
        else
            extra->peer_cut = sim->cuts[i];
        sim->cuts[i] = sim->cuts[--sim->cut_count];
    }
    return 0;
}

int p2p__sim_hand_cut(struct sim_end *dialer, struct sim_end *peer)
{
    if (!dialer->extra || !dialer->extra->peer_cut.set)
        return 0;
    struct sim_extra *extra = p2p__sim_extra(peer);
    if (!extra)
        return P2P_ENOMEM;
    extra->cut = dialer->extra->peer_cut;
    return 0;
}

uint32_t p2p__sim_cut_allows(const struct sim_end *self, uint32_t n)
{
    if (!self->extra || !self->extra->cut.set || self->extra->cut.left >= n)
        return n;
    return (uint32_t)self->extra->cut.left;
}

/* self is where the cut is felt first. */
static void cut_now(struct sim_end *self, enum p2p_sim_cut how)
{
    struct sim_end *peer = self->peer;
    bool more = self->coming != NULL;
    if (how == P2P_SIM_CUT_SILENT) {
        self->silent = true;
        if (peer)
            peer->silent = true;
        return;
    }
    p2p__sim_end_break(self, P2P_ECONN, ECONNRESET);
    if (!peer)
        return;
    if (how == P2P_SIM_CUT_RESET)
        p2p__sim_send_reset(peer);
    else if (more) /* what was under way finds nobody */
        p2p__sim_send_control(peer, SIM_RST, peer->host->sim->now_us + p2p__sim_latency(peer));
}

void p2p__sim_cut_count(struct sim_end *self, uint32_t n)
{
    if (!self->extra || !self->extra->cut.set)
        return;
    struct sim_cut *cut = &self->extra->cut;
    cut->left -= n;
    if (cut->left > 0)
        return;
    cut->set = false;
    cut_now(self, (enum p2p_sim_cut)cut->how);
}

void p2p__sim_silence(struct sim_host *self, const struct io_addr *addr)
{
    for (struct list *node = self->ends.next; node != &self->ends; node = node->next) {
        struct sim_end *end = P2P__CONTAINER(node, struct sim_end, in_host);
        struct io_addr local = end->link.local;
        local.port = 0;
        if (p2p__io_addr_equal(&local, addr))
            cut_now(end, P2P_SIM_CUT_SILENT);
    }
}

size_t p2p_sim_cut_between(p2p_io *io, p2p_io *other, enum p2p_sim_cut how)
{
    struct sim_host *self = checked(io);
    checked(other);
    size_t count = 0;
    for (struct list *node = self->ends.next; node != &self->ends; node = node->next) {
        struct sim_end *end = P2P__CONTAINER(node, struct sim_end, in_host);
        if (end->state != SIM_OPEN || !end->peer || end->peer->host != sim_host_of(other))
            continue;
        cut_now(end, how);
        count++;
    }
    return count;
}

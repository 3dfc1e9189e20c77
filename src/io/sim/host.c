/* The machine behind a p2p_io: clocks, the turn, posts, dice, and addresses. */
#include "io/sim/sim.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct sim_post {
    struct sim_post *next;
    void (*fn)(void *user);
    void *user;
};

uint64_t p2p__sim_time(const struct sim_host *self, uint64_t host_us)
{
    if (host_us == SIM_NEVER)
        return SIM_NEVER;
    return host_us > self->monotonic_delta ? host_us - self->monotonic_delta : 0;
}

/* What a machine asks of itself while it runs comes a microsecond later, so that one which asks for
 * ever lets time pass. */
static uint64_t soonest(const struct sim_host *self)
{
    return self->sim->now_us + (self->sim->running == self);
}

void p2p__sim_host_arm(struct sim_host *self)
{
    if (self->gone || self->sim->running == self)
        return; /* armed once when its event ends */
    uint64_t at_us = p2p__sim_time(self, self->wake_at);
    if (self->mark_at < at_us)
        at_us = self->mark_at;
    if (self->post_first && self->post_at < at_us)
        at_us = self->post_at;
    if (self->detached)
        at_us = SIM_NEVER;
    if (at_us < self->sim->now_us)
        at_us = self->sim->now_us;
    p2p__sim_queue_set(&self->sim->queue, &self->event, at_us);
}

void p2p__sim_host_mark(struct sim_host *self)
{
    uint64_t at_us = soonest(self);
    if (at_us < self->mark_at)
        self->mark_at = at_us;
    p2p__sim_host_arm(self);
}

static void run_posts(struct sim_host *self)
{
    struct sim_post *post = self->post_first;
    self->post_first = self->post_last = NULL;
    while (post) {
        struct sim_post *next = post->next;
        void (*fn)(void *user) = post->fn;
        void *user = post->user;
        p2p__free(post);
        fn(user);
        post = next;
    }
}

static void release(struct sim_host *self)
{
    p2p__sim_queue_release(&self->sim->queue, &self->event);
    p2p__free(self);
}

/* Posts, and the turn if it was marked or its deadline has come. */
void p2p__sim_host_fire(struct sim_host *self)
{
    struct p2p_sim *sim = self->sim;
    p2p__sim_hash_add(sim, self->id);
    bool due = self->mark_at <= sim->now_us || p2p__sim_time(self, self->wake_at) <= sim->now_us;
    self->mark_at = SIM_NEVER;
    if (p2p__sim_time(self, self->wake_at) <= sim->now_us)
        self->wake_at = SIM_NEVER;
    sim->running = self;
    run_posts(self);
    if (due && !self->detached && self->io.turn)
        self->io.turn(self->io.user);
    sim->running = NULL;
    if (self->gone)
        release(self);
    else
        p2p__sim_host_arm(self);
}

static uint64_t now_us(struct p2p_io *io)
{
    struct sim_host *self = sim_host_of(io);
    return self->sim->now_us + self->monotonic_delta;
}

static int64_t wall_us(struct p2p_io *io)
{
    struct sim_host *self = sim_host_of(io);
    return self->sim->wall_us + (int64_t)self->sim->now_us + self->wall_delta;
}

static void random_bytes(struct p2p_io *io, void *out, size_t len)
{
    uint8_t *to = out;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = sim_rng_next(&sim_host_of(io)->rng);
        for (size_t j = i; j < len && j < i + 8; j++, word >>= 8)
            to[j] = (uint8_t)word;
    }
}

static void mark(struct p2p_io *io)
{
    p2p__sim_host_mark(sim_host_of(io));
}

/* A deadline that has passed comes a microsecond later when it is set from within the turn: it was
 * due now, and this is that turn. */
static void wake_at(struct p2p_io *io, uint64_t at_us)
{
    struct sim_host *self = sim_host_of(io);
    uint64_t least_us = soonest(self) + self->monotonic_delta;
    self->wake_at = at_us < least_us ? least_us : at_us;
    p2p__sim_host_arm(self);
}

static int post(struct p2p_io *io, void (*fn)(void *user), void *user)
{
    struct sim_host *self = sim_host_of(io);
    if (self->detached)
        return P2P_ECLOSED;
    struct sim_post *entry = p2p__alloc(sizeof(*entry));
    if (!entry)
        return P2P_ENOMEM;
    *entry = (struct sim_post){NULL, fn, user};
    if (self->post_last)
        self->post_last->next = entry;
    else
        self->post_first = entry;
    if (self->post_first == entry)
        self->post_at = soonest(self);
    self->post_last = entry;
    p2p__sim_host_arm(self);
    return 0;
}

static bool on_thread(struct p2p_io *io)
{
    (void)io;
    return true;
}

static void detach(struct p2p_io *io)
{
    struct sim_host *self = sim_host_of(io);
    while (self->post_first)
        run_posts(self);
    self->detached = true;
    io->turn = NULL;
    p2p__sim_host_arm(self);
}

static void describe(struct io_interface *out, const char *name, const struct io_addr *addr,
                     bool loopback, bool up)
{
    *out = (struct io_interface){.addr = *addr, .loopback = loopback, .up = up};
    snprintf(out->name, sizeof(out->name), "%s", name);
}

/* Every machine asks the simulation. */
static void name_servers(struct p2p_io *io, const struct io_addr *servers, size_t count)
{
    (void)io;
    (void)servers;
    (void)count;
}

static int interfaces(struct p2p_io *io, struct io_interface *out, size_t cap)
{
    struct sim_host *self = sim_host_of(io);
    static const struct io_addr loopback[2] = {{.family = 4, .ip = {127, 0, 0, 1}},
                                               {.family = 6, .ip = {[15] = 1}}};
    size_t count = 0;
    for (; count < 2; count++)
        if (count < cap)
            describe(&out[count], "lo", &loopback[count], true, true);
    for (struct sim_ip *ip = self->ips; ip; ip = ip->next, count++)
        if (count < cap)
            describe(&out[count], "sim0", &ip->addr, false, !self->down);
    return (int)count;
}

static int watch_interfaces(struct p2p_io *io)
{
    sim_host_of(io)->watched = true;
    return 0;
}

void p2p__sim_interfaces_changed(struct sim_host *self)
{
    struct p2p_io *io = &self->io;
    if (self->watched && io->turn && io->interfaces_changed)
        io->interfaces_changed(io->user);
}

static uint64_t address_hash(const struct p2p_sim *sim, const struct io_addr *addr)
{
    return p2p__hash(&sim->key, addr->ip, addr->family == 4 ? 4 : 16);
}

struct sim_host *p2p__sim_host_at(struct p2p_sim *sim, const struct io_addr *addr)
{
    struct io_addr key = *addr;
    key.port = 0;
    key.scope = 0;
    for (struct map_node *node = p2p__map_first(&sim->addresses, address_hash(sim, addr)); node;
         node = p2p__map_next(node)) {
        struct sim_ip *ip = P2P__CONTAINER(node, struct sim_ip, node);
        if (p2p__io_addr_equal(&ip->addr, &key))
            return ip->host;
    }
    return NULL;
}

static int parse(const char *text, struct io_addr *out)
{
    *out = (struct io_addr){.family = 4};
    if (inet_pton(AF_INET, text, out->ip) != 1) {
        out->family = 6;
        if (inet_pton(AF_INET6, text, out->ip) != 1)
            return P2P_EADDR;
    }
    bool multicast = out->family == 4 ? out->ip[0] >= 224 : out->ip[0] == 0xff;
    return multicast || p2p__io_addr_is_any(out) || p2p__io_addr_is_loopback(out) ? P2P_EADDR : 0;
}

static int add_address(struct sim_host *self, const struct io_addr *addr)
{
    if (p2p__sim_host_at(self->sim, addr))
        return P2P_EEXIST;
    struct sim_ip *ip = p2p__alloc(sizeof(*ip));
    if (!ip)
        return P2P_ENOMEM;
    ip->addr = *addr;
    ip->host = self;
    struct sim_ip **tail = &self->ips;
    while (*tail)
        tail = &(*tail)->next;
    *tail = ip;
    p2p__map_put(&self->sim->addresses, &ip->node, address_hash(self->sim, addr));
    p2p__sim_interfaces_changed(self);
    return 0;
}

int p2p_sim_add_address(p2p_io *io, const char *text)
{
    assert(io->ops == &p2p__sim_io_ops);
    struct io_addr addr;
    int code = parse(text, &addr);
    return code < 0 ? code : add_address(sim_host_of(io), &addr);
}

int p2p_sim_remove_address(p2p_io *io, const char *text)
{
    assert(io->ops == &p2p__sim_io_ops);
    struct sim_host *self = sim_host_of(io);
    struct io_addr addr;
    int code = parse(text, &addr);
    if (code < 0)
        return code;
    for (struct sim_ip **at = &self->ips; *at; at = &(*at)->next) {
        struct sim_ip *ip = *at;
        if (!p2p__io_addr_equal(&ip->addr, &addr))
            continue;
        *at = ip->next;
        p2p__map_remove(&self->sim->addresses, &ip->node);
        p2p__free(ip);
        p2p__sim_silence(self, &addr);
        p2p__sim_interfaces_changed(self);
        return 0;
    }
    return P2P_ENOENT;
}

int p2p_sim_address(const p2p_io *io, size_t nth, char *out, size_t out_cap)
{
    assert(io->ops == &p2p__sim_io_ops);
    struct sim_ip *ip = sim_host_of(io)->ips;
    while (ip && nth--)
        ip = ip->next;
    if (!ip ||
        !inet_ntop(ip->addr.family == 4 ? AF_INET : AF_INET6, ip->addr.ip, out, (socklen_t)out_cap))
        return P2P_ENOENT;
    return 0;
}

/* The next address of 10.0.0.0/8 that nobody took by hand. */
static struct io_addr free_address(struct p2p_sim *sim)
{
    struct io_addr addr = {.family = 4, .ip = {10}};
    do {
        uint32_t n = sim->next_ip++;
        addr.ip[1] = (uint8_t)(n >> 16);
        addr.ip[2] = (uint8_t)(n >> 8);
        addr.ip[3] = (uint8_t)n;
    } while (p2p__sim_host_at(sim, &addr));
    return addr;
}

p2p_io *p2p_sim_host(p2p_sim *sim, const char *text, unsigned region)
{
    assert(region < P2P_SIM_REGIONS_MAX);
    struct io_addr addr;
    if (!text)
        addr = free_address(sim);
    else if (parse(text, &addr) < 0)
        return NULL;
    struct sim_host *self = p2p__alloc(sizeof(*self));
    if (!self || p2p__sim_queue_reserve(&sim->queue) < 0) {
        p2p__free(self);
        return NULL;
    }
    self->io.ops = &p2p__sim_io_ops;
    self->io.crypto = sim->crypto;
    self->sim = sim;
    self->event.kind = SIM_EVENT_HOST;
    self->mark_at = self->wake_at = SIM_NEVER;
    self->monotonic_delta = SIM_BOOT_US;
    self->id = sim->host_count;
    self->region = region;
    self->next_port = SIM_EPHEMERAL_FIRST;
    p2p__sim_host_seed(sim, self->id, &self->rng);
    list_init(&self->ends);
    list_init(&self->listeners);
    list_init(&self->queries);
    list_init(&self->jobs);
    list_init(&self->sockets);
    if (add_address(self, &addr) < 0) {
        release(self);
        return NULL;
    }
    sim->host_count++;
    list_append(&sim->hosts, &self->in_sim);
    return &self->io;
}

void p2p__sim_host_free(struct sim_host *self)
{
    struct p2p_sim *sim = self->sim;
    detach(&self->io);
    p2p_sim_host_up(&self->io);
    p2p_sim_blackhole(&self->io, false);
    while (!list_empty(&self->listeners))
        p2p__sim_listener_free(P2P__CONTAINER(self->listeners.next, struct sim_listener, in_host),
                               false);
    while (!list_empty(&self->ends))
        p2p__sim_end_free(P2P__CONTAINER(self->ends.next, struct sim_end, in_host));
    while (!list_empty(&self->queries))
        p2p__sim_query_free(P2P__CONTAINER(self->queries.next, struct sim_query, in_host));
    while (!list_empty(&self->jobs))
        p2p__sim_job_free(P2P__CONTAINER(self->jobs.next, struct sim_job, in_host));
    p2p__sim_udp_fini(self);
    p2p__sim_datagrams_from(self);
    while (self->ips) {
        struct sim_ip *ip = self->ips;
        self->ips = ip->next;
        p2p__map_remove(&sim->addresses, &ip->node);
        p2p__free(ip);
    }
    list_remove(&self->in_sim);
    self->gone = true;
    if (sim->running != self)
        release(self);
}

static void io_free(struct p2p_io *io)
{
    assert(!io->turn); /* the host has been closed */
    p2p__sim_host_free(sim_host_of(io));
}

const struct io_ops p2p__sim_io_ops = {
    .name = "sim",
    .now_us = now_us,
    .wall_us = wall_us,
    .random = random_bytes,
    .mark = mark,
    .wake_at = wake_at,
    .dial = p2p__sim_dial,
    .listen = p2p__sim_listen,
    .dial_local = p2p__sim_dial_local,
    .listen_local = p2p__sim_listen_local,
    .accept = p2p__sim_accept,
    .resume = p2p__sim_resume,
    .unlisten = p2p__sim_unlisten,
    .udp = p2p__sim_udp,
    .resolve = p2p__sim_resolve,
    .resolve_end = p2p__sim_resolve_end,
    .name_servers = name_servers,
    .interfaces = interfaces,
    .watch_interfaces = watch_interfaces,
    .post = post,
    .job = p2p__sim_job,
    .job_end = p2p__sim_job_end,
    .on_thread = on_thread,
    .detach = detach,
    .free = io_free,
};

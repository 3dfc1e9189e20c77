/* The name service: records by name, and the questions that wait for their answers. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "codec/ip_text.h"
#include "io/sim/sim.h"

struct sim_record {
    struct sim_record *next;
    enum io_record kind;
    struct io_addr addr; /* port 0 */
    size_t text_len;
    char text[];
};

struct sim_name {
    struct map_node node;
    struct list all;
    struct sim_record *records;
    enum p2p_sim_name_fault fault;
    char name[IO_NAME_MAX + 1]; /* in lower case */
};

/* ---- the records ---- */

/* In lower case and without the final dot. False: that is no name. */
static bool canonical(const char *name, char out[IO_NAME_MAX + 1])
{
    size_t len = strlen(name);
    len -= len > 0 && name[len - 1] == '.';
    if (len == 0 || len > IO_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        out[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] - 'A' + 'a' : name[i]);
    out[len] = '\0';
    return true;
}

static struct sim_name *find(const struct p2p_sim *sim, const char *name, uint64_t *hash)
{
    *hash = p2p__hash(&sim->key, name, strlen(name));
    for (struct map_node *node = p2p__map_first(&sim->names, *hash); node;
         node = p2p__map_next(node)) {
        struct sim_name *self = P2P__CONTAINER(node, struct sim_name, node);
        if (strcmp(self->name, name) == 0)
            return self;
    }
    return NULL;
}

/* Found or made: 0, P2P_EINVAL or P2P_ENOMEM. */
static int name_get(struct p2p_sim *sim, const char *name, struct sim_name **out)
{
    char wanted[IO_NAME_MAX + 1];
    uint64_t hash;
    if (!canonical(name, wanted))
        return P2P_EINVAL;
    *out = find(sim, wanted, &hash);
    if (*out)
        return 0;
    struct sim_name *self = p2p__alloc(sizeof(*self));
    if (!self)
        return P2P_ENOMEM;
    memcpy(self->name, wanted, sizeof(wanted));
    p2p__map_put(&sim->names, &self->node, hash);
    list_append(&sim->all_names, &self->all);
    *out = self;
    return 0;
}

static int add(struct p2p_sim *sim, const char *name, enum io_record kind,
               const struct io_addr *addr, const char *text)
{
    struct sim_name *to;
    size_t text_len = strlen(text);
    int rc = name_get(sim, name, &to);
    if (rc < 0)
        return rc;
    struct sim_record *record = p2p__alloc(sizeof(*record) + text_len);
    if (!record)
        return P2P_ENOMEM;
    record->kind = kind;
    record->addr = *addr;
    record->text_len = text_len;
    memcpy(record->text, text, text_len);
    struct sim_record **tail = &to->records;
    while (*tail)
        tail = &(*tail)->next;
    *tail = record;
    return 0;
}

int p2p_sim_name(p2p_sim *sim, const char *name, const char *ip)
{
    struct io_addr addr = {.family = 4};
    if (p2p__ip4_parse(ip, strlen(ip), addr.ip) < 0) {
        addr.family = 6;
        if (p2p__ip6_parse(ip, strlen(ip), addr.ip) < 0)
            return P2P_EADDR;
    }
    return add(sim, name, addr.family == 4 ? IO_A : IO_AAAA, &addr, "");
}

int p2p_sim_txt(p2p_sim *sim, const char *name, const char *text)
{
    const struct io_addr none = {0};
    return add(sim, name, IO_TXT, &none, text);
}

int p2p_sim_name_fault(p2p_sim *sim, const char *name, enum p2p_sim_name_fault fault)
{
    struct sim_name *at;
    int rc = name_get(sim, name, &at);
    if (rc == 0)
        at->fault = fault;
    return rc;
}

void p2p_sim_name_delay(p2p_sim *sim, uint64_t delay_us)
{
    sim->name_delay_us = delay_us ? delay_us : 1;
}

void p2p__sim_names_fini(struct p2p_sim *sim)
{
    for (struct list *node; (node = list_pop(&sim->all_names));) {
        struct sim_name *name = P2P__CONTAINER(node, struct sim_name, all);
        while (name->records) {
            struct sim_record *record = name->records;
            name->records = record->next;
            p2p__free(record);
        }
        p2p__map_remove(&sim->names, &name->node);
        p2p__free(name);
    }
    p2p__map_fini(&sim->names);
}

/* ---- questions ---- */

static struct sim_name *asked(const struct sim_query *self)
{
    uint64_t hash;
    return find(self->host->sim, self->name, &hash);
}

static bool is_silent(const struct sim_query *self)
{
    const struct sim_name *name = asked(self);
    return self->host->down || self->host->blackhole ||
           (name && name->fault == P2P_SIM_NAME_SILENT);
}

int p2p__sim_resolve(struct p2p_io *io, const char *name, enum io_record record,
                     uint64_t deadline_us, struct io_query **out)
{
    struct sim_host *host = sim_host_of(io);
    struct p2p_sim *sim = host->sim;
    char wanted[IO_NAME_MAX + 1];
    size_t count = 0;
    for (struct list *node = host->queries.next; node != &host->queries; node = node->next)
        count++;
    if (!canonical(name, wanted))
        return P2P_ERESOLVE;
    if (count >= IO_QUERIES_MAX)
        return P2P_ELIMIT;
    struct sim_query *self = p2p__alloc(sizeof(*self));
    if (!self || p2p__sim_queue_reserve(&sim->queue) < 0) {
        p2p__free(self);
        return P2P_ENOMEM;
    }
    self->host = host;
    self->record = record;
    self->event.kind = SIM_EVENT_QUERY;
    self->deadline_us = p2p__sim_time(host, deadline_us);
    memcpy(self->name, wanted, sizeof(wanted));
    list_append(&host->queries, &self->in_host);
    uint64_t wait_us = is_silent(self) ? SIM_NAME_GIVE_UP_US : sim->name_delay_us;
    uint64_t at_us = sim->now_us + wait_us;
    if (self->deadline_us < at_us)
        at_us = self->deadline_us > sim->now_us ? self->deadline_us : sim->now_us + 1;
    p2p__sim_queue_set(&sim->queue, &self->event, at_us);
    *out = &self->query;
    return 0;
}

static int give_txt(struct io_query *query, const struct sim_record *record)
{
    if (query->txt_count == IO_QUERY_TXTS || record->text_len > IO_TXT_MAX)
        return 0;
    if (!query->txts)
        query->txts = p2p__alloc(IO_QUERY_TXTS * sizeof(struct io_txt));
    if (!query->txts)
        return P2P_ENOMEM;
    struct io_txt *txt = &query->txts[query->txt_count++];
    txt->len = record->text_len;
    memcpy(txt->bytes, record->text, record->text_len);
    return 0;
}

/* 0, or why there is no answer. */
static int answer(struct sim_query *self)
{
    struct io_query *query = &self->query;
    const struct sim_name *name = asked(self);
    int rc = 0;
    query->why = "there is no such name";
    if (!name || name->fault == P2P_SIM_NAME_MISSING)
        return P2P_ERESOLVE;
    query->why = "the name server failed";
    if (name->fault == P2P_SIM_NAME_FAILS)
        return P2P_ERESOLVE;
    for (const struct sim_record *record = name->records; record && rc == 0;
         record = record->next) {
        if (record->kind != self->record)
            continue;
        if (record->kind == IO_TXT)
            rc = give_txt(query, record);
        else if (query->addr_count < IO_QUERY_ADDRS)
            query->addrs[query->addr_count++] = record->addr;
    }
    query->why = "the name has no such record";
    return rc == 0 && query->addr_count + query->txt_count == 0 ? P2P_ERESOLVE : rc;
}

void p2p__sim_query_fire(struct sim_query *self)
{
    struct io_query *query = &self->query;
    p2p__sim_hash_add(self->host->sim, (uint64_t)self->host->id << 2 | self->record);
    if (self->host->sim->now_us >= self->deadline_us) {
        query->code = P2P_ETIMEDOUT;
    } else if (is_silent(self)) {
        query->code = P2P_ERESOLVE;
        query->why = "no name server answers";
    } else {
        query->code = answer(self);
    }
    query->done = true;
    if (query->wake)
        query->wake(query);
}

void p2p__sim_query_free(struct sim_query *self)
{
    p2p__sim_queue_release(&self->host->sim->queue, &self->event);
    list_remove(&self->in_host);
    p2p__free(self->query.txts);
    p2p__free(self);
}

void p2p__sim_resolve_end(struct io_query *query)
{
    p2p__sim_query_free((struct sim_query *)query);
}

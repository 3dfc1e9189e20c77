/* When and how what is known of peers is saved: the changes of a second in one batch, committed
 * beside the loop, one at a time, and tried again when the store could not take it. Meanwhile the
 * loop goes on, and peers change and go: what of them is under way, what is not yet, and what must
 * be repeated is kept apart. */
#include "host/remember.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "codec/addr_copy.h"
#include "host/host.h"
#include "host/peer_value.h"

enum { KEY_MAX = REMEMBER_PREFIX_LEN + sizeof(((p2p_peer_id *)0)->bytes) };

static size_t key_of(const struct peer *peer, uint8_t *out)
{
    memcpy(out, REMEMBER_PREFIX, REMEMBER_PREFIX_LEN);
    memcpy(out + REMEMBER_PREFIX_LEN, peer->id.bytes, peer->id.len);
    return REMEMBER_PREFIX_LEN + peer->id.len;
}

/* ---- one peer ---- */

static struct p2p__const_iov text_iov(const char *text)
{
    return (struct p2p__const_iov){(const uint8_t *)text, strlen(text)};
}

static void fill_said(const p2p_identity *identity, struct identity_parts *out)
{
    out->agent = text_iov(identity->agent);
    out->protocol_version = text_iov(identity->protocol_version);
    out->protocol_count = identity->protocol_count;
    for (size_t i = 0; i < identity->protocol_count; i++)
        out->protocols[i] = text_iov(identity->protocols[i]);
    out->public_key = (struct p2p__const_iov){identity->public_key, identity->public_key_len};
    out->record = (struct p2p__const_iov){identity->record, identity->record_len};
}

static size_t encode(const p2p_host *host, const struct peer *peer, uint8_t *out, size_t out_cap)
{
    struct peer_value value = {.record_seq = peer->record_seq,
                               .lasted_s = (uint64_t)peer->lasted_s};
    uint64_t now_us = io_now_us(host->shard.io);
    int64_t now_s = io_wall_s(host->shard.io);
    if (peer->identity && p2p__identity_size(peer->identity) <= REMEMBER_IDENTITY_MAX)
        fill_said(peer->identity, &value.said);
    for (const struct note *note = peer->notes; note; note = note->next)
        value.notes[value.note_count++] =
            (struct peer_value_note){text_iov(note->name), {note->bytes, note->len}};
    for (const struct known_addr *known = peer->addrs; known; known = known->next) {
        if (known->expires_us <= now_us)
            continue;
        uint64_t left_s = (known->expires_us - now_us) / 1000000;
        value.addrs[value.count++] = (struct peer_value_addr){
            .bytes = known->addr->bytes,
            .len = known->addr->len,
            .expires_s = known->expires_us == HEAP_NEVER
                             ? 0
                             : (uint64_t)(now_s > 0 ? now_s : 0) + left_s + 1,
            .learned = known->learned,
        };
    }
    return p2p__peer_value_encode(&value, out, out_cap);
}

static bool is_worth(const struct peer *peer)
{
    return peer->addrs || peer->notes;
}

static int add_to_batch(p2p_host *host, struct peer *peer, uint8_t *value)
{
    struct store_batch *batch = &host->remember.batch;
    uint8_t key[KEY_MAX];
    size_t key_len = key_of(peer, key);
    int rc = is_worth(peer) ? p2p__store_batch_put(batch, key, key_len, value,
                                                   encode(host, peer, value, STORE_VALUE_MAX))
                            : p2p__store_batch_delete(batch, key, key_len);
    if (rc < 0)
        return rc;
    /* Whatever becomes of it while the commit is under way is a change of its own. */
    peer->saving = peer->stored = true;
    peer->unsaved = false;
    return 0;
}

/* ---- a commit ---- */

static void arm(p2p_host *host, int after_ms)
{
    struct remember *self = &host->remember;
    if (self->store && !self->due) {
        self->due = true;
        timer_set(&host->shard, &self->timer,
                  io_now_us(host->shard.io) + (uint64_t)after_ms * 1000);
    }
}

/* What does not fit goes with the next commit. */
static int gather(p2p_host *host)
{
    struct remember *self = &host->remember;
    uint8_t *value = p2p__alloc(STORE_VALUE_MAX);
    int rc = value ? 0 : P2P_ENOMEM;
    p2p__store_batch_append(&self->batch, &self->gone);
    self->repeated = self->batch.changes.prev;
    for (struct list *node = host->peers.next; node != &host->peers && rc == 0; node = node->next) {
        struct peer *peer = P2P__CONTAINER(node, struct peer, all);
        if (peer->unsaved && !is_worth(peer) && !peer->stored)
            peer->unsaved = false;
        else if (peer->unsaved)
            rc = add_to_batch(host, peer, value);
    }
    p2p__free(value);
    self->full = rc == P2P_ELIMIT;
    return self->full ? 0 : rc;
}

static bool all_saved(const p2p_host *host)
{
    for (struct list *node = host->peers.next; node != &host->peers; node = node->next)
        if (P2P__CONTAINER(node, struct peer, all)->unsaved)
            return false;
    return list_empty(&host->remember.gone.changes);
}

/* The commit has ended, well or (rc < 0) with nothing of it done. */
static void settle(p2p_host *host)
{
    struct remember *self = &host->remember;
    bool failed = self->rc < 0;
    for (struct list *node = host->peers.next; node != &host->peers; node = node->next) {
        struct peer *peer = P2P__CONTAINER(node, struct peer, all);
        peer->unsaved = peer->unsaved || (failed && peer->saving);
        peer->saving = false;
    }
    if (failed) {
        /* Whoever is still here is gathered again. The gone come before those that went since. */
        p2p__store_batch_cut(&self->batch, self->repeated);
        p2p__store_batch_append(&self->batch, &self->gone);
        p2p__store_batch_append(&self->gone, &self->batch);
        if (!self->failing)
            p2p__host_warn(host, self->rc,
                           self->rc == P2P_ENOMEM ? p2p_code_text(self->rc) : self->store->why);
    }
    p2p__store_batch_fini(&self->batch);
    self->failing = failed;
    if (!all_saved(host) && !host->closing)
        arm(host, failed ? REMEMBER_RETRY_MS : self->full ? 0 : REMEMBER_SAVE_MS);
}

/* On a thread of its own: it sees the store, the batch and rc, which are nobody else's until it has
 * ended. */
static void commit(void *user)
{
    struct remember *self = user;
    self->rc = self->store->ops->commit(self->store, &self->batch);
}

static void on_committed(struct io_job *job)
{
    p2p_host *host = job->owner;
    p2p__work_mark(&host->shard, &host->remember.committed);
}

static void end_commit(struct work *work)
{
    p2p_host *host = P2P__CONTAINER(work, p2p_host, remember.committed);
    struct p2p_io *io = host->shard.io;
    io->ops->job_end(host->remember.job);
    host->remember.job = NULL;
    settle(host);
}

/* Ends at once, or else with end_commit. */
static void save(p2p_host *host)
{
    struct remember *self = &host->remember;
    struct p2p_io *io = host->shard.io;
    assert(!self->job);
    self->rc = gather(host);
    if (self->rc == 0 && !list_empty(&self->batch.changes)) {
        if (io->ops->job(io, commit, self, &self->job) == 0) {
            self->job->owner = host;
            self->job->wake = on_committed;
            return;
        }
        commit(self); /* no thread to be had: it matters more that it is saved */
    }
    settle(host);
}

static void fire(struct timer *timer)
{
    p2p_host *host = P2P__CONTAINER(timer, p2p_host, remember.timer);
    host->remember.due = false;
    if (!host->remember.job)
        save(host);
}

void p2p__remember_peer(p2p_host *host, struct peer *peer)
{
    peer->unsaved = host->remember.store != NULL;
    arm(host, REMEMBER_SAVE_MS);
}

void p2p__remember_gone(p2p_host *host, struct peer *peer)
{
    uint8_t key[KEY_MAX];
    if (!host->remember.store || !peer->stored)
        return;
    /* Forgotten on disk for want of memory, it is dropped when it is read: it has expired. */
    (void)p2p__store_batch_delete(&host->remember.gone, key, key_of(peer, key));
    arm(host, REMEMBER_SAVE_MS);
}

/* ---- the whole ---- */

void p2p__remember_open(p2p_host *host)
{
    struct remember *self = &host->remember;
    char why[STORE_WHY_MAX];
    const char *path = p2p__config_text(host->config, OPTION_STORE);
    self->timer.fire = fire;
    work_init(&self->committed, end_commit);
    p2p__store_batch_init(&self->gone);
    p2p__store_batch_init(&self->batch);
    if (!*path)
        return;
    int rc = p2p__store_file(path, (size_t)p2p__config_number(host->config, OPTION_STORE_SIZE),
                             &self->store, why, sizeof(why));
    if (rc == 0) {
        rc = p2p__recall(host, self->store);
        if (rc < 0)
            memcpy(why, self->store->why, sizeof(why));
    }
    if (rc < 0)
        p2p__host_warn(host, rc, why);
}

bool p2p__remember_finish(p2p_host *host)
{
    struct remember *self = &host->remember;
    while (self->store && !self->job && !all_saved(host) && !(self->last && self->failing)) {
        self->last = true;
        save(host);
    }
    return !self->job;
}

void p2p__remember_close(p2p_host *host)
{
    struct remember *self = &host->remember;
    assert(!self->job);
    if (!self->store)
        return;
    p2p__store_batch_fini(&self->gone);
    self->store->ops->close(self->store);
    self->store = NULL;
}

#define _GNU_SOURCE
#include "store/lmdb/lmdb.h"

#include <errno.h>
#include <lmdb.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/mem.h"

struct lmdb {
    struct store store;
    MDB_env *env;
    MDB_dbi dbi;
    FILE *lock; /* the file itself: held while we have it open */
    char *path;
};

static int told(struct lmdb *self, const char *what, int rc)
{
    snprintf(self->store.why, sizeof(self->store.why), "%s %s: %s", what, self->path,
             rc == MDB_MAP_FULL ? "the store is full" : mdb_strerror(rc));
    return rc == MDB_MAP_FULL ? P2P_ELIMIT : rc == ENOMEM ? P2P_ENOMEM : P2P_EWRITE;
}

static MDB_val val(const void *bytes, size_t len)
{
    return (MDB_val){.mv_size = len, .mv_data = (void *)(uintptr_t)bytes};
}

static int64_t lmdb_get(struct store *store, const void *key, size_t key_len, void *out, size_t cap)
{
    struct lmdb *self = (struct lmdb *)store;
    MDB_txn *txn;
    MDB_val name = val(key, key_len), value;
    int rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        rc = mdb_get(txn, self->dbi, &name, &value);
        if (rc == 0 && value.mv_size <= cap && value.mv_size)
            memcpy(out, value.mv_data, value.mv_size);
        mdb_txn_abort(txn);
    }
    if (rc == 0)
        return value.mv_size <= cap ? (int64_t)value.mv_size : P2P_ETOOBIG;
    if (rc == MDB_NOTFOUND)
        return P2P_ENOENT;
    (void)told(self, "cannot read", rc);
    return P2P_EFILE;
}

static bool begins(const MDB_val *key, const void *prefix, size_t prefix_len)
{
    return prefix_len == 0 ||
           (key->mv_size >= prefix_len && memcmp(key->mv_data, prefix, prefix_len) == 0);
}

static int walk(MDB_cursor *cursor, const void *prefix, size_t prefix_len, store_each_cb fn,
                void *user)
{
    MDB_val key = val(prefix, prefix_len), value;
    int rc = mdb_cursor_get(cursor, &key, &value, prefix_len ? MDB_SET_RANGE : MDB_FIRST);
    while (rc == 0 && begins(&key, prefix, prefix_len)) {
        if (!fn(user, key.mv_data, key.mv_size, value.mv_data, value.mv_size))
            break;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int lmdb_each(struct store *store, const void *prefix, size_t prefix_len, store_each_cb fn,
                     void *user)
{
    struct lmdb *self = (struct lmdb *)store;
    MDB_txn *txn;
    MDB_cursor *cursor;
    int rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        rc = mdb_cursor_open(txn, self->dbi, &cursor);
        if (rc == 0) {
            rc = walk(cursor, prefix, prefix_len, fn, user);
            mdb_cursor_close(cursor);
        }
        mdb_txn_abort(txn);
    }
    if (rc == 0)
        return 0;
    (void)told(self, "cannot read", rc);
    return P2P_EFILE;
}

static int apply(struct lmdb *self, MDB_txn *txn, const struct store_batch *batch)
{
    for (struct list *node = batch->changes.next; node != &batch->changes; node = node->next) {
        struct store_change *change = P2P__CONTAINER(node, struct store_change, node);
        MDB_val key = val(change->bytes, change->key_len);
        MDB_val value = val(change->bytes + change->key_len, change->value_len);
        int rc = change->remove ? mdb_del(txn, self->dbi, &key, NULL)
                                : mdb_put(txn, self->dbi, &key, &value, 0);
        if (rc != 0 && !(change->remove && rc == MDB_NOTFOUND))
            return rc;
    }
    return 0;
}

static int lmdb_commit(struct store *store, const struct store_batch *batch)
{
    struct lmdb *self = (struct lmdb *)store;
    MDB_txn *txn;
    int rc = mdb_txn_begin(self->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = apply(self, txn, batch);
        if (rc == 0)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    return rc == 0 ? 0 : told(self, "cannot write", rc);
}

static void lmdb_close(struct store *store)
{
    struct lmdb *self = (struct lmdb *)store;
    if (self->env)
        mdb_env_close(self->env);
    if (self->lock)
        (void)fclose(self->lock);
    p2p__free(self->path);
    p2p__free(self);
}

static const struct store_ops lmdb_ops = {
    .get = lmdb_get,
    .each = lmdb_each,
    .commit = lmdb_commit,
    .close = lmdb_close,
};

/* NULL, or why we may not have the file. */
static const char *take_file(struct lmdb *self)
{
    struct stat info;
    self->lock = fopen(self->path, "r+e");
    if (!self->lock && errno == ENOENT) {
        self->lock = fopen(self->path, "a+e");
        if (self->lock)
            (void)fchmod(fileno(self->lock), 0600);
    }
    if (!self->lock)
        return strerror(errno);
    if (fstat(fileno(self->lock), &info) != 0)
        return strerror(errno);
    if (!S_ISREG(info.st_mode))
        return "it is no file";
    if (flock(fileno(self->lock), LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? "another process has it open" : strerror(errno);
    return p2p__lmdb_check(self->lock);
}

/* 0, or an error of LMDB. MDB_NOLOCK: we keep others out ourselves, and a lock file that somebody
 * damaged cannot hurt. */
static int open_env(struct lmdb *self, size_t max_bytes)
{
    MDB_txn *txn;
    int rc = mdb_env_create(&self->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(self->env, max_bytes);
    if (rc == 0)
        rc = mdb_env_open(self->env, self->path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK, 0600);
    if (rc == 0)
        rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        rc = mdb_dbi_open(txn, NULL, 0, &self->dbi);
        if (rc == 0)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    return rc;
}

int p2p__store_lmdb(const char *path, size_t max_bytes, struct store **out, char *why,
                    size_t why_cap)
{
    *out = NULL;
    struct lmdb *self = p2p__alloc(sizeof(*self));
    char *copy = p2p__strndup(path, strlen(path));
    if (!self || !copy) {
        p2p__free(self);
        p2p__free(copy);
        snprintf(why, why_cap, "cannot open %s: %s", path, p2p_code_text(P2P_ENOMEM));
        return P2P_ENOMEM;
    }
    self->store.ops = &lmdb_ops;
    self->path = copy;
    const char *wrong = take_file(self);
    int rc = wrong ? 0 : open_env(self, max_bytes);
    if (!wrong && rc == 0) {
        *out = &self->store;
        return 0;
    }
    snprintf(why, why_cap, "cannot open %s: %s", path, wrong ? wrong : mdb_strerror(rc));
    lmdb_close(&self->store);
    return rc == ENOMEM ? P2P_ENOMEM : P2P_EFILE;
}

const char *p2p__lmdb_version(const char **version)
{
    static const char number[] = {'0' + MDB_VERSION_MAJOR,
                                  '.',
                                  '0' + MDB_VERSION_MINOR,
                                  '.',
                                  '0' + MDB_VERSION_PATCH / 10,
                                  '0' + MDB_VERSION_PATCH % 10,
                                  0};
    *version = number;
    return "lmdb";
}

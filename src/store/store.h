/* What is remembered: keys and values, in memory or in a file. Changes are gathered in a batch, and
 * a batch is committed whole or not at all: killed at any moment, a store reopens with every batch
 * whose commit returned. A batch is plain data, and a commit, which may wait for the disk, may
 * run on another thread; get, each and commit never run at the same time. What comes back from
 * a file is as untrusted as what comes from a peer. */
#ifndef P2P_STORE_STORE_H
#define P2P_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <p2p/error.h>

#include "base/hash.h"
#include "base/list.h"

enum {
    STORE_KEY_MAX = 256, /* bytes, at least 1; LMDB takes 511 */
    STORE_VALUE_MAX = 64 * 1024,
    STORE_BATCH_MAX = 4 * 1024 * 1024, /* bytes of keys and values in one batch */
    STORE_WHY_MAX = 320,
};

struct store_change {
    struct list node;
    bool remove;
    size_t key_len, value_len;
    uint8_t bytes[]; /* key, value */
};

struct store_batch {
    struct list changes;
    size_t bytes;
};

void p2p__store_batch_init(struct store_batch *self);
void p2p__store_batch_fini(struct store_batch *self); /* and empty again */
/* Only those remain that came before `last`, itself included (a node of changes, or its head). */
void p2p__store_batch_cut(struct store_batch *self, struct list *last);
/* Moves the changes of `more` behind the others, as far as they fit; more is empty then. */
void p2p__store_batch_append(struct store_batch *self, struct store_batch *more);
/* Copied; later changes win. P2P_ETOOBIG (key or value), P2P_ELIMIT (the batch is full: commit it),
 * P2P_ENOMEM. */
int p2p__store_batch_put(struct store_batch *self, const void *key, size_t key_len,
                         const void *value, size_t value_len);
int p2p__store_batch_delete(struct store_batch *self, const void *key, size_t key_len);

/* Views, valid during the call. False: no more. */
typedef bool (*store_each_cb)(void *user, const uint8_t *key, size_t key_len, const uint8_t *value,
                              size_t value_len);

struct store;
struct store_ops {
    /* The value's length; P2P_ENOENT, P2P_ETOOBIG (longer than cap), P2P_EFILE. */
    int64_t (*get)(struct store *, const void *key, size_t key_len, void *out, size_t cap);
    /* Every key with that prefix (NULL, 0: all), in no order. 0, or P2P_EFILE. */
    int (*each)(struct store *, const void *prefix, size_t prefix_len, store_each_cb fn,
                void *user);
    /* 0; P2P_ELIMIT: the store is full; P2P_EWRITE, P2P_ENOMEM: nothing of it was done, and the
     * store goes on with what it had. `why` says it in a sentence that names the file. */
    int (*commit)(struct store *, const struct store_batch *batch);
    void (*close)(struct store *);
};

struct store {
    const struct store_ops *ops;
    char why[STORE_WHY_MAX]; /* of the last failure */
};

/* In memory: at most max_bytes of keys, values and what it takes to keep them. NULL: no memory. */
struct store *p2p__store_memory(size_t max_bytes, const struct hash_key *hash_key);

/* In a file of that name (LMDB), made if there is none, of at most max_bytes; one process at a
 * time. P2P_ENOTSUP: not built in. P2P_EFILE: it is damaged, in use, or no such file, and `why`
 * names it; P2P_ENOMEM. Blocks: the whole file is checked. */
int p2p__store_file(const char *path, size_t max_bytes, struct store **out, char *why,
                    size_t why_cap);

/* "lmdb" and its version, or NULL. */
const char *p2p__store_version(const char **version);

#endif

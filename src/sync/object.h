/* What every handle stands for, and the table of handles. */
#ifndef P2P_SYNC_OBJECT_H
#define P2P_SYNC_OBJECT_H

#include <stdatomic.h>

#include <p2p/sync.h>

enum kind {
    KIND_ANY,
    KIND_NODE,
    KIND_LISTENER,
    KIND_STREAM,
};

struct node;
struct object;

struct object_ops {
    enum kind kind;
    /* Its handle is gone: wakes whoever waits, and ends what it stands for. */
    void (*close)(struct object *);
    /* Nobody uses it any more. */
    void (*free)(struct object *);
};

/* Counted: by the table, by each call that uses it, by the loop while it can call back. */
struct object {
    const struct object_ops *ops;
    struct node *node; /* counted too, except by itself */
    atomic_uint refs;
    p2p_h handle; /* the table's own: 0 once it is stale */
};

/* One reference, for the caller. */
void p2p__object_init(struct object *self, const struct object_ops *ops, struct node *node);
void p2p__object_ref(struct object *self);
void p2p__object_unref(struct object *self);

/* Makes the handle. 0, P2P_ENOMEM, P2P_ELIMIT, or P2P_ECLOSED: its node has no handle any more. */
int p2p__handle_add(struct object *self, p2p_h *out);
/* A reference to what the handle stands for, or NULL. */
struct object *p2p__handle_get(p2p_h handle, enum kind kind);
/* The handle is stale from now on; the caller gets the table's reference, and calls close. NULL: it
 * was stale, or is of another kind. */
struct object *p2p__handle_remove(p2p_h handle, enum kind kind);
/* The same for anything that belongs to the node, except itself. NULL: nothing does. */
struct object *p2p__handle_remove_of(const struct node *node);

/* ---- errors of this thread ---- */

/* Remembers the code and its sentence, or why. Returns code. */
int p2p__sync_result(int code, const char *why);
/* With every address that was tried. */
void p2p__sync_sentence(const p2p_error *why, char *out, size_t out_cap);

/* ---- time ---- */

/* The deadline of a call, for gate_wait. */
uint64_t p2p__sync_deadline(int timeout_ms);
/* Why gate_wait returned false. */
static inline int sync_late(int timeout_ms)
{
    return timeout_ms == P2P_NO_WAIT ? P2P_EAGAIN : P2P_ETIMEDOUT;
}

#endif

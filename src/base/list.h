/* Intrusive doubly linked list. A node that is on no list points at itself, so that removing twice
 * and asking "is it on one?" are both safe. */
#ifndef P2P_BASE_LIST_H
#define P2P_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define P2P__CONTAINER(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *self)
{
    self->next = self->prev = self;
}

static inline bool list_empty(const struct list *self)
{
    return self->next == self;
}

static inline void list_append(struct list *self, struct list *node)
{
    node->prev = self->prev;
    node->next = self;
    self->prev->next = node;
    self->prev = node;
}

static inline void list_prepend(struct list *self, struct list *node)
{
    list_append(self->next, node);
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, taken off the list, or NULL. */
static inline struct list *list_pop(struct list *self)
{
    if (list_empty(self))
        return NULL;
    struct list *node = self->next;
    list_remove(node);
    return node;
}

/* Moves everything to the (empty) list `to`, so that a pass sees only what was there at its start.
 */
static inline void list_move(struct list *self, struct list *to)
{
    list_init(to);
    if (list_empty(self))
        return;
    to->next = self->next;
    to->prev = self->prev;
    to->next->prev = to;
    to->prev->next = to;
    list_init(self);
}

#endif

#include "base/heap.h"

static struct heap_node *meld(struct heap_node *a, struct heap_node *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    if (b->at_us < a->at_us) {
        struct heap_node *swap = a;
        a = b;
        b = swap;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    return a;
}

/* Two passes: pairs left to right, then the pairs right to left; that order is what makes removal
 * logarithmic. */
static struct heap_node *meld_children(struct heap_node *first)
{
    struct heap_node *pairs = NULL;
    while (first) {
        struct heap_node *a = first, *b = first->next;
        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    struct heap_node *root = NULL;
    while (pairs) {
        struct heap_node *next = pairs->next;
        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

static void take_out(struct heap *self, struct heap_node *node)
{
    struct heap_node *rest = meld_children(node->child);
    node->child = NULL;
    if (self->root == node) {
        self->root = rest;
    } else {
        if (node->prev->child == node)
            node->prev->child = node->next;
        else
            node->prev->next = node->next;
        if (node->next)
            node->next->prev = node->prev;
        self->root = meld(self->root, rest);
    }
    node->next = node->prev = NULL;
    node->queued = false;
    self->count--;
}

void p2p__heap_set(struct heap *self, struct heap_node *node, uint64_t at_us)
{
    if (node->queued && node->at_us == at_us)
        return;
    if (node->queued)
        take_out(self, node);
    node->at_us = at_us;
    if (at_us == HEAP_NEVER)
        return;
    node->child = node->next = node->prev = NULL;
    node->queued = true;
    self->count++;
    self->root = meld(self->root, node);
}

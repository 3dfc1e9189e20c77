#include "host/lookups.h"

#include <string.h>

#include "base/mem.h"

struct lookup {
    struct list node;
    struct resolve *resolve; /* NULL once it is over */
    char *text;
    char *error; /* or NULL: that of code */
    int code;    /* 0: it brought something */
};

void p2p__lookups_init(struct lookups *self, struct p2p_io *io, void (*wake)(void *owner),
                       void *owner)
{
    *self = (struct lookups){.io = io, .wake = wake, .owner = owner};
    list_init(&self->list);
}

static void lookup_free(struct lookup *self)
{
    if (self->resolve)
        p2p__resolve_free(self->resolve);
    p2p__free(self->text);
    p2p__free(self->error);
    p2p__free(self);
}

void p2p__lookups_fini(struct lookups *self)
{
    for (struct list *node; (node = list_pop(&self->list));)
        lookup_free(P2P__CONTAINER(node, struct lookup, node));
}

int p2p__lookups_add(struct lookups *self, const p2p_multiaddr *target, const char *text)
{
    for (struct list *node = self->list.next; node != &self->list; node = node->next)
        if (strcmp(P2P__CONTAINER(node, struct lookup, node)->text, text) == 0)
            return 0;
    if (self->count == LOOKUPS_MAX)
        return P2P_ELIMIT;
    struct lookup *lookup = p2p__alloc(sizeof(*lookup));
    if (!lookup)
        return P2P_ENOMEM;
    /* Whoever waits for the dial has the deadline: with the last of them everything ends. */
    lookup->resolve = p2p__resolve_new(self->io, target, UINT64_MAX, self->wake, self->owner);
    lookup->text = p2p__strndup(text, strlen(text));
    if (!lookup->resolve || !lookup->text) {
        lookup_free(lookup);
        return P2P_ENOMEM;
    }
    list_append(&self->list, &lookup->node);
    self->count++;
    return 0;
}

static void finish(struct lookup *self, bool (*use)(void *user, const p2p_multiaddr *addr),
                   void *user)
{
    const p2p_multiaddr *addr;
    const char *why = "none of that name's addresses can be dialed";
    bool used = false;
    size_t count = 0;
    for (; (addr = p2p__resolve_addr(self->resolve, count)); count++)
        used = use(user, addr) || used;
    if (count == 0)
        self->code = p2p__resolve_error(self->resolve, &why);
    else if (!used)
        self->code = P2P_ENOTSUP;
    if (self->code)
        self->error = p2p__strndup(why, strlen(why));
    p2p__resolve_free(self->resolve);
    self->resolve = NULL;
}

size_t p2p__lookups_run(struct lookups *self, bool (*use)(void *user, const p2p_multiaddr *addr),
                        void *user)
{
    size_t under_way = 0;
    for (struct list *node = self->list.next; node != &self->list; node = node->next) {
        struct lookup *lookup = P2P__CONTAINER(node, struct lookup, node);
        if (lookup->resolve && p2p__resolve_run(lookup->resolve))
            finish(lookup, use, user);
        under_way += lookup->resolve != NULL;
    }
    return under_way;
}

size_t p2p__lookups_failed(const struct lookups *self, p2p_attempt *out)
{
    size_t count = 0;
    for (struct list *node = self->list.next; node != &self->list; node = node->next) {
        const struct lookup *lookup = P2P__CONTAINER(node, struct lookup, node);
        if (lookup->resolve)
            out[count++] = (p2p_attempt){.addr = lookup->text,
                                         .error = "no answer from the name service yet",
                                         .code = P2P_ETIMEDOUT};
        else if (lookup->code)
            out[count++] =
                (p2p_attempt){.addr = lookup->text,
                              .error = lookup->error ? lookup->error : p2p_code_text(lookup->code),
                              .code = lookup->code};
    }
    return count;
}

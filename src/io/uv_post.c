/* Calls from other threads: a locked queue, and an async handle that wakes the loop. */
#define _GNU_SOURCE
#include <assert.h>

#include "base/mem.h"
#include "io/uv_internal.h"

struct uv_post {
    struct uv_post *next;
    void (*fn)(void *user);
    void *user;
};

struct uv_post *p2p__uv_post_new(void (*fn)(void *user), void *user)
{
    struct uv_post *post = p2p__alloc(sizeof(*post));
    if (post)
        *post = (struct uv_post){.fn = fn, .user = user};
    return post;
}

static bool push(struct uv_io *self, struct uv_post *post)
{
    uv_mutex_lock(&self->post_lock);
    bool closed = self->post_closed;
    if (!closed) {
        if (self->post_last)
            self->post_last->next = post;
        else
            self->post_first = post;
        self->post_last = post;
        self->post_count++;
        /* Under the lock, so that the handle cannot be closed in between. */
        uv_async_send(&self->async);
    }
    uv_mutex_unlock(&self->post_lock);
    return !closed;
}

void p2p__uv_post_send(struct uv_io *self, struct uv_post *post)
{
    bool sent = push(self, post);
    assert(sent);
    (void)sent;
}

int p2p__uv_post(struct p2p_io *base, void (*fn)(void *user), void *user)
{
    struct uv_post *post = p2p__uv_post_new(fn, user);
    if (!post)
        return P2P_ENOMEM;
    if (push((struct uv_io *)base, post))
        return 0;
    p2p__free(post);
    return P2P_ECLOSED;
}

static struct uv_post *pop(struct uv_io *self)
{
    uv_mutex_lock(&self->post_lock);
    struct uv_post *post = self->post_first;
    if (post) {
        self->post_first = post->next;
        if (!post->next)
            self->post_last = NULL;
        self->post_count--;
    }
    uv_mutex_unlock(&self->post_lock);
    return post;
}

static bool run_one(struct uv_io *self)
{
    struct uv_post *post = pop(self);
    if (!post)
        return false;
    void (*fn)(void *user) = post->fn;
    void *user = post->user;
    p2p__free(post);
    fn(user);
    return true;
}

void p2p__uv_on_async(uv_async_t *handle)
{
    struct uv_io *self = handle->data;
    self->busy++;
    uv_mutex_lock(&self->post_lock);
    size_t count = self->post_count;
    uv_mutex_unlock(&self->post_lock);
    /* What these post waits for the next round: posting for ever starves nobody. Popped one by one,
     * because any of them may close the io, which then runs the rest. */
    while (count-- > 0 && run_one(self))
        ;
    p2p__uv_leave(self);
}

void p2p__uv_post_close(struct uv_io *self)
{
    uv_mutex_lock(&self->post_lock);
    self->post_closed = true;
    uv_mutex_unlock(&self->post_lock);
    while (run_one(self))
        ;
}

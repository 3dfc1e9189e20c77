/* Framing and parsing in memory, both ends: what yamux costs without cipher and kernel. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <time.h>

#include "../tests/muxer_pair.h"

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Lends each gathered piece to the other side, as records would be: no copy in between. */
static void carry(struct side *from, struct side *to)
{
    struct iov iov[SIDE_IOV];
    size_t bytes;
    size_t n = from->muxer->ops->pump_out(from->muxer, iov, SIDE_IOV, SIDE_OUT, 1, &bytes);
    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        if (p2p__buf_join(&to->in, &to->pool, iov[i].base, iov[i].len, 0) < 0)
            abort();
        int code;
        while ((code = to->muxer->ops->pump_in(to->muxer, &to->in, 1)) == MUXER_TELL ||
               !list_empty(&to->muxer->ready)) {
            struct list *node = list_pop(&to->muxer->ready);
            struct muxer_stream *s = P2P__CONTAINER(node, struct muxer_stream, ready);
            size_t got = buf_len(&s->in);
            to->got += got;
            buf_consume(&s->in, got);
            if (got)
                to->muxer->ops->consumed(s, got, 1);
            p2p__buf_settle(&s->in, &to->pool);
        }
        if (code < 0)
            abort();
        p2p__buf_settle(&to->in, &to->pool);
    }
    from->muxer->ops->sent(from->muxer);
    list_init(&from->muxer->ready);
}

/* lent: the application hands over a blob; otherwise its bytes are copied once, as in a write. */
static void run(const char *name, size_t body, uint64_t total, bool lent)
{
    struct side a, b;
    int code = 0;
    if (side_init(&a, &p2p__muxer_yamux, side_config(true)) < 0 ||
        side_init(&b, &p2p__muxer_yamux, side_config(false)) < 0)
        abort();
    uint8_t *bytes = malloc(body);
    if (!bytes)
        abort();
    memset(bytes, 1, body); /* an untouched page would be the one zero page, always in cache */
    struct p2p_blob *blob = p2p__blob_new(bytes, body);
    struct muxer_stream *s = side_open(&a, &code);
    uint64_t frames = total / body;
    double start = seconds();
    for (uint64_t i = 0; i < frames; i++) {
        if (!blob || !s ||
            (lent ? p2p__outq_append_blob(&s->out, blob)
                  : p2p__outq_append(&s->out, &a.pool, bytes, body)) < 0)
            abort();
        a.muxer->ops->written(s);
        carry(&a, &b);
        list_remove(&s->ready);
        if (i % 4 == 3)
            carry(&b, &a);
    }
    double took = seconds() - start;
    printf("%-28s %10.1f MB/s %12.0f frames/s\n", name, (double)b.got / took / 1e6,
           (double)frames / took);
    if (b.got != frames * body)
        printf("  only %llu bytes arrived\n", (unsigned long long)b.got);
    p2p__blob_unref(blob);
    free(bytes);
    side_fini(&a);
    side_fini(&b);
}

int main(void)
{
    run("64 KiB bodies, lent", 65507, (uint64_t)64 << 30, true);
    run("64 KiB bodies, written", 65507, (uint64_t)8 << 30, false);
    run("4 KiB bodies, written", 4096, (uint64_t)4 << 30, false);
    run("100 byte bodies, written", 100, (uint64_t)200 << 20, false);
    return 0;
}

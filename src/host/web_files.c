/* The certificates of secure WebSocket, from files, and again from them when they change: whoever
 * renews a certificate writes two files one after the other, so that a change counts once it has
 * stood for a while, and what cannot be used leaves the old ones in place. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "host/host.h"
#include "io/file.h"

enum {
    CHECK_US = 5 * 1000 * 1000, /* two of them after a change it is noticed */
    FILE_MAX = 1024 * 1024,     /* a whole system's roots take 220 KiB */
    FILES_MAX = 2 * WEB_IDENTITIES_MAX + 1,
};

struct web_files {
    struct work work;
    struct timer timer;
    p2p_host *host;
    size_t certs, count;
    const char *path[FILES_MAX]; /* the certificates, their keys, the roots */
    char *paths;                 /* what path points into */
    struct file_stamp used[FILES_MAX], seen[FILES_MAX];
    bool roots;
};

/* ---- loading ---- */

struct text {
    char *bytes;
    size_t len;
};

static int read_files(const struct web_files *self, struct text *texts, char *why, size_t why_cap)
{
    for (size_t i = 0; i < self->count; i++) {
        int err = p2p__file_read(self->path[i], FILE_MAX, &texts[i].bytes, &texts[i].len);
        if (err == ENOMEM)
            return P2P_ENOMEM;
        if (err) {
            snprintf(why, why_cap, "%s: %s", self->path[i], strerror(err));
            return P2P_EFILE;
        }
    }
    return 0;
}

/* Which file a certificate's key is in. */
static size_t key_file(const struct web_files *self, size_t cert)
{
    return self->count - self->roots > self->certs ? self->certs + cert : cert;
}

static int use(const struct web_files *self, const struct text *texts, char *why, size_t why_cap)
{
    struct p2p__web *web = self->host->shard.env.web;
    struct web_pem pairs[WEB_IDENTITIES_MAX];
    struct web_fault fault = {0};
    const char *path = NULL, *sentence = NULL;
    for (size_t i = 0; i < self->certs; i++) {
        const struct text *chain = &texts[i], *key = &texts[key_file(self, i)];
        pairs[i] = (struct web_pem){chain->bytes, chain->len, key->bytes, key->len};
    }
    int rc = 0;
    if (self->roots) {
        path = self->path[self->count - 1];
        const struct text *roots = &texts[self->count - 1];
        rc = p2p__web_trust(web, roots->bytes, roots->len, &sentence);
    }
    if (rc == 0 && self->certs) {
        rc = p2p__web_serve(web, pairs, self->certs, &fault);
        path = self->path[fault.key ? key_file(self, fault.pair) : fault.pair];
        sentence = fault.sentence;
    }
    if (rc < 0)
        snprintf(why, why_cap, "%s: %s", path, sentence);
    return rc;
}

static void stamp_all(const struct web_files *self, struct file_stamp *out)
{
    for (size_t i = 0; i < self->count; i++)
        p2p__file_stamp(self->path[i], &out[i]);
}

/* As they are at this moment; if they cannot be used they are not looked at again before they
 * change. */
static int load(struct web_files *self, char *why, size_t why_cap)
{
    struct text texts[FILES_MAX] = {{0}};
    stamp_all(self, self->used);
    memcpy(self->seen, self->used, sizeof(self->seen));
    int rc = read_files(self, texts, why, why_cap);
    if (rc == 0)
        rc = use(self, texts, why, why_cap);
    if (rc == P2P_ENOMEM)
        snprintf(why, why_cap, "%s", p2p_code_text(rc));
    for (size_t i = 0; i < self->count; i++) {
        if (texts[i].bytes)
            p2p__wipe(texts[i].bytes, texts[i].len);
        p2p__free(texts[i].bytes);
    }
    return rc;
}

/* ---- watching ---- */

static bool same(const struct web_files *self, const struct file_stamp *a,
                 const struct file_stamp *b)
{
    for (size_t i = 0; i < self->count; i++)
        if (!p2p__file_stamp_equal(&a[i], &b[i]))
            return false;
    return true;
}

static void check(struct work *work)
{
    struct web_files *self = P2P__CONTAINER(work, struct web_files, work);
    struct shard *shard = &self->host->shard;
    struct file_stamp now[FILES_MAX];
    char why[400], sentence[512];
    if (self->host->closing)
        return;
    stamp_all(self, now);
    bool settled = same(self, now, self->seen);
    memcpy(self->seen, now, sizeof(now));
    if (settled && !same(self, now, self->used)) {
        int rc = load(self, why, sizeof(why));
        snprintf(sentence, sizeof(sentence), "the certificates of before stay in use: %s", why);
        if (rc < 0)
            p2p__host_warn(self->host, rc, sentence);
    }
    timer_set(shard, &self->timer, shard->now_us + CHECK_US);
}

static void fire(struct timer *timer)
{
    struct web_files *self = P2P__CONTAINER(timer, struct web_files, timer);
    p2p__work_mark(&self->host->shard, &self->work);
}

/* ---- the whole ---- */

/* Cuts list, which is at `at`, into paths. */
static size_t split(struct web_files *self, char *at, size_t max)
{
    size_t count = 0;
    for (char *end; *at && count < max; at = end) {
        end = at + strcspn(at, ",");
        if (*end)
            *end++ = '\0';
        self->path[self->count++] = at;
        count++;
    }
    return *at ? max + 1 : count;
}

static int set_paths(struct web_files *self, char *why, size_t why_cap)
{
    static const enum option_id ids[] = {OPTION_WSS_CERT, OPTION_WSS_KEY, OPTION_WSS_CA};
    const p2p_config *config = self->host->config;
    const char *list[3];
    size_t len = 0, found[3];
    for (size_t i = 0; i < 3; i++) {
        list[i] = p2p__config_text(config, ids[i]);
        len += strlen(list[i]) + 1;
    }
    char *at = self->paths = p2p__alloc(len);
    if (!at)
        return P2P_ENOMEM;
    for (size_t i = 0; i < 3; i++) {
        memcpy(at, list[i], strlen(list[i]) + 1);
        found[i] = split(self, at, i < 2 ? WEB_IDENTITIES_MAX : 1);
        at += strlen(list[i]) + 1;
    }
    self->certs = found[0];
    self->roots = found[2] == 1;
    if (found[0] > WEB_IDENTITIES_MAX || found[2] > 1)
        snprintf(why, why_cap, "options wss_cert and wss_ca name at most %d files and one",
                 WEB_IDENTITIES_MAX);
    else if (found[1] && found[1] != found[0])
        snprintf(why, why_cap, "option wss_key must name as many files as wss_cert, or none");
    else
        return 0;
    return P2P_EINVAL;
}

int p2p__web_files_open(p2p_host *host, char *why, size_t why_cap)
{
    if (!*p2p__config_text(host->config, OPTION_WSS_CERT) &&
        !*p2p__config_text(host->config, OPTION_WSS_KEY) &&
        !*p2p__config_text(host->config, OPTION_WSS_CA))
        return 0;
    struct web_files *self = host->web_files = p2p__alloc(sizeof(*self));
    if (!self)
        return P2P_ENOMEM;
    self->host = host;
    self->timer.fire = fire;
    work_init(&self->work, check);
    int rc = set_paths(self, why, why_cap);
    if (rc == 0)
        rc = load(self, why, why_cap);
    if (rc == 0)
        timer_set(&host->shard, &self->timer, shard_now_us(&host->shard) + CHECK_US);
    return rc;
}

void p2p__web_files_close(p2p_host *host)
{
    if (host->web_files)
        timer_set(&host->shard, &host->web_files->timer, HEAP_NEVER);
}

void p2p__web_files_free(p2p_host *host)
{
    if (!host->web_files)
        return;
    p2p__free(host->web_files->paths);
    p2p__free(host->web_files);
    host->web_files = NULL;
}

int p2p_host_reload(p2p_host *host, p2p_error **err)
{
    char why[400];
    if (err)
        *err = NULL;
    int rc = host->closing ? P2P_ECLOSED : 0;
    snprintf(why, sizeof(why), "%s", p2p_code_text(rc));
    if (rc == 0 && host->web_files)
        rc = load(host->web_files, why, sizeof(why));
    if (rc < 0)
        p2p__host_error(err, rc, 0, why);
    return rc;
}

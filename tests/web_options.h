/* Files with the certificate of web_pem.h, and the options that name them, for hosts that listen on
 * and dial WEB_OVER. */
#ifndef P2P_TESTS_WEB_OPTIONS_H
#define P2P_TESTS_WEB_OPTIONS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/web_pem.h"

#define WEB_OVER "/tls/sni/node.example/ws"

struct web_options {
    char folder[32], path[2][48], text[3][64];
    const char *list[4];
};

static inline void web_put(const char *path, const char *bytes)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(bytes, file);
    fclose(file);
}

static inline void web_options_init(struct web_options *self)
{
    static const char *const names[] = {"wss_cert", "wss_key", "wss_ca"};
    snprintf(self->folder, sizeof(self->folder), "/tmp/p2p-web-XXXXXX");
    assert_non_null(mkdtemp(self->folder));
    for (int i = 0; i < 2; i++) {
        snprintf(self->path[i], sizeof(self->path[i]), "%s/%s", self->folder, names[i]);
        web_put(self->path[i], i ? web_pem_key : web_pem_cert);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(self->text[i], sizeof(self->text[i]), "%s=%s", names[i], self->path[i % 2]);
        self->list[i] = self->text[i];
    }
    self->list[3] = NULL;
}

static inline void web_options_fini(struct web_options *self)
{
    for (int i = 0; i < 2; i++)
        (void)remove(self->path[i]);
    (void)rmdir(self->folder);
}

#endif

/* A host and the services that its configuration names. */
#include "services/services.h"

#include <stdio.h>
#include <string.h>

#include <p2p/echo.h>
#include <p2p/identify.h>
#include <p2p/perf.h>
#include <p2p/ping.h>

#include "host/host.h"

static const struct service {
    const char *name;
    int (*serve)(p2p_host *);
} services[] = {
    {"identify", p2p_identify_serve},
    {"ping", p2p_ping_serve},
    {"perf", p2p_perf_serve},
    {"echo", p2p_echo_serve},
};

enum {
    SERVICE_COUNT = sizeof(services) / sizeof(*services),
};

static const struct service *service_find(const char *name, size_t name_len)
{
    for (size_t i = 0; i < SERVICE_COUNT; i++)
        if (strlen(services[i].name) == name_len && memcmp(services[i].name, name, name_len) == 0)
            return &services[i];
    return NULL;
}

static int start_one(p2p_host *host, const char *name, size_t name_len, p2p_error **err)
{
    char why[160];
    const struct service *service = service_find(name, name_len);
    int rc = service ? service->serve(host) : P2P_ENOENT;
    if (rc == 0 || (service && rc == P2P_EEXIST)) /* named twice is once */
        return 0;
    if (service)
        snprintf(why, sizeof(why), "cannot serve %s: %s", service->name, p2p_code_text(rc));
    else
        snprintf(why, sizeof(why),
                 "there is no service \"%.*s\"; there are identify, ping, perf, echo",
                 name_len < 60 ? (int)name_len : 60, name);
    p2p__host_error(err, rc, 0, why);
    return rc;
}

static int start_all(p2p_host *host, p2p_error **err)
{
    const char *list = p2p__host_option(host, "services");
    while (*list) {
        size_t len = strcspn(list, ", ");
        int rc = len ? start_one(host, list, len, err) : 0;
        if (rc < 0)
            return rc;
        list += len + (list[len] != '\0');
    }
    return 0;
}

int p2p_host_new(const p2p_config *config, p2p_io *io, p2p_host **out, p2p_error **err)
{
    p2p_host *host;
    int rc = p2p__host_new(config, io, &host, err);
    if (rc == 0) {
        rc = start_all(host, err);
        if (rc == 0)
            rc = p2p__host_start(host, err);
        if (rc < 0) {
            p2p__host_discard(host);
            host = NULL;
        }
    }
    *out = host;
    return rc;
}

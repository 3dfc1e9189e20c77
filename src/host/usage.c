/* What the host uses of its limits, for people and metrics. */
#include <string.h>

#include <p2p/limits.h>

#include "host/host.h"

static uint64_t value_of(const p2p_host *host, const char *name)
{
    const p2p_option *option;
    if (strcmp(name, "fds") == 0)
        return p2p__limits_fds(host);
    for (size_t i = 0; (option = p2p_option_at(i)); i++)
        if (strcmp(option->name, name) == 0 && option->kind != P2P_OPTION_LIST)
            return p2p__config_number(host->config, (enum option_id)i);
    return 0;
}

static uint64_t used_of(const p2p_host *host, const char *name)
{
    const struct limits *limits = &host->limits;
    const struct {
        const char *name;
        uint64_t used;
    } uses[] = {{"conns_in", limits->proven_in},
                {"conns_out", limits->conns_out},
                {"conns_high", host->manager.open},
                {"half_open", limits->half_open},
                {"fds", limits->fds},
                {"memory", host->shard.pool.used_bytes}};
    for (size_t i = 0; i < sizeof(uses) / sizeof(*uses); i++)
        if (strcmp(uses[i].name, name) == 0)
            return uses[i].used;
    return 0;
}

int p2p_host_limit_at(const p2p_host *host, size_t index, p2p_limit_info *out)
{
    const char *name = p2p__limit_name(index);
    if (!name)
        return P2P_ENOENT;
    const p2p_limit_info info = {.size = out->size,
                                 .name = name,
                                 .value = value_of(host, name),
                                 .used = used_of(host, name),
                                 .refusals = p2p__refusals_of(host, index)};
    memcpy(out, &info, out->size < sizeof(info) ? out->size : sizeof(info));
    return 0;
}

uint64_t p2p_host_refusals(const p2p_host *host, const char *limit)
{
    for (size_t i = 0; p2p__limit_name(i); i++)
        if (strcmp(p2p__limit_name(i), limit) == 0)
            return p2p__refusals_of(host, i);
    return 0;
}

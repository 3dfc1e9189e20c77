#include "host/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/host.h"

static const char *const nouns[LOG_NOUNS] = {"listen", "conn", "dial", "limits"};
static const char *const levels[] = {"off", "error", "warn", "info", "debug"};

static int find(const char *const *names, size_t count, const char *text, size_t len)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(names[i]) == len && memcmp(names[i], text, len) == 0)
            return (int)i;
    return P2P_EINVAL;
}

static int find_level(const char *text, size_t len)
{
    return find(levels, sizeof(levels) / sizeof(*levels), text, len);
}

int p2p__log_parse(const char *text, uint8_t up_to[LOG_NOUNS])
{
    while (*text) {
        size_t len = strcspn(text, ","), noun_len = strcspn(text, ",=");
        int noun = -1;
        const char *level_text = text;
        if (noun_len < len) {
            noun = find(nouns, LOG_NOUNS, text, noun_len);
            if (noun < 0)
                return P2P_EINVAL;
            level_text += noun_len + 1;
        }
        int level = find_level(level_text, (size_t)(text + len - level_text));
        if (level < 0)
            return P2P_EINVAL;
        for (int i = 0; i < LOG_NOUNS; i++)
            if (noun < 0 || noun == i)
                up_to[i] = (uint8_t)level;
        text += len + (text[len] == ',');
    }
    return 0;
}

bool p2p__log_take(struct log *self, enum log_noun noun, uint64_t now_us, uint64_t *dropped)
{
    if (!rate_take(&self->rate[noun], now_us, LOG_INTERVAL_US, LOG_BURST)) {
        self->dropped[noun]++;
        return false;
    }
    *dropped = self->dropped[noun];
    self->dropped[noun] = 0;
    return true;
}

void p2p__log(p2p_host *host, p2p_log_level level, enum log_noun noun, const char *format, ...)
{
    char text[LOG_TEXT_MAX], more[64];
    uint64_t dropped = 0;
    const p2p_host_events *events = host->events;
    if ((uint8_t)level > host->log.up_to[noun] || !events ||
        events->size < offsetof(p2p_host_events, on_log) + sizeof(events->on_log) ||
        !events->on_log || !p2p__log_take(&host->log, noun, io_now_us(host->shard.io), &dropped))
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (dropped) {
        int len = snprintf(more, sizeof(more), " (%llu lines before it were dropped)",
                           (unsigned long long)dropped);
        size_t at = strlen(text), last = sizeof(text) - (size_t)len - 1;
        memcpy(text + (at < last ? at : last), more, (size_t)len + 1);
    }
    events->on_log(host, level, nouns[noun], text, host->events_user);
}

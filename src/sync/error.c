/* What the last call of each thread came to. */
#include <stdio.h>
#include <string.h>

#include "io/gate.h"
#include "sync/object.h"

enum {
    WHY_MAX = 1024, /* a sentence, and eight addresses with their reasons */
};

static _Thread_local struct {
    int code;
    char why[WHY_MAX];
} last;

int p2p_errno(void)
{
    return last.code;
}

const char *p2p_errmsg(void)
{
    return last.why[0] ? last.why : p2p_code_text(last.code);
}

int p2p__sync_result(int code, const char *why)
{
    last.code = code < 0 ? code : 0;
    last.why[0] = '\0';
    if (code < 0 && why)
        snprintf(last.why, sizeof(last.why), "%s", why);
    return code;
}

void p2p__sync_sentence(const p2p_error *why, char *out, size_t out_cap)
{
    size_t len = 0;
    int n = snprintf(out, out_cap, "%s", why->message);
    for (size_t i = 0; i < why->attempt_count; i++) {
        const p2p_attempt *attempt = &why->attempts[i];
        if (why->attempt_count == 1 && strstr(why->message, attempt->addr))
            return; /* the sentence names it */
        len += n > 0 ? (size_t)n : 0;
        if (len >= out_cap)
            return;
        n = snprintf(out + len, out_cap - len, "%s%s: %s%s", i ? "; " : " (", attempt->addr,
                     attempt->error, i + 1 == why->attempt_count ? ")" : "");
    }
}

uint64_t p2p__sync_deadline(int timeout_ms)
{
    if (timeout_ms == P2P_NO_WAIT)
        return GATE_NOW;
    return timeout_ms <= 0 ? GATE_NEVER : p2p__gate_deadline((uint32_t)timeout_ms);
}

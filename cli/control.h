/* A node's control socket: whoever may open it asks, a JSON object a line, and is answered
 * likewise.
 *
 *     {"request":"peers"}
 *     {"event":"peer",...}
 *     {"event":"end","request":"peers"}
 *
 * A request that cannot be answered gets {"event":"error","code":...,"message":...} instead of the
 * end. Answers come in the order of the requests. */
#ifndef P2P_CLI_CONTROL_H
#define P2P_CLI_CONTROL_H

#include "cli.h"

#include <uv.h>

#include "json_in.h"

struct control;

/* One kind of request. answer adds whole lines; false: *why, what is wrong with the request. */
struct control_request {
    const char *name;
    bool (*answer)(void *user, const struct json_value *request, struct text *out,
                   const char **why);
};

/* path NULL: a name of its own in the usual folder, made of the peer id. requests end with a
 * NULL name. NULL, with a sentence: it cannot be. It does not keep the loop alive. */
struct control *control_open(uv_loop_t *loop, const char *path, const char *peer,
                             const struct control_request *requests, void *user, struct text *why);
const char *control_path(const struct control *self);
/* Its memory goes once the loop has run. May be NULL. */
void control_close(struct control *self);

#endif

/* Asks a running node over its control socket. */
#ifndef P2P_CLI_ASK_H
#define P2P_CLI_ASK_H

#include "cli.h"

#include "json_in.h"

/* Sends the request ({"request":"peers"}) and shows each object of the answer: as it came with
 * --json, else as show adds it. Returns the exit code. */
int ask(struct cli *cli, const char *request,
        void (*show)(const struct json_value *object, struct text *out));

#endif

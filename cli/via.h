/* --via COMMAND: the way to the peer is a program's standard input and output, such as
 * "ssh host p2p node --stdio". */
#ifndef P2P_CLI_VIA_H
#define P2P_CLI_VIA_H

#include "session.h"

/* Starts the command and connects through it; then session->on_start is called, or the session
 * fails. 0, or the exit code. */
int via_start(struct session *self, const char *command);
/* The session is over. */
void via_close(struct session *self);

#endif

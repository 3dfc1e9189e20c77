/* Where things of a user are kept, as the XDG says. */
#ifndef P2P_CLI_PATHS_H
#define P2P_CLI_PATHS_H

#include "cli.h"

/* The value of a variable; NULL when it is unset or empty. */
const char *environment(const char *variable);
/* "$XDG_CONFIG_HOME/p2p/name", or below ~/.config. False: there is no home. */
bool path_config(struct text *out, const char *name);

#endif

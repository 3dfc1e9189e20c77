/* Standard input, whatever it is: a thread reads it, for an event loop cannot wait for a file, and
 * making a terminal non-blocking would do so for the user's shell too. */
#ifndef P2P_CLI_IN_H
#define P2P_CLI_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct in;

/* on_change comes on the loop when bytes, the end or an error are there. It keeps the loop alive
 * until in_close. NULL: no memory. */
struct in *in_open(uv_loop_t *loop, void (*on_change)(void *user), void *user);
/* Contiguous bytes, valid until they are consumed. */
const char *in_peek(struct in *self, size_t *len);
void in_consume(struct in *self, size_t n);
/* Everything was consumed and no more will come. *error: errno, if that is why. */
bool in_ended(struct in *self, int *error);
/* A thread that waits for a terminal ends with the process. */
void in_close(struct in *self);

#endif

#define _GNU_SOURCE /* <uv.h> does not compile under strict C11 */
#include "io/version.h"

#include <uv.h>

const char *p2p__io_version(void)
{
    return uv_version_string();
}

#define _GNU_SOURCE /* <uv.h> does not compile under strict C11 */
#include "io/version.h"

#include <ares.h>
#include <uv.h>

const char *p2p__io_version(size_t index, const char **version)
{
    *version = index == 0 ? uv_version_string() : ares_version(NULL);
    return index == 0 ? "libuv" : "c-ares";
}

#include "paths.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

const char *environment(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value ? value : NULL;
}

/* A relative one is not valid, the XDG says. */
static const char *folder_of(const char *variable)
{
    const char *folder = getenv(variable);
    return folder && folder[0] == '/' ? folder : NULL;
}

bool path_config(struct text *out, const char *name)
{
    const char *config = folder_of("XDG_CONFIG_HOME"), *home = folder_of("HOME");
    if (config) {
        text_addf(out, "%s/p2p/%s", config, name);
        return true;
    }
    const struct passwd *user = home ? NULL : getpwuid(getuid());
    if (user)
        home = user->pw_dir;
    if (!home || home[0] != '/')
        return false;
    text_addf(out, "%s/.config/p2p/%s", home, name);
    return true;
}

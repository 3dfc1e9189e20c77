#define _GNU_SOURCE
#include "io/memory_limit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_MAX_LEN = 1024 };

/* "max" has no digits. */
static uint64_t read_bytes(const char *path)
{
    char text[64] = "", *end;
    FILE *file = fopen(path, "re");
    if (!file)
        return UINT64_MAX;
    bool any = fgets(text, sizeof(text), file) != NULL;
    fclose(file);
    errno = 0;
    unsigned long long bytes = strtoull(text, &end, 10);
    return any && end != text && errno == 0 && bytes > 0 ? bytes : UINT64_MAX;
}

/* A group's parents limit it as well. In a container the path may be that of the system outside:
 * the mount's root is then the group itself. */
static uint64_t least_of(const char *mount, char *group, const char *file)
{
    char path[2 * PATH_MAX_LEN];
    uint64_t least = UINT64_MAX;
    for (;;) {
        snprintf(path, sizeof(path), "%s%s/%s", mount, group, file);
        uint64_t bytes = read_bytes(path);
        least = bytes < least ? bytes : least;
        char *slash = strrchr(group, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

/* "4:memory:/group" (the first version) or "0::/group" (the second). */
static uint64_t of_line(char *line, const char *root)
{
    char mount[PATH_MAX_LEN];
    char *kinds = strchr(line, ':');
    char *group = kinds ? strchr(kinds + 1, ':') : NULL;
    if (!group)
        return UINT64_MAX;
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    kinds++;
    if (!*kinds)
        return least_of(root, group, "memory.max");
    if (strcmp(kinds, "memory") != 0)
        return UINT64_MAX;
    snprintf(mount, sizeof(mount), "%.1000s/memory", root);
    return least_of(mount, group, "memory.limit_in_bytes");
}

uint64_t p2p__memory_limit(const char *groups, const char *root)
{
    char line[PATH_MAX_LEN];
    uint64_t least = UINT64_MAX;
    FILE *file = fopen(groups, "re");
    while (file && fgets(line, sizeof(line), file)) {
        uint64_t bytes = of_line(line, root);
        least = bytes < least ? bytes : least;
    }
    if (file)
        fclose(file);
    return least;
}

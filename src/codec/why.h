/* A sentence for a person, in the caller's memory: why what was read is of no use. */
#ifndef P2P_CODEC_WHY_H
#define P2P_CODEC_WHY_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

struct why {
    char *text; /* NULL: nobody asks */
    size_t cap;
};

/* Returns code. What does not fit is cut. */
__attribute__((format(printf, 3, 4))) static inline int why_fail(const struct why *self, int code,
                                                                 const char *format, ...)
{
    if (self->text && self->cap > 0) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(self->text, self->cap, format, args);
        va_end(args);
    }
    return code;
}

#endif

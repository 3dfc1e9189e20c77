/* What comes in on a control socket, and what a node is said to have answered. */
#include <stdint.h>
#include <stdlib.h>

#include "cli/json_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Every text ends within what was allocated for it, and every member has a key. */
static size_t walk(const struct json_value *value)
{
    size_t sum = 0;
    for (const char *c = value->text; c && *c; c++)
        sum += (size_t)*c;
    for (const struct json_value *item = value->first; item; item = item->next) {
        if ((value->type == JSON_OBJECT) != (item->key != NULL))
            abort();
        sum += walk(item);
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct json_doc doc;
    if (json_parse(&doc, (const char *)data, len)) {
        volatile size_t sum = walk(doc.root);
        (void)sum;
        (void)json_text(doc.root, "request");
    } else if (doc.root) {
        abort();
    }
    json_free(&doc);
    return 0;
}

/* requests.c - what serve takes from a request: Host, path, arguments; libmicrohttpd's own parsing is left out
 *
 * An input is texts that end with 0: Host, path, and the arguments that the server asks for.                     */
#include "fuzz.h"
#include "serve/guard.h"
#include "serve/page.h"
#include "serve/question.h"

enum { ARGUMENTS = 8, TEXT = 512 };

typedef struct arguments {
    char name[ARGUMENTS][TEXT];
    const char *value[ARGUMENTS];
    int n;
} arguments;

static const char *argument(void *context, const char *name)
{
    const arguments *a = context;

    for (int i = 0; i < a->n; i++)
        if (strcmp(a->name[i], name) == 0)
            return a->value[i];
    return NULL;
}

/* name=value, split as a server does it; a name alone has an empty value. */
static void take_argument(arguments *a, fuzz_input *in)
{
    char *const at = a->name[a->n];
    char *const equals = strchr(fuzz_text(in, at, TEXT), '=') != NULL ? strchr(at, '=') : NULL;

    if (equals != NULL)
        *equals = '\0';
    a->value[a->n++] = equals != NULL ? equals + 1 : "";
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const mscope_texts names = { .at = { "box", "gpu7.example" }, .n = 2 };
    static arguments a;
    fuzz_input in = { bytes, len };
    char host[TEXT], path[TEXT];
    mscope_question q;

    const int ours = mscope_guard_host(fuzz_text(&in, host, sizeof host), &names);
    FUZZ_HOLDS(ours == 0 || strlen(host) <= 255 + 8);
    FUZZ_HOLDS(strpbrk(host, "/@?#\\") == NULL || !ours);
    const mscope_page_file *const file = mscope_page_file_at(fuzz_text(&in, path, sizeof path));
    FUZZ_HOLDS(file == NULL || (strcmp(file->path, path) == 0 && file->len > 0));
    for (a.n = 0; a.n < ARGUMENTS && in.left > 0;)
        take_argument(&a, &in);
    if (mscope_question_read(&q, argument, &a) != 0)
        return 0;
    FUZZ_HOLDS(q.limit >= -1 && q.limit <= 1000000 && (q.alarms == 0 || q.alarms == 1));
    FUZZ_HOLDS(q.after > -9e15 && q.after < 9e15 && q.from > -9e15 && q.from < 9e15);
    FUZZ_HOLDS(q.since > -9000000000000000 && q.since < 9000000000000000);
    return 0;
}

/* settings.c - see settings.h */
#include "settings.h"

#include <stdio.h>
#include <string.h>

#include "bench/schedules.h"

/* The next "name=value" of a key from *at on: its start and length, name_len to the sign. NULL: no more. */
static const char *setting(const char **at, size_t *len, size_t *name_len)
{
    for (; **at != '\0'; *at += *len) {
        *at += strspn(*at, " ");
        *len = strcspn(*at, " ");
        *name_len = strcspn(*at, "= ");
        if (*name_len < *len) {
            const char *found = *at;
            *at += *len;
            return found;
        }
    }
    return NULL;
}

/* What a key says of a name: the start of "name=value" and its length, or NULL. */
static const char *find_setting(const char *key, const char *name, size_t name_len, size_t *len)
{
    const char *at = key, *s;
    size_t its_len;
    while ((s = setting(&at, len, &its_len)) != NULL)
        if (its_len == name_len && memcmp(s, name, name_len) == 0)
            return s;
    return NULL;
}

/* Is this name one of a schedule's parameters? Settings that differ in any other are different problems. */
static int of_schedule(const char *name, size_t name_len)
{
    for (size_t i = 0; mscope_bench_rule_params[i].name != NULL; i++)
        if (strlen(mscope_bench_rule_params[i].name) == name_len &&
            memcmp(mscope_bench_rule_params[i].name, name, name_len) == 0)
            return 1;
    return 0;
}

static int differs(const mscope_result *b, const char *s, size_t len, size_t name_len)
{
    size_t its_len;
    const char *its = find_setting(b->key, s, name_len, &its_len);
    return its == NULL || its_len != len || memcmp(its, s, len) != 0;
}

static int named(const char *name, size_t name_len, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(list[i]) == name_len && memcmp(list[i], name, name_len) == 0)
            return 1;
    return 0;
}

int mscope_same_problem(const mscope_result *a, const mscope_result *b)
{
    const char *at = a->key, *s;
    size_t len, name_len;
    if (strcmp(a->workload, b->workload) != 0 || strcmp(a->schedule, b->schedule) != 0 ||
        strcmp(a->semantics, b->semantics) != 0)
        return 0;
    while ((s = setting(&at, &len, &name_len)) != NULL)
        if (!of_schedule(s, name_len) && differs(b, s, len, name_len))
            return 0;
    return 1;
}

int mscope_same_but_rates(const mscope_result *a, const mscope_result *b)
{
    static const char *const rates[] = { "eta", "eps" };
    const char *at = a->key, *s;
    size_t len, name_len;
    if (!mscope_same_problem(a, b))
        return 0;
    while ((s = setting(&at, &len, &name_len)) != NULL)
        if (!named(s, name_len, rates, 2) && differs(b, s, len, name_len))
            return 0;
    return 1;
}

void mscope_what_varies(const mscope_results *all, const mscope_result *r, char *out, size_t cap)
{
    static const char *const said[] = { "eta", "eps", "batch", "seed" };
    const char *at = r->key, *s;
    size_t len, name_len, n = 0;
    out[0] = '\0';
    while ((s = setting(&at, &len, &name_len)) != NULL) {
        int varies = 0;
        for (size_t i = 0; i < all->n && !varies && !named(s, name_len, said, 4); i++)
            varies = strcmp(all->at[i].workload, r->workload) == 0 && strcmp(all->at[i].schedule, r->schedule) == 0 &&
                     differs(&all->at[i], s, len, name_len);
        if (varies && n + len + 3 <= cap)
            n += (size_t)snprintf(out + n, cap - n, ", %.*s", (int)len, s);
    }
}

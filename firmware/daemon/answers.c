/* answers.c - see answers.h */
#include "answers.h"

#include <stdlib.h>
#include <string.h>

size_t mscope_answers_mem(size_t slots)
{
    return 3 * (slots + 1) * sizeof(uint32_t);
}

void mscope_answers_init(mscope_answers *a, const mscope_topics *topics, void *mem)
{
    *a = (mscope_answers){ .topics = topics };
    a->slot = mem;
    a->now = (int32_t *)mem + topics->slots + 1;
    a->next = a->now + topics->slots + 1;
}

void mscope_answers_add(mscope_answers *a, const mscope_topic *t)
{
    if (a->n < a->topics->slots)
        a->slot[a->n++] = (uint32_t)(t - a->topics->at);
}

/* -- order ---------------------------------------------------------------------------------------- */

static int by_name(const void *x, const void *y, void *answers)
{
    const mscope_answers *a = answers;
    uint32_t i, k;

    memcpy(&i, x, sizeof i);
    memcpy(&k, y, sizeof k);
    return strcmp(a->topics->at[i].name, a->topics->at[k].name);
}

/* Places move, and with them what is owed: everything is, once. That is rare, topics are few and stay. */
static void sort(mscope_answers *a)
{
    const mscope_topics *t = a->topics;

    if (a->let_go == t->let_go && a->sorted == a->n)
        return;
    if (a->let_go != t->let_go) {
        a->n = 0;
        for (size_t i = 0; i < t->slots; i++)
            if (t->at[i].name[0] != '\0')
                a->slot[a->n++] = (uint32_t)i;
        a->let_go = t->let_go;
    }
    qsort_r(a->slot, a->n, sizeof *a->slot, by_name, a);
    a->sorted = a->n;
    if (!a->sweeping && !a->waiting)
        return;
    memset(a->now, 0, (t->slots + 1) * sizeof *a->now);
    memset(a->next, 0, (t->slots + 1) * sizeof *a->next);
    a->next[0] = 1;
    a->next[a->n] = -1;
    a->sweeping = 0;
    a->waiting = 1;
}

/* The first place whose name is not below the prefix, or with `past` the first that is above and does not have it. */
static size_t search(const mscope_answers *a, const char *prefix, size_t len, int past)
{
    size_t low = 0, high = a->sorted;

    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const int order = strncmp(a->topics->at[a->slot[mid]].name, prefix, len);
        if (order < 0 || (past && order == 0))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* -- asking and answering ------------------------------------------------------------------------- */

void mscope_answers_ask(mscope_answers *a, const uint8_t *prefix, size_t len)
{
    if (len >= MSCOPE_TOPIC_MAX || memchr(prefix, 0, len) != NULL)
        return;                              /* no topic is like that */
    sort(a);
    const size_t first = search(a, (const char *)prefix, len, 0), end = search(a, (const char *)prefix, len, 1);
    if (first >= end || a->next[first] == INT32_MAX || a->next[end] == -INT32_MAX)
        return;
    a->next[first]++;
    a->next[end]--;
    a->waiting = 1;
}

static void begin(mscope_answers *a)
{
    int32_t *const was = a->now;

    a->now = a->next;
    a->next = was;                           /* all zero: the sweep before has passed it */
    a->at = 0;
    a->owed = 0;
    a->sweeping = 1;
    a->waiting = 0;
}

const mscope_topic *mscope_answers_next(mscope_answers *a)
{
    if (!a->sweeping && a->waiting)
        begin(a);
    while (a->sweeping && a->at < a->sorted) {
        const mscope_topic *t = &a->topics->at[a->slot[a->at]];
        a->owed += a->now[a->at];
        a->now[a->at++] = 0;
        if (a->owed > 0 && t->len > 0)
            return t;
    }
    if (a->sweeping)
        a->now[a->sorted] = 0;
    a->sweeping = 0;
    return NULL;
}

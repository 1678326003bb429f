/* topics.c - see topics.h */
#include "topics.h"

#include <string.h>

#include "protocol/bytes.h"

static void let_go(mscope_topics *all, mscope_topic *t)
{
    if (t->next > all->floor)
        all->floor = t->next;
    memset(t, 0, sizeof *t);
    all->count--;
    all->let_go++;
}

/* Let go the topics of the older half of the dropped tables. This is rare, so a pass over all slots is cheap
 * enough. The other topics keep their slots, which the replay block names; a search is led past slots that
 * became free on its way. */
static void make_room(mscope_topics *all)
{
    const size_t mask = all->slots - 1;
    uint64_t oldest = all->tables_gone;

    for (size_t i = 0; i <= mask; i++) {
        all->at[i].left = 0;
        if (all->at[i].gone != 0 && all->at[i].gone < oldest)
            oldest = all->at[i].gone;
    }
    for (size_t i = 0; i <= mask; i++)
        if (all->at[i].gone != 0 && all->at[i].gone <= oldest + (all->tables_gone - oldest) / 2)
            let_go(all, &all->at[i]);
    for (size_t i = 0; i <= mask; i++)
        for (size_t k = (size_t)mscope_fnv1a(all->at[i].name) & mask; all->at[i].name[0] != '\0' && k != i;
             k = (k + 1) & mask)
            all->at[k].left = all->at[k].name[0] == '\0';
}

/* Numbers start above all of topics that were let go: a subscriber who knew this name before takes no record for a
 * repeat. */
static mscope_topic *take(mscope_topics *all, mscope_topic *t, const char *name)
{
    all->count++;
    memset(t, 0, sizeof *t);
    memcpy(t->name, name, strlen(name) + 1);
    t->first = t->next = all->floor;
    t->generation = ++all->made;
    return t;
}

/* The topic of this name, or NULL and, where there is one, a free slot for it. */
static mscope_topic *search(const mscope_topics *all, const char *name, mscope_topic **spare)
{
    const size_t mask = all->slots - 1;
    size_t i = (size_t)mscope_fnv1a(name) & mask;

    *spare = NULL;
    for (size_t n = 0; n <= mask; n++, i = (i + 1) & mask) {
        mscope_topic *t = &all->at[i];
        if (name[0] != '\0' && strcmp(t->name, name) == 0)
            return t;
        if (t->name[0] != '\0')
            continue;
        if (*spare == NULL)
            *spare = t;
        if (!t->left)
            break;
    }
    return NULL;
}

mscope_topic *mscope_topic_find(const mscope_topics *all, const char *name)
{
    mscope_topic *spare;

    return search(all, name, &spare);
}

mscope_topic *mscope_topic_make(mscope_topics *all, const char *name)
{
    const size_t most = (all->slots - 1) * 3 / 4;
    mscope_topic *spare, *t = search(all, name, &spare);

    if (t != NULL)
        return t;
    if (all->count > most) {
        make_room(all);
        (void)search(all, name, &spare);         /* it may end at another slot now */
    }
    return all->count > most || spare == NULL ? NULL : take(all, spare, name);
}

static void mark(mscope_topics *all, const mscope_record *r, int anew)
{
    char name[MSCOPE_TOPIC_MAX];
    mscope_topic *t;

    (void)mscope_record_topic(r, name);
    if ((t = mscope_topic_find(all, name)) == NULL)
        return;
    t->gone = all->tables_gone;
    if (anew) {
        t->first = t->next;
        t->len = 0;
    }
}

void mscope_topics_drop(mscope_topics *t, const char table[MSCOPE_NAME_MAX + 1], int anew)
{
    mscope_record all = { .kind = MSCOPE_REC_TABLE }, band = { .kind = MSCOPE_REC_BAND },
                  acf = { .kind = MSCOPE_REC_ACF }, stability = { .kind = MSCOPE_REC_STABILITY };

    t->tables_gone++;
    memcpy(all.u.table.table, table, sizeof all.u.table.table);
    memcpy(band.u.band.table, table, sizeof band.u.band.table);
    memcpy(acf.u.acf.table, table, sizeof acf.u.acf.table);
    memcpy(stability.u.stability.table, table, sizeof stability.u.stability.table);
    mark(t, &all, anew);
    mark(t, &stability, anew);
    for (unsigned b = 0; b < MSCOPE_BANDS; b++) {
        band.u.band.band = acf.u.acf.band = b;
        mark(t, &band, anew);
        mark(t, &acf, anew);
    }
}

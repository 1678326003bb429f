/* set_json.c - see set_json.h */
#include "set_json.h"

#include <inttypes.h>

#include "common/json.h"
#include "record_json.h"

void mscope_json_coverage(FILE *to, const char *table, const mscope_coverage *c)
{
    fprintf(to,
            "{\"topic\":\"shards/%s\",\"shards\":%zu,\"complete\":%s,\"step\":%" PRIu64 ",\"skew\":%" PRIu64
            ",\"missing\":",
            table, c->shards, c->missing[0] != '\0' ? "false" : "true", c->step, c->skew);
    mscope_json_string(to, c->missing);
    fputs("}\n", to);
}

void mscope_json_set(FILE *to, const mscope_judged *j, const mscope_coverage *coverage)
{
    const mscope_latest *l = &j->latest;

    if (l->have_daemon)
        mscope_json_record(to, &l->daemon, NULL, NULL);
    for (size_t i = 0; i < l->tables; i++) {
        const mscope_latest_table *t = &l->table[i];
        if (t->have_table)
            mscope_json_record(to, &t->table, NULL, NULL);
        if (t->have_table && coverage != NULL)
            mscope_json_coverage(to, t->name, &coverage[i]);
        for (int b = 0; b < MSCOPE_BANDS; b++)
            if (t->have[b])
                mscope_json_record(to, &t->band[b], &j->verdict[i][b], NULL);
        if (t->have_stability)
            mscope_json_record(to, &t->stability, NULL, &j->margin[i]);
    }
}

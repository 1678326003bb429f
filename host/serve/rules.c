/* rules.c - see rules.h */
#include "rules.h"

#include <stddef.h>

#include "names.h"

/* @record.field@ stands for the series of a field. Levels and codes are those of exposition.c. */
static const struct record {
    const char *name, *of;
} records[] = {
    { "momentscope:table_level:worst", "max by (source) (momentscope_table_level)" },
    { "momentscope:limit_ratio:worst", "max by (source, table) (momentscope_band_limit_ratio)" },
    { "momentscope:steps_applied:rate1m", "rate(@daemon.steps_applied@[1m])" },
    { "momentscope:steps_lost:increase10m", "increase(@daemon.lost_steps@[10m])" },
    { "momentscope:momentum:sum", "sum by (source, table) (@band.V@)" },
};

static const struct alert {
    const char *name, *when, *lasts, *severity, *summary, *description;
} alerts[] = {
    { "MomentscopeUnstable", "momentscope_table_level == 5", "30s", "critical",
      "{{ $labels.table }}: the learning rate is above its limit",
      "The mean square error of some rows grows until it overflows. Lower the learning rate; momentscope advise says"
      " how far." },
    { "MomentscopeNearInstability", "momentscope_table_level == 4", "2m", "warning",
      "{{ $labels.table }}: the learning rate is within a fifth of its limit",
      "Batch noise is amplified and a burst can diverge. momentscope check names the bands." },
    { "MomentscopeGrowing", "momentscope_table_level == 3", "1m", "warning",
      "{{ $labels.table }}: momentum or rows grow beyond what they have been",
      "Look at the loss. If it rises too, lower the learning rate or go back to a checkpoint." },
    { "MomentscopeTableNotExact", "momentscope_table_level == 2", "10m", "warning",
      "{{ $labels.table }}: the daemon's rows are not the trainer's",
      "Steps were lost or rows not yet seen; R, V and C are wrong until a SYNC. The daemon's log says why. Rows that"
      " the trainer rounds to half or bfloat16 never are: silence this for them." },
    { "MomentscopeStepsLost", "increase(@table.lost_steps@[10m]) > 0", "0s", "warning",
      "{{ $labels.table }}: {{ $value | humanize }} steps never arrived in ten minutes",
      "The trainer sends faster than the daemon takes, or the daemon was stopped." },
    { "MomentscopeMessagesRefused", "increase(@table.refused_messages@[10m]) > 0", "0s", "warning",
      "{{ $labels.table }}: the daemon refused messages",
      "The daemon's log names the field, the value and the range." },
    { "MomentscopeRecordsDropped", "increase(@daemon.records_dropped@[10m]) > 0", "0s", "warning",
      "{{ $labels.source }}: the daemon did not publish some records", "Its publisher fell behind: a longer --interval"
      " or fewer tables help." },
    { "MomentscopeDaemonSilent", "momentscope_source_up == 0", "1m", "critical",
      "{{ $labels.source }}: no record comes from this daemon",
      "The daemon was stopped, or its address is another one. Training goes on without it." },
};

static void quoted(FILE *to, const char *s)
{
    fputc('\'', to);
    for (; *s != '\0'; s++)
        fputs(*s == '\'' ? "''" : (char[]){ *s, '\0' }, to);
    fputs("'\n", to);
}

int mscope_rules(FILE *to)
{
    fprintf(to, "# Made by `momentscope export rules`. promtool check rules FILE.\ngroups:\n"
                "  - name: momentscope-recording\n    rules:\n");
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        fprintf(to, "      - record: %s\n        expr: ", records[i].name);
        if (mscope_name_expand(to, records[i].of) != 0)
            return -1;
        fputc('\n', to);
    }
    fprintf(to, "  - name: momentscope-alerts\n    rules:\n");
    for (size_t i = 0; i < sizeof alerts / sizeof *alerts; i++) {
        fprintf(to, "      - alert: %s\n        expr: ", alerts[i].name);
        if (mscope_name_expand(to, alerts[i].when) != 0)
            return -1;
        fprintf(to, "\n        for: %s\n        labels:\n          severity: %s\n        annotations:\n"
                "          summary: ", alerts[i].lasts, alerts[i].severity);
        quoted(to, alerts[i].summary);
        fputs("          description: ", to);
        quoted(to, alerts[i].description);
    }
    return 0;
}

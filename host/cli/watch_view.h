/* watch_view.h - what watch knows, and how it looks as text */
#ifndef MSCOPE_WATCH_VIEW_H
#define MSCOPE_WATCH_VIEW_H

#include <stdio.h>

#include "diagnose/spectrum.h"
#include "mscope/client.h"

typedef struct mscope_watched {          /* one table and its bands, latest records               */
    mscope_telemetry table;
    mscope_telemetry band[MSCOPE_BANDS];
    mscope_telemetry acf[MSCOPE_BANDS];
    int have_table, have[MSCOPE_BANDS], have_acf[MSCOPE_BANDS];
    mscope_verdict verdict[MSCOPE_BANDS];    /* of band, each with the one before it in mind          */
    uint64_t epoch;
} mscope_watched;

typedef struct mscope_view {
    mscope_watched *table;
    size_t tables;
    mscope_telemetry daemon;
    int have_daemon;
    char alert[MSCOPE_TEXT_MAX + 1];     /* the latest one                                        */
    const struct mscope_feed *feed;    /* where records come from, for what is said of shards; may be NULL */
} mscope_view;

/* mscope_view_take - fold one record in; ENOMEM */
MSCOPE_MUST_CHECK int mscope_view_take(mscope_view *v, const mscope_telemetry *m);
/* mscope_view_modes - what the band's autocorrelation says: in *modes, and beside its verdict in a sentence
 * Returns  whether there is one; without, *modes is unknown and say empty */
int mscope_view_modes(const mscope_watched *w, int band, mscope_modes *modes, enum mscope_agreement *agrees, char *say,
                      size_t cap);
/* mscope_view_complete - is every band that every table names there, and at least one? */
int mscope_view_complete(const mscope_view *v);
/* mscope_view_print - the tables and one sentence a band, plain text
 * width: columns of the window, some leave until the rest fits, never regime, H and zeta; 0: all of them */
void mscope_view_print(const mscope_view *v, const mscope_subscriber_stats *stats, int width, FILE *to);
/* mscope_view_timing - one line: how far the daemon was from its duties */
void mscope_view_timing(const mscope_rec_daemon *d, FILE *to);
/* mscope_view_shards - for check and advise: a line, or a JSON object, for each table in shards: how far they are apart,
 * which one is missing. Nothing with one daemon */
void mscope_view_shards(const mscope_view *v, int json, FILE *to);
void mscope_view_json(const mscope_view *v, FILE *to);
void mscope_view_fini(mscope_view *v);
/* mscope_view_refused - say which address mscope_subscribe just refused and why; returns the exit code for rc */
int mscope_view_refused(const char *command, int rc);

#endif

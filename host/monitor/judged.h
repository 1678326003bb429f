/* judged.h - the latest records with a verdict for each band, and one for each stability record
 *
 * A verdict keeps the one before it in mind (mscope_verdict_after), so a band on a border does not flicker.       */
#ifndef MSCOPE_MONITOR_JUDGED_H
#define MSCOPE_MONITOR_JUDGED_H

#include "diagnose/spectrum.h"
#include "latest.h"

typedef struct mscope_judged {
    mscope_latest latest;
    mscope_verdict (*verdict)[MSCOPE_BANDS];     /* [i][b] of latest.table[i].band[b], where latest has the band */
    mscope_margin *margin;                       /* [i] of latest.table[i].stability, where latest has one       */
    unsigned char *covered;                      /* [i]: a stability record covers table i                       */
    size_t rooms;                                /* tables that these three have room for                        */
} mscope_judged;

/* mscope_judged_take - fold one record in, and judge it if it is a band's or about stability
 *
 * news and before may be NULL. Where news names a band, before gets the regime that the band was in: UNKNOWN if the set
 * had no record of it.
 * Errors   MSCOPE_ENOMEM; the set is as it was                                                                 */
MSCOPE_MUST_CHECK int mscope_judged_take(mscope_judged *j, const mscope_telemetry *m, mscope_news *news,
                                         enum mscope_regime *before);

/* mscope_judged_margin - the verdict on the stability record that covers table i, or NULL: none does */
const mscope_margin *mscope_judged_margin(const mscope_judged *j, size_t i);

/* mscope_judged_bands - the records of the bands of table i, frequent rows first.  Shape rec: room for all bands */
size_t mscope_judged_bands(const mscope_judged *j, size_t i, const mscope_rec_band **rec);

/* mscope_judged_modes - what the autocorrelation of band b of table i says: *modes, and one sentence beside the verdict
 *
 * Returns  1; 0 where there is none: *modes is unknown then and say is ""                                      */
int mscope_judged_modes(const mscope_judged *j, size_t i, int b, mscope_modes *modes, enum mscope_agreement *agrees,
                        char *say, size_t cap);

/* mscope_judged_fini - give the memory back; the set is empty then */
void mscope_judged_fini(mscope_judged *j);

#endif

/* spectrum.h - oscillation as the autocorrelation of the momentum shows it, compared with the model
 *
 * The mean of a reference autocorrelation is a sum of the two modes of the mean map (firmware/README.md, section 5).
 * ESPRIT of order 2 finds them; a periodogram gives the coarse picture. Rows of unequal frequency dephase, and zeta is
 * then too high. So the autocorrelation confirms or contradicts oscillation; it never decides a regime. */
#ifndef MSCOPE_DIAGNOSE_SPECTRUM_H
#define MSCOPE_DIAGNOSE_SPECTRUM_H

#include "verdict.h"
#include "mscope/wire.h"

#define MSCOPE_ACF_REFERENCES 4      /* with fewer completed references the modes are unknown       */

enum mscope_modes_kind {
    MSCOPE_MODES_UNKNOWN,            /* why gives the reason                                        */
    MSCOPE_MODES_PAIR,               /* an oscillation                                              */
    MSCOPE_MODES_REAL,               /* decay without oscillation                                   */
    MSCOPE_MODES_ONE                 /* one decay; the other mode is below the noise                */
};

typedef struct mscope_modes {
    enum mscope_modes_kind kind;
    double omega;                    /* radian per active update; 0 unless a pair, NaN: unknown     */
    double zeta;                     /* apparent damping, an upper bound; NaN: unknown              */
    double peak;                     /* frequency of the periodogram's peak, 0: none, NaN: unknown  */
    double clear;                    /* second singular value over the third: above 2 is a signal   */
    double nyquist;                  /* fastest frequency the lags can show, pi/stride              */
    uint64_t references;
    char why[MSCOPE_TEXT_MAX + 1];
} mscope_modes;

/* mscope_modes_of - the modes of one record.  Threads one at a time (FFTW's planner).  Cost 48^3 operations
 *
 * Errors   MSCOPE_ENOMEM; *out is unknown then                                                               */
MSCOPE_MUST_CHECK int mscope_modes_of(const mscope_rec_acf *a, mscope_modes *out);

enum mscope_agreement { MSCOPE_NO_WORD, MSCOPE_AGREES, MSCOPE_CONTRADICTS };

/* mscope_modes_against - does the autocorrelation agree with the verdict? say gets one sentence
 *
 * A frequency within a fifth of the model's agrees. Where v has no omega (NaN, no probe) the sentence only reports. */
enum mscope_agreement mscope_modes_against(const mscope_modes *m, const mscope_verdict *v, char *say, size_t cap);

#endif

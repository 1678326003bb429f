/* report.h - a story as one HTML file: the page with the data inside */
#ifndef MSCOPE_SERVE_REPORT_H
#define MSCOPE_SERVE_REPORT_H

#include <stdio.h>

#include "ledger.h"
#include "story.h"

enum { MSCOPE_REPORT_BYTES = 1900000 };  /* series are thinned out until the file is smaller */

typedef struct mscope_report {
    mscope_story *story;
    mscope_ledger *ledger;               /* what happened                                                       */
    const char *name;                    /* of the run: a file's name                                           */
    const char *how;                     /* how the numbers were got, in a sentence                             */
} mscope_report;

/* mscope_report_html - write it
 *
 * The data are JSON in a script element that no browser runs; "<" is escaped in it. The file's own policy lets the one
 * script run and nothing be loaded.
 * Returns  0, or MSCOPE_ENOMEM; writing errors stay in to                                                        */
MSCOPE_MUST_CHECK int mscope_report_html(const mscope_report *r, FILE *to);

/* mscope_report_json - the data alone */
MSCOPE_MUST_CHECK int mscope_report_json(const mscope_report *r, FILE *to);

#endif

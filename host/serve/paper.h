/* paper.h - a report for a paper: pages drawn by cairo */
#ifndef MSCOPE_SERVE_PAPER_H
#define MSCOPE_SERVE_PAPER_H

#include "report.h"

/* mscope_paper_knows - does the ending of path name a format that is drawn: .pdf, .svg, .png? */
int mscope_paper_knows(const char *path);

/* mscope_paper_draw - the report of its worst table. .pdf has all pages, .svg and .png the first one
 *
 * Errors   MSCOPE_EINVAL no table; MSCOPE_EIO the file cannot be written; *why says it, static               */
MSCOPE_MUST_CHECK int mscope_paper_draw(const mscope_report *r, const char *path, const char **why);

#endif

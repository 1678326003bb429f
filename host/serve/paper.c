/* paper.c - see paper.h: three pages in units of the canvas; one unit is .62 points, so text of 12 is 7.5 points */
#include "paper.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cairo-pdf.h>
#include <cairo-svg.h>

#include "common/whole.h"
#include "diagnose/counsel.h"
#include "monitor/plane.h"
#include "paper_charts.h"

enum { WIDE = 960, TALL = 1358, MARGIN = 48, ALERTS = 30 };
enum { COLUMN_V = 3, COLUMN_H = 4, COLUMN_ZETA = 5, COLUMN_NOISE = 6 };    /* of MSCOPE_STORY_BAND */

static const double UNIT = 0.62;

typedef struct sheet {
    mscope_canvas canvas;
    const mscope_report *report;
    size_t table;
    double y;                        /* where the next line goes                       */
    int later;                       /* the timeline found no place on the first page  */
} sheet;

/* -- text --------------------------------------------------------------------------------------------------- */

static void weight(const sheet *s, int bold)
{
    cairo_select_font_face(s->canvas.cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
}

static double wide(const sheet *s, const char *text, double size)
{
    cairo_text_extents_t e;

    cairo_set_font_size(s->canvas.cr, size);
    cairo_text_extents(s->canvas.cr, text, &e);
    return e.x_advance;
}

/* Words of text in lines between the margins; cut at `lines` lines. */
static void paragraph(sheet *s, const char *text, double size, double indent, int lines)
{
    char line[512] = "";

    while (*text != '\0' && lines > 0) {
        const size_t word = strcspn(text, " \n"), len = strlen(line);
        char longer[sizeof line + 256];
        snprintf(longer, sizeof longer, "%s%s%.*s", line, len > 0 ? " " : "", (int)(word < 200 ? word : 200), text);
        if (len > 0 && wide(s, longer, size) > WIDE - 2 * MARGIN - indent) {
            mscope_canvas_text(&s->canvas, MARGIN + indent, s->y, 0, size, line);
            s->y += 1.35 * size;
            line[0] = '\0';
            lines--;
            continue;
        }
        snprintf(line, sizeof line, "%.511s", longer);
        text += word;
        text += strspn(text, " \n");
    }
    if (line[0] != '\0' && lines > 0) {
        mscope_canvas_text(&s->canvas, MARGIN + indent, s->y, 0, size, line);
        s->y += 1.35 * size;
    }
}

static void heading(sheet *s, const char *text, double size)
{
    weight(s, 1);
    paragraph(s, text, size, 0, 3);
    weight(s, 0);
    s->y += 0.2 * size;
}

/* -- pages --------------------------------------------------------------------------------------------------- */

static void say_facts(sheet *s)
{
    const mscope_rec_table *r = &s->report->story->judged.latest.table[s->table].table.record.u.table;
    char text[320];

    snprintf(text, sizeof text,
             "step %" PRIu64 ", eta %.4g, beta %.6g, batch %.4g, %" PRIu64 " rows x %" PRIu64 ", %s form; %s", r->step,
             r->eta, 1 - r->eps, r->batch, r->rows, r->d, r->form, s->report->how);
    paragraph(s, text, 13, 0, 3);
}

static void page_one(sheet *s)
{
    const mscope_told *t = &s->report->story->table[s->table];
    const char *name = s->report->story->judged.latest.table[s->table].name;
    mscope_plane plane;
    char text[512];

    s->y = 66;
    snprintf(text, sizeof text, "Table %s: %s", name, t->word.sentence);
    heading(s, text, 23);
    snprintf(text, sizeof text, "%s%s Since step %.0f.", t->word.why, t->word.why[0] != '\0' ? "." : "", t->since_step);
    paragraph(s, text, 14, 0, 3);
    say_facts(s);
    mscope_plane_of(&plane, &s->report->story->judged, s->table);
    if (plane.dots > 0 && plane.eps > 0 && plane.batch > 0) {
        cairo_save(s->canvas.cr);
        cairo_translate(s->canvas.cr, 20, s->y);
        mscope_plane_paint(&plane, &s->canvas);
        cairo_restore(s->canvas.cr);
        s->y += 520;
    } else {
        paragraph(s, "No band has both a rate and a curvature: nobody measured it.", 14, 0, 2);
    }
    const double top = s->y;
    const int left =
        mscope_paper_chart(&s->canvas, t, COLUMN_V, "V, sum over the band's rows of |m|^2", -30, top, 360, 170);
    const int right = mscope_paper_chart(&s->canvas, t, COLUMN_H, "H, eta over its limit", 440, top, 360, 170);
    s->y = top + (left || right ? 290 : 0);
    mscope_paper_key(&s->canvas, t, MARGIN, s->y);
    s->y += 40;
    if (s->y + mscope_paper_timeline_height(t) < TALL - 0.5 * MARGIN)
        (void)mscope_paper_timeline(&s->canvas, t, MARGIN, s->y, WIDE - 2 * MARGIN);
    else
        s->later = 1;
}

static int one_alert(void *context, const mscope_happening *h, const char *source, long long id)
{
    sheet *s = context;
    char text[700];

    (void)source;
    (void)id;
    snprintf(text, sizeof text, "step %.0f, %s: %s", h->step, h->code, h->text);
    paragraph(s, text, 12, 12, 3);
    return s->y > TALL - 80;
}

static void page_two(sheet *s)
{
    const mscope_told *t = &s->report->story->table[s->table];
    const mscope_ledger_query q = { .most = ALERTS };
    const int left =
        mscope_paper_chart(&s->canvas, t, COLUMN_ZETA, "zeta, damping: below .5 it swings", -30, 20, 360, 270);
    const int right = mscope_paper_chart(&s->canvas, t, COLUMN_NOISE, "noise scale, in samples", 440, 20, 360, 270);

    s->y = left || right ? 410 : 60;
    mscope_paper_key(&s->canvas, t, MARGIN, s->y);
    s->y += 60;
    if (s->later)
        s->y += mscope_paper_timeline(&s->canvas, t, MARGIN, s->y, WIDE - 2 * MARGIN) + 30;
    heading(s, "What happened", 16);
    if (mscope_ledger_each(s->report->ledger, &q, one_alert, s) <= 0)
        paragraph(s, "Nothing that the daemon or the verdicts had to tell.", 13, 0, 1);
}

/* A line of a table stays as it is, in letters of one width. */
static void table_line(sheet *s, const char *line)
{
    cairo_select_font_face(s->canvas.cr, "monospace", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    const double size = fmin(10.5, 10.5 * (WIDE - 2 * MARGIN) / fmax(wide(s, line, 10.5), 1));
    mscope_canvas_text(&s->canvas, MARGIN, s->y, 0, size, line);
    s->y += 15;
    weight(s, 0);
}

/* The sentences of `advise`, one by one. */
static void page_three(sheet *s)
{
    const mscope_judged *j = &s->report->story->judged;
    const mscope_measured_options o = { .spread = 1, .margin = mscope_judged_margin(j, s->table) };
    const mscope_rec_band *rec[MSCOPE_BANDS];
    const size_t n = mscope_judged_bands(j, s->table, rec);
    mscope_counsel *c = calloc(1, sizeof *c);
    char *said = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&said, &len);

    s->y = 66;
    heading(s, "What to change", 20);
    if (c != NULL && to != NULL) {
        (void)mscope_counsel_of(rec, n, &o, 0.1, c);
        mscope_counsel_say(c, to);
        if (c->possible)
            mscope_counsel_explain(c, to);
    }
    if (to != NULL && fclose(to) == 0)
        for (char *rest = said, *line; (line = strsep(&rest, "\n")) != NULL && s->y < TALL - 110;) {
            const size_t gap = strspn(line, " ");
            if (gap >= 2 && strstr(line + gap, "  ") != NULL)
                table_line(s, line);
            else if (line[gap] != '\0')
                paragraph(s, line + gap, 12, 5.0 * (double)(gap > 2 ? gap - 2 : 0), 4);
            else
                s->y += 8;
        }
    free(said);
    free(c);
    s->y += 16;
    paragraph(s,
              "Verdicts and advice were made anew from the records. host/README.md of momentscope says what each "
              "number means.",
              11, 0, 2);
}

/* -- the file -------------------------------------------------------------------------------------------------- */

static int ends(const char *path, const char *with)
{
    const size_t n = strlen(path), m = strlen(with);

    return n > m && strcmp(path + n - m, with) == 0;
}

int mscope_paper_knows(const char *path)
{
    return ends(path, ".pdf") || ends(path, ".svg") || ends(path, ".png");
}

static cairo_status_t keep(void *to, const unsigned char *bytes, unsigned len)
{
    return fwrite(bytes, 1, len, to) == len ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_NO_MEMORY;
}

/* The table to draw is the one that is worst. */
static int worst(const mscope_report *r, size_t *table)
{
    int found = 0;

    for (size_t i = 0; i < r->story->tables; i++)
        if (r->story->judged.latest.table[i].have_table &&
            (!found || r->story->table[i].word.level > r->story->table[*table].word.level)) {
            *table = i;
            found = 1;
        }
    return found;
}

static void begin_page(sheet *s)
{
    cairo_set_source_rgb(s->canvas.cr, 1, 1, 1);
    cairo_paint(s->canvas.cr);
    s->canvas.w = s->canvas.h = 0;
    weight(s, 0);
}

static cairo_status_t draw(sheet *s, cairo_surface_t *surface, const char *path, FILE *to)
{
    const int pdf = ends(path, ".pdf"), png = ends(path, ".png");
    cairo_status_t status;

    s->canvas.surface = surface;
    s->canvas.cr = cairo_create(surface);
    cairo_scale(s->canvas.cr, png ? 2 : UNIT, png ? 2 : UNIT);
    begin_page(s);
    page_one(s);
    if (pdf) {
        cairo_show_page(s->canvas.cr);
        begin_page(s);
        page_two(s);
        cairo_show_page(s->canvas.cr);
        begin_page(s);
        page_three(s);
    }
    status = cairo_status(s->canvas.cr);
    if (status == CAIRO_STATUS_SUCCESS && png)
        status = cairo_surface_write_to_png_stream(surface, keep, to);
    cairo_destroy(s->canvas.cr);
    cairo_surface_finish(surface);
    if (status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    return status;
}

int mscope_paper_draw(const mscope_report *r, const char *path, const char **why)
{
    sheet s = { .report = r };
    char *image = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&image, &len);
    cairo_status_t status = CAIRO_STATUS_NO_MEMORY;
    int rc = MSCOPE_EIO;

    *why = "there is no table";
    if (!worst(r, &s.table))
        rc = MSCOPE_EINVAL;
    else if (to != NULL)
        status = draw(&s, ends(path, ".pdf") ? cairo_pdf_surface_create_for_stream(keep, to, WIDE * UNIT, TALL * UNIT)
                          : ends(path, ".svg") ? cairo_svg_surface_create_for_stream(keep, to, WIDE * UNIT, TALL * UNIT)
                                               : cairo_image_surface_create(CAIRO_FORMAT_RGB24, 2 * WIDE, 2 * TALL),
                      path, to);
    if (to != NULL && fclose(to) != 0)
        status = CAIRO_STATUS_NO_MEMORY;
    if (rc == MSCOPE_EIO && status != CAIRO_STATUS_SUCCESS)
        *why = cairo_status_to_string(status);
    else if (rc == MSCOPE_EIO && mscope_whole_write(path, image, len) != 0)
        *why = strerror(errno);
    else if (rc == MSCOPE_EIO)
        rc = 0;
    free(image);
    mscope_canvas_end();
    return rc;
}

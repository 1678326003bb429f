/* report.c - see report.h */
#include "report.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/random.h>

#include "common/json.h"
#include "counselor.h"
#include "hub.h"
#include "page.h"
#include "story_json.h"

/* -- the data ---------------------------------------------------------------------------------------------- */

static void put_tables(const mscope_report *r, FILE *to)
{
    const mscope_judged *j = &r->story->judged;
    int any = 0;

    fputs("\"tables\":[", to);
    for (size_t i = 0; i < r->story->tables; i++) {
        if (!j->latest.table[i].have_table)
            continue;
        fprintf(to, "%s{\"source\":", any++ ? "," : "");
        mscope_json_string(to, r->name);
        fputs(",\"table\":", to);
        mscope_story_json_table(to, r->story, i, -1);
        fputs(",\"counsel\":", to);
        mscope_counsel_json_now(j, i, to);
        fputc('}', to);
    }
    fputs("]", to);
}

static void put_data(const mscope_report *r, FILE *to)
{
    const mscope_ledger_query newest = { .most = 200 };
    const mscope_subscriber_stats none = { 0 };
    const double now = r->story->heard_at;

    fputs("{\"title\":", to);
    mscope_json_string(to, r->name);
    fputs(",\"how\":", to);
    mscope_json_string(to, r->how);
    fprintf(to, ",\"state\":{\"program\":\"" MSCOPE_VERSION "\",\"now\":%.3f,\"alerts\":%lld,\"sources\":[", now,
            mscope_ledger_last(r->ledger));
    mscope_story_json_brief(to, r->story, r->name, r->name, "", now, &none, NULL);
    fputs("]},\"alerts\":", to);
    mscope_happenings_json(to, r->ledger, &newest);
    fputc(',', to);
    put_tables(r, to);
    fputs("}", to);
}

int mscope_report_json(const mscope_report *r, FILE *to)
{
    char *data = NULL;
    size_t len = 0;

    for (int tries = 8; ; tries--) {
        FILE *memory = open_memstream(&data, &len);
        if (memory == NULL)
            return MSCOPE_ENOMEM;
        put_data(r, memory);
        if (fclose(memory) != 0) {
            free(data);
            return MSCOPE_ENOMEM;
        }
        if (len < MSCOPE_REPORT_BYTES || tries == 0)
            break;                           /* records alone may be more: then it is a large report */
        mscope_story_thin(r->story);
        free(data);
        data = NULL;
    }
    /* a name could close the element: no "<" is left in it. Records end in line breaks, which JSON does not need */
    for (size_t i = 0; data != NULL && i < len; i++)
        if (data[i] == '<')
            fputs("\\u003c", to);
        else if (data[i] != '\n')
            fputc(data[i], to);
    free(data);
    return 0;
}

/* -- the page ------------------------------------------------------------------------------------------------ */

static void put_file(const char *path, FILE *to)
{
    const mscope_page_file *f = mscope_page_file_at(path);

    if (f != NULL)
        (void)fwrite(f->bytes, 1, f->len, to);
}

/* A number that nobody could know before: only the script that carries it runs. Returns 0, or -1: there is none. */
static int make_nonce(char nonce[33])
{
    unsigned char raw[16];

    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        return -1;
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(nonce + 2 * i, 3, "%02x", raw[i]);
    return 0;
}

int mscope_report_html(const mscope_report *r, FILE *to)
{
    static const char STYLE[] = "<link rel=\"stylesheet\" href=\"page.css\">",
                      SCRIPT[] = "<script src=\"page.js\"></script>",
                      ICON[] = "<link rel=\"icon\" href=\"icon.svg\" type=\"image/svg+xml\">";
    const mscope_page_file *page = mscope_page_file_at("/");
    const char *style = page != NULL ? strstr(page->bytes, STYLE) : NULL;
    const char *script = style != NULL ? strstr(style, SCRIPT) : NULL;
    const char *icon = script != NULL ? strstr(page->bytes, ICON) : NULL;
    char nonce[33];
    int rc;

    if (icon == NULL || icon > style || make_nonce(nonce) != 0)
        return MSCOPE_EIO;
    (void)fwrite(page->bytes, 1, (size_t)(icon - page->bytes), to);
    fprintf(to, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'nonce-%s'; "
                "style-src 'nonce-%s'; img-src data:; base-uri 'none'; form-action 'none'\">\n<style nonce=\"%s\">\n",
            nonce, nonce, nonce);
    put_file("/page.css", to);
    fputs("</style>", to);
    style += strlen(STYLE);
    (void)fwrite(style, 1, (size_t)(script - style), to);
    fputs("<script type=\"application/json\" id=\"data\">", to);
    rc = mscope_report_json(r, to);
    fprintf(to, "</script>\n<script nonce=\"%s\">\n", nonce);
    put_file("/page.js", to);
    fputs("</script>", to);
    fputs(script + strlen(SCRIPT), to);
    return rc;
}

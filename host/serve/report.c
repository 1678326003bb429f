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

typedef struct listing {
    FILE *to;
    int any;
} listing;

static int list_one(void *context, const mscope_happening *h, const char *source, long long id)
{
    listing *l = context;

    fputs(l->any++ ? "," : "", l->to);
    mscope_happening_json(l->to, h, source, id);
    return 0;
}

static void put_alerts(const mscope_report *r, FILE *to)
{
    const mscope_ledger_query q = { .most = 200 };
    listing l = { .to = to };

    fputs("\"alerts\":[", to);
    (void)mscope_ledger_each(r->ledger, &q, list_one, &l);
    fputs("]", to);
}

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
    const mscope_subscriber_stats none = { 0 };
    const double now = r->story->heard_at;

    fputs("{\"title\":", to);
    mscope_json_string(to, r->name);
    fputs(",\"how\":", to);
    mscope_json_string(to, r->how);
    fprintf(to, ",\"state\":{\"program\":\"" MSCOPE_VERSION "\",\"now\":%.3f,\"alerts\":%lld,\"sources\":[", now,
            mscope_ledger_last(r->ledger));
    mscope_story_json_brief(to, r->story, r->name, r->name, now, &none, NULL);
    fputs("]},", to);
    put_alerts(r, to);
    fputc(',', to);
    put_tables(r, to);
    fputs("}", to);
}

int mscope_report_json(const mscope_report *r, FILE *to)
{
    char *data = NULL;
    size_t len = 0;

    for (int tries = 0; tries < 8; tries++) {
        FILE *memory = open_memstream(&data, &len);
        if (memory == NULL)
            return MSCOPE_ENOMEM;
        put_data(r, memory);
        if (fclose(memory) != 0) {
            free(data);
            return MSCOPE_ENOMEM;
        }
        if (len < MSCOPE_REPORT_BYTES)
            break;
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

/* A number that nobody could know before: only the script that carries it runs. */
static void make_nonce(char nonce[33])
{
    unsigned char raw[16] = { 0 };

    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        memset(raw, 0x5a, sizeof raw);
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(nonce + 2 * i, 3, "%02x", raw[i]);
}

int mscope_report_html(const mscope_report *r, FILE *to)
{
    static const char STYLE[] = "<link rel=\"stylesheet\" href=\"page.css\">",
                      SCRIPT[] = "<script src=\"page.js\"></script>",
                      ICON[] = "<link rel=\"icon\" href=\"icon.svg\" type=\"image/svg+xml\">";
    const mscope_page_file *page = mscope_page_file_at("/");
    const char *style = page != NULL ? strstr(page->bytes, STYLE) : NULL;
    const char *script = style != NULL ? strstr(style, SCRIPT) : NULL, *icon = strstr(page->bytes, ICON);
    char nonce[33];
    int rc;

    if (script == NULL || icon == NULL || icon > style)
        return MSCOPE_EIO;
    make_nonce(nonce);
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

/* options.c - see options.h */
#include "options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit.h"
#include "manual.h"

enum { WIDTH = 79, LEFT_MAX = 26 };

/* -- --help ------------------------------------------------------------------------------------- */

/* Words of text from column `at` on; lines after the first begin at column `indent`. Ends with a newline. */
static void wrap(FILE *to, const char *text, int at, int indent)
{
    int fresh = 1;                           /* no word on this line yet */

    while (*text != '\0') {
        const int len = (int)strcspn(text, " \n");
        if (!fresh && at + 1 + len > WIDTH) {
            fprintf(to, "\n%*s", indent, "");
            at = indent;
            fresh = 1;
        }
        at += fprintf(to, "%s%.*s", fresh ? "" : " ", len, text);
        fresh = 0;
        text += len;
        if (*text == '\n' && text[1] != '\0') {
            fprintf(to, "\n%*s", text[1] == '\n' ? 0 : indent, "");
            at = indent;
            fresh = 1;
        }
        text += *text != '\0';
    }
    fputc('\n', to);
}

/* Each line of text by itself, with `indent` blanks before it and `hang` before what is wrapped. */
static void lines(FILE *to, const char *text, int indent, int hang)
{
    while (*text != '\0') {
        char *one = strndup(text, strcspn(text, "\n"));
        fprintf(to, "%*s", indent, "");
        wrap(to, one != NULL ? one : "", indent, hang);
        free(one);
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
}

static int left_of(const mscope_option *o, char left[64])
{
    return snprintf(left, 64, "  --%s%s%s", o->name, o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "");
}

static void option_help(const mscope_option *o, int column)
{
    char left[64];
    const int len = left_of(o, left);

    if (len + 2 <= column)
        printf("%-*s", column, left);
    else
        printf("%s\n%*s", left, column, "");
    wrap(stdout, o->help, column, column);
}

static void options_help(const mscope_command *c)
{
    static const mscope_option help = { .name = "help", .help = "print this text and exit" };
    char left[64];
    int column = left_of(&help, left) + 2;

    for (const mscope_option *o = c->option; o->name != NULL; o++) {
        const int len = left_of(o, left) + 2;
        if (o->help != NULL && len > column && len <= LEFT_MAX)
            column = len;
    }
    putchar('\n');
    for (const mscope_option *o = c->option; o->name != NULL; o++)
        if (o->help != NULL)
            option_help(o, column);
    option_help(&help, column);
}

/* A label, and the lines of text that have to stay as they are beside it, each after `before`; a line that begins with
 * a blank goes on with the one above it. */
static void beside(const char *label, const char *text, const char *before)
{
    const int at = (int)strlen(label);

    for (int first = 1; *text != '\0'; first = 0) {
        const int len = (int)strcspn(text, "\n");
        printf("%*s", at, first ? label : "");
        printf("%*s%.*s\n", (int)strlen(before), *text == ' ' ? "" : before, len, text);
        text += len;
        text += *text == '\n';
    }
}

void mscope_options_help(const mscope_command *c)
{
    char name[80];

    (void)snprintf(name, sizeof name, "%s ", c->name);
    beside("usage: ", c->usage, name);
    putchar('\n');
    wrap(stdout, c->about, 0, 0);
    options_help(c);
    if (c->notes != NULL) {
        putchar('\n');
        lines(stdout, c->notes, 0, 0);
    }
    putchar('\n');
    beside("example: ", c->example, "");
    printf("\nexit codes:\n");
    lines(stdout, c->exits, 2, 4);
}

/* -- refusals ----------------------------------------------------------------------------------- */

static int usage(const mscope_command *c, const char *what, const char *value)
{
    if (!c->silent)
        fprintf(stderr,
                *value != '\0' ? "%s: %s '%s'; %s --help lists the options\n"
                               : "%s: %s%s; %s --help lists the options\n",
                c->name, what, value, c->name);
    return MSCOPE_EXIT_USAGE;
}

static int refuse(const mscope_command *c, const char *dashes, const char *name, const char *value, const char *why)
{
    if (!c->silent)
        fprintf(stderr, "%s: %s%s is '%s'%s%s\n", c->name, dashes, name, value,
                strncmp(why, "expected ", 9) == 0 ? ", " : ": ", why);
    return MSCOPE_EXIT_USAGE;
}

static const mscope_option *find(const mscope_command *c, const char *name, size_t len)
{
    for (const mscope_option *o = c->option; o->name != NULL; o++)
        if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

int mscope_options_refuse(const mscope_command *c, const char *option, const char *value, const char *range)
{
    const mscope_option *o = find(c, option, strlen(option));
    char why[MSCOPE_WHY_MAX];

    (void)snprintf(why, sizeof why, "expected %s", range);
    if (o != NULL && o->env != NULL && value == getenv(o->env))
        return refuse(c, "", o->env, value, why);
    return refuse(c, o != NULL ? "--" : "", option, value, why);
}

/* -- values ------------------------------------------------------------------------------------- */

static void expected(const mscope_option *o, char *why, size_t cap)
{
    const char *const kind = o->real != NULL ? "a number" : "a whole number";

    if (o->low >= o->high)
        (void)snprintf(why, cap, "expected %s", kind);
    else
        (void)snprintf(why, cap, "expected %s from %.10g to %.10g%s", kind, o->low, o->high,
                       o->bytes != NULL ? " (K, M, G allowed)" : "");
}

static int set_number(const mscope_option *o, const char *value, char *why, size_t cap)
{
    double scale = 1, x;
    char *end;

    x = strtod(value, &end);
    if (o->bytes != NULL && *end != '\0' && end[1] == '\0') {
        scale = *end == 'K' ? 1024.0 : *end == 'M' ? 1048576.0 : *end == 'G' ? 1073741824.0 : 0;
        end += scale > 0;
    }
    x *= scale;
    expected(o, why, cap);
    if (end == value || *end != '\0' || isnan(x) || (o->low < o->high && !(x >= o->low && x <= o->high)))
        return -1;
    if (o->real != NULL) {
        *o->real = x;
        return 0;
    }
    if (!(x >= 0 && x < 18446744073709551616.0) || floor(x) != x)
        return -1;
    /* digits alone are exact beyond 2^53 */
    *(o->count != NULL ? o->count : o->bytes) =
        value[strspn(value, "0123456789")] == '\0' ? strtoull(value, NULL, 10) : (uint64_t)x;
    return 0;
}

static int set_texts(const mscope_option *o, const char *value, char *why, size_t cap)
{
    (void)snprintf(why, cap, "--%s may be given %d times at most", o->name, MSCOPE_TEXTS_MAX);
    if (o->texts->n == MSCOPE_TEXTS_MAX)
        return -1;
    o->texts->at[o->texts->n++] = value;
    return 0;
}

static int set(const mscope_option *o, const char *value, char *why, size_t cap)
{
    if (o->check != NULL)
        return o->check(o->context, value, why, cap);
    if (o->texts != NULL)
        return set_texts(o, value, why, cap);
    if (o->text == NULL)
        return set_number(o, value, why, cap);
    *o->text = value;
    return 0;
}

/* -- all of it ---------------------------------------------------------------------------------- */

static int from_environment(const mscope_command *c)
{
    for (const mscope_option *o = c->option; o->name != NULL; o++) {
        const char *value = o->env != NULL ? getenv(o->env) : NULL;
        char why[MSCOPE_WHY_MAX];
        if (value != NULL && value[0] != '\0' && set(o, value, why, sizeof why) != 0)
            return refuse(c, "", o->env, value, why);
    }
    return MSCOPE_OPTIONS_GO_ON;
}

/* The option at argv[*i], and its value, which may be the argument after it. */
static int take(const mscope_command *c, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2, *eq = strchr(name, '='), *value = eq != NULL ? eq + 1 : NULL;
    const mscope_option *o = find(c, name, eq != NULL ? (size_t)(eq - name) : strlen(name));
    char what[128], why[MSCOPE_WHY_MAX];

    if (strncmp(argv[*i], "--", 2) != 0 || o == NULL)
        return usage(c, "unknown option", argv[*i]);
    if (o->flag != NULL) {
        if (value != NULL)
            return usage(c, "this option takes no value:", argv[*i]);
        *o->flag = 1;
        return MSCOPE_OPTIONS_GO_ON;
    }
    if (value == NULL && ++*i < argc)
        value = argv[*i];
    (void)snprintf(what, sizeof what, "--%s has no value, expected --%s %s", o->name, o->name, o->arg);
    if (value == NULL)
        return usage(c, what, "");
    return set(o, value, why, sizeof why) != 0 ? refuse(c, "--", o->name, value, why) : MSCOPE_OPTIONS_GO_ON;
}

int mscope_options_read(const mscope_command *c, int argc, char **argv, int *args)
{
    int n = 0, only_arguments = 0, code;
    char missing[80];

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            if (!c->silent)
                mscope_options_help(c);
            return MSCOPE_EXIT_OK;
        } else if (strcmp(argv[i], MSCOPE_MANUAL_FLAG) == 0) {
            mscope_manual_command(c);
            return MSCOPE_EXIT_OK;
        }
    code = from_environment(c);
    for (int i = 1; i < argc && code == MSCOPE_OPTIONS_GO_ON; i++) {
        if (!only_arguments && strcmp(argv[i], "--") == 0)
            only_arguments = 1;
        else if (!only_arguments && argv[i][0] == '-' && argv[i][1] != '\0')
            code = take(c, argc, argv, &i);
        else if (n == c->most)
            code = usage(c, "unexpected argument", argv[i]);
        else
            argv[++n] = argv[i];
    }
    if (code == MSCOPE_OPTIONS_GO_ON && n < c->least) {
        (void)snprintf(missing, sizeof missing, "missing %s", c->argument);
        code = usage(c, missing, "");
    }
    if (args != NULL)
        *args = n;
    return code;
}

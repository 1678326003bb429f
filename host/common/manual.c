/* manual.c - see manual.h */
#include "manual.h"

#include <stdio.h>

static void field(const char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        if (*text == '\n' || *text == '\t' || *text == '\\')
            printf("\\%c", *text == '\n' ? 'n' : *text == '\t' ? 't' : '\\');
        else
            putchar(*text);
}

void mscope_manual_line(const char *key, const char *const *fields, size_t n)
{
    if (n == 1 && fields[0] == NULL)
        return;
    fputs(key, stdout);
    for (size_t i = 0; i < n; i++) {
        putchar('\t');
        field(fields[i]);
    }
    putchar('\n');
}

void mscope_manual_command(const mscope_command *c)
{
    mscope_manual_line("name", &c->name, 1);
    mscope_manual_line("usage", &c->usage, 1);
    mscope_manual_line("about", &c->about, 1);
    mscope_manual_line("argument", &c->argument, 1);
    for (const mscope_option *o = c->option; o->name != NULL; o++)
        if (o->help != NULL)
            mscope_manual_line("option", (const char *const[]){ o->name, o->arg, o->help, o->env }, 4);
    mscope_manual_line("notes", &c->notes, 1);
    mscope_manual_line("example", &c->example, 1);
    mscope_manual_line("exits", &c->exits, 1);
}

/* text.c - find prose on the machine, split it into lower-case words, number them by frequency */
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <ftw.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MOST (512u << 10)       /* bytes taken of one file: no single manual may dominate */
#define WORDS_MOST 3000000u
#define WORD_LEN 32

static const char *const roots[] = { "/usr/share/perl", "/usr/share/doc", "/usr/share/common-licenses",
                                     "/usr/share/vim" };
static const char *const patterns[] = { "*.pod",   "*.pm",      "*.txt", "*.md",   "*.rst",
                                        "README*", "copyright", "GPL-*", "LGPL-*", "GFDL-*" };

typedef struct word_entry {               /* one distinct word */
    char *name;
    uint32_t count, rank, first;
} word_entry;

typedef struct reader {
    void *tree;                      /* tsearch tree of words */
    word_entry **list;
    uint32_t distinct, room;
    word_entry **sequence;
    size_t length;
} reader;

static struct paths {                /* nftw has no argument for its callback */
    char **at;
    size_t n, room;
} found;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const word_entry *)a)->name, ((const word_entry *)b)->name);
}

static int by_count(const void *a, const void *b)
{
    const word_entry *x = *(word_entry *const *)a, *y = *(word_entry *const *)b;

    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return x->first < y->first ? -1 : 1;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void *grow(void *p, size_t n, size_t *room, size_t size)
{
    if (n < *room)
        return p;
    *room = *room ? 2 * *room : 1024;
    p = realloc(p, *room * size);
    if (p == NULL) {
        fprintf(stderr, "demo: out of memory\n");
        exit(1);
    }
    return p;
}

static int note_path(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    const char *base = path + at->base;

    if (kind != FTW_F || st->st_size < 2000)
        return 0;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (fnmatch(patterns[i], base, 0) == 0) {
            found.at = grow(found.at, found.n, &found.room, sizeof *found.at);
            found.at[found.n++] = strdup(path);
            break;
        }
    return 0;
}

static void take_word(reader *r, const char *word)
{
    word_entry key = { (char *)word, 0, 0, 0 }, *e;
    void *node = tfind(&key, &r->tree, by_name);

    if (node) {
        e = *(word_entry **)node;
    } else {
        size_t room = r->room;

        e = calloc(1, sizeof *e);
        if (e == NULL || (e->name = strdup(word)) == NULL) {
            free(e);
            return;
        }
        e->first = r->distinct;
        tsearch(e, &r->tree, by_name);
        r->list = grow(r->list, r->distinct, &room, sizeof(word_entry *));
        r->room = (uint32_t)room;
        r->list[r->distinct++] = e;
    }
    e->count++;
    r->sequence[r->length++] = e;
}

static int take_file(reader *r, const char *path)
{
    char word[WORD_LEN];
    size_t len = 0, bytes = 0;
    FILE *f = fopen(path, "r");
    int c;

    if (f == NULL) {
        fprintf(stderr, "demo: %s: %s\n", path, strerror(errno));
        return -1;
    }
    while ((c = getc(f)) != EOF && bytes++ < FILE_MOST && r->length < WORDS_MOST) {
        if (isalpha(c) && len < WORD_LEN - 1) {
            word[len++] = (char)tolower(c);
        } else if (len) {
            word[len] = '\0';
            take_word(r, word);
            len = 0;
        }
    }
    fclose(f);
    return 0;
}

static void number_words(reader *r, text *t)
{
    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): there are as many words as the vocabulary wants
    qsort(r->list, r->distinct, sizeof *r->list, by_count);
    for (uint32_t i = 0; i < r->distinct; i++)
        r->list[i]->rank = i < t->vocabulary - 1 ? i : t->vocabulary - 1;
    for (uint32_t i = 0; i < t->vocabulary - 1; i++)
        t->name[i] = strdup(r->list[i]->name);
    t->name[t->vocabulary - 1] = strdup("(rarer)");
    for (size_t i = 0; i < r->length; i++)
        t->word[i] = r->sequence[i]->rank;
    t->length = r->length;
}

static void drop(reader *r)
{
    for (uint32_t i = 0; i < r->distinct; i++) {
        tdelete(r->list[i], &r->tree, by_name);
        free(r->list[i]->name);
        free(r->list[i]);
    }
    free(r->list);
    free(r->sequence);
}

int text_read(text *t, char *const *files, uint32_t vocabulary)
{
    reader r = { .sequence = malloc(WORDS_MOST * sizeof(word_entry *)) };
    int bad = r.sequence == NULL;

    memset(t, 0, sizeof *t);
    t->vocabulary = vocabulary;
    if (files && *files) {
        for (; *files && !bad; files++, t->files++)
            bad = take_file(&r, *files);
    } else {
        for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
            nftw(roots[i], note_path, 16, FTW_PHYS);
        qsort(found.at, found.n, sizeof *found.at, by_path);
        for (size_t i = 0; i < found.n; i++, t->files++)
            take_file(&r, found.at[i]);
        for (size_t i = 0; i < found.n; i++)
            free(found.at[i]);
        free(found.at);
        memset(&found, 0, sizeof found);
    }
    if (!bad && (r.distinct < vocabulary || r.length < 10 * (size_t)vocabulary)) {
        fprintf(stderr, "demo: %zu words, %u distinct, in %zu files: need %u distinct and %u in all; give TEXT=files\n",
                r.length, r.distinct, t->files, vocabulary, 10 * vocabulary);
        bad = 1;
    }
    if (!bad) {
        t->word = malloc(r.length * sizeof *t->word);
        t->name = calloc(vocabulary, sizeof *t->name);
        bad = t->word == NULL || t->name == NULL;
    }
    if (!bad)
        number_words(&r, t);
    drop(&r);
    return bad ? -1 : 0;
}

void text_free(text *t)
{
    for (uint32_t i = 0; t->name && i < t->vocabulary; i++)
        free(t->name[i]);
    free(t->name);
    free(t->word);
}

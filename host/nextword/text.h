/* text.h - real text as a sequence of word numbers; 0 is the most frequent word */
#ifndef MSCOPE_NEXTWORD_TEXT_H
#define MSCOPE_NEXTWORD_TEXT_H

#include <stddef.h>
#include <stdint.h>

typedef struct text {
    uint32_t *word;                  /* length numbers below vocabulary; the last one stands for every rarer word */
    size_t length;
    char **name;                     /* the words themselves */
    uint32_t vocabulary;
    size_t files;
} text;

/* text_read - read files (NULL-terminated), or, when files is empty, prose found under the system's documentation
 *
 * Returns  0, or -1 with a message on stderr (unreadable file, fewer distinct words than the vocabulary)      */
int text_read(text *t, char *const *files, uint32_t vocabulary);
void text_free(text *t);

#endif

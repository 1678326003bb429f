/* note.c - a trainer's own words about a table, which the daemon publishes as an alert */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "dialog.h"
#include "link.h"
#include "protocol/refusal.h"

enum { MAP_MAX = MSCOPE_TEXT_MAX + 16 };

int mscope_client_note(mscope_client *c, int table, const char *text)
{
    mscope_note note = { .text = "" }, judged;
    uint8_t map[MAP_MAX];
    int rc = mscope_check_table(c, table);
    void *body;

    if (rc != 0)
        return rc;
    if (text == NULL || strlen(text) > MSCOPE_TEXT_MAX)
        return mscope_refusal_set(mscope_why(), MSCOPE_EINVAL, "text", "1 to 191 bytes", "a note", "%s",
                                  text == NULL ? "NULL" : "a longer one");
    memcpy(note.text, text, strlen(text) + 1);
    const int len = mscope_note_encode(&note, map, sizeof map);
    if (len < 0)
        return len;
    if ((rc = mscope_note_decode(map, (size_t)len, &judged, mscope_why())) != 0)
        return rc;
    mscope_message *f = mscope_dialog_turned_away(c, &c->table[table]) ? NULL : mscope_message_new(MSCOPE_NOTE);
    if (f == NULL || (body = mscope_message_body(f, (size_t)len)) == NULL) {
        mscope_message_free(f);
        return 1;
    }
    memcpy(body, map, (size_t)len);
    mscope_header h = { .step = c->table[table].step, .table = (uint32_t)table };
    rc = mscope_queue_offer(&c->queue, f, &h);
    mscope_link_pump(c);
    return rc;
}

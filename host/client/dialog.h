/* dialog.h - HELLO, and what the daemon answers */
#ifndef MSCOPE_CLIENT_DIALOG_H
#define MSCOPE_CLIENT_DIALOG_H

#include "state.h"

/* mscope_dialog_doubt - nothing counts as sent until every table has been welcomed again */
void mscope_dialog_doubt(mscope_client *c);
/* mscope_dialog_hello - say HELLO for every table whose turn has come; now: ns */
void mscope_dialog_hello(mscope_client *c, uint64_t now);
/* mscope_dialog_some_welcomed - 1: the daemon knows this session by one of its tables at least */
int mscope_dialog_some_welcomed(const mscope_client *c);
/* mscope_dialog_turned_away - 1: the daemon has refused this table and not every other. A message about it would be
 * refused as well, and one that waited would hold up those of the other tables. */
int mscope_dialog_turned_away(const mscope_client *c, const mscope_client_table *t);
/* mscope_dialog_receive - take in one answer; returns 0 when there is none */
int mscope_dialog_receive(mscope_client *c);

#endif

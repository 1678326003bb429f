/* alerts.h - alert records on a PUB socket, as the daemon sends its own */
#ifndef MSCOPE_CLI_ALERTS_H
#define MSCOPE_CLI_ALERTS_H

#include <stdint.h>

#include "diagnose/verdict.h"
#include "keys_option.h"

typedef struct mscope_alerts {
    void *context, *socket;          /* NULL: closed */
    uint64_t epoch, seq;
    mscope_doorman doorman;          /* with keys */
    mscope_keys_told told;
    char why[MSCOPE_KEYS_WHY];
} mscope_alerts;

/* mscope_alerts_open - bind, with the keys of MOMENTSCOPE_KEYS if it is set; 0, or -1 with a->why: then it is closed.
 * command begins the lines about peers that are turned away                                                       */
MSCOPE_MUST_CHECK int mscope_alerts_open(mscope_alerts *a, const char *where, const char *command);
void mscope_alerts_close(mscope_alerts *a);

/* mscope_alerts_send - a band's regime has changed: three parts on topic alert, as the daemon sends them
 *
 * Never waits: a slow reader loses records, and sees by the sequence numbers that it did.
 * Returns  0 also when closed; -1 with *why (static)                                                              */
MSCOPE_MUST_CHECK int mscope_alerts_send(mscope_alerts *a, const mscope_rec_band *b, enum mscope_regime before,
                                         const mscope_verdict *v, const char **why);

#endif

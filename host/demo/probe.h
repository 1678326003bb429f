/* probe.h - the probe of the demo's trainer: three passes over the batch of one step
 *
 *     at theta           gradients of the halves, samples 0, 2 .. and 1, 3 ..; they are parts of one pass
 *     along the momenta  each row of the batch along its own (mscope_client_probe)
 *     along a direction  over embedding, W and bias (mscope/probe.h) */
#ifndef MSCOPE_DEMO_PROBE_H
#define MSCOPE_DEMO_PROBE_H

#include "mscope/core.h"
#include "mscope/probe.h"
#include "nextword/model.h"

typedef struct demo_probe {
    model *net;                      /* these four are the trainer's                                     */
    mscope_table *table;
    mscope_client *client;
    int handle;
    mscope_probe *directions;
    uint64_t momenta;                /* probes along the momenta                                         */
    double *delta;                   /* [batch]                                                          */
    int64_t *wide;
    uint32_t *half_now;
    float *moved, *grad, *half;      /* [batch][width]                                                   */
    float *w, *bias;                 /* gradient of a half                                               */
} demo_probe;

/* demo_probe_open - eta, readout: learning rates of the embedding and of W and bias, above 0
 * Returns  0;  MSCOPE_ENOMEM, MSCOPE_EINVAL; close it then too                                                  */
int demo_probe_open(demo_probe *d, model *net, mscope_table *table, mscope_client *client, int handle, double eta,
                    double readout);

/* demo_probe_take - before the step of this batch
 * Shape  now[batch], next[batch]; theta[batch][width]: the rows of now. Logits of the model are lost            */
int demo_probe_take(demo_probe *d, const uint32_t *now, const uint32_t *next, const float *theta);

/* demo_probe_send - after the push of that step */
int demo_probe_send(demo_probe *d, double eps);

void demo_probe_close(demo_probe *d);

#endif

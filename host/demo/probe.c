/* probe.c - see probe.h */
#include "probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REACH 0.03                   /* |delta m|/|theta|: the Hessian hardly changes, and rounding stays small */
#define FADED 1e-18                  /* momentum below this has decayed to nothing and has no direction */

enum { EMBEDDING, W, BIAS, SPANS };

int demo_probe_open(demo_probe *d, model *net, mscope_table *table, mscope_client *client, int handle, double eta,
                    double readout)
{
    const size_t batch = net->batch, cells = batch * net->width;
    const mscope_probe_span span[SPANS] = {
        { mscope_table_theta(table), MSCOPE_F32, net->words, net->width, handle, eta, 0.0, 0.0 },
        { net->w, MSCOPE_F32, net->width, net->words, -1, readout, 1.0, 0.0 },
        { net->bias, MSCOPE_F32, 1, net->words, -1, readout, 1.0, 0.0 },
    };

    *d = (demo_probe){ .net = net, .table = table, .client = client, .handle = handle };
    d->delta = malloc(batch * sizeof *d->delta);
    d->wide = malloc(batch * sizeof *d->wide);
    d->half_now = malloc(batch * sizeof *d->half_now);
    d->moved = malloc(cells * sizeof *d->moved);
    d->grad = malloc(2 * cells * sizeof *d->grad);
    d->half = malloc(cells * sizeof *d->half);
    d->w = malloc((size_t)net->words * net->width * sizeof *d->w);
    d->bias = malloc(net->words * sizeof *d->bias);
    if (!d->delta || !d->wide || !d->half_now || !d->moved || !d->grad || !d->half || !d->w || !d->bias)
        return MSCOPE_ENOMEM;
    return mscope_probe_open(&d->directions, span, SPANS, 0);
}

void demo_probe_close(demo_probe *d)
{
    mscope_probe_close(d->directions);
    free(d->delta);
    free(d->wide);
    free(d->half_now);
    free(d->moved);
    free(d->grad);
    free(d->half);
    free(d->w);
    free(d->bias);
}

/* -- along the momenta ------------------------------------------------------------------------------- */

/* The delta of each sample, 0 without momentum; returns the largest. In this model no row acts on another, so each
 * moves by its own, and |delta m| is a fixed share of the batch's mean |theta|: the momentum of rare rows is many
 * decades below that of frequent ones. */
static double deltas(demo_probe *d, const uint32_t *now, const float *theta)
{
    const float *m = mscope_table_momentum(d->table);
    const uint32_t width = d->net->width, batch = d->net->batch;
    double tt = 0.0, widest = 0.0;

    for (size_t i = 0; i < (size_t)batch * width; i++)
        tt += (double)theta[i] * (double)theta[i];
    for (uint32_t b = 0; b < batch; b++) {
        const float *mb = m + (size_t)now[b] * width;
        double mm = 0.0;

        for (uint32_t j = 0; j < width; j++)
            mm += (double)mb[j] * (double)mb[j];
        d->delta[b] = mm > FADED * FADED ? REACH * sqrt(tt / (double)batch / mm) : 0.0;
        widest = fmax(widest, d->delta[b]);
        for (uint32_t j = 0; j < width; j++)
            d->moved[b * width + j] = (float)((double)theta[b * width + j] + d->delta[b] * (double)mb[j]);
    }
    return widest;
}

/* H_b m for every row of the batch: gradients of the same samples at theta + delta m, minus those at theta. */
static int along_momenta(demo_probe *d, const uint32_t *now, const uint32_t *next, const float *theta,
                         const float *grad)
{
    const uint32_t width = d->net->width;
    const double widest = deltas(d, now, theta);
    float *there = d->grad + (size_t)d->net->batch * width;
    uint32_t kept = 0;

    model_gradient(d->net, d->moved, next, there);
    for (uint32_t b = 0; b < d->net->batch; b++) {
        if (d->delta[b] == 0.0)
            continue;
        for (uint32_t j = 0; j < width; j++)
            there[kept * width + j] = (float)(((double)there[b * width + j] - (double)grad[b * width + j]) /
                                              d->delta[b]);
        d->wide[kept++] = (int64_t)now[b];
    }
    d->momenta += kept > 0;
    return kept > 0 ? mscope_client_probe(d->client, d->handle, widest, d->wide, there, MSCOPE_F32, kept) : 0;
}

/* -- along a direction ------------------------------------------------------------------------------- */

/* Both halves of the pass that the model has just made, each as a mean over its own samples. */
static int halves(demo_probe *d, const uint32_t *now, const float *theta, const float *grad)
{
    const uint32_t width = d->net->width, batch = d->net->batch;
    int rc = 0;

    for (uint32_t half = 0; half < 2 && rc == 0; half++) {
        const uint32_t n = (batch + 1 - half) / 2;
        const float share = (float)batch / (float)n;
        for (uint32_t i = 0; i < n; i++) {
            d->half_now[i] = now[2 * i + half];
            for (uint32_t j = 0; j < width; j++)
                d->half[i * width + j] = share * grad[(2 * i + half) * width + j];
        }
        model_readout(d->net, theta, half, 2, share, d->w, d->bias);
        if ((rc = mscope_probe_half(d->directions, (int)half, EMBEDDING, d->half_now, d->half, n)) == 0 &&
            (rc = mscope_probe_half(d->directions, (int)half, W, NULL, d->w, width)) == 0)
            rc = mscope_probe_half(d->directions, (int)half, BIAS, NULL, d->bias, 1);
    }
    return rc;
}

static int along_direction(demo_probe *d, const uint32_t *now, const uint32_t *next)
{
    const uint32_t width = d->net->width;
    const float *rows = mscope_table_theta(d->table);
    int rc = mscope_probe_move(d->directions);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    for (uint32_t i = 0; i < d->net->batch; i++)
        memcpy(d->moved + (size_t)i * width, rows + (size_t)now[i] * width, width * sizeof *rows);
    model_gradient(d->net, d->moved, next, d->grad);
    rc = halves(d, now, d->moved, d->grad);
    mscope_probe_restore(d->directions);
    return rc;
}

/* The gradient that is checked is that of the pass at theta: the step's own, which follows, has the same bits. */
int demo_probe_take(demo_probe *d, const uint32_t *now, const uint32_t *next, const float *theta)
{
    int rc = mscope_probe_start(d->directions);

    if (rc != 0)
        return rc;
    model_gradient(d->net, theta, next, d->grad);
    if ((rc = halves(d, now, theta, d->grad)) != 0 ||
        (rc = mscope_probe_check(d->directions, EMBEDDING, now, d->grad, d->net->batch)) != 0 ||
        (rc = along_momenta(d, now, next, theta, d->grad)) < 0)
        return rc;
    return along_direction(d, now, next);
}

int demo_probe_send(demo_probe *d, double eps)
{
    return mscope_probe_send(d->directions, d->client, eps);
}

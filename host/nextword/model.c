/* model.c - the softmax model of the demo, in blocks of words that stay in cache */
#include "model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/xorshift.h"

#define BLOCK 512u                   /* words at a time: BLOCK x width floats of W stay in the first-level cache */
#define LANES 8u

int model_init(model *m, uint32_t words, uint32_t width, uint32_t batch, uint64_t seed)
{
    *m = (model){ words, width, batch, NULL, NULL, NULL };
    m->w = malloc((size_t)words * width * sizeof(float));
    m->bias = calloc(words, sizeof(float));
    m->logit = malloc((size_t)words * batch * sizeof(float));
    if (m->w == NULL || m->bias == NULL || m->logit == NULL) {
        model_free(m);
        return -1;
    }
    for (size_t i = 0; i < (size_t)words * width; i++)
        m->w[i] = (float)(2.0 * mscope_xorshift_uniform(&seed) - 1.0);
    return 0;
}

void model_free(model *m)
{
    free(m->w);
    free(m->bias);
    free(m->logit);
    memset(m, 0, sizeof *m);
}

/* y += x[0..k) w[0..k), k <= 4: several coordinates in one pass over y, each word's sum in the order of the
 * coordinates. */
static void add_up(float *restrict y, const float *x, const float *restrict w, size_t stride, uint32_t k, uint32_t n)
{
    if (k == 4)
        for (uint32_t v = 0; v < n; v++)
            y[v] = y[v] + x[0] * w[v] + x[1] * w[v + stride] + x[2] * w[v + 2 * stride] + x[3] * w[v + 3 * stride];
    else
        for (uint32_t j = 0; j < k; j++)
            for (uint32_t v = 0; v < n; v++)
                y[v] += x[j] * w[v + j * stride];
}

static void forward(model *m, const float *theta)
{
    for (uint32_t at = 0; at < m->words; at += BLOCK) {
        uint32_t n = m->words - at < BLOCK ? m->words - at : BLOCK;

        for (uint32_t b = 0; b < m->batch; b++) {
            float *restrict y = m->logit + (size_t)b * m->words + at;

            memcpy(y, m->bias + at, n * sizeof *y);
            for (uint32_t j = 0; j < m->width; j += 4)
                add_up(y, theta + (size_t)b * m->width + j, m->w + (size_t)j * m->words + at, m->words,
                       m->width - j < 4 ? m->width - j : 4, n);
        }
    }
}

/* Logits to probabilities times scale; returns the logarithm of the sum of exp(logit - top). */
static double spread(float *y, uint32_t words, float scale, float *top)
{
    double sum = 0.0;

    *top = y[0];
    for (uint32_t v = 1; v < words; v++)
        *top = y[v] > *top ? y[v] : *top;
    for (uint32_t v = 0; v < words; v++) {
        y[v] = expf(y[v] - *top);
        sum += (double)y[v];
    }
    for (uint32_t v = 0; v < words; v++)
        y[v] *= scale / (float)sum;
    return log(sum);                        // cppcheck-suppress invalidFunctionArg ; words >= 1, so sum >= 1
}

/* Logits to (probability - 1[next])/batch; returns the loss of the sample. */
static double softmax(float *y, uint32_t words, uint32_t next, float scale)
{
    const float target = y[next];
    float top;
    const double loss = spread(y, words, scale, &top);

    y[next] -= scale;
    return loss - (double)(target - top);
}

/* sum[j] += <a, b_j> for k <= 4 rows b of a matrix: eight lanes each, so that sums do not wait for one another. */
static void dots(const float *restrict a, const float *restrict b, size_t stride, uint32_t k, uint32_t n, float *sum)
{
    float lane[4][LANES] = { { 0 } };
    uint32_t i = 0;

    if (k == 4)
        for (; i + LANES <= n; i += LANES)
            for (uint32_t j = 0; j < 4; j++)
                for (uint32_t l = 0; l < LANES; l++)
                    lane[j][l] += a[i + l] * b[i + l + j * stride];
    for (uint32_t j = 0; j < k; j++) {
        float x = 0.0f;
        uint32_t at = i;

        for (; at + LANES <= n; at += LANES)
            for (uint32_t l = 0; l < LANES; l++)
                lane[j][l] += a[at + l] * b[at + l + j * stride];
        for (; at < n; at++)
            x += a[at] * b[at + j * stride];
        for (uint32_t l = 0; l < LANES; l++)
            x += lane[j][l];
        sum[j] += x;
    }
}

static void back(const model *m, float *grad)
{
    memset(grad, 0, (size_t)m->batch * m->width * sizeof *grad);
    for (uint32_t at = 0; at < m->words; at += BLOCK) {
        uint32_t n = m->words - at < BLOCK ? m->words - at : BLOCK;

        for (uint32_t b = 0; b < m->batch; b++)
            for (uint32_t j = 0; j < m->width; j += 4)
                dots(m->logit + (size_t)b * m->words + at, m->w + (size_t)j * m->words + at, m->words,
                     m->width - j < 4 ? m->width - j : 4, n, grad + (size_t)b * m->width + j);
    }
}

double model_loss(model *m, const float *theta, const uint32_t *next)
{
    double loss = 0.0;

    forward(m, theta);
    for (uint32_t b = 0; b < m->batch; b++)
        loss += softmax(m->logit + (size_t)b * m->words, m->words, next[b], 1.0f / (float)m->batch);
    return loss / m->batch;
}

double model_gradient(model *m, const float *theta, const uint32_t *next, float *grad)
{
    const double loss = model_loss(m, theta, next);

    back(m, grad);
    return loss;
}

void model_expected(model *m, const float *theta, const double *weight, const model_pairs *next, float *grad)
{
    float top;

    forward(m, theta);
    for (uint32_t b = 0; b < m->batch; b++) {
        float *restrict y = m->logit + (size_t)b * m->words;

        spread(y, m->words, (float)weight[b], &top);
        for (size_t i = next->first[b]; i < next->first[b + 1]; i++)
            y[next->word[i]] -= (float)next->share[i];
    }
    back(m, grad);
}

/* w and bias += factor times the gradient of samples first, first + stride .. */
static void add_readout(const model *m, const float *theta, uint32_t first, uint32_t stride, float factor, float *w,
                        float *bias)
{
    for (uint32_t at = 0; at < m->words; at += BLOCK) {
        uint32_t n = m->words - at < BLOCK ? m->words - at : BLOCK;

        for (uint32_t b = first; b < m->batch; b += stride) {
            const float *restrict y = m->logit + (size_t)b * m->words + at;
            float *restrict to = bias + at;

            for (uint32_t v = 0; v < n; v++)
                to[v] += factor * y[v];
            for (uint32_t j = 0; j < m->width; j++) {
                float *restrict wj = w + (size_t)j * m->words + at;
                float x = factor * theta[(size_t)b * m->width + j];

                for (uint32_t v = 0; v < n; v++)
                    wj[v] += x * y[v];
            }
        }
    }
}

void model_readout(const model *m, const float *theta, uint32_t first, uint32_t stride, float factor, float *w,
                   float *bias)
{
    memset(w, 0, (size_t)m->words * m->width * sizeof *w);
    memset(bias, 0, m->words * sizeof *bias);
    add_readout(m, theta, first, stride, factor, w, bias);
}

void model_step(model *m, const float *theta, float rate)
{
    add_readout(m, theta, 0, 1, -rate, m->w, m->bias);
}

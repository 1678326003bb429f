/* model.c - the softmax model of the demo, in blocks of words that stay in cache */
#include "demo/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 512u                   /* words at a time: BLOCK x width floats of W stay in the first-level cache */
#define LANES 8u

static double uniform(uint64_t *s)
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return (double)((*s * 2685821657736338717u) >> 11) * 0x1p-53;
}

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
        m->w[i] = (float)(2.0 * uniform(&seed) - 1.0);
    return 0;
}

void model_free(model *m)
{
    free(m->w);
    free(m->bias);
    free(m->logit);
    memset(m, 0, sizeof *m);
}

static void forward(model *m, const float *theta)
{
    for (uint32_t at = 0; at < m->words; at += BLOCK) {
        uint32_t n = m->words - at < BLOCK ? m->words - at : BLOCK;

        for (uint32_t b = 0; b < m->batch; b++) {
            float *restrict y = m->logit + (size_t)b * m->words + at;

            memcpy(y, m->bias + at, n * sizeof *y);
            for (uint32_t j = 0; j < m->width; j++) {
                const float *restrict w = m->w + (size_t)j * m->words + at;
                float x = theta[(size_t)b * m->width + j];

                for (uint32_t v = 0; v < n; v++)
                    y[v] += x * w[v];
            }
        }
    }
}

/* Logits to (probability - 1[next])/batch; returns the loss of the sample. */
static double softmax(float *y, uint32_t words, uint32_t next, float scale)
{
    float top = y[0], target;
    double sum = 0.0;

    for (uint32_t v = 1; v < words; v++)
        top = y[v] > top ? y[v] : top;
    target = y[next] - top;
    for (uint32_t v = 0; v < words; v++) {
        y[v] = expf(y[v] - top);
        sum += (double)y[v];
    }
    for (uint32_t v = 0; v < words; v++)
        y[v] *= scale / (float)sum;
    y[next] -= scale;
    return log(sum) - (double)target;       // cppcheck-suppress invalidFunctionArg ; words >= 1, so sum >= 1
}

static float dot(const float *restrict a, const float *restrict b, uint32_t n)
{
    float lane[LANES] = { 0 }, sum = 0.0f;
    uint32_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (uint32_t l = 0; l < LANES; l++)
            lane[l] += a[i + l] * b[i + l];
    for (; i < n; i++)
        sum += a[i] * b[i];
    for (uint32_t l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

double model_gradient(model *m, const float *theta, const uint32_t *next, float *grad)
{
    double loss = 0.0;

    forward(m, theta);
    for (uint32_t b = 0; b < m->batch; b++)
        loss += softmax(m->logit + (size_t)b * m->words, m->words, next[b], 1.0f / (float)m->batch);
    memset(grad, 0, (size_t)m->batch * m->width * sizeof *grad);
    for (uint32_t at = 0; at < m->words; at += BLOCK) {
        uint32_t n = m->words - at < BLOCK ? m->words - at : BLOCK;

        for (uint32_t b = 0; b < m->batch; b++)
            for (uint32_t j = 0; j < m->width; j++)
                grad[(size_t)b * m->width + j] += dot(m->logit + (size_t)b * m->words + at,
                                                      m->w + (size_t)j * m->words + at, n);
    }
    return loss / m->batch;
}

void model_step(model *m, const float *theta, float rate)
{
    for (uint32_t at = 0; at < m->words; at += BLOCK) {
        uint32_t n = m->words - at < BLOCK ? m->words - at : BLOCK;

        for (uint32_t b = 0; b < m->batch; b++) {
            const float *restrict y = m->logit + (size_t)b * m->words + at;
            float *restrict bias = m->bias + at;

            for (uint32_t v = 0; v < n; v++)
                bias[v] -= rate * y[v];
            for (uint32_t j = 0; j < m->width; j++) {
                float *restrict w = m->w + (size_t)j * m->words + at;
                float x = rate * theta[(size_t)b * m->width + j];

                for (uint32_t v = 0; v < n; v++)
                    w[v] -= x * y[v];
            }
        }
    }
}

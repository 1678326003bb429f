/* model.h - next word from this word: logits = W theta_word + bias, softmax, mean negative log likelihood
 *
 * theta (the embedding) belongs to the caller and may have any optimizer; W and bias are moved here by plain SGD.
 * Row i of theta only ever meets W, never another row, so its Hessian is the d x d matrix
 * (N_i/B) mean_n W^T (diag q_n - q_n q_n^T) W.                                                              */
#ifndef MSCOPE_NEXTWORD_MODEL_H
#define MSCOPE_NEXTWORD_MODEL_H

#include <stddef.h>
#include <stdint.h>

typedef struct model {
    uint32_t words, width, batch;
    float *w;                        /* width x words: one row per coordinate, so that inner loops run over words */
    float *bias;                     /* words */
    float *logit;                    /* batch x words: probabilities after the forward pass */
} model;

int model_init(model *m, uint32_t words, uint32_t width, uint32_t batch, uint64_t seed);
void model_free(model *m);

/* model_gradient - loss of a batch, and the gradient of each sample's embedding row (1/batch included)
 * Shape  theta[batch][width]: the rows already looked up; next[batch]; out grad[batch][width]; returns mean loss */
double model_gradient(model *m, const float *theta, const uint32_t *next, float *grad);

/* model_loss - the same loss without the gradient */
double model_loss(model *m, const float *theta, const uint32_t *next);

/* What follows each word of a batch: pairs first[b] .. first[b+1]-1 say that word[i] does, with share[i] of the whole.
 */
typedef struct model_pairs {
    const size_t *first;
    const uint32_t *word;
    const double *share;
} model_pairs;

/* model_expected - gradient of each row in expectation over a text: row b is met with probability weight[b], which its
 * shares sum to; in place of the 1/batch of model_gradient
 * Shape  theta[batch][width], weight[batch]; out grad[batch][width] and m->logit                                */
void model_expected(model *m, const float *theta, const double *weight, const model_pairs *next, float *grad);

/* model_readout - gradient of W and bias that model_gradient left in m->logit, of samples first, first + stride ..
 * alone, times factor
 * Shape  theta[batch][width] as model_gradient had it; out w[width][words], bias[words]                          */
void model_readout(const model *m, const float *theta, uint32_t first, uint32_t stride, float factor, float *w,
                   float *bias);

/* model_step - move W and bias along the gradient that model_gradient left in m->logit */
void model_step(model *m, const float *theta, float rate);

#endif

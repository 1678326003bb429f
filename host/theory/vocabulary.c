/* vocabulary.c - the effect of one (eta, beta) on rows of different frequency
 *
 *   1/eta_max(p) = (d+2)/(2B) + p (eps/(2(1+beta)) - 1/(2B))   is affine in p:
 *
 * one end of the range of p sets the limit. */
#include "private.h"

#include <math.h>

int mscope_vocab_summary(const mscope_ls *ls, double p_min, double p_max, mscope_vocab *out)
{
    mscope_ls probe;
    mscope_row row;
    double beta, root;
    int err;

    if (ls == NULL || out == NULL || !(p_min > 0.0) || !(p_min <= p_max))
        return MSCOPE_EINVAL;
    beta = mscope_theory_beta(ls->eps, ls->beta);
    probe =
        (mscope_ls){ .d = ls->d, .p = p_max, .batch = ls->batch, .eps = ls->eps, .beta = ls->beta };
    err = mscope_row_from_ls(&probe, &row);
    if (err != MSCOPE_OK)
        return err;
    out->batch_binding = (1.0 + beta) / ls->eps;
    out->p_binding = ls->batch > out->batch_binding ? p_max : p_min;
    probe.p = out->p_binding;
    err = mscope_row_from_ls(&probe, &row);
    if (err == MSCOPE_OK)
        err = mscope_row_eta_max(&row, &out->eta_max);
    if (err != MSCOPE_OK)
        return err;
    out->batch_cross = (ls->d + 2.0) / (p_max - p_min); /* equal rows: infinity, no batch is large enough */
    out->kappa = p_max / p_min;
    root = (p_max - p_min) / (p_max + p_min);
    out->radius_sgd = root * root;
    root = (sqrt(p_max) - sqrt(p_min)) / (sqrt(p_max) + sqrt(p_min));
    out->radius_momentum = root * root;
    return MSCOPE_OK;
}

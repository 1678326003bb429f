/* predict_lr.c - answers about rare-class logistic regression: coefficients, trajectories, floors
 */
#include "predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool read_lr(mscope_ask *ask, mscope_lr *lr, bool dynamics)
{
    mscope_bad why = { NULL, NAN, NULL };

    *lr = (mscope_lr){ .d = mscope_ask_number(ask, "d"),
                       .p = mscope_ask_number(ask, "p"),
                       .batch = mscope_ask_number(ask, "B"),
                       .r = mscope_ask_number(ask, "r"),
                       .eps = 1.0,
                       .terms = &ask->terms };
    if (dynamics)
        lr->eta = mscope_ask_number(ask, "eta");
    if (ask->bad || (dynamics && !mscope_ask_momentum(ask, &lr->eps, &lr->beta)))
        return false;
    return mscope_lr_check(lr, &why) == MSCOPE_OK || mscope_ask_refused(ask, &why);
}

bool mscope_answer_lr_coeffs(mscope_ask *ask)
{
    double s, R, kl, alpha, G;
    mscope_lr_coeffs k, sp;
    mscope_lr lr;

    if (!read_lr(ask, &lr, false))
        return false;
    s = mscope_ask_number(ask, "s");
    R = mscope_ask_number(ask, "R");
    if (ask->bad)
        return false;
    if (!(R >= 0.0 && R <= 1e4))
        return mscope_ask_refuse(ask, "R", "0 <= R <= 1e4", "value outside its range");
    if (mscope_lr_coefficients(&lr, MSCOPE_LR_EXACT, s, R, &k) ||
        mscope_lr_coefficients(&lr, MSCOPE_LR_SPARSE, s, R, &sp) ||
        mscope_lr_sparse_kl(lr.r, s, R, &alpha, &G))
        return mscope_ask_refuse(ask, "s", "(s + r)^2 <= 1e4", "value outside its range");
    if (mscope_lr_kl(&lr, s, R, &kl) != MSCOPE_OK)
        kl = NAN; /* answered as null: the rest is still known */
    mscope_cjson_put(ask->out, "b_star", k.b_star);
    mscope_cjson_put(ask->out, "theta_par", k.theta_par);
    mscope_cjson_put(ask->out, "q", k.q);
    mscope_cjson_put(ask->out, "A", k.A);
    mscope_cjson_put(ask->out, "B", k.B);
    mscope_cjson_put(ask->out, "D0", k.D0);
    mscope_cjson_put(ask->out, "Dtheta", k.Dtheta);
    mscope_cjson_put(ask->out, "f", k.f);
    mscope_cjson_put(ask->out, "N_perp", k.N);
    mscope_cjson_put(ask->out, "KL_pop", kl);
    mscope_cjson_put(ask->out, "alpha", alpha);
    mscope_cjson_put(ask->out, "G", G);
    mscope_cjson_put(ask->out, "A_sparse", sp.A);
    mscope_cjson_put(ask->out, "B_sparse", sp.B);
    mscope_cjson_put(ask->out, "N_sparse", sp.N);
    mscope_cjson_put(ask->out, "f_sparse", sp.f);
    return true;
}

/* eight times the slower of retention and learning, sampled more densely at the start */
static int default_times(const mscope_lr *lr, double *t)
{
    static const double share[] = { 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0 };
    double last = floor(8.0 * fmax(1.0 / lr->eps, lr->d / (lr->p * lr->batch)));
    int n = 0;

    last = fmin(fmax(last, 1.0), 1e5);
    for (int i = 0; i < 8; i++) {
        double at = fmax(rint(share[i] * last), 1.0);
        if (n == 0 || at > t[n - 1])
            t[n++] = at;
    }
    return n;
}

static void push_state(cJSON *rows, double t, const double x[5])
{
    double row[6] = { t, x[0], x[1], x[2], x[3], x[4] };

    cJSON_AddItemToArray(rows, mscope_cjson_numbers(row, 6));
}

/* False; with the reason where it is the time that the answer would take. */
static bool too_long(mscope_ask *ask, int rc)
{
    return rc == MSCOPE_EAGAIN &&
           mscope_ask_refuse(ask, "times", "an answer of at most " MSCOPE_ASK_TERMS_TEXT " terms",
                             "it would take too long: ask for fewer steps, or a smaller eta");
}

static bool flow_rows(mscope_ask *ask, const mscope_lr *lr, enum mscope_lr_law law, const double *t,
                      int n, const double x0[5])
{
    cJSON *rows = cJSON_AddArrayToObject(ask->out, law == MSCOPE_LR_EXACT ? "exact" : "sparse");
    cJSON *kls = law == MSCOPE_LR_EXACT ? cJSON_AddArrayToObject(ask->out, "KL_pop") : NULL;
    double x[5], at = 0.0;

    memcpy(x, x0, sizeof x);
    for (int i = 0; i < n; i++) {
        double kl[2] = { t[i], NAN };
        const int rc = mscope_lr_flow(lr, law, t[i] - at, x);
        if (rc != MSCOPE_OK)
            return too_long(ask, rc);
        at = t[i];
        push_state(rows, at, x);
        if (kls == NULL)
            continue;
        if (mscope_lr_kl(lr, x[0], fmax(x[2], 0.0), kl + 1) != MSCOPE_OK)
            kl[1] = NAN;
        cJSON_AddItemToArray(kls, mscope_cjson_numbers(kl, 2));
    }
    return true;
}

static bool map_rows(mscope_ask *ask, const mscope_lr *lr, const double *t, int n,
                     const double x0[5])
{
    cJSON *rows = cJSON_AddArrayToObject(ask->out, "map");
    double x[5], at = 0.0;

    memcpy(x, x0, sizeof x);
    for (int i = 0; i < n; i++) {
        const int rc = mscope_lr_iterate(lr, MSCOPE_LR_EXACT, t[i] - at, x);
        if (rc != MSCOPE_OK)
            return too_long(ask, rc);
        at = t[i];
        push_state(rows, at, x);
    }
    return true;
}

static bool whole_steps(const double *t, int n)
{
    for (int i = 0; i < n; i++)
        if (floor(t[i]) != t[i] || t[i] > 1e6)
            return false;
    return true;
}

bool mscope_answer_lr_ode(mscope_ask *ask)
{
    double x0[5], derived[8], *times;
    mscope_lr lr;
    int n;
    bool ok;

    if (!read_lr(ask, &lr, true) || !mscope_ask_vector(ask, "x0", x0, 5))
        return false;
    if (!(x0[2] >= 0.0 && x0[3] >= 0.0))
        return mscope_ask_refuse(ask, "x0", "R >= 0 and V >= 0", "value outside its range");
    n = mscope_ask_grid(ask, "times", &times);
    if (n < 0)
        return false;
    if (!whole_steps(times, n)) {
        free(times);
        return mscope_ask_refuse(ask, "times", "whole steps, at most 1e6",
                                 "value outside its range");
    }
    if (n == 0)
        n = default_times(&lr, derived);
    ok = flow_rows(ask, &lr, MSCOPE_LR_EXACT, times ? times : derived, n, x0) &&
         flow_rows(ask, &lr, MSCOPE_LR_SPARSE, times ? times : derived, n, x0) &&
         map_rows(ask, &lr, times ? times : derived, n, x0);
    free(times);
    return ok || mscope_ask_refuse(ask, "x0", "a trajectory that stays finite, (s+r)^2 + R <= 1e4",
                                   "the solution left the range of the theory");
}

static bool limit_floor(mscope_ask *ask)
{
    double eta_eff = mscope_ask_number(ask, "eta_eff"), r = mscope_ask_number(ask, "r");
    mscope_lr_floor f;

    if (ask->bad)
        return false;
    if (!(eta_eff >= 0.0))
        return mscope_ask_refuse(ask, "eta_eff", "eta_eff >= 0, finite", "value outside its range");
    if (!(r >= 0.0))
        return mscope_ask_refuse(ask, "r", "r >= 0, finite", "value outside its range");
    if (mscope_lr_limit_floor(eta_eff, r, &f) != MSCOPE_OK)
        return false;
    mscope_cjson_put(ask->out, "alpha", f.alpha);
    mscope_cjson_put(ask->out, "R", f.R);
    mscope_cjson_put(ask->out, "s", f.s);
    mscope_cjson_put(ask->out, "G", f.G);
    mscope_cjson_put(ask->out, "R_implicit", f.R_implicit);
    mscope_cjson_put(ask->out, "alpha_first_order", f.alpha1);
    mscope_cjson_put(ask->out, "R_second_order", f.R2);
    mscope_cjson_put(ask->out, "s_first_order", f.s1);
    cJSON_AddItemToObject(ask->out, "jacobian_over_etap", mscope_cjson_numbers(f.jacobian, 4));
    cJSON_AddItemToObject(ask->out, "rates_over_etap", mscope_cjson_numbers(f.rate, 2));
    return true;
}

static bool put_fixed(cJSON *out, const char *field, const mscope_lr *lr, enum mscope_lr_law law,
                      double x[5])
{
    cJSON *object = cJSON_AddObjectToObject(out, field);

    if (mscope_lr_fixed_point(lr, law, x) != MSCOPE_OK)
        return false;
    mscope_cjson_put(object, "s", x[0]);
    mscope_cjson_put(object, "R", x[2]);
    mscope_cjson_put(object, "V", x[3]);
    mscope_cjson_put(object, "C", x[4]);
    return true;
}

static bool fixed_point(mscope_ask *ask)
{
    mscope_lr lr;
    double x[5], y[5], kl;

    if (!read_lr(ask, &lr, true))
        return false;
    if (!put_fixed(ask->out, "exact", &lr, MSCOPE_LR_EXACT, x) ||
        !put_fixed(ask->out, "sparse", &lr, MSCOPE_LR_SPARSE, y) ||
        mscope_lr_kl(&lr, x[0], x[2], &kl) != MSCOPE_OK)
        return mscope_ask_refuse(ask, "eta", "an eta with a fixed point", "no fixed point found");
    mscope_cjson_put(ask->out, "R_leading", lr.eta * lr.d / (2.0 * lr.batch));
    mscope_cjson_put(ask->out, "KL_pop", kl);
    return true;
}

bool mscope_answer_lr_floors(mscope_ask *ask)
{
    if (ask->op != NULL && strcmp(ask->op, "limit_floor") == 0)
        return limit_floor(ask);
    if (ask->op != NULL && strcmp(ask->op, "fixed_point") == 0)
        return fixed_point(ask);
    return mscope_ask_refuse(ask, "op", "limit_floor or fixed_point", "missing or unknown");
}

/* test_theory_vectors.c - the golden vectors through the library itself
 *
 * Rule: |got - x| <= rtol * s + atol, with s the field's scale if it has one, else |x|. The worst
 * error of each file is printed as a share of the allowed one. predict --jsonl has its own pass in
 * test_predict.py. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "mscope/theory.h"

#define OK(call) assert_int_equal(call, MSCOPE_OK)

static double worst;

static cJSON *load(const char *kind)
{
    char name[128], *text;
    cJSON *json;
    long size;
    FILE *f;

    snprintf(name, sizeof name, "tests/vectors/%s.json", kind);
    f = fopen(name, "rb");
    if (f == NULL)
        fail_msg("cannot open %s; run from the top of the tree", name);
    fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);
    text = malloc((size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, f), size);
    text[size] = '\0';
    fclose(f);
    json = cJSON_Parse(text);
    assert_non_null(json);
    free(text);
    worst = 0.0;
    return json;
}

static const cJSON *get(const cJSON *o, const char *field)
{
    return cJSON_GetObjectItemCaseSensitive(o, field);
}

static double num(const cJSON *o, const char *field)
{
    const cJSON *v = get(o, field);

    return cJSON_IsNumber(v) ? v->valuedouble : 0.0;
}

static double at(const cJSON *array, int i)
{
    const cJSON *v = cJSON_IsArray(array) ? cJSON_GetArrayItem(array, i) : array;

    return v->valuedouble;
}

/* got[n] against the number or array ref, under the tolerances of its case */
static void compare(const cJSON *c, const char *field, const cJSON *ref, const cJSON *scale,
                    const double *got, int n)
{
    if (ref == NULL || cJSON_IsNull(ref))
        return;
    for (int i = 0; i < n; i++) {
        double x = at(ref, i), s = scale ? at(scale, i) : fabs(x);
        double allowed = num(c, "rtol") * s + num(c, "atol"), error = fabs(got[i] - x);
        if (!(error <= allowed))
            fail_msg("%s %s[%d]: got %a, want %a, error %.3g of the allowed",
                     get(c, "id")->valuestring, field, i, got[i], x, error / allowed);
        if (allowed > 0.0)
            worst = fmax(worst, error / allowed);
    }
}

static void field(const cJSON *c, const char *name, const double *got, int n)
{
    compare(c, name, get(get(c, "out"), name), get(get(c, "scale"), name), got, n);
}

static void one(const cJSON *c, const char *name, double got)
{
    field(c, name, &got, 1);
}

static void done(cJSON *file, const char *kind)
{
    printf("# note %s through the library: worst error %.3g of allowed\n", kind, worst);
    cJSON_Delete(file);
}

static mscope_row row_of(const cJSON *c, mscope_ls *ls)
{
    const cJSON *in = get(c, "in");
    mscope_row row;

    *ls = (mscope_ls){ .d = num(in, "d"),
                       .p = num(in, "p"),
                       .batch = num(in, "B"),
                       .eps = num(in, "eps"),
                       .beta = num(in, "beta"),
                       .eta = num(in, "eta") };
    OK(mscope_row_from_ls(ls, &row));
    return row;
}

static void roots(const cJSON *c, const char *name, double got[3][2])
{
    const cJSON *ref = get(get(c, "out"), name), *scale = get(get(c, "scale"), name);

    for (int i = 0; i < 3; i++) {
        double best = INFINITY, allowed;
        for (int j = 0; j < 3; j++) {
            const cJSON *z = cJSON_GetArrayItem(ref, i);
            best = fmin(best, hypot(got[j][0] - at(z, 0), got[j][1] - at(z, 1)));
        }
        allowed = num(c, "rtol") * at(scale, i) + num(c, "atol");
        if (!(best <= allowed))
            fail_msg("%s %s[%d]: error %.3g of the allowed", get(c, "id")->valuestring, name, i,
                     best / allowed);
        worst = fmax(worst, best / allowed);
    }
}

static void test_ls_matrix(void **state)
{
    cJSON *file = load("ls_matrix");
    const cJSON *c;

    (void)state;
    cJSON_ArrayForEach(c, get(file, "cases"))
    {
        mscope_ls ls;
        mscope_row row = row_of(c, &ls);
        mscope_batch b;
        mscope_feedback fb;
        double A[9], G[9], k[3], r[3][2];
        OK(mscope_ls_batch(&ls, &b));
        OK(mscope_row_drift(&row, A));
        OK(mscope_row_step(&row, G));
        OK(mscope_row_cubic(&row, k));
        OK(mscope_row_spectrum(&row, r, NULL));
        OK(mscope_row_feedback(&row, &fb));
        one(c, "P_batch", b.P);
        one(c, "Q_batch", b.Q);
        one(c, "B1", b.B1);
        one(c, "Bdiag", b.Bdiag);
        one(c, "Bcross", b.Bcross);
        one(c, "B2", b.B2);
        one(c, "beta1bar", b.beta1bar);
        one(c, "beta2bar", b.beta2bar);
        one(c, "one_minus_beta1bar", b.gap1);
        one(c, "one_minus_beta2bar", b.gap2);
        one(c, "delta_theta", b.s_theta);
        one(c, "delta_g", b.s_g);
        one(c, "delta2_theta", b.s2_theta);
        one(c, "delta2_g", b.s2_g);
        one(c, "delta_m1_theta", b.bs_theta);
        one(c, "delta_m1_g", b.bs_g);
        one(c, "delta_theta_g", b.s_cross);
        field(c, "A", A, 9);
        field(c, "G_minus_I", G, 9);
        field(c, "c", k, 3);
        roots(c, "eigenvalues", r);
        one(c, "rho", fb.rho_proxy);
        one(c, "tau", fb.learning);
        one(c, "Delta", fb.delta_proxy);
        one(c, "eta_max", fb.eta_max);
        assert_int_equal(fb.H < 1.0, cJSON_IsTrue(get(get(c, "out"), "stable")));
    }
    done(file, "ls_matrix");
}

static void test_ls_stability(void **state)
{
    cJSON *file = load("ls_stability");
    const cJSON *c, *r;

    (void)state;
    cJSON_ArrayForEach(c, get(file, "cases"))
    {
        mscope_ls ls;
        mscope_row row = row_of(c, &ls);
        double top;
        OK(mscope_row_eta_max(&row, &top));
        one(c, "eta_max", top);
        cJSON_ArrayForEach(r, get(get(c, "out"), "rows"))
        {
            double k[3], z[3][2], margin;
            row.eta = num(r, "eta");
            OK(mscope_row_cubic(&row, k));
            OK(mscope_row_spectrum(&row, z, NULL));
            margin = k[0] * k[1] - k[2];
            compare(c, "c", get(r, "c"), get(r, "c_scale"), k, 3);
            compare(c, "c1c2 - c3", get(r, "c1c2_minus_c3"), get(r, "c1c2_scale"), &margin, 1);
            compare(c, "abscissa", get(r, "abscissa"), get(r, "abscissa_scale"), z[0], 1);
        }
    }
    done(file, "ls_stability");
}

static void test_ls_clocks(void **state)
{
    static const char *const names[][2] = { { "active_k", "active_k_scale" },
                                            { "global_n", "global_n_scale" },
                                            { "snapshot_n", "snapshot_n_scale" },
                                            { "ode_t", "ode_t_scale" } };
    cJSON *file = load("ls_clocks");
    const cJSON *c, *r;

    (void)state;
    cJSON_ArrayForEach(c, get(file, "cases"))
    {
        mscope_ls ls;
        mscope_row row = row_of(c, &ls);
        cJSON_ArrayForEach(r, get(get(c, "out"), "rows")) for (int k = 0; k <= MSCOPE_CLOCK_ODE;
                                                               k++)
        {
            const cJSON *x0 = get(get(c, "in"), "x0");
            double x[3] = { at(x0, 0), at(x0, 1), at(x0, 2) };
            OK(mscope_row_advance(&row, (enum mscope_clock)k, num(r, "count"), x));
            compare(c, names[k][0], get(r, names[k][0]), get(r, names[k][1]), x, 3);
        }
    }
    done(file, "ls_clocks");
}

static void test_ls_limit(void **state)
{
    cJSON *file = load("ls_limit");
    const cJSON *c, *r;

    (void)state;
    cJSON_ArrayForEach(c, get(file, "cases"))
    {
        const cJSON *in = get(c, "in"), *out = get(c, "out");
        mscope_exponents e = { num(in, "kappa"), num(in, "sigma"), num(in, "gamma"), 0.0 };
        mscope_prefactors f = { num(in, "p_star"), num(in, "B_star"), num(in, "eps_star"),
                                num(in, "eta_star") };
        mscope_limit l;
        OK(mscope_limit_of(&e, &f, &l));
        assert_string_equal(l.atlas.regime, get(out, "regime")->valuestring);
        assert_string_equal(l.atlas.limit, get(out, "limit")->valuestring);
        one(c, "clock_exp", l.atlas.clock);
        one(c, "c_eff", l.c_eff);
        one(c, "rho_star", l.rho);
        one(c, "xi_star", l.xi);
        field(c, "M", l.M, 9);
        field(c, "mu_cubic", l.cubic, 3);
        cJSON_ArrayForEach(r, get(out, l.dim == 1 ? "R" : "RVC_balanced"))
        {
            double x[4] = { at(r, 0), 1.0, 0.0, 0.0 };
            OK(mscope_limit_at(&l, x[0], x + 1));
            compare(c, "trajectory", r, NULL, x, l.dim == 1 ? 2 : 4);
        }
    }
    done(file, "ls_limit");
}

static mscope_lr lr_of(const cJSON *c)
{
    const cJSON *in = get(c, "in");

    return (mscope_lr){ num(in, "d"),    num(in, "p"),
                        num(in, "B"),    get(in, "eps") ? num(in, "eps") : 1.0,
                        num(in, "beta"), num(in, "eta"),
                        num(in, "r"),    NULL };
}

static void test_lr_coeffs(void **state)
{
    cJSON *file = load("lr_coeffs");
    const cJSON *c;

    (void)state;
    cJSON_ArrayForEach(c, get(file, "cases"))
    {
        double s = num(get(c, "in"), "s"), R = num(get(c, "in"), "R"), kl, alpha, G;
        mscope_lr lr = lr_of(c);
        mscope_lr_coeffs k;
        OK(mscope_lr_coefficients(&lr, MSCOPE_LR_EXACT, s, R, &k));
        OK(mscope_lr_kl(&lr, s, R, &kl));
        OK(mscope_lr_sparse_kl(lr.r, s, R, &alpha, &G));
        one(c, "b_star", k.b_star);
        one(c, "A", k.A);
        one(c, "B", k.B);
        one(c, "D0", k.D0);
        one(c, "Dtheta", k.Dtheta);
        one(c, "f", k.f);
        one(c, "N_perp", k.N);
        one(c, "KL_pop", kl);
        one(c, "alpha", alpha);
        one(c, "G", G);
        OK(mscope_lr_coefficients(&lr, MSCOPE_LR_SPARSE, s, R, &k));
        one(c, "A_sparse", k.A);
        one(c, "B_sparse", k.B);
        one(c, "f_sparse", k.f);
        one(c, "N_sparse", k.N);
    }
    done(file, "lr_coeffs");
}

/* one trajectory: law < 0 is the recursion */
static void trajectory(const cJSON *c, const char *name, int law)
{
    const cJSON *x0 = get(get(c, "in"), "x0"), *scale = get(get(c, "scale"), "state"), *r;
    double x[5], from = 0.0;
    mscope_lr lr = lr_of(c);

    for (int i = 0; i < 5; i++)
        x[i] = at(x0, i);
    cJSON_ArrayForEach(r, get(get(c, "out"), name))
    {
        double dt = at(r, 0) - from;
        OK(law < 0 ? mscope_lr_iterate(&lr, MSCOPE_LR_EXACT, dt, x)
                   : mscope_lr_flow(&lr, (enum mscope_lr_law)law, dt, x));
        from = at(r, 0);
        for (int i = 0; i < 5; i++)
            compare(c, name, cJSON_GetArrayItem(r, i + 1), cJSON_GetArrayItem(scale, i), &x[i], 1);
    }
}

static void test_lr_ode(void **state)
{
    cJSON *file = load("lr_ode");
    const cJSON *c;

    (void)state;
    cJSON_ArrayForEach(c, get(file, "cases"))
    {
        trajectory(c, "exact", MSCOPE_LR_EXACT);
        trajectory(c, "sparse", MSCOPE_LR_SPARSE);
        trajectory(c, "map", -1);
    }
    done(file, "lr_ode");
}

static void fixed(const cJSON *c, const char *name, enum mscope_lr_law law)
{
    static const char *const parts[] = { "s", "u", "R", "V", "C" };
    const cJSON *ref = get(get(c, "out"), name);
    mscope_lr lr = lr_of(c);
    double x[5];

    OK(mscope_lr_fixed_point(&lr, law, x));
    for (int i = 0; i < 5; i++)
        compare(c, parts[i], get(ref, parts[i]), NULL, &x[i], 1);
}

static void test_lr_floors(void **state)
{
    cJSON *file = load("lr_floors");
    const cJSON *c;

    (void)state;
    cJSON_ArrayForEach(c, get(file, "cases"))
    {
        mscope_lr_floor f;
        if (strcmp(get(c, "op")->valuestring, "fixed_point") == 0) {
            fixed(c, "exact", MSCOPE_LR_EXACT);
            fixed(c, "sparse", MSCOPE_LR_SPARSE);
            continue;
        }
        OK(mscope_lr_limit_floor(num(get(c, "in"), "eta_eff"), num(get(c, "in"), "r"), &f));
        one(c, "alpha", f.alpha);
        one(c, "R", f.R);
        one(c, "s", f.s);
        one(c, "G", f.G);
        one(c, "R_implicit", f.R_implicit);
        one(c, "alpha_first_order", f.alpha1);
        one(c, "R_second_order", f.R2);
        one(c, "s_first_order", f.s1);
        field(c, "jacobian_over_etap", f.jacobian, 4);
        field(c, "rates_over_etap", f.rate, 2);
    }
    done(file, "lr_floors");
}

static void test_ls_regimes(void **state)
{
    cJSON *file = load("ls_regimes");
    const cJSON *c;

    (void)state;
    cJSON_ArrayForEach(c, get(file, "cases"))
    {
        const cJSON *in = get(c, "in"), *out = get(c, "out");
        mscope_exponents e = { num(in, "kappa"), num(in, "sigma"), num(in, "gamma"),
                               num(in, "tol") };
        mscope_atlas a;
        OK(mscope_classify(&e, &a));
        one(c, "alpha", a.alpha);
        if (get(out, "regime") == NULL)
            continue;
        assert_string_equal(a.batch_name, get(out, "batch")->valuestring);
        assert_string_equal(a.phase_name, get(out, "phase")->valuestring);
        assert_string_equal(a.regime, get(out, "regime")->valuestring);
        assert_string_equal(a.region, get(out, "region")->valuestring);
        assert_string_equal(a.limit, get(out, "limit")->valuestring);
        assert_string_equal(a.lr_region, get(out, "lr_region")->valuestring);
        one(c, "nu", a.nu);
        one(c, "learning_exp", a.learning_exp);
    }
    done(file, "ls_regimes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ls_matrix),  cmocka_unit_test(test_ls_stability),
        cmocka_unit_test(test_ls_clocks),  cmocka_unit_test(test_ls_limit),
        cmocka_unit_test(test_ls_regimes), cmocka_unit_test(test_lr_coeffs),
        cmocka_unit_test(test_lr_ode),     cmocka_unit_test(test_lr_floors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

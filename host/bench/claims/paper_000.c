/* paper_000.c - the numbers that arXiv 2605.28961 states, and the tolerance of each
 *
 * Main against limit: the paper calls the two indistinguishable to plotting accuracy at d = 1e4; a deviation passes
 * when it is under 3 % of the curve's height there and falls from d = 1e2 to 1e4. Figures 8 and 9 are drawn at d =
 * 1e3. Figure 24, whose clocks part as d^0.2 only, is judged by that exponent instead. */
#include <math.h>

#include "paper_000.h"

#define MAIN_LIMIT "main against limit at d=1e4, largest deviation"

const mscope_claim mscope_claims_000[] = {
    { "000", "Figure 2 left", "64 runs against the exact map, |z|, dense above", 0, 4, 0, 2, mscope_000_monte_carlo },
    { "000", "Figure 2 mid", "the same on the dense/sparse boundary, above", 0, 4, 1, 20, mscope_000_monte_carlo },
    { "000", "Figure 2 right", "the same, dense below", 0, 4, 2, 1, mscope_000_monte_carlo },
    { "000", "Figure 7", "slopes against c_eff, largest relative deviation", 0, 0.03, 0, 0.1,
      mscope_000_boundary_rate },
    { "000", "Figure 8", MAIN_LIMIT " (triple)", 0, 0.03, 8, 0.1, mscope_000_ls_limit },
    { "000", "Figure 9", MAIN_LIMIT " (triple)", 0, 0.03, 9, 0.1, mscope_000_ls_limit },
    { "000", "Figure 10", "kappa of least last risk, gamma=0.4", 1.2, 0.1, 0.4, 1, mscope_000_heatmap },
    { "000", "Figure 10", "kappa of least last risk, gamma=0.8", 1.2, 0.1, 0.8, 1, mscope_000_heatmap },
    { "000", "Figure 10", "kappa of least last risk, gamma=1.5", 1.2, 0.1, 1.5, 1, mscope_000_heatmap },
    { "000", "Figure 11", MAIN_LIMIT, 0, 0.03, 11, 0.1, mscope_000_ls_limit },
    { "000", "Figure 12", MAIN_LIMIT, 0, 0.03, 12, 0.1, mscope_000_ls_limit },
    { "000", "Figure 13", MAIN_LIMIT, 0, 0.03, 13, 0.1, mscope_000_ls_limit },
    { "000", "Figure 14", MAIN_LIMIT, 0, 0.03, 14, 0.1, mscope_000_ls_limit },
    { "000", "Figure 15", MAIN_LIMIT, 0, 0.03, 15, 0.1, mscope_000_ls_limit },
    { "000", "Figure 16", MAIN_LIMIT, 0, 0.03, 16, 0.1, mscope_000_ls_limit },
    { "000", "Figure 17", MAIN_LIMIT, 0, 0.03, 17, 0.1, mscope_000_ls_limit },
    { "000", "Figure 17", "slow eigenvalue, finite d", -0.576, 6e-4, 0, 0.1, mscope_000_spectrum },
    { "000", "Figure 17", "pair, real part, finite d", -1.213, 6e-4, 1, 0.1, mscope_000_spectrum },
    { "000", "Figure 17", "pair, imaginary part, finite d", 1.062, 6e-4, 2, 0.1, mscope_000_spectrum },
    { "000", "Figure 17", "slow eigenvalue, as predicted by (188)", -0.576, 6e-4, 0, 0.1, mscope_000_cubic },
    { "000", "Figure 17", "pair, real part, as predicted by (188)", -1.213, 6e-4, 1, 0.1, mscope_000_cubic },
    { "000", "Figure 17", "pair, imaginary part, as predicted by (188)", 1.062, 6e-4, 2, 0.1, mscope_000_cubic },
    { "000", "Figure 18", MAIN_LIMIT, 0, 0.03, 18, 0.1, mscope_000_ls_limit },
    { "000", "Figure 19", MAIN_LIMIT, 0, 0.03, 19, 0.1, mscope_000_ls_limit },
    { "000", "Figure 20", MAIN_LIMIT, 0, 0.03, 20, 0.1, mscope_000_ls_limit },
    { "000", "Figure 21", MAIN_LIMIT, 0, 0.03, 21, 0.1, mscope_000_ls_limit },
    { "000", "Figure 22", MAIN_LIMIT, 0, 0.03, 22, 5, mscope_000_lr_limit },
    { "000", "Figure 23", MAIN_LIMIT, 0, 0.03, 23, 5, mscope_000_lr_limit },
    { "000", "Figure 24", "main against limit: exponent of the deviation in d", -0.2, 0.02, 24, 5,
      mscope_000_lr_trend },
    { "000", "Figure 24", "s* of the floor", -0.059, 5e-4, 0, 0.1, mscope_000_lr_floor },
    { "000", "Figure 24", "R* of the floor", 0.291, 5e-4, 1, 0.1, mscope_000_lr_floor },
    { "000", "Figure 24", "alpha* of the floor", 1.030, 5e-4, 2, 0.1, mscope_000_lr_floor },
    { "000", "Figure 25", MAIN_LIMIT, 0, 0.03, 25, 5, mscope_000_lr_limit },
    { "000", "Figure 26", MAIN_LIMIT, 0, 0.03, 26, 5, mscope_000_lr_limit },
    { "000", "(244)", "exponent of the floor above resonance", 1 - 1.6 + 1.2 - 2.4, 0.02, 0, 0.1, mscope_000_lr_above },
    { "000", "(244)", "floor above resonance, sampled, relative tolerance", NAN, 0.1, 0, 10, mscope_000_lr_sampled },
    { "000", "Table 4", "exponent of eta_max, region A", 0.05 - 0.8, 0.005, 0, 0.1, mscope_000_ceiling },
    { "000", "Table 4", "exponent of eta_max, region B", 0.2, 0.005, 1, 0.1, mscope_000_ceiling },
    { "000", "Table 4", "exponent of eta_max, region C", 0.7 - 1.0, 0.005, 2, 0.1, mscope_000_ceiling },
    { "000", "Table 4", "exponent of eta_max, region D", 0.2, 0.005, 3, 0.1, mscope_000_ceiling },
    { "000", "Table 4", "exponent of eta_max, region E", 0.2, 0.005, 4, 0.1, mscope_000_ceiling },
    { "000", "Table 4", "exponent of eta_max, region F", 2.0 - 2.4, 0.005, 5, 0.1, mscope_000_ceiling },
    { "000", "Proposition 2", "runs at 300 times the correlation ceiling grow", NAN, 0, 0, 10, mscope_000_stable },
    { "000", "Section 7", "one beta: something sits on resonance, the rest not", 1, 0, 0, 0.1, mscope_000_conflict },
    { "000", "Section 7", "price of one beta in steps, small batch", NAN, 0, 64, 5, mscope_000_conflict_cost },
    { "000", "Section 7", "price of one beta in steps, large batch", NAN, 0, 16384, 5, mscope_000_conflict_cost },
    { NULL, NULL, NULL, 0, 0, 0, 0, NULL },
};

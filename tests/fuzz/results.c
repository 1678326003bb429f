/* results.c - lines of bench run as bench compare reads them, and what it says about their groups */
#include "bench/report/compare.h"
#include "bench/report/results.h"
#include "fuzz.h"

enum { LINES = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static char line[8192];
    mscope_results all = { .n = 0 };
    fuzz_input in = { bytes, len };
    const unsigned what = (unsigned)fuzz_take(&in, 1);
    size_t runs = 0;

    for (int i = 0; i < LINES && in.left > 0; i++)
        runs += (size_t)mscope_results_line(&all, fuzz_text(&in, line, sizeof line));
    FUZZ_HOLDS(runs + all.bad == all.lines && all.repeated <= runs);
    for (size_t i = 0; i < all.n; i++) {
        const mscope_result *r = &all.at[i];
        double mean, theory, low, high;
        FUZZ_HOLDS(r->bands <= MSCOPE_BENCH_BANDS && r->points <= MSCOPE_RESULT_POINTS);
        for (size_t b = 0; r->seeds > 0 && b <= r->bands; b++)
            mscope_result_steps(r, b, &mean, &low, &high);
        FUZZ_HOLDS(mscope_result_theory(r, &mean, &theory, &low, &high) <= r->seeds);
    }
    if (runs > 0 && what % 16 == 0)          /* printing takes ten times as long as reading */
        (void)mscope_compare_print(&all, what >> 4 & 1, NULL, "png");
    mscope_results_free(&all);
    return 0;
}

/* norms.h - sums over the coordinates of rows, of float32 or float64 elements, and nothing else
 *
 * Sums of float32 are kept in eight lanes and folded to float64 every 128 coordinates: some 1e-7 relative.  */
#ifndef MSCOPE_CLIENT_NORMS_H
#define MSCOPE_CLIENT_NORMS_H

#include <stddef.h>

typedef struct mscope_norms {
    double aa, ab, bb;
} mscope_norms;

/* Of a[n] and b[n], elements of `size` 4 or 8 bytes. */
mscope_norms mscope_norms_of(const void *a, const void *b, size_t n, size_t size);
double mscope_norm2(const void *a, size_t n, size_t size);                     /* |a|^2     */
double mscope_norm2_between(const void *a, const void *b, size_t n, size_t size);      /* |a - b|^2 */
double mscope_norm_sum(const void *a, size_t n, size_t size);                  /* sum of a  */

#endif

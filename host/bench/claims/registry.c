/* registry.c - the tables of claims, in the order in which `momentscope bench reproduce` shows them
 *
 * A new claim is one row of a table; a new table is one line here.                                               */
#include "claim.h"

#define TABLES(ADD) \
    ADD(000)        \
    ADD(000b)       \
    ADD(semantics)  \
    ADD(001)        \
    ADD(003)        \
    ADD(004)

#define DECLARE(x) extern const mscope_claim mscope_claims_##x[];
#define ADDRESS(x) mscope_claims_##x,

TABLES(DECLARE)

const mscope_claim *const mscope_claim_tables[] = { TABLES(ADDRESS) NULL };

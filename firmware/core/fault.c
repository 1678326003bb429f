/* fault.c - refuse a call: return its code, and keep field, value and range for mscope_table_fault */
#include "table.h"

int (mscope_refuse)(mscope_table *t, int code, const char *field, size_t at, double value, double low, double high)
{
    t->fault = (mscope_fault){ field, at, value, low, high };
    return code;
}

const mscope_fault *mscope_table_fault(const mscope_table *t)
{
    return &t->fault;
}

int mscope_refuse_open(mscope_table *t, const char *what)
{
    return t->open ? mscope_refuse(t, MSCOPE_ESTATE, what, 0, 1, 0, 0) : MSCOPE_OK;
}

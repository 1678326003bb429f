/* reading.h - a step of an optimizer that is read, between mscope_client_read_before and _after */
#ifndef MSCOPE_CLIENT_READING_H
#define MSCOPE_CLIENT_READING_H

#include "mscope/read.h"
#include "state.h"

void mscope_reading_forget(mscope_client_table *t);

#endif

/* standard.h - standard input, output and error of a program, as whoever started it left them
 *
 * A descriptor 0, 1 or 2 that is not open would be given to the next file or socket, and what is printed would go into
 * a recording or down a connection to the daemon. */
#ifndef MSCOPE_STANDARD_H
#define MSCOPE_STANDARD_H

/* mscope_standard_open - to be called first: what is not open is opened such that its use fails with EBADF */
void mscope_standard_open(void);

/* mscope_standard_reader_left - 1: standard output is a pipe or socket that nobody reads any more */
int mscope_standard_reader_left(void);

/* mscope_standard_arrived - to be called last: the exit code of a program that ends with code
 *
 * Output cut short by a full disk is no success: it is told as "name: ..", and the code is failed where it was 0. A
 * reader that left early (head) is none of our errors: nothing is told, the code stays.                       */
int mscope_standard_arrived(const char *name, int code, int failed);

#endif

/* bench.h - the four verbs of momentscope bench; each gets its own argv and returns an exit code of cli.h */
#ifndef MSCOPE_BENCH_BENCH_H
#define MSCOPE_BENCH_BENCH_H

int mscope_bench_list(int argc, char **argv);
int mscope_bench_run_main(int argc, char **argv);
int mscope_bench_compare(int argc, char **argv);
int mscope_bench_reproduce(int argc, char **argv);

#endif

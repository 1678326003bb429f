/* bench.h - the four verbs of momentscope bench: each gets its own argv and returns an exit code of common/exit.h */
#ifndef MSCOPE_CLI_BENCH_H
#define MSCOPE_CLI_BENCH_H

int mscope_cmd_bench_list(int argc, char **argv);
int mscope_cmd_bench_run(int argc, char **argv);
int mscope_cmd_bench_compare(int argc, char **argv);
int mscope_cmd_bench_reproduce(int argc, char **argv);

#endif

/* cli.h - the commands of the momentscope program
 *
 * A command gets its own argv (argv[0] is its name) and returns the exit code. Its --help shows an
 * example and the exit codes.                                                                   */
#ifndef MSCOPE_CLI_H
#define MSCOPE_CLI_H

#include "common/exit.h"

int mscope_cmd_alerts(int argc, char **argv);
int mscope_cmd_advise(int argc, char **argv);
int mscope_cmd_check(int argc, char **argv);
int mscope_cmd_bench(int argc, char **argv);
int mscope_cmd_export(int argc, char **argv);
int mscope_cmd_keys(int argc, char **argv);
int mscope_cmd_predict(int argc, char **argv);
int mscope_cmd_record(int argc, char **argv);
int mscope_cmd_play(int argc, char **argv);
int mscope_cmd_report(int argc, char **argv);
int mscope_cmd_serve(int argc, char **argv);
int mscope_cmd_watch(int argc, char **argv);

#endif

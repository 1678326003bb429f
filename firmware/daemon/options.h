/* options.h - the options of momentscoped, from command line and environment, every value checked */
#ifndef MSCOPE_DAEMON_OPTIONS_H
#define MSCOPE_DAEMON_OPTIONS_H

#include <stdint.h>

#define MSCOPE_ANY_CPU UINT64_MAX

typedef struct mscope_options {
    char ingest[256], telemetry[256], replay[256];
    double interval, takeover, state_every;  /* seconds                                         */
    uint64_t interval_steps, max_tables, max_bytes, max_part, credit_messages, credit_bytes, history, replay_bytes;
    uint64_t max_connections, max_subscriptions, max_flight, map_above;
    const char *map_above_given;             /* as it was given; NULL: it was not               */
    char map_dir[1024], keys[1024], verify[1024];
    char state[1024], kernel[32], log[1024];
    uint64_t cpu;                            /* for the engine's thread; MSCOPE_ANY_CPU: any    */
    uint64_t threads;                        /* that share a step, the engine's included        */
    int discard_state, check_config, allow_remote, allow_users, log_level, realtime;
} mscope_options;

enum { MSCOPE_OPTIONS_RUN = 1 };

/* mscope_options_parse - fill *out from the environment, then from the command line, which wins
 * Returns  MSCOPE_OPTIONS_RUN: start;  else the exit status: 0 after --help or --version, 2 after a bad option, with a
 *          line on stderr that names option, value and range                                   */
int mscope_options_parse(mscope_options *out, int argc, char **argv);

#endif

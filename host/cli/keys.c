/* keys.c - momentscope keys VERB: a folder of keys for daemons and trainers that speak over a network */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>

#include "choices.h"
#include "common/options.h"
#include "protocol/meet/keys.h"

static const mscope_option none[] = { { .name = NULL } };

static int failed(const char *why)
{
    fprintf(stderr, "momentscope keys: %s\n", why);
    return MSCOPE_EXIT_FAILED;
}

static int make(int argc, char **argv)
{
    static const mscope_command c = {
        .name = "momentscope keys new",
        .usage = "DIR",
        .about = "Make a folder with a new secret key, and print the public key that belongs to it. An old key is "
                 "kept.",
        .option = none,
        .example = "momentscope keys new ~/.config/momentscope/keys",
        .exits = "0 made\n1 there is a key already, or it cannot be written\n2 wrong usage",
        .least = 1,
        .most = 1,
        .argument = "DIR",
    };
    char why[MSCOPE_KEYS_WHY];
    mscope_keys k;
    int args, code = mscope_options_read(&c, argc, argv, &args);

    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    if (mscope_keys_new(argv[1], &k, why) != 0)
        return failed(why);
    printf("%s\n", k.public_key);
    return MSCOPE_EXIT_OK;
}

static int show(int argc, char **argv)
{
    static const mscope_command c = {
        .name = "momentscope keys show",
        .usage = "DIR",
        .about = "Print the public key of a folder, then the peers that are allowed.",
        .option = none,
        .example = "momentscope keys show ~/.config/momentscope/keys",
        .exits = "0 printed\n1 a file is missing, or is not safe to use\n2 wrong usage",
        .least = 1,
        .most = 1,
        .argument = "DIR",
    };
    char why[MSCOPE_KEYS_WHY];
    mscope_keys k;
    int args, n, code = mscope_options_read(&c, argc, argv, &args);

    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    mscope_allowed *all = calloc(MSCOPE_KEYS_MOST, sizeof *all);
    if (all == NULL || mscope_keys_read(argv[1], &k, why) != 0 ||
        (n = mscope_keys_list(argv[1], all, MSCOPE_KEYS_MOST, why)) < 0) {
        free(all);
        return failed(all == NULL ? "out of memory" : why);
    }
    printf("%s\n", k.public_key);
    for (int i = 0; i < n; i++)
        printf("allowed: %s %s\n", all[i].key, all[i].name);
    free(all);
    return MSCOPE_EXIT_OK;
}

static int allow(int argc, char **argv)
{
    static const mscope_command c = {
        .name = "momentscope keys allow",
        .usage = "DIR KEY NAME",
        .about = "Add a peer's public key to a folder. In a daemon's folder it is somebody who may connect, from now "
                 "on; in a trainer's it is the daemon, and NAME is daemon.",
        .option = none,
        .example = "momentscope keys allow keys $(ssh gpu7 momentscope keys show keys | head -1) gpu7",
        .exits = "0 added, or there already\n1 it cannot be added\n2 wrong usage",
        .least = 3,
        .most = 3,
        .argument = "DIR KEY NAME",
    };
    char why[MSCOPE_KEYS_WHY];
    int args, code = mscope_options_read(&c, argc, argv, &args);

    if (code != MSCOPE_OPTIONS_GO_ON)
        return code;
    code = mscope_keys_allow(argv[1], argv[2], argv[3], why);
    if (code < 0)
        return failed(why);
    printf("%s %s\n", argv[3], code == 1 ? "is allowed already" : "is allowed");
    return MSCOPE_EXIT_OK;
}

static const mscope_choice verbs[] = {
    { "new", "make a folder with a secret key", make },
    { "show", "print its public key, and who is allowed", show },
    { "allow", "add a peer's public key", allow },
};

static const mscope_choices keys = {
    .name = "momentscope keys",
    .what = "VERB",
    .kind = "verb",
    .choice = verbs,
    .n = sizeof verbs / sizeof verbs[0],
    .about = "momentscoped --keys DIR lets in only peers whose public keys are allowed in DIR,\n"
             "and encrypts. Trainers and listeners find theirs by MOMENTSCOPE_KEYS=DIR.",
    .example = "momentscope keys new keys",
    .exits = "0 success\n1 something failed\n2 wrong usage",
};

int mscope_cmd_keys(int argc, char **argv)
{
    return mscope_choices_run(&keys, argc, argv);
}

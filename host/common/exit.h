/* exit.h - exit codes that every command of momentscope shares; a command may define more from 3 on */
#ifndef MSCOPE_COMMON_EXIT_H
#define MSCOPE_COMMON_EXIT_H

enum mscope_exit {
    MSCOPE_EXIT_OK = 0,
    MSCOPE_EXIT_FAILED = 1, /* the command ran and something did not work out */
    MSCOPE_EXIT_USAGE = 2   /* the command line itself was wrong              */
};

#endif

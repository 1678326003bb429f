#include "cli.h"
#include "predict.h"
int mscope_cmd_predict(int argc, char **argv)
{
    (void)argc; (void)argv;
    return mscope_predict_lines(stdin, stdout) == 0 ? 0 : 1;
}

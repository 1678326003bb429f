/* drive.c SECONDS [SEED [INPUT]] - a fuzzer on random bytes, uninstrumented: many more sequences than libFuzzer sees
 *
 * Input i of a seed is the same on every machine. What fails is said by number.       */
#include <signal.h>
#include <time.h>

#include "../fuzz.h"

static uint64_t state, seed, input;

static void say(const char *what)
{
    fprintf(stderr, "%s: input %llu of seed %llu\n", what, (unsigned long long)input, (unsigned long long)seed);
}

static void failed(int sig)
{
    say("failed");
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
}

static uint64_t rnd(void)                    /* splitmix64 */
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int main(int argc, char **argv)
{
    static uint8_t bytes[16384];
    const double seconds = argc > 1 ? strtod(argv[1], NULL) : 60;
    const time_t start = time(NULL);

    seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    (void)signal(SIGABRT, failed);
    (void)signal(SIGSEGV, failed);
    for (input = argc > 3 ? strtoull(argv[3], NULL, 10) : 0; difftime(time(NULL), start) < seconds; input++) {
        state = seed << 32 ^ input;
        const size_t len = (size_t)(rnd() % (sizeof bytes / 8)) * 8;
        for (size_t i = 0; i < len; i += 8) {
            const uint64_t x = rnd();
            memcpy(bytes + i, &x, 8);
        }
        (void)LLVMFuzzerTestOneInput(bytes, len);
    }
    say("every property held, up to");
    return 0;
}

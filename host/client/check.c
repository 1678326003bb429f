/* check.c - what the client is given, judged before anything is done
 *
 * Every refusal names the field, its value and the allowed range, and mscope_client_fault tells it on the thread of the
 * call. Nothing here touches the queue, and no socket but to connect it. */

#include "check.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "protocol/refusal.h"
#include "protocol/meet/bind.h"
#include "protocol/meet/keys.h"
#include "protocol/meet/owner.h"

static _Thread_local mscope_refusal fault;

mscope_refusal *mscope_why(void)
{
    return &fault;
}

void mscope_client_fault(mscope_refusal *out)
{
    if (out != NULL)
        *out = fault;
}

int mscope_why_memory(const char *what)
{
    return mscope_refusal_set(&fault, MSCOPE_ENOMEM, what, "memory for it", "out of memory", "%s", "none");
}

void mscope_refusal_note(mscope_client *c, const char *who, const mscope_refusal *why)
{
    c->stats.errors++;
    c->stats.last_error = *why;
    for (unsigned i = 0; i < c->nwarned; i++)
        if (strcmp(c->warned[i], why->field) == 0)
            return;
    if (c->nwarned == sizeof c->warned / sizeof c->warned[0])
        return;
    memcpy(c->warned[c->nwarned++], why->field, sizeof c->warned[0]);
    if (!c->quiet)
        fprintf(stderr, "momentscope: %s %s = %s (%s): %s\n", who, why->field, why->value, why->range, why->text);
}

/* -- whose, and where ------------------------------------------------------------------------------- */

/* After fork the child has libzmq's descriptors but not its threads, so it must not touch them. */
int mscope_check_client(const mscope_client *c)
{
    if (c == NULL)
        return mscope_refusal_set(&fault, MSCOPE_EINVAL, "client", "an open client", "nothing was opened", "%s",
                                  "NULL");
    if (c->pid != getpid())
        return mscope_refusal_set(&fault, MSCOPE_EINVAL, "client", "used by the process that opened it",
                                  "a forked child must open its own", "of pid %ld", (long)c->pid);
    return 0;
}

int mscope_check_table(const mscope_client *c, int table)
{
    char range[64];
    int rc = mscope_check_client(c);

    if (rc != 0 || (table >= 0 && (size_t)table < c->tables))
        return rc;
    snprintf(range, sizeof range, "a handle from attach, one of %zu", c->tables);
    return mscope_refusal_set(&fault, MSCOPE_EINVAL, "table", range, "no such table", "%d", table);
}

int mscope_endpoint_choose(mscope_endpoint *e, const char *which, const char *given, const char *field)
{
    static const struct {
        const char *which, *variable;
    } known[] = { { "ingest", "MOMENTSCOPE_INGEST" }, { "telemetry", "MOMENTSCOPE_TELEMETRY" },
                  { "replay", "MOMENTSCOPE_REPLAY" } };

    e->field = field;
    for (size_t i = 0; given == NULL && i < sizeof known / sizeof known[0]; i++) {
        const char *said = strcmp(which, known[i].which) == 0 ? getenv(known[i].variable) : NULL;
        if (said != NULL && said[0] != '\0')
            e->field = known[i].variable;
    }
    int rc = given == NULL ? mscope_default_endpoint(which, e->address, sizeof e->address) : 0;
    if (given != NULL && snprintf(e->address, sizeof e->address, "%s", given) >= (int)sizeof e->address)
        rc = MSCOPE_ENOMEM;
    if (rc == 0)
        return 0;
    return mscope_refusal_set(&fault, MSCOPE_EINVAL, e->field, "at most 255 bytes", "the address is too long", "%s",
                              given != NULL ? given : "longer");
}

int mscope_why_owner(const mscope_endpoint *e, const char *why)
{
    return mscope_refusal_set(&fault, MSCOPE_EIO, e->field, "a daemon of this user, root or MOMENTSCOPE_DAEMON_USER",
                              why, "%s", e->address);
}

int mscope_why_keys(const mscope_endpoint *e, int code, const char *why)
{
    return mscope_refusal_set(&fault, code, e->field, "a daemon with the keys of MOMENTSCOPE_KEYS", why, "%s",
                              e->address);
}

int mscope_endpoint_connect(const mscope_endpoint *e, void *socket)
{
    char text[MSCOPE_TEXT_MAX + 1], why[MSCOPE_OWNER_WHY];
    const int keyed = mscope_keys_folder() != NULL;

    if (!keyed && strncmp(e->address, "tcp://", 6) == 0 && !mscope_bind_local(e->address))
        return mscope_refusal_set(&fault, MSCOPE_EINVAL, e->field, "an address of this machine, or MOMENTSCOPE_KEYS",
                                  "without keys anybody on the way could read the weights, or take the daemon's place: "
                                  "set MOMENTSCOPE_KEYS (momentscope keys new), or use a tunnel", "%s", e->address);
    if (!keyed && mscope_owner_connect(e->address, why) != 0)
        return mscope_why_owner(e, why);
    if (zmq_connect(socket, e->address) == 0)
        return 0;
    snprintf(text, sizeof text, "ZeroMQ does not take this address: %s", zmq_strerror(errno));
    return mscope_refusal_set(&fault, MSCOPE_EINVAL, e->field, "ipc:///PATH (at most 107 bytes) or tcp://HOST:PORT",
                              text, "%s", e->address);
}

/* -- options and tables ----------------------------------------------------------------------------- */

static int outside(const char *field, double value, const char *range, const char *text)
{
    return mscope_refusal_set(&fault, MSCOPE_EINVAL, field, range, text, "%.15g", value);
}

int mscope_check_options(const mscope_client_options *o)
{
    if (o->block_ms < 0)
        return outside("block_ms", o->block_ms, "0 or more milliseconds", "how long a push may wait for room");
    if (o->buffer_bytes != 0 && o->buffer_bytes < MSCOPE_BUFFER_MIN)
        return outside("buffer_bytes", (double)o->buffer_bytes, "0 for 64 MiB, or 4096 and more",
                       "the buffer holds steps until the daemon has them");
    return 0;
}

static int check_name(const char *s)
{
    static const char *const range = "1 to 63 letters, digits, _ . -";
    size_t n = 0;

    if (s == NULL)
        return mscope_refusal_set(&fault, MSCOPE_EINVAL, "table", range, "a table needs a name", "%s", "NULL");
    for (; s[n] != '\0'; n++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", s[n]) == NULL)
            return mscope_refusal_set(&fault, MSCOPE_EINVAL, "table", range,
                                      "a character of the name is not allowed", "%s", s);
    if (n < 1 || n > MSCOPE_NAME_MAX)
        return mscope_refusal_set(&fault, MSCOPE_EINVAL, "table", range, "the name has the wrong length", "%s", s);
    return 0;
}

/* What HELLO of a table whose optimizer is only read must say (protocol/README.md 1.5). */
static int check_read(const mscope_attach_info *in)
{
    static const char *const text = "a table of form READ or FROZEN";

    if (in->dim != MSCOPE_READ_DIM)
        return outside("dim", in->dim, "MSCOPE_READ_DIM", text);
    if (in->state != MSCOPE_STATE_F64)
        return outside("state", (double)in->state, "MSCOPE_STATE_F64", text);
    if (in->width < 1 || in->width > 65536)
        return outside("width", in->width, "1 to 65536", "coordinates of a row in the trainer");
    if (in->acf_rows != 0)
        return outside("acf_rows", in->acf_rows, "0", text);
    if (in->nesterov || in->nll)
        return outside(in->nesterov ? "nesterov" : "nll", 1, "0", text);
    if (in->reference != NULL && in->reference[0] != '\0')
        return mscope_refusal_set(&fault, MSCOPE_EINVAL, "reference", "NULL or \"\"", text, "%s", in->reference);
    if (in->optimizer != NULL && strlen(in->optimizer) > 63)
        return outside("optimizer", (double)strlen(in->optimizer), "at most 63 bytes", "the name of the optimizer");
    return 0;
}

int mscope_check_info(const mscope_client *c, const mscope_attach_info *in)
{
    static const char *const many = "1 to 2147483648";
    char range[64];

    if (in == NULL)
        return mscope_refusal_set(&fault, MSCOPE_EINVAL, "info", "a description of the table",
                                  "nothing was given", "%s", "NULL");
    if (check_name(in->table) != 0)
        return MSCOPE_EINVAL;
    if (in->rows < 1 || in->rows > 1u << 31)
        return outside("rows", in->rows, many, "rows of the table");
    if (in->dim < 1 || in->dim > 65536)
        return outside("dim", in->dim, "1 to 65536", "values in a row");
    if (in->capacity < 1 || in->capacity > 1u << 31)
        return outside("capacity", in->capacity, many, "most entries in one step");
    if (in->acf_rows > 64)
        return outside("acf_rows", in->acf_rows, "0 to 64", "rows sampled for autocorrelations in each band");
    if ((unsigned)in->state > MSCOPE_STATE_F64)
        return outside("state", (double)in->state, "MSCOPE_STATE_F32, _MIXED or _F64",
                       "the number formats of theta and m; MSCOPE_F32 and its like are of values");
    if ((unsigned)in->form > MSCOPE_FORM_FROZEN)
        return outside("form", (double)in->form, "MSCOPE_FORM_EMA, _TORCH, _READ or _FROZEN",
                       "the convention of the momentum");
    if (MSCOPE_FORM_READS(in->form) && check_read(in) != 0)
        return MSCOPE_EINVAL;
    if (in->step > MSCOPE_STEP_MAX)
        return mscope_refusal_set(&fault, MSCOPE_EINVAL, "step", "0 to 9007199254740991", "completed steps at attach",
                                  "%llu", (unsigned long long)in->step);
    const uint64_t row = 2 * (uint64_t)in->dim * (in->state == MSCOPE_STATE_F64 ? 8 : 4);
    if (row > mscope_queue_half(&c->queue)) {
        const unsigned long long least = 2 * (row + MSCOPE_MESSAGE_BYTES);
        snprintf(range, sizeof range, "at least %llu for rows of %u values", least, in->dim);
        return outside("buffer_bytes", (double)c->queue.limit, range, "theta and m of one row must fit half of it");
    }
    for (size_t i = 0; i < c->tables; i++)
        if (strcmp(c->table[i].name, in->table) == 0)
            return mscope_refusal_set(&fault, MSCOPE_EBUSY, "table", "a name this client has not attached",
                                      "this client has attached it already", "%s", in->table);
    return 0;
}

/* -- steps ------------------------------------------------------------------------------------------ */

int mscope_check_step(const mscope_client_table *t, const mscope_step *s)
{
    int torch = t->info.form == MSCOPE_FORM_TORCH;

    if (s == NULL)
        return mscope_refusal_set(&fault, MSCOPE_EINVAL, "step", "the schedule of this step", "nothing was given", "%s",
                                  "NULL");
    if (!isfinite(s->eta) || s->eta < 0)
        return outside(torch ? "lr" : "eta", s->eta, "finite, 0 or more", "the learning rate of this step");
    if (!(s->eps >= 0 && s->eps <= 1) && torch)
        return outside("momentum (eps = 1 - momentum)", 1 - s->eps, "0 to 1", "the momentum of this step");
    if (!(s->eps >= 0 && s->eps <= 1))
        return outside("eps", s->eps, "0 to 1", "1 - beta of this step");
    if (!(s->dampening >= 0 && s->dampening <= 1))
        return outside("dampening", s->dampening, "0 to 1", "the dampening of this step");
    if (!isfinite(s->weight_decay))
        return outside("weight_decay", s->weight_decay, "finite", "the weight decay of this step");
    if (!isfinite(s->decoupled_decay))
        return outside("decoupled_decay", s->decoupled_decay, "finite", "the decoupled decay of this step");
    if (!(s->batch >= 0.5 && s->batch <= UINT32_MAX))
        return outside("batch", s->batch, "1 to 4294967295", "samples in this step");
    return 0;
}

int mscope_check_values(const mscope_client_table *t, unsigned value_type)
{
    if (mscope_value_size(value_type) == 0)
        return outside("value_type", value_type, "MSCOPE_F32, _F16, _BF16 or _F64", "how the values are stored");
    if (value_type == MSCOPE_F64 && t->info.state != MSCOPE_STATE_F64)
        return mscope_refusal_set(&fault, MSCOPE_EINVAL, "value_type", "MSCOPE_F32, _F16 or _BF16 for this table",
                                  "float64 values need a table of MSCOPE_STATE_F64", "%s", "MSCOPE_F64");
    return 0;
}

int mscope_check_gradient(const mscope_client_table *t, const void *values, unsigned value_type,
                          const uint32_t *counts, size_t n)
{
    char range[64];

    if (n > t->info.capacity) {
        snprintf(range, sizeof range, "0 to %u, the table's capacity", t->info.capacity);
        return outside("n", (double)n, range, "entries in one step");
    }
    if (n == 0)
        return 0;
    if (mscope_check_values(t, value_type) != 0)
        return MSCOPE_EINVAL;
    if (values == NULL)
        return mscope_refusal_set(&fault, MSCOPE_EINVAL, "rows, values", "the addresses of n entries",
                                  "nothing was given", "%s", "NULL");
    for (size_t i = 0; counts != NULL && i < n; i++)
        if (counts[i] == 0)
            return outside("counts", 0, "1 or more for every entry", "a listed row occurred at least once");
    return 0;
}

int mscope_why_row(const mscope_client_table *t, int64_t row)
{
    char range[64];

    snprintf(range, sizeof range, "0 to %u", t->info.rows - 1);
    return mscope_refusal_set(&fault, MSCOPE_EINDEX, "row", range, "no such row", "%lld", (long long)row);
}

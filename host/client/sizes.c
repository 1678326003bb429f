/* sizes.c - which version this is, and how large the structs are that bindings declare for themselves */
#include <string.h>

#include "mscope/probe.h"
#include "mscope/rates.h"
#include "mscope/read.h"

const char *mscope_version(void)
{
    return MSCOPE_VERSION;
}

size_t mscope_struct_size(const char *name)
{
    static const struct {
        const char *name;
        size_t size;
    } known[] = {
        { "mscope_client_options", sizeof(mscope_client_options) },
        { "mscope_attach_info", sizeof(mscope_attach_info) },
        { "mscope_client_stats", sizeof(mscope_client_stats) },
        { "mscope_step", sizeof(mscope_step) },
        { "mscope_refusal", sizeof(mscope_refusal) },
        { "mscope_direction", sizeof(mscope_direction) },
        { "mscope_direction_row", sizeof(mscope_direction_row) },
        { "mscope_slot", sizeof(mscope_slot) },
        { "mscope_read", sizeof(mscope_read) },
        { "mscope_probe_span", sizeof(mscope_probe_span) },
        { "mscope_probe_stats", sizeof(mscope_probe_stats) },
        { "mscope_table_config", sizeof(mscope_table_config) },
        { "mscope_checked", sizeof(mscope_checked) },
        { "mscope_band", sizeof(mscope_band) },
        { "mscope_window", sizeof(mscope_window) },
        { "mscope_fade", sizeof(mscope_fade) },
        { "mscope_curvature", sizeof(mscope_curvature) },
        { "mscope_row_plan", sizeof(mscope_row_plan) },
        { "mscope_subscriber_stats", sizeof(mscope_subscriber_stats) },
        { "mscope_telemetry", sizeof(mscope_telemetry) },
    };

    for (size_t i = 0; name != NULL && i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i].name) == 0)
            return known[i].size;
    return 0;
}

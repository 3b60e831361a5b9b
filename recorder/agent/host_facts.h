#pragma once
/* What this host is, for the tables `host` and `boot`: read at the start, and every few seconds
 * again. */
#include "core/error.h"

#include <stdint.h>

/* Texts are as the files give them (bytes of the host's administrator), owned by the structure;
 * NULL: unknown. Numbers: 0 is unknown. */
struct host_facts {
    char *hostname;
    char *machine_id;
    char *os_name, *os_version; /* NAME and VERSION_ID of os-release */
    char *kernel;               /* release */
    char *kernel_version;       /* build */
    char *architecture;
    char *vendor, *model; /* of the hardware, DMI */
    char *time_zone;      /* as Europe/Oslo */
    char *boot_id;        /* 36 characters */
    char *kernel_command_line;
    uint64_t boot_time_s;      /* since 1970, as the kernel reckons now */
    uint32_t ticks_per_second; /* of start ticks */
};

/** Reads all that there is below @p root ("" or "/" for this host, or a directory with files of the
 *  same names). Only memory can be the reason to fail. Release with host_facts_deinit. */
int host_facts_init(struct host_facts *facts, const char *root) MUST_CHECK;
void host_facts_deinit(struct host_facts *facts);

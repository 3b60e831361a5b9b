#pragma once
/* `vestige schedule`: what its subcommands share. */
#include "reports/database/database.h"
#include "reports/options/options.h"

struct schedule {
    struct options options;
    const char *directory;
    uint64_t every_minutes, window_hours; /* window_hours 0: as the question has it */
    MYSQL *mysql;
    struct error_text *error;
};

/** A number that the server gives in the first column of the first row; 0 when it is NULL. */
int schedule_ask_number(struct schedule *schedule, const char *sql, int64_t *number) MUST_CHECK;
/** Nothing runs by itself when the server's scheduler does not. */
int schedule_warn_of_scheduler(struct schedule *schedule) MUST_CHECK;

/** Returns an exit status, or an error. */
int schedule_add(struct schedule *schedule) MUST_CHECK;

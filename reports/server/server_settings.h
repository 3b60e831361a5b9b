#pragma once
/* What a MariaDB server has to be like so that evidence is neither lost nor forged. */
#include "reports/database/database.h"

enum server_setting_level {
    SETTING_REQUIRED, /* evidence is lost, or can be forged, otherwise */
    SETTING_ADVISED   /* a fleet will meet it, or a trace of misuse is missing */
};

struct server_setting {
    const char *name;   /* of the variable, or what it is */
    const char *wanted; /* as a line of the server's option file has it, or a command */
    const char *why;    /* what is lost otherwise */
    enum server_setting_level level;
};

/** Called for each setting, with what was found. What this account may not see is left out. */
typedef void (*server_settings_handler)(void *user, const struct server_setting *setting,
                                        const char *found, bool is_right);

/** Returns the number of required settings that are wrong, or a negative error. */
int server_settings_check(MYSQL *connection, server_settings_handler handler, void *user,
                          struct error_text *error) MUST_CHECK;

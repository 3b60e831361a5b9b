#pragma once
/* The settings of a MariaDB server without which evidence is lost or can be forged. */
#include "reports/database.h"

struct server_setting {
    const char *name;   /* of the variable, or what it is */
    const char *wanted; /* as a line of the server's option file has it */
    const char *why;    /* what is lost otherwise */
    bool required;      /* false: only convenience is lost */
};

/** Called for each setting that is not as wanted, with what was found. */
typedef void (*server_settings_handler)(void *user, const struct server_setting *setting,
                                        const char *found);

/** Returns the number of required settings that are wrong, or a negative error. */
int server_settings_check(MYSQL *connection, server_settings_handler handler, void *user,
                          struct error_text *error) MUST_CHECK;

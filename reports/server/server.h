#pragma once
/* What the files of `vestige server` share. */
#include "reports/database/database.h"
#include "reports/options/options.h"

struct server {
    struct options options;
    bool remove, admin;
    const char *from, *directory, *address, *ca_directory;
};

/** As the administrator of the standalone instance of --state, or as the options say. */
int server_connect(MYSQL **connectionp, const struct server *server,
                   struct error_text *error) MUST_CHECK;
/** -EPROTO: the schema is not of this program's version. */
int server_check_schema(MYSQL *connection, struct error_text *error) MUST_CHECK;

/* Actions return the exit status, or a negative error. */
int server_check(const struct server *server, struct error_text *error) MUST_CHECK;
int server_reader(const struct server *server, struct error_text *error) MUST_CHECK;

#pragma once
/*
 * LUARM's tables of 2011, as views of one host in a database of their own (server-schema/
 * luarm_views.sql). The connection has selected the evidence's database, and has again when a
 * function returns.
 */
#include "reports/database/database.h"

#include <stdint.h>

struct luarm_host {
    uint64_t host_id;
    char name[256];
};

#define LUARM_NAME_SIZE 65

/** "web-1.example" is in luarm_web_1_example: other characters as `_`, at most 64. */
void luarm_database_name(const char *host, char name[LUARM_NAME_SIZE]);

/** Make the database, or bring its views up to date. -EEXIST: the name is taken, by another host or
 *  by somebody else's database. */
int luarm_make(MYSQL *connection, const struct luarm_host *host,
               struct error_text *error) MUST_CHECK;
/** Drop it and its grants. -ENOENT: there is none. -EEXIST: it is not ours, or holds more than our
 *  views. */
int luarm_remove(MYSQL *connection, const struct luarm_host *host,
                 struct error_text *error) MUST_CHECK;
/** Those that there are: rows of host_id, name of the host, database. The caller frees. */
int luarm_list(MYSQL *connection, MYSQL_RES **resultp, struct error_text *error) MUST_CHECK;
/** Bring the views of all hosts that have them up to date; @p n counts them. */
int luarm_renew(MYSQL *connection, unsigned *n, struct error_text *error) MUST_CHECK;

#pragma once
/* What is exported: the tables, whose rows they are, and each row as an event. */
#include <stdbool.h>
#include <stddef.h>

struct export_table {
    const char *name;
    /* Condition for --login-user over :login_uid and :login_name. NULL: rows of nobody, which are
     * left out then, unless they are context. */
    const char *by_user;
    bool is_context; /* what is needed to read the others: hosts, boots, coverage, gaps */
    /* SQL expressions over the row t: what happened, and what its end was (NULL: of no interest).
     */
    const char *message, *message_end;
    const char *user;    /* who did it, by name */
    const char *columns; /* fields of the Elastic Common Schema, each `expression AS "name"` */
    const char *joins;   /* further tables; "" for none */
};

extern const struct export_table export_tables[];
extern const size_t export_tables_n;

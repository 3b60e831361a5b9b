#pragma once
/*
 * The schema of the server: the numbered files of server-schema/, which are compiled into the
 * program, applied in order and recorded in `schema_version`.
 */
#include "reports/database/database.h"

/** The version that this program knows. */
unsigned schema_latest(void);

enum {
    SCHEMA_CURRENT = 0,
    SCHEMA_OLDER = 1 /* schema_apply has something to do; version 0: there is none */
};
/** Compare the selected database with this program. Returns the outcome, or -EPROTO when the
 *  server's schema is newer than the program, or -EBADMSG when one of its files was applied in
 *  another form, with a text. */
int schema_check(MYSQL *connection, unsigned *versionp, struct error_text *error) MUST_CHECK;
/** Bring the selected database up to the program's version; an interrupted migration is resumed.
 *  @p n_applied (may be NULL) counts the files. Partitions are made ahead. */
int schema_apply(MYSQL *connection, unsigned *n_applied, struct error_text *error) MUST_CHECK;
/** CREATE DATABASE IF NOT EXISTS and select it. */
int schema_create_database(MYSQL *connection, struct error_text *error) MUST_CHECK;

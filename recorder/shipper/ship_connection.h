#pragma once
/*
 * One connection to MariaDB with a session that is known to be as the shipper needs it. It is used
 * by one thread. After an answer other than SHIP_OK or SHIP_ROW_REFUSED it has to be closed, or its
 * transaction rolled back.
 */
#include "core/slice.h"
#include "recorder/shipper/ship_error.h"

#include <mysql.h>
#include <stdbool.h>
#include <stdint.h>

#define SHIP_PACKET_MARGIN 4096 /* bytes of a packet that are not values of rows */

struct ship_connection {
    MYSQL *mysql;
    size_t max_packet; /* the session's max_allowed_packet, bytes */
    /* the server's clock minus our boot clock, so that it stays true when our wall clock is set */
    int64_t server_boot_us;
    uint64_t clock_read_ms; /* boot clock: when that was measured */
    bool is_clear;          /* over TCP without TLS, as the option file allows */
    bool is_compressed;
};

/** Connect as the option file's group [vestige] says. Over TCP the server's certificate is always
 *  verified, whatever the file says, unless it has `allow-cleartext`; LOCAL INFILE and reconnecting
 *  are always off.
 *  @p schema_version is the one the program is made for, 0: do not look. @p compressed: send less,
 *  for more of both sides' CPU. */
enum ship_answer ship_connection_open(struct ship_connection *connection, const char *defaults_file,
                                      unsigned schema_version, bool compressed,
                                      struct ship_error *error);
void ship_connection_close(struct ship_connection *connection);

/** One statement without a result. */
enum ship_answer ship_connection_run(struct ship_connection *connection, const char *sql,
                                     struct ship_error *error);
/** Prepare one statement without a result: *@p statementp. Each `?` of @p sql is a parameter: a
 * server that counts them differently would have the library read and write past what is bound. */
enum ship_answer ship_connection_prepare(struct ship_connection *connection, struct slice sql,
                                         MYSQL_STMT **statementp, struct ship_error *error);
/** Take over the error of a prepared statement; returns what it means. */
enum ship_answer ship_connection_statement_error(MYSQL_STMT *statement, struct ship_error *error);
/** Whether the server still answers; also measures its clock again. */
enum ship_answer ship_connection_ping(struct ship_connection *connection, struct ship_error *error);
/** Measure the server's clock again when that was longer ago than @p age_ms. */
enum ship_answer ship_connection_freshen(struct ship_connection *connection, unsigned age_ms,
                                         struct ship_error *error);
/** The server's clock minus our wall clock as it is now, microseconds. @p server_boot_us is that of
 *  a connection. */
int64_t ship_connection_offset(int64_t server_boot_us);

/** To be asked directly after a refusal of an array: the row, 1 is the first; 0: not known. */
size_t ship_connection_bad_row(struct ship_connection *connection);
/** To be asked directly after a success with warnings: SHIP_ROW_REFUSED when one of them says that
 *  a value was not kept whole. */
enum ship_answer ship_connection_warnings(struct ship_connection *connection,
                                          struct ship_error *error);
/** Take over the error of the last statement; returns what it means. */
enum ship_answer ship_connection_error(struct ship_connection *connection,
                                       struct ship_error *error);

#pragma once
/*
 * The log of readers: the table `reading` (server-schema/0032_reading.sql). A command says what it
 * is going to ask before it asks, and how that ended. Where the log cannot be written a warning
 * says so and the answer is given all the same, unless the administrator requires the log
 * (watch_setting `reading_required`).
 */
#include "reports/evidence/evidence.h"

struct reading {
    MYSQL *mysql; /* NULL: nothing was begun */
    uint64_t id;  /* 0: it is not in the log */
    int64_t begin_ms;
};

/** Log that @p options' command is about to be answered; @p question is the name of the canned
 *  question or the SQL, NULL: the words say it all. Must come before the first row is asked for,
 *  and outside of a transaction. The error is that of a log that is required. */
int reading_begin(struct reading *reading, MYSQL *mysql, const struct options *options,
                  const char *question, struct error_text *error) MUST_CHECK;
/** Log how it ended: @p outcome is 0 or the error of the command. Nothing else may be asked for on
 *  the connection any more. May be called for what was never begun. */
void reading_end(struct reading *reading, const struct evidence_window *window, uint64_t n_rows,
                 int outcome);

/** Called for each row of the log that is not as it was written; @p id is its number. */
typedef void (*reading_handler)(void *user, uint64_t id, const char *what);

/** Check the chain: each row's hash, the order, and that none is missing up to the head. @p n is
 *  the number of rows, @p head the last hash in hexadecimal (65 bytes), to be kept elsewhere.
 *  Returns the number of rows that are wrong, or a negative error. */
int64_t reading_check(MYSQL *mysql, reading_handler handler, void *user, uint64_t *n, char head[65],
                      struct error_text *error) MUST_CHECK;

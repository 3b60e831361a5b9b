#pragma once
/*
 * Events on their way into another tool's format, written as they come.
 *
 *   ecs             a JSON document a line, one for each row, names of the Elastic Common Schema
 *   timesketch      a JSON document a line, one for the begin of each row and one for its end
 *   timesketch-csv  the same as CSV, with those columns that most tables have
 *   tln             Time|Source|Host|User|Description, time in seconds since 1970
 *
 * All times are UTC.
 */
#include "core/buffer.h"
#include "reports/database/database.h"
#include "reports/export/export_tables.h"
#include "reports/output/output.h"

/* The first columns of each statement; those from EXPORT_HOST on are fields of the document, too.
 */
enum export_column {
    EXPORT_MESSAGE_END,
    EXPORT_USER,
    EXPORT_BEGIN_US, /* microseconds since 1970; NULL: not in the window */
    EXPORT_END_US,
    EXPORT_HOST,
    EXPORT_MESSAGE,
    EXPORT_N_COLUMNS
};

enum { EXPORT_FIELDS_MAX = 80 };

struct export_output {
    const struct export_writer *writer;
    FILE *stream;
    const struct export_table *table; /* whose rows come now */
    const MYSQL_FIELD *fields;
    unsigned n_fields;
    unsigned order[EXPORT_FIELDS_MAX]; /* the fields of a document by name */
    unsigned n_ordered;
    struct buffer line;
    struct output *csv;
    uint64_t n_events;
};

struct export_writer {
    const char *name;
    int (*begin)(struct export_output *output);
    int (*row)(struct export_output *output, const struct slice *values);
    /* A last line, which says that the others are not all. */
    int (*partial)(struct export_output *output, const char *why);
};

extern const struct export_writer export_writer_ecs, export_writer_timesketch,
    export_writer_timesketch_csv, export_writer_tln;

/** The writer of --format, or NULL. */
const struct export_writer *export_writer_named(const char *name);

int export_output_init(struct export_output *output, const struct export_writer *writer,
                       FILE *stream) MUST_CHECK;
void export_output_deinit(struct export_output *output);
/** Rows of another table begin. -E2BIG: too many columns. */
int export_output_table(struct export_output *output, const struct export_table *table,
                        const MYSQL_FIELD *fields, unsigned n_fields) MUST_CHECK;

/* For the writers */

/** Write output->line to the stream and clear it. */
int export_output_line(struct export_output *output) MUST_CHECK;
bool export_is_moment(const MYSQL_FIELD *field);
bool export_is_number(const MYSQL_FIELD *field);
/** The server's "YYYY-MM-DD hh:mm:ss.uuuuuu" as ISO 8601 with @p zone behind it. */
void export_append_moment(struct buffer *to, struct slice moment, const char *zone);
/** Microseconds since 1970, as a number, likewise. */
void export_append_us(struct buffer *to, int64_t us, const char *zone);
int64_t export_us_of(struct slice number);

/** Call @p event for the begin of a row and for its end, as far as they are in the window. */
int export_begin_and_end(struct export_output *output, const struct slice *values,
                         int (*event)(struct export_output *output, const struct slice *values,
                                      bool is_end)) MUST_CHECK;

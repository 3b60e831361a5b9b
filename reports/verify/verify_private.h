#pragma once
/* What the parts of verification share. */
#include "recorder/journal/batch_digest.h"
#include "reports/verify/line_sums.h"
#include "reports/verify/numbers.h"
#include "reports/verify/retained.h"
#include "reports/verify/row_line.h"
#include "reports/verify/stored_seal.h"
#include "reports/verify/verify.h"

#include <pthread.h>

struct format_run {
    uint64_t first; /* batches from this one on */
    unsigned format;
};

/** A host whose seals were read. */
struct verify_host {
    uint32_t host_id;
    uint64_t n_batches, n_lines; /* about */
    uint64_t first, last;        /* batches that are read */
    uint64_t newest;             /* that there is of them; first > newest: none */
    struct line_sums sums;
    struct number_ranges excluded, thinned; /* nothing can be proved of what names these */
    struct number_ranges absent;            /* numbers between seals that nobody has */
    struct format_run *formats;
    size_t n_formats, formats_size;
    struct number_list pairs[TABLE_N]; /* ids that began and ended in one batch by two lines */
    struct unfinished *unfinished;     /* NULL: none */
};

struct survivors;
struct matcher;

struct verify {
    const struct verify_options *options;
    struct verify_result *result;
    struct sealing_keys keys;
    struct retained *retained;
    uint8_t secret[LINE_SECRET_SIZE];
    struct verify_host *hosts; /* of the group at work, sorted */
    size_t n_hosts;
    struct verify_host *all; /* of all groups: what is known before their seals are read */
    size_t n_all;
    uint32_t first_host, last_host; /* hosts of the group, those without a seal, too */
    struct unsealed *unsealed;
    struct units *units;
    struct matcher *matcher; /* while lines are compared one by one */
    struct worker *workers;
    uint64_t first_id, last_id; /* rows of the slice at work */
    bool later_slice;           /* what is no row was told and counted with the first one */
    bool is_usual;              /* what the server computes of a process, by its definition */
    bool only_batches;          /* refused lines, too, are read of the batches of the only host */
    pthread_mutex_t mutex;
};

/** What one thread has. */
struct worker {
    struct verify *verify;
    MYSQL *mysql, *aside; /* aside: while the other one is in the middle of a table */
    struct row_lines *lines;
    struct batch_digest *digest;
    struct buffer text;
    struct survivors *survivors;
    struct verify_host *host; /* of the row before */
    struct error_text error;
};

/** @p verify is closed by verify_close(), whether or not this succeeds. */
int verify_open(struct verify *verify, struct verify_result *result,
                const struct verify_options *options, struct error_text *error) MUST_CHECK;
void verify_close(struct verify *verify);
void verify_host_deinit(struct verify_host *host);

/** Do @p work for 0 .. n-1, on all workers. The first error ends it. */
int verify_parallel(struct verify *verify, size_t n, int (*work)(struct worker *worker, size_t i),
                    struct error_text *error) MUST_CHECK;

static inline bool verify_is_in_slice(const struct verify *verify, uint64_t id)
{
    return id >= verify->first_id && id <= verify->last_id;
}

struct verify_host *verify_find_host(const struct verify *verify, uint32_t host_id);

/** Rows one by one as the server sends them. */
struct rows_reading {
    MYSQL *mysql;
    MYSQL_RES *result;
    const char *doing;
};
enum { READING_END = 0, READING_ROW = 1 };
int rows_reading_begin(struct rows_reading *reading, MYSQL *mysql, struct error_text *error,
                       const char *doing, const char *format, ...) PRINTF(5, 6) MUST_CHECK;
int reading_next(struct rows_reading *reading, MYSQL_ROW *rowp, unsigned long **lengthsp,
                 struct error_text *error) MUST_CHECK;
void rows_reading_end(struct rows_reading *reading);

/* --- seals --- */

/** Read the seals of a host: the chain, the signatures; sums and pairs of the lists. */
int verify_seals(struct worker *worker, struct verify_host *host) MUST_CHECK;

/** Which batches a reading of seals is about, and what is done with each. */
struct seal_reading {
    struct worker *worker;
    uint32_t host_id;
    uint64_t first, last;
    int (*handle)(void *user, const struct stored_seal *seal);
    void *user;
};
int verify_read_seals(const struct seal_reading *reading) MUST_CHECK;
/** What accounts for a seal without a list; NULL: nothing. */
struct retained_day *verify_thinned(const struct verify *verify, const struct stored_seal *seal);

unsigned verify_format(const struct verify_host *host, uint64_t batch);

/* --- rows --- */

/** What a line of a row claims. */
enum claim {
    CLAIM_VERIFIED, /* its batch is one of those that are verified */
    CLAIM_OLDER,    /* before --since */
    CLAIM_EXCLUDED, /* its seal cannot be trusted, or is missing */
    CLAIM_THINNED,
    CLAIM_UNSEALED /* no such seal was there when the seals were read */
};
enum claim verify_claim(const struct verify_host *host, uint64_t batch);

/* Before and behind all days that the server knows. */
#define FIRST_DAY INT64_C(-1000000)
#define END_DAY   INT64_C(10000000)

/** A part of a table. */
struct unit {
    enum table_id table;
    char partition[1024]; /* one or more; "": the table has none */
    uint32_t first_host, last_host;
    uint64_t first_id, last_id;
    bool has_days;              /* and only of the days of these ids */
    int64_t first_day, end_day; /* of one partition: days that belong there */
    char *places;               /* of several: the statement that counts rows of other days */
};
struct units {
    struct unit *units;
    size_t n, size;
};
/** Parts of all tables, for the hosts of the group. */
int verify_units_list(struct units *units, struct verify *verify, MYSQL *mysql,
                      struct error_text *error) MUST_CHECK;
/** Add a part: rows of a host with ids in a range, on the days of these ids. */
int verify_units_add(struct units *units, enum table_id table, uint32_t host_id, uint64_t first_id,
                     uint64_t last_id) MUST_CHECK;
void verify_units_deinit(struct units *units);
const struct unit *verify_unit(const struct units *units, size_t i);
/** A row, and what else is wrong with it. */
typedef int (*verify_row_handler)(struct worker *worker, const struct row *row, const char *wrong);
int verify_read_unit(struct worker *worker, const struct unit *unit,
                     verify_row_handler handle) MUST_CHECK;
/** A refused line. @p digest: of the whole line. */
struct rejected_line {
    struct line_key line;
    bool is_known;  /* what it says of itself could be read */
    bool is_wrong;  /* its parts do not fit together */
    bool is_partly; /* only the beginning of its text was kept */
};
typedef int (*verify_rejected_handler)(struct worker *worker, const struct rejected_line *line);
int verify_read_rejected(struct worker *worker, verify_rejected_handler handle) MUST_CHECK;

/** What no line holds is wrong in this row. */
void verify_tell_wrong(struct worker *worker, const struct row *row, const char *wrong);
/** First pass over rows and rejected lines. */
int verify_sum_rows(struct verify *verify, struct error_text *error) MUST_CHECK;
/** The lists of the only host's batches against the rows that they name. */
int verify_match_lists(struct verify *verify, struct error_text *error) MUST_CHECK;
/** Second pass, where sums are not zero. */
int verify_match_rows(struct verify *verify, struct error_text *error) MUST_CHECK;

/* --- rows of days from which retention has dropped others --- */

int survivors_new(struct survivors **survivorsp, size_t most) MUST_CHECK;
struct survivors *survivors_free(struct survivors *survivors);
/** Keep a line, until it is looked for in its list. */
int survivors_add(struct worker *worker, const struct line_key *line,
                  struct retained_day *day) MUST_CHECK;
int survivors_check(struct worker *worker) MUST_CHECK;

/** Of the same days: rows without an end, or that were not settled, must have no such line. */
int unfinished_add(struct worker *worker, const struct row *row) MUST_CHECK;
/** A line that the server refused, and so is in no row. */
int unfinished_add_refused(struct worker *worker, const struct line_key *line) MUST_CHECK;
int unfinished_check(struct worker *worker, size_t host) MUST_CHECK;
void unfinished_deinit(struct verify_host *host);

/* --- lines of batches without a seal --- */

int unsealed_new(struct unsealed **unsealedp) MUST_CHECK;
struct unsealed *unsealed_free(struct unsealed *unsealed);
int unsealed_add(struct worker *worker, const struct line_key *line) MUST_CHECK;
/** Those whose seal has arrived since are let go, the others told. */
int unsealed_tell(struct verify *verify, MYSQL *mysql, struct error_text *error) MUST_CHECK;

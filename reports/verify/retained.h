#pragma once
/*
 * What retention has dropped, as retention_log says: a row of such a day may be missing. Whoever is
 * root on the server can write that table, too, so what rests on it is counted and told.
 */
#include "recorder/row/catalogue.h"
#include "reports/database/database.h"

#include <stdatomic.h>
#include <stdint.h>

/* In place of a table; their days are those on which a batch arrived. */
#define RETAINED_BATCH    ((enum table_id)TABLE_N)       /* digest lists */
#define RETAINED_REJECTED ((enum table_id)(TABLE_N + 1)) /* refused lines */
#define RETAINED_TIME     27 /* of a moment in the server's form, which sorts as time does */
#define DAY_US            UINT64_C(86400000000)

struct retained_day {
    enum table_id table;
    uint32_t host_id; /* 0: of all hosts */
    int64_t day;      /* since 1970-01-01 */
    uint64_t n_dropped;
    uint64_t first_id, last_id;         /* all that was dropped is between */
    uint64_t n_kept;                    /* by the last run */
    char dropped_at[RETAINED_TIME];     /* by the last run */
    _Atomic uint64_t n_listed, n_found; /* what the seals have, and what there is, between */
    _Atomic uint64_t n_rows, n_late; /* rows of that day; those sealed in what came after the run */
    _Atomic uint64_t n_refused;      /* refused rows of that day that there are */
    _Atomic uint64_t n_named;        /* rows of that day that were told to be missing */
};

struct retained;

int retained_load(struct retained **retainedp, MYSQL *mysql, struct error_text *error) MUST_CHECK;
/** Whether something was dropped since it was read. */
int retained_is_older(const struct retained *retained, MYSQL *mysql, bool *older,
                      struct error_text *error) MUST_CHECK;
struct retained *retained_free(struct retained *retained);
/** NULL: nothing was dropped there. */
struct retained_day *retained_find(const struct retained *retained, enum table_id table,
                                   uint32_t host_id, int64_t day);
/** The same, for a row: NULL when its id is not between those that were dropped. */
struct retained_day *retained_row(const struct retained *retained, enum table_id table,
                                  uint32_t host_id, uint64_t id);
/** How many refused lines of the host were dropped, on whatever day. */
uint64_t retained_n_refused(const struct retained *retained, uint32_t host_id);
size_t retained_n(const struct retained *retained);
struct retained_day *retained_at(const struct retained *retained, size_t i);

static inline int64_t day_of_id(uint64_t id)
{
    return (int64_t)(id / DAY_US);
}

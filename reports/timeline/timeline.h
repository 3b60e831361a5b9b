#pragma once
/*
 * What was alive on a host, or on several, in a window: rows of sessions, processes, endpoints,
 * files and devices, and what was not seen, in the order in which they began. They are kept in
 * memory, bounded by a number of rows and by bytes, because a page and the order of events need all
 * of them.
 */
#include "reports/evidence/evidence.h"

enum timeline_lane {
    TIMELINE_GAPS,
    TIMELINE_UNWATCHED,
    TIMELINE_SESSIONS,
    TIMELINE_PROCESSES,
    TIMELINE_ENDPOINTS,
    TIMELINE_FILES,
    TIMELINE_DEVICES,
    TIMELINE_N_LANES
};

/* The first columns of every row; behind them is the whole row of the table. */
enum timeline_column {
    TIMELINE_BEGIN_US,
    TIMELINE_END_US, /* NULL: goes on */
    TIMELINE_LOGIN_USER,
    TIMELINE_USER,
    TIMELINE_PID,
    TIMELINE_PROCESS_ROW, /* id of the process that it belongs to */
    TIMELINE_LABEL,
    TIMELINE_BEGIN_TEXT,
    TIMELINE_END_TEXT,
    TIMELINE_DETAILS
};

struct timeline_question {
    uint64_t host_id;
    const char *host; /* its name; rows point to it */
    bool of_several;  /* rows of other hosts are beside its own */
    int64_t since_us, until_us;
    bool any_login, has_login_uid;
    uint64_t login_uid;
    char *login_name;     /* owned; NULL: unset, or nobody knows */
    uint64_t process;     /* pid; 0: any */
    uint64_t process_row; /* 0: any */
    bool lanes[TIMELINE_N_LANES];
    uint64_t limit; /* rows */
};

struct timeline_row {
    enum timeline_lane lane;
    int64_t begin_us, end_us;
    bool has_end;
    const char *host;
    size_t order, size;   /* in which it was read; its bytes */
    struct slice *values; /* as many as the lane has columns; one allocation with their bytes */
};

struct timeline {
    struct timeline_row *rows;
    size_t n_rows, capacity, bytes, n_read;
    size_t n_seen; /* without gaps and unwatched spans, which no limit cuts off */
    char **columns[TIMELINE_N_LANES]; /* names; NULL: not read */
    size_t n_columns[TIMELINE_N_LANES];
    bool is_cut; /* there are more rows, which began at cut_us or later */
    int64_t cut_us;
};

#define TIMELINE_NULL                                                                              \
    {                                                                                              \
        0                                                                                          \
    }

/** "sessions": how --lanes and the page name it. */
const char *timeline_lane_name(enum timeline_lane lane);
/** "session": one of its rows. */
const char *timeline_row_kind(enum timeline_lane lane);

/** Add what the host of the question has. */
int timeline_read(struct timeline *timeline, MYSQL *mysql, const struct timeline_question *question,
                  struct error_text *error) MUST_CHECK;
/** From when to when the tree of process_row lived; -ENOENT: there is no such row. */
int timeline_extent(MYSQL *mysql, const struct timeline_question *question, int64_t *since_us,
                    int64_t *until_us, struct error_text *error) MUST_CHECK;
void timeline_deinit(struct timeline *timeline);

/** The rows as events in time order, on standard output. */
int timeline_write_text(const struct timeline *timeline, const struct timeline_question *question,
                        enum output_format format, uint64_t *n_events,
                        struct error_text *error) MUST_CHECK;
/** One HTML page. @p completeness is the line about the evidence. */
int timeline_write_page(const struct timeline *timeline, const struct timeline_question *question,
                        const char *path, const char *zone, struct slice completeness,
                        struct error_text *error) MUST_CHECK;

#pragma once
/*
 * The hosts of the database and how each is doing, as the server knows it: what arrived, the last
 * sign of life of its agent, and what is wrong.
 */
#include "reports/evidence/evidence.h"
#include "reports/evidence/findings.h"

struct status_host {
    char *name, *version, *address;      /* version, address: NULL: no sign of life ever */
    char *batch_at, *seen_at, *heard_at; /* UTC; NULL: never */
    char *end;                           /* "retired" or "revoked"; NULL: neither */
    char *cloned_at;
    int64_t silent_s, silent_limit_s;
    int64_t batch_silent_s, seen_s; /* since the last batch, since the last sign of life */
    double batch_lag_s, lag_s;      /* of the last batch; now */
    uint64_t waiting, journal_bytes, journal_limit_bytes;
    bool journal_full;
    bool has_offset;
    int64_t offset_us, offset_limit_ms;
    uint64_t gaps, refused;
    bool has_unverified; /* the server's job has ever run */
    uint64_t unverified;
    unsigned problems; /* enum status_problem */
};

/* What is wrong with a host, or worth knowing. */
enum status_problem {
    PROBLEM_SILENT = 1,
    PROBLEM_CLONED = 2,
    PROBLEM_FULL = 4,
    PROBLEM_BEHIND = 8,
    PROBLEM_CLOCK = 16,
    PROBLEM_REFUSED = 32,
    PROBLEM_NEVER = 64, /* a note: its agent never shipped */
    PROBLEM_GAPS = 128  /* a note */
};
#define PROBLEMS_WRONG 63u

struct status_hosts {
    struct status_host *array;
    size_t n;
};

/** All hosts, or that of @p window. What is wrong comes first, hosts that are gone come last. */
int status_hosts_read(struct status_hosts *hosts, MYSQL *mysql,
                      const struct evidence_window *window, struct error_text *error) MUST_CHECK;
void status_hosts_deinit(struct status_hosts *hosts);

/** Each host as findings: what is said of it, a line each. */
void status_hosts_tell(const struct status_hosts *hosts, struct findings *findings);
/** A line a host. Returns 0 or a negated errno. */
int status_hosts_print(const struct status_hosts *hosts, enum output_format format) MUST_CHECK;
size_t status_hosts_n_wrong(const struct status_hosts *hosts);

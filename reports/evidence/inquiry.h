#pragma once
/*
 * What the commands that put several questions for one answer have in common: a connection, what
 * the options select, the values that are bound by name, and the last line about the evidence.
 *
 * Set from the beginning: :since, :until, :since_day, :until_day (inquiry_window), :host_id,
 * :any_login, :login_uid, as in sql/README.md.
 */
#include "reports/database/statement.h"
#include "reports/evidence/evidence.h"
#include "reports/evidence/reading.h"

enum { INQUIRY_VALUES_MAX = 40 };

struct inquiry {
    const struct options *options;
    MYSQL *mysql;
    struct error_text *error;
    struct evidence_window window;
    bool any_login;     /* no --login-user */
    bool has_login_uid; /* else `unset` */
    uint64_t login_uid;
    int64_t now_us; /* the server's clock */
    struct statement_value values[INQUIRY_VALUES_MAX];
    size_t n_values;
    struct reading reading;
    bool is_answered; /* set with n_rows when the answer is finished; else its end is an error */
    uint64_t n_rows;
};

/** Connect, and find the host and the login user that @p options name. */
int inquiry_open(struct inquiry *inquiry, const struct options *options,
                 struct error_text *error) MUST_CHECK;
/** The answer is finished. */
static inline void inquiry_answered(struct inquiry *inquiry, uint64_t n_rows)
{
    inquiry->is_answered = true;
    inquiry->n_rows = n_rows;
}
void inquiry_close(struct inquiry *inquiry);

/** The window to ask about; both ends are known from then on. */
void inquiry_window(struct inquiry *inquiry, int64_t since_us, int64_t until_us);
/** The window of --since and --until; without --since it begins @p default_us before its end. */
int inquiry_default_window(struct inquiry *inquiry, int64_t default_us) MUST_CHECK;

/* Names are constants; values that are set again replace the former ones. */
void inquiry_set_null(struct inquiry *inquiry, const char *name);
void inquiry_set_text(struct inquiry *inquiry, const char *name, struct slice text);
void inquiry_set_number(struct inquiry *inquiry, const char *name, uint64_t number);
void inquiry_set_moment(struct inquiry *inquiry, const char *name, int64_t us);
void inquiry_set_day(struct inquiry *inquiry, const char *name, int64_t us);

int inquiry_ask(struct inquiry *inquiry, struct statement **statementp, const char *sql,
                const char *doing) MUST_CHECK;
/** The number in the first column of the first row; *@p has is false when there is none. */
int inquiry_number(struct inquiry *inquiry, const char *sql, const char *doing, uint64_t *number,
                   bool *has) MUST_CHECK;

/** Print how complete the evidence of the window is, where remarks go. */
int inquiry_tell_completeness(struct inquiry *inquiry) MUST_CHECK;
/** The same line for a document, without its end. */
int inquiry_completeness(struct inquiry *inquiry, struct buffer *line) MUST_CHECK;

/** Flush standard output; the error if not all of it could be written. */
int inquiry_flush(const char *what, struct error_text *error) MUST_CHECK;

/** A moment as the user wrote it: "2h ago". @p what names it in the error. */
int inquiry_read_moment(const char *what, const char *text, int64_t *us,
                        struct error_text *error) MUST_CHECK;
/** "2026-11-26 04:11:11.676999", the server's form, as the time zone in use shows it. */
void inquiry_append_moment(struct buffer *to, const struct options *options, struct slice utc);
/** The number that a row's text holds; 0 for NULL. */
uint64_t inquiry_u64(struct slice text);

static inline void cleanup_inquiry(struct inquiry *inquiry)
{
    inquiry_close(inquiry);
}

#define AUTO_INQUIRY CLEANUP(cleanup_inquiry)

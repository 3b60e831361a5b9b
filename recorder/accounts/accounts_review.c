/* What should not be among accounts: found by sorting them, by number and by name, after each
 * complete reading. */
#include "recorder/accounts/accounts_private.h"

#include "core/evidence_text.h"

#include <stdlib.h>

enum { NAMES_BYTES_MOST = 1024 };

static const char uid_zero[] = "uid_zero_account", empty_password[] = "empty_password",
                  duplicate_uid[] = "duplicate_uid", duplicate_name[] = "duplicate_name";

struct review {
    struct accounts *a;
    uint64_t at_us;
    struct account_row **rows;
    size_t n;
    struct buffer subject, detail;
};

/* The name of a row, as evidence text. */
static void append_name(struct buffer *to, const struct account_row *row)
{
    if (evidence_field_unescape(to, account_row_name(row)) < 0)
        to->failed = true;
}

static void open_finding(struct review *review, const char *class)
{
    if (!review->subject.failed && !review->detail.failed)
        findings_open(review->a->findings, class, buffer_slice(&review->subject),
                      buffer_slice(&review->detail), review->at_us);
}

static void begin_finding(struct review *review)
{
    buffer_clear(&review->subject);
    buffer_clear(&review->detail);
}

static void review_row(struct review *review, const struct account_row *row)
{
    begin_finding(review);
    append_name(&review->subject, row);
    if (row->uid == 0 && !slice_is(account_row_name(row), "root")) {
        buffer_append_text(&review->detail, "an account besides root has uid 0");
        open_finding(review, uid_zero);
    }
    buffer_clear(&review->detail);
    if (row->password == PASSWORD_EMPTY) {
        buffer_append_text(&review->detail, "no password is asked for");
        open_finding(review, empty_password);
    }
}

static int compare_slices(struct slice a, struct slice b)
{
    int order = memcmp(a.data, b.data, a.length < b.length ? a.length : b.length);
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static int by_name(const void *a, const void *b)
{
    const struct account_row *one = *(struct account_row *const *)a;
    const struct account_row *other = *(struct account_row *const *)b;
    return compare_slices(account_row_name(one), account_row_name(other));
}

static int by_uid(const void *a, const void *b)
{
    const struct account_row *one = *(struct account_row *const *)a;
    const struct account_row *other = *(struct account_row *const *)b;
    return one->uid == other->uid ? by_name(a, b)
                                  : (one->uid > other->uid) - (one->uid < other->uid);
}

static void review_name(struct review *review, size_t first, size_t end)
{
    unsigned n_lines = 0;
    for (size_t i = first; i < end; i++)
        n_lines += review->rows[i]->n_lines;
    if (n_lines < 2)
        return;
    begin_finding(review);
    append_name(&review->subject, review->rows[first]);
    buffer_printf(&review->detail, "%u lines with this name", n_lines);
    open_finding(review, duplicate_name);
}

static void review_uid(struct review *review, size_t first, size_t end)
{
    size_t n_names = 1;
    begin_finding(review);
    append_name(&review->detail, review->rows[first]);
    for (size_t i = first + 1; i < end; i++) {
        if (by_name(&review->rows[i - 1], &review->rows[i]) == 0)
            continue;
        n_names++;
        if (review->detail.length < NAMES_BYTES_MOST) {
            buffer_append_text(&review->detail, ", ");
            append_name(&review->detail, review->rows[i]);
        }
    }
    if (n_names < 2 || review->rows[first]->uid == ID_UNSET)
        return;
    buffer_append_u64(&review->subject, review->rows[first]->uid);
    if (review->detail.length >= NAMES_BYTES_MOST)
        buffer_printf(&review->detail, " ... (%zu names)", n_names);
    open_finding(review, duplicate_uid);
}

static void review_runs(struct review *review, int (*compare)(const void *, const void *),
                        bool (*same)(const struct account_row *, const struct account_row *),
                        void (*look)(struct review *, size_t, size_t))
{
    qsort(review->rows, review->n, sizeof(struct account_row *), compare);
    for (size_t first = 0, end; first < review->n; first = end) {
        end = first + 1;
        while (end < review->n && same(review->rows[first], review->rows[end]))
            end++;
        look(review, first, end);
    }
}

static bool same_uid(const struct account_row *a, const struct account_row *b)
{
    return a->uid == b->uid;
}

static bool same_name(const struct account_row *a, const struct account_row *b)
{
    return slice_equal(account_row_name(a), account_row_name(b));
}

static bool gather(struct review *review)
{
    struct account_row *row;
    size_t n = 0;
    TAILQ_FOREACH(row, &review->a->part[ACCOUNT_PART_ACCOUNTS].open, in_part)
    n++;
    review->rows = calloc(n + 1, sizeof(struct account_row *));
    if (!review->rows)
        return false;
    TAILQ_FOREACH(row, &review->a->part[ACCOUNT_PART_ACCOUNTS].open, in_part)
    review->rows[review->n++] = row;
    return true;
}

void account_review(struct accounts *a, uint64_t at_us)
{
    struct review review = {.a = a, .at_us = at_us};
    if (!a->findings || !gather(&review))
        return;
    findings_review_begin(a->findings);
    for (size_t i = 0; i < review.n; i++)
        review_row(&review, review.rows[i]);
    review_runs(&review, by_uid, same_uid, review_uid);
    review_runs(&review, by_name, same_name, review_name);
    findings_review_end(a->findings, uid_zero, at_us);
    findings_review_end(a->findings, empty_password, at_us);
    findings_review_end(a->findings, duplicate_uid, at_us);
    findings_review_end(a->findings, duplicate_name, at_us);
    free(review.rows);
    buffer_deinit(&review.subject);
    buffer_deinit(&review.detail);
}

void account_review_end_all(struct accounts *a, uint64_t at_us)
{
    if (!a->findings)
        return;
    findings_unwatched(a->findings, uid_zero, at_us);
    findings_unwatched(a->findings, empty_password, at_us);
    findings_unwatched(a->findings, duplicate_uid, at_us);
    findings_unwatched(a->findings, duplicate_name, at_us);
}

/* A row is the text of its line, whose first two fields (class and subject) are its key. What waits
 * for the sink, open or ended, counts as a row until it is written. */
#include "recorder/lifecycle/findings.h"

#include "core/evidence_text.h"
#include "core/hash.h"
#include "recorder/lifecycle/text_rows.h"

#include <openssl/lhash.h>
#include <stdlib.h>
#include <sys/queue.h>

enum { COMMON_BIRTH = 2, N_KEY = 2, N_VALUES = 3 };

struct finding {
    struct text_row row; /* class, subject, detail */
    TAILQ_ENTRY(finding) in_open;
    size_t key_length;   /* of class and subject */
    uint32_t generation; /* of the last review that named it */
    bool restored;
};

TAILQ_HEAD(finding_list, finding);

struct findings {
    struct text_rows rows;
    size_t most, n_rows;
    OPENSSL_LHASH *by_key;
    struct finding_list open;
    uint32_t generation;
    uint64_t beyond;
    struct buffer text; /* scratch */
};

static struct slice key_of(const struct finding *finding)
{
    return slice_of(finding->row.values->data, finding->key_length);
}

static unsigned long key_hash(const void *item)
{
    return (unsigned long)hash_slice(HASH_START, key_of(item));
}

static int key_compare(const void *a, const void *b)
{
    return !slice_equal(key_of(a), key_of(b));
}

static void free_finding(void *user, struct text_row *row)
{
    struct findings *f = user;
    shared_text_unref(row->values);
    free(row);
    f->n_rows--;
}

int findings_new(struct findings **findingsp, const struct findings_options *options)
{
    struct findings *f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->most = options->most;
    TAILQ_INIT(&f->open);
    text_rows_init(&f->rows, options->output, free_finding, f);
    f->by_key = OPENSSL_LH_new(key_hash, key_compare);
    if (!f->by_key) {
        findings_free(f);
        return -ENOMEM;
    }
    *findingsp = f;
    return 0;
}

struct findings *findings_free(struct findings *f)
{
    struct finding *finding;
    if (!f)
        return NULL;
    text_rows_deinit(&f->rows);
    while ((finding = TAILQ_FIRST(&f->open))) {
        TAILQ_REMOVE(&f->open, finding, in_open);
        free_finding(f, &finding->row);
    }
    OPENSSL_LH_free(f->by_key);
    buffer_deinit(&f->text);
    free(f);
    return NULL;
}

void findings_tick(struct findings *f)
{
    text_rows_tick(&f->rows);
}

void findings_flush(struct findings *f)
{
    text_rows_flush(&f->rows);
}

/* -- rows -- */

static struct finding *new_finding(struct slice values, size_t key_length)
{
    struct finding *finding = calloc(1, sizeof(*finding));
    if (!finding)
        return NULL;
    finding->row = (struct text_row){
        .table = TABLE_FINDING, .seen_by = SEEN_BY_AGENT, .values = shared_text_new(values)};
    finding->key_length = key_length;
    if (!finding->row.values) {
        free(finding);
        return NULL;
    }
    return finding;
}

/* Puts the values of a line into the scratch buffer; returns the length of the key. */
static size_t describe(struct findings *f, const char *class, struct slice subject,
                       struct slice detail)
{
    buffer_clear(&f->text);
    buffer_append_text(&f->text, class);
    buffer_append_byte(&f->text, '\t');
    evidence_field_append(&f->text, subject);
    size_t key_length = f->text.length;
    buffer_append_byte(&f->text, '\t');
    evidence_field_append(&f->text, detail);
    return key_length;
}

static struct finding *find(const struct findings *f, struct slice values, size_t key_length)
{
    struct finding *key = new_finding(values, key_length);
    struct finding *found = key ? OPENSSL_LH_retrieve(f->by_key, key) : NULL;
    if (key)
        shared_text_unref(key->row.values);
    free(key);
    return found;
}

static bool file_open(struct findings *f, struct finding *finding)
{
    OPENSSL_LH_insert(f->by_key, finding);
    if (OPENSSL_LH_error(f->by_key))
        return false;
    f->n_rows++;
    TAILQ_INSERT_TAIL(&f->open, finding, in_open);
    return true;
}

static void begin(struct findings *f, size_t key_length, uint64_t at_us)
{
    struct finding *finding = NULL;
    if (f->n_rows < f->most && !f->text.failed)
        finding = new_finding(buffer_slice(&f->text), key_length);
    if (!finding || !file_open(f, finding)) {
        f->beyond++;
        if (finding)
            shared_text_unref(finding->row.values);
        free(finding);
        return;
    }
    finding->generation = f->generation;
    text_row_begin(&f->rows, &finding->row, at_us);
}

static void end(struct findings *f, struct finding *finding, uint64_t at_us, enum end_cause cause)
{
    OPENSSL_LH_delete(f->by_key, finding);
    TAILQ_REMOVE(&f->open, finding, in_open);
    text_row_end(&f->rows, &finding->row, at_us, cause);
}

void findings_open(struct findings *f, const char *class, struct slice subject, struct slice detail,
                   uint64_t at_us)
{
    size_t key_length = describe(f, class, subject, detail);
    struct finding *finding = find(f, buffer_slice(&f->text), key_length);
    if (finding && slice_equal(shared_text_slice(finding->row.values), buffer_slice(&f->text))) {
        finding->generation = f->generation;
        finding->restored = false;
        return;
    }
    if (finding)
        end(f, finding, at_us, finding->restored ? END_RECONCILED : END_CLOSED);
    begin(f, key_length, at_us);
}

void findings_close(struct findings *f, const char *class, struct slice subject, uint64_t at_us)
{
    size_t key_length = describe(f, class, subject, SLICE_NULL);
    struct finding *finding = find(f, buffer_slice(&f->text), key_length);
    if (finding)
        end(f, finding, at_us, END_REMOVED);
}

void findings_note(struct findings *f, const char *class, struct slice subject, struct slice detail,
                   uint64_t at_us)
{
    size_t key_length = describe(f, class, subject, detail);
    struct finding *finding = NULL;
    if (f->n_rows < f->most && !f->text.failed)
        finding = new_finding(buffer_slice(&f->text), key_length);
    if (!finding) {
        f->beyond++;
        return;
    }
    f->n_rows++;
    text_row_note(&f->rows, &finding->row, at_us, END_CLOSED);
}

void findings_review_begin(struct findings *f)
{
    f->generation++;
}

static bool is_of_class(const struct finding *finding, const char *class)
{
    size_t length = strlen(class);
    return finding->key_length > length && finding->row.values->data[length] == '\t' &&
           memcmp(finding->row.values->data, class, length) == 0;
}

void findings_review_end(struct findings *f, const char *class, uint64_t at_us)
{
    struct finding *finding = TAILQ_FIRST(&f->open), *next;
    for (; finding; finding = next) {
        next = TAILQ_NEXT(finding, in_open);
        if (finding->generation != f->generation && is_of_class(finding, class))
            end(f, finding, at_us, finding->restored ? END_RECONCILED : END_REMOVED);
    }
}

void findings_unwatched(struct findings *f, const char *class, uint64_t at_us)
{
    struct finding *finding = TAILQ_FIRST(&f->open), *next;
    for (; finding; finding = next) {
        next = TAILQ_NEXT(finding, in_open);
        if (is_of_class(finding, class))
            end(f, finding, at_us, END_UNKNOWN);
    }
}

/* -- an earlier run -- */

static void end_restored(struct findings *f, uint64_t id)
{
    struct finding *finding;
    TAILQ_FOREACH(finding, &f->open, in_open)
    {
        if (finding->row.id != id)
            continue;
        OPENSSL_LH_delete(f->by_key, finding);
        TAILQ_REMOVE(&f->open, finding, in_open);
        free_finding(f, &finding->row);
        return;
    }
}

static void restore_open(struct findings *f, uint64_t id, const struct slice *values)
{
    buffer_clear(&f->text);
    text_row_append(&f->text, values + COMMON_BIRTH, N_KEY);
    size_t key_length = f->text.length;
    buffer_append_byte(&f->text, '\t');
    text_row_append(&f->text, values + COMMON_BIRTH + N_KEY, N_VALUES - N_KEY);
    /* A checkpoint says again what is open. */
    if (f->text.failed || f->n_rows >= f->most || find(f, buffer_slice(&f->text), key_length))
        return;
    struct finding *finding = new_finding(buffer_slice(&f->text), key_length);
    if (!finding)
        return;
    finding->row.id = id;
    finding->row.created_us = line_parse_time(values[0]);
    finding->row.inserted = finding->restored = true;
    if (!file_open(f, finding)) {
        shared_text_unref(finding->row.values);
        free(finding);
    }
}

void findings_restore(struct findings *f, enum verb verb, uint64_t id, const struct slice *values,
                      size_t n_values)
{
    size_t end = COMMON_BIRTH + N_VALUES;
    if (verb == VERB_END)
        end_restored(f, id);
    else if (verb == VERB_INSERT && n_values > end && slice_is_null(values[end]))
        restore_open(f, id, values);
}

void findings_checkpoint(struct findings *f)
{
    const struct finding *finding;
    TAILQ_FOREACH(finding, &f->open, in_open)
    text_row_checkpoint(&f->rows, &finding->row);
    text_rows_checkpoint_waiting(&f->rows);
}

uint64_t findings_take_beyond(struct findings *f)
{
    uint64_t beyond = f->beyond;
    f->beyond = 0;
    return beyond;
}

size_t findings_rows(const struct findings *f)
{
    return f->n_rows;
}

/* A row is kept as the text of its line, whose first two fields (class and subject) are its key.
 * What the sink refused waits, open or ended, and counts as a row until it is written. */
#include "recorder/tracker/findings.h"

#include "core/evidence_text.h"
#include "recorder/tracker/shared_text.h"

#include <openssl/lhash.h>
#include <stdlib.h>
#include <sys/queue.h>

enum { COMMON_BIRTH = 2, N_VALUES = 3 };

struct finding {
    TAILQ_ENTRY(finding) in_open;
    TAILQ_ENTRY(finding) in_waiting;
    struct shared_text *values; /* class, subject, detail, as text of a line */
    size_t key_length;          /* of class and subject */
    uint64_t id, created_us, ended_us;
    enum end_cause end_cause;
    uint32_t generation; /* of the last review that named it */
    bool restored, inserted, ended, waits;
};

TAILQ_HEAD(finding_list, finding);

struct findings {
    struct row_output *output;
    size_t most, n_rows;
    OPENSSL_LHASH *by_key;
    struct finding_list open, waiting;
    int refused_error;
    uint32_t generation;
    uint64_t beyond;
    struct buffer text; /* scratch */
};

static struct slice key_of(const struct finding *finding)
{
    return slice_of(finding->values->data, finding->key_length);
}

static unsigned long key_hash(const void *item)
{
    struct slice key = key_of(item);
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < key.length; i++)
        hash = (hash ^ key.data[i]) * UINT64_C(0x100000001b3);
    return (unsigned long)hash;
}

static int key_compare(const void *a, const void *b)
{
    return !slice_equal(key_of(a), key_of(b));
}

int findings_new(struct findings **findingsp, const struct findings_options *options)
{
    struct findings *f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->output = options->output;
    f->most = options->most;
    TAILQ_INIT(&f->open);
    TAILQ_INIT(&f->waiting);
    f->by_key = OPENSSL_LH_new(key_hash, key_compare);
    if (!f->by_key) {
        findings_free(f);
        return -ENOMEM;
    }
    *findingsp = f;
    return 0;
}

static void free_finding(struct findings *f, struct finding *finding)
{
    shared_text_unref(finding->values);
    free(finding);
    f->n_rows--;
}

struct findings *findings_free(struct findings *f)
{
    struct finding *finding;
    if (!f)
        return NULL;
    while ((finding = TAILQ_FIRST(&f->waiting))) {
        TAILQ_REMOVE(&f->waiting, finding, in_waiting);
        if (finding->ended)
            free_finding(f, finding);
    }
    while ((finding = TAILQ_FIRST(&f->open))) {
        TAILQ_REMOVE(&f->open, finding, in_open);
        free_finding(f, finding);
    }
    OPENSSL_LH_free(f->by_key);
    buffer_deinit(&f->text);
    free(f);
    return NULL;
}

/* -- writing -- */

static int write_insert(struct findings *f, const struct finding *finding, bool with_end)
{
    struct line *line = &f->output->line;
    line_begin(line, VERB_INSERT, TABLE_FINDING, finding->id);
    line_time(line, finding->created_us);
    row_output_seen_by(f->output, SEEN_BY_AGENT);
    line_fields(line, shared_text_slice(finding->values), N_VALUES);
    if (with_end) {
        line_time(line, finding->ended_us);
        line_word(line, end_cause_name(finding->end_cause));
    } else {
        line_nulls(line, 2);
    }
    return row_output_send(f->output);
}

static int write_end(struct findings *f, const struct finding *finding)
{
    struct line *line = &f->output->line;
    line_begin(line, VERB_END, TABLE_FINDING, finding->id);
    line_time(line, finding->ended_us);
    line_word(line, end_cause_name(finding->end_cause));
    return row_output_send(f->output);
}

/* Returns the sink's error, and then the row waits; when its end is written it is freed. */
static int write_finding(struct findings *f, struct finding *finding)
{
    int error =
        finding->inserted ? write_end(f, finding) : write_insert(f, finding, finding->ended);
    if (error && !finding->waits)
        TAILQ_INSERT_TAIL(&f->waiting, finding, in_waiting);
    else if (!error && finding->waits)
        TAILQ_REMOVE(&f->waiting, finding, in_waiting);
    if (error)
        f->refused_error = error;
    finding->waits = error != 0;
    finding->inserted |= !error;
    if (!error && finding->ended)
        free_finding(f, finding);
    return error;
}

void findings_tick(struct findings *f)
{
    struct finding *finding;
    while ((finding = TAILQ_FIRST(&f->waiting)) && write_finding(f, finding) == 0)
        ;
}

void findings_flush(struct findings *f)
{
    const struct finding *finding;
    findings_tick(f);
    TAILQ_FOREACH(finding, &f->waiting, in_waiting)
    row_output_refused(f->output, false, f->refused_error);
}

/* -- rows -- */

static struct finding *new_finding(struct slice values, size_t key_length)
{
    struct finding *finding = calloc(1, sizeof(*finding));
    if (!finding)
        return NULL;
    finding->values = shared_text_new(values);
    finding->key_length = key_length;
    if (!finding->values) {
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
        shared_text_unref(key->values);
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
            shared_text_unref(finding->values);
        free(finding);
        return;
    }
    finding->id = timeline_id(f->output->timeline);
    finding->created_us = at_us;
    finding->generation = f->generation;
    (void)write_finding(f, finding);
}

static void end(struct findings *f, struct finding *finding, uint64_t at_us, enum end_cause cause)
{
    OPENSSL_LH_delete(f->by_key, finding);
    TAILQ_REMOVE(&f->open, finding, in_open);
    finding->ended = true;
    finding->ended_us = at_us > finding->created_us ? at_us : finding->created_us;
    finding->end_cause = cause;
    (void)write_finding(f, finding);
}

void findings_open(struct findings *f, const char *class, struct slice subject, struct slice detail,
                   uint64_t at_us)
{
    size_t key_length = describe(f, class, subject, detail);
    struct finding *finding = find(f, buffer_slice(&f->text), key_length);
    if (finding && slice_equal(shared_text_slice(finding->values), buffer_slice(&f->text))) {
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
    finding->id = timeline_id(f->output->timeline);
    finding->created_us = finding->ended_us = at_us;
    finding->end_cause = END_CLOSED;
    finding->ended = true;
    (void)write_finding(f, finding);
}

void findings_review_begin(struct findings *f)
{
    f->generation++;
}

static bool is_of_class(const struct finding *finding, const char *class)
{
    size_t length = strlen(class);
    return finding->key_length > length && finding->values->data[length] == '\t' &&
           memcmp(finding->values->data, class, length) == 0;
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
        if (finding->id != id)
            continue;
        OPENSSL_LH_delete(f->by_key, finding);
        TAILQ_REMOVE(&f->open, finding, in_open);
        free_finding(f, finding);
        return;
    }
}

static void restore_open(struct findings *f, uint64_t id, const struct slice *values)
{
    buffer_clear(&f->text);
    size_t key_length = 0;
    for (size_t i = 0; i < N_VALUES; i++) {
        if (i > 0)
            buffer_append_byte(&f->text, '\t');
        evidence_field_append(&f->text, values[COMMON_BIRTH + i]);
        if (i == 1)
            key_length = f->text.length;
    }
    /* A checkpoint says again what is open. */
    if (f->text.failed || f->n_rows >= f->most || find(f, buffer_slice(&f->text), key_length))
        return;
    struct finding *finding = new_finding(buffer_slice(&f->text), key_length);
    if (!finding)
        return;
    finding->id = id;
    finding->created_us = line_parse_time(values[0]);
    finding->restored = finding->inserted = true;
    if (!file_open(f, finding)) {
        shared_text_unref(finding->values);
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

static void checkpoint_row(struct findings *f, const struct finding *finding)
{
    if (finding->inserted && write_insert(f, finding, false) != 0)
        return; /* the one before stays */
}

/* Rows whose end waits to be written are still open for the database. */
void findings_checkpoint(struct findings *f)
{
    const struct finding *finding;
    TAILQ_FOREACH(finding, &f->open, in_open)
    checkpoint_row(f, finding);
    TAILQ_FOREACH(finding, &f->waiting, in_waiting)
    if (finding->ended)
        checkpoint_row(f, finding);
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

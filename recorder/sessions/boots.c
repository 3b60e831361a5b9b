/* wtmp tells one thing after the other, so there is always one boot that it tells of: at first the
 * one that was recorded last, or none, and from a record of a boot on that one. What it has said by
 * the end of its file is all that is known of the boots before this one, and their rows end. */
#include "recorder/sessions/boots.h"

#include "core/evidence_text.h"
#include "recorder/lifecycle/shared_text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utmp.h>

enum { BOOTS_MOST = 64, COMMON_BIRTH = 2 /* created_at, seen_by */ };

static const uint64_t slack_us = UINT64_C(1000000) * BOOT_SLACK_S;
/* Clocks are corrected by less while a host starts. */
static const uint64_t backwards_us = 60000000;
static const uint64_t day_us = UINT64_C(86400000000);

enum ending { ENDING_UNKNOWN, ENDING_CLEAN, ENDING_UNCLEAN };

struct boot {
    uint64_t id, created_us, ended_us;
    uint64_t last_us;           /* the last moment that is known of it */
    uint64_t shutdown_us;       /* 0: none was announced */
    struct shared_text *values; /* behind seen_by, as text of a line */
    enum ending ending;
    bool from_wtmp;
    bool inserted, ended;
};

struct boots {
    struct boots_options options;
    struct row_output *output;
    struct boot rows[BOOTS_MOST];
    size_t n;
    uint64_t own_id,
        told_id;        /* rows of the boot at hand, and of that which wtmp tells of; 0: none */
    uint64_t start_us;  /* of the boot at hand */
    uint64_t record_us; /* time of the last record of wtmp; 0: none was read */
    bool proof;         /* wtmp would tell of a shutdown */
    int refused_error;
    uint64_t beyond;
};

int boots_new(struct boots **bootsp, const struct boots_options *options)
{
    struct boots *b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->options = *options;
    b->output = options->output;
    *bootsp = b;
    return 0;
}

static void forget(struct boots *b, struct boot *boot)
{
    shared_text_unref(boot->values);
    *boot = b->rows[--b->n];
}

struct boots *boots_free(struct boots *b)
{
    while (b && b->n)
        forget(b, &b->rows[b->n - 1]);
    free(b);
    return NULL;
}

static struct boot *find(struct boots *b, uint64_t id)
{
    for (size_t i = 0; i < b->n && id; i++)
        if (b->rows[i].id == id)
            return &b->rows[i];
    return NULL;
}

/* -- rows -- */

static int write_insert(struct boots *b, const struct boot *boot)
{
    struct line *line = &b->output->line;
    line_begin(line, VERB_INSERT, TABLE_BOOT, boot->id);
    line_time(line, boot->created_us);
    row_output_seen_by(b->output, boot->from_wtmp ? SEEN_BY_UTMP : SEEN_BY_AGENT);
    line_fields(line, shared_text_slice(boot->values), BOOT_VALUES);
    line_nulls(line, catalogue_table(TABLE_BOOT)->n_columns - COMMON_BIRTH - BOOT_VALUES);
    return row_output_send(b->output);
}

static int write_end(struct boots *b, const struct boot *boot)
{
    struct line *line = &b->output->line;
    line_begin(line, VERB_END, TABLE_BOOT, boot->id);
    line_time(line, boot->ended_us);
    line_word(line, end_cause_name(END_REBOOT));
    if (boot->ending == ENDING_UNKNOWN)
        line_null(line);
    else
        line_u64(line, boot->ending == ENDING_CLEAN);
    return row_output_send(b->output);
}

/* Returns the sink's error; a row whose end is written is forgotten. */
static int write_row(struct boots *b, struct boot *boot)
{
    int error = boot->inserted ? 0 : write_insert(b, boot);
    if (error)
        return error;
    boot->inserted = true;
    error = boot->ended ? write_end(b, boot) : 0;
    if (!error && boot->ended)
        forget(b, boot);
    return error;
}

static void append_value(struct buffer *text, struct slice bytes)
{
    struct buffer evidence CLEANUP(buffer_deinit) = BUFFER_NULL;
    if (bytes.length)
        evidence_text_append(&evidence, bytes);
    text->failed |= evidence.failed;
    evidence_field_append(text, slice_is_null(bytes) ? SLICE_NULL : buffer_slice(&evidence));
}

/* NULL: there is no room. */
static struct boot *add(struct boots *b, uint64_t created_us,
                        const struct slice values[BOOT_VALUES])
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    for (size_t i = 0; i < BOOT_VALUES; i++) {
        if (i)
            buffer_append_byte(&text, '\t');
        append_value(&text, values[i]);
    }
    struct shared_text *shared =
        text.failed || b->n == BOOTS_MOST ? NULL : shared_text_new(buffer_slice(&text));
    if (!shared) {
        b->beyond++;
        return NULL;
    }
    struct boot *boot = &b->rows[b->n++];
    *boot = (struct boot){.id = timeline_id(b->output->timeline),
                          .created_us = created_us,
                          .last_us = created_us,
                          .values = shared};
    return boot;
}

/* All is known of it that will be. */
static void end_boot(struct boots *b, struct boot *boot)
{
    /* A host that lived on for long after it was to go down did not go down then. */
    bool announced = boot->shutdown_us && boot->shutdown_us + slack_us >= boot->last_us;
    boot->ended_us = boot->last_us;
    if (announced && boot->shutdown_us > boot->ended_us)
        boot->ended_us = boot->shutdown_us;
    if (boot->ended_us < boot->created_us)
        boot->ended_us = boot->created_us;
    boot->ending = announced                     ? ENDING_CLEAN
                   : b->proof || boot->from_wtmp ? ENDING_UNCLEAN
                                                 : ENDING_UNKNOWN;
    boot->ended = true;
    b->refused_error = write_row(b, boot);
}

static void end_others(struct boots *b)
{
    for (size_t i = b->n; i-- > 0;)
        if (b->rows[i].id != b->own_id && !b->rows[i].ended)
            end_boot(b, &b->rows[i]);
    b->told_id = b->own_id;
}

/* -- findings -- */

static void append_time(struct buffer *to, uint64_t real_us)
{
    char text[32];
    struct tm parts;
    time_t seconds = (time_t)(real_us / 1000000);
    if (gmtime_r(&seconds, &parts) && strftime(text, sizeof(text), "%F %T", &parts))
        buffer_append_text(to, text);
}

static void note(struct boots *b, const char *class, const char *subject, const char *what,
                 uint64_t at_us, const char *other, uint64_t other_us)
{
    const struct timeline *timeline = b->output->timeline;
    struct buffer detail CLEANUP(buffer_deinit) = BUFFER_NULL;
    buffer_append_text(&detail, what);
    append_time(&detail, at_us);
    buffer_append_text(&detail, other);
    append_time(&detail, other_us);
    if (b->options.findings && !detail.failed)
        findings_note(b->options.findings, class, slice_text(subject), buffer_slice(&detail),
                      timeline_real_us(timeline, timeline->now_boot_ns));
}

/* -- the boot at hand -- */

void boots_begin(struct boots *b, const char *const values[BOOT_VALUES])
{
    struct slice texts[BOOT_VALUES];
    b->start_us = timeline_real_us(b->output->timeline, 0);
    struct boot *own = find(b, b->own_id);
    const struct boot *before = find(b, b->told_id);
    if (!own) {
        if (before && !before->from_wtmp && before->last_us > b->start_us + backwards_us)
            note(b, "boot_time_backwards", "boot", "this boot began at ", b->start_us,
                 ", the one before was recorded until ", before->last_us);
        for (size_t i = 0; i < BOOT_VALUES; i++)
            texts[i] = values[i] ? slice_text(values[i]) : SLICE_NULL;
        own = add(b, b->start_us, texts);
        if (!own)
            return;
        b->own_id = own->id;
        b->refused_error = write_row(b, own);
    }
    if (!b->options.utmp_active)
        end_others(b);
}

/* -- wtmp -- */

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* Its own time, unless it is one that cannot be. */
static uint64_t record_us(const struct boots *b, const struct fact *fact)
{
    uint64_t heard_us = timeline_real_us(b->output->timeline, fact->boot_ns);
    int64_t said = fact->login_record.real_us;
    return said < 0 || (uint64_t)said > heard_us + day_us ? heard_us : (uint64_t)said;
}

static bool is_shutdown(const struct fact_login_record *record)
{
    return record->type == RUN_LVL && record->line.length && record->line.data[0] == '~' &&
           slice_is(record->user, "shutdown");
}

/* A boot of which nothing but this record is known. */
static void begin_told(struct boots *b, const struct fact_login_record *record, uint64_t at_us)
{
    struct boot *told = find(b, b->told_id);
    const struct slice values[BOOT_VALUES] = {
        SLICE_NULL, record->host.length ? record->host : SLICE_NULL, SLICE_NULL};
    if (told)
        end_boot(b, told);
    told = add(b, at_us, values);
    b->told_id = told ? told->id : 0;
    if (!told)
        return;
    told->from_wtmp = true;
    b->refused_error = write_row(b, told);
}

static void on_boot_record(struct boots *b, const struct fact_login_record *record, uint64_t at_us)
{
    struct boot *told = find(b, b->told_id);
    bool of_own = distance(at_us, b->start_us) <= slack_us;
    bool is_over = told && told->id == b->own_id; /* it told of the boot at hand already */
    if (b->record_us > at_us + backwards_us)
        note(b, "boot_time_backwards", "wtmp", "a boot at ", at_us, " stands behind a record of ",
             b->record_us);
    if (of_own) {
        if (told && told->id != b->own_id)
            end_boot(b, told);
        b->told_id = b->own_id;
    } else if (at_us > b->start_us) {
        note(b, "boot_record_without_boot", "wtmp", "a boot at ", at_us,
             ", but this host runs since ", b->start_us);
    } else if (!is_over && !(told && distance(at_us, told->created_us) <= slack_us)) {
        begin_told(b, record, at_us);
    }
}

static void on_record(struct boots *b, const struct fact *fact)
{
    const struct fact_login_record *record = &fact->login_record;
    uint64_t at_us = record_us(b, fact);
    struct boot *told = find(b, at_us >= b->start_us ? b->own_id : b->told_id);
    if (record->type == BOOT_TIME)
        on_boot_record(b, record, at_us);
    else if (told && is_shutdown(record) && at_us >= told->created_us)
        told->shutdown_us = at_us;
    else if (told && told->id != b->own_id && at_us > told->last_us)
        told->last_us = at_us;
    b->record_us = at_us;
    b->proof = true;
}

static void on_log(struct boots *b, const struct fact_login_log *log)
{
    if (log->event == LOGIN_LOG_CAUGHT_UP)
        end_others(b);
    else if (log->event == LOGIN_LOG_SHRANK || log->event == LOGIN_LOG_REPLACED)
        b->proof = false; /* nobody knows what stood there */
}

void boots_fact(struct boots *b, const struct fact *fact)
{
    struct boot *own = find(b, b->own_id);
    if (!b->start_us) /* a recording need not begin with the boot at hand */
        b->start_us = timeline_real_us(b->output->timeline, 0);
    if (fact->kind == FACT_LOGIN_RECORD && fact->login_record.file == LOGIN_FILE_WTMP)
        on_record(b, fact);
    else if (fact->kind == FACT_LOGIN_LOG && fact->login_log.file == LOGIN_FILE_WTMP)
        on_log(b, &fact->login_log);
    else if (fact->kind == FACT_AUDIT_USER && fact->audit_user.event == AUDIT_USER_SHUTDOWN &&
             fact->audit_user.success && own)
        own->shutdown_us = timeline_real_us(b->output->timeline, fact->boot_ns);
}

void boots_unheard(struct boots *b)
{
    if (b->own_id)
        end_others(b);
    b->options.utmp_active = false;
}

/* -- time -- */

void boots_tick(struct boots *b)
{
    for (size_t i = b->n; i-- > 0;)
        if (!b->rows[i].inserted || b->rows[i].ended)
            b->refused_error = write_row(b, &b->rows[i]);
}

void boots_flush(struct boots *b)
{
    boots_tick(b);
    for (size_t i = 0; i < b->n; i++)
        if (!b->rows[i].inserted || b->rows[i].ended)
            row_output_refused(b->output, false, b->refused_error);
}

uint64_t boots_shutdown_us(const struct boots *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->rows[i].id == b->own_id)
            return b->rows[i].shutdown_us;
    return 0;
}

uint64_t boots_take_beyond(struct boots *b)
{
    uint64_t beyond = b->beyond;
    b->beyond = 0;
    return beyond;
}

/* -- restart -- */

static void remember(struct boots *b, uint64_t id, const struct slice *values)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    for (size_t i = 0; i < BOOT_VALUES; i++) {
        if (i)
            buffer_append_byte(&text, '\t');
        evidence_field_append(&text, values[COMMON_BIRTH + i]);
    }
    struct shared_text *shared =
        text.failed || b->n == BOOTS_MOST ? NULL : shared_text_new(buffer_slice(&text));
    if (!shared) {
        b->beyond++;
        return;
    }
    struct boot *boot = &b->rows[b->n++];
    *boot = (struct boot){.id = id,
                          .created_us = line_parse_time(values[0]),
                          .values = shared,
                          .from_wtmp = slice_is_null(values[COMMON_BIRTH]),
                          .inserted = true};
    boot->last_us = boot->created_us;
    if (slice_is(values[COMMON_BIRTH], b->output->boot_id))
        b->own_id = id;
}

void boots_restore(struct boots *b, enum verb verb, uint64_t id, const struct slice *values,
                   size_t n_values)
{
    struct boot *boot = find(b, id);
    size_t end = COMMON_BIRTH + BOOT_VALUES;
    if (verb == VERB_END && boot)
        forget(b, boot);
    else if (verb == VERB_INSERT && !boot && n_values > end && slice_is_null(values[end]))
        remember(b, id, values);
}

void boots_restored(struct boots *b, uint64_t last_real_us, uint64_t shutdown_us, bool wtmp_known)
{
    struct boot *told = NULL, *own = find(b, b->own_id);
    b->proof = wtmp_known;
    if (!own)
        b->own_id = 0;
    for (size_t i = 0; i < b->n; i++) {
        struct boot *boot = &b->rows[i];
        if (boot == own)
            continue;
        if (!boot->from_wtmp && last_real_us > boot->last_us)
            boot->last_us = last_real_us;
        if (!boot->from_wtmp && !own)
            boot->shutdown_us = shutdown_us;
        if (!told || boot->created_us > told->created_us)
            told = boot;
    }
    if (own)
        own->shutdown_us = shutdown_us;
    b->told_id = told ? told->id : wtmp_known ? b->own_id : 0;
}

void boots_checkpoint(struct boots *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->rows[i].inserted && write_insert(b, &b->rows[i]) != 0)
            return; /* the one before stays */
}

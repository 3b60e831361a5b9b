/* The first record says what the clock showed, the next one what it was set to. One without the
 * other says nothing of the amount, and is passed over. */
#include "recorder/kernel_events/time_records.h"

#include <inttypes.h>
#include <utmp.h>

/* What cannot be a time of a record here: written by a clock beyond the year 2100. */
static const int64_t time_most_us = INT64_C(4102444800000000);

static void append_target(struct line *line, int64_t step_us)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    uint64_t size = step_us < 0 ? 0 - (uint64_t)step_us : (uint64_t)step_us;
    buffer_printf(&text, "%c%" PRIu64 ".%06" PRIu64 " s", step_us < 0 ? '-' : '+', size / 1000000,
                  size % 1000000);
    line_text(line, buffer_slice(&text));
}

/* A moment: both ends. */
static void write_row(struct row_output *output, int64_t old_us, int64_t new_us)
{
    enum { PROCESS_TO_LOGIN_USERNAME = 7 };
    struct line *line = &output->line;
    line_begin(line, VERB_INSERT, TABLE_KERNEL_EVENT, timeline_id(output->timeline));
    line_time(line, (uint64_t)new_us);
    row_output_seen_by(output, SEEN_BY_UTMP);
    line_nulls(line, PROCESS_TO_LOGIN_USERNAME);
    line_word(line, "clock_step");
    append_target(line, new_us - old_us);
    line_word(line, "success");
    line_time(line, (uint64_t)new_us);
    line_word(line, end_cause_name(END_CLOSED));
    int error = row_output_send(output);
    if (error)
        row_output_refused(output, false, error);
}

void time_records_fact(struct time_records *records, const struct fact *fact)
{
    const struct fact_login_record *record = &fact->login_record;
    if (fact->kind != FACT_LOGIN_RECORD || record->file != LOGIN_FILE_WTMP ||
        (record->type != OLD_TIME && record->type != NEW_TIME))
        return;
    bool possible = record->real_us > 0 && record->real_us < time_most_us;
    if (record->type == NEW_TIME && records->old_us && possible)
        write_row(records->output, records->old_us, record->real_us);
    records->old_us = record->type == OLD_TIME && possible ? record->real_us : 0;
}

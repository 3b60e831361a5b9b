/* Rows that stand while something is so: the host and the boot, as the agent says, and what a
 * source covers, as it says itself. */
#include "recorder/tracker/tracker_private.h"

#include <inttypes.h>
#include <stdio.h>

enum { STANDING_VALUES_MOST = 16 };

/* Split the fields of a standing row; what is too long or too many is not a row of ours. */
static size_t split_fields(char *text, const char *values[], size_t most)
{
    size_t n = 0;
    for (char *field = strsep(&text, "\t"); field; field = strsep(&text, "\t")) {
        if (n == most)
            return 0;
        values[n++] = strcmp(field, "\\N") ? field : NULL;
    }
    return n;
}

/* "late", tab, milliseconds: the agent did not run. */
static bool on_late(struct tracker *t, const char *text)
{
    char detail[96];
    unsigned ms;
    if (sscanf(text, "late\t%u", &ms) != 1)
        return false;
    snprintf(detail, sizeof(detail),
             "nothing was read for %u.%03u s: it was stopped, or had no processor", ms / 1000,
             ms % 1000);
    findings_note(t->findings, "agent-did-not-run", slice_text("vestiged"), slice_text(detail),
                  timeline_real_us(&t->timeline, t->timeline.now_boot_ns));
    return true;
}

void tracker_agent_said(struct tracker *t, struct slice bytes)
{
    char text[8192];
    const char *values[STANDING_VALUES_MOST];
    if (bytes.length >= sizeof(text))
        return;
    memcpy(text, bytes.data, bytes.length);
    text[bytes.length] = '\0';
    if (on_late(t, text))
        return;
    size_t n = split_fields(text, values, STANDING_VALUES_MOST);
    enum table_id table = n ? catalogue_find(slice_text(values[0])) : TABLE_NONE;
    if (table == TABLE_BOOT && n == 1 + BOOT_VALUES) {
        boots_begin(t->boots, values + 1);
    } else if (table == TABLE_HOST) {
        standing_rows_set(&t->standing, table, t->timeline.now_boot_ns, values + 1, n - 1, 0,
                          END_REMOVED);
    }
}

/* A source that was not opened, or that cannot be read any more. */
static bool is_unwatched(const char *mode)
{
    return !strcmp(mode, "off") || !strcmp(mode, "failed");
}

/* What of files is left out here, behind what the source leaves out. */
static void append_files_left_out(const struct tracker *t, const struct fact *fact,
                                  struct buffer *detail)
{
    const char *programs = t->options.files_exclude_programs;
    if (fact->source != SOURCE_FANOTIFY && fact->source != SOURCE_INOTIFY)
        return;
    if (programs && *programs)
        buffer_printf(detail, "%sprograms left out: %s", detail->length ? "; " : "", programs);
    if (t->options.file_rate)
        buffer_printf(detail, "%sat most %" PRIu32 " rows a second of one program",
                      detail->length ? "; " : "", t->options.file_rate);
}

void tracker_note(struct tracker *t, const struct fact *fact)
{
    struct buffer mode CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer detail CLEANUP(buffer_deinit) = BUFFER_NULL;
    buffer_append_slice(&mode, fact->note.mode);
    buffer_append_byte(&mode, '\0');
    buffer_append_slice(&detail, fact->note.detail);
    if (!slice_is(fact->note.mode, "off"))
        append_files_left_out(t, fact, &detail);
    if (fact->source == SOURCE_AUDIT && !t->options.kernel_events_active)
        buffer_printf(&detail, "%skernel events left out", detail.length ? "; " : "");
    buffer_append_byte(&detail, '\0');
    if (mode.failed || detail.failed)
        return;
    const char *values[] = {t->output.boot_id, source_name(fact->source), (const char *)mode.data,
                            detail.length > 1 ? (const char *)detail.data : NULL};
    standing_rows_set(&t->standing, TABLE_COVERAGE, fact->boot_ns, values, 4, 2, END_CLOSED);
    bool heard = !is_unwatched((const char *)mode.data);
    if (fact->source == SOURCE_AUDIT)
        processes_set_audit(t->processes, heard);
    if (fact->source == SOURCE_RTNETLINK && !heard)
        networks_unwatched(t->networks);
    if (fact->source == SOURCE_UDEV && !heard)
        devices_unwatched(t->devices);
    if (fact->source == SOURCE_ACCOUNTS && !heard)
        accounts_unwatched(t->accounts);
    if (fact->source == SOURCE_UTMP && !heard)
        boots_unheard(t->boots);
    if (fact->source == SOURCE_INOTIFY && !heard)
        files_unscanned(t->files);
}

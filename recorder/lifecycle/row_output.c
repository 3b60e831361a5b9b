/* Every row goes through row_output_send, so that no line is dropped without being counted. */
#include "recorder/lifecycle/row_output.h"

#include "core/log.h"

int row_output_send(struct row_output *output)
{
    int error = line_finish(&output->line);
    if (!error)
        error = output->sink.append(output->sink.user, &output->line);
    if (error == -EINVAL)
        log_error("tracker", "a line of table %s has the wrong number of values",
                  catalogue_table(output->line.table)->name);
    return error;
}

void row_output_refused(struct row_output *output, bool is_process, int error)
{
    uint64_t now = output->timeline->now_boot_ns;
    if (output->refused_processes + output->refused_rows == 0)
        output->refused_first_ns = now;
    output->refused_last_ns = now;
    output->refused_error = error;
    if (is_process) {
        output->refused_processes++;
        counter_add(output->counters, COUNTER_PROCESSES_LOST, 1);
    } else {
        output->refused_rows++;
    }
}

void row_output_time(struct row_output *output, uint64_t boot_ns)
{
    line_time(&output->line, timeline_real_us(output->timeline, boot_ns));
}

void row_output_seen_by(struct row_output *output, unsigned seen_by)
{
    /* In the order of the SET's definition. */
    static const char *const members[] = {"audit",     "connector", "taskstats", "proc",
                                          "sock_diag", "bpf",       "fanotify",  "inotify",
                                          "udev",      "utmp",      "agent",     "rtnetlink"};
    char text[128] = "";
    size_t length = 0;
    for (unsigned bit = 0; bit < sizeof(members) / sizeof(members[0]); bit++) {
        if (!(seen_by & 1U << bit))
            continue;
        if (length)
            text[length++] = ',';
        size_t n = strlen(members[bit]);
        memcpy(text + length, members[bit], n);
        length += n;
    }
    text[length] = '\0';
    line_word(&output->line, text);
}

void row_output_end(struct row_output *output, bool ended, uint64_t ended_us, enum end_cause cause)
{
    if (!ended) {
        line_nulls(&output->line, 2);
        return;
    }
    line_time(&output->line, ended_us);
    line_word(&output->line, end_cause_name(cause));
}

const char *end_cause_name(enum end_cause cause)
{
    static const char *const names[] = {"exit",       "exec",   "closed", "removed",
                                        "reconciled", "reboot", "unknown"};
    return names[cause];
}

/* Host, boot and missing sources reach the tracker as messages like all others, so that a recording
 * holds them. */
#include "recorder/agent/agent_private.h"

/* One field of a standing row: the values are single lines of the system's own files. */
static void append_value(struct buffer *text, const char *value)
{
    buffer_append_byte(text, '\t');
    if (!value) {
        buffer_append_text(text, "\\N");
        return;
    }
    for (; *value; value++)
        buffer_append_byte(text, *value == '\t' || *value == '\n' ? ' ' : *value);
}

static void append_row(struct buffer *text, const char *table, const char *const *values, size_t n)
{
    buffer_append_text(text, table);
    for (size_t i = 0; i < n; i++)
        append_value(text, values[i]);
}

static void append_host(struct buffer *text, const struct host_facts *host)
{
    const char *const values[] = {host->hostname,   host->machine_id, host->os_name,
                                  host->os_version, host->kernel,     host->architecture,
                                  host->vendor,     host->model,      host->time_zone};
    append_row(text, "host", values, sizeof(values) / sizeof(values[0]));
}

static int add_row(struct gulp *gulp, const struct buffer *text)
{
    return text->failed
               ? -ENOMEM
               : gulp_add(gulp, SOURCE_AGENT, MESSAGE_DATA, clock_boot_ns(), buffer_slice(text));
}

int agent_host_tell_first(struct agent *agent)
{
    const struct host_facts *host = &agent->host;
    struct buffer boot CLEANUP(buffer_deinit) = BUFFER_NULL;
    const char *boot_values[] = {host->boot_id, host->kernel, host->kernel_command_line};
    struct gulp *gulp = gulp_queue_get(agent->queue);
    if (!gulp)
        return -ENOMEM;
    append_row(&boot, "boot", boot_values, sizeof(boot_values) / sizeof(boot_values[0]));
    append_host(&agent->host_row, host);
    int error = add_row(gulp, &boot);
    if (!error)
        error = add_row(gulp, &agent->host_row);
    for (size_t i = 0; !error && i < agent->sources.n_missing; i++) {
        struct buffer note CLEANUP(buffer_deinit) = BUFFER_NULL;
        buffer_printf(&note, "off\t%s", agent->sources.missing[i].reason);
        error = gulp_add(gulp, agent->sources.missing[i].source, MESSAGE_NOTE, clock_boot_ns(),
                         buffer_slice(&note));
    }
    gulp->boot_ns = clock_both_ns(&gulp->real_ns);
    gulp_queue_put(agent->queue, gulp);
    return error;
}

void agent_host_look(struct agent *agent)
{
    struct buffer row CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct host_facts host;
    if (host_facts_init(&host, "") < 0)
        return;
    append_host(&row, &host);
    host_facts_deinit(&host);
    if (row.failed || slice_equal(buffer_slice(&row), buffer_slice(&agent->host_row)) ||
        reader_tell(agent->reader, buffer_slice(&row)) < 0)
        return;
    buffer_clear(&agent->host_row);
    buffer_append_slice(&agent->host_row, buffer_slice(&row));
}

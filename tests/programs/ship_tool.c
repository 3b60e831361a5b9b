/*
 * Drives the shipper without an agent:
 *
 *   ship_tool --journal DIR --defaults FILE [--host N] [--fill ROWS] [what the rows are like]
 *             [--key FILE] [--lines FILE] [--only-fill] [--timeout MS] [--failures N] [--bare]
 *             [--hold]
 *
 * opens the journal in DIR, optionally appends generated rows of `process`, ships what is there,
 * and prints "name value" lines: all counters, and the shipper's status. Exit status 0: the journal
 * was emptied in time; 1: not, or there were N failures before; 2: an error. With --hold it then
 * takes commands from standard input.
 */
#include "ship_bare.h"
#include "ship_rows_made.h"
#include "tool_options.h"

#include "core/array.h"
#include "core/log.h"
#include "recorder/shipper/shipper.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A fill seals what it has appended; how long it took makes no batches. */
#define SEAL_AFTER_MS 3600000
#define LOOK_MS       20

struct settings {
    const char *journal, *defaults, *key, *lines;
    struct made_rows rows;
    uint64_t host_id, fill, timeout_ms, failures, retry_first_ms, retry_most_ms, schema_version;
    bool only_fill, hold, bare;
};

static const struct tool_option known_options[] = {
    {"journal",     TOOL_TEXT,   offsetof(struct settings, journal)        },
    {"defaults",    TOOL_TEXT,   offsetof(struct settings, defaults)       },
    {"key",         TOOL_TEXT,   offsetof(struct settings, key)            },
    {"lines",       TOOL_TEXT,   offsetof(struct settings, lines)          },
    {"host",        TOOL_NUMBER, offsetof(struct settings, host_id)        },
    {"fill",        TOOL_NUMBER, offsetof(struct settings, fill)           },
    {"bad",         TOOL_NUMBER, offsetof(struct settings, rows.n_bad)     },
    {"not-utf8",    TOOL_NUMBER, offsetof(struct settings, rows.n_not_utf8)},
    {"twice",       TOOL_NUMBER, offsetof(struct settings, rows.n_twice)   },
    {"open",        TOOL_NUMBER, offsetof(struct settings, rows.n_open)    },
    {"settle",      TOOL_NUMBER, offsetof(struct settings, rows.n_settle)  },
    {"missing",     TOOL_NUMBER, offsetof(struct settings, rows.n_missing) },
    {"huge",        TOOL_NUMBER, offsetof(struct settings, rows.huge)      },
    {"first-id",    TOOL_NUMBER, offsetof(struct settings, rows.first_id)  },
    {"timeout",     TOOL_NUMBER, offsetof(struct settings, timeout_ms)     },
    {"failures",    TOOL_NUMBER, offsetof(struct settings, failures)       },
    {"retry-first", TOOL_NUMBER, offsetof(struct settings, retry_first_ms) },
    {"retry-most",  TOOL_NUMBER, offsetof(struct settings, retry_most_ms)  },
    {"schema",      TOOL_NUMBER, offsetof(struct settings, schema_version) },
    {"only-fill",   TOOL_FLAG,   offsetof(struct settings, only_fill)      },
    {"bare",        TOOL_FLAG,   offsetof(struct settings, bare)           },
    {"hold",        TOOL_FLAG,   offsetof(struct settings, hold)           },
};

struct tool {
    struct settings settings;
    struct counters counters;
    struct signing_key *key; /* NULL: batches are not signed */
    struct journal *journal;
    struct shipper *_Atomic shipper;
};

static void sealed(void *user, uint64_t batch)
{
    struct tool *tool = user;
    (void)batch;
    if (tool->shipper)
        shipper_wake(tool->shipper);
}

static void lost(void *user, const struct shipper_loss *loss)
{
    (void)user;
    printf("lost_%s %" PRIu64 "\n", loss->damaged ? "damaged" : verb_name(loss->verb), loss->n);
}

static int fail(const struct error_text *error)
{
    fprintf(stderr, "ship_tool: %s\n", error->text);
    return 2;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int open_journal(struct tool *tool, struct error_text *error)
{
    struct journal_recovery recovery;
    int r = tool->settings.key ? signing_key_load(&tool->key, tool->settings.key, error) : 0;
    if (r != 0)
        return r;
    struct journal_options journal_options = {.directory = tool->settings.journal,
                                              .host_id = tool->settings.host_id,
                                              .boot_id = MADE_BOOT_ID,
                                              .key = tool->key,
                                              .seal_after_ms = SEAL_AFTER_MS,
                                              .counters = &tool->counters,
                                              .sealed = sealed,
                                              .sealed_user = tool};
    return journal_open(&tool->journal, &journal_options, &recovery, error);
}

/** Wait until what was appended is sealed, so that what follows is another batch. */
static void seal(struct tool *tool)
{
    const struct timespec millisecond = {.tv_nsec = 1000000};
    uint64_t batch = journal_seal_request(tool->journal);
    struct journal_status status;
    do {
        nanosleep(&millisecond, NULL);
        journal_get_status(tool->journal, &status);
    } while (status.last_batch < batch);
}

static char *next_word(char **rest)
{
    char *word = *rest, *tab = word ? strchr(word, '\t') : NULL;
    *rest = tab ? tab + 1 : NULL;
    if (tab)
        *tab = '\0';
    return word;
}

/** A line of the journal, as it is; or "seal", which ends a batch. */
static void append_text(struct tool *tool, const struct row_sink *sink, char *text)
{
    struct line line = LINE_NULL;
    size_t first;
    char *rest = text;
    if (!strcmp(text, "seal")) {
        seal(tool);
        return;
    }
    enum verb verb = verb_find(slice_text(next_word(&rest)));
    enum table_id table = catalogue_find(slice_text(next_word(&rest)));
    uint64_t id = strtoull(next_word(&rest), NULL, 10);
    line_begin(&line, verb, table, id);
    line_fields(&line, slice_text(rest),
                catalogue_line_columns(catalogue_table(table), verb, &first));
    if (line_finish(&line) || sink->append(sink->user, &line)) {
        fprintf(stderr, "ship_tool: a line was refused\n");
        exit(2);
    }
    line_deinit(&line);
}

static void append_lines(struct tool *tool, const struct row_sink *sink)
{
    FILE *file = fopen(tool->settings.lines, "r");
    char *text = NULL;
    size_t size = 0;
    if (!file)
        exit(2);
    for (ssize_t length; (length = getline(&text, &size, file)) > 0;) {
        text[length - 1] = '\0';
        append_text(tool, sink, text);
    }
    free(text);
    fclose(file);
}

/** The number of the batch that has to be shipped for the journal to be empty. */
static uint64_t fill(struct tool *tool)
{
    struct row_sink sink = journal_sink(tool->journal);
    if (tool->settings.fill)
        made_rows_append(&tool->settings.rows, tool->settings.fill, &sink);
    if (tool->settings.lines)
        append_lines(tool, &sink);
    return journal_seal_request(tool->journal);
}

/** A batch counts as waiting until the journal was told, which is just after it is committed. */
static void get_status(struct tool *tool, bool shipped, struct shipper_status *status)
{
    const struct timespec millisecond = {.tv_nsec = 1000000};
    shipper_get_status(tool->shipper, status);
    for (int i = 0; shipped && status->n_waiting && i < 1000; i++) {
        nanosleep(&millisecond, NULL);
        shipper_get_status(tool->shipper, status);
    }
}

/** What is counted is of the time up to now: @p start is where that begins. */
static void print(struct tool *tool, bool shipped, double start)
{
    struct shipper_status status;
    get_status(tool, shipped, &status);
    for (int i = 0; i < COUNTER_N; i++)
        printf("%s %" PRIu64 "\n", counter_name((enum counter_id)i),
               counter_get(&tool->counters, (enum counter_id)i));
    printf("last_shipped %" PRIu64 "\nwaiting %" PRIu64 "\nconnected %d\nerror %s\n",
           status.last_shipped, status.n_waiting, status.connected, status.error);
    if (status.is_clear)
        printf("is_clear 1\n");
    if (status.server_offset_known)
        printf("server_offset_us %" PRId64 "\n", status.server_offset_us);
    printf("seconds %.6f\n", seconds() - start);
    fflush(stdout);
}

static bool has_failed(const struct tool *tool)
{
    uint64_t most = tool->settings.failures;
    return most && counter_get(&tool->counters, COUNTER_SHIP_FAILURES) >= most;
}

/** Until the batch is shipped (0), or the time is over, or there were as many failures as were
 *  asked for. Each shipper_wait would have it try again at once. */
static int wait_for_shipment(struct tool *tool, uint64_t batch)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    struct shipper_status status;
    if (!tool->settings.failures)
        return shipper_wait(tool->shipper, batch, (unsigned)tool->settings.timeout_ms);
    for (uint64_t ms = 0; ms < tool->settings.timeout_ms && !has_failed(tool); ms += LOOK_MS) {
        nanosleep(&pause, NULL);
        shipper_get_status(tool->shipper, &status);
        if (status.last_shipped >= batch)
            return 0;
    }
    return -ETIMEDOUT;
}

/** "fill N": append N more rows, ship them. "status": print the status. Until input ends. */
static void hold(struct tool *tool)
{
    char command[64];
    printf("holding\n");
    fflush(stdout);
    while (fgets(command, sizeof(command), stdin)) {
        if (strncmp(command, "fill ", 5) == 0) {
            tool->settings.rows.first_id += MADE_SPAN_US;
            tool->settings.fill = strtoull(command + 5, NULL, 10);
            double start = seconds();
            uint64_t batch = fill(tool);
            int r = shipper_wait(tool->shipper, batch, (unsigned)tool->settings.timeout_ms);
            printf("shipped %d\n", r == 0);
            print(tool, r == 0, start);
        } else {
            print(tool, false, seconds());
        }
        printf("done\n");
        fflush(stdout);
    }
}

static int ship(struct tool *tool, struct error_text *error)
{
    const struct settings *settings = &tool->settings;
    uint64_t batch = fill(tool);
    struct shipper_options shipper_options = {.journal = tool->journal,
                                              .host_id = settings->host_id,
                                              .defaults_file = settings->defaults,
                                              .counters = &tool->counters,
                                              .retry_first_ms = (unsigned)settings->retry_first_ms,
                                              .retry_most_ms = (unsigned)settings->retry_most_ms,
                                              .schema_version = (unsigned)settings->schema_version,
                                              .lost = lost};
    if (settings->only_fill)
        return 0;
    struct shipper *shipper;
    double start = seconds();
    int r = shipper_start(&shipper, &shipper_options, error);
    if (r != 0)
        return fail(error);
    tool->shipper = shipper;
    r = wait_for_shipment(tool, batch);
    print(tool, r == 0, start);
    if (settings->hold)
        hold(tool);
    tool->shipper = NULL;
    shipper_free(shipper, 0);
    return r == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct tool tool = {
        .settings = {.host_id = 7, .timeout_ms = 300000, .rows = {.first_id = MADE_FIRST_ID}}
    };
    struct error_text error = ERROR_TEXT_NULL;
    tool_options_parse(known_options, N_ELEMENTS(known_options), &tool.settings, argc, argv);
    log_set_program("ship_tool");
    if (!tool.settings.journal || (!tool.settings.defaults && !tool.settings.only_fill)) {
        fprintf(stderr, "usage: ship_tool --journal DIR --defaults FILE [...]\n");
        return 2;
    }
    if (open_journal(&tool, &error) != 0)
        return fail(&error);
    int status = tool.settings.bare
                     ? ship_bare(tool.journal, tool.settings.defaults, tool.settings.host_id)
                     : ship(&tool, &error);
    journal_free(tool.journal);
    signing_key_free(tool.key);
    return status;
}

/* `vestige export`: a case bundle, or events for other tools on standard output. */
#include "core/cleanup.h"
#include "reports/command.h"
#include "reports/evidence/reading.h"
#include "reports/export/export_case.h"
#include "reports/export/export_events.h"

#include <inttypes.h>
#include <stdlib.h>

struct export_options {
    const char *directory, *format;
};

static int check(const struct export_options *own, struct error_text *error)
{
    if (!own->directory == !own->format)
        return error_set(error, -EINVAL,
                         "say what to export: --case DIR, or --format ecs, timesketch, "
                         "timesketch-csv or tln; one of the two");
    if (own->format && !export_writer_named(own->format))
        return error_set(error, -EINVAL,
                         "--format %.40s: there is no such format; write ecs, timesketch, "
                         "timesketch-csv or tln",
                         own->format);
    return 0;
}

static int write_events(struct export_selection *selection, const char *format, uint64_t *n,
                        struct error_text *error)
{
    struct export_output output;
    int outcome = export_output_init(&output, export_writer_named(format), stdout);
    if (outcome)
        error_set(error, outcome, "the events cannot be written: %s", strerror(-outcome));
    else
        outcome = export_events(selection, &output, error);
    *n = output.n_events;
    export_output_deinit(&output);
    return outcome;
}

static int run(const struct options *options, const struct export_options *own, uint64_t *n,
               struct error_text *error)
{
    MYSQL *mysql AUTO_DATABASE = NULL;
    struct export_selection selection = {0};
    struct reading reading = {0};
    int outcome = check(own, error);
    if (!outcome)
        outcome = evidence_connect(&mysql, options, error);
    if (!outcome)
        outcome = reading_begin(&reading, mysql, options, NULL, error);
    if (outcome)
        return outcome;
    outcome = export_selection_init(&selection, mysql, options, error);
    if (outcome) {
        reading_end(&reading, NULL, 0, outcome);
        return outcome;
    }
    outcome = own->directory ? export_case(&selection, own->directory, n, error)
                             : write_events(&selection, own->format, n, error);
    if (!outcome)
        outcome = evidence_tell_completeness(selection.mysql, &selection.window, stderr, error);
    reading_end(&reading, &selection.window, *n, outcome);
    export_selection_deinit(&selection);
    return outcome;
}

int export_command(int argc, char **argv)
{
    struct export_options own = {0};
    struct options options;
    const struct option_own own_options[] = {
        {"case",      OPTION_TEXT, &own.directory,     "DIR",
         "the rows, their seals and a manifest into DIR",                               0, 0},
        {"format",    OPTION_TEXT, &own.format,        "FORMAT",
         "events to standard output: ecs, timesketch, timesketch-csv or tln",           0, 0},
        {"time-zone", OPTION_TEXT, &options.time_zone, "ZONE",
         "read --since and --until in this zone (default UTC); what is written is UTC", 0, 0},
    };
    const struct command_line line = {
        .words = "export",
        .summary =
            "Hand evidence to other tools: a case bundle with all rows and how to check it, or "
            "events as\nJSON lines (ecs, timesketch), CSV or TLN. Selected is what was alive in "
            "the "
            "window, which is\nall time without --since and --until. Exit status: 0 rows, 1 no "
            "rows, 2 error.",
        .groups = OPTIONS_STATE | OPTIONS_DATABASE | OPTIONS_EVIDENCE,
        .own = own_options,
        .n_own = sizeof(own_options) / sizeof(own_options[0]),
    };
    struct error_text error = ERROR_TEXT_NULL;
    uint64_t n = 0;
    int outcome = options_parse(&options, &line, argc, argv, &error);
    if (outcome == OPTIONS_HELP_SHOWN)
        return STATUS_ROWS;
    if (!outcome)
        outcome = run(&options, &own, &n, &error);
    return command_end("export", command_status(outcome, n ? STATUS_ROWS : STATUS_NO_ROWS), &error);
}

#pragma once
/* `vestige journal`: what its subcommands share. */
#include "recorder/journal/batch_reader.h"
#include "recorder/journal/journal_directory.h"
#include "reports/options/options.h"

struct journal_entry {
    uint64_t batch;
    uint64_t bytes;
    enum journal_file kind;
};

struct journal_entries {
    struct buffer list; /* of struct journal_entry */
};

struct journal_command {
    struct options options;
    const char *directory_option, *public_key_option;
    char *path;
    struct journal_directory *directory;
    struct journal_entries files;
    struct error_text error;
};

size_t journal_entries_count(const struct journal_entries *files);
const struct journal_entry *journal_entry_at(const struct journal_entries *files, size_t index);
/** -ENOENT: it was shipped and removed meanwhile. */
int journal_entry_open(const struct journal_command *command, const struct journal_entry *file,
                       struct batch_reader **readerp, struct error_text *error) MUST_CHECK;
/** A line of safe text on standard output. */
void journal_print_safe(struct buffer *scratch, struct slice text);

/** Returns an exit status, or an error. */
int journal_check(struct journal_command *command) MUST_CHECK;

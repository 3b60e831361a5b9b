/*
 * An agent without a kernel: numbered rows of `process` go through the real journal and the real
 * shipper, and the program may be killed and started again at any moment:
 *
 *   ship_load --journal DIR --defaults FILE --counter FILE [--rate ROWS_A_SECOND] [...]
 *
 * The counter is a file that is mapped and lives on: it plays the kernel, which goes on counting.
 * Row n has the id MADE_FIRST_ID + n * 50. What a start finds missing between its journal and the
 * counter, and what the journal refused, becomes a row of `gap` whose detail is "rows FIRST-LAST".
 * So each number up to the counter is a row or in a gap, and never both.
 *
 * Commands on standard input, each answered by lines and "done": `status`, `rate N`, `batches N
 * ROWS` (so many batches, as fast as it goes), `drain MS` (make no more; ship all). End of input
 * ends the program.
 */
#include "ship_rows_made.h"
#include "tool_options.h"

#include "core/array.h"
#include "core/counter.h"
#include "core/log.h"
#include "recorder/shipper/shipper.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define STEP_US 50
#define TICK_MS 10
#define MARK_MS 100
/* Ids of gaps stand between those of rows; they are of another table anyway. */
#define GAP_HALF 25

struct settings {
    const char *journal, *defaults, *counter;
    uint64_t host_id, rate, limit, buffer, schema, retry_first, retry_most, clock, seal, checkpoint;
};

static const struct tool_option known_options[] = {
    {"journal",     TOOL_TEXT,   offsetof(struct settings, journal)    },
    {"defaults",    TOOL_TEXT,   offsetof(struct settings, defaults)   },
    {"counter",     TOOL_TEXT,   offsetof(struct settings, counter)    },
    {"host",        TOOL_NUMBER, offsetof(struct settings, host_id)    },
    {"rate",        TOOL_NUMBER, offsetof(struct settings, rate)       },
    {"limit",       TOOL_NUMBER, offsetof(struct settings, limit)      },
    {"buffer",      TOOL_NUMBER, offsetof(struct settings, buffer)     },
    {"schema",      TOOL_NUMBER, offsetof(struct settings, schema)     },
    {"retry-first", TOOL_NUMBER, offsetof(struct settings, retry_first)},
    {"retry-most",  TOOL_NUMBER, offsetof(struct settings, retry_most) },
    {"clock",       TOOL_NUMBER, offsetof(struct settings, clock)      },
    {"seal",        TOOL_NUMBER, offsetof(struct settings, seal)       },
    {"checkpoint",  TOOL_NUMBER, offsetof(struct settings, checkpoint) },
};

/* What outlives the program. */
struct counted {
    _Atomic uint64_t rows, gaps;
};

struct load {
    struct settings settings;
    struct counters counters;
    struct counted *counted;
    struct journal *journal;
    struct row_sink sink;
    struct shipper *_Atomic shipper;
    struct line line;
    uint64_t refused; /* first number that the journal did not take and no gap names; 0: none */
    uint64_t debt_us; /* time for which rows are still to be made */
    uint64_t made_us, marked_ms, checkpoint_ms;
};

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void sealed(void *user, uint64_t batch)
{
    struct load *load = user;
    (void)batch;
    if (load->shipper)
        shipper_wake(load->shipper);
}

static void mark(struct load *load, uint64_t rows)
{
    char cursors[40];
    snprintf(cursors, sizeof(cursors), "rows=%" PRIu64, rows);
    load->sink.mark(load->sink.user, slice_text(cursors));
}

static int append_gap(struct load *load, uint64_t first, uint64_t last)
{
    struct line *line = &load->line;
    char detail[64];
    uint64_t id = MADE_FIRST_ID + ++load->counted->gaps * STEP_US + GAP_HALF;
    snprintf(detail, sizeof(detail), "rows %" PRIu64 "-%" PRIu64, first, last);
    line_begin(line, VERB_INSERT, TABLE_GAP, id);
    line_time(line, id);
    line_word(line, "agent");
    line_word(line, MADE_BOOT_ID);
    line_word(line, "agent");
    line_word(line, "lost");
    line_word(line, "process");
    line_u64(line, last - first + 1);
    line_null(line);
    line_null(line);
    line_text(line, slice_text(detail));
    line_time(line, id);
    line_word(line, "unknown");
    int r = line_finish(line);
    return r ? r : load->sink.append(load->sink.user, line);
}

/** Name what was refused, once there is room again. The mark covers it: a restart counts only what
 *  comes after. */
static bool settle_refused(struct load *load, uint64_t last)
{
    if (!load->refused)
        return true;
    if (append_gap(load, load->refused, last) != 0)
        return false;
    load->refused = 0;
    mark(load, last);
    return true;
}

static int make_row(struct load *load)
{
    uint64_t number = ++load->counted->rows;
    if (!settle_refused(load, number - 1))
        return -ENOSPC;
    int r = made_row_append(&load->line, MADE_FIRST_ID + number * STEP_US, number, &load->sink);
    if (r)
        load->refused = number;
    return r;
}

static void open_journal(struct load *load)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct journal_recovery recovery;
    struct journal_options options = {.directory = load->settings.journal,
                                      .host_id = load->settings.host_id,
                                      .boot_id = MADE_BOOT_ID,
                                      .limit_bytes = load->settings.limit,
                                      .buffer_bytes = load->settings.buffer,
                                      .seal_after_ms = (unsigned)load->settings.seal,
                                      .counters = &load->counters,
                                      .sealed = sealed,
                                      .sealed_user = load};
    if (journal_open(&load->journal, &options, &recovery, &error) != 0) {
        fprintf(stderr, "ship_load: %s\n", error.text);
        exit(2);
    }
    load->sink = journal_sink(load->journal);
    uint64_t known = recovery.births_after_mark, last = load->counted->rows;
    if (recovery.cursors[0])
        known += strtoull(recovery.cursors + strlen("rows="), NULL, 10);
    if (known < last)
        load->refused = known + 1;
    settle_refused(load, last);
}

static void start_shipper(struct load *load)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct shipper *shipper;
    const struct settings *settings = &load->settings;
    struct shipper_options options = {.journal = load->journal,
                                      .host_id = settings->host_id,
                                      .defaults_file = settings->defaults,
                                      .counters = &load->counters,
                                      .retry_first_ms = (unsigned)settings->retry_first,
                                      .retry_most_ms = (unsigned)settings->retry_most,
                                      .schema_version = (unsigned)settings->schema,
                                      .clock_ms = (unsigned)settings->clock};
    if (shipper_start(&shipper, &options, &error) != 0) {
        fprintf(stderr, "ship_load: %s\n", error.text);
        exit(2);
    }
    load->shipper = shipper;
}

static void checkpoint(struct load *load)
{
    journal_checkpoint(load->journal, true);
    journal_checkpoint(load->journal, false);
}

/** Rows for the time that has passed, now and then a mark and a checkpoint. */
static void tick(struct load *load)
{
    const struct settings *settings = &load->settings;
    uint64_t now = now_us();
    load->debt_us += (now - load->made_us) * settings->rate;
    load->made_us = now;
    for (; load->debt_us >= 1000000; load->debt_us -= 1000000)
        make_row(load);
    if (now / 1000 - load->marked_ms >= MARK_MS && !load->refused) {
        mark(load, load->counted->rows);
        load->marked_ms = now / 1000;
    }
    if (settings->checkpoint && now / 1000 - load->checkpoint_ms >= settings->checkpoint) {
        checkpoint(load);
        load->checkpoint_ms = now / 1000;
    }
}

static void make_batches(struct load *load, uint64_t n_batches, uint64_t n_rows)
{
    for (uint64_t batch = 0; batch < n_batches; batch++) {
        for (uint64_t row = 0; row < n_rows; row++)
            make_row(load);
        mark(load, load->counted->rows);
        uint64_t last = journal_seal_request(load->journal);
        /* a few may wait to be sealed, no more: the journal's memory has a bound */
        struct journal_status status;
        while (journal_get_status(load->journal, &status), status.last_batch + 4 < last)
            poll(NULL, 0, 1);
    }
    load->made_us = now_us();
}

static void print_status(struct load *load)
{
    struct shipper_status shipper;
    struct journal_status journal;
    shipper_get_status(load->shipper, &shipper);
    journal_get_status(load->journal, &journal);
    for (int i = 0; i < COUNTER_N; i++)
        printf("%s %" PRIu64 "\n", counter_name((enum counter_id)i),
               counter_get(&load->counters, (enum counter_id)i));
    printf("rows %" PRIu64 "\nlast_shipped %" PRIu64 "\nwaiting %" PRIu64 "\nconnected %d\n",
           load->counted->rows, shipper.last_shipped, shipper.n_waiting, shipper.connected);
    printf("journal_bytes %" PRIu64 "\njournal_full %d\nfirst_batch %" PRIu64 "\n", journal.bytes,
           journal.full, journal.first_batch);
    printf("error %s\njournal_error %s\n", shipper.error, journal.error);
    if (shipper.server_offset_known)
        printf("server_offset_us %" PRId64 "\n", shipper.server_offset_us);
}

static void drain(struct load *load, unsigned timeout_ms)
{
    uint64_t deadline = now_us() + timeout_ms * UINT64_C(1000);
    load->settings.rate = 0;
    load->debt_us = 0;
    while (load->refused && !settle_refused(load, load->counted->rows) && now_us() < deadline)
        poll(NULL, 0, TICK_MS);
    mark(load, load->counted->rows);
    uint64_t batch = journal_seal_request(load->journal);
    int r = load->refused ? -ENOSPC : shipper_wait(load->shipper, batch, timeout_ms);
    printf("shipped %d\n", r == 0);
    print_status(load);
}

static void obey(struct load *load, const char *command)
{
    uint64_t first = 0, second = 0;
    if (sscanf(command, "rate %" SCNu64, &first) == 1)
        load->settings.rate = first;
    else if (sscanf(command, "batches %" SCNu64 " %" SCNu64, &first, &second) == 2)
        make_batches(load, first, second);
    else if (sscanf(command, "drain %" SCNu64, &first) == 1)
        drain(load, (unsigned)first);
    else
        print_status(load);
    printf("done\n");
    fflush(stdout);
}

static void run(struct load *load)
{
    char command[64];
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    load->made_us = now_us();
    setvbuf(stdin, NULL, _IONBF, 0); /* poll knows of no buffer */
    for (;;) {
        tick(load);
        if (poll(&input, 1, TICK_MS) <= 0)
            continue;
        if (!fgets(command, sizeof(command), stdin))
            return;
        obey(load, command);
    }
}

static struct counted *map_counter(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct counted)) != 0) {
        perror(path);
        exit(2);
    }
    struct counted *counted =
        mmap(NULL, sizeof(*counted), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (counted == MAP_FAILED) {
        perror(path);
        exit(2);
    }
    return counted;
}

int main(int argc, char **argv)
{
    static struct load load = {.settings = {.host_id = 7}, .line = LINE_NULL};
    const struct settings *settings = &load.settings;
    tool_options_parse(known_options, N_ELEMENTS(known_options), &load.settings, argc, argv);
    log_set_program("ship_load");
    if (!settings->journal || !settings->defaults || !settings->counter) {
        fprintf(stderr, "usage: ship_load --journal DIR --defaults FILE --counter FILE [...]\n");
        return 2;
    }
    load.counted = map_counter(load.settings.counter);
    open_journal(&load);
    start_shipper(&load);
    printf("running\n");
    fflush(stdout);
    run(&load);
    struct shipper *shipper = load.shipper;
    load.shipper = NULL;
    shipper_free(shipper, 0);
    journal_free(load.journal);
    line_deinit(&load.line);
    return 0;
}

// links: vestige_tracker
/* Facts of files in, rows of file_access out, without a kernel.
 *
 * What is expected is written as one line a row: "+1 source application uid login_uid path" for an
 * insert, with "-> new path", "inherited" and "at_read" where they are, and behind a bar the end,
 * "cause operations opens", when the row has ended already; "-1 cause operations opens" for an end.
 * Rows are numbered in the order in which they are first written; "-" is NULL. */
#include "processes_test.h"

#include "core/evidence_text.h"
#include "recorder/files/files.h"

enum { EDITOR = 100, SHELL = 200, CHILD = 300, ROWS_MOST = 256, MOST = 40 };

struct stage {
    struct world *world;
    struct files *files;
    struct files_options options;
    uint64_t ids[ROWS_MOST];
    size_t n_ids, n_seen, n_asked;
};

static void on_ask_read(void *user)
{
    ((struct stage *)user)->n_asked++;
}

static void on_image_ended(void *user, const struct actor *image)
{
    files_image_ended(((struct stage *)user)->files, image);
}

static void add_process(struct world *w, uint32_t pid, uint32_t uid, const char *comm,
                        const char *exe)
{
    struct fact fact = proc_entry(pid, 1, ticks_of(w->now - 1000 * MS), comm, exe);
    fact.proc_process.uid = fact.proc_process.euid = uid;
    fact.proc_process.login_uid = 1000;
    give(w, fact);
}

static void open_files(struct stage *s)
{
    files_free(s->files);
    s->files = NULL;
    s->options.output = &s->world->output;
    s->options.names = s->world->names;
    s->options.processes = s->world->processes;
    assert_int_equal(files_new(&s->files, &s->options), 0);
}

static int begin(void **state)
{
    struct stage *s = calloc(1, sizeof(*s));
    s->world = world_new();
    s->world->options.taskstats_active = false;
    s->world->options.user = s;
    s->world->options.image_ended = on_image_ended;
    world_begin(s->world);
    s->options = (struct files_options){.settle_ns = 250 * MS,
                                        .quiet_ns = 1000 * MS,
                                        .processes_ns = 5000 * MS,
                                        .most = MOST,
                                        .bytes_most = 1 << 20,
                                        .user = s,
                                        .ask_read = on_ask_read,
                                        .excluded = "/opt/* /usr/bin/quiet",
                                        .unread = "/usr/* /bin/*"};
    open_files(s);
    *state = s;
    return 0;
}

static void first_scan(struct stage *s)
{
    scan(s->world, true);
    add_process(s->world, EDITOR, 1000, "editor", "/home/e/editor");
    add_process(s->world, SHELL, 0, "shell", "/usr/bin/shell");
    scan(s->world, false);
}

static void after(struct stage *s, uint64_t ms)
{
    tick(s->world, ms);
    files_tick(s->files);
}

static int begin_running(void **state)
{
    begin(state);
    struct stage *s = *state;
    first_scan(s);
    after(s, 1000);
    s->n_seen = s->world->memory.n_lines;
    return 0;
}

static int end(void **state)
{
    struct stage *s = *state;
    void *world = s->world;
    files_free(s->files);
    s->files = NULL;
    processes_free(s->world->processes);
    s->world->processes = NULL;
    teardown(&world);
    free(s);
    return 0;
}

/* -- what came out -- */

static size_t number_of(struct stage *s, uint64_t id)
{
    for (size_t i = 0; i < s->n_ids; i++)
        if (s->ids[i] == id)
            return i + 1;
    assert_true(s->n_ids < ROWS_MOST);
    s->ids[s->n_ids++] = id;
    return s->n_ids;
}

static void append_value(struct buffer *text, struct slice line, size_t column)
{
    struct slice value = row_sink_memory_value(line, column);
    assert_false(slice_is_null(value));
    buffer_append_byte(text, ' ');
    if (slice_is(value, "\\N"))
        buffer_append_byte(text, '-');
    else
        buffer_append_slice(text, value);
}

static void append_insert(struct buffer *text, struct slice line)
{
    append_value(text, line, FILE_ACCESS_SEEN_BY);
    append_value(text, line, FILE_ACCESS_APPLICATION);
    append_value(text, line, FILE_ACCESS_UID);
    append_value(text, line, FILE_ACCESS_LOGIN_UID);
    append_value(text, line, FILE_ACCESS_PATH);
    if (!slice_is(row_sink_memory_value(line, FILE_ACCESS_NEW_PATH), "\\N")) {
        buffer_append_text(text, " ->");
        append_value(text, line, FILE_ACCESS_NEW_PATH);
    }
    if (slice_is(row_sink_memory_value(line, FILE_ACCESS_INHERITED), "1"))
        buffer_append_text(text, " inherited");
    if (slice_is(row_sink_memory_value(line, FILE_ACCESS_PATH_AT_READ), "1"))
        buffer_append_text(text, " at_read");
}

static void append_line(struct stage *s, struct buffer *text, struct slice line)
{
    char verb[16], table[32], copy[96] = "";
    uint64_t id;
    memcpy(copy, line.data, line.length < sizeof(copy) ? line.length : sizeof(copy) - 1);
    assert_int_equal(sscanf(copy, "%15s %31s %lu", verb, table, &id), 3);
    if (strcmp(table, "file_access") != 0)
        return;
    bool insert = strcmp(verb, "end") != 0;
    size_t shift = insert ? 0 : FILE_ACCESS_DESTROYED_AT;
    buffer_printf(text, insert ? "+%zu" : "-%zu", number_of(s, id));
    if (insert)
        append_insert(text, line);
    bool ended = !slice_is(row_sink_memory_value(line, FILE_ACCESS_DESTROYED_AT - shift), "\\N");
    if (insert && ended)
        buffer_append_text(text, " |");
    if (ended) {
        append_value(text, line, FILE_ACCESS_END_CAUSE - shift);
        append_value(text, line, FILE_ACCESS_OPERATIONS - shift);
        append_value(text, line, FILE_ACCESS_OPENS - shift);
    }
    buffer_append_byte(text, '\n');
}

/* The lines of files since the last call are these. */
static void expect(struct stage *s, const char *expected)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    while (s->n_seen < s->world->memory.n_lines)
        append_line(s, &text, row_sink_memory_line(&s->world->memory, s->n_seen++));
    buffer_append_byte(&text, '\0');
    assert_string_equal((const char *)text.data, expected);
}

static struct slice last_value(struct stage *s, size_t column)
{
    const struct row_sink_memory *memory = &s->world->memory;
    return row_sink_memory_value(row_sink_memory_line(memory, memory->n_lines - 1), column);
}

/* -- what goes in -- */

static struct fact file_fact(const struct stage *s, uint32_t pid, uint32_t events, const char *path)
{
    return (struct fact){
        .kind = FACT_FILE,
        .source = SOURCE_FANOTIFY,
        .boot_ns = s->world->now,
        .file = {.pid = pid,
                 .events = events,
                 .since_ns = s->world->now - 20 * MS,
                 .path = slice_text(path),
                 .status = {.size = UINT64_MAX}}
    };
}

static void file(struct stage *s, uint32_t pid, uint32_t events, const char *path)
{
    struct fact fact = file_fact(s, pid, events, path);
    files_fact(s->files, &fact);
}

static void directory(struct stage *s, uint32_t pid, uint32_t events, const char *path)
{
    struct fact fact = file_fact(s, pid, events, path);
    fact.file.directory = true;
    files_fact(s->files, &fact);
}

static void renamed(struct stage *s, uint32_t pid, const char *path, const char *new_path)
{
    struct fact fact = file_fact(s, pid, FILE_RENAMED, path);
    fact.file.new_path = slice_text(new_path);
    files_fact(s->files, &fact);
}

static void shown(struct stage *s, uint32_t pid, const char *path)
{
    struct fact fact = {
        .kind = FACT_FILE_OPEN,
        .source = SOURCE_INOTIFY,
        .boot_ns = s->world->now,
        .file_open = {.pid = pid,
                      .descriptors = 1,
                      .path = slice_text(path),
                      .status = {.size = UINT64_MAX}}
    };
    files_fact(s->files, &fact);
}

static void look(struct stage *s, bool begin_it, bool complete)
{
    struct fact fact = {
        .kind = FACT_FILE_SCAN,
        .source = SOURCE_INOTIFY,
        .boot_ns = s->world->now,
        .file_scan = {begin_it, complete}
    };
    files_fact(s->files, &fact);
}

static void refused(struct stage *s, uint32_t pid)
{
    struct fact fact = {.kind = FACT_FILE_REFUSED,
                        .source = SOURCE_INOTIFY,
                        .boot_ns = s->world->now,
                        .file_refused = {pid}};
    files_fact(s->files, &fact);
}

/* All that was done with files until now has been told. */
static void has_read(struct stage *s)
{
    struct fact fact = {.kind = FACT_FILES_READ,
                        .source = SOURCE_FANOTIFY,
                        .boot_ns = s->world->now,
                        .files_read = {s->world->now}};
    files_fact(s->files, &fact);
}

static void exits(struct stage *s, uint32_t pid)
{
    exit_task(s->world, pid, pid, 0);
}

/* -- use -- */

static void test_opened_read_closed(void **state)
{
    struct stage *s = *state;
    file(s, EDITOR, FILE_OPENED, "/a");
    after(s, 100);
    file(s, EDITOR, FILE_CLOSED, "/a");
    after(s, 999);
    expect(s, "");
    after(s, 1);
    expect(s, "+1 fanotify editor 1000 1000 /a | closed read 1\n");
    assert_true(slice_is(last_value(s, FILE_ACCESS_CREATED_AT), "2026-05-28 20:26:41.000000"));
    assert_true(slice_is(last_value(s, FILE_ACCESS_DESTROYED_AT), "2026-05-28 20:26:41.100000"));
    assert_true(slice_is(last_value(s, FILE_ACCESS_USERNAME), "alice"));
    assert_int_equal(files_rows(s->files), 0);
    file(s, EDITOR, FILE_OPENED | FILE_CLOSED, "/a"); /* a later open begins a new row */
    after(s, 1000);
    expect(s, "+2 fanotify editor 1000 1000 /a | closed read 1\n");
}

/* What an exiting process had open is closed after the word of its end. */
static void test_closed_after_the_end(void **state)
{
    struct stage *s = *state;
    file(s, EDITOR, FILE_OPENED, "/a");
    file(s, EDITOR, FILE_OPENED, "/b");
    after(s, 100);
    exits(s, EDITOR);
    after(s, 1);
    file(s, EDITOR, FILE_CLOSED_AFTER_WRITE, "/b");
    after(s, 30);
    file(s, EDITOR, FILE_CLOSED_AFTER_WRITE, "/a");   /* of a reading that began after the end */
    file(s, EDITOR, FILE_OPENED | FILE_CLOSED, "/c"); /* what has ended opens nothing */
    after(s, 1000);
    expect(s, "+1 fanotify editor 1000 1000 /a | closed write 1\n"
              "+2 fanotify editor 1000 1000 /b | closed write 1\n"
              "+3 fanotify - - - /c | closed read 1\n");
    after(s, 5000);
    file(s, EDITOR, FILE_CLOSED_AFTER_WRITE, "/a");
    after(s, 1000);
    expect(s, "+4 fanotify - - - /a inherited | closed write 0\n");
}

static void test_open_is_inserted_before_its_end(void **state)
{
    struct stage *s = *state;
    file(s, EDITOR, FILE_OPENED, "/a");
    after(s, 249);
    expect(s, "");
    after(s, 1);
    expect(s, "+1 fanotify editor 1000 1000 /a\n");
    file(s, EDITOR, FILE_MODIFIED, "/a");
    after(s, 5000);
    file(s, EDITOR, FILE_CLOSED_AFTER_WRITE, "/a");
    after(s, 500);
    file(s, EDITOR, FILE_OPENED, "/a"); /* soon enough to be the same use */
    after(s, 2000);
    file(s, EDITOR, FILE_CLOSED, "/a");
    expect(s, "");
    after(s, 1000);
    expect(s, "-1 closed read,write 2\n");
}

/* Opened and closed again and again: it is told while it goes on. */
static void test_busy_file(void **state)
{
    struct stage *s = *state;
    for (unsigned i = 0; i < 9; i++) {
        file(s, EDITOR, FILE_OPENED | FILE_CLOSED, "/a");
        after(s, 500);
    }
    expect(s, "");
    file(s, EDITOR, FILE_OPENED | FILE_CLOSED, "/a");
    expect(s, "+1 fanotify editor 1000 1000 /a\n");
    after(s, 1000);
    expect(s, "-1 closed read 10\n");
}

static void test_merged_events(void **state)
{
    struct stage *s = *state;
    file(s, EDITOR, FILE_CREATED | FILE_OPENED | FILE_MODIFIED | FILE_CLOSED_AFTER_WRITE, "/a");
    file(s, EDITOR, FILE_OPENED | FILE_EXECUTED | FILE_CLOSED, "/b");
    file(s, EDITOR, FILE_OPENED, "/c");
    file(s, EDITOR, FILE_OPENED | FILE_EXECUTED, "/c");
    file(s, EDITOR, FILE_CLOSED, "/c");
    file(s, EDITOR, FILE_CLOSED, "/c");
    file(s, EDITOR, FILE_CLOSED, "/c");
    after(s, 1000);
    expect(s, "+1 fanotify editor 1000 1000 /a | closed write,create 1\n"
              "+2 fanotify editor 1000 1000 /b | closed execute 1\n"
              "+3 fanotify editor 1000 1000 /c | closed read,execute 2\n");
}

static void test_inherited(void **state)
{
    struct stage *s = *state;
    file(s, EDITOR, FILE_CLOSED, "/a");
    file(s, EDITOR, FILE_MODIFIED, "/b");
    after(s, 1000);
    expect(s, "+1 fanotify editor 1000 1000 /a inherited | closed read 0\n"
              "+2 fanotify editor 1000 1000 /b inherited\n");
    file(s, EDITOR, FILE_CLOSED_AFTER_WRITE, "/b");
    after(s, 1000);
    expect(s, "-2 closed write 0\n");
}

/* A file that was given another name meanwhile is known by its inode. */
static void test_closed_under_another_name(void **state)
{
    struct stage *s = *state;
    struct fact fact = file_fact(s, EDITOR, FILE_CREATED | FILE_OPENED, "/a.tmp");
    fact.file.status = (struct file_status){UINT64_C(8) << 32 | 1, 77, 0100600, 5};
    files_fact(s->files, &fact);
    renamed(s, EDITOR, "/a.tmp", "/a");
    fact.file.events = FILE_CLOSED_AFTER_WRITE;
    fact.file.path = slice_text("/a");
    fact.file.status.size = 9;
    files_fact(s->files, &fact);
    after(s, 1000);
    expect(s, "+1 fanotify editor 1000 1000 /a.tmp -> /a | closed rename -\n"
              "+2 fanotify editor 1000 1000 /a.tmp | closed write,create 1\n");
    assert_true(slice_is(last_value(s, FILE_ACCESS_DEVICE), "8:1"));
    assert_true(slice_is(last_value(s, FILE_ACCESS_INODE), "77"));
    assert_true(slice_is(last_value(s, FILE_ACCESS_MODE), "33152"));
    assert_true(slice_is(last_value(s, FILE_ACCESS_SIZE), "9"));
}

static void test_odd_names(void **state)
{
    struct stage *s = *state;
    file(s, EDITOR, FILE_OPENED | FILE_CLOSED, "/a\tb\nc\xff");
    after(s, 1000);
    expect(s, "+1 fanotify editor 1000 1000 /a\\tb\\nc\\\\xff | closed read 1\n");
}

/* -- moments -- */

static void test_moments(void **state)
{
    struct stage *s = *state;
    directory(s, EDITOR, FILE_CREATED, "/d");
    file(s, EDITOR, FILE_DELETED, "/a");
    renamed(s, EDITOR, "/b", "/c");
    file(s, EDITOR, FILE_ATTRIBUTES_CHANGED, "/a");
    struct fact fact = file_fact(s, EDITOR, FILE_DELETED, "handle:00/x");
    fact.file.path_at_read = true;
    files_fact(s->files, &fact);
    expect(s, "+1 fanotify editor 1000 1000 /d | closed create -\n"
              "+2 fanotify editor 1000 1000 /a | closed delete -\n"
              "+3 fanotify editor 1000 1000 /b -> /c | closed rename -\n"
              "+4 fanotify editor 1000 1000 /a | closed attributes -\n"
              "+5 fanotify editor 1000 1000 handle:00/x at_read | closed delete -\n");
    assert_true(slice_equal(last_value(s, FILE_ACCESS_CREATED_AT),
                            last_value(s, FILE_ACCESS_DESTROYED_AT)));
    after(s, 5000);
    expect(s, "");
}

/* A set in an order that nobody knows: each moment is a row. */
static void test_moments_in_one_fact(void **state)
{
    struct stage *s = *state;
    struct fact fact = file_fact(
        s, EDITOR, FILE_OPENED | FILE_CLOSED | FILE_ATTRIBUTES_CHANGED | FILE_RENAMED, "/a");
    fact.file.new_path = slice_text("/b");
    files_fact(s->files, &fact);
    after(s, 1000);
    expect(s, "+1 fanotify editor 1000 1000 /a | closed attributes -\n"
              "+2 fanotify editor 1000 1000 /a -> /b | closed rename -\n"
              "+3 fanotify editor 1000 1000 /a | closed read 1\n");
}

/* mknod, symlink and link do not open what they make. */
static void test_creation_with_and_without_open(void **state)
{
    struct stage *s = *state;
    file(s, EDITOR, FILE_CREATED, "/link");
    file(s, EDITOR, FILE_CREATED, "/file");
    after(s, 20);
    file(s, EDITOR, FILE_OPENED, "/file");
    after(s, 229);
    expect(s, "");
    after(s, 1);
    expect(s, "+1 fanotify editor 1000 1000 /link | closed create -\n"
              "+2 fanotify editor 1000 1000 /file\n");
    file(s, EDITOR, FILE_CLOSED_AFTER_WRITE, "/file");
    after(s, 1000);
    expect(s, "-2 closed write,create 1\n");
}

/* -- who -- */

static void test_end_of_the_process(void **state)
{
    struct stage *s = *state;
    file(s, EDITOR, FILE_OPENED, "/open");
    after(s, 300);
    file(s, EDITOR, FILE_OPENED | FILE_CLOSED, "/closed");
    file(s, EDITOR, FILE_CREATED, "/made");
    file(s, EDITOR, FILE_OPENED, "/late");
    exits(s, EDITOR);
    after(s, 10);
    file(s, EDITOR, FILE_CLOSED, "/late"); /* read after the end was heard */
    expect(s, "+1 fanotify editor 1000 1000 /open\n");
    after(s, 300);
    expect(s, "-1 exit read 1\n"
              "+2 fanotify editor 1000 1000 /closed | closed read 1\n"
              "+3 fanotify editor 1000 1000 /made | closed create -\n"
              "+4 fanotify editor 1000 1000 /late | closed read 1\n");
    assert_int_equal(files_rows(s->files), 0);
}

/* All of a process is read at once, when it is gone already. */
static void test_gone_already(void **state)
{
    struct stage *s = *state;
    fork_process(s->world, SHELL, CHILD);
    after(s, 5);
    exits(s, CHILD);
    after(s, 10);
    file(s, CHILD, FILE_OPENED | FILE_CLOSED, "/a");
    after(s, 250);
    expect(s, "+1 fanotify shell 0 1000 /a | closed read 1\n");
    assert_true(slice_is(last_value(s, FILE_ACCESS_DESTROYED_AT), "2026-05-28 20:26:41.005000"));
}

static void test_unknown_pid(void **state)
{
    struct stage *s = *state;
    file(s, 4711, FILE_OPENED | FILE_CLOSED, "/a");
    file(s, 0, FILE_DELETED, "/b");
    after(s, 1000);
    expect(s, "+1 fanotify - - - /b | closed delete -\n+2 fanotify - - - /a | closed read 1\n");
    assert_true(slice_is(last_value(s, FILE_ACCESS_PID), "4711"));
    assert_true(slice_is(last_value(s, FILE_ACCESS_PROCESS_ID), "\\N"));
}

/* Audit tells of a login when the file that was made after it is known already. */
static void test_login_that_is_told_late(void **state)
{
    struct stage *s = *state;
    give(s->world,
         proc_entry(CHILD, 1, ticks_of(s->world->now - 1000 * MS), "login", "/bin/login"));
    after(s, 100);
    file(s, CHILD, FILE_OPENED | FILE_CLOSED, "/a");
    after(s, 100);
    audit_login(s->world, CHILD, s->world->now - 150 * MS, 1000);
    after(s, 1000);
    expect(s, "+1 fanotify login 0 1000 /a | closed read 1\n");
}

/* Its reader was held up for longer than a row waits. */
static void test_the_end_of_the_process_waits_for_what_is_read(void **state)
{
    struct stage *s = *state;
    has_read(s);
    file(s, EDITOR, FILE_OPENED, "/closed");
    file(s, EDITOR, FILE_OPENED, "/left open");
    after(s, 10);
    exits(s, EDITOR);
    after(s, 1000);
    expect(s, "+1 fanotify editor 1000 1000 /closed\n"
              "+2 fanotify editor 1000 1000 /left open\n");
    assert_int_equal(s->n_asked, 1);
    file(s, EDITOR, FILE_CLOSED_AFTER_WRITE, "/closed");
    after(s, 1);
    expect(s, "");
    has_read(s);
    after(s, 1);
    expect(s, "-1 closed write 1\n"
              "-2 exit read 1\n");
    assert_int_equal(files_rows(s->files), 0);
}

static void test_who_is_in_a_hurry_waits_for_what_is_read(void **state)
{
    struct stage *s = *state;
    has_read(s);
    file(s, EDITOR, FILE_OPENED, "/a");
    after(s, 10);
    exits(s, EDITOR);
    uint64_t at = s->world->now;
    after(s, 1);
    files_hurry(s->files, at);
    expect(s, "+1 fanotify editor 1000 1000 /a\n");
    assert_false(files_settled_until(s->files, at));
    file(s, EDITOR, FILE_CLOSED, "/a");
    has_read(s);
    files_hurry(s->files, at);
    expect(s, "-1 closed read 1\n");
    assert_true(files_settled_until(s->files, at));
}

static void test_a_reader_that_hangs_is_waited_for_in_vain(void **state)
{
    struct stage *s = *state;
    has_read(s);
    file(s, EDITOR, FILE_OPENED, "/a");
    after(s, 10);
    exits(s, EDITOR);
    after(s, 5000);
    expect(s, "+1 fanotify editor 1000 1000 /a\n");
    after(s, 1);
    expect(s, "-1 exit read 1\n");
}

/* Two images in one reading: what comes before the execution of the second one's file is of the
 * first. A program whose execution is not told has the whole reading. */
static void audit_tells_of(struct stage *s, uint64_t ns, uint32_t pid, const char *comm,
                           const char *exe)
{
    struct slice argv = slice_text(comm);
    give(s->world, (struct fact){
                       .kind = FACT_AUDIT_EXEC,
                       .audit_exec = {.serial = ++s->world->serial,
                                      .pid = pid,
                                      .ppid = 1,
                                      .real_ms = stamp_ms(s->world, ns),
                                      .login_uid = 1000,
                                      .session = 3,
                                      .comm = slice_text(comm),
                                      .exe = slice_text(exe),
                                      .cwd = slice_text("/"),
                                      .argv = &argv,
                                      .argc = 1,
                                      .n_argv = 1}
    });
}

static void audit_tells(struct stage *s, uint32_t pid, const char *comm, const char *exe)
{
    audit_tells_of(s, s->world->now, pid, comm, exe);
}

static void executes(struct stage *s, uint32_t pid, const char *comm, const char *exe)
{
    exec_process(s->world, pid);
    audit_tells(s, pid, comm, exe);
}

static void two_images(struct stage *s, const char *comm, const char *exe)
{
    fork_process(s->world, SHELL, CHILD);
    executes(s, CHILD, "first", "/home/e/first");
    after(s, 8);
    executes(s, CHILD, comm, exe);
    after(s, 8);
}

static void test_two_images(void **state)
{
    struct stage *s = *state;
    two_images(s, "second", "/home/e/second");
    file(s, CHILD, FILE_OPENED | FILE_EXECUTED | FILE_CLOSED, "/home/e/first");
    file(s, CHILD, FILE_OPENED | FILE_CLOSED, "/a");
    file(s, CHILD, FILE_OPENED | FILE_EXECUTED | FILE_CLOSED, "/home/e/second");
    file(s, CHILD, FILE_OPENED | FILE_CLOSED, "/b");
    after(s, 1000);
    expect(s, "+1 fanotify first 0 1000 /home/e/first | closed execute 1\n"
              "+2 fanotify first 0 1000 /a | closed read 1\n"
              "+3 fanotify second 0 1000 /home/e/second | closed execute 1\n"
              "+4 fanotify second 0 1000 /b | closed read 1\n");
}

/* The second image begins when its file has been executed, and a reading may end between the two.
 */
static void execute_between_readings(struct stage *s, const char *comm, const char *exe)
{
    struct buffer expected CLEANUP(buffer_deinit) = BUFFER_NULL;
    fork_process(s->world, SHELL, CHILD);
    executes(s, CHILD, "first", "/home/e/first");
    after(s, 30);
    file(s, CHILD, FILE_OPENED | FILE_CLOSED, "/a");
    file(s, CHILD, FILE_OPENED | FILE_EXECUTED, exe);
    file(s, CHILD, FILE_OPENED | FILE_EXECUTED | FILE_CLOSED, "/lib/loader");
    after(s, 20);
    executes(s, CHILD, comm, exe);
    after(s, 10);
    struct fact fact = file_fact(s, CHILD, FILE_OPENED | FILE_CLOSED, "/b");
    fact.file.since_ns = s->world->now - 30 * MS;
    files_fact(s->files, &fact);
    after(s, 1000);
    buffer_printf(&expected,
                  "+1 fanotify first 0 1000 /a | closed read 1\n"
                  "+2 fanotify first 0 1000 %s | exec execute 1\n"
                  "+3 fanotify first 0 1000 /lib/loader | closed execute 1\n"
                  "+4 fanotify %s 0 1000 /b | closed read 1\n",
                  exe, comm);
    buffer_append_byte(&expected, '\0');
    expect(s, (const char *)expected.data);
}

static void test_execution_between_readings(void **state)
{
    execute_between_readings(*state, "second", "/home/e/second");
}

static void test_execution_between_readings_of_another_name(void **state)
{
    execute_between_readings(*state, "alias", "/home/e/a long name of a program");
}

/* The image began in the moment between the two, and executes a program of the same name. */
static void test_execution_of_another_one_of_that_name(void **state)
{
    struct stage *s = *state;
    fork_process(s->world, SHELL, CHILD);
    executes(s, CHILD, "first", "/home/e/first");
    after(s, 30);
    file(s, CHILD, FILE_OPENED | FILE_EXECUTED | FILE_CLOSED, "/home/e/shims/second");
    after(s, 1);
    executes(s, CHILD, "second", "/home/e/shims/second");
    after(s, 30);
    executes(s, CHILD, "second", "/home/e/second");
    after(s, 10);
    file(s, CHILD, FILE_OPENED, "/a");
    file(s, CHILD, FILE_OPENED | FILE_EXECUTED | FILE_CLOSED, "/home/e/second");
    file(s, CHILD, FILE_OPENED, "/b");
    after(s, 300);
    expect(s, "+1 fanotify first 0 1000 /home/e/shims/second | closed execute 1\n"
              "+2 fanotify second 0 1000 /a | exec read 1\n"
              "+3 fanotify second 0 1000 /b\n");
}

/* A close has been read, and waits until it is known whose it is. */
static void test_the_end_of_an_image_waits_for_what_is_held(void **state)
{
    struct stage *s = *state;
    has_read(s);
    fork_process(s->world, SHELL, CHILD);
    executes(s, CHILD, "first", "/home/e/first");
    after(s, 30);
    file(s, CHILD, FILE_OPENED, "/a");
    after(s, 300);
    expect(s, "+1 fanotify first 0 1000 /a\n");
    exec_process(s->world, CHILD);
    after(s, 200);
    struct fact fact = file_fact(s, CHILD, FILE_CLOSED, "/a");
    fact.file.since_ns = s->world->now - 250 * MS;
    files_fact(s->files, &fact);
    has_read(s);
    after(s, 100);
    expect(s, "");
    after(s, 200);
    expect(s, "-1 closed read 1\n");
}

/* What was to be executed was not: what comes long afterwards does not begin with it. */
static void test_execution_that_failed(void **state)
{
    struct stage *s = *state;
    fork_process(s->world, SHELL, CHILD);
    executes(s, CHILD, "first", "/home/e/first");
    after(s, 30);
    file(s, CHILD, FILE_OPENED | FILE_EXECUTED | FILE_CLOSED, "/home/e/second");
    after(s, 6000);
    executes(s, CHILD, "second", "/home/e/second");
    after(s, 8);
    file(s, CHILD, FILE_OPENED | FILE_CLOSED, "/a");
    file(s, CHILD, FILE_OPENED | FILE_EXECUTED | FILE_CLOSED, "/home/e/second");
    file(s, CHILD, FILE_OPENED | FILE_CLOSED, "/b");
    after(s, 1000);
    expect(s, "+1 fanotify first 0 1000 /home/e/second | closed execute 1\n"
              "+2 fanotify first 0 1000 /a | closed read 1\n"
              "+3 fanotify second 0 1000 /home/e/second | closed execute 1\n"
              "+4 fanotify second 0 1000 /b | closed read 1\n");
}

static void test_two_images_untold(void **state)
{
    struct stage *s = *state;
    two_images(s, "cat", "/usr/bin/cat");
    file(s, CHILD, FILE_OPENED | FILE_CLOSED, "/etc/shadow");
    after(s, 1000);
    expect(s, "+1 fanotify cat 0 1000 /etc/shadow | closed read 1\n");
}

/* Audit speaks of three images behind fanotify: until then it is open whose a fact is. */
static void test_images_that_are_told_late(void **state)
{
    struct stage *s = *state;
    fork_process(s->world, SHELL, CHILD);
    for (unsigned i = 0; i < 3; i++) {
        after(s, 5);
        exec_process(s->world, CHILD);
    }
    after(s, 5);
    file(s, CHILD, FILE_OPENED | FILE_CLOSED, "/a");
    file(s, CHILD, FILE_OPENED | FILE_EXECUTED | FILE_CLOSED, "/home/e/third");
    file(s, CHILD, FILE_OPENED | FILE_CLOSED, "/b");
    files_hurry(s->files, s->world->now);
    assert_false(files_settled_until(s->files, s->world->now));
    audit_tells_of(s, s->world->now - 15 * MS, CHILD, "first", "/home/e/first");
    audit_tells_of(s, s->world->now - 10 * MS, CHILD, "second", "/usr/bin/second");
    audit_tells_of(s, s->world->now - 5 * MS, CHILD, "third", "/home/e/third");
    after(s, 5);
    files_hurry(s->files, s->world->now);
    assert_true(files_settled_until(s->files, s->world->now));
    expect(s, "+1 fanotify second 0 1000 /a | closed read 1\n"
              "+2 fanotify third 0 1000 /home/e/third | closed execute 1\n"
              "+3 fanotify third 0 1000 /b | closed read 1\n");
}

/* What is heard afterwards, and waits, holds up nobody who asks for what was before. */
static void test_images_that_are_told_later_still(void **state)
{
    struct stage *s = *state;
    fork_process(s->world, SHELL, CHILD);
    exec_process(s->world, CHILD);
    uint64_t executed_ns = s->world->now;
    after(s, 5);
    exec_process(s->world, CHILD);
    file(s, CHILD, FILE_DELETED, "/a");
    uint64_t mark_ns = s->world->now;
    after(s, 5);
    fork_process(s->world, SHELL, CHILD + 1);
    exec_process(s->world, CHILD + 1);
    after(s, 5);
    exec_process(s->world, CHILD + 1);
    file(s, CHILD + 1, FILE_DELETED, "/b");
    assert_false(files_settled_until(s->files, mark_ns));
    audit_tells_of(s, executed_ns, CHILD, "first", "/home/e/first");
    audit_tells_of(s, mark_ns, CHILD, "second", "/usr/bin/second");
    after(s, 5);
    expect(s, "+1 fanotify second 0 1000 /a | closed delete -\n");
    assert_true(files_settled_until(s->files, mark_ns));
    assert_false(files_settled_until(s->files, s->world->now));
}

/* Nobody tells: after a while it is what it is. */
static void test_images_that_are_never_told(void **state)
{
    struct stage *s = *state;
    fork_process(s->world, SHELL, CHILD);
    exec_process(s->world, CHILD);
    after(s, 5);
    exec_process(s->world, CHILD);
    file(s, CHILD, FILE_DELETED, "/a");
    after(s, 249);
    expect(s, "");
    after(s, 1);
    after(s, 250);
    expect(s, "+1 fanotify - 0 1000 /a | closed delete -\n");
}

/* The image of a child that has ended is its parent's, of which audit has yet to speak. */
static void test_called_after_its_end(void **state)
{
    struct stage *s = *state;
    fork_process(s->world, SHELL, CHILD);
    exec_process(s->world, CHILD);
    uint64_t executed_ns = s->world->now;
    fork_process(s->world, CHILD, CHILD + 1);
    exits(s, CHILD + 1);
    after(s, 10);
    file(s, CHILD + 1, FILE_OPENED | FILE_CLOSED, "/a");
    files_hurry(s->files, s->world->now);
    expect(s, "");
    audit_tells_of(s, executed_ns, CHILD, "parent", "/home/e/parent");
    after(s, 10);
    files_hurry(s->files, s->world->now);
    expect(s, "+1 fanotify parent 0 1000 /a | closed read 1\n");
}

/* A file that an image leaves open over an exec: its row ends with it, the next one inherits. */
static void test_exec_ends_the_row(void **state)
{
    struct stage *s = *state;
    fork_process(s->world, SHELL, CHILD);
    executes(s, CHILD, "first", "/home/e/first");
    after(s, 500);
    file(s, CHILD, FILE_OPENED, "/a");
    after(s, 500);
    executes(s, CHILD, "second", "/usr/bin/second");
    after(s, 500);
    file(s, CHILD, FILE_CLOSED, "/a");
    after(s, 1000);
    expect(s, "+1 fanotify first 0 1000 /a\n"
              "-1 exec read 1\n"
              "+2 fanotify second 0 1000 /a inherited | closed read 0\n");
}

/* Who was there before the recorder is known after the first look at /proc. */
static void test_before_the_first_scan(void **state)
{
    struct stage *s = *state;
    after(s, 20);
    file(s, EDITOR, FILE_OPENED | FILE_CLOSED, "/a");
    renamed(s, EDITOR, "/b", "/c");
    after(s, 20);
    assert_false(files_settled_until(s->files, s->world->now));
    first_scan(s);
    after(s, 20);
    expect(s, "+1 fanotify editor 1000 1000 /b -> /c | closed rename -\n");
    after(s, 1000);
    expect(s, "+2 fanotify editor 1000 1000 /a | closed read 1\n");
}

static void test_without_first_scan(void **state)
{
    struct stage *s = *state;
    after(s, 20);
    file(s, EDITOR, FILE_DELETED, "/a");
    after(s, 4999);
    expect(s, "");
    after(s, 1);
    expect(s, "+1 fanotify - - - /a | closed delete -\n");
}

/* -- how much -- */

static void test_excluded_programs(void **state)
{
    struct stage *s = *state;
    add_process(s->world, CHILD, 0, "tool", "/opt/x/tool");
    file(s, CHILD, FILE_OPENED, "/a");
    file(s, CHILD, FILE_DELETED, "/b");
    shown(s, CHILD, "/c");
    after(s, 1000);
    expect(s, "");
    assert_int_equal(files_rows(s->files), 0);
}

/* The program is known when the row is written only. */
static void test_excluded_late(void **state)
{
    struct stage *s = *state;
    fork_process(s->world, SHELL, CHILD);
    exec_process(s->world, CHILD);
    uint64_t executed = s->world->now;
    file(s, CHILD, FILE_OPENED, "/a");
    after(s, 10);
    audit_tells_of(s, executed, CHILD, "quiet", "/usr/bin/quiet");
    after(s, 1000);
    expect(s, "");
    file(s, CHILD, FILE_OPENED, "/b");
    after(s, 1000);
    expect(s, "");
    assert_int_equal(files_rows(s->files), 0);
}

static struct slice gap_value(struct stage *s, size_t column)
{
    for (size_t i = s->world->memory.n_lines; i-- > 0;) {
        struct slice line = row_sink_memory_line(&s->world->memory, i);
        if (line.length > 10 && !memcmp(line.data, "insert\tgap", 10))
            return row_sink_memory_value(line, column);
    }
    return SLICE_NULL;
}

static void test_rate_limit(void **state)
{
    struct stage *s = *state;
    s->options.rate = 2;
    open_files(s);
    char path[16];
    for (unsigned i = 0; i < 27; i++) {
        snprintf(path, sizeof(path), "/f%02u", i);
        file(s, EDITOR, FILE_DELETED, path);
    }
    file(s, SHELL, FILE_DELETED, "/x"); /* another program has a credit of its own */
    assert_false(files_settled_until(s->files, s->world->now));
    after(s, 999);
    assert_true(slice_is_null(gap_value(s, 0)));
    after(s, 1);
    assert_true(slice_is(gap_value(s, 3), "fanotify"));
    assert_true(slice_is(gap_value(s, 4), "rate_limit"));
    assert_true(slice_is(gap_value(s, 5), "event"));
    assert_true(slice_is(gap_value(s, 6), "7"));
    assert_true(slice_is(gap_value(s, 9), "files used by /home/e/editor"));
    assert_int_equal(counter_get(&s->world->counters, COUNTER_FILES_BORN), 21);
    s->n_seen = s->world->memory.n_lines;
    file(s, EDITOR, FILE_DELETED, "/g0"); /* a second has given two rows */
    file(s, EDITOR, FILE_DELETED, "/g1");
    file(s, EDITOR, FILE_DELETED, "/g2");
    expect(s, "+1 fanotify editor 1000 1000 /g0 | closed delete -\n"
              "+2 fanotify editor 1000 1000 /g1 | closed delete -\n");
}

static void test_memory_bound(void **state)
{
    struct stage *s = *state;
    char path[16];
    for (unsigned i = 0; i < MOST + 3; i++) {
        snprintf(path, sizeof(path), "/f%02u", i);
        file(s, EDITOR, FILE_OPENED, path);
    }
    assert_int_equal(files_rows(s->files), MOST);
    assert_int_equal(files_take_beyond(s->files), 3);
    assert_int_equal(files_take_beyond(s->files), 0);
    exits(s, EDITOR);
    after(s, 250);
    assert_int_equal(files_rows(s->files), 0);
    s->options.bytes_most = 2000;
    open_files(s);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(path, sizeof(path), "/f%02u", i);
        file(s, SHELL, FILE_OPENED, path);
    }
    assert_int_equal(files_rows(s->files) + files_take_beyond(s->files), 20);
    assert_in_range(files_rows(s->files), 2, 12);
}

/* -- looks at descriptors -- */

static void test_scan_only(void **state)
{
    struct stage *s = *state;
    look(s, true, false);
    shown(s, EDITOR, "/memfd:x");
    look(s, false, true);
    after(s, 250);
    expect(s, "+1 proc editor 1000 1000 /memfd:x inherited\n");
    after(s, 30000);
    look(s, true, false);
    shown(s, EDITOR, "/memfd:x");
    look(s, false, true);
    after(s, 30000);
    look(s, true, false);
    look(s, false, false); /* incomplete: proves nothing */
    expect(s, "");
    after(s, 30000);
    look(s, true, false);
    look(s, false, true);
    expect(s, "-1 removed - -\n");
    assert_true(slice_is(last_value(s, 0), "2026-05-28 20:27:11.250000"));
}

/* A process into which nobody may look says nothing by not being shown. */
static void test_scan_refused(void **state)
{
    struct stage *s = *state;
    look(s, true, false);
    shown(s, EDITOR, "/memfd:x");
    look(s, false, true);
    after(s, 250);
    expect(s, "+1 proc editor 1000 1000 /memfd:x inherited\n");
    after(s, 30000);
    look(s, true, false);
    refused(s, EDITOR);
    look(s, false, true);
    expect(s, "");
    after(s, 30000);
    look(s, true, false);
    refused(s, SHELL);
    look(s, false, true);
    expect(s, "-1 removed - -\n");
}

/* Merged closes leave a row open; a look shows that it is not. A mapped file has no descriptor. */
static void test_scan_ends_what_is_closed(void **state)
{
    struct stage *s = *state;
    file(s, EDITOR, FILE_OPENED, "/a");
    file(s, EDITOR, FILE_OPENED, "/a");
    file(s, EDITOR, FILE_CLOSED, "/a");
    file(s, EDITOR, FILE_OPENED, "/mapped");
    file(s, EDITOR, FILE_OPENED, "/held");
    file(s, EDITOR, FILE_CLOSED, "/held"); /* there were more opens than this */
    after(s, 300);
    look(s, true, false);
    shown(s, EDITOR, "/held");
    look(s, false, true);
    expect(s, "+1 fanotify editor 1000 1000 /a\n"
              "+2 fanotify editor 1000 1000 /mapped\n"
              "-1 closed read 2\n");
    after(s, 2000);
    expect(s, "+3 fanotify editor 1000 1000 /held\n");
    file(s, EDITOR, FILE_CLOSED, "/held");
    after(s, 1000);
    expect(s, "-3 closed read 1\n");
}

/* The look was at it before the close, and is told of after it. */
static void test_scan_is_late(void **state)
{
    struct stage *s = *state;
    struct fact fact = {
        .kind = FACT_FILE_OPEN,
        .source = SOURCE_INOTIFY,
        .boot_ns = s->world->now,
        .file_open = {.pid = EDITOR, .descriptors = 1, .path = slice_text("/a")}
    };
    after(s, 10);
    file(s, EDITOR, FILE_OPENED | FILE_CLOSED, "/a");
    files_hurry(s->files, s->world->now);
    files_fact(s->files, &fact);
    after(s, 1000);
    expect(s, "+1 fanotify editor 1000 1000 /a | closed read 1\n");
}

/* The look was between the open and the reading that tells of it: the open was seen. */
static void test_scan_is_early(void **state)
{
    struct stage *s = *state;
    look(s, true, false);
    shown(s, EDITOR, "/a");
    shown(s, EDITOR, "/b");
    shown(s, EDITOR, "/c");
    look(s, false, true);
    after(s, 15);
    file(s, EDITOR, FILE_OPENED, "/a");
    file(s, EDITOR, FILE_MODIFIED, "/c");
    after(s, 15);
    file(s, EDITOR, FILE_OPENED, "/b"); /* once more: it is younger than the look */
    file(s, EDITOR, FILE_OPENED, "/c");
    after(s, 250);
    expect(s, "+1 proc,fanotify editor 1000 1000 /a\n"
              "+2 proc,fanotify editor 1000 1000 /b inherited\n"
              "+3 proc,fanotify editor 1000 1000 /c inherited\n");
    assert_true(slice_is(last_value(s, FILE_ACCESS_CREATED_AT), "2026-05-28 20:26:41.000000"));
}

/* What is nobody's is confirmed by whoever has it open. */
static void test_scan_of_unowned(void **state)
{
    struct stage *s = *state;
    file(s, 0, FILE_OPENED, "/a");
    file(s, 0, FILE_OPENED, "/b");
    after(s, 300);
    look(s, true, false);
    shown(s, EDITOR, "/a");
    look(s, false, true);
    after(s, 250);
    expect(s, "+1 fanotify - - - /a\n+2 fanotify - - - /b\n-2 removed read 1\n"
              "+3 proc editor 1000 1000 /a inherited\n");
}

/* -- sync, stop, restart -- */

static void test_hurry(void **state)
{
    struct stage *s = *state;
    file(s, EDITOR, FILE_OPENED, "/open");
    file(s, EDITOR, FILE_OPENED | FILE_CLOSED, "/closed");
    file(s, EDITOR, FILE_CREATED, "/made");
    uint64_t at = s->world->now;
    assert_false(files_settled_until(s->files, at));
    after(s, 1);
    file(s, EDITOR, FILE_OPENED | FILE_CLOSED, "/after");
    files_hurry(s->files, at);
    assert_true(files_settled_until(s->files, at));
    expect(s, "+1 fanotify editor 1000 1000 /closed | closed read 1\n"
              "+2 fanotify editor 1000 1000 /open\n"
              "+3 fanotify editor 1000 1000 /made | closed create -\n");
}

static void test_flush(void **state)
{
    struct stage *s = *state;
    file(s, EDITOR, FILE_OPENED, "/open");
    file(s, EDITOR, FILE_OPENED | FILE_CLOSED, "/closed");
    files_flush(s->files);
    expect(s, "+1 fanotify editor 1000 1000 /closed | closed read 1\n"
              "+2 fanotify editor 1000 1000 /open\n");
}

static void test_refused(void **state)
{
    struct stage *s = *state;
    s->world->memory.refuse = -ENOSPC;
    file(s, EDITOR, FILE_DELETED, "/a");
    file(s, EDITOR, FILE_OPENED, "/b");
    after(s, 300);
    file(s, EDITOR, FILE_CLOSED, "/b");
    after(s, 2000);
    expect(s, "");
    s->world->memory.refuse = 0;
    after(s, 20);
    expect(s, "+1 fanotify editor 1000 1000 /a | closed delete -\n"
              "+2 fanotify editor 1000 1000 /b\n");
    after(s, 1000);
    expect(s, "-2 closed read 1\n");
}

/* Give the lines in memory to a new lifecycle, as the journal does. */
static void restart(struct stage *s, size_t first, bool same_boot)
{
    open_files(s);
    for (size_t i = first; i < s->n_seen; i++) {
        struct buffer texts[FILE_ACCESS_COLUMN_N] = {0};
        struct slice values[FILE_ACCESS_COLUMN_N];
        struct slice line = row_sink_memory_line(&s->world->memory, i);
        size_t n = 0;
        if (!memmem(line.data, line.length, "\tfile_access\t", 13))
            continue;
        for (; n < FILE_ACCESS_COLUMN_N; n++) {
            struct slice value = row_sink_memory_value(line, n);
            if (slice_is_null(value))
                break;
            values[n] = SLICE_NULL;
            if (slice_is(value, "\\N"))
                continue;
            assert_int_equal(evidence_field_unescape(&texts[n], value), 0);
            values[n] = buffer_slice(&texts[n]);
        }
        enum verb verb = line.data[0] == 'e' ? VERB_END : VERB_INSERT;
        files_restore(s->files, verb, line_id(s->world, i), values, n);
        for (size_t j = 0; j < FILE_ACCESS_COLUMN_N; j++)
            buffer_deinit(&texts[j]);
    }
    files_restored(s->files, same_boot, UINT64_C(1780000011000000));
}

static void leave_three_open(struct stage *s)
{
    file(s, EDITOR, FILE_OPENED, "/a\xff");
    file(s, EDITOR, FILE_OPENED, "/b");
    file(s, EDITOR, FILE_OPENED, "/c");
    file(s, EDITOR, FILE_OPENED, "/ended");
    after(s, 300);
    file(s, EDITOR, FILE_CLOSED, "/ended");
    file(s, EDITOR, FILE_MODIFIED, "/b");
    after(s, 1000);
    s->n_ids = 0;
    expect(s, "+1 fanotify editor 1000 1000 /a\\\\xff\n+2 fanotify editor 1000 1000 /b\n"
              "+3 fanotify editor 1000 1000 /c\n+4 fanotify editor 1000 1000 /ended\n"
              "-4 closed read 1\n");
    files_checkpoint(s->files);
    expect(s, "+1 fanotify editor 1000 1000 /a\\\\xff\n+2 fanotify editor 1000 1000 /b\n"
              "+3 fanotify editor 1000 1000 /c\n");
}

static void test_restart(void **state)
{
    struct stage *s = *state;
    leave_three_open(s);
    restart(s, s->n_seen - 3, true); /* the checkpoint's lines */
    after(s, 1000);
    file(s, EDITOR, FILE_CLOSED, "/a\xff");
    look(s, true, false);
    shown(s, EDITOR, "/b");
    files_checkpoint(s->files);
    look(s, false, true);
    expect(s, "+2 fanotify editor 1000 1000 /b\n+1 fanotify editor 1000 1000 /a\\\\xff\n"
              "+3 fanotify editor 1000 1000 /c\n-3 reconciled - 1\n");
    after(s, 1000);
    expect(s, "-1 closed read 1\n");
    file(s, EDITOR, FILE_CLOSED_AFTER_WRITE, "/b");
    after(s, 1000);
    expect(s, "-2 closed write 1\n");
}

static void test_restart_in_another_boot(void **state)
{
    struct stage *s = *state;
    leave_three_open(s);
    size_t first = s->n_seen - 3;
    restart(s, first, false);
    size_t n = 0;
    for (; s->n_seen < s->world->memory.n_lines; s->n_seen++, n++) {
        struct slice line = row_sink_memory_line(&s->world->memory, s->n_seen);
        assert_true(slice_is(row_sink_memory_value(line, 1), "reboot"));
    }
    assert_int_equal(n, 3);
}

static void test_restart_without_looks(void **state)
{
    struct stage *s = *state;
    file(s, EDITOR, FILE_OPENED, "/a");
    after(s, 300);
    expect(s, "+1 fanotify editor 1000 1000 /a\n");
    restart(s, 0, true);
    files_unscanned(s->files);
    expect(s, "-1 reconciled - -\n");
}

#define RUNNING(test) cmocka_unit_test_setup_teardown(test, begin_running, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUNNING(test_opened_read_closed),
        RUNNING(test_closed_after_the_end),
        RUNNING(test_open_is_inserted_before_its_end),
        RUNNING(test_busy_file),
        RUNNING(test_merged_events),
        RUNNING(test_inherited),
        RUNNING(test_closed_under_another_name),
        RUNNING(test_odd_names),
        RUNNING(test_moments),
        RUNNING(test_moments_in_one_fact),
        RUNNING(test_creation_with_and_without_open),
        RUNNING(test_end_of_the_process),
        RUNNING(test_gone_already),
        RUNNING(test_unknown_pid),
        RUNNING(test_the_end_of_the_process_waits_for_what_is_read),
        RUNNING(test_who_is_in_a_hurry_waits_for_what_is_read),
        RUNNING(test_a_reader_that_hangs_is_waited_for_in_vain),
        RUNNING(test_two_images),
        RUNNING(test_execution_between_readings),
        RUNNING(test_execution_between_readings_of_another_name),
        RUNNING(test_execution_of_another_one_of_that_name),
        RUNNING(test_the_end_of_an_image_waits_for_what_is_held),
        RUNNING(test_execution_that_failed),
        RUNNING(test_two_images_untold),
        RUNNING(test_images_that_are_told_late),
        RUNNING(test_images_that_are_told_later_still),
        RUNNING(test_images_that_are_never_told),
        RUNNING(test_called_after_its_end),
        RUNNING(test_exec_ends_the_row),
        cmocka_unit_test_setup_teardown(test_before_the_first_scan, begin, end),
        cmocka_unit_test_setup_teardown(test_without_first_scan, begin, end),
        RUNNING(test_excluded_programs),
        RUNNING(test_excluded_late),
        RUNNING(test_rate_limit),
        RUNNING(test_memory_bound),
        RUNNING(test_login_that_is_told_late),
        RUNNING(test_scan_only),
        RUNNING(test_scan_refused),
        RUNNING(test_scan_ends_what_is_closed),
        RUNNING(test_scan_is_late),
        RUNNING(test_scan_is_early),
        RUNNING(test_scan_of_unowned),
        RUNNING(test_hurry),
        RUNNING(test_flush),
        RUNNING(test_refused),
        RUNNING(test_restart),
        RUNNING(test_restart_in_another_boot),
        RUNNING(test_restart_without_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

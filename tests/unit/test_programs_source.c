// links: vestige_programs
/* The source of programs: its messages, the memory of digests, and looks at files of this process's
 * own making. */
#include "collectors/programs/program_reading.h"
#include "collectors/programs/programs_source.h"
#include "core/counter.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* SHA-256 of "abc", from FIPS 180-2. */
static const uint8_t digest_of_abc[PROGRAM_DIGEST_SIZE] = {
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
    0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};

struct world {
    char directory[64], path[96], other[96];
    struct source *source;
    struct counters counters;
    struct gulp *gulp;
    struct fact_program answers[64];
    size_t n_answers;
};

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0755);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* What was just written has a time that another change could have, too. */
static void let_ticks_pass(void)
{
    sleep_ms(50);
}

static void open_source(struct world *w, uint64_t largest)
{
    struct source_options options = {
        .counters = &w->counters, .wake_fd = -1, .program_largest = largest};
    struct error_text error;
    assert_int_equal(programs_source_ops.open(&w->source, &options, &error), 0);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    strcpy(w->directory, "/tmp/test_programs.XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof(w->path), "%s/program", w->directory);
    snprintf(w->other, sizeof(w->other), "%s/other", w->directory);
    w->gulp = gulp_new(1 << 16);
    assert_non_null(w->gulp);
    open_source(w, 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    programs_source_ops.stop(w->source);
    programs_source_ops.free(w->source);
    gulp_free(w->gulp);
    unlink(w->path);
    unlink(w->other);
    rmdir(w->directory);
    free(w);
    return 0;
}

static void take_fact(void *user, const struct fact *fact)
{
    struct world *w = user;
    if (fact->kind == FACT_PROGRAM && w->n_answers < 64)
        w->answers[w->n_answers++] = fact->program;
}

static void drain(struct world *w)
{
    struct message message;
    size_t offset = 0;
    w->gulp->used = 0;
    (void)!programs_source_ops.drain(w->source, w->gulp);
    while (gulp_next(w->gulp, &offset, &message))
        assert_int_equal(programs_decode(NULL, &message, take_fact, w), 0);
}

static void wait_answers(struct world *w, size_t n)
{
    for (int i = 0; i < 12000 && w->n_answers < n; i++) {
        sleep_ms(5);
        drain(w);
    }
    assert_int_equal(w->n_answers, n);
}

static bool request(struct world *w, uint64_t number, uint32_t pid, uint32_t root_pid,
                    const char *path)
{
    return programs_request(w->source, &(struct program_request){.number = number,
                                                                 .pid = pid,
                                                                 .root_pid = root_pid,
                                                                 .path = slice_text(path)});
}

/* The next answer to a request of the path alone. */
static const struct fact_program *look(struct world *w, uint64_t number, const char *path)
{
    size_t n = w->n_answers;
    assert_true(request(w, number, UINT32_MAX, (uint32_t)getpid(), path));
    wait_answers(w, n + 1);
    assert_int_equal(w->answers[n].request, number);
    return &w->answers[n];
}

static uint64_t hashed(struct world *w)
{
    return counter_get(&w->counters, COUNTER_PROGRAMS_HASHED);
}

static void take_one(void *user, const struct fact *fact)
{
    assert_int_equal(fact->kind, FACT_PROGRAM);
    *(struct fact_program *)user = fact->program;
}

static void assert_round_trip(const struct fact_program *program)
{
    uint8_t bytes[PROGRAMS_MESSAGE_MOST + 1] = {0};
    struct fact_program back;
    size_t length = programs_message_write(bytes, program);
    struct message message = {
        .source = SOURCE_PROGRAMS, .kind = MESSAGE_DATA, .bytes = slice_of(bytes, length)};
    assert_int_equal(programs_decode(NULL, &message, take_one, &back), 0);
    assert_memory_equal(&back, program, sizeof(back));
    for (size_t cut = 0; cut < length; cut++) {
        message.bytes.length = cut;
        assert_int_equal(programs_decode(NULL, &message, take_one, &back), -EBADMSG);
    }
    message.bytes.length = length + 1;
    assert_int_equal(programs_decode(NULL, &message, take_one, &back), -EBADMSG);
}

static void a_message_is_what_was_written(void **state)
{
    (void)state;
    struct fact_program program;
    memset(&program, 0, sizeof(program)); /* also what lies between the members */
    program.request = UINT64_MAX;
    assert_round_trip(&program);
    program.known = true;
    program.evidence = PROGRAM_OF_PROCESS | PROGRAM_AT_PATH;
    program.size = 7;
    program.modified_real_ns = -1;
    program.changed_real_ns = INT64_MAX;
    assert_round_trip(&program);
    program.hashed = true;
    memcpy(program.sha256, digest_of_abc, sizeof(program.sha256));
    assert_round_trip(&program);
    program.shown_ns = 7;
    assert_round_trip(&program);
}

static void the_cache_forgets_what_was_used_least_lately(void **state)
{
    (void)state;
    struct program_cache *cache;
    struct program_version version = {.device = 1, .inode = 1, .size = 3};
    assert_int_equal(program_cache_new(&cache, 3), 0);
    for (version.inode = 1; version.inode <= 3; version.inode++)
        program_cache_put(cache, &version, digest_of_abc);
    version.inode = 1;
    assert_memory_equal(program_cache_find(cache, &version), digest_of_abc, 32);
    version.inode = 4;
    program_cache_put(cache, &version, digest_of_abc);
    static const bool kept[] = {true, false, true, true};
    for (version.inode = 1; version.inode <= 4; version.inode++)
        assert_int_equal(program_cache_find(cache, &version) != NULL, kept[version.inode - 1]);
    version.inode = 1;
    version.changed_ns++;
    assert_null(program_cache_find(cache, &version));
    program_cache_free(cache);
}

static void a_file_is_read_once_a_version(void **state)
{
    struct world *w = *state;
    write_file(w->path, "abc");
    let_ticks_pass();
    for (uint64_t i = 1; i <= 5; i++) {
        const struct fact_program *answer = look(w, i, w->path);
        assert_true(answer->known && answer->hashed);
        assert_int_equal(answer->evidence, PROGRAM_AT_PATH);
        assert_memory_equal(answer->sha256, digest_of_abc, 32);
        assert_int_equal(answer->size, 3);
        assert_int_equal(hashed(w), 1);
    }
    struct stat status;
    assert_int_equal(stat(w->path, &status), 0);
    assert_int_equal(w->answers[4].modified_real_ns,
                     (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec);
    assert_int_equal(w->answers[4].changed_real_ns,
                     (int64_t)status.st_ctim.tv_sec * 1000000000 + status.st_ctim.tv_nsec);
    write_file(w->other, "abd");
    let_ticks_pass();
    assert_int_equal(rename(w->other, w->path), 0);
    const struct fact_program *answer = look(w, 6, w->path);
    assert_memory_not_equal(answer->sha256, digest_of_abc, 32);
    assert_int_equal(hashed(w), 2);
}

/* A store in a page that was stored to already changes no time, unless the page has gone to the
 * disk meanwhile. */
static void what_another_user_maps_is_read_each_time(void **state)
{
    struct world *w = *state;
    write_file(w->path, "abc");
    assert_int_equal(chown(w->path, 65534, 65534), 0);
    int fd = open(w->path, O_RDWR | O_CLOEXEC);
    char *contents = mmap(NULL, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(contents, MAP_FAILED);
    bool is_same = false;
    for (uint64_t i = 0; i < 32 && !is_same; i++) {
        contents[2] = 'c';
        let_ticks_pass();
        const struct fact_program *before = look(w, 2 * i + 1, w->path);
        assert_memory_equal(before->sha256, digest_of_abc, 32);
        contents[2] = 'd';
        const struct fact_program *after = look(w, 2 * i + 2, w->path);
        assert_memory_not_equal(after->sha256, digest_of_abc, 32);
        is_same = before->changed_real_ns == after->changed_real_ns;
    }
    assert_true(is_same);
    munmap(contents, 3);
    close(fd);
}

static void each_request_is_answered_once(void **state)
{
    struct world *w = *state;
    write_file(w->path, "abc");
    for (uint64_t i = 0; i < 40; i++)
        assert_true(request(w, i, UINT32_MAX, (uint32_t)getpid(), i % 2 ? w->path : "/nowhere"));
    wait_answers(w, 40);
    sleep_ms(20);
    drain(w);
    assert_int_equal(w->n_answers, 40);
    uint64_t seen = 0;
    for (size_t i = 0; i < 40; i++) {
        seen |= UINT64_C(1) << w->answers[i].request;
        assert_int_equal(w->answers[i].known, w->answers[i].request % 2);
    }
    assert_int_equal(seen, (UINT64_C(1) << 40) - 1);
}

static void nothing_but_a_regular_file_is_opened(void **state)
{
    struct world *w = *state;
    assert_int_equal(mkfifo(w->path, 0700), 0);
    assert_false(look(w, 1, w->path)->known);
    assert_false(look(w, 2, w->directory)->known);
    assert_false(look(w, 3, "/dev/null")->known);
    unlink(w->path);
    write_file(w->other, "abc");
    assert_int_equal(symlink(w->other, w->path), 0);
    assert_false(look(w, 4, w->path)->known); /* no path that a process had has one in it */
    assert_false(request(w, 5, 1, 1, "relative"));
    assert_false(request(w, 6, 1, 1, ""));
}

static void a_large_file_has_size_and_time_only(void **state)
{
    struct world *w = *state;
    programs_source_ops.stop(w->source);
    programs_source_ops.free(w->source);
    open_source(w, 3);
    write_file(w->path, "abcd");
    const struct fact_program *answer = look(w, 1, w->path);
    assert_true(answer->known && !answer->hashed);
    assert_int_equal(answer->size, 4);
    write_file(w->path, "abc");
    assert_true(look(w, 2, w->path)->hashed);
    assert_int_equal(hashed(w), 1);
}

/* A program of this name and size, which runs when this returns. */
static pid_t run_copy(struct world *w, const char *size)
{
    int ready[2];
    char byte, command[256];
    snprintf(command, sizeof(command), "cp /bin/sleep %s && truncate -s %s %s", w->path, size,
             w->path);
    assert_int_equal(system(command), 0);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        execl(w->path, "sleep", "60", (char *)NULL);
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 0); /* closed by its exec */
    close(ready[0]);
    return pid;
}

static void a_living_process_shows_its_file(void **state)
{
    struct world *w = *state;
    pid_t pid = run_copy(w, "1M");
    assert_true(request(w, 1, (uint32_t)pid, (uint32_t)getpid(), w->path));
    wait_answers(w, 1);
    assert_int_equal(w->answers[0].evidence, PROGRAM_OF_PROCESS | PROGRAM_AT_PATH);
    write_file(w->other, "abc");
    assert_int_equal(rename(w->other, w->path), 0);
    assert_true(request(w, 2, (uint32_t)pid, (uint32_t)getpid(), w->path));
    wait_answers(w, 2);
    assert_int_equal(w->answers[1].evidence, PROGRAM_OF_PROCESS);
    assert_memory_equal(w->answers[1].sha256, w->answers[0].sha256, 32);
    assert_memory_not_equal(w->answers[1].sha256, digest_of_abc, 32);
    unlink(w->path);
    assert_true(request(w, 3, (uint32_t)pid, 0, w->path));
    wait_answers(w, 3);
    assert_int_equal(w->answers[2].evidence, PROGRAM_OF_PROCESS);
    assert_true(request(w, 4, (uint32_t)pid, 0, "/bin/other"));
    wait_answers(w, 4);
    assert_false(w->answers[3].known);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* The reading takes half a second at the source's pace. */
static void a_program_that_is_deleted_while_it_is_read_has_a_digest(void **state)
{
    struct world *w = *state;
    pid_t pid = run_copy(w, "32M");
    assert_true(request(w, 1, (uint32_t)pid, (uint32_t)getpid(), w->path));
    sleep_ms(30);
    assert_int_equal(unlink(w->path), 0);
    wait_answers(w, 1);
    assert_true(w->answers[0].known && w->answers[0].hashed);
    assert_true(w->answers[0].evidence & PROGRAM_OF_PROCESS);
    if (w->answers[0].evidence & PROGRAM_AT_PATH) /* it was there at the look */
        assert_true(w->answers[0].shown_ns > 0);
    assert_int_equal(w->answers[0].size, 32 << 20);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void a_file_that_changes_while_it_is_read_has_no_digest(void **state)
{
    struct world *w = *state;
    struct program_file file;
    struct program_reading *reading;
    uint8_t digest[PROGRAM_DIGEST_SIZE];
    size_t budget = 1;
    write_file(w->path, "abc");
    let_ticks_pass();
    assert_int_equal(program_file_look(&file, UINT32_MAX, (uint32_t)getpid(), w->path), 0);
    assert_int_equal(program_reading_new(&reading, &file, NULL), 0);
    assert_true(program_reading_lasting(reading));
    assert_int_equal(program_reading_step(reading, &budget, digest), READING_MORE);
    write_file(w->path, "abd");
    budget = 4096 * 4;
    assert_int_equal(program_reading_step(reading, &budget, digest), -ESTALE);
    program_reading_free(reading);
    program_file_deinit(&file);
    bool is_lasting = true; /* unless this process stands still, it changed a moment ago */
    for (int i = 0; i < 100 && is_lasting; i++) {
        write_file(w->path, "abd");
        assert_int_equal(program_file_look(&file, UINT32_MAX, (uint32_t)getpid(), w->path), 0);
        assert_int_equal(program_reading_new(&reading, &file, NULL), 0);
        is_lasting = program_reading_lasting(reading);
        program_reading_free(reading);
        program_file_deinit(&file);
    }
    assert_false(is_lasting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_what_was_written),
        cmocka_unit_test(the_cache_forgets_what_was_used_least_lately),
        cmocka_unit_test_setup_teardown(a_file_is_read_once_a_version, setup, teardown),
        cmocka_unit_test_setup_teardown(what_another_user_maps_is_read_each_time, setup, teardown),
        cmocka_unit_test_setup_teardown(each_request_is_answered_once, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_but_a_regular_file_is_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_file_has_size_and_time_only, setup, teardown),
        cmocka_unit_test_setup_teardown(a_living_process_shows_its_file, setup, teardown),
        cmocka_unit_test_setup_teardown(a_program_that_is_deleted_while_it_is_read_has_a_digest,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_changes_while_it_is_read_has_no_digest, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// links: vestige_recording
/* What is recorded comes back byte by byte; a damaged recording gives an error and no crash. */
#include "core/cleanup.h"
#include "recorder/reader/recording.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

static const struct recording_header sample = {
    .host_id = UINT64_MAX,
    .boot_id = "5a0b3c6e-1111-2222-3333-444455556666",
    .boot_ns = 123456789,
    .real_ns = -5,
    .ticks_per_second = 100,
    .own_pid = 4194304,
    .hostname = "a host=with\tthings",
    .kernel = "",
    .settings = "audit_mode=guest proc_interval=5",
};

struct place {
    char directory[PATH_MAX / 2];
    char file[PATH_MAX];
};

static int make_place(void **state)
{
    static struct place place;
    snprintf(place.directory, sizeof(place.directory), "/tmp/test_recording.XXXXXX");
    if (!mkdtemp(place.directory))
        return -1;
    snprintf(place.file, sizeof(place.file), "%s/" RECORDING_FILE, place.directory);
    *state = &place;
    return 0;
}

static int remove_place(void **state)
{
    const struct place *place = *state;
    unlink(place->file);
    return rmdir(place->directory);
}

static struct gulp *sample_gulp(uint64_t boot_ns, bool caught_up, const char *text)
{
    struct gulp *gulp = gulp_new(4096);
    assert_non_null(gulp);
    gulp->boot_ns = boot_ns;
    gulp->real_ns = -(int64_t)boot_ns;
    gulp->caught_up = caught_up;
    if (text) {
        assert_int_equal(gulp_add(gulp, SOURCE_AUDIT, MESSAGE_DATA, boot_ns, slice_text(text)), 0);
        assert_int_equal(gulp_add(gulp, SOURCE_CONNECTOR, MESSAGE_OVERRUN, 1, slice_of("", 0)), 0);
    }
    return gulp;
}

static void write_sample(const struct place *place)
{
    struct error_text error = ERROR_TEXT_NULL;
    struct recording_writer *writer;
    assert_int_equal(recording_writer_open(&writer, place->directory, &sample, &error), 0);
    struct gulp *gulps[] = {sample_gulp(1000000000, false, "five"), sample_gulp(2, true, NULL),
                            sample_gulp(UINT64_MAX, true, "x")};
    for (size_t i = 0; i < 3; i++) {
        memset(gulps[i]->data + gulps[i]->used, 0, gulps[i]->capacity - gulps[i]->used);
        assert_int_equal(recording_writer_add(writer, gulps[i]), 0);
        gulp_free(gulps[i]);
    }
    assert_int_equal(recording_writer_close(writer, &error), 0);
}

static void assert_gulp(struct recording_reader *reader, uint64_t boot_ns, bool caught_up,
                        const char *text)
{
    struct error_text error = ERROR_TEXT_NULL;
    const struct gulp *gulp;
    assert_int_equal(recording_reader_next(reader, &gulp, &error), RECORDING_GULP);
    assert_true(gulp->boot_ns == boot_ns);
    assert_true(gulp->real_ns == -(int64_t)boot_ns);
    assert_int_equal(gulp->caught_up, caught_up);
    struct message message;
    size_t offset = 0;
    if (!text) {
        assert_false(gulp_next(gulp, &offset, &message));
        return;
    }
    assert_true(gulp_next(gulp, &offset, &message));
    assert_int_equal(message.source, SOURCE_AUDIT);
    assert_int_equal(message.kind, MESSAGE_DATA);
    assert_true(message.boot_ns == boot_ns);
    assert_true(slice_is(message.bytes, text));
    assert_true(gulp_next(gulp, &offset, &message));
    assert_int_equal(message.kind, MESSAGE_OVERRUN);
    assert_int_equal(message.bytes.length, 0);
    assert_false(gulp_next(gulp, &offset, &message));
}

static void assert_sample(struct recording_reader *reader)
{
    struct error_text error = ERROR_TEXT_NULL;
    const struct gulp *gulp;
    assert_memory_equal(recording_reader_header(reader), &sample, sizeof(sample));
    assert_gulp(reader, 1000000000, false, "five");
    assert_gulp(reader, 2, true, NULL);
    assert_gulp(reader, UINT64_MAX, true, "x");
    assert_int_equal(recording_reader_next(reader, &gulp, &error), RECORDING_END);
    assert_int_equal(recording_reader_next(reader, &gulp, &error), RECORDING_END);
    recording_reader_free(reader);
}

static void test_round_trip(void **state)
{
    const struct place *place = *state;
    struct error_text error = ERROR_TEXT_NULL;
    struct recording_reader *reader;
    struct stat status;
    write_sample(place);
    assert_int_equal(stat(place->file, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(recording_reader_open(&reader, place->directory, &error), 0);
    assert_sample(reader);
    assert_int_equal(recording_reader_open(&reader, place->file, &error), 0);
    assert_sample(reader);
}

static void test_never_overwrites(void **state)
{
    const struct place *place = *state;
    struct error_text error = ERROR_TEXT_NULL;
    struct recording_writer *writer;
    write_sample(place);
    assert_int_equal(recording_writer_open(&writer, place->directory, &sample, &error), -EEXIST);
    assert_non_null(strstr(error.text, place->file));
    assert_int_equal(recording_writer_open(&writer, "/proc/none/x", &sample, &error), -ENOENT);
    struct recording_reader *reader;
    assert_int_equal(recording_reader_open(&reader, "/nowhere", &error), -ENOENT);
    assert_non_null(strstr(error.text, "/nowhere"));
}

static size_t read_file(const struct place *place, char *bytes, size_t size)
{
    AUTO_FCLOSE FILE *file = fopen(place->file, "re");
    assert_non_null(file);
    return fread(bytes, 1, size, file);
}

/* Reads all; returns the outcome that ended it and the number of gulps. */
static int read_memory(const void *bytes, size_t length, size_t *n_gulps, struct error_text *error)
{
    struct recording_reader *reader;
    const struct gulp *gulp;
    AUTO_FREE char *exact = malloc(length ? length : 1); /* so that a sanitizer sees its end */
    assert_non_null(exact);
    memcpy(exact, bytes, length);
    *n_gulps = 0;
    *error = (struct error_text)ERROR_TEXT_NULL;
    int r = recording_reader_open_memory(&reader, slice_of(exact, length), error);
    if (r < 0)
        return r;
    while ((r = recording_reader_next(reader, &gulp, error)) == RECORDING_GULP)
        ++*n_gulps;
    recording_reader_free(reader);
    return r;
}

static void test_cut_off_anywhere(void **state)
{
    const struct place *place = *state;
    char bytes[4096];
    struct error_text error;
    size_t n_gulps, n_whole = 0;
    write_sample(place);
    size_t length = read_file(place, bytes, sizeof(bytes));
    assert_in_range(length, 200, sizeof(bytes) - 1);
    for (size_t cut = 0; cut < length; cut++) {
        int r = read_memory(bytes, cut, &n_gulps, &error);
        if (r == RECORDING_END) {
            n_whole++; /* behind the header, and behind each gulp */
            continue;
        }
        assert_int_equal(r, -EBADMSG);
        assert_true(strlen(error.text) > 20);
    }
    assert_int_equal(n_whole, 3);
    assert_int_equal(read_memory(bytes, length, &n_gulps, &error), RECORDING_END);
    assert_int_equal(n_gulps, 3);
}

static void test_every_changed_byte_is_survived(void **state)
{
    const struct place *place = *state;
    char bytes[4096];
    struct error_text error;
    size_t n_gulps;
    write_sample(place);
    size_t length = read_file(place, bytes, sizeof(bytes));
    for (size_t i = 0; i < length; i++) {
        char before = bytes[i];
        static const char others[] = {0, '\n', '=', '\x7f', '\xff'};
        for (size_t k = 0; k < sizeof(others); k++) {
            bytes[i] = others[k];
            int r = read_memory(bytes, length, &n_gulps, &error);
            assert_true(r == RECORDING_END || (r < 0 && error.text[0]));
        }
        bytes[i] = before;
    }
}

static void test_hostile_headers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"",                                                                     "not a recording"},
        {"vestige recording 2\n",                                                "not a recording"},
        {"vestige recording 1\n",                                                "does not end"   },
        {"vestige recording 1\n\n",                                              "lacks a key"    },
        {"vestige recording 1\nbyte_order=middle\n",                             "byte order"     },
        {"vestige recording 1\nno equals\n",                                     "not understood" },
        {"vestige recording 1\nhost_id=-1\n",                                    "not understood" },
        {"vestige recording 1\nhost_id=18446744073709551616\n",                  "not understood" },
        {"vestige recording 1\nown_pid=4294967296\n",                            "not understood" },
        {"vestige recording 1\nboot_id=0123456789012345678901234567890123456\n", "not understood" },
        {"vestige recording 1\nhost_id=5",                                       "does not end"   },
    };
    struct error_text error;
    size_t n_gulps;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(read_memory(cases[i].text, strlen(cases[i].text), &n_gulps, &error) < 0);
        assert_non_null(strstr(error.text, cases[i].said));
    }
    static char endless[100000] = "vestige recording 1\n";
    memset(endless + 20, 'a', sizeof(endless) - 20);
    assert_int_equal(read_memory(endless, sizeof(endless), &n_gulps, &error), -EBADMSG);
    for (size_t i = 20; i < sizeof(endless); i += 4)
        memcpy(endless + i, "a=b\n", 4);
    assert_int_equal(read_memory(endless, sizeof(endless), &n_gulps, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "does not end"));
}

static void test_gulps_that_lie(void **state)
{
    const struct place *place = *state;
    char bytes[4096];
    struct error_text error;
    size_t n_gulps;
    write_sample(place);
    size_t length = read_file(place, bytes, sizeof(bytes));
    char *gulp = memmem(bytes, length, "GULP", 4);
    assert_non_null(gulp);
    const uint64_t huge = RECORDING_GULP_LIMIT + 1;
    memcpy(gulp + 24, &huge, sizeof(huge));
    assert_int_equal(read_memory(bytes, length, &n_gulps, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "no gulp"));
    length = read_file(place, bytes, sizeof(bytes));
    gulp[32] = 5; /* the length of its first message: the next header is then read inside of it */
    gulp[33] = 1;
    assert_int_equal(read_memory(bytes, length, &n_gulps, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "does not fit"));
    char where[32];
    snprintf(where, sizeof(where), "offset %td:", gulp - bytes);
    assert_non_null(strstr(error.text, where));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_never_overwrites, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_cut_off_anywhere, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_every_changed_byte_is_survived, make_place,
                                        remove_place),
        cmocka_unit_test(test_hostile_headers),
        cmocka_unit_test_setup_teardown(test_gulps_that_lie, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

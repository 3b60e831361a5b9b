// links: vestige_procfs
/* The messages of SOURCE_PROC: what goes in comes out; what was damaged does not. */
#include "collectors/procfs/proc_entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct seen {
    unsigned n;
    struct fact fact;
};

static void take(void *user, const struct fact *fact)
{
    struct seen *seen = user;
    seen->n++;
    seen->fact = *fact;
}

static struct slice text(const char *s)
{
    return slice_text(s);
}

static const struct fact_proc_process sample = {
    .pid = 4711,
    .ppid = 1,
    .start_ticks = UINT64_C(0x123456789ab),
    .n_threads = 3,
    .threads_from_ns = UINT64_C(0x2000000000000001),
    .threads_until_ns = UINT64_C(0x2000000000000002),
    .kernel_thread = true,
    .uid = 4294967294,
    .euid = 0,
    .gid = 12,
    .egid = 13,
    .login_uid = 1000,
    .session = ID_UNSET,
    .sid = 4711,
    .pid_ns = UINT64_C(4026531836),
    .mnt_ns = UINT64_C(4026531841),
    .net_ns = UINT64_C(4026531840),
    .argc = 7,
};

static struct message message_of(const struct buffer *buffer)
{
    return (struct message){
        .source = SOURCE_PROC, .kind = MESSAGE_DATA, .boot_ns = 99, .bytes = buffer_slice(buffer)};
}

static int decode(struct slice bytes, struct seen *seen, struct decoder **decoderp)
{
    struct message message = {
        .source = SOURCE_PROC, .kind = MESSAGE_DATA, .boot_ns = 99, .bytes = bytes};
    if (!*decoderp)
        assert_int_equal(proc_decoder_new(decoderp), 0);
    return proc_decoder_decode(*decoderp, &message, take, seen);
}

static void assert_slice(struct slice s, const char *bytes, size_t length)
{
    assert_non_null(s.data);
    assert_int_equal(s.length, length);
    assert_memory_equal(s.data, bytes, length);
}

static void test_every_field_survives(void **state)
{
    (void)state;
    struct fact_proc_process process = sample;
    struct buffer buffer = BUFFER_NULL;
    struct decoder *decoder = NULL;
    struct seen seen = {0};
    process.comm = slice_of("a\n\xff)", 4);
    process.exe = text("/bin/true (deleted)");
    process.cwd = text("/");
    process.tty = text("");
    process.cgroup = text("/lxc.payload.web/system.slice");
    proc_entry_process(&buffer, &process, slice_of("true\0\0-x y\n\0", 12));
    assert_false(buffer.failed);
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), 0);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.fact.kind, FACT_PROC_PROCESS);
    assert_int_equal(seen.fact.source, SOURCE_PROC);
    assert_int_equal(seen.fact.boot_ns, 99);
    const struct fact_proc_process *got = &seen.fact.proc_process;
    assert_int_equal(got->pid, 4711);
    assert_int_equal(got->ppid, 1);
    assert_int_equal(got->start_ticks, UINT64_C(0x123456789ab));
    assert_int_equal(got->n_threads, 3);
    assert_true(got->threads_from_ns == UINT64_C(0x2000000000000001));
    assert_true(got->threads_until_ns == UINT64_C(0x2000000000000002));
    assert_true(got->kernel_thread);
    assert_int_equal(got->uid, 4294967294);
    assert_int_equal(got->euid, 0);
    assert_int_equal(got->gid, 12);
    assert_int_equal(got->egid, 13);
    assert_int_equal(got->login_uid, 1000);
    assert_int_equal(got->session, ID_UNSET);
    assert_int_equal(got->sid, 4711);
    assert_int_equal(got->pid_ns, UINT64_C(4026531836));
    assert_int_equal(got->mnt_ns, UINT64_C(4026531841));
    assert_int_equal(got->net_ns, UINT64_C(4026531840));
    assert_slice(got->comm, "a\n\xff)", 4);
    assert_slice(got->exe, "/bin/true (deleted)", 19);
    assert_slice(got->cwd, "/", 1);
    assert_slice(got->tty, "", 0);
    assert_slice(got->cgroup, "/lxc.payload.web/system.slice", 29);
    assert_slice(got->container, "web", 3);
    assert_int_equal(got->argc, 3);
    assert_slice(got->argv[0], "true", 4);
    assert_slice(got->argv[1], "", 0);
    assert_slice(got->argv[2], "-x y\n", 5);
    proc_decoder_free(decoder);
    buffer_deinit(&buffer);
}

static void test_unknown_stays_unknown(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_NULL;
    struct decoder *decoder = NULL;
    struct seen seen = {0};
    proc_entry_process(&buffer, &sample, SLICE_NULL);
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), 0);
    assert_null(seen.fact.proc_process.comm.data);
    assert_null(seen.fact.proc_process.exe.data);
    assert_null(seen.fact.proc_process.tty.data);
    assert_null(seen.fact.proc_process.container.data);
    assert_null(seen.fact.proc_process.argv);
    assert_int_equal(seen.fact.proc_process.argc, 7); /* there were too many to keep */
    proc_decoder_free(decoder);
    buffer_deinit(&buffer);
}

/* Only a cut between two fields, behind pid and start ticks, leaves a message. */
static void test_no_cut_is_misread(void **state)
{
    (void)state;
    struct fact_proc_process process = sample;
    struct buffer buffer = BUFFER_NULL;
    struct decoder *decoder = NULL;
    unsigned accepted = 0;
    process.comm = text("x");
    process.cgroup = text("/a");
    proc_entry_process(&buffer, &process, slice_of("a\0b\0", 4));
    for (size_t length = 0; length < buffer.length; length++) {
        struct seen seen = {0};
        uint8_t *exact = malloc(length ? length : 1);
        assert_non_null(exact);
        memcpy(exact, buffer.data, length);
        int r = decode(slice_of(exact, length), &seen, &decoder);
        assert_true(r == 0 || r == -EBADMSG);
        assert_int_equal(seen.n, r == 0);
        accepted += r == 0;
        free(exact);
    }
    /* behind field 3 to 15 (13), comm, cgroup, argc, and the two moments */
    assert_int_equal(accepted, 18);
    proc_decoder_free(decoder);
    buffer_deinit(&buffer);
}

static void append_field(struct buffer *to, uint32_t key, const void *bytes, uint32_t length)
{
    buffer_append(to, &key, sizeof(key));
    buffer_append(to, &length, sizeof(length));
    buffer_append(to, bytes, length);
}

static void begin(struct buffer *to)
{
    uint32_t type = PROC_ENTRY_PROCESS;
    uint64_t one = 1;
    buffer_clear(to);
    buffer_append(to, &type, sizeof(type));
    append_field(to, 1, &one, sizeof(one));
    append_field(to, 3, &one, sizeof(one));
}

static void test_bad_values_are_refused(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_NULL;
    struct decoder *decoder = NULL;
    struct seen seen = {0};
    uint64_t large = UINT64_C(1) << 32, two = 2, zero = 0;
    begin(&buffer);
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), 0);
    append_field(&buffer, 999, "future", 6);
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), 0);
    begin(&buffer);
    append_field(&buffer, 2, &large, 8); /* ppid of 33 bits */
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), -EBADMSG);
    begin(&buffer);
    append_field(&buffer, 5, &two, 8); /* kernel_thread 2 */
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), -EBADMSG);
    begin(&buffer);
    append_field(&buffer, 2, &two, 4); /* a short number */
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), -EBADMSG);
    begin(&buffer);
    append_field(&buffer, 1, &zero, 8); /* pid 0 */
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), -EBADMSG);
    begin(&buffer);
    append_field(&buffer, 24, "a\0b", 3); /* the last argument has no end */
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), -EBADMSG);
    begin(&buffer);
    append_field(&buffer, 24, "", 0);
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), -EBADMSG);
    begin(&buffer);
    append_field(&buffer, 24, "a\0b", 4);
    append_field(&buffer, 21, &two, 8); /* argc behind the arguments */
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), -EBADMSG);
    assert_int_equal(decode(slice_of("\x09\0\0\0", 4), &seen, &decoder), -EBADMSG);
    assert_int_equal(seen.n, 2);
    proc_decoder_free(decoder);
    buffer_deinit(&buffer);
}

static void test_too_many_arguments_are_refused(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_NULL;
    struct decoder *decoder = NULL;
    struct seen seen = {0};
    uint8_t *empty = calloc(1, PROC_ENTRY_ARGUMENT_COUNT + 1);
    assert_non_null(empty);
    begin(&buffer);
    append_field(&buffer, 24, empty, PROC_ENTRY_ARGUMENT_COUNT);
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), 0);
    assert_int_equal(seen.fact.proc_process.argc, PROC_ENTRY_ARGUMENT_COUNT);
    begin(&buffer);
    append_field(&buffer, 24, empty, PROC_ENTRY_ARGUMENT_COUNT + 1);
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), -EBADMSG);
    free(empty);
    proc_decoder_free(decoder);
    buffer_deinit(&buffer);
}

static void test_arguments_can_be_left_out(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_NULL;
    struct decoder *decoder = NULL;
    struct seen seen = {0};
    proc_entry_process(&buffer, &sample, slice_of("a\0b\0", 4));
    struct slice whole = buffer_slice(&buffer);
    struct slice head = slice_of(whole.data, proc_entry_without_arguments(whole));
    assert_int_equal(whole.length - head.length, 8 + 4);
    assert_int_equal(proc_entry_without_arguments(head), head.length);
    assert_int_equal(decode(head, &seen, &decoder), 0);
    assert_null(seen.fact.proc_process.argv);
    assert_int_equal(seen.fact.proc_process.argc, 7);
    proc_decoder_free(decoder);
    buffer_deinit(&buffer);
}

static void test_scans_and_notes(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_NULL;
    struct decoder *decoder = NULL;
    struct seen seen = {0};
    proc_entry_scan(&buffer, true);
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), 0);
    assert_int_equal(seen.fact.kind, FACT_PROC_SCAN);
    assert_true(seen.fact.proc_scan.begin);
    buffer_append_byte(&buffer, 'x');
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), -EBADMSG);
    buffer_clear(&buffer);
    proc_entry_scan(&buffer, false);
    assert_int_equal(decode(buffer_slice(&buffer), &seen, &decoder), 0);
    assert_false(seen.fact.proc_scan.begin);
    struct message note = message_of(&buffer);
    note.kind = MESSAGE_NOTE;
    note.bytes = text("on\tall");
    assert_int_equal(proc_decoder_decode(decoder, &note, take, &seen), 0);
    assert_int_equal(seen.fact.kind, FACT_NOTE);
    assert_slice(seen.fact.note.mode, "on", 2);
    assert_slice(seen.fact.note.detail, "all", 3);
    note.bytes = text("no tab");
    assert_int_equal(proc_decoder_decode(decoder, &note, take, &seen), -EBADMSG);
    assert_int_equal(seen.n, 3);
    proc_decoder_free(decoder);
    buffer_deinit(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_survives),
        cmocka_unit_test(test_unknown_stays_unknown),
        cmocka_unit_test(test_no_cut_is_misread),
        cmocka_unit_test(test_bad_values_are_refused),
        cmocka_unit_test(test_too_many_arguments_are_refused),
        cmocka_unit_test(test_arguments_can_be_left_out),
        cmocka_unit_test(test_scans_and_notes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// links: vestige_journal vestige_journal_command
/* `vestige journal` as a user runs it: what it prints and how it ends. */
#include "journal_test.h"

#include "reports/command.h"

#include <openssl/evp.h>
#include <sys/wait.h>

struct answer {
    int status;
    char text[16384]; /* standard output and standard error */
};

static void run(struct answer *answer, int argc, char **argv)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(fileno(file), STDOUT_FILENO);
        dup2(fileno(file), STDERR_FILENO);
        log_register(NULL, NULL); /* as in the program, to standard error */
        setenv("TZ", "UTC", 1);
        int status = journal_command(argc, argv);
        fflush(NULL);
        _exit(status);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    answer->status = WEXITSTATUS(status);
    rewind(file);
    answer->text[fread(answer->text, 1, sizeof(answer->text) - 1, file)] = 0;
    fclose(file);
}

#define RUN(answer, test, ...)                                                                     \
    do {                                                                                           \
        char *argv_[] = {(char[]){"journal"}, __VA_ARGS__, (char[]){"--directory"},                \
                         (test)->directory, NULL};                                                 \
        run(answer, (int)(sizeof(argv_) / sizeof(argv_[0])) - 1, argv_);                           \
    } while (0)
#define WORD(text)                                                                                 \
    (char[])                                                                                       \
    {                                                                                              \
        text                                                                                       \
    }

static void make_journal(struct journal_test *test)
{
    journal_test_open(test);
    journal_test_mark(test, "cpu0=1");
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(
            journal_test_append(test, VERB_INSERT, TABLE_GAP, TEST_TIME + i, "a\tb\x1b[31m"), 0);
        journal_test_seal(test);
    }
    assert_int_equal(journal_shipped(test->journal, 1), 0);
    journal_test_close(test);
}

static void test_list(void **state)
{
    struct journal_test *test = *state;
    struct answer answer;
    make_journal(test);
    RUN(&answer, test, WORD("list"), WORD("--format"), WORD("csv"));
    assert_int_equal(answer.status, 0);
    char expected[512], path[256];
    struct stat status[3];
    for (uint64_t i = 1; i <= 3; i++) {
        file_path(test, i == 1 ? JOURNAL_FILE_SHIPPED : JOURNAL_FILE_SEALED, i, path);
        assert_int_equal(stat(path, &status[i - 1]), 0);
    }
    snprintf(expected, sizeof(expected),
             "batch,state,first,last,lines,bytes,recovered,signed\r\n"
             "1,shipped,2023-11-14 22:13:20.000000,2023-11-14 22:13:20.000001,1,%lld,no,no\r\n"
             "2,sealed,2023-11-14 22:13:20.000000,2023-11-14 22:13:20.000002,1,%lld,no,no\r\n"
             "3,sealed,2023-11-14 22:13:20.000000,2023-11-14 22:13:20.000003,1,%lld,no,no\r\n",
             (long long)status[0].st_blocks * 512, (long long)status[1].st_blocks * 512,
             (long long)status[2].st_blocks * 512);
    assert_string_equal(answer.text, expected);
}

static void test_show(void **state)
{
    struct journal_test *test = *state;
    struct answer answer;
    make_journal(test);
    RUN(&answer, test, WORD("show"), WORD("2"));
    assert_int_equal(answer.status, 0);
    assert_non_null(strstr(answer.text, "vestige batch 2\nhost       7\n"));
    assert_non_null(strstr(answer.text, "\ncursors    cpu0=1\n"));
    assert_non_null(strstr(answer.text, "\ninsert gap 1700000000000002\n"
                                        "    created_at         a\\x09b\\x1b[31m\n"));
    assert_null(strchr(answer.text, '\x1b'));
    RUN(&answer, test, WORD("show"), WORD("9"));
    assert_int_equal(answer.status, 2);
    assert_non_null(strstr(answer.text, "has no batch 9"));
    RUN(&answer, test, WORD("show"));
    assert_int_equal(answer.status, 2);
}

static void check_says(struct journal_test *test, int status, const char *words)
{
    struct answer answer;
    RUN(&answer, test, WORD("check"));
    if (!strstr(answer.text, words))
        print_error("%s\n", answer.text);
    assert_non_null(strstr(answer.text, words));
    assert_int_equal(answer.status, status);
}

static void test_check(void **state)
{
    struct journal_test *test = *state;
    char first[256], second[256], third[256];
    make_journal(test);
    check_says(test, 0, "3 files, 3 lines: 0 findings\n");
    file_path(test, JOURNAL_FILE_SHIPPED, 1, first);
    file_path(test, JOURNAL_FILE_SEALED, 2, second);
    file_path(test, JOURNAL_FILE_SEALED, 3, third);
    struct buffer bytes = file_read(second);
    /* a batch of the right form from another chain */
    struct buffer other = file_read(third);
    bytes.data[bytes.length / 2] ^= 1;
    file_write(second, buffer_slice(&bytes));
    check_says(test, 1, "/000000000002.sealed.zst: line ");
    file_write(second, buffer_slice(&other));
    check_says(test, 1, "batch 2: the file holds another one (3)");
    assert_int_equal(unlink(second), 0);
    check_says(test, 1, "batch 3: 1 batches before it are missing");
    buffer_deinit(&bytes);
    buffer_deinit(&other);
}

/* Somebody makes a batch anew, with a hash that is right for what is in it: the chain tells. */
static void test_check_chain(void **state)
{
    struct journal_test *test = *state;
    char path[256];
    make_journal(test);
    file_path(test, JOURNAL_FILE_SEALED, 2, path);
    struct batch_reader *reader = batch_open(test, JOURNAL_FILE_SEALED, 2);
    struct batch_header header = *batch_reader_header(reader);
    struct buffer text = BUFFER_NULL, hashed = BUFFER_NULL;
    struct batch_digest *digest;
    header.n_lines = 0;
    batch_header_print_hashed(&hashed, &header);
    assert_int_equal(batch_digest_new(&digest), 0);
    assert_int_equal(batch_digest_hash(digest, buffer_slice(&hashed), slice_text(""), header.hash),
                     0);
    batch_header_print(&text, &header);
    file_write(path, buffer_slice(&text));
    check_says(test, 1,
               "batch 3: does not follow batch 2: its previous hash is another one\n"
               "3 files, 2 lines: 1 findings\n"
               "signatures were not checked: name the host's public key with --public-key\n");
    batch_digest_free(digest);
    batch_reader_free(reader);
    buffer_deinit(&text);
    buffer_deinit(&hashed);
}

/* The files of a pair of keys, made elsewhere: the public half of the first key of RFC 8032. */
static const char other_public[] = "-----BEGIN PUBLIC KEY-----\n"
                                   "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                                   "-----END PUBLIC KEY-----\n";

/* The public half as `openssl pkey -pubout` writes it: a fixed beginning and the bytes. */
static void write_public(const char *path, const struct signing_key *key, const char *more)
{
    uint8_t bytes[12 + PUBLIC_KEY_SIZE] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                           0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    unsigned char text[80];
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    signing_key_public(key, bytes + 12);
    EVP_EncodeBlock(text, bytes, sizeof(bytes));
    fprintf(file, "%s-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n", more,
            (const char *)text);
    assert_int_equal(fclose(file), 0);
}

static void check_with(struct journal_test *test, char *keys, int status, const char *words)
{
    struct answer answer;
    RUN(&answer, test, WORD("check"), WORD("--public-key"), keys);
    if (!strstr(answer.text, words))
        print_error("%s\n", answer.text);
    assert_non_null(strstr(answer.text, words));
    assert_int_equal(answer.status, status);
}

static void test_signatures(void **state)
{
    struct journal_test *test = *state;
    struct error_text error = ERROR_TEXT_NULL;
    struct signing_key *key;
    struct answer answer;
    char private[256], public[256], expected[600];
    snprintf(private, sizeof(private), "%s/signing.key", test->directory);
    snprintf(public, sizeof(public), "%s/public.pem", test->directory);
    assert_int_equal(signing_key_create(&key, private, &error), 0);
    test->options.key = key;
    make_journal(test);
    check_says(test, 0, "0 findings\nsignatures were not checked");
    RUN(&answer, test, WORD("list"), WORD("--format"), WORD("csv"));
    assert_non_null(strstr(answer.text, ",no,yes\r\n3,sealed,"));
    write_public(public, key, "");
    snprintf(expected, sizeof(expected),
             "3 files, 3 lines: 0 findings\nsignatures: 3 are of a key in %s, 0 batches are not "
             "signed\n",
             public);
    check_with(test, public, 0, expected);
    write_public(public, key, other_public);
    check_with(test, public, 0, expected);
    file_write(public, slice_text(other_public));
    check_with(test, public, 1, "batch 2: its signature is not of a key in ");
    check_with(test, public, 1, "3 files, 3 lines: 3 findings\nsignatures: 0 are of a key");
    file_write(public, slice_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"));
    check_with(test, public, 2, "not Ed25519 public keys in PEM form");
    check_with(test, private, 2, "not Ed25519 public keys in PEM form");
    check_with(test, WORD("/nonexistent"), 2, "cannot read /nonexistent");

    /* a fourth batch that nobody signs */
    test->options.key = NULL;
    journal_test_open(test);
    journal_test_insert(test, TEST_TIME + 9);
    journal_test_close(test);
    write_public(public, key, "");
    check_with(test, public, 1, "batch 4: is not signed\n4 files, 4 lines: 1 findings\n");
    signing_key_free(key);
}

/* Without a word about keys it is the host's own that counts; an unsigned batch is told of. */
static void test_own_key(void **state)
{
    struct journal_test *test = *state;
    struct error_text error = ERROR_TEXT_NULL;
    struct signing_key *key;
    struct answer answer;
    char path[128], agent[128], journal[128];
    snprintf(agent, sizeof(agent), "%s/agent", test->directory);
    snprintf(journal, sizeof(journal), "%s/agent/journal", test->directory);
    snprintf(path, sizeof(path), "%s/signing.key", test->directory);
    assert_int_equal(mkdir(agent, 0700), 0);
    test->options.directory = journal;
    make_journal(test);
    assert_int_equal(signing_key_create(&key, path, &error), 0);
    test->options.key = key;
    journal_test_open(test);
    journal_test_insert(test, TEST_TIME + 9);
    journal_test_close(test);
    char *argv[] = {WORD("journal"), WORD("check"), WORD("--state"), test->directory, NULL};
    run(&answer, 4, argv);
    assert_int_equal(answer.status, 0);
    assert_non_null(strstr(answer.text, "/signing.key, 3 batches are not signed\n"));
    assert_non_null(strstr(answer.text, "4 lines: 0 findings\nsignatures: 1 are of a key in "));
    assert_int_equal(chmod(path, 0644), 0);
    run(&answer, 4, argv);
    assert_int_equal(answer.status, 0);
    assert_non_null(strstr(answer.text, "signatures were not checked: "));
    assert_non_null(strstr(answer.text, "chmod 600"));
    signing_key_free(key);
    journal_test_remove(journal);
    rmdir(agent);
}

static void test_cannot(void **state)
{
    struct journal_test *test = *state;
    struct answer answer;
    struct journal_test none = {.directory = "/nonexistent/journal"};
    RUN(&answer, &none, WORD("check"));
    assert_int_equal(answer.status, 2);
    assert_non_null(strstr(answer.text, "/nonexistent/journal"));
    RUN(&answer, test, WORD("burn"));
    assert_int_equal(answer.status, 2);
    assert_non_null(strstr(answer.text, "there is no `vestige journal burn`"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, journal_test_setup, journal_test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_list),       TEST(test_show),    TEST(test_check),  TEST(test_check_chain),
        TEST(test_signatures), TEST(test_own_key), TEST(test_cannot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

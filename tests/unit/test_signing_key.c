// links: vestige_signing
/* The key pairs are those of RFC 8032, section 7.1; the signatures over our message were made with
 * another program than libcrypto's EVP calls of ours. */
#include "recorder/keys/signing_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char directory[64], path[128];
    struct signing_key *key;
    struct error_text error;
};

static const struct {
    const char *pem, *public_key, *signature; /* over the bytes 0 to 31 as a hash */
} vectors[] = {
    {"-----BEGIN PRIVATE KEY-----\n"
     "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
     "-----END PRIVATE KEY-----\n", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
     "4b572fcffc08b631a58744b72d126bdfca4afb46c5ce0ff93f248f37c3824306"
     "e3df9ac8d623563faff8268600d1ad81e3535325dc246a60c7b51c0eab58bb0e"},
    {"-----BEGIN PRIVATE KEY-----\n"
     "MC4CAQAwBQYDK2VwBCIEIMWqjfQ/n4N77bdELzHct7Fm04U1B28JS4XOOi4LRFj3\n"
     "-----END PRIVATE KEY-----\n", "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
     "6d30ffdc329f78681877d243266e40900a9e56e3a284c48559936cd080637f93"
     "2ff7764e587e1f66e1ada51810598225456472c56e38dd898b15d6711a775b09"},
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    snprintf(fixture->directory, sizeof(fixture->directory), "/tmp/vestige-signing-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    snprintf(fixture->path, sizeof(fixture->path), "%s/signing.key", fixture->directory);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    signing_key_free(fixture->key);
    unlink(fixture->path);
    assert_int_equal(rmdir(fixture->directory), 0);
    free(fixture);
    return 0;
}

static void write_file(const struct fixture *fixture, const void *bytes, size_t length, mode_t mode)
{
    FILE *stream = fopen(fixture->path, "wbe");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, length, stream), length);
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(chmod(fixture->path, mode), 0);
}

static int load(struct fixture *fixture)
{
    fixture->key = signing_key_free(fixture->key);
    fixture->error.text[0] = 0;
    return signing_key_load(&fixture->key, fixture->path, &fixture->error);
}

static void from_hex(const char *text, uint8_t *bytes, size_t n)
{
    assert_int_equal(strlen(text), 2 * n);
    for (size_t i = 0; i < n; i++) {
        unsigned value;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &value), 1);
        bytes[i] = (uint8_t)value;
    }
}

static void count_up(uint8_t hash[32])
{
    for (size_t i = 0; i < 32; i++)
        hash[i] = (uint8_t)i;
}

static void test_vectors(void **state)
{
    struct fixture *fixture = *state;
    uint8_t hash[32], expected[SIGNATURE_SIZE], found[SIGNATURE_SIZE];
    count_up(hash);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        write_file(fixture, vectors[i].pem, strlen(vectors[i].pem), 0600);
        assert_int_equal(load(fixture), 0);
        from_hex(vectors[i].public_key, expected, PUBLIC_KEY_SIZE);
        signing_key_public(fixture->key, found);
        assert_memory_equal(found, expected, PUBLIC_KEY_SIZE);
        from_hex(vectors[i].signature, expected, SIGNATURE_SIZE);
        assert_int_equal(signing_key_sign(fixture->key, hash, found), 0);
        assert_memory_equal(found, expected, SIGNATURE_SIZE);
    }
}

static void test_check(void **state)
{
    (void)state;
    uint8_t hash[32], other[32], public_key[PUBLIC_KEY_SIZE], signature[SIGNATURE_SIZE];
    count_up(hash);
    from_hex(vectors[0].public_key, public_key, sizeof(public_key));
    from_hex(vectors[0].signature, signature, sizeof(signature));
    assert_int_equal(signature_check(public_key, hash, signature), 0);
    for (unsigned bit = 0; bit < 8 * sizeof(hash); bit++) {
        memcpy(other, hash, sizeof(other));
        other[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(signature_check(public_key, other, signature), -EBADMSG);
    }
    for (unsigned bit = 0; bit < 8 * sizeof(signature); bit++) {
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(signature_check(public_key, hash, signature), -EBADMSG);
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    from_hex(vectors[1].public_key, public_key, sizeof(public_key));
    assert_int_equal(signature_check(public_key, hash, signature), -EBADMSG);
    memset(signature, 0, sizeof(signature));
    assert_int_equal(signature_check(public_key, hash, signature), -EBADMSG);
    memset(public_key, 0xff, sizeof(public_key)); /* no point of the curve */
    assert_int_equal(signature_check(public_key, hash, signature), -EBADMSG);
}

/* RFC 8032: a signature over the plain text of its first example is none over a batch. */
static void test_purpose(void **state)
{
    (void)state;
    uint8_t hash[32] = {0}, public_key[PUBLIC_KEY_SIZE], signature[SIGNATURE_SIZE];
    from_hex(vectors[0].public_key, public_key, sizeof(public_key));
    from_hex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
             "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
             signature, sizeof(signature));
    assert_int_equal(signature_check(public_key, hash, signature), -EBADMSG);
}

static void test_create(void **state)
{
    struct fixture *fixture = *state;
    struct signing_key *made;
    struct stat status;
    uint8_t hash[32], first[PUBLIC_KEY_SIZE], second[PUBLIC_KEY_SIZE], signature[SIGNATURE_SIZE];
    count_up(hash);
    assert_int_equal(signing_key_create(&made, fixture->path, &fixture->error), 0);
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(load(fixture), 0);
    signing_key_public(made, first);
    signing_key_public(fixture->key, second);
    assert_memory_equal(first, second, sizeof(first));
    assert_int_equal(signing_key_sign(made, hash, signature), 0);
    assert_int_equal(signature_check(first, hash, signature), 0);

    struct signing_key *again = NULL;
    assert_int_equal(signing_key_create(&again, fixture->path, &fixture->error), -EEXIST);
    assert_null(again);
    assert_non_null(strstr(fixture->error.text, "exists"));
    assert_int_equal(load(fixture), 0);
    signing_key_public(fixture->key, second);
    assert_memory_equal(first, second, sizeof(first));

    assert_int_equal(unlink(fixture->path), 0);
    assert_int_equal(signing_key_create(&again, fixture->path, &fixture->error), 0);
    signing_key_public(again, second);
    assert_memory_not_equal(first, second, sizeof(first));
    signing_key_free(again);
    signing_key_free(made);
}

static void test_nowhere_to_write(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    snprintf(path, sizeof(path), "%s/none/signing.key", fixture->directory);
    assert_int_equal(signing_key_create(&fixture->key, path, &fixture->error), -ENOENT);
    assert_non_null(strstr(fixture->error.text, path));
    assert_int_equal(symlink("/nonexistent/target", fixture->path), 0);
    assert_int_equal(signing_key_create(&fixture->key, fixture->path, &fixture->error), -EEXIST);
}

static void test_modes(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture), -ENOENT);
    for (unsigned mode = 0; mode < 0100; mode++) {
        write_file(fixture, vectors[0].pem, strlen(vectors[0].pem), 0600 | mode);
        assert_int_equal(load(fixture), mode ? -EPERM : 0);
        if (mode) {
            assert_non_null(strstr(fixture->error.text, fixture->path));
            assert_non_null(strstr(fixture->error.text, "chmod 600"));
        }
    }
    write_file(fixture, vectors[0].pem, strlen(vectors[0].pem), 0400);
    assert_int_equal(load(fixture), 0);
}

static void refuse(struct fixture *fixture, const char *text)
{
    write_file(fixture, text, strlen(text), 0600);
    assert_int_equal(load(fixture), -EBADMSG);
    assert_null(fixture->key);
    assert_non_null(strstr(fixture->error.text, fixture->path));
}

static void test_hostile(void **state)
{
    struct fixture *fixture = *state;
    refuse(fixture, "");
    refuse(fixture, "-----BEGIN PRIVATE KEY-----\n");
    refuse(fixture, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    /* X25519: the same form, another algorithm */
    refuse(fixture, "-----BEGIN PRIVATE KEY-----\n"
                    "MC4CAQAwBQYDK2VuBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                    "-----END PRIVATE KEY-----\n");
    /* encrypted: nobody is asked for a password */
    refuse(fixture, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                    "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhMqLkiPeagXQICCAAw\n"
                    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEA0DfM2s5j9z0TcYoGFaWmQEQBoW\n"
                    "bXKnlO+y57/qKZBdVWl42lGvta2/tt4enKHd64gyNChCrID7gwNtyldBWa9FDNMp\n"
                    "RqbxU50O5Bt75NZimWM=\n"
                    "-----END ENCRYPTED PRIVATE KEY-----\n");
    char *large = calloc(1, 1024 * 1024 + 1);
    memset(large, '-', 1024 * 1024);
    refuse(fixture, large);
    free(large);

    /* each single change of the file is read as a key or refused, never more */
    char text[256];
    size_t length = strlen(vectors[0].pem);
    for (size_t i = 0; i < length; i++) {
        memcpy(text, vectors[0].pem, length);
        text[i] ^= 1;
        write_file(fixture, text, length, 0600);
        int result = load(fixture);
        assert_true(result == 0 || result == -EBADMSG);
        write_file(fixture, text, i, 0600);
        result = load(fixture);
        assert_true(result == -EBADMSG || i == length - 1);
    }
}

static void test_not_a_file(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(mkfifo(fixture->path, 0600), 0);
    assert_int_equal(load(fixture), -EBADMSG);
    assert_int_equal(unlink(fixture->path), 0);
    assert_int_equal(mkdir(fixture->path, 0700), 0);
    assert_int_equal(load(fixture), -EBADMSG);
    assert_int_equal(rmdir(fixture->path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_vectors, setup, teardown),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_purpose),
        cmocka_unit_test_setup_teardown(test_create, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nowhere_to_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_a_file, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

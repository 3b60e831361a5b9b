/* Everything is made ready in DIR/.enrolling, which stays when something goes wrong: keys that were
 * made for a token are found there when the same token is tried again. Only when the server has
 * heard, from the host's own new account, that the files are there, are they moved to their places;
 * the word with which it is told is kept, so that the same host may tell it again. */
#include "recorder/enrol/enrol_private.h"

#include "core/cleanup.h"
#include "core/hex.h"
#include "core/log.h"
#include "core/private_file.h"
#include "recorder/agent/config.h"
#include "recorder/enrol/enrol_server.h"
#include "recorder/keys/credential.h"

#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static int read_file(struct enrol *enrol, struct error_text *error)
{
    const char *file = enrol->options->file;
    struct error_text reason = ERROR_TEXT_NULL;
    unsigned char hash[EVP_MAX_MD_SIZE];
    struct stat status;
    unsigned n = 0;
    int r = private_file_read(file, BUNDLE_MOST, &enrol->text, error);
    if (r < 0)
        return r;
    if (stat(file, &status) == 0 && status.st_mode & (S_IRWXG | S_IRWXO))
        log_warning("enroll", "%s can be read by others; whoever has read it can be this host",
                    file);
    r = bundle_parse(&enrol->bundle, buffer_slice(&enrol->text), &reason);
    if (r < 0)
        return error_set(error, r, "%.200s: %.250s", file, reason.text);
    if (!EVP_Digest(enrol->text.data, enrol->text.length, hash, &n, EVP_sha256(), NULL) || n != 32)
        return error_set(error, -EIO, "libcrypto cannot compute SHA-256");
    hex_text(enrol->source, hash, n);
    return 0;
}

/** The number in a configuration of a bundle; 0: not known yet. */
static uint64_t coming_host(struct slice configuration)
{
    struct config *config = NULL;
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    const struct bundle_word words[] = {
        {BUNDLE_HOST_ID,   "0"       },
        {BUNDLE_DIRECTORY, "/nowhere"}
    };
    uint64_t host_id = 0;
    bundle_fill_in(&text, configuration, words, 2);
    if (config_new(&config) < 0)
        return 0;
    if (config_parse(config, "the bundle", buffer_slice(&text), NULL) == 0)
        host_id = config->host_id;
    config_free(config);
    return host_id;
}

static int run_bundle(struct enrol *enrol, struct error_text *error)
{
    uint64_t coming = coming_host(enrol->bundle.parts[BUNDLE_CONFIGURATION]);
    if (coming == 0)
        return error_set(error, -EINVAL, "the bundle does not name a host_id");
    snprintf(enrol->host_id, sizeof(enrol->host_id), "%" PRIu64, coming);
    return enrol_stage_bundle(enrol, error);
}

/** A token whose files were ready before: its one-time account may be gone by now. */
static bool was_ready(struct enrol *enrol)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    if (!enrol_is_token(enrol) || !enrol_is_staged(enrol, ENROL_CONNECTION) ||
        !enrol_is_staged(enrol, bundle_name(BUNDLE_CONFIGURATION)) ||
        enrol_read_staged(enrol, bundle_name(BUNDLE_CONFIGURATION), &text, NULL) < 0)
        return false;
    uint64_t host_id = coming_host(slice_of(text.data, text.length - 1));
    snprintf(enrol->host_id, sizeof(enrol->host_id), "%" PRIu64, host_id);
    return host_id > 0;
}

/** The word by which the server knows this host again, when it has to be told twice. */
static int find_word(const struct enrol *enrol, struct buffer *word, struct error_text *error)
{
    char made[PASSWORD_SIZE];
    if (enrol_is_staged(enrol, ENROL_WORD))
        return enrol_read_staged(enrol, ENROL_WORD, word, error);
    int r = credential_make_password(made, error);
    if (r == 0)
        r = enrol_stage_text(enrol, ENROL_WORD, slice_text(made), error);
    return r == 0 ? enrol_read_staged(enrol, ENROL_WORD, word, error) : r;
}

static int confirm(const struct enrol *enrol, struct error_text *error)
{
    struct buffer word CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct error_text reason = ERROR_TEXT_NULL;
    char options[ENROL_PATH_SIZE];
    enrol_staged(enrol, ENROL_CONNECTION, options);
    int r = find_word(enrol, &word, error);
    if (r < 0)
        return r;
    r = enrol_server_confirm(options, (char *)word.data, &reason);
    if (r == 0)
        return 0;
    return error_set(error, r, "%.350s%s", reason.text,
                     r == -EPERM || r == -EACCES
                         ? "; `vestige client rotate HOST --bundle FILE` makes another"
                         : "");
}

static int finish(struct enrol *enrol, struct error_text *error)
{
    int r = confirm(enrol, error);
    if (r == -EPERM && !enrol_is_token(enrol))
        enrol_stage_remove(
            enrol); /* of a bundle that is another's: its secrets do not belong here */
    if (r == 0)
        r = enrol_place_files(enrol, error);
    if (r < 0)
        return r;
    enrol_stage_remove(enrol);
    if (unlink(enrol->options->file) < 0)
        log_warning("enroll", "%s could not be removed: %s; it is used up", enrol->options->file,
                    strerror(errno));
    printf("this host is host_id %s; its files are in %s; start vestiged (again)\n", enrol->host_id,
           enrol->directory);
    return 0;
}

static int make_directory(struct enrol *enrol, struct error_text *error)
{
    const char *path = enrol->options->directory;
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return error_set(error, -errno, "cannot make %s: %s", path, strerror(errno));
    char *resolved AUTO_FREE = realpath(path, NULL);
    if (!resolved || strlen(resolved) >= sizeof(enrol->directory))
        return error_set(error, resolved ? -ENAMETOOLONG : -errno, "cannot use %s: %s", path,
                         resolved ? "its path is too long" : strerror(errno));
    strcpy(enrol->directory, resolved);
    return 0;
}

/** Two at once would take each other's files. Held until the program ends. */
static int lock_directory(struct enrol *enrol, struct error_text *error)
{
    enrol->lock = open(enrol->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (enrol->lock >= 0 && flock(enrol->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return error_set(error, -EBUSY, "another vestiged --enroll is at work in %s",
                         enrol->directory);
    return error_set(error, -errno, "cannot lock %s: %s", enrol->directory, strerror(errno));
}

int enrol_run(const struct enrol_options *options, struct error_text *error)
{
    struct enrol enrol = {.options = options, .lock = -1};
    int r = read_file(&enrol, error);
    if (r == 0)
        r = make_directory(&enrol, error);
    if (r == 0)
        r = lock_directory(&enrol, error);
    /* What is wrong with the directory is found before anything is made or told. */
    if (r == 0)
        r = enrol_check_identity(&enrol, coming_host(enrol.bundle.parts[BUNDLE_CONFIGURATION]),
                                 error);
    if (r == 0)
        r = enrol_stage_begin(&enrol, error);
    if (r == 0 && !was_ready(&enrol))
        r = enrol_is_token(&enrol) ? enrol_run_token(&enrol, error) : run_bundle(&enrol, error);
    if (r == 0)
        r = finish(&enrol, error);
    private_buffer_deinit(&enrol.text);
    if (enrol.lock >= 0)
        close(enrol.lock);
    return r;
}

/* Everything is made ready in DIR/.enrolling, which stays when something goes wrong: keys that were
 * made for a token are found there when the same token is tried again. Only when the server has
 * heard, from the host's own new account, that the files are there, are they moved to their places;
 * the word with which it is told is kept, so that the same host may tell it again.
 *
 * The configuration is the administrator's: of one that is there only the number of the host is
 * filled in, when it has none. */
#include "recorder/enrol/enrol.h"

#include "core/cleanup.h"
#include "core/log.h"
#include "core/private_file.h"
#include "recorder/agent/config.h"
#include "recorder/enrol/enrol_server.h"
#include "recorder/keys/bundle.h"
#include "recorder/keys/credential.h"
#include "recorder/keys/signing_key.h"

#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

enum { PATH_SIZE = 4400, SOURCE_SIZE = 65, PROGRESS_S = 10 };

#define STAGE      ".enrolling"
#define SOURCE     "source" /* SHA-256 of the file that was begun with */
#define WORD       "word"   /* that only this host knows */
#define PASSWORD   "password"
#define REQUEST    "request.pem"
#define CONNECTION "connection.cnf"

struct enrol {
    const struct enrol_options *options;
    struct buffer text;
    struct bundle bundle;
    char directory[4096]; /* from the root: it goes into option files */
    char stage[4120];
    char source[SOURCE_SIZE];
    char host_id[24];
    int lock; /* of the directory */
};

static const enum bundle_part placed[] = {
    /* The configuration comes last: with it the agent knows who it is. */
    BUNDLE_AUTHORITY,   BUNDLE_CERTIFICATE, BUNDLE_KEY,
    BUNDLE_SIGNING_KEY, BUNDLE_OPTIONS,     BUNDLE_CONFIGURATION,
};
#define PLACED_N (sizeof(placed) / sizeof(placed[0]))

static bool is_token(const struct enrol *enrol)
{
    return !slice_is_null(enrol->bundle.parts[BUNDLE_TOKEN]);
}

static void staged(const struct enrol *enrol, const char *name, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/%s", enrol->stage, name);
}

static void final(const struct enrol *enrol, const char *name, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/%s", enrol->directory, name);
}

static bool is_staged(const struct enrol *enrol, const char *name)
{
    char path[PATH_SIZE];
    staged(enrol, name, path);
    return access(path, F_OK) == 0;
}

static int stage_text(const struct enrol *enrol, const char *name, struct slice text,
                      struct error_text *error)
{
    char path[PATH_SIZE];
    staged(enrol, name, path);
    return private_file_write(path, text, error);
}

static int read_staged(const struct enrol *enrol, const char *name, struct buffer *to,
                       struct error_text *error)
{
    char path[PATH_SIZE];
    staged(enrol, name, path);
    int r = private_file_read(path, BUNDLE_PART_MOST, to, error);
    buffer_append_byte(to, '\0');
    return r == 0 && to->failed ? -ENOMEM : r;
}

/* ---- what is there already ---- */

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
    for (unsigned i = 0; i < n; i++)
        snprintf(enrol->source + 2 * (size_t)i, 3, "%02x", hash[i]);
    return 0;
}

/** The number in the directory's configuration; 0: none. */
static int present_host(const struct enrol *enrol, uint64_t *host_id, struct error_text *error)
{
    struct config *config = NULL;
    char path[PATH_SIZE];
    *host_id = 0;
    final(enrol, bundle_name(BUNDLE_CONFIGURATION), path);
    int r = config_load(&config, path, error);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        *host_id = config->host_id;
    config_free(config);
    return r;
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

static int check_identity(const struct enrol *enrol, uint64_t coming, struct error_text *error)
{
    uint64_t present;
    int r = present_host(enrol, &present, error);
    if (r < 0 || enrol->options->replace || present == 0 || present == coming)
        return r;
    return error_set(error, -EEXIST,
                     "%s has the identity of host_id %" PRIu64
                     " already; --replace gives it up (ship its journal first)",
                     enrol->directory, present);
}

static int make_stage(struct enrol *enrol, struct error_text *error)
{
    const char *directory = enrol->directory;
    if (snprintf(enrol->stage, sizeof(enrol->stage), "%s/%s", directory, STAGE) >=
        (int)sizeof(enrol->stage))
        return error_set(error, -ENAMETOOLONG, "--directory: the path is too long");
    if (mkdir(enrol->stage, 0700) < 0 && errno != EEXIST)
        return error_set(error, -errno, "cannot make %s: %s", enrol->stage, strerror(errno));
    return 0;
}

static void remove_stage(const struct enrol *enrol)
{
    static const char *const others[] = {PASSWORD, REQUEST, CONNECTION, WORD, SOURCE};
    char path[PATH_SIZE];
    for (size_t i = 0; i < PLACED_N; i++) {
        staged(enrol, bundle_name(placed[i]), path);
        unlink(path);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        staged(enrol, others[i], path);
        unlink(path);
    }
    rmdir(enrol->stage);
}

/** Begun with another file. Keys that were made here, for a token, would be lost, so it has to be
 *  said; a bundle has its keys with it. */
static int begin(struct enrol *enrol, struct error_text *error)
{
    struct buffer before CLEANUP(buffer_deinit) = BUFFER_NULL;
    int r = make_stage(enrol, error);
    if (r == 0 && is_staged(enrol, SOURCE)) {
        r = read_staged(enrol, SOURCE, &before, error);
        if (r < 0 || !strcmp((char *)before.data, enrol->source))
            return r;
        if (!enrol->options->replace && is_staged(enrol, PASSWORD))
            return error_set(error, -EEXIST,
                             "another enrolment was begun in %s; --replace gives it up",
                             enrol->stage);
        remove_stage(enrol);
        r = make_stage(enrol, error);
    }
    return r == 0 ? stage_text(enrol, SOURCE, slice_text(enrol->source), error) : r;
}

/* ---- files ---- */

/** A part with its words filled in, for the directory in which it will be read. */
static int stage_options(const struct enrol *enrol, struct slice text, const char *name,
                         const char *directory, const char *user, const char *password,
                         struct error_text *error)
{
    struct buffer filled CLEANUP(private_buffer_deinit) = BUFFER_NULL;
    const struct bundle_word words[] = {
        {BUNDLE_DIRECTORY, directory     },
        {BUNDLE_USER,      user          },
        {BUNDLE_PASSWORD,  password      },
        {BUNDLE_HOST_ID,   enrol->host_id},
    };
    bundle_fill_in(&filled, text, words, sizeof(words) / sizeof(words[0]));
    return filled.failed ? -ENOMEM : stage_text(enrol, name, buffer_slice(&filled), error);
}

static int stage_own(const struct enrol *enrol, const char *password, struct error_text *error)
{
    const struct slice *parts = enrol->bundle.parts;
    char user[40];
    snprintf(user, sizeof(user), "agent_%s", enrol->host_id);
    int r = stage_options(enrol, parts[BUNDLE_OPTIONS], bundle_name(BUNDLE_OPTIONS),
                          enrol->directory, user, password, error);
    if (r == 0)
        r = stage_options(enrol, parts[BUNDLE_OPTIONS], CONNECTION, enrol->stage, user, password,
                          error);
    if (r == 0)
        r = stage_options(enrol, parts[BUNDLE_CONFIGURATION], bundle_name(BUNDLE_CONFIGURATION),
                          enrol->directory, user, password, error);
    return r;
}

static int stage_bundle(const struct enrol *enrol, struct error_text *error)
{
    const enum bundle_part plain[] = {BUNDLE_SIGNING_KEY, BUNDLE_AUTHORITY, BUNDLE_CERTIFICATE,
                                      BUNDLE_KEY};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(plain) / sizeof(plain[0]); i++)
        if (!slice_is_null(enrol->bundle.parts[plain[i]]))
            r = stage_text(enrol, bundle_name(plain[i]), enrol->bundle.parts[plain[i]], error);
    return r == 0 ? stage_own(enrol, "", error) : r;
}

static int place_text(const char *to, const struct buffer *text, struct error_text *error)
{
    return text->failed ? error_set(error, -ENOMEM, "cannot write %s: out of memory", to)
                        : private_file_write(to, buffer_slice(text), error);
}

/** A configuration that is there gets the host's number. */
static int fill_in_number(const struct enrol *enrol, const char *path, struct error_text *error)
{
    static const char unset[] = "\nhost_id = 0\n";
    const size_t length = sizeof(unset) - 1;
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer filled CLEANUP(buffer_deinit) = BUFFER_NULL;
    int r = private_file_read(path, BUNDLE_PART_MOST, &text, error);
    if (r < 0)
        return r;
    const uint8_t *at = memmem(text.data, text.length, unset, length);
    if (!at)
        return error_set(error, -EEXIST,
                         "%s is there, and has no line `host_id = 0`: write host_id = %s into its"
                         " section [agent], and run the same again",
                         path, enrol->host_id);
    size_t before = (size_t)(at - text.data);
    buffer_append(&filled, text.data, before);
    buffer_printf(&filled, "\nhost_id = %s\n", enrol->host_id);
    buffer_append(&filled, at + length, text.length - before - length);
    return place_text(path, &filled, error);
}

static int place_configuration(const struct enrol *enrol, const struct buffer *text, const char *to,
                               struct error_text *error)
{
    char before[PATH_SIZE + 8];
    uint64_t present;
    int r = present_host(enrol, &present, error);
    if (r < 0 || (present && present == strtoull(enrol->host_id, NULL, 10)))
        return r;
    if (present == 0 && access(to, F_OK) == 0)
        return fill_in_number(enrol, to, error);
    snprintf(before, sizeof(before), "%s.before", to);
    if (present && rename(to, before) < 0)
        return error_set(error, -errno, "cannot put %s aside: %s", to, strerror(errno));
    return place_text(to, text, error);
}

/** The user that the agent will become, by the configuration that will be in place. Empty: it stays
 *  who starts it. */
static int find_user(const struct enrol *enrol, char user[CONFIG_PATH_SIZE],
                     struct error_text *error)
{
    struct config *config = NULL;
    char path[PATH_SIZE];
    uint64_t present;
    int r = present_host(enrol, &present, error);
    if (r < 0)
        return r;
    const char *name = bundle_name(BUNDLE_CONFIGURATION);
    final(enrol, name, path);
    bool stays = present ? present == strtoull(enrol->host_id, NULL, 10) : access(path, F_OK) == 0;
    if (!stays)
        staged(enrol, name, path);
    r = config_load(&config, path, error);
    if (r == 0)
        snprintf(user, CONFIG_PATH_SIZE, "%s", config->user);
    config_free(config);
    return r;
}

/** The agent reads these again and again, also when it is not root any more. */
static int give_to_agent(const char *path, const char *name, struct error_text *error)
{
    const struct passwd *user = geteuid() == 0 && *name ? getpwnam(name) : NULL;
    if (user && chown(path, user->pw_uid, user->pw_gid) < 0)
        return error_set(error, -errno, "cannot give %s to the user %s: %s", path, name,
                         strerror(errno));
    return 0;
}

/** Copied, not moved: after an interruption all is still there. */
static int place_files(const struct enrol *enrol, struct error_text *error)
{
    char user[CONFIG_PATH_SIZE] = "";
    int r = find_user(enrol, user, error);
    if (r == 0 && geteuid() == 0 && *user && !getpwnam(user))
        log_warning("enroll",
                    "there is no user %s, which the agent is to become: make it, and give it the"
                    " keys and agent.cnf in %s",
                    user, enrol->directory);
    for (size_t i = 0; r == 0 && i < PLACED_N; i++) {
        struct buffer text CLEANUP(private_buffer_deinit) = BUFFER_NULL;
        const char *name = bundle_name(placed[i]);
        char from[PATH_SIZE], to[PATH_SIZE];
        staged(enrol, name, from);
        final(enrol, name, to);
        if (access(from, F_OK) < 0)
            continue;
        r = private_file_read(from, BUNDLE_PART_MOST, &text, error);
        if (r == 0)
            r = placed[i] == BUNDLE_CONFIGURATION ? place_configuration(enrol, &text, to, error)
                                                  : place_text(to, &text, error);
        if (r == 0 && placed[i] != BUNDLE_CONFIGURATION)
            r = give_to_agent(to, user, error);
    }
    return r;
}

/* ---- tokens ---- */

/** The key that signs stays when a host of the same identity only gets a new credential. */
static int find_signing_key(const struct enrol *enrol, struct signing_key **keyp,
                            struct error_text *error)
{
    char path[PATH_SIZE], there[PATH_SIZE];
    uint64_t present = 0;
    staged(enrol, bundle_name(BUNDLE_SIGNING_KEY), path);
    final(enrol, bundle_name(BUNDLE_SIGNING_KEY), there);
    int r = signing_key_load(keyp, path, error);
    if (r != -ENOENT)
        return r;
    if (!enrol->options->replace && present_host(enrol, &present, NULL) == 0 && present &&
        signing_key_load(keyp, there, NULL) == 0)
        return 0;
    return signing_key_create(keyp, path, error);
}

static int make_keys(const struct enrol *enrol, struct error_text *error)
{
    struct buffer key CLEANUP(private_buffer_deinit) = BUFFER_NULL;
    struct buffer request CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct slice host = enrol->bundle.parts[BUNDLE_HOST];
    char password[PASSWORD_SIZE], name[256];
    if (is_staged(enrol, REQUEST))
        return 0; /* made before; it is the last that is written */
    snprintf(name, sizeof(name), "%.*s", (int)host.length, (const char *)host.data);
    int r = credential_make_password(password, error);
    if (r == 0)
        r = stage_text(enrol, PASSWORD, slice_text(password), error);
    explicit_bzero(password, sizeof(password));
    if (r == 0)
        r = credential_make_key(&key, &request, name, error);
    if (r == 0)
        r = stage_text(enrol, bundle_name(BUNDLE_KEY), buffer_slice(&key), error);
    return r == 0 ? stage_text(enrol, REQUEST, buffer_slice(&request), error) : r;
}

static int hand_in(const struct enrol *enrol, const char *options, struct error_text *error)
{
    struct buffer request CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer password CLEANUP(private_buffer_deinit) = BUFFER_NULL;
    struct signing_key *key = NULL;
    uint8_t public_key[PUBLIC_KEY_SIZE];
    char hash[PASSWORD_HASH_SIZE], digits[2 * PUBLIC_KEY_SIZE + 1], fingerprint[FINGERPRINT_SIZE];
    int r = find_signing_key(enrol, &key, error);
    if (r < 0)
        return r;
    signing_key_public(key, public_key);
    signing_key_free(key);
    for (size_t i = 0; i < sizeof(public_key); i++)
        snprintf(digits + 2 * i, 3, "%02x", public_key[i]);
    r = read_staged(enrol, REQUEST, &request, error);
    if (r == 0)
        r = read_staged(enrol, PASSWORD, &password, error);
    if (r == 0)
        r = credential_hash_password((char *)password.data, hash, error);
    if (r == 0)
        r = credential_fingerprint(slice_of(request.data, request.length - 1), public_key, hash,
                                   fingerprint, error);
    if (r == 0)
        r = enrol_server_request(options, (char *)request.data, digits, hash, error);
    if (r < 0)
        return r;
    printf(
        "handed in; fingerprint %s\non the server: vestige client approve %.*s --fingerprint %s\n",
        fingerprint, (int)enrol->bundle.parts[BUNDLE_HOST].length,
        (const char *)enrol->bundle.parts[BUNDLE_HOST].data, fingerprint);
    fflush(stdout);
    return 0;
}

static int64_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec;
}

/** A server that is away for a moment does not end the waiting. */
static int wait_for_approval(const struct enrol *enrol, const char *options,
                             struct enrol_answer *answer, struct error_text *error)
{
    const struct timespec second = {.tv_sec = 1};
    int64_t start = now_s(), told = start;
    for (;;) {
        buffer_clear(&answer->certificate);
        int r = enrol_server_look(options, answer, error);
        if ((r < 0 && r != -ECONNREFUSED) || (r == 0 && answer->is_approved))
            return r;
        int64_t waited = now_s() - start;
        if (waited >= (int64_t)enrol->options->wait_s)
            return error_set(error, -EAGAIN,
                             "nobody approved within %u s; the keys are kept: run the same again"
                             " (--wait SECONDS waits longer)",
                             enrol->options->wait_s);
        if (now_s() - told >= PROGRESS_S) {
            told = now_s();
            printf("waiting for approval, %" PRId64 " s; the token is good for %ld s more\n",
                   waited, answer->seconds_left);
            fflush(stdout);
        }
        nanosleep(&second, NULL);
    }
}

static int explain(int r, struct error_text *error)
{
    struct error_text reason = *error;
    if (r == -EACCES)
        error_set(error, 0,
                  "%.350s; the server does not know this token: it was used up, withdrawn, or never"
                  " made there",
                  reason.text);
    return r;
}

static int run_token(struct enrol *enrol, struct error_text *error)
{
    const struct slice *parts = enrol->bundle.parts;
    struct enrol_answer answer = {0};
    struct buffer password CLEANUP(private_buffer_deinit) = BUFFER_NULL;
    char options[PATH_SIZE];
    staged(enrol, "token.cnf", options);
    int r = 0;
    if (!slice_is_null(parts[BUNDLE_AUTHORITY]))
        r = stage_text(enrol, bundle_name(BUNDLE_AUTHORITY), parts[BUNDLE_AUTHORITY], error);
    if (r == 0)
        r = stage_options(enrol, parts[BUNDLE_TOKEN], "token.cnf", enrol->stage, "", "", error);
    if (r == 0)
        r = make_keys(enrol, error);
    if (r == 0)
        r = hand_in(enrol, options, error);
    if (r == 0)
        r = wait_for_approval(enrol, options, &answer, error);
    unlink(options);
    if (r == 0 && answer.has_certificate)
        r = stage_text(enrol, bundle_name(BUNDLE_CERTIFICATE), buffer_slice(&answer.certificate),
                       error);
    buffer_deinit(&answer.certificate);
    if (r < 0)
        return explain(r, error);
    snprintf(enrol->host_id, sizeof(enrol->host_id), "%s", answer.host_id);
    r = check_identity(enrol, strtoull(enrol->host_id, NULL, 10), error);
    if (r == 0)
        r = read_staged(enrol, PASSWORD, &password, error);
    return r == 0 ? stage_own(enrol, (char *)password.data, error) : r;
}

/* ---- all of it ---- */

static int run_bundle(struct enrol *enrol, struct error_text *error)
{
    uint64_t coming = coming_host(enrol->bundle.parts[BUNDLE_CONFIGURATION]);
    if (coming == 0)
        return error_set(error, -EINVAL, "the bundle does not name a host_id");
    snprintf(enrol->host_id, sizeof(enrol->host_id), "%" PRIu64, coming);
    return stage_bundle(enrol, error);
}

/** A token whose files were ready before: its one-time account may be gone by now. */
static bool was_ready(struct enrol *enrol)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    if (!is_token(enrol) || !is_staged(enrol, CONNECTION) ||
        !is_staged(enrol, bundle_name(BUNDLE_CONFIGURATION)) ||
        read_staged(enrol, bundle_name(BUNDLE_CONFIGURATION), &text, NULL) < 0)
        return false;
    uint64_t host_id = coming_host(slice_of(text.data, text.length - 1));
    snprintf(enrol->host_id, sizeof(enrol->host_id), "%" PRIu64, host_id);
    return host_id > 0;
}

/** The word by which the server knows this host again, when it has to be told twice. */
static int find_word(const struct enrol *enrol, struct buffer *word, struct error_text *error)
{
    char made[PASSWORD_SIZE];
    if (is_staged(enrol, WORD))
        return read_staged(enrol, WORD, word, error);
    int r = credential_make_password(made, error);
    if (r == 0)
        r = stage_text(enrol, WORD, slice_text(made), error);
    return r == 0 ? read_staged(enrol, WORD, word, error) : r;
}

static int confirm(const struct enrol *enrol, struct error_text *error)
{
    struct buffer word CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct error_text reason = ERROR_TEXT_NULL;
    char options[PATH_SIZE];
    staged(enrol, CONNECTION, options);
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
    if (r == -EPERM && !is_token(enrol))
        remove_stage(enrol); /* of a bundle that is another's: its secrets do not belong here */
    if (r == 0)
        r = place_files(enrol, error);
    if (r < 0)
        return r;
    remove_stage(enrol);
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
        r = check_identity(&enrol, coming_host(enrol.bundle.parts[BUNDLE_CONFIGURATION]), error);
    if (r == 0)
        r = begin(&enrol, error);
    if (r == 0 && !was_ready(&enrol))
        r = is_token(&enrol) ? run_token(&enrol, error) : run_bundle(&enrol, error);
    if (r == 0)
        r = finish(&enrol, error);
    private_buffer_deinit(&enrol.text);
    if (enrol.lock >= 0)
        close(enrol.lock);
    return r;
}

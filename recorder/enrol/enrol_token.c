/* A host with a token makes its keys itself and hands in a request; they stay in the stage while it
 * waits, so that the same token goes on where it was interrupted. */
#include "recorder/enrol/enrol_private.h"

#include "core/cleanup.h"
#include "core/hex.h"
#include "core/private_file.h"
#include "recorder/enrol/enrol_server.h"
#include "recorder/keys/credential.h"
#include "recorder/keys/signing_key.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PROGRESS_S = 10 };

/** The key that signs stays when a host of the same identity only gets a new credential. */
static int find_signing_key(const struct enrol *enrol, struct signing_key **keyp,
                            struct error_text *error)
{
    char path[ENROL_PATH_SIZE], there[ENROL_PATH_SIZE];
    uint64_t present = 0;
    enrol_staged(enrol, bundle_name(BUNDLE_SIGNING_KEY), path);
    enrol_final(enrol, bundle_name(BUNDLE_SIGNING_KEY), there);
    int r = signing_key_load(keyp, path, error);
    if (r != -ENOENT)
        return r;
    if (!enrol->options->replace && enrol_present_host(enrol, &present, NULL) == 0 && present &&
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
    if (enrol_is_staged(enrol, ENROL_REQUEST))
        return 0; /* made before; it is the last that is written */
    snprintf(name, sizeof(name), "%.*s", (int)host.length, (const char *)host.data);
    int r = credential_make_password(password, error);
    if (r == 0)
        r = enrol_stage_text(enrol, ENROL_PASSWORD, slice_text(password), error);
    explicit_bzero(password, sizeof(password));
    if (r == 0)
        r = credential_make_key(&key, &request, name, error);
    if (r == 0)
        r = enrol_stage_text(enrol, bundle_name(BUNDLE_KEY), buffer_slice(&key), error);
    return r == 0 ? enrol_stage_text(enrol, ENROL_REQUEST, buffer_slice(&request), error) : r;
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
    hex_text(digits, public_key, sizeof(public_key));
    r = enrol_read_staged(enrol, ENROL_REQUEST, &request, error);
    if (r == 0)
        r = enrol_read_staged(enrol, ENROL_PASSWORD, &password, error);
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

int enrol_run_token(struct enrol *enrol, struct error_text *error)
{
    const struct slice *parts = enrol->bundle.parts;
    struct enrol_answer answer = {0};
    struct buffer password CLEANUP(private_buffer_deinit) = BUFFER_NULL;
    char options[ENROL_PATH_SIZE];
    enrol_staged(enrol, "token.cnf", options);
    int r = 0;
    if (!slice_is_null(parts[BUNDLE_AUTHORITY]))
        r = enrol_stage_text(enrol, bundle_name(BUNDLE_AUTHORITY), parts[BUNDLE_AUTHORITY], error);
    if (r == 0)
        r = enrol_stage_options(enrol, parts[BUNDLE_TOKEN], "token.cnf", enrol->stage, "", "",
                                error);
    if (r == 0)
        r = make_keys(enrol, error);
    if (r == 0)
        r = hand_in(enrol, options, error);
    if (r == 0)
        r = wait_for_approval(enrol, options, &answer, error);
    unlink(options);
    if (r == 0 && answer.has_certificate)
        r = enrol_stage_text(enrol, bundle_name(BUNDLE_CERTIFICATE),
                             buffer_slice(&answer.certificate), error);
    buffer_deinit(&answer.certificate);
    if (r < 0)
        return explain(r, error);
    snprintf(enrol->host_id, sizeof(enrol->host_id), "%s", answer.host_id);
    r = enrol_check_identity(enrol, strtoull(enrol->host_id, NULL, 10), error);
    if (r == 0)
        r = enrol_read_staged(enrol, ENROL_PASSWORD, &password, error);
    return r == 0 ? enrol_stage_own(enrol, (char *)password.data, error) : r;
}

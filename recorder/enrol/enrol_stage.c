/* DIR/.enrolling: what was begun, and with which file, so that it can be gone on with. */
#include "recorder/enrol/enrol_private.h"

#include "core/cleanup.h"
#include "core/private_file.h"

#include <string.h>
#include <sys/stat.h>

#define STAGE  ".enrolling"
#define SOURCE "source" /* SHA-256 of the file that was begun with */

void enrol_staged(const struct enrol *enrol, const char *name, char path[ENROL_PATH_SIZE])
{
    snprintf(path, ENROL_PATH_SIZE, "%s/%s", enrol->stage, name);
}

bool enrol_is_staged(const struct enrol *enrol, const char *name)
{
    char path[ENROL_PATH_SIZE];
    enrol_staged(enrol, name, path);
    return access(path, F_OK) == 0;
}

int enrol_stage_text(const struct enrol *enrol, const char *name, struct slice text,
                     struct error_text *error)
{
    char path[ENROL_PATH_SIZE];
    enrol_staged(enrol, name, path);
    return private_file_write(path, text, error);
}

int enrol_read_staged(const struct enrol *enrol, const char *name, struct buffer *to,
                      struct error_text *error)
{
    char path[ENROL_PATH_SIZE];
    enrol_staged(enrol, name, path);
    int r = private_file_read(path, BUNDLE_PART_MOST, to, error);
    buffer_append_byte(to, '\0');
    return r == 0 && to->failed ? error_set(error, -ENOMEM, "%s: out of memory", path) : r;
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

void enrol_stage_remove(const struct enrol *enrol)
{
    static const char *const others[] = {ENROL_PASSWORD, ENROL_REQUEST, ENROL_CONNECTION,
                                         ENROL_WORD, SOURCE};
    char path[ENROL_PATH_SIZE];
    for (size_t i = 0; i < ENROL_PLACED_N; i++) {
        enrol_staged(enrol, bundle_name(enrol_placed[i]), path);
        unlink(path);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        enrol_staged(enrol, others[i], path);
        unlink(path);
    }
    rmdir(enrol->stage);
}

int enrol_stage_begin(struct enrol *enrol, struct error_text *error)
{
    struct buffer before CLEANUP(buffer_deinit) = BUFFER_NULL;
    int r = make_stage(enrol, error);
    if (r == 0 && enrol_is_staged(enrol, SOURCE)) {
        r = enrol_read_staged(enrol, SOURCE, &before, error);
        if (r < 0 || !strcmp((char *)before.data, enrol->source))
            return r;
        if (!enrol->options->replace && enrol_is_staged(enrol, ENROL_PASSWORD))
            return error_set(error, -EEXIST,
                             "another enrolment was begun in %s; --replace gives it up",
                             enrol->stage);
        enrol_stage_remove(enrol);
        r = make_stage(enrol, error);
    }
    return r == 0 ? enrol_stage_text(enrol, SOURCE, slice_text(enrol->source), error) : r;
}

/** A part with its words filled in, for the directory in which it will be read. */
int enrol_stage_options(const struct enrol *enrol, struct slice text, const char *name,
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
    return filled.failed ? -ENOMEM : enrol_stage_text(enrol, name, buffer_slice(&filled), error);
}

int enrol_stage_own(const struct enrol *enrol, const char *password, struct error_text *error)
{
    const struct slice *parts = enrol->bundle.parts;
    char user[40];
    snprintf(user, sizeof(user), "agent_%s", enrol->host_id);
    int r = enrol_stage_options(enrol, parts[BUNDLE_OPTIONS], bundle_name(BUNDLE_OPTIONS),
                                enrol->directory, user, password, error);
    if (r == 0)
        r = enrol_stage_options(enrol, parts[BUNDLE_OPTIONS], ENROL_CONNECTION, enrol->stage, user,
                                password, error);
    if (r == 0)
        r = enrol_stage_options(enrol, parts[BUNDLE_CONFIGURATION],
                                bundle_name(BUNDLE_CONFIGURATION), enrol->directory, user, password,
                                error);
    return r;
}

int enrol_stage_bundle(const struct enrol *enrol, struct error_text *error)
{
    const enum bundle_part plain[] = {BUNDLE_SIGNING_KEY, BUNDLE_AUTHORITY, BUNDLE_CERTIFICATE,
                                      BUNDLE_KEY};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(plain) / sizeof(plain[0]); i++)
        if (!slice_is_null(enrol->bundle.parts[plain[i]]))
            r = enrol_stage_text(enrol, bundle_name(plain[i]), enrol->bundle.parts[plain[i]],
                                 error);
    return r == 0 ? enrol_stage_own(enrol, "", error) : r;
}

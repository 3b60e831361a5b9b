/* The configuration is the administrator's: of one that is there only the number of the host is
 * filled in, when it has none. The other files are replaced. */
#include "recorder/enrol/enrol_private.h"

#include "core/cleanup.h"
#include "core/log.h"
#include "core/private_file.h"
#include "recorder/agent/config.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const enum bundle_part enrol_placed[ENROL_PLACED_N] = {
    BUNDLE_AUTHORITY,   BUNDLE_CERTIFICATE, BUNDLE_KEY,
    BUNDLE_SIGNING_KEY, BUNDLE_OPTIONS,     BUNDLE_CONFIGURATION,
};

void enrol_final(const struct enrol *enrol, const char *name, char path[ENROL_PATH_SIZE])
{
    snprintf(path, ENROL_PATH_SIZE, "%s/%s", enrol->directory, name);
}

/** The number in the directory's configuration; 0: none. */
int enrol_present_host(const struct enrol *enrol, uint64_t *host_id, struct error_text *error)
{
    struct config *config = NULL;
    char path[ENROL_PATH_SIZE];
    *host_id = 0;
    enrol_final(enrol, bundle_name(BUNDLE_CONFIGURATION), path);
    int r = config_load(&config, path, error);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        *host_id = config->host_id;
    config_free(config);
    return r;
}

int enrol_check_identity(const struct enrol *enrol, uint64_t coming, struct error_text *error)
{
    uint64_t present;
    int r = enrol_present_host(enrol, &present, error);
    if (r < 0 || enrol->options->replace || present == 0 || present == coming)
        return r;
    return error_set(error, -EEXIST,
                     "%s has the identity of host_id %" PRIu64
                     " already; --replace gives it up (ship its journal first)",
                     enrol->directory, present);
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
    char before[ENROL_PATH_SIZE + 8];
    uint64_t present;
    int r = enrol_present_host(enrol, &present, error);
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
    char path[ENROL_PATH_SIZE];
    uint64_t present;
    int r = enrol_present_host(enrol, &present, error);
    if (r < 0)
        return r;
    const char *name = bundle_name(BUNDLE_CONFIGURATION);
    enrol_final(enrol, name, path);
    bool stays = present ? present == strtoull(enrol->host_id, NULL, 10) : access(path, F_OK) == 0;
    if (!stays)
        enrol_staged(enrol, name, path);
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

int enrol_place_files(const struct enrol *enrol, struct error_text *error)
{
    char user[CONFIG_PATH_SIZE] = "";
    int r = find_user(enrol, user, error);
    if (r == 0 && geteuid() == 0 && *user && !getpwnam(user))
        log_warning("enroll",
                    "there is no user %s, which the agent is to become: make it, and give it the"
                    " keys and agent.cnf in %s",
                    user, enrol->directory);
    for (size_t i = 0; r == 0 && i < ENROL_PLACED_N; i++) {
        struct buffer text CLEANUP(private_buffer_deinit) = BUFFER_NULL;
        const char *name = bundle_name(enrol_placed[i]);
        char from[ENROL_PATH_SIZE], to[ENROL_PATH_SIZE];
        enrol_staged(enrol, name, from);
        enrol_final(enrol, name, to);
        if (access(from, F_OK) < 0)
            continue;
        r = private_file_read(from, BUNDLE_PART_MOST, &text, error);
        if (r == 0)
            r = enrol_placed[i] == BUNDLE_CONFIGURATION
                    ? place_configuration(enrol, &text, to, error)
                    : place_text(to, &text, error);
        if (r == 0 && enrol_placed[i] != BUNDLE_CONFIGURATION)
            r = give_to_agent(to, user, error);
    }
    return r;
}

/*
 * The same code as `vestige server init` and `vestige client enroll`, on a server that is our own.
 * Passwords are renewed at each start: so the files are right after the directory was moved or
 * copied, or when one of them was lost.
 */
#include "reports/standalone/private_instance.h"
#include "core/cleanup.h"
#include "core/private_file.h"
#include "recorder/agent/config.h"
#include "reports/client/enrolment.h"
#include "reports/database/host_key.h"
#include "reports/database/schema.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#define READER "investigator"

struct preparation {
    struct private_server *server;
    MYSQL *mysql;
    struct error_text *error;
    char agent_options[4096], client_options[4096], configuration[4096], agent_state[4096];
    char signing_key[4096];
    const char *keys;            /* a file whose keys the agent begins with, or NULL */
    char user[CONFIG_PATH_SIZE]; /* whom the agent becomes; empty: it stays who starts it */
    uid_t uid;                   /* the user's */
    gid_t gid;
};

static int connect_admin(struct preparation *preparation)
{
    const struct database_options options = {.no_defaults = true,
                                             .socket = preparation->server->socket,
                                             .user = preparation->server->admin,
                                             .database = DATABASE_NAME,
                                             .select_no_database = true};
    return database_connect(&preparation->mysql, &options, preparation->error);
}

/* mariadb-install-db lets the system user `mysql` in with all privileges too, and leaves root a
 * password that no password matches. */
static int restrict_administrators(struct preparation *preparation)
{
    int outcome = database_run(preparation->mysql, preparation->error, "restrict the administrator",
                               "ALTER USER root@localhost IDENTIFIED VIA unix_socket");
    if (!outcome)
        outcome = database_run(preparation->mysql, preparation->error, "restrict the administrator",
                               "DROP USER IF EXISTS mysql@localhost");
    return outcome;
}

static int prepare_schema(struct preparation *preparation, private_server_notice notice)
{
    unsigned n_applied = 0;
    char text[80];
    int outcome = restrict_administrators(preparation);
    if (!outcome)
        outcome = schema_create_database(preparation->mysql, preparation->error);
    if (!outcome)
        outcome = schema_apply(preparation->mysql, &n_applied, preparation->error);
    if (outcome || n_applied == 0 || preparation->server->is_new)
        return outcome;
    snprintf(text, sizeof(text), "the schema was brought up to version %u", schema_latest());
    notice(text);
    return 0;
}

/* Without them only CONVERT_TZ by name is lost, so a failure is told and lived with. */
static int prepare_zones(struct preparation *preparation, private_server_notice notice)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    struct error_text reason = ERROR_TEXT_NULL;
    char text[600];
    int outcome = database_query(preparation->mysql, &result, preparation->error,
                                 "look at the time zone tables",
                                 "SELECT EXISTS (SELECT 1 FROM mysql.time_zone_name)");
    if (outcome)
        return outcome;
    MYSQL_ROW row = mysql_fetch_row(result);
    if (row && row[0] && !strcmp(row[0], "1"))
        return 0;
    if (private_server_load_zones(preparation->server, &reason)) {
        snprintf(text, sizeof(text), "CONVERT_TZ will not know the names of zones: %s",
                 reason.text);
        notice(text);
    }
    return 0;
}

static int write_options(struct preparation *preparation, const char *path,
                         const struct enrolment *enrolment)
{
    const struct enrolment_server server = {.socket = preparation->server->socket,
                                            .database = DATABASE_NAME};
    return enrolment_write_options(path, enrolment, &server, preparation->error);
}

static int prepare_reader(struct preparation *preparation)
{
    struct enrolment reader AUTO_ENROLMENT = {0};
    int outcome = enrolment_reader_create(preparation->mysql, READER, "localhost", &reader,
                                          preparation->error);
    return outcome ? outcome : write_options(preparation, preparation->client_options, &reader);
}

/* The name under which this host was enrolled here, if it was: it may have been renamed since. */
static int find_name(struct preparation *preparation, uint64_t host_id, char name[256])
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    if (gethostname(name, 255))
        strcpy(name, "localhost");
    name[255] = '\0';
    if (host_id == 0)
        return 0;
    int outcome =
        database_query(preparation->mysql, &result, preparation->error, "look this host up",
                       "SELECT name FROM enrolment WHERE host_id = %" PRIu64, host_id);
    if (outcome)
        return outcome;
    MYSQL_ROW row = mysql_fetch_row(result);
    if (!row)
        return error_set(preparation->error, -ENOENT,
                         "%s says host_id %" PRIu64
                         ", which this database does not know; remove that file to have it made "
                         "again",
                         preparation->configuration, host_id);
    snprintf(name, 256, "%s", row[0]);
    return 0;
}

/* Directories of older versions do not name a key: then the agent is told of it when it starts. */
static bool has_other_key(const struct preparation *preparation, const struct config *config)
{
    return strcmp(config->signing_key, preparation->signing_key) != 0 &&
           strcmp(config->signing_key, SIGNING_KEY_DEFAULT) != 0;
}

static int check_configuration(struct preparation *preparation, uint64_t *host_id)
{
    struct config *config = NULL;
    *host_id = 0;
    if (access(preparation->configuration, F_OK))
        return 0;
    int outcome = config_load(&config, preparation->configuration, preparation->error);
    if (outcome)
        return outcome;
    *host_id = config->host_id;
    if (!preparation->user[0])
        strcpy(preparation->user, config->user);
    if (strcmp(config->state_directory, preparation->agent_state) ||
        strcmp(config->defaults_file, preparation->agent_options) ||
        has_other_key(preparation, config))
        outcome = error_set(preparation->error, -EINVAL,
                            "%s: state_directory, defaults_file and signing_key are not %s, %s "
                            "and %s; was the directory moved? Set them, or remove the file to "
                            "have it made again",
                            preparation->configuration, preparation->agent_state,
                            preparation->agent_options, preparation->signing_key);
    config_free(config);
    return outcome;
}

/* What is wrong in the user's file is told with its name and line. */
static int check_keys(struct preparation *preparation)
{
    struct config *config = NULL;
    if (!preparation->keys)
        return 0;
    if (!access(preparation->configuration, F_OK))
        return error_set(preparation->error, -EEXIST,
                         "--config is for the first start, and %s is there already: write the keys "
                         "of %s into it",
                         preparation->configuration, preparation->keys);
    int outcome = config_load(&config, preparation->keys, preparation->error);
    config_free(config);
    return outcome;
}

/* Keys that are the user's must not be ours, too. */
static int check_together(struct preparation *preparation)
{
    struct config *config = NULL;
    struct error_text reason = ERROR_TEXT_NULL;
    if (!preparation->keys)
        return 0;
    int outcome = config_load(&config, preparation->configuration, &reason);
    config_free(config);
    if (outcome) {
        unlink(preparation->configuration);
        error_set(preparation->error, outcome,
                  "with the keys of %s, below those that are always set, it would be %s",
                  preparation->keys, reason.text);
    }
    return outcome;
}

static int write_configuration(struct preparation *preparation, uint64_t host_id)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    if (!access(preparation->configuration, F_OK))
        return 0;
    buffer_printf(
        &text,
        "# Made by vestige standalone, and never changed by it; see vestiged --dump-config "
        "for all keys.\n"
        "[agent]\nhost_id = %" PRIu64 "\nstate_directory = %s\n"
        "defaults_file = %s\nsigning_key = %s\nuser = %s\n",
        host_id, preparation->agent_state, preparation->agent_options, preparation->signing_key,
        preparation->user);
    int outcome = preparation->keys ? private_file_read(preparation->keys, CONFIG_FILE_MOST, &text,
                                                        preparation->error)
                                    : 0;
    if (!outcome && text.failed)
        outcome = error_set(preparation->error, -ENOMEM, "no memory for vestiged.conf");
    if (!outcome)
        outcome =
            private_file_write(preparation->configuration, buffer_slice(&text), preparation->error);
    return outcome ? outcome : check_together(preparation);
}

/* The file first: a row without it would be a key that nobody has. */
static int prepare_key(struct preparation *preparation, uint64_t host_id)
{
    struct signing_key *key = NULL;
    uint8_t public_key[PUBLIC_KEY_SIZE];
    int outcome = signing_key_load(&key, preparation->signing_key, preparation->error);
    if (outcome == -ENOENT)
        outcome = signing_key_create(&key, preparation->signing_key, preparation->error);
    if (outcome)
        return outcome;
    signing_key_public(key, public_key);
    signing_key_free(key);
    return host_key_add(preparation->mysql, host_id, public_key, preparation->error);
}

/* Root does not write into a directory of somebody else's as root. */
static void choose_owner(struct preparation *preparation)
{
    struct stat status;
    bool made = access(preparation->configuration, F_OK) == 0;
    if (preparation->user[0] || made || geteuid() != 0 ||
        stat(preparation->server->directory->path, &status) || status.st_uid == 0)
        return;
    const struct passwd *owner = getpwuid(status.st_uid);
    if (owner)
        snprintf(preparation->user, sizeof(preparation->user), "%s", owner->pw_name);
}

static int find_user(struct preparation *preparation)
{
    preparation->uid = geteuid();
    preparation->gid = getegid();
    if (!preparation->user[0])
        return 0;
    const struct passwd *user = getpwnam(preparation->user);
    if (!user)
        return error_set(preparation->error, -ENOENT,
                         "there is no user %s, whom the agent is to "
                         "become; give another as --user NAME",
                         preparation->user);
    preparation->uid = user->pw_uid;
    preparation->gid = user->pw_gid;
    return 0;
}

/* What is the agent's, where it is another user than the one who starts it. */
static int give_to_user(const struct preparation *preparation, const char *path)
{
    if (preparation->uid == geteuid() || lchown(path, preparation->uid, preparation->gid) == 0)
        return 0;
    return error_set(preparation->error, -errno, "%s cannot be given to the user %s: %s", path,
                     preparation->user, strerror(errno));
}

/* Its group passes through the directory to its state and to the server's socket. */
static int let_through(const struct preparation *preparation)
{
    const char *above = preparation->server->directory->path;
    char sockets[4096];
    struct stat status;
    private_directory_file(preparation->server->directory, "run", sockets);
    if (preparation->uid == geteuid() || stat(above, &status) || status.st_uid == preparation->uid)
        return 0;
    if (lchown(above, (uid_t)-1, preparation->gid) ||
        lchown(sockets, (uid_t)-1, preparation->gid) ||
        chmod(above, (status.st_mode | S_IXGRP) & 07777))
        return error_set(preparation->error, -errno, "the user %s cannot be let through %s: %s",
                         preparation->user, above, strerror(errno));
    return 0;
}

static int make_state(const struct preparation *preparation)
{
    if (mkdir(preparation->agent_state, 0700) == 0)
        return give_to_user(preparation, preparation->agent_state);
    return errno == EEXIST ? 0
                           : error_set(preparation->error, -errno, "%s cannot be made: %s",
                                       preparation->agent_state, strerror(errno));
}

static int prepare_agent(struct preparation *preparation)
{
    struct enrolment agent AUTO_ENROLMENT = {0};
    uint64_t host_id;
    char name[256];
    choose_owner(preparation);
    int outcome = check_keys(preparation);
    if (!outcome)
        outcome = check_configuration(preparation, &host_id);
    if (!outcome)
        outcome = find_user(preparation);
    if (!outcome)
        outcome = let_through(preparation);
    if (!outcome)
        outcome = make_state(preparation);
    if (!outcome)
        outcome = find_name(preparation, host_id, name);
    if (outcome)
        return outcome;
    outcome = enrolment_create(preparation->mysql, name, "localhost", &agent, preparation->error);
    if (outcome == -EEXIST)
        outcome = enrolment_renew(preparation->mysql, name, &agent, preparation->error);
    if (!outcome)
        outcome = write_options(preparation, preparation->agent_options, &agent);
    if (!outcome)
        outcome = give_to_user(preparation, preparation->agent_options);
    if (!outcome)
        outcome = prepare_key(preparation, agent.host_id);
    return outcome ? outcome : write_configuration(preparation, agent.host_id);
}

int private_instance_prepare(struct private_server *server,
                             const struct private_instance_agent *agent,
                             private_server_notice notice, struct error_text *error)
{
    struct preparation preparation = {.server = server, .error = error};
    private_directory_file(server->directory, "agent.cnf", preparation.agent_options);
    private_directory_file(server->directory, "client.cnf", preparation.client_options);
    private_directory_file(server->directory, "vestiged.conf", preparation.configuration);
    private_directory_file(server->directory, "agent", preparation.agent_state);
    private_directory_file(server->directory, "signing.key", preparation.signing_key);
    const char *user = agent && agent->user ? agent->user : "";
    if (strlen(user) >= sizeof(preparation.user))
        return error_set(error, -ENAMETOOLONG, "--user %.40s...: the name is too long", user);
    strcpy(preparation.user, user);
    preparation.keys = agent ? agent->keys : NULL;
    int outcome = connect_admin(&preparation);
    if (!outcome)
        outcome = prepare_schema(&preparation, notice);
    if (!outcome)
        outcome = prepare_zones(&preparation, notice);
    if (!outcome)
        outcome = prepare_reader(&preparation);
    if (!outcome && agent)
        outcome = prepare_agent(&preparation);
    database_close(preparation.mysql);
    return outcome;
}

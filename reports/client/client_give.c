/* What a host gets is made in a directory of its own, beside the place where it will be, before the
 * account is made or changed; then it is moved there. What can fail fails before the server is
 * changed, and what a host had before works until then. A bundle is that directory in one file.
 *
 * A signal that would end the program waits until one host is done or undone. */
#include "core/cleanup.h"
#include "core/log.h"
#include "core/private_file.h"
#include "recorder/agent/config.h"
#include "recorder/keys/bundle.h"
#include "recorder/keys/signing_key.h"
#include "reports/client/client.h"
#include "reports/database/host_key.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PACKED "bundle"

enum { LOCK_TRIES = 15 };

struct giving {
    struct client *client;
    MYSQL *connection;
    const char *name, *from;
    const char *target;   /* a directory, or the file of a bundle */
    bool is_bundle, made; /* the directory was not there before */
    char directory[4000]; /* in which the files are made */
    bool is_changed;      /* the account is made, or has its new credential */
    bool is_delivered;    /* the files are in their place */
    bool has_key;         /* a new signing key */
    uint8_t public_key[PUBLIC_KEY_SIZE];
    struct enrolled before; /* when it was enrolled */
    struct enrolment enrolment;
};

static void path_of(const struct giving *giving, const char *file, char path[4096])
{
    snprintf(path, 4096, "%s/%s", giving->directory, file);
}

enum enrolment_demand client_demand(const struct client *client)
{
    if (client->server.socket || client->allow_cleartext)
        return DEMAND_NOTHING;
    return client->without_certificate ? DEMAND_TLS : DEMAND_CERTIFICATE;
}

static int ask_place(MYSQL *connection, char place[3][256], struct error_text *error)
{
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r = database_query(connection, &result, error, "ask the server for its place",
                           "SELECT @@socket, @@port, @@hostname");
    MYSQL_ROW row = r == 0 ? mysql_fetch_row(result) : NULL;
    if (!row)
        return r < 0 ? r : error_set(error, -EIO, "the server does not say where it is");
    for (int i = 0; i < 3; i++)
        snprintf(place[i], 256, "%s", row[i] ? row[i] : "");
    return 0;
}

/** The name given, else that of before; NULL: as this connection reaches it. */
static const char *address_of(const struct client *client, const struct enrolled *before)
{
    return client->address                                 ? client->address
           : before && before->address[0]                  ? before->address
           : client->options.host && *client->options.host ? client->options.host
                                                           : NULL;
}

/** How the agent reaches the server. Whoever names an authority wants certificates, which a socket
 *  has no use for. */
static int find_server(struct client *client, MYSQL *connection, const struct enrolled *before,
                       struct error_text *error)
{
    struct enrolment_server *server = &client->server;
    char place[3][256];
    int r = ask_place(connection, place, error);
    if (r < 0)
        return r;
    *server = (struct enrolment_server){.database = database_name(connection),
                                        .directory = client->host_directory,
                                        .allows_cleartext = client->allow_cleartext};
    const char *address = address_of(client, before);
    bool by_socket = !strcmp(mysql_get_host_info(connection), "Localhost via UNIX socket");
    if (!address && by_socket && client->ca_directory && !before) {
        address = place[2];
        log_warning("client", "agents will reach the server as %s; --address names another",
                    address);
    }
    if (!address && by_socket) {
        if (access(CLIENT_CA_DIRECTORY "/ca.pem", F_OK) == 0)
            log_notice("client", "the agent will reach the server by its socket, on this machine"
                                 " alone; --address names the server for another");
        snprintf(client->place, sizeof(client->place), "%s", place[0]);
        server->socket = client->place;
        return 0;
    }
    bool is_before = before && before->port && address == before->address;
    snprintf(client->place, sizeof(client->place), "%s", address ? address : connection->host);
    server->host = client->place;
    server->port = client->options.port ? (unsigned)client->options.port
                   : is_before          ? before->port
                                        : (unsigned)strtoul(place[1], NULL, 10);
    return 0;
}

int client_prepare(struct client *client, MYSQL *connection, const struct enrolled *before,
                   struct error_text *error)
{
    int r = find_server(client, connection, before, error);
    if (r < 0)
        return r;
    enum enrolment_demand demand = client_demand(client);
    if (client->allow_cleartext && client->ca_directory)
        return error_set(error, -EINVAL, "give either --ca-directory or --allow-cleartext");
    if (demand != DEMAND_CERTIFICATE && !client->ca_directory)
        return 0;
    const char *directory = client->ca_directory ? client->ca_directory : CLIENT_CA_DIRECTORY;
    r = authority_open(&client->authority, directory, error);
    if (r == -ENOENT && !client->ca_directory && access(CLIENT_CA_DIRECTORY "/ca.pem", F_OK) < 0)
        return error_set(error, r,
                         "the server is reached over TCP, so its agents need certificates: make an"
                         " authority with deploy/fleet/make-ca and name it with --ca-directory");
    client->server.has_authority = r == 0 && !client->server.socket;
    client->server.has_certificate = r == 0 && demand == DEMAND_CERTIFICATE;
    return r;
}

static int make_signing_key(struct giving *giving, struct error_text *error)
{
    struct signing_key *key = NULL;
    char path[4096];
    path_of(giving, bundle_name(BUNDLE_SIGNING_KEY), path);
    int r = signing_key_create(&key, path, error);
    if (r < 0)
        return r;
    signing_key_public(key, giving->public_key);
    signing_key_free(key);
    giving->has_key = true;
    return 0;
}

/* ---- the files ---- */

static int write_part(const struct giving *giving, enum bundle_part part, struct slice text,
                      struct error_text *error)
{
    char path[4096];
    path_of(giving, bundle_name(part), path);
    return private_file_write(path, text, error);
}

static int write_options(const struct giving *giving, struct error_text *error)
{
    const struct enrolment *enrolment = &giving->enrolment;
    const struct enrolment_server *server = &giving->client->server;
    struct buffer options CLEANUP(private_buffer_deinit) = BUFFER_NULL;
    struct buffer configuration CLEANUP(buffer_deinit) = BUFFER_NULL;
    char host_id[24];
    snprintf(host_id, sizeof(host_id), "%" PRIu64, enrolment->host_id);
    int r = enrolment_append_options(&options, enrolment, server, error);
    enrolment_append_configuration(&configuration, giving->name, host_id, server->directory);
    if (r == 0 && (options.failed || configuration.failed))
        r = error_set(error, -ENOMEM, "out of memory");
    if (r == 0)
        r = write_part(giving, BUNDLE_OPTIONS, buffer_slice(&options), error);
    return r == 0 ? write_part(giving, BUNDLE_CONFIGURATION, buffer_slice(&configuration), error)
                  : r;
}

static int write_files(const struct giving *giving, struct error_text *error)
{
    const struct enrolment_server *server = &giving->client->server;
    const struct enrolment *enrolment = &giving->enrolment;
    int r = write_options(giving, error);
    if (r == 0 && server->has_authority)
        r = write_part(giving, BUNDLE_AUTHORITY, authority_pem(giving->client->authority), error);
    if (r == 0 && server->has_certificate)
        r = write_part(giving, BUNDLE_CERTIFICATE, buffer_slice(&enrolment->certificate.pem),
                       error);
    return r == 0 && server->has_certificate
               ? write_part(giving, BUNDLE_KEY, buffer_slice(&enrolment->key), error)
               : r;
}

static void remove_parts(const char *directory)
{
    char path[4400];
    for (int part = 0; part < BUNDLE_PART_N; part++) {
        snprintf(path, sizeof(path), "%s/%s", directory, bundle_name((enum bundle_part)part));
        unlink(path);
    }
}

static void remove_files(const struct giving *giving)
{
    char path[4096];
    remove_parts(giving->directory);
    path_of(giving, PACKED, path);
    unlink(path);
    rmdir(giving->directory);
}

/** Of a host that could not be enrolled. */
static void take_back_files(const struct giving *giving)
{
    if (giving->is_bundle)
        unlink(giving->target);
    else
        remove_parts(giving->target);
}

static int pack(const struct giving *giving, struct error_text *error)
{
    char to[4096];
    struct buffer bundle CLEANUP(private_buffer_deinit) = {.limit = BUNDLE_MOST};
    bundle_begin(&bundle);
    bundle_append(&bundle, BUNDLE_HOST, slice_text(giving->name));
    for (int part = BUNDLE_HOST + 1; part < BUNDLE_PART_N; part++) {
        struct buffer text CLEANUP(private_buffer_deinit) = BUFFER_NULL;
        char path[4096];
        path_of(giving, bundle_name((enum bundle_part)part), path);
        int r = private_file_read(path, BUNDLE_PART_MOST, &text, error);
        if (r == -ENOENT)
            continue;
        if (r < 0)
            return r;
        bundle_append(&bundle, (enum bundle_part)part, buffer_slice(&text));
    }
    int r = bundle_end(&bundle);
    if (r < 0)
        return error_set(error, r, "cannot make the bundle: %s", strerror(-r));
    path_of(giving, PACKED, to);
    return private_file_write(to, buffer_slice(&bundle), error);
}

static int move_files(const struct giving *giving, struct error_text *error)
{
    int r = 0;
    for (int part = 0; r == 0 && part < BUNDLE_PART_N; part++) {
        char from[4096], to[4400];
        const char *name = bundle_name((enum bundle_part)part);
        path_of(giving, name, from);
        snprintf(to, sizeof(to), "%s/%s", giving->target, name);
        if (access(from, F_OK) == 0)
            r = private_file_move(from, to, true, error);
    }
    return r;
}

/* ---- the account ---- */

static int prepare(void *who, const struct enrolment *enrolment, struct error_text *error)
{
    struct giving *giving = who;
    (void)enrolment;
    int r = write_files(giving, error);
    return r == 0 && giving->is_bundle ? pack(giving, error) : r;
}

static int deliver(void *who, const struct enrolment *enrolment, struct error_text *error)
{
    struct giving *giving = who;
    char packed[4096];
    giving->is_changed = true;
    int r = giving->has_key
                ? host_key_add(giving->connection, enrolment->host_id, giving->public_key, error)
                : 0;
    path_of(giving, PACKED, packed);
    if (r == 0)
        r = giving->is_bundle ? private_file_move(packed, giving->target, false, error)
                              : move_files(giving, error);
    giving->is_delivered = r == 0;
    return r;
}

static int make_account(struct giving *giving, enum client_action action, struct error_text *error)
{
    const struct client *client = giving->client;
    struct enrolment *enrolment = &giving->enrolment;
    const struct enrolment_terms terms = {.demand = client_demand(client),
                                          .authority = client->authority,
                                          .days = (unsigned)client->days,
                                          .address = client->server.host,
                                          .port = client->server.port,
                                          .prepare = prepare,
                                          .deliver = deliver,
                                          .who = giving};
    MYSQL *connection = giving->connection;
    enrolment->terms = &terms;
    int r = action == CLIENT_ENROLL
                ? enrolment_create(connection, giving->name, giving->from, enrolment, error)
            : action == CLIENT_ROTATE
                ? enrolment_renew(connection, giving->name, enrolment, error)
                : enrolment_reinstate(connection, giving->name, enrolment, error);
    enrolment->terms = NULL;
    return r;
}

/* ---- one host ---- */

static void tell(const struct giving *giving)
{
    const struct enrolment *enrolment = &giving->enrolment;
    printf("host %s is host_id %" PRIu64 ", account %s@%s\n", giving->name, enrolment->host_id,
           enrolment->user, enrolment->from);
    if (enrolment->demand == DEMAND_CERTIFICATE) {
        time_t until = (time_t)enrolment->certificate.until;
        struct tm day;
        char text[32];
        gmtime_r(&until, &day);
        strftime(text, sizeof(text), "%Y-%m-%d", &day);
        printf("certificate %s, good until %s\n", enrolment->certificate.subject, text);
    }
    if (giving->is_bundle)
        printf("take %s to the host and run there, once: vestiged --enroll %s\n", giving->target,
               giving->target);
    else
        printf("copy what is in %s to %s on the host; agent.cnf holds the password%s\n",
               giving->target,
               giving->client->host_directory ? giving->client->host_directory : "/etc/vestige",
               giving->has_key ? ", signing.key signs its evidence" : "");
}

/** What it had before stops: its sessions, and its certificate. */
static int end_old(const struct giving *giving, enum client_action action, struct error_text *error)
{
    if (action == CLIENT_ENROLL)
        return 0;
    int r = enrolment_end_sessions(giving->connection, giving->enrolment.user, NULL, error);
    return r == 0
               ? client_take_back(giving->client, giving->connection, giving->before.serial, error)
               : r;
}

/** It has one, unless a crash came between. */
static int needs_key(const struct giving *giving, enum client_action action, bool *needs,
                     struct error_text *error)
{
    struct buffer keys CLEANUP(buffer_deinit) = BUFFER_NULL;
    *needs = action != CLIENT_ROTATE || giving->client->signing_key;
    int r = *needs ? 0 : host_key_list(giving->connection, giving->before.host_id, &keys, error);
    if (r == 0 && !*needs)
        *needs = keys.length == 0;
    return r;
}

static int give_now(struct giving *giving, enum client_action action, struct error_text *error)
{
    bool wants_key;
    int r = needs_key(giving, action, &wants_key, error);
    if (r == 0 && wants_key)
        r = make_signing_key(giving, error);
    if (r == 0)
        r = make_account(giving, action, error);
    if (r < 0 && giving->is_delivered && action == CLIENT_ENROLL)
        take_back_files(giving);
    if (r < 0 && giving->is_changed && action != CLIENT_ENROLL)
        log_warning("client",
                    "the account of %s is changed already; `vestige client rotate %s` makes its"
                    " files again",
                    giving->name, giving->name);
    if (r < 0)
        return r;
    tell(giving);
    return end_old(giving, action, error);
}

static int make_beside(struct giving *giving, const char *suffix, struct error_text *error)
{
    int n = snprintf(giving->directory, sizeof(giving->directory), "%s%s.XXXXXX", giving->target,
                     suffix);
    if (n >= (int)sizeof(giving->directory))
        return error_set(error, -ENAMETOOLONG, "%.200s...: the path is too long", giving->target);
    if (!mkdtemp(giving->directory))
        return error_set(error, -errno, "cannot make files for %s: %s", giving->target,
                         strerror(errno));
    return 0;
}

static int refuse_there(const char *path, struct error_text *error)
{
    struct stat status;
    return lstat(path, &status) < 0
               ? 0
               : error_set(error, -EEXIST, "%s is there already; remove it, or name another file",
                           path);
}

static bool has_part(const char *directory)
{
    char path[4400];
    bool found = false;
    for (int part = 0; !found && part < BUNDLE_PART_N; part++) {
        snprintf(path, sizeof(path), "%s/%s", directory, bundle_name((enum bundle_part)part));
        found = access(path, F_OK) == 0;
    }
    return found;
}

/** The files of another host, or of the authority, would be lost. */
static int check_directory(const struct giving *giving, enum client_action action,
                           struct error_text *error)
{
    struct config *config = NULL;
    char path[4200];
    bool others = action == CLIENT_ENROLL && has_part(giving->target);
    if (action != CLIENT_ENROLL) {
        snprintf(path, sizeof(path), "%.4000s/%s", giving->target,
                 bundle_name(BUNDLE_CONFIGURATION));
        others = config_load(&config, path, NULL) == 0 && config->host_id &&
                 config->host_id != giving->before.host_id;
        config_free(config);
    }
    return others ? error_set(error, -EEXIST,
                              "%s has the files of another host: name another with --directory",
                              giving->target)
                  : 0;
}

static int prepare_directory(struct giving *giving, enum client_action action,
                             struct error_text *error)
{
    const char *directory = giving->target;
    giving->made = mkdir(directory, 0700) == 0;
    if (!giving->made && errno != EEXIST)
        return error_set(error, -errno, "cannot make the directory %s: %s", directory,
                         strerror(errno));
    if (access(directory, W_OK | X_OK) < 0)
        return error_set(error, -errno, "cannot write to the directory %s: %s", directory,
                         strerror(errno));
    int r = check_directory(giving, action, error);
    return r == 0 ? make_beside(giving, "/.new", error) : r;
}

static int give_bundle(struct giving *giving, enum client_action action, struct error_text *error)
{
    const char *host_directory = giving->client->server.directory;
    int r = refuse_there(giving->target, error);
    if (r == 0)
        r = make_beside(giving, "", error);
    if (r < 0)
        return r;
    giving->client->server.directory = BUNDLE_DIRECTORY;
    r = give_now(giving, action, error);
    giving->client->server.directory = host_directory;
    remove_files(giving);
    return r;
}

static int give_directory(struct giving *giving, enum client_action action,
                          struct error_text *error)
{
    int r = prepare_directory(giving, action, error);
    if (r == 0) {
        r = give_now(giving, action, error);
        remove_files(giving);
    }
    if (r < 0 && giving->made)
        rmdir(giving->target);
    return r;
}

/* ---- tokens ---- */

static int write_token(struct giving *giving, const struct token *token, uint64_t host_id,
                       struct error_text *error)
{
    char number[24]; /* of a host that has one */
    snprintf(number, sizeof(number), "%" PRIu64, host_id);
    struct client *client = giving->client;
    struct enrolment template = {.host_id = 1, .user = BUNDLE_USER, .password = BUNDLE_PASSWORD};
    struct enrolment once = {.host_id = 1};
    struct enrolment_server server = client->server;
    struct buffer options CLEANUP(private_buffer_deinit) = BUFFER_NULL;
    struct buffer later CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer configuration CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct buffer bundle CLEANUP(private_buffer_deinit) = {.limit = BUNDLE_MOST};
    server.directory = BUNDLE_DIRECTORY;
    snprintf(once.user, sizeof(once.user), "%s", token->user);
    snprintf(once.password, sizeof(once.password), "%s", token->password);
    int r = enrolment_append_options(&later, &template, &server, error);
    server.has_certificate = false;
    if (r == 0)
        r = enrolment_append_options(&options, &once, &server, error);
    enrolment_deinit(&once);
    if (r < 0)
        return r;
    enrolment_append_configuration(&configuration, giving->name, host_id ? number : BUNDLE_HOST_ID,
                                   server.directory);
    bundle_begin(&bundle);
    bundle_append(&bundle, BUNDLE_HOST, slice_text(giving->name));
    bundle_append(&bundle, BUNDLE_TOKEN, buffer_slice(&options));
    bundle_append(&bundle, BUNDLE_OPTIONS, buffer_slice(&later));
    bundle_append(&bundle, BUNDLE_CONFIGURATION, buffer_slice(&configuration));
    if (server.has_authority)
        bundle_append(&bundle, BUNDLE_AUTHORITY, authority_pem(client->authority));
    r = options.failed || later.failed || configuration.failed ? -ENOMEM : bundle_end(&bundle);
    if (r < 0)
        return error_set(error, r, "cannot make the token: %s", strerror(-r));
    return private_file_write(client->token, buffer_slice(&bundle), error);
}

static int give_token(struct giving *giving, enum client_action action, struct error_text *error)
{
    struct client *client = giving->client;
    struct enrolled there = {0};
    struct token token;
    int r = enrolment_find(giving->connection, giving->name, &there, NULL);
    if (r == 0 && there.is_half_made && action == CLIENT_ENROLL) {
        there = (struct enrolled){0};
        r = -ENOENT;
    }
    bool is_there = r == 0 && !there.is_revoked && !there.is_retired;
    if (r == 0 && action == CLIENT_ENROLL)
        return error_set(error, -EEXIST,
                         "host %s is enrolled already; `vestige client %s %s --token FILE` gives it"
                         " a new credential",
                         giving->name, is_there ? "rotate" : "reinstate", giving->name);
    if (action == CLIENT_REINSTATE)
        return error_set(error, -EINVAL, "reinstate gives files or a bundle, no token");
    if (action == CLIENT_ROTATE && !is_there)
        return error_set(error, -ENOENT,
                         "host %s may not connect: `vestige client reinstate %s` lets it in again",
                         giving->name, giving->name);
    const struct token_terms terms = {.host_id = there.host_id,
                                      .demand = client_demand(client),
                                      .minutes = (unsigned)client->minutes,
                                      .address = client->server.host,
                                      .port = client->server.port};
    r = refuse_there(client->token, error);
    if (r < 0)
        return r;
    r = token_create(giving->connection, giving->name, is_there ? there.from : giving->from, &terms,
                     &token, error);
    if (r == 0)
        r = write_token(giving, &token, there.host_id, error);
    explicit_bzero(token.password, sizeof(token.password));
    if (r < 0 && token_withdraw(giving->connection, giving->name, NULL) < 0)
        log_warning("client", "the account of the token could not be dropped");
    if (r == 0)
        printf("take %s to host %s within %" PRIu64 " minutes and run there:"
               " vestiged --enroll %s\nthen, with the fingerprint that it shows:"
               " vestige client approve %s --fingerprint HEX\n",
               client->token, giving->name, client->minutes, client->token, giving->name);
    return r;
}

/** What it had, to be taken back; and that it may be given anything, before keys are made. */
static int look_before(struct giving *giving, enum client_action action, struct error_text *error)
{
    int r = enrolment_check_name(giving->name, error);
    if (r == 0 && action == CLIENT_ENROLL)
        r = enrolment_check_from(giving->from, error);
    if (r == 0 && action == CLIENT_ENROLL && !giving->client->token)
        r = enrolment_check_new(giving->connection, giving->name, error);
    if (r < 0 || action == CLIENT_ENROLL)
        return r;
    return enrolment_find(giving->connection, giving->name, &giving->before, error);
}

/** Another one who gives something to the same host is waited for, some seconds at a time. */
static int lock_host(const struct giving *giving, struct error_text *error)
{
    char job[128];
    int r = -EBUSY;
    snprintf(job, sizeof(job), "client.%.100s", giving->name);
    for (int i = 0; i < LOCK_TRIES && r == -EBUSY; i++)
        r = database_lock_job(giving->connection, job, error);
    return r;
}

static int give(struct giving *giving, enum client_action action, struct error_text *error)
{
    const struct client *client = giving->client;
    int r = look_before(giving, action, error);
    if (r < 0)
        return r;
    r = lock_host(giving, error);
    if (r < 0)
        return r;
    if (client->token)
        return give_token(giving, action, error);
    giving->is_bundle = client->bundle != NULL;
    giving->target = client->bundle      ? client->bundle
                     : client->directory ? client->directory
                                         : giving->name;
    return giving->is_bundle ? give_bundle(giving, action, error)
                             : give_directory(giving, action, error);
}

int client_give(struct client *client, MYSQL *connection, enum client_action action,
                const char *name, const char *from, struct error_text *error)
{
    struct giving giving = {
        .client = client,
        .connection = connection,
        .name = name,
        .from = from                    ? from
                : client->from          ? client->from
                : client->server.socket ? "localhost"
                                        : "%",
    };
    sigset_t ends, before;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    sigprocmask(SIG_BLOCK, &ends, &before);
    int r = give(&giving, action, error);
    if (database_run(connection, NULL, "", "DO RELEASE_ALL_LOCKS()") < 0)
        log_debug("client", "the connection is lost, and with it the lock");
    enrolment_deinit(&giving.enrolment);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}

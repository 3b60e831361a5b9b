/* What a host gets is made in a directory first, and the keys before the account: what can fail
 * fails before the server is changed. A bundle is that directory in one file; the directory is
 * removed. */
#include "core/cleanup.h"
#include "core/log.h"
#include "core/private_file.h"
#include "recorder/keys/bundle.h"
#include "recorder/keys/signing_key.h"
#include "reports/client/client.h"
#include "reports/database/host_key.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define KEY_BESIDE "signing.key.next"

struct giving {
    struct client *client;
    MYSQL *connection;
    const char *name, *from;
    char directory[4000];
    bool has_key; /* a new signing key */
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

/** How the agent reaches the server: by the address given, else as this connection does. */
static int find_server(struct client *client, MYSQL *connection, struct error_text *error)
{
    struct enrolment_server *server = &client->server;
    *server = (struct enrolment_server){.database = database_name(connection),
                                        .directory = client->host_directory,
                                        .allows_cleartext = client->allow_cleartext};
    MYSQL_RES *result AUTO_RESULT = NULL;
    int r = database_query(connection, &result, error, "ask the server for its place",
                           "SELECT @@socket, @@port");
    MYSQL_ROW row = r == 0 ? mysql_fetch_row(result) : NULL;
    if (!row)
        return r < 0 ? r : error_set(error, -EIO, "the server does not say where it is");
    bool by_socket =
        !client->address && !strcmp(mysql_get_host_info(connection), "Localhost via UNIX socket");
    const char *host = client->address ? client->address : client->options.host;
    snprintf(client->place, sizeof(client->place), "%s",
             by_socket ? row[0]
             : host    ? host
                       : connection->host);
    if (by_socket) {
        server->socket = client->place;
    } else {
        server->host = client->place;
        server->port = client->options.port ? (unsigned)client->options.port
                                            : (unsigned)strtoul(row[1], NULL, 10);
    }
    return 0;
}

int client_prepare(struct client *client, MYSQL *connection, struct error_text *error)
{
    int r = find_server(client, connection, error);
    if (r < 0)
        return r;
    enum enrolment_demand demand = client_demand(client);
    if (client->allow_cleartext && client->ca_directory)
        return error_set(error, -EINVAL, "give either --ca-directory or --allow-cleartext");
    if (demand != DEMAND_CERTIFICATE && !client->ca_directory)
        return 0;
    const char *directory = client->ca_directory ? client->ca_directory : CLIENT_CA_DIRECTORY;
    r = authority_open(&client->authority, directory, error);
    if (r == -ENOENT && !client->ca_directory)
        return error_set(error, r,
                         "the server is reached over TCP, so its agents need certificates: make an"
                         " authority with deploy/fleet/make-ca and name it with --ca-directory");
    client->server.has_authority = r == 0 && !client->server.socket;
    client->server.has_certificate = r == 0 && demand == DEMAND_CERTIFICATE;
    return r;
}

static int prepare_directory(const char *directory, struct error_text *error)
{
    if (mkdir(directory, 0700) < 0 && errno != EEXIST)
        return error_set(error, -errno, "cannot make the directory %s: %s", directory,
                         strerror(errno));
    if (access(directory, W_OK | X_OK) < 0)
        return error_set(error, -errno, "cannot write to the directory %s: %s", directory,
                         strerror(errno));
    return 0;
}

static int make_signing_key(struct giving *giving, struct error_text *error)
{
    struct signing_key *key = NULL;
    char path[4096];
    path_of(giving, KEY_BESIDE, path);
    unlink(path);
    int r = signing_key_create(&key, path, error);
    if (r < 0)
        return r;
    signing_key_public(key, giving->public_key);
    signing_key_free(key);
    giving->has_key = true;
    return 0;
}

static int make_account(struct giving *giving, enum client_action action, struct error_text *error)
{
    const struct client *client = giving->client;
    struct enrolment *enrolment = &giving->enrolment;
    const struct enrolment_terms terms = {.demand = client_demand(client),
                                          .authority = client->authority,
                                          .days = (unsigned)client->days};
    MYSQL *connection = giving->connection;
    enrolment->terms = &terms;
    int r = action == CLIENT_ENROLL
                ? enrolment_create(connection, giving->name, giving->from, enrolment, error)
            : action == CLIENT_ROTATE
                ? enrolment_renew(connection, giving->name, enrolment, error)
                : enrolment_reinstate(connection, giving->name, enrolment, error);
    enrolment->terms = NULL;
    if (r == 0 && giving->has_key)
        r = host_key_add(connection, enrolment->host_id, giving->public_key, error);
    return r;
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
    char from[4096], to[4096];
    int r = write_options(giving, error);
    if (r == 0 && server->has_authority)
        r = write_part(giving, BUNDLE_AUTHORITY, authority_pem(giving->client->authority), error);
    if (r == 0 && server->has_certificate)
        r = write_part(giving, BUNDLE_CERTIFICATE, buffer_slice(&enrolment->certificate.pem),
                       error);
    if (r == 0 && server->has_certificate)
        r = write_part(giving, BUNDLE_KEY, buffer_slice(&enrolment->key), error);
    if (r < 0 || !giving->has_key)
        return r;
    path_of(giving, KEY_BESIDE, from);
    path_of(giving, bundle_name(BUNDLE_SIGNING_KEY), to);
    if (rename(from, to) < 0)
        return error_set(error, -errno, "cannot write %s: %s", to, strerror(errno));
    return 0;
}

/** Remove what we have made in a directory of our own. */
static void remove_directory(const struct giving *giving)
{
    char path[4096];
    for (int part = 0; part < BUNDLE_PART_N; part++) {
        path_of(giving, bundle_name((enum bundle_part)part), path);
        unlink(path);
    }
    path_of(giving, KEY_BESIDE, path);
    unlink(path);
    rmdir(giving->directory);
}

static int pack(const struct giving *giving, const char *to, struct error_text *error)
{
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
    return private_file_write(to, buffer_slice(&bundle), error);
}

/* ---- one host ---- */

static void tell(const struct giving *giving, const char *bundle)
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
    if (bundle)
        printf("take %s to the host and run there, once: vestiged --enroll %s\n", bundle, bundle);
    else
        printf("copy what is in %s to %s on the host; agent.cnf holds the password%s\n",
               giving->directory,
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

static int give_now(struct giving *giving, enum client_action action, const char *bundle,
                    struct error_text *error)
{
    bool wants_key = action != CLIENT_ROTATE || giving->client->signing_key;
    int r = wants_key ? make_signing_key(giving, error) : 0;
    if (r == 0)
        r = make_account(giving, action, error);
    if (r < 0)
        return r;
    r = write_files(giving, error);
    if (r == 0 && bundle)
        r = pack(giving, bundle, error);
    if (r == 0)
        r = end_old(giving, action, error);
    if (r == 0)
        tell(giving, bundle);
    else
        log_warning("client",
                    "the account of %s is changed already; `vestige client rotate %s` makes its"
                    " files again",
                    giving->name, giving->name);
    return r;
}

/** A directory beside the bundle, for as long as it is made. */
static int make_beside(struct giving *giving, const char *bundle, struct error_text *error)
{
    if (!access(bundle, F_OK))
        return error_set(error, -EEXIST, "%s is there already; remove it, or name another file",
                         bundle);
    int n = snprintf(giving->directory, sizeof(giving->directory), "%s.XXXXXX", bundle);
    if (n >= (int)sizeof(giving->directory))
        return error_set(error, -ENAMETOOLONG, "%.200s...: the path is too long", bundle);
    if (!mkdtemp(giving->directory))
        return error_set(error, -errno, "cannot make files beside %s: %s", bundle, strerror(errno));
    return 0;
}

static int give_bundle(struct giving *giving, enum client_action action, const char *bundle,
                       struct error_text *error)
{
    const char *host_directory = giving->client->server.directory;
    int r = make_beside(giving, bundle, error);
    if (r < 0)
        return r;
    giving->client->server.directory = BUNDLE_DIRECTORY;
    r = give_now(giving, action, bundle, error);
    giving->client->server.directory = host_directory;
    remove_directory(giving);
    return r;
}

static int give_directory(struct giving *giving, enum client_action action, const char *directory,
                          struct error_text *error)
{
    char path[4096];
    int r = prepare_directory(directory, error);
    if (r < 0)
        return r;
    snprintf(giving->directory, sizeof(giving->directory), "%s", directory);
    r = give_now(giving, action, NULL, error);
    path_of(giving, KEY_BESIDE, path);
    unlink(path);
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
    r = token_create(giving->connection, giving->name, is_there ? there.from : giving->from,
                     there.host_id, client_demand(client), (unsigned)client->minutes, &token,
                     error);
    if (r == 0)
        r = write_token(giving, &token, there.host_id, error);
    explicit_bzero(token.password, sizeof(token.password));
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
    int r = look_before(&giving, action, error);
    if (r == 0 && client->token)
        return give_token(&giving, action, error);
    if (r == 0)
        r = client->bundle ? give_bundle(&giving, action, client->bundle, error)
                           : give_directory(&giving, action,
                                            client->directory ? client->directory : name, error);
    enrolment_deinit(&giving.enrolment);
    return r;
}

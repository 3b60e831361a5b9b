/* The files that a host gets. Values of an option file are quoted; what cannot stand between quotes
 * is refused. */
#include "core/private_file.h"
#include "reports/client/enrolment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define USUAL_DIRECTORY "/etc/vestige"

/** A value between double quotes, with the escapes of option files. */
static void append_value(struct buffer *text, const char *name, const char *value)
{
    buffer_printf(text, "%s = \"", name);
    for (const char *c = value; *c; c++) {
        if (*c == '\\')
            buffer_append_byte(text, '\\');
        buffer_append_byte(text, *c);
    }
    buffer_append_text(text, "\"\n");
}

static void append_path(struct buffer *text, const char *name, const char *directory,
                        const char *file)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", directory ? directory : USUAL_DIRECTORY, file);
    append_value(text, name, path);
}

static void append_account(struct buffer *text, const struct enrolment *enrolment,
                           const struct enrolment_server *server)
{
    buffer_printf(text, "user = %s\npassword = %s\n", enrolment->user, enrolment->password);
    if (server->socket)
        append_value(text, "socket", server->socket);
    else
        append_value(text, "host", server->host);
    if (server->port && !server->socket)
        buffer_printf(text, "port = %u\n", server->port);
    if (server->has_authority)
        append_path(text, "ssl-ca", server->directory, "ca.pem");
    if (server->has_certificate) {
        append_path(text, "ssl-cert", server->directory, "agent.pem");
        append_path(text, "ssl-key", server->directory, "agent.key");
    }
}

/** What Vestige's own programs read; over TCP they verify by themselves. */
static void append_own(struct buffer *text, const struct enrolment *enrolment,
                       const struct enrolment_server *server)
{
    append_account(text, enrolment, server);
    if (server->allows_cleartext)
        buffer_append_text(text, "# Evidence and password hashes can be read on the way.\n"
                                 "allow-cleartext = 1\n");
}

/** What any other client reads, which verifies only when told. */
static void append_client(struct buffer *text, const struct enrolment *enrolment,
                          const struct enrolment_server *server)
{
    append_account(text, enrolment, server);
    if (!server->socket && !server->allows_cleartext)
        buffer_append_text(text, "ssl-verify-server-cert\n");
}

static int check_place(const char *place, struct error_text *error)
{
    for (const char *c = place; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == '"' || *c == '\'' || *c == '#')
            return error_set(error, -EINVAL,
                             "%s cannot stand in an option file: it has a quote, a # or a control"
                             " character",
                             place);
    return 0;
}

int enrolment_append_options(struct buffer *text, const struct enrolment *enrolment,
                             const struct enrolment_server *server, struct error_text *error)
{
    int r = check_place(server->socket ? server->socket : server->host, error);
    if (r == 0)
        r = check_place(server->directory, error);
    if (r < 0)
        return r;
    if (!enrolment->host_id) {
        buffer_append_text(text, "# The account of a reader; for any MariaDB client:"
                                 " mariadb --defaults-file=THIS_FILE ");
        buffer_printf(text, "%s\n[client]\n", server->database);
        append_client(text, enrolment, server);
        buffer_append_text(text, "[mariadb-client]\ninit-command = \"SET time_zone = '+00:00'\"\n");
    }
    buffer_append_text(text, "[vestige]\n");
    append_own(text, enrolment, server);
    buffer_printf(text, "database = %s\n", server->database);
    return 0;
}

static int write_text(const char *path, const struct buffer *text, struct error_text *error)
{
    if (text->failed)
        return error_set(error, -ENOMEM, "cannot write %s: out of memory", path);
    return private_file_write(path, buffer_slice(text), error);
}

int enrolment_write_options(const char *path, const struct enrolment *enrolment,
                            const struct enrolment_server *server, struct error_text *error)
{
    struct buffer text CLEANUP(private_buffer_deinit) = BUFFER_NULL;
    int r = enrolment_append_options(&text, enrolment, server, error);
    return r == 0 ? write_text(path, &text, error) : r;
}

void enrolment_append_configuration(struct buffer *text, const char *name, const char *host_id,
                                    const char *directory)
{
    /* A line of a configuration has a limit. */
    buffer_printf(text,
                  "# Host %.100s, as `vestige client enroll` made it.\n[agent]\nhost_id = %s\n",
                  name, host_id);
    if (directory && strcmp(directory, USUAL_DIRECTORY) != 0)
        buffer_printf(text, "defaults_file = %s/agent.cnf\nsigning_key = %s/signing.key\n",
                      directory, directory);
}

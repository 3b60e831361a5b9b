#pragma once
/* What the actions of `vestige client` share. */
#include "reports/client/enrolment_token.h"
#include "reports/options/options.h"

#define CLIENT_CA_DIRECTORY "/etc/vestige/ca"

struct client {
    struct options options;
    const char *directory;      /* where the files are written */
    const char *bundle, *token; /* or into one file */
    const char *from_file;      /* hosts, one a line */
    const char *address;        /* of the server, for agents; NULL: as we reach it */
    const char *from;           /* NULL: localhost for a socket, else anywhere */
    const char *ca_directory;
    const char *host_directory; /* where the files will be on the host */
    const char *fingerprint;
    uint64_t days, minutes;
    bool without_certificate, allow_cleartext;
    bool signing_key, key_stolen;

    struct authority *authority; /* NULL: not needed */
    struct enrolment_server server;
    char place[4096]; /* of the server */
};

enum client_action { CLIENT_ENROLL, CLIENT_ROTATE, CLIENT_REINSTATE };

/** Find out where the server is and what is demanded; before anything is changed. @p before: of a
 *  host that is enrolled, whose agent goes on to reach the server in that way; else NULL. */
int client_prepare(struct client *client, MYSQL *connection, const struct enrolled *before,
                   struct error_text *error) MUST_CHECK;
/** One host, into a directory, a bundle or a token. */
int client_give(struct client *client, MYSQL *connection, enum client_action action,
                const char *name, const char *from, struct error_text *error) MUST_CHECK;
/** All hosts of a file. Returns the exit status of the command, or an error. */
int client_give_all(struct client *client, MYSQL *connection, struct error_text *error) MUST_CHECK;
/** Approve what the host handed in. */
int client_approve(struct client *client, MYSQL *connection, const char *name,
                   struct error_text *error) MUST_CHECK;
/** What connections the terms demand. */
enum enrolment_demand client_demand(const struct client *client);
/** Put the certificate that a host had on the revocation list, as far as that is at hand. */
int client_take_back(struct client *client, MYSQL *connection, const char *serial,
                     struct error_text *error) MUST_CHECK;

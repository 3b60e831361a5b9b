#pragma once
/*
 * Accounts of agents and readers. An agent's account is made here and nowhere else, because the
 * views of the server take the number in its name for the host.
 */
#include "reports/database.h"

#include <stdint.h>

struct enrolment {
    uint64_t host_id;  /* 0: a reader */
    char user[80];     /* agent_3 */
    char from[80];     /* hosts it may come from, as in CREATE USER: localhost, % */
    char password[64]; /* fresh; it is in no statement that the server could log */
};

/** Enrol the host @p name, whose agent connects from @p from. -EEXIST: it is enrolled already;
 *  -EINVAL: no name of a host. */
int enrolment_create(MYSQL *connection, const char *name, const char *from,
                     struct enrolment *enrolment, struct error_text *error) MUST_CHECK;
/** Give an enrolled host a new password; the old one stops working for new connections. -ENOENT: it
 *  is not enrolled. The hosts it may come from stay what they were. */
int enrolment_renew(MYSQL *connection, const char *name, struct enrolment *enrolment,
                    struct error_text *error) MUST_CHECK;
/** An account that may read all evidence and change nothing; when there is one of that name it gets
 *  a new password. */
int enrolment_reader_create(MYSQL *connection, const char *user, const char *from,
                            struct enrolment *enrolment, struct error_text *error) MUST_CHECK;

/** Where the holder of an account finds the server. */
struct enrolment_server {
    const char *socket; /* path; NULL: TCP */
    const char *host;   /* when there is no socket */
    unsigned port;      /* 0: the usual one */
    const char *database;
};

/** Write a MariaDB option file, mode 0600, in place of an older one. For an agent it has the group
 *  [vestige]; for a reader [client] too, so that any MariaDB client can use it, and the session is
 *  UTC. */
int enrolment_write_options(const char *path, const struct enrolment *enrolment,
                            const struct enrolment_server *server,
                            struct error_text *error) MUST_CHECK;
/** Write the part of vestiged.conf that names the host. */
int enrolment_write_configuration(const char *path, const char *name,
                                  const struct enrolment *enrolment,
                                  struct error_text *error) MUST_CHECK;
/** Overwrite the password. */
void enrolment_deinit(struct enrolment *enrolment);

#define AUTO_ENROLMENT CLEANUP(enrolment_deinit)

#pragma once
/*
 * Accounts of agents and readers. An agent's account is made here and nowhere else, because the
 * views of the server take the number in its name for the host.
 */
#include "recorder/keys/credential.h"
#include "reports/client/authority.h"
#include "reports/database/database.h"

#include <stdint.h>

/* What the server demands of a connection besides the password. */
enum enrolment_demand { DEMAND_NOTHING, DEMAND_TLS, DEMAND_CERTIFICATE };

struct enrolment;

/* How a credential is made. All zero: a password made here, and no demand. */
struct enrolment_terms {
    enum enrolment_demand demand;
    struct authority *authority; /* for DEMAND_CERTIFICATE */
    unsigned days;               /* for which a certificate is good */
    struct slice request;        /* of the host, PEM; SLICE_NULL: the key is made here */
    const char *hash;            /* of the host's own password; NULL: it is made here */
    const char *address;         /* by which the agent reaches the server; NULL: by a socket */
    unsigned port;
    /* Called when all is made but the account, and when that is made, too. May be NULL. */
    int (*prepare)(void *who, const struct enrolment *enrolment, struct error_text *error);
    int (*deliver)(void *who, const struct enrolment *enrolment, struct error_text *error);
    void *who;
};

struct enrolment {
    const struct enrolment_terms *terms; /* set by the caller; NULL: the plain ones */
    uint64_t host_id;                    /* 0: a reader */
    char user[80];                       /* agent_3 */
    char from[80];     /* hosts it may come from, as in CREATE USER: localhost, % */
    char password[64]; /* fresh; it is in no statement that the server could log. Empty: the host
                          has made it */
    char hash[PASSWORD_HASH_SIZE];
    bool has_account; /* it is made, and not somebody else's of that name */
    enum enrolment_demand demand;
    struct certificate certificate; /* DEMAND_CERTIFICATE */
    struct buffer key;              /* its key; empty: the host has it */
};

/** Enrol the host @p name, whose agent connects from @p from. -EEXIST: it is
 *  enrolled already, or was taken away; -EINVAL: no name of a host. */
int enrolment_create(MYSQL *connection, const char *name, const char *from,
                     struct enrolment *enrolment, struct error_text *error) MUST_CHECK;
/** Give an enrolled host a new credential; the old one stops working for new connections. -ENOENT:
 *  it is not enrolled, or its access was taken away. The hosts it may come from stay what they
 *  were. */
int enrolment_renew(MYSQL *connection, const char *name, struct enrolment *enrolment,
                    struct error_text *error) MUST_CHECK;
/** The same for a host that was revoked or retired: it is let in again, under its old number. */
int enrolment_reinstate(MYSQL *connection, const char *name, struct enrolment *enrolment,
                        struct error_text *error) MUST_CHECK;
/** An account that may read all evidence and change nothing; when there is one of that name it gets
 *  a new password. `demand` is set by the caller. */
int enrolment_reader_create(MYSQL *connection, const char *user, const char *from,
                            struct enrolment *enrolment, struct error_text *error) MUST_CHECK;

/* What is known of a host. */
struct enrolled {
    uint64_t host_id;
    char user[80], from[80];
    bool is_revoked, is_retired;
    char serial[AUTHORITY_SERIAL_SIZE]; /* of its certificate; empty: it has none */
    char address[256];                  /* by which its agent reaches the server; empty: a socket */
    unsigned port;
    bool is_half_made; /* it was begun, and never got its account */
};

/** -ENOENT with the text for the user, and the nearest names: it was never enrolled. */
int enrolment_find(MYSQL *connection, const char *name, struct enrolled *enrolled,
                   struct error_text *error) MUST_CHECK;
/** -EEXIST: the host is enrolled, or was. */
int enrolment_check_new(MYSQL *connection, const char *name, struct error_text *error) MUST_CHECK;
/** A name that may go into statements. */
int enrolment_check_name(const char *name, struct error_text *error) MUST_CHECK;
int enrolment_check_from(const char *from, struct error_text *error) MUST_CHECK;

/* Why a host may not connect any more. */
enum enrolment_end { ENROLMENT_REVOKED, ENROLMENT_RETIRED };

/** Lock the account, take its role away and end its sessions; open transactions are rolled back.
 *  @p n_sessions counts what was ended. May be done again. */
int enrolment_close(MYSQL *connection, const char *name, const struct enrolled *enrolled,
                    enum enrolment_end end, unsigned *n_sessions,
                    struct error_text *error) MUST_CHECK;
int enrolment_end_sessions(MYSQL *connection, const char *user, unsigned *n_sessions,
                           struct error_text *error) MUST_CHECK;
/** A row of enrolment_log. @p host_id 0: none yet; @p detail may be NULL. */
int enrolment_note(MYSQL *connection, uint64_t host_id, const char *name, const char *action,
                   const char *detail, struct error_text *error) MUST_CHECK;

/** Where the holder of an account finds the server. */
struct enrolment_server {
    const char *socket; /* path; NULL: TCP */
    const char *host;   /* when there is no socket */
    unsigned port;      /* 0: the usual one */
    const char *database;
    const char *directory; /* in which the host will have its files */
    bool has_authority;    /* ca.pem is there */
    bool has_certificate;  /* agent.pem and agent.key are there */
    bool allows_cleartext; /* no TLS at all */
};

/** The text of a MariaDB option file. For an agent it has the group [vestige]; for a reader
 * [client] too, so that any MariaDB client can use it, and the session is UTC. */
int enrolment_append_options(struct buffer *text, const struct enrolment *enrolment,
                             const struct enrolment_server *server,
                             struct error_text *error) MUST_CHECK;
/** The same, written to @p path, mode 0600, in place of an older one. */
int enrolment_write_options(const char *path, const struct enrolment *enrolment,
                            const struct enrolment_server *server,
                            struct error_text *error) MUST_CHECK;
/** The part of vestiged.conf that names the host, and its files where they are not in /etc/vestige.
 *  @p host_id as text. */
void enrolment_append_configuration(struct buffer *text, const char *name, const char *host_id,
                                    const char *directory);

/** Overwrite password and key. */
void enrolment_deinit(struct enrolment *enrolment);
#define AUTO_ENROLMENT CLEANUP(enrolment_deinit)

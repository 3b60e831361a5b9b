#pragma once
/*
 * Tokens: with one, a host hands in what it made itself, by an account that can do nothing else,
 * and gets its own account when the administrator has approved.
 */
#include "reports/client/enrolment.h"

struct token {
    uint64_t id;
    char user[80], from[80], password[PASSWORD_SIZE];
};

struct token_terms {
    uint64_t host_id; /* of a host that is enrolled already; else 0 */
    enum enrolment_demand demand;
    unsigned minutes;    /* for which it is good */
    const char *address; /* by which the agent will reach the server; NULL: by a socket */
    unsigned port;
};

/** A token for the host @p name; an older one of that name is withdrawn. */
int token_create(MYSQL *connection, const char *name, const char *from,
                 const struct token_terms *terms, struct token *token,
                 struct error_text *error) MUST_CHECK;
/** The tokens of the host are good for nothing any more. */
int token_withdraw(MYSQL *connection, const char *name, struct error_text *error) MUST_CHECK;
/** Drop the accounts of tokens that expired, or were used. */
int token_sweep(MYSQL *connection, struct error_text *error) MUST_CHECK;

/* What a host has handed in. */
struct token_request {
    uint64_t id, host_id;
    enum enrolment_demand demand;
    char from[80], at[40], came_from[256], address[256];
    unsigned port;
    struct buffer request; /* PKCS #10, PEM */
    uint8_t public_key[32];
    char hash[PASSWORD_HASH_SIZE], fingerprint[FINGERPRINT_SIZE];
};

/** -ENOENT with what there is instead: no token, none that was used yet, an expired one. */
int token_find_request(MYSQL *connection, const char *name, struct token_request *request,
                       struct error_text *error) MUST_CHECK;
/** The host may fetch its certificate now. */
int token_approve(MYSQL *connection, const struct token_request *request,
                  const struct enrolment *enrolment, struct error_text *error) MUST_CHECK;
void token_request_deinit(struct token_request *request);

#pragma once
/* What a private server needs to be an instance of Vestige: schema, accounts, option files. */
#include "reports/private_server/private_server.h"

struct private_instance_agent {
    const char *user; /* whom it becomes; NULL: whom its configuration names, or else the owner of
                       * the directory */
    const char *keys; /* a file, whose keys it begins with; NULL: none. -EEXIST: it began before */
};

/** Bring the schema up to date, fill the time zone tables, and write client.cnf with a fresh
 *  password; for an agent also agent.cnf, and vestiged.conf and signing.key when they are missing.
 *  The key is made that of this host. @p agent: NULL for none. */
int private_instance_prepare(struct private_server *server,
                             const struct private_instance_agent *agent,
                             private_server_notice notice, struct error_text *error) MUST_CHECK;

/* The server of a standalone instance knows root, and the user who started it, by the socket. */
#include "reports/server/administrator.h"
#include "reports/evidence/evidence.h"
#include "reports/private_server/private_directory.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

static int connect_standalone(MYSQL **mysqlp, const char *state, struct error_text *error)
{
    char socket[4096];
    const struct passwd *user = getpwuid(geteuid());
    snprintf(socket, sizeof(socket), "%s/mariadb.sock", state);
    if (!private_directory_is_instance(state))
        return error_set(error, -ENOENT, "%.200s holds no standalone instance", state);
    struct database_options database = {
        .no_defaults = true,
        .socket = socket,
        .user = geteuid() == 0 || !user ? "root" : user->pw_name,
    };
    return evidence_connect_standalone(mysqlp, &database, state, error);
}

int administrator_connect(MYSQL **mysqlp, const struct options *options, struct error_text *error)
{
    return options->state_directory ? connect_standalone(mysqlp, options->state_directory, error)
                                    : evidence_connect(mysqlp, options, error);
}

#pragma once
/*
 * The private mariadbd of a standalone instance: on a unix socket only, with the settings that
 * Vestige demands, reading none of the host's option files. As root it runs as the user mysql when
 * that user can reach the directory, else as root; the owner of existing data decides for later
 * starts. It administers itself through an account that is known by the socket alone: `root`, or
 * the name of the user who runs us.
 */
#include "reports/private_server/child.h"
#include "reports/private_server/private_directory.h"

struct private_server {
    const struct private_directory *directory;
    struct child child;
    char program[4096]; /* mariadbd */
    char socket[256];   /* as clients name it: DIR/mariadb.sock */
    char admin[64];     /* database account of the administrator */
    const char *run_as; /* NULL: as ourselves */
    int lock;           /* held by us and by mariadbd */
    bool is_new;        /* the data was made by this call */
};

#define PRIVATE_SERVER_NULL                                                                        \
    {                                                                                              \
        .child = CHILD_NULL, .lock = -1                                                            \
    }

/** Says what it is about to do, in plain words, when it takes long. May be NULL. */
typedef void (*private_server_notice)(const char *text);

/** Make the data if there is none, start mariadbd, and wait until it answers. */
int private_server_start(struct private_server *server, const struct private_directory *directory,
                         private_server_notice notice, struct error_text *error) MUST_CHECK;
/** Start it once more after it ended by itself. */
int private_server_restart(struct private_server *server, private_server_notice notice,
                           struct error_text *error) MUST_CHECK;
/** Fill the server's time zone tables from the system's zone files; needed once. */
int private_server_load_zones(struct private_server *server, struct error_text *error) MUST_CHECK;
/** End it (SIGTERM), wait until it has ended, release everything. */
void private_server_stop(struct private_server *server);

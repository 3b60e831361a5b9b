#pragma once
/*
 * The directory of a standalone instance:
 *
 *   mariadb/        data of the private mariadbd
 *   run/            its socket
 *   mariadb.sock    a link to the socket
 *   mariadb.log     what mariadbd has to say
 *   agent/          the agent's state: journal, control socket
 *   vestiged.conf   the agent's configuration
 *   signing.key     the key with which this host signs its batches
 *   agent.cnf       MariaDB option file of the agent
 *   client.cnf      MariaDB option file for whoever asks
 *   lock            held as long as an instance runs in the foreground
 *   mariadb.lock, agent.lock   held as long as those programs run
 */
#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

#define PRIVATE_DIRECTORY_DEFAULT "/var/lib/vestige/standalone"

struct private_directory {
    char path[2048]; /* absolute, no links */
    int lock;        /* descriptor that holds the lock */
};

#define PRIVATE_DIRECTORY_NULL                                                                     \
    {                                                                                              \
        .lock = -1                                                                                 \
    }

/** Make the directory if it is missing (only when @p may_create), check that it is ours to use, and
 *  lock it. The error names whoever holds it. */
int private_directory_open(struct private_directory *directory, const char *path, bool may_create,
                           struct error_text *error) MUST_CHECK;
void private_directory_close(struct private_directory *directory);
/** Whether a standalone instance was ever set up there. */
bool private_directory_is_instance(const char *path);
/** "path/name". The buffer is of 4096 bytes. */
void private_directory_file(const struct private_directory *directory, const char *name,
                            char file[4096]);
/** Take the lock in file @p name, which a program of an earlier run may still hold: wait for at
 * most
 *  @p timeout_ms. Returns the descriptor, -ETIMEDOUT, or another negated errno. */
int private_directory_wait_lock(const struct private_directory *directory, const char *name,
                                int timeout_ms) MUST_CHECK;
/** Remove a directory and all in it; 0 also when there is none. */
int private_directory_remove(const char *path) MUST_CHECK;

/*
 * First start: mariadb-install-db fills DIR/mariadb.new, which becomes DIR/mariadb by a rename, so
 * that data half made by an interrupted start is never taken for whole. The server is ready when it
 * greets on its socket; until then its end is the error, and its log says why.
 *
 * A mariadbd that starts removes what other servers have open in its directory for temporary
 * tables; so that is never /tmp.
 */
#include "reports/private_server/private_server.h"
#include "core/cleanup.h"
#include "core/log.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>

#define SERVER_USER       "mysql"
#define SPACE_MIB         300
#define LOCK_WAIT_MS      120000
#define STOP_NOTICE_MS    30000
#define READY_STEP_MS     50
#define READY_NOTICE_STEP 200   /* steps after which the user is told to wait */
#define READY_STEPS       24000 /* 20 minutes: recovery after a crash may be long */
#define LONGEST_SOCKET    "/agent/vestiged.sock" /* the agent's */
#define SOCKET_PATH_MAX   (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static void say(private_server_notice notice, const char *text)
{
    if (notice)
        notice(text);
}

/* In a process of its own, because there is no way back from another user. */
static bool user_can_enter(const struct passwd *user, const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        bool can = !setgroups(0, NULL) && !setgid(user->pw_gid) && !setuid(user->pw_uid) &&
                   !access(path, X_OK);
        _exit(can ? 0 : 1);
    }
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* Existing data belongs to somebody; new data to mysql, where mysql can reach it. */
static int choose_user(struct private_server *server, const char *data, struct error_text *error)
{
    const char *path = server->directory->path;
    const struct passwd *user = getpwnam(SERVER_USER);
    struct stat status;
    bool exists = stat(data, &status) == 0;
    if (exists && geteuid() != 0 && status.st_uid != geteuid())
        return error_set(
            error, -EACCES,
            "%s belongs to another user (uid %u); run as root, or take a copy and make "
            "it yours",
            data, status.st_uid);
    if (geteuid() != 0 || (exists && status.st_uid == 0))
        return 0;
    if (exists && (!user || status.st_uid != user->pw_uid))
        return error_set(error, -EACCES, "%s belongs to uid %u, neither root nor " SERVER_USER,
                         data, status.st_uid);
    if (!user)
        return 0;
    mode_t mode = stat(path, &status) ? 0700 : status.st_mode & 07777;
    if (chmod(path, 0711))
        return error_set(error, -errno, "%s: its mode cannot be changed: %s", path,
                         strerror(errno));
    if (user_can_enter(user, path)) {
        server->run_as = SERVER_USER;
        return 0;
    }
    if (exists)
        return error_set(error, -EACCES,
                         "the user " SERVER_USER " can no longer reach %s; let others pass through "
                         "the directories above it (chmod o+x)",
                         path);
    if (chmod(path, mode))
        return error_set(error, -errno, "%s: its mode cannot be changed: %s", path,
                         strerror(errno));
    return 0;
}

static int make_owned(const struct private_server *server, const char *path, bool directory,
                      mode_t mode, struct error_text *error)
{
    const struct passwd *user = server->run_as ? getpwnam(server->run_as) : NULL;
    if (directory) {
        if (mkdir(path, 0700) && errno != EEXIST)
            return error_set(error, -errno, "%s cannot be made: %s", path, strerror(errno));
    } else {
        AUTO_CLOSE int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (file < 0)
            return error_set(error, -errno, "%s cannot be made: %s", path, strerror(errno));
    }
    if ((user && chown(path, user->pw_uid, getegid())) || chmod(path, mode))
        return error_set(error, -errno, "%s cannot be given to its user: %s", path,
                         strerror(errno));
    return 0;
}

static int check_space(const char *path, struct error_text *error)
{
    struct statvfs space;
    if (statvfs(path, &space))
        return error_set(error, -errno, "%s: %s", path, strerror(errno));
    unsigned long long free_mib = (unsigned long long)space.f_bavail * space.f_frsize >> 20;
    if (free_mib < SPACE_MIB)
        return error_set(error, -ENOSPC,
                         "%s: %llu MiB are free and a new instance needs %d; make room or give "
                         "another --state DIR",
                         path, free_mib, SPACE_MIB);
    return 0;
}

static int run_install(struct private_server *server, const char *fresh, struct error_text *error)
{
    char program[4096], datadir[4200], temporary[2100], log_path[4096];
    private_directory_file(server->directory, "mariadb.log", log_path);
    AUTO_CLOSE int log = open(log_path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (child_find_program(program, "mariadb-install-db", false))
        return error_set(error, -ENOENT,
                         "mariadb-install-db is not installed; install the package mariadb-server");
    snprintf(datadir, sizeof(datadir), "--datadir=%s", fresh);
    snprintf(temporary, sizeof(temporary), "--tmpdir=%s/run", server->directory->path);
    const char *user = server->run_as   ? "--user=" SERVER_USER
                       : geteuid() == 0 ? "--user=root"
                                        : NULL;
    const char *const argv[] = {"mariadb-install-db",
                                "--no-defaults",
                                datadir,
                                "--auth-root-authentication-method=socket",
                                "--skip-test-db",
                                "--skip-name-resolve",
                                "--force", /* no name has to be known for a socket */
                                temporary,
                                user,
                                NULL};
    const struct child_options options = {.name = "mariadb-install-db",
                                          .path = program,
                                          .argv = argv,
                                          .input = -1,
                                          .output_file = log,
                                          .error_file = log,
                                          .inherit = -1};
    int outcome = child_run(&options, error);
    if (outcome)
        error_set(error, outcome,
                  "the database cannot be made: mariadb-install-db failed; %s says why", log_path);
    return outcome;
}

static int install(struct private_server *server, const char *data, private_server_notice notice,
                   struct error_text *error)
{
    char fresh[4096];
    int outcome = check_space(server->directory->path, error);
    if (outcome)
        return outcome;
    say(notice, "making the database (once) ...");
    private_directory_file(server->directory, "mariadb.new", fresh);
    outcome = private_directory_remove(fresh);
    if (outcome)
        return error_set(error, outcome, "%s cannot be removed: %s", fresh, strerror(-outcome));
    outcome = make_owned(server, fresh, true, 0700, error);
    if (!outcome)
        outcome = run_install(server, fresh, error);
    if (!outcome && rename(fresh, data))
        outcome = error_set(error, -errno, "%s: %s", data, strerror(errno));
    server->is_new = !outcome;
    return outcome;
}

static bool is_plain_name(const char *name)
{
    return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-.") == strlen(name);
}

/* root is known by the socket from the beginning; anybody else gets an account at each start, and
 * may give out the roles, which in a copied directory belong to somebody else. */
static int write_admin(struct private_server *server, char init_file[4096],
                       struct error_text *error)
{
    const struct passwd *user = getpwuid(geteuid());
    init_file[0] = '\0';
    if (geteuid() == 0) {
        strcpy(server->admin, "root");
        return 0;
    }
    if (!user || !is_plain_name(user->pw_name) || strlen(user->pw_name) >= sizeof(server->admin))
        return error_set(error, -EINVAL,
                         "the user with uid %u has no name that can be a database account",
                         geteuid());
    strcpy(server->admin, user->pw_name);
    private_directory_file(server->directory, "run/admin.sql", init_file);
    FILE *file = fopen(init_file, "we");
    if (!file)
        return error_set(error, -errno, "%s cannot be written: %s", init_file, strerror(errno));
    fprintf(file,
            "CREATE USER IF NOT EXISTS '%s'@localhost IDENTIFIED VIA unix_socket;\n"
            "GRANT ALL ON *.* TO '%s'@localhost WITH GRANT OPTION;\n"
            "REPLACE INTO mysql.roles_mapping (Host, User, Role, Admin_option)"
            " SELECT 'localhost', '%s', User, 'Y' FROM mysql.user WHERE is_role = 'Y';\n"
            "FLUSH PRIVILEGES;\n",
            server->admin, server->admin, server->admin);
    if (fclose(file))
        return error_set(error, -errno, "%s cannot be written: %s", init_file, strerror(errno));
    return 0;
}

/* Clients use DIR/mariadb.sock; the socket itself is in run/, which mariadbd may write. */
static int prepare_files(struct private_server *server, struct error_text *error)
{
    char run[4096], log[4096], link[4096];
    private_directory_file(server->directory, "run", run);
    private_directory_file(server->directory, "mariadb.log", log);
    private_directory_file(server->directory, "mariadb.sock", link);
    if (strlen(server->directory->path) + strlen(LONGEST_SOCKET) > SOCKET_PATH_MAX)
        return error_set(
            error, -ENAMETOOLONG,
            "%s: the path is too long for a unix socket; give a --state DIR of at most "
            "%zu bytes",
            server->directory->path, SOCKET_PATH_MAX - strlen(LONGEST_SOCKET));
    strcpy(server->socket, link);
    int outcome = make_owned(server, run, true, 0750, error);
    if (!outcome)
        outcome = make_owned(server, log, false, 0640, error);
    if (outcome)
        return outcome;
    unlink(link);
    if (symlink("run/mariadb.sock", link))
        return error_set(error, -errno, "%s cannot be made: %s", link, strerror(errno));
    return 0;
}

static int start_program(struct private_server *server, const char *init_file,
                         struct error_text *error)
{
    const char *path = server->directory->path;
    char datadir[2100], socket[2100], pid_file[2100], log_file[2100], temporary[2100];
    char init_option[4200];
    snprintf(datadir, sizeof(datadir), "--datadir=%s/mariadb", path);
    snprintf(socket, sizeof(socket), "--socket=%s/run/mariadb.sock", path);
    snprintf(pid_file, sizeof(pid_file), "--pid-file=%s/run/mariadb.pid", path);
    snprintf(log_file, sizeof(log_file), "--log-error=%s/mariadb.log", path);
    snprintf(temporary, sizeof(temporary), "--tmpdir=%s/run", path);
    snprintf(init_option, sizeof(init_option), "--init-file=%s", init_file);
    const char *const argv[] = {
        "mariadbd", "--no-defaults", datadir, socket, pid_file, log_file, temporary,
        /* reachable from this host only, by the socket */
        "--skip-networking", "--skip-name-resolve", "--local-infile=0", "--symbolic-links=0",
        /* what evidence needs */
        "--secure-timestamp=YES", "--event-scheduler=ON", "--default-time-zone=+00:00",
        "--sql-mode=STRICT_TRANS_TABLES,STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,"
        "ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION",
        "--character-set-server=utf8mb4", "--log-warnings=1", "--innodb-flush-log-at-trx-commit=1",
        "--max-allowed-packet=64M",
        /* the size of one host */
        "--innodb-buffer-pool-size=192M", "--innodb-log-file-size=128M", "--performance-schema=OFF",
        "--max-connections=50", "--open-files-limit=8192",
        geteuid() == 0 && !server->run_as ? "--user=root" : "--stack-trace",
        *init_file ? init_option : NULL, NULL};
    static const char *const environment[] = {"TZ=UTC0", NULL};
    const struct child_options options = {.name = "mariadbd",
                                          .path = server->program,
                                          .argv = argv,
                                          .environment = environment,
                                          .user = server->run_as,
                                          .directory = "/",
                                          .input = -1,
                                          .output_file = -1,
                                          .error_file = -1,
                                          .inherit = server->lock};
    return child_start(&server->child, &options, error);
}

/* The last line of the log, from @p offset on, that tells of an error; "" when there is none. */
static void read_log_error(const struct private_server *server, off_t offset, char line[300])
{
    char log[4096], one[1024];
    private_directory_file(server->directory, "mariadb.log", log);
    AUTO_FCLOSE FILE *file = fopen(log, "re");
    line[0] = '\0';
    if (!file || fseeko(file, offset, SEEK_SET))
        return;
    while (fgets(one, sizeof(one), file)) {
        const char *at = strstr(one, "[ERROR]");
        if (at && !strstr(at, "Aborting"))
            snprintf(line, 300, "%.*s", (int)strcspn(at, "\n"), at);
    }
}

/* Whether the server says the first words of its protocol. */
static bool greets(const struct private_server *server)
{
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, server->socket, strlen(server->socket));
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
        return false;
    struct pollfd greeting = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&greeting, 1, 5000) == 1 && recv(fd, &byte, 1, 0) == 1;
}

/* The caller has blocked these and reads them later. */
static bool asked_to_end(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) ||
            sigismember(&pending, SIGHUP));
}

static int wait_until_ready(struct private_server *server, off_t log_offset,
                            private_server_notice notice, struct error_text *error)
{
    char line[300], end[64];
    for (int step = 0; step < READY_STEPS; step++) {
        if (child_wait(&server->child, READY_STEP_MS) == 0) {
            read_log_error(server, log_offset, line);
            child_describe_end(&server->child, end);
            return error_set(error, -ECHILD, "mariadbd %s%s%s; see %s/mariadb.log", end,
                             *line ? ": " : "", line, server->directory->path);
        }
        if (greets(server))
            return 0;
        if (asked_to_end())
            return error_set(error, -EINTR, "ended before mariadbd was ready");
        if (step == READY_NOTICE_STEP)
            say(notice, "waiting for mariadbd, which recovers its data ...");
    }
    child_signal(&server->child, SIGTERM);
    return error_set(error, -ETIMEDOUT,
                     "mariadbd does not answer after 20 minutes; see %s/mariadb.log",
                     server->directory->path);
}

int private_server_restart(struct private_server *server, private_server_notice notice,
                           struct error_text *error)
{
    char init_file[4096], log[4096];
    struct stat status;
    child_deinit(&server->child);
    int outcome = write_admin(server, init_file, error);
    if (outcome)
        return outcome;
    private_directory_file(server->directory, "mariadb.log", log);
    off_t offset = stat(log, &status) ? 0 : status.st_size;
    outcome = start_program(server, init_file, error);
    if (!outcome)
        outcome = wait_until_ready(server, offset, notice, error);
    return outcome;
}

static int take_lock(struct private_server *server, private_server_notice notice,
                     struct error_text *error)
{
    server->lock = private_directory_wait_lock(server->directory, "mariadb.lock", 0);
    if (server->lock == -ETIMEDOUT) {
        say(notice, "waiting for the mariadbd of the run before to end ...");
        server->lock = private_directory_wait_lock(server->directory, "mariadb.lock", LOCK_WAIT_MS);
    }
    if (server->lock >= 0)
        return 0;
    return error_set(error, server->lock,
                     server->lock == -ETIMEDOUT
                         ? "%s: the mariadbd of the run before still runs (see run/mariadb.pid); "
                           "end it first"
                         : "%s/mariadb.lock cannot be taken",
                     server->directory->path);
}

int private_server_start(struct private_server *server, const struct private_directory *directory,
                         private_server_notice notice, struct error_text *error)
{
    char data[4096];
    *server = (struct private_server)PRIVATE_SERVER_NULL;
    server->directory = directory;
    private_directory_file(directory, "mariadb", data);
    if (child_find_program(server->program, "mariadbd", false))
        return error_set(
            error, -ENOENT,
            "mariadbd is not installed; install the package mariadb-server (its service "
            "need not run)");
    int outcome = take_lock(server, notice, error);
    if (!outcome)
        outcome = choose_user(server, data, error);
    if (!outcome)
        outcome = prepare_files(server, error);
    if (!outcome && access(data, F_OK))
        outcome = install(server, data, notice, error);
    if (!outcome)
        outcome = private_server_restart(server, notice, error);
    if (outcome)
        private_server_stop(server);
    return outcome;
}

static int write_zones(int file, struct error_text *error)
{
    char program[4096];
    if (child_find_program(program, "mariadb-tzinfo-to-sql", false))
        return error_set(error, -ENOENT, "mariadb-tzinfo-to-sql is not installed");
    static const char *const argv[] = {"mariadb-tzinfo-to-sql", "/usr/share/zoneinfo", NULL};
    const struct child_options options = {.name = "mariadb-tzinfo-to-sql",
                                          .path = program,
                                          .argv = argv,
                                          .input = -1,
                                          .output_file = file,
                                          .error_file = -1,
                                          .inherit = -1};
    return child_run(&options, error);
}

int private_server_load_zones(struct private_server *server, struct error_text *error)
{
    char program[4096], socket[300], user[80];
    AUTO_CLOSE int file = memfd_create("zones", MFD_CLOEXEC);
    if (file < 0 || child_find_program(program, "mariadb", false))
        return error_set(error, -ENOENT, "the client mariadb is not installed");
    int outcome = write_zones(file, error);
    if (outcome)
        return outcome;
    if (lseek(file, 0, SEEK_SET) < 0)
        return error_set(error, -errno, "the time zones cannot be read back");
    snprintf(socket, sizeof(socket), "--socket=%s", server->socket);
    snprintf(user, sizeof(user), "--user=%s", server->admin);
    const char *const argv[] = {"mariadb", "--no-defaults", socket, user, "mysql", NULL};
    const struct child_options options = {.name = "mariadb",
                                          .path = program,
                                          .argv = argv,
                                          .input = file,
                                          .output_file = -1,
                                          .error_file = -1,
                                          .capture = true,
                                          .inherit = -1};
    return child_run(&options, error);
}

void private_server_stop(struct private_server *server)
{
    child_signal(&server->child, SIGTERM);
    while (child_wait(&server->child, STOP_NOTICE_MS))
        log_warning("standalone", "mariadbd (pid %d) has not ended yet; see %s/mariadb.log",
                    (int)server->child.pid, server->directory->path);
    child_deinit(&server->child);
    if (server->lock >= 0)
        close(server->lock);
    server->lock = -1;
}

/* One table says what each key is, to the parser and to whoever reads the dump. */
#include "recorder/agent/config_keys.h"

#include "recorder/agent/config.h"

#include <string.h>

#define NUMBER(type, section, name, member, least, most, value, unit, help)                        \
    {                                                                                              \
        section, name, type, offsetof(struct config, member), least, most, value, NULL, unit, help \
    }
#define PATH(section, name, member, path, help)                                                    \
    {                                                                                              \
        section, name, KEY_PATH, offsetof(struct config, member), 0, 0, 0, path, NULL, help        \
    }
#define TEXT(section, name, member, text, help)                                                    \
    {                                                                                              \
        section, name, KEY_TEXT, offsetof(struct config, member), 0, 0, 0, text, NULL, help        \
    }
#define LIST(section, name, member, words, help)                                                   \
    {                                                                                              \
        section, name, KEY_LIST, offsetof(struct config, member), 0, 0, 0, words, NULL, help       \
    }
#define WORD(section, name, member, words, help)                                                   \
    {                                                                                              \
        section, name, KEY_WORD, offsetof(struct config, member), 0, 0, 0, words, NULL, help       \
    }

/* clang-format off */
const struct config_key config_keys[] = {
    PATH("agent", "state_directory", state_directory, "/var/lib/vestige/agent",
         "Where the agent keeps its journal, its state and its socket"),
    NUMBER(KEY_U64, "agent", "host_id", host_id, 0, INT64_MAX, 0, NULL,
           "Number of this host, given by `vestige client enroll`; 0: not enrolled"),
    PATH("agent", "defaults_file", defaults_file, "/etc/vestige/agent.cnf",
         "MariaDB option file with group [vestige]: where the server is, and the agent's account"),
    PATH("agent", "signing_key", signing_key, SIGNING_KEY_DEFAULT,
         "The key that signs this host's batches; without the file they are not signed"),
    TEXT("agent", "user", user, "vestige",
         "The system user that the agent becomes when it has started; empty: it stays who starts it"),
    WORD("agent", "seccomp", seccomp, "on log off",
         "System calls that it never makes: on: refused; log: only written to audit; off: allowed"),

    NUMBER(KEY_U32, "reader", "interval_ms", reader_interval_ms, 10, 20, 20, "milliseconds",
           "Time between two readings of all sockets"),
    NUMBER(KEY_U32, "reader", "receive_buffer_kib", receive_buffer_kib, 4, 1048576, 65536, "KiB",
           "Receive buffer of each socket; it has to hold what comes while the agent cannot run"),
    NUMBER(KEY_U32, "reader", "queue_mib", queue_mib, 1, 1024, 16, "MiB",
           "Most memory for messages that are read but not yet followed up"),

    WORD("audit", "mode", audit_mode, "auto guest off",
         "auto: own audit when nobody does; guest: only listen; off: do not use it"),
    WORD("audit", "rules", audit_rules, "own none",
         "own: add the rules that are needed; none: this host has such rules already"),
    NUMBER(KEY_U32, "audit", "backlog_limit", audit_backlog_limit, 1, 1048576, 8192, "records",
           "Most records that wait in the kernel while the agent owns audit"),

    WORD("connector", "mode", connector_mode, "on off",
         "Births, execs and deaths of processes, from the process connector"),
    WORD("taskstats", "mode", taskstats_mode, "on off",
         "Ends and resource use of processes, from taskstats"),

    NUMBER(KEY_U32, "proc", "interval_ms", proc_interval_ms, 50, 60000, 250, "milliseconds",
           "Time between two looks for new processes in /proc"),
    NUMBER(KEY_U32, "proc", "full_interval_s", proc_full_interval_s, 1, 3600, 10, "seconds",
           "Time between two looks at all processes in /proc"),

    WORD("sock_diag", "mode", sock_diag_mode, "on off",
         "Sockets that exist, and their ends, from sock_diag"),
    NUMBER(KEY_U32, "sock_diag", "interval_s", sock_diag_interval_s, 1, 3600, 30, "seconds",
           "Time between two looks at all sockets"),
    WORD("bpf", "mode", bpf_mode, "on off",
         "Which process opened or accepted a connection, from BPF programs where they load"),
    WORD("rtnetlink", "mode", rtnetlink_mode, "on off",
         "Interface addresses and routes, from rtnetlink"),

    WORD("names", "resolve", resolve_mode, "on off",
         "Look up the names of remote addresses, in /etc/hosts and by DNS"),
    TEXT("names", "servers", name_servers, "",
         "Name servers, ADDRESS or ADDRESS:PORT, separated by commas; empty: those of the system"),
    NUMBER(KEY_U32, "names", "timeout_ms", name_timeout_ms, 100, 30000, 2000, "milliseconds",
           "How long a name server may take to answer"),
    NUMBER(KEY_U32, "names", "cache_entries", name_cache_entries, 64, 1048576, 16384, "addresses",
           "Most addresses whose names, or the lack of one, are remembered"),
    NUMBER(KEY_U32, "names", "user_keep_s", user_keep_s, 1, 86400, 600, "seconds",
           "How long the name service switch (LDAP, sssd ...) is believed about a user"),
    NUMBER(KEY_U32, "names", "user_absent_s", user_absent_s, 1, 86400, 60, "seconds",
           "And that it knows no such user, or cannot tell"),

    WORD("programs", "hash", programs_hash, "on off",
         "Size, time and SHA-256 of the programs that are executed"),
    NUMBER(KEY_U32, "programs", "largest_mib", programs_largest_mib, 1, 1048576, 256, "MiB",
           "Largest program that is read for its SHA-256"),

    WORD("files", "mode", files_mode, "auto inotify off",
         "Files in use. auto: by fanotify where it can; inotify: the trees only; off: not at all"),
    LIST("files", "include", files_include, "",
         "Paths to record; empty: all"),
    LIST("files", "exclude", files_exclude,
         "/proc/* /sys/* /dev/pts/* /dev/null /dev/zero /dev/full /dev/tty /dev/random /dev/urandom",
         "Paths of which nothing is recorded"),
    LIST("files", "exclude_reads", files_exclude_reads,
         "/usr/* /lib/* /lib32/* /lib64/* /libx32/* /bin/* /sbin/* /etc/ld.so.cache "
         "/etc/ld.so.conf /etc/ld.so.conf.d/* /etc/locale.alias /etc/localtime /etc/nsswitch.conf "
         "/var/cache/fontconfig/*",
         "Paths of which changes only are recorded, not who read or executed them"),
    LIST("files", "exclude_types", files_exclude_types,
         "proc sysfs devpts cgroup cgroup2 debugfs tracefs securityfs bpf configfs pstore efivarfs "
         "hugetlbfs mqueue fusectl binfmt_misc nsfs autofs rpc_pipefs",
         "Types of filesystems that are not watched"),
    LIST("files", "exclude_programs", files_exclude_programs, "",
         "Programs whose use of files is not recorded"),
    LIST("files", "trees", files_trees, "/etc /root /home /tmp /var/tmp /opt /srv",
         "Directories that are watched by inotify, where fanotify cannot"),
    NUMBER(KEY_U32, "files", "rate_per_program", files_rate_per_program, 0, 1000000, 1000,
           "rows a second",
           "Most rows of one program, ten times as many after a quiet time; 0: no limit"),
    NUMBER(KEY_U32, "files", "scan_interval_s", files_scan_interval_s, 1, 3600, 30, "seconds",
           "Time between two looks at all open files in /proc"),

    WORD("devices", "mode", devices_mode, "on off",
         "Devices that are there, come and go, from udev or the kernel"),
    WORD("accounts", "mode", accounts_mode, "on off",
         "Accounts, groups and members, from passwd, shadow, group and gshadow"),
    PATH("accounts", "directory", accounts_directory, "/etc",
         "Where these files are"),
    WORD("sessions", "mode", sessions_mode, "on off",
         "Logins and failed logins that are written down in the files below"),
    PATH("sessions", "utmp", sessions_utmp, "/var/run/utmp",
         "Who is logged in"),
    PATH("sessions", "wtmp", sessions_wtmp, "/var/log/wtmp",
         "Who was logged in; read from its beginning at the first start"),
    PATH("sessions", "btmp", sessions_btmp, "/var/log/btmp",
         "Who could not log in; likewise"),
    NUMBER(KEY_U32, "sessions", "merge_ms", sessions_merge_ms, 50, 10000, 2000, "milliseconds",
           "What audit and these files say of one login comes within this time"),
    WORD("kernel_events", "mode", kernel_events_mode, "on off",
         "Modules, mounts, ptrace, namespaces, BPF, io_uring, kexec and the clock, from audit"),
    WORD("kernel_events", "paths", kernel_events_paths, "on off",
         "Where is mounted and unmounted; as owner of audit this costs two records more an exec"),

    WORD("masking", "mode", masking_mode, "on off",
         "Mask passwords and tokens in command lines before they are written anywhere"),
    TEXT("masking", "rules", masking_rules, "",
         "A file with more rules than the usual ones, which vestiged --dump-masking shows"),

    NUMBER(KEY_U32, "journal", "limit_mib", journal_limit_mib, 0, 1048576, 0, "MiB",
           "Most disk space; 0: 8192 or a tenth of the filesystem, whichever is less"),

    NUMBER(KEY_U32, "process", "settle_ms", settle_ms, 50, 1000, 250, "milliseconds",
           "How long a new process waits for all sources before its row is written"),
    NUMBER(KEY_U32, "process", "remember_s", remember_s, 1, 600, 60, "seconds",
           "How long an ended process is remembered for what comes late"),
    NUMBER(KEY_U32, "process", "remember_mib", remember_mib, 1, 1024, 8, "MiB",
           "Most memory for ended processes"),
    NUMBER(KEY_U32, "process", "fork_ms", fork_ms, 10, 1000, 100, "milliseconds",
           "A process that has not executed a program after this time gets a row of its own"),

    NUMBER(KEY_U32, "database", "retry_first_ms", retry_first_ms, 10, 60000, 200, "milliseconds",
           "Longest wait after the first failure to ship, any time up to it; it doubles with each further one"),
    NUMBER(KEY_U32, "database", "retry_most_ms", retry_most_ms, 10, 3600000, 30000, "milliseconds",
           "Longest wait between two attempts to ship"),
    {NULL},
};
/* clang-format on */
_Static_assert(sizeof(config_keys) / sizeof(config_keys[0]) - 1 <= 64,
               "the parser has a bit a key");

/* Words of a configuration live as long as the program: this is all of them. */
static const char *const words[] = {"auto", "guest", "off", "own", "none", "on", "log", "inotify"};

const char *config_word(const char *word, size_t length)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strlen(words[i]) == length && !memcmp(words[i], word, length))
            return words[i];
    return NULL;
}

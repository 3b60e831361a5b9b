/* The catalogue is written once, as arrays of column names; the counts are derived from it. */
#include "recorder/row/catalogue.h"

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

#define BIRTH(name)                                                                                \
    {                                                                                              \
        name, COLUMN_BIRTH, 0                                                                      \
    }
#define SETTLE(name)                                                                               \
    {                                                                                              \
        name, COLUMN_SETTLE, 0                                                                     \
    }
#define END(name)                                                                                  \
    {                                                                                              \
        name, COLUMN_END, 0                                                                        \
    }

#define SETTLE_SINCE(format, name)                                                                 \
    {                                                                                              \
        name, COLUMN_SETTLE, format                                                                \
    }

#define BIRTH_COMMON BIRTH("created_at"), BIRTH("seen_by")
#define END_COMMON   END("destroyed_at"), END("end_cause")

static const struct column process_columns[] = {
    BIRTH_COMMON,
    BIRTH("boot_id"),
    BIRTH("pid"),
    BIRTH("start_ticks"),
    BIRTH("ppid"),
    BIRTH("parent_id"),
    BIRTH("previous_id"),
    BIRTH("uid"),
    BIRTH("username"),
    BIRTH("euid"),
    BIRTH("effective_username"),
    BIRTH("gid"),
    BIRTH("egid"),
    BIRTH("container"),
    BIRTH("pid_ns"),
    BIRTH("mnt_ns"),
    BIRTH("net_ns"),
    BIRTH("own"),
    BIRTH("unaudited"),
    SETTLE("comm"),
    SETTLE("exe"),
    SETTLE("argv0"),
    SETTLE("arguments"),
    SETTLE("argc"),
    SETTLE_SINCE(2, "masked"),
    SETTLE("cwd"),
    SETTLE("tty"),
    SETTLE("exe_sha256"),
    SETTLE("exe_size"),
    SETTLE("exe_modified_at"),
    SETTLE("session_id"),
    SETTLE("login_uid"),
    SETTLE("login_username"),
    END_COMMON,
    END("cpu_user_us"),
    END("cpu_system_us"),
    END("max_rss_kib"),
    END("read_bytes"),
    END("write_bytes"),
    END("exit_uid"),
    END("exit_code"),
    END("exit_signal"),
};
_Static_assert(N_ELEMENTS(process_columns) == PROCESS_COLUMN_N, "catalogue.h names the positions");

static const struct column process_change_columns[] = {
    BIRTH_COMMON,       BIRTH("process_id"), BIRTH("kind"),
    BIRTH("old_value"), BIRTH("new_value"),  END_COMMON,
};

static const struct column host_columns[] = {
    BIRTH_COMMON,          BIRTH("name"),       BIRTH("machine_id"),
    BIRTH("os_name"),      BIRTH("os_version"), BIRTH("kernel"),
    BIRTH("architecture"), BIRTH("vendor"),     BIRTH("model"),
    BIRTH("time_zone"),    END_COMMON,
};

static const struct column boot_columns[] = {
    BIRTH_COMMON,          BIRTH("boot_id"), BIRTH("kernel"),
    BIRTH("command_line"), END_COMMON,       END("ended_clean"),
};

static const struct column coverage_columns[] = {
    BIRTH_COMMON, BIRTH("boot_id"), BIRTH("source"), BIRTH("mode"), BIRTH("detail"), END_COMMON,
};

static const struct column gap_columns[] = {
    BIRTH_COMMON,   BIRTH("boot_id"),        BIRTH("source"),        BIRTH("cause"),  BIRTH("unit"),
    BIRTH("count"), BIRTH("count_at_least"), BIRTH("count_at_most"), BIRTH("detail"), END_COMMON,
};

_Static_assert(N_ELEMENTS(gap_columns) == GAP_COLUMN_N, "catalogue.h names the positions");

static const struct column endpoint_columns[] = {
    BIRTH_COMMON,         BIRTH("process_id"),  BIRTH("pid"),
    BIRTH("pid_source"),  BIRTH("application"), BIRTH("uid"),
    BIRTH("username"),    BIRTH("login_uid"),   BIRTH("login_username"),
    BIRTH("protocol"),    BIRTH("direction"),   BIRTH("remote_address"),
    BIRTH("remote_port"), BIRTH("interface"),   BIRTH("netns"),
    BIRTH("cookie"),      SETTLE("status"),     SETTLE("local_address"),
    SETTLE("local_port"), SETTLE("local_name"), SETTLE("remote_name"),
    END_COMMON,           END("bytes_sent"),    END("bytes_received"),
};
_Static_assert(N_ELEMENTS(endpoint_columns) == ENDPOINT_COLUMN_N,
               "catalogue.h names the positions");

static const struct column address_name_columns[] = {
    BIRTH_COMMON, BIRTH("address"), BIRTH("name"), BIRTH("source"), END_COMMON,
};

static const struct column interface_address_columns[] = {
    BIRTH_COMMON,           BIRTH("interface"), BIRTH("mac"), BIRTH("address"),
    BIRTH("prefix_length"), BIRTH("family"),    END_COMMON,
};

static const struct column route_columns[] = {
    BIRTH_COMMON,     BIRTH("destination"), BIRTH("prefix_length"),
    BIRTH("gateway"), BIRTH("interface"),   BIRTH("table_id"),
    BIRTH("metric"),  BIRTH("family"),      END_COMMON,
};

static const struct column file_access_columns[] = {
    BIRTH_COMMON,    BIRTH("process_id"), BIRTH("pid"),       BIRTH("application"),
    BIRTH("uid"),    BIRTH("username"),   BIRTH("login_uid"), BIRTH("login_username"),
    BIRTH("path"),   BIRTH("new_path"),   BIRTH("inherited"), BIRTH("path_at_read"),
    BIRTH("device"), BIRTH("inode"),      END_COMMON,         END("operations"),
    END("opens"),    END("mode"),         END("size"),
};
_Static_assert(N_ELEMENTS(file_access_columns) == FILE_ACCESS_COLUMN_N,
               "catalogue.h names the positions");

static const struct column device_columns[] = {
    BIRTH_COMMON,       BIRTH("subsystem"), BIRTH("devpath"),         BIRTH("devnode"),
    BIRTH("device"),    BIRTH("vendor"),    BIRTH("model"),           BIRTH("serial"),
    BIRTH("vendor_id"), BIRTH("model_id"),  BIRTH("users_logged_in"), SETTLE("driver"),
    END_COMMON,
};
_Static_assert(N_ELEMENTS(device_columns) == DEVICE_COLUMN_N, "catalogue.h names the positions");

static const struct column account_columns[] = {
    BIRTH_COMMON,   BIRTH("username"),       BIRTH("uid"),
    BIRTH("gid"),   BIRTH("gecos"),          BIRTH("home"),
    BIRTH("shell"), BIRTH("password_state"), BIRTH("password_digest"),
    END_COMMON,
};

static const struct column account_group_columns[] = {
    BIRTH_COMMON,
    BIRTH("groupname"),
    BIRTH("gid"),
    BIRTH("password_state"),
    BIRTH("password_digest"),
    END_COMMON,
};

static const struct column group_member_columns[] = {
    BIRTH_COMMON,
    BIRTH("groupname"),
    BIRTH("username"),
    END_COMMON,
};

static const struct column finding_columns[] = {
    BIRTH_COMMON, BIRTH("class"), BIRTH("subject"), BIRTH("detail"), END_COMMON,
};

static const struct column session_columns[] = {
    BIRTH_COMMON,         BIRTH("boot_id"),
    BIRTH("session_id"),  BIRTH("login_uid"),
    BIRTH("username"),    BIRTH("tty"),
    BIRTH("service"),     BIRTH("leader_pid"),
    BIRTH("process_id"),  BIRTH("remote_address"),
    BIRTH("remote_name"), END_COMMON,
};

static const struct column auth_attempt_columns[] = {
    BIRTH_COMMON, BIRTH("username"),   BIRTH("service"), BIRTH("result"), BIRTH("remote_address"),
    BIRTH("tty"), BIRTH("process_id"), END_COMMON,
};

static const struct column kernel_event_columns[] = {
    BIRTH_COMMON,  BIRTH("process_id"), BIRTH("pid"),       BIRTH("application"),
    BIRTH("uid"),  BIRTH("username"),   BIRTH("login_uid"), BIRTH("login_username"),
    BIRTH("kind"), BIRTH("target"),     BIRTH("result"),    END_COMMON,
};
_Static_assert(N_ELEMENTS(kernel_event_columns) == KERNEL_EVENT_COLUMN_N,
               "catalogue.h names the positions");

#define TABLE(table)                                                                               \
    {                                                                                              \
#table, table##_columns, N_ELEMENTS(table##_columns)                                       \
    }

static const struct table tables[] = {
    [TABLE_PROCESS] = TABLE(process),
    [TABLE_PROCESS_CHANGE] = TABLE(process_change),
    [TABLE_HOST] = TABLE(host),
    [TABLE_BOOT] = TABLE(boot),
    [TABLE_COVERAGE] = TABLE(coverage),
    [TABLE_GAP] = TABLE(gap),
    [TABLE_ENDPOINT] = TABLE(endpoint),
    [TABLE_ADDRESS_NAME] = TABLE(address_name),
    [TABLE_INTERFACE_ADDRESS] = TABLE(interface_address),
    [TABLE_ROUTE] = TABLE(route),
    [TABLE_FILE_ACCESS] = TABLE(file_access),
    [TABLE_DEVICE] = TABLE(device),
    [TABLE_ACCOUNT] = TABLE(account),
    [TABLE_ACCOUNT_GROUP] = TABLE(account_group),
    [TABLE_GROUP_MEMBER] = TABLE(group_member),
    [TABLE_FINDING] = TABLE(finding),
    [TABLE_SESSION] = TABLE(session),
    [TABLE_AUTH_ATTEMPT] = TABLE(auth_attempt),
    [TABLE_KERNEL_EVENT] = TABLE(kernel_event),
};
_Static_assert(N_ELEMENTS(tables) == TABLE_N, "describe each table");

static const char *const verbs[] = {"insert", "settle", "end"};
_Static_assert(N_ELEMENTS(verbs) == VERB_N, "name each verb");

const struct table *catalogue_table(enum table_id id)
{
    return &tables[id];
}

enum table_id catalogue_find(struct slice name)
{
    for (int id = 0; id < TABLE_N; id++)
        if (slice_is(name, tables[id].name))
            return (enum table_id)id;
    return TABLE_NONE;
}

const char *verb_name(enum verb verb)
{
    return verbs[verb];
}

enum verb verb_find(struct slice name)
{
    int verb = 0;
    while (verb < VERB_N && !slice_is(name, verbs[verb]))
        verb++;
    return (enum verb)verb;
}

size_t catalogue_line_columns(const struct table *table, enum verb verb, size_t *first)
{
    *first = 0;
    if (verb == VERB_INSERT)
        return table->n_columns;
    enum column_line line = verb == VERB_SETTLE ? COLUMN_SETTLE : COLUMN_END;
    while (*first < table->n_columns && table->columns[*first].line != line)
        ++*first;
    size_t n = 0;
    while (*first + n < table->n_columns && table->columns[*first + n].line == line)
        n++;
    return n;
}

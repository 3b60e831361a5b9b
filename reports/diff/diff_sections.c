/* Items that may be there several times (a program run twice, a port with two listeners) are one
 * line, and what differs among them is listed in its detail. The digest of a password is compared
 * for one host only: its key is the host's own. */
#include "reports/diff/diff_sections.h"

#define ALIVE(t)                                                                                   \
    t ".host_id = :host_id AND " t ".day <= :at_day AND " t ".created_at <= :at AND (" t           \
      ".destroyed_at IS NULL OR " t ".destroyed_at > :at)"
#define STATE(item, detail, t, condition)                                                          \
    "SELECT item, GROUP_CONCAT(DISTINCT detail ORDER BY detail SEPARATOR '; ') AS detail,"         \
    " MIN(host_id) AS row_host_id, MIN(id) AS row_id FROM (SELECT " item " AS item, " detail       \
    " AS detail, " t ".host_id, " t ".id FROM " t " WHERE " ALIVE(t) condition                     \
        ") AS state GROUP BY item ORDER BY CAST(item AS BINARY)"

#define HOST_FACT(name, column)                                                                    \
    "SELECT '" name "' AS item, " column " AS detail, host_id AS row_host_id, id AS row_id"        \
    " FROM now_host WHERE " column " IS NOT NULL "

static const char accounts[] =
    STATE("account.username",
          "CONCAT_WS(', ', CONCAT('uid ', uid), CONCAT('gid ', gid), CONCAT('home ', home),"
          " CONCAT('shell ', shell), CONCAT('name ', NULLIF(gecos, '')), CONCAT('password ',"
          " password_state), IF(:one_host, CONCAT('digest ', password_digest), NULL))",
          "account", "");

static const char groups[] =
    STATE("account_group.groupname",
          "CONCAT_WS(', ', CONCAT('gid ', gid), CONCAT('password ', password_state),"
          " IF(:one_host, CONCAT('digest ', password_digest), NULL))",
          "account_group", "");

static const char members[] =
    STATE("CONCAT(group_member.username, ' in ', groupname)", "''", "group_member", "");

static const char listeners[] =
    STATE("CONCAT(COALESCE(protocol, '?'), ' ', COALESCE(CONCAT(IF(LOCATE(':', local_address),"
          " CONCAT('[', local_address, ']'), local_address), ':', local_port), local_name, '?'))",
          "CONCAT_WS(' ', application, CONCAT('as ', COALESCE(username, uid)))", "endpoint",
          " AND endpoint.direction = 'listen'");

static const char devices[] =
    STATE("CONCAT(COALESCE(subsystem, '?'), ' ', COALESCE(devnode, devpath))",
          "CONCAT_WS(' ', vendor, model, CONCAT('serial ', serial), CONCAT('driver ', driver))",
          "device", "");

static const char addresses[] =
    STATE("CONCAT(interface, COALESCE(CONCAT(' ', address, '/', prefix_length), ''))",
          "COALESCE(mac, '')", "interface_address", "");

static const char routes[] =
    STATE("CONCAT(destination, '/', prefix_length, COALESCE(CONCAT(' table ', NULLIF(table_id,"
          " 254)), ''))",
          "CONCAT_WS(' ', CONCAT('via ', gateway), CONCAT('dev ', interface),"
          " CONCAT('metric ', NULLIF(metric, 0)))",
          "route", "");

static const char programs[] =
    STATE("COALESCE(exe, argv0)", "CONCAT('as ', COALESCE(username, uid, '?'))", "process",
          " AND (exe IS NOT NULL OR argv0 IS NOT NULL) AND NOT COALESCE(own, 0)");

static const char sessions[] =
    STATE("CONCAT_WS(' ', username, CONCAT('by ', service), CONCAT('on ', tty), CONCAT('from ',"
          " remote_address), IF(:one_host, CONCAT('since ', session.created_at), NULL))",
          "CONCAT('login user ', COALESCE(login_uid, 'unset'))", "session", "");

/* clang-format off */
static const char host[] =
    "WITH now_host AS (SELECT * FROM host WHERE " ALIVE("host") " ORDER BY id DESC LIMIT 1), "
    "now_boot AS (SELECT * FROM boot WHERE " ALIVE("boot") " ORDER BY created_at DESC, id DESC"
    " LIMIT 1) " HOST_FACT("architecture", "architecture") "UNION ALL "
    "SELECT 'booted at', CAST(created_at AS CHAR), host_id, id FROM now_boot UNION ALL "
    "SELECT 'kernel command line', command_line, host_id, id FROM now_boot"
    " WHERE command_line IS NOT NULL UNION ALL "
    HOST_FACT("kernel", "kernel") "UNION ALL "
    HOST_FACT("machine id", "machine_id") "UNION ALL "
    HOST_FACT("model", "model") "UNION ALL "
    HOST_FACT("name", "name") "UNION ALL "
    HOST_FACT("os", "CONCAT_WS(' ', os_name, os_version)") "UNION ALL "
    HOST_FACT("time zone", "time_zone") "UNION ALL "
    HOST_FACT("vendor", "vendor") "ORDER BY CAST(item AS BINARY)";
/* clang-format on */

const struct diff_section diff_sections[] = {
    {"accounts",  "account",           accounts },
    {"groups",    "account_group",     groups   },
    {"members",   "group_member",      members  },
    {"listeners", "endpoint",          listeners},
    {"devices",   "device",            devices  },
    {"addresses", "interface_address", addresses},
    {"routes",    "route",             routes   },
    {"programs",  "process",           programs },
    {"sessions",  "session",           sessions },
    {"host",      "host",              host     },
};

const size_t diff_sections_n = sizeof(diff_sections) / sizeof(diff_sections[0]);

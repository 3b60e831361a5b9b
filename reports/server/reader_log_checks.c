/* Whether the server's plugin server_audit keeps what readers ask by other programs than vestige.
 *
 * It logs all connections, and the statements of whom server_audit_incl_users names; without such a
 * list, of all whom server_audit_excl_users does not name. Names have to be whole, and a list has
 * at most 1023 bytes: some hundred agents. So the accounts that may read are to be listed (the view
 * reader_account), not those of the fleet left out. Of the sets of events only QUERY has all
 * statements: QUERY_DML decides by the first word, and WITH is none that it knows. */
#include "reports/server/setting_check.h"

/* What the plugin tells of itself; all of it is NULL where it is not. */
#define PLUGIN                                                                                     \
    "(SELECT MAX(IF(n = 'logging', v, NULL)) AS logging, MAX(IF(n = 'events', v, NULL)) AS "       \
    "events,"                                                                                      \
    " MAX(IF(n = 'output_type', v, NULL)) AS output, MAX(IF(n = 'active', v, NULL)) AS active,"    \
    " MAX(IF(n = 'query_log_limit', v, NULL)) AS byte_limit,"                                      \
    " MAX(IF(n = 'file_rotations', v, NULL)) AS rotations,"                                        \
    " MAX(IF(n = 'file_rotate_size', v, NULL)) AS rotate_size,"                                    \
    " MAX(IF(n = 'current_log', v, NULL)) AS log, MAX(IF(n = 'writes_failed', v, NULL)) AS "       \
    "failed,"                                                                                      \
    " COALESCE(MAX(IF(n = 'incl_users', v, NULL)), '') AS included,"                               \
    " COALESCE(MAX(IF(n = 'excl_users', v, NULL)), '') AS excluded FROM"                           \
    " (SELECT SUBSTRING(LOWER(variable_name), 14) AS n, REPLACE(variable_value, ' ', '') AS v "    \
    "FROM"                                                                                         \
    " (SELECT * FROM information_schema.global_variables UNION ALL SELECT * FROM"                  \
    " information_schema.global_status) s WHERE variable_name LIKE 'server\\_audit\\_%') w)"
#define OF_PLUGIN(expression) "(SELECT " expression " FROM " PLUGIN " a)"
#define WHERE_ON(expression)                                                                       \
    OF_PLUGIN("IF(a.logging = 'ON', " expression ", 'server_audit is off')")
#define OFF_OR(condition) OF_PLUGIN("COALESCE(a.logging, 'OFF') <> 'ON' OR " condition)

static const char plugin_found[] =
    OF_PLUGIN("COALESCE(CONCAT(a.logging, ', events: ', COALESCE(NULLIF(a.events, ''), 'all'), "
              "', to ', COALESCE(NULLIF(a.log, ''), 'nothing'), ' in ', @@GLOBAL.datadir, ', ', "
              "a.failed, ' writes failed'), 'not installed')");
static const char plugin_right[] =
    OF_PLUGIN("a.logging = 'ON' AND a.active = 'ON' AND a.failed = 0 AND (a.events = '' OR "
              "FIND_IN_SET('QUERY', a.events) AND FIND_IN_SET('CONNECT', a.events))");

static const char limit_found[] = WHERE_ON("a.byte_limit");
static const char limit_right[] = OFF_OR("a.byte_limit = 0");

static const char rotation_found[] =
    WHERE_ON("CONCAT(a.rotations, ' of ', a.rotate_size, ' bytes')");
static const char rotation_right[] = OFF_OR("a.output <> 'file' OR a.rotations = 0");

static const char readers_found[] =
    WHERE_ON("(SELECT COALESCE(CONCAT('without ', GROUP_CONCAT(user, '@', host ORDER BY user, host "
             "SEPARATOR ', ')), 'all') FROM reader_account WHERE NOT is_logged)");
static const char readers_right[] =
    OFF_OR("NOT EXISTS (SELECT 1 FROM reader_account WHERE NOT is_logged)");
/* Whoever is in the list for another reason stays in it. */
static const char readers_wanted[] =
    OF_PLUGIN("(SELECT CONCAT('server_audit_incl_users = ', CONCAT_WS(',', NULLIF(a.included, ''), "
              "GROUP_CONCAT(DISTINCT user ORDER BY user))) FROM reader_account "
              "WHERE NOT is_logged OR a.included = '')");

#define AGENTS_LOGGED                                                                              \
    "(SELECT COUNT(*) FROM (SELECT SUBSTRING_INDEX(account, '@', 1) AS name FROM enrolment) e "    \
    "WHERE IF(a.included <> '', FIND_IN_SET(e.name, a.included) > 0, "                             \
    "FIND_IN_SET(e.name, a.excluded) = 0))"
static const char agents_found[] = WHERE_ON("CONCAT(" AGENTS_LOGGED ", ' logged')");
static const char agents_right[] = OFF_OR(AGENTS_LOGGED " = 0");
static const char agents_wanted[] =
    "(SELECT CONCAT('server_audit_incl_users = ', GROUP_CONCAT(DISTINCT user ORDER BY user)) "
    "FROM reader_account)";

const struct setting_check reader_log_checks[] = {
    {{"server_audit",
      "plugin_load_add = server_audit; server_audit_logging = ON; server_audit_events = "
      "CONNECT,QUERY",
      "what people ask by other programs than vestige is not kept; what vestige asks is in the "
      "table reading",
      SETTING_ADVISED},
     plugin_found,   plugin_right,
     NULL          },
    {{"server_audit_query_log_limit", "server_audit_query_log_limit = 0",
      "only so many bytes of a question are kept: a long comment before it hides it",
      SETTING_ADVISED},
     limit_found,    limit_right,
     NULL          },
    {{"server_audit_file_rotations", "server_audit_file_rotations = 0",
      "the oldest questions are deleted when there are more: who asks much hides what they asked "
      "first",
      SETTING_ADVISED},
     rotation_found, rotation_right,
     NULL          },
    {{"readers in server_audit", "server_audit_incl_users = all who may read",
      "what these accounts ask by other programs than vestige is not kept", SETTING_ADVISED},
     readers_found,  readers_right,
     readers_wanted},
    {{"agents in server_audit", "server_audit_incl_users = all who may read",
      "each statement of each of their batches is a line: the log fills the disk, and what people "
      "asked is lost in it",
      SETTING_ADVISED},
     agents_found,   agents_right,
     agents_wanted },
};
const size_t reader_log_checks_n = sizeof(reader_log_checks) / sizeof(reader_log_checks[0]);

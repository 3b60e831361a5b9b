/* The kernel writes who sent it, and in msg='...', which is the last, what the program said:
 *
 *   pid=7 uid=0 auid=1000 ses=3 subj=x msg='op=PAM:authentication grantors=? acct="root"
 *     exe="/usr/bin/su" hostname=? addr=? terminal=/dev/pts/1 res=failed'
 *
 * The name of the account is the word of who tries to get in. libaudit writes it in hexadecimal
 * when it holds a quote, a blank or a control character, but not for an apostrophe: so msg ends
 * with the last apostrophe of the record, not with the next. The name of the host is written as it
 * is, and comes from whoever answers for the address: of the fields before it the first is
 * believed, of those behind it the last. */
#include "collectors/audit/audit_user.h"

#include <linux/audit.h>

enum {
    USER_AUTH,
    USER_ACCT,
    USER_START = 5,
    USER_END,
    USER_LOGIN = 12,
    USER_LOGOUT,
    USER_CMD = 23,
    SYSTEM_SHUTDOWN = 28
};

void audit_user_scratch_deinit(struct audit_user_scratch *scratch)
{
    buffer_deinit(&scratch->account);
    buffer_deinit(&scratch->exe);
}

static bool event_of(uint16_t type, enum audit_user_event *event)
{
    static const struct {
        uint16_t type;
        enum audit_user_event event;
    } rows[] = {
        {USER_AUTH,       AUDIT_USER_AUTHENTICATED},
        {USER_ACCT,       AUDIT_USER_ACCOUNT      },
        {USER_START,      AUDIT_USER_START        },
        {USER_END,        AUDIT_USER_END          },
        {USER_LOGIN,      AUDIT_USER_LOGIN        },
        {USER_LOGOUT,     AUDIT_USER_LOGOUT       },
        {USER_CMD,        AUDIT_USER_COMMAND      },
        {SYSTEM_SHUTDOWN, AUDIT_USER_SHUTDOWN     },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].type == type - AUDIT_FIRST_USER_MSG) {
            *event = rows[i].event;
            return true;
        }
    return false;
}

static bool add_sender(struct fact_audit_user *said, const struct audit_field *field)
{
    const struct {
        const char *name;
        uint32_t *value;
    } rows[] = {
        {"pid",  &said->pid      },
        {"uid",  &said->uid      },
        {"auid", &said->login_uid},
        {"ses",  &said->session  },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (slice_is(field->name, rows[i].name))
            return audit_field_u32(field, rows[i].value);
    return true;
}

/* The inside of msg='...', when @p field is it. */
static struct slice inside(const struct audit_field *field, struct slice fields)
{
    const uint8_t *end = fields.data + fields.length;
    const uint8_t *quote = memrchr(field->value.data, '\'', (size_t)(end - field->value.data));
    return slice_of(field->value.data, (size_t)((quote ? quote : end) - field->value.data));
}

static bool is_hexadecimal(struct slice value)
{
    for (size_t i = 0; i < value.length; i++)
        if (!(value.data[i] >= '0' && value.data[i] <= '9') &&
            !(value.data[i] >= 'A' && value.data[i] <= 'F'))
            return false;
    return value.length > 0 && value.length % 2 == 0;
}

/* Text of libaudit: in quotes, in hexadecimal, or as it is when it was not libaudit that wrote it.
 */
static struct slice text_of(const struct audit_field *field, struct buffer *scratch)
{
    if (field->quoted || !is_hexadecimal(field->value))
        return slice_is(field->value, "?") || slice_is(field->value, "(null)") ? SLICE_NULL
                                                                               : field->value;
    buffer_clear(scratch);
    if (audit_field_text(field, scratch) != AUDIT_TEXT_KNOWN)
        return SLICE_NULL;
    return buffer_slice(scratch);
}

static struct slice word_of(const struct audit_field *field)
{
    return slice_is(field->value, "?") || slice_is(field->value, "(null)") ? SLICE_NULL
                                                                           : field->value;
}

static void set_once(struct slice *to, struct slice value)
{
    if (slice_is_null(*to))
        *to = value;
}

struct said {
    struct fact_audit_user *fact;
    struct audit_user_scratch *scratch;
    bool account_known, exe_known, result_known;
};

static void add_word(struct said *said, const struct audit_field *field)
{
    struct fact_audit_user *fact = said->fact;
    if (slice_is(field->name, "op")) {
        set_once(&fact->operation, word_of(field));
    } else if (slice_is(field->name, "acct") && !said->account_known) {
        said->account_known = true;
        fact->account = text_of(field, &said->scratch->account);
    } else if (slice_is(field->name, "id") && fact->account_uid == ID_UNSET) {
        if (!audit_field_u32(field, &fact->account_uid))
            fact->account_uid = ID_UNSET;
    } else if (slice_is(field->name, "exe") && !said->exe_known) {
        said->exe_known = true;
        fact->exe = text_of(field, &said->scratch->exe);
    } else if (slice_is(field->name, "hostname")) {
        set_once(&fact->host_name, word_of(field));
    } else if (slice_is(field->name, "addr")) {
        fact->address = word_of(field);
    } else if (slice_is(field->name, "terminal")) {
        fact->terminal = word_of(field);
    } else if (slice_is(field->name, "res")) {
        said->result_known = true;
        fact->success = slice_is(field->value, "success") || slice_is(field->value, "1");
    }
}

int audit_user_decode(struct audit_user_scratch *scratch, const struct audit_record *record,
                      uint64_t boot_ns, fact_handler handler, void *user)
{
    struct fact fact = {
        .kind = FACT_AUDIT_USER,
        .source = SOURCE_AUDIT,
        .boot_ns = boot_ns,
        .audit_user = {.serial = record->serial,
                       .real_ms = record->real_ms,
                       .uid = ID_UNSET,
                       .login_uid = ID_UNSET,
                       .session = ID_UNSET,
                       .account_uid = ID_UNSET}
    };
    struct said said = {.fact = &fact.audit_user, .scratch = scratch};
    struct slice rest = record->fields, words = SLICE_NULL;
    struct audit_field field;
    if (!event_of(record->type, &fact.audit_user.event))
        return 0;
    while (slice_is_null(words) && audit_field_next(&rest, &field)) {
        if (slice_is(field.name, "msg"))
            words = inside(&field, record->fields);
        else if (!add_sender(&fact.audit_user, &field))
            return -EBADMSG;
    }
    if (slice_is_null(words))
        return -EBADMSG;
    while (audit_field_next(&words, &field))
        add_word(&said, &field);
    if (scratch->account.failed || scratch->exe.failed)
        return -ENOMEM;
    if (fact.audit_user.pid == 0 || !said.result_known)
        return -EBADMSG;
    handler(user, &fact);
    return 0;
}

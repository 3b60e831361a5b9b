/* Only what the functions here can have written is taken: every other message is malformed. */
#include "collectors/accounts/account_message.h"

#include "collectors/accounts/account_lines.h"
#include "collectors/netlink/common_message.h"
#include "core/bounded_reader.h"

enum record {
    RECORD_WANTED = 1,
    RECORD_BEGIN,
    RECORD_END,
    RECORD_ACCOUNT,
    RECORD_GROUP,
    RECORD_MEMBER
};

static void append_u8(struct buffer *to, unsigned value)
{
    buffer_append_byte(to, (char)value);
}

static void append_u32(struct buffer *to, uint32_t value)
{
    buffer_append(to, &value, sizeof(value));
}

static void append_text(struct buffer *to, struct slice text)
{
    append_u32(to, slice_is_null(text) ? UINT32_MAX : (uint32_t)text.length);
    buffer_append_slice(to, text);
}

static void append_password(struct buffer *to, const struct account_password *password)
{
    append_u8(to, password->state);
    append_u8(to, password->has_digest);
    buffer_append(to, password->digest, sizeof(password->digest));
}

void account_message_append_scan(struct buffer *to, const struct fact_account_scan *scan)
{
    append_u8(to, RECORD_WANTED + (unsigned)scan->step);
    append_u8(to, scan->part);
    append_u32(to, scan->sequence);
    if (scan->step == ACCOUNT_SCAN_ENDED)
        append_u8(to, scan->complete);
}

void account_message_append_account(struct buffer *to, const struct fact_account *account)
{
    append_u8(to, RECORD_ACCOUNT);
    append_u32(to, account->uid);
    append_u32(to, account->gid);
    append_password(to, &account->password);
    append_text(to, account->name);
    append_text(to, account->gecos);
    append_text(to, account->home);
    append_text(to, account->shell);
}

void account_message_append_group(struct buffer *to, const struct fact_account_group *group)
{
    append_u8(to, RECORD_GROUP);
    append_u32(to, group->gid);
    append_password(to, &group->password);
    append_text(to, group->name);
}

void account_message_append_member(struct buffer *to, const struct fact_group_member *member)
{
    append_u8(to, RECORD_MEMBER);
    append_text(to, member->group);
    append_text(to, member->name);
}

static bool read_bool(struct bounded_reader *reader)
{
    uint8_t value = bounded_reader_u8(reader);
    reader->failed |= value > 1;
    return value == 1;
}

static struct slice read_text(struct bounded_reader *reader)
{
    uint32_t length = bounded_reader_u32(reader);
    if (length == UINT32_MAX)
        return SLICE_NULL;
    reader->failed |= length > ACCOUNT_LINE_MOST;
    return bounded_reader_bytes(reader, length);
}

static struct slice read_name(struct bounded_reader *reader)
{
    struct slice name = read_text(reader);
    reader->failed |= name.length == 0 || name.length > ACCOUNT_NAME_MOST;
    return name;
}

static struct account_password read_password(struct bounded_reader *reader)
{
    static const uint8_t none[ACCOUNT_DIGEST_BYTES];
    struct account_password password = {.state = PASSWORD_UNKNOWN};
    uint8_t state = bounded_reader_u8(reader);
    password.has_digest = read_bool(reader);
    bounded_reader_copy(reader, password.digest, sizeof(password.digest));
    reader->failed |= state >= PASSWORD_STATE_N ||
                      (!password.has_digest && memcmp(password.digest, none, sizeof(none)) != 0);
    if (!reader->failed)
        password.state = (enum password_state)state;
    return password;
}

static void read_scan(struct bounded_reader *reader, uint8_t record, struct fact *fact)
{
    uint8_t part = bounded_reader_u8(reader);
    reader->failed |= part >= ACCOUNT_PART_N;
    fact->kind = FACT_ACCOUNT_SCAN;
    fact->account_scan = (struct fact_account_scan){
        .step = (enum account_scan_step)(record - RECORD_WANTED),
        .part = reader->failed ? ACCOUNT_PART_ACCOUNTS : (enum account_part)part,
        .sequence = bounded_reader_u32(reader)};
    if (record == RECORD_END)
        fact->account_scan.complete = read_bool(reader);
}

static void read_account(struct bounded_reader *reader, struct fact *fact)
{
    struct fact_account *account = &fact->account;
    fact->kind = FACT_ACCOUNT;
    account->uid = bounded_reader_u32(reader);
    account->gid = bounded_reader_u32(reader);
    account->password = read_password(reader);
    account->name = read_name(reader);
    account->gecos = read_text(reader);
    account->home = read_text(reader);
    account->shell = read_text(reader);
}

static void read_group(struct bounded_reader *reader, struct fact *fact)
{
    fact->kind = FACT_ACCOUNT_GROUP;
    fact->account_group.gid = bounded_reader_u32(reader);
    fact->account_group.password = read_password(reader);
    fact->account_group.name = read_name(reader);
}

static void read_member(struct bounded_reader *reader, struct fact *fact)
{
    fact->kind = FACT_GROUP_MEMBER;
    fact->group_member.group = read_name(reader);
    fact->group_member.name = read_name(reader);
}

static bool read_record(struct bounded_reader *reader, struct fact *fact)
{
    uint8_t record = bounded_reader_u8(reader);
    if (record == RECORD_ACCOUNT)
        read_account(reader, fact);
    else if (record == RECORD_GROUP)
        read_group(reader, fact);
    else if (record == RECORD_MEMBER)
        read_member(reader, fact);
    else if (record >= RECORD_WANTED && record <= RECORD_END)
        read_scan(reader, record, fact);
    else
        reader->failed = true;
    return !reader->failed;
}

int account_message_decode(struct decoder *decoder, const struct message *message,
                           fact_handler handler, void *user)
{
    (void)decoder;
    if (common_message_decode(message, handler, user))
        return 0;
    if (message->kind != MESSAGE_DATA || message->bytes.length == 0)
        return -EBADMSG;
    struct bounded_reader reader = bounded_reader_of(message->bytes.data, message->bytes.length);
    while (reader.left) {
        struct fact fact = {.source = message->source, .boot_ns = message->boot_ns};
        if (!read_record(&reader, &fact))
            return -EBADMSG;
        handler(user, &fact);
    }
    return 0;
}

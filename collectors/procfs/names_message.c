/* Only what the functions here can have written is taken: every other message is malformed. */
#include "collectors/procfs/names_message.h"

#include "core/bounded_reader.h"

enum answer { ANSWER_NOBODY, ANSWER_FILE, ANSWER_SWITCH, ANSWER_BEFORE };

static void append_head(struct buffer *to, uint32_t uid, enum answer answer)
{
    buffer_append(to, &uid, sizeof(uid));
    buffer_append_byte(to, (char)answer);
}

void names_message_append(struct buffer *to, const struct fact_user_name *name)
{
    static const enum answer answers[USER_NAME_ORIGIN_N] = {[USER_OF_FILE] = ANSWER_FILE,
                                                            [USER_OF_SWITCH] = ANSWER_BEFORE,
                                                            [USER_OF_NOBODY] = ANSWER_NOBODY,
                                                            [USER_AS_BEFORE] = ANSWER_BEFORE};
    append_head(to, name->uid, answers[name->origin]);
    if (name->origin == USER_OF_FILE)
        buffer_append_slice(to, name->name);
}

static void append_text(struct buffer *to, struct slice text)
{
    uint32_t length = slice_is_null(text) ? UINT32_MAX : (uint32_t)text.length;
    buffer_append(to, &length, sizeof(length));
    buffer_append_slice(to, text);
}

void names_message_append_entry(struct buffer *to, const struct fact_account *entry)
{
    append_head(to, entry->uid, ANSWER_SWITCH);
    buffer_append(to, &entry->gid, sizeof(entry->gid));
    append_text(to, entry->name);
    append_text(to, entry->gecos);
    append_text(to, entry->home);
    append_text(to, entry->shell);
}

static struct slice read_text(struct bounded_reader *reader, size_t most)
{
    uint32_t length = bounded_reader_u32(reader);
    if (length == UINT32_MAX)
        return SLICE_NULL;
    reader->failed |= length > most;
    return bounded_reader_bytes(reader, length);
}

static struct fact_account read_entry(struct bounded_reader *reader, uint32_t uid)
{
    struct fact_account entry = {.uid = uid, .from_switch = true};
    entry.gid = bounded_reader_u32(reader);
    entry.name = read_text(reader, NAMES_NAME_MOST);
    entry.gecos = read_text(reader, NAMES_TEXT_MOST);
    entry.home = read_text(reader, NAMES_TEXT_MOST);
    entry.shell = read_text(reader, NAMES_TEXT_MOST);
    reader->failed |= entry.name.length == 0;
    return entry;
}

static void read_name(struct bounded_reader *reader, struct fact_user_name *name)
{
    uint8_t answer = bounded_reader_u8(reader);
    name->origin = answer == ANSWER_FILE     ? USER_OF_FILE
                   : answer == ANSWER_SWITCH ? USER_OF_SWITCH
                   : answer == ANSWER_BEFORE ? USER_AS_BEFORE
                                             : USER_OF_NOBODY;
    reader->failed |= answer > ANSWER_BEFORE;
    if (answer != ANSWER_FILE)
        return;
    name->name = bounded_reader_bytes(reader, reader->left);
    reader->failed |= name->name.length == 0;
}

int names_decode(struct decoder *decoder, const struct message *message, fact_handler handler,
                 void *user)
{
    (void)decoder;
    if (message->kind != MESSAGE_DATA)
        return 0;
    struct bounded_reader reader = bounded_reader_of(message->bytes.data, message->bytes.length);
    struct fact name = {
        .kind = FACT_USER_NAME, .source = message->source, .boot_ns = message->boot_ns};
    struct fact entry = {
        .kind = FACT_ACCOUNT, .source = message->source, .boot_ns = message->boot_ns};
    name.user_name.uid = bounded_reader_u32(&reader);
    read_name(&reader, &name.user_name);
    bool is_entry = name.user_name.origin == USER_OF_SWITCH;
    if (is_entry) {
        entry.account = read_entry(&reader, name.user_name.uid);
        name.user_name.name = entry.account.name;
    }
    if (reader.failed || reader.left > 0)
        return -EBADMSG;
    if (is_entry)
        handler(user, &entry);
    handler(user, &name);
    return 0;
}

// links: vestige_accounts vestige_procfs vestige_tracker
/* The first byte chooses: 0 messages of the source, and of names, as a gulp holds them, for the
 * decoders and the lifecycles; 1 a passwd file; 2 a group file; 3 a shadow file behind a passwd
 * file, divided by a byte 0. */
#include "fuzz_messages.h"

#include "collectors/accounts/account_message.h"
#include "collectors/accounts/account_passwords.h"
#include "collectors/accounts/accounts_source.h"
#include "collectors/procfs/names_message.h"
#include "recorder/accounts/accounts.h"
#include "recorder/row/row_sink_memory.h"

enum { ROWS_MOST = 64, FINDINGS_MOST = 16 };

struct lifecycle {
    struct row_sink_memory memory;
    struct counters counters;
    struct timeline timeline;
    struct row_output output;
    struct findings *findings;
    struct accounts *accounts;
};

static void take_fact(void *user, const struct fact *fact)
{
    struct lifecycle *lifecycle = user;
    accounts_fact(lifecycle->accounts, fact);
    if (accounts_rows(lifecycle->accounts) > ROWS_MOST ||
        findings_rows(lifecycle->findings) > FINDINGS_MOST)
        abort();
}

/* Every third line is refused, so that rows wait. */
static int append(void *user, const struct line *line)
{
    struct lifecycle *lifecycle = user;
    lifecycle->memory.refuse = ++lifecycle->memory.n_marks % 3 == 0 ? -ENOSPC : 0;
    return row_sink_memory(&lifecycle->memory).append(&lifecycle->memory, line);
}

static int decode(const struct message *message, struct lifecycle *lifecycle)
{
    return message->source == SOURCE_NAMES
               ? names_decode(NULL, message, take_fact, lifecycle)
               : accounts_source_ops.decode(NULL, message, take_fact, lifecycle);
}

static void follow(struct lifecycle *lifecycle, struct slice bytes)
{
    struct message message;
    size_t offset = 0;
    struct gulp *gulp = gulp_new(bytes.length);
    if (!gulp)
        abort();
    if (bytes.length)
        memcpy(gulp->data, bytes.data, bytes.length);
    gulp->used = bytes.length;
    while (gulp_next(gulp, &offset, &message))
        if (decode(&message, lifecycle) == 0) {
            accounts_tick(lifecycle->accounts);
            findings_tick(lifecycle->findings);
        }
    accounts_checkpoint(lifecycle->accounts);
    findings_checkpoint(lifecycle->findings);
    accounts_unwatched(lifecycle->accounts);
    accounts_flush(lifecycle->accounts);
    findings_flush(lifecycle->findings);
    gulp_free(gulp);
}

static void run_messages(struct slice bytes)
{
    struct lifecycle lifecycle = {.findings = NULL};
    lifecycle.output = (struct row_output){
        .sink = {.user = &lifecycle, .append = append},
        .timeline = &lifecycle.timeline,
        .counters = &lifecycle.counters
    };
    if (findings_new(&lifecycle.findings, &(struct findings_options){.output = &lifecycle.output,
                                                                     .most = FINDINGS_MOST}) < 0)
        abort();
    const struct accounts_options options = {
        .output = &lifecycle.output, .findings = lifecycle.findings, .most = ROWS_MOST};
    if (accounts_new(&lifecycle.accounts, &options) < 0)
        abort();
    follow(&lifecycle, bytes);
    accounts_free(lifecycle.accounts);
    findings_free(lifecycle.findings);
    line_deinit(&lifecycle.output.line);
    row_sink_memory_deinit(&lifecycle.memory);
    (void)fuzz_messages(&accounts_source_ops, bytes.data, bytes.length);
}

static bool same(struct slice a, struct slice b)
{
    return slice_is_null(a) == slice_is_null(b) && slice_equal(a, b);
}

static void compare_account(void *user, const struct fact *fact)
{
    const struct fact_account *one = user, *other = &fact->account;
    if (fact->kind != FACT_ACCOUNT || one->uid != other->uid || one->gid != other->gid ||
        !same(one->name, other->name) || !same(one->gecos, other->gecos) ||
        !same(one->home, other->home) || !same(one->shell, other->shell))
        abort();
}

static void compare_member(void *user, const struct fact *fact)
{
    const struct fact_group_member *one = user;
    if (fact->kind != FACT_GROUP_MEMBER || !same(one->group, fact->group_member.group) ||
        !same(one->name, fact->group_member.name))
        abort();
}

/* What a line says can be told. */
static void tell(const struct buffer *bytes, fact_handler handler, void *user)
{
    const struct message message = {
        .source = SOURCE_ACCOUNTS, .kind = MESSAGE_DATA, .bytes = buffer_slice(bytes)};
    if (bytes->failed || account_message_decode(NULL, &message, handler, user) != 0)
        abort();
}

static void run_passwd(struct slice text)
{
    struct account_lines lines = account_lines_of(text);
    struct buffer bytes CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct passwd_line line;
    struct slice left;
    while (account_lines_next(&lines, &left)) {
        if (!passwd_line_parse(left, &line))
            continue;
        struct fact_account account = {.name = line.name,
                                       .uid = line.uid,
                                       .gid = line.gid,
                                       .gecos = line.gecos,
                                       .home = line.home,
                                       .shell = line.shell};
        fuzz_read(line.password);
        buffer_clear(&bytes);
        account_message_append_account(&bytes, &account);
        tell(&bytes, compare_account, &account);
    }
}

static void run_group(struct slice text)
{
    struct account_lines lines = account_lines_of(text);
    struct buffer bytes CLEANUP(buffer_deinit) = BUFFER_NULL;
    struct group_line line;
    struct slice left;
    uint64_t n_malformed = 0;
    while (account_lines_next(&lines, &left)) {
        if (!group_line_parse(left, &line))
            continue;
        struct fact_group_member member = {.group = line.name};
        fuzz_read(line.password);
        while (group_member_next(&line.members, &member.name, &n_malformed)) {
            buffer_clear(&bytes);
            account_message_append_member(&bytes, &member);
            tell(&bytes, compare_member, &member);
        }
    }
}

static void judge(const struct account_passwords *passwords, const struct passwd_line *line)
{
    struct account_password password =
        account_passwords_find(passwords, line->name, line->password);
    bool may_have = password.state == PASSWORD_SET || password.state == PASSWORD_LOCKED;
    if (password.state >= PASSWORD_STATE_N ||
        (password.state == PASSWORD_UNKNOWN) != slice_is_null(line->password) ||
        (password.has_digest && !may_have) ||
        (password.state == PASSWORD_SET && !password.has_digest))
        abort();
}

static void run_shadow(struct slice text)
{
    static const struct account_key key = {.bytes = {1}};
    const uint8_t *end = text.length ? memchr(text.data, '\0', text.length) : NULL;
    size_t length = end ? (size_t)(end - text.data) : text.length;
    struct slice shadow = end ? slice_of(end + 1, text.length - length - 1) : slice_text("");
    struct account_lines lines = account_lines_of(slice_of(text.data, length));
    struct account_passwords *passwords;
    struct passwd_line line;
    struct slice left;
    if (account_passwords_new(&passwords, shadow, &key) < 0)
        return;
    while (account_lines_next(&lines, &left))
        if (passwd_line_parse(left, &line))
            judge(passwords, &line);
    account_passwords_free(passwords);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice bytes = slice_of(data + 1, size - 1);
    if (data[0] % 4 == 0)
        run_messages(bytes);
    else if (data[0] % 4 == 1)
        run_passwd(bytes);
    else if (data[0] % 4 == 2)
        run_group(bytes);
    else
        run_shadow(bytes);
    return 0;
}

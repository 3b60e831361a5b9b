/* The passwords are read first: the tools write them last, so that an account that is there has its
 * line there sooner or later. A file of passwords that is not there, or is closed to this program,
 * leaves them unknown, and the recorder keeps what it knew; one that cannot be read just now makes
 * the whole reading incomplete. */
#include "collectors/accounts/account_scan.h"

#include "collectors/accounts/account_changes.h"
#include "collectors/accounts/account_file.h"
#include "core/cleanup.h"

#include <time.h>

enum { ATTEMPTS = 5 };

struct scan {
    const struct account_scan_options *options;
    struct account_scan_result *result;
    struct account_passwords *passwords;
    bool cut; /* the file of passwords is too large */
};

static void free_text(struct buffer *text)
{
    account_file_forget(text);
    buffer_deinit(text);
}

/* Who writes a file in its place is given a moment to end. */
static int read_file(const struct account_scan_options *options, enum account_file file,
                     struct buffer *text)
{
    const struct timespec moment = {.tv_nsec = 10000000};
    int r = -EAGAIN;
    for (int i = 0; i < ATTEMPTS && r == -EAGAIN; i++) {
        if (i > 0)
            nanosleep(&moment, NULL);
        r = account_file_read(options->directory, account_file_name(file), text);
    }
    return r;
}

static int take(struct scan *scan, const struct fact *fact)
{
    scan->result->n++;
    return scan->options->take(scan->options->user, fact);
}

static int take_account(struct scan *scan, struct slice line)
{
    struct passwd_line account;
    if (!passwd_line_parse(line, &account)) {
        scan->result->n_malformed++;
        return 0;
    }
    const struct fact fact = {
        .kind = FACT_ACCOUNT,
        .account = {.name = account.name,
                    .uid = account.uid,
                    .gid = account.gid,
                    .gecos = account.gecos,
                    .home = account.home,
                    .shell = account.shell,
                    .password =
                        account_passwords_find(scan->passwords, account.name, account.password)}
    };
    return take(scan, &fact);
}

static int take_members(struct scan *scan, struct slice group, struct slice members)
{
    struct fact fact = {.kind = FACT_GROUP_MEMBER, .group_member.group = group};
    int r = 0;
    while (r == 0 &&
           group_member_next(&members, &fact.group_member.name, &scan->result->n_malformed))
        r = take(scan, &fact);
    return r;
}

static int take_group(struct scan *scan, struct slice line)
{
    struct group_line group;
    if (!group_line_parse(line, &group)) {
        scan->result->n_malformed++;
        return 0;
    }
    const struct fact fact = {
        .kind = FACT_ACCOUNT_GROUP,
        .account_group = {.name = group.name,
                          .gid = group.gid,
                          .password =
                              account_passwords_find(scan->passwords, group.name, group.password)}
    };
    int r = take(scan, &fact);
    return r < 0 ? r : take_members(scan, group.name, group.members);
}

static int take_lines(struct scan *scan, enum account_part part, struct slice text)
{
    struct account_lines lines = account_lines_of(text);
    struct slice line;
    int r = 0;
    while (r == 0 && account_lines_next(&lines, &line))
        r = part == ACCOUNT_PART_ACCOUNTS ? take_account(scan, line) : take_group(scan, line);
    scan->result->complete &= !lines.beyond;
    return r;
}

/* Of a file that is too large, the lines that are whole. */
static struct slice whole_lines(const struct buffer *text, int error)
{
    struct slice lines = buffer_slice(text);
    while (error && lines.length && lines.data[lines.length - 1] != '\n')
        lines.length--;
    return lines;
}

static bool is_closed(int error)
{
    return error == -ENOENT || error == -EACCES || error == -EPERM;
}

static int read_names(struct scan *scan, enum account_part part, struct slice secrets)
{
    struct buffer names CLEANUP(free_text) = BUFFER_NULL;
    enum account_file file = part == ACCOUNT_PART_ACCOUNTS ? FILE_PASSWD : FILE_GROUP;
    int r = read_file(scan->options, file, &names);
    scan->result->error = r;
    scan->result->complete = r == 0;
    if (r < 0 && r != -EFBIG)
        return 0;
    if (account_passwords_new(&scan->passwords, secrets, scan->options->key) < 0) {
        scan->result->error = -ENOMEM;
        scan->result->complete = false;
        return 0;
    }
    if (scan->cut)
        account_passwords_are_cut(scan->passwords);
    scan->result->n_malformed += account_passwords_malformed(scan->passwords);
    r = take_lines(scan, part, whole_lines(&names, r));
    scan->passwords = account_passwords_free(scan->passwords);
    return r;
}

int account_scan_run(const struct account_scan_options *options, enum account_part part,
                     struct account_scan_result *result)
{
    struct buffer secrets CLEANUP(free_text) = BUFFER_NULL;
    enum account_file file = part == ACCOUNT_PART_ACCOUNTS ? FILE_SHADOW : FILE_GSHADOW;
    struct scan scan = {.options = options, .result = result};
    *result = (struct account_scan_result){.complete = false};
    int r = read_file(options, file, &secrets);
    result->password_error = r;
    if (r < 0 && r != -EFBIG && !is_closed(r))
        return 0;
    scan.cut = r == -EFBIG;
    r = read_names(&scan, part, is_closed(r) ? SLICE_NULL : whole_lines(&secrets, r));
    result->complete &= !scan.cut;
    return r;
}

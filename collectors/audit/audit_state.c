/* Written to a new file, synchronised, renamed, and the directory synchronised: there is always a
 * whole file or none. */
#include "collectors/audit/audit_state.h"

#include "core/cleanup.h"
#include "core/hex.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>

#define FILE_NAME     "audit_state"
#define NEW_NAME      FILE_NAME ".new"
#define FIRST_LINE    "vestige-audit-state 1"
#define MAXIMUM_BYTES (64 * 1024 * 1024)

struct number_row {
    const char *name;
    size_t member;
};

static const struct number_row number_rows[] = {
    {"pid",                      offsetof(struct audit_state, pid)                     },
    {"owner",                    offsetof(struct audit_state, owner)                   },
    {"former_enabled",           offsetof(struct audit_state, former_enabled)          },
    {"former_backlog_limit",     offsetof(struct audit_state, former_backlog_limit)    },
    {"former_backlog_wait_time", offsetof(struct audit_state, former_backlog_wait_time)},
    {"set_backlog_limit",        offsetof(struct audit_state, set_backlog_limit)       },
};
#define N_NUMBERS (sizeof(number_rows) / sizeof(number_rows[0]))

void audit_state_deinit(struct audit_state *self)
{
    audit_rules_deinit(&self->former_rules);
    audit_rules_deinit(&self->added_rules);
    *self = (struct audit_state)AUDIT_STATE_NULL;
}

void audit_state_read_boot_id(char boot_id[40])
{
    boot_id[0] = 0;
    AUTO_FCLOSE FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file && fgets(boot_id, 40, file))
        boot_id[strcspn(boot_id, "\n")] = 0;
}

static void append_rules(struct buffer *text, const char *name, const struct audit_rules *rules)
{
    for (size_t i = 0; i < rules->n; i++) {
        buffer_append_text(text, name);
        buffer_append_byte(text, ' ');
        hex_append(text, (const uint8_t *)rules->list[i], audit_rule_size(rules->list[i]));
        buffer_append_byte(text, '\n');
    }
}

static void append_state(struct buffer *text, const struct audit_state *self)
{
    buffer_printf(text, FIRST_LINE "\nboot %s\n", self->boot_id);
    for (size_t i = 0; i < N_NUMBERS; i++) {
        uint32_t value;
        memcpy(&value, (const char *)self + number_rows[i].member, sizeof(value));
        buffer_printf(text, "%s %" PRIu32 "\n", number_rows[i].name, value);
    }
    append_rules(text, "former_rule", &self->former_rules);
    append_rules(text, "added_rule", &self->added_rules);
    buffer_append_text(text, "end\n");
}

static int write_all(int fd, struct slice bytes)
{
    while (bytes.length) {
        ssize_t n = write(fd, bytes.data, bytes.length);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            bytes = slice_of(bytes.data + n, bytes.length - (size_t)n);
    }
    return 0;
}

/* What somebody put in the file's place, a pipe for one, is not waited for. */
static int write_file(int directory, struct slice text)
{
    unlinkat(directory, NEW_NAME, 0);
    AUTO_CLOSE int fd =
        openat(directory, NEW_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, text);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && renameat(directory, NEW_NAME, directory, FILE_NAME) < 0)
        r = -errno;
    if (r == 0 && fsync(directory) < 0)
        r = -errno;
    if (r < 0)
        unlinkat(directory, NEW_NAME, 0);
    return r;
}

static int open_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int audit_state_save(const struct audit_state *self, const char *directory,
                     struct error_text *error)
{
    struct buffer text = BUFFER_NULL;
    append_state(&text, self);
    AUTO_CLOSE int fd = open_directory(directory);
    int r = fd < 0 ? fd : text.failed ? -ENOMEM : write_file(fd, buffer_slice(&text));
    buffer_deinit(&text);
    if (r < 0)
        return error_set(error, r,
                         "audit: %s/" FILE_NAME " cannot be written: %s; without it the state of "
                         "audit could not be put back, so nothing was changed",
                         directory, strerror(-r));
    return 0;
}

int audit_state_remove(const char *directory)
{
    AUTO_CLOSE int fd = open_directory(directory);
    if (fd < 0)
        return fd;
    if (unlinkat(fd, FILE_NAME, 0) < 0)
        return errno == ENOENT ? 0 : -errno;
    return fsync(fd) < 0 ? -errno : 0;
}

static int load_number(struct audit_state *self, const char *name, const char *text)
{
    for (size_t i = 0; i < N_NUMBERS; i++) {
        if (strcmp(name, number_rows[i].name) != 0)
            continue;
        char *end;
        errno = 0;
        unsigned long value = strtoul(text, &end, 10);
        if (errno || end == text || *end || value > UINT32_MAX)
            return -EBADMSG;
        uint32_t number = (uint32_t)value;
        memcpy((char *)self + number_rows[i].member, &number, sizeof(number));
        return 0;
    }
    return -EBADMSG;
}

static int load_rule(struct audit_rules *rules, const char *text)
{
    size_t length = strlen(text) / 2;
    uint8_t *bytes AUTO_FREE = malloc(length + 1);
    if (!bytes)
        return -ENOMEM;
    if (!hex_parse(slice_text(text), bytes, length))
        return -EBADMSG;
    return audit_rules_append(rules, bytes, length);
}

static int load_line(struct audit_state *self, char *line)
{
    char *value = strchr(line, ' ');
    if (!value)
        return -EBADMSG;
    *value++ = 0;
    if (strcmp(line, "former_rule") == 0)
        return load_rule(&self->former_rules, value);
    if (strcmp(line, "added_rule") == 0)
        return load_rule(&self->added_rules, value);
    if (strcmp(line, "boot") != 0)
        return load_number(self, line, value);
    if (strlen(value) >= sizeof(self->boot_id))
        return -EBADMSG;
    strcpy(self->boot_id, value);
    return 0;
}

static int load_stream(struct audit_state *self, FILE *file)
{
    AUTO_FREE char *line = NULL;
    size_t capacity = 0, n_lines = 0, n_bytes = 0;
    ssize_t length;
    while ((length = getline(&line, &capacity, file)) > 0) {
        n_bytes += (size_t)length;
        if (n_bytes > MAXIMUM_BYTES || line[length - 1] != '\n')
            return -EBADMSG;
        line[length - 1] = 0;
        if (n_lines++ == 0) {
            if (strcmp(line, FIRST_LINE) != 0)
                return -EBADMSG;
            continue;
        }
        if (strcmp(line, "end") == 0)
            return 0;
        int r = load_line(self, line);
        if (r < 0)
            return r;
    }
    return ferror(file) ? -EIO : -EBADMSG;
}

int audit_state_load(struct audit_state *self, const char *directory)
{
    *self = (struct audit_state)AUDIT_STATE_NULL;
    AUTO_CLOSE int fd = open_directory(directory);
    if (fd < 0)
        return fd;
    int file_fd = openat(fd, FILE_NAME, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (file_fd < 0)
        return -errno;
    AUTO_FCLOSE FILE *file = fdopen(file_fd, "r");
    if (!file) {
        close(file_fd);
        return -ENOMEM;
    }
    int r = load_stream(self, file);
    if (r < 0)
        audit_state_deinit(self);
    return r;
}

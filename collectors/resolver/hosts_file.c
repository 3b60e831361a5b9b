/* The status is taken before the file is read: a change in between is seen at the next look. */
#include "collectors/resolver/hosts_file.h"

#include "collectors/resolver/file_watch.h"
#include "core/buffer.h"
#include "core/cleanup.h"

#include <fcntl.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 16, FILE_MOST = 16 << 20 };

struct hosts_file {
    struct file_watch watch;
    struct hosts_table *table;
    bool read; /* at least once */
    bool truncated;
};

int hosts_file_new(struct hosts_file **filep, const char *path)
{
    struct hosts_file *file = calloc(1, sizeof(*file));
    if (!file)
        return -ENOMEM;
    file->watch.path = path;
    int r = hosts_table_new(&file->table, SLICE_NULL);
    if (r < 0) {
        hosts_file_free(file);
        return r;
    }
    *filep = file;
    return 0;
}

struct hosts_file *hosts_file_free(struct hosts_file *file)
{
    if (file) {
        hosts_table_free(file->table);
        free(file);
    }
    return NULL;
}

/* Of a file that is too large, the lines that fit. */
static int read_all(int fd, struct buffer *text, bool *cut)
{
    ssize_t n = 1;
    while (n > 0 && text->length < FILE_MOST) {
        uint8_t *to = buffer_reserve(text, READ_BYTES);
        if (!to)
            return -ENOMEM;
        n = read(fd, to, READ_BYTES);
        text->length += n > 0 ? (size_t)n : 0;
    }
    *cut = n > 0;
    while (*cut && text->length && text->data[text->length - 1] != '\n')
        text->length--;
    return n < 0 ? -errno : 0;
}

/* Never waits: what is not a file (a pipe) is not read. */
static int read_file(const char *path, struct buffer *text, bool *cut)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return -EINVAL;
    return read_all(fd, text, cut);
}

static int read_table(struct hosts_file *file, struct hosts_table **tablep)
{
    struct buffer text CLEANUP(buffer_deinit) = BUFFER_NULL;
    bool cut = false;
    int r = read_file(file->watch.path, &text, &cut);
    if (r == 0)
        r = hosts_table_new(tablep, buffer_slice(&text));
    if (r == 0)
        file->truncated = cut || hosts_table_truncated(*tablep);
    return r;
}

int hosts_file_refresh(struct hosts_file *file, hosts_change_handler handler, void *user)
{
    struct hosts_table *table;
    if (!file_watch_changed(&file->watch))
        return HOSTS_FILE_SAME;
    if (read_table(file, &table) < 0) {
        file->watch.looked = false;
        return HOSTS_FILE_SAME;
    }
    struct hosts_table *before = file->table;
    file->table = table;
    if (file->read)
        hosts_table_compare(before, table, handler, user);
    file->read = true;
    hosts_table_free(before);
    return HOSTS_FILE_READ;
}

struct slice hosts_file_find(const struct hosts_file *file, const struct inet_address *address)
{
    return hosts_table_find(file->table, address);
}

bool hosts_file_truncated(const struct hosts_file *file)
{
    return file->truncated;
}

uint64_t hosts_file_refused(const struct hosts_file *file)
{
    return hosts_table_refused(file->table);
}

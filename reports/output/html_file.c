/* A page is written beside its place and renamed, so that nobody opens half of one; what is no
 * regular file (a pipe, a terminal) is written as it is. */
#include "reports/output/html.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(const struct html_file *file, struct error_text *error)
{
    int code = errno;
    return error_set(error, -code, "cannot write the page %.200s: %s", file->path, strerror(code));
}

static bool is_special(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

int html_file_open(struct html_file *file, const char *path, struct error_text *error)
{
    *file = (struct html_file){.path = path, .fd = -1};
    if (!strcmp(path, "-"))
        file->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    else if (is_special(path))
        file->fd = open(path, O_WRONLY | O_CLOEXEC);
    else if (asprintf(&file->temporary, "%s.XXXXXX", path) < 0)
        file->temporary = NULL;
    else if ((file->fd = mkostemp(file->temporary, O_CLOEXEC)) < 0) {
        refuse(file, error);
        free(file->temporary);
        file->temporary = NULL;
        return -EIO;
    }
    return file->fd < 0 ? refuse(file, error) : 0;
}

int html_file_put(struct html_file *file, struct buffer *from, struct error_text *error)
{
    if (from->failed)
        return error_set(error, -ENOMEM, "the page cannot be written: out of memory");
    for (size_t at = 0; at < from->length;) {
        ssize_t n = write(file->fd, from->data + at, from->length - at);
        if (n < 0 && errno != EINTR)
            return refuse(file, error);
        at += n > 0 ? (size_t)n : 0;
    }
    buffer_clear(from);
    return 0;
}

int html_file_finish(struct html_file *file, struct error_text *error)
{
    int fd = file->fd;
    file->fd = -1;
    if (close(fd) < 0)
        return refuse(file, error);
    if (file->temporary && rename(file->temporary, file->path) < 0)
        return refuse(file, error);
    free(file->temporary);
    file->temporary = NULL;
    return 0;
}

void html_file_deinit(struct html_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    if (file->temporary)
        unlink(file->temporary);
    free(file->temporary);
    *file = (struct html_file)HTML_FILE_NULL;
}

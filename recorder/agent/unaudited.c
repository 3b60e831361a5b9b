/* The file `audit_first` of the state directory: a boot id and a time of the boot clock. */
#include "recorder/agent/unaudited.h"

#include "collectors/audit/audit_control.h"

#include "core/cleanup.h"
#include "core/gulp.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

static bool booted_with_audit(void)
{
    FILE *stream AUTO_FCLOSE = fopen("/proc/cmdline", "re");
    char *line AUTO_FREE = NULL;
    size_t size = 0;
    if (!stream || getline(&line, &size, stream) < 0)
        return false;
    char *rest = line;
    for (char *word = strsep(&rest, " \n"); word; word = strsep(&rest, " \n"))
        if (!strcmp(word, "audit=1") || !strcmp(word, "audit=on"))
            return true;
    return false;
}

/* A pipe that somebody put in its place is not waited for. */
static FILE *open_note(const char *path, int flags, const char *mode)
{
    int fd = open(path, flags | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0600);
    FILE *stream = fd < 0 ? NULL : fdopen(fd, mode);
    if (!stream && fd >= 0)
        close(fd);
    return stream;
}

static bool read_note(const char *path, const char *boot_id, uint64_t *before_ns)
{
    FILE *stream AUTO_FCLOSE = open_note(path, O_RDONLY, "r");
    char noted[40];
    return stream && fscanf(stream, "%39s %" SCNu64, noted, before_ns) == 2 &&
           !strcmp(noted, boot_id);
}

static bool audit_is_off(void)
{
    struct audit_control control = AUDIT_CONTROL_NULL;
    struct audit_status status;
    struct error_text ignored;
    if (audit_control_open(&control, &ignored) != 0)
        return false;
    int error = audit_control_status(&control, &status);
    audit_control_close(&control);
    return !error && status.enabled == 0;
}

uint64_t unaudited_before(const char *state_directory, const char *boot_id)
{
    char path[PATH_BYTES];
    uint64_t before_ns = 0;
    if (booted_with_audit())
        return 0;
    snprintf(path, sizeof(path), "%s/audit_first", state_directory);
    if (read_note(path, boot_id, &before_ns))
        return before_ns;
    if (!audit_is_off())
        return 0;
    FILE *stream AUTO_FCLOSE = open_note(path, O_WRONLY | O_CREAT | O_TRUNC, "w");
    before_ns = clock_boot_ns();
    if (stream)
        fprintf(stream, "%s %" PRIu64 "\n", boot_id, before_ns);
    return before_ns;
}

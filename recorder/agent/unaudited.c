/* The file `audit_first` of the state directory: a boot id and a time of the boot clock. */
#include "recorder/agent/unaudited.h"

#include "collectors/audit/audit_control.h"

#include "core/cleanup.h"
#include "core/gulp.h"
#include "core/private_file.h"

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
static bool read_note(const char *path, const char *boot_id, uint64_t *before_ns)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    FILE *stream AUTO_FCLOSE = fd < 0 ? NULL : fdopen(fd, "r");
    char noted[40];
    if (!stream && fd >= 0)
        close(fd);
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

static void note_path(char path[PATH_BYTES], const char *state_directory)
{
    snprintf(path, PATH_BYTES, "%s/audit_first", state_directory);
}

bool unaudited_note(const char *state_directory, const char *boot_id, uint64_t before_ns)
{
    char path[PATH_BYTES], text[80];
    note_path(path, state_directory);
    snprintf(text, sizeof(text), "%s %" PRIu64 "\n", boot_id, before_ns);
    return private_file_write(path, slice_text(text), NULL) == 0;
}

uint64_t unaudited_before(const char *state_directory, const char *boot_id, bool *noted)
{
    char path[PATH_BYTES];
    uint64_t before_ns = 0;
    *noted = true;
    if (booted_with_audit())
        return 0;
    note_path(path, state_directory);
    if (read_note(path, boot_id, &before_ns))
        return before_ns;
    if (!audit_is_off())
        return 0;
    before_ns = clock_boot_ns();
    *noted = unaudited_note(state_directory, boot_id, before_ns);
    return before_ns;
}

/* What a program is told is in a file without a name, which it has as standard input: no pipe to
 * fill, and nothing on its command line, which every user of the host could read. curl gets its
 * options that way, with the address and the headers, and reads the body from a second such file.
 */
#include "reports/notify/notify_channel.h"
#include "core/cleanup.h"
#include "reports/private_server/child.h"

#include <signal.h>
#include <sys/mman.h>

#define END_GRACE_MS 2000

static int memory_file(struct slice bytes, struct error_text *error)
{
    AUTO_CLOSE int fd = memfd_create("vestige-notify", MFD_CLOEXEC);
    if (fd < 0)
        return error_set(error, -errno, "no file in memory: %s", strerror(errno));
    for (size_t at = 0; at < bytes.length;) {
        ssize_t n = write(fd, bytes.data + at, bytes.length - at);
        if (n < 0)
            return error_set(error, -errno, "no room for the message: %s", strerror(errno));
        at += (size_t)n;
    }
    lseek(fd, 0, SEEK_SET);
    int kept = fd;
    fd = -1;
    return kept;
}

/* The last line that the program wrote. */
static void read_words(int output, char line[256])
{
    char text[1024];
    off_t end = lseek(output, 0, SEEK_END);
    off_t begin = end > (off_t)sizeof(text) ? end - (off_t)sizeof(text) : 0;
    ssize_t n = end > 0 ? pread(output, text, sizeof(text), begin) : 0;
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\0'))
        n--;
    ssize_t first = n;
    while (first > 0 && text[first - 1] != '\n')
        first--;
    snprintf(line, 256, "%.*s", (int)(n > first ? n - first : 0), text + first);
}

/* Its process group goes with it: a shell script leaves nobody behind. */
static void end_child(struct child *child)
{
    pid_t group = child->pid;
    child_signal(child, SIGTERM);
    if (child_wait(child, END_GRACE_MS)) {
        kill(-group, SIGKILL);
        if (child_wait(child, -1))
            return;
    }
    kill(-group, SIGKILL);
}

/* @p line: the last line of its standard output; what it says on failure is in the error. */
static int run_program(const char *const *argv, int input, int inherit, unsigned timeout_seconds,
                       char line[256], struct error_text *error)
{
    AUTO_CLOSE int output = memfd_create("vestige-notify", MFD_CLOEXEC);
    AUTO_CLOSE int complaints = memfd_create("vestige-notify", MFD_CLOEXEC);
    char end[64], complaint[256] = "";
    struct child child;
    const struct child_options options = {.name = argv[0],
                                          .path = argv[0],
                                          .argv = argv,
                                          .directory = "/",
                                          .input = input,
                                          .error_file = complaints,
                                          .output_file = output,
                                          .inherit = inherit};
    if (output < 0 || complaints < 0)
        return error_set(error, -errno, "no file in memory: %s", strerror(errno));
    int outcome = child_start(&child, &options, error);
    if (outcome)
        return outcome;
    if (child_wait(&child, (int)timeout_seconds * 1000)) {
        end_child(&child);
        outcome =
            error_set(error, -ETIMEDOUT, "%s did not end within %u s", argv[0], timeout_seconds);
    } else {
        read_words(output, line);
    }
    if (!outcome && child.wait_status) {
        read_words(complaints, complaint);
        child_describe_end(&child, end);
        outcome =
            error_set(error, -ECHILD, "%s %s%s%s", argv[0], end, *complaint ? ": " : "", complaint);
    }
    child_deinit(&child);
    return outcome;
}

static int tell(const char *const *argv, const struct buffer *bytes, unsigned timeout_seconds,
                struct error_text *error)
{
    AUTO_CLOSE int input = -1;
    char line[256];
    if (bytes->failed)
        return error_set(error, -ENOMEM, "out of memory");
    input = memory_file(buffer_slice(bytes), error);
    return input < 0 ? input : run_program(argv, input, -1, timeout_seconds, line, error);
}

/* --- mail --- */

static bool wants_mail(const struct notify_config *config)
{
    return config->mail[0];
}

static void mail_recipient(const struct notify_config *config, char text[NOTIFY_TEXT_SIZE])
{
    snprintf(text, NOTIFY_TEXT_SIZE, "%s", config->mail);
}

static int run_sendmail(const struct notify_config *config, const struct buffer *bytes,
                        struct error_text *error)
{
    char program[4096];
    if (config->sendmail[0])
        snprintf(program, sizeof(program), "%s", config->sendmail);
    else if (child_find_program(program, "sendmail", false))
        return error_set(error, -ENOENT,
                         "there is no sendmail on this host; install a mail server, or name the "
                         "program: sendmail = PATH in [notify]");
    const char *const argv[] = {program, "-t", "-i", NULL};
    return tell(argv, bytes, config->timeout_seconds, error);
}

static int deliver_mail(const struct notify_config *config, const struct notify_message *message,
                        struct error_text *error)
{
    struct notify_message whole = *message;
    struct buffer bytes = BUFFER_NULL;
    whole.recipients = config->mail;
    whole.from = config->mail_from;
    notify_message_mail(&bytes, &whole);
    int outcome = run_sendmail(config, &bytes, error);
    buffer_deinit(&bytes);
    return outcome;
}

int notify_mail_send(const struct notify_config *config, const struct notify_mail *mail,
                     struct error_text *error)
{
    struct buffer bytes = BUFFER_NULL;
    notify_mail_print(&bytes, mail);
    int outcome = run_sendmail(config, &bytes, error);
    buffer_deinit(&bytes);
    return outcome;
}

/* --- a command --- */

static bool wants_command(const struct notify_config *config)
{
    return config->command[0];
}

static void command_recipient(const struct notify_config *config, char text[NOTIFY_TEXT_SIZE])
{
    snprintf(text, NOTIFY_TEXT_SIZE, "%.*s", (int)strcspn(config->command, " \t"), config->command);
}

/* Words between blanks; no shell reads them. */
static int deliver_command(const struct notify_config *config, const struct notify_message *message,
                           struct error_text *error)
{
    char words[NOTIFY_TEXT_SIZE];
    const char *argv[NOTIFY_WORDS_MOST + 1] = {NULL};
    struct buffer bytes = BUFFER_NULL;
    size_t n = 0;
    char *rest = NULL;
    snprintf(words, sizeof(words), "%s", config->command);
    for (char *word = strtok_r(words, " \t", &rest); word && n < NOTIFY_WORDS_MOST;
         word = strtok_r(NULL, " \t", &rest))
        argv[n++] = word;
    notify_message_json(&bytes, message);
    int outcome = tell(argv, &bytes, config->timeout_seconds, error);
    buffer_deinit(&bytes);
    return outcome;
}

/* --- a webhook --- */

static bool wants_webhook(const struct notify_config *config)
{
    return config->webhook[0];
}

/* The path may be what lets one in, as the name and word before an @ are. */
static void webhook_recipient(const struct notify_config *config, char text[NOTIFY_TEXT_SIZE])
{
    const char *host = strstr(config->webhook, "://") + 3;
    size_t length = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', length);
    size_t hidden = at ? (size_t)(at - host) + 1 : 0;
    snprintf(text, NOTIFY_TEXT_SIZE, "%.*s%.*s", (int)(host - config->webhook), config->webhook,
             (int)(length - hidden), host + hidden);
}

static void append_option(struct buffer *to, const char *name, struct slice value)
{
    buffer_printf(to, "%s = \"", name);
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] == '"' || value.data[i] == '\\')
            buffer_append_byte(to, '\\');
        buffer_append_byte(to, (char)value.data[i]);
    }
    buffer_append_text(to, "\"\n");
}

static void append_headers(struct buffer *to, const struct notify_config *config)
{
    for (const char *at = config->webhook_header; *at;) {
        size_t length = strcspn(at, "\n");
        append_option(to, "header", slice_of(at, length));
        at += length + (at[length] ? 1 : 0);
    }
    if (!config->webhook_headers[0])
        return;
    char file[NOTIFY_TEXT_SIZE + 1];
    snprintf(file, sizeof(file), "@%s", config->webhook_headers);
    append_option(to, "header", slice_text(file));
}

static int run_curl(const char *program, const struct notify_config *config, int body,
                    struct error_text *error)
{
    struct buffer options = BUFFER_NULL;
    char seconds[16], status[256];
    buffer_printf(&options, "data-binary = \"@/dev/fd/%d\"\n", body);
    append_option(&options, "url", slice_text(config->webhook));
    append_option(&options, "header", slice_text("Content-Type: application/json"));
    append_headers(&options, config);
    AUTO_CLOSE int input = options.failed ? error_set(error, -ENOMEM, "out of memory")
                                          : memory_file(buffer_slice(&options), error);
    buffer_deinit(&options);
    if (input < 0)
        return input;
    snprintf(seconds, sizeof(seconds), "%u", config->timeout_seconds);
    const char *const argv[] = {program,       "--disable",    "--silent",   "--show-error",
                                "--fail",      "--globoff",    "--max-time", seconds,
                                "--proto",     "=http,https",  "--output",   "/dev/null",
                                "--write-out", "%{http_code}", "--config",   "-",
                                NULL};
    int outcome = run_program(argv, input, body, config->timeout_seconds + 5, status, error);
    if (!outcome && status[0] != '2')
        outcome = error_set(error, -EPROTO, "the webhook answers with status %.20s", status);
    return outcome;
}

static int deliver_webhook(const struct notify_config *config, const struct notify_message *message,
                           struct error_text *error)
{
    char program[4096];
    struct buffer bytes = BUFFER_NULL;
    if (child_find_program(program, "curl", false))
        return error_set(error, -ENOENT, "there is no curl on this host; install it for webhooks");
    notify_message_json(&bytes, message);
    AUTO_CLOSE int body = bytes.failed ? error_set(error, -ENOMEM, "out of memory")
                                       : memory_file(buffer_slice(&bytes), error);
    buffer_deinit(&bytes);
    return body < 0 ? body : run_curl(program, config, body, error);
}

const struct notify_channel notify_channels[] = {
    {"mail",    wants_mail,    mail_recipient,    deliver_mail   },
    {"command", wants_command, command_recipient, deliver_command},
    {"webhook", wants_webhook, webhook_recipient, deliver_webhook},
};
const size_t notify_channels_n = sizeof(notify_channels) / sizeof(notify_channels[0]);

/* What programs call terminals, services and nobody, brought to one form. */
#include "recorder/sessions/sessions_private.h"

#include <arpa/inet.h>

void login_text_set(struct login_text *text, struct slice bytes)
{
    static const char cut[] = "...";
    size_t length = bytes.length < LOGIN_TEXT_MOST ? bytes.length : LOGIN_TEXT_MOST;
    if (length)
        memcpy(text->bytes, bytes.data, length);
    if (bytes.length > LOGIN_TEXT_MOST)
        memcpy(text->bytes + length - (sizeof(cut) - 1), cut, sizeof(cut) - 1);
    text->length = (uint16_t)length;
}

bool login_text_same(const struct login_text *a, const struct login_text *b)
{
    return slice_equal(login_text_slice(a), login_text_slice(b));
}

bool login_text_is(const struct login_text *text, const char *word)
{
    return slice_is(login_text_slice(text), word);
}

static bool is_one_of(struct slice text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slice_is(text, words[i]))
            return true;
    return false;
}

#define IS_ONE_OF(text, words) is_one_of(text, words, sizeof(words) / sizeof((words)[0]))

struct slice login_terminal(struct slice said)
{
    static const char *const none[] = {"?",    "~",      "ssh",   "sshd", "ssh:notty",
                                       "cron", "crond",  "su",    "sudo", "systemd-user",
                                       "none", "(none)", "unset", ""};
    static const char prefix[] = "/dev/";
    if (said.length >= sizeof(prefix) && !memcmp(said.data, prefix, sizeof(prefix) - 1))
        said = slice_of(said.data + sizeof(prefix) - 1, said.length - sizeof(prefix) + 1);
    return slice_is_null(said) || IS_ONE_OF(said, none) ? SLICE_NULL : said;
}

void login_service(struct login_text *service, struct slice exe)
{
    static const struct {
        const char *program, *service;
    } rows[] = {
        {"sshd-session",     "sshd"        },
        {"sshd-auth",        "sshd"        },
        {"crond",            "cron"        },
        {"systemd",          "systemd-user"},
        {"systemd-executor", "systemd-user"},
        {"su-l",             "su"          },
        {"sudo-i",           "sudo"        },
    };
    struct slice name = exe;
    for (size_t i = exe.length; i > 0; i--)
        if (exe.data[i - 1] == '/') {
            name = slice_of(exe.data + i, exe.length - i);
            break;
        }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (slice_is(name, rows[i].program))
            name = slice_text(rows[i].service);
    login_text_set(service, name);
}

void login_address(char to[INET_ADDRESS_TEXT], struct slice said)
{
    struct inet_address address = {.family = 0};
    char text[INET_ADDRESS_TEXT];
    to[0] = '\0';
    if (said.length == 0 || said.length >= sizeof(text) || memchr(said.data, '\0', said.length))
        return;
    memcpy(text, said.data, said.length);
    text[said.length] = '\0';
    if (inet_pton(AF_INET, text, address.bytes) == 1)
        address.family = AF_INET;
    else if (inet_pton(AF_INET6, text, address.bytes) == 1)
        address.family = AF_INET6;
    inet_address_text(&address, to);
}

bool login_name_is_placeholder(struct slice name)
{
    static const char *const words[] = {"?",       "(unknown)", "(unknown user)", "(invalid user)",
                                        "UNKNOWN", ""};
    return slice_is_null(name) || IS_ONE_OF(name, words);
}

bool login_service_is_inner(const struct login_text *service)
{
    static const char *const words[] = {"su",   "sudo", "runuser", "pkexec",
                                        "doas", "cron", "atd",     "systemd-user"};
    return service->length && IS_ONE_OF(login_text_slice(service), words);
}

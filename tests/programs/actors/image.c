/* What is executed, where, and with which arguments. */
#include "actor.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* A copy of /bin/true that has no name any more when it is executed. */
static int image_deleted_exe(int argc, char **argv)
{
    (void)argc;
    char path[] = "/tmp/vestige-actor-XXXXXX";
    int out = mkstemp(path);
    actor_require(out >= 0, "mkstemp");
    int in = open("/bin/true", O_RDONLY | O_CLOEXEC);
    struct stat info;
    actor_require(in >= 0 && !fstat(in, &info), "/bin/true");
    actor_require(sendfile(out, in, NULL, (size_t)info.st_size) == info.st_size, "sendfile");
    actor_require(!fchmod(out, 0755), "fchmod");
    close(in);
    close(out);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    actor_require(fd >= 0, path);
    actor_require(!unlink(path), "unlink");
    printf("{\"role\":\"file\",\"path\":\"%s\"}\n", path);
    pid_t child = actor_fork();
    if (!child) {
        const char *arguments[] = {"true", argv[0], NULL};
        fexecve(fd, actor_arguments(arguments), environ);
        _exit(127);
    }
    actor_finish("child", child);
    return 0;
}

static int image_deleted_cwd(int argc, char **argv)
{
    (void)argc;
    char path[] = "/tmp/vestige-actor-XXXXXX";
    actor_require(mkdtemp(path) != NULL, "mkdtemp");
    actor_require(!chdir(path) && !rmdir(path), path);
    printf("{\"role\":\"directory\",\"path\":\"%s\"}\n", path);
    pid_t child = actor_fork();
    if (!child)
        actor_become_true(argv[0]);
    actor_finish("child", child);
    return 0;
}

static char *repeated(char byte, size_t n)
{
    char *text = malloc(n + 1);
    actor_require(text != NULL, "malloc");
    memset(text, byte, n);
    text[n] = 0;
    return text;
}

static int finish_true(const char *const *arguments)
{
    pid_t child = actor_fork();
    if (!child) {
        execv("/bin/true", actor_arguments(arguments));
        _exit(127);
    }
    actor_finish("child", child);
    return 0;
}

/* 5,000 arguments TAG-0, TAG-1 and so on. */
static int many_arguments(const char *tag)
{
    enum { N = 5000 };
    static char texts[N][64];
    static const char *arguments[N + 2] = {"true"};
    for (int i = 0; i < N; i++) {
        snprintf(texts[i], sizeof texts[i], "%s-%d", tag, i);
        arguments[i + 1] = texts[i];
    }
    return finish_true(arguments);
}

static int long_argument(const char *tag)
{
    char *text = repeated('x', 100 * 1024);
    const char *arguments[] = {"true", tag, text, NULL};
    finish_true(arguments);
    free(text);
    return 0;
}

static int image_arguments(int argc, char **argv)
{
    (void)argc;
    const char *tag = argv[1];
    const char *none[] = {"true", NULL};
    const char *no_argv[] = {NULL};
    const char *empty[] = {"true", tag, "", "", NULL};
    const char *odd[] = {"true",         tag,     "a\tb",    "a\nb",     "a\\b",
                         "a'b",          "a\"b",  "###",     "a b",      "$HOME",
                         "\xff\xfe\x80", "\\x41", "\x1b[0m", "\xc3\xa4", "\xed\xa0\x80",
                         "\xc0\xaf",     "*",     NULL};
    if (!strcmp(argv[0], "none"))
        return finish_true(none);
    if (!strcmp(argv[0], "no-argv"))
        return finish_true(no_argv);
    if (!strcmp(argv[0], "empty"))
        return finish_true(empty);
    if (!strcmp(argv[0], "odd"))
        return finish_true(odd);
    if (!strcmp(argv[0], "many"))
        return many_arguments(tag);
    if (!strcmp(argv[0], "long"))
        return long_argument(tag);
    fprintf(stderr, "actor: no such arguments: %s\n", argv[0]);
    return 2;
}

const struct actor image_actors[] = {
    {"deleted-exe", "TAG", 1, image_deleted_exe},
    {"deleted-cwd",            "TAG", 1, image_deleted_cwd},
    {"arguments",             "none|no-argv|empty|odd|many|long TAG", 2, image_arguments},
    {0},
};

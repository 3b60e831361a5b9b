/* Runs a fuzz target once over every file that is named, or lies in a directory that is named. Each
 * input is given in memory of exactly its size, so that a sanitizer sees every byte too far. */
#include "core/cleanup.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

DEFINE_CLEANUP(cleanup_closedir, DIR, closedir);

static int run_file(const char *path)
{
    AUTO_FCLOSE FILE *file = fopen(path, "re");
    struct stat status;
    if (!file || fstat(fileno(file), &status) < 0)
        return -errno;
    size_t size = (size_t)status.st_size;
    AUTO_FREE uint8_t *data = malloc(size ? size : 1);
    if (!data)
        return -ENOMEM;
    if (fread(data, 1, size, file) != size)
        return -EIO;
    LLVMFuzzerTestOneInput(data, size);
    return 0;
}

/* Returns the number of files run, or a negative errno. */
static int run_directory(const char *path)
{
    CLEANUP(cleanup_closedir) DIR *directory = opendir(path);
    int n = 0;
    if (!directory)
        return -errno;
    for (struct dirent *entry; (entry = readdir(directory));) {
        char file[PATH_MAX];
        if (entry->d_name[0] == '.')
            continue;
        int length = snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        int r = length < (int)sizeof(file) ? run_file(file) : -ENAMETOOLONG;
        if (r < 0) {
            fprintf(stderr, "%s: %s\n", file, strerror(-r));
            return r;
        }
        n++;
    }
    return n;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        struct stat status;
        bool directory = stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode);
        int n = directory ? run_directory(argv[i]) : run_file(argv[i]);
        if (n < 0) {
            fprintf(stderr, "%s: %s\n", argv[i], strerror(-n));
            return 1;
        }
        total += directory ? n : 1;
    }
    printf("%d inputs\n", total);
    return total > 0 ? 0 : 1; /* a corpus that is not there is no test */
}

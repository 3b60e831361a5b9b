// links: vestige_host_facts
/* Host facts from a made-up root, from nothing, and from this host. */
#include "core/cleanup.h"
#include "recorder/agent/host_facts.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <cmocka.h>

static char root[64];

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/vestige-host-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Makes the directories above @p path, and gives its name below the root. */
static void prepare(const char *path, char *name, size_t size)
{
    snprintf(name, size, "%s%s", root, path);
    for (char *slash = strchr(name + strlen(root) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(name, 0700);
        *slash = '/';
    }
}

static void put(const char *path, const char *text)
{
    char name[256];
    prepare(path, name, sizeof(name));
    FILE *file = fopen(name, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void put_link(const char *path, const char *target)
{
    char name[256];
    prepare(path, name, sizeof(name));
    assert_int_equal(symlink(target, name), 0);
}

static void test_all(void **state)
{
    (void)state;
    struct host_facts facts;
    put("/proc/sys/kernel/hostname", "web1\n");
    put("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    put("/etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"
                           "NAME=\"Debian \\\"GNU\\\"/Linux\"\nVERSION_ID='12'\nID=debian\n");
    put("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
    put("/proc/sys/kernel/version", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1\n");
    put("/proc/sys/kernel/arch", "aarch64\n");
    put("/sys/class/dmi/id/sys_vendor", "  ACME Inc. \n");
    put("/sys/class/dmi/id/product_name", "Box 3000\n");
    put("/etc/timezone", "Europe/Oslo\n");
    put("/proc/sys/kernel/random/boot_id", "b1a5c0de-0000-4000-8000-000000000001\n");
    put("/proc/cmdline", "root=/dev/vda audit=1 quiet\n");
    put("/proc/stat", "cpu  1 2 3\nintr 5\nctxt 6\nbtime 1700000000\nprocesses 77\n");
    assert_int_equal(host_facts_init(&facts, root), 0);
    assert_string_equal(facts.hostname, "web1");
    assert_string_equal(facts.machine_id, "0123456789abcdef0123456789abcdef");
    assert_string_equal(facts.os_name, "Debian \"GNU\"/Linux");
    assert_string_equal(facts.os_version, "12");
    assert_string_equal(facts.kernel, "6.1.0-18-amd64");
    assert_string_equal(facts.kernel_version, "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1");
    assert_string_equal(facts.architecture, "aarch64");
    assert_string_equal(facts.vendor, "ACME Inc.");
    assert_string_equal(facts.model, "Box 3000");
    assert_string_equal(facts.time_zone, "Europe/Oslo");
    assert_string_equal(facts.boot_id, "b1a5c0de-0000-4000-8000-000000000001");
    assert_string_equal(facts.kernel_command_line, "root=/dev/vda audit=1 quiet");
    assert_int_equal(facts.boot_time_s, 1700000000);
    assert_int_equal(facts.ticks_per_second, sysconf(_SC_CLK_TCK));
    host_facts_deinit(&facts);
    assert_null(facts.hostname);
}

static void test_nothing(void **state)
{
    (void)state;
    struct host_facts facts;
    struct utsname name;
    put("/sys/class/dmi/id/sys_vendor", " \n");
    put("/etc/os-release", "NAME=\nVERSION_ID=\"unterminated");
    put_link("/etc/localtime", "/usr/share/zoneinfo/America/Argentina/Ushuaia");
    assert_int_equal(host_facts_init(&facts, root), 0);
    assert_null(facts.hostname);
    assert_null(facts.vendor);
    assert_null(facts.model);
    assert_null(facts.boot_id);
    assert_string_equal(facts.os_name, "");
    assert_string_equal(facts.os_version, "unterminated");
    assert_string_equal(facts.time_zone, "America/Argentina/Ushuaia");
    assert_int_equal(facts.boot_time_s, 0);
    assert_int_equal(uname(&name), 0);
    assert_string_equal(facts.architecture, name.machine);
    host_facts_deinit(&facts);
}

static void test_vendor_os_release(void **state)
{
    (void)state;
    struct host_facts facts;
    put("/usr/lib/os-release", "VERSION_ID=9\nNAME=Plain Linux\n");
    put_link("/etc/localtime", "/etc/not-a-zone");
    assert_int_equal(host_facts_init(&facts, root), 0);
    assert_string_equal(facts.os_name, "Plain Linux");
    assert_string_equal(facts.os_version, "9");
    assert_null(facts.time_zone);
    host_facts_deinit(&facts);
}

static void test_this_host(void **state)
{
    (void)state;
    struct host_facts facts;
    struct utsname name;
    assert_int_equal(uname(&name), 0);
    assert_int_equal(host_facts_init(&facts, "/"), 0);
    assert_string_equal(facts.hostname, name.nodename);
    assert_string_equal(facts.kernel, name.release);
    assert_string_equal(facts.kernel_version, name.version);
    assert_string_equal(facts.architecture, name.machine);
    assert_int_equal(strlen(facts.boot_id), 36);
    assert_true(facts.boot_time_s > 0);
    host_facts_deinit(&facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_vendor_os_release, set_up, tear_down),
        cmocka_unit_test(test_this_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

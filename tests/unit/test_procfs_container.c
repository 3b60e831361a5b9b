// links: vestige_procfs
/* Control group paths as container engines make them, and names of kernel threads. */
#include "collectors/procfs/procfs_comm.h"
#include "collectors/procfs/procfs_container.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define A "3f4e8d2c1b0a99887766554433221100ffeeddccbbaa00112233445566778899"
#define B "0000000000000000000000000000000000000000000000000000000000000001"

static void assert_text(struct slice s, const char *expected)
{
    if (!expected) {
        assert_null(s.data);
        return;
    }
    assert_non_null(s.data);
    assert_int_equal(s.length, strlen(expected));
    assert_memory_equal(s.data, expected, s.length);
}

static void test_container_ids(void **state)
{
    (void)state;
    static const struct {
        const char *path, *id;
    } cases[] = {
        {"/system.slice/docker-" A ".scope",                                            A                  },
        {"/docker/" A,                                                                  A                  },
        {"/docker/" A "/system.slice/cron.service",                                     A                  },
        {"/docker/" A "/docker/" B,                                                     B                  },
        {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod12_3.slice/"
         "cri-containerd-" A ".scope",
         A                                                                                                 },
        {"/kubepods/besteffort/pod1234/" A,                                             A                  },
        {"/kubepods.slice/kubepods-pod1.slice/crio-" A ".scope/container",              A                  },
        {"/kubepods.slice/kubepods-pod1.slice/crio-conmon-" A ".scope",                 NULL               },
        {"/machine.slice/libpod-" A ".scope/container",                                 A                  },
        {"/machine.slice/libpod-conmon-" A ".scope",                                    NULL               },
        {"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" A ".scope", A                  },
        {"/system.slice:docker:" A,                                                     A                  },
        {"/docker/" A " (deleted)",                                                     A                  },
        {"/lxc.payload.web/init.scope",                                                 "web"              },
        {"/lxc.monitor.web",                                                            NULL               },
        {"/lxc/web/system.slice/ssh.service",                                           "web"              },
        {"/lxc",                                                                        NULL               },
        {"/lxc/",                                                                       NULL               },
        {"/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/emulator",                     "qemu\\x2d1\\x2dvm"},
        {"/machine.slice/systemd-nspawn@box.service/payload",                           "box"              },
        {"/machine.slice/machine-.scope",                                               NULL               },
        {"/system.slice/machine-x.scope",                                               NULL               },
        {"/system.slice/ssh.service",                                                   NULL               },
        {"/",                                                                           NULL               },
        {"",                                                                            NULL               },
        {"/docker/" A "0",                                                              NULL               }, /* 65 digits */
        {"/docker/3f4e8d2c1b0a",                                                        NULL               }, /* a short id is none */
        {"/process_api/cc8b2f00acdc952d7b79522be4331453",                               NULL               },
        {"/docker/X" A,                                                                 A                  },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_text(procfs_container_id(slice_text(cases[i].path)), cases[i].id);
    assert_text(procfs_container_id(SLICE_NULL), NULL);
}

static void test_cgroup_paths(void **state)
{
    (void)state;
    static const struct {
        const char *contents, *path;
    } cases[] = {
        {"0::/init.scope\n",                              "/init.scope"},
        {"0::/\n",                                        "/"          },
        {"12:cpu,cpuacct:/a\n4:memory:/docker/x\n0::/\n", "/docker/x"  },
        {"12:cpu,cpuacct:/longer/than\n0::/b\n",          "/b"         },
        {"1:name=systemd:/a:b\n",                         "/a:b"       },
        {"1:name=systemd:/no newline",                    "/no newline"},
        {"nonsense\n:\n",                                 NULL         },
        {"",                                              NULL         },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_text(procfs_cgroup_path(slice_text(cases[i].contents)), cases[i].path);
}

static void test_names_of_kernel_threads(void **state)
{
    (void)state;
    static const struct {
        const char *shown;
        bool kernel;
        const char *name;
    } cases[] = {
        {"kworker/0:1-events",               true,  "kworker/0:1"      },
        {"kworker/u8:2+ext4-rsv-conversion", true,  "kworker/u8:2"     },
        {"kworker/0:0H",                     true,  "kworker/0:0H"     },
        {"kworker/R-ext4-rsv-conversion",    true,  "kworker/R-ext4-"  },
        {"kworker/R-mld",                    true,  "kworker/R-mld"    },
        {"kworker/R-mld+mld",                true,  "kworker/R-mld"    },
        {"jbd2/loop0-8-and-more",            true,  "jbd2/loop0-8-an"  },
        {"kthreadd",                         true,  "kthreadd"         },
        {"kworker/0:1-event",                false, "kworker/0:1-event"}, /* a program that calls itself so */
        {"",                                 true,  ""                 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_text(procfs_comm(slice_text(cases[i].shown), cases[i].kernel), cases[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_container_ids),
        cmocka_unit_test(test_cgroup_paths),
        cmocka_unit_test(test_names_of_kernel_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

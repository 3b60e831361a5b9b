/* What connections are known by: sock_diag, and BPF with the types of the running kernel. Whether
 * the programs really load only the agent can say; here is what they need. */
#include "core/cleanup.h"
#include "reports/doctor/doctor.h"

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>

#define KERNEL_TYPES "/sys/kernel/btf/vmlinux"

static int try_destroy_groups(void)
{
    struct mnl_socket *mnl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
    if (!mnl)
        return -errno;
    int error = mnl_socket_bind(mnl, 1u << (SKNLGRP_INET_TCP_DESTROY - 1), MNL_SOCKET_AUTOPID) < 0
                    ? -errno
                    : 0;
    mnl_socket_close(mnl);
    return error;
}

static void check_sock_diag(struct doctor *doctor)
{
    int error = try_destroy_groups();
    if (error == 0)
        doctor_add(doctor, FINDING_OK, "sock_diag", "available", NULL, NULL);
    else if (error == -EPERM || error == -EACCES)
        doctor_add(doctor, FINDING_NOTE, "sock_diag", "not allowed to look", NULL,
                   "run vestige doctor as root");
    else
        doctor_add(doctor, FINDING_WRONG, "sock_diag", strerror(-error),
                   "sockets are looked for in /proc/net: those that live between two looks are not "
                   "seen, and none has bytes",
                   "use a kernel with CONFIG_INET_DIAG and CONFIG_INET_UDP_DIAG");
}

static void check_bpf(struct doctor *doctor)
{
    if (access(KERNEL_TYPES, R_OK) == 0)
        doctor_add(doctor, FINDING_OK, "BPF", "the kernel describes its types", NULL, NULL);
    else
        doctor_add(doctor, FINDING_NOTE, "BPF", KERNEL_TYPES ": cannot be read",
                   "which process opened a connection is inferred, and costs audit rules",
                   "use a kernel with CONFIG_DEBUG_INFO_BTF");
}

static bool has_control_groups(void)
{
    char line[4096];
    AUTO_FCLOSE FILE *file = fopen("/proc/self/mountinfo", "re");
    while (file && fgets(line, sizeof(line), file))
        if (strstr(line, " - cgroup2 "))
            return true;
    return false;
}

static void check_control_groups(struct doctor *doctor)
{
    if (has_control_groups())
        doctor_add(doctor, FINDING_OK, "control groups", "version 2 is mounted", NULL, NULL);
    else
        doctor_add(doctor, FINDING_NOTE, "control groups", "version 2 is not mounted",
                   "datagrams are known by audit only, not each peer of a socket",
                   "mount -t cgroup2 none /sys/fs/cgroup (or .../unified), and restart the agent");
}

void doctor_check_network(struct doctor *doctor)
{
    check_sock_diag(doctor);
    check_bpf(doctor);
    check_control_groups(doctor);
}

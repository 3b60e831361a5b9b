/* What the kernel offers besides audit: each interface is tried as the agent would use it, and left
 * again at once. */
#include "core/cleanup.h"
#include "reports/doctor/doctor.h"

#include <libmnl/libmnl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/genetlink.h>
#include <linux/taskstats.h>
#include <string.h>

#define FIRST_PID_NAMESPACE "pid:[4026531836]" /* PROC_PID_INIT_INO */

static void check_namespace(struct doctor *doctor)
{
    char name[64];
    ssize_t length = readlink("/proc/self/ns/pid", name, sizeof(name) - 1);
    name[length > 0 ? length : 0] = '\0';
    if (!strcmp(name, FIRST_PID_NAMESPACE))
        doctor_add(doctor, FINDING_OK, "pid namespace", "the first one", NULL, NULL);
    else
        doctor_add(
            doctor, FINDING_WRONG, "pid namespace", "not the first one: a container",
            "the kernel tells of processes in the first namespace only, and says nothing here",
            "run the agent on the host itself");
}

static void add_interface(struct doctor *doctor, const char *what, int error, const char *why)
{
    if (error == 0)
        doctor_add(doctor, FINDING_OK, what, "available", NULL, NULL);
    else if (error == -EPERM || error == -EACCES)
        doctor_add(doctor, FINDING_NOTE, what, "not allowed to look", NULL,
                   "run vestige doctor as root");
    else
        doctor_add(doctor, FINDING_WRONG, what, strerror(-error), why,
                   "use a kernel with CONFIG_PROC_EVENTS and CONFIG_TASKSTATS");
}

static int try_connector(void)
{
    struct mnl_socket *mnl = mnl_socket_open2(NETLINK_CONNECTOR, SOCK_CLOEXEC);
    if (!mnl)
        return -errno;
    int error = mnl_socket_bind(mnl, CN_IDX_PROC, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
    mnl_socket_close(mnl);
    return error;
}

static struct nlmsghdr *put_family_request(char *buffer, const char *family)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = GENL_ID_CTRL;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    struct genlmsghdr *generic = mnl_nlmsg_put_extra_header(header, sizeof(*generic));
    generic->cmd = CTRL_CMD_GETFAMILY;
    generic->version = 1;
    mnl_attr_put_strz(header, CTRL_ATTR_FAMILY_NAME, family);
    return header;
}

static int try_family(const char *family)
{
    char buffer[8192];
    struct mnl_socket *mnl = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
    if (!mnl)
        return -errno;
    struct nlmsghdr *request = put_family_request(buffer, family);
    int error = 0;
    if (mnl_socket_bind(mnl, 0, MNL_SOCKET_AUTOPID) < 0 ||
        mnl_socket_sendto(mnl, request, request->nlmsg_len) < 0) {
        error = -errno;
    } else {
        ssize_t length = mnl_socket_recvfrom(mnl, buffer, sizeof(buffer));
        if (length < 0 || mnl_cb_run(buffer, (size_t)length, 0, 0, NULL, NULL) < 0)
            error = -errno;
    }
    mnl_socket_close(mnl);
    return error;
}

void doctor_check_kernel(struct doctor *doctor)
{
    check_namespace(doctor);
    add_interface(doctor, "process connector", try_connector(),
                  "processes that live shorter than a look into /proc are not seen");
    add_interface(doctor, "taskstats", try_family(TASKSTATS_GENL_NAME),
                  "ends of processes are inferred, and what they used is not known");
}

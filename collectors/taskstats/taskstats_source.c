/* Resolves the family, registers for the ends of tasks on every possible CPU, and drains. The
 * kernel sends to a registered socket directly; there is no multicast group. */
#include "collectors/taskstats/taskstats_source.h"

#include "collectors/netlink/netlink_socket.h"
#include "collectors/taskstats/taskstats_decode.h"
#include "core/cleanup.h"

#include <linux/genetlink.h>
#include <linux/taskstats.h>

#define POSSIBLE_CPUS     "/sys/devices/system/cpu/possible"
#define ANSWER_TIMEOUT_MS 1000
#define MESSAGE_SIZE      4096
#define MOST_CPUS_TEXT    1024

struct taskstats_collector {
    struct netlink_socket socket;
    uint16_t family;
    char cpus[MOST_CPUS_TEXT]; /* as in the file, without its newline */
    bool registered, noted;
};

static int read_cpus(struct taskstats_collector *self, struct error_text *error)
{
    AUTO_FCLOSE FILE *file = fopen(POSSIBLE_CPUS, "re");
    if (!file)
        return error_set(error, -errno, "taskstats: cannot read " POSSIBLE_CPUS ": %s",
                         strerror(errno));
    if (!fgets(self->cpus, sizeof(self->cpus), file))
        return error_set(error, -EIO, "taskstats: " POSSIBLE_CPUS " is empty");
    self->cpus[strcspn(self->cpus, "\n")] = 0;
    return 0;
}

static struct nlmsghdr *put_command(char *buffer, uint16_t family, uint8_t command)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
    header->nlmsg_type = family;
    header->nlmsg_flags = NLM_F_REQUEST;
    struct genlmsghdr *generic = mnl_nlmsg_put_extra_header(header, sizeof(*generic));
    generic->cmd = command;
    generic->version = 1;
    return header;
}

static int take_family_attribute(const struct nlattr *attribute, void *user)
{
    uint16_t *family = user;
    if (mnl_attr_get_type(attribute) == CTRL_ATTR_FAMILY_ID &&
        mnl_attr_get_payload_len(attribute) == sizeof(*family))
        *family = mnl_attr_get_u16(attribute);
    return MNL_CB_OK;
}

static void take_family(void *user, const struct nlmsghdr *header)
{
    size_t length = mnl_nlmsg_get_payload_len(header);
    if (header->nlmsg_type == GENL_ID_CTRL && length >= GENL_HDRLEN)
        (void)mnl_attr_parse_payload(mnl_nlmsg_get_payload_offset(header, GENL_HDRLEN),
                                     length - GENL_HDRLEN, take_family_attribute, user);
}

static int resolve_family(struct taskstats_collector *self, struct error_text *error)
{
    char buffer[128];
    struct nlmsghdr *request = put_command(buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
    mnl_attr_put_strz(request, CTRL_ATTR_FAMILY_NAME, TASKSTATS_GENL_NAME);
    int r = netlink_socket_request(&self->socket, request, ANSWER_TIMEOUT_MS, take_family,
                                   &self->family);
    if (r == -ENOENT || (r == 0 && self->family == 0))
        return error_set(error, -ENOENT,
                         "taskstats: this kernel has none; it needs CONFIG_TASKSTATS, without it "
                         "CPU time, memory and I/O of processes are not seen");
    if (r < 0)
        return error_set(error, r, "taskstats: cannot look up the family: %s", strerror(-r));
    return 0;
}

static struct nlmsghdr *put_cpus(char *buffer, const struct taskstats_collector *self,
                                 uint16_t attribute)
{
    struct nlmsghdr *request = put_command(buffer, self->family, TASKSTATS_CMD_GET);
    mnl_attr_put_strz(request, attribute, self->cpus);
    return request;
}

static int register_cpus(struct taskstats_collector *self, struct error_text *error)
{
    char buffer[MOST_CPUS_TEXT + 128];
    struct nlmsghdr *request = put_cpus(buffer, self, TASKSTATS_CMD_ATTR_REGISTER_CPUMASK);
    int r = netlink_socket_request(&self->socket, request, ANSWER_TIMEOUT_MS, NULL, NULL);
    if (r < 0)
        return error_set(error, r, "taskstats: cannot register for CPUs %.64s: %s%s", self->cpus,
                         strerror(-r),
                         r == -EPERM    ? "; run as root or give it CAP_NET_ADMIN"
                         : r == -EINVAL ? "; the kernel allows it only in the first user and pid "
                                          "namespace: run on the host itself"
                                        : "");
    self->registered = true;
    return 0;
}

static void taskstats_stop(struct source *source)
{
    struct taskstats_collector *self = (struct taskstats_collector *)source;
    if (!self->registered)
        return;
    char buffer[MOST_CPUS_TEXT + 128];
    struct nlmsghdr *request = put_cpus(buffer, self, TASKSTATS_CMD_ATTR_DEREGISTER_CPUMASK);
    /* Without NLM_F_ACK: the kernel has done it when the call returns, and answers only a fault. */
    if (netlink_socket_send(&self->socket, request, request->nlmsg_len) == 0)
        self->registered = false;
}

static struct source *taskstats_free(struct source *source)
{
    struct taskstats_collector *self = (struct taskstats_collector *)source;
    if (!self)
        return NULL;
    taskstats_stop(source);
    netlink_socket_close(&self->socket);
    free(self);
    return NULL;
}

static int taskstats_open(struct source **sourcep, const struct source_options *options,
                          struct error_text *error)
{
    struct taskstats_collector *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, -ENOMEM, "taskstats: out of memory");
    const struct netlink_socket_options socket_options = {
        .protocol = NETLINK_GENERIC,
        .source = SOURCE_TASKSTATS,
        .name = "taskstats",
        .receive_buffer = options->receive_buffer,
        .message_size = MESSAGE_SIZE,
        .counters = options->counters,
    };
    int r = netlink_socket_open(&self->socket, &socket_options, error);
    if (r == 0)
        r = read_cpus(self, error);
    if (r == 0)
        r = resolve_family(self, error);
    if (r == 0)
        r = register_cpus(self, error);
    if (r < 0) {
        taskstats_free((struct source *)self);
        return r;
    }
    *sourcep = (struct source *)self;
    return 0;
}

static int add_mode_note(struct taskstats_collector *self, struct gulp *gulp)
{
    char text[256];
    int length = snprintf(text, sizeof(text), "all\tCPUs %.128s, receive buffer %zu bytes%s",
                          self->cpus, self->socket.receive_buffer,
                          self->socket.buffer_is_small ? ", less than asked for" : "");
    int r = gulp_add(gulp, SOURCE_TASKSTATS, MESSAGE_NOTE, clock_boot_ns(),
                     slice_of(text, (size_t)length));
    self->noted = r == 0;
    return r;
}

static int taskstats_drain(struct source *source, struct gulp *gulp)
{
    struct taskstats_collector *self = (struct taskstats_collector *)source;
    if (!self->noted && add_mode_note(self, gulp) < 0)
        return SOURCE_MORE;
    return netlink_socket_drain(&self->socket, gulp);
}

const struct source_ops taskstats_source = {
    .id = SOURCE_TASKSTATS,
    .open = taskstats_open,
    .drain = taskstats_drain,
    .stop = taskstats_stop,
    .free = taskstats_free,
    .decoder_new = taskstats_decoder_new,
    .decode = taskstats_decode,
    .decoder_free = taskstats_decoder_free,
};

/* Words are taken one after the other; each number is checked for its digits and its range. */
#include "collectors/sock_diag/proc_net.h"

#include "collectors/sock_diag/inet_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

enum { WORDS_MOST = 10, TIMER_TIME_WAIT = 3, STATE_NEW_SYN_RECEIVED = 12, UNIX_LISTENS = 0x10000 };

struct kind {
    const char *name;
    uint8_t family, type;
    uint16_t protocol;
};

static const struct kind kinds[] = {
    [PROC_NET_TCP] = {"tcp",      AF_INET,   SOCK_STREAM, IPPROTO_TCP    },
    [PROC_NET_TCP6] = {"tcp6",     AF_INET6,  SOCK_STREAM, IPPROTO_TCP    },
    [PROC_NET_UDP] = {"udp",      AF_INET,   SOCK_DGRAM,  IPPROTO_UDP    },
    [PROC_NET_UDP6] = {"udp6",     AF_INET6,  SOCK_DGRAM,  IPPROTO_UDP    },
    [PROC_NET_UDPLITE] = {"udplite",  AF_INET,   SOCK_DGRAM,  IPPROTO_UDPLITE},
    [PROC_NET_UDPLITE6] = {"udplite6", AF_INET6,  SOCK_DGRAM,  IPPROTO_UDPLITE},
    [PROC_NET_RAW] = {"raw",      AF_INET,   SOCK_RAW,    0              },
    [PROC_NET_RAW6] = {"raw6",     AF_INET6,  SOCK_RAW,    0              },
    [PROC_NET_PACKET] = {"packet",   AF_PACKET, 0,           0              },
    [PROC_NET_UNIX] = {"unix",     AF_UNIX,   0,           0              },
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == PROC_NET_N, "one each");

const char *proc_net_name(enum proc_net_file file)
{
    return kinds[file].name;
}

/* The next word, with the blanks before it taken off the line; empty at the end. */
static struct slice next_word(struct slice *line)
{
    size_t start = 0, end;
    while (start < line->length && line->data[start] == ' ')
        start++;
    for (end = start; end < line->length && line->data[end] != ' ';)
        end++;
    struct slice word = slice_of(line->data + start, end - start);
    *line = slice_of(line->data + end, line->length - end);
    return word;
}

static int digit_of(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : INT32_MAX;
}

static bool take_number(struct slice word, unsigned base, uint64_t most, uint64_t *to)
{
    *to = 0;
    for (size_t i = 0; i < word.length; i++) {
        unsigned digit = (unsigned)digit_of(word.data[i]);
        if (digit >= base || *to > (most - digit) / base)
            return false;
        *to = *to * base + digit;
    }
    return word.length > 0;
}

/* "before:behind" */
static bool split(struct slice word, struct slice *before, struct slice *behind)
{
    const uint8_t *colon = word.length ? memchr(word.data, ':', word.length) : NULL;
    if (!colon)
        return false;
    size_t length = (size_t)(colon - word.data);
    *before = slice_of(word.data, length);
    *behind = slice_of(colon + 1, word.length - length - 1);
    return true;
}

/* Each 8 digits are 4 bytes of the address as a number of this machine. */
static bool take_address(struct slice word, uint8_t family, struct inet_address *to)
{
    struct slice digits, port_digits;
    uint8_t bytes[16] = {0};
    uint64_t value;
    size_t length = family == AF_INET ? 4 : 16;
    if (!split(word, &digits, &port_digits) || digits.length != 2 * length)
        return false;
    for (size_t i = 0; i < length; i += 4) {
        if (!take_number(slice_of(digits.data + 2 * i, 8), 16, UINT32_MAX, &value))
            return false;
        memcpy(bytes + i, &(uint32_t){(uint32_t)value}, 4);
    }
    if (!take_number(port_digits, 16, UINT16_MAX, &value))
        return false;
    *to = inet_socket_address(family, bytes, (uint16_t)value);
    return true;
}

static bool is_entry(const struct socket_description *socket, uint64_t timer)
{
    return socket->protocol != IPPROTO_TCP || socket->type != SOCK_STREAM ||
           (timer != TIMER_TIME_WAIT && socket->state != TCP_TIME_WAIT &&
            socket->state != TCP_SYN_RECV && socket->state != STATE_NEW_SYN_RECEIVED);
}

/* sl local remote state tx:rx timer:when retransmits uid timeout inode */
static int inet_line(const struct kind *kind, const struct slice *words,
                     struct socket_description *to)
{
    struct slice timer_digits, when;
    uint64_t state, timer, uid;
    if (!take_address(words[1], kind->family, &to->local) ||
        !take_address(words[2], kind->family, &to->remote) ||
        !take_number(words[3], 16, UINT8_MAX, &state) || !split(words[5], &timer_digits, &when) ||
        !take_number(timer_digits, 16, UINT8_MAX, &timer) ||
        !take_number(words[7], 10, UINT32_MAX, &uid) ||
        !take_number(words[9], 10, UINT64_MAX, &to->inode))
        return -EBADMSG;
    to->state = (uint8_t)state;
    to->uid = (uint32_t)uid;
    if (kind->type == SOCK_RAW)
        to->protocol = to->local.port;
    return is_entry(to, timer) ? 0 : PROC_NET_NONE;
}

/* sk references type protocol interface running memory user inode */
static int packet_line(const struct slice *words, struct socket_description *to)
{
    uint64_t type, protocol, interface, uid;
    if (!take_number(words[2], 10, UINT8_MAX, &type) ||
        !take_number(words[3], 16, UINT16_MAX, &protocol) ||
        !take_number(words[4], 10, UINT32_MAX, &interface) ||
        !take_number(words[7], 10, UINT32_MAX, &uid) ||
        !take_number(words[8], 10, UINT64_MAX, &to->inode))
        return -EBADMSG;
    to->type = (uint8_t)type;
    to->protocol = (uint16_t)protocol;
    to->interface = (uint32_t)interface;
    to->uid = (uint32_t)uid;
    return 0;
}

/* number references protocol flags type state inode, then a blank and the path */
static int unix_line(const struct slice *words, struct slice rest, uint8_t path[PROC_NET_PATH_SIZE],
                     struct socket_description *to)
{
    uint64_t flags, type;
    if (!take_number(words[3], 16, UINT32_MAX, &flags) ||
        !take_number(words[4], 16, UINT8_MAX, &type) ||
        !take_number(words[6], 10, UINT64_MAX, &to->inode))
        return -EBADMSG;
    if (!(flags & UNIX_LISTENS))
        return PROC_NET_NONE;
    if (rest.length == 0 || rest.length > PROC_NET_PATH_SIZE)
        return -EBADMSG;
    to->type = (uint8_t)type;
    to->state = TCP_LISTEN;
    memcpy(path, rest.data + 1, rest.length - 1);
    if (rest.length > 1 && path[0] == '@')
        path[0] = '\0';
    to->path = slice_of(path, rest.length - 1);
    return 0;
}

static bool is_heading(enum proc_net_file file, struct slice word)
{
    return slice_is(word, file == PROC_NET_PACKET ? "sk" : file == PROC_NET_UNIX ? "Num" : "sl");
}

int proc_net_line(enum proc_net_file file, struct slice line, uint8_t path[PROC_NET_PATH_SIZE],
                  struct socket_description *to)
{
    const struct kind *kind = &kinds[file];
    struct slice words[WORDS_MOST];
    size_t n = file == PROC_NET_PACKET ? 9 : file == PROC_NET_UNIX ? 7 : 10;
    for (size_t i = 0; i < n; i++)
        words[i] = next_word(&line);
    if (is_heading(file, words[0]))
        return PROC_NET_NONE;
    *to = (struct socket_description){.family = kind->family,
                                      .type = kind->type,
                                      .protocol = kind->protocol,
                                      .uid = ID_UNSET,
                                      .bytes_sent = UINT64_MAX,
                                      .bytes_received = UINT64_MAX};
    if (file == PROC_NET_PACKET)
        return packet_line(words, to);
    return file == PROC_NET_UNIX ? unix_line(words, line, path, to) : inet_line(kind, words, to);
}

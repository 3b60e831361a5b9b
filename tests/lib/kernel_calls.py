"""Calls that are kernel events, each made once by this process: kernel_calls.py CALL...

Says for each "CALL ERRNO", 0 for success."""

import ctypes
import errno
import os
import signal
import struct
import sys
import time

MACHINE = os.uname().machine
NUMBERS = {
    "x86_64": {"init_module": 175, "finit_module": 313, "delete_module": 176, "bpf": 321,
               "io_uring_setup": 425, "settimeofday": 164, "clock_settime": 227, "adjtimex": 159,
               "setns": 308, "kexec_load": 246, "ptrace": 101, "mount": 165, "umount2": 166},
    "aarch64": {"init_module": 105, "finit_module": 273, "delete_module": 106, "bpf": 280,
                "io_uring_setup": 425, "settimeofday": 170, "clock_settime": 112, "adjtimex": 171,
                "setns": 268, "kexec_load": 104, "ptrace": 117, "mount": 40, "umount2": 39},
}[MACHINE] | {"open_tree": 428, "move_mount": 429, "mount_setattr": 442}
AT_FDCWD = -100
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long


def call(name, *arguments):
    """Returns the result and the errno."""
    ctypes.set_errno(0)
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = LIBC.syscall(ctypes.c_long(NUMBERS[name]), *wide)
    return result, ctypes.get_errno() if result == -1 else 0


def bpf(command=5):
    """r0 = 0; exit: a socket filter."""
    program = ctypes.create_string_buffer(struct.pack("=BBhi", 0xb7, 0, 0, 0) +
                                          struct.pack("=BBhi", 0x95, 0, 0, 0))
    text = ctypes.create_string_buffer(b"GPL")
    attributes = ctypes.create_string_buffer(
        struct.pack("=IIQQ", 1, 2, ctypes.addressof(program), ctypes.addressof(text)) + bytes(96))
    return call("bpf", command, attributes, 72)[1]


def bpf_high():
    """The kernel takes the lower half of the number only."""
    return bpf(5 | 1 << 32)


def bpf_other():
    """The first program's number: reads only."""
    return call("bpf", 11, ctypes.create_string_buffer(16), 16)[1] and 0


def io_uring_setup():
    return call("io_uring_setup", 4, ctypes.create_string_buffer(120))[1]


def now():
    return struct.pack("=qq", *divmod(time.time_ns(), 1000000000))


def clock_settime():
    return call("clock_settime", 0, ctypes.create_string_buffer(now()))[1]


def settimeofday():
    return call("settimeofday", ctypes.create_string_buffer(
        struct.pack("=qq", *divmod(time.time_ns() // 1000, 1000000))), None)[1]


def adjtimex_read():
    return call("adjtimex", ctypes.create_string_buffer(256))[1]


def init_module():
    return call("init_module", ctypes.create_string_buffer(b"no module"), 9,
                ctypes.create_string_buffer(b""))[1]


def delete_module():
    return call("delete_module", ctypes.create_string_buffer(b"no_such_module"), 0)[1]


def kexec_load():
    return call("kexec_load", 0, 1 << 20, None, 0)[1]


def attach(request):
    child = os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ)
    try:
        # It is another program as soon as its name says so.
        while read(f"/proc/{child}/comm") != "sleep\n":
            time.sleep(0.001)
        print("child", child)
        return call("ptrace", request, child, 0, 0)[1]
    finally:
        os.kill(child, signal.SIGKILL)
        status = 0
        while not os.WIFSIGNALED(status):
            _, status = os.waitpid(child, 0x40000000)  # __WALL


def read(path):
    with open(path) as stream:
        return stream.read()


def ptrace_attach():
    return attach(16)


def ptrace_seize():
    return attach(0x4206)


def ptrace_nobody():
    return call("ptrace", 16, 0x3fffff, 0, 0)[1]


def setns_own():
    descriptor = os.open("/proc/self/ns/uts", os.O_RDONLY)
    return call("setns", descriptor, 0x04000000)[1]


def umount(target):
    """The recorder looks into a filesystem that is new, for moments in which it is busy."""
    for n in range(3000):
        error = call("umount2", target, 0)[1]
        if error != errno.EBUSY:
            break
        time.sleep(0.001 if n < 100 else 0.01)  # fewer in a second than are recorded one by one
    return error


def mounts():
    """23 times a tmpfs, by a path below the directory of work, and away again."""
    target = ctypes.create_string_buffer(b"relative")
    for _ in range(23):
        error = (call("mount", ctypes.create_string_buffer(b"none"), target,
                      ctypes.create_string_buffer(b"tmpfs"), 0, None)[1] or
                 umount(target))
        if error:
            return error
    return 0


def descriptor_mounts():
    """Mounted, changed and taken away below a descriptor of the directory of work; and a move of
    what is no mount, which is refused."""
    here, path = os.open(".", os.O_PATH), ctypes.create_string_buffer(b"relative")
    none, root = ctypes.create_string_buffer(b""), ctypes.create_string_buffer(b"/")
    tree, error = call("open_tree", AT_FDCWD, ctypes.create_string_buffer(b"/usr"), 1)
    read_only = ctypes.create_string_buffer(struct.pack("=QQQQ", 1, 0, 0, 0))
    error = (error or call("move_mount", tree, none, here, path, 4)[1] or
             call("mount_setattr", here, path, 0, read_only, 32)[1])
    os.close(tree)
    error = error or umount(path)
    refused = call("move_mount", AT_FDCWD, path, AT_FDCWD, root, 0)[1]
    return error or (0 if refused == errno.EINVAL else refused or errno.EPROTO)


def unshares():
    for _ in range(5000):
        LIBC.unshare(0x04000000)
    return 0


def main():
    for name in sys.argv[1:]:
        error = globals()[name]()
        print(name, errno.errorcode.get(error, error), flush=True)


if __name__ == "__main__":
    main()

"""What a process that reads foreign files gives up before it sees the first: memory, files to write, the network, other processes.

Called in the child only. Where the system lacks one of these (Windows, macOS in part) the others and the parent's time limits remain.
"""

from __future__ import annotations

import contextlib
import ctypes
import platform
import signal
import struct
import sys
from collections.abc import Iterator

from engine.data.limits import READER_BYTES

# System calls that no reader needs, by their numbers on Linux (asm/unistd_64.h, asm-generic/unistd.h).
_X86_64 = {
    "socket": 41, "connect": 42, "sendto": 44, "bind": 49, "listen": 50, "socketpair": 53, "fork": 57, "vfork": 58, "execve": 59,
    "kill": 62, "truncate": 76, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86, "unlink": 87, "symlink": 88,
    "chmod": 90, "chown": 92, "ptrace": 101, "mknod": 133, "mount": 165, "tkill": 200, "mkdirat": 258, "mknodat": 259,
    "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266, "fchmodat": 268, "process_vm_writev": 311, "renameat2": 316,
    "execveat": 322, "ftruncate": 77, "fchmod": 91, "fchown": 93, "lchown": 94, "utime": 132, "setxattr": 188,
    "lsetxattr": 189,
    "fsetxattr": 190, "tgkill": 234, "utimes": 235, "fchownat": 260, "futimesat": 261, "utimensat": 280, "process_vm_readv": 310,
    "pidfd_send_signal": 424, "fchmodat2": 452, "pidfd_open": 434, "clone3": 435, "io_uring_setup": 425, "openat2": 437,
}  # fmt: skip
_AARCH64 = {
    "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "ftruncate": 46, "fchmod": 52, "fchownat": 54, "fchown": 55, "utimensat": 88,
    "tgkill": 131, "process_vm_readv": 270, "pidfd_send_signal": 424, "fchmodat2": 452,
    "mknodat": 33, "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38, "mount": 40, "truncate": 45,
    "fchmodat": 53, "ptrace": 117, "kill": 129, "tkill": 130, "socket": 198, "socketpair": 199, "bind": 200, "listen": 201,
    "connect": 203, "sendto": 206, "execve": 221, "process_vm_writev": 271, "renameat2": 276, "execveat": 281, "io_uring_setup": 425,
    "pidfd_open": 434, "clone3": 435, "openat2": 437,
}  # fmt: skip
_MACHINES = {  # machine -> (AUDIT_ARCH of linux/audit.h, calls, open, openat, clone, prlimit64)
    "x86_64": (0xC000003E, _X86_64, 2, 257, 56, 302),
    "aarch64": (0xC00000B7, _AARCH64, None, 56, 220, 261),
}
_WRITING = 0o1 | 0o2 | 0o100 | 0o1000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC: the last one empties a file that is only read
_CLONE_THREAD = 0x10000
_ALLOW, _DENY, _ENOSYS = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38  # SECCOMP_RET_ALLOW, _ERRNO with EPERM, with ENOSYS
_X32 = 0x40000000  # the other numbering of calls on x86-64

_confined = False  # whether this process is


def confine(memory: int = READER_BYTES) -> None:
    """Leave this process `memory` bytes of address space, and no way to write a file, use the network or start a process."""
    global _confined
    filtered = sys.platform == "linux" and _filter_system_calls()
    _limit_resources(memory, not filtered)
    _confined = True


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """A confined process ends when what is inside computes longer: a library may go round in circles where no Python code can stop it.

    Elsewhere, and where the system has no such clock, there is no limit but the one that the program waits.
    """
    if not _confined or not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def allow_bytes(more: int) -> None:
    """Address space for `more` bytes of a file that is to be mapped, beside what reading takes: the data's own stated need."""
    try:
        import resource
    except ImportError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    wanted = READER_BYTES + more
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, most))


def _limit_resources(memory: int, processes: bool) -> None:
    try:
        import resource
    except ImportError:
        return
    kinds = [resource.RLIMIT_FSIZE, resource.RLIMIT_CORE]
    if processes:  # it would count threads too on Linux, and decoders of HEIF need one; the filter tells them apart
        kinds.append(resource.RLIMIT_NPROC)
    for kind in kinds:
        try:
            resource.setrlimit(kind, (0, 0))
        except (ValueError, OSError):
            continue  # the system has none
    try:
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        soft = memory if most == resource.RLIM_INFINITY else min(memory, most)
        resource.setrlimit(resource.RLIMIT_AS, (soft, most))
    except (ValueError, OSError):
        return


def _filter_system_calls() -> bool:
    """A seccomp filter (Documentation/userspace-api/seccomp_filter.rst): the calls above fail with EPERM. Whether it is in force."""
    known = _MACHINES.get(platform.machine())
    if known is None:
        return False
    rules = _rules(*known)
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *rule) for rule in rules))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("rules", ctypes.c_void_p))

    program = Program(len(rules), ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None)
    number = ctypes.c_ulong
    if libc.prctl(38, number(1), number(0), number(0), number(0)) != 0:  # PR_SET_NO_NEW_PRIVS
        return False
    return libc.prctl(22, number(2), ctypes.byref(program), number(0), number(0)) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def _rules(
    architecture: int, calls: dict[str, int], open_: int | None, openat: int, clone: int, prlimit: int
) -> list[tuple[int, int, int, int]]:
    """Instructions of the packet filter: (code, jump if true, jump if false, value), over struct seccomp_data."""
    load, equal, greater, any_bit, end = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF_LD|W|ABS, JEQ, JGE, JSET, RET
    rules = [(load, 0, 0, 4), (equal, 1, 0, architecture), (end, 0, 0, _DENY), (load, 0, 0, 0)]
    rules += [(greater, 0, 1, _X32), (end, 0, 0, _DENY)] if architecture == 0xC000003E else []
    for name, call in calls.items():
        rules += [(equal, 0, 1, call), (end, 0, 0, _ENOSYS if name == "clone3" else _DENY)]  # without clone3, threads use clone
    for call, argument in ((open_, 1), (openat, 2)):
        if call is not None:  # may read and not write
            rules += [(equal, 0, 4, call), (load, 0, 0, 16 + 8 * argument), (any_bit, 0, 1, _WRITING), (end, 0, 0, _DENY)]
            rules += [(end, 0, 0, _ALLOW)]
    rules += [(equal, 0, 4, prlimit), (load, 0, 0, 16), (equal, 1, 0, 0), (end, 0, 0, _DENY), (end, 0, 0, _ALLOW)]  # its own limits only
    rules += [(equal, 0, 3, clone), (load, 0, 0, 16), (any_bit, 1, 0, _CLONE_THREAD), (end, 0, 0, _DENY)]
    return [*rules, (end, 0, 0, _ALLOW)]

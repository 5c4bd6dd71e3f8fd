"""The system calls a boxed program may not make, as a seccomp program (classic BPF).

What a training does passes: files, threads, children, memory, pipes, its own signals. Refused with
EPERM are network sockets, and what reaches beyond the box or into the kernel. Two machines are
known; on another there is no filter, and the box's self-test says what does not hold.
"""

import struct

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = tuple(_ARCHITECTURE)
_NEW_NAMESPACES = 0x7E020000
"""Flags of clone that open namespaces: a user namespace gives all capabilities in it."""
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
_TIOCSTI, _TIOCLINUX, _PR_SET_DUMPABLE = 0x5412, 0x541C, 4

# name: (x86_64, aarch64); None where the machine has no such call
_REFUSED = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "pidfd_getfd": (438, 438), "perf_event_open": (298, 241),
    "bpf": (321, 280), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "quotactl": (179, 60), "acct": (163, 89),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162),
    "syslog": (103, 116), "iopl": (172, None), "ioperm": (173, None), "vhangup": (153, 58),
    "shmget": (29, 194), "shmat": (30, 196), "semget": (64, 190), "msgget": (68, 186),
    "mq_open": (240, 180), "migrate_pages": (256, 238), "move_pages": (279, 239),
}  # fmt: skip
_OWN_ONLY = {
    "prlimit64": (302, 261), "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274),
}  # fmt: skip
"""Calls with a process as their first argument; 0 means the caller."""
_SIGNALS = {
    "kill": (62, 129), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "tgkill": (234, 131),
}  # fmt: skip
_PRETENDED = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54),
}  # fmt: skip
_TIMES = {
    "utime": ((132, None), 1), "utimes": ((235, None), 1),
    "futimesat": ((261, None), 2), "utimensat": ((280, 88), 2),
}  # fmt: skip
"""Calls that set a file's times, and which argument has them; the path is the one before."""
_ATTRIBUTES = {
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "removexattrat": (466, 466), "file_setattr": (469, 469),
}  # fmt: skip
_FILE_FLAGS = (0x40086602, 0x40046602, 0x401C5820, 0x40087602)
"""ioctl that set a file's flags, extended flags or version."""
_SOCKET, _CLONE, _CLONE3, _IOCTL = (41, 198), (56, 220), (435, 435), (16, 29)
_PRCTL = (157, 167)


def program(
    machine: str, *, families: tuple[int, ...], may_signal: bool, is_filtered: bool = True
) -> bytes:
    """Return the filter for a machine; empty where the machine is not known.

    Parameters
    ----------
    families
        Address families of which sockets may be made.
    may_signal
        False where the kernel itself does not keep signals in the box: then none are sent at all.
    is_filtered
        False lets everything pass but sockets of other families; for tests of what the rest is for.
    """
    if machine not in _ARCHITECTURE:
        return b""
    which = list(_ARCHITECTURE).index(machine)
    refuse = _ret(_REFUSE | _EPERM)
    # 4: the architecture, 0: the number, 16 + 8 n: argument n
    code = [_op(_LOAD, 4), _op(_EQUAL, _ARCHITECTURE[machine], 1, 0), _ret(_KILL), _op(_LOAD, 0)]
    if machine == "x86_64":  # the same calls by other numbers
        code += [_op(_AT_LEAST, 0x40000000, 0, 1), refuse]
    code += _where(_SOCKET[which], 16, [_op(_EQUAL, family) for family in families], ok=True)
    if is_filtered:
        for numbers in [*_REFUSED.values(), *([] if may_signal else _SIGNALS.values())]:
            number = numbers[which]
            code += [] if number is None else [_op(_EQUAL, number, 0, 1), refuse]
        for numbers in _OWN_ONLY.values():
            code += _where(numbers[which], 16, [_op(_EQUAL, 0)], ok=True)
        # or an ordinary user's supervisor could not see what a process holds open
        code += _where(_PRCTL[which], 16, [_op(_EQUAL, _PR_SET_DUMPABLE)], ok=False)
        terminal = [_op(_EQUAL, number) for number in (_TIOCSTI, _TIOCLINUX)]
        code += _where(_IOCTL[which], 24, terminal, ok=False)
        code += _where(_CLONE[which], 16, [_op(_ANY_BIT, _NEW_NAMESPACES)], ok=False)
        # its flags are behind a pointer; the C library then falls back to clone
        code += [_op(_EQUAL, _CLONE3[which], 0, 1), _ret(_REFUSE | _ENOSYS)]
    return b"".join([*code, _ret(_ALLOW)])


def attributes(machine: str) -> bytes:
    """Return a filter that keeps a process from marking files: Landlock does not look at that.

    Modes, owners and times stay as they are though the call seems to succeed, since compilers and
    archivers set them in passing; extended attributes and flags are refused. So is setting the
    times of a path to now, by which :meth:`pathlib.Path.touch` finds out whether there is a file.
    """
    if machine not in _ARCHITECTURE:
        return b""
    which = list(_ARCHITECTURE).index(machine)
    code = [_op(_LOAD, 4), _op(_EQUAL, _ARCHITECTURE[machine], 1, 0), _ret(_KILL), _op(_LOAD, 0)]
    for numbers, times in _TIMES.values():
        number = numbers[which]
        code += [] if number is None else _set_times(number, 16 + 8 * times)
    for calls, error in ((_PRETENDED, 0), (_ATTRIBUTES, _EPERM)):
        for numbers in calls.values():
            number = numbers[which]
            code += [] if number is None else [_op(_EQUAL, number, 0, 1), _ret(_REFUSE | error)]
    flags = [_op(_EQUAL, number) for number in _FILE_FLAGS]
    code += _where(_IOCTL[which], 24, flags, ok=False)
    return b"".join([*code, _ret(_ALLOW)])


def _set_times(number: int, times: int) -> list[bytes]:
    """Refuse to set a path's times to now (no times given); pretend all else (no path: a handle).

    A low word of 0 is taken for a null pointer.
    """
    pretend = _ret(_REFUSE)
    body = [
        *(_op(_LOAD, times - 8), _op(_EQUAL, 0, 0, 1), pretend),
        *(_op(_LOAD, times), _op(_EQUAL, 0, 0, 1), _ret(_REFUSE | _EPERM), pretend),
    ]
    return [_op(_EQUAL, number, 0, len(body)), *body]


def _op(code: int, k: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, k)


def _ret(value: int) -> bytes:
    return _op(_RETURN, value)


def _where(number: int, argument: int, tests: list[bytes], *, ok: bool) -> list[bytes]:
    """Decide one call by an argument: tests that hit allow it if ``ok``, else refuse it."""
    refuse, allow = _ret(_REFUSE | _EPERM), _ret(_ALLOW)
    hit, miss = (allow, refuse) if ok else (refuse, allow)
    body = [_op(_LOAD, argument)]
    for test in tests:
        code, _, _, k = struct.unpack("=HBBI", test)
        body += [_op(code, k, 0, 1), hit]
    return [_op(_EQUAL, number, 0, len(body) + 1), *body, miss]

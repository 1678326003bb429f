"""The system calls that a unit of systemd leaves to its process, applied without systemd: read from the unit's own
lines, resolved by systemd-analyze, loaded by libseccomp. For tests of units where systemd does not run.

A call that the unit does not leave ends the process (SIGSYS), also where the unit would answer EPERM: a call that fails
in silence would not be seen. Applied are SystemCallFilter, MemoryDenyWriteExecute, RestrictAddressFamilies and
RestrictNamespaces.
"""
import ctypes as C
import ctypes.util
import errno
import re
import shutil
import socket
import subprocess

ALLOW, KILL_PROCESS, ERRNO = 0x7fff0000, 0x80000000, 0x00050000
EQ, MASKED_EQ = 4, 7
WRITE, EXEC = 2, 4                                # PROT_
NAMESPACES = 0x7e020000                           # every CLONE_NEW* that clone takes


class Compare(C.Structure):
    _fields_ = [("arg", C.c_uint), ("op", C.c_int), ("a", C.c_uint64), ("b", C.c_uint64)]


def missing():
    """Why no filter can be made here, or None."""
    if shutil.which("systemd-analyze") is None:
        return "systemd-analyze is missing: what @system-service holds is not known"
    if ctypes.util.find_library("seccomp") is None:
        return "libseccomp is missing: no filter can be loaded"
    return None


def directives(unit):
    """{name: values in order} of the lines of a unit."""
    found = {}
    with open(unit) as f:
        for name, value in re.findall(r"^([A-Za-z]+)=(.*)$", f.read(), re.M):
            found.setdefault(name, []).append(value)
    return found


def group(name):
    """The names of the system calls of @GROUP, or of one call."""
    if not name.startswith("@"):
        return {name}
    out = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", name], stdout=subprocess.PIPE, text=True,
                         check=True).stdout
    words = [line.split("#")[0].strip() for line in out.splitlines()[1:]]
    return set().union(*(group(w) for w in words if w))


def allowed(unit):
    """The system calls that SystemCallFilter= leaves; @default is always among them."""
    calls = group("@default")
    for line in directives(unit)["SystemCallFilter"]:
        for word in line.lstrip("~").split():
            calls = calls - group(word) if line.startswith("~") else calls | group(word)
    return calls


def conditions(unit):
    """{call: alternatives, each a comparison} of calls that are left only with some arguments."""
    said, rules = directives(unit), {}
    if said.get("MemoryDenyWriteExecute") == ["yes"]:
        rules["mmap"] = [Compare(2, MASKED_EQ, WRITE | EXEC, p) for p in (0, WRITE, EXEC)]
        rules["mprotect"] = rules["pkey_mprotect"] = [Compare(2, MASKED_EQ, EXEC, 0)]
    if "RestrictAddressFamilies" in said:
        rules["socket"] = [Compare(0, EQ, getattr(socket, f), 0) for f in said["RestrictAddressFamilies"][-1].split()]
    if said.get("RestrictNamespaces") == ["yes"]:
        rules["clone"] = [Compare(0, MASKED_EQ, NAMESPACES, 0)]
    return rules


class Filter:
    def __init__(self, unit):
        self.lib = C.CDLL(ctypes.util.find_library("seccomp"))
        self.lib.seccomp_init.restype = C.c_void_p
        self.context = C.c_void_p(self.lib.seccomp_init(C.c_uint32(KILL_PROCESS)))
        rules = conditions(unit)
        if "clone" in rules:                      # as systemd does: glibc then uses clone, whose flags can be seen
            self.add("clone3", ERRNO | errno.ENOSYS)
        self.rules = sum(self.add(name, ALLOW, one) for name in sorted(allowed(unit) - {"clone3"})
                         for one in rules.get(name, [None]))

    def add(self, name, action, compare=None):
        """0 where this processor has no such call."""
        number = self.lib.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            return 0
        one = (Compare * 1)(*([compare] if compare else []))
        code = self.lib.seccomp_rule_add_array(self.context, C.c_uint32(action), number, int(compare is not None), one)
        if code != 0:
            raise OSError(-code, f"seccomp rule for {name}")
        return 1

    def load(self):
        """Into this process, for good: given to subprocess as preexec_fn. no_new_privs comes with it."""
        code = self.lib.seccomp_load(self.context)
        if code != 0:
            raise OSError(-code, "seccomp_load")

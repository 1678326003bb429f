#!/usr/bin/env python3
"""The packages of Debian: built, judged by lintian, installed on a fresh system, used there, upgraded, purged.

`make check-deb` runs it, as root and with the mirror of Debian in reach: it builds a system of its own in a folder.
"""
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from client_support import BUILD, ROOT

PACKAGES = ("momentscoped", "momentscope", "libmomentscope0", "libmomentscope-dev", "python3-momentscope")
TOOLS = ("mmdebstrap", "lintian", "dpkg-buildpackage", "dh", "dh_python3", "unshare", "scdoc")
# What apt and dpkg themselves keep, and what is made anew by whoever looks.
KEPT = re.compile(r"^(var/(lib/(apt|dpkg)|cache|log)|proc|dev|sys|tmp|run|root)(/|$)|^etc/ld.so.cache$|-$"
                  r"|/__pycache__(/|$)")
ACCOUNTS = ("passwd", "group", "shadow", "gshadow")
PYTHON = """
import momentscope, sys
client = momentscope.Client()
print(momentscope.Subscriber, client)
client.close()
"""


def reason():
    """Why this is not run here, or None."""
    if "MOMENTSCOPE_CHECK_DEB" not in os.environ:
        return "make check-deb runs it: minutes, and a mirror of Debian"
    if os.geteuid() != 0:
        return "not root: a system of its own cannot be made"
    gone = [t for t in TOOLS if shutil.which(t) is None]
    return "missing: " + ", ".join(gone) if gone else None


def run(*command, **options):
    r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                       **options)
    if r.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {r.returncode}\n{r.stdout[-6000:]}")
    return r.stdout


def build_packages():
    """The .deb of each package, by its name."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    run("make", f"BUILD={BUILD}", "deb", cwd=ROOT, env=inherited)
    return {os.path.basename(d).split("_")[0]: d for d in glob.glob(f"{BUILD}/deb/*.deb") if "dbgsym" not in d}


class System:
    """A fresh Debian in a folder, with a name space of its own for processes and mounts."""

    def __init__(self, root, release):
        self.root = root
        out = subprocess.run(["mmdebstrap", "-q", "--variant=apt", release, root], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
        if out.returncode != 0:
            said = out.stdout.strip().splitlines() or ["mmdebstrap failed"]
            raise unittest.SkipTest("no fresh system: " + said[-1])
        shutil.copy("/etc/resolv.conf", f"{root}/etc/resolv.conf")

    def run(self, script, user="root"):
        inside = f'mount -t proc proc "$0/proc" && exec chroot "$0" su -s /bin/sh {user} -c "$1"'
        known = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        return run("unshare", "-m", "-p", "-f", "--kill-child", "sh", "-ec", inside, self.root, script, env=known)

    def apt(self, what):
        return self.run("apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0 " + what)

    def there(self):
        """Every path, and the lines of accounts."""
        found = set()
        for folder, folders, files in os.walk(self.root):
            at = os.path.relpath(folder, self.root)
            found |= {os.path.normpath(os.path.join(at, name)) for name in folders + files}
        lines = {f"etc/{name}: {line.split(':')[0]}" for name in ACCOUNTS for line in self.read(f"etc/{name}")}
        return {p for p in found if not KEPT.search(p)} | lines

    def read(self, path):
        with open(f"{self.root}/{path}") as f:
            return f.read().splitlines()


@unittest.skipIf(reason(), reason())
class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.debs = build_packages()
        cls.at = tempfile.mkdtemp(prefix="momentscope-test-")
        cls.addClassCleanup(shutil.rmtree, cls.at, ignore_errors=True)

    def test_every_package_was_built(self):
        self.assertEqual(sorted(self.debs), sorted(PACKAGES))

    def test_lintian_finds_nothing(self):
        out = run("lintian", "--allow-root", "--fail-on", "error,warning", *glob.glob(f"{BUILD}/deb/*.changes"))
        self.assertEqual([line for line in out.splitlines() if line[:2] in ("E:", "W:")], [])

    def test_symbols_are_those_of_the_headers(self):
        run("dpkg-deb", "-e", self.debs["libmomentscope0"], f"{self.at}/control")
        with open(f"{self.at}/control/symbols") as f:
            names = set(re.findall(r"^ (mscope_\w+)@MOMENTSCOPE_0", f.read(), re.M))
        marked = set()
        for header in glob.glob(f"{ROOT}/include/mscope/*.h"):
            with open(header) as f:
                marked |= set(re.findall(r"^MSCOPE_API[^(\[]*?\b(mscope_\w+)\s*[(\[]", f.read(), re.M))
        self.assertGreater(len(marked), 90)
        self.assertEqual(names, marked)

    def upgraded(self, folder):
        """The same packages under a later version, in folder."""
        os.makedirs(folder)
        for name, path in self.debs.items():
            tree = f"{self.at}/repack-{name}"
            run("dpkg-deb", "-R", path, tree)
            with open(f"{tree}/DEBIAN/control") as f:
                old = re.search(r"^Version: (.*)$", f.read(), re.M)[1]
            run("sed", "-i", f"s/{re.escape(old)}/{old}+later/", f"{tree}/DEBIAN/control")
            run("dpkg-deb", "-b", "--root-owner-group", tree, f"{folder}/{name}.deb")

    def test_a_life_on_a_fresh_system(self):
        with open("/etc/os-release") as f:
            release = re.search(r"^VERSION_CODENAME=(\w+)", f.read(), re.M)[1]
        system = System(f"{self.at}/system", release)
        os.makedirs(f"{system.root}/debs/first")
        for name, path in self.debs.items():
            shutil.copy(path, f"{system.root}/debs/first/{name}.deb")
        self.upgraded(f"{system.root}/debs/later")
        system.apt("update")
        others = [name for name in re.findall(r"^Inst (\S+)", system.apt("install -s /debs/first/*.deb"), re.M)
                  if name not in PACKAGES]
        system.apt("install " + " ".join(others))
        before = system.there()

        system.apt("install /debs/first/*.deb")
        self.assertIn("etc/passwd: momentscope", system.there())
        self.assertNotIn("/etc/systemd/system/multi-user.target.wants/momentscoped.service", system.there())
        self.use(system)
        said = system.apt("install /debs/later/*.deb")
        self.assertIn("+later", system.run("dpkg-query -W " + " ".join(PACKAGES)), said)
        self.use(system)
        system.run("mkdir -p /var/lib/momentscope && echo state >/var/lib/momentscope/state")
        system.apt("purge " + " ".join(PACKAGES))
        after = system.there()
        self.assertEqual(sorted(after - before), [], "left behind")
        self.assertEqual(sorted(before - after), [], "taken along")

    def use(self, system):
        """Daemon, trainer and watch run from what was installed, as a user without rights."""
        seen = system.run("cd /tmp && DEMO_ARGS='--steps 400 --quiet' /usr/lib/momentscope/demo", user="momentscope")
        self.assertRegex(seen, r"table embedding: step 400\b")
        self.assertIn("what it means for table embedding:", seen)
        self.assertIn("momentscope._client.Client", system.run(f"python3 -c '{PYTHON}'", user="momentscope"))
        rated = system.run("systemd-analyze security --no-pager --offline=true momentscoped.service | tail -1")
        self.assertLessEqual(float(re.search(r"service: ([0-9.]+)", rated)[1]), 2.0)
        read = system.run("systemd-analyze verify --man=no momentscoped.service 2>&1")
        self.assertNotIn("momentscoped", read)


if __name__ == "__main__":
    unittest.main()

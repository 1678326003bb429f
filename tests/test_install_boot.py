#!/usr/bin/env python3
"""The units of systemd on a machine that boots: started, stopped, hung, killed, refused and purged by systemd itself.

`make check-boot` runs it, as root, with qemu and the mirror of Debian in reach. A system of its own gets the packages,
is written into an image, and boots with Debian's kernel. install/boot.sh asks the questions there.
"""
import os
import random
import re
import shutil
import subprocess
import tempfile
import unittest

from client_support import BUILD, ROOT
from test_install_debian import System, build_packages, run

TOOLS = ("mmdebstrap", "mke2fs", "qemu-system-x86_64", "dpkg-buildpackage", "dh", "dh_python3", "scdoc")
OTHERS = "systemd-sysv dbus libpam-systemd procps linux-image-cloud-amd64 initramfs-tools"
# seconds. Not with KVM: inside another virtual machine it may begin, and never come to the kernel
LONGEST = 3000
UNIT = """[Unit]
Description=Questions
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/boot-test.sh
ExecStopPost=systemctl poweroff --force --no-block
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
[Install]
WantedBy=multi-user.target
"""


def reason():
    """Why this is not run here, or None."""
    if "MOMENTSCOPE_CHECK_BOOT" not in os.environ:
        return "make check-boot runs it: many minutes, qemu, and a mirror of Debian"
    if os.geteuid() != 0:
        return "not root: a system of its own cannot be made"
    if os.uname().machine != "x86_64":
        return "this machine is no x86_64"
    gone = [t for t in TOOLS if shutil.which(t) is None]
    return "missing: " + ", ".join(gone) if gone else None


def text():
    """Prose enough for the demo's trainer: its words are as frequent as those of a language."""
    letters, draw = "abcdefghijklmnopqrst", random.Random(1)
    words = ["".join(letters[n // 20 ** k % 20] for k in range(4)) for n in range(8000)]
    return " ".join(draw.choices(words, [1 / (n + 3) for n in range(8000)], k=120000))


@unittest.skipIf(reason(), reason())
class Boot(unittest.TestCase):
    def system(self, at):
        with open("/etc/os-release") as f:
            system = System(f"{at}/system", re.search(r"^VERSION_CODENAME=(\w+)", f.read(), re.M)[1])
        os.makedirs(f"{system.root}/debs")
        for name, path in build_packages().items():
            shutil.copy(path, f"{system.root}/debs/{name}.deb")
        system.apt("update")
        system.apt(f"install {OTHERS} /debs/*.deb")
        for user in ("member", "outsider", "plain"):
            system.run(f"useradd -m -s /bin/sh {user}")
        system.run("usermod -aG momentscope member")
        with open(f"{system.root}/etc/default/momentscoped", "a") as f:
            f.write("MOMENTSCOPE_ALLOW_USERS=1\n")
        with open(f"{system.root}/etc/systemd/system/boot-test.service", "w") as f:
            f.write(UNIT)
        shutil.copy(f"{ROOT}/tests/install/boot.sh", f"{system.root}/boot-test.sh")
        os.chmod(f"{system.root}/boot-test.sh", 0o755)
        system.run("systemctl enable boot-test momentscoped; systemctl disable apt-daily.timer apt-daily-upgrade.timer")
        with open(f"{system.root}/boot-test.txt", "w") as f:
            f.write(text())
        return system

    def test_a_machine_that_boots(self):
        at = tempfile.mkdtemp(prefix="momentscope-boot-")
        self.addCleanup(shutil.rmtree, at, ignore_errors=True)
        root = self.system(at).root
        run("mke2fs", "-q", "-t", "ext4", "-d", root, f"{at}/disk", "3G")
        said = subprocess.run(
            ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024",
             "-nographic", "-no-reboot", "-nic", "none", "-kernel", f"{root}/vmlinuz", "-initrd", f"{root}/initrd.img",
             "-append", "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0",
             "-drive", f"file={at}/disk,format=raw,if=virtio,cache=unsafe"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            timeout=LONGEST).stdout.replace("\r", "")
        answers = re.findall(r"^(ok|not ok) (.*)$", said, re.M)
        for word, what in answers:
            print("note", word, what, flush=True)
        self.assertRegex(said, r"(?m)^end$", said[-4000:])
        self.assertEqual([what for word, what in answers if word != "ok"], [])
        self.assertGreater(len(answers), 50)


if __name__ == "__main__":
    unittest.main()

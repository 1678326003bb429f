#!/usr/bin/env python3
"""make install into a folder of its own: a client is compiled by pkg-config alone and talks to the installed daemon;
make uninstall takes every file away."""
import os
import shutil
import subprocess
import tempfile
import unittest

from client_support import BUILD, ROOT
from test_library import THEORY

SANITIZED = "MOMENTSCOPE_SANITIZED" in os.environ
CC = os.environ.get("CC", "cc")
CLIENT = r"""
#include <stdio.h>
#include <mscope/client.h>

int main(void)
{
    static float theta[8], m[8];
    const mscope_attach_info words = { .table = "words", .rows = 4, .dim = 2, .capacity = 4, .theta = theta, .m = m,
                                       .fresh = 1 };
    const mscope_step step = { .eta = 0.1, .eps = 0.1, .batch = 8 };
    const unsigned rows[1] = { 3 };
    const float grads[2] = { 1, 2 };
    mscope_subscriber *s;
    mscope_telemetry t;
    mscope_client *c;

    if (mscope_client_open(&c, NULL) != 0 || mscope_client_attach(c, &words) != 0 ||
        mscope_subscribe(&s, NULL, NULL, "table/words") != 0)
        return 1;
    if (mscope_client_push(c, 0, &step, rows, grads, MSCOPE_F32, NULL, 1) != 0 || mscope_client_flush(c, 20000) != 0)
        return 2;
    do {
        if (mscope_subscriber_next(s, &t, 20000) != 0)
            return 3;
    } while (t.record.u.table.step != 1);
    printf("%s %s\n", t.topic, mscope_version());
    mscope_client_close(c, 1000);
    mscope_subscriber_close(s);
    return 0;
}
"""
CORE = r"""
#include <stdio.h>
#include <mscope/core.h>

static _Alignas(64) unsigned char room[1 << 24];

int main(void)
{
    const mscope_table_config cfg = { .rows = 4, .dim = 2, .capacity = 4, .history = 16, .form = MSCOPE_FORM_TORCH };
    const mscope_step step = { .eta = 0.5, .eps = 0.1, .batch = 1 };
    const unsigned rows[1] = { 3 };
    const float grads[2] = { 1, 2 };
    mscope_table *t;

    if (mscope_table_init(&t, &cfg, room, sizeof room) != 0 || mscope_table_step_begin(t, &step) != 0 ||
        mscope_table_apply(t, rows, grads, NULL, 1) != 0 || mscope_table_step_end(t) != 0)
        return 1;
    printf("theta %g\n", (double)((float *)mscope_table_theta(t))[7]);
    return 0;
}
"""


def run(*command, **env):
    known = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MOMENTSCOPE_LIB")}
    r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**known, **env})
    if r.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {r.returncode}\n{r.stdout}{r.stderr}")
    return r.stdout


def files(at):
    return sorted(os.path.relpath(os.path.join(folder, f), at) for folder, _, some in os.walk(at) for f in some)


@unittest.skipIf(SANITIZED, "an instrumented library is not one to install")
class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="momentscope-test-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.dest = f"{cls.dir}/dest"
        cls.make("install", "PREFIX=/usr")
        cls.found = {"PKG_CONFIG_PATH": f"{cls.dest}/usr/lib/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": cls.dest}

    @classmethod
    def make(cls, *what):
        run("make", f"BUILD={BUILD}", f"DESTDIR={cls.dest}", *what)

    def pkg_config(self, *what):
        """-L and -I below DESTDIR; what belongs to the system stays where it is."""
        words = run("pkg-config", *what, **self.found).split()
        return [w if not w.startswith((f"-L{self.dest}", f"-I{self.dest}")) or os.path.isdir(w[2:])
                else w.replace(self.dest, "") for w in words]

    def compile(self, source, *package):
        with open(f"{self.dir}/mine.c", "w") as f:
            f.write(source)
        run(CC, "-Wall", "-Wextra", "-Werror", f"{self.dir}/mine.c", "-o", f"{self.dir}/mine",
            *self.pkg_config("--cflags", "--libs", *package))
        return f"{self.dir}/mine"

    def test_what_is_there(self):
        there = files(f"{self.dest}/usr")
        for name in ("bin/momentscope", "bin/momentscoped", "lib/libmomentscope.so", "lib/libmomentscope.so.0",
                     "lib/libmscope_core.a", "lib/libmscope_theory.a", "include/mscope/metrics.def"):
            self.assertIn(name, there)
        headers = {os.path.basename(p) for p in there if p.startswith("include/")}
        self.assertEqual(headers, set(os.listdir(f"{ROOT}/include/mscope")))
        for name in (p for p in there if p.endswith(".pc")):
            with open(f"{self.dest}/usr/{name}") as f:
                self.assertNotIn(self.dest, f.read(), name)

    def test_a_client_meets_the_installed_daemon(self):
        mine = self.compile(CLIENT, "momentscope")
        env = dict(os.environ, XDG_RUNTIME_DIR=f"{self.dir}/run", LD_LIBRARY_PATH=f"{self.dest}/usr/lib")
        os.mkdir(f"{self.dir}/run", 0o700)
        for name in [n for n in env if n.startswith("MOMENTSCOPE_")]:
            del env[name]
        with open(f"{self.dir}/log", "w") as log:
            daemon = subprocess.Popen([f"{self.dest}/usr/bin/momentscoped", "--interval", "0.05"], env=env, stderr=log,
                                      stdout=log)
        try:
            r = subprocess.run([mine], env=env, stdout=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(r.returncode, 0)
            self.assertRegex(r.stdout, r"^table/words \d+\.\d+\.\d+\n$")
            seen = subprocess.run([f"{self.dest}/usr/bin/momentscope", "watch", "--once"], env=env, text=True, timeout=60,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertIn("words", seen.stdout)
        finally:
            daemon.terminate()
            daemon.wait()

    def test_the_core_alone(self):
        self.assertEqual(run(self.compile(CORE, "momentscope-core")), "theta -1\n")

    def test_the_theory_brings_gsl(self):
        self.assertRegex(run(self.compile(THEORY, "momentscope-theory")), r"^eta_max [0-9.]+\n$")

    def test_static_links_name_what_the_archive_needs(self):
        words = run("pkg-config", "--static", "--libs", "momentscope", **self.found).split()
        for word in ("-lmomentscope", "-lzmq", "-pthread"):
            self.assertIn(word, words)

    def test_uninstall_leaves_nothing_of_ours_and_everything_else(self):
        other = f"{self.dir}/other"
        place = [f"DESTDIR={other}", "PREFIX=/opt/ms", "LIBDIR=/opt/ms/lib64"]
        run("make", f"BUILD={BUILD}", "install", *place)
        self.assertIn("opt/ms/lib64/libmomentscope.so.0", files(other))
        with open(f"{other}/opt/ms/bin/somebody-else", "w"):
            pass
        run("make", f"BUILD={BUILD}", "uninstall", *place)
        self.assertEqual(files(other), ["opt/ms/bin/somebody-else"])
        self.assertFalse(os.path.exists(f"{other}/opt/ms/include/mscope"))


if __name__ == "__main__":
    unittest.main()

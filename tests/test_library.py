#!/usr/bin/env python3
"""The libraries as others see them: what they export, how programs link them, structs that Python declares again; and
no name defined twice in the tree."""
import collections
import ctypes
import glob
import os
import re
import subprocess
import tempfile
import unittest

from client_support import BUILD, ROOT
from momentscope import _core, _lib, plan
import core_support
import probe_support

SANITIZED = "MOMENTSCOPE_SANITIZED" in os.environ
PUBLIC = ("core", "client", "probe", "rates", "read", "wire", "workers", "err")


def run(*command, **options):
    r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, **options)
    if r.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {r.returncode}\n{r.stdout}")
    return r.stdout


def without_comments(path):
    with open(path) as f:
        return re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)


def declared(name):
    """Functions and variables that a public header declares."""
    text = without_comments(f"{ROOT}/include/mscope/{name}.h")
    text = re.sub(r"^[ \t]*#.*(?:\\\n.*)*$", "", text, flags=re.M)
    text = re.sub(r"\{[^{}]*\}", "", re.sub(r"\{[^{}]*\}", "", re.sub(r'extern "C" \{', "", text)))
    statements = [s.strip() for s in text.split(";")]
    names = [re.search(r"\b(mscope_\w+)\s*[(\[]", s) for s in statements if not s.startswith("typedef")]
    return {m[1] for m in names if m}


def exported(path):
    lines = [line.split() for line in run("nm", "-D", "--defined-only", path).splitlines()]
    return {name.split("@")[0] for _, kind, name in lines if kind != "A"}     # A: the name of the version itself


class Exports(unittest.TestCase):
    def test_the_shared_library_exports_the_headers_and_nothing_else(self):
        wanted = set().union(*(declared(name) for name in PUBLIC))
        self.assertGreater(len(wanted), 70)
        got = exported(f"{BUILD}/libmomentscope.so")
        self.assertEqual(sorted(got - wanted), [], "exported, and in no public header: hide them or declare them")
        self.assertEqual(sorted(wanted - got), [], "declared and not exported: MSCOPE_API or the definition is missing")

    def test_every_exported_name_has_a_version(self):
        names = [line.split()[-1] for line in run("nm", "-D", "--defined-only", f"{BUILD}/libmomentscope.so").splitlines()]
        self.assertEqual([n for n in names if "@@MOMENTSCOPE_0" not in n and n != "MOMENTSCOPE_0"], [])

    def test_soname_and_links(self):
        self.assertIn("libmomentscope.so.0\n", run("objdump", "-p", f"{BUILD}/libmomentscope.so") + "\n")
        for link in ("libmomentscope.so", "libmomentscope.so.0"):
            self.assertTrue(os.path.islink(f"{BUILD}/{link}"), link)
        self.assertRegex(os.path.realpath(f"{BUILD}/libmomentscope.so"), r"libmomentscope\.so\.0\.\d+\.\d+$")

    def test_the_theory_archive_holds_the_theory_alone(self):
        archive = f"{BUILD}/libmscope_theory.a"
        files = [os.path.basename(p)[:-2] + ".o" for p in glob.glob(f"{ROOT}/host/theory/*.c")]
        self.assertEqual(sorted(run("ar", "t", archive).split()), sorted(files))
        symbols = [line.split() for line in run("nm", "-g", "--defined-only", archive).splitlines()]
        defined = {s[-1] for s in symbols if len(s) == 3}
        self.assertEqual(sorted(declared("theory") - defined), [])


CLIENT = r"""
#include <stdio.h>
#include "mscope/client.h"
int main(void)
{
    const mscope_client_options opt = { .endpoint = "ipc:///tmp/momentscope-test-library", .quiet = 1 };
    const mscope_attach_info words = { .table = "words", .rows = 4, .dim = 2, .capacity = 4 };
    const mscope_step step = { .eta = 0.1, .eps = 0.1, .batch = 8 };
    const unsigned rows[1] = { 3 };
    const float grads[2] = { 1, 2 };
    mscope_client *c;
    if (mscope_client_open(&c, &opt) != 0 || mscope_client_attach(c, &words) != 0)
        return 1;
    int rc = mscope_client_push(c, 0, &step, rows, grads, MSCOPE_F32, NULL, 1);
    mscope_client_close(c, 0);
    printf("pushed %d\n", rc);
    return 0;
}
"""
THEORY = r"""
#include <stdio.h>
#include "mscope/theory.h"
int main(void)
{
    const mscope_ls ls = { .d = 4, .p = 0.01, .batch = 32, .eps = 0.02, .eta = 0.5 };
    const mscope_lr lr = { .d = 4, .p = 0.1, .batch = 8, .eps = 0.1, .eta = 0.01, .r = 1 };
    double x[5] = { 0, 0, 1, 0, 0 }, eta_max;
    mscope_row row;
    if (mscope_row_from_ls(&ls, &row) != 0 || mscope_row_eta_max(&row, &eta_max) != 0)
        return 1;
    if (mscope_lr_flow(&lr, MSCOPE_LR_EXACT, 10, x) != 0)
        return 2;
    printf("eta_max %.3f\n", eta_max);
    return 0;
}
"""


@unittest.skipIf(SANITIZED, "an instrumented archive wants the sanitizer's own link options")
class Linking(unittest.TestCase):
    def build(self, source, *options):
        with tempfile.TemporaryDirectory() as at:
            with open(f"{at}/mine.c", "w") as f:
                f.write(source)
            run(os.environ.get("CC", "cc"), "-Wall", "-Wextra", "-Werror", "-Iinclude", f"{at}/mine.c", *options,
                "-o", f"{at}/mine")
            return run(f"{at}/mine")

    def test_a_client_links_the_archive(self):
        self.assertEqual(self.build(CLIENT, f"{BUILD}/libmomentscope.a", "-lzmq", "-lm", "-lpthread"), "pushed 0\n")

    def test_a_client_links_the_shared_library(self):
        self.assertEqual(self.build(CLIENT, f"-L{BUILD}", f"-Wl,-rpath,{BUILD}", "-lmomentscope"), "pushed 0\n")

    def test_a_user_of_the_theory_links_it_and_gsl(self):
        said = self.build(THEORY, f"-L{BUILD}", "-lmscope_theory", "-lgsl", "-lgslcblas", "-lm")
        self.assertRegex(said, r"^eta_max [0-9.]+\n$")


class Structs(unittest.TestCase):
    MIRRORS = [("_lib.py", name, mirror) for name, mirror in _lib.STRUCTS.items()] + \
              [("_core.py", name, mirror) for name, mirror in _core.STRUCTS.items()] + \
              [("plan.py", name, mirror) for name, mirror in plan.STRUCTS.items()] + \
              [("core_support.py", name, mirror) for name, mirror in core_support.STRUCTS.items()] + \
              [("probe_support.py", name, mirror) for name, mirror in probe_support.STRUCTS.items()]

    def fields_in_c(self):
        """{struct: (size, {field: (offset, size)})} for every field that the headers know, by the compiler."""
        prints = []
        for name in sorted({name for _, name, _ in self.MIRRORS}):
            header = "".join(without_comments(f"{ROOT}/include/mscope/{h}.h") for h in PUBLIC)
            body = re.search(r"typedef struct %s \{(.*?)\n\} %s;" % (name, name), header, re.S)[1]
            body = re.sub(r"\(\*(\w+)\)\([^)]*\)", r"\1", body)
            fields = [re.search(r"(\w+)\s*(?:\[[^\]]*\])?\s*$", part)[1]
                      for statement in body.split(";") if statement.strip() for part in statement.split(",")]
            prints.append(f'printf("{name} sizeof 0 %zu\\n", sizeof({name}));')
            prints += [f'printf("{name} {f} %zu %zu\\n", offsetof({name}, {f}), sizeof((({name} *)0)->{f}));'
                       for f in fields]
        with tempfile.TemporaryDirectory() as at:
            with open(f"{at}/sizes.c", "w") as f:
                f.write("#include <stddef.h>\n#include <stdio.h>\n" + "".join(f'#include "mscope/{h}.h"\n' for h in PUBLIC) +
                        "int main(void)\n{\n" + "\n".join(prints) + "\nreturn 0;\n}\n")
            run(os.environ.get("CC", "cc"), "-Iinclude", f"{at}/sizes.c", "-o", f"{at}/sizes")
            out = collections.defaultdict(dict)
            for line in run(f"{at}/sizes").splitlines():
                name, field, offset, size = line.split()
                out[name][field] = (int(offset), int(size))
        return out

    def test_every_field_has_its_place_on_both_sides(self):
        there = self.fields_in_c()
        for where, name, mirror in self.MIRRORS:
            here = {"sizeof": (0, ctypes.sizeof(mirror))}
            here.update((f[0], (getattr(mirror, f[0]).offset, getattr(mirror, f[0]).size)) for f in mirror._fields_)
            self.assertEqual(here, there[name], f"{name}: the struct in {where}, then the one in C")

    def test_a_library_of_another_version_is_refused(self):
        class Other:
            @staticmethod
            def mscope_struct_size(_name):
                return 8
        with self.assertRaises(ImportError) as refusal:
            _lib.compare_sizes(Other, "/somewhere/libmomentscope.so")
        self.assertIn("/somewhere/libmomentscope.so is of another version", str(refusal.exception))
        with self.assertRaises(ImportError):
            _lib.compare_sizes(object(), "a library from before")

    def test_every_mirror_can_be_asked_for(self):
        size = _lib.lib().mscope_struct_size
        for _, name, mirror in self.MIRRORS:
            self.assertEqual(size(name.encode()), ctypes.sizeof(mirror), name)
        self.assertEqual(size(b"mscope_nothing"), 0)


class Names(unittest.TestCase):
    """One name, one thing. Files of tests are programs of their own and may replace a function."""

    def test_no_function_is_defined_twice(self):
        where, objects = collections.defaultdict(set), []
        for path in glob.glob(f"{BUILD}/obj/**/*.o", recursive=True):
            source = os.path.relpath(path, f"{BUILD}/obj")[:-2] + ".c"
            if not source.startswith("tests/") and os.path.exists(f"{ROOT}/{source}"):
                objects.append(path)
        for line in run("nm", "-A", "-g", "--defined-only", *objects).splitlines():
            kind, name = line.split()[-2:]
            if kind in "TDBRC" and name != "main":
                where[name].add(os.path.relpath(line.split(":")[0], f"{BUILD}/obj")[:-2] + ".c")
        self.assertGreater(len(where), 300)
        self.assertEqual({name: sorted(at) for name, at in where.items() if len(at) > 1}, {})

    def test_no_type_is_defined_in_two_headers(self):
        where = collections.defaultdict(set)
        rooms = ("firmware", "protocol", "host", "include", "tests")
        for path in (p for room in rooms for p in glob.glob(f"{ROOT}/{room}/**/*.h", recursive=True)):
            opaque = r"^typedef struct (\w+) \1;"
            text = re.sub(opaque, "", without_comments(path), flags=re.M)
            for pattern in (r"^(?:typedef )?(?:struct|enum|union) (\w+)\s*\{", r"^\} (\w+);", r"^typedef [^{};]*\(\*(\w+)\)",
                            r"^typedef [^{};()]*\b(\w+)(?:\[\w+\])?;"):
                for name in re.findall(pattern, text, re.M):
                    where[name].add(os.path.relpath(path, ROOT))
        self.assertGreater(len(where), 100)
        self.assertEqual({name: sorted(at) for name, at in where.items() if len(at) > 1}, {})


if __name__ == "__main__":
    unittest.main()

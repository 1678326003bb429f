#!/usr/bin/env python3
"""Manual pages and completions say what --help says, of every command; man and the shells read them without a word."""
import glob
import os
import re
import shutil
import subprocess
import unittest

from client_support import BUILD, ROOT

SANITIZED = "MOMENTSCOPE_SANITIZED" in os.environ
PLAIN = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}


def run(*command, **env):
    r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
                       env={**PLAIN, **env})
    if r.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {r.returncode}\n{r.stdout}{r.stderr}")
    return r


def commands(*words):
    """Every command that can be called, found by reading --help as a person would."""
    yield words
    text = run(f"{BUILD}/{words[0]}", *words[1:], "--help").stdout
    if re.match(r"usage: [\w ]+ (COMMAND|VERB) ", text):
        for name in re.findall(r"^  ([a-z]\S*) {2,}", text, re.M):
            yield from commands(*words, name)


@unittest.skipIf(SANITIZED, "pages are made by programs without instruments")
class Made(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        run("make", f"BUILD={BUILD}", "man", "completion")
        cls.all = [*commands("momentscope"), *commands("momentscoped")]
        cls.help = {c: run(f"{BUILD}/{c[0]}", *c[1:], "--help").stdout for c in cls.all}

    def test_the_commands_are_found(self):
        for words in (("momentscope", "watch"), ("momentscope", "bench", "run"), ("momentscoped",)):
            self.assertIn(words, self.all)
        self.assertGreater(len(self.all), 12)


class Pages(Made):
    @classmethod
    def setUpClass(cls):
        if shutil.which("scdoc") is None:
            raise unittest.SkipTest("scdoc is missing: no manual pages were made")
        super().setUpClass()

    def page(self, words):
        return f"{BUILD}/man/{'-'.join(words)}.{8 if words[0] == 'momentscoped' else 1}"

    def text(self, path):
        r = run("man", "--warnings", "-E", "UTF-8", "-l", path, MANWIDTH="100", LC_ALL="C.UTF-8", MANPAGER="cat",
                MANROFFOPT="-ww")
        self.assertEqual(r.stderr, "", path)
        return re.sub(r".\x08", "", r.stdout).replace("\u2010\n", "").replace("\u2010", "-")

    @unittest.skipUnless(shutil.which("man"), "man is missing")
    def test_every_page_is_rendered_without_a_warning(self):
        pages = [p for p in glob.glob(f"{BUILD}/man/*.[1-8]")]
        self.assertGreaterEqual(len(pages), len(self.all))
        for path in pages:
            for heading in ("NAME", "DESCRIPTION", "SEE ALSO"):
                self.assertRegex(self.text(path), rf"(?m)^{heading}$", path)

    @unittest.skipUnless(shutil.which("man"), "man is missing")
    def test_every_option_and_exit_code_of_help_is_in_the_page(self):
        for words in self.all:
            text = self.text(self.page(words))
            options = set(re.findall(r"(?<!\S)--[a-zA-Z][\w-]*", self.help[words]))
            self.assertIn("--help", options)
            for option in options:
                self.assertRegex(text, rf"{option}(?![\w-])", f"{words}: {option}")
            codes = re.findall(r"^  (\d) +\S", self.help[words], re.M)
            self.assertIn("0", codes, words)
            for code in codes:
                self.assertRegex(text, rf"(?m)^ +{code}$", f"{words}: exit {code}")

    def test_pages_point_only_at_pages(self):
        there = {os.path.basename(p) for p in glob.glob(f"{BUILD}/man/*.[1-8]")}
        for path in glob.glob(f"{BUILD}/man/*.scd"):
            with open(path, encoding="utf-8") as f:
                for name, number in re.findall(r"\*?(momentscope[\w-]*)\*?\((\d)\)", f.read()):
                    self.assertIn(f"{name}.{number}", there, path)


class Completions(Made):
    def bash(self, *words):
        script = ('. "$1"; shift; compopt() { :; }; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); "_$1"; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        return run("bash", "-uc", script, "-", f"{BUILD}/completion/bash/{words[0]}", *words).stdout.split()

    def test_bash_completes_every_command_and_option(self):
        for words in self.all:
            below = [c[len(words)] for c in self.all if len(c) == len(words) + 1 and c[:-1] == words]
            self.assertEqual(set(below) - set(self.bash(*words, "")), set(), words)
            listed = {o for o in re.findall(r"^  (--[a-zA-Z][\w-]*)", self.help[words], re.M)}
            self.assertEqual(listed - set(self.bash(*words, "--")), set(), words)

    def test_bash_completes_values(self):
        self.assertEqual(self.bash("momentscoped", "--log-level", "w"), ["warn"])
        self.assertEqual(self.bash("momentscope", "watch", "--plot", "READ"), ["README.md"])
        self.assertEqual(self.bash("momentscoped", "--map-dir", "firm"), ["firmware"])
        self.assertEqual(self.bash("momentscope", "play", "READ"), ["README.md"])
        self.assertEqual(self.bash("momentscope", "watch", "--wait", ""), [])

    @unittest.skipUnless(shutil.which("zsh"), "zsh is missing")
    def test_zsh_reads_them(self):
        for path in glob.glob(f"{BUILD}/completion/zsh/_*"):
            self.assertEqual(run("zsh", "-fn", path).stderr, "")

    @unittest.skipUnless(shutil.which("fish"), "fish is missing")
    def test_fish_completes_every_command_and_option(self):
        for words in self.all:
            def fish(text):
                ask = f"source {BUILD}/completion/fish/{words[0]}.fish; complete -C '{text}'"
                return {line.split("\t")[0] for line in run("fish", "-N", "-c", ask, HOME=BUILD).stdout.splitlines()}
            listed = {o for o in re.findall(r"^  (--[a-zA-Z][\w-]*)", self.help[words], re.M)}
            self.assertEqual(listed - fish(" ".join(words) + " --"), set(), words)


del Made

if __name__ == "__main__":
    unittest.main()

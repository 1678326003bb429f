"""Lines of C sources, C headers and Markdown prose have at most 120 columns."""
import os, subprocess, unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
COLUMNS = 120


def tracked(*patterns):
    """Files in git; [] in a tree without git, such as an unpacked archive."""
    r = subprocess.run(["git", "-C", ROOT, "ls-files", "--", *patterns], stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL, text=True)
    return [p for p in r.stdout.splitlines() if os.path.exists(os.path.join(ROOT, p))]


def prose(lines):
    """(number, line) of Markdown outside tables, fenced code and indented code. An indented line after an item of a
    list is prose as well, but telling the two apart needs a parser: it counts as code from four spaces on."""
    fenced = False
    for number, line in lines:
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    ") and not line.lstrip().startswith("|"):
            yield number, line


def too_long(lines):
    return [number for number, line in lines if len(line) > COLUMNS]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return list(enumerate(f.read().split("\n"), 1))


class Style(unittest.TestCase):
    def sweep(self, what, *patterns):
        paths = tracked(*patterns)
        if not paths:
            self.skipTest("no git tree here: the files of the project are not known")
        long = [f"{p}:{n}" for p in paths for n in too_long(what(read(p)))]
        self.assertEqual(long, [], f"lines over {COLUMNS} columns")

    def test_c_lines_fit(self):
        self.sweep(lambda lines: lines, "*.c", "*.h", "*.inc")

    def test_markdown_prose_fits(self):
        self.sweep(prose, "*.md")

    def test_long_lines_are_found(self):
        x = "x" * (COLUMNS + 1)
        text = list(enumerate([x, x[1:], "| " + x, "```sh", x, "```", "    " + x, "- " + x], 1))
        self.assertEqual(too_long(text), [1, 3, 5, 7, 8])
        self.assertEqual(too_long(prose(text)), [1, 8])


if __name__ == "__main__":
    unittest.main()

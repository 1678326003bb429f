"""Every reader of lines refuses one without an end: in words, with its number, in little memory, changing nothing."""
import os, resource, subprocess, sys, tempfile, unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "e2e"))
import raw

PROGRAM = os.path.join(raw.BUILD, "momentscope")
MEMORY = 1 << 30             # of addresses; the longest line has 16 MB


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


class Lines(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def refused(self, *arguments, said, stdin=None):
        with open(stdin or os.devnull, "rb") as f:
            r = subprocess.run([PROGRAM, *arguments], stdin=f, capture_output=True, text=True, timeout=120,
                               preexec_fn=limited, check=False)
        self.assertEqual(r.returncode, 1, r.stderr)
        self.assertIn(said, r.stderr)
        self.assertIn("the line has more than 16 MB", r.stderr)

    def test_a_line_without_an_end_is_refused(self):
        page = f"{self.folder}/x.html"
        self.refused("report", "/dev/zero", "-o", page, said="line 1")
        self.assertFalse(os.path.exists(page))
        self.refused("advise", "--jsonl", stdin="/dev/zero", said="line 1")
        self.refused("predict", "--jsonl", stdin="/dev/zero", said="line 1")
        self.refused("bench", "compare", "/dev/zero", said="cannot read /dev/zero")

    def test_its_number_is_told(self):
        path = f"{self.folder}/lines"
        with open(path, "wb") as f:
            f.write(b"\n\n" + b" " * ((16 << 20) + 1))
        self.refused("report", path, "-o", f"{self.folder}/x.html", said="line 3")
        self.refused("advise", "--jsonl", stdin=path, said="line 3")
        self.refused("predict", "--jsonl", stdin=path, said="line 3")

    def test_the_longest_line_is_read(self):
        path = f"{self.folder}/lines"
        with open(path, "wb") as f:
            f.write(b" " * ((16 << 20) - 1) + b"\n")
        with open(path, "rb") as f:
            r = subprocess.run([PROGRAM, "predict", "--jsonl"], stdin=f, capture_output=True, text=True, timeout=120,
                               check=False)
        self.assertEqual((r.returncode, r.stdout, r.stderr), (0, "", ""))


if __name__ == "__main__":
    unittest.main()

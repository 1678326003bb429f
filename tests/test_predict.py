"""`momentscope predict --jsonl` against the golden vectors, and against bad input.

Comparison rule: |got - x| <= rtol * s + atol, s = scale of the field if it has one, else |x|.
null in a vector is "not decided" and is not compared; complex roots are compared as a set.
"""
import glob
import itertools
import json
import os
import resource
import shutil
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(os.environ.get("BUILD", os.path.join(HERE, "..", "build")), "momentscope")
ROOTS = ("eigenvalues", "mu_roots")


def predict(lines):
    """answers and exit code for a list of objects or raw strings"""
    text = "".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines)
    run = subprocess.run([PROGRAM, "predict", "--jsonl"], input=text, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, timeout=600)
    return [json.loads(line) for line in run.stdout.splitlines()], run.returncode


def cases(kind):
    with open(os.path.join(HERE, "vectors", kind + ".json")) as f:
        return json.load(f)["cases"]


def request(kind, case, grid=True):
    asked = {"kind": kind, "in": dict(case["in"])}
    if "op" in case:
        asked["op"] = case["op"]
    out = case["out"]
    if grid and kind == "ls_clocks":
        asked["in"]["counts"] = [row["count"] for row in out["rows"]]
    if grid and kind == "lr_ode":
        asked["in"]["times"] = [row[0] for row in out["exact"]]
    return asked


class Comparison:
    """walks a reference beside an answer; worst is the largest error over its tolerance"""

    def __init__(self, case):
        self.rtol, self.atol = case["rtol"], case.get("atol", 0)
        self.scale = case.get("scale", {})
        self.worst, self.where, self.failures = 0.0, "", []

    def number(self, where, ref, got, scale):
        if isinstance(got, bool) or not isinstance(got, (int, float)):
            return self.failures.append(f"{where}: {got!r} for {ref!r}")
        allowed = self.rtol * (abs(ref) if scale is None else scale) + self.atol
        error = abs(got - ref)
        ratio = error / allowed if allowed > 0 else (0.0 if error == 0 else float("inf"))
        if ratio > self.worst:
            self.worst, self.where = ratio, where
        if ratio > 1:
            self.failures.append(f"{where}: {got!r} for {ref!r}, error/allowed {ratio:.3g}")

    def roots(self, where, ref, got, scale):
        def cost(order):
            return max(abs(complex(*got[j]) - complex(*ref[i])) / (scale[i] or 1)
                       for i, j in enumerate(order))
        if len(got) != len(ref):
            return self.failures.append(f"{where}: {len(got)} roots")
        best = min(itertools.permutations(range(len(ref))), key=cost)
        for i, j in enumerate(best):
            error = abs(complex(*got[j]) - complex(*ref[i]))
            self.number(f"{where}[{i}]", 0.0, error, scale[i])

    def walk(self, where, ref, got, scale):
        name = where.rsplit(".", 1)[-1]
        if ref is None:
            return
        if isinstance(ref, dict):
            for key, value in ref.items():
                if key.endswith("_scale"):
                    continue
                inner = ref.get(key + "_scale", self.scale.get(key))
                if key == "c1c2_minus_c3":
                    inner = ref.get("c1c2_scale", inner)
                if key in ("exact", "sparse", "map"):
                    inner = self.scale.get("state", inner)
                if not isinstance(got, dict) or key not in got:
                    self.failures.append(f"{where}.{key}: missing")
                else:
                    self.walk(f"{where}.{key}", value, got[key], inner)
        elif name in ROOTS:
            self.roots(where, ref, got, scale or [abs(complex(*z)) for z in ref])
        elif isinstance(ref, list):
            if not isinstance(got, list) or len(got) != len(ref):
                return self.failures.append(f"{where}: shape")
            for i, value in enumerate(ref):
                if isinstance(value, list) and isinstance(scale, list):
                    inner = scale           # one trajectory row: the time has no scale
                elif isinstance(scale, list):
                    shift = len(ref) - len(scale)
                    inner = scale[i - shift] if i >= shift else None
                else:
                    inner = scale
                self.walk(f"{where}[{i}]", value, got[i], inner)
        elif isinstance(ref, (bool, str)):
            if got != ref:
                self.failures.append(f"{where}: {got!r} for {ref!r}")
        else:
            self.number(where, ref, got, scale)


class Vectors(unittest.TestCase):
    def check(self, kind, grid=True, only=lambda case: True):
        wanted = [c for c in cases(kind) if only(c)]
        answers, code = predict([request(kind, c, grid) for c in wanted])
        self.assertEqual(len(answers), len(wanted))
        worst, where = 0.0, ""
        failures = []
        for case, answer in zip(wanted, answers):
            self.assertEqual(answer.get("kind"), kind, f"{case['id']}: {answer}")
            walk = Comparison(case)
            walk.walk("out", case["out"], answer["out"], None)
            failures += [f"{case['id']} {f}" for f in walk.failures]
            if walk.worst > worst:
                worst, where = walk.worst, f"{case['id']} {walk.where}"
        self.assertEqual(failures, [])
        self.assertEqual(code, 0)
        if grid:
            print(f"note {kind}: {len(wanted)} cases, worst error {worst:.3g} of allowed at {where}")

    def test_ls_matrix(self):
        self.check("ls_matrix")

    def test_ls_stability(self):
        self.check("ls_stability")

    def test_ls_clocks(self):
        self.check("ls_clocks")

    def test_ls_regimes(self):
        self.check("ls_regimes")

    def test_ls_limit(self):
        self.check("ls_limit")

    def test_lr_coeffs(self):
        self.check("lr_coeffs")

    def test_lr_ode(self):
        self.check("lr_ode")

    def test_lr_floors(self):
        self.check("lr_floors")

    def test_every_file_is_covered(self):
        kinds = {os.path.basename(p)[:-5] for p in glob.glob(os.path.join(HERE, "vectors", "*.json"))}
        tested = {name[5:] for name in dir(self) if name.startswith("test_l")}
        self.assertEqual(kinds, tested)

    def test_grid_is_derived_when_not_given(self):
        # the regime walk-through uses the derived grid; the hand-picked cases bring their own
        self.check("ls_clocks", grid=False, only=lambda c: c["id"] <= "C012")
        self.check("lr_ode", grid=False, only=lambda c: c["id"] in ("O002", "O003", "O005", "O006"))


GOOD = {"d": 64, "p": 0.1, "B": 16, "beta": 0.9, "eps": 0.1, "eta": 0.1}


class Bounded(unittest.TestCase):
    """Whatever is allowed is answered or refused within 5e7 terms: some seconds of processor time."""
    LR = {"d": 64, "p": 0.0625, "B": 776, "eps": 0.0078125, "eta": 0.0375, "r": 0.5, "x0": [0.3, 0, 0.3, 0, 0]}

    def ask(self, kind, seconds, **inputs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        r = subprocess.run([PROGRAM, "predict", "--jsonl"], input=json.dumps({"kind": kind, "in": inputs}) + "\n",
                           capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertLess(after.ru_utime - before.ru_utime, seconds, inputs)
        return json.loads(r.stdout)

    def test_a_solution_that_explodes_is_refused_at_once(self):
        for eta in (1e3, 5e4, 1e8, 1e300):
            self.assertEqual(self.ask("lr_ode", 2, **{**self.LR, "eta": eta})["error"]["field"], "x0")

    def test_extreme_values_that_are_allowed(self):
        took = self.ask("lr_ode", 10, **self.LR, times=[10**6] * 100)
        self.assertIn("too long", took["error"]["message"])
        self.ask("lr_ode", 10, **{**self.LR, "eta": 0, "r": 40, "x0": [0, -15, 0, 1e-4, 0.5]}, times=[10**6])
        self.ask("lr_ode", 10, **{**self.LR, "x0": [99, 1, 1e3, 0, 0]}, times=list(range(10000)))
        self.assertIsNone(self.ask("lr_coeffs", 10, **{**self.LR, "r": 20, "s": 0, "R": 400})["out"]["KL_pop"])
        self.ask("lr_coeffs", 1, **{**self.LR, "s": 99, "R": 1e4})
        self.ask("lr_floors", 5, op="fixed_point", **{**self.LR, "eta": 1e6, "r": 50})


class BadInput(unittest.TestCase):
    def refused(self, line, field):
        answers, code = predict([line])
        self.assertEqual(code, 1)
        self.assertEqual(len(answers), 1)
        error = answers[0]["error"]
        self.assertEqual(set(error), {"field", "value", "range", "message"})
        self.assertEqual(error["field"], field, error)
        return error

    def test_value_out_of_range_names_field_value_range(self):
        for field, value in (("p", 0), ("p", 1.5), ("p", -1), ("d", 0), ("B", 0), ("B", -3), ("eta", -1),
                             ("beta", 1), ("beta", -0.1), ("eps", 0), ("eps", 2)):
            asked = dict(GOOD, **{field: value})
            if field == "eps":
                del asked["beta"]
            error = self.refused({"kind": "ls_matrix", "in": asked}, field)
            self.assertEqual(error["value"], value)
            self.assertTrue(error["range"])

    def test_missing_and_wrong_type(self):
        for field in ("d", "p", "B", "eta"):
            asked = {k: v for k, v in GOOD.items() if k != field}
            self.assertIsNone(self.refused({"kind": "ls_matrix", "in": asked}, field)["value"])
            wrong = self.refused({"kind": "ls_matrix", "in": dict(asked, **{field: "7"})}, field)
            self.assertEqual(wrong["value"], "7")
        self.refused({"kind": "ls_matrix", "in": {k: v for k, v in GOOD.items() if k not in ("eps", "beta")}},
                     "eps")
        self.refused({"kind": "ls_matrix", "in": dict(GOOD, beta=0.8)}, "beta")
        self.refused({"kind": "ls_clocks", "in": dict(GOOD, x0=[1, 0])}, "x0")
        self.refused({"kind": "ls_clocks", "in": dict(GOOD, x0=[-1, 0, 0])}, "x0")
        self.refused({"kind": "ls_clocks", "in": dict(GOOD, x0=[1, 0, 0], counts=[1.5])}, "counts")
        self.refused({"kind": "ls_regimes", "op": "guess", "in": {"kappa": 0, "sigma": 0, "gamma": 0}}, "op")
        self.refused({"kind": "ls_regimes", "op": "classify", "in": {"kappa": -1, "sigma": 0, "gamma": 0}},
                     "kappa")
        self.refused({"kind": "lr_coeffs", "in": {"p": 0.1, "r": 1, "s": 0, "R": -1, "d": 9, "B": 1}}, "R")
        self.refused({"kind": "nonsense", "in": {}}, "kind")
        self.refused({"in": {}}, "kind")
        self.refused({"kind": "ls_matrix"}, "in")

    def test_malformed_lines_do_not_stop_the_run(self):
        good = {"kind": "ls_matrix", "in": GOOD}
        lines = ["{", "[]", "null", "7", '"x"', "{} trailing", '{"kind": "ls_matrix", "in": 3}',
                 '{"kind":"ls_matrix","in":{"d":1e999,"p":0.1,"B":1,"eps":1,"eta":0.1}}', "\u00ff", "nan"]
        mixed = [x for bad in lines for x in (bad, good)]
        answers, code = predict(mixed)
        self.assertEqual(code, 1)
        self.assertEqual(len(answers), len(mixed))
        for i, answer in enumerate(answers):
            self.assertIn("out" if i % 2 else "error", answer)

    def test_all_answered_is_exit_0_and_blank_lines_ask_nothing(self):
        answers, code = predict(["", {"kind": "ls_matrix", "in": GOOD}, "   "])
        self.assertEqual((len(answers), code), (1, 0))
        self.assertEqual(predict([]), ([], 0))

    def test_eps_or_beta_alone_is_enough(self):
        both, code = predict([{"kind": "ls_matrix", "in": {k: v for k, v in GOOD.items() if k != drop}}
                              for drop in ("eps", "beta")])
        self.assertEqual(code, 0)
        for a, b in zip(both[0]["out"]["A"], both[1]["out"]["A"]):
            self.assertAlmostEqual(a, b, delta=1e-14 * abs(b))


def person(*flags):
    run = subprocess.run([PROGRAM, "predict", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, timeout=600)
    return run.stdout, run.stderr, run.returncode


LS = ["--d", "256", "--p", "0.01", "--batch", "512", "--beta", "0.95", "--eta", "0.5"]


class ForAPerson(unittest.TestCase):
    def test_explains_a_setting(self):
        out, _, code = person(*LS, "--noise", "0.1")
        self.assertEqual(code, 0)
        for word in ("regime", "resonant", "eta_max", "retention", "learning", "oscillation", "decay",
                     "noise floor", "co-scaling", "dense_below", "limit"):
            self.assertIn(word, out)

    def test_numbers_are_those_of_jsonl(self):
        out, _, _ = person(*LS)
        asked = {"d": 256, "p": 0.01, "B": 512, "beta": 0.95, "eta": 0.5}
        answer = predict([{"kind": "ls_matrix", "in": asked}])[0][0]["out"]
        self.assertIn(f"eta_max = {answer['eta_max']:.6g}", out)
        self.assertIn(f"learning      {answer['tau']:.4g}", out)

    def test_each_regime_is_named(self):
        for eta, beta, regime in (("0.05", "0.5", "sgd-like"), ("0.5", "0.95", "resonant"),
                                  ("2", "0.999", "heavy-ball"), ("3.5", "0.95", "near-instability"),
                                  ("5", "0.95", "unstable")):
            out, _, code = person("--d", "256", "--p", "0.01", "--batch", "512", "--beta", beta, "--eta", eta)
            self.assertEqual(code, 0)
            self.assertIn(f"regime        {regime}:", out)

    def test_measured_row_and_logistic_model(self):
        out, _, code = person("--measured", "--P", "0.3", "--H1", "0.2", "--H2", "1", "--eps", "0.1", "--eta", "0.1")
        self.assertEqual(code, 0)
        self.assertIn("eta_max", out)
        out, _, code = person("--model", "logistic", "--d", "100", "--p", "0.004", "--batch", "1585",
                              "--eps=0.15", "--eta=9.5", "--r", "2")
        self.assertEqual(code, 0)
        self.assertIn("noise floor", out)

    def test_pictures(self):
        with tempfile.TemporaryDirectory() as folder:
            for ending, magic in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
                name = os.path.join(folder, "a" + ending)
                self.assertEqual(person(*LS, "--plot", name)[2], 0)
                with open(name, "rb") as f:
                    self.assertEqual(f.read(len(magic)), magic)
            self.assertEqual(person(*LS, "--plot", os.path.join(folder, "a.gif"))[2], 2)
            self.assertEqual(person(*LS, "--plot", os.path.join(folder, "no", "a.png"))[2], 1)

    def test_wrong_usage_is_exit_2_and_says_why(self):
        for flags, word in ((["--p", "2"] + LS[:2] + LS[4:], "--p"), (["--nonsense", "1"], "--nonsense"),
                            (["--d"], "--d"), (["--d", "x"], "--d"), (["stray"], "stray"),
                            (LS[:6], "--beta"), (LS + ["--eps", "0.2"], "--beta"),
                            (LS + ["--model", "x"], "--model"), ([], "--beta")):
            out, err, code = person(*flags)
            self.assertEqual((code, out), (2, ""), flags)
            self.assertIn(word, err)

    def test_help(self):
        out, _, code = person("--help")
        self.assertEqual(code, 0)
        self.assertIn("example:", out)
        self.assertIn("exit codes:", out)
        run = subprocess.run([PROGRAM, "--help"], stdout=subprocess.PIPE, text=True)
        self.assertEqual(run.returncode, 0)
        self.assertIn("predict", run.stdout)
        for words in (["--help"], ["bench", "list"], ["predict", "--d", "64", "--p", "0.01", "--batch", "32", "--beta", "0.98", "--eta", "0.5"]):
            with open("/dev/full", "w", encoding="ascii") as full:
                r = subprocess.run([PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(r.returncode, 1, words)
            self.assertIn("cannot write standard output: No space left", r.stderr)
        self.assertEqual(subprocess.run([PROGRAM], stderr=subprocess.DEVNULL).returncode, 2)
        self.assertEqual(subprocess.run([PROGRAM, "nonsense"], stderr=subprocess.DEVNULL).returncode, 2)


class Header(unittest.TestCase):
    def test_compiles_alone_in_c_and_cpp(self):
        header = os.path.join(HERE, "..", "include", "mscope", "theory.h")
        for compiler, language in (("cc", "c"), ("c++", "c++")):
            if shutil.which(compiler) is None:
                self.skipTest(f"no {compiler}")
            run = subprocess.run([compiler, "-x", language, "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                                  "-I", os.path.join(HERE, "..", "include"), header],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual(run.returncode, 0, run.stdout)


if __name__ == "__main__":
    unittest.main()

"""A stage of `momentscope advise --json` on a torch optimizer: lr and momentum of groups, and rates for single rows.

A plan names a table, where it is now (eta, eps in EMA form) and the rate of each band. One rate for all rows of a
group's tables becomes the group's lr. Otherwise rows get a rate of their own: a hook multiplies the gradient of a row
by its rate over the group's. The daemon, the probe and the next plan see these gradients, so that they see what the
optimizer does, and plans build upon one another.
"""
import ctypes as C
import json
import subprocess

import torch

from . import _check, _lib

BANDS, TEXT = 32, "of the advice"
NEAR = 0.01                      # how far the setting may be from where the plan was made


class Rates(C.Structure):
    """mscope_row_plan of mscope/rates.h"""
    _fields_ = [("eta", C.c_double), ("eps", C.c_double), ("eps_then", C.c_double), ("look_again", C.c_double),
                ("stay", C.c_int), ("bands", C.c_uint32), ("band", C.c_uint32 * BANDS),
                ("eta_then", C.c_double * BANDS)]


STRUCTS = {"mscope_row_plan": Rates}
_declared = None


def lib():
    global _declared
    if _declared is None:
        _declared = _lib.lib()
        _lib.compare_sizes(_declared, _lib.find(), STRUCTS)
        _declared.mscope_row_plan_read.argtypes = [C.c_char_p, C.c_char_p, C.POINTER(Rates)]
        _declared.mscope_row_plan_rates.argtypes = [C.POINTER(Rates), C.c_void_p, C.c_uint32, C.c_uint64, C.c_void_p]
    return _declared


def _checked(code):
    if code < 0:
        why = _lib.Refusal()
        _lib.lib().mscope_client_fault(C.byref(why))
        field, value, allowed, text = (getattr(why, k).decode(errors="replace")
                                       for k in ("field", "value", "range", "text"))
        raise ValueError(f"momentscope: plan: {field} = {value} ({allowed}): {text}")


# -- asking -----------------------------------------------------------------------------------------

def ask(tables, seconds, telemetry=None, replay=None):
    """What `momentscope advise --json` says of these tables now, a dict each; ValueError with its reason otherwise."""
    command = [_lib.program("momentscope"), "advise", "--json", "--wait", str(seconds)]
    for option, value in (("--telemetry", telemetry), ("--replay", replay)):
        command += [option, value] if value is not None else []
    run = subprocess.run(command, capture_output=True, text=True)
    said = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    said = [x for x in said if x.get("table") in tables]
    if not said:
        raise ValueError(f"momentscope: no advice for {', '.join(tables)}: {run.stderr.strip() or 'no record came'}")
    return said


# -- reading ----------------------------------------------------------------------------------------

class Plan:
    """One table's stage, checked."""

    def __init__(self, advice):
        self.rates, self.table = Rates(), advice.get("table")
        if not isinstance(self.table, str):
            raise _check.refuse(ValueError, "plan: table", self.table, "the name of a table")
        text = json.dumps(advice).encode()
        _checked(lib().mscope_row_plan_read(text, self.table.encode(), C.byref(self.rates)))
        self.stay, self.why = bool(self.rates.stay), advice.get("why") or ""
        self.eta, self.eps, self.eps_then = self.rates.eta, self.rates.eps, self.rates.eps_then
        self.eta_then = list(self.rates.eta_then[:self.rates.bands])
        self.steps = self.rates.look_again

    def even(self):
        """The one rate of all bands, or None."""
        return self.eta_then[0] if len(set(self.eta_then)) == 1 else None

    def of_rows(self, seen, samples):
        """eta of every row, float64; seen: int64 occurrences of each row."""
        out = torch.empty(seen.numel(), dtype=torch.float64)
        _checked(lib().mscope_row_plan_rates(C.byref(self.rates), seen.data_ptr(), seen.numel(), int(samples),
                                            out.data_ptr()))
        return out


def plans(given):
    """Plans from a dict, a list of them, or the text that the program printed."""
    if isinstance(given, (str, bytes)):
        try:
            given = [json.loads(line) for line in given.splitlines() if line.strip()]
        except ValueError as e:
            raise ValueError(f"momentscope: plan is not what `momentscope advise --json` prints: {e}") from None
    given = [given] if isinstance(given, dict) else given
    if not isinstance(given, (list, tuple)) or not given or not all(isinstance(x, dict) for x in given):
        raise _check.refuse(TypeError, "plan", given, "what advise() returned, or the text of `momentscope advise "
                            "--json`")
    out = [Plan(x) for x in given]
    for name in {p.table for p in out}:
        if sum(p.table == name for p in out) > 1:
            raise ValueError(f"momentscope: plan: table {name!r} is in it twice")
    return out


# -- rows -------------------------------------------------------------------------------------------

class Seen:
    """Occurrences of every row of a table since attach."""

    def __init__(self, rows):
        self.count, self.samples = torch.zeros(rows, dtype=torch.int64), 0

    def note(self, table, grad, lookups):
        """After the push of a step."""
        if lookups is not None:
            at = lookups.to("cpu", torch.int64)
        elif grad.is_sparse:
            at = grad._indices()[0].to("cpu", torch.int64)
        else:
            at = grad.reshape(table.rows, table.dim).ne(0).any(1).nonzero().reshape(-1).cpu()
        self.count.index_add_(0, at, torch.ones_like(at))
        self.samples += table.batch


class RowRates:
    """Multiplies the gradient of each row of a parameter by a factor, in backward."""

    def __init__(self, table):
        self.table, self.factor = table, torch.ones(table.rows, dtype=torch.float64)

        def scale(grad):
            f = self.factor.to(grad.device, grad.dtype)
            if not grad.is_sparse:
                return grad * f.view(-1, *[1] * (grad.dim() - 1))
            at, values = grad._indices(), grad._values()
            f = f.index_select(0, at[0]).view(-1, *[1] * (values.dim() - 1))
            return torch.sparse_coo_tensor(at, values * f, grad.shape)._coalesced_(grad.is_coalesced())
        scale.__torch_unserializable__ = True
        self.handle = table.parameter.register_hook(scale)
        table.lookups.others += 1

    def stop(self):
        self.handle.remove()
        self.table.lookups.others -= 1


class Applied:
    """What apply() has changed; undo() takes it back."""

    def __init__(self, scope):
        self.scope, self.groups, self.factors, self.said = scope, [], [], []

    def undo(self):
        for group, lr, momentum in self.groups:
            group["lr"], group["momentum"] = lr, momentum
        for table, factor in self.factors:
            if table.rates is not None:
                table.rates.factor = factor
        self.groups, self.factors = [], []

    def __str__(self):
        return "; ".join(self.said)


def eta_of(group):
    """eta of the EMA form."""
    beta = float(group["momentum"])
    return float(group["lr"]) * (1 - float(group["dampening"])) / (1 - beta) if 0 < beta < 1 else float(group["lr"])


def set_group(group, eta, eps):
    beta = 1.0 - eps
    group["momentum"] = beta
    group["lr"] = eta * eps / (1 - float(group["dampening"])) if 0 < beta < 1 else eta


def check_followed(scope):
    """Rates are set where the daemon follows the optimizer, and in the process that is attached."""
    if not scope.tables:
        raise ValueError("momentscope: nothing is attached in this process (another rank is), so no rate is set here")
    for t in scope.tables:
        if t.rule is not None:
            raise ValueError(f"momentscope: {t.source} is trained by {t.rule.name}, which is read and not followed: "
                             "advice and follow are for SGD")


def apply(scope, given, others=False):
    """See Scope.apply."""
    check_followed(scope)
    by_name = {t.name: t for t in scope.tables}
    for plan in (all_plans := plans(given)):
        if plan.table not in by_name:
            raise ValueError(f"momentscope: plan: no table {plan.table!r} is watched; watched are "
                             + ", ".join(by_name))
        _check_present(plan, by_name[plan.table])
    out, moving = Applied(scope), [p for p in all_plans if not p.stay]
    out.said = [f"{p.table}: stay: {p.why}" for p in all_plans if p.stay]
    work = []
    for group in scope.optimizer.param_groups:
        mine = [p for p in moving if by_name[p.table].group is group]
        if mine:
            work.append((group, mine, *_group(scope, group, mine, by_name, others)))
    for group, mine, eta, factors in work:              # nothing was changed before all is known to be possible
        out.groups.append((group, group["lr"], group["momentum"]))
        set_group(group, eta, mine[0].eps_then)
        for table, factor in factors:
            table.rates = table.rates or RowRates(table)
            out.factors.append((table, table.rates.factor))
            table.rates.factor = table.rates.factor * factor
        out.said += [_say(p) for p in mine]
    return out


def _check_present(plan, table):
    eta, eps = eta_of(table.group), 1 - float(table.group["momentum"])
    for what, there, here in (("eta", plan.eta, eta), ("eps", plan.eps, eps)):
        if not abs(there - here) <= NEAR * abs(here):
            raise ValueError(f"momentscope: plan: {what} = {there:.6g} (that of {plan.table} now, {here:.6g}): it was "
                             "made at another setting, so ask for advice again")


def _group(scope, group, mine, by_name, others):
    """(eta of the group, [(table, factor of its rows)])"""
    if len({p.eps_then for p in mine}) > 1:
        raise ValueError("momentscope: plan: the tables " + ", ".join(p.table for p in mine) + " share one momentum, "
                         "and their plans ask for different ones: apply one of them")
    even, eta = {p.even() for p in mine}, eta_of(group)
    watched = {t.name for t in scope.tables if t.group is group}
    alone = len(group["params"]) == len(watched) or others
    if len(even) == 1 and None not in even and watched == {p.table for p in mine} and alone:
        return even.pop(), []
    base = max(max(p.eta_then) for p in mine) if others else eta
    factors = [(t, torch.full((t.rows,), eta / base, dtype=torch.float64)) for t in scope.tables
               if t.group is group and base != eta and t.name not in {p.table for p in mine}]
    return base, factors + [(by_name[p.table], _of_rows(p, by_name[p.table]) / base) for p in mine]


def _of_rows(plan, table):
    if plan.even() is not None:
        return torch.full((table.rows,), plan.even(), dtype=torch.float64)
    if table.seen is None or table.seen.samples == 0:
        raise ValueError(f"momentscope: plan: {plan.table} gets a rate for each band, and nobody counted which row is "
                         "in which band: attach(.., row_rates=True), and train some hundred steps")
    return plan.of_rows(table.seen.count, table.seen.samples)


def _say(plan):
    low, high = min(plan.eta_then), max(plan.eta_then)
    eta = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g} by band"
    return (f"{plan.table}: eta {plan.eta:.4g} to {eta}, eps {plan.eps:.4g} to {plan.eps_then:.4g}; look again after "
            f"{plan.steps:.0f} steps")

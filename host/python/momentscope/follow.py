"""scope.follow(): walks lr a stage at a time while the model trains. A learning-rate finder that costs no extra run.

A stage lasts two lifetimes of the momentum. At its end the rate doubles, stays, or steps back:

    H         of all that moves together, from means of the last few products that the probe has sent
              (firmware/README.md derives it). Up where H would be at most .5. Back above .8 where momentum or loss
              rise as well. Where they do not for two stages, H is not believed, and the rate goes up where the loss
              clearly falls, or has not begun to
    loss      back where a stage is worse than the one before by three standard errors; a quarter at once where the last
              ten steps have lost a good part of all that was gained, or are not finite. Weights and momenta then go back to
              before the last step up, if that was within five stages
    momentum  back where that of the probed rows has grown fourfold within a stage and the loss has not fallen

Where H is not known or not believed, as near a saddle, the loss alone decides. A rate that was too high is a ceiling
for five stages, and twice as long each time. Where the number of steps is known, the rate halves when 30, 15, 7.5 and
3.75 % of them are left. Where it is not, the rate halves when the loss has not fallen for ten stages, and never goes up
again.

Nothing here waits for the daemon, and nothing depends on when its records come: two runs are the same in every bit.
Every move is in follower.moves, in the log "momentscope" and an alert `note` of the daemon, and goes to on_move.

Chosen on one text and one seed, judged on another text and other seeds (tests/accuracy/README.md). *Rejected:* to move
up before the first products have come, which ruined runs that began too high; to believe H alone, which held a matrix
factorisation and an attention layer at a tenth of their best rates.
"""
import logging
import math

import torch

from . import _check
from .plan import check_followed, eta_of

AIM, CLOSE = 0.5, 0.8            # H after a step up; H at which the rate steps back
TURNING, MEMORY, FEWEST = 2, 8, 3    # products of a direction: the first that say little, in memory, before H is told
KNOWN = 0.3                      # relative standard error of the curvature, beyond which H is not known
LIFETIMES, SHORTEST = 2, 20      # of a stage: lifetimes of the momentum, steps
WORSE, LOST = 3.0, 0.3           # standard errors; share of what was gained
RECENT, SOONEST, SPIKE = 10, 3, 6.0  # steps that are compared with the best stage; after a step back; standard errors
GROWN, RISEN = 4.0, 1.3          # of |m|^2 within a stage, alone and where H says that it must
DOUBTED = 2                      # stages in which H is too high and nothing grows, after which it is not believed
PLATEAU = 10                     # stages without a lower loss
COPIED, FRESH = 1 << 26, 5       # most values that are copied before a step up; stages for which the copy is fresh
HOLD = 5                         # stages for which a ceiling holds at first
ENDING = (0.3, 0.15, 0.075, 0.0375)  # shares of the steps left, at which the rate halves

log = logging.getLogger("momentscope")


class Products:
    """The last products of one direction, and H = eta/eta_max of them."""

    def __init__(self):
        self.taken, self.last = 0, []

    def take(self, values):
        self.taken += 1
        if self.taken > TURNING:
            self.last = (self.last + [(values["curvature"], values["product"], values["noise"])])[-MEMORY:]

    def few(self):
        return len(self.last) < FEWEST

    def H(self, eta, eps):
        """None: not known."""
        n = len(self.last)
        if self.few():
            return None
        l, c, t = (sum(x[i] for x in self.last) / n for i in range(3))
        spread = math.sqrt(sum((x[0] - l) ** 2 for x in self.last) / (n - 1) / n)
        if not l > 0 or spread > KNOWN * l:
            return None
        return (0.5 * eta * t + eta * eps / (2 * (2 - eps)) * max(c, 0.0)) / l


class Stage:
    """Losses and momenta of the steps of a stage; left: steps to its end."""

    def __init__(self, steps):
        self.left, self.losses, self.momenta = steps, [], []

    def mean(self):
        return sum(self.losses) / len(self.losses) if self.losses else math.nan

    def spread(self):
        """Standard deviation of one loss."""
        m = self.mean()
        return math.sqrt(sum((x - m) ** 2 for x in self.losses) / max(1, len(self.losses) - 1))

    def error(self):
        """Standard error of the mean."""
        return self.spread() / math.sqrt(max(1, len(self.losses)))

    def worse_than(self, other):
        """By how many standard errors."""
        if not self.losses or other is None or not other.losses:
            return 0.0
        error = math.hypot(self.error(), other.error())
        return (self.mean() - other.mean()) / error if error > 0 else 0.0

    def momentum(self):
        return sum(self.momenta) / len(self.momenta) if self.momenta else math.nan


class Copy:
    """Weights and momenta of an optimizer, and what the follower knew, as they were before the rate went up."""

    def __init__(self, follower):
        self.stages, self.kept, scope = 0, [], follower.scope
        self.before, self.best, self.last = follower.before, follower.best, [list(p.last) for p in follower.by]
        for group in scope.optimizer.param_groups:
            for p in group["params"]:
                buffer = scope.optimizer.state.get(p, {}).get("momentum_buffer")
                self.kept.append((p, p.detach().clone(), None if buffer is None else buffer.detach().clone()))

    def put_back(self, follower):
        scope, self.stages = follower.scope, 0
        follower.before, follower.best, follower.alarm = self.before, self.best, math.inf
        for products, last in zip(follower.by, self.last):
            products.last = list(last)
        with torch.no_grad():
            for p, theta, buffer in self.kept:
                p.copy_(theta)
                if "momentum_buffer" in scope.optimizer.state.get(p, {}):
                    scope.optimizer.state[p]["momentum_buffer"] = None if buffer is None else buffer.clone()
        for t in scope.tables:               # the daemon gets all rows again, and nobody else has changed them
            t.resync, t.marks = True, t.mark(scope.optimizer)


def few_values(optimizer):
    return sum(p.numel() for group in optimizer.param_groups for p in group["params"]) <= COPIED


class Follower:
    """Made by Scope.follow."""

    def __init__(self, scope, steps=None, on_move=None):
        check_followed(scope)
        if not scope.probing.every:
            raise _check.refuse(ValueError, "probe_every", 0, "1 or more", "follow needs the probe: attach(.., "
                                "probe_every=, closure=)")
        if on_move is not None and not callable(on_move):
            raise _check.refuse(TypeError, "on_move", on_move, "a function of one move, or None")
        self.scope, self.on_move = scope, on_move
        self.end = None if steps is None else _check.integer("steps", steps, 1, _check.STEPS,
                                                             "of the optimizer, from now to the end")
        self.begun, self.moves, self.ended, self.settled, self.stopped = scope.steps, [], 0, False, False
        self.by = [Products(), Products()]
        self.before, self.best, self.first, self.recent = None, None, None, []
        self.lowest, self.alarm, self.stale, self.doubted = math.inf, math.inf, 0, 0
        self.ceiling, self.held, self.hold, self.copy = math.inf, 0, HOLD, None
        self.lr, self.stage = self._lr(), self._new_stage()

    def stop(self):
        """The rate stays as it is."""
        self.stopped = True

    def _group(self):
        return self.scope.tables[0].group

    def _lr(self):
        return float(self._group()["lr"])

    def _eps(self):
        return 1 - float(self._group()["momentum"])

    def _new_stage(self):
        return Stage(max(SHORTEST, math.ceil(LIFETIMES / self._eps())))

    def H(self):
        """H = eta/eta_max at the present rate, or None."""
        known = [x for x in (p.H(eta_of(self._group()), self._eps()) for p in self.by) if x is not None]
        return max(known) if known else None

    # -- each step --------------------------------------------------------------------------------------

    def after(self, loss, product, momentum):
        """One step: its loss or None, the fields of mscope_direction or None, mean |m|^2 of the probed rows or None."""
        if self.stopped:
            return
        if self._lr() != self.lr:
            self.stop()
            self._tell(1.0, f"lr was {self.lr:.4g} and somebody else has set {self._lr():.4g} (a scheduler?): follow "
                            "stops here", logging.WARNING)
            return
        if product is not None:
            self.by[product["along"]].take(product)
        if momentum is not None:
            self.stage.momenta.append(momentum)
        if loss is not None:
            self.stage.losses.append(loss)
            self.recent = (self.recent + [loss])[-RECENT:]
        self.stage.left -= 1
        if not self._ending() and not self._lost() and self.stage.left <= 0:
            self._judge()

    def _ending(self):
        if self.end is None or self.ended >= len(ENDING):
            return False
        left = 1 - (self.scope.steps - self.begun) / self.end
        if left > ENDING[self.ended]:
            return False
        self.ended += 1
        self.settled = True
        self._move(0.5, f"{100 * max(left, 0):.3g} % of the steps are left")
        return True

    def _lost(self):
        """The last steps have lost much of what was gained."""
        if self.recent and not math.isfinite(self.recent[-1]):
            self._fall(f"the loss is {self.recent[-1]}")
            return True
        if len(self.recent) < SOONEST:
            return False
        mean = sum(self.recent) / len(self.recent)
        limit = self.alarm
        if self.best is not None and len(self.recent) >= RECENT:
            best = self.best.mean()
            limit = best + max(SPIKE * self.best.spread() / math.sqrt(RECENT), LOST * (self.first - best))
        if mean <= limit:
            return False
        self._fall(f"the loss of the last {len(self.recent)} steps is {mean:.4g}, and {limit:.4g} is the most allowed")
        return True

    def _fall(self, why):
        """A quarter of the rate, and the weights of before the last step up, where that is not long ago."""
        self._back(0.25, why + ("; weights as before the last step up" if self.copy is not None else ""))
        if self.copy is not None:
            self.copy.put_back(self)

    # -- the end of a stage ----------------------------------------------------------------------------------

    def _judge(self):
        stage, before = self.stage, self.before
        worse = stage.worse_than(before)
        self._note(stage)
        why = self._why_back(stage, before, worse)
        H, falls = self.H() if self.doubted < DOUBTED else None, worse <= 0
        if self.doubted >= DOUBTED:
            falls = worse < -1 or not self._gained()
        if why:
            self._back(0.5, why)
        elif self._stale():
            self.settled, self.stale = True, 0
            self._move(0.5, f"the loss has not fallen for {PLATEAU} stages")
        elif self.settled or 2 * self.lr > 0.9 * self.ceiling or all(p.few() for p in self.by):
            self.stage = self._new_stage()
        elif H is None and not falls:
            self.stage = self._new_stage()
        elif H is None:
            self._move(2.0, "H is not " + ("known" if self.doubted < DOUBTED else "believed") +
                       ", and the loss is not worse")
        elif 2 * H <= AIM:
            self._move(2.0, f"H is {H:.3g}")
        else:
            self.stage = self._new_stage()

    def _note(self, stage):
        mean = stage.mean()
        if self.first is None:
            self.first = mean
        if stage.losses and (self.best is None or mean < self.best.mean()):
            self.best = stage
        fell = mean < self.lowest - stage.error()
        self.lowest, self.stale = (mean, 0) if fell else (self.lowest, self.stale + 1)
        self.before, self.held, self.alarm = stage, self.held - 1, math.inf
        if self.copy is not None:
            self.copy.stages += 1
            self.copy = None if self.copy.stages > FRESH else self.copy
        if self.held <= 0:
            self.ceiling = math.inf

    def _stale(self):
        """At its noise floor, as far as the loss tells. Where nothing was gained yet, it is a saddle."""
        return self.end is None and self.stale >= PLATEAU and self._gained()

    def _gained(self):
        return self.first - self.lowest > 4 * self.stage.error()

    def _why_back(self, stage, before, worse):
        """The reason to step back, or None."""
        H, times = self.H(), stage.momentum() / before.momentum() if before is not None else math.nan
        rising = worse > 1 or times > RISEN
        self.doubted = self.doubted + 1 if H is not None and H > CLOSE and not rising else 0
        if H is not None and H > CLOSE and rising:
            return f"H is {H:.3g}, and the {'loss' if worse > 1 else 'momentum'} rises"
        if worse > WORSE:
            return f"the loss is {stage.mean():.4g} after {before.mean():.4g}, {worse:.2g} standard errors up"
        if times > GROWN and worse > -1:
            return f"momentum has grown {times:.3g} times, and the loss does not fall"
        return None

    # -- moves ---------------------------------------------------------------------------------------------

    def _back(self, factor, why):
        self.ceiling, self.held = self.lr, self.hold
        self.hold *= 2
        left, self.before = self.best, Stage(0)      # the next stage is compared with where this one has left the loss
        self.before.losses, self.best = [x for x in self.recent if math.isfinite(x)], None
        lowest = left.mean() if left is not None else self.lowest
        worst = max([lowest if math.isfinite(lowest) else 0.0, *self.before.losses[-SOONEST:]])
        self.alarm = worst + max(worst - lowest, 4 * self.before.spread())
        self._move(factor, why, logging.WARNING)

    def _move(self, factor, why, level=logging.INFO):
        if factor > 1 and few_values(self.scope.optimizer):
            self.copy = Copy(self)
        for group in self.scope.optimizer.param_groups:
            group["lr"] = factor * group["lr"]
        self.lr, self.recent, self.stage = self._lr(), [], self._new_stage()
        self._tell(factor, why, level)

    def _tell(self, factor, why, level):
        move = {"step": self.scope.steps, "factor": factor, "lr": self.lr, "why": why}
        self.moves.append(move)
        log.log(level, "step %d: lr %.4g, times %g: %s", move["step"], move["lr"], factor, why)
        self.scope.note(f"lr {self.lr:.4g}, times {factor:g}: {why}")
        if self.on_move is not None:
            self.on_move(move)

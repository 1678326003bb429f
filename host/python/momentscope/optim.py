"""momentscope.optim.SGD: torch.optim.SGD with exact sparse momentum."""
import weakref
from typing import Any, Callable, Dict, Optional

import torch

from . import _check
from .counting import Counting
from .pool import MOST, Pool
from .rowtable import RowTable, can_hold
from .watched import Raw, can_watch, plain, table_of

FEWEST, SHARE = 64, 4                        # a dense gradient: rows from which a table pays; active at most in a 4th


_Torch = torch.optim.SGD


def _torch_step():
    """torch's own step without the profiler's wrapper, which would run the hooks of a step twice."""
    step = _Torch.step
    return step.__wrapped__ if getattr(step, "hooked", False) else step


def _release(tables):
    with Raw(), torch.no_grad():
        for table in tables.values():
            table.release()
    tables.clear()


class SGD(_Torch):
    """torch.optim.SGD whose embeddings cost O(rows touched) and still follow the dense trajectory.

        optimizer = momentscope.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)

    Arguments, groups, state and schedulers are those of torch.optim.SGD; differentiable=True is refused. A float32 or
    float64 parameter on the CPU runs on the core when its gradients are sparse, or dense with at most a quarter of the
    rows active in the first step. Every other parameter runs torch's own update.

    decoupled_weight_decay   of a group or of all: True: theta <- (1 - lr weight_decay) theta before the step, as in
                             AdamW, of every row at every step, and the gradient stays as it is
    threads                  1 to 64, lent to the core; no bit depends on them

    Silent rows are late until they are read. torch's calls with the parameter bring what they read to now: a look-up
    (F.embedding, F.embedding_bag, index_select) its rows, every other call all rows. settle() does it for readers that
    torch does not see: memory that was aliased before (.data, .detach(), numpy) and scripted modules.
    The parameter's class is a subclass of its own from its first step on; copies and pickles are of the plain class.
    """

    def __init__(self, *args: Any, decoupled_weight_decay: bool = False, threads: int = 1, **options: Any) -> None:
        self._apart = bool(_check.flag("decoupled_weight_decay", decoupled_weight_decay))
        if options.get("differentiable"):
            raise ValueError("momentscope: differentiable=True is not supported; use torch.optim.SGD")
        self._begin(_check.integer("threads", threads, 1, MOST, "of this process, the caller's included"))
        super().__init__(*args, **options)

    def add_param_group(self, param_group):
        param_group.setdefault("decoupled_weight_decay", self._apart)
        super().add_param_group(param_group)

    def _begin(self, threads: int) -> None:
        self._tables, self._dense = {}, set()    # id of a parameter -> its table; ids of parameters left to torch
        self._pool, self._counting = Pool(threads), None
        self._end = weakref.finalize(self, _release, self._tables)
        self._end.atexit = False

    # -- the step --------------------------------------------------------------------------------------

    @torch.no_grad()
    def step(self, closure: Optional[Callable[[], Any]] = None) -> Any:
        """One step; closure as in torch.optim.SGD. Returns the loss of the closure, or None."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with Raw():
            self._rest({id(p) for group in self.param_groups for p in group["params"] if self._moved(p, group)})
        return loss

    def _moved(self, p, group):
        """Did the core make this parameter's step?"""
        grad = p.grad
        if grad is None:
            return False
        table = self._table(p, group, grad)
        if table is None or not table.step(grad, group):
            return False
        if table.made:
            self.state[p]["momentum_buffer"] = table.buffer
        return True

    def _table(self, p, group, grad):
        table, buffer = self._tables.get(id(p)), self.state[p].get("momentum_buffer")
        if table is not None:
            if table_of(p) is table and table.fits(p, buffer, group["nesterov"]):
                return table
            self._drop(table)
        if id(p) in self._dense or not self._wants(p, group, grad):
            return None
        if table_of(p) is not None:          # another optimizer's
            table_of(p).release()
        table = self._tables[id(p)] = RowTable(p, self.state[p].get("momentum_buffer"), group["nesterov"], self._pool,
                                                 self._counting)
        return table

    def _wants(self, p, group, grad):
        if not (group["momentum"] or group["weight_decay"]) or not can_watch(p) or not can_hold(p):
            return False
        if grad.is_sparse:
            return True
        if p.dim() < 2 or p.shape[0] < FEWEST:
            return False
        active = int(grad.reshape(p.shape[0], -1).ne(0).any(1).sum())
        if active > p.shape[0] // SHARE:
            self._dense.add(id(p))
        return 0 < active <= p.shape[0] // SHARE

    def _rest(self, moved):
        """torch's own step of all parameters but these."""
        if all(id(p) in moved or p.grad is None for group in self.param_groups for p in group["params"]):
            return
        groups, held = self.param_groups, []
        for group in groups:
            for p in group["params"]:
                if p.grad is not None and p.grad.is_sparse and id(p) in self._tables and id(p) not in moved:
                    held.append((p, p.grad))             # weight decay is not defined for sparse gradients in torch
                    p.grad = p.grad.to_dense()
        try:
            self.param_groups = [self._left(g, moved) for g in groups]
            if any(g["params"] for g in self.param_groups):
                _torch_step()(self)
        finally:
            self.param_groups = groups
            for p, grad in held:
                p.grad = grad

    @staticmethod
    def _left(group, moved):
        """The group without the parameters that were moved, and without a decay that torch does not know."""
        left = dict(group, params=[p for p in group["params"] if id(p) not in moved])
        if group["decoupled_weight_decay"]:
            keep, left["weight_decay"] = 1.0 - float(group["lr"]) * float(group["weight_decay"]), 0
            for p in left["params"]:
                if p.grad is not None:
                    p.mul_(keep)
        return left

    # -- what momentum does -----------------------------------------------------------------------------

    def telemetry(self, model: Optional[torch.nn.Module] = None, publish: Optional[bool] = None, **options: Any) -> Any:
        """Tell what momentum does to each band of rows, at every step from here on.

        model     names the parameters
        publish   True (with a model): to the daemon, which publishes. Returns a Scope (momentscope.attach, with its
                  options), and optimizer.step() does what scope.step() does elsewhere. False (without a model): in this
                  process, without any daemon. Returns a Counting; its one option is batch, samples in a step
        """
        if publish is None:
            publish = model is not None
        if publish:
            if model is None:
                raise TypeError("momentscope: telemetry(publish=True) needs the model, which names the tables")
            from .published import Published
            return Published(model, self, **options)
        named = {id(p): name for name, p in model.named_parameters()} if model is not None else {
            id(p): str(i) for i, p in enumerate(p for group in self.param_groups for p in group["params"])}
        counting = Counting(self, named, **dict({"batch": None}, **options))
        self._count(counting)
        return counting

    def _count(self, counting):
        self._counting = counting
        with Raw(), torch.no_grad():
            for table in self._tables.values():
                table.count(counting)

    # -- what others read -------------------------------------------------------------------------------

    def settle(self) -> None:
        """Bring all rows of all parameters to now. Cost: that of a step of torch.optim.SGD at most."""
        for table in self._tables.values():
            table.settle()

    def close(self) -> None:
        """Give parameters and state back as torch.optim.SGD would have left them."""
        with Raw(), torch.no_grad():
            for table in list(self._tables.values()):
                self._drop(table)

    def _drop(self, table):
        state = self.state[table.parameter]
        table.release()
        if state.get("momentum_buffer") is table.buffer:
            state["momentum_buffer"] = table.m
        del self._tables[id(table.parameter)]

    def state_dict(self) -> Dict[str, Any]:
        """As that of torch.optim.SGD, and interchangeable with it."""
        out = super().state_dict()
        out["state"] = {key: {name: plain(value) for name, value in values.items()} if isinstance(values, dict) else values
                        for key, values in out["state"].items()}
        return out

    def __getstate__(self):
        self.settle()
        return dict(super().__getstate__(), _apart=self._apart, _threads=self._pool.threads)

    def __setstate__(self, state):
        if "_tables" in self.__dict__:       # load_state_dict
            self.close()
            self._dense.clear()
        else:                                # a copy, or from a pickle
            self._begin(state.get("_threads", 1))
        super().__setstate__(state)
        for group in self.param_groups:      # torch.optim.SGD has no such key
            group.setdefault("decoupled_weight_decay", self.__dict__.setdefault("_apart", False))

"""Which rows a gradient came from: the look-ups of embedding modules, credited when backward reaches them.

One hook for all modules of the process watches forward passes. Nothing is hung on the model, so that it copies, pickles
and scripts as without momentscope. A look-up counts when backward reaches its output: forward passes for a metric, or
for another optimizer, leave nothing behind. It counts until the gradient is zeroed, so the micro-batches of one step
add up, and a batch whose step was skipped is forgotten with its gradient.
"""
import weakref

import torch

_watched = weakref.WeakKeyDictionary()       # module -> [weak reference of a Lookups]
_handle = None


def _after_forward(module, inputs, output):
    for ref in _watched.get(module, ()):
        watcher = ref()
        if watcher is not None:
            watcher.forward(module, inputs, output)


def _watch(module, watcher):
    global _handle
    _watched.setdefault(module, []).append(weakref.ref(watcher))
    if _handle is None:
        _handle = torch.nn.modules.module.register_module_forward_hook(_after_forward)


def _unwatch(module, watcher):
    global _handle
    left = [ref for ref in _watched.get(module, ()) if ref() not in (None, watcher)]
    if left:
        _watched[module] = left
    else:
        _watched.pop(module, None)
    if not _watched and _handle is not None:
        _handle.remove()
        _handle = None


class Lookups:
    """The look-ups behind the present gradient of one parameter, as a list of index tensors.

    A backward pass adds to .grad in place once. So .grad is what was credited as long as it is the same tensor with one
    version more than the last pass found; anything else that touched it in between zeroed it. A sparse gradient names
    its rows itself, until a second pass is added to it: then torch may merge repeats.
    """

    def __init__(self, parameter, modules):
        self.parameter = parameter
        self.modules = list(modules)
        self.credited, self.bags, self.recording = [], 0, True       # bags: samples, where modules are EmbeddingBags
        self._adds_up = False
        self.others = 0                      # more hooks on the parameter that are ours and set no row to 0
        self._before = None                  # .grad and its version before the last pass
        self._reached, self._reached_bags = [], 0            # by the present backward pass, not yet at the parameter
        self._end = None
        if self.modules:
            def end(grad):
                if self.recording:           # not in a pass of the probe: the step's look-ups stay
                    self._add_pass(grad)
            end.__torch_unserializable__ = True              # copies and pickles of the parameter go without it
            self._end = parameter.register_hook(end)
        for module in self.modules:
            _watch(module, self)

    def stop(self):
        for module in self.modules:
            _unwatch(module, self)
        self.modules, self.credited = [], []
        if self._end is not None:
            self._end.remove()
            self._end = None

    def count_all(self):
        """Keep look-ups where sparse gradients would tell them, too."""
        self._adds_up = True

    def hooks(self):
        """Number of hooks on the parameter that are ours."""
        return int(self._end is not None) + self.others

    def forward(self, module, inputs, output):
        if not self.recording or torch.jit.is_tracing() or not getattr(output, "requires_grad", False):
            return
        if module.weight is not self.parameter:
            return
        index, bags = inputs[0], output.shape[0] if isinstance(module, torch.nn.EmbeddingBag) else 0
        if module.sparse and not self._adds_up:
            output.register_hook(lambda _grad: self.credit(None, bags))
            return
        if module.padding_idx is not None:
            index = index[index != module.padding_idx]
        index = index.clone(memory_format=torch.contiguous_format)       # the trainer may reuse its tensor
        output.register_hook(lambda _grad: self.credit(index, bags))

    def credit(self, index, bags):
        """Called in backward, before the gradient is added to .grad. None: a sparse gradient will say it."""
        if not self._reached:                # torch.autograd.grad of an output ends before it reaches the parameter
            torch.autograd.Variable._execution_engine.queue_callback(self._forget_pass)
        self._reached.append(index)
        self._reached_bags += bags

    def _forget_pass(self):
        self._reached, self._reached_bags = [], 0

    def _add_pass(self, more):
        """The pass is at the parameter, and more, its gradient, is not added yet."""
        grad = self.parameter.grad
        if not self._goes_on(grad):
            self.credited, self.bags = [], 0
        elif grad.is_sparse and not self.credited:
            self.credited = [grad._indices()[0].clone()]
            if more.is_sparse:
                self.credited.append(more._indices()[0].clone())
            self._adds_up = True             # this trainer adds passes up: from here on look-ups are kept
        self.credited += [index for index in self._reached if index is not None]
        self.bags += self._reached_bags
        self._forget_pass()
        self._before = (grad, grad._version if grad is not None else -1)

    def _goes_on(self, grad):
        if grad is None or self._before is None:
            return False
        before, version = self._before
        return grad is before and grad._version == version + 1 if before is not None else grad._version == 0

    def set_aside(self):
        """Begin anew, for passes that are not the step's; give the result to resume()."""
        own = self.credited, self.bags, self._before, self.recording
        self.credited, self.bags, self._before, self.recording = [], 0, None, True
        return own

    def resume(self, own):
        self.credited, self.bags, self._before, self.recording = own
        self._forget_pass()

    def joined(self):
        """The look-ups, flat; None: there were none."""
        if len(self.credited) == 1:          # a clone of the trainer's already
            return self.credited[0].reshape(-1)
        return torch.cat([index.reshape(-1) for index in self.credited]) if self.credited else None

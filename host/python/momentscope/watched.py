"""Tensors that tell a table before they are read.

A table leaves silent rows late: their stored values belong to an earlier step. So whoever reads them must be noticed
first. An adopted parameter gets a class whose __torch_function__ sees every call that torch makes with it: a look-up
brings its own rows to now, everything else brings all rows. Nothing is hung on the model, and tied weights, norms,
state_dict, clones and weights edited by hand need no hooks of their own. What has no class is not seen: a scripted
module's own code, and aliases of the memory that were taken before.
"""
import torch
import torch.nn.functional as F

Raw = getattr(torch._C, "DisableTorchFunctionSubclass", torch._C.DisableTorchFunction)

_tables = {}                                 # id of a watched tensor -> its table, which keeps the tensor alive

# What is no read of values; all that is not named here is one.
_PROPERTIES = ("grad", "requires_grad", "is_leaf", "grad_fn", "shape", "dtype", "device", "layout", "ndim", "names",
               "is_sparse", "is_cuda", "is_quantized", "is_meta", "is_mkldnn", "output_nr", "retains_grad", "_version",
               "_backward_hooks", "name")
_METHODS = ("size", "dim", "numel", "nelement", "ndimension", "stride", "storage_offset", "element_size", "__len__",
            "__hash__", "is_contiguous", "is_floating_point", "is_complex", "is_signed", "is_same_size", "get_device",
            "register_hook", "requires_grad_", "retain_grad")
_PASSIVE = {getattr(torch.Tensor, name) for name in _METHODS if hasattr(torch.Tensor, name)}
_PASSIVE |= {getattr(getattr(torch.Tensor, name), how) for name in _PROPERTIES if hasattr(torch.Tensor, name)
             for how in ("__get__", "__set__", "__delete__") if hasattr(getattr(torch.Tensor, name), how)}
_PASSIVE |= {torch.is_floating_point, torch.is_complex, torch.numel, torch._has_compatible_shallow_copy_type}

# Look-ups: the places of the indices and of the weight among the arguments.
_LOOKUPS = {F.embedding: (0, 1), F.embedding_bag: (0, 1), torch.embedding: (1, 0), torch.embedding_bag: (1, 0),
            torch.index_select: (2, 0), torch.Tensor.index_select: (2, 0)}
_SELECTS = (torch.index_select, torch.Tensor.index_select)


def _watched_in(values):
    for value in values:
        if isinstance(value, _Watched):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _watched_in(value)


def _announce(func, args, kwargs):
    """Tell the tables of the tensors among the arguments what is about to be read of them."""
    at, place = _LOOKUPS.get(func, (None, None))
    weight = index = None
    if at is not None and len(args) > max(at, place) and (func not in _SELECTS or args[1] == 0):
        index, weight = args[at], args[place]
    for tensor in _watched_in((*args, *kwargs.values())):
        table = _tables.get(id(tensor))
        if table is None:
            continue
        if tensor is weight:
            table.look_up(index)
        else:
            table.read_whole()


class _Watched:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        with Raw():
            if func not in _PASSIVE:
                _announce(func, args, kwargs)
            return func(*args, **kwargs)

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = plain(self).__deepcopy__(memo)
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        return plain(self).__reduce_ex__(protocol)


class WatchedParameter(_Watched, torch.nn.Parameter):
    pass


class WatchedTensor(_Watched, torch.Tensor):
    pass


_CLASSES = {torch.nn.Parameter: WatchedParameter, torch.Tensor: WatchedTensor}


def can_watch(tensor):
    return type(tensor) in _CLASSES or isinstance(tensor, _Watched)


def watch(tensor, table):
    tensor.__class__ = _CLASSES[type(tensor)]
    _tables[id(tensor)] = table


def unwatch(tensor):
    _tables.pop(id(tensor), None)
    for was, now in _CLASSES.items():
        if type(tensor) is now:
            tensor.__class__ = was


def table_of(tensor):
    return _tables.get(id(tensor))


def plain(tensor):
    """The same memory, as of now, in the class that it would have unwatched."""
    if not isinstance(tensor, _Watched):
        return tensor
    alias = tensor.detach()                  # a read of all of it
    return torch.nn.Parameter(alias, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else alias

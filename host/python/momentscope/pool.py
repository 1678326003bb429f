"""Threads that an optimizer lends to its tables. No result depends on how many there are (mscope/workers.h)."""
import ctypes
import os
import weakref

from . import _core, _lib

MOST = 64
_pools = weakref.WeakSet()


class Pool:
    """threads   in all, the caller's included: 1 to 64. Started when the first table asks for them."""

    def __init__(self, threads):
        self.threads, self.lib = threads, _core.lib()
        self.tables = weakref.WeakSet()
        self.workers = self.parallel = None

    def lend(self, table):
        """To a RowTable, whose core table is new."""
        if self.threads == 1:
            return
        if self.workers is None:
            self._start()
        self.tables.add(table)
        self.lib.mscope_table_parallel(table.t, ctypes.byref(self.parallel))

    def _start(self):
        workers = ctypes.c_void_p()
        code = self.lib.mscope_workers_start(ctypes.byref(workers), self.threads)
        if code != _core.OK:
            raise RuntimeError(f"momentscope: {self.threads} threads could not be started: "
                               + _lib.lib().mscope_strerror(code).decode())
        self.workers, self.parallel = workers, self.lib.mscope_workers_parallel(workers)
        self._end = weakref.finalize(self, _stop, self.lib, workers, os.getpid())
        self._end.atexit = False             # a process that ends takes its threads along
        _pools.add(self)


def _stop(lib, workers, process):
    if os.getpid() == process:               # a forked child has no such threads
        lib.mscope_workers_stop(workers)


def _after_fork():
    for pool in list(_pools):
        for table in list(pool.tables):
            pool.lib.mscope_table_parallel(table.t, None)
        pool.tables, pool.workers, pool.parallel = weakref.WeakSet(), None, None
    _pools.clear()


os.register_at_fork(after_in_child=_after_fork)

"""One step of one table, from torch's gradient to the C client."""
from .tables import VALUE


def note_schedule(t, warn):
    """Read the schedule of the step just done, before a scheduler or the trainer changes it."""
    group = t.group
    schedule = (group["lr"], group["momentum"], group["dampening"], group["weight_decay"],
                group.get("decoupled_weight_decay", False))
    if schedule == t.schedule and group["nesterov"] == t.nesterov and not group.get("maximize"):
        return
    t.schedule, s = tuple(map(float, schedule)), t.step
    s.eta, s.eps = t.schedule[0], 1.0 - t.schedule[1]
    s.dampening = t.schedule[2] if t.schedule[1] else 0.0
    s.weight_decay, s.decoupled_decay = (0.0, t.schedule[3]) if t.schedule[4] else (t.schedule[3], 0.0)
    if group["nesterov"] != t.nesterov or group.get("maximize"):
        warn(f"nesterov or maximize of {t.name} was changed after attach, so its numbers are wrong from now on: attach "
             "again")


def push(client, t, grad, lookups, batch, warn):
    """Returns 1 when the client had no room and dropped the step. batch: samples, or 0 where the gradient tells it."""
    ready = t.ready(grad) if lookups is None else None
    if ready:
        rows, values = ready
        n, counts = values.shape[0], None
        t.samples(batch or n)
    elif grad.is_sparse:
        rows, values, counts, occurrences = t.entries(grad, lookups)
        n = rows.shape[0]
        t.samples(batch or occurrences)
    else:
        return _push_dense(client, t, grad, lookups, batch, warn)
    t.told += 1
    if n > t.capacity:
        return _too_many(client, t, n, warn)
    return client.push(t.handle, t.by_step, rows.data_ptr(), values.data_ptr(), VALUE[values.dtype], n,
                       counts.data_ptr() if counts is not None else None)


def _too_many(client, t, n, warn):
    warn(f"a step of {t.source} has more rows ({n}) than attach's capacity = {t.capacity}, so it is lost to the "
         "daemon: attach with a larger capacity (and momentscoped --max-part, where it refuses that)")
    return client.skip(t.handle)


def _push_dense(client, t, grad, lookups, batch, warn):
    values, lookups = t.dense(grad, lookups)
    t.told += 1
    if t.resync:
        t.resync = False
        client.resync(t.handle)
    if lookups is None:
        active = values.reshape(t.rows, t.dim).ne(0).any(1)
        t.samples(batch or 1)
        if t.capacity < t.rows and int(active.sum()) > t.capacity:
            return _too_many(client, t, int(active.sum()), warn)
        return client.push_dense(t.handle, t.by_step, values.data_ptr(), VALUE[values.dtype], active.data_ptr())
    n = lookups.numel()
    t.samples(batch or n)
    if t.capacity < min(n, t.rows) and lookups.unique().numel() > t.capacity:
        return _too_many(client, t, lookups.unique().numel(), warn)
    return client.push_lookups(t.handle, t.by_step, lookups.data_ptr(), n, values.data_ptr(), VALUE[values.dtype])

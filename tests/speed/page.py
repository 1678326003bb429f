"""page.py - README.md of this folder from the results of a run: tests/speed/run --markdown"""

ABOVE = """# How fast it is

Every program of this folder measures something of ours in turn with a peer that does the same work in another way, in one run, on one
machine. So the ratios mean something on any machine; the times mean something on this one.

Contents: [Run it](#run-it) | [Read it](#read-it) | [The programs](#the-programs) | [One run](#one-run)

## Run it

    make bench                             # all programs but the soak, one table; up to ten minutes on an idle machine
    make bench B=step                      # only programs whose name has this in it
    make bench-kernels                     # one program alone, as JSON lines (also -step, -path, -publish)
    make bench-soak SOAK="--steps 100000"  # memory over a long run, and the idle cost; hours by default
    tests/speed/run --strict               # a missed target makes the exit code 1, not only a wrong result
    make speed-page                        # this page, from the results of the last `make bench`

Results are kept in `build/speed/results.json`.

## Read it

- *ours* and *peer* are medians over repeats that were taken in turn. *ratio* is ours to peer, with the quartiles over the repeats: they
  are the noise of this run. Where there is no peer, quartiles and target are in the unit of the figure.
- *target* is the bound that was set when the program was written, on an idle machine. MISSED is a finding, not an error: nothing hides it.
- A row counts only when the result of the work was checked in the same run. A wrong result fails the run.
- Load spoils times more than ratios, and short times most. Look at the load, and run the program alone before you believe a miss.

## The programs

| program | ours | peer |
|---|---|---|
| `kernels` | the row kernels: catch-up, gradient, statistics | a loop that gathers and scatters the same bytes |
| `step` | the core's own costs: bookkeeping of a row and of a step, two threads, memory, resums | the vector work alone; one thread; a small table |
| `path` | from the trainer to the applied row and the published record, sockets and shared memory | raw libzmq moving and reading the same parts |
| `publish` | a publication of 64 bands over 1 M rows, and its longest piece | - |
| `optimizer` | a step of exact sparse momentum | torch.optim: SGD with dense and sparse gradients, SparseAdam |
| `trainer` | a training loop with our calls in it, C and PyTorch | the same loop without them, and with itself |
| `soak` | a daemon's memory over a million steps, its idle cost, a restart | - |

## One run
"""


def page(results, opening, head, cells, counts):
    """Prints the page. cells(row): texts of a row of the table under head; counts: reached, missed, without a target."""
    rows = [row for p in results["programs"] for row in p["rows"]]
    print(ABOVE)
    print(f"{opening}. {len(rows)} rows, {sum(r['checked'] for r in rows)} checked. Of {counts[0] + counts[1]} targets {counts[0]} "
          f"were reached, {counts[1]} missed.")
    for p in results["programs"]:
        print(f"\n### {p['program']} ({p['seconds']:.0f} s)\n")
        if p["skipped"]:
            print(f"Skipped: {p['skipped']}.")
            continue
        print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
        for row in p["rows"]:
            print("| " + " | ".join(c.replace("|", "\\|") for c in cells(row)) + " |")
        for why in p["failed"]:
            print(f"\nFAILED: {why}")

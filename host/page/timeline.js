/* timeline.js - the verdicts of all bands from step to step, as a strip */

/* What each band was, step by step: runs of one verdict as bars. */
function drawTimeline() {
    const table = store.table;
    if (!table || !numbersOf(table).length) {
        redraw("timeline", "none", () => []);
        return;
    }
    const bands = numbersOf(table),
        W = Math.max(280, at("charts").clientWidth - 40),
        row = 16,
        left = 34,
        steps = table.series.whole.step;
    redraw("timeline", JSON.stringify([table.name, table.record.step, W]), () => {
        const first = Math.min(...bands.map((b) => table.series.band[b].step[0])),
            last = Math.max(...bands.map((b) => table.series.band[b].step.at(-1)), first + 1);
        const x = (v) => left + ((v - first) / (last - first)) * (W - left - 2),
            H = bands.length * row + 24,
            used = new Set(),
            now = new Set(table.bands.map((b) => b.record.band));
        const g = s("svg", {
            viewBox: `0 0 ${W} ${H}`,
            role: "img",
            "aria-label": `Verdicts of ${bands.length} bands from step ${whole(first)} to ${whole(last)}`,
        });
        bands.forEach((b, i) => {
            const { step, regime } = table.series.band[b];
            g.append(
                s(
                    "g",
                    { class: "axis" },
                    s("text", { x: left - 8, y: i * row + 12, "text-anchor": "end" }, String(b)),
                ),
            );
            for (let k = 0; k < step.length;) {
                let e = k;
                while (e < step.length && regime[e] === regime[k]) e++;
                const name = REGIMES[regime[k]] || "unknown",
                    until = e < step.length ? step[e] : now.has(b) ? last : step.at(-1);
                used.add(name);
                g.append(
                    s(
                        "rect",
                        {
                            class: `fill-${name}`,
                            x: x(step[k]),
                            y: i * row + 2,
                            width: Math.max(1, x(until) - x(step[k])),
                            height: row - 4,
                        },
                        s("title", {}, `band ${b}, from step ${whole(step[k])}: ${name}`),
                    ),
                );
                k = e;
            }
        });
        g.append(
            s(
                "g",
                { class: "axis" },
                s("text", { x: left, y: H - 4 }, `step ${whole(first)}`),
                s("text", { x: W - 2, y: H - 4, "text-anchor": "end" }, whole(last)),
            ),
        );
        return [
            h("h3", {}, "What each band was, step by step"),
            g,
            h(
                "div",
                { class: "key" },
                REGIMES.filter((r) => used.has(r)).map((r) =>
                    h("span", { title: REGIME_WORDS[r] }, regimeBadge(r)),
                ),
            ),
        ];
    });
}

/* counsel.js - what to change: the advice, what one beta costs, bounds, settings band by band */

function settingsTable(counsel, table) {
    const stage = counsel.stage,
        record = table.record;
    if (counsel.advised === "stay" || !stage.bands.length) return null;
    const same = stage.bands.every((b) => b.eta === stage.bands[0].eta && b.eps === stage.bands[0].eps);
    const rows = []; /* neighbours with the same setting are one line */
    for (const b of stage.bands) {
        const last = rows.at(-1);
        if (last && last.eta === b.eta && last.eps === b.eps) last.to = b.band;
        else rows.push({ ...b, to: b.band });
    }
    const name = (b) => (same ? "all" : b.to === b.band ? String(b.band) : `${b.band}–${b.to}`);
    return h(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": "Settings" },
        h(
            "table",
            {},
            h("caption", {}, "Settings in EMA form, now and advised"),
            h(
                "thead",
                {},
                h(
                    "tr",
                    {},
                    ["band", "eta now", "eta then", "beta now", "beta then"].map((x) =>
                        h("th", { scope: "col" }, x),
                    ),
                ),
            ),
            h(
                "tbody",
                {},
                rows.map((b) =>
                    h(
                        "tr",
                        {},
                        h("th", { scope: "row" }, name(b)),
                        h("td", {}, num(record.eta)),
                        h("td", {}, num(b.eta)),
                        h("td", {}, num(1 - record.eps, 5)),
                        h("td", {}, num(1 - b.eps, 5)),
                    ),
                ),
            ),
        ),
    );
}

function boundsTable(bounds) {
    if (!bounds || !bounds.bands || !bounds.bands.length) return null;
    return h(
        "div",
        { class: "card scroll", tabindex: 0, role: "region", "aria-label": "Bounds" },
        h(
            "table",
            {},
            h("caption", {}, "What no setting can do, at the present eta"),
            h(
                "thead",
                {},
                h(
                    "tr",
                    {},
                    ["band", "momentum at most", "critical batch", "noise scale"].map((x) =>
                        h("th", { scope: "col" }, x),
                    ),
                ),
            ),
            h(
                "tbody",
                {},
                bounds.bands.map((b) =>
                    h(
                        "tr",
                        {},
                        h("th", { scope: "row" }, String(b.band)),
                        h("td", {}, known(b.momentum_at_most) ? `${num(b.momentum_at_most)} × SGD` : "–"),
                        h("td", {}, known(b.batch_critical) ? num(b.batch_critical) : "–"),
                        h("td", {}, known(b.noise_scale) ? num(b.noise_scale) : "–"),
                    ),
                ),
            ),
        ),
    );
}

function drawCounsel() {
    const got = store.counsel,
        table = store.table;
    redraw("counsel", got && table ? `${table.name} ${got.step} ${got.pending}` : `none ${!!table}`, () => {
        if (!table) return h("p", {}, "No table yet.");
        if (!got || got.pending)
            return h(
                "div",
                { class: "card" },
                h("p", {}, "The advice is being computed: it searches settings by the exact maps."),
            );
        const lines = got.said
                .split("\n")
                .map((x) => x.trim())
                .filter(Boolean),
            lead = lines.find((x) => /^(advice|no advice)/.test(x)) || lines[0],
            c = got.counsel;
        const left = lines.find((x) => x.startsWith("by then")),
            rest = lines.filter((x) => x !== lead && x !== left);
        return [
            h(
                "div",
                { class: "card advice" },
                h("p", { class: "lead" }, lead.charAt(0).toUpperCase() + lead.slice(1)),
                left ? h("p", {}, left.charAt(0).toUpperCase() + left.slice(1)) : null,
                settingsTable(c, table),
                h(
                    "p",
                    {},
                    h(
                        "small",
                        {},
                        `Computed from the records of step ${whole(got.step)}. momentscope advise --explain shows the arithmetic.`,
                    ),
                ),
            ),
            rest.length
                ? h(
                      "div",
                      { class: "card" },
                      h("h3", {}, c.possible ? "What one beta costs, and bounds" : "Why"),
                      h(
                          "ul",
                          {},
                          rest.map((x) => h("li", {}, x.charAt(0).toUpperCase() + x.slice(1))),
                      ),
                  )
                : null,
            boundsTable(c.bounds),
        ];
    });
}

/* bands.js - the arithmetic of one band, and all bands as a table */

/* The band to explain first: one that alarms, else the one with the most updates. */
function defaultBand(table) {
    const worst = (b) =>
        ["unknown", "sgd-like", "resonant", "heavy-ball", "near-instability", "unstable"].indexOf(b.record.regime) >
        3;
    const list = table.bands.slice().sort((a, b) => worst(b) - worst(a) || b.record.updates - a.record.updates);
    return list.length ? list[0].record.band : null;
}

const sure = (x) => (x > 0.99 ? "over 99 % sure" : `${percent(x)} sure`);
function arithmeticRows(b, table) {
    const r = b.record,
        all = table.bands.reduce((sum, x) => sum + x.record.updates, 0),
        rows = [];
    const row = (name, value, formula) =>
        rows.push(
            h("dt", {}, name),
            h("dd", {}, value, formula ? [h("br"), h("span", { class: "formula" }, formula)] : null),
        );
    row("rows", `${whole(r.rows)}, with ${percent(all ? r.updates / all : NaN)} of all updates`);
    row("activity", `once in ${num(1 / r.p)} samples`, `P = ${num(r.P)} of the steps, at batch ${num(r.batch)}`);
    row(
        "memory",
        known(r.fade) ? `${num(r.retention)} updates` : `${num(r.retention)} updates, no gap seen yet`,
        known(r.fade)
            ? `1/fade = 1/${num(r.fade)}${r.burst > 1.05 ? `; rows come in bursts, ${num(r.burst)} × independent` : ""}`
            : "(P + Q eps)/eps",
    );
    row(
        "learning",
        known(r.learning) ? `${num(r.learning)} updates` : "not known",
        known(r.H1) ? `1/(eta H1) = 1/(${num(r.eta)} × ${num(r.H1)})` : r.h_source,
    );
    if (known(r.delta)) row("memory/learning", num(r.delta), "delta; no measure of stability");
    if (known(r.zeta)) row("zeta", num(r.zeta, 2), "below ½ it swings, above 2 like SGD");
    row(
        "H",
        known(r.H) ? `${num(r.H, 2)} ± ${num(r.H_se, 1)}` : "not known",
        known(r.H) && r.H > 0 ? `eta ${num(r.eta)} of at most ${num(r.eta / r.H)}` : null,
    );
    if (known(r.noise_share))
        row("holds", `${percent(r.curvature_share)} of the curvature, ${percent(r.noise_share)} of the noise`);
    row(
        "V",
        num(r.V),
        known(r.growth)
            ? `${r.growth < 0 ? "falls" : "grows"} by ${num(Math.abs(r.growth), 2)} of itself a step${r.growing ? ", beyond what it has been" : ""}`
            : null,
    );
    if (known(r.R)) row("R", num(r.R), r.r_source);
    if (b.acf_why) row("autocorrelation", b.acf_why);
    const named = table.rows.filter((x) => x.band === r.band);
    if (named.length) row("rows to look at", named.map((x) => `row ${x.row} (${x.as})`).join(", "));
    return rows;
}

function drawArithmetic() {
    const table = store.table;
    if (table && (store.band === null || !table.bands.some((b) => b.record.band === store.band))) {
        store.band = defaultBand(table);
        pinned = false;
    }
    const b = table && table.bands.find((x) => x.record.band === store.band);
    redraw(
        "arithmetic",
        b ? `${table.name} ${b.record.band} ${b.record.step} ${b.record.seq}` : `none ${!!table}`,
        () =>
            !b
                ? h("p", {}, "No band yet.")
                : [
                      h(
                          "h3",
                          {},
                          `Band ${b.record.band}`,
                          regimeBadge(b.record.regime),
                          b.record.confidence > 0
                              ? h("span", { class: "badge ink-unknown" }, sure(b.record.confidence))
                              : null,
                      ),
                      h("p", {}, b.record.why),
                      h("dl", {}, arithmeticRows(b, table)),
                  ],
    );
}

/* A line of the last points; on a logarithmic scale where all are positive and it spans much. */
function spark(values, label, W = 92, H = 24) {
    const points = values.map((v, i) => [i, v]).filter(([, v]) => known(v));
    if (points.length < 2) return h("span", {}, "");
    const log = points.every(([, v]) => v > 0),
        f = log ? Math.log : (v) => v,
        ys = points.map(([, v]) => f(v));
    const low = Math.min(...ys),
        high = Math.max(...ys),
        x = (i) => 2 + (i / (values.length - 1)) * (W - 8),
        y = (v) => (high > low ? H - 3 - ((v - low) / (high - low)) * (H - 6) : H / 2);
    const thin = Math.max(1, Math.floor(points.length / 60)),
        kept = points.filter((_, i) => i % thin === 0 || i === points.length - 1);
    return s(
        "svg",
        { class: "spark", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label },
        s("path", {
            d: kept.map(([i, v], k) => `${k ? "L" : "M"}${x(i).toFixed(1)} ${y(f(v)).toFixed(1)}`).join(""),
        }),
        s("circle", { cx: x(kept.at(-1)[0]), cy: y(f(kept.at(-1)[1])), r: 2.2 }),
    );
}

function drawBands() {
    const table = store.table;
    redraw(
        "bands",
        table ? `${table.name} ${table.record.step} ${table.bands.map((b) => b.record.seq).join()}` : "none",
        () =>
            !table
                ? []
                : [
                      h("caption", {}, "All bands, frequent rows first. Lines show the whole run."),
                      h(
                          "thead",
                          {},
                          h(
                              "tr",
                              {},
                              [
                                  "band",
                                  "verdict",
                                  "rows",
                                  "p",
                                  "active steps",
                                  "zeta",
                                  "H",
                                  "V",
                                  "V over time",
                                  "H over time",
                              ].map((x) => h("th", { scope: "col", class: x === "verdict" ? "left" : null }, x)),
                              h("th", { scope: "col", class: "text" }, "in words"),
                          ),
                      ),
                      h(
                          "tbody",
                          {},
                          table.bands.map((b) => {
                              const r = b.record,
                                  series = table.series.band[r.band] || { V: [], H: [] };
                              return h(
                                  "tr",
                                  { "data-band": r.band },
                                  h(
                                      "th",
                                      { scope: "row" },
                                      h(
                                          "button",
                                          {
                                              type: "button",
                                              class: "band-pick",
                                              "data-key": `pick-${r.band}`,
                                              "aria-label": `Explain band ${r.band}`,
                                              onclick: () => {
                                                  pick(r.band, true);
                                                  at("arithmetic").scrollIntoView({ block: "nearest" });
                                              },
                                          },
                                          String(r.band),
                                      ),
                                  ),
                                  h("td", { class: "left" }, regimeBadge(r.regime)),
                                  h("td", {}, whole(r.rows)),
                                  h("td", {}, num(r.p, 2)),
                                  h("td", {}, percent(r.P)),
                                  h("td", {}, known(r.zeta) ? num(r.zeta, 2) : "–"),
                                  h("td", {}, known(r.H) ? num(r.H, 2) : "–"),
                                  h("td", {}, known(r.V) ? num(r.V) : "–"),
                                  h("td", {}, spark(series.V, `V of band ${r.band}`)),
                                  h("td", {}, spark(series.H, `H of band ${r.band}`)),
                                  h("td", { class: "text" }, r.why),
                              );
                          }),
                      ),
                  ],
    );
    for (const row of at("bands").querySelectorAll("tbody tr"))
        row.classList.toggle("chosen", Number(row.dataset.band) === store.band);
}

/* charts.js - how numbers moved: charts over steps or time with all bands, or one a band */

const QUANTITIES = [
    { key: "V", title: "V, momentum", say: "sum over the band's rows of |m|²" },
    { key: "H", title: "H, eta over its limit", say: "unstable above 1", line: 1 },
    { key: "R", title: "R, distance to the reference", say: "sum over the rows of |theta - theta*|²" },
    { key: "noise", title: "Noise scale", say: "batch at which noise of the gradient equals it" },
    { key: "zeta", title: "zeta, damping", say: "below ½ it swings, above 2 momentum changes nothing", line: 1 },
    { key: "x", title: "eta H1", say: "share of its error that a row loses in one update" },
];
const view = {
    time: false,
    log: true,
    byBand: false,
    hidden: new Set(),
    quantity: "V",
    charts: [],
    built: "",
    zoom: null,
};

const numbersOf = (table) =>
    Object.keys(table.series.band)
        .map(Number)
        .sort((a, b) => a - b);
/* A line needs two steps, of all bands together. */
const hasAny = (table, key) => {
    const steps = new Set();
    return numbersOf(table).some((b) =>
        table.series.band[b][key].some((v, i) => known(v) && steps.add(table.series.band[b].step[i]).size > 1),
    );
};

/* All bands over one axis: undefined where a band has no point, null where its value is not known. */
function align(table, key, bands) {
    const axis = view.time ? "at" : "step",
        xs = new Set();
    for (const b of bands)
        for (const x of table.series.band[b][axis]) if (x || !view.time) xs.add(x); /* the past has no clock */
    const x = [...xs].sort((a, b) => a - b),
        place = new Map(x.map((v, i) => [v, i]));
    return [
        x,
        ...bands.map((b) => {
            const out = new Array(x.length),
                from = table.series.band[b];
            from[axis].forEach((v, i) => {
                if (!place.has(v)) return;
                const y = from[key][i];
                out[place.get(v)] = known(y) && (!view.log || y > 0) ? y : null;
            });
            return out;
        }),
    ];
}

/* Room around the values, and at least half a decade of it: a scale without extent has no ticks. */
function logRange(u, low, high) {
    if (!(low > 0) || !(high > 0)) return [0.1, 10];
    const b = Math.log10(high),
        a = Math.max(Math.log10(low), b - 9),
        pad = Math.max(0.25 - (b - a) / 2, 0.06 * (b - a), 0.02);
    return [10 ** (a - pad), 10 ** (b + pad)];
}

/* Powers of ten, thinned out over many decades, with 2 and 5 between over few. */
function logTicks(u) {
    const a = Math.log10(u.scales.y.min),
        b = Math.log10(u.scales.y.max),
        by = Math.max(1, Math.ceil((b - a) / 6)),
        out = [];
    for (let k = Math.floor(a / by) * by; k <= b; k += by)
        for (const m of b - a < 2.6 ? (b - a < 0.8 ? [1, 1.5, 2, 3, 4, 5, 6, 8] : [1, 2, 5]) : [1])
            if (k + Math.log10(m) >= a && k + Math.log10(m) <= b) out.push(m * 10 ** k);
    return out;
}

function chartOptions(q, bands, width, read) {
    const style = getComputedStyle(document.documentElement),
        soft = style.getPropertyValue("--soft").trim(),
        grid = style.getPropertyValue("--line").trim();
    const font = "12px system-ui, sans-serif",
        axis = { stroke: soft, font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 5 } };
    return {
        width,
        height: 220,
        legend: { show: false },
        cursor: {
            sync: { key: "momentscope" },
            drag: { x: true, y: false },
            focus: { prox: 24 },
            points: { size: 6 },
        },
        focus: { alpha: 0.25 },
        scales: {
            x: { time: view.time },
            y: view.log
                ? { distr: 3, log: 10, range: logRange }
                : { range: (u, low, high) => [Math.min(low ?? 0, 0), high > 0 ? high * 1.05 : 1] },
        },
        axes: [
            { ...axis, size: 30, values: view.time ? undefined : (u, v) => v.map(short), space: 70 },
            {
                ...axis,
                size: 58,
                values: (u, v) => v.map(short),
                ...(view.log ? { splits: logTicks, filter: (u, v) => v } : {}),
            },
        ],
        series: [
            {},
            ...bands.map((b, i) => ({
                label: `band ${b}`,
                stroke: bandColour(i, bands.length),
                width: b === store.band ? 3 : 1.5,
                spanGaps: false,
                show: !view.hidden.has(b),
                points: { show: false },
            })),
        ],
        hooks: {
            setCursor: [
                (u) => {
                    const i = u.cursor.idx,
                        shown = u.series.findIndex((x, k) => k > 0 && x._focus && u.series.length > 2),
                        k = shown > 0 ? shown : bands.indexOf(store.band) + 1;
                    if (i === null || i === undefined || k < 1) {
                        read.textContent = q.say;
                        return;
                    }
                    let j = i;
                    while (j > 0 && !known(u.data[k][j])) j--;
                    read.textContent = `band ${bands[k - 1]}: ${num(u.data[k][j])} at ${view.time ? clock(u.data[0][j]) : `step ${whole(u.data[0][j])}`}`;
                },
            ],
            setScale: [
                (u, key) => {
                    if (key === "x" && !view.setting) zoomAll(u);
                },
            ],
            draw: q.line
                ? [
                      (u) => {
                          const y = u.valToPos(q.line, "y", true);
                          if (y < u.bbox.top || y > u.bbox.top + u.bbox.height) return;
                          u.ctx.save();
                          u.ctx.strokeStyle = "#c2184b";
                          u.ctx.setLineDash([3, 5]);
                          u.ctx.lineWidth = 2;
                          u.ctx.beginPath();
                          u.ctx.moveTo(u.bbox.left, y);
                          u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
                          u.ctx.stroke();
                          u.ctx.restore();
                      },
                  ]
                : [],
        },
    };
}

/* All charts show the same stretch. Without a zoom they follow the run. */
function zoomAll(from) {
    const { min, max } = from.scales.x,
        x = from.data[0];
    const next = min <= x[0] && max >= x.at(-1) ? null : { min, max };
    if (JSON.stringify(next) === JSON.stringify(view.zoom)) return;
    view.zoom = next;
    setZoom();
}
function setZoom() {
    view.setting = true;
    for (const c of view.charts) {
        const x = c.plot.data[0];
        if (x.length > 1) c.plot.setScale("x", view.zoom || { min: x[0], max: x.at(-1) });
    }
    view.setting = false;
}
function zoomBy(factor) {
    const c = view.charts[0];
    if (!c) return;
    const x = c.plot.data[0],
        { min, max } = view.zoom || { min: x[0], max: x.at(-1) },
        mid = factor < 1 ? max - ((max - min) * factor) / 2 : (min + max) / 2,
        half = ((max - min) / 2) * factor;
    const next = { min: Math.max(x[0], mid - half), max: Math.min(x.at(-1), mid + half) };
    view.zoom = next.min <= x[0] && next.max >= x.at(-1) ? null : next;
    setZoom();
}

function buildCharts(table) {
    const node = at("charts");
    for (const c of view.charts) c.plot.destroy();
    view.charts = [];
    node.classList.toggle("by-band", view.byBand);
    if (typeof uPlot === "undefined" && !view.byBand) {
        node.replaceChildren(
            h(
                "div",
                { class: "card" },
                h(
                    "p",
                    {},
                    "This program was built without npm, so the chart library uPlot is missing and charts over time are left out. “By band” below and the table above draw without it.",
                ),
            ),
        );
        return;
    }
    if (view.byBand) return;
    const bands = numbersOf(table),
        absent = [];
    node.replaceChildren();
    const shown = [];
    for (const q of QUANTITIES) {
        if (!hasAny(table, q.key)) {
            absent.push(q);
            continue;
        }
        const read = h("span", { class: "read" }, q.say),
            holder = h("div", { class: "holder" });
        node.append(h("div", { class: "card chart" }, h("h3", {}, h("span", {}, q.title), read), holder));
        shown.push({ q, read, holder });
    }
    for (const q of absent)
        node.append(
            h(
                "div",
                { class: "card chart" },
                h("h3", {}, q.title),
                h("p", { class: "absent" }, whyAbsent(q, table)),
            ),
        );
    for (const { q, read, holder } of shown) {
        /* widths are right once all cards are there */
        holder.setAttribute("role", "img");
        holder.setAttribute(
            "aria-label",
            `${q.title} of ${bands.length} bands, ${q.say}. The table of bands has the latest numbers.`,
        );
        const data = align(table, q.key, bands),
            plot = new uPlot(chartOptions(q, bands, Math.max(240, holder.clientWidth), read), data, holder);
        view.charts.push({ q, plot, holder, bands });
    }
    if (view.zoom) setZoom();
}

function whyAbsent(q, table) {
    const b = table.bands[0] && table.bands[0].record;
    if (numbersOf(table).some((n) => table.series.band[n][q.key].some(known)))
        return "One point so far: lines begin with the next record.";
    if (q.key === "R" && b)
        return `Not known. ${b.r_source.startsWith("none: ") ? `There is no reference: ${b.r_source.slice(6)}.` : b.r_source}`;
    if (q.key === "noise")
        return "Not known: gradients of one row in one batch do not agree beyond their scatter yet.";
    return b ? `Not known: ${b.h_source.replace(/^none: /, "")}.` : "Not known.";
}

function drawByBand(table) {
    const q = QUANTITIES.find((x) => x.key === view.quantity),
        bands = numbersOf(table).filter((b) => !view.hidden.has(b));
    at("charts").replaceChildren(
        ...bands.map((b) => {
            const v = table.series.band[b][q.key],
                last = v.filter(known).at(-1);
            return h(
                "div",
                { class: "card small" },
                h(
                    "h3",
                    {},
                    h("span", {}, `Band ${b} `),
                    h("span", { class: "read" }, known(last) ? num(last) : "not known"),
                ),
                spark(v, `${q.title} of band ${b}`, 220, 74),
            );
        }),
    );
}

function drawCharts() {
    const table = store.table;
    drawControls();
    if (!table || !numbersOf(table).length) {
        redraw("charts", "none", () => h("p", {}, "Nothing has moved yet."));
        view.built = "";
        return;
    }
    const theme = document.documentElement.dataset.theme,
        chosen = JSON.stringify([view.time, view.log, view.byBand, view.quantity, theme, [...view.hidden], store.band]);
    if (view.built && view.table === table && view.chosen === chosen) return; /* nothing is new */
    Object.assign(view, { table, chosen });
    drawn.delete("charts");
    drawChips(table);
    const bands = numbersOf(table),
        shown = QUANTITIES.filter((q) => hasAny(table, q.key))
            .map((q) => q.key)
            .join();
    const key = JSON.stringify([
        table.name,
        store.source,
        bands,
        shown,
        view.time,
        view.log,
        view.byBand,
        view.quantity,
        document.documentElement.dataset.theme,
        [...view.hidden],
    ]);
    if (key !== view.built) {
        view.built = key;
        buildCharts(table);
        if (view.byBand) drawByBand(table);
        return;
    }
    if (view.byBand) {
        drawByBand(table);
        return;
    }
    for (const c of view.charts) {
        view.setting = true;
        c.plot.setData(align(table, c.q.key, c.bands), !view.zoom);
        view.setting = false;
        c.bands.forEach((b, i) => {
            const w = b === store.band ? 3 : 1.5;
            if (c.plot.series[i + 1].width !== w) {
                c.plot.series[i + 1].width = w;
                c.plot.redraw(false);
            }
        });
    }
}

function drawControls() {
    redraw("chart-controls", JSON.stringify([view.time, view.log, view.byBand, view.quantity]), () => {
        const toggle = (text, name, title) =>
            h(
                "button",
                {
                    type: "button",
                    "aria-pressed": String(view[name]),
                    "data-key": `view-${name}`,
                    title,
                    onclick: () => {
                        view[name] = !view[name];
                        if (name === "time") view.zoom = null;
                        draw();
                    },
                },
                text,
            );
        return [
            toggle("log", "log", "logarithmic scale"),
            toggle("clock", "time", "over the time of day instead of steps"),
            toggle("by band", "byBand", "one small chart a band"),
            view.byBand
                ? h(
                      "select",
                      {
                          "aria-label": "Quantity",
                          "data-key": "quantity",
                          onchange: (e) => {
                              view.quantity = e.target.value;
                              draw();
                          },
                      },
                      QUANTITIES.map((q) =>
                          h("option", { value: q.key, selected: q.key === view.quantity }, q.title),
                      ),
                  )
                : [
                      h("button", { type: "button", "aria-label": "Zoom in", onclick: () => zoomBy(0.5) }, "+"),
                      h("button", { type: "button", "aria-label": "Zoom out", onclick: () => zoomBy(2) }, "−"),
                      h(
                          "button",
                          {
                              type: "button",
                              onclick: () => {
                                  view.zoom = null;
                                  setZoom();
                              },
                          },
                          "whole run",
                      ),
                  ],
        ];
    });
}

function drawChips(table) {
    const bands = numbersOf(table);
    redraw("chips", JSON.stringify([bands, [...view.hidden], document.documentElement.dataset.theme]), () =>
        bands.map((b, i) => {
            const mark = h("i");
            mark.style.background = bandColour(i, bands.length);
            return h(
                "button",
                {
                    type: "button",
                    "aria-pressed": String(!view.hidden.has(b)),
                    "aria-label": `Band ${b}`,
                    "data-key": `chip-${b}`,
                    onclick: () => {
                        if (!view.hidden.delete(b)) view.hidden.add(b);
                        draw();
                    },
                },
                mark,
                String(b),
            );
        }),
    );
}

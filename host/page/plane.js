/* plane.js - the bands as dots in the plane of p and eta H1; the geometry is that of host/monitor/plane.c */

const PLANE = { left: 64, right: 18, top: 14, bottom: 50, trail: 60 };

function planeDots(table) {
    return table.bands
        .map((b) => ({ band: b.record.band, p: b.record.p, x: b.record.eta * b.record.H1, r: b.record, acf: b }))
        .filter((d) => d.p > 0 && d.x > 0);
}

function planeRange(dots) {
    const lp = dots.map((d) => Math.log10(d.p)),
        lx = dots.map((d) => Math.log10(d.x)),
        top = Math.max(...lx);
    const limits = dots
        .filter((d) => d.r.H > 0)
        .map((d) => Math.log10(d.x / d.r.H))
        .filter((y) => y < top + 1.6);
    return {
        x0: Math.min(...lp) - 0.3,
        x1: Math.max(...lp) + 0.3,
        y0: Math.min(Math.min(...lx) - 0.6, -2.5),
        y1: Math.max(top + 0.6, -0.5, ...limits.map((y) => y + 0.25)),
    };
}

function decades(low, high, most) {
    const by = Math.max(1, Math.ceil((high - low) / most)),
        out = [];
    for (let k = Math.ceil(low / by) * by; k <= high; k += by) out.push(k);
    return out;
}

function planeAxes(g, X, Y, W, H, r) {
    const power = (k) => (k >= -3 && k <= 3 ? String(10 ** k) : `1e${k}`);
    const out = s("g", { class: "axis" });
    for (const k of decades(r.x0, r.x1, 7))
        out.append(
            s("line", { class: "grid", x1: X(k), x2: X(k), y1: PLANE.top, y2: H - PLANE.bottom }),
            s("text", { x: X(k), y: H - PLANE.bottom + 17, "text-anchor": "middle" }, power(k)),
        );
    for (const k of decades(r.y0, r.y1, 6))
        out.append(
            s("line", { class: "grid", x1: PLANE.left, x2: W - PLANE.right, y1: Y(k), y2: Y(k) }),
            s("text", { x: PLANE.left - 8, y: Y(k) + 4, "text-anchor": "end" }, power(k)),
        );
    const narrow = W < 560;
    out.append(
        s(
            "text",
            { x: (PLANE.left + W - PLANE.right) / 2, y: H - 10, "text-anchor": "middle" },
            narrow
                ? "p: rare rows left, frequent right"
                : "p, occurrences per sample: rare rows left, frequent rows right",
        ),
        s(
            "text",
            {
                transform: `translate(15 ${(PLANE.top + H - PLANE.bottom) / 2}) rotate(-90)`,
                "text-anchor": "middle",
            },
            narrow || H < 400 ? "eta H1" : "eta H1: share of its error a row loses in one update",
        ),
    );
    g.append(out);
}

/* The regions: what lies above the border of zeta 2, and above that of zeta 1/2. */
function planeRegions(g, plane, X, Y, W, H) {
    const y1 = PLANE.top,
        y0 = H - PLANE.bottom,
        clip = s("g", { "clip-path": "url(#plane-clip)" });
    clip.append(
        s("rect", {
            class: "region-sgd",
            x: PLANE.left,
            y: y1,
            width: W - PLANE.left - PLANE.right,
            height: y0 - y1,
        }),
    );
    const path = (v) =>
        plane.p
            .map((p, i) => `${i ? "L" : "M"}${X(Math.log10(p)).toFixed(1)} ${Y(Math.log10(v[i])).toFixed(1)}`)
            .join("");
    for (const [name, v] of [
        ["resonant", plane.zeta2],
        ["heavy", plane.zeta_half],
    ]) {
        const line = path(v);
        clip.append(
            s("path", {
                class: `region-${name}`,
                d: `${line}L${X(Math.log10(plane.p.at(-1)))} -99L${X(Math.log10(plane.p[0]))} -99Z`,
            }),
            s("path", { class: "border-line", d: line }),
        );
    }
    g.append(clip);
}

/* Each region is named where the name lies inside it and no dot or other name is near; else not at all. */
function planeNames(g, plane, dots, X, Y, W, H, r, taken) {
    const says = {
        heavy: ["heavy ball", "swings past the target"],
        resonant: ["resonant", "memory and learning keep pace"],
        sgd: ["like SGD", "momentum has faded"],
    };
    const border = (v, lp) => {
        let i = 0;
        while (i < plane.p.length - 2 && Math.log10(plane.p[i + 1]) < lp) i++;
        const a = Math.log10(plane.p[i]),
            b = Math.log10(plane.p[i + 1]),
            f = (lp - a) / (b - a);
        return Math.log10(v[i]) + f * (Math.log10(v[i + 1]) - Math.log10(v[i]));
    };
    const top = (name, lp) =>
        Math.max(
            PLANE.top,
            name === "heavy" ? -1e9 : Y(border(name === "resonant" ? plane.zeta_half : plane.zeta2, lp)),
        );
    const low = (name, lp) =>
        Math.min(
            H - PLANE.bottom,
            name === "sgd" ? 1e9 : Y(border(name === "heavy" ? plane.zeta_half : plane.zeta2, lp)),
        );
    const back = (x) => r.x0 + ((x - PLANE.left) / (W - PLANE.left - PLANE.right)) * (r.x1 - r.x0);
    const marks = taken.concat(
        dots.flatMap((d) => [
            [X(Math.log10(d.p)), Y(Math.log10(d.x))],
            [X(Math.log10(d.p)), Y(Math.log10(d.x)) - 24],
        ]),
    );
    for (const name of ["heavy", "resonant", "sgd"]) {
        for (const lines of W < 560 ? [1] : [2, 1]) {
            const half = 4 + 3.3 * Math.max(...says[name].slice(0, lines).map((t) => t.length)),
                tall = 9 * lines;
            let best = null;
            for (let x = PLANE.left + half + 4; x < W - PLANE.right - half; x += 18) {
                const across = [-1, 0, 1].map((k) => back(x + k * half)),
                    ceiling = Math.max(...across.map((lp) => top(name, lp))),
                    floor = Math.min(...across.map((lp) => low(name, lp)));
                for (let y = PLANE.top + tall + 6; y < H - PLANE.bottom - tall - 4; y += 12) {
                    const inside = Math.min(y - tall - ceiling, floor - y - tall);
                    if (inside <= 2 || (best && inside <= best.score)) continue;
                    const room = Math.min(
                        ...marks.map(([mx, my]) =>
                            Math.hypot(Math.max(0, Math.abs(mx - x) - half), Math.max(0, Math.abs(my - y) - tall)),
                        ),
                    );
                    const score = Math.min(inside, room - 12, 40);
                    if (score > 0 && (!best || score > best.score)) best = { score, x, y };
                }
            }
            if (!best) continue;
            for (let i = 0; i < lines; i++) {
                g.append(
                    s(
                        "text",
                        {
                            class: `${i ? "region-say" : "region-name"} name-${name}`,
                            x: best.x,
                            y: best.y + (lines > 1 ? 15 * i - 2 : 4),
                            "text-anchor": "middle",
                        },
                        says[name][i],
                    ),
                );
                marks.push([best.x - half, best.y], [best.x, best.y], [best.x + half, best.y]);
            }
            break;
        }
    }
}

/* Where memory and learning take equally long, eta H1 = fade; and how far eta H1 may rise, (eta H1)/H, band by band. */
function planeLines(g, dots, X, Y, W) {
    const clip = s("g", { "clip-path": "url(#plane-clip)" });
    const sorted = dots.slice().sort((a, b) => a.p - b.p),
        taken = [];
    const mark = (points) => {
        for (const [p, v] of points) taken.push([X(Math.log10(p)), Y(Math.log10(v))]);
    };
    const line = (points, css, name) => {
        if (points.length < 2) return;
        mark(points);
        clip.append(
            s("path", {
                class: css,
                d: points.map(([p, v], i) => `${i ? "L" : "M"}${X(Math.log10(p))} ${Y(Math.log10(v))}`).join(""),
            }),
        );
        /* the name stands at the end that is farther from the dots */
        const ends = [points[0], points.at(-1)].map(([p, v], i) => ({
            x: X(Math.log10(p)) + (i ? 4 : 6),
            y: Y(Math.log10(v)) - 7,
            i,
            reach: (i ? -1 : 1) * name.length * 3,
        }));
        for (const e of ends)
            e.room = Math.min(
                ...dots.map((d) => Math.hypot((X(Math.log10(d.p)) - e.x - e.reach) / 2, Y(Math.log10(d.x)) - e.y)),
            );
        const e = ends[0].room + 1 >= ends[1].room || ends[0].room > 60 ? ends[0] : ends[1];
        taken.push([e.x, e.y], [e.x + e.reach, e.y], [e.x + 2 * e.reach, e.y]);
        clip.append(s("text", { class: "line-name", x: e.x, y: e.y, "text-anchor": e.i ? "end" : "start" }, name));
    };
    line(
        sorted.filter((d) => d.r.retention > 0).map((d) => [d.p, 1 / d.r.retention]),
        "resonance",
        W < 560 ? "delta = 1" : "resonance: memory = learning",
    );
    line(
        sorted.filter((d) => d.r.H > 0).map((d) => [d.p, d.x / d.r.H]),
        "limit-line",
        W < 560 ? "limit, H = 1" : "stability limit, H = 1: dots rise with eta",
    );
    g.append(clip);
    return taken;
}

function planeTrails(g, table, dots, X, Y) {
    const clip = s("g", { "clip-path": "url(#plane-clip)" });
    for (const d of dots) {
        const series = table.series.band[d.band];
        if (!series) continue;
        const n = series.p.length,
            from = Math.max(0, n - PLANE.trail),
            points = [];
        for (let i = from; i < n; i++)
            if (series.p[i] > 0 && series.x[i] > 0)
                points.push(`${X(Math.log10(series.p[i])).toFixed(1)} ${Y(Math.log10(series.x[i])).toFixed(1)}`);
        if (points.length > 1) clip.append(s("path", { class: "trail", d: `M${points.join("L")}` }));
    }
    g.append(clip);
}

function bandLabel(d) {
    return `Band ${d.band}: ${d.r.regime}, ${plural(d.r.rows, "row")}, p ${num(d.p, 2)}, eta H1 ${num(d.x, 2)}, H ${num(d.r.H, 2)}, zeta ${num(d.r.zeta, 2)}. ${d.r.why}`;
}

function planeDotMarks(g, dots, X, Y, W) {
    const size = Math.min(1, 0.35 + W / 1000);
    const most = Math.max(...dots.map((d) => d.r.updates), 1),
        order = dots.slice().sort((a, b) => b.r.updates - a.r.updates);
    for (const d of order) {
        const x = X(Math.log10(d.p)),
            y = Y(Math.log10(d.x)),
            radius = (4 + 12 * Math.sqrt(d.r.updates / most)) * size;
        const alarm = d.r.regime === "unstable" || d.r.regime === "near-instability";
        const spread = known(d.r.H1_se) && d.r.H1_se < d.r.H1 ? d.r.H1_se / d.r.H1 : null;
        g.append(
            s(
                "g",
                {
                    class: "dot",
                    id: `dot-${d.band}`,
                    role: "button",
                    tabindex: d.band === store.band ? 0 : -1,
                    "aria-pressed": String(d.band === store.band),
                    "data-band": d.band,
                    "aria-label": bandLabel(d),
                    onclick: () => pick(d.band, true),
                    onmouseenter: () => pick(d.band),
                    onfocus: () => pick(d.band),
                    onkeydown: (e) => step(e, dots),
                },
                spread
                    ? s("line", {
                          x1: x,
                          x2: x,
                          y1: Y(Math.log10(d.x * (1 - spread))),
                          y2: Y(Math.log10(d.x * (1 + spread))),
                          stroke: "currentColor",
                          "stroke-opacity": 0.45,
                      })
                    : null,
                alarm ? s("circle", { class: "alarm-ring", cx: x, cy: y, r: radius + 5 }) : null,
                s("circle", { class: `body fill-${d.r.regime}`, cx: x, cy: y, r: radius }),
                s("circle", { class: "halo", cx: x, cy: y, r: radius + 3 }),
                s("circle", { cx: x, cy: y, r: Math.max(radius, 13), fill: "transparent" }),
                s("text", { x, y: y - radius - 5 }, String(d.band)),
            ),
        );
    }
}

/* Arrows go from dot to dot in the order of activity. */
function step(event, dots) {
    const go = { ArrowRight: -1, ArrowUp: -1, ArrowLeft: 1, ArrowDown: 1 }[event.key];
    if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        pick(store.band, true);
        return;
    }
    if (!go) return;
    event.preventDefault();
    const order = dots.map((d) => d.band),
        to = order[Math.min(order.length - 1, Math.max(0, order.indexOf(store.band) + go))];
    pick(to, true);
    const dot = at(`dot-${to}`);
    if (dot) dot.focus();
}

function drawPlane() {
    const table = store.table,
        node = at("plane");
    const dots = table ? planeDots(table) : [];
    if (!dots.length || !table.plane) {
        redraw("plane", `empty ${store.name} ${!!table}`, () =>
            h("p", {}, table ? `No band has both a rate and a curvature yet: ${whyNone(table)}.` : "No table yet."),
        );
        redraw("plane-caption", "", () => []);
        return;
    }
    const W = Math.max(300, Math.round(node.clientWidth) || 900),
        H = Math.round(Math.min(Math.max(W * 0.66, 330), 860));
    const key = JSON.stringify([
        W,
        table.record.step,
        table.name,
        document.documentElement.dataset.theme,
        dots.map((d) => [d.band, d.r.regime]),
    ]);
    redraw("plane", key, () => {
        const r = planeRange(dots);
        const X = (lp) => PLANE.left + ((lp - r.x0) / (r.x1 - r.x0)) * (W - PLANE.left - PLANE.right);
        const Y = (ly) => H - PLANE.bottom - ((ly - r.y0) / (r.y1 - r.y0)) * (H - PLANE.bottom - PLANE.top);
        const g = s(
            "svg",
            {
                viewBox: `0 0 ${W} ${H}`,
                width: W,
                height: H,
                role: "group",
                "aria-label":
                    "Bands in the plane of activity p and eta H1. Arrow keys go from band to band; the table below has the same numbers.",
            },
            s(
                "clipPath",
                { id: "plane-clip" },
                s("rect", {
                    x: PLANE.left,
                    y: PLANE.top,
                    width: W - PLANE.left - PLANE.right,
                    height: H - PLANE.top - PLANE.bottom,
                }),
            ),
        );
        planeRegions(g, table.plane, X, Y, W, H);
        planeAxes(g, X, Y, W, H, r);
        g.append(
            s("rect", {
                class: "frame",
                x: PLANE.left,
                y: PLANE.top,
                width: W - PLANE.left - PLANE.right,
                height: H - PLANE.top - PLANE.bottom,
            }),
        );
        planeNames(g, table.plane, dots, X, Y, W, H, r, planeLines(g, dots, X, Y, W));
        planeTrails(g, table, dots, X, Y);
        planeDotMarks(g, dots, X, Y, W);
        return g;
    });
    for (const dot of node.querySelectorAll(".dot")) {
        const chosen = Number(dot.dataset.band) === store.band;
        dot.setAttribute("aria-pressed", String(chosen));
        dot.setAttribute("tabindex", chosen ? "0" : "-1");
    }
    redraw("plane-caption", table.name, () =>
        h(
            "span",
            {},
            "One dot a band of rows, with its number; the larger, the more updates it received. Behind it the path of its last positions. A ring marks a band that holds the limit.",
        ),
    );
}

function whyNone(table) {
    const b = table.bands.find((x) => x.record.h_source.startsWith("none: "));
    return b ? b.record.h_source.slice(6) : "nothing has moved";
}

let pinned = false;
function pick(band, keep) {
    if (keep) pinned = true;
    else if (pinned && store.band !== null && band !== store.band && !keep) {
        pinned = false;
    }
    if (store.band === band) return;
    store.band = band;
    draw();
}

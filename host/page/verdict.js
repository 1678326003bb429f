/* verdict.js - is anything wrong: one sentence, since when, which rows; and what happened */

function limitGauge(table) {
    const r = table && table.stability;
    if (!r || !known(r.H_burst)) return null;
    const W = 460,
        x = (v) => 8 + (Math.min(v, 1.5) / 1.5) * (W - 16),
        se = r.H_se || 0;
    return h(
        "div",
        { class: "limit" },
        s(
            "svg",
            {
                viewBox: `0 0 ${W} 50`,
                preserveAspectRatio: "xMinYMid",
                role: "img",
                "aria-label": `eta over its limit: ${num(r.H_burst)} plus or minus ${num(se, 1)}; unstable above 1`,
            },
            s("rect", { x: 8, y: 18, width: x(0.8) - 8, height: 10, rx: 5, fill: "#009e73", "fill-opacity": 0.3 }),
            s("rect", { x: x(0.8), y: 18, width: x(1) - x(0.8), height: 10, fill: "#e07b00", "fill-opacity": 0.4 }),
            s("rect", {
                x: x(1),
                y: 18,
                width: x(1.5) - x(1),
                height: 10,
                rx: 5,
                fill: "#c2184b",
                "fill-opacity": 0.4,
            }),
            s("line", {
                x1: x(Math.max(0, r.H_burst - se)),
                x2: x(r.H_burst + se),
                y1: 23,
                y2: 23,
                stroke: "currentColor",
                "stroke-width": 3,
            }),
            s("circle", { cx: x(r.H_burst), cy: 23, r: 7, fill: "currentColor" }),
            s(
                "g",
                { class: "axis" },
                s("text", { x: 8, y: 44 }, "0"),
                s("text", { x: x(0.8), y: 44, "text-anchor": "middle" }, "0.8"),
                s("text", { x: x(1), y: 44, "text-anchor": "middle" }, "1: limit"),
                s(
                    "text",
                    { x: 8, y: 11 },
                    `eta over its limit, of all that moves together: H = ${num(r.H_burst, 2)} ± ${num(se, 1)}`,
                ),
            ),
        ),
    );
}

function lostSentence() {
    const x = sourceNow();
    if (report) return null;
    if (!store.state) return ["unknown", "Waiting for momentscope serve.", ""];
    if (!store.connected)
        return [
            "silent",
            "The server behind this page does not answer.",
            "What follows is the last that it said. The page tries again by itself.",
        ];
    if (x.state !== "live" && x.malformed > 0)
        return [
            "silent",
            "What the daemon sends cannot be read here.",
            `${plural(x.malformed, "record")} from ${x.where} did not fit: daemon and page are of different versions.`,
        ];
    if (x.state === "waiting")
        return ["unknown", "No daemon has been heard yet.", `Waiting for momentscoped at ${x.where}. ${x.trouble}`];
    if (x.state === "silent")
        return [
            "silent",
            `The daemon has not been heard for ${span(x.age)}.`,
            x.trouble !== ""
                ? `${x.where}: ${x.trouble}. What follows is its last word.`
                : `It was stopped, or is stuck: ${x.where}. What follows is its last word.`,
        ];
    if (x.tables.length === 0)
        return ["unknown", "The daemon runs, and no trainer has attached a table yet.", `Listening at ${x.where}.`];
    return null;
}

function facts(record) {
    if (!record) return null;
    const fact = (name, value) => h("span", {}, `${name} `, h("b", {}, value));
    return h(
        "div",
        { class: "facts-line" },
        fact("step", whole(record.step)),
        fact("eta", num(record.eta, 4)),
        fact("beta", known(record.eps) ? String(parseFloat((1 - record.eps).toPrecision(6))) : "not known"),
        fact("batch", num(record.batch)),
        fact("rows", `${whole(record.rows)} × ${whole(record.d)}`),
        fact("form", record.form),
        record.attached ? null : h("span", {}, "no trainer holds this table now"),
    );
}

function since(word) {
    if (!known(word.since_step)) return null;
    if (!word.since) return ` Since step ${whole(word.since_step)}.`;
    const now = report ? report.state.now : store.state.now;
    return ` Since step ${whole(word.since_step)}` + (report ? "." : `, ${span(now - word.since)} ago.`);
}

function drawVerdict() {
    const lost = lostSentence(),
        brief = briefNow(),
        word = brief && brief.word,
        node = at("verdict");
    const level = lost ? lost[0] : word ? word.level : "unknown";
    const record = store.table && store.table.record;
    node.dataset.level = level;
    document.title = `${lost ? "?" : LEVEL_SAYS[level]} · ${store.name || "momentscope"}`;
    const key = JSON.stringify([
        lost,
        word,
        record && record.step,
        record && record.attached,
        store.name,
        Math.floor(performance.now() / 15000),
    ]);
    redraw("verdict", key, () => [
        h(
            "p",
            { class: "say" },
            svgMark(level),
            h("span", {}, lost ? lost[1] : word ? `${sayName()}${word.sentence}.` : "No table yet."),
        ),
        h("p", { class: "why" }, lost ? lost[2] : word ? [word.why ? `${word.why}.` : "", since(word)] : ""),
        brief && brief.missing ? h("p", {}, `Incomplete: ${brief.missing}. Sums are unknown.`) : null,
        facts(record),
        lost && lost[0] === "unknown" ? null : limitGauge(store.table),
    ]);
}
const sayName = () => `Table ${store.name}: `;

function drawAlerts() {
    const list = store.alerts.slice(-60).reverse();
    redraw("alerts", list.length ? `${list[0].id}:${list.length}` : "none", () =>
        list.length === 0
            ? h(
                  "li",
                  {},
                  h("span"),
                  h(
                      "p",
                      {},
                      "Nothing yet. Alerts of the daemon and changes of the verdict stand here, and are kept.",
                  ),
              )
            : list.map((a) =>
                  h(
                      "li",
                      { class: `alert-${a.level}`, "data-id": a.id },
                      h(
                          "span",
                          { class: LEVELS.indexOf(a.level) > 2 ? "ink-near-instability" : "ink-unknown" },
                          svgMark(a.level),
                      ),
                      h(
                          "div",
                          {},
                          h("p", {}, h("b", {}, a.table || a.source), " ", a.text),
                          h(
                              "span",
                              { class: "when" },
                              [a.at ? clock(a.at) : null, a.step ? `step ${whole(a.step)}` : null, a.code]
                                  .filter(Boolean)
                                  .join(" · "),
                          ),
                      ),
                  ),
              ),
    );
}

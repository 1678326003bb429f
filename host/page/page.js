/* page.js - draws everything from the store; a frame at most every animation frame, nothing while hidden */

function drawTables() {
    const list = store.state ? store.state.sources.flatMap((x) => x.tables.map((t) => ({ x, t }))) : [];
    const several = store.state && store.state.sources.length > 1;
    redraw("tables", JSON.stringify([store.source, store.name, list.map(({ x, t }) => [x.name, t.name, t.word.level])]), () => list.length < 2 ? [] : list.map(({ x, t }) =>
        h("button", { type: "button", "aria-pressed": String(x.name === store.source && t.name === store.name), "aria-label": `Table ${t.name}${several ? ` of ${x.name}` : ""}: ${LEVEL_SAYS[t.word.level]}`,
            onclick: () => { select(x.name, t.name); fetching.at = 0; if (!report) { fetchTable(); fetchCounsel(); } draw(); } },
        h("span", { class: LEVELS.indexOf(t.word.level) > 2 ? "ink-near-instability" : "" }, svgMark(t.word.level)), several ? `${x.name} / ${t.name}` : t.name)));
}

function drawPulse() {
    const x = sourceNow(), node = at("pulse");
    let state = "lost", text = "server gone";
    if (report) { state = "report"; text = report.title || "report"; }
    else if (store.state && store.connected) {
        state = x.state;
        text = state === "live" ? store.paused ? "paused" : "live" : state === "silent" ? `silent for ${span(x.age)}` : "waiting";
    } else if (!store.state) { state = "waiting"; text = "connecting"; }
    node.dataset.state = state;
    if (node.textContent !== text) node.textContent = text;
    document.body.classList.toggle("stale", state === "lost" || state === "silent");
}

function drawFoot() {
    redraw("foot", store.state ? store.state.program : "", () => [h("span", {}, `momentscope ${store.state ? store.state.program : ""}`),
        report ? h("span", {}, report.how) : ["api/state", "api/verdicts", "api/alerts", "metrics", "healthz", "licences.txt"].map((x) => h("a", { href: x }, x))]);
}

let scheduled = false;
function draw() {
    if (scheduled || document.hidden) return;
    scheduled = true;
    requestAnimationFrame(() => {
        scheduled = false;
        for (const part of [drawPulse, drawTables, drawVerdict, drawAlerts, drawArithmetic, drawPlane, drawBands, drawCharts, drawTimeline, drawCounsel, drawDaemon, drawFoot]) part();
    });
}

function setTheme(theme, keep) {
    document.documentElement.dataset.theme = theme;
    at("theme").textContent = theme === "dark" ? "Light" : "Dark";
    at("theme").setAttribute("aria-label", theme === "dark" ? "Light colours" : "Dark colours");
    if (keep) try { localStorage.setItem("momentscope-theme", theme); } catch (error) { /* a page from a file may not keep it */ }
    draw();
}

function begin() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    let kept = null;
    try { kept = localStorage.getItem("momentscope-theme"); } catch (error) { /* as above */ }
    setTheme(kept || (dark.matches ? "dark" : "light"));
    dark.addEventListener("change", (e) => setTheme(e.matches ? "dark" : "light"));
    at("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark", true));
    at("pause").addEventListener("click", () => { store.paused = !store.paused; at("pause").setAttribute("aria-pressed", String(store.paused)); at("pause").textContent = store.paused ? "Go on" : "Pause"; draw(); });
    document.addEventListener("visibilitychange", draw);
    let before = "light";
    addEventListener("beforeprint", () => { before = document.documentElement.dataset.theme; setTheme("light"); });
    addEventListener("afterprint", () => setTheme(before));
    let width = 0;
    new ResizeObserver(() => { if (at("charts").clientWidth !== width) { width = at("charts").clientWidth; view.built = ""; draw(); } }).observe(at("charts"));
    if (report) {
        at("pause").hidden = true;
        store.alerts = report.alerts;
        store.state = report.state;
        store.connected = true;
        choose();
    } else {
        start();
    }
    draw();
}
begin();

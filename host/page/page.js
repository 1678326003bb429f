/* page.js - draws everything from the store; a frame at most every animation frame, nothing while hidden */

function drawTables() {
    const list = store.state ? store.state.sources.flatMap((x) => x.tables.map((t) => ({ x, t }))) : [];
    const several = store.state && store.state.sources.length > 1;
    redraw(
        "tables",
        JSON.stringify([store.source, store.name, list.map(({ x, t }) => [x.name, t.name, t.word.level])]),
        () =>
            list.length < 2
                ? []
                : list.map(({ x, t }) =>
                      h(
                          "button",
                          {
                              type: "button",
                              "aria-pressed": String(x.name === store.source && t.name === store.name),
                              "aria-label": `Table ${t.name}${several ? ` of ${x.name}` : ""}: ${LEVEL_SAYS[t.word.level]}`,
                              onclick: () => {
                                  select(x.name, t.name);
                                  fetching.at = -FETCH_MS;
                                  if (!report) {
                                      fetchTable();
                                      fetchCounsel();
                                  }
                                  draw();
                              },
                          },
                          h(
                              "span",
                              { class: LEVELS.indexOf(t.word.level) > 2 ? "ink-near-instability" : "" },
                              svgMark(t.word.level),
                          ),
                          several ? `${x.name} / ${t.name}` : t.name,
                      ),
                  ),
    );
}

function drawPulse() {
    const x = sourceNow(),
        node = at("pulse");
    let state = "lost",
        text = "server gone";
    if (report) {
        state = "report";
        text = report.title || "report";
    } else if (store.state && store.connected) {
        state = x.state;
        text =
            state === "live"
                ? store.paused
                    ? "paused"
                    : "live"
                : state === "silent"
                  ? `silent for ${span(x.age)}`
                  : "waiting";
    } else if (!store.state) {
        state = "waiting";
        text = "connecting";
    }
    node.dataset.state = state;
    if (node.textContent !== text) node.textContent = text;
    document.body.classList.toggle("stale", state === "lost" || state === "silent");
}

function drawFoot() {
    redraw("foot", store.state ? store.state.program : "", () => [
        h("span", {}, `momentscope ${store.state ? store.state.program : ""}`),
        report
            ? h("span", {}, report.how)
            : ["api/state", "api/verdicts", "api/alerts", "metrics", "healthz", "licences.txt"].map((x) =>
                  h("a", { href: x }, x),
              ),
    ]);
}

/* What is not in sight waits until it is: a page left open costs little. The first picture comes before the charts. */
const PARTS = [
    [drawPulse],
    [drawTables],
    [drawVerdict],
    [drawAlerts],
    [drawArithmetic, "arithmetic"],
    [drawPlane, "plane"],
    [drawBands, "bands"],
    [drawCharts, "moved"],
    [drawTimeline, "timeline"],
    [drawCounsel, "change"],
    [drawDaemon, "daemon"],
    [drawFoot],
];
const SIGHT = 300;
let scheduled = false,
    first = true,
    everything = false;
function inSight(id) {
    if (!id || report || everything) return true;
    const box = at(id).getBoundingClientRect();
    return box.bottom > -SIGHT && box.top < innerHeight + SIGHT;
}
let lastDrawn = null; /* the table of the last picture: one that is new takes the longest to draw */
function drawNow() {
    const began = performance.now(),
        before = store.table;
    scheduled = false;
    const now = first && store.table ? PARTS.slice(0, 6) : PARTS;
    for (const [part, id] of now) if (inSight(id)) part();
    /* the browser lays out and paints before the next task begins */
    if (before !== lastDrawn)
        setTimeout(() => {
            const took = performance.now() - began;
            fetching.pace = Math.min(FETCH_MOST_MS, Math.max(FETCH_MS, 0.7 * fetching.pace, DRAW_SHARE * took));
        });
    lastDrawn = before;
    if (now !== PARTS) {
        first = false;
        setTimeout(draw, 30);
    }
}
function draw() {
    if (scheduled || document.hidden) return;
    scheduled = true;
    requestAnimationFrame(drawNow);
}

function setTheme(theme, keep) {
    document.documentElement.dataset.theme = theme;
    at("theme").textContent = theme === "dark" ? "Light" : "Dark";
    at("theme").setAttribute("aria-label", theme === "dark" ? "Light colours" : "Dark colours");
    if (keep)
        try {
            localStorage.setItem("momentscope-theme", theme);
        } catch (error) {
            /* a page from a file may not keep it */
        }
    draw();
}

function begin() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    let kept = null;
    try {
        kept = localStorage.getItem("momentscope-theme");
    } catch (error) {
        /* as above */
    }
    setTheme(kept || (dark.matches ? "dark" : "light"));
    dark.addEventListener("change", (e) => setTheme(e.matches ? "dark" : "light"));
    at("theme").addEventListener("click", () =>
        setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark", true),
    );
    at("pause").addEventListener("click", () => {
        store.paused = !store.paused;
        at("pause").setAttribute("aria-pressed", String(store.paused));
        at("pause").textContent = store.paused ? "Go on" : "Pause";
        draw();
    });
    document.addEventListener("visibilitychange", draw);
    let before = "light";
    addEventListener("beforeprint", () => {
        before = document.documentElement.dataset.theme;
        everything = true;
        setTheme("light");
        drawNow();
    });
    addEventListener("afterprint", () => {
        everything = false;
        setTheme(before);
    });
    addEventListener("scroll", draw, { passive: true });
    addEventListener("resize", draw);
    let width = 0;
    new ResizeObserver(() => {
        if (at("charts").clientWidth !== width) {
            width = at("charts").clientWidth;
            view.built = "";
            draw();
        }
    }).observe(at("charts"));
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

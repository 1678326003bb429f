/* store.js - what the page knows: the state of everything in brief, one table in full, and which one that is
 *
 * Live, a stream of events brings the state; the table that is looked at is fetched when it has moved, with only the
 * points of its series that are new. In a report all of it stands in the page. */

const report = at("data") ? JSON.parse(at("data").textContent) : null;
const store = {
    state: null,
    table: null,
    counsel: null,
    alerts: [],
    alertsLast: 0,
    connected: false,
    paused: false,
    source: null,
    name: null,
    band: null,
    heardAt: 0,
};
const POINTS_MOST = 1600,
    FETCH_MS = 1000,
    FETCH_MOST_MS = 5000,
    DRAW_SHARE = 14,
    COUNSEL_MS = 10000,
    ALERTS_KEPT = 200;

const sourceNow = () =>
    store.state && (store.state.sources.find((x) => x.name === store.source) || store.state.sources[0]);
const briefNow = () => {
    const x = sourceNow();
    return x && x.tables.find((t) => t.name === store.name);
};
const query = () => `source=${encodeURIComponent(store.source)}&table=${encodeURIComponent(store.name)}`;

/* The table to look at first is the one that is worst. */
function choose() {
    if (store.source !== null && briefNow()) return;
    let best = null;
    for (const x of store.state.sources)
        for (const t of x.tables) {
            const level = LEVELS.indexOf(t.word.level);
            if (!best || level > best.level) best = { level, source: x.name, name: t.name };
        }
    if (best) select(best.source, best.name);
}

function select(source, name) {
    if (source === store.source && name === store.name) return;
    Object.assign(store, { source, name, table: null, counsel: null, band: null });
    fetching.counselAt = 0;
    if (report) {
        const found = report.tables.find((t) => t.source === source && t.table.name === name);
        store.table = found ? found.table : null;
        store.counsel = found ? found.counsel : null;
    }
}

/* Points that are new go behind those there are. A run that went back, or grew too long, is fetched anew. */
function merge(table) {
    const old = store.table,
        steps = (x) => x.series.whole.step;
    if (!old || old.record.epoch !== table.record.epoch) {
        store.table = table;
        return;
    }
    const extend = (to, from) => {
        for (const k of Object.keys(from)) to[k] = to[k] ? to[k].concat(from[k]) : from[k];
    };
    extend(old.series.whole, table.series.whole);
    for (const [b, series] of Object.entries(table.series.band)) {
        if (!old.series.band[b]) old.series.band[b] = series;
        else extend(old.series.band[b], series);
    }
    table.series = old.series;
    store.table = table;
    if (steps(table).length > POINTS_MOST) fetching.anew = true;
}

/* pace: between two tables; longer where drawing one takes long, so that a page left open stays below a tenth */
const fetching = { table: false, at: -FETCH_MS, pace: FETCH_MS, counsel: false, counselAt: 0, anew: false };

async function ask(path) {
    const answer = await fetch(path, { cache: "no-store" });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.json();
}

async function fetchTable() {
    const brief = briefNow(),
        have = store.table,
        now = performance.now();
    if (!brief || fetching.table || now - fetching.at < fetching.pace) return;
    const last = have ? (have.series.whole.step.at(-1) ?? -1) : -1;
    if (
        have &&
        have.record.step === brief.step &&
        have.word.level === brief.word.level &&
        have.record.attached === brief.attached &&
        have.record.exact === brief.exact &&
        !fetching.anew
    )
        return;
    fetching.table = true;
    fetching.at = now;
    const key = query(),
        back = have && brief.step < last;
    try {
        if (fetching.anew || back) store.table = null;
        fetching.anew = false;
        const table = await ask(`api/table?${key}&after=${store.table ? last : -1}`);
        if (key === query() && table.record) merge(table);
    } catch (error) {
        fetching.at = now + FETCH_MS;
    }
    fetching.table = false;
    draw();
}

async function fetchCounsel() {
    const now = performance.now();
    if (!briefNow() || fetching.counsel || now < fetching.counselAt) return;
    fetching.counsel = true;
    const key = query();
    try {
        const counsel = await ask(`api/counsel?${key}`);
        if (key === query()) {
            store.counsel = counsel;
            fetching.counselAt = now + (counsel.pending ? 700 : COUNSEL_MS);
        }
    } catch (error) {
        fetching.counselAt = now + COUNSEL_MS;
    }
    fetching.counsel = false;
    draw();
}

async function fetchAlerts() {
    if (store.state.alerts === store.alertsLast) return;
    if (store.state.alerts < store.alertsLast) Object.assign(store, { alerts: [], alertsLast: 0 });
    try {
        const got = await ask(`api/alerts?since=${store.alertsLast}&limit=${ALERTS_KEPT}`);
        store.alerts = store.alerts.concat(got.alerts.filter((x) => x.id > store.alertsLast)).slice(-ALERTS_KEPT);
        store.alertsLast = Math.max(got.last, store.alertsLast);
        draw();
    } catch (error) {
        /* the next state asks again */
    }
}

function take(state) {
    store.state = state;
    store.heardAt = performance.now();
    store.connected = true;
    if (!store.paused) {
        choose();
        fetchTable();
        fetchCounsel();
    }
    fetchAlerts();
    draw();
}

/* The first state is asked for: the stream says one within a quarter of a second, and a first picture should not wait. */
function start() {
    ask("api/state")
        .then((state) => {
            if (!store.state) take(state);
        })
        .catch(() => draw());
    listen();
}

function listen() {
    const stream = new EventSource("events");
    stream.addEventListener("state", (event) => take(JSON.parse(event.data)));
    stream.addEventListener("error", () => {
        store.connected = false;
        draw();
        if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
    });
}

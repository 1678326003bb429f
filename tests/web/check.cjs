/* check.cjs - the page of momentscope serve in a real browser: make check-web
 *
 * A publisher with values to order (publisher.py) stands in for the daemon; serve and page are the real ones. Ends with
 * the line "N passed, N failed, N skipped". PICTURES=DIR keeps the screenshots. */
"use strict";
const { spawn, spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const readline = require("node:readline");

const BUILD = path.resolve(process.env.BUILD || "build");
const MODULES = path.resolve("build/web/node_modules");
const puppeteer = require(path.join(MODULES, "puppeteer-core"));
const AXE = fs.readFileSync(path.join(MODULES, "axe-core/axe.min.js"), "utf8");
const PYTHON = process.env.PYTHON || "/usr/bin/python3";
const PICTURES = process.env.PICTURES;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "momentscope-web-"));
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
let passed = 0,
    failed = 0,
    publisher,
    serve,
    port,
    browser;

/* -- the other side ---------------------------------------------------------------------------------------- */

function startPublisher(tables, bands) {
    const process_ = spawn(PYTHON, ["tests/web/publisher.py", folder, String(tables), String(bands)], {
        stdio: ["pipe", "pipe", "inherit"],
    });
    const lines = readline.createInterface({ input: process_.stdout }),
        waiting = [];
    lines.on("line", () => waiting.shift()());
    return {
        process: process_,
        say: (line) =>
            new Promise((done) => {
                waiting.push(done);
                process_.stdin.write(`${line}\n`);
            }),
    };
}

function startServe() {
    const process_ = spawn(
        path.join(BUILD, "momentscope"),
        [
            "serve",
            "--port",
            String(port || 0),
            "--alerts",
            path.join(folder, "alerts.db"),
            "--telemetry",
            `ipc://${folder}/telemetry.ipc`,
            "--replay",
            "",
        ],
        { stdio: ["ignore", "pipe", "inherit"] },
    );
    return new Promise((done, fail) => {
        process_.on("exit", (code) => fail(new Error(`serve ended with ${code}`)));
        readline.createInterface({ input: process_.stdout }).on("line", (line) => {
            port = Number(/:(\d+)\//.exec(line)[1]);
            done(process_);
        });
    });
}

const ended = (process_) =>
    new Promise((done) => {
        if (process_.exitCode !== null) done();
        else process_.on("exit", done);
    });

/* -- checking -------------------------------------------------------------------------------------------- */

function is(right, what, seen) {
    if (right) passed++;
    else failed++;
    console.log(
        `${right ? "ok" : "not ok"} - ${what}${seen === undefined ? "" : ` (${typeof seen === "string" ? seen : JSON.stringify(seen)})`}`,
    );
}

async function until(page, test, argument, ms = 8000) {
    const from = Date.now();
    while (Date.now() - from < ms) {
        if (await page.evaluate(test, argument)) return Date.now() - from;
        await sleep(40);
    }
    return null;
}

/* A page of its own; every request and every complaint is remembered. */
async function open(options = {}) {
    const page = await browser.newPage(),
        seen = { requests: [], complaints: [] };
    await page.setViewport({ width: options.width || 1440, height: options.height || 900 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: options.theme || "light" }]);
    page.on("request", (r) => seen.requests.push(r.url()));
    page.on("console", (m) => {
        if (m.type() === "error" || m.type() === "warn") seen.complaints.push(m.text());
    });
    page.on("pageerror", (e) => seen.complaints.push(e.message));
    await page.evaluateOnNewDocument(() => {
        const look = () => {
            if (document.querySelector("#plane svg .dot")) window.paintedAt = performance.now();
            else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    });
    await page.goto(options.url || `http://localhost:${port}/`);
    await until(page, () => document.querySelector("#plane svg .dot") !== null);
    return { page, seen };
}

async function picture(page, name) {
    if (!PICTURES) return;
    const before = page.viewport();
    await page.setViewport({
        ...before,
        height: await page.evaluate(() => document.documentElement.scrollHeight + 400),
    });
    await sleep(600); /* what comes into sight is drawn now */
    await page.screenshot({ path: path.join(PICTURES, `${name}.png`), fullPage: true });
    await page.setViewport(before);
}

async function serious(page) {
    await page.evaluate(AXE);
    const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    return found.violations
        .filter((v) => ["serious", "critical"].includes(v.impact))
        .map((v) => `${v.id}: ${v.nodes[0].target} ${v.nodes[0].failureSummary}`);
}

/* -- the checks ------------------------------------------------------------------------------------------- */

async function paint() {
    await (await open()).page.close(); /* the browser itself starts up here */
    const times = [];
    for (let i = 0; i < 3; i++) {
        const { page } = await open();
        await until(page, () => window.paintedAt !== undefined);
        times.push(Math.round(await page.evaluate(() => window.paintedAt)));
        await page.close();
    }
    times.sort((a, b) => a - b);
    is(
        times[1] < 1000,
        "600 records of 16 bands, 6000 steps: dots within 1 s, the middle of three",
        `${times.join(", ")} ms`,
    );
}

async function live() {
    const { page, seen } = await open();
    const step = () => Number(document.querySelector("#verdict .facts-line b").textContent.replace(/,/g, ""));
    const before = await page.evaluate(step);
    await sleep(2500);
    const after = await page.evaluate(step);
    is(after > before, "the step goes on by itself", [before, after]);
    await page.evaluate(() => document.getElementById("moved").scrollIntoView());
    is(
        (await until(page, () => document.querySelectorAll("#charts canvas").length >= 4)) !== null,
        "at least four charts",
    );
    await page.evaluate(() => scrollTo(0, 0));
    is(
        (await page.evaluate(() => document.querySelectorAll("#bands tbody tr").length)) === 16,
        "a row for each band",
    );

    await publisher.say("alert save-failed the state file could not be written");
    const alert = await until(page, () =>
        document.getElementById("alerts").textContent.includes("state file could not be written"),
    );
    is(alert !== null && alert < 1000, "an alert stands on the page within 1 s", `${alert} ms`);

    await publisher.say("H 1.6");
    const word = await until(page, () => document.getElementById("verdict").dataset.level === "unstable");
    is(word !== null && word < 3000, "the verdict follows the records", `${word} ms`);
    is(
        (await until(page, () => document.querySelectorAll("#plane .alarm-ring").length > 0)) !== null,
        "bands that hold the limit have a ring",
    );
    is(/unstable/.test(await page.title()), "the title says it too", await page.title());
    await picture(page, "unstable");
    await publisher.say("H 0.4");
    is((await until(page, () => document.getElementById("verdict").dataset.level === "fine")) !== null, "and back");

    is(
        seen.requests.every((u) => u.startsWith(`http://localhost:${port}/`)),
        "no request leaves the host",
    );
    is(seen.complaints.length === 0, "no complaint in the console", seen.complaints.slice(0, 3));
    await page.close();
}

async function keyboard() {
    const { page } = await open();
    const focus = () =>
        page.evaluate(() => {
            const e = document.activeElement;
            return `${e.tagName.toLowerCase()}#${e.id}.${e.getAttribute("class") || ""}`;
        });
    const walked = [];
    for (let i = 0; i < 60; i++) {
        await page.keyboard.press("Tab");
        walked.push(await focus());
    }
    is(walked[0].includes("skip"), "the first stop is a link past the head", walked[0]);
    is(
        walked.some((w) => w.includes("dot")),
        "Tab reaches the plane",
    );
    is(walked.some((w) => w.includes("theme")) && walked.some((w) => w.includes("pause")), "and the buttons");
    const dot = await page.evaluate(() => {
        const d = document.querySelector("#plane .dot[tabindex='0']");
        d.focus();
        return d.dataset.band;
    });
    await page.keyboard.press("ArrowRight");
    await sleep(200);
    const next = await page.evaluate(() => document.activeElement.dataset.band);
    is(Number(next) === Number(dot) - 1, "an arrow goes to the neighbour", [dot, next]);
    is(
        (await until(
            page,
            (b) => document.getElementById("arithmetic").textContent.includes(`Band ${b}`),
            next,
        )) !== null,
        "and its arithmetic is told",
    );
    await sleep(2500);
    is((await page.evaluate(() => document.activeElement.dataset.band)) === next, "focus stays while records come");
    const label = await page.evaluate(() => document.activeElement.getAttribute("aria-label"));
    is(/Band \d+: .*eta H1/.test(label), "a screen reader hears the numbers", label);
    await page.close();
}

async function looks() {
    for (const [name, width, height, theme] of [
        ["light", 1440, 900, "light"],
        ["dark", 1440, 900, "dark"],
        ["phone", 360, 740, "light"],
        ["phone-dark", 360, 740, "dark"],
        ["4k", 3840, 2160, "light"],
    ]) {
        const { page } = await open({ width, height, theme });
        await page.evaluate(() => document.getElementById("change").scrollIntoView());
        await until(page, () => document.querySelector("#counsel .advice") !== null);
        await page.evaluate(() => scrollTo(0, 0));
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        is(wide <= 0, `${name}: nothing is wider than the window`, `${wide} px`);
        const bad = await serious(page);
        is(bad.length === 0, `${name}: axe finds nothing serious`, bad.slice(0, 4));
        await picture(page, name);
        await page.close();
    }
}

async function heals() {
    const { page } = await open();
    await publisher.say("mute");
    const silent = await until(
        page,
        () => document.getElementById("verdict").dataset.level === "silent",
        null,
        9000,
    );
    is(silent !== null, "a daemon that falls silent is said", `${silent} ms`);
    await picture(page, "silent");
    await publisher.say("restart");
    await publisher.say("speak");
    await publisher.say("burst 4");
    const back = await until(page, () => document.getElementById("verdict").dataset.level === "fine");
    is(back !== null, "and it heals by itself when another daemon answers", `${back} ms`);
    is(
        (await until(page, () => /another daemon answers/.test(document.getElementById("alerts").textContent))) !==
            null,
        "which is told",
    );

    serve.removeAllListeners("exit");
    serve.kill("SIGTERM");
    await ended(serve);
    is(
        (await until(page, () => document.getElementById("pulse").dataset.state === "lost")) !== null,
        "a server that is gone is said",
    );
    serve = await startServe();
    is(
        (await until(page, () => document.getElementById("pulse").dataset.state === "live", null, 15000)) !== null,
        "and the page comes back by itself",
    );
    is(
        (await until(page, () => /another daemon answers/.test(document.getElementById("alerts").textContent))) !==
            null,
        "with the alerts of before",
    );
    await page.close();
}

async function hostile() {
    await publisher.say("name <img src=x onerror=window.hit=1>");
    await publisher.say("burst 3");
    await publisher.say("alert <b>bold</b> <script>window.hit=2</script><svg onload=window.hit=3>");
    const { page, seen } = await open();
    await until(page, () => document.getElementById("alerts").textContent.includes("<script>"));
    const shown = await until(page, () => document.body.textContent.includes("<img src=x onerror"));
    is(shown !== null, "a name that is markup is shown as text");
    is(
        (await page.evaluate(() => window.hit)) === undefined &&
            (await page.evaluate(() => document.querySelectorAll("img, main script, b b").length)) === 0,
        "and does nothing",
    );
    is(seen.complaints.length === 0, "nor is anything refused by the policy", seen.complaints.slice(0, 2));
    await page.close();
}

async function reports() {
    const at = path.join(folder, "run.html");
    const lines = spawnSync(
        path.join(BUILD, "momentscope"),
        ["watch", "--json", "--for", "2", "--telemetry", `ipc://${folder}/telemetry.ipc`, "--replay", ""],
        { maxBuffer: 1e8 },
    );
    const made = spawnSync(path.join(BUILD, "momentscope"), ["report", "-", "--out", at], { input: lines.stdout });
    is(made.status === 0, "a report of what was heard", made.stderr.toString());
    const { page, seen } = await open({ url: `file://${at}` });
    is(
        (await page.evaluate(() => document.getElementById("verdict").dataset.level)) === "fine",
        "opens from the disk",
    );
    is((await page.evaluate(() => document.querySelectorAll("#charts canvas").length)) >= 4, "with its charts");
    is(
        seen.requests.every((u) => u.startsWith("file:")) && seen.requests.length === 1,
        "and loads nothing",
        seen.requests.length,
    );
    is(seen.complaints.length === 0, "without a complaint", seen.complaints.slice(0, 2));
    const bad = await serious(page);
    is(bad.length === 0, "axe finds nothing serious in it", bad.slice(0, 3));
    await page.close();
}

async function main() {
    publisher = startPublisher(1, 16);
    serve = await startServe();
    browser = await puppeteer.launch({
        executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    });
    await sleep(800);
    await publisher.say("burst 600");
    await publisher.say("every 0.2");
    const parts = { paint, live, keyboard, looks, heals, reports, hostile };
    for (const [name, part] of Object.entries(parts))
        if (process.argv.length < 3 || process.argv.includes(name))
            try {
                await part();
            } catch (error) {
                is(false, `${name}: ${error.stack}`);
            }
}

main()
    .catch((error) => {
        failed++;
        console.log(error);
    })
    .finally(async () => {
        if (browser) await browser.close();
        for (const p of [serve, publisher && publisher.process])
            if (p) {
                p.removeAllListeners("exit");
                p.kill("SIGTERM");
            }
        fs.rmSync(folder, { recursive: true, force: true });
        console.log(`${passed} passed, ${failed} failed, 0 skipped`);
        process.exit(failed > 0 ? 1 : 0);
    });

/* words.js - numbers and times as words, and what the regimes are called */

const known = (x) => typeof x === "number" && Number.isFinite(x);
function num(x, digits = 3) {
    if (!known(x)) return "not known";
    if (x === 0) return "0";
    const a = Math.abs(x);
    if (a >= 1e6 || a < 1e-4) {
        const [m, e] = x.toExponential(digits - 1).split("e");
        return `${parseFloat(m)}e${parseInt(e, 10)}`;
    }
    if (a >= 1000) return Math.round(x).toLocaleString("en");
    return String(parseFloat(x.toPrecision(digits)));
}
const short = (x) => {
    if (!known(x)) return "";
    const a = Math.abs(x);
    if (a >= 1e9 || (a > 0 && a < 1e-3)) {
        const e = Math.floor(Math.log10(a));
        return `${parseFloat((x / 10 ** e).toPrecision(2))}e${e}`;
    }
    if (a >= 1e6) return `${parseFloat((x / 1e6).toPrecision(3))}M`;
    if (a >= 1e4) return `${parseFloat((x / 1e3).toPrecision(3))}k`;
    return String(parseFloat(x.toPrecision(3)));
};
const whole = (x) => (known(x) ? Math.round(x).toLocaleString("en") : "not known");
const percent = (x, digits = 2) =>
    !known(x)
        ? "not known"
        : Math.abs(x) < 5e-4
          ? x === 0
              ? "0 %"
              : "under 0.1 %"
          : `${parseFloat((100 * x).toPrecision(digits))} %`;
function span(seconds) {
    if (!known(seconds)) return "not known";
    const x = Math.max(0, seconds);
    if (x < 1e-3) return `${parseFloat((1e6 * x).toPrecision(3))} µs`;
    if (x < 1) return `${parseFloat((1e3 * x).toPrecision(3))} ms`;
    if (x < 90) return `${parseFloat(x.toPrecision(x < 10 ? 2 : 3))} s`;
    if (x < 5400) return `${Math.round(x / 60)} min`;
    if (x < 172800) return `${parseFloat((x / 3600).toPrecision(3))} h`;
    return `${Math.round(x / 86400)} days`;
}
const clock = (t) => new Date(1000 * t).toLocaleTimeString("en-GB");
const plural = (n, word) => `${whole(n)} ${word}${n === 1 ? "" : "s"}`;

const REGIMES = ["sgd-like", "resonant", "heavy-ball", "near-instability", "unstable", "unknown"];
const REGIME_WORDS = {
    "sgd-like": "momentum has faded before the next gradient: plain SGD",
    resonant: "memory and learning keep pace: momentum works as intended",
    "heavy-ball": "memory outlasts learning: errors swing past the target and back",
    "near-instability": "within a fifth of the largest stable rate",
    unstable: "above the largest stable rate: the error grows",
    unknown: "not enough was measured",
};
const LEVELS = ["fine", "unknown", "inexact", "growing", "near-instability", "unstable"];
const LEVEL_SAYS = {
    fine: "fine",
    unknown: "not known",
    inexact: "inexact",
    growing: "grows",
    "near-instability": "near instability",
    unstable: "unstable",
};

const regimeBadge = (regime) =>
    h("span", { class: `badge ink-${regime}` }, h("i", { class: `fill-${regime}` }), regime);

/* Frequent bands are dark, rare bands light: one scale of lightness, readable without hue; reversed on dark ground. */
const SCALE = [
    [68, 1, 84],
    [65, 68, 135],
    [42, 120, 142],
    [34, 168, 132],
    [122, 200, 80],
    [220, 190, 30],
];
const SCALE_DARK = [
    [172, 140, 255],
    [110, 150, 255],
    [60, 180, 220],
    [60, 215, 160],
    [150, 225, 90],
    [250, 222, 60],
];
function bandColour(rank, count) {
    const scale = document.documentElement.dataset.theme === "dark" ? SCALE_DARK : SCALE;
    const f = count > 1 ? (rank / (count - 1)) * (scale.length - 1) : 0,
        i = Math.min(Math.floor(f), scale.length - 2),
        k = f - i;
    return `rgb(${scale[i].map((c, j) => Math.round(c + (scale[i + 1][j] - c) * k)).join(",")})`;
}

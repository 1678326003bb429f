/* dom.js - elements made from data, never from markup: a table's name cannot become a tag */

function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
        if (value === null || value === undefined || value === false) continue;
        if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
        else node.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat(Infinity)) {
        if (child === null || child === undefined || child === false) continue;
        node.append(child);
    }
    return node;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) =>
    fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const at = (id) => document.getElementById(id);

/* Put children into a node only when what they are made from has changed: screen readers and focus stay calm. */
const drawn = new Map();
function redraw(id, key, make) {
    if (drawn.get(id) === key) return;
    drawn.set(id, key);
    const node = at(id),
        focused = node.contains(document.activeElement)
            ? document.activeElement.dataset.key || document.activeElement.id
            : "";
    node.replaceChildren(...[make()].flat(Infinity).filter((x) => x !== null && x !== undefined && x !== false));
    if (focused) {
        const again = node.querySelector(`[data-key="${CSS.escape(focused)}"], #${CSS.escape(focused)}`);
        if (again) again.focus({ preventScroll: true });
    }
}

const svgMark = (level) => {
    const paths = {
        fine: "M3 9.5 7 13.5 15 4.5",
        unknown: "M6 6.2a3 3 0 1 1 4.4 2.6c-1 .6-1.4 1-1.4 2.2M9 14.2v.3",
        inexact: "M9 4.5v6M9 13.6v.4",
        growing: "M3 13.5 8 8l3 3 4.5-6.5M11.5 4.5h4v4",
        silent: "M4 4l10 10M14 4 4 14",
        "near-instability": "M9 2.5 16.5 15.5h-15ZM9 7v4M9 13.2v.3",
        unstable: "M9 2.5 16.5 15.5h-15ZM9 7v4M9 13.2v.3",
    };
    return s(
        "svg",
        { viewBox: "0 0 18 18", class: "mark", "aria-hidden": "true" },
        s("path", {
            d: paths[level] || paths.unknown,
            fill: level === "unstable" ? "#c2184b" : "none",
            "fill-opacity": ".18",
            stroke: "currentColor",
            "stroke-width": "2",
            "stroke-linecap": "round",
            "stroke-linejoin": "round",
        }),
    );
};

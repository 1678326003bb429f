/* daemon.js - what the daemon is doing: lateness, losses, exactness, and how this page is supplied */

function factList(title, pairs) {
    return h(
        "div",
        { class: "card" },
        h("h3", {}, title),
        h(
            "dl",
            {},
            pairs
                .filter(Boolean)
                .map(([name, value, bad]) => [h("dt", {}, name), h("dd", { class: bad ? "bad" : null }, value)]),
        ),
    );
}

function drawDaemon() {
    const x = sourceNow(),
        d = x && x.daemon,
        t = store.table && store.table.record;
    redraw(
        "daemon-cards",
        JSON.stringify([d && d.seq, d && d.epoch, t && t.seq, x && x.state, x && x.received]),
        () => {
            if (!d) return h("p", {}, "No daemon has been heard yet.");
            return [
                factList("In time?", [
                    ["records late, now", span(d.late_max)],
                    ["worst since start", span(d.late_worst)],
                    ["sockets unwatched, now", span(d.pause_max)],
                    ["worst", span(d.pause_worst)],
                    ["longest message, now", span(d.message_max)],
                    ["worst", span(d.message_worst)],
                    d.realtime !== "off" ? ["real time", d.realtime] : null,
                ]),
                factList("Complete?", [
                    ["steps applied", whole(d.steps_applied)],
                    ["steps lost", whole(d.lost_steps), d.lost_steps > 0],
                    ["messages refused", whole(d.refused_messages), d.refused_messages > 0],
                    ["records dropped", whole(d.records_dropped), d.records_dropped > 0],
                    ["records received here", whole(x.received)],
                    ["lost on the way", whole(x.lost), x.lost > 0],
                    ["not readable", whole(x.malformed), x.malformed > 0],
                    ["fetched again", whole(x.replayed)],
                ]),
                t
                    ? factList(`Exact? Table ${t.table}`, [
                          ["daemon's rows equal the trainer's", t.exact ? "yes" : "no", !t.exact],
                          ["a trainer holds it", t.attached ? "yes" : "no"],
                          ["steps never arrived", whole(t.lost_steps), t.lost_steps > 0],
                          ["rows never active", `${whole(t.silent)} of ${whole(t.rows)}`],
                          ["whole SYNCs", whole(t.syncs)],
                          ["gradients come by", t.transport],
                          ["kernel", t.kernel],
                      ])
                    : null,
                factList("Who?", [
                    ["momentscoped", d.version],
                    ["up for", span(d.uptime)],
                    ["tables", whole(d.tables)],
                    ["sessions", whole(d.sessions)],
                    ["publishes every", span(d.interval)],
                    ["messages in", whole(d.messages_in)],
                    ["bytes in", short(d.bytes_in)],
                    ["heard at", x.where],
                ]),
            ];
        },
    );
}

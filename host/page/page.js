const stream = new EventSource("events");
stream.addEventListener("state", (event) => {
    const state = JSON.parse(event.data), list = document.getElementById("tables");
    document.getElementById("sentence").textContent = state.sources.map((s) => `${s.name}: ${s.state}`).join("; ");
    list.replaceChildren(...state.sources.flatMap((s) => s.tables.map((t) => {
        const item = document.createElement("li");
        item.textContent = `${t.name}, step ${t.step}: ${t.word.sentence}`;
        return item;
    })));
});

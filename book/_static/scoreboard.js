// Filters and order of the scoreboard. Without this script the whole table is shown. The choice is kept in the address, so
// that a filtered or sorted view can be linked to.
(() => {
  const table = document.querySelector("table.scoreboard");
  if (!table) return;
  const rows = [...table.tBodies[0].rows];
  const controls = [...document.querySelectorAll(".scoreboard-filters [name]")];
  const count = document.getElementById("scoreboard-count");
  const wanted = new URLSearchParams(location.search);
  for (const control of controls) if (wanted.has(control.name)) control.value = wanted.get(control.name);
  const heads = [...table.tHead.rows[0].cells];
  const order = { by: wanted.get("sort") ?? "", down: wanted.has("down") };

  const text = (row, column) => row.cells[column].textContent.trim().toLowerCase();
  function sort() {
    const column = heads.findIndex((head) => head.dataset.name === order.by);
    const sorted = column < 0 ? rows : [...rows].sort((a, b) =>
      (order.down ? -1 : 1) * text(a, column).localeCompare(text(b, column), "en", { numeric: true }));
    table.tBodies[0].append(...sorted);
    heads.forEach((head, k) =>
      head.setAttribute("aria-sort", k === column ? (order.down ? "descending" : "ascending") : "none"));
  }
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    head.dataset.name = button.textContent = head.textContent;
    button.addEventListener("click", () => {
      order.down = order.by === head.dataset.name && !order.down;
      order.by = head.dataset.name;
      sort();
      apply();
    });
    head.replaceChildren(button);
  }

  function apply() {
    const chosen = Object.fromEntries(controls.map((control) => [control.name, control.value.trim().toLowerCase()]));
    let shown = 0;
    for (const row of rows) {
      const fits = Object.entries(chosen).every(([name, value]) =>
        !value || (name === "text" ? row.textContent.toLowerCase().includes(value) : row.dataset[name] === value));
      row.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${rows.length} claims`;
    const kept = new URLSearchParams(Object.entries(chosen).filter(([, value]) => value));
    if (order.by) kept.set("sort", order.by);
    if (order.down) kept.set("down", "1");
    history.replaceState(null, "", (kept.size ? `?${kept}` : location.pathname) + location.hash);
  }
  for (const control of controls) control.addEventListener("input", apply);
  sort();
  apply();
})();

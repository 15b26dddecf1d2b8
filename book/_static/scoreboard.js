// Filters of the scoreboard. Without this script the whole table is shown. The choice is kept in the address, so that a
// filtered view can be linked to.
(() => {
  const table = document.querySelector("table.scoreboard");
  if (!table) return;
  const rows = [...table.tBodies[0].rows];
  const controls = [...document.querySelectorAll(".scoreboard-filters [name]")];
  const count = document.getElementById("scoreboard-count");
  const wanted = new URLSearchParams(location.search);
  for (const control of controls) if (wanted.has(control.name)) control.value = wanted.get(control.name);

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
    history.replaceState(null, "", (kept.size ? `?${kept}` : location.pathname) + location.hash);
  }
  for (const control of controls) control.addEventListener("input", apply);
  apply();
})();

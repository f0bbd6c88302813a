// Tables: first press sorts the better values up, the second down, the third as they came.
const collator = new Intl.Collator("en", { numeric: true });
for (const table of document.querySelectorAll("table.results")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const head = button.parentElement;
    const column = head.cellIndex;
    const text = button.dataset.sort === "text";
    const first = button.dataset.sort === "higher" ? "descending" : "ascending";
    const second = first === "ascending" ? "descending" : "ascending";
    const now = head.getAttribute("aria-sort");
    const next = now === null ? first : now === first ? second : null;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    const rows = [...original];
    if (next) {
      head.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      const key = (row) => (text ? row.cells[0].textContent : row.cells[column].dataset.value);
      rows.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === ""); // cells without a value stay below
        return sign * (text ? collator.compare(x, y) : Number(x) - Number(y));
      });
    }
    body.append(...rows);
  });
}
document.getElementById("intervals").addEventListener("change", (event) => {
  document.body.classList.toggle("with-intervals", event.target.checked);
});

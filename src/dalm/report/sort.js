// Sorting is a convenience: without scripts the table stands as it was written.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const number = (row, place) => parseFloat(row.cells[place]?.dataset.value ?? "NaN");
  const compare = (a, b, place, sign) => {
    if (place === 0) return sign * a.cells[0].textContent.localeCompare(b.cells[0].textContent);
    const [x, y] = [number(a, place), number(b, place)];
    return isNaN(x) - isNaN(y) || sign * (x - y); // missing values stay last
  };
  heads.forEach((head, place) => {
    const sort = () => {
      const sign = head.ariaSort === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      for (const body of table.tBodies) {
        const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
        body.append(...rows.sort((a, b) => compare(a, b, place, sign)));
      }
    };
    head.tabIndex = 0;
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
}

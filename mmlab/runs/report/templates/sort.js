for (const [column, button] of document.querySelectorAll("#runs th button").entries()) {
  button.addEventListener("click", () => {
    const head = button.parentElement;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.children) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = document.querySelector("#runs tbody");
    const text = (row) => row.children[column].textContent.trim();
    const compare = (a, b) => text(a).localeCompare(text(b), "en", { numeric: true });
    body.append(...[...body.rows].sort((a, b) => (down ? compare(b, a) : compare(a, b))));
  });
}

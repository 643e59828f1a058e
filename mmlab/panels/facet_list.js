// A list of values to tick, each with its count, and a field that searches a long list.

const SEARCHED = 8; // values that need no search field
const MOST = 200; // values that are drawn

function make(tag, classes, properties = {}, children = []) {
  const made = document.createElement(tag);
  made.className = classes;
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

function render({ model, el }) {
  const heading = make("div", "mm-facet-name", { textContent: model.get("label") });
  const search = make("input", "mm-facet-search", { type: "search", placeholder: "search" });
  search.setAttribute("aria-label", `Search in ${model.get("label")}`);
  const list = make("div", "mm-facet-values", { role: "group" });
  list.setAttribute("aria-label", model.get("label"));
  el.classList.add("mm-facet");
  el.replaceChildren(heading, search, list);

  function draw() {
    const options = model.get("options");
    const chosen = new Set(model.get("value"));
    const words = search.value.trim().toLowerCase();
    search.hidden = options.length <= SEARCHED;
    search.placeholder = `search ${options.length} values`;
    const fitting = options.filter(([value, count]) => chosen.has(value) || (count && value.toLowerCase().includes(words)));
    const focused = list.contains(document.activeElement) ? document.activeElement.value : null;
    list.replaceChildren(
      ...fitting.slice(0, MOST).map(([value, count]) => {
        const box = make("input", "", { type: "checkbox", value, checked: chosen.has(value) });
        box.addEventListener("change", () => {
          const now = model.get("value").filter((one) => one !== value);
          model.set("value", box.checked ? [...now, value] : now);
          model.save_changes();
        });
        const name = make("bdi", "mm-facet-value", { textContent: value, title: value });
        const shown = make("span", "mm-facet-count", { textContent: count });
        return make("label", "", {}, [box, name, shown]);
      }),
    );
    if (!fitting.length) list.append(make("span", "mm-facet-count", { textContent: "none" }));
    if (fitting.length > MOST) list.append(make("span", "mm-facet-count", { textContent: `${fitting.length - MOST} more: search` }));
    if (focused !== null) [...list.querySelectorAll("input")].find((box) => box.value === focused)?.focus();
  }

  search.addEventListener("input", draw);
  model.on("change:options", draw);
  model.on("change:value", draw);
  draw();
  return () => {
    model.off("change:options", draw);
    model.off("change:value", draw);
  };
}

export default { render };

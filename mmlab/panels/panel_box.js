// Looks after the panel around it: keys, names and states of controls, and the HTML that stands in for the panel.

const PANEL = ".mmlab-panel";
const SUPPRESS = "data-lm-suppress-shortcuts"; // JupyterLab reads it on the element that has the focus

function panelOf(target) {
  return target instanceof Element ? target.closest(PANEL) : null;
}

// Ctrl+S and the like stay JupyterLab's; Ctrl+Enter would run the cell, and the panel would be gone.
function isForLab(event) {
  return (event.ctrlKey || event.metaKey) && event.key !== "Enter";
}

function keepKeys() {
  if (window.mmlabKeepsKeys) return;
  window.mmlabKeepsKeys = true;
  document.addEventListener("focusin", (event) => panelOf(event.target) && event.target.setAttribute(SUPPRESS, "true"));
  document.addEventListener(
    "keydown",
    (event) => {
      if (!panelOf(event.target)) return;
      if (isForLab(event)) event.target.removeAttribute(SUPPRESS);
      else event.target.setAttribute(SUPPRESS, "true");
    },
    true,
  );
}

function labelOf(control) {
  const row = control.closest(".jupyter-widgets");
  return row?.querySelector("label")?.textContent || row?.title || "";
}

function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function describe(panel) {
  for (const button of panel.querySelectorAll("button.widget-toggle-button")) {
    const state = button.classList.contains("mmlab-expands") ? "aria-expanded" : "aria-pressed";
    set(button, state, String(button.classList.contains("mod-active")));
  }
  for (const group of panel.querySelectorAll(".widget-toggle-buttons")) {
    set(group, "role", "group");
    set(group, "aria-label", group.querySelector("label")?.textContent || "");
    for (const button of group.querySelectorAll("button")) {
      set(button, "aria-pressed", String(button.classList.contains("mod-active")));
    }
  }
  for (const slider of panel.querySelectorAll(".noUi-target")) {
    const handles = [...slider.querySelectorAll(".noUi-handle")];
    const ends = handles.length > 1 ? [", from", ", to"] : [""];
    handles.forEach((handle, place) => set(handle, "aria-label", labelOf(slider) + ends[place]));
  }
  for (const readout of panel.querySelectorAll(".widget-readout[contenteditable]")) {
    set(readout, "role", "textbox");
    set(readout, "aria-label", `${labelOf(readout)}, as a number`);
  }
  for (const field of panel.querySelectorAll("select, input:not([type=checkbox])")) {
    const named = [...(field.labels ?? [])].some((label) => label.textContent.trim());
    if (!named && !field.getAttribute("aria-label")) set(field, "aria-label", field.title || labelOf(field));
  }
}

function hide(twin) {
  const style = document.createElement("style");
  style.textContent = `.${twin}{display:none}`;
  document.head.append(style);
  return () => style.remove();
}

function render({ model, el }) {
  keepKeys();
  el.style.display = "none";
  const shown = hide(model.get("twin"));
  const stop = (event) => isForLab(event) || event.stopPropagation();
  let observer = null;
  let panel = null;
  let waiting = null;

  function attach() {
    panel = el.closest(PANEL);
    if (!panel) {
      waiting = setTimeout(attach, 50);
      return;
    }
    panel.addEventListener("keydown", stop);
    describe(panel);
    observer = new MutationObserver(() => describe(panel));
    observer.observe(panel, { subtree: true, childList: true, attributes: true, attributeFilter: ["class"] });
  }
  attach();
  return () => {
    clearTimeout(waiting);
    observer?.disconnect();
    panel?.removeEventListener("keydown", stop);
    shown();
  };
}

export default { render };

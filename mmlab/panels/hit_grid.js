// Draws the cards of a HitGrid and reports what a person does. Everything from outside is written by textContent.

const MARKS = { true: ["✓", "right"], false: ["✗", "wrong"] };
const KEYS = "Arrows move, Enter opens";
const SELECT_KEYS = ", s selects";
const LABEL_KEYS = ", y and n label, 1 to 9 label by place, u is undo";

function make(tag, classes, properties = {}, children = []) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  for (const [name, value] of Object.entries(properties)) {
    if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function button(classes, sign, name, pressed) {
  const made = make("button", classes, { type: "button", title: name, "aria-label": name }, [sign]);
  made.addEventListener("click", (event) => {
    event.stopPropagation();
    pressed(event);
  });
  return made;
}

function imageUrl(bytes) {
  return URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
}

async function copy(text, said) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = make("textarea", "", { value: text });
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  said("copied");
}

function number(value, digits) {
  return typeof value === "number" ? value.toFixed(digits) : "";
}

function facts(card) {
  const parts = [];
  if (card.rank !== undefined && card.rank !== null) parts.push(`${card.rank}`);
  if (typeof card.score === "number") parts.push(number(card.score, 3));
  if (typeof card.probability === "number") parts.push(`p ${number(card.probability, 2)}`);
  return parts;
}

function render({ model, el }) {
  const can = (action) => model.get("actions").includes(action);
  const id = `mmlab-${Math.random().toString(36).slice(2)}`;
  const status = make("div", "mm-status", { role: "status", "aria-live": "polite" });
  const error = make("div", "mm-error", { role: "alert" });
  const tools = make("div", "mm-tools");
  const list = make("ul", "mm-cards", { id, "aria-label": "Hits" });
  const rest = make("div", "mm-rest");
  const empty = make("p", "mm-empty");
  const dialog = make("dialog", "mm-dialog", { "aria-label": "Details" });
  el.classList.add("mm-grid");
  el.replaceChildren(error, make("div", "mm-bar", {}, [status, tools]), list, empty, rest, dialog);

  let elements = new Map(); // item_id -> { item, key, urls }
  let active = null; // the item_id that arrows move from
  let opened = null; // the item_id of the dialog
  let bigUrl = null;

  const cards = () => model.get("shown");
  const cardOf = (item) => cards().find((card) => card.item_id === item);
  const send = (message) => model.send(message);

  // --- tools: size, threshold, selection, undo

  const size = make("input", "", { type: "range", min: 80, max: 260, step: 10 });
  size.setAttribute("aria-label", "Thumbnail size");
  size.addEventListener("input", () => el.style.setProperty("--mm-size", `${size.value}px`));
  size.addEventListener("change", () => {
    model.set("size", Number(size.value));
    model.save_changes();
  });
  const least = make("input", "", { type: "range", step: "any" });
  const leastWords = make("output", "mm-number");
  least.setAttribute("aria-label", "Least score");
  const isLimited = () => Number(least.value) - least.min > (least.max - least.min) / 1000;
  const describeLeast = () => {
    const words = isLimited() ? number(Number(least.value), 3) : "any";
    leastWords.textContent = words;
    least.setAttribute("aria-valuetext", words);
  };
  least.addEventListener("input", describeLeast);
  least.addEventListener("change", () => {
    model.set("threshold", isLimited() ? Number(least.value) : null);
    model.save_changes();
  });
  const chosen = make("span", "mm-chosen");
  const clear = button("mm-small", "clear", "Clear the selection", () => choose([]));
  const undo = button("mm-small", "undo", "Undo the last label (u)", () => send({ do: "undo" }));
  const leastLabel = make("label", "mm-tool", {}, ["Score ≥", least, leastWords]);
  const sizeLabel = make("label", "mm-tool", {}, ["Size", size]);
  const keys = make("span", "mm-keys", { title: "keys", tabIndex: -1 });
  tools.append(chosen, clear, undo, leastLabel, sizeLabel);

  function drawTools() {
    const [low, high] = model.get("scores");
    leastLabel.hidden = low === undefined;
    if (low !== undefined) {
      least.min = low;
      least.max = high;
      least.value = model.get("threshold") ?? low;
      describeLeast();
    }
    size.value = model.get("size");
    el.style.setProperty("--mm-size", `${model.get("size")}px`);
    const count = model.get("selected").length;
    chosen.textContent = count ? `${count} selected` : "";
    clear.hidden = !count;
    undo.hidden = !can("label") || !model.get("undoable");
    sizeLabel.hidden = !cards().some((card) => card.modality !== "text");
    keys.textContent = `${KEYS}${can("select") ? SELECT_KEYS : ""}${can("label") ? LABEL_KEYS : ""}.`;
  }

  function drawRest() {
    const more = model.get("total") - cards().length;
    const next = make("button", "mm-button", { type: "button", hidden: more < 1 }, [`Show more (${more} left)`]);
    next.addEventListener("click", () => send({ do: "show_more" }));
    rest.replaceChildren(next, keys);
    keys.hidden = !cards().length;
    empty.textContent = cards().length || model.get("busy") ? "" : model.get("empty");
  }

  // --- selection and labels

  function choose(items) {
    model.set("selected", items);
    model.save_changes();
  }

  function toggle(item) {
    const now = model.get("selected");
    choose(now.includes(item) ? now.filter((one) => one !== item) : [...now, item]);
  }

  function label(item, relevance) {
    const same = model.get("labels")[item] === relevance;
    send({ do: "label", id: item, relevance: same ? null : relevance });
  }

  // --- cards

  function actionsOf(card) {
    const item = card.item_id;
    const made = [];
    if (can("more")) made.push(button("mm-act", "+", "More like this", () => send({ do: "act", action: "more", id: item })));
    if (can("less")) made.push(button("mm-act", "−", "Not this: fewer like it", () => send({ do: "act", action: "less", id: item })));
    if (can("label")) {
      made.push(button("mm-act mm-yes", "✓", "Relevant (y)", () => label(item, 1)));
      made.push(button("mm-act mm-no", "✗", "Not relevant (n)", () => label(item, 0)));
    }
    return made;
  }

  function describe(card) {
    const mark = MARKS[card.right];
    const parts = [
      card.rank ? `Rank ${card.rank}` : "",
      card.modality,
      card.words,
      typeof card.score === "number" ? `score ${number(card.score, 3)}` : "",
      mark ? mark[1] : "",
    ];
    return parts.filter(Boolean).join(", ");
  }

  function makeCard(card) {
    const urls = [];
    const open = make("button", "mm-open", { type: "button", "aria-label": `${describe(card)}. Open` });
    open.addEventListener("click", (event) => {
      activate(card.item_id, false);
      if (event.ctrlKey || event.metaKey) toggle(card.item_id);
      else openDetails(card.item_id);
    });
    if (card.thumbnail) {
      urls.push(imageUrl(card.thumbnail));
      open.append(make("img", "mm-image", { src: urls[0], alt: "", draggable: false }));
    } else if (card.modality !== "text") {
      open.append(make("span", "mm-none", {}, [card.problem || "no image"]));
    }
    const line = make("div", "mm-facts");
    const [first, ...others] = facts(card);
    if (first) line.append(make("b", "", {}, [first]), make("span", "", {}, [others.join("  ")]));
    const mark = MARKS[card.right];
    if (mark) line.append(make("span", `mm-mark mm-${mark[1]}`, { title: mark[1] }, [mark[0]]));
    if (card.note) line.append(make("span", "mm-note", {}, [card.note]));
    if (card.judged === 0 || card.judged > 0) {
      line.append(make("span", "mm-judged", {}, [card.judged > 0 ? "judged relevant" : "judged not relevant"]));
    }
    const words = make("div", "mm-words", { title: card.modality === "text" ? "" : String(card.words ?? "") }, [
      make("bdi", "", {}, [String(card.words ?? "")]),
    ]);
    const acts = make("div", "mm-acts", {}, actionsOf(card));
    const body = make("div", "mm-body", {}, [line, words]);
    const frame = make("div", "mm-frame", {}, [open, acts]);
    if (can("select")) frame.append(button("mm-act mm-select", "☐", "Select (s)", () => toggle(card.item_id)));
    const item = make("li", `mm-card${card.modality === "text" ? " mm-text" : ""}`, {}, [frame, body]);
    if (mark) item.classList.add(`mm-is-${mark[1]}`);
    item.dataset.item = card.item_id;
    item.addEventListener("focusin", () => activate(card.item_id, false));
    return { item, urls };
  }

  function keyOf(card) {
    const { thumbnail, ...plain } = card;
    return JSON.stringify([plain, thumbnail?.byteLength, model.get("actions")]);
  }

  function drawCards() {
    const next = new Map();
    for (const card of cards()) {
      const known = elements.get(card.item_id);
      const key = keyOf(card);
      next.set(card.item_id, known?.key === key ? known : { ...makeCard(card), key });
    }
    for (const [item, old] of elements) {
      if (next.get(item) !== old) old.urls.forEach((url) => URL.revokeObjectURL(url));
    }
    const focused = list.contains(document.activeElement);
    elements = next;
    list.replaceChildren(...[...next.values()].map((one) => one.item));
    if (!elements.has(active)) active = cards()[0]?.item_id ?? null;
    drawStates();
    if (focused) activate(active, true);
    if (opened && !elements.has(opened)) dialog.close();
    drawTools();
    drawRest();
  }

  function drawStates() {
    const labels = model.get("labels");
    const selected = new Set(model.get("selected"));
    for (const [item, { item: element }] of elements) {
      const relevance = labels[item];
      element.classList.toggle("mm-active", item === active);
      element.classList.toggle("mm-selected", selected.has(item));
      element.classList.toggle("mm-relevant", relevance > 0);
      element.classList.toggle("mm-irrelevant", relevance === 0);
      element.querySelector(".mm-yes")?.setAttribute("aria-pressed", String(relevance > 0));
      element.querySelector(".mm-no")?.setAttribute("aria-pressed", String(relevance === 0));
      const select = element.querySelector(".mm-select");
      if (select) {
        select.setAttribute("aria-pressed", String(selected.has(item)));
        select.textContent = selected.has(item) ? "☑" : "☐";
      }
      for (const one of element.querySelectorAll("button")) one.tabIndex = item === active ? 0 : -1;
    }
    drawTools();
    if (opened) drawDialogStates();
  }

  function activate(item, focus) {
    if (!elements.has(item)) return;
    if (active !== item) {
      active = item;
      drawStates();
    }
    if (focus) elements.get(item).item.querySelector(".mm-open").focus();
  }

  function beside(item, step) {
    const order = cards().map((card) => card.item_id);
    return order[Math.min(Math.max(order.indexOf(item) + step, 0), order.length - 1)];
  }

  function columns() {
    const tops = [...elements.values()].map((one) => one.item.offsetTop);
    return Math.max(tops.filter((top) => top === tops[0]).length, 1);
  }

  const MOVES = { ArrowRight: () => 1, ArrowLeft: () => -1, ArrowDown: columns, ArrowUp: () => -columns() };

  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !active) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key in MOVES) activate(beside(active, MOVES[key]()), true);
    else if (key === "Home" || key === "End") activate(beside(active, key === "Home" ? -1e9 : 1e9), true);
    else if (key === "s" && can("select")) toggle(active);
    else if (can("label") && /^[ynu1-9]$/.test(key)) pressKey(key);
    else return;
    event.preventDefault();
  });

  function pressKey(key) {
    send({ do: "key", key, id: active });
    if (key === "y" || key === "n") activate(beside(active, 1), true);
    else if (key !== "u") activate(cards()[Number(key) - 1]?.item_id, true);
  }

  // --- details

  const bigBox = make("div", "mm-big");
  const facts_ = make("div", "mm-dialog-facts");
  const texts = make("div", "mm-texts");
  const table = make("dl", "mm-columns");
  const acts = make("div", "mm-dialog-acts");
  const said = make("span", "mm-said", { role: "status" });
  const step = (by) => openDetails(beside(opened, by));
  const top = make("div", "mm-dialog-top", {}, [
    button("mm-button", "‹", "The hit before", () => step(-1)),
    button("mm-button", "›", "The next hit", () => step(1)),
    facts_,
    button("mm-button mm-close", "✕", "Close", () => dialog.close()),
  ]);
  const side = make("div", "mm-side", { tabIndex: 0, role: "group", "aria-label": "Texts and columns" }, [acts, said, texts, table]);
  dialog.append(top, make("div", "mm-dialog-body", {}, [bigBox, side]));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    activate(opened, true);
    opened = null;
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    if (key === "arrowright" || key === "arrowleft") step(key === "arrowright" ? 1 : -1);
    else if (can("label") && /^[ynu]$/.test(key)) send({ do: "key", key, id: opened });
    else if (key === "s" && can("select")) toggle(opened);
    else return;
    event.preventDefault();
  });

  function openDetails(item) {
    const card = cardOf(item);
    if (!card) return;
    opened = item;
    activate(item, false);
    facts_.textContent = describe({ ...card, words: "" });
    const known = elements.get(item);
    const image = known.urls[0] ? [make("img", "mm-soft", { src: known.urls[0], alt: "" })] : [];
    bigBox.replaceChildren(...image);
    bigBox.hidden = !image.length;
    texts.replaceChildren(make("p", "mm-first", {}, [make("bdi", "", {}, [String(card.words ?? "")])]));
    table.replaceChildren(...row("item_id", card.item_id, true));
    acts.replaceChildren(...dialogActions(card));
    said.textContent = "";
    drawDialogStates();
    if (!dialog.open) dialog.showModal();
    send({ do: "details", id: item });
  }

  function dialogActions(card) {
    const item = card.item_id;
    const wide = (words, name, pressed) => {
      const made = button("mm-button", words, name, pressed);
      made.removeAttribute("aria-label");
      return made;
    };
    const act = (action) => () => {
      dialog.close();
      send({ do: "act", action, id: item });
    };
    const made = [];
    if (can("more")) made.push(wide("more like this", "add it to the question", act("more")));
    if (can("less")) made.push(wide("not this", "take it from the question", act("less")));
    if (can("label")) {
      made.push(wide("relevant", "y", () => label(item, 1)), wide("not relevant", "n", () => label(item, 0)));
      made.at(-2).classList.add("mm-yes");
      made.at(-1).classList.add("mm-no");
    }
    if (can("select")) {
      made.push(wide("select", "s", () => toggle(item)));
      made.at(-1).classList.add("mm-select");
    }
    return made;
  }

  function drawDialogStates() {
    const relevance = model.get("labels")[opened];
    const pressed = { "mm-yes": relevance > 0, "mm-no": relevance === 0, "mm-select": model.get("selected").includes(opened) };
    for (const [name, value] of Object.entries(pressed)) {
      acts.querySelector(`.${name}`)?.setAttribute("aria-pressed", String(value));
    }
  }

  function row(name, value, copied) {
    const shown = make("dd", "", {}, [make("span", "", {}, [value])]);
    if (/^https?:\/\/\S+$/.test(value)) {
      const link = make("a", "", { href: value, target: "_blank", rel: "noopener noreferrer" }, [value]);
      shown.replaceChildren(link);
    }
    if (copied) {
      shown.append(button("mm-small", "copy", `Copy ${name}`, () => copy(value, (word) => (said.textContent = `${name} ${word}`))));
    }
    return [make("dt", "", {}, [name]), shown];
  }

  function fillDetails(found, buffers) {
    if (found.id !== opened) return;
    const card = cardOf(opened);
    if (buffers.length) {
      if (bigUrl) URL.revokeObjectURL(bigUrl);
      bigUrl = imageUrl(buffers[0]);
      const image = make("img", "", { src: bigUrl, alt: String(card?.words ?? "") });
      const link = make("a", "mm-full", { href: bigUrl, target: "_blank", rel: "noopener" }, ["open the image alone"]);
      bigBox.replaceChildren(image, link);
      bigBox.hidden = false;
    } else if (found.problem) {
      bigBox.replaceChildren(make("p", "mm-none", {}, [found.problem]));
      bigBox.hidden = false;
    }
    const all = found.texts ?? [];
    if (all.length) {
      const lines = all.map((text) => make("li", text === card?.words ? "mm-own" : "", {}, [make("bdi", "", {}, [text])]));
      texts.replaceChildren(make("h4", "", {}, [all.length === 1 ? "Text" : `${all.length} texts`]), make("ul", "", {}, lines));
    }
    const rows = (found.columns ?? []).flatMap(([name, value]) => {
      return name === "text" || name === "image" ? [] : row(name, value, name === "item_id" || name === "pair_id");
    });
    const path = found.path ? row("path", found.path, true) : [];
    if (rows.length || path.length) table.replaceChildren(...path, ...rows);
  }

  // --- what Python changes

  const drawStatus = () => (status.textContent = model.get("status"));
  const drawError = () => {
    error.textContent = model.get("error");
    error.hidden = !model.get("error");
  };
  const drawBusy = () => {
    el.classList.toggle("mm-busy", model.get("busy"));
    list.setAttribute("aria-busy", String(model.get("busy")));
  };
  const watched = {
    "change:shown": drawCards,
    "change:actions": drawCards,
    "change:total": drawRest,
    "change:empty": drawRest,
    "change:labels": drawStates,
    "change:selected": drawStates,
    "change:undoable": drawTools,
    "change:scores": drawTools,
    "change:threshold": drawTools,
    "change:size": drawTools,
    "change:busy": drawBusy,
    "change:status": drawStatus,
    "change:error": drawError,
    "msg:custom": fillDetails,
  };
  for (const [name, draw] of Object.entries(watched)) model.on(name, draw);
  drawCards();
  drawStatus();
  drawError();
  drawBusy();
  return () => {
    for (const [name, draw] of Object.entries(watched)) model.off(name, draw);
    for (const { urls } of elements.values()) urls.forEach((url) => URL.revokeObjectURL(url));
    if (bigUrl) URL.revokeObjectURL(bigUrl);
    dialog.remove();
  };
}

export default { render };

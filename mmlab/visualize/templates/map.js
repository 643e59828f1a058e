"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const view = find("view"), pen = view.getContext("2d");
const SIGNS = ["\u25CF", "\u25B2", "\u25A0", "\u25C6", "\u25BC", "\u271A"];
const FIRST = data.colours.length - 1, SIZE = 5, NEAR = 14, SPAN = 1000;
let zoom = 1, shift = [0, 0], chosen = -1, hidden = new Set();

const points = () => data.maps[+find("map").value].points;
const group = () => data.groups[+find("group").value];
const style = (number) => (number < FIRST ? group().styles[number] : FIRST);
const colour = (number) => data.colours[style(number)];
const kind = (item) => Math.min(group().of[item], FIRST);
const shown = (item) => !hidden.has(kind(item));

function scale() {
  const side = Math.min(view.clientWidth, view.clientHeight) - 30;
  return (side / SPAN) * zoom;
}

function place(item) {
  const [x, y] = points()[item];
  return [
    view.clientWidth / 2 + (x - SPAN / 2) * scale() + shift[0],
    view.clientHeight / 2 - (y - SPAN / 2) * scale() + shift[1],
  ];
}

const SHAPES = [
  (x, y, r) => pen.arc(x, y, r, 0, 7),
  (x, y, r) => corners([[x, y - r], [x + r, y + r], [x - r, y + r]]),
  (x, y, r) => pen.rect(x - r, y - r, 2 * r, 2 * r),
  (x, y, r) => corners([[x, y - r - 1], [x + r + 1, y], [x, y + r + 1], [x - r - 1, y]]),
  (x, y, r) => corners([[x, y + r], [x + r, y - r], [x - r, y - r]]),
  (x, y, r) => { pen.rect(x - r, y - r / 3, 2 * r, r / 1.5); pen.rect(x - r / 3, y - r, r / 1.5, 2 * r); },
  (x, y, r) => pen.arc(x, y, r / 2, 0, 7),
];

function corners(path) {
  path.forEach(([x, y], number) => (number ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.closePath();
}

function mark(item, size) {
  const number = kind(item);
  pen.beginPath();
  SHAPES[style(number)](...place(item), size);
  pen.fillStyle = data.image[item] ? colour(number) : "#fff";
  pen.strokeStyle = colour(number);
  pen.lineWidth = 1.6;
  pen.fill();
  pen.stroke();
}

function line(first, second, width, ink) {
  pen.beginPath();
  pen.moveTo(...place(first));
  pen.lineTo(...place(second));
  pen.lineWidth = width;
  pen.strokeStyle = ink;
  pen.stroke();
}

function draw() {
  const sharp = window.devicePixelRatio || 1;
  view.width = view.clientWidth * sharp;
  view.height = view.clientHeight * sharp;
  pen.scale(sharp, sharp);
  if (data.links && find("links").checked) {
    data.other.forEach((second, first) => {
      if (first < second && shown(first) && shown(second)) line(first, second, 0.6, "#bbbbbb");
    });
  }
  data.captions.forEach((_, item) => shown(item) && mark(item, SIZE));
  if (chosen < 0) return;
  if (data.links) line(chosen, data.other[chosen], 2, "#222222");
  mark(data.other[chosen], SIZE + 2);
  mark(chosen, SIZE + 3);
  pen.beginPath();
  pen.arc(...place(chosen), SIZE + 8, 0, 7);
  pen.strokeStyle = "#222222";
  pen.lineWidth = 2;
  pen.stroke();
}

function add(parent, tag, words) {
  const made = document.createElement(tag);
  made.textContent = words;
  parent.append(made);
  return made;
}

function choose(item) {
  if (item === chosen) return;
  chosen = item;
  const card = find("card"), thumb = data.thumbs[item] || data.thumbs[data.other[item]];
  card.replaceChildren();
  if (thumb) {
    const image = add(card, "img", "");
    image.src = "data:image/jpeg;base64," + thumb;
    image.alt = "";
  }
  add(card, "p", data.captions[item]);
  const kinds = data.groups.map((each) => each.name + ": " + each.names[each.of[item]]);
  add(card, "p", kinds.join(", ")).className = "soft";
  draw();
}

function nearest(x, y, allowed) {
  let best = -1, least = Infinity;
  data.captions.forEach((_, item) => {
    if (!shown(item)) return;
    const [px, py] = place(item), away = Math.hypot(px - x, py - y);
    if (away < least && allowed(px - x, py - y, away)) [best, least] = [item, away];
  });
  return best;
}

function legend() {
  const box = find("legend"), names = group().names.slice(0, FIRST);
  if (group().names.length > names.length) names.push("other");
  box.replaceChildren();
  names.forEach((name, number) => {
    const button = add(box, "button", "");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    const sign = add(button, "span", SIGNS[style(number)] || "\u00B7");
    sign.className = "mark";
    sign.style.color = colour(number);
    add(button, "span", name + " (" + data.captions.filter((_, item) => kind(item) === number).length + ")");
    button.onclick = () => {
      hidden.has(number) ? hidden.delete(number) : hidden.add(number);
      button.setAttribute("aria-pressed", String(!hidden.has(number)));
      draw();
    };
  });
}

function rescale(factor, x = view.clientWidth / 2, y = view.clientHeight / 2) {
  const next = Math.min(60, Math.max(0.5, zoom * factor)), ratio = next / zoom;
  const centre = [view.clientWidth / 2, view.clientHeight / 2];
  shift = [x, y].map((at, axis) => at - centre[axis] - (at - centre[axis] - shift[axis]) * ratio);
  zoom = next;
  draw();
}

function reset() {
  [zoom, shift] = [1, [0, 0]];
  draw();
}

let held = null;
view.onpointerdown = (event) => {
  held = [event.clientX, event.clientY];
  view.setPointerCapture(event.pointerId);
};
view.onpointerup = () => { held = null; };
view.onpointermove = (event) => {
  if (held) {
    shift = [shift[0] + event.clientX - held[0], shift[1] + event.clientY - held[1]];
    held = [event.clientX, event.clientY];
    return draw();
  }
  const item = nearest(event.offsetX, event.offsetY, (dx, dy, away) => away < NEAR);
  if (item >= 0) choose(item);
};
view.addEventListener("wheel", (event) => {
  event.preventDefault();
  rescale(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
}, { passive: false });

const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEYS = { "+": () => rescale(1.4), "=": () => rescale(1.4), "-": () => rescale(1 / 1.4), "0": reset };
view.onkeydown = (event) => {
  if (KEYS[event.key]) KEYS[event.key]();
  else if (WAYS[event.key]) step(...WAYS[event.key]);
  else return;
  event.preventDefault();
};

function step(x, y) {
  const middle = [view.clientWidth / 2, view.clientHeight / 2];
  if (chosen < 0 || !shown(chosen)) return choose(nearest(...middle, () => true));
  const ahead = (dx, dy, away) => away > 0 && dx * x + dy * y > away * 0.7;
  const item = nearest(...place(chosen), ahead);
  if (item < 0) return;
  choose(item);
  const [px, py] = place(item);
  if (px < 0 || py < 0 || px > view.clientWidth || py > view.clientHeight) {
    shift = [shift[0] + middle[0] - px, shift[1] + middle[1] - py];
    draw();
  }
}

function fill(id, names) {
  names.forEach((name, number) => { add(find(id), "option", name).value = String(number); });
}

fill("map", data.maps.map((each) => each.name));
fill("group", data.groups.map((each) => each.name));
find("linking").hidden = !data.links;
find("map").onchange = reset;
find("links").onchange = draw;
find("group").onchange = () => { hidden = new Set(); legend(); draw(); };
find("closer").onclick = () => rescale(1.4);
find("farther").onclick = () => rescale(1 / 1.4);
find("all").onclick = reset;
window.onresize = draw;
legend();
draw();

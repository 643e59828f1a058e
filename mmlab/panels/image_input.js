// Takes an image by file, drop or paste, and makes a large one small before it is sent.

const AS_IT_IS = new Set(["image/jpeg", "image/png", "image/webp"]);
const SMALL_BYTES = 1_500_000;

function make(tag, classes, properties = {}, children = []) {
  const made = document.createElement(tag);
  made.className = classes;
  for (const [name, value] of Object.entries(properties)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// The upright image (the browser heeds EXIF), its longer side `side` pixels at most, on white, as a JPEG.
async function shrink(file, side) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  if (scale === 1 && AS_IT_IS.has(file.type) && file.size <= SMALL_BYTES) return file;
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}

function imageIn(list) {
  return [...(list ?? [])].find((file) => file.type.startsWith("image/") || /\.(heic|heif|avif|tiff?)$/i.test(file.name));
}

function render({ model, el }) {
  const file = make("input", "mm-file", { type: "file", accept: "image/*,.heic,.heif", tabindex: "-1", "aria-hidden": "true" });
  const choose = make("button", "mm-choose", { type: "button", title: "Choose a file, drop one on this panel, or paste one" });
  const clear = make("button", "mm-clear", { type: "button", title: "Take the image away", "aria-label": "Take the image away" }, ["✕"]);
  const said = make("span", "mm-input-said", { role: "status" });
  el.classList.add("mm-input");
  el.replaceChildren(file, choose, clear, said);
  let url = null;
  let panel = null;
  let waiting = null;

  async function take(given) {
    if (!given) return;
    said.textContent = "reading …";
    let sent = given;
    try {
      sent = await shrink(given, model.get("max_side"));
    } catch {
      // not decoded here: the kernel may know the format
    }
    said.textContent = "";
    if (sent.size > model.get("max_bytes")) {
      const size = Math.round(sent.size / 1e6);
      said.textContent = `${given.name}: ${size} MB that this browser cannot make smaller; save it as a JPEG`;
      return;
    }
    model.send({ do: "image", name: given.name || "pasted image" }, undefined, [await sent.arrayBuffer()]);
  }

  function draw() {
    if (url) URL.revokeObjectURL(url);
    url = null;
    const name = model.get("name");
    const preview = model.get("preview");
    const parts = [];
    if (name && preview?.byteLength) {
      url = URL.createObjectURL(new Blob([preview], { type: "image/jpeg" }));
      const image = make("img", "mm-preview", { alt: "" });
      image.src = url;
      parts.push(image);
    }
    parts.push(make("span", "mm-input-name", {}, [name || "Image: choose, drop or paste"]));
    choose.replaceChildren(...parts);
    choose.setAttribute("aria-label", name ? `The image that asks: ${name}. Choose another` : "Choose an image, drop or paste one");
    clear.hidden = !name;
  }

  choose.addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    take(file.files[0]);
    file.value = "";
  });
  clear.addEventListener("click", () => model.send({ do: "clear" }));

  const handlers = {
    paste: (event) => {
      const found = imageIn(event.clipboardData?.files);
      if (!found) return;
      event.preventDefault();
      event.stopPropagation();
      take(found);
    },
    dragover: (event) => {
      if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
      event.preventDefault();
      event.stopPropagation();
      panel.classList.add("mm-drop");
    },
    dragleave: (event) => panel.contains(event.relatedTarget) || panel.classList.remove("mm-drop"),
    drop: (event) => {
      panel.classList.remove("mm-drop");
      const found = imageIn(event.dataTransfer?.files);
      if (!found) return;
      event.preventDefault();
      event.stopPropagation();
      take(found);
    },
  };

  function attach() {
    panel = el.closest(".mmlab-panel");
    if (!panel) {
      waiting = setTimeout(attach, 50);
      return;
    }
    for (const [name, handler] of Object.entries(handlers)) panel.addEventListener(name, handler);
  }
  attach();
  model.on("change:name", draw);
  model.on("change:preview", draw);
  draw();
  return () => {
    clearTimeout(waiting);
    for (const [name, handler] of Object.entries(handlers)) panel?.removeEventListener(name, handler);
    model.off("change:name", draw);
    model.off("change:preview", draw);
    if (url) URL.revokeObjectURL(url);
  };
}

export default { render };

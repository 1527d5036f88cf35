// What the map, the field to draw on and the buttons do.
"use strict";

function connectMap(view) {
  const map = by("map");
  const move = (event) => {
    const box = map.getBoundingClientRect();
    const place = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    view.axes.forEach((latent, axis) => view.move(latent, view.fromMap(axis, place[axis])));
  };
  map.addEventListener("pointerdown", (event) => {
    map.setPointerCapture(event.pointerId);
    move(event);
  });
  map.addEventListener("pointermove", (event) => event.buttons && move(event));
  map.addEventListener("pointerup", () => view.drawStrips());
  const keys = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowDown: [1, -1], ArrowUp: [1, 1] };
  map.addEventListener("keydown", (event) => {
    const [axis, sign] = keys[event.key] ?? [];
    if (axis === undefined || view.axes[axis] < 0) return;
    event.preventDefault();
    view.move(view.axes[axis], view.z[view.axes[axis]] + sign * (event.shiftKey ? 0.5 : 0.1));
  });
  by("axes").hidden = view.latents < 3;
  for (const [axis, id] of ["axis-x", "axis-y"].entries()) {
    by(id).replaceChildren(...view.order.map((latent) => new Option(`latent ${latent + 1}`, latent)));
    by(id).value = view.axes[axis];
    by(id).addEventListener("change", () => {
      view.axes[axis] = Number(by(id).value);
      view.range[axis] = view.rangeOf(view.axes[axis]);
      view.refresh();
    });
  }
}

function connectDrawing(view) {
  const canvas = by("drawing");
  [canvas.width, canvas.height] = [280, Math.round((280 * view.height) / view.width)];
  const context = canvas.getContext("2d");
  const clear = () => {
    context.fillStyle = view.channels < 3 ? "#000000" : "#ffffff";
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  clear();
  let last = null;
  const draw = (event) => {
    const box = canvas.getBoundingClientRect();
    const place = [(event.clientX - box.left) * (canvas.width / box.width), (event.clientY - box.top) * (canvas.height / box.height)];
    Object.assign(context, { lineWidth: 20, lineCap: "round", strokeStyle: view.channels < 3 ? "#ffffff" : "#d03030" });
    context.beginPath();
    context.moveTo(...(last ?? place));
    context.lineTo(...place);
    context.stroke();
    last = place;
    view.encodeDrawing();
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = null;
    draw(event);
  });
  canvas.addEventListener("pointermove", (event) => event.buttons && draw(event));
  const drop = async (file) => {
    if (!file) return;
    try {
      drawWhole(context, await createImageBitmap(file));
      view.encodeDrawing();
    } catch {
      say(`${file.name} is no picture that this browser reads.`);
    }
  };
  canvas.addEventListener("dragover", (event) => event.preventDefault());
  canvas.addEventListener("drop", (event) => {
    event.preventDefault();
    drop(event.dataTransfer.files[0]);
  });
  by("file").addEventListener("change", () => drop(by("file").files[0]));
  by("clear").addEventListener("click", () => {
    clear();
    view.cloud = null;
    view.encodeDrawing();
  });
}

// Fills a canvas with the middle of a picture.
function drawWhole(context, picture) {
  const { width, height } = context.canvas;
  const scale = Math.max(width / picture.width, height / picture.height);
  const size = [picture.width * scale, picture.height * scale];
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, width, height);
  context.drawImage(picture, (width - size[0]) / 2, (height - size[1]) / 2, ...size);
}

function connectRest(view) {
  by("all-latents").addEventListener("click", () => {
    view.makeSliders(true);
    view.drawStrips();
  });
  by("zero").addEventListener("click", () => {
    view.z.fill(0);
    view.refresh();
  });
  for (const [end, id] of ["from", "to"].entries()) {
    by(id).addEventListener("click", () => {
      view.ends[end] = view.z.slice();
      view.drawWalk();
    });
  }
  by("way").addEventListener("input", () => {
    by("way-value").value = `${Math.round(100 * by("way").value)} %`;
    view.z = Float32Array.from(view.between(Number(by("way").value)));
    view.show();
  });
  by("again").addEventListener("click", () => {
    view.seed += 1;
    view.drawSamples();
  });
}

// What a person sees and does.
"use strict";

const by = (id) => document.getElementById(id);
const COLOURS = ["#56b4e9", "#e69f00", "#2fbf8f", "#f0e442", "#5f8fe0", "#e8743b", "#cc79a7", "#c3c3c3", "#b39ddb", "#a5d66f"];
const RANGE = 3.5; // of the map and of the sliders, on each side of 0
const GRID = 16; // images along each side of the map

// The last call wins: while one runs, only the newest of the others waits.
function latest(work) {
  let running = false;
  let next = null;
  return async function call(...args) {
    if (running) return void (next = args);
    running = true;
    try {
      await work(...args);
    } finally {
      running = false;
      const args = next;
      next = null;
      if (args) call(...args);
    }
  };
}

class View {
  constructor(page, model) {
    const { latents } = page.model;
    [this.height, this.width, this.channels] = page.model.image;
    this.size = this.height * this.width * this.channels;
    Object.assign(this, { page, model, latents, z: new Float32Array(latents), seed: 1, cloud: null });
    this.trainedMeans = page.floats(page.map.means);
    this.means = this.trainedMeans;
    this.order = this.strongest();
    this.axes = [this.order[0], this.order[1] ?? -1];
    this.range = [0, 1].map((axis) => this.rangeOf(this.axes[axis]));
    this.ends = [this.z.slice(), this.z.slice()];
    this.show = latest(() => this.decodePlace());
    this.encodeDrawing = latest(() => this.encodeNow());
  }

  // Puts images at their places on the map, as the model encodes them now. They are the first ones of those that have labels.
  async useMeansOf(images) {
    const outputs = await this.model.encode(images);
    const width = outputs.length / (images.length / this.size);
    const count = outputs.length / width;
    this.means = new Float32Array(count * this.latents);
    for (let i = 0; i < count; i++) this.means.set(outputs.subarray(i * width, i * width + this.latents), i * this.latents);
  }

  // The latents by their KL divergence, the largest one first. Also finds their spread over the examples.
  strongest() {
    const { latents, means } = this;
    const count = means.length / latents;
    const variance = (latent) => {
      let [sum, squares] = [0, 0];
      for (let i = latent; i < means.length; i += latents) {
        sum += means[i];
        squares += means[i] ** 2;
      }
      return count ? squares / count - (sum / count) ** 2 : 0;
    };
    this.variances = Array.from({ length: latents }, (_, latent) => variance(latent));
    const { kl } = this.page.map;
    return [...kl.keys()].sort((a, b) => kl[b] - kl[a]);
  }

  // The values of a latent that the map shows: all means, and at least -RANGE to RANGE.
  rangeOf(latent) {
    let most = RANGE;
    for (let i = latent; latent >= 0 && i < this.means.length; i += this.latents) most = Math.max(most, Math.abs(this.means[i]));
    return 1.05 * most;
  }

  // A canvas of images side by side; `columns` of them in a row.
  draw(canvas, images, columns) {
    const count = images.length / this.size;
    const rows = Math.ceil(count / columns);
    canvas.width = columns * this.width;
    canvas.height = rows * this.height;
    const context = canvas.getContext("2d");
    for (let i = 0; i < count; i++) {
      const data = this.imageData(images.subarray(i * this.size, (i + 1) * this.size));
      context.putImageData(data, (i % columns) * this.width, Math.floor(i / columns) * this.height);
    }
  }

  imageData(values) {
    const data = new ImageData(this.width, this.height);
    const { channels } = this;
    for (let i = 0; i < this.width * this.height; i++) {
      const level = (channel) => 255 * Math.min(1, Math.max(0, values[i * channels + (channels < 3 ? 0 : channel)]));
      data.data.set([level(0), level(1), level(2), 255], 4 * i);
    }
    return data;
  }

  // Latents, (N, L), that are those of the place but for one.
  along(latent, values) {
    const all = new Float32Array(values.length * this.latents);
    values.forEach((value, i) => {
      all.set(this.z, i * this.latents);
      all[i * this.latents + latent] = value;
    });
    return all;
  }

  async decodePlace() {
    this.draw(by("image"), await this.model.decode(this.z), 1);
    const shown = this.axes.filter((axis) => axis >= 0).map((axis) => `latent ${axis + 1} = ${this.z[axis].toFixed(2)}`);
    by("place").value = shown.join(", ");
    by("map").setAttribute("aria-valuenow", Math.round(100 * this.z[this.axes[0]]));
    by("map").setAttribute("aria-valuetext", shown.join(", "));
    for (const input of document.querySelectorAll(".latent input")) {
      input.value = this.z[input.dataset.latent];
      input.nextElementSibling.value = this.z[input.dataset.latent].toFixed(2);
    }
    this.drawMarks();
  }

  move(latent, value) {
    if (latent < 0) return;
    this.z[latent] = Math.min(this.rangeOf(latent), Math.max(-this.rangeOf(latent), value));
    this.show();
  }

  // From a latent's value to a place on the map, and back.
  toMap(axis, value) {
    const side = by("map").width;
    const place = ((value / this.range[axis] + 1) / 2) * side;
    return axis === 0 ? place : side - place;
  }

  fromMap(axis, place) {
    const share = axis === 0 ? place : 1 - place;
    return (2 * share - 1) * this.range[axis];
  }

  async drawMap() {
    const side = by("map").width;
    const all = new Float32Array(GRID * GRID * this.latents);
    for (let i = 0; i < GRID * GRID; i++) {
      const z = all.subarray(i * this.latents, (i + 1) * this.latents);
      const place = [(i % GRID) + 0.5, Math.floor(i / GRID) + 0.5];
      z.set(this.z);
      this.axes.forEach((latent, axis) => latent >= 0 && (z[latent] = this.fromMap(axis, place[axis] / GRID)));
    }
    const images = await this.model.decode(all);
    const sheet = document.createElement("canvas");
    this.draw(sheet, images, GRID);
    this.background = document.createElement("canvas");
    this.background.width = this.background.height = side;
    const context = this.background.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(sheet, 0, 0, side, side);
    context.fillStyle = "rgb(0 0 0 / 55%)";
    context.fillRect(0, 0, side, side);
    const { labels } = this.page.map;
    context.font = "bold 11px system-ui, sans-serif";
    for (let i = 0; i < this.means.length / this.latents; i++) {
      const [x, y] = this.axes.map((latent, axis) => this.toMap(axis, latent < 0 ? 0 : this.means[i * this.latents + latent]));
      context.fillStyle = labels ? COLOURS[labels[i] % COLOURS.length] : "#ffffff";
      if (labels) context.fillText(labels[i], x - 3, y + 4);
      else context.fillRect(x - 1, y - 1, 2, 2);
    }
    this.drawMarks();
  }

  drawMarks() {
    if (!this.background) return;
    const context = by("map").getContext("2d");
    context.drawImage(this.background, 0, 0);
    const at = (z) => this.axes.map((latent, axis) => this.toMap(axis, latent < 0 ? 0 : z[latent]));
    context.fillStyle = "#ff5fa2";
    for (const z of this.cloud ?? []) {
      const [x, y] = at(z);
      context.fillRect(x - 1.5, y - 1.5, 3, 3);
    }
    const [x, y] = at(this.z);
    for (const [width, colour] of [[5, "#000000"], [2, "#ffffff"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      context.arc(x, y, 8, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  drawStrips = latest(async () => {
    for (const strip of document.querySelectorAll(".latent canvas")) {
      const values = Array.from({ length: 7 }, (_, i) => (i - 3) * (RANGE / 3.5));
      this.draw(strip, await this.model.decode(this.along(Number(strip.dataset.latent), values)), 7);
    }
  });

  makeSliders(all) {
    const active = this.order.filter((latent) => this.variances[latent] > 0.01);
    const shown = all ? this.order : (active.length ? active : this.order).slice(0, 8);
    by("all-latents").hidden = all || shown.length === this.latents;
    by("sliders").replaceChildren(...shown.map((latent) => {
      const row = document.createElement("div");
      row.className = "latent";
      const label = document.createElement("label");
      label.textContent = `Latent ${latent + 1}, ${this.page.map.kl[latent].toFixed(2)} nats`;
      label.htmlFor = `latent-${latent}`;
      const input = Object.assign(document.createElement("input"), { type: "range", id: `latent-${latent}`, min: -RANGE, max: RANGE, step: 0.05 });
      input.dataset.latent = latent;
      input.value = this.z[latent];
      input.addEventListener("input", () => this.move(latent, Number(input.value)));
      input.addEventListener("change", () => this.refresh());
      const output = Object.assign(document.createElement("output"), { value: this.z[latent].toFixed(2) });
      output.htmlFor = input.id;
      const strip = document.createElement("canvas");
      strip.dataset.latent = latent;
      strip.setAttribute("role", "img");
      strip.setAttribute("aria-label", `Seven images of latent ${latent + 1} from -3 to 3`);
      row.append(label, input, output, strip);
      return row;
    }));
  }

  // Draws everything that depends on the parameters or on latents that the map does not show.
  refresh = latest(async () => {
    await this.decodePlace();
    await this.drawMap();
    await this.drawStrips();
    await this.drawWalk();
    await this.drawSamples();
  });

  async drawSamples() {
    this.draw(by("samples"), await this.model.sample(32, this.seed), 8);
  }

  between(share) {
    return this.ends[0].map((value, latent) => value + share * (this.ends[1][latent] - value));
  }

  async drawWalk() {
    const all = new Float32Array(9 * this.latents);
    for (let i = 0; i < 9; i++) all.set(this.between(i / 8), i * this.latents);
    this.draw(by("walk"), await this.model.decode(all), 9);
  }

  // The drawing as bytes, (D), reduced to the model's size.
  drawing() {
    const small = document.createElement("canvas");
    [small.width, small.height] = [this.width, this.height];
    const context = small.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(by("drawing"), 0, 0, this.width, this.height);
    return bytesOf(context.getImageData(0, 0, this.width, this.height), this.channels);
  }

  async encodeNow() {
    const outputs = await this.model.encode(this.drawing());
    const [mean, logvar] = [outputs.slice(0, this.latents), outputs.slice(this.latents, 2 * this.latents)];
    const deviation = logvar.map((value) => Math.exp(0.5 * this.clamped(value)));
    this.z = mean;
    this.cloud = Array.from({ length: 60 }, () => mean.map((value, latent) => value + deviation[latent] * normal()));
    this.draw(by("reconstruction"), await this.model.decode(mean), 1);
    this.show();
  }

  clamped(logvar) {
    const range = this.page.model.logvar_range;
    return range ? Math.min(range[1], Math.max(range[0], logvar)) : logvar;
  }
}

// The levels of a picture as bytes, (height, width, channels).
function bytesOf({ data }, channels) {
  const bytes = new Uint8Array((data.length / 4) * channels);
  for (let i = 0; i < data.length / 4; i++) {
    const [r, g, b] = data.subarray(4 * i, 4 * i + 3);
    const values = channels < 3 ? [0.299 * r + 0.587 * g + 0.114 * b, 255] : [r, g, b, 255];
    for (let channel = 0; channel < channels; channel++) bytes[i * channels + channel] = Math.round(values[channel]);
  }
  return bytes;
}

// A standard normal number: the cloud is only looked at.
function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

function say(text) {
  by("status").textContent = text;
}

// What to switch on where there is no WebGPU.
function advice() {
  const agent = navigator.userAgent;
  const linux = /Linux/.test(agent) && !/Android/.test(agent);
  if (/Firefox/.test(agent)) {
    return linux
      ? "Firefox on Linux: set dom.webgpu.enabled to true in about:config."
      : "Firefox: update it; Windows has WebGPU from version 141, macOS from 145.";
  }
  if (/Chrome|Chromium|Edg/.test(agent)) {
    return linux
      ? "Chrome on Linux: open chrome://flags, enable “Unsafe WebGPU Support” and “Vulkan”, and start it again."
      : "Chrome, Edge: update it, and check that chrome://gpu says “WebGPU: Hardware accelerated”.";
  }
  return /Safari/.test(agent) ? "Safari: version 26 or newer has WebGPU." : "A current Chrome, Edge, Firefox or Safari has WebGPU.";
}

async function start() {
  const page = await unpack();
  let model;
  try {
    model = await GpuModel.open(page);
    say(`The GPU runs it: ${model.name}.`);
  } catch (error) {
    model = new CpuModel(page);
    say(`The CPU runs it, slowly, because ${error.message}.`);
    by("advice").textContent = `For the GPU: ${advice()}`;
    by("advice").hidden = false;
  }
  const view = new View(page, model);
  connectMap(view);
  connectDrawing(view);
  connectRest(view);
  view.makeSliders(false);
  if (page.training && model instanceof GpuModel) view.training = new TrainingView(view);
  else by("training")?.remove();
  await view.refresh();
  document.documentElement.dataset.state = "ready";
  window.elbo = { page, model, view };
}

start().catch((error) => {
  say(`The page does not work here: ${error.message ?? error}.`);
  document.documentElement.dataset.state = "failed";
});

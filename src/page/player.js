// Replays recorded programs on the browser's GPU. A program is a list of dispatches: a pipeline, its tensors, its grid.
"use strict";

// The page's data: numbers by name, and the bytes that they refer to as [first, length].
async function unpack() {
  const unzip = (id) => {
    const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
    return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip")));
  };
  const data = await unzip("data").json();
  const bytes = await unzip("blob").arrayBuffer();
  const of = (Type) => ([first, length]) => new Type(bytes, first, length / Type.BYTES_PER_ELEMENT);
  return { ...data, bytes: of(Uint8Array), floats: of(Float32Array), words: of(Uint32Array) };
}

class Player {
  static async open(page) {
    if (!navigator.gpu) throw new Error("this browser has no WebGPU");
    const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) throw new Error("the browser found no GPU that it may use");
    const device = await adapter.requestDevice();
    const player = new Player();
    Object.assign(player, { page, device, adapter, lost: null });
    device.lost.then((info) => (player.lost = info.message));
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    player.buffers = page.listing.buffers.map((size) => device.createBuffer({ size, usage }));
    for (const [buffer, bytes] of page.contents) device.queue.writeBuffer(player.buffers[buffer], 0, page.bytes(bytes));
    const modules = page.listing.shaders.map((code) => device.createShaderModule({ code }));
    const pipelines = page.listing.pipelines.map((pipeline) => player.pipeline(modules, pipeline));
    player.pipelines = await Promise.all(pipelines);
    return player;
  }

  get name() {
    const { vendor, architecture, description } = this.adapter.info;
    return description || [vendor, architecture].filter(Boolean).join(" ") || "a GPU";
  }

  async pipeline(modules, { shader, entry, constants, bindings }) {
    const entries = bindings.map(([binding, writes]) => {
      const buffer = { type: writes ? "storage" : "read-only-storage" };
      return { binding, visibility: GPUShaderStage.COMPUTE, buffer };
    });
    const group = this.device.createBindGroupLayout({ entries });
    const layout = this.device.createPipelineLayout({ bindGroupLayouts: [group] });
    const compute = { module: modules[shader], entryPoint: entry, constants };
    const pipeline = await this.device.createComputePipelineAsync({ layout, compute });
    return { pipeline, group, bindings };
  }

  // Binds the tensors of a program once, for all of its replays.
  program(dispatches) {
    return dispatches.map(({ pipeline, bindings, grid }) => {
      const own = this.pipelines[pipeline];
      const entries = bindings.map(([buffer, offset, size], index) => {
        return { binding: own.bindings[index][0], resource: { buffer: this.buffers[buffer], offset, size } };
      });
      return { own, grid, group: this.device.createBindGroup({ layout: own.group, entries }) };
    });
  }

  // Replays a program some times in one submission.
  run(program, times = 1) {
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let time = 0; time < times; time++) {
      for (const { own, grid, group } of program) {
        pass.setPipeline(own.pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(...grid);
      }
    }
    pass.end();
    this.device.queue.submit([encoder.finish()]);
  }

  // Writes an array to the beginning of a tensor, padding included.
  write({ buffer, offset }, array) {
    this.device.queue.writeBuffer(this.buffers[buffer], offset, array);
  }

  // Writes rows of values, each padded to the tensor's stride.
  writeRows(place, values) {
    const rows = values.length / place.columns;
    const padded = new Float32Array(rows * place.stride);
    for (let row = 0; row < rows; row++) {
      padded.set(values.subarray(row * place.columns, (row + 1) * place.columns), row * place.stride);
    }
    this.write(place, padded);
  }

  // Reads the first rows of a tensor, without the padding.
  async read({ buffer, offset, columns, stride }, rows) {
    const size = 4 * rows * stride;
    const staging = this.device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.buffers[buffer], offset, staging, 0, size);
    this.device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const all = new Float32Array(staging.getMappedRange());
    const values = new Float32Array(rows * columns);
    for (let row = 0; row < rows; row++) {
      values.set(all.subarray(row * stride, row * stride + columns), row * columns);
    }
    staging.destroy();
    return values;
  }
}

// A row of the table of steps, as `Step` in src/step.rs: its first example, their number, and the noise key.
function stepOf(size, first, examples, key = [0, 0, 0, 0]) {
  const words = new Uint32Array(size);
  words.set([0, 0, first, examples, ...key]);
  return words;
}

// One thing after the other: programs share their tensors.
class Turns {
  constructor() {
    this.last = Promise.resolve();
  }

  take(work) {
    const result = this.last.then(work);
    this.last = result.catch(() => {});
    return result;
  }
}

// The model on the GPU. All values are Float32Arrays, row by row.
class GpuModel {
  static async open(page) {
    const player = await Player.open(page);
    const model = new GpuModel();
    const programs = Object.entries(page.programs).map(([name, list]) => [name, player.program(list)]);
    Object.assign(model, { page, player, turns: new Turns(), programs: Object.fromEntries(programs) });
    model.useTrained();
    return model;
  }

  get name() {
    return this.player.name;
  }

  useTrained() {
    const { place, bytes } = this.page.trained;
    this.player.write(place, this.page.bytes(bytes));
    this.isPrepared = false;
  }

  // Runs a program over rows in batches; `write` writes the inputs of some, `place` has the results.
  async batches(program, place, count, write, key) {
    const { batch, tensors, step_words } = this.page;
    const values = new Float32Array(count * place.columns);
    for (let first = 0; first < count; first += batch) {
      const rows = Math.min(batch, count - first);
      this.player.write(tensors.step, stepOf(step_words, key ? first : 0, rows, key));
      write(first, rows);
      this.player.run(program);
      values.set(await this.player.read(place, rows), first * place.columns);
    }
    return values;
  }

  // Images, (N, D), of latents, (N, L).
  decode(latents) {
    const { z, pixels } = this.page.tensors;
    const write = (first, rows) => {
      this.player.writeRows(z, latents.subarray(first * z.columns, (first + rows) * z.columns));
    };
    return this.turns.take(() => this.batches(this.programs.decode, pixels, latents.length / z.columns, write));
  }

  // The posterior's parameters, (N, outputs), of images as bytes, (N, D).
  encode(images) {
    const { bytes, posterior, pixels } = this.page.tensors;
    const width = pixels.columns;
    const padded = 4 * Math.ceil(width / 4);
    const write = (first, rows) => {
      const words = new Uint8Array(rows * padded);
      for (let row = 0; row < rows; row++) {
        words.set(images.subarray((first + row) * width, (first + row + 1) * width), row * padded);
      }
      this.player.write(bytes, words);
    };
    return this.turns.take(() => this.batches(this.programs.encode, posterior, images.length / width, write));
  }

  // Images, (N, D), of draws of the prior. The same seed gives the same ones.
  sample(count, seed) {
    return this.turns.take(() => {
      if (!this.isPrepared) this.player.run(this.programs.before);
      this.isPrepared = true;
      const key = [seed, 0, this.page.prior_stream, 0];
      return this.batches(this.programs.sample, this.page.tensors.pixels, count, () => {}, key);
    });
  }
}

// A training that replays a recorded step over recorded tables.
class Training {
  constructor(model) {
    const { page, player } = model;
    const own = page.training;
    const lists = { step: own.step, before: own.before, evaluation: own.evaluation };
    const programs = Object.entries(lists).map(([name, list]) => [name, player.program(list)]);
    Object.assign(this, { model, page, player, own, programs: Object.fromEntries(programs) });
    this.epochs = own.epochs.runs.length;
    this.reset();
  }

  // Goes back to the first parameters.
  reset() {
    const { page, player, own } = this;
    for (const [buffer, bytes] of page.contents) player.write({ buffer, offset: 0 }, page.bytes(bytes));
    for (const place of own.states) player.write(place, new Uint8Array(4 * place.rows * place.stride));
    Object.assign(this, { epoch: 0, step: 0, sums: [0, 0], seen: 0 });
    this.model.isPrepared = false;
  }

  // Uploads the tables of a run, and makes its first step the current one.
  upload(tables, run) {
    const { steps, order } = tables.runs[run];
    const words = this.page.words(steps);
    this.player.write(tables.order, this.page.words(order));
    this.player.write(tables.steps, words);
    this.player.write(tables.step, words.subarray(0, this.page.step_words));
  }

  // Trains some steps of the current epoch. Returns the epoch's means so far, in nats per example, and whether it is over.
  train(most) {
    return this.model.turns.take(async () => {
      const { own } = this;
      const { examples } = own.epochs.runs[this.epoch];
      const count = Math.min(most, examples.length - this.step);
      if (this.step === 0) Object.assign(this, { sums: [0, 0], seen: 0 });
      // Evaluations use other tensors, so the tables are uploaded once an epoch.
      if (this.step === 0) this.upload(own.epochs, this.epoch);
      this.player.run(this.programs.step, count);
      const metrics = await this.player.read(own.epochs.metrics, examples.length);
      for (let row = this.step; row < this.step + count; row++) {
        this.sums[0] += metrics[4 * row];
        this.sums[1] += metrics[4 * row + 1];
        this.seen += examples[row];
      }
      this.step += count;
      this.model.isPrepared = false;
      const isOver = this.step === examples.length;
      if (isOver) Object.assign(this, { epoch: this.epoch + 1, step: 0 });
      return { ...this.means(this.sums, this.seen), isOver };
    });
  }

  means([logProb, kl], examples) {
    return { nll: -logProb / examples, kl: kl / examples, elbo: (logProb - kl) / examples };
  }

  // Evaluates the model on the test images of the page.
  evaluate() {
    return this.model.turns.take(async () => {
      const { own } = this;
      const { examples } = own.held_out.runs[0];
      this.upload(own.held_out, 0);
      this.player.run(this.programs.before);
      this.player.run(this.programs.evaluation, examples.length);
      const metrics = await this.player.read(own.held_out.metrics, examples.length);
      const sum = (column) => examples.reduce((sum, _, row) => sum + metrics[4 * row + column], 0);
      return this.means([sum(0), sum(1)], examples.reduce((a, b) => a + b));
    });
  }

  // Replaces the training images, as bytes (N, D): they are repeated until there are as many as were recorded.
  useImages(images) {
    const { columns } = this.page.tensors.pixels;
    const padded = 4 * Math.ceil(columns / 4);
    const count = images.length / columns;
    const words = new Uint8Array(this.own.examples * padded);
    for (let row = 0; row < this.own.examples; row++) {
      const from = row % count;
      words.set(images.subarray(from * columns, (from + 1) * columns), row * padded);
    }
    this.player.write(this.own.images, words);
  }

  // The test images of the page as bytes, (N, D).
  heldOut() {
    const { columns } = this.page.tensors.pixels;
    const padded = 4 * Math.ceil(columns / 4);
    const { buffer } = this.own.held_out_images;
    const all = this.page.bytes(this.page.contents.find(([own]) => own === buffer)[1]);
    const images = new Uint8Array(this.own.held_out.runs[0].examples.reduce((a, b) => a + b) * columns);
    for (let i = 0; i < images.length / columns; i++) {
      images.set(all.subarray(i * padded, i * padded + columns), i * columns);
    }
    return images;
  }

  // The parameters as a safetensors file, which `elbo` reads.
  async file() {
    const header = { __metadata__: { elbo: this.page.model.header } };
    const parts = [];
    let end = 0;
    for (const { name, shape, place } of this.page.parameters) {
      const values = await this.model.turns.take(() => this.player.read(place, place.rows));
      header[name] = { dtype: "F32", shape, data_offsets: [end, end + values.byteLength] };
      end += values.byteLength;
      parts.push(values);
    }
    const text = new TextEncoder().encode(JSON.stringify(header));
    const length = 8 * Math.ceil(text.length / 8);
    const head = new Uint8Array(8 + length).fill(32);
    new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
    head.set(text, 8);
    return new Blob([head, ...parts], { type: "application/octet-stream" });
  }
}

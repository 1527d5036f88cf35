// The section that trains the model: buttons, the curve, the table of its values.
"use strict";

class TrainingView {
  constructor(view) {
    Object.assign(this, { view, training: new Training(view.model), isRunning: false, values: [] });
    view.model.useTrained();
    by("train").addEventListener("click", () => (this.isRunning ? (this.isRunning = false) : this.go()));
    by("trained").addEventListener("click", () => this.leave());
    by("download").addEventListener("click", () => this.download());
    by("folder").addEventListener("change", () => this.takeFolder());
    this.drawCurve();
  }

  // Trains until the last epoch, or until the button is pressed again.
  async go() {
    const { training } = this;
    if (!this.hasBegun || training.epoch === training.epochs) this.begin();
    this.isRunning = true;
    by("train").textContent = "Stop";
    try {
      while (this.isRunning && training.epoch < training.epochs) await this.some();
    } catch (error) {
      say(`The training has ended: ${error.message}`);
    }
    this.isRunning = false;
    const isOver = training.epoch === training.epochs;
    by("train").textContent = isOver ? "Train from the beginning" : "Go on";
  }

  begin() {
    this.training.reset();
    Object.assign(this, { hasBegun: true, values: [] });
    by("values").replaceChildren();
    by("trained").hidden = false;
  }

  async some() {
    const { training, view } = this;
    const epoch = training.epoch + 1;
    const means = await training.train(8);
    if (!Number.isFinite(means.elbo)) throw new Error("the ELBO is no number any more");
    by("progress").textContent = `Epoch ${epoch} of ${training.epochs}: training ELBO ${means.elbo.toFixed(2)} nats per image.`;
    if (!means.isOver) return;
    const test = await training.evaluate();
    this.values.push({ epoch, ...means, test: test.elbo });
    const numbers = [means.elbo, means.nll, means.kl, test.elbo].map((value) => value.toFixed(2));
    const row = by("values").insertRow();
    for (const value of [epoch, ...numbers]) row.insertCell().textContent = value;
    this.drawCurve();
    await view.useMeansOf(training.heldOut());
    view.refresh();
  }

  leave() {
    this.isRunning = false;
    this.hasBegun = false;
    by("trained").hidden = true;
    by("train").textContent = "Train from the beginning";
    this.view.model.turns.take(() => this.view.model.useTrained());
    this.view.means = this.view.trainedMeans;
    this.view.refresh();
  }

  async download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await this.training.file());
    link.download = "model.safetensors";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  async takeFolder() {
    const { view } = this;
    const pictures = [...by("folder").files].filter((file) => file.type.startsWith("image/"));
    const canvas = Object.assign(document.createElement("canvas"), { width: view.width, height: view.height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const images = [];
    for (const file of pictures.slice(0, this.training.own.examples)) {
      try {
        drawWhole(context, await createImageBitmap(file));
        images.push(bytesOf(context.getImageData(0, 0, view.width, view.height), view.channels));
      } catch {
        continue; // It is no picture, whatever its name says.
      }
    }
    if (!images.length) return say("There is no picture in this folder that this browser reads.");
    this.begin();
    const all = new Uint8Array(images.length * view.size);
    images.forEach((image, i) => all.set(image, i * view.size));
    this.training.useImages(all);
    by("progress").textContent = `${images.length} of your pictures are the training images now.`;
    by("train").textContent = "Train";
  }

  // The ELBO of each epoch: training as a line, test as a dashed line.
  drawCurve() {
    const canvas = by("curve");
    const context = canvas.getContext("2d");
    const style = getComputedStyle(document.body);
    context.clearRect(0, 0, canvas.width, canvas.height);
    Object.assign(context, { fillStyle: style.color, strokeStyle: style.color, font: "13px system-ui, sans-serif", lineWidth: 2 });
    const all = this.values.flatMap(({ elbo, test }) => [elbo, test]);
    if (!all.length) return context.fillText("The curve of the ELBO begins with the first epoch.", 12, 24);
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const x = (epoch) => 60 + ((epoch - 1) / Math.max(1, this.training.epochs - 1)) * (canvas.width - 80);
    const y = (value) => 20 + ((high - value) / Math.max(1e-6, high - low)) * (canvas.height - 50);
    for (const value of [low, high]) context.fillText(value.toFixed(1), 4, y(value) + 4);
    context.fillText(`epoch ${this.values.length}; line: training, dashes: test`, 60, canvas.height - 8);
    for (const [name, dashes] of [["elbo", []], ["test", [6, 4]]]) {
      context.setLineDash(dashes);
      context.beginPath();
      this.values.forEach((value) => context.lineTo(x(value.epoch), y(value[name])));
      context.stroke();
      this.values.forEach((value) => context.fillRect(x(value.epoch) - 2, y(value[name]) - 2, 4, 4));
    }
    context.setLineDash([]);
  }
}

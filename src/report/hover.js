"use strict";
// Shows the values of a chart at the epoch under the pointer, or at that of the slider, which the keyboard moves.
for (const chart of document.querySelectorAll(".chart")) {
  const json = chart.querySelector("script");
  if (!json) continue;
  const { epochs, xs, names, values } = JSON.parse(json.textContent);
  const [svg, cursor, range, output] = ["svg", ".cursor", "input", "output"].map((name) => chart.querySelector(name));
  const show = (index) => {
    cursor.setAttribute("x1", xs[index]);
    cursor.setAttribute("x2", xs[index]);
    cursor.classList.add("shown");
    range.value = index;
    range.setAttribute("aria-valuetext", `epoch ${epochs[index]}`);
    const lines = names.map((name, line) => `${name}: ${values[index][line] || "none"}`);
    output.textContent = [`epoch ${epochs[index]}`, ...lines].join("\n");
  };
  svg.addEventListener("pointermove", (event) => {
    const { x } = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const distances = xs.map((other) => Math.abs(other - x));
    show(distances.indexOf(Math.min(...distances)));
  });
  range.addEventListener("input", () => show(Number(range.value)));
  chart.querySelector(".readout").hidden = false;
  show(epochs.length - 1);
}

// The model on the CPU: an interpreter of the model's description, for browsers without WebGPU. A graph is a list of nodes, each with
// an operation, its inputs and its shape, as in src/graph.rs. Grids are (channels, height, width).
"use strict";

const FUNCTIONS = {
  Relu: (x) => Math.max(x, 0),
  LeakyRelu: (x) => (x < 0 ? 0.01 * x : x),
  Elu: (x) => (x < 0 ? Math.expm1(x) : x),
  Silu: (x) => x / (1 + Math.exp(-x)),
  Gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  Tanh: Math.tanh,
  Sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  Softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  Exp: Math.exp,
};

const ARITHMETIC = {
  Add: (a, b) => a + b,
  Subtract: (a, b) => a - b,
  Multiply: (a, b) => a * b,
  Divide: (a, b) => a / b,
};

// The error function: its series near 0, a continued fraction elsewhere.
function erf(x) {
  const t = Math.abs(x);
  if (t < 2.5) {
    let [term, sum] = [t, t];
    for (let n = 1; n < 60; n++) {
      term *= (-t * t) / n;
      sum += term / (2 * n + 1);
    }
    return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = t;
  for (let n = 40; n > 0; n--) fraction = t + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-t * t) / (fraction * Math.sqrt(Math.PI)));
}

const product = (sizes) => sizes.reduce((a, b) => a * b, 1);

// Each operation: its settings, its inputs as { values, shape }, the shape of its result, and the parameters by name.
const OPERATIONS = {
  Constant: (values) => Float32Array.from(values),

  Dense({ layer }, [x], [outputs], parameters) {
    const [weight, bias] = [parameters[`${layer}.weight`], parameters[`${layer}.bias`]];
    const inputs = weight.length / outputs;
    return Float32Array.from({ length: outputs }, (_, o) => {
      let sum = bias[o];
      for (let i = 0; i < inputs; i++) sum += weight[o * inputs + i] * x.values[i];
      return sum;
    });
  },

  // A weight is (small channels, kernel, kernel, large channels); a transposed convolution goes from the small grid to the large one.
  Convolution({ layer, moves }, [x], shape, parameters) {
    const { kernel, stride, padding, output_padding: transposed } = moves;
    const [weight, bias] = [parameters[`${layer}.weight`], parameters[`${layer}.bias`]];
    const [small, large] = transposed ? [x.shape, shape] : [shape, x.shape];
    const result = new Float32Array(product(shape));
    const area = shape[1] * shape[2];
    for (let channel = 0; channel < shape[0]; channel++) result.fill(bias[channel], channel * area, (channel + 1) * area);
    for (let s = 0; s < small[0]; s++) {
      for (let row = 0; row < small[1]; row++) {
        for (let column = 0; column < small[2]; column++) {
          const at = (s * small[1] + row) * small[2] + column;
          for (let i = 0; i < kernel; i++) {
            const y = row * stride + i - padding;
            if (y < 0 || y >= large[1]) continue;
            for (let j = 0; j < kernel; j++) {
              const z = column * stride + j - padding;
              if (z < 0 || z >= large[2]) continue;
              const first = ((s * kernel + i) * kernel + j) * large[0];
              for (let l = 0; l < large[0]; l++) {
                const other = (l * large[1] + y) * large[2] + z;
                if (transposed) result[other] += weight[first + l] * x.values[at];
                else result[at] += weight[first + l] * x.values[other];
              }
            }
          }
        }
      }
    }
    return result;
  },

  BatchNorm({ parameter }, [x], [channels], parameters) {
    const [scale, shift, mean, variance] = rows(parameters[parameter], channels);
    const area = x.values.length / channels;
    return x.values.map((value, i) => {
      const c = Math.floor(i / area);
      return (scale[c] * (value - mean[c])) / Math.sqrt(variance[c] + 1e-5) + shift[c];
    });
  },

  LayerNorm({ parameter }, [x], [channels], parameters) {
    const [scale, shift] = rows(parameters[parameter], channels);
    const area = x.values.length / channels;
    const result = new Float32Array(x.values.length);
    for (let place = 0; place < area; place++) {
      const own = Array.from({ length: channels }, (_, c) => x.values[c * area + place]);
      const mean = own.reduce((a, b) => a + b) / channels;
      const variance = own.reduce((sum, value) => sum + (value - mean) ** 2, 0) / channels;
      own.forEach((value, c) => {
        result[c * area + place] = (scale[c] * (value - mean)) / Math.sqrt(variance + 1e-5) + shift[c];
      });
    }
    return result;
  },

  Pool(size, [x], [channels, height, width]) {
    return grid([channels, height, width], (c, row, column) => {
      let sum = 0;
      for (let i = 0; i < size * size; i++) {
        const [y, z] = [row * size + Math.floor(i / size), column * size + (i % size)];
        sum += x.values[(c * x.shape[1] + y) * x.shape[2] + z];
      }
      return sum / (size * size);
    });
  },

  Enlarge(size, [x], shape) {
    return grid(shape, (c, row, column) => {
      const y = Math.min(Math.floor(row / size), x.shape[1] - 1);
      const z = Math.min(Math.floor(column / size), x.shape[2] - 1);
      return x.values[(c * x.shape[1] + y) * x.shape[2] + z];
    });
  },

  Apply(name, [x], shape) {
    if (FUNCTIONS[name]) return x.values.map(FUNCTIONS[name]);
    if (name === "Gated") {
      const area = product(shape.slice(1));
      return Float32Array.from({ length: product(shape) }, (_, i) => {
        const even = 2 * Math.floor(i / area) * area + (i % area);
        return x.values[even] * FUNCTIONS.Sigmoid(x.values[even + area]);
      });
    }
    if (name !== "Softmax") throw new Error(`there is no function ${name} here`);
    const last = shape[shape.length - 1];
    const result = new Float32Array(x.values.length);
    for (let first = 0; first < result.length; first += last) {
      const own = x.values.subarray(first, first + last);
      const largest = Math.max(...own);
      const powers = own.map((value) => Math.exp(value - largest));
      const sum = powers.reduce((a, b) => a + b);
      result.set(powers.map((value) => value / sum), first);
    }
    return result;
  },

  Clamp([least, most], [x]) {
    return x.values.map((value) => Math.min(most ?? Infinity, Math.max(least, value)));
  },

  Combine(name, [a, b], shape) {
    const of = ARITHMETIC[name];
    return Float32Array.from({ length: product(shape) }, (_, i) => of(a.values[i % a.values.length], b.values[i % b.values.length]));
  },

  Slice({ start, end, step }, [x], shape) {
    const area = x.values.length / x.shape[0];
    const result = new Float32Array(product(shape));
    for (let c = start, to = 0; c < end; c += step, to++) result.set(x.values.subarray(c * area, (c + 1) * area), to * area);
    return result;
  },

  Reshape: (_, [x]) => x.values,

  Permute(axes, [x], shape) {
    const strides = [x.shape[1] * x.shape[2], x.shape[2], 1];
    return grid(shape, (...at) => x.values[axes.reduce((sum, axis, i) => sum + at[i] * strides[axis], 0)]);
  },

  Sum(_, [x]) {
    const last = x.shape[x.shape.length - 1];
    return Float32Array.from({ length: x.values.length / last }, (_, row) => {
      return x.values.subarray(row * last, (row + 1) * last).reduce((a, b) => a + b);
    });
  },
};

function rows(values, columns) {
  return Array.from({ length: values.length / columns }, (_, row) => values.subarray(row * columns, (row + 1) * columns));
}

function grid([channels, height, width], of) {
  const result = new Float32Array(channels * height * width);
  for (let i = 0; i < result.length; i++) {
    result[i] = of(Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width);
  }
  return result;
}

class CpuModel {
  constructor(page) {
    const all = page.floats(page.trained.bytes);
    const values = ({ offset, rows: count, columns, stride }) => {
      const result = new Float32Array(count * columns);
      for (let row = 0; row < count; row++) {
        const first = offset / 4 + row * stride;
        result.set(all.subarray(first, first + columns), row * columns);
      }
      return result;
    };
    const parameters = page.parameters.map(({ name, place }) => [name, values(place)]);
    Object.assign(this, { page, parameters: Object.fromEntries(parameters), name: "the CPU" });
  }

  // The outputs of a graph for one input.
  evaluate({ nodes, outputs }, input) {
    const found = [];
    for (const { operation, inputs, shape } of nodes) {
      const [name, settings] = typeof operation === "string" ? [operation, null] : Object.entries(operation)[0];
      const given = inputs.map((index) => found[index]);
      const values = name === "Input" ? input : OPERATIONS[name](settings, given, shape, this.parameters);
      found.push({ values, shape });
    }
    return outputs.map((index) => found[index].values);
  }

  // The outputs of a graph, joined, for each row of the input.
  async evaluateRows(graph, input, width) {
    const results = [];
    for (let first = 0; first < input.length; first += width) {
      results.push(...this.evaluate(graph, input.subarray(first, first + width)));
      // The page stays alive between two images.
      if (first % (8 * width) === 0) await new Promise((resolve) => setTimeout(resolve));
    }
    const all = new Float32Array(results.reduce((sum, values) => sum + values.length, 0));
    results.reduce((at, values) => (all.set(values, at), at + values.length), 0);
    return all;
  }

  decode(latents) {
    return this.evaluateRows(this.page.graphs.decoder, latents, this.page.model.latents);
  }

  encode(images) {
    return this.evaluateRows(this.page.graphs.encoder, Float32Array.from(images, (level) => level / 255), product(this.page.model.image));
  }

  // Draws of the standard normal prior; other priors need the GPU.
  sample(count, seed) {
    const random = mulberry32(seed);
    const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return this.decode(Float32Array.from({ length: count * this.page.model.latents }, normal));
  }
}

// A small generator of uniform numbers with a seed.
function mulberry32(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

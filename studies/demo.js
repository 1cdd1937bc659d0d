// What a notebook has in Python, for a page without it: images of strokes, two networks, and the
// pad's `model`. Above this, demo.py puts pad.js, and in #data constants, weights and other hands.

const { settings, networks, hands } = JSON.parse(document.getElementById("data").textContent);
const { COUNT, STEPS, SIDE, PAINTED, FILLED, BOX, THINNEST } = settings; // those of the notebook

// Strokes come into MNIST's form as in pad.py and page.py, but for ink that is there or not.

function painted(box) {
  const [xs, ys] = [0, 1].map((axis) => box.flat().map((point) => point[axis]));
  const [left, top] = [xs, ys].map((values) => Math.min(...values));
  const [right, bottom] = [xs, ys].map((values) => Math.max(...values));
  const scale = FILLED / Math.max(right - left, bottom - top, 0.05);
  const place = (part, middle) => PAINTED * (0.5 + scale * (part - middle));
  const ink = new Float32Array(PAINTED * PAINTED);
  for (const stroke of box) {
    let last = null;
    for (const [x, y, width] of stroke) {
      const at = [place(x, (left + right) / 2), place(y, (top + bottom) / 2)];
      const radius = (PAINTED * Math.max(width, THINNEST)) / 2;
      // Pillow draws between whole pixels, and so do we: half of one may change the image's size.
      const [x1, y1] = at.map((middle) => Math.floor(middle - radius));
      const [x2, y2] = at.map((middle) => Math.floor(middle + radius));
      paint(ink, [x1, y1], [x2, y2], (x, y) => {
        const across = (2 * x - x1 - x2) / (x2 - x1 + 1);
        const down = (2 * y - y1 - y2) / (y2 - y1 + 1);
        return across * across + down * down <= 1;
      });
      const to = at.map(Math.floor);
      if (last) paintLine(ink, last, to, Math.max(1, Math.round(2 * radius)) / 2);
      last = to;
    }
  }
  return ink;
}

function paint(ink, [x1, y1], [x2, y2], isInk) {
  const limit = (value) => Math.min(Math.max(value, 0), PAINTED - 1);
  for (let y = limit(y1); y <= limit(y2); y++) {
    for (let x = limit(x1); x <= limit(x2); x++) if (isInk(x, y)) ink[y * PAINTED + x] = 1;
  }
}

function paintLine(ink, [x1, y1], [x2, y2], radius) {
  const [dx, dy, reach] = [x2 - x1, y2 - y1, Math.ceil(radius)];
  const low = [Math.min(x1, x2) - reach, Math.min(y1, y2) - reach];
  const high = [Math.max(x1, x2) + reach, Math.max(y1, y2) + reach];
  paint(ink, low, high, (x, y) => {
    const along = ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1);
    const part = Math.min(Math.max(along, 0), 1);
    const [across, down] = [x1 + part * dx - x, y1 + part * dy - y];
    return across * across + down * down <= radius * radius;
  });
}

function cropped(ink) {
  let [left, right, top, bottom] = [PAINTED, 0, PAINTED, 0];
  for (let y = 0, at = 0; y < PAINTED; y++) {
    for (let x = 0; x < PAINTED; x++, at++) {
      if (!ink[at]) continue;
      [left, right] = [Math.min(left, x), Math.max(right, x)];
      [top, bottom] = [Math.min(top, y), y];
    }
  }
  const [width, height] = [right - left + 1, bottom - top + 1];
  const part = new Float32Array(width * height);
  for (let y = top; y <= bottom; y++) {
    const row = y * PAINTED;
    part.set(ink.subarray(row + left, row + right + 1), (y - top) * width);
  }
  return { ink: part, width, height };
}

// Averages of pixels along the rows, as Pillow's BOX takes them, with rows and columns exchanged.
function reduced({ ink, width, height }, size) {
  const small = new Float32Array(size * height);
  for (let to = 0; to < size; to++) {
    const from = Math.min(Math.floor((to * width) / size + 0.5), width - 1); // of a dot, enlarged
    const end = Math.max(from + 1, Math.floor(((to + 1) * width) / size + 0.5));
    for (let y = 0; y < height; y++) {
      for (let x = from; x < end; x++) small[to * height + y] += ink[y * width + x] / (end - from);
    }
  }
  return { ink: small, width: height, height: size };
}

const sum = (values) => values.reduce((a, b) => a + b, 0);

function inMnistForm(box) {
  const { ink, width, height } = cropped(painted(box));
  const scale = BOX / Math.max(width, height);
  const [across, down] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  const small = reduced(reduced({ ink, width, height }, across), down).ink;
  const [total, most] = [sum(small), Math.max(...small)];
  const corner = (size, place) => {
    const centre = sum(small.map((value, at) => value * place(at))) / total;
    return Math.min(Math.max(Math.round(SIDE / 2 - centre), 0), SIDE - size);
  };
  const left = corner(across, (at) => at % across);
  const top = corner(down, (at) => Math.floor(at / across));
  const image = new Uint8Array(SIDE * SIDE);
  small.forEach((value, at) => {
    const [x, y] = [left + (at % across), top + Math.floor(at / across)];
    image[y * SIDE + x] = Math.round((255 * value) / most);
  });
  return image;
}

// The predictors, as Keras computes them. Libraries that run any network take megabytes.
const sigmoid = (x) => 1 / (1 + Math.exp(-x));

function floats(base64, shapes) {
  const bytes = atob(base64);
  const bits = new Uint32Array(bytes.length / 2);
  for (let at = 0; at < bits.length; at++) {
    const half = bytes.charCodeAt(2 * at) | (bytes.charCodeAt(2 * at + 1) << 8);
    bits[at] = ((half & 0x8000) << 16) | ((half & 0x7fff) << 13);
  }
  // The bits of a float16 as those of a float32: its exponent is larger by 15, and not by 127, so
  // all is 2 ** 112 times too small. None is infinite: demo.py checks that.
  const all = new Float64Array(new Float32Array(bits.buffer)).map((value) => value * 2 ** 112);
  let at = 0;
  return shapes.map((shape) => all.subarray(at, (at += shape.reduce((a, b) => a * b))));
}

// x · kernel + bias: faster by eight rows of the kernel at a time, and in 64 bits, which is what
// JavaScript computes with.
function dense(x, kernel, bias) {
  const [result, n] = [new Float64Array(bias), bias.length];
  for (let i = 0; i < x.length; i += 8) {
    const [a, b, c, d] = [x[i], x[i + 1], x[i + 2], x[i + 3]];
    const [e, f, g, h] = [x[i + 4], x[i + 5], x[i + 6], x[i + 7]];
    if (!(a || b || c || d || e || f || g || h)) continue; // most of a drawing is paper
    for (let j = 0, at = i * n; j < n; j++, at++) {
      result[j] +=
        a * kernel[at] + b * kernel[at + n] + c * kernel[at + 2 * n] + d * kernel[at + 3 * n] +
        e * kernel[at + 4 * n] + f * kernel[at + 5 * n] + g * kernel[at + 6 * n] + h * kernel[at + 7 * n];
    }
  }
  return result;
}

// To states, from inputs that are multiplied with the kernel already.
function lstm(inputs, recurrent) {
  const n = inputs[0].length / 4;
  let [state, cell] = [new Float64Array(n), new Float64Array(n)];
  return inputs.map((input) => {
    const gates = dense(state, recurrent, input); // input, forget, cell, output
    const [i, f, c, o] = [0, 1, 2, 3].map((gate) => gates.subarray(gate * n, (gate + 1) * n));
    cell = cell.map((old, unit) => sigmoid(f[unit]) * old + sigmoid(i[unit]) * Math.tanh(c[unit]));
    state = cell.map((value, unit) => sigmoid(o[unit]) * Math.tanh(value));
    return state;
  });
}

// Each network is a function that reads one image more and answers with its state.
function twoLstms([w1, u1, b1, w2, u2, b2]) {
  const inputs = [];
  return (image) => {
    inputs.push(dense(image, w1, b1));
    if (inputs.length > COUNT) inputs.shift();
    return lstm(lstm(inputs, u1).map((state) => dense(state, w2, b2)), u2).at(-1);
  };
}

const silu = (x) => x * sigmoid(x);
const plus = (a, b) => a.map((value, at) => value + b[at]);

function normalised(x, scale, shift) {
  const mean = sum(x) / x.length;
  const deviation = Math.sqrt(sum(x.map((value) => (value - mean) ** 2)) / x.length + 0.001);
  return x.map((value, at) => ((value - mean) / deviation) * scale[at] + shift[at]);
}

// Attention, in heads of 32 numbers each: what an image takes from itself and those before it.
function attention([wq, bq, wk, bk, wv, bv, wo, bo]) {
  const [keys, values] = [[], []];
  return (input) => {
    const query = dense(input, wq, bq);
    keys.push(dense(input, wk, bk));
    values.push(dense(input, wv, bv));
    const taken = new Float64Array(query.length);
    for (let head = 0; head < query.length; head += 32) {
      const part = (x) => x.subarray(head, head + 32);
      const product = (key) => sum(part(key).map((value, at) => value * query[head + at]));
      const shares = keys.map((key) => Math.exp(product(key) / Math.sqrt(32)));
      const all = sum(shares);
      for (const [from, share] of shares.entries()) {
        part(values[from]).forEach((value, at) => (taken[head + at] += (share / all) * value));
      }
    }
    return dense(taken, wo, bo);
  };
}

function block([scale1, shift1, ...weights]) {
  const attend = attention(weights.slice(0, 8));
  const [scale2, shift2, w1, b1, w2, b2] = weights.slice(8);
  return (state) => {
    const attended = plus(state, attend(normalised(state, scale1, shift1)));
    const inner = dense(normalised(attended, scale2, shift2), w1, b1).map(silu);
    return plus(attended, dense(inner, w2, b2));
  };
}

function transformer([w1, b1, w2, b2, places, ...weights]) {
  const [blocks, width] = [[block(weights.slice(0, 16)), block(weights.slice(16, 32))], b2.length];
  let read = 0;
  return (image) => {
    const from = (++read % 10) * width; // of the place, only the last figure counts
    const input = dense(dense(image, w1, b1).map(silu), w2, b2);
    const state = plus(input, places.subarray(from, from + width));
    return normalised(blocks.reduce((last, next) => next(last), state), ...weights.slice(32));
  };
}

// Goes on counting: images in [0, 1], one after the other.
function* continued(weights, context) {
  const read = (weights.length === 8 ? twoLstms : transformer)(weights.slice(0, -2));
  let state = context.map(read).at(-1);
  while (true) {
    const image = dense(state, ...weights.slice(-2)).map(sigmoid);
    yield image;
    state = read(image);
  }
}

// The pad's `model`, which in a notebook is half of a widget.
const values = { strokes: Array(COUNT).fill([]), answers: [], status: "" };
const observers = {};
const model = {
  get: (name) => values[name],
  set(name, value) {
    values[name] = value;
    observers[`change:${name}`]?.forEach((observer) => observer());
  },
  on: (event, observer) => (observers[event] ??= []).push(observer),
  save_changes: answer,
};
const images = new WeakMap(); // of boxes: only the last stroke's is new
const FRAME = 100; // milliseconds: an answer that takes less feels instant

async function answer() {
  const start = performance.now();
  const { strokes } = values;
  const full = strokes.filter((box) => box.length);
  for (const box of full) if (!images.has(box)) images.set(box, inMnistForm(box));
  const empty = strokes.length - full.length;
  model.set("answers", []);
  model.set("status", empty && full.length ? `empty boxes: ${empty}` : "");
  if (empty) return;
  const context = strokes.map((box) => Float64Array.from(images.get(box), (ink) => ink / 255));
  const chains = networks.map(({ weights }) => continued(weights, context));
  const rows = networks.map(({ title }) => ({ title, images: [] }));
  let drawn = start;
  for (let step = 0; step < STEPS; step++) {
    for (const [row, chain] of chains.entries()) {
      rows[row].images.push(Uint8Array.from(chain.next().value, (ink) => Math.round(255 * ink)));
    }
    if (performance.now() - drawn < FRAME) continue;
    model.set("answers", rows);
    await new Promise((draw) => setTimeout(draw));
    if (values.strokes !== strokes) return; // another stroke has come
    drawn = performance.now();
  }
  model.set("answers", rows);
  const taken = performance.now() - start;
  model.set("status", `${STEPS * rows.length} images in ${taken.toFixed()} ms`);
}

let shown = 0;
document.getElementById("hand").addEventListener("click", () => {
  model.set("strokes", hands[shown++ % hands.length]);
  answer();
});
render({ model, el: document.getElementById("pad") });
const grey = Array(COUNT).fill(new Float64Array(SIDE * SIDE).fill(0.5));
for (const network of networks) {
  network.weights = floats(network.weights, network.shapes);
  const chain = continued(network.weights, grey); // once now, so that it is compiled when needed
  for (let step = 0; step < STEPS; step++) chain.next();
}
// For the console, and for tests.
globalThis.nextImage = { model, networks, inMnistForm, continued, ready: performance.now() };

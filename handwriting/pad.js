// Boxes to draw digits in, and below them what Python answers. Python has the strokes: for each
// box a list of strokes, each a list of points [x, y, width], all in parts of the box's side.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 0.08; // of a stroke, with a mouse or a finger

const STYLE = `
  .pad { display: inline-block; touch-action: manipulation; }
  .pad-row { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin: 4px 0; }
  .pad svg {
    width: 120px; height: 120px; cursor: crosshair; touch-action: none; user-select: none;
    color: var(--jp-ui-font-color0, CanvasText); background: var(--jp-layout-color0, Canvas);
    border: 1px solid var(--jp-border-color1, GrayText); border-radius: 4px;
  }
  .pad svg:focus-visible, .pad button:focus-visible { outline: 2px solid #1f77b4; }
  .pad svg line { stroke: currentColor; stroke-linecap: round; }
  .pad canvas {
    width: 56px; height: 56px; image-rendering: pixelated; background: white;
    border: 2px solid #1f77b4; border-radius: 2px;
  }
  .pad-status, .pad-title { color: var(--jp-ui-font-color1, CanvasText); }
  .pad-answers {
    display: grid; grid-template-columns: max-content auto; gap: 0 12px; align-items: center;
  }
`;
// JupyterLab's shortcuts act on the whole cell: D D deletes it. They look at this attribute of the
// focused element, and of those around it only if no shortcut's selector matches before.
const NO_SHORTCUTS = { "data-lm-suppress-shortcuts": "true" };

function append(tag, parent, attributes = {}) {
  const child = document.createElementNS(
    tag === "svg" || tag === "line" ? SVG : "http://www.w3.org/1999/xhtml", tag
  );
  for (const [name, value] of Object.entries(attributes)) child.setAttribute(name, value);
  return parent.appendChild(child);
}

function render({ model, el }) {
  const pad = append("div", el, { class: "pad" });
  append("style", pad).textContent = STYLE;
  const boxRow = append("div", pad, { class: "pad-row" });
  const boxes = [];
  const first = model.get("strokes").length;
  const buttonRow = append("div", pad, { class: "pad-row" });
  makeButton("Undo", undo);
  makeButton("Clear", () => send(Array.from({ length: first }, () => [])));
  makeButton("Add a box", () => send([...model.get("strokes"), []]));
  const statusLine = append("span", buttonRow, { class: "pad-status", role: "status" });
  const answerRows = append("div", pad, { class: "pad-answers", "aria-live": "polite" });

  function makeButton(title, action) {
    const button = append("button", buttonRow, { type: "button", ...NO_SHORTCUTS });
    button.textContent = title;
    button.addEventListener("click", action);
  }

  function send(strokes) {
    model.set("strokes", strokes);
    model.save_changes();
  }

  const order = []; // the boxes that strokes went to, one after the other

  function undo() {
    const strokes = model.get("strokes");
    const last = order.findLast((number) => strokes[number]?.length);
    takeBack(last ?? strokes.findLastIndex((box) => box.length));
  }

  function takeBack(number) {
    const at = order.lastIndexOf(number);
    if (at >= 0) order.splice(at, 1);
    if (number >= 0) change(number, model.get("strokes")[number].slice(0, -1));
  }

  function change(number, box) {
    send(model.get("strokes").map((old, other) => (other === number ? box : old)));
  }

  function makeBox(number) {
    const svg = append("svg", boxRow, {
      viewBox: "0 0 1 1", tabindex: 0, role: "img", ...NO_SHORTCUTS,
    });
    let stroke = null; // while one is drawn
    let pointer = null;

    function point(event) {
      const box = svg.getBoundingClientRect();
      const inside = (part) => Math.min(Math.max(part, 0), 1); // the pen stops at the box's edge
      const width = event.pointerType === "pen" ? WIDTH * (0.5 + event.pressure) : WIDTH;
      return [
        inside((event.clientX - box.left) / box.width),
        inside((event.clientY - box.top) / box.height),
        width,
      ];
    }

    svg.addEventListener("pointerdown", (event) => {
      if (stroke || event.button !== 0) return; // a second finger, or the right button
      svg.setPointerCapture(event.pointerId); // a stroke goes on outside of its box
      svg.focus();
      pointer = event.pointerId;
      stroke = [point(event)];
      drawStroke(svg, stroke);
      event.preventDefault();
    });
    svg.addEventListener("pointermove", (event) => {
      if (event.pointerId !== pointer) return;
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) {
        stroke.push(point(each));
        drawStroke(svg, stroke.slice(-2));
      }
    });
    for (const name of ["pointerup", "pointercancel"]) {
      svg.addEventListener(name, (event) => {
        if (event.pointerId !== pointer) return;
        const finished = stroke;
        stroke = pointer = null;
        order.push(number);
        change(number, [...model.get("strokes")[number], finished]);
      });
    }
    svg.addEventListener("keydown", (event) => {
      if (event.key === "Delete" || event.key === "Backspace") change(number, []);
      else if (event.key === "z" && (event.ctrlKey || event.metaKey)) takeBack(number);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    return svg;
  }

  function drawStroke(svg, stroke) {
    // A single point is a line of no length, which its round cap makes a dot.
    const points = stroke.length === 1 ? [stroke[0], stroke[0]] : stroke;
    for (let at = 1; at < points.length; at++) {
      const [[x1, y1], [x2, y2, width]] = [points[at - 1], points[at]];
      append("line", svg, { x1, y1, x2, y2, "stroke-width": width });
    }
  }

  const drawn = []; // what each box shows: a stroke changes one, and the others stay

  function drawBoxes() {
    const all = model.get("strokes");
    while (boxes.length < all.length) boxes.push(makeBox(boxes.length));
    while (boxes.length > all.length) boxes.pop().remove();
    all.forEach((box, number) => {
      const svg = boxes[number];
      if (drawn[number] !== box) {
        svg.replaceChildren();
        for (const stroke of box) drawStroke(svg, stroke);
      }
      drawn[number] = box;
      const strokes = box.length === 1 ? "1 stroke" : `${box.length || "no"} strokes`;
      svg.setAttribute(
        "aria-label",
        `Box ${number + 1} of ${all.length}, ${strokes}. Draw a digit; Delete clears, Control Z undoes.`
      );
    });
  }

  function drawAnswers() {
    answerRows.replaceChildren();
    for (const { title, images } of model.get("answers")) {
      append("span", answerRows, { class: "pad-title" }).textContent = title;
      const row = append("div", answerRows, { class: "pad-row" });
      for (const [number, image] of images.entries()) {
        const canvas = append("canvas", row, {
          width: 28, height: 28, role: "img", "aria-label": `${title}, image ${number + 1}`,
        });
        const context = canvas.getContext("2d", { willReadFrequently: true }); // in memory: tiny
        const pixels = context.createImageData(28, 28);
        const ink = new Uint8Array(image.buffer, image.byteOffset, image.byteLength);
        for (let at = 0; at < pixels.data.length; at++) {
          pixels.data[at] = at % 4 === 3 ? 255 : 255 - ink[at >> 2]; // red, green, blue, opacity
        }
        context.putImageData(pixels, 0, 0);
      }
    }
  }

  function drawStatus() {
    statusLine.textContent = model.get("status");
  }

  const redraw = { strokes: drawBoxes, answers: drawAnswers, status: drawStatus };
  for (const [name, draw] of Object.entries(redraw)) {
    model.on(`change:${name}`, draw);
    draw();
  }
  return () => Object.entries(redraw).forEach(([name, draw]) => model.off(`change:${name}`, draw));
}

export default { render };

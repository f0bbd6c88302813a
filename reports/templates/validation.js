// A scatter plot whose points can be heard: one tab stop, arrow keys move along the metric.
const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [760, 520, 56, 48, 14, 14];
const plot = document.getElementById("plot");
const find = (id) => document.getElementById(id);
const audio = new Audio();
const hidden = new Set();
let metric = 0;
let chosen = null;
let nodes = [];

const draw = (tag, attributes, text) => {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  plot.append(node);
  return node;
};

const ticks = (low, high) => {
  const rough = (high - low) / 6;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough);
  const values = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) values.push(Number(value.toPrecision(6)));
  return values;
};

const stop = () => {
  audio.pause();
  for (const id of ["output", "reference"]) find(id).setAttribute("aria-pressed", "false");
};

const play = (id) => {
  const point = data.points[chosen];
  const file = id === "output" ? point?.audio : point?.reference;
  if (!file) return;
  stop();
  audio.src = file;
  find(id).setAttribute("aria-pressed", "true");
  audio.play().catch((error) => {
    find("problem").textContent = `Cannot be played: ${error.message}`;
    find("problem").hidden = false;
    stop();
  });
};
audio.addEventListener("ended", stop);

const choose = (index, sound) => {
  chosen = index;
  const point = data.points[index];
  for (const node of nodes) {
    node.classList.toggle("chosen", Number(node.dataset.index) === index);
    node.setAttribute("tabindex", Number(node.dataset.index) === index ? "0" : "-1");
  }
  find("name").textContent = data.systems[point.system];
  find("where").textContent = point.item;
  find("problem").hidden = !point.message;
  find("problem").textContent = point.message;
  find("output").disabled = !point.audio;
  find("reference").disabled = !point.reference;
  const list = find("values");
  list.replaceChildren();
  const rows = [["Listeners", point.half === null ? point.score.toFixed(1) : `${point.score.toFixed(1)} ± ${point.half.toFixed(1)}`]];
  data.metrics.forEach((item, at) => rows.push([item.title, point.values[at] === null ? "–" : point.values[at].toFixed(item.digits)]));
  for (const [name, value] of rows) {
    list.append(make("dt", "", name), make("dd", "", value));
  }
  if (sound) play("output");
};

const render = () => {
  plot.replaceChildren();
  nodes = [];
  const item = data.metrics[metric];
  const shown = data.points.map((point, index) => ({ ...point, index, x: point.values[metric] })).filter((point) => point.x !== null && !hidden.has(point.system));
  if (!shown.length) return;
  const xs = shown.map((point) => point.x);
  let [low, high] = [Math.min(...xs), Math.max(...xs)];
  const room = (high - low || 1) * 0.05;
  [low, high] = [low - room, high + room];
  const x = (value) => LEFT + ((value - low) / (high - low)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - ((value - data.low) / (data.high - data.low)) * (HEIGHT - BOTTOM - TOP);
  for (const value of ticks(low, high)) {
    draw("line", { class: "axis", x1: x(value), x2: x(value), y1: TOP, y2: HEIGHT - BOTTOM });
    draw("text", { x: x(value), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, String(value));
  }
  for (const value of ticks(data.low, data.high)) {
    draw("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) });
    draw("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, String(value));
  }
  const better = { higher: "higher is better", lower: "lower is better" }[item.better];
  draw("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, `${item.title}${item.unit ? ` (${item.unit})` : ""}, ${better}; r = ${item.r}`);
  draw("text", { transform: `translate(14 ${HEIGHT / 2}) rotate(-90)`, "text-anchor": "middle" }, `Listeners: ${data.scale} (mean, 95 % over listeners)`);
  const colour = (point) => `var(--c${point.system % 8})`;
  for (const point of shown) {
    if (point.half !== null) draw("line", { class: "bar", stroke: colour(point), x1: x(point.x), x2: x(point.x), y1: y(Math.min(point.score + point.half, data.high)), y2: y(Math.max(point.score - point.half, data.low)) });
  }
  for (const point of [...shown].sort((one, other) => one.x - other.x)) {
    const node = draw("circle", { class: "point", cx: x(point.x), cy: y(point.score), r: 6, fill: colour(point), tabindex: -1, role: "button" });
    node.setAttribute("aria-label", `${data.systems[point.system]}, ${point.item}: ${item.title} ${point.x.toFixed(item.digits)}, listeners ${point.score.toFixed(1)}`);
    node.dataset.index = point.index;
    node.addEventListener("click", () => choose(point.index, true));
    nodes.push(node);
  }
  const first = nodes.find((node) => Number(node.dataset.index) === chosen) || nodes[0];
  first.setAttribute("tabindex", "0");
  if (chosen !== null) first.classList.toggle("chosen", Number(first.dataset.index) === chosen);
};

plot.addEventListener("keydown", (event) => {
  const at = nodes.indexOf(document.activeElement);
  const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  if (at < 0) return;
  if (step) {
    const next = nodes[Math.min(Math.max(at + step, 0), nodes.length - 1)];
    choose(Number(next.dataset.index), false);
    next.focus();
  } else if (event.key === "Enter" || event.key === " ") {
    choose(Number(nodes[at].dataset.index), true);
  } else if (event.key.toLowerCase() === "r") {
    choose(Number(nodes[at].dataset.index), false);
    play("reference");
  } else if (event.key === "Escape") {
    stop();
  } else {
    return;
  }
  event.preventDefault();
});
find("output").addEventListener("click", () => play("output"));
find("reference").addEventListener("click", () => play("reference"));
find("metric").addEventListener("change", (event) => {
  metric = Number(event.target.value);
  render();
});
for (const button of document.querySelectorAll("[data-system]")) {
  button.addEventListener("click", () => {
    const system = Number(button.dataset.system);
    if (!hidden.delete(system)) hidden.add(system);
    button.setAttribute("aria-pressed", String(!hidden.has(system)));
    render();
  });
}
render();

// What the tables and curves stand for, heard: best, median and worst clips, and the sound behind each number.
const listen = document.getElementById("listen");

// Columns and systems that are not wanted.
const shown = document.getElementById("shown");
const applyShown = () => {
  for (const box of shown.querySelectorAll("input")) {
    const [kind, value] = box.dataset.metric !== undefined ? ["metric", box.dataset.metric] : ["run", box.dataset.run];
    const cells = kind === "metric" ? "th, td" : "tr";
    for (const node of document.querySelectorAll(`:is(${cells})[data-${kind}="${CSS.escape(value)}"]`)) node.hidden = !box.checked;
  }
};
shown.addEventListener("change", applyShown);

// Clips with a value, the best first; of all systems together where the run is null.
const ranking = (column, run, dataset) => {
  const sign = data.metrics[column].better === "higher" ? -1 : 1;
  const values = data.clips.map((clip, index) => {
    if (dataset && clip.dataset !== dataset) return { index, value: NaN };
    const items = run === null ? clip.stimuli.filter((item) => item.role === "system") : [soundOf(clip, run)];
    const numbers = items.map((item) => scoreOf(item, column)).filter((value) => !Number.isNaN(value));
    return { index, value: numbers.reduce((sum, value) => sum + value, 0) / numbers.length };
  });
  return values.filter((item) => !Number.isNaN(item.value)).sort((a, b) => sign * (a.value - b.value));
};

// The sound of a run: the reference stands for a run that is the reference.
function soundOf(clip, run) {
  return clip.stimuli.find((item) => item.run === run && item.audio)
    || (data.runs[run].role === "reference" && clip.stimuli.find((item) => item.run === -1 && item.audio)) || undefined;
}

const tell = (text) => { listen.querySelector(".chosen").textContent = text; };

const feature = (index, run, play, eager = true) => {
  const back = document.activeElement;
  close();
  player = new Player(index, listen.querySelector(".feature"), eager);
  player.back = back;
  applyShown();
  const item = run === null ? undefined : soundOf(player.clip, run);
  if (item) player.choose(player.clip.stimuli.indexOf(item));
  if (play) {
    player.body.focus({ preventScroll: true });
    player.play();
  }
};

// The clip that stands nearest to a number of the table, and what it has itself.
const hear = (run, metric, dataset, value) => {
  const column = data.metrics.findIndex((item) => item.name === metric);
  const ranked = column < 0 ? [] : ranking(column, run, dataset);
  const near = ranked.filter((item) => soundOf(data.clips[item.index], run))
    .sort((a, b) => Math.abs(a.value - value) - Math.abs(b.value - value))[0];
  const other = data.clips.findIndex((clip) => (!dataset || clip.dataset === dataset) && soundOf(clip, run));
  const index = near ? near.index : other >= 0 ? other : data.clips.findIndex((clip) => soundOf(clip, run));
  if (index < 0) return tell(`${data.runs[run].name} has no sound on this page.`);
  for (const button of listen.querySelectorAll("[data-rank]")) button.setAttribute("aria-pressed", "false");
  feature(index, run, true);
  const title = column < 0 ? metric : data.metrics[column].title;
  tell(near
    ? `${data.clips[index].id}: ${title} ${near.value} for ${data.runs[run].name}, the clip here nearest to that number.`
    : `${data.clips[index].id} of ${data.runs[run].name}: ${title || "this"} has no value of single clips.`);
};

if (listen) {
  const form = listen.querySelector("form");
  const option = (text, value) => Object.assign(make("option", "", text), { value });
  data.metrics.forEach((metric, column) => {
    if (metric.better !== "neither" && ranking(column, null, "").length) form.elements.metric.append(option(metric.title, column));
  });
  form.elements.run.append(option("all systems", ""));
  data.runs.forEach((run, index) => {
    if (run.role === "system") form.elements.run.append(option(run.name, index));
  });
  const choose = (rank, play) => {
    const run = form.elements.run.value === "" ? null : Number(form.elements.run.value);
    const column = Number(form.elements.metric.value);
    const ranked = form.elements.metric.value === "" ? [] : ranking(column, run, "");
    if (!ranked.length) {
      const index = data.clips.findIndex((clip) => clip.stimuli.some((item) => item.audio));
      if (index >= 0) feature(index, run, play, play);
      return tell("No metric has values of single clips: the first clip.");
    }
    const place = { best: 0, median: (ranked.length - 1) >> 1, worst: ranked.length - 1 }[rank];
    feature(ranked[place].index, run, play, play);
    const digits = data.clips[ranked[place].index].stimuli.map((item) => (item.scores[column] || ["", ""])[1].split(".")[1] || "");
    const value = ranked[place].value.toFixed(Math.max(...digits.map((text) => text.length)));
    tell(`${data.clips[ranked[place].index].id}: ${rank} of ${ranked.length} clips by ${data.metrics[column].title}, ${value}`
      + (run === null ? " as the mean of all systems" : ` for ${data.runs[run].name}`));
    for (const button of form.querySelectorAll("[data-rank]")) button.setAttribute("aria-pressed", String(button.dataset.rank === rank));
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("click", (event) => {
    const button = event.target.closest("[data-rank]");
    if (button) choose(button.dataset.rank, true);
  });
  form.addEventListener("change", () => {
    const pressed = form.querySelector("[aria-pressed=true]");
    choose(pressed ? pressed.dataset.rank : "median", false);
  });

  // Cells and names of the results become buttons; the arrow keys move between them, so that Tab stays short.
  for (const cell of document.querySelectorAll("table.results tr[data-run] > td[data-metric]")) {
    if (cell.dataset.value === "") continue;
    const value = cell.firstElementChild;
    const button = make("button", "cell");
    button.type = "button";
    button.tabIndex = -1;
    button.title = "Play";
    value.replaceWith(button);
    button.append(value);
  }
  for (const table of document.querySelectorAll("table.results[data-dataset]")) {
    const first = table.querySelector(".cell");
    if (first) first.tabIndex = 0;
    table.addEventListener("click", (event) => {
      const button = event.target.closest(".cell");
      if (!button) return;
      const cell = button.closest("td");
      hear(Number(cell.parentElement.dataset.run), cell.dataset.metric, table.dataset.dataset, Number(cell.dataset.value));
    });
    table.addEventListener("keydown", (event) => {
      const button = event.target.closest(".cell");
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!button || !step) return;
      event.preventDefault();
      let [row, column] = [button.closest("tr"), button.closest("td").cellIndex];
      for (;;) {
        column += step[0];
        if (step[1]) row = step[1] < 0 ? row.previousElementSibling : row.nextElementSibling;
        const cell = row && row.cells[column];
        if (!cell || cell.tagName === "TH") return;
        const next = !row.hidden && !cell.hidden && cell.querySelector(".cell");
        if (!next) continue;
        button.tabIndex = -1;
        next.tabIndex = 0;
        return next.focus();
      }
    });
  }
  document.addEventListener("click", (event) => {
    const point = event.target.closest(".point[data-system]");
    if (!point) return;
    const run = data.runs.findIndex((item) => item.name === point.dataset.system);
    const dataset = point.closest("[data-dataset]").dataset.dataset;
    const row = document.querySelector(`table.results[data-dataset="${CSS.escape(dataset)}"] tr[data-run="${run}"]`);
    const cell = row && row.querySelector(`td[data-metric="${CSS.escape(point.dataset.metric)}"]`);
    if (run >= 0) hear(run, point.dataset.metric, dataset, cell ? Number(cell.dataset.value) : NaN);
  });

  // A link to a clip, a sound of it and a position.
  const follow = () => {
    if (location.hash === dock.linked) return true;
    const words = new URLSearchParams(location.hash.slice(1));
    const index = data.clips.findIndex((clip) => clip.id === words.get("clip"));
    if (index < 0) return false;
    if (!player || player.index !== index) feature(index, null, false, false);
    const place = player.clip.stimuli.findIndex((item) => item.name === words.get("sound") && item.audio);
    if (place >= 0) player.choose(place);
    player.seek(Number(words.get("t")) || 0);
    tell(`${player.clip.id}, as the address says.`);
    return true;
  };
  window.addEventListener("hashchange", follow);
  if (!follow()) choose("median", false);
}

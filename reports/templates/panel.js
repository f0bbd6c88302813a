// What an open clip shows: the spectrogram with axes and cursor, the controls, and a row for each sound.
class Panel {
  constructor(article) {
    this.article = article;
    this.clip = data.clips[Number(article.dataset.index)];
    this.body = article.querySelector(".panel-body");
    this.build();
  }

  build() {
    const { clip, body } = this;
    body.tabIndex = -1;
    body.setAttribute("role", "group");
    body.setAttribute("aria-label", `Player of ${clip.id}`);
    if (clip.seconds) this.buildStage();
    if (clip.note) body.append(make("p", "warn", clip.note));
    const region = make("div", "scroll");
    const table = make("table", "stimuli");
    const head = table.createTHead().insertRow();
    head.append(make("th", "name", "Sound"));
    for (const metric of data.metrics) {
      const cell = make("th", "", `${metric.title} ${metric.arrow}`.trim());
      if (metric.unit) cell.append(make("small", "", metric.unit));
      head.append(cell);
    }
    for (const cell of head.cells) cell.scope = "col";
    const rows = table.createTBody();
    this.rows = clip.stimuli.map((item, index) => this.buildRow(rows, item, index));
    region.append(table);
    body.append(region);
    for (const line of this.unscored()) body.append(make("p", "warn", line));
    this.status = make("p", "warn");
    this.status.setAttribute("role", "status");
    body.append(this.status);
    body.hidden = false;
  }

  buildStage() {
    const { clip, body } = this;
    const stage = make("div", "stage");
    const view = make("div", "spectrogram");
    this.images = clip.stimuli.map((item) => {
      if (!item.image) return null;
      const image = make("img");
      image.src = item.image;
      image.alt = `Spectrogram of ${item.name}`;
      view.append(image);
      return image;
    });
    this.who = make("span", "who");
    this.cursor = make("span", "cursor");
    this.slider = make("input", "seek");
    Object.assign(this.slider, { type: "range", min: 0, max: clip.seconds, step: 0.001, value: 0 });
    this.slider.setAttribute("aria-label", "Position in seconds");
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    view.append(this.who, this.cursor, this.slider);
    stage.append(view);
    for (const [label, height] of clip.ticks) {
      const tick = make("span", "hz", label);
      tick.style.bottom = `calc(18px + (100% - 18px) * ${height})`;
      stage.append(tick);
    }
    const unit = make("span", "hz", "kHz");
    unit.style.top = "-6px";
    unit.style.transform = "none";
    if (!clip.ticks.length || clip.ticks[clip.ticks.length - 1][1] < 0.9) stage.append(unit);
    const axis = make("div", "seconds");
    const step = [0.5, 1, 2, 5, 10, 20, 60].find((size) => clip.seconds / size <= 8) || 120;
    for (let second = step; second < clip.seconds * 0.97; second += step) {
      const tick = make("span", "", `${second} s`);
      tick.style.left = `${(100 * second) / clip.seconds}%`;
      axis.append(tick);
    }
    stage.append(axis);
    const controls = make("div", "controls");
    this.button = make("button", "play", "▶ Play");
    this.button.type = "button";
    this.button.addEventListener("click", () => this.toggle());
    const loop = make("button", "loop", "Loop");
    loop.type = "button";
    loop.setAttribute("aria-pressed", "false");
    loop.addEventListener("click", () => this.toggleLoop());
    this.loopButton = loop;
    this.clock = make("span", "clock");
    const keys = make("span", "keys");
    for (const [key, text] of [["space", "play"], ["0–9", "switch"], ["↑ ↓", "previous, next"], ["← →", "seek"], ["L", "loop"]]) {
      keys.append(make("kbd", "", key), ` ${text}  `);
    }
    controls.append(this.button, loop, this.clock, keys);
    body.append(stage, controls);
  }

  buildRow(rows, item, index) {
    const row = rows.insertRow();
    const name = make("th", "name");
    name.scope = "row";
    const pick = make("button", "pick");
    pick.type = "button";
    const dot = make("i", item.colour === null ? "dot none" : "dot");
    if (item.colour !== null) dot.style.setProperty("--c", `var(--c${item.colour})`);
    pick.append(make("kbd", "", this.key(index)), dot, make("span", "", item.name.replaceAll("@", "@\u200b")));
    for (const mark of item.marks) pick.append(make("span", `mark ${mark.toLowerCase()}`, mark));
    if (item.status !== "ok") pick.append(make("span", item.status === "failed" ? "chip bad" : "chip odd", item.status.toUpperCase()));
    pick.title = item.facts || item.message;
    name.append(pick);
    row.append(name);
    data.metrics.forEach((_, column) => {
      const [status, text] = item.scores[column] || ["none", ""];
      const cell = row.insertCell();
      cell.textContent = status === "ok" ? text : status === "none" || status === "set" ? "–" : status;
      if (status === "failed") cell.className = "fail";
      if (status === "unscored") cell.className = "void muted";
      if (status !== "ok") cell.title = text;
    });
    if (item.audio) {
      pick.setAttribute("aria-pressed", "false");
      pick.addEventListener("click", () => this.choose(index));
    } else {
      pick.setAttribute("aria-disabled", "true");
      row.classList.add("off");
    }
    const failures = item.scores
      .map(([status, text], column) => [status, `${data.metrics[column].title} failed: ${text}`])
      .filter(([status]) => status === "failed");
    const lines = item.message ? [[item.status, item.message], ...failures] : failures;
    if (lines.length) {
      const extra = rows.insertRow();
      extra.className = "why";
      const box = extra.insertCell();
      box.colSpan = 1 + data.metrics.length;
      for (const [status, text] of lines) box.append(make("div", status === "failed" ? "bad" : "odd", text));
    }
    return row;
  }

  // One line for each reason, with the sounds it holds for.
  unscored() {
    const reasons = new Map();
    for (const item of this.clip.stimuli) {
      item.scores.forEach(([status, text], column) => {
        if (status !== "unscored") return;
        const reason = `${data.metrics[column].title} unscored: ${text}`;
        reasons.set(reason, [...(reasons.get(reason) || []), item.name]);
      });
    }
    return [...reasons].map(([reason, names]) => `${reason} (${names.join(", ")})`);
  }

  key(index) {
    return index <= 9 ? String(this.clip.stimuli[0].name === "Reference" ? index : (index + 1) % 10) : "";
  }

  show() {
    this.rows.forEach((row, index) => {
      const on = index === this.chosen;
      row.classList.toggle("on", on);
      if (this.sounds[index]) row.querySelector(".pick").setAttribute("aria-pressed", String(on));
      if (this.images[index]) this.images[index].classList.toggle("on", on);
    });
    const item = this.clip.stimuli[this.chosen];
    this.who.textContent = `${item.name} · ${item.facts}`;
  }

  say(text) {
    this.status.textContent = text;
  }
}

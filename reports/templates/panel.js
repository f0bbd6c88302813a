// What an open clip shows: the spectrogram with axes and cursor, and a row for each sound.
class Panel {
  constructor(index, body) {
    this.index = index;
    this.clip = data.clips[index];
    this.body = body;
    // Metrics with something to say about a sound of this clip, and the best sound of each.
    this.columns = data.metrics.map((_, column) => column).filter((column) =>
      this.clip.stimuli.some((item) => !["none", "set"].includes((item.scores[column] || ["none"])[0])));
    this.best = new Map(this.columns.map((column) => [column, bestOf(this.clip, column)]));
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
    for (const column of this.columns) {
      const metric = data.metrics[column];
      const cell = make("th", "", `${metric.title} ${metric.arrow}`.trim());
      cell.dataset.metric = metric.name;
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
    const keys = make("p", "keys");
    for (const [key, text] of [["space", "play"], ["0–9, ⇧0–⇧9", "switch"], ["↑ ↓", "previous, next"], ["← →", "seek"], ["L", "loop"]]) {
      keys.append(make("kbd", "", key), ` ${text}  `);
    }
    body.append(stage, keys);
  }

  buildRow(rows, item, index) {
    const row = rows.insertRow();
    row.dataset.run = item.run;
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
    this.columns.forEach((column) => {
      const [status, text] = item.scores[column] || ["none", ""];
      const cell = row.insertCell();
      cell.dataset.metric = data.metrics[column].name;
      if (status === "ok" && text === this.best.get(column) && item.role === "system") cell.append(make("b", "best", text));
      else cell.textContent = status === "ok" ? text : status === "none" || status === "set" || (status === "unscored" && item.role === "reference") ? "–" : status;
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
      row.why = extra;
      const box = extra.insertCell();
      box.colSpan = 1 + this.columns.length;
      for (const [status, text] of lines) box.append(make("div", status === "failed" ? "bad" : "odd", text));
    }
    return row;
  }

  // One line for each reason, with the sounds it holds for.
  unscored() {
    const reasons = new Map();
    for (const item of this.clip.stimuli) {
      if (item.role === "reference") continue; // perfect by definition; its cells say why
      item.scores.forEach(([status, text], column) => {
        if (status !== "unscored") return;
        const reason = `${data.metrics[column].title} unscored: ${text}`;
        reasons.set(reason, [...(reasons.get(reason) || []), item.name]);
      });
    }
    return [...reasons].map(([reason, names]) => `${reason} (${names.join(", ")})`);
  }

  // 0 to 9, then the same with the shift key; beyond them the arrow keys lead.
  key(index) {
    const place = this.clip.stimuli[0].name === "Reference" ? index : index + 1;
    return place > 19 ? "" : place > 9 ? `⇧${place - 10}` : String(place);
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
    dock.show(this);
  }

  say(text) {
    this.status.textContent = text;
  }
}

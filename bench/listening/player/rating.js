// One page to be rated: sounds to switch between, and the answers that its method asks for.

export const REFERENCE = "reference";

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "list" && name !== "role") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const clock = (seconds) => `${seconds.toFixed(1)} s`;

export class RatingPage {
  // state: what the server said; page: its page; submit(answers, time): called when everything is heard and rated.
  constructor(state, page, engine, submit) {
    Object.assign(this, { state, page, engine, submit });
    this.keys = page.stimuli.map((stimulus) => stimulus.key);
    this.scores = new Map();
    this.rows = new Map();
    this.began = performance.now();
    this.before = 0;
    this.draft = `ldmbench-draft-${state.token}-${page.id}`;
    this.sliders = state.method === "mushra" || state.method === "mushra-1s";
  }

  get sounds() {
    const own = this.page.stimuli.map((stimulus) => [stimulus.key, stimulus.url]);
    return this.page.reference ? [[REFERENCE, this.page.reference], ...own] : own;
  }

  label(key) {
    if (key === REFERENCE) return "Reference";
    if (this.state.method === "ab") return "AB"[this.keys.indexOf(key)];
    return this.keys.length === 1 ? "Sound" : String(this.keys.indexOf(key) + 1);
  }

  shortcut(key) {
    if (key === REFERENCE) return this.sliders ? "0" : "R";
    if (this.state.method === "ab") return this.label(key);
    return this.keys.length === 1 ? "S" : this.label(key);
  }

  render() {
    const { page, state } = this;
    this.status = element("p", { className: "status", role: "status" });
    this.next = element("button", { type: "button", className: "primary next", textContent: "Save and go on", onclick: () => this.leave() });
    const [first] = state.criteria;
    const head = element("div", { className: "question" });
    if (page.text) head.append(element("p", { className: "prompt" }, element("span", { className: "muted", textContent: "Text: " }), page.text));
    if (state.criteria.length === 1) head.append(element("h2", { textContent: first.question, tabIndex: -1 }));
    this.root = element("section", { className: `rating ${state.method}` }, head, this.transport(), this.body(),
      element("div", { className: "foot" }, this.status, this.next), this.help());
    this.keyHandler = (event) => this.key(event);
    document.addEventListener("keydown", this.keyHandler);
    this.engine.onchange = () => this.update();
    this.restore();
    this.engine.current = this.page.reference ? REFERENCE : this.keys[0];
    if (!this.sliders) this.engine.setLoop(false);
    this.timer = setInterval(() => this.tick(), 100);
    this.update();
    return this.root;
  }

  close() {
    clearInterval(this.timer);
    document.removeEventListener("keydown", this.keyHandler);
    this.engine.pause();
  }

  transport() {
    const engine = this.engine;
    this.playButton = element("button", { type: "button", className: "play", onclick: () => engine.toggle() });
    this.loopButton = element("button", { type: "button", className: "loop", textContent: "Loop", title: "L", onclick: () => engine.setLoop(!engine.loop) });
    this.bar = element("input", { type: "range", className: "seek", min: 0, max: engine.length, step: 0.01, value: 0,
      "aria-label": "Position", oninput: () => engine.seek(Number(this.bar.value)) });
    this.clock = element("span", { className: "clock muted" });
    const edge = (name, label, value, set) => element("input", { type: "range", className: name, min: 0, max: engine.length, step: 0.05, value, "aria-label": label, oninput: set });
    const least = Math.min(0.5, engine.length);
    this.from = edge("from", "Loop from", 0, () => {
      this.from.value = Math.min(Number(this.from.value), engine.to - least);
      engine.setLoop(true, Number(this.from.value), engine.to);
    });
    this.to = edge("to", "Loop to", engine.length, () => {
      this.to.value = Math.max(Number(this.to.value), engine.from + least);
      engine.setLoop(true, engine.from, Number(this.to.value));
    });
    this.region = element("span", { className: "region" });
    const part = element("div", { className: "part" }, element("span", { className: "muted", textContent: "Repeat" }),
      element("span", { className: "ends" }, this.region, this.from, this.to), element("span", { className: "clock muted", id: "part" }));
    return element("div", { className: "transport" }, this.playButton, this.loopButton, this.bar, this.clock, this.sliders ? part : null);
  }

  body() {
    const rows = element("div", { className: "rows" });
    const chooser = (key) => element("button", { type: "button", className: "pick", "data-key": key, onclick: () => this.pick(key) },
      element("b", { textContent: this.label(key) }), element("kbd", { textContent: this.shortcut(key) }));
    if (this.sliders) {
      const [criterion] = this.state.criteria;
      rows.append(element("div", { className: "row top" }, chooser(REFERENCE), this.bands(criterion), element("span")));
      for (const key of this.keys) {
        const slider = this.slider(key, criterion, `Score of ${this.label(key)}`);
        rows.append(element("div", { className: "row", "data-key": key }, chooser(key), slider.box, slider.output));
      }
      return rows;
    }
    const bar = element("div", { className: "choices" });
    if (this.page.reference) bar.append(chooser(REFERENCE));
    for (const key of this.keys) bar.append(chooser(key));
    rows.append(bar);
    if (this.state.method === "ab") rows.append(this.preference());
    else if (this.state.method === "sheet") {
      for (const criterion of this.state.criteria) {
        const slider = this.slider(this.keys[0], criterion, criterion.question);
        rows.append(element("div", { className: "criterion" }, element("h3", { textContent: criterion.question }), slider.box, slider.output));
      }
    } else rows.append(this.categories(this.state.criteria[0]));
    return rows;
  }

  bands(criterion) {
    return element("div", { className: "bands", "aria-hidden": "true" }, ...criterion.labels.map((label) => element("span", { textContent: label })));
  }

  slider(key, criterion, label) {
    const id = `${key}/${criterion.name}`;
    const output = element("output", { textContent: "–" });
    const input = element("input", { type: "range", className: "score untouched", min: criterion.low, max: criterion.high, step: criterion.step,
      value: (criterion.low + criterion.high) / 2, "aria-label": label });
    const set = () => {
      if (this.sliders) this.pick(key, true);
      this.answer(key, criterion.name, Number(input.value));
    };
    input.addEventListener("input", set);
    // A click on the place where the slider stands, and Enter, are answers, too.
    input.addEventListener("pointerup", set);
    input.addEventListener("keydown", (event) => { if (event.key === "Enter") set(); });
    if (this.sliders) input.addEventListener("focus", () => this.engine.select(key));
    this.rows.set(id, { input, output });
    const marks = element("div", { className: "ticks", "aria-hidden": "true" }, ...criterion.labels.map(() => element("span")));
    return { box: element("div", { className: "slot" }, marks, input), output };
  }

  categories(criterion) {
    const scores = criterion.labels.map((label, index) => criterion.low + index * criterion.step);
    const values = scores.map((score, index) => [score, criterion.labels[index], String(score)]).reverse();
    return this.radios(values, (value) => this.answer(this.keys[0], criterion.name, value), (value) => this.scores.get(`${this.keys[0]}/${criterion.name}`) === value);
  }

  preference() {
    const [a, b] = this.keys;
    const values = [[1, "A is better", "1"], [0, "B is better", "2"]];
    if (this.state.ties) values.push([0.5, "No preference", "3"]);
    return this.radios(values, (value) => {
      this.answer(a, "preference", value);
      this.answer(b, "preference", 1 - value);
    }, (value) => this.scores.get(`${a}/preference`) === value);
  }

  radios(values, set, chosen) {
    this.options = values.map(([value, label, key]) => {
      const input = element("input", { type: "radio", name: "answer", value: String(value), onchange: () => set(value) });
      const box = element("label", { className: "option" }, input, element("span", { textContent: label }), element("kbd", { textContent: key }));
      return { input, value, set, key, chosen: () => chosen(value), box };
    });
    return element("div", { className: "options", role: "radiogroup" }, ...this.options.map((option) => option.box));
  }

  help() {
    const keys = [["Space", "play or pause"]];
    if (this.sliders) keys.push(["0", "reference"], [`1–${this.keys.length}`, "versions"], ["← →", "score of the version you hear"], ["Shift", "steps of 10"], ["L", "loop"]);
    else {
      for (const [name] of this.sounds) keys.push([this.shortcut(name), this.label(name)]);
      if (this.options) keys.push([`1–${this.options.length}`, "answer"]);
    }
    return element("p", { className: "help muted" }, ...keys.flatMap(([key, text]) => [element("kbd", { textContent: key }), ` ${text}  `]));
  }

  pick(key, quiet = false) {
    this.engine.select(key);
    if (!this.engine.playing && !(quiet && this.engine.heardMs(key) > 0)) {
      if (!this.engine.loop) this.engine.offset = 0;
      this.engine.play();
    } else if (!this.engine.loop && !quiet) this.engine.seek(0);
  }

  answer(key, criterion, score) {
    this.scores.set(`${key}/${criterion}`, score);
    this.update();
    this.keep();
  }

  // What can only be answered now, from a key.
  nudge(steps) {
    const key = this.engine.current;
    const row = this.rows.get(`${key}/${this.state.criteria[0].name}`);
    if (!row) return;
    row.input.value = Number(row.input.value) + steps * this.state.criteria[0].step;
    row.input.dispatchEvent(new Event("input"));
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches?.("textarea, input[type=text]")) return;
    const range = event.target.matches?.("input[type=range]");
    const name = event.key.toLowerCase();
    const sound = this.sounds.find(([key]) => this.shortcut(key).toLowerCase() === name);
    const arrows = { arrowleft: -1, arrowdown: -1, arrowright: 1, arrowup: 1 };
    if (name === " " && !event.target.matches?.("button:not(.pick):not(.play)")) this.engine.toggle();
    else if (name === "l" && this.sliders) this.engine.setLoop(!this.engine.loop);
    else if (sound && this.sliders) {
      this.pick(sound[0]);
      this.rows.get(`${sound[0]}/${this.state.criteria[0].name}`)?.input.focus();
    } else if (sound) this.pick(sound[0]);
    else if (this.options?.some((option) => option.key === name)) {
      const option = this.options.find(({ key }) => key === name);
      option.set(option.value);
    } else if (name in arrows && this.sliders && (!range || event.shiftKey || event.target.classList.contains("seek"))) {
      this.nudge(arrows[name] * (event.shiftKey ? 10 : 1));
    } else return;
    event.preventDefault();
  }

  // Sounds not heard for long enough, and scores not set.
  lacking() {
    const least = this.page.must_hear_ms - 20;
    const names = this.sounds.map(([name]) => name);
    const unheard = names.filter((name) => this.engine.heardMs(name) < least);
    const expected = this.keys.length * this.state.criteria.length;
    return { unheard, unrated: expected - this.scores.size };
  }

  tick() {
    this.engine.account();
    this.update();
  }

  update() {
    const engine = this.engine;
    const { unheard, unrated } = this.lacking();
    this.playButton.textContent = engine.playing ? "❚❚ Pause" : "▶ Play";
    this.loopButton.setAttribute("aria-pressed", String(engine.loop));
    if (document.activeElement !== this.bar || engine.playing) this.bar.value = engine.position();
    this.clock.textContent = `${engine.position().toFixed(1)} / ${clock(engine.length)}`;
    if (this.sliders) {
      this.region.style.left = `${(100 * engine.from) / engine.length}%`;
      this.region.style.right = `${100 - (100 * engine.to) / engine.length}%`;
      const text = this.root?.querySelector("#part");
      if (text) text.textContent = `${engine.from.toFixed(1)}–${clock(engine.to)}`;
    }
    for (const button of this.root?.querySelectorAll(".pick") ?? []) {
      const key = button.dataset.key;
      button.setAttribute("aria-pressed", String(key === engine.current));
      button.classList.toggle("sounding", key === engine.current && engine.playing);
      button.classList.toggle("heard", !unheard.includes(key));
      button.closest(".row")?.classList.toggle("current", key === engine.current);
    }
    for (const [id, { input, output }] of this.rows) {
      const score = this.scores.get(id);
      input.classList.toggle("untouched", score === undefined);
      output.textContent = score ?? "–";
    }
    for (const option of this.options ?? []) option.input.checked = option.chosen();
    const parts = [];
    if (unheard.length) parts.push(`Still to be heard: ${unheard.map((key) => this.label(key)).join(", ")}`);
    if (unrated > 0) parts.push(this.state.method === "ab" || this.options ? "not answered yet" : `${unrated} not rated yet`);
    const text = parts.length ? parts.join(" · ").replace(/^n/, "N") : "Everything is heard and rated.";
    if (this.status.textContent !== text) this.status.textContent = text;
    this.next.disabled = parts.length > 0 || this.leaving;
  }

  // What a reload would lose is kept in the browser until the page is saved.
  keep() {
    const heard = Object.fromEntries(this.engine.heard);
    const time = this.before + performance.now() - this.began;
    try { localStorage.setItem(this.draft, JSON.stringify({ scores: [...this.scores], heard, time })); } catch { /* full or forbidden */ }
  }

  restore() {
    try {
      const kept = JSON.parse(localStorage.getItem(this.draft) ?? "null");
      if (!kept) return;
      this.before = kept.time;
      for (const [id, score] of kept.scores) {
        this.scores.set(id, score);
        const row = this.rows.get(id);
        if (row) row.input.value = score;
      }
      for (const [name, seconds] of Object.entries(kept.heard)) if (this.engine.heard.has(name)) this.engine.heard.set(name, seconds);
    } catch { /* a draft of another version */ }
  }

  async leave() {
    const { unheard, unrated } = this.lacking();
    if (unheard.length || unrated > 0 || this.leaving) return;
    this.leaving = true;
    this.engine.pause();
    this.update();
    const answers = this.keys.flatMap((key) => this.state.criteria.map((criterion) => ({
      stimulus: key, criterion: criterion.name, score: this.scores.get(`${key}/${criterion.name}`),
      played_ms: this.engine.heardMs(key), touched: true })));
    const left = await this.submit(answers, Math.round(this.before + performance.now() - this.began));
    this.leaving = false;
    if (left) try { localStorage.removeItem(this.draft); } catch { /* forbidden */ }
    else this.update();
  }
}

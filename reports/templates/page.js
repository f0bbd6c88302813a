"use strict";
// Sorting, filtering, and a player that switches between the sounds of a clip at the same position.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const make = (tag, className, text) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  };

  // ---- Tables: first press sorts the better values up, the second down, the third as they came.
  const collator = new Intl.Collator("en", { numeric: true });
  for (const table of document.querySelectorAll("table.results")) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    table.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const head = button.parentElement;
      const column = head.cellIndex;
      const text = button.dataset.sort === "text";
      const first = button.dataset.sort === "higher" ? "descending" : "ascending";
      const second = first === "ascending" ? "descending" : "ascending";
      const now = head.getAttribute("aria-sort");
      const next = now === null ? first : now === first ? second : null;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      const rows = [...original];
      if (next) {
        head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        const key = (row) => (text ? row.cells[0].textContent : row.cells[column].dataset.value);
        rows.sort((a, b) => {
          const [x, y] = [key(a), key(b)];
          if (x === "" || y === "") return (x === "") - (y === ""); // cells without a value stay below
          return sign * (text ? collator.compare(x, y) : Number(x) - Number(y));
        });
      }
      body.append(...rows);
    });
  }
  document.getElementById("intervals").addEventListener("change", (event) => {
    document.body.classList.toggle("with-intervals", event.target.checked);
  });

  // ---- Filter
  const form = document.getElementById("filter");
  const clips = [...document.querySelectorAll(".clip")];
  const filter = () => {
    const words = form.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = clips.filter((clip) => {
      const set = clip.dataset;
      const match =
        (!form.dataset_.value || set.dataset === form.dataset_.value) &&
        (!form.group_ || !form.group_.value || set.group === form.group_.value) &&
        (!form.failed.checked || set.failed !== undefined) &&
        words.every((word) => set.words.includes(word));
      clip.hidden = !match;
      clip.classList.remove("first", "last");
      return match;
    });
    if (shown.length) {
      shown[0].classList.add("first");
      shown[shown.length - 1].classList.add("last");
    }
    document.getElementById("nothing").hidden = shown.length > 0;
    document.getElementById("count").textContent =
      shown.length === clips.length ? `${clips.length} clips` : `${shown.length} of ${clips.length} clips`;
    if (player && player.article.hidden) close();
  };
  // A form's own "dataset" property hides the field of that name.
  form.dataset_ = form.elements.namedItem("dataset");
  form.group_ = form.elements.namedItem("group");
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());

  // ---- Player
  let player = null;
  const CLOSE = 0.025; // seconds; sounds that run this close to each other change places unnoticed
  const STEADY = 15; // frames for which a sound must have moved before it is moved again

  // Browsers run a muted sound on another clock and stall when it is unmuted, so "silent" is -100 dB; where the
  // volume cannot be set (iOS), there is only muting.
  const probe = new Audio();
  probe.volume = 0.5;
  const hush = (sound, silent) => {
    if (probe.volume === 0.5) sound.volume = silent ? 1e-5 : 1;
    else sound.muted = silent;
  };

  class Player {
    constructor(article) {
      this.article = article;
      this.clip = data.clips[Number(article.dataset.index)];
      this.body = article.querySelector(".panel-body");
      this.sounds = []; // an audio element for each stimulus, or null
      this.chosen = -1; // what the listener asked for
      this.audible = -1; // what is heard
      this.position = 0; // seconds, while nothing plays
      this.playing = false;
      this.loop = false;
      this.delay = []; // seconds that pass between a jump of each sound and its running on, learned
      this.jumped = []; // whether each sound has jumped to where it is while others ran
      this.asked = 0; // when the listener asked for another sound
      this.last = []; // where each sound was a frame ago
      this.alive = []; // when each sound moved last
      this.steady = []; // for how many frames each sound has been moving
      this.build();
      const first = this.clip.stimuli.findIndex((item) => item.audio);
      if (first >= 0) this.choose(first);
      this.tick = this.tick.bind(this);
      this.frame = requestAnimationFrame(this.tick);
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
      for (const [label, place] of clip.ticks) {
        const tick = make("span", "hz", label);
        tick.style.bottom = `calc(18px + (100% - 18px) * ${place})`;
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
      data.metrics.forEach((_, place) => {
        const [status, text] = item.scores[place] || ["none", ""];
        const cell = row.insertCell();
        cell.textContent = status === "ok" ? text : status === "none" || status === "set" ? "–" : status;
        if (status === "failed") cell.className = "fail";
        if (status === "unscored") cell.className = "void muted";
        if (status !== "ok") cell.title = text;
      });
      if (item.audio) {
        pick.setAttribute("aria-pressed", "false");
        pick.addEventListener("click", () => this.choose(index));
        const sound = new Audio();
        // A browser keeps some tens of players at most; beyond that, sounds load when they are chosen.
        sound.preload = index < 24 ? "auto" : "none";
        this.last[index] = this.steady[index] = 0;
        this.delay[index] = 0.07;
        sound.src = item.audio;
        sound.dataset.index = index;
        this.body.append(sound); // without controls it takes no room
        sound.addEventListener("ended", () => this.ended(index));
        sound.addEventListener("error", () => this.say(`${item.name} cannot be played: ${item.audio}`));
        this.sounds.push(sound);
      } else {
        pick.setAttribute("aria-disabled", "true");
        row.classList.add("off");
        this.sounds.push(null);
      }
      const failures = item.scores
        .map(([status, text], place) => [status, `${data.metrics[place].title} failed: ${text}`])
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
        item.scores.forEach(([status, text], place) => {
          if (status !== "unscored") return;
          const reason = `${data.metrics[place].title} unscored: ${text}`;
          reasons.set(reason, [...(reasons.get(reason) || []), item.name]);
        });
      }
      return [...reasons].map(([reason, names]) => `${reason} (${names.join(", ")})`);
    }

    key(index) {
      return index <= 9 ? String(this.clip.stimuli[0].name === "Reference" ? index : (index + 1) % 10) : "";
    }

    now() {
      return this.playing && this.audible >= 0 ? this.sounds[this.audible].currentTime : this.position;
    }

    choose(index) {
      const next = this.sounds[index];
      if (!next || index === this.chosen) return;
      this.chosen = index;
      this.asked = performance.now();
      this.show();
      if (this.playing) {
        if (next.paused && !next.ended) this.run(index);
      } else {
        this.audible = index;
        next.currentTime = this.position;
      }
    }

    // All sounds of a clip run together, and all but one are hushed: a sound that only starts when it is chosen
    // is silent for about a tenth of a second.
    run(index) {
      const sound = this.sounds[index];
      const silent = index !== this.audible;
      hush(sound, silent);
      sound.currentTime = Math.min(this.now() + (silent && this.started ? this.delay[index] : 0), sound.duration || Infinity);
      this.steady[index] = 0;
      this.alive[index] = performance.now();
      this.jumped[index] = this.started;
      sound.play().catch((error) => {
        if (error.name === "AbortError" || index !== this.chosen) return;
        this.pause();
        this.say(`${this.clip.stimuli[index].name} cannot be played: ${error.message}`);
      });
    }

    // Puts hushed sounds that run beside the audible one into its place, and changes over to the chosen one as soon
    // as it runs there. The speed of a sound is left alone: browsers stall for a moment when it changes.
    align() {
      const lead = this.sounds[this.audible];
      this.sounds.forEach((sound, index) => {
        if (!sound || sound.paused) return;
        const moved = sound.currentTime - this.last[index];
        this.last[index] = sound.currentTime;
        this.steady[index] = moved > 0.001 && moved < 0.2 ? this.steady[index] + 1 : 0;
        if (moved !== 0) this.alive[index] = performance.now();
        else if (performance.now() - this.alive[index] > 500 && !sound.ended) {
          // A loaded machine can leave a sound waiting for data that it has; looking for its place again wakes it.
          sound.currentTime = lead.currentTime;
          this.alive[index] = performance.now();
        }
        const steady = Math.min(this.steady[index], this.steady[this.audible]);
        if (sound === lead || steady < 3) return;
        const behind = lead.currentTime - sound.currentTime;
        if (Math.abs(behind) > this.clip.seconds / 2) return; // one of the two has looped already
        const late = performance.now() - this.asked > 1000;
        if (index === this.chosen && (Math.abs(behind) < CLOSE || late)) this.change(index);
        else if (Math.abs(behind) > CLOSE && steady >= STEADY) {
          if (this.jumped[index]) this.delay[index] = Math.min(Math.max(this.delay[index] + behind, 0), 0.4);
          this.jumped[index] = true;
          sound.currentTime = Math.min(lead.currentTime + this.delay[index], sound.duration || Infinity);
          this.steady[index] = 0;
        }
      });
    }

    change(index) {
      const [old, next] = [this.sounds[this.audible], this.sounds[index]];
      hush(next, false);
      hush(old, true);
      this.audible = index;
    }

    toggle() {
      if (this.playing) this.pause();
      else this.play();
    }

    play() {
      const sound = this.sounds[this.chosen];
      if (!sound) return;
      if (this.position >= (sound.duration || this.clip.seconds) - 0.02) this.position = 0;
      this.audible = this.chosen;
      this.started = false;
      this.sounds.forEach((other, index) => {
        if (other && (other.preload === "auto" || index === this.chosen)) this.run(index);
      });
      this.started = true;
      this.playing = true;
      this.button.textContent = "❚❚ Pause";
    }

    pause() {
      this.position = this.now();
      this.playing = false;
      for (const sound of this.sounds) if (sound) sound.pause();
      this.audible = this.chosen;
      this.button.textContent = "▶ Play";
    }

    ended(index) {
      if (!this.playing || (index !== this.audible && index !== this.chosen)) return;
      this.pause();
      this.position = 0;
    }

    seek(seconds) {
      this.position = Math.min(Math.max(seconds, 0), this.clip.seconds);
      this.sounds.forEach((sound, index) => {
        if (!sound || (sound.paused && index !== this.audible)) return;
        sound.currentTime = Math.min(this.position, sound.duration || Infinity);
        this.steady[index] = 0;
        this.jumped[index] = false;
      });
    }

    toggleLoop() {
      this.loop = !this.loop;
      this.loopButton.setAttribute("aria-pressed", String(this.loop));
      for (const sound of this.sounds) if (sound) sound.loop = this.loop;
    }

    move(step) {
      const count = this.sounds.length;
      for (let k = 1; k <= count; k += 1) {
        const index = (this.chosen + step * k + count * k) % count;
        if (this.sounds[index]) return this.choose(index);
      }
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

    tick() {
      if (this.playing) this.align();
      const now = this.now();
      if (this.clip.seconds) {
        this.cursor.style.left = `${(100 * now) / this.clip.seconds}%`;
        if (document.activeElement !== this.slider || this.playing) this.slider.value = now;
        this.clock.textContent = `${now.toFixed(2)} / ${this.clip.seconds.toFixed(2)} s`;
      }
      this.frame = requestAnimationFrame(this.tick);
    }

    say(text) {
      this.status.textContent = text;
    }

    destroy() {
      if (this.playing) this.pause();
      cancelAnimationFrame(this.frame);
      // Without a source the browser lets go of the decoder.
      for (const sound of this.sounds) {
        if (!sound) continue;
        sound.removeAttribute("src");
        sound.load();
      }
      this.body.replaceChildren();
      this.body.hidden = true;
    }

    press(event) {
      const target = event.target;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const digit = /^[0-9]$/.test(event.key) ? event.key : null;
      const button = target.closest("button");
      const actions = {
        " ": () => this.toggle(),
        ArrowLeft: () => this.seek(this.now() - 0.5),
        ArrowRight: () => this.seek(this.now() + 0.5),
        ArrowUp: () => this.move(-1),
        ArrowDown: () => this.move(1),
        l: () => this.toggleLoop(),
        L: () => this.toggleLoop(),
        Escape: () => close(true),
      };
      if (digit !== null) {
        const index = this.clip.stimuli.findIndex((_, place) => this.key(place) === digit);
        if (index >= 0) this.choose(index);
      } else if (event.key === " " && button && !button.classList.contains("pick")) {
        return; // the space bar presses the button that has the focus
      } else if (actions[event.key]) actions[event.key]();
      else return;
      event.preventDefault();
    }
  }

  function close(focus) {
    if (!player) return;
    const button = player.article.querySelector(".open");
    button.setAttribute("aria-expanded", "false");
    player.destroy();
    player = null;
    if (focus) button.focus();
  }

  document.getElementById("list").addEventListener("click", (event) => {
    const button = event.target.closest(".open");
    if (!button) return;
    const article = button.closest(".clip");
    const same = player && player.article === article;
    const before = article.getBoundingClientRect().top;
    close();
    if (same) return;
    button.setAttribute("aria-expanded", "true");
    player = new Player(article);
    player.body.focus({ preventScroll: true });
    // The row that was pressed stays under the pointer when another one above it closes.
    window.scrollBy({ top: article.getBoundingClientRect().top - before, behavior: "instant" });
  });
  document.addEventListener("keydown", (event) => {
    if (player && player.body.contains(event.target)) player.press(event);
  });
  window.addEventListener("pagehide", () => close()); // a page kept for "back" keeps no decoders
  filter();
})();

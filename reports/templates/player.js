// Switching between the sounds of a clip at the same position, without a gap.
const CLOSE = 0.025; // seconds; sounds that run this close to each other change places unnoticed
const STEADY = 15; // frames for which a sound must have moved before it is moved again

// Browsers run a muted sound on another clock and stall when it is unmuted, so "silent" is -100 dB; where the
// volume cannot be set (iOS), there is only muting.
const probe = new Audio();
probe.volume = 0.5;
const hush = (sound, silent, level) => {
  if (probe.volume === 0.5) sound.volume = silent ? 1e-5 : Math.max(level, 1e-5);
  else sound.muted = silent;
};

class Player extends Panel {
  // Not eager, it loads sounds when one is asked for.
  constructor(index, body, eager = true) {
    super(index, body);
    this.eager = eager;
    this.before = -1; // what was chosen before
    this.blinded = null; // the two sounds of a blind comparison, A first
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
    this.sounds = this.clip.stimuli.map((item, index) => (item.audio ? this.load(item, index) : null));
    const first = this.clip.stimuli.findIndex((item) => item.audio);
    if (first >= 0) this.choose(first);
    this.gains = matched(this.clip);
    this.tick = this.tick.bind(this);
    this.frame = requestAnimationFrame(this.tick);
  }

  // The audio element of a stimulus.
  load(item, index) {
    const sound = new Audio();
    // A browser keeps some tens of players at most; beyond that, sounds load when they are chosen.
    sound.preload = this.eager && index < 24 ? "auto" : "none";
    this.last[index] = this.steady[index] = 0;
    this.delay[index] = 0.07;
    sound.src = item.audio;
    sound.dataset.index = index;
    this.body.append(sound); // without controls it takes no room
    sound.addEventListener("ended", () => this.ended(index));
    sound.addEventListener("error", () => this.say(`${item.name} cannot be played: ${item.audio}`));
    return sound;
  }

  // Loads what was not loaded yet, because the listener now wants to hear.
  wake() {
    if (this.eager) return;
    this.eager = true;
    this.sounds.forEach((sound, index) => {
      if (sound && index < 24) sound.preload = "auto";
    });
  }

  // The volume at which a sound is heard.
  level(index) {
    return dock.volume.value * (dock.match.checked ? this.gains[index] : 1);
  }

  relevel() {
    if (this.audible >= 0) hush(this.sounds[this.audible], false, this.level(this.audible));
  }

  now() {
    return this.playing && this.audible >= 0 ? this.sounds[this.audible].currentTime : this.position;
  }

  choose(index) {
    const next = this.sounds[index];
    if (!next || index === this.chosen) return;
    this.before = this.chosen;
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
    hush(sound, silent, this.level(index));
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
    hush(next, false, this.level(index));
    hush(old, true, 0);
    this.audible = index;
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    const sound = this.sounds[this.chosen];
    if (!sound) return;
    this.wake();
    if (this.position >= (sound.duration || this.clip.seconds) - 0.02) this.position = 0;
    this.audible = this.chosen;
    this.started = false;
    this.sounds.forEach((other, index) => {
      if (other && (other.preload === "auto" || index === this.chosen)) this.run(index);
    });
    this.started = true;
    this.playing = true;
    dock.play.textContent = "❚❚ Pause";
  }

  pause() {
    this.position = this.now();
    this.playing = false;
    for (const sound of this.sounds) if (sound) sound.pause();
    this.audible = this.chosen;
    dock.play.textContent = "▶ Play";
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
    dock.loop.setAttribute("aria-pressed", String(this.loop));
    for (const sound of this.sounds) if (sound) sound.loop = this.loop;
  }

  move(step) {
    const count = this.sounds.length;
    for (let k = 1; k <= count; k += 1) {
      const index = (this.chosen + step * k + count * k) % count;
      if (this.sounds[index] && !this.rows[index].hidden) return this.choose(index);
    }
  }

  // The last two sounds as A and B by chance, with nothing that tells them apart but the ear; again, it says which was which.
  blind() {
    if (this.blinded) return this.reveal();
    const others = this.sounds.map((_, index) => index).filter((index) => this.sounds[index] && index !== this.chosen);
    const other = others.includes(this.before) ? this.before : others[0];
    if (other === undefined) return this.say("There is no second sound to compare with.");
    this.pause();
    this.seek(0);
    this.blinded = Math.random() < 0.5 ? [this.chosen, other] : [other, this.chosen];
    this.say("");
    this.rows.forEach((row, index) => { row.hidden = !this.blinded.includes(index); });
    this.blinded.forEach((index, place) => {
      const pick = this.rows[index].querySelector(".pick");
      pick.dataset.letter = `Sound ${"AB"[place]}`;
      pick.dataset.title = pick.title;
      pick.title = "";
      pick.setAttribute("aria-label", pick.dataset.letter);
      this.rows[index].parentElement.append(this.rows[index]);
    });
    this.body.classList.add("blinded");
    dock.blind.setAttribute("aria-pressed", "true");
    this.choose(this.blinded[0]);
    this.show();
  }

  letter(index) {
    return `Sound ${"AB"[this.blinded.indexOf(index)]}`;
  }

  reveal() {
    const pair = this.blinded;
    this.blinded = null;
    this.body.classList.remove("blinded");
    dock.blind.setAttribute("aria-pressed", "false");
    for (const index of pair) {
      const pick = this.rows[index].querySelector(".pick");
      delete pick.dataset.letter;
      pick.removeAttribute("aria-label");
      pick.title = pick.dataset.title;
    }
    // Back into the order in which they came, each followed by what is said of it.
    for (const row of this.rows) {
      row.hidden = false;
      row.parentElement.append(row);
      if (row.why) row.parentElement.append(row.why);
    }
    applyShown();
    this.say(`A was ${this.clip.stimuli[pair[0]].name}, B was ${this.clip.stimuli[pair[1]].name}.`);
    this.show();
  }

  tick() {
    if (this.playing) this.align();
    const now = this.now();
    if (this.clip.seconds) {
      this.cursor.style.left = `${(100 * now) / this.clip.seconds}%`;
      if (document.activeElement !== this.slider || this.playing) this.slider.value = now;
      dock.clock.textContent = `${now.toFixed(2)} / ${this.clip.seconds.toFixed(2)} s`;
    }
    this.frame = requestAnimationFrame(this.tick);
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
    dock.hide();
  }

  press(event) {
    const target = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.classList.contains("volume") && event.key.startsWith("Arrow")) return;
    const code = /^Digit([0-9])$/.exec(event.code);
    const plain = /^[0-9]$/.test(event.key) ? event.key : null;
    const digit = event.shiftKey && code ? `⇧${code[1]}` : plain;
    const button = target.closest("button");
    const actions = {
      " ": () => this.toggle(),
      ArrowLeft: () => this.seek(this.now() - 0.5),
      ArrowRight: () => this.seek(this.now() + 0.5),
      ArrowUp: () => this.move(-1),
      ArrowDown: () => this.move(1),
      a: () => this.blinded && this.choose(this.blinded[0]),
      b: () => this.blinded && this.choose(this.blinded[1]),
      l: () => this.toggleLoop(),
      L: () => this.toggleLoop(),
      Escape: () => close(true),
    };
    if (digit !== null) {
      const index = this.clip.stimuli.findIndex((_, other) => this.key(other) === digit);
      if (index >= 0 && !this.rows[index].hidden) this.choose(index);
    } else if (event.key === " " && button && !button.classList.contains("pick") && !button.classList.contains("play")) {
      return; // the space bar presses the button that has the focus
    } else if (actions[event.key]) actions[event.key]();
    else return;
    event.preventDefault();
  }
}

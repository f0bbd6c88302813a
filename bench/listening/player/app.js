// The way through a test: consent, volume, headphones, training, pages, end. The server says where a session is.

import { Engine } from "./engine.js";
import { RatingPage, element } from "./rating.js";

const TOKEN = "ldmbench-session";
const main = document.getElementById("main");
const trouble = document.getElementById("trouble");
const link = new URLSearchParams(location.search);
const named = { listener: link.get("listener") ?? link.get("PROLIFIC_PID") ?? "", study: link.get("STUDY_ID") ?? "", submission: link.get("SESSION_ID") ?? "" };
let engine = null;
let page = null;

const stored = () => { try { return localStorage.getItem(TOKEN) ?? ""; } catch { return ""; } };
const store = (token) => { try { localStorage.setItem(TOKEN, token); } catch { /* then a reload begins anew */ } };
const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

// Ask the server until it answers: what it has acknowledged is on its disk, and what is sent twice is stored once.
async function ask(name, data) {
  for (let tries = 0; ; tries++) {
    try {
      const answer = await fetch(`api/${name}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(data) });
      const body = await answer.json();
      if (answer.status < 500) {
        trouble.hidden = true;
        return answer.ok ? body : Promise.reject(Object.assign(new Error(body.error), { refused: answer.status }));
      }
    } catch (error) {
      if (error.refused) throw error;
    }
    trouble.textContent = "The server does not answer. Your ratings are kept here and sent again. Please leave this page open.";
    trouble.hidden = false;
    await wait(Math.min(0.5 * 2 ** tries, 8));
  }
}

async function begin(fresh = false) {
  const token = fresh ? "" : stored();
  const state = await ask("begin", { token, ...named });
  store(state.token);
  return show(state);
}

function step(state, name, extra = {}) {
  return ask("step", { token: state.token, step: name, ...extra }).then(show);
}

function paragraphs(texts) {
  return texts.map((text) => element("p", { textContent: text }));
}

function button(text, work, properties = {}) {
  return element("button", { type: "button", className: "primary", textContent: text, onclick: (event) => guarded(() => work(event)), ...properties });
}

function guarded(work) {
  return Promise.resolve().then(work).catch((error) => {
    trouble.textContent = error.refused ? error.message : `Something went wrong: ${error.message}. Please load the page again.`;
    trouble.hidden = false;
  });
}

function put(...children) {
  main.replaceChildren(...children);
  window.scrollTo(0, 0);
  main.querySelector("h2[tabindex]")?.focus({ preventScroll: true });
}

const prose = (title, ...children) => element("section", { className: "prose" }, element("h2", { textContent: title, tabIndex: -1 }), ...children);

function sound(state) {
  engine ??= new Engine(state.rate, state.gain);
  engine.setGain(state.gain);
  return engine;
}

function loading(state) {
  put(element("p", { className: "muted", textContent: "Loading sounds ..." }));
  return sound(state);
}

const SCREENS = {
  consent(state) {
    const agree = element("input", { type: "checkbox", id: "agree", onchange: () => { go.disabled = !agree.checked; } });
    const go = button("Begin", () => step(state, "consent"), { disabled: true });
    put(prose("Before you begin", ...state.marks.map((mark) => element("p", { className: "mark", textContent: mark })), ...paragraphs(state.words.consent),
      element("label", { className: "agree" }, agree, " I have read this and take part of my own will."), go));
  },

  async volume(state) {
    const player = loading(state);
    await player.load([["sound", state.sound]]);
    const gain = element("input", { type: "range", id: "volume", min: 0.05, max: 1, step: 0.05, value: 0.5, "aria-label": "Volume", oninput: () => player.setGain(Number(gain.value)) });
    player.setGain(0.5);
    const go = button("This is comfortable", () => { player.pause(); return step(state, "volume", { gain: Number(gain.value) }); }, { disabled: true });
    const play = button("▶ Play", () => player.toggle(), { className: "play" });
    player.onchange = () => {
      play.textContent = player.playing ? "❚❚ Pause" : "▶ Play";
      if (player.playing) go.disabled = false;
    };
    put(prose("Volume", ...paragraphs(["Put your headphones on. Set the volume, here and on your device, so that you hear this sound comfortably and in every detail.", "Then leave it there until the end of the test."]),
      element("div", { className: "transport" }, play, element("span", { className: "muted", textContent: "quiet" }), gain, element("span", { className: "muted", textContent: "loud" })), go));
  },

  async headphones(state) {
    const player = loading(state);
    const answers = [];
    const number = element("p", { className: "muted" });
    const choices = [1, 2, 3].map((value) => button(String(value), () => choose(value), { className: "choice", disabled: true }));
    const play = button("▶ Play", async () => {
      player.seek(0);
      await player.play();
    }, { className: "play" });
    const load = async () => {
      number.textContent = `Sound ${answers.length + 1} of ${state.trials.length}`;
      for (const choice of choices) choice.disabled = true;
      await player.load([["trial", state.trials[answers.length]]]);
      player.loop = false;
      player.onchange = () => {
        play.disabled = player.playing;
        if (player.playing) heard = true;
        else if (heard) for (const choice of choices) choice.disabled = false;
      };
      heard = false;
      play.disabled = false;
    };
    let heard = false;
    const choose = async (value) => {
      answers.push(value);
      if (answers.length < state.trials.length) return load();
      const result = await ask("headphones", { token: state.token, answers });
      if (result.again) {
        put(prose("Headphones", ...paragraphs(["That did not sound like headphones. Please put them on, the left one on the left ear, and try once more."]), button("Try again", () => show(result))));
        return;
      }
      return show(result);
    };
    await load();
    put(prose("Headphones", element("p", { textContent: state.question }), number, element("div", { className: "transport" }, play),
      element("div", { className: "choices", role: "group" }, ...choices)));
  },

  training: (state) => rate(state, () => step(state, "training"), state.words.training),

  page: (state) => rate(state, (answers, time) => ask("page", { token: state.token, page: state.page.id, time_ms: time, answers }).then(show), []),

  end(state) {
    const remark = element("textarea", { id: "remark", maxLength: 2000, rows: 4, "aria-label": "Remarks" });
    put(prose("All pages are rated", ...paragraphs(["Is there anything you want to say about the sounds or the test? You may leave this empty. Please give no name."]), remark,
      button("Finish", () => ask("finish", { token: state.token, remark: remark.value }).then(show))));
  },

  done(state) {
    const again = named.listener ? null : element("p", { className: "muted" }, "Another listener on this computer? ", element("button", { type: "button", className: "quiet", textContent: "Begin a new session", onclick: () => guarded(() => begin(true)) }));
    put(prose("Thank you", ...paragraphs(state.words.thanks), element("p", {}, "Your completion code: ", element("code", { id: "code", textContent: state.code })),
      state.link ? element("p", {}, element("a", { href: state.link, textContent: "Back to Prolific" })) : null, again));
  },

  out() {
    put(prose("Thank you", ...paragraphs(["This test needs headphones, and they could not be made out. It ends here. Nothing you heard was rated."])));
  },
};

async function rate(state, send, words) {
  const player = loading(state);
  page = new RatingPage(state, state.page, player, (answers, time) => {
    let sent = true;
    return guarded(() => send(answers, time).catch((error) => { sent = false; throw error; })).then(() => sent);
  });
  await player.load(page.sounds);
  const first = state.step === "training" || state.done === 0;
  const intro = first ? [element("details", { className: "card words", open: state.step === "training" || !state.trained }, element("summary", { textContent: "Instructions" }), ...paragraphs([...words, ...state.words.instructions]))] : [];
  if (state.step === "training") intro.unshift(element("p", { className: "mark", textContent: "Training: what you rate here does not count." }));
  put(...intro, page.render());
  player.prefetch(state.following ?? []);
}

function show(state) {
  page?.close();
  page = null;
  if (engine) engine.pause();
  document.title = state.title;
  document.getElementById("title").textContent = state.title;
  const counted = state.step === "page";
  document.getElementById("progress").hidden = !counted;
  document.getElementById("progress-text").textContent = counted ? `Page ${state.done + 1} of ${state.total}` : "";
  document.getElementById("progress-bar").value = counted ? state.done / state.total : 0;
  document.body.dataset.step = state.step;
  return SCREENS[state.step](state);
}

// For tests, and for whoever wants to see that the page plays what the files hold.
window.ldmbench = { get engine() { return engine; }, get page() { return page; } };

guarded(begin);

// Sounds of a trial, decoded once, started together and switched at one position. Everything listens at the document,
// so that a result that is drawn again, since another run came in, plays on.
(() => {
  const groups = new Map();
  let context = null;
  let active = null;

  const group = (name) => {
    if (!groups.has(name)) groups.set(name, { name, buffers: new Map(), nodes: new Map(), url: "", playing: false, offset: 0, began: 0 });
    return groups.get(name);
  };
  const boxOf = (it) => document.querySelector(`.ldm[data-group="${it.name}"]`);
  const secondsOf = (it) => Number(boxOf(it)?.dataset.seconds || 0);
  const now = (it) => (it.playing ? it.offset + Math.max(0, context.currentTime - it.began) : it.offset);

  // Decoded at the context's rate; kept, since a trial is short.
  const load = (it, url) => {
    if (!it.buffers.has(url)) {
      it.buffers.set(url, fetch(url).then((answer) => {
        if (!answer.ok) throw new Error(`${answer.status}`);
        return answer.arrayBuffer();
      }).then((data) => context.decodeAudioData(data)));
    }
    return it.buffers.get(url);
  };

  const start = (it, url, buffer) => {
    const at = context.currentTime + 0.03;
    const where = now(it) + (it.playing ? at - Math.max(context.currentTime, it.began) : 0);
    const gain = new GainNode(context, { gain: url === it.url ? 1 : 0 });
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(gain).connect(context.destination);
    if (where < buffer.duration) source.start(at, where);
    it.nodes.set(url, { source, gain, at });
    return at;
  };

  const stop = (it) => {
    it.offset = Math.min(now(it), secondsOf(it));
    it.playing = false;
    for (const { source } of it.nodes.values()) { try { source.stop(); } catch { /* it never started */ } }
    it.nodes.clear();
    if (active === it) active = null;
    show(it);
  };

  const play = async (it, url) => {
    context ||= new AudioContext();
    await context.resume();
    if (active && active !== it) stop(active);
    const buffer = await load(it, url);
    it.url = url;
    if (it.playing) {
      if (!it.nodes.has(url)) start(it, url, buffer);
      for (const [other, { gain }] of it.nodes) gain.gain.setTargetAtTime(other === url ? 1 : 0, context.currentTime, 0.004);
    } else {
      if (it.offset >= secondsOf(it) - 0.02) it.offset = 0;
      const at = start(it, url, buffer);
      it.began = at;
      it.playing = true;
      active = it;
      for (const pick of boxOf(it).querySelectorAll(".ldm-pick")) load(it, pick.dataset.url).catch(() => {});
      requestAnimationFrame(() => tick(it));
    }
    show(it);
  };

  const seek = (it, seconds) => {
    const was = it.playing;
    if (was) stop(it);
    it.offset = seconds;
    if (was) play(it, it.url);
    show(it);
  };

  const tick = (it) => {
    if (!it.playing) return;
    if (now(it) >= secondsOf(it)) { stop(it); it.offset = 0; show(it); return; }
    show(it);
    requestAnimationFrame(() => tick(it));
  };

  const show = (it) => {
    const box = boxOf(it);
    if (!box) return;
    const seconds = secondsOf(it);
    const here = Math.min(now(it), seconds);
    const slider = box.querySelector(".ldm-seek");
    if (slider && slider !== document.activeElement) slider.value = here;
    const clock = box.querySelector(".ldm-clock");
    if (clock) clock.textContent = `${here.toFixed(2)} / ${seconds.toFixed(2)} s`;
    const toggle = box.querySelector(".ldm-toggle");
    if (toggle) toggle.textContent = it.playing ? "❚❚" : "▶";
    for (const pick of box.querySelectorAll(".ldm-pick")) {
      const chosen = pick.dataset.url === it.url;
      pick.textContent = chosen && it.playing ? "❚❚" : "▶";
      pick.closest("tr").classList.toggle("ldm-chosen", chosen);
    }
    for (const cursor of box.querySelectorAll(".ldm-cursor")) cursor.style.left = `${(100 * here) / (seconds || 1)}%`;
  };

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const box = target?.closest(".ldm");
    if (!box) return;
    const it = group(box.dataset.group);
    const pick = target.closest(".ldm-pick");
    const canvas = target.closest(".ldm-picture[data-url] .ldm-canvas");
    if (pick) {
      if (it.playing && it.url === pick.dataset.url) stop(it);
      else play(it, pick.dataset.url);
    } else if (target.closest(".ldm-toggle")) {
      if (it.playing) stop(it);
      else {
        const first = it.url || box.querySelector(".ldm-pick")?.dataset.url;
        if (first) play(it, first);
      }
    } else if (canvas) {
      const frame = canvas.getBoundingClientRect();
      it.offset = now(it);
      if (it.playing) stop(it);
      it.offset = ((event.clientX - frame.left) / frame.width) * secondsOf(it);
      play(it, canvas.closest(".ldm-picture").dataset.url);
    } else if (target.closest(".ldm-copy")) {
      const button = target.closest(".ldm-copy");
      const text = button.parentElement.querySelector("code").textContent;
      navigator.clipboard.writeText(text).then(() => { button.textContent = "Copied"; }, () => {
        getSelection().selectAllChildren(button.parentElement.querySelector("code"));
        button.textContent = "Selected: press Ctrl-C";
      });
    }
  });
  document.addEventListener("input", (event) => {
    if (event.target.classList?.contains("ldm-seek")) seek(group(event.target.closest(".ldm").dataset.group), Number(event.target.value));
  });
  // A result that is drawn again gets the state of its player back.
  new MutationObserver(() => { for (const it of groups.values()) if (!it.playing) show(it); })
    .observe(document.documentElement, { childList: true, subtree: true });
  window.ldmbenchPlayer = { groups, now };
})();

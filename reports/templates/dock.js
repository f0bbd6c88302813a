// The bar at the bottom of the window: what plays, and what can be done with it, wherever the page is scrolled to.
const MOST_GAIN = 12; // LU; a sound this much quieter than the loudest is no yardstick for the others

// Factors by which the sounds of a clip are turned down to be equally loud: to the quietest of those near the loudest.
const matched = (clip) => {
  const heard = clip.stimuli.map((item) => item.lufs).filter((value) => value !== null);
  const loudest = Math.max(...heard);
  const target = Math.min(...heard.filter((value) => value > loudest - MOST_GAIN));
  return clip.stimuli.map((item) => (item.lufs === null ? 1 : Math.min(1, 10 ** ((target - item.lufs) / 20))));
};

const dock = { element: document.getElementById("dock") };
for (const name of ["play", "loop", "clock", "who", "what", "volume", "download", "link", "blind"]) {
  dock[name] = dock.element.querySelector(`.${name}`);
}
dock.match = document.getElementById("match");
if (!data.loudness) {
  dock.match.disabled = true;
  dock.match.parentElement.title = "No loudness was measured when this page was written: pip install 'ldmbench[listening]'";
} else {
  dock.match.parentElement.title = "Turns sounds down to the quietest (BS.1770 loudness of the mono mix, within 12 LU)";
}

dock.show = (panel) => {
  const item = panel.clip.stimuli[panel.chosen];
  dock.element.hidden = false;
  document.body.classList.add("docked");
  dock.who.textContent = panel.blinded ? panel.letter(panel.chosen) : item.name;
  dock.what.textContent = panel.clip.id;
  dock.download.href = item.audio;
  dock.download.hidden = dock.link.hidden = Boolean(panel.blinded); // both name the sound
};
dock.hide = () => {
  dock.element.hidden = true;
  document.body.classList.remove("docked");
  dock.play.textContent = "▶ Play";
  dock.loop.setAttribute("aria-pressed", "false");
  dock.blind.setAttribute("aria-pressed", "false");
};
dock.play.addEventListener("click", () => player && player.toggle());
dock.loop.addEventListener("click", () => player && player.toggleLoop());
dock.blind.addEventListener("click", () => player && player.blind());
dock.volume.addEventListener("input", () => player && player.relevel());
dock.match.addEventListener("change", () => player && player.relevel());
dock.element.addEventListener("click", (event) => {
  const step = event.target.closest(".step");
  if (step && player) player.move(Number(step.dataset.step));
});
dock.link.addEventListener("click", () => {
  const item = player.clip.stimuli[player.chosen];
  const words = new URLSearchParams({ clip: player.clip.id, sound: item.name, t: player.now().toFixed(2) });
  location.hash = words.toString();
  dock.linked = location.hash; // to be followed by others, not by this page
  if (navigator.clipboard) navigator.clipboard.writeText(location.href).catch(() => {});
});

// Switches a clip's player between reference, BASE and NEW at the same moment, and sorts and filters the clips.
const list = document.getElementById("pairs");
const pairs = [...list.querySelectorAll(".pair")];

function choose(pair, button) {
  const player = pair.querySelector("audio");
  const picture = pair.querySelector("img");
  const playing = !player.paused;
  const time = player.currentTime;
  for (const other of pair.querySelectorAll(".sides button")) other.setAttribute("aria-pressed", String(other === button));
  player.src = button.dataset.audio;
  picture.src = button.dataset.image;
  picture.alt = `Spectrogram: ${button.dataset.title}`;
  player.addEventListener("loadedmetadata", () => { player.currentTime = Math.min(time, player.duration || 0); }, { once: true });
  if (playing) {
    for (const other of document.querySelectorAll("audio")) if (other !== player) other.pause();
    player.play();
  }
}

for (const pair of pairs) {
  const buttons = [...pair.querySelectorAll(".sides button:not(:disabled)")];
  for (const button of buttons) button.addEventListener("click", () => choose(pair, button));
  pair.addEventListener("keydown", (event) => {
    const wanted = { r: "reference", a: "base", b: "new" }[event.key.toLowerCase()];
    const button = buttons.find((item) => item.dataset.side === wanted);
    if (button && !event.ctrlKey && !event.metaKey && !event.altKey) choose(pair, button);
  });
}
document.addEventListener("play", (event) => {
  for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
}, true);

const order = document.getElementById("order");
const dataset = document.getElementById("dataset");
const count = document.getElementById("count");

function arrange() {
  const key = order.value;
  const value = (pair) => (key ? Number(JSON.parse(pair.dataset.sizes)[key] ?? 1e9) : Number(pair.dataset.place));
  for (const pair of [...pairs].sort((one, other) => value(one) - value(other))) list.append(pair);
  let shown = 0;
  for (const pair of pairs) {
    pair.hidden = Boolean(dataset.value) && pair.dataset.dataset !== dataset.value;
    shown += pair.hidden ? 0 : 1;
  }
  count.textContent = String(shown);
}
order.addEventListener("change", arrange);
dataset.addEventListener("change", arrange);

// The list of clips: filtering it, and opening one in the player at a time.
let player = null;

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
  if (player && player.article && player.article.hidden) close();
};
// A form's own "dataset" property hides the field of that name.
form.dataset_ = form.elements.namedItem("dataset");
form.group_ = form.elements.namedItem("group");
form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());

function close(focus) {
  if (!player) return;
  const button = player.article && player.article.querySelector(".open");
  if (button) button.setAttribute("aria-expanded", "false");
  const back = button || player.back;
  player.destroy();
  player = null;
  if (focus && back) back.focus();
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
  player = new Player(Number(article.dataset.index), article.querySelector(".panel-body"));
  player.article = article;
  applyShown();
  player.body.focus({ preventScroll: true });
  // The row that was pressed stays under the pointer when another one above it closes.
  window.scrollBy({ top: article.getBoundingClientRect().top - before, behavior: "instant" });
});
document.addEventListener("keydown", (event) => {
  if (player && (player.body.contains(event.target) || dock.element.contains(event.target))) player.press(event);
});
window.addEventListener("pagehide", () => close()); // a page kept for "back" keeps no decoders
filter();

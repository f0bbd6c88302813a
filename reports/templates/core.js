// What the other files of the page's script use: the data, and new elements.
const data = JSON.parse(document.getElementById("data").textContent);
const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};

// The number that a sound has for a metric, NaN where there is none.
const scoreOf = (item, column) => {
  const [status, text] = (item && item.scores[column]) || ["none", ""];
  return status === "ok" ? Number(text) : NaN;
};

// What the best of the systems prints for a metric on a clip, undefined where none is best.
const bestOf = (clip, column) => {
  const { better } = data.metrics[column];
  const items = clip.stimuli.filter((item) => item.role === "system" && !Number.isNaN(scoreOf(item, column)));
  if (better === "neither" || items.length < 2) return undefined;
  const sign = better === "higher" ? -1 : 1;
  return items.sort((a, b) => sign * (scoreOf(a, column) - scoreOf(b, column)))[0].scores[column][1];
};

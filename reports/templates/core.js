// What the other files of the page's script use: the data, and new elements.
const data = JSON.parse(document.getElementById("data").textContent);
const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};

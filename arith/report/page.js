"use strict";
// Without this script the page has every number: in its tables, and in the titles that browsers show by themselves.
document.documentElement.classList.add("scripted");

// Boxes of a key show and hide the curves of their plot.
for (const figure of document.querySelectorAll("figure.lines")) {
  const boxes = [...figure.querySelectorAll("[data-toggles]")];
  const show = () => {
    for (const box of boxes) {
      for (const curve of figure.querySelectorAll(`[data-curve="${box.dataset.toggles}"]`)) {
        curve.toggleAttribute("data-off", !box.checked);
      }
    }
  };
  figure.addEventListener("change", show);
  if (boxes.length > 2) {
    for (const [name, checked] of [["all", true], ["none", false]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.addEventListener("click", () => {
        for (const box of boxes) box.checked = checked;
        show();
      });
      figure.querySelector("legend").append(" ", button);
    }
  }
  show(); // a browser may remember what was chosen before the page was loaded again
}

// A plot is one stop of the Tab key; arrow keys go from point to point. What a point says stands below the plot.
const HINT = "Point at a mark, or press Tab and then the arrow keys, to read its numbers. So in every plot.";
for (const [number, plot] of document.querySelectorAll("[data-roving]").entries()) {
  const readout = plot.parentElement.querySelector(".readout");
  const points = [...plot.querySelectorAll(".point")];
  if (!points.length) continue;
  const place = (point) => [Number(point.dataset.x), Number(point.dataset.y)];
  const say = (point) => {
    readout.textContent = point ? point.querySelector("title").textContent : number ? "" : HINT;
    readout.classList.toggle("idle", !point);
  };
  const go = (point) => {
    for (const other of points) other.tabIndex = other === point ? 0 : -1;
    point.focus();
  };
  const nearest = (from, along, across, sign) => {
    // The next place in the direction of the key; among those there, the one that is nearest across it.
    const ahead = points.filter((other) => !other.closest("[data-off]") && (place(other)[along] - from[along]) * sign > 0);
    const cost = (other) => {
      const [by, off] = [Math.abs(place(other)[along] - from[along]), Math.abs(place(other)[across] - from[across])];
      return along === 0 ? off * 1e6 + by : by * 1e6 + off;
    };
    return ahead.sort((a, b) => cost(a) - cost(b))[0];
  };
  const keys = { ArrowLeft: [0, 1, -1], ArrowRight: [0, 1, 1], ArrowUp: [1, 0, -1], ArrowDown: [1, 0, 1] };
  points[0].tabIndex = 0;
  say(null);
  plot.addEventListener("keydown", (event) => {
    const point = event.target.closest(".point");
    if (!point || !(event.key in keys) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault(); // or the page would scroll
    const next = nearest(place(point), ...keys[event.key]);
    if (next) go(next);
  });
  plot.addEventListener("focusin", (event) => say(event.target.closest(".point")));
  plot.addEventListener("focusout", () => say(null));
  plot.addEventListener("pointerover", (event) => say(event.target.closest(".point") || document.activeElement.closest(".point")));
  plot.addEventListener("pointerleave", () => say(plot.querySelector(".point:focus")));
}

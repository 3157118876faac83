"use strict";
// The maps of heads. What page.js declares is there: it is loaded first.
const LETTERS = 26; // tokens up to which a map has room for their letters at its sides
const LEAST = 0.05; // a key that gets less of a query's attention is not said
const HIDDEN = -1000; // a bias below leaves nothing after the softmax, as if the key were hidden

let drawn = null; // the heads on the page
let cursor = { head: 0, query: 0, key: null };

const passName = ({ loop, layer, looks_up }) => {
  const looped = shown.passes.filter((one) => one.layer === 0).length > 1;
  return `${looped ? `loop ${loop + 1}, ` : ""}layer ${layer + 1}${looks_up ? ", looks up" : ""}`;
};
const drawPasses = () => {
  const moved = shown.changes?.moved;
  const kept = $("pass").selectedIndex;
  const told = (own, at) => {
    const most = moved?.[at] ? Math.max(...moved[at]) : 0;
    return passName(own) + (most ? ` (moved ${percent(most)})` : "");
  };
  $("pass").replaceChildren(...shown.passes.map((own, at) => make("option", { value: at }, told(own, at))));
  $("pass").selectedIndex = Math.max(0, Math.min(kept, shown.passes.length - 1));
  $("pass-field").hidden = shown.passes.length < 2;
};

const fetchHeads = async () => {
  const turn = asked;
  const { model, problem } = shown;
  const found = await ask("/heads", { model, problem, place: $("pass").selectedIndex, before: shown.changes && before });
  if (turn !== asked || found.place !== $("pass").selectedIndex) return;
  if (found.error) return say(found.error, true);
  drawn = found;
  const has = { weights: true, bias: found.heads.some((head) => head.bias), change: found.before !== null };
  for (const radio of document.querySelectorAll("[name=view]")) radio.disabled = !has[radio.value];
  if (!has[view()]) document.querySelector("[name=view]").checked = true;
  $("heads").classList.toggle("dense", shown.tokens.length > LETTERS);
  const canvases = found.heads.map((_, head) => {
    const name = `${passName(shown.passes[found.place])}, head ${head + 1}`;
    const canvas = make("canvas", { tabindex: 0, role: "img", "aria-label": `${name}: a row for each token, arrow keys move`, "data-head": head });
    return make("figure", {}, make("h3", {}, name), canvas);
  });
  $("heads").replaceChildren(...canvases);
  markChosen();
};

const view = () => document.querySelector("[name=view]:checked").value;
const matrix = (head) => {
  const own = drawn.heads[head];
  if (view() === "bias") return own.bias;
  if (view() === "weights") return own.weights;
  const old = drawn.before[head];
  return own.weights.map((row, query) => row.map((share, key) => Math.abs(share - (old?.[query]?.[key] ?? share))));
};
// Keys that the encoding hides are blank in every view, not dark as those that a head does not care for.
const hidden = (head, query, key) => drawn.heads[head].bias && !visible(drawn.heads[head].bias[query][key]);
const visible = (value) => value !== null && value !== undefined && value > HIDDEN;

// Bounds of the colours: one pair for all heads, so that they can be compared.
const bounds = (all) => {
  if (view() === "weights") return [0, 1];
  const flat = all.flat(2).filter(visible);
  const [low, high] = flat.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [0, view() === "change" ? 0.01 : 0]);
  return high > low ? [low, high] : [low, low + 1];
};
const drawHeads = () => {
  if (!drawn) return;
  const all = drawn.heads.map((_, head) => matrix(head));
  const [low, high] = bounds(all.filter(Boolean));
  const short = (value) => String(Number(value.toPrecision(3))).replace("-", "\u2212");
  $("low").textContent = short(low);
  $("high").textContent = short(high);
  const what = { weights: "of a query's attention", bias: "added to a score before the softmax", change: "of attention that went or came, against the problem before" }[view()];
  $("told").textContent = `${what}. Rows are queries, columns keys; blank keys are hidden. Outlined: the token at which the chosen one is worked out.`;
  for (const canvas of $("heads").querySelectorAll("canvas")) drawMap(canvas, all[canvas.dataset.head], low, high);
  tell();
};

const drawMap = (canvas, rows, low, high) => {
  const style = getComputedStyle(document.documentElement);
  const n = shown.tokens.length;
  const margin = n <= LETTERS ? 1.3 : 0.15;
  const [wide, dense] = [canvas.clientWidth, window.devicePixelRatio || 1];
  const cell = wide / (n + margin);
  canvas.style.height = `${wide}px`;
  canvas.width = canvas.height = Math.round(wide * dense);
  const pen = canvas.getContext("2d");
  pen.scale(dense, dense);
  pen.fillStyle = style.getPropertyValue("--shade");
  pen.fillRect(margin * cell, 0, n * cell, n * cell);
  // A little wider than a cell: no seams between cells of one colour.
  const seam = 0.3;
  rows?.forEach((row, query) =>
    row.forEach((value, key) => {
      if (!visible(value) || hidden(canvas.dataset.head, query, key)) return;
      pen.fillStyle = colour((value - low) / (high - low));
      pen.fillRect((margin + key) * cell, query * cell, cell + seam, cell + seam);
    }),
  );
  if (n <= LETTERS) {
    pen.fillStyle = style.getPropertyValue("--ink");
    pen.font = `${Math.min(15, cell * 0.85)}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace`;
    pen.textBaseline = "middle";
    pen.textAlign = "center";
    shown.tokens.forEach((token, at) => {
      pen.fillText(token, cell * 0.55, (at + 0.55) * cell);
      pen.fillText(token, (margin + at + 0.5) * cell, (n + 0.62) * cell);
    });
  }
  pen.strokeStyle = style.getPropertyValue("--cursor");
  pen.lineWidth = 2;
  const seen = rows?.[cursor.query]?.length ?? n;
  pen.strokeRect(margin * cell + 1, cursor.query * cell, seen * cell - 2, cell);
  if (cursor.key !== null && Number(canvas.dataset.head) === cursor.head) {
    pen.lineWidth = 3;
    pen.strokeRect((margin + cursor.key) * cell, cursor.query * cell, cell, cell);
  }
};

// What the cell or the row under the cursor says, in words.
const tell = () => {
  const { head, query, key } = cursor;
  const own = drawn.heads[head];
  if (!own) return;
  const name = `${passName(shown.passes[drawn.place])}, head ${head + 1}`;
  const row = own.weights[query] || [];
  const most = row.map((share, at) => [share, at]).filter(([share]) => share >= LEAST).sort((a, b) => b[0] - a[0]).slice(0, 4);
  const moved = shown.changes?.moved?.[drawn.place]?.[head];
  let text = `${name}: ${quoted(query)} attends to ${most.map(([share, at]) => `${quoted(at)} ${percent(share)}`).join(", ") || (row.some(Boolean) ? "everything alike" : "nothing")}`;
  if (key !== null) {
    const bias = own.bias?.[query]?.[key];
    text += `. Key ${quoted(key)}: ${row[key] === undefined ? "hidden, as it comes later" : percent(row[key])}`;
    if (own.bias && row[key] !== undefined) text += visible(bias) ? `, bias ${bias}` : ", hidden by the encoding";
    const old = drawn.before?.[head]?.[query]?.[key];
    if (old !== undefined && row[key] !== undefined) text += `, before ${percent(old)}`;
  } else if (moved !== undefined) text += `. Since ${shown.changes.problem} up to ${percent(moved)} of a query's attention moved`;
  $("readout").textContent = `${text}.`;
};

const placeAt = (canvas, event) => {
  const n = shown.tokens.length;
  const margin = n <= LETTERS ? 1.3 : 0.15;
  const box = canvas.getBoundingClientRect();
  const cell = box.width / (n + margin);
  const [key, query] = [Math.floor((event.clientX - box.left) / cell - margin), Math.floor((event.clientY - box.top) / cell)];
  return query < 0 || query >= n ? null : { head: Number(canvas.dataset.head), query, key: key >= 0 && key < n ? key : null };
};

$("heads").addEventListener("pointermove", (event) => {
  const found = event.target.closest("canvas") && placeAt(event.target, event);
  if (!found || (found.query === cursor.query && found.key === cursor.key && found.head === cursor.head)) return;
  cursor = found;
  drawHeads();
});
$("heads").addEventListener("pointerleave", () => shown && markChosen());
$("heads").addEventListener("focusin", (event) => {
  cursor = { ...cursor, head: Number(event.target.dataset.head) };
  drawHeads();
});
$("heads").addEventListener("keydown", (event) => {
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!move || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const clamp = (value) => Math.max(0, Math.min(shown.tokens.length - 1, value));
  const query = clamp(cursor.query + move[0]);
  const key = move[1] || cursor.key !== null ? clamp((cursor.key ?? (move[1] > 0 ? -1 : query + 1)) + move[1]) : null;
  cursor = { head: Number(event.target.dataset.head), query, key };
  drawHeads();
});
$("pass").addEventListener("change", fetchHeads);
for (const radio of document.querySelectorAll("[name=view]")) radio.addEventListener("change", drawHeads);
window.addEventListener("resize", drawHeads);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawHeads);

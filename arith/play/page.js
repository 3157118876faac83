"use strict";
const $ = (id) => document.getElementById(id);
// cividis, as in arith/figures/style.py: its lightness rises with the value, so that it reads in grey.
const MAP = ["#00224e", "#1a386f", "#434e6c", "#61656f", "#7d7c78", "#9b9476", "#bcae6c", "#dec958", "#fee838"];
const LEVELS = MAP.map((colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
const WAIT = 120; // ms after a key until it is asked: a quick typist is not answered letter by letter
const LETTERS = 26; // tokens up to which a map has room for their letters at its sides
const LEAST = 0.05; // a key that gets less of a query's attention is not said
const HIDDEN = -1000; // a bias below leaves nothing after the softmax, as if the key were hidden

let models = []; // to choose from, each with what its results say
let shown = null; // what the server said of the problem on the page
let before = null; // the problem that it is compared with
let drawn = null; // the heads on the page
let asked = 0; // the latest request: what comes back for an earlier one is too late
let chosen = 0; // the place in the answer whose alternatives are listed
let cursor = { head: 0, query: 0, key: null };

const make = (name, values = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(values)) {
    if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
};
const percent = (share) => (share > 0.9995 && share < 1 ? ">99.9%" : share > 0 && share < 0.0005 ? share.toExponential(0).replace("-", "\u2212") : `${(100 * share).toFixed(1)}%`);
const named = (token) => ({ $: "$ (end)", "^": "^ (begin)", " ": "space" })[token] || token;
const quoted = (place) => `'${shown.tokens[place]}' (${place + 1})`;

const ask = async (path, values) => {
  const body = values && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(values) };
  let response;
  try {
    response = await fetch(path, body);
  } catch {
    return { error: "no answer: was arith play ended in its terminal?" };
  }
  return response.json();
};

const say = (text, wrong = false, ...added) => {
  $("status").classList.toggle("wrong", wrong);
  $("status").replaceChildren(text, ...added);
};

// The problem's digits as buttons: each press is one edit, and what it changes is marked below.
const drawWheel = () => {
  const text = $("problem").value;
  const focused = [...$("wheel").children].indexOf(document.activeElement);
  $("wheel").replaceChildren(
    ...[...text].map((sign, at) => {
      if (!/[0-9]/.test(sign)) return make("span", { class: "mono" }, sign);
      const button = make("button", { type: "button", class: "wheel-digit", "aria-label": `digit ${sign}, place ${at + 1}` }, sign);
      const set = (digit) => edit(at, digit);
      button.addEventListener("click", () => set((Number(sign) + 1) % 10));
      button.addEventListener("keydown", (event) => {
        if (event.altKey || event.ctrlKey || event.metaKey) return;
        const near = (step) => {
          const all = [...$("wheel").querySelectorAll("button")];
          (all[all.indexOf(button) + step] || button).focus();
        };
        if (event.key === "ArrowUp") set((Number(sign) + 1) % 10);
        else if (event.key === "ArrowDown") set((Number(sign) + 9) % 10);
        else if (event.key === "ArrowLeft") near(-1);
        else if (event.key === "ArrowRight") near(1);
        else if (/^[0-9]$/.test(event.key)) set(Number(event.key));
        else return;
        event.preventDefault();
      });
      return button;
    }),
  );
  if (focused >= 0) $("wheel").children[focused]?.focus();
  $("wheel").hidden = $("wheel-hint").hidden = !/[0-9]/.test(text);
};
const edit = (at, digit) => {
  const text = $("problem").value;
  $("problem").value = text.slice(0, at) + digit + text.slice(at + 1);
  drawWheel();
  show();
};

const show = async (retry = false) => {
  const turn = ++asked;
  const [model, problem] = [$("model").value, $("problem").value.trim()];
  if (!problem) return say("Type a problem, such as 123+456.");
  $("shown").classList.add("stale");
  const slow = setTimeout(() => turn === asked && say(shown ? "computing" : "loading the model"), 400);
  const same = shown && shown.model === model;
  if (same && shown.problem !== problem && !$("hold")?.checked) before = shown.problem;
  if (!same) before = null;
  const found = await ask("/show", { model, problem, before });
  clearTimeout(slow);
  if (turn !== asked) return;
  if (found.error) {
    if (retry && found.example) {
      // Another model of another task: its own example in place of a message about the old problem.
      $("problem").value = found.example;
      drawWheel();
      return show();
    }
    const example = found.example && make("button", { type: "button" }, `try ${found.example}`);
    example && example.addEventListener("click", () => {
      $("problem").value = found.example;
      drawWheel();
      show();
    });
    say(found.error, true, ...(example ? [" ", example] : []));
    return;
  }
  shown = found;
  say("");
  chosen = Math.min(chosen, shown.reply.length - 1);
  const moved = shown.changes?.reply.findIndex((one) => one && (one.changed || one.moved));
  if (moved >= 0) chosen = moved;
  else if (!shown.changes) chosen = shown.first_wrong === null ? 0 : Math.min(shown.first_wrong, shown.reply.length - 1);
  drawAbout();
  drawAnswer();
  drawIds();
  drawPasses();
  clearTries();
  $("shown").hidden = false;
  $("shown").classList.remove("stale");
  await fetchHeads();
};

const drawAbout = () => {
  const { line } = models.find((one) => one.name === shown.model);
  $("about").textContent = `${shown.task}, written ${shown.format}; positions: ${shown.encoding}. ${line && `Tested: ${line.replace(`${shown.encoding}: `, "")}`}`;
};

const drawAnswer = () => {
  const { changes, reply, right } = shown;
  const answer = shown.answer === null ? "no number" : shown.answer;
  const verdict = make("span", { class: "word" }, right ? "right" : shown.answer === shown.result ? "right number, written wrong" : `wrong: it is ${shown.result}`);
  $("verdict").replaceChildren(make("span", { class: "mono" }, `${shown.problem} = `, make("b", {}, answer)), verdict);
  const order = shown.answer_first === "lsb" ? "The model writes the last digit first. " : "";
  $("compared").replaceChildren(order);
  if (changes) {
    const hold = make("input", { type: "checkbox", id: "hold" });
    hold.checked = held;
    hold.addEventListener("change", () => (held = hold.checked));
    const touched = changes.reply.filter((one) => one && one.changed).length;
    const told = `Compared with ${changes.problem}: ${touched} of ${reply.length} tokens differ. What changed is marked, with what it was. `;
    $("compared").append(told, make("label", {}, hold, " keep comparing with it"));
  } else $("compared").append("Change a digit to see what it changes.");
  $("reply").replaceChildren(...reply.map(drawToken));
  drawTop();
};
let held = false;

const drawToken = (own, at) => {
  const old = shown.changes?.reply[at];
  const wrong = at === shown.first_wrong;
  const different = old && (old.changed || old.moved);
  const told = [make("b", {}, own.token), make("small", {}, percent(own.probability))];
  const bar = make("span", { class: "bar" });
  bar.style.width = `calc((100% - .4rem) * ${own.probability})`;
  told.push(bar);
  if (wrong) told.push(make("small", { class: "was" }, at < shown.expected.length ? `right: ${shown.expected[at]}` : "too long"));
  if (different) told.push(make("small", { class: "was" }, old.changed ? `was ${old.token}` : `was ${percent(old.probability)}`));
  const spoken = `${named(own.token)}, ${percent(own.probability)}` + (wrong ? ", the first wrong token" : "") + (old?.changed ? `, was ${named(old.token)}` : "");
  const button = make("button", { type: "button", class: `token${wrong ? " wrong" : ""}${different ? " changed" : ""}`, "aria-pressed": String(at === chosen), "aria-label": spoken, tabindex: at === chosen ? 0 : -1 }, ...told);
  button.addEventListener("click", () => choose(at));
  button.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !shown.reply[at + step]) return;
    event.preventDefault();
    choose(at + step);
    $("reply").children[at + step].focus();
  });
  return button;
};

const choose = (at) => {
  chosen = at;
  [...$("reply").children].forEach((button, place) => {
    button.setAttribute("aria-pressed", String(place === at));
    button.tabIndex = place === at ? 0 : -1;
  });
  drawTop();
  markChosen();
};

// The token that a chosen one is predicted at is the one before it: its row of a map says what was looked at.
const queryOf = (at) => shown.prompt + at - 1;
const markChosen = () => {
  cursor = { head: cursor.head, query: queryOf(chosen), key: null };
  for (const cell of $("ids").querySelectorAll("td")) cell.classList.toggle("chosen", Number(cell.dataset.at) === cursor.query && cell.closest("tr").rowIndex === 0);
  drawHeads();
};

const drawTop = () => {
  const own = shown.reply[chosen];
  const rows = own.top.map(([token, share]) => {
    const bar = make("span", { class: "bar" });
    bar.style.width = `${100 * share}%`;
    return make("tr", {}, make("td", { class: "mono" }, named(token)), make("td", {}, percent(share)), make("td", {}, bar));
  });
  const heading = make("h3", {}, `Token ${chosen + 1} of the answer: the ${rows.length} most likely`);
  $("top").replaceChildren(heading, make("table", {}, make("tbody", {}, ...rows)));
};

const drawIds = () => {
  const { tokens, ids, changes, prompt } = shown;
  const cells = (values, changed, levels) =>
    values.map((value, at) => {
      const kind = [at >= prompt && "answer", changed?.includes(at) && "changed", levels && value === 0 && "none"].filter(Boolean);
      return make("td", { class: kind.join(" ") || null, "data-at": at }, String(value));
    });
  const rows = [make("tr", {}, make("th", { scope: "row" }, "token"), ...cells(tokens.map((one) => (one === " " ? "\u2423" : one)), changes?.tokens))];
  ids.forEach((scheme, which) => {
    scheme.levels.forEach((level, place) => {
      const sliding = scheme.slides && place === 1;
      const title = sliding ? "added each loop" : `@${scheme.scheme}${scheme.levels.length > 1 && !scheme.slides ? ` level ${place + 1}` : ""}`;
      const used = place ? "" : make("small", {}, scheme.used_by.join(", "));
      rows.push(make("tr", {}, make("th", { scope: "row", class: sliding ? "minor" : null }, title, used), ...cells(level, changes?.ids?.[which][place], true)));
    });
  });
  $("ids").replaceChildren(make("tbody", {}, ...rows));
  const why = changes && changes.tokens === null ? ` ${changes.problem} takes another number of tokens, so that places cannot be compared.` : "";
  const none = ids.length ? "0: no position. Shaded: the answer. The last token of an answer is never read, and has no id." : "This encoding uses no position ids.";
  $("ids-note").textContent = none + why;
};

// Tries stay on the page until the problem or the model is another one.
const clearTries = () => {
  $("digits-scroll").hidden = true;
  $("try").parentElement.hidden = !/[0-9]/.test(shown.problem);
};
const tryDigits = async () => {
  const turn = asked;
  $("try").disabled = true;
  $("try").textContent = "trying";
  const found = await ask("/digits", { model: shown.model, problem: shown.problem });
  $("try").disabled = false;
  $("try").textContent = "Try every digit";
  if (turn !== asked) return;
  if (found.error) return say(found.error, true);
  const places = found.changed[0].length;
  const head = make("tr", {}, make("th", {}, ""), ...Array.from({ length: places }, (_, at) => make("th", { scope: "col" }, shown.reply[at]?.token ?? "")));
  const rows = found.digits.map((at, row) => {
    const name = make("th", { scope: "row" }, found.problem.slice(0, at), make("b", {}, found.problem[at]), found.problem.slice(at + 1));
    const cells = found.changed[row].map((count, place) => {
      const right = found.right[row][place];
      const cell = make("td", { class: count === right ? null : "off", title: `${count} of ${found.tried[row]} change it; of right answers ${right}` }, count || count !== right ? String(count) : "", count === right ? "" : make("small", {}, `\u2260${right}`));
      if (count) {
        cell.style.background = colour(count / Math.max(9, found.tried[row]));
        cell.style.color = count / Math.max(9, found.tried[row]) > 0.55 ? "#000" : "#fff";
      }
      return cell;
    });
    return make("tr", {}, name, ...cells);
  });
  $("digits").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
  $("digits-scroll").hidden = false;
  const off = found.changed.flatMap((row, at) => row.filter((count, place) => count !== found.right[at][place])).length;
  const told = off ? `Dashed, in ${off} places: the right answers change with as many as stands behind \u2260.` : "The right answers change with as many, everywhere.";
  $("digits-note").textContent = `Each digit (rows) is replaced by the nine others, one at a time: how many of them change each token of the answer (columns). ${told}`;
};
$("try").addEventListener("click", tryDigits);

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
const colour = (share) => {
  const at = Math.max(0, Math.min(1, share)) * (LEVELS.length - 1);
  const [low, high] = [LEVELS[Math.floor(at)], LEVELS[Math.ceil(at)]];
  return `rgb(${low.map((part, which) => Math.round(part + (high[which] - part) * (at % 1))).join()})`;
};

const drawHeads = () => {
  if (!drawn) return;
  const all = drawn.heads.map((_, head) => matrix(head));
  const [low, high] = bounds(all.filter(Boolean));
  const short = (value) => String(Number(value.toPrecision(3))).replace("-", "\u2212");
  $("low").textContent = short(low);
  $("high").textContent = short(high);
  const what = { weights: "of a query's attention", bias: "added to a score before the softmax", change: "of attention that went or came, against the problem before" }[view()];
  $("told").textContent = `${what}. Rows are queries, columns keys; blank keys are hidden. Outlined: the token at which the chosen one is predicted.`;
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

let timer = 0;
$("problem").addEventListener("input", () => {
  drawWheel();
  clearTimeout(timer);
  timer = setTimeout(show, WAIT);
});
$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(timer);
  show();
});
$("model").addEventListener("change", () => show(true));
window.addEventListener("resize", drawHeads);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawHeads);

(async () => {
  say("loading");
  const found = await ask("/models");
  if (found.error) return say(found.error, true);
  models = found.models;
  $("model").replaceChildren(...models.map(({ name }) => make("option", { value: name }, name)));
  drawWheel();
  await show(true);
})();

"use strict";
const $ = (id) => document.getElementById(id);
// cividis, as in arith/figures/style.py: its lightness rises with the value, so that it reads in grey.
const MAP = ["#00224e", "#1a386f", "#434e6c", "#61656f", "#7d7c78", "#9b9476", "#bcae6c", "#dec958", "#fee838"];
const LEVELS = MAP.map((colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
const colour = (share) => {
  const at = Math.max(0, Math.min(1, share)) * (LEVELS.length - 1);
  const [low, high] = [LEVELS[Math.floor(at)], LEVELS[Math.ceil(at)]];
  return `rgb(${low.map((part, which) => Math.round(part + (high[which] - part) * (at % 1))).join()})`;
};
const WAIT = 120; // ms after a key until it is asked: a quick typist is not answered letter by letter

let models = []; // to choose from, each with what its results say
let shown = null; // what the server said of the problem on the page
let before = null; // the problem that it is compared with
let asked = 0; // the latest request: what comes back for an earlier one is too late
let chosen = 0; // the place in the answer whose alternatives are listed

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
  const once = shown.at_once ? "All digits are worked out at once, each in its own place, loop after loop; none of them is read. " : "";
  $("compared").replaceChildren(order + once);
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

// Where a chosen token comes from: its row of a map says what was looked at. A decoder predicts it at the token before.
const queryOf = (at) => (shown.at_once ? Math.min(shown.prompt + at, shown.tokens.length - 1) : shown.prompt + at - 1);
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

// When heads.js is loaded too.
document.addEventListener("DOMContentLoaded", async () => {
  say("loading");
  const found = await ask("/models");
  if (found.error) return say(found.error, true);
  models = found.models;
  $("model").replaceChildren(...models.map(({ name }) => make("option", { value: name }, name)));
  drawWheel();
  await show(true);
});

"use strict";
// The page works in this order: what the tables show, filters, sorting, the keyboard, provenance, curves.
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const byId = (id) => document.getElementById(id);
const controls = byId("controls");
const parts = all("table.part");
let data; // the provenance, parsed when a number is first opened

function make(tag, text = "", attributes = {}, ...children) {
  const made = document.createElement(tag);
  made.append(...(text === "" ? [] : [String(text)]), ...children);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// ---- what the tables show

function update() {
  const chosen = new FormData(controls);
  document.body.dataset.show = chosen.get("show");
  const fits = (kind, value) => !chosen.get(kind) || value === chosen.get(kind);
  let shown = 0, count = 0;
  for (const part of parts) {
    for (const cell of all("[data-arch]", part)) cell.hidden = !fits("arch", cell.dataset.arch);
    const columns = all("tbody tr:first-child td", part).some((cell) => !cell.hidden);
    let visible = 0;
    for (const row of all("tbody tr", part)) {
      row.hidden = !fits("method", row.dataset.method);
      visible += row.hidden ? 0 : 1;
      count += 1;
    }
    part.parentElement.hidden = !(fits("dataset", part.dataset.dataset) && columns && visible);
    shown += part.parentElement.hidden ? 0 : visible;
    if (part.sorted) sort(part, part.sorted.column, part.sorted.way);
    rove(part);
  }
  for (const sheet of all(".sheet")) sheet.hidden = all("table.part", sheet).every((part) => part.parentElement.hidden);
  byId("status").textContent = `${shown} of ${count} rows, ${chosen.get("show")}`;
}

// ---- sorting: highest first, lowest first, as printed

function sort(part, column, way) {
  part.printed ??= all("tbody", part).map((body) => [body, all("tr", body)]);
  const rows = part.printed.flatMap(([, rows]) => rows);
  const shown = "fixed" in part.dataset ? "ours" : document.body.dataset.show;
  const key = (row) => (column ? row.cells[column].dataset[shown] : row.cells[0].textContent);
  const above = (one, other) => (column ? Number(one) - Number(other) : other.localeCompare(one));
  for (const [body, its] of part.printed) body.append(...its);
  if (way) {
    const known = rows.filter((row) => key(row) !== "");
    known.sort((one, other) => (way === "descending" ? -1 : 1) * above(key(one), key(other)));
    part.printed[0][0].append(...known, ...rows.filter((row) => key(row) === ""));
  }
  part.sorted = way ? { column, way } : null;
  const heads = headings(part);
  heads.forEach((head, at) => (at === column && way ? head.setAttribute("aria-sort", way) : head.removeAttribute("aria-sort")));
}

const headings = (part) => all(".sortable", part);

for (const part of parts) {
  headings(part).forEach((head, column) =>
    head.firstElementChild.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      sort(part, column, now === "descending" ? "ascending" : now ? null : "descending");
      rove(part);
    }),
  );
}

// ---- the keyboard: one number of a table is in the order of the tab key, arrows move from it

function rove(part) {
  const buttons = all("td button", part);
  const seen = buttons.filter((button) => !button.closest("tr").hidden && !button.parentElement.hidden);
  const current = seen.find((button) => button === part.current) || seen[0];
  for (const button of buttons) button.tabIndex = button === current ? 0 : -1;
}

const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function move(event) {
  const step = MOVES[event.key], button = event.target.closest("td button");
  if (!step || !button) return;
  event.preventDefault();
  const part = button.closest("table"), rows = all("tbody tr", part).filter((row) => !row.hidden);
  let row = rows.indexOf(button.closest("tr")), column = button.parentElement.cellIndex;
  for (;;) {
    [row, column] = [row + step[0], column + step[1]];
    const cell = rows[row]?.cells[column];
    if (!cell || column < 1) return;
    const next = cell.hidden ? null : cell.querySelector("button");
    if (next) {
      part.current = next;
      rove(part);
      next.focus();
      return;
    }
  }
}

// ---- provenance

function open(button) {
  data ??= JSON.parse(byId("data").textContent);
  const part = button.closest("table"), number = data.numbers[button.dataset.key];
  part.current = button;
  rove(part);
  byId("provenance-title").textContent = number.title;
  byId("provenance-where").textContent = `${number.where}. ${part.caption.textContent}`;
  byId("provenance-body").replaceChildren(
    values(button),
    ...measurements(number),
    make("h3", "Command to measure it again"),
    make("pre", command(number)),
    make("h3", "Training curves"),
    ...curves(number),
    ...settings(number),
  );
  byId("provenance").showModal();
}

function values(button) {
  const list = make("dl", "", { class: "values" });
  for (const kind of ["ours", "published", "difference"]) {
    const text = button.querySelector(`.${kind}`)?.textContent;
    if (text) list.append(make("div", "", {}, make("dt", kind), make("dd", text)));
  }
  return list;
}

function measurements(number) {
  const known = number.sources.map((source) => data.sources[source]).filter((source) => source.facts);
  const lost = number.sources.length - known.length;
  const title = make("h3", "Measurements");
  const note = make("p", `${lost} of ${number.sources.length} not measured${lost === 1 ? "" : " yet, or of methods not implemented"}.`);
  if (!known.length) return [title, note];
  const rows = data.facts.map((fact, at) =>
    make("tr", "", {}, make("th", fact, { scope: "row" }), ...known.map((source) => make("td", data.texts[source.facts[at]]))),
  );
  rows.push(make("tr", "", {}, make("th", "file", { scope: "row" }), ...known.map((source) => make("td", source.file))));
  const table = make("table", "", {}, make("tbody", "", {}, ...rows));
  return [title, make("div", "", { class: "scroll" }, table), ...(lost ? [note] : [])];
}

function command(number) {
  const files = number.sources.map((source) => data.sources[source].file);
  return data.command.join(files.join(" "));
}

function settings(number) {
  const yaml = (place) => data.settings[place].map((line) => data.texts[line]).join("\n");
  const text = (title, place) => make("details", "", {}, make("summary", title), make("pre", yaml(place)));
  const runs = number.runs.map((run) => data.runs[run]);
  const readings = [...new Set(runs.flatMap((run) => run.readings))].map((place) => make("li", data.texts[place]));
  return [
    make("h3", "Readings of the paper"),
    make("ul", "", { class: "readings" }, ...readings),
    make("h3", "Settings"),
    ...number.settings.map((place) => text("of the measurement", place)),
    ...runs.map((run) => text(`of the training: ${run.title}`, run.settings)),
  ];
}

// ---- training curves

function curves(number) {
  const places = [...new Set(number.runs.flatMap((run) => data.runs[run].curves))];
  if (!places.length) return [make("p", "The results have no history of this training.")];
  const drawn = places.map((place) => data.curves[place]);
  const charts = drawn.flatMap((curve) => curve.networks.flatMap((network) => figures(curve.file, network)));
  return [make("div", "", { class: "charts" }, ...charts)];
}

function figures(path, network) {
  const name = path.replace(/\/[^/]*$/, "") + (network.network === "" ? "" : `, network ${network.network}`);
  const drawn = [["accuracy (%)", network.accuracy, 100], ["loss", network.loss, null]];
  return drawn.filter(([, lines]) => Object.keys(lines).length).map(([unit, lines, top]) => figure(name, unit, data.epochs[network.epochs], lines, top));
}

function shape(tag, attributes, text = "") {
  const made = document.createElementNS(byId("canvas").namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

function figure(name, unit, epochs, lines, top) {
  const [width, height, left, bottom] = [300, 150, 42, 20];
  const known = Object.values(lines).flat().filter((value) => value !== null);
  const low = top === null ? Math.min(0, ...known) : 0, high = top ?? Math.max(...known, low + 1e-9);
  const first = epochs[0], last = epochs[epochs.length - 1];
  const x = (epoch) => left + ((width - left - 8) * (epoch - first)) / Math.max(1, last - first);
  const y = (value) => height - bottom - ((height - bottom - 8) * (value - low)) / (high - low);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${unit} by epoch, ${name}` });
  svg.append(shape("path", { class: "axis", d: `M${left} 8V${height - bottom}H${width - 8}` }));
  svg.append(shape("text", { x: left - 4, y: 14, "text-anchor": "end" }, Number(high.toPrecision(3))));
  svg.append(shape("text", { x: left - 4, y: height - bottom, "text-anchor": "end" }, Number(low.toPrecision(3))));
  svg.append(shape("text", { x: left, y: height - 6 }, `epoch ${first}`));
  svg.append(shape("text", { x: width - 8, y: height - 6, "text-anchor": "end" }, last));
  const list = make("ul");
  Object.entries(lines).forEach(([title, numbers], at) => {
    const style = `c${(at % 4) + 1}`;
    const points = numbers.map((value, index) => [value, epochs[index]]).filter(([value]) => value !== null);
    const line = points.map(([value, epoch]) => `${x(epoch).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    svg.append(shape("polyline", { class: `curve ${style}`, points: line }));
    const [value, epoch] = points[points.length - 1];
    svg.append(shape("circle", { class: style, cx: x(epoch), cy: y(value), r: 2.2 }));
    const key = shape("svg", { class: "key", viewBox: "0 0 36 10", "aria-hidden": "true" });
    key.append(shape("path", { class: `curve ${style}`, d: "M0 6H36" }));
    list.append(make("li", "", {}, key, `${title}: ${value} in epoch ${epoch}`));
  });
  return make("figure", "", {}, make("figcaption", `${name}: ${unit}`), svg, list);
}

// ---- start

byId("tables").addEventListener("keydown", move);
byId("tables").addEventListener("click", (event) => {
  const button = event.target.closest("td button");
  if (button) open(button);
});
byId("provenance").addEventListener("click", (event) => event.target === byId("provenance") && byId("provenance").close());
controls.addEventListener("change", update);
controls.addEventListener("submit", (event) => event.preventDefault());
controls.addEventListener("reset", () => setTimeout(update));
controls.hidden = false;
update();

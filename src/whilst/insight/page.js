"use strict";
(async () => {
const $ = id => document.getElementById(id), root = document.documentElement;
const meta = JSON.parse($("meta").textContent), OK = 0, AGAIN = 1, FAILED = 3;
// -- data: columns as byte planes, zipped ------------------------------------------------------------------------
async function unzip(text) {
  const packed = atob(text), raw = new Uint8Array(packed.length);
  for (let i = 0; i < raw.length; i++) raw[i] = packed.charCodeAt(i);
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
let N = 0, S, T, K, I, W, L, P, lanes = 0, bands = [], longest = 0, attempts = new Map(), inputs = {}, sets = {};
async function columns(said, text) {
  const n = said.n, raw = await unzip(text), found = [];
  let at = 0;
  for (const places of said.planes) {
    const column = new Float64Array(n);
    for (let p = 0, by = 1; p < places; p++, by *= 256, at += n) for (let i = 0; i < n; i++) column[i] += raw[at + i] * by;
    found.push(column);
  }
  const [starts, took, status, away, weight, step] = found;
  for (let i = 0, sum = 0; i < n; i++) {
    starts[i] = (sum += starts[i]) * said.tick; took[i] *= said.tick;
    away[i] = i + (away[i] % 2 ? -(away[i] + 1) / 2 : away[i] / 2);
    if (weight) weight[i] = 2 ** weight[i];
  }
  return { said, list: [starts, took, Uint8Array.from(status), away, weight || new Float64Array(n).fill(1), step && Uint8Array.from(step)] };
}
// Of a flow there are two sets: whole inputs, and the calls of its steps.
function take() {
  const { said, list } = sets[$("of").value] || sets[""];
  [S, T, K, I, W, P] = list; N = S.length; longest = 0; chosen = -1; mask = null;
  attempts = new Map(said.attempts || []);
  for (let i = 0; i < N; i++) if (T[i] > longest) longest = T[i];
  assign(2 * said.tick, said.paths);
  $("flight").previousElementSibling.textContent = sets.steps && !P ? "Inputs on their way" : "In flight";
}
// The lowest free lane for each call. A heap is a list of [key, key, …] with a list of what belongs to each.
function push(keys, things, key, thing) {
  let i = keys.length;
  keys.push(key); things.push(thing);
  for (let up; i && keys[up = (i - 1) >> 1] > key; i = up) { keys[i] = keys[up]; things[i] = things[up]; }
  keys[i] = key; things[i] = thing;
}
function pop(keys, things) {
  const first = things[0], key = keys.pop(), thing = things.pop(), n = keys.length;
  if (n) {
    let i = 0;
    for (let down; (down = 2 * i + 1) < n; i = down) {
      if (down + 1 < n && keys[down + 1] < keys[down]) down++;
      if (keys[down] >= key) break;
      keys[i] = keys[down]; things[i] = things[down];
    }
    keys[i] = key; things[i] = thing;
  }
  return first;
}
function assign(slack, steps) {
  const groups = (steps || [0]).map(() => ({ ends: [], busy: [], free: [], same: [], lanes: 0 }));
  L = new Uint32Array(N); lanes = 0; bands = [];
  for (let i = 0; i < N; i++) {
    const group = groups[P ? P[i] : 0], { ends, busy, free, same } = group;
    while (ends.length && ends[0] <= S[i] + slack) { const lane = pop(ends, busy); push(free, same, lane, lane); }
    L[i] = free.length ? pop(free, same) : group.lanes++;
    push(ends, busy, S[i] + T[i], L[i]);
  }
  groups.forEach((group, number) => { if (steps && group.lanes) bands.push({ at: lanes, path: steps[number].path }); group.at = lanes; lanes += group.lanes; });
  if (P) for (let i = 0; i < N; i++) L[i] += groups[P[i]].at;
}
// -- the view ----------------------------------------------------------------------------------------------------
let v0 = 0, v1 = 1, first = 0, whole = 1, mask = null, hits = [], hit = -1, chosen = -1, asked = false, colours = {};
const kindOf = i => K[i] < FAILED ? "" : meta.kinds[K[i] - FAILED] || "others";
function show(from, to) {
  const all = whole - first, most = all * 1.02, least = Math.max(whole * 1e-7, 1e-6);
  let span = Math.min(most, Math.max(least, to - from));
  v0 = Math.max(first - all * .01, Math.min(from, whole + all * .01 - span)); v1 = v0 + span;
  draw();
}
const zoom = (by, at = (v0 + v1) / 2) => by ? show(at - (at - v0) / by, at + (v1 - at) / by) : show(first - (whole - first) * .005, whole + (whole - first) * .005);
const lower = t => { let a = 0, b = N; while (a < b) { const m = (a + b) >> 1; S[m] < t ? a = m + 1 : b = m; } return a; };
function draw() { if (!asked) { asked = true; requestAnimationFrame(() => { asked = false; redraw(); }); } }
const unit = s => { const a = Math.abs(s); return a >= 100 ? `${Math.floor(s / 60)} min ${Math.round(s % 60)} s` : a >= 1 ? +s.toPrecision(3) + " s"
  : a >= 1e-3 ? +(s * 1e3).toPrecision(3) + " ms" : +(s * 1e6).toPrecision(3) + " µs"; };
const big = n => n >= 1e3 ? Math.round(n).toLocaleString("en") : +n.toPrecision(3) + "";
function palette() {
  const style = getComputedStyle(root);
  for (const name of ["ok", "bad", "again", "ink", "soft", "line", "card", "rule", "c7"]) {
    const text = style.getPropertyValue("--" + name).trim(), hex = text.length === 4 ? text.replace(/[^#]/g, "$&$&") : text;
    colours[name] = text; colours["$" + name] = [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
  }
}
function paper(canvas, height) {
  const ratio = Math.min(2, devicePixelRatio || 1), width = Math.max(50, canvas.clientWidth);
  if (height) canvas.style.height = height + "px";
  const w = Math.round(width * ratio), h = Math.round((height || canvas.clientHeight) * ratio);
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const c = canvas.getContext("2d");
  c.setTransform(1, 0, 0, 1, 0, 0); c.clearRect(0, 0, w, h); c.font = `${11 * ratio}px system-ui,sans-serif`;
  return [c, w, h, ratio];
}
function label(c, r, text, x, y) {
  const wide = c.measureText(text).width, ink = c.fillStyle;
  c.fillStyle = colours.card; c.fillRect(x - 2 * r, y - 10 * r, wide + 4 * r, 13 * r);
  c.fillStyle = ink; c.fillText(text, x, y);
}
const STRIP = 16, AXIS = 18;
function layout() {
  const most = innerWidth < 640 ? 260 : 420, rows = Math.max(1, Math.min(lanes, most)), each = Math.max(1, Math.min(18, Math.floor(most / rows)));
  return { rows, each, height: STRIP + rows * each + AXIS };
}
function redraw() {
  const began = performance.now(), { rows, each, height } = layout(), [c, w, h, r] = paper($("lanes"), height);
  const k = w / (v1 - v0), from = lower(v0 - longest), to = lower(v1), per = rows / Math.max(1, lanes);
  const good = new Float32Array(w * rows), bad = new Float32Array(w * rows), dim = mask && new Float32Array(w * rows);
  const fails = new Float32Array(w), bins = Math.max(20, Math.min(Math.round(w / r / 3), Math.round((to - from) / 8))), b = bins / (v1 - v0);
  const done = new Float32Array(bins), lost = new Float32Array(bins), flight = new Float32Array(bins + 2);
  for (let i = from; i < to; i++) {
    const s = S[i], e = s + T[i], weight = W[i], failed = K[i] >= FAILED;
    if (e < v0) continue;
    let x0 = (s - v0) * k, x1 = (e - v0) * k, y = (per < 1 ? Math.floor(L[i] * per) : L[i]) * w;
    if (x0 < 0) x0 = 0;
    if (x1 > w - .01) x1 = w - .01;
    const cover = mask && !mask[i] ? dim : failed ? bad : good, a = x0 | 0, z = x1 | 0;
    if (a === z) cover[y + a] += Math.max(.02, x1 - x0);
    else {
      cover[y + a] += a + 1 - x0; cover[y + z] += x1 - z;
      for (let x = a + 1; x < z; x++) cover[y + x] += 1;
    }
    const end = (e - v0) * b, start = Math.max(0, (s - v0) * b), cell = end | 0;
    if (end >= 0 && end < bins) { (failed ? lost : done)[cell] += weight; if (failed) fails[z] += weight; }
    let f = start | 0;
    flight[f] += weight * (f + 1 - start); flight[f + 1] += weight * (start - f);
    if (end < bins) { f = end | 0; flight[f] -= weight * (f + 1 - end); flight[f + 1] -= weight * (end - f); }
  }
  paint(c, w, h, r, rows, each, per, good, bad, dim, fails);
  if (to - from < 4000) boxes(c, w, r, each, per, from, to, k);
  gaps(c, w, h, k, r); axis(c, w, h, r, k); names(c, w, r, each, per);
  chart("rate", done, lost, b, 2, "/s"); for (let i = 1; i < bins; i++) flight[i] += flight[i - 1];
  chart("flight", flight.subarray(0, bins), null, 1, 1, "");
  root.dataset.redraw = (performance.now() - began).toFixed(1);
}
function paint(c, w, h, r, rows, each, per, good, bad, dim, fails) {
  const image = c.createImageData(w, Math.round(rows * each * r)), pixels = new Uint32Array(image.data.buffer);
  const { $ok: ok, $bad: no, $card: paper, $c7: grey } = colours, most = Math.max(1, 1 / per), tall = image.height;
  const mix = (p, q, by) => p + (q - p) * by, line = new Uint32Array(w);
  for (let row = 0; row < rows; row++) {
    for (let x = 0; x < w; x++) {
      const g = good[row * w + x], f = bad[row * w + x], d = dim ? dim[row * w + x] : 0, sum = g + f + d;
      if (!sum) { line[x] = 0; continue; }
      const full = Math.max(.18, Math.min(1, sum / most)) * (g + f ? 1 : .3), share = g + f ? f / (g + f) : 0;
      const one = j => mix(paper[j], g + f ? mix(ok[j], no[j], share) : grey[j], full);
      line[x] = 255 << 24 | one(2) << 16 | one(1) << 8 | one(0);
    }
    const y0 = Math.round(row * each * r), y1 = Math.min(tall, Math.round((row + 1) * each * r) - (each > 3 ? 1 : 0));
    for (let y = y0; y < y1; y++) pixels.set(line, y * w);
  }
  c.putImageData(image, 0, STRIP * r);
  let most_failed = 0;
  for (const n of fails) if (n > most_failed) most_failed = n;
  c.fillStyle = colours.bad;
  if (most_failed) for (let x = 0; x < w; x++) if (fails[x]) { const y = (3 + (STRIP - 5) * fails[x] / most_failed) * r; c.fillRect(x - r / 2, STRIP * r - y - r, Math.max(1, r), y); }
}
function boxes(c, w, r, each, per, from, to, k) {
  let failed = 0;
  for (let i = from; i < to; i++) failed += K[i] >= FAILED && S[i] + T[i] >= v0;
  const few = failed < w / r / 12;  // crosses on narrow calls would hide the others
  for (let i = from; i < to; i++) {
    const x = (S[i] - v0) * k, wide = T[i] * k, y = (STRIP + Math.floor(L[i] * Math.min(1, per)) * each) * r, tall = Math.max(1, (each - 1) * r);
    if (x + wide < 0 || x > w || (mask && !mask[i])) continue;
    if (wide > 3 * r) { c.fillStyle = colours.card; c.fillRect(x + wide - r, y, r, tall); }
    if (K[i] === AGAIN && each > 3) { c.fillStyle = colours.again; c.fillRect(x, y, Math.min(wide, 3 * r), tall); }
    if (K[i] >= FAILED && each > 6) {
      // a cross, so that it is not the colour alone that tells
      const size = Math.min(4 * r, tall / 2 - r);
      if (!few && wide < 2 * size) continue;
      const cx = Math.max(size, x + Math.max(wide / 2, 0)), cy = y + tall / 2;
      c.strokeStyle = wide > 3 * size ? colours.card : colours.ink; c.lineWidth = 1.5 * r; c.beginPath();
      c.moveTo(cx - size, cy - size); c.lineTo(cx + size, cy + size); c.moveTo(cx - size, cy + size); c.lineTo(cx + size, cy - size); c.stroke();
    }
  }
  if (chosen >= 0) {
    c.strokeStyle = colours.ink; c.lineWidth = 2 * r;
    c.strokeRect((S[chosen] - v0) * k - r, (STRIP + Math.floor(L[chosen] * Math.min(1, per)) * each) * r - r, Math.max(3 * r, T[chosen] * k) + 2 * r, each * r + r);
  }
}
function gaps(c, w, h, k, r) {
  meta.sessions.forEach((session, number) => {
    if (!number) return;
    const before = meta.sessions[number - 1], x0 = (before.at + before.s - v0) * k, x1 = (session.at - v0) * k;
    c.fillStyle = colours.line; c.fillRect(x0, 0, x1 - x0, h);
    c.fillStyle = colours.soft; label(c, r, `run ${number + 1}`, x1 + 3 * r, 11 * r);
  });
  for (const session of meta.sessions) for (const [t, what] of session.marks) {
    const x = (session.at + t - v0) * k;
    c.fillStyle = what === "call_abandoned" ? colours.bad : colours.rule; c.fillRect(x, 0, Math.max(1, r), h - AXIS * r);
  }
}
// Where the lanes of a step begin: a line, and its path.
function names(c, w, r, each, per) {
  let last = -99;
  for (const { at, path } of bands) {
    const y = Math.round((STRIP + Math.floor(at * Math.min(1, per)) * each) * r);
    c.fillStyle = colours.rule; c.fillRect(0, y - r, w, r);
    if (y - last < 15 * r) continue;
    c.fillStyle = colours.ink; label(c, r, path, 4 * r, y + 11 * r); last = y;
  }
}
function steps(most) { const raw = (v1 - v0) / most, ten = 10 ** Math.floor(Math.log10(raw)); return ten * (raw / ten > 5 ? 10 : raw / ten > 2 ? 5 : raw / ten > 1 ? 2 : 1); }
function axis(c, w, h, r, k) {
  const step = steps(w / r / 110), places = Math.max(0, -Math.floor(Math.log10(step)));
  c.fillStyle = colours.soft;
  for (let n = Math.ceil(v0 / step); n * step <= v1; n++) {
    const x = (n * step - v0) * k, wide = c.measureText(`${(n * step).toFixed(places)} s`).width;
    c.fillRect(x, h - AXIS * r, Math.max(1, r), 4 * r); c.fillText(`${(n * step).toFixed(places)} s`, Math.max(0, Math.min(w - wide, x - wide / 2)), h - 3 * r);
  }
}
// One chart over the view: bars of what was, a dashed line of what was permitted.
function chart(id, good, bad, scale, which, mark) {
  const [c, w, h, r] = paper($(id)), n = good.length, top = 14 * r;
  let most = 1e-9;
  for (let i = 0; i < n; i++) most = Math.max(most, (good[i] + (bad ? bad[i] : 0)) * scale);
  const limits = [];
  if (!P && !(sets.steps && which === 1)) for (const session of meta.sessions) session.allowed.forEach((look, i) => {
    const next = session.allowed[i + 1], a = session.at + look[0], b = session.at + (next ? next[0] : session.s);
    if (look[which] != null && b >= v0 && a <= v1) limits.push([a, b, look[which]]);
  });
  const highest = Math.max(0, ...limits.map(each => each[2])), reach = highest < most * 4 ? Math.max(most, highest) : most;
  const y = value => h - value / reach * (h - top);
  c.fillStyle = colours.ok;
  for (let i = 0; i < n; i++) { const v = y(Math.max(0, good[i]) * scale); c.fillRect(i * w / n, v, w / n + .5, h - v); }
  if (bad) { c.fillStyle = colours.bad; for (let i = 0; i < n; i++) if (bad[i]) { const lost = y(bad[i] * scale); c.fillRect(i * w / n, lost - (h - y(good[i] * scale)), w / n + .5, h - lost); } }
  c.fillStyle = colours.soft; label(c, r, `${big(mark || most < 1 ? most : Math.round(most))}${mark} at most`, 4 * r, 11 * r);
  c.strokeStyle = c.fillStyle = colours.rule; c.lineWidth = 2 * r; c.setLineDash([6 * r, 4 * r]);
  let said = null;
  for (const [a, b, value] of limits) {
    const x0 = Math.max(0, (a - v0) / (v1 - v0) * w), x1 = Math.min(w, (b - v0) / (v1 - v0) * w);
    if (value > reach) { if (said === null) label(c, r, `permitted ${big(value)}${mark}: off the scale`, 110 * r, 11 * r); said = value; continue; }
    c.beginPath(); c.moveTo(x0, y(value)); c.lineTo(x1, y(value)); c.stroke();
    if (said !== value) { const text = `permitted ${big(value)}${mark}`; label(c, r, text, Math.min(w - c.measureText(text).width - 4 * r, Math.max(x0, 110 * r)), 11 * r); }
    said = value;
  }
  c.setLineDash([]);
}
function histogram() {
  const [, T, K, , W] = sets[""].list, N = T.length;
  if (!N) return;
  const [c, w, h, r] = paper($("took"));
  let low = Infinity, high = 0, sum = 0, most = 0, all = 0;
  for (let i = 0; i < N; i++) { const t = Math.max(T[i], 1e-7); if (t < low) low = t; if (t > high) high = t; }
  if (high / low < 4) { const middle = Math.sqrt(high * low); low = Math.min(low, middle / 2); high = Math.max(high, middle * 2); }
  const bins = Math.max(20, Math.min(90, Math.round(w / r / 10))), a = Math.log(low), k = bins / (Math.log(high) - a) * .9999, good = new Float64Array(bins), bad = new Float64Array(bins);
  for (let i = 0; i < N; i++) { if (K[i] === 2) continue; const cell = (Math.log(Math.max(T[i], 1e-7)) - a) * k | 0; (K[i] >= FAILED ? bad : good)[cell] += W[i]; all += W[i]; }
  for (let i = 0; i < bins; i++) most = Math.max(most, good[i] + bad[i]);
  const base = h - AXIS * r, tall = base - 16 * r;
  for (let i = 0; i < bins; i++) {
    const g = good[i] / most * tall, f = bad[i] / most * tall, x = i * w / bins;
    c.fillStyle = colours.ok; c.fillRect(x, base - g, w / bins - r, g); c.fillStyle = colours.bad; c.fillRect(x, base - g - f, w / bins - r, f);
  }
  const shares = [["p50", .5], ["p90", .9], ["p99", .99]];
  c.fillStyle = colours.soft;
  for (let i = 0, last = -99, lastMark = -99; i < bins; i++) {
    sum += good[i] + bad[i];
    while (shares.length && sum >= shares[0][1] * all) {
      const x = (i + .5) * w / bins; c.fillRect(x, 14 * r, r, base - 14 * r);
      const at = Math.min(x + 3 * r, w - 26 * r); c.fillText(shares.shift()[0], at, at - lastMark < 26 * r ? 24 * r : 11 * r); lastMark = at;
    }
    const x = i * w / bins;
    if (x - last > 80 * r && x < w - 50 * r) { c.fillText(unit(Math.exp(a + i / k)), x, h - 4 * r); last = x; }
  }
}
// -- what is found -----------------------------------------------------------------------------------------------
function search() {
  const text = $("find").value.trim().toLowerCase(), kind = $("show").value, number = /^\d+$/.test(text) ? +text : -1;
  hits = []; hit = -1; chosen = -1; mask = text || kind ? new Uint8Array(N) : null;
  if (mask) {
    const kinds = meta.kinds.map(name => name.toLowerCase().includes(text));
    for (let i = 0; i < N; i++) {
      const shown = !kind || (kind === "failed" ? K[i] >= FAILED : kind === "retried" ? attempts.has(i) || K[i] === AGAIN : kindOf(i) === kind.slice(1));
      const step = P && sets.steps.said.paths[P[i]], given = step && step.items ? undefined : inputs[I[i]];
      const found = !text || I[i] === number || (number < 0 && K[i] >= FAILED && (kinds[K[i] - FAILED] || "failed".startsWith(text))) || (given !== undefined && given.toLowerCase().includes(text)) || (step && number < 0 && step.path.toLowerCase().includes(text));
      if (shown && found) { mask[i] = 1; hits.push(i); }
    }
  }
  $("found").textContent = mask ? hits.length ? `${hits.length.toLocaleString("en")} found; Enter: the next` : "none found" : "";
  draw();
}
function next(by = 1) {
  if (!hits.length) return;
  hit = (hit + by + hits.length) % hits.length; chosen = hits[hit];
  const span = Math.min(v1 - v0, Math.max(T[chosen] * 12, (v1 - v0) / 2e4)), middle = S[chosen] + T[chosen] / 2;
  show(middle - span / 2, middle + span / 2); tell(chosen);
}
function tell(i) {
  const step = P && sets.steps.said.paths[P[i]], given = step && step.items ? undefined : inputs[I[i]], failed = kindOf(i);
  const words = [...(step ? [step.path] : []), I[i] >= 0 ? `${step && step.items ? "item" : "input"} ${I[i]}` : "a call", `took ${unit(T[i])}`, `started at ${unit(S[i])}`];
  if (failed) words.push(`failed: ${failed}`); else if (K[i] === AGAIN) words.push("went well at last");
  if (attempts.has(i)) words.push(step ? `attempt ${attempts.get(i)}` : `${attempts.get(i)} attempts`);
  words.push(`lane ${L[i]}`);
  if (given !== undefined) words.push(given);
  $("tip").textContent = words.join(" · ");
}
const HINT = "Drag to move; + and −, Ctrl and the wheel, or two fingers to zoom. Bars at the top: failures."
  + (meta.sessions.some(session => session.marks.length) ? " Lines across: pauses, breakers that opened, calls left behind." : "");
function under(event) {
  const box = $("lanes").getBoundingClientRect(), { rows, each } = layout(), t = v0 + (event.clientX - box.left) / box.width * (v1 - v0);
  const row = Math.floor((event.clientY - box.top - STRIP) / each), per = rows / Math.max(1, lanes), slack = (v1 - v0) / box.width * 2;
  if (row < 0 || row >= rows) return -1;
  let best = -1, near = Infinity;
  for (let i = lower(t - longest - slack), end = lower(t + slack); i < end; i++) {
    if ((per < 1 ? Math.floor(L[i] * per) : L[i]) !== row) continue;
    const away = t < S[i] ? S[i] - t : Math.max(0, t - S[i] - T[i]);
    if (away <= slack && away <= near) { near = away; best = i; }
  }
  return best;
}
function listen() {
  const canvas = $("lanes"), fingers = new Map();
  canvas.addEventListener("pointerdown", e => { fingers.set(e.pointerId, e.clientX); canvas.setPointerCapture(e.pointerId); });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, e => fingers.delete(e.pointerId));
  canvas.addEventListener("pointermove", e => {
    const width = canvas.clientWidth, before = fingers.get(e.pointerId);
    if (before === undefined) { const i = under(e); if (i !== chosen) { chosen = i; draw(); } if (i >= 0) tell(i); else $("tip").textContent = HINT; return; }
    if (fingers.size === 1) { const by = (before - e.clientX) / width * (v1 - v0); show(v0 + by, v1 + by); }
    else if (fingers.size === 2) {
      const other = [...fingers].find(each => each[0] !== e.pointerId)[1], left = canvas.getBoundingClientRect().left;
      zoom(Math.max(.5, Math.min(2, Math.abs(e.clientX - other) / Math.max(8, Math.abs(before - other)))), v0 + ((e.clientX + other) / 2 - left) / width * (v1 - v0));
    }
    fingers.set(e.pointerId, e.clientX);
  });
  canvas.addEventListener("wheel", e => {
    if (!(e.ctrlKey || e.metaKey || document.activeElement === canvas)) return;
    e.preventDefault();
    if (Math.abs(e.deltaX) > Math.abs(e.deltaY)) { const by = e.deltaX / canvas.clientWidth * (v1 - v0); return show(v0 + by, v1 + by); }
    const box = canvas.getBoundingClientRect();
    zoom(Math.exp(-e.deltaY / 300), v0 + (e.clientX - box.left) / box.width * (v1 - v0));
  }, { passive: false });
  canvas.addEventListener("keydown", e => {
    const by = (v1 - v0) / 5, keys = { ArrowLeft: () => show(v0 - by, v1 - by), ArrowRight: () => show(v0 + by, v1 + by), "+": () => zoom(2), "=": () => zoom(2), "-": () => zoom(.5),
      0: () => zoom(0), Home: () => show(first, first + v1 - v0), End: () => show(whole - v1 + v0, whole), Enter: () => next(e.shiftKey ? -1 : 1), Escape: () => { $("find").value = $("show").value = ""; search(); } };
    if (keys[e.key] && !e.ctrlKey && !e.metaKey) { e.preventDefault(); keys[e.key](); }
  });
  $("tools").addEventListener("submit", e => { e.preventDefault(); next(); });
  $("find").addEventListener("input", search); $("show").addEventListener("change", () => { search(); next(); });
  $("of").addEventListener("change", () => { $("of").dataset.chosen = 1; take(); search(); zoom(0); });
  document.addEventListener("keydown", e => { if (e.key === "/" && !/INPUT|SELECT/.test(e.target.tagName)) { e.preventDefault(); $("find").focus(); } });
  addEventListener("resize", () => { draw(); histogram(); });
  matchMedia("(prefers-color-scheme:dark)").addEventListener("change", () => { palette(); draw(); histogram(); });
}
document.addEventListener("click", e => {
  const button = e.target.closest("button");
  if (!button) return;
  const { zoom: by, find, kind } = button.dataset;
  if (by !== undefined) zoom(+by);
  if ((find !== undefined || kind !== undefined) && $("lanes")) {
    $("find").value = find || ""; $("show").value = kind === undefined ? "" : "=" + kind;
    search(); next(); $("charts").scrollIntoView();
  }
  if (button.dataset.copy !== undefined) {
    const code = button.parentNode.querySelector("code"), done = () => { button.textContent = "copied"; };
    getSelection().selectAllChildren(code);
    if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(done, () => document.execCommand("copy") && done()); else if (document.execCommand("copy")) done();
  }
});
function choices() {
  const select = $("show"), now = select.value, options = [["", "all"]];
  if (meta.kinds.length) options.push(["failed", "failed"]);
  options.push(["retried", "tried again"], ...meta.kinds.map(name => ["=" + name, name]));
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  select.value = now;
}
async function fill(said, calls, steps, stepCalls) {
  sets = { "": await columns(said, calls) };
  if (steps) sets.steps = await columns(steps, stepCalls);
  if (steps && sets[""].list[0].length < 2 && !$("of").dataset.chosen) $("of").value = "steps";
  $("which").hidden = !steps;
  $("took").previousElementSibling.textContent = steps ? "How long inputs took" : "How long calls took";
  take();
}
// -- begin -------------------------------------------------------------------------------------------------------
palette();
if ($("lanes")) {
  await fill(meta, $("calls").textContent, meta.steps, $("steps") && $("steps").textContent);
  whole = Math.max(meta.seconds, 1e-6); first = meta.from; choices(); listen(); zoom(0); histogram(); $("tip").textContent = HINT;
  requestAnimationFrame(() => requestAnimationFrame(() => { root.dataset.drawn = performance.now().toFixed(0); root.dataset.calls = N; }));
  if ($("inputs")) { inputs = JSON.parse(new TextDecoder().decode(await unzip($("inputs").textContent))); root.dataset.inputs = Object.keys(inputs).length; }
}
if (meta.live) {
  const events = new EventSource("events");
  events.onmessage = async e => {
    const said = JSON.parse(e.data), all = v1 - v0 >= whole - first;
    for (const [id, text] of Object.entries(said.sections)) if ($(id).innerHTML !== text) $(id).innerHTML = text;
    Object.assign(meta, said.about);
    await fill(said.columns, said.calls, said.steps, said.stepCalls);
    whole = Math.max(meta.seconds, 1e-6); first = meta.from; choices(); search(); all ? zoom(0) : draw(); histogram();
    root.dataset.calls = N; root.dataset.news = 1 + +(root.dataset.news || 0);
  };
  events.addEventListener("over", () => { events.close(); if ($("state")) $("state").textContent = "no longer watched"; });
  events.onerror = () => { if ($("state")) $("state").textContent = "not connected"; };
}
})();

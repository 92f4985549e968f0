// The status page: draws the status document, and asks for it again and again.
// Every text goes in as text: nicknames and ids are chosen by strangers.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

// How each condition looks: a colour and a shape, so that colour is never the only sign.
const STATES = {
  earning: ["earning", "good", "M1 6.5 4.2 10 11 2.2 9.7 1 4.1 7.4 2.2 5.3z"],
  training: ["not earning", "warn", "M6 .8 11.6 11H.4z"],
  waiting_swarm: ["waiting for the swarm", "idle", "M2 1h8v2L7.2 6 10 9v2H2V9l2.8-3L2 3z"],
  waiting_login: ["waiting for login", "warn", "M6 .8 11.6 11H.4z"],
  wrong_identity: ["wrong identity", "bad", "M1 2.4 2.4 1 6 4.6 9.6 1 11 2.4 7.4 6 11 9.6 9.6 11 6 7.4 2.4 11 1 9.6 4.6 6z"],
  too_slow: ["too slow", "warn", "M6 .8 11.6 11H.4z"],
  crash_looping: ["crash looping", "bad", "M1 2.4 2.4 1 6 4.6 9.6 1 11 2.4 7.4 6 11 9.6 9.6 11 6 7.4 2.4 11 1 9.6 4.6 6z"],
  down: ["down", "bad", "M1 2.4 2.4 1 6 4.6 9.6 1 11 2.4 7.4 6 11 9.6 9.6 11 6 7.4 2.4 11 1 9.6 4.6 6z"],
  swarm_halted: ["swarm halted", "idle", "M2 1h3v10H2zM7 1h3v10H7z"],
  stopped: ["stopped", "idle", "M1.5 1.5h9v9h-9z"],
  unknown: ["not known", "idle", "M6 1a5 5 0 1 0 0 10A5 5 0 0 0 6 1zm0 2a3 3 0 1 1 0 6 3 3 0 0 1 0-6z"],
};

const byId = (id) => document.getElementById(id);

/** Make an element with a class and children; strings become text. */
function el(name, className, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Make an SVG element with attributes. */
function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const number = (value, digits = 2) =>
  value === null
    ? "–"
    : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

function duration(seconds) {
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.max(0, Math.round(seconds))} s`;
}

const ago = (then, now) => (then === null ? "not seen yet" : `${duration(now - then)} ago`);

/** A stranger's text: isolated, cut by the style sheet, whole in its tooltip. */
function stranger(text, className = "") {
  const element = el("span", `text ${className}`, text);
  element.title = text;
  return element;
}

function cell(label, className, ...children) {
  const element = el("td", className, ...children);
  if (label) element.dataset.label = label;
  return element;
}

function state(condition) {
  const [words, tone, shape] = STATES[condition] || [condition, "idle", STATES.unknown[2]];
  const icon = svg("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, svg("path", { d: shape }));
  return el("span", `state ${tone}`, icon, words);
}

/** One bar for each stage, oldest first; the open stage is paler, a loss hangs below the line. */
function sparkline(scores) {
  const width = 132, height = 34, gap = 2;
  const chart = svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, role: "img" });
  if (!scores.length) {
    chart.setAttribute("aria-label", "no stage seen yet");
    chart.append(svg("rect", { class: "none", x: 0, y: height - 2, width, height: 2 }));
    return chart;
  }
  const top = Math.max(...scores, 0), bottom = Math.min(...scores, 0);
  const span = top - bottom || 1;
  const step = Math.min(width / scores.length, 12);
  const base = 2 + ((height - 4) * top) / span;
  const shown = scores.map((score) => number(score)).join(", ");
  chart.setAttribute("aria-label", `reward stage by stage: ${shown}`);
  chart.append(svg("title", {}, `Reward stage by stage, oldest first: ${shown}`));
  scores.forEach((score, index) => {
    const tall = Math.max((Math.abs(score) / span) * (height - 4), 1.5);
    const kind = score > 0 ? "" : score < 0 ? "below" : "none";
    const open = index === scores.length - 1 ? " open" : "";
    chart.append(svg("rect", {
      class: kind + open,
      x: (index * step).toFixed(1),
      y: (score > 0 ? base - tall : base).toFixed(1),
      width: Math.max(step - gap, 1).toFixed(1),
      height: tall.toFixed(1),
      rx: 1,
    }));
  });
  return chart;
}

/** What is wrong with a node: each fault in words, and what to do about it. */
function faults(node) {
  const troubled = node.sources.filter((source) => !source.up && source.reason !== null);
  if (!node.reason) {
    return troubled.map(({ source, reason, detail, action }) =>
      [`${source}: ${detail || reason}`, action]);
  }
  // Where the answer is another one, what a source met is beside the point.
  const unknown = node.condition === "unknown";
  const details = troubled.map(({ detail }) => (detail && unknown ? ` (${detail})` : ""));
  return [[node.reason + details.join(""), node.action]];
}

/** How long a node has run, how often it was started again, and what a restart would cost. */
function uptime(process, now) {
  if (process === null) return [];
  const restarts = Object.values(process.restarts).reduce((a, b) => a + b, 0);
  const again = restarts ? `, ${restarts} ${restarts === 1 ? "restart" : "restarts"}` : "";
  const up = process.started === null ? process.state : `up ${duration(now - process.started)}`;
  const line = el("span", "line soft", up + again);
  const reasons = Object.entries(process.restarts).filter(([, count]) => count);
  line.title = reasons.map(([reason, count]) => `${reason}: ${count}`).join(", ");
  if (process.next_submit === null || process.unsubmitted_since === null) return [line];
  const wait = process.next_submit - now;
  const submit = el("span", "line soft",
    wait > 0 ? `submits in ${duration(wait)}` : "a submission is due");
  submit.title = `a restart now loses ${duration(now - process.unsubmitted_since)} of reward`;
  return [line, submit];
}

function size(bytes) {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.round(bytes / 2 ** 20)} MiB`;
}

/** What a node takes of the machine. */
function cost(cost) {
  if (cost === null || !cost.processes) return [];
  const parts = [];
  if (cost.cpu_cores !== null) parts.push(`${cost.cpu_cores.toFixed(1)} cores`);
  if (cost.memory_bytes !== null) parts.push(size(cost.memory_bytes));
  const line = el("span", "line soft", parts.join(", "));
  line.title = `${cost.processes} processes`;
  return parts.length ? [line] : [];
}

function nodeRows(node, now) {
  const named = node.nickname || node.peer_id || "peer not known";
  const id = node.nickname && node.peer_id;
  const who = el("div", "node-name", stranger(node.node, "badge"),
    el("div", "", stranger(named, "strong"), id ? stranger(id, "soft") : null));
  const percent = node.rank !== null && node.total_peers
    ? `top ${Math.max(1, Math.ceil((100 * node.rank) / node.total_peers))} %` : "";
  const hourly = node.earned_per_hour === null ? "" : `${number(node.earned_per_hour)} an hour`;
  const recorded = node.recorded_round === null
    ? "" : `round ${node.recorded_round}, stage ${node.recorded_stage}`;
  const wrong = faults(node);
  const head = el("th", "", who);
  head.scope = "row";
  // Without a leaderboard some cells stay empty: say why, and what to configure.
  const blind = node.api ? [] : node.blind;
  const explained = wrong.length > 0 || blind.length > 0;
  const row = el("tr", explained ? "has-why" : "",
    head,
    cell("State", "", state(node.condition), ...uptime(node.process, now), ...cost(node.cost)),
    cell("Rank", "figure", ...(node.rank === null ? ["–"] : [
      el("span", "line", el("span", "strong", String(node.rank)), ` of ${node.total_peers}`),
      el("span", "line soft", percent)])),
    cell("Earned", "figure", el("span", "line strong", number(node.earned)),
      el("span", "line soft", hourly)),
    cell("Stage by stage", "", sparkline(node.scores)),
    cell("API reward", "figure", el("span", "line", number(node.cumulative_reward)),
      el("span", "line soft", recorded)),
    cell("Last earned", "figure", ago(node.last_increase, now)));
  if (!explained) return [row];
  const why = el("td", "", ...wrong.map(([fault, action]) =>
    el("p", "", el("b", "", sentence(fault)), ` ${action}`)),
    ...blind.map((spot) => el("p", "soft", `Not known: ${spot}.`)));
  why.colSpan = 7;
  return [row, el("tr", "why", why)];
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

function peerRow(peer) {
  const tags = peer.nodes.map((name) => el("span", "tag", `node ${name}`));
  const name = el("td", "", stranger(peer.nickname || peer.peer_id), ...tags);
  name.title = peer.peer_id;
  return el("tr", peer.nodes.length ? "own" : "",
    el("td", "figure soft", String(peer.rank)), name,
    el("td", "figure", number(peer.cumulative_reward)));
}

const tile = (term, value, more) =>
  el("div", "", el("dt", "", term), el("dd", "", value, more ? el("small", "", ` ${more}`) : null));

/** Own nodes in order of reward; those too near to be told apart on the scale are together. */
function neighbours(nodes, at) {
  const groups = [];
  for (const node of [...nodes].sort((a, b) => a.cumulative_reward - b.cumulative_reward)) {
    const x = at(node.cumulative_reward);
    const last = groups[groups.length - 1];
    if (last && x - last.to < 6) {
      last.names.push(node.node);
      last.to = x;
    } else {
      groups.push({ names: [node.node], from: x, to: x });
    }
  }
  return groups;
}

const QUANTILES = [["0.5", "median"], ["0.9", "top 10 %"], ["0.99", "top 1 %"], ["1", "best"]];

/** The swarm's quantiles as a scale, with each own node on it. */
function against(status) {
  const { quantiles } = status.swarm;
  const best = quantiles["1"];
  if (best === undefined) return [el("p", "soft", "No board is known yet.")];
  const own = status.nodes.filter((node) => node.cumulative_reward !== null);
  const low = Math.min(0, ...Object.values(quantiles), ...own.map((node) => node.cumulative_reward));
  const at = (value) => 2 + 96 * Math.min(1, (value - low) / (best - low || 1));
  const place = (percent) => `${percent.toFixed(1)}%`;
  const scale = svg("svg", { class: "scale", role: "img" });
  scale.setAttribute("aria-label", "API reward of your nodes between nothing and the swarm's best");
  scale.append(svg("rect", { class: "bar", x: "2%", y: 30, width: "96%", height: 8, rx: 4 }));
  for (const [key, name] of QUANTILES) {
    const x = place(at(quantiles[key]));
    scale.append(svg("line", { class: "tick", x1: x, x2: x, y1: 26, y2: 42 },
      svg("title", {}, `${name}: ${number(quantiles[key])}`)));
  }
  for (const node of own) {
    scale.append(svg("circle", { class: "own", cx: place(at(node.cumulative_reward)), cy: 34, r: 8 },
      svg("title", {}, `node ${node.node}: ${number(node.cumulative_reward)}`)));
  }
  for (const { names, from, to } of neighbours(own, at)) {
    const label = names.length > 3 ? `${names.length} nodes` : names.join(", ");
    const x = place((from + to) / 2);
    scale.append(svg("text", { class: "name", x, y: 17, "text-anchor": "middle" }, label));
  }
  const list = el("dl", "quantiles", ...QUANTILES.map(([key, name]) =>
    el("div", "", el("dt", "", name), el("dd", "", number(quantiles[key])))));
  return [scale, list];
}

/** The sum of what is known; null where nothing is. */
function total(values) {
  const known = values.filter((value) => value !== null);
  return known.length ? known.reduce((a, b) => a + b, 0) : null;
}

function draw(status) {
  const { swarm, nodes } = status;
  const earning = nodes.filter((node) => node.condition === "earning").length;
  byId("summary").replaceChildren(
    tile("Earning", String(earning), `of ${nodes.length} nodes`),
    tile("Earned so far", number(total(nodes.map((node) => node.earned)))),
    tile("Earned per hour", number(total(nodes.map((node) => node.earned_per_hour)))),
    tile("Round", swarm.round === null ? "–" : String(swarm.round),
      swarm.round === null ? "" : `stage ${swarm.stage}`),
    tile("Peers on the board", swarm.total_peers === null ? "–" : String(swarm.total_peers)));
  byId("nodes").replaceChildren(...nodes.flatMap((node) => nodeRows(node, status.time)));
  byId("top").replaceChildren(...swarm.top.map(peerRow));
  byId("against").replaceChildren(...against(status));
  byId("version").textContent = `swarm-exporter ${status.version}`;
  const notice = byId("notice");
  notice.hidden = status.config_ok;
  notice.textContent = status.config_ok ? ""
    : `The new configuration was refused, the one before is in force: ${status.config_error}`;
  const age = swarm.data_timestamp === null ? "" : `, data ${duration(status.time - swarm.data_timestamp)} old`;
  byId("freshness").textContent = `updated ${clock(new Date())}${age}`;
  document.title = `${earning}/${nodes.length} earning · swarm-exporter`;
}

const clock = (date) => date.toLocaleTimeString("en-GB");

let current;
let lastAnswer;
let timer;

/** Draw a document: from now on it is what is known. */
function take(status) {
  draw(status);
  current = status;
  lastAnswer = new Date();
  byId("silence").textContent = "";
  document.body.classList.remove("stale");
}

async function refresh() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    const answer = await fetch("/api/status", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    take(await answer.json());
  } catch {
    document.body.classList.add("stale");
    byId("freshness").textContent = "";
    byId("silence").textContent = `no answer from the exporter since ${clock(lastAnswer)}`;
  }
  wait();
}

function wait() {
  clearTimeout(timer);
  timer = setTimeout(refresh, current.refresh_seconds * 1000);
}

// A hidden tab asks nothing; once it is seen again it asks at once.
document.addEventListener("visibilitychange", refresh);
take(JSON.parse(byId("status").textContent));
wait();

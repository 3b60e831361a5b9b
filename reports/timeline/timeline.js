/*
 * The page of `vestige timeline`. The rows are read once from the JSON beside this script; what is seen is
 * drawn on a canvas as tall as the window, whatever the number of rows. Text of the evidence reaches the
 * page as canvas text or by textContent only.
 *
 * Words: a lane holds rows of one kind, in tracks so that no two overlap; the view is the part of the
 * window that is shown; a surface is what is drawn on: the canvas, or SVG for print.
 * What tests and other scripts may want to know is in data- attributes of #timeline.
 */
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("rows").textContent);
  const root = document.getElementById("timeline");
  const horizon = Math.max(data.since, Math.min(data.until, data.now));

  const LANES = [
    { name: "missed", title: "Not seen", of: ["gaps", "unwatched"] },
    { name: "sessions", title: "Sessions", of: ["sessions"] },
    { name: "processes", title: "Processes", of: ["processes"] },
    { name: "endpoints", title: "Endpoints", of: ["endpoints"] },
    { name: "files", title: "Files", of: ["files"] },
    { name: "devices", title: "Devices", of: ["devices"] },
  ];
  /* Which lanes a source feeds; one that is not here feeds all. */
  const FEEDS = {
    audit: ["sessions", "processes", "endpoints"], connector: ["processes"], taskstats: ["processes"],
    proc: ["processes"], sock_diag: ["endpoints"], bpf: ["endpoints"], resolver: ["endpoints"],
    fanotify: ["files"], inotify: ["files"], files: ["files"], udev: ["devices"], utmp: ["sessions"],
    programs: ["processes"], rtnetlink: [], accounts: [],
  };
  const KINDS = {
    gaps: "gap", unwatched: "unwatched span", sessions: "session", processes: "process",
    endpoints: "endpoint", files: "file", devices: "device",
  };

  const THEMES = {
    light: {
      paper: "#ffffff", ink: "#1b1f24", faint: "#5b6570", line: "#d5d9de", soft: "#eef0f2", accent: "#0b5cad",
      miss: "#a86a00", tint: 0.2, nobody: "#7b858f",
      users: ["#2a6db3", "#b4532a", "#37855a", "#86509f", "#917417", "#1f8593", "#b03c68", "#63702c"],
    },
    dark: {
      paper: "#14171b", ink: "#e6e9ed", faint: "#9aa5b1", line: "#39414a", soft: "#1e2329", accent: "#7ab7f5",
      miss: "#e0a94a", tint: 0.34, nobody: "#828d98",
      users: ["#6aa9ec", "#e88f66", "#74c598", "#c193da", "#d3b554", "#5fc3d0", "#ea86ab", "#aebb6c"],
    },
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let printing = false;
  const screenTheme = () => (dark.matches && !printing ? THEMES.dark : THEMES.light);
  const FONT = '"Segoe UI", "DejaVu Sans", system-ui, sans-serif';

  /* --- rows --- */

  const N_FIXED = 9; /* values of a row before those of its table */
  const rows = data.rows.map((values, index) => {
    const [source, begin, end, login, user, pid, process, label, text] = values;
    const columns = data.lanes[source];
    const row = { index, source, begin, end, login, user, pid, process, label, text, values, columns };
    row.last = Math.max(begin, end === null ? horizon : end);
    row.lane = LANES.find((lane) => lane.of.includes(source));
    row.key = source + "/" + (column(row, "id") || index);
    return row;
  });
  const byKey = new Map(rows.map((row) => [row.key, row]));

  /* What was there when watching began, and still when it ended, happened neither here nor then. A recorder
   * that starts takes a moment to look around. */
  const LOOK_AROUND = 2e6;
  (() => {
    const holes = rows.filter((row) => row.source === "unwatched" && (row.begin > data.since || row.last < horizon));
    const first = Math.min(...holes.filter((row) => row.begin <= data.since).map((row) => row.last));
    const last = Math.max(...holes.filter((row) => row.last >= horizon).map((row) => row.begin));
    const from = Number.isFinite(first) ? first + LOOK_AROUND : data.since;
    const to = Number.isFinite(last) ? last : horizon;
    for (const row of rows)
      row.standing = ["processes", "endpoints", "files", "devices"].includes(row.source) && row.begin <= from && row.last >= to;
  })();

  function column(row, name) {
    const at = row.columns.indexOf(name);
    return at < 0 ? null : row.values[N_FIXED + at];
  }

  /* Rows by the process row that some column of theirs names. */
  function grouped(name, sources) {
    const groups = new Map();
    for (const row of rows) {
      if (!sources.includes(row.source)) continue;
      const id = column(row, name);
      if (id === null) continue;
      if (!groups.has(id)) groups.set(id, []);
      groups.get(id).push(row);
    }
    return groups;
  }
  const children = grouped("parent_id", ["processes"]);
  const successors = grouped("previous_id", ["processes"]);
  const held = {
    endpoints: grouped("process_id", ["endpoints"]),
    files: grouped("process_id", ["files"]),
    sessions: grouped("process_id", ["sessions"]),
  };
  const bySession = grouped("session_id", ["sessions"]);

  const users = (() => {
    const counts = new Map();
    for (const row of rows) {
      if (row.lane.name === "missed" || row.source === "devices") continue;
      counts.set(row.login, (counts.get(row.login) || 0) + 1);
    }
    const named = [...counts.keys()].filter((name) => name !== null);
    named.sort(); /* so that a name has the same colour on the next page, if it can */
    return { named, counts, index: new Map(named.map((name, at) => [name, at])) };
  })();

  function colour(row, theme) {
    if (row.lane.name === "missed") return theme.miss;
    if (row.login === null) return theme.nobody;
    return theme.users[users.index.get(row.login) % theme.users.length];
  }

  /* --- time --- */

  const zoned = data.zone === "UTC" ? null : new Intl.DateTimeFormat("en-CA", {
    timeZone: data.zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit",
    hour: "2-digit", minute: "2-digit", second: "2-digit",
  });

  const two = (n) => String(n).padStart(2, "0");

  /* [date, time of day to the second, microseconds] as the clocks in the zone show it */
  function clock(us) {
    const second = Math.floor(us / 1e6), rest = Math.round(us - second * 1e6), date = new Date(second * 1000);
    if (!zoned)
      return [date.toISOString().slice(0, 10), date.toISOString().slice(11, 19), rest];
    const part = Object.fromEntries(zoned.formatToParts(date).map((one) => [one.type, one.value]));
    return [`${part.year}-${part.month}-${part.day}`, `${part.hour}:${part.minute}:${part.second}`, rest];
  }

  function moment(us) {
    const [date, time, rest] = clock(us);
    return `${date} ${time}.${String(rest).padStart(6, "0")}`;
  }

  /* Local time minus UTC, in microseconds, so that ticks stand on whole local hours. */
  function offset(us) {
    if (!zoned) return 0;
    const [date, time] = clock(us);
    return Date.parse(`${date}T${time}Z`) * 1000 - Math.floor(us / 1e6) * 1e6;
  }

  function duration(us) {
    if (us < 1000) return `${Math.round(us)} µs`;
    if (us < 1e6) return `${+(us / 1e3).toPrecision(3)} ms`;
    if (us < 60e6) return `${+(us / 1e6).toPrecision(3)} s`;
    const s = Math.round(us / 1e6), parts = [[Math.floor(s / 86400), "d"], [Math.floor(s / 3600) % 24, "h"],
      [Math.floor(s / 60) % 60, "min"], [s % 60, "s"]].filter(([n]) => n);
    return parts.slice(0, 2).map(([n, unit]) => `${n} ${unit}`).join(" ");
  }

  const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5]
    .concat([1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
      172800, 604800, 1209600, 2419200, 7257600, 31536000].map((s) => s * 1e6));

  function tickText(us, step) {
    const [date, time, rest] = clock(us);
    if (step >= 86400e6) return date;
    if (step >= 60e6) return time.slice(0, 5);
    if (step >= 1e6) return time;
    const digits = Math.max(1, 6 - Math.floor(Math.log10(step)));
    return `${time}.${String(rest).padStart(6, "0").slice(0, digits)}`;
  }

  function ticks(view, width) {
    const wanted = (view.to - view.from) / Math.max(1, width / 105);
    const step = STEPS.find((one) => one >= wanted) || STEPS[STEPS.length - 1];
    const shift = offset(view.from), list = [];
    for (let at = Math.ceil((view.from + shift) / step) * step - shift; at <= view.to; at += step)
      list.push({ us: at, text: tickText(at, step) });
    return list;
  }

  /* --- surfaces --- */

  const measure = document.createElement("canvas").getContext("2d");
  const widths = new Map();
  function textWidth(text, font) {
    const key = font + text;
    if (!widths.has(key)) {
      if (widths.size > 20000) widths.clear();
      measure.font = font;
      widths.set(key, measure.measureText(text).width);
    }
    return widths.get(key);
  }

  function fit(text, font, width) {
    if (text.length < 200 && textWidth(text, font) <= width) return text;
    let low = 0, high = Math.min(text.length, 200);
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (textWidth(text.slice(0, middle) + "…", font) <= width) low = middle;
      else high = middle - 1;
    }
    return low ? text.slice(0, low) + "…" : "";
  }

  function hatchTile(theme, kind) {
    const tile = document.createElement("canvas"), size = kind === "gaps" ? 6 : 8;
    tile.width = tile.height = size;
    const c = tile.getContext("2d");
    c.strokeStyle = kind === "gaps" ? theme.miss : theme.faint;
    c.globalAlpha = kind === "gaps" ? 0.55 : 0.34;
    c.lineWidth = 1;
    c.beginPath();
    for (const d of [-size, 0, size]) {
      c.moveTo(d - 1, size + 1);
      c.lineTo(d + size + 1, -1);
    }
    c.stroke();
    return tile;
  }

  class CanvasSurface {
    constructor(context, theme) {
      this.context = context;
      this.theme = theme;
      this.hatches = {};
    }
    rect(x, y, w, h, fill, alpha = 1) {
      this.context.globalAlpha = alpha;
      this.context.fillStyle = fill;
      this.context.fillRect(x, y, w, h);
    }
    frame(x, y, w, h, stroke) {
      this.context.globalAlpha = 1;
      this.context.strokeStyle = stroke;
      this.context.lineWidth = 2;
      this.context.strokeRect(x, y, w, h);
    }
    path(points, stroke, alpha = 1, width = 1) {
      const c = this.context;
      c.globalAlpha = alpha;
      c.strokeStyle = stroke;
      c.lineWidth = width;
      c.beginPath();
      points.forEach(([x, y], at) => (at ? c.lineTo(x, y) : c.moveTo(x, y)));
      c.stroke();
    }
    text(x, y, text, fill, font, alpha = 1) {
      this.context.globalAlpha = alpha;
      this.context.fillStyle = fill;
      this.context.font = font;
      this.context.textBaseline = "middle";
      this.context.fillText(text, x, y);
    }
    hatch(x, y, w, h, kind) {
      const c = this.context;
      this.hatches[kind] = this.hatches[kind] || c.createPattern(hatchTile(this.theme, kind), "repeat");
      this.rect(x, y, w, h, this.theme.miss, kind === "gaps" ? 0.12 : 0.05);
      c.globalAlpha = 1;
      c.fillStyle = this.hatches[kind];
      c.fillRect(x, y, w, h);
    }
  }

  const SVG = "http://www.w3.org/2000/svg";
  function svgElement(name, attributes, parent) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (parent) parent.append(element);
    return element;
  }

  class SvgSurface {
    constructor(width, height, theme) {
      this.theme = theme;
      this.svg = svgElement("svg", { viewBox: `0 0 ${width} ${height}`, width, height });
    }
    rect(x, y, w, h, fill, alpha = 1) {
      svgElement("rect", { x, y, width: Math.max(0, w), height: h, fill, "fill-opacity": alpha }, this.svg);
    }
    frame(x, y, w, h, stroke) {
      svgElement("rect", { x, y, width: w, height: h, fill: "none", stroke, "stroke-width": 2 }, this.svg);
    }
    path(points, stroke, alpha = 1, width = 1) {
      svgElement("polyline", { points: points.map((p) => p.join(",")).join(" "), fill: "none", stroke,
        "stroke-opacity": alpha, "stroke-width": width }, this.svg);
    }
    text(x, y, text, fill, font, alpha = 1) {
      const size = parseFloat(font.match(/([\d.]+)px/)[1]);
      svgElement("text", { x, y: y + size * 0.36, fill, "font-size": size, "font-family": FONT,
        "font-weight": font.startsWith("600") ? 600 : 400, "fill-opacity": alpha }, this.svg).textContent = text;
    }
    hatch(x, y, w, h, kind) {
      this.rect(x, y, w, h, this.theme.miss, kind === "gaps" ? 0.25 : 0.1);
    }
  }

  /* --- lanes and tracks --- */

  const state = {
    view: { from: data.since, to: Math.max(data.until, data.since + 1) },
    shown: new Set(LANES.map((lane) => lane.name)),
    throughout: false,
    query: "", matches: null, user: undefined,
    selected: null, hover: null, pointer: null, drag: null,
  };

  const isShown = (row) => state.shown.has(row.lane.name) && (state.throughout || !row.standing);
  const isDim = (row) => (state.matches && !state.matches.has(row)) ||
    (state.user !== undefined && (row.lane.name === "missed" || row.source === "devices" || row.login !== state.user));

  const LABEL_FONT = `11.5px ${FONT}`, TITLE_FONT = `600 12.5px ${FONT}`, SMALL_FONT = `11px ${FONT}`;
  const LABEL_TRACKS = 30; /* with more, a label gets only the room that is left */
  const LABEL_MOST = 150;

  function assign(list, scale, withLabels) {
    const ends = [];
    for (const row of list) {
      const x = (Math.max(row.begin, data.since) - data.since) * scale;
      const width = Math.max(4, (Math.min(row.last, data.until) - data.since) * scale - x);
      const label = withLabels ? Math.min(LABEL_MOST, textWidth(row.label.slice(0, 40), LABEL_FONT)) + 12 : 0;
      const need = width >= label ? width : width + label;
      let track = 0;
      while (track < ends.length && ends[track] > x) track++;
      ends[track] = x + need + 2;
      row.track = track;
    }
    return ends.length;
  }

  /* Tracks depend on the scale, because a row is never narrower than can be seen, and hold what is in the
   * view or up to its width beside it: so a short move in time moves nothing up or down, and a view of
   * little stays low. */
  function pack(view, scale, narrow, beside = 1) {
    const span = (view.to - view.from) * beside, from = view.from - span, to = view.to + span;
    let y = 0;
    const lanes = [];
    for (const lane of LANES) {
      if (!state.shown.has(lane.name) || !lane.of.some((source) => data.lanes[source])) continue;
      const all = rows.filter((row) => row.lane === lane), wanted = all.filter(isShown);
      const list = wanted.filter((row) => row.last >= from && row.begin <= to);
      if (lane.name === "missed" && !all.length) continue;
      let tracks = assign(list, scale, true), labelled = true;
      if (tracks > LABEL_TRACKS) {
        tracks = assign(list, scale, false);
        labelled = tracks <= 2 * LABEL_TRACKS;
      }
      const height = labelled ? 20 : tracks <= 160 ? 11 : 6, head = narrow ? 24 : 0;
      const body = Math.max(narrow ? 20 : 40, tracks * height);
      lanes.push({ lane, all, list, count: wanted.length, tracks, height, labelled, y, head, top: y + head + 6, size: head + body + 12 });
      y += head + body + 12;
    }
    return { lanes, height: y, scale, from, to };
  }

  /* --- drawing --- */

  const AXIS = 44;
  const xOf = (us, view, plot) => plot.left + ((us - view.from) / (view.to - view.from)) * plot.width;

  function drawAxis(surface, view, plot, bottom) {
    const { theme } = surface;
    surface.rect(0, 0, plot.left + plot.width + 20, AXIS, theme.soft);
    for (const tick of ticks(view, plot.width)) {
      const x = Math.round(xOf(tick.us, view, plot)) + 0.5;
      surface.path([[x, AXIS - 6], [x, AXIS]], theme.faint);
      surface.path([[x, AXIS], [x, bottom]], theme.line, 0.6);
      const w = textWidth(tick.text, SMALL_FONT);
      const at = Math.min(Math.max(x - w / 2, plot.left + 2), plot.left + plot.width - w - 2);
      surface.text(at, AXIS - 14, tick.text, theme.ink, SMALL_FONT);
    }
    const [date] = clock(view.from), last = clock(view.to)[0];
    surface.text(plot.left ? 12 : 6, 12, `${date === last ? date : date + " – " + last}  ${data.zone}`,
      theme.faint, SMALL_FONT);
    const span = duration(view.to - view.from), w = textWidth(span, SMALL_FONT);
    surface.text(plot.left + plot.width - w - 6, 12, span, theme.faint, SMALL_FONT);
    drawExtent(surface, view, plot);
    surface.path([[0, AXIS + 0.5], [plot.left + plot.width + 20, AXIS + 0.5]], theme.line);
  }

  /* Which part of the window the view is. */
  function drawExtent(surface, view, plot) {
    const all = data.until - data.since;
    if (!(all > 0) || view.to - view.from >= all) return;
    const x = plot.left + ((view.from - data.since) / all) * plot.width;
    surface.rect(plot.left, 0, plot.width, 3, surface.theme.line);
    surface.rect(x, 0, Math.max(6, ((view.to - view.from) / all) * plot.width), 3, surface.theme.accent);
  }

  function feeds(row, lane) {
    if (lane.name === "missed") return false;
    return column(row, "source").split(", ").some((source) => !FEEDS[source] || FEEDS[source].includes(lane.name));
  }

  /* Spans that overlap are one: shading does not add up. */
  function united(list) {
    const spans = [];
    for (const { begin, last } of list) {
      const before = spans[spans.length - 1];
      if (before && begin <= before.last) before.last = Math.max(before.last, last);
      else spans.push({ begin, last });
    }
    return spans;
  }

  const shades = new Map(LANES.map((lane) => {
    const missed = rows.filter((row) => row.lane.name === "missed" && feeds(row, lane));
    const dim = missed.filter((row) => row.source === "unwatched");
    if (data.cut !== null && lane.name !== "missed") dim.push({ begin: data.cut, last: data.until });
    return [lane, { unwatched: united(dim), gaps: united(missed.filter((row) => row.source === "gaps")) }];
  }));

  function drawMissed(surface, placed, view, plot) {
    for (const kind of ["unwatched", "gaps"])
      for (const { begin, last } of shades.get(placed.lane)[kind]) {
        const x = xOf(begin, view, plot), left = Math.max(plot.left, x);
        const right = Math.min(plot.left + plot.width, Math.max(xOf(last, view, plot), x + 3));
        if (right > left) surface.hatch(left, placed.y, right - left, placed.size, kind);
      }
  }

  function boxOf(row, placed, view, plot) {
    const right = plot.left + plot.width;
    const begin = xOf(row.begin, view, plot), end = xOf(row.last, view, plot);
    const x = Math.max(begin, plot.left), most = Math.min(Math.max(end, begin + 3), right);
    if (begin > right || Math.max(end, begin + 3) < plot.left) return null;
    const gap = placed.height > 8 ? (placed.height > 12 ? 3 : 2) : 1;
    return { x, y: placed.top + row.track * placed.height, w: Math.max(most - x, 1), h: placed.height - gap,
      before: begin < plot.left - 0.5, after: end > right + 0.5 || (row.end === null && most >= right - 1) };
  }

  function drawRow(surface, row, placed, view, plot, nextX) {
    const box = boxOf(row, placed, view, plot), { theme } = surface;
    if (!box) return false;
    const paint = colour(row, theme), alpha = isDim(row) ? 0.18 : 1;
    if (box.w < 6) surface.rect(box.x, box.y, Math.max(2.5, box.w), box.h, paint, alpha);
    else {
      surface.rect(box.x, box.y, box.w, box.h, theme.paper);
      surface.rect(box.x, box.y, box.w, box.h, paint, theme.tint * alpha);
      if (row.begin >= view.from) surface.rect(box.x, box.y, 3, box.h, paint, alpha);
      if (row.end === null) surface.path([[box.x + box.w - 5, box.y + 3], [box.x + box.w - 1, box.y + box.h / 2],
        [box.x + box.w - 5, box.y + box.h - 3]], paint, alpha, 1.5);
      else if (row.last <= view.to) surface.rect(box.x + box.w - 1, box.y, 1, box.h, paint, alpha);
    }
    if (row === state.selected) surface.frame(box.x - 1, box.y - 1, box.w + 2, box.h + 2, theme.ink);
    else if (row === state.hover) surface.frame(box.x, box.y, box.w, box.h, paint);
    if (placed.labelled) drawLabel(surface, row, box, nextX - box.x, alpha);
    return true;
  }

  /* In the bar if it has the room, else behind it up to the next bar of the track. */
  function drawLabel(surface, row, box, room, alpha) {
    const inside = box.w - 12, full = textWidth(row.label.slice(0, 40), LABEL_FONT);
    const behind = Math.min(LABEL_MOST + 20, room - box.w - 8);
    const within = full <= inside || box.w > LABEL_MOST || inside > behind;
    const width = within ? inside : behind;
    const text = width > 14 ? fit(row.label, LABEL_FONT, width) : "";
    if (text.length > 1 || text === row.label)
      surface.text(within ? box.x + 7 : box.x + box.w + 4, box.y + box.h / 2 + 0.5, text, surface.theme.ink, LABEL_FONT,
        alpha === 1 ? 1 : 0.35);
  }

  function drawLane(surface, placed, view, plot, clip) {
    const { theme } = surface, { lane } = placed;
    drawMissed(surface, placed, view, plot);
    const next = new Map(), wanted = [];
    for (let at = placed.list.length - 1; at >= 0; at--) {
      const row = placed.list[at], y = placed.top + row.track * placed.height;
      const after = next.has(row.track) ? next.get(row.track) : plot.left + plot.width;
      next.set(row.track, Math.max(plot.left, xOf(row.begin, view, plot)));
      if (y + placed.height >= clip.top && y <= clip.bottom) wanted.push([row, after]);
    }
    let drawn = 0;
    for (let at = wanted.length - 1; at >= 0; at--)
      if (drawRow(surface, wanted[at][0], placed, view, plot, wanted[at][1])) drawn++;
    if (!placed.count) drawNothing(surface, placed, plot);
    drawTitle(surface, placed, plot, clip);
    surface.path([[0, placed.y + placed.size - 0.5], [plot.left + plot.width + 20, placed.y + placed.size - 0.5]], theme.line);
    return drawn;
  }

  function drawNothing(surface, placed, plot) {
    const hidden = placed.all.length;
    const text = hidden ? `${count(hidden, "row")} that lived throughout ${hidden === 1 ? "is" : "are"} hidden` : "nothing in this window";
    surface.text(plot.left + 8, placed.top + (placed.size - placed.head - 12) / 2, text, surface.theme.faint, SMALL_FONT);
  }

  /* The title stays in sight as long as its lane is. */
  function drawTitle(surface, placed, plot, clip) {
    const { theme } = surface, n = placed.first ? "continued" : placed.count.toLocaleString("en");
    if (placed.head) {
      surface.text(8, placed.y + 15, placed.lane.title, theme.ink, TITLE_FONT);
      surface.text(16 + textWidth(placed.lane.title, TITLE_FONT), placed.y + 15, n, theme.faint, SMALL_FONT);
      return;
    }
    surface.rect(0, placed.y, plot.left - 1, placed.size - 1, theme.soft);
    const y = Math.min(Math.max(placed.y, clip.top) + 18, placed.y + placed.size - 26);
    surface.text(12, y, placed.lane.title, theme.ink, TITLE_FONT);
    surface.text(12, y + 16, n, theme.faint, SMALL_FONT);
  }

  /* From the chosen row to its parent and to what belongs to it. */
  function drawLinks(surface, layout, view, plot) {
    const row = state.selected, place = (one) => layout.lanes.find((placed) => placed.lane === one.lane);
    if (!row || !isShown(row) || !place(row)) return;
    const from = boxOf(row, place(row), view, plot);
    if (!from) return;
    for (const other of related(row).flatMap((group) => group.rows).slice(0, 300)) {
      const there = isShown(other) && place(other), to = there && boxOf(other, there, view, plot);
      if (!to) continue;
      const x = to.x + 1.5, middle = from.y + from.h / 2;
      surface.path([[Math.min(Math.max(x, from.x), from.x + from.w), middle], [x, middle], [x, to.y + to.h / 2]], surface.theme.ink, 0.5);
    }
  }

  /* --- the screen --- */

  const element = (name, properties = {}, ...content) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...content);
    return made;
  };
  const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

  const canvas = element("canvas");
  const spacer = element("div");
  const scroller = element("div", { id: "scroller", tabIndex: 0 }, canvas, spacer);
  scroller.setAttribute("role", "application");
  scroller.setAttribute("aria-label", "Timeline: arrow keys move, plus and minus zoom, j and k choose a row");
  const empty = element("div", { id: "empty", hidden: true });
  const below = element("nav", { id: "below", hidden: true });
  below.setAttribute("aria-label", "Lanes further down");
  const chart = element("div", { id: "chart" }, scroller, below, empty);
  const detail = element("aside", { id: "detail", hidden: true });
  detail.setAttribute("aria-label", "The chosen row");
  detail.setAttribute("aria-live", "polite");
  const stage = element("div", { className: "stage" }, chart, detail);
  const card = element("div", { id: "card", hidden: true });
  card.setAttribute("role", "tooltip");
  let layout = null, plot = null, waiting = false, tallest = 0;

  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      drawScreen();
    });
  }

  function arrange() {
    const width = Math.max(240, chart.clientWidth), narrow = width < 620;
    plot = { left: narrow ? 0 : 116, width: 0 };
    plot.width = width - plot.left;
    const scale = plot.width / (state.view.to - state.view.from);
    layout = pack(state.view, scale, narrow);
    const room = Math.max(360, innerHeight - chart.getBoundingClientRect().top - scrollY - 56);
    /* It does not become lower while somebody zooms: the pointer would leave it. */
    tallest = Math.max(tallest, layout.height + AXIS, 200);
    const height = Math.min(tallest, room);
    scroller.style.height = `${height}px`;
    detail.style.maxHeight = `${height}px`;
    spacer.style.height = `${Math.max(0, layout.height + AXIS - height)}px`;
    canvas.style.width = "100%"; /* until it is known whether there is a scroll bar */
    const roomX = Math.max(200, scroller.clientWidth) - plot.left;
    if (roomX !== plot.width) {
      plot.width = roomX;
      layout.scale = plot.width / (state.view.to - state.view.from);
    }
    fitCanvas(plot.left + plot.width, height);
  }

  function fitCanvas(width, height) {
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }

  function drawScreen() {
    const scale = plot.width / (state.view.to - state.view.from);
    if (Math.abs(scale / layout.scale - 1) > 1e-9 || state.view.from < layout.from || state.view.to > layout.to) arrange();
    const context = canvas.getContext("2d"), ratio = devicePixelRatio || 1, theme = screenTheme();
    const width = canvas.width / ratio, height = canvas.height / ratio, top = scroller.scrollTop;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const surface = new CanvasSurface(context, theme);
    surface.rect(0, 0, width, height, theme.paper);
    drawAxis(surface, state.view, plot, height);
    context.save();
    context.beginPath();
    context.rect(0, AXIS + 1, width, height - AXIS - 1);
    context.clip();
    context.translate(0, AXIS + 1 - top);
    const clip = { top, bottom: top + height - AXIS };
    for (const placed of layout.lanes) {
      const seen = placed.y + placed.size >= clip.top && placed.y <= clip.bottom;
      placed.drawn = seen ? drawLane(surface, placed, state.view, plot, clip) : 0;
    }
    drawLinks(surface, layout, state.view, plot);
    context.restore();
    if (plot.left) surface.path([[plot.left - 0.5, AXIS], [plot.left - 0.5, height]], theme.line);
    drawPointer(surface, height);
    pointBelow(clip);
    publish();
  }

  /* Which lanes begin below what is seen: a click goes there. */
  function pointBelow(clip) {
    const list = layout.lanes.filter((placed) => placed.y + 30 > clip.bottom);
    const names = list.map((placed) => placed.lane.name).join();
    below.hidden = !list.length;
    if (below.dataset.names === names) return;
    below.dataset.names = names;
    below.replaceChildren(...list.map((placed) => element("button", { type: "button", title: `Go to ${placed.lane.title}`,
      textContent: `↓ ${placed.lane.title}`, onclick: () => (scroller.scrollTop = laneTop(placed.lane)) })));
  }

  const laneTop = (lane) => layout.lanes.find((placed) => placed.lane === lane).y;

  function drawPointer(surface, height) {
    const { theme } = surface;
    if (state.drag && state.drag.kind === "span" && state.drag.moved) {
      const [a, b] = [state.drag.from, state.drag.x].sort((p, q) => p - q);
      surface.rect(a, 0, b - a, height, theme.accent, 0.16);
      surface.path([[a, 0], [a, height]], theme.accent);
      surface.path([[b, 0], [b, height]], theme.accent);
    }
    if (!state.pointer || state.pointer.x < plot.left) return;
    const x = state.pointer.x, text = moment(usAt(x)).slice(11), w = textWidth(text, SMALL_FONT) + 10;
    surface.path([[x, AXIS], [x, height]], theme.faint, 0.5);
    const left = Math.min(Math.max(x - w / 2, plot.left), plot.left + plot.width - w);
    surface.rect(left, AXIS - 22, w, 17, theme.ink);
    surface.text(left + 5, AXIS - 13.5, text, theme.paper, SMALL_FONT);
  }

  function publish() {
    const say = root.dataset;
    say.rows = rows.length;
    say.viewSince = Math.round(state.view.from);
    say.viewUntil = Math.round(state.view.to);
    say.lanes = layout.lanes.map((placed) => `${placed.lane.name}:${placed.count}`).join(" ");
    say.drawn = layout.lanes.map((placed) => `${placed.lane.name}:${placed.drawn}`).join(" ");
    say.tracks = layout.lanes.map((placed) => `${placed.lane.name}:${placed.tracks}`).join(" ");
    say.matches = state.matches ? state.matches.size : "";
    say.query = state.query;
    say.selected = state.selected ? state.selected.key : "";
    say.theme = dark.matches ? "dark" : "light";
    say.ready = "1";
    empty.hidden = layout.lanes.length > 0;
  }

  /* --- moving in time --- */

  const usAt = (x) => state.view.from + ((x - plot.left) / plot.width) * (state.view.to - state.view.from);

  function setView(from, to) {
    const all = data.until - data.since || 1, least = Math.min(20, all);
    let span = Math.min(Math.max(to - from, least), all);
    const middle = (from + to) / 2;
    let begin = to - from < least ? middle - span / 2 : from;
    begin = Math.min(Math.max(begin, data.since), data.since + all - span);
    state.view = { from: begin, to: begin + span };
    hideCard();
    redraw();
  }

  function zoom(factor, x = plot.left + plot.width / 2) {
    const at = usAt(x), { from, to } = state.view;
    setView(at - (at - from) * factor, at + (to - at) * factor);
  }

  const pan = (part) => {
    const by = part * (state.view.to - state.view.from);
    setView(state.view.from + by, state.view.to + by);
  };
  const fitAll = () => setView(data.since, data.until);

  /* --- finding a row --- */

  function rowAt(x, y) {
    if (y <= AXIS) return null;
    const at = y - AXIS - 1 + scroller.scrollTop;
    const placed = layout.lanes.find((one) => at >= one.y && at < one.y + one.size);
    if (!placed) return null;
    let best = null, nearest = 5;
    for (const row of placed.list) {
      const top = placed.top + row.track * placed.height;
      if (at < top - 1 || at >= top + placed.height) continue;
      const box = boxOf(row, placed, state.view, plot);
      if (!box) continue;
      const away = x < box.x ? box.x - x : x > box.x + box.w ? x - box.x - box.w : 0;
      if (away < nearest) [best, nearest] = [row, away];
    }
    return best;
  }

  /* Rows that go with this one, by what they are to it. */
  function related(row) {
    const groups = [], add = (title, list) => {
      const found = (list || []).filter((one) => one && one !== row);
      if (found.length) groups.push({ title, rows: found });
    };
    const process = (id) => [byKey.get("processes/" + id)];
    if (row.source === "processes") {
      const id = column(row, "id"), session = column(row, "session_id");
      add("Parent", process(column(row, "parent_id")));
      add("Program before", process(column(row, "previous_id")));
      add("Program after", successors.get(id));
      add("Children", children.get(id));
      add("Endpoints", held.endpoints.get(id));
      add("Files", held.files.get(id));
      add("Session", session === null ? held.sessions.get(id) : bySession.get(session));
    } else if (row.process !== null) add("Process", process(row.process));
    return groups;
  }

  function reveal(row) {
    if (row.standing && !state.throughout) setThroughout(true);
    if (!state.shown.has(row.lane.name)) setLane(row.lane.name, true);
    const { from, to } = state.view, span = to - from;
    if (row.last < from || row.begin > to) {
      const begin = Math.min(row.begin, row.last) - span * 0.3;
      setView(begin, begin + span);
    }
    arrange();
    const placed = layout.lanes.find((one) => one.lane === row.lane);
    const y = placed.top + row.track * placed.height, room = scroller.clientHeight - AXIS;
    if (y < scroller.scrollTop + 8 || y + placed.height > scroller.scrollTop + room - 8)
      scroller.scrollTop = Math.max(0, y - room / 3);
  }

  function select(row, isReveal) {
    state.selected = row;
    detail.hidden = !row;
    stage.classList.toggle("chosen", Boolean(row));
    if (row) fillDetail(row);
    const hash = row ? "#" + row.key : "";
    if (location.hash !== hash) history.replaceState(null, "", hash || location.pathname + location.search);
    arrange();
    if (row && isReveal) reveal(row);
    redraw();
  }

  /* --- what is said about a row --- */

  function heading(row) {
    const until = row.end === null ? "goes on" : moment(row.end);
    const length = row.end === null ? "" : ` (${duration(row.end - row.begin)})`;
    const who = row.lane.name === "missed" ? "" :
      ` · login user ${row.login === null ? "unset" : row.login}`;
    return [element("div", { className: "said", textContent: row.text }),
      element("div", { className: "faint", textContent: `${KINDS[row.source]}${who}` }),
      element("div", { className: "faint", textContent: `${moment(row.begin)} – ${until}${length}` })];
  }

  function table(row) {
    const list = element("dl"), unknown = [];
    row.columns.forEach((name, at) => {
      const value = row.values[N_FIXED + at];
      if (value === null) unknown.push(name);
      else list.append(element("dt", { textContent: name }), element("dd", { textContent: value === "" ? "(empty)" : value }));
    });
    return unknown.length ? [list, element("p", { className: "unknown", textContent: `NULL: ${unknown.join(", ")}` })] : [list];
  }

  const LINKS_MOST = 200;
  function links(group) {
    const list = element("ul");
    for (const row of group.rows.slice(0, LINKS_MOST)) {
      const said = row.pid === null ? row.label : `${row.label} · pid ${row.pid}`;
      list.append(element("li", {}, element("a", { href: "#" + row.key, textContent: said, title: row.text.slice(0, 500) })));
    }
    const more = group.rows.length - LINKS_MOST;
    if (more > 0) list.append(element("li", { className: "faint", textContent: `and ${count(more, "more row")}` }));
    const n = group.rows.length > 1 ? ` (${group.rows.length})` : "";
    return [element("h3", { textContent: group.title + n }), list];
  }

  /* A process that a row names, and that is not here. */
  function missingLinks(row) {
    const names = row.source === "processes" ? ["parent_id"] : ["process_id"];
    return names.map((name) => [name, column(row, name)])
      .filter(([, id]) => id !== null && !byKey.has("processes/" + id))
      .map(([name, id]) => element("p", { className: "unknown",
        textContent: `${name === "parent_id" ? "Parent" : "Process"}: row ${id}, which is not on this page` }));
  }

  function fillDetail(row) {
    const close = element("button", { type: "button", textContent: "Close", onclick: () => {
      select(null);
      scroller.focus();
    } });
    const title = element("h2", { textContent: row.label || KINDS[row.source] });
    detail.replaceChildren(element("div", { className: "top" }, title, close), ...heading(row),
      ...related(row).flatMap(links), ...missingLinks(row), element("h3", { textContent: "The whole row" }), ...table(row));
    detail.scrollTop = 0;
  }

  function showCard(row, x, y) {
    card.replaceChildren(...heading(row), ...table(row));
    card.classList.toggle("long", row.columns.length > 22);
    card.hidden = false;
    const { width, height } = card.getBoundingClientRect();
    card.style.left = `${Math.max(8, x + 16 + width > innerWidth - 8 ? Math.min(x - width - 16, innerWidth - width - 8) : x + 16)}px`;
    card.style.top = `${Math.max(8, Math.min(y + 14, innerHeight - height - 8))}px`;
    root.dataset.hover = row.key;
  }

  function hideCard() {
    card.hidden = true;
    state.hover = null;
    delete root.dataset.hover;
  }

  /* --- search --- */

  const found = element("span", { id: "found" });
  found.setAttribute("role", "status");

  function textOf(row) {
    if (row.hay === undefined)
      row.hay = [row.login, row.user, row.label, row.text, ...row.values.slice(N_FIXED)].filter((one) => one !== null).join("\n").toLowerCase();
    return row.hay;
  }

  function search(query) {
    state.query = query.toLowerCase();
    state.matches = state.query ? new Set(rows.filter((row) => textOf(row).includes(state.query))) : null;
    const standing = state.matches ? [...state.matches].filter((row) => !isShown(row)).length : 0;
    found.textContent = !state.matches ? "" : `${count(state.matches.size, "row")}${standing ? `, ${standing} hidden` : ""}`;
    redraw();
  }

  function step(by) {
    const list = state.matches ? rows.filter((row) => state.matches.has(row)) : rows.filter(isShown);
    if (!list.length) return;
    const at = state.selected ? list.indexOf(state.selected) : -1;
    const next = at >= 0 ? at + by : by > 0 ? 0 : list.length - 1;
    select(list[(next + list.length) % list.length], true);
  }

  /* --- tools --- */

  const button = (text, label, action) => {
    const made = element("button", { type: "button", textContent: text, title: label, onclick: action });
    made.setAttribute("aria-label", label);
    return made;
  };

  function check(text, checked, action) {
    const box = element("input", { type: "checkbox", checked, onchange: () => action(box.checked) });
    return { box, label: element("label", { className: "check" }, box, text) };
  }

  const laneBoxes = new Map();
  function setLane(name, isOn) {
    if (isOn) state.shown.add(name);
    else state.shown.delete(name);
    laneBoxes.get(name).checked = isOn;
    tallest = 0;
    arrange();
    redraw();
  }

  let throughoutBox = null;
  function setThroughout(isOn) {
    state.throughout = isOn;
    if (throughoutBox) throughoutBox.checked = isOn;
    arrange();
    search(state.query);
  }

  const field = element("input", { id: "search", type: "search", placeholder: "Search all columns", autocomplete: "off", spellcheck: false });
  field.setAttribute("aria-label", "Search all columns");
  let typing = 0;
  field.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => search(field.value), rows.length > 2000 ? 120 : 0);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      search(field.value);
      step(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      field.value = "";
      search("");
      scroller.focus();
    }
  });

  function tools() {
    const bar = element("div", { className: "tools" },
      element("div", { className: "group" }, field, button("‹", "Match before", () => step(-1)), button("›", "Next match", () => step(1)), found),
      element("div", { className: "group" }, button("−", "Zoom out", () => zoom(2)), button("+", "Zoom in", () => zoom(0.5)),
        button("Whole window", "Show the whole window", fitAll)));
    const group = element("div", { className: "group" });
    for (const lane of LANES) {
      const n = rows.filter((row) => row.lane === lane).length;
      if (!lane.of.some((source) => data.lanes[source]) || (lane.name === "missed" && !n)) continue;
      const { box, label } = check(`${lane.title} `, true, (isOn) => setLane(lane.name, isOn));
      label.append(element("span", { className: "faint", textContent: n.toLocaleString("en") }));
      laneBoxes.set(lane.name, box);
      group.append(label);
    }
    const standing = rows.filter((row) => row.standing).length;
    state.throughout = standing > 0 && standing === rows.filter((row) => row.lane.name !== "missed").length;
    if (standing) {
      const { box, label } = check("What lived throughout ", state.throughout, setThroughout);
      label.append(element("span", { className: "faint", textContent: standing.toLocaleString("en") }));
      throughoutBox = box;
      group.append(label);
    }
    bar.append(group);
    return bar;
  }

  function swatch(paint) {
    const made = element("canvas", { width: 28, height: 28 });
    const redo = () => {
      const context = made.getContext("2d"), surface = new CanvasSurface(context, screenTheme());
      context.setTransform(2, 0, 0, 2, 0, 0);
      surface.rect(0, 0, 14, 14, screenTheme().paper);
      paint(surface);
    };
    redo();
    for (const [target, name] of [[dark, "change"], [window, "beforeprint"], [window, "afterprint"]])
      target.addEventListener(name, redo);
    return made;
  }

  function legend() {
    const line = element("div", { className: "legend" });
    const add = (login, text) => {
      const one = element("button", { type: "button", title: `Only login user ${text}`, onclick: () => {
        state.user = state.user === login ? undefined : login;
        for (const other of line.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === one && state.user === login));
        redraw();
      } }, swatch((surface) => surface.rect(0, 0, 14, 14, colour({ lane: LANES[1], login }, surface.theme))), element("span", { textContent: text }));
      one.setAttribute("aria-pressed", "false");
      line.append(one);
    };
    if (users.counts.size) line.append(element("span", { className: "faint", textContent: "Login user" }));
    for (const name of users.named.slice(0, 24)) add(name, name);
    if (users.named.length > 24) line.append(element("span", { className: "faint", textContent: `and ${users.named.length - 24} more` }));
    if (users.counts.has(null)) add(null, "unset");
    for (const [source, text] of [["gaps", "gap"], ["unwatched", data.cut === null ? "not watched" : "not watched, or left out"]])
      if (rows.some((row) => row.source === source) || (source === "unwatched" && data.cut !== null))
        line.append(element("i", {}, swatch((surface) => surface.hatch(0, 0, 14, 14, source)), text));
    return line;
  }

  /* --- pointer and keys --- */

  const local = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  function hover(event) {
    const { x, y } = local(event), row = rowAt(x, y);
    state.pointer = { x, y };
    scroller.classList.toggle("over", Boolean(row));
    if (row) {
      state.hover = row;
      showCard(row, event.clientX, event.clientY);
    } else hideCard();
    redraw();
  }

  function dragTo(event) {
    const { x } = local(event), drag = state.drag;
    drag.moved = drag.moved || Math.abs(x - drag.from) > 4;
    drag.x = Math.min(Math.max(x, plot.left), plot.left + plot.width);
    if (drag.kind === "pan" && drag.moved) {
      const by = ((drag.from - x) / plot.width) * (drag.view.to - drag.view.from);
      setView(drag.view.from + by, drag.view.to + by);
    } else redraw();
  }

  function endDrag(event) {
    const drag = state.drag;
    state.drag = null;
    if (!drag) return;
    if (!drag.moved) {
      const { x, y } = local(event);
      select(rowAt(x, y));
    } else if (drag.kind === "span") {
      const [a, b] = [usAt(drag.from), usAt(drag.x)].sort((p, q) => p - q);
      setView(a, b);
    }
    redraw();
  }

  scroller.addEventListener("pointerdown", (event) => {
    if (event.target !== canvas || event.button > 1) return;
    const { x } = local(event);
    const isPan = event.pointerType === "touch" || event.shiftKey || event.button === 1;
    state.drag = { kind: isPan ? "pan" : "span", from: Math.max(x, plot.left), x, view: state.view, moved: false };
    canvas.setPointerCapture(event.pointerId);
    hideCard();
    if (event.button === 1) event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => (state.drag ? dragTo(event) : event.pointerType !== "touch" && hover(event)));
  canvas.addEventListener("pointerup", endDrag);
  canvas.addEventListener("pointercancel", () => {
    state.drag = null;
    redraw();
  });
  canvas.addEventListener("pointerleave", () => {
    state.pointer = null;
    hideCard();
    redraw();
  });
  scroller.addEventListener("scroll", () => {
    hideCard();
    redraw();
  });
  scroller.addEventListener("wheel", (event) => {
    const { x } = local(event);
    if (x < plot.left && !event.ctrlKey) return; /* beside the plot it scrolls, as everywhere */
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))
      pan(((event.deltaX || event.deltaY) * lines) / plot.width);
    else if (event.altKey) scroller.scrollTop += event.deltaY * lines;
    else zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY * lines * 0.0022))), x);
  }, { passive: false });

  const KEYS = {
    ArrowLeft: () => pan(-0.15), ArrowRight: () => pan(0.15), "+": () => zoom(0.5), "=": () => zoom(0.5),
    "-": () => zoom(2), 0: fitAll, j: () => step(1), k: () => step(-1),
    ArrowDown: () => (scroller.scrollTop += 40), ArrowUp: () => (scroller.scrollTop -= 40),
    PageDown: () => (scroller.scrollTop += scroller.clientHeight * 0.8), PageUp: () => (scroller.scrollTop -= scroller.clientHeight * 0.8),
    Home: () => (scroller.scrollTop = 0), End: () => (scroller.scrollTop = spacer.offsetHeight),
    Escape: () => select(null), Enter: () => state.selected && detail.querySelector("a, button").focus(),
  };
  scroller.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  detail.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    select(null);
    scroller.focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target === field || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    field.focus();
  });
  detail.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    select(byKey.get(link.getAttribute("href").slice(1)), true);
  });
  addEventListener("hashchange", () => select(byKey.get(location.hash.slice(1)) || null, true));
  addEventListener("resize", () => {
    tallest = 0;
    arrange();
    redraw();
  });
  /* The page's own scroll bar takes room without a word. */
  let seenWidth = 0;
  new ResizeObserver(() => {
    if (chart.clientWidth === seenWidth) return;
    seenWidth = chart.clientWidth;
    arrange();
    redraw();
  }).observe(chart);
  dark.addEventListener("change", redraw);

  /* --- on paper: lanes as SVG, each piece with its axis, then the rows of the view as a table --- */

  const paper = element("section", { id: "paper" });
  const PAPER_WIDTH = 1040, PAPER_TRACKS = 20, PAPER_ROWS = 1000;

  function paperLanes() {
    const view = state.view, sheet = { left: 116, width: PAPER_WIDTH - 116 };
    const placed = pack(view, sheet.width / (view.to - view.from), false, 0).lanes;
    return placed.flatMap((one) => {
      const pieces = [];
      for (let first = 0; first < Math.max(1, one.tracks); first += PAPER_TRACKS) {
        const list = one.list.filter((row) => row.track >= first && row.track < first + PAPER_TRACKS);
        const n = Math.min(PAPER_TRACKS, Math.max(1, one.tracks - first));
        pieces.push(paperPiece({ ...one, list, n, first }, view, sheet));
      }
      return pieces;
    });
  }

  function paperPiece(one, view, sheet) {
    const size = Math.max(40, one.n * one.height) + 12, bottom = AXIS + size;
    const surface = new SvgSurface(PAPER_WIDTH, bottom, THEMES.light);
    const piece = { ...one, y: AXIS, top: AXIS + 6 - one.first * one.height, size, head: 0 };
    drawAxis(surface, view, sheet, bottom);
    drawLane(surface, piece, view, sheet, { top: AXIS, bottom });
    return surface.svg;
  }

  function paperTable() {
    const seen = rows.filter((row) => isShown(row) && row.begin <= state.view.to && row.last >= state.view.from);
    const body = element("tbody");
    for (const row of seen.slice(0, PAPER_ROWS)) {
      const line = element("tr");
      for (const text of [moment(row.begin), row.end === null ? "goes on" : moment(row.end), KINDS[row.source],
        row.lane.name === "missed" ? "" : row.login === null ? "unset" : row.login, row.user ?? "", row.pid ?? "", row.text.slice(0, 1000)])
        line.append(element("td", { textContent: text }));
      body.append(line);
    }
    const head = element("tr");
    for (const text of ["Begin", "End", "Kind", "Login user", "User", "Pid", "What"]) head.append(element("th", { textContent: text }));
    const more = seen.length - PAPER_ROWS;
    return [element("h2", { textContent: `Rows (${seen.length.toLocaleString("en")})` }),
      element("table", {}, element("thead", {}, head), body),
      ...(more > 0 ? [element("p", { textContent: `${count(more, "further row")} of this view ${more === 1 ? "is" : "are"} not listed: print a shorter span, or ask for --format csv.` })] : [])];
  }

  addEventListener("beforeprint", () => {
    printing = true;
    const whole = `${moment(state.view.from)} to ${moment(state.view.to)} ${data.zone}`;
    paper.replaceChildren(element("p", { className: "faint", textContent: `Shown: ${whole}` }), ...paperLanes(), ...paperTable());
    arrange();
  });
  addEventListener("afterprint", () => {
    printing = false;
    paper.replaceChildren();
    arrange();
    redraw();
  });

  /* Where on the page a moment in a track of a lane is: for tests. */
  root.placeOf = (us, name, track) => {
    const placed = layout.lanes.find((one) => one.lane.name === name), box = canvas.getBoundingClientRect();
    return [Math.floor(box.left + xOf(us, state.view, plot)),
      Math.floor(box.top + AXIS + 1 - scroller.scrollTop + placed.top + (track + 0.5) * placed.height - 1)];
  };

  /* --- begin --- */

  function notes() {
    const list = [];
    const asked = [data.process ? `the tree of process ${data.process}` : "",
      data.loginUser ? `what login user ${data.loginUser} did` : ""].filter(Boolean).join(", ");
    if (asked) list.push(element("p", { className: "note", textContent: `Only ${asked}.` }));
    if (rows.every((row) => row.lane.name === "missed"))
      list.push(element("p", { className: "note", id: "nothing" }, element("b", { textContent: "Nothing was recorded in this window. " }),
        "Ask for another time with --since and --until; what was not seen is shaded."));
    if (data.cut !== null)
      list.push(element("p", { className: "note warn", textContent: `Only the first ${count(rows.filter((row) => row.lane.name !== "missed").length, "row")} are here: what began at ${moment(data.cut)} or later is left out.` }));
    return list;
  }

  const keys = element("p", { className: "note keys" });
  for (const [key, does] of [["Wheel", "zooms"], ["drag", "zooms to a span"], ["Shift+wheel", "moves in time"], ["Alt+wheel", "scrolls"],
    ["← →", "move"], ["+ −", "zoom"], ["0", "whole window"], ["j k", "next row, row before"], ["/", "search"]])
    keys.append(element("kbd", { textContent: key }), ` ${does}  `);

  empty.append(element("b", { textContent: "Nothing to show" }), element("div", { textContent: "All lanes are switched off." }));
  root.append(...notes(), tools(), legend(), stage, keys, card, paper);
  arrange();
  const asked = byKey.get(location.hash.slice(1));
  if (asked) select(asked, true);
  drawScreen();
})();

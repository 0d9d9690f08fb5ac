"use strict";
// The chosen task's results: place, report, words, song, video, posts. Text is only ever set as text, and links are
// only taken when they are http or https.

function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false && value !== "") e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.filter((c) => c !== undefined && c !== null && c !== ""));
  return e;
}

function safeURL(url) {
  try {
    return /^https?:$/.test(new URL(url, location.href).protocol) ? url : "";
  } catch {
    return "";
  }
}

function card(title, ...children) {
  return el("section", { class: "card" }, el("h2", {}, title), ...children);
}

function placeCard(place) {
  const facts = [place.category, place.road_address || place.address || place.region + " " + (place.detail_region_info || ""), place.phone];
  return card("Place",
    el("p", {}, el("b", {}, place.name), " ", el("span", { class: "muted" }, facts.filter(Boolean).join(" · "))),
    place.description ? el("details", {}, el("summary", {}, "Description"), el("p", {}, place.description)) : "",
    el("div", { class: "photos" }, ...place.images.map((i) => el("img", { src: safeURL(i.url), alt: "photo " + (i.position + 1), loading: "lazy" }))));
}

function reportCard(report) {
  return card("Marketing report",
    el("p", {}, el("b", {}, report.brand_identity.tagline), el("br"), report.brand_identity.concept),
    el("p", { class: "muted" }, report.market_positioning.position),
    el("ul", { class: "scores" }, ...report.selling_points.map((p) => el("li", {}, el("b", {}, p.title), el("meter", { min: 0, max: 100, value: p.score, title: p.score + " of 100" }),
      el("br"), el("span", { class: "muted" }, p.description)))),
    el("details", {}, el("summary", {}, "Who comes"), ...report.target_personas.map((p) => el("p", {}, el("b", {}, p.name + " (" + p.age_range + ") "), p.needs))),
    el("div", { class: "tags" }, ...report.target_keywords.map((k) => el("span", {}, k))));
}

// wordsOf gives the lines to show: the song's with their times, under the lyrics' sections where both have them.
function wordsOf(lyric, song) {
  const words = lyric ? lyric.lines : [];
  if (!song || song.lines.length === 0) return words.map((l) => ({ section: l.section, text: l.text }));
  const same = words.length === song.lines.length;
  return song.lines.map((l, i) => ({ section: same ? words[i].section : "", text: l.text, start: l.start, end: l.end }));
}

function lineList(lines, players) {
  const list = el("ul", { class: "lines" });
  const rows = [];
  let section = "";
  for (const line of lines) {
    if (line.section && line.section !== section) list.append(el("li", { class: "section" }, (section = line.section)));
    const row = el("li", { onclick: () => seek(players, line.start) }, line.text);
    rows.push({ row, start: line.start, end: line.end });
    list.append(row);
  }
  for (const player of players) follow(player, rows);
  return list;
}

function seek(players, start) {
  const player = players.find((p) => !p.paused) || players[0];
  if (!player || start === undefined) return;
  player.currentTime = start;
  player.play();
}

// follow marks the line that is sung now, for as long as the player plays.
function follow(player, rows) {
  const mark = () => {
    for (const r of rows) r.row.classList.toggle("sung", r.start !== undefined && player.currentTime >= r.start && player.currentTime < r.end);
    if (!player.paused && player.isConnected) requestAnimationFrame(mark);
  };
  player.addEventListener("play", mark);
  player.addEventListener("seeked", mark);
}

function showCard(lyric, song, video, edit) {
  const players = [];
  const left = el("div", {});
  if (video && safeURL(video.url)) {
    const player = el("video", { src: safeURL(video.url), poster: safeURL(video.cover_url || ""), controls: true, playsinline: true, preload: "metadata" });
    players.push(player);
    left.append(player, el("p", {}, el("a", { href: safeURL(video.url), download: true }, "Download"), " ",
      el("span", { class: "muted" }, video.width + " × " + video.height + ", " + Math.round(video.seconds) + " s")));
  }
  if (song && safeURL(song.audio_url)) {
    const player = el("audio", { src: safeURL(song.audio_url), controls: true, preload: "metadata" });
    players.push(player);
    left.append(player, el("p", { class: "muted" }, song.style || ""));
  }
  if (!players.length) left.append(el("p", { class: "muted" }, "The song and the video come here."));
  const right = el("div", {}, lyric ? el("h3", {}, lyric.title) : "", lineList(wordsOf(lyric, song), players),
    lyric ? el("p", {}, el("button", { type: "button", onclick: () => edit(lyric) }, "Edit the lyrics")) : "");
  return card("Song and video", el("div", { class: "show" }, left, right));
}

function postsCard(posts) {
  return card("Published", ...posts.map((p) => el("div", {},
    el("p", {}, el("b", {}, p.platform), " ", safeURL(p.url) ? el("a", { href: safeURL(p.url), target: "_blank", rel: "noopener noreferrer" }, p.url) : p.status),
    el("p", {}, p.title), el("details", {}, el("summary", {}, "Description"), el("pre", {}, p.description)))));
}

"use strict";
// The first page: submits tasks, lists them, and shows the chosen one live.

const $ = (id) => document.getElementById(id);
const state = { token: "", settings: {}, page: 1, chosen: "", tag: "", watching: null, results: {}, shown: "" };

class Problem extends Error {
  constructor(status, document) {
    super(document.detail || "The server answered " + status + ".");
    this.code = document.code;
    this.status = status;
  }
}

async function call(method, path, body, headers) {
  const options = { method, headers: { ...(state.token && { Authorization: "Bearer " + state.token }), ...headers } };
  if (body instanceof FormData) options.body = body;
  else if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  if (response.status === 304 || response.status === 204) return { response };
  const document = await response.json().catch(() => ({}));
  if (response.ok) return { response, document };
  if (response.status === 401 && path !== "/auth/dev/login" && (await login())) return call(method, path, body, headers);
  throw new Problem(response.status, document);
}

function notice(error) {
  $("notice").hidden = !error;
  $("notice").textContent = error ? error.message : "";
}

async function guarded(work) {
  try {
    await work();
    notice();
  } catch (error) {
    notice(error);
  }
}

// login gets a token by itself where the server allows that, and asks for one elsewhere.
async function login() {
  state.token = "";
  if (!state.settings.dev_login) {
    $("login").hidden = false;
    return false;
  }
  const { document } = await call("POST", "/auth/dev/login", { nickname: "owner" });
  state.token = document.access_token;
  $("who").textContent = document.user.nickname + " (development)";
  return true;
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  state.token = event.target.token.value.trim();
  $("login").hidden = true;
  guarded(list);
});

// The form.

// newKey works on plain http too, where randomUUID isn't offered.
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
}

let source = "url";
let key = newKey();
let keyed = "";

for (const tab of document.querySelectorAll(".tab")) {
  tab.addEventListener("click", () => {
    source = tab.dataset.source;
    document.querySelectorAll(".tab").forEach((t) => t.classList.toggle("on", t === tab));
    document.querySelectorAll("[data-for]").forEach((box) => (box.hidden = box.dataset.for !== source));
  });
}

async function uploaded(files) {
  const form = new FormData();
  for (const file of files) form.append("files", file);
  return (await call("POST", "/images", form)).document.images.map((i) => i.url);
}

async function order(form) {
  const chosen = (name) => [...form.querySelectorAll("input[name=" + name + "]:checked")].map((i) => i.value);
  const body = { language: form.language.value, orientation: form.orientation.value, hold_after: chosen("hold"), music: {},
    publish: chosen("publish").map((platform) => ({ platform, privacy: form.privacy.value })) };
  for (const name of ["genre", "mood", "vocal", "tempo"]) if (form[name].value.trim()) body.music[name] = form[name].value.trim();
  if (source === "url") body.url = form.url.value.trim();
  else {
    body.place = { name: form.elements.name.value.trim(), region: form.region.value.trim(), images: await uploaded(form.photos.files) };
    if (form.detail.value.trim()) body.place.detail_region_info = form.detail.value.trim();
  }
  return body;
}

$("submit").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("go").disabled = true;
  $("refusal").textContent = "";
  try {
    const body = await order(event.target);
    const text = JSON.stringify(body);
    if (keyed && keyed !== text) key = newKey();
    keyed = text;
    const { document } = await call("POST", "/tasks", body, { "Idempotency-Key": key });
    key = newKey();
    keyed = "";
    state.page = 1;
    await list();
    choose(document.task_id);
  } catch (error) {
    $("refusal").textContent = error.message;
  }
  $("go").disabled = false;
});

// The list.

async function list() {
  if (!state.token) return;
  const { document: found } = await call("GET", "/tasks?page_size=8&page=" + state.page);
  $("total").textContent = found.total || "";
  $("newer").disabled = !found.has_prev;
  $("older").disabled = !found.has_next;
  $("tasks").replaceChildren(...found.items.map((t) => el("li", {},
    el("button", { type: "button", class: t.task_id === state.chosen ? "on" : "", onclick: () => choose(t.task_id) },
      el("span", { class: "name" }, t.name),
      el("span", { class: "muted" }, el("i", { class: "lamp " + lampOf(t.status) }), " " + t.status +
        (t.status === "processing" ? ": " + t.stage : "") + " · " + new Date(t.created_at).toLocaleString())))));
}

function lampOf(status) {
  return status === "pending" ? "" : status;
}

$("newer").addEventListener("click", () => { state.page--; guarded(list); });
$("older").addEventListener("click", () => { state.page++; guarded(list); });

// The chosen task.

function choose(taskID) {
  if (state.watching) state.watching.abort();
  Object.assign(state, { chosen: taskID, tag: "", results: {}, shown: "", watching: new AbortController() });
  history.replaceState(null, "", "#" + taskID);
  $("task").replaceChildren(el("section", { class: "card empty" }, el("p", { class: "muted" }, "Loading …")));
  guarded(refresh);
  guarded(list);
  watch(taskID, state.watching.signal);
}

async function refresh() {
  const taskID = state.chosen;
  const { response, document: task } = await call("GET", "/tasks/" + taskID, undefined, state.tag && { "If-None-Match": state.tag });
  if (response.status === 304 || taskID !== state.chosen) return;
  state.tag = response.headers.get("ETag");
  for (const stage of task.stages) await result(task, stage);
  if (taskID === state.chosen) show(task);
}

// result loads what a stage has made, once for each revision.
async function result(task, stage) {
  const had = state.results[stage.stage];
  if (!stage.links.result || (had && had.revision === stage.revision)) return;
  const { document: found } = await call("GET", stage.links.result);
  if (task.task_id === state.chosen) state.results[stage.stage] = { revision: stage.revision, made: found[stage.stage] };
}

function show(task) {
  const head = el("section", { class: "card" },
    el("div", { class: "head" }, el("h1", {}, task.name), el("span", {}, el("i", { class: "lamp " + lampOf(task.status) }), " " + task.status),
      el("div", { class: "actions" }, ...actions(task))),
    el("p", { class: "muted" }, task.language + " · " + task.orientation + " · " + new Date(task.created_at).toLocaleString() + " · " + task.task_id),
    task.reason ? el("p", { class: "bad reason" }, task.code + ": " + task.reason) : "",
    el("ol", { class: "stages" }, ...task.stages.map(lamp)));
  const old = $("task").firstElementChild;
  const made = JSON.stringify(Object.entries(state.results).map(([s, r]) => s + r.revision));
  if (made === state.shown && old) return old.replaceWith(head); // don't stop a player that plays
  state.shown = made;
  const form = $("task").querySelector("form"); // words that are being edited stay
  $("task").replaceChildren(head, ...(form ? [form] : []), ...cards());
}

function cards() {
  const made = (stage) => state.results[stage] && state.results[stage].made;
  const list = [];
  if (made("lyric") || made("song") || made("video")) list.push(showCard(made("lyric"), made("song"), made("video"), editLyric));
  if (made("upload")) list.push(postsCard(made("upload")));
  if (made("crawl")) list.push(placeCard(made("crawl")));
  if (made("intel")) list.push(reportCard(made("intel")));
  return list;
}

function lamp(stage) {
  const words = stage.status === "waiting" ? "a provider is working" : stage.status;
  const soon = stage.next_at ? ", next look " + new Date(stage.next_at).toLocaleTimeString() : "";
  const tries = stage.attempt > 1 ? ", attempt " + stage.attempt : "";
  return el("li", {}, el("b", {}, el("i", { class: "lamp " + lampOf(stage.status) }), stage.stage),
    el("span", { class: "muted" }, words + tries + soon + (stage.revision > 1 ? ", revision " + stage.revision : "")),
    stage.reason ? el("p", { class: stage.status === "failed" ? "bad reason" : "muted reason" }, stage.reason) : "",
    stage.links.retry ? el("button", { type: "button", onclick: () => command("POST", stage.links.retry) }, "Retry") : "",
    stage.links.rerun && !stage.links.retry ? el("button", { type: "button", onclick: () => rerun(stage) }, "Again") : "");
}

function actions(task) {
  const buttons = [];
  if (task.links.resume) buttons.push(el("button", { type: "button", class: "main", onclick: () => command("POST", task.links.resume) }, "Go on"));
  if (task.links.cancel) buttons.push(el("button", { type: "button", onclick: () => command("POST", task.links.cancel) }, "Cancel"));
  else buttons.push(el("button", { type: "button", onclick: () => remove(task) }, "Delete"));
  return buttons;
}

function command(method, path, body) {
  return guarded(async () => {
    await call(method, path, body);
    await refresh();
    await list();
  });
}

function rerun(stage) {
  if (confirm("Make the " + stage.stage + " again, and what depends on it? This may cost.")) command("POST", stage.links.rerun, {});
}

function remove(task) {
  if (!confirm("Delete this video from the list?")) return;
  guarded(async () => {
    await call("DELETE", task.links.self);
    state.watching.abort();
    state.chosen = "";
    history.replaceState(null, "", "#");
    $("task").replaceChildren(el("section", { class: "card empty" }, el("p", { class: "muted" }, "Deleted.")));
    await list();
  });
}

function editLyric(lyric) {
  const title = el("input", { maxlength: 80 });
  const text = el("textarea", { maxlength: 5000 });
  title.value = lyric.title;
  text.value = lyric.text;
  const refusal = el("p", { class: "bad", role: "alert" });
  const form = el("form", { class: "card" }, el("h2", {}, "Sing other words"), el("label", {}, "Title", title), el("label", {}, "Lyrics", text),
    el("button", { class: "main" }, "Sing this"), " ", el("button", { type: "button", onclick: () => form.remove() }, "Leave it"), refusal);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await call("PUT", "/tasks/" + state.chosen + "/lyric", { title: title.value.trim(), text: text.value });
      form.remove();
      await refresh();
    } catch (error) {
      refusal.textContent = error.message;
    }
  });
  $("task").firstElementChild.after(form);
  text.focus();
}

// Events. EventSource can't send a token, so the stream is read by hand; after a cut it goes on after the last event.

async function watch(taskID, signal) {
  let last = "";
  for (let rest = 1000; !signal.aborted; rest = Math.min(rest * 2, 15000)) {
    try {
      const headers = { Authorization: "Bearer " + state.token, ...(last && { "Last-Event-ID": last }) };
      const response = await fetch("/tasks/" + taskID + "/events", { headers, signal });
      if (response.status === 401) await login();
      if (response.status === 404) return;
      if (response.ok) {
        for await (const id of ids(response.body)) {
          last = id;
          rest = 1000;
          soon();
        }
      }
    } catch {
      // cut, or another task was chosen
    }
    await new Promise((done) => setTimeout(done, rest));
  }
}

async function* ids(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      const id = /^id: (\d+)$/m.exec(event);
      if (id) yield id[1];
    }
  }
}

// soon joins the events of one moment to one look.
let looking = 0;
function soon() {
  clearTimeout(looking);
  looking = setTimeout(() => guarded(async () => { await refresh(); await list(); }), 120);
}

async function main() {
  state.settings = await (await fetch("/page/settings.json")).json();
  document.querySelector(".tab[data-source=place]").hidden = !state.settings.images;
  await guarded(async () => {
    await login();
    await list();
  });
  if (/^#[0-9a-f-]{36}$/.test(location.hash)) choose(location.hash.slice(1));
  setInterval(() => { if (!document.hidden) guarded(list); }, 5000);
}

main();

"use strict";
// Renders /openapi.json. Text is only ever set as text.

function element(tag, text, className) {
  const e = document.createElement(tag);
  if (text) e.textContent = text;
  if (className) e.className = className;
  return e;
}

function resolve(doc, schema) {
  while (schema && schema.$ref) schema = doc.components.schemas[schema.$ref.split("/").pop()];
  return schema || {};
}

function typeOf(doc, schema) {
  const s = resolve(doc, schema);
  const type = [].concat(s.type || "any").filter((t) => t !== "null").join(" or ");
  if (s.items) return "list of " + typeOf(doc, s.items);
  if (s.enum) return s.enum.join(" | ");
  return s.format ? type + " (" + s.format + ")" : type;
}

function fields(doc, schema, depth) {
  const s = resolve(doc, schema);
  const list = element("ul", "", "fields");
  for (const [name, property] of Object.entries(s.properties || {})) {
    const item = element("li");
    item.append(element("code", name), " ", element("span", typeOf(doc, property), "muted"));
    if ((s.required || []).includes(name)) item.append(element("b", " required"));
    if (property.default !== undefined) item.append(element("span", " = " + property.default, "muted"));
    if (property.description) item.append(element("p", property.description));
    const inner = resolve(doc, resolve(doc, property).items || property);
    if (inner.properties && depth < 3) item.append(fields(doc, inner, depth + 1));
    list.append(item);
  }
  return list;
}

function part(doc, title, schema) {
  const box = element("details");
  box.append(element("summary", title), fields(doc, schema, 0));
  return box;
}

function show(doc, path, method, op) {
  const card = element("section", "", "card operation");
  const head = element("h3");
  head.append(element("span", method.toUpperCase(), "method " + method), " ", element("code", path));
  card.append(head, element("p", op.summary));
  if (op.description) card.append(element("p", op.description, "muted"));
  if (!op.security) card.append(element("p", "No token needed.", "muted"));
  const list = element("ul", "", "fields");
  for (const p of op.parameters || []) {
    const item = element("li");
    item.append(element("code", p.name), " ", element("span", p.in + ", " + typeOf(doc, p.schema), "muted"));
    if (p.description) item.append(element("p", p.description));
    list.append(item);
  }
  card.append(list);
  const body = op.requestBody && op.requestBody.content["application/json"];
  if (body) card.append(part(doc, "Body", body.schema));
  for (const [status, response] of Object.entries(op.responses || {})) {
    const content = Object.values(response.content || {})[0];
    if (content && content.schema && status < 300) card.append(part(doc, "Answer " + status, content.schema));
    else if (status < 300) card.append(element("p", "Answer " + status, "muted"));
  }
  return card;
}

async function main() {
  const here = location.origin;
  document.getElementById("sample").textContent =
    "TOKEN=$(curl -s " + here + "/auth/dev/login -H 'Content-Type: application/json' -d '{\"nickname\":\"me\"}' | sed 's/.*\"access_token\":\"\\([^\"]*\\).*/\\1/')\n" +
    "curl -i " + here + "/tasks -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\\n" +
    "  -H 'Idempotency-Key: my-first-video' -d '{\"url\":\"https://map.naver.com/p/entry/place/1133638931\",\"publish\":[{\"platform\":\"youtube\"}]}'\n" +
    "curl -N " + here + "/tasks/TASK_ID/events -H \"Authorization: Bearer $TOKEN\"";
  const doc = await (await fetch("/openapi.json")).json();
  const out = document.getElementById("operations");
  for (const [path, methods] of Object.entries(doc.paths))
    for (const [method, op] of Object.entries(methods)) out.append(show(doc, path, method, op));
  const codes = document.getElementById("codes");
  for (const [code, text] of Object.entries(doc["x-problem-codes"])) {
    const term = element("dt");
    term.id = code;
    term.append(element("code", code));
    codes.append(term, element("dd", text));
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

main();

// The page shows how things stand: it asks for itself again, and keeps what was opened and what is being written.
const pause = 800;
const touched = new Map();

document.addEventListener("toggle", (e) => { if (e.target.id) touched.set(e.target.id, e.target.open); }, true);

function busy(main) {
  const at = document.activeElement;
  if (at && main.contains(at) && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName)) return true;
  return [...main.querySelectorAll("textarea, input:not([type=hidden])")].some((f) => f.value !== f.defaultValue);
}

async function renew() {
  const main = document.querySelector("main");
  if (document.body.dataset.page === "edit" || busy(main)) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  if (!fresh || busy(main)) return;
  for (const d of fresh.querySelectorAll("details[id]")) if (touched.has(d.id)) d.open = touched.get(d.id);
  if (fresh.innerHTML === main.innerHTML) return;
  main.replaceChildren(...fresh.childNodes);
}

async function loop() {
  try { await renew(); } catch { /* the double was stopped; it may come back */ }
  setTimeout(loop, pause);
}
setTimeout(loop, pause);
document.body.dataset.ready = "true";

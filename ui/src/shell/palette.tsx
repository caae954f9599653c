// The palette: areas, what was looked at lately, what this page can do, and what the server finds for a text.
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "./api.ts";
import { commands } from "./keys.tsx";
import { rank } from "./rank.ts";
import { visited } from "./visited.ts";

interface Entry {
  kind: string;
  title: string;
  detail: string;
  go: string | (() => void);
}

interface Found {
  hits: { kind: string; title: string; detail: string; href: string }[];
}

const areas = (): Entry[] =>
  [...document.querySelectorAll<HTMLAnchorElement>("#areas .drop a, #repos .drop a")].map((a) => ({
    kind: a.closest("#repos") ? "repository" : "go to",
    title: a.querySelector(".name")!.textContent!,
    detail: a.dataset["go"] ? `g ${a.dataset["go"]}` : "",
    go: a.getAttribute("href")!,
  }));

function local(text: string): Entry[] {
  const all: Entry[] = [
    ...visited().map((p) => ({ kind: "recent", title: p.title, detail: "", go: p.path })),
    ...areas(),
    ...commands().map((c) => ({ kind: "do", title: c.what, detail: c.keys[0]!.replace(">", " "), go: c.run })),
  ];
  if (text === "") return all.slice(0, 40);
  return all
    .map((e) => ({ e, r: rank(e.title, text) }))
    .filter(({ r }) => r >= 0 && r < 3 + text.length * 4)
    .sort((a, b) => a.r - b.r)
    .map(({ e }) => e)
    .slice(0, 12);
}

function searches(text: string): Entry[] {
  const repo = document.body.dataset["repo"];
  const q = encodeURIComponent(text);
  const list: Entry[] = [];
  if (repo) list.push({ kind: "search", title: `Tasks of ${repo} with “${text}”`, detail: "", go: `/jobs?repo=${encodeURIComponent(repo)}&searchStr=${q}` });
  for (const [path, what] of [["/hooks", "Hooks"], ["/worker-manager", "Workers"], ["/auth/clients", "Clients"]] as const) {
    if (document.querySelector(`#areas a[href="${path}"]`)) list.push({ kind: "search", title: `${what} with “${text}”`, detail: "", go: `${path}?q=${q}` });
  }
  return list;
}

function Palette({ close }: { close: () => void }) {
  const [text, setText] = useState("");
  const [hits, setHits] = useState<Entry[]>([]);
  const [at, setAt] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const key = text.trim().toLowerCase();
  const entries = [...hits, ...local(key), ...(key === "" ? [] : searches(text.trim()))];

  useEffect(() => {
    setHits([]);
    if (key.length < 2) return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      get<Found>(`/ui/api/find?q=${encodeURIComponent(text.trim())}`, abort.signal).then(
        (found) => setHits(found.hits.map((h) => ({ kind: h.kind, title: h.title, detail: h.detail, go: h.href }))),
        () => {}, // what is here already stays
      );
    }, 60);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [key]);

  const choose = (entry: Entry | undefined): void => {
    if (!entry) return;
    close();
    if (typeof entry.go === "string") location.assign(entry.go);
    else entry.go();
  };
  const move = (to: number): void => {
    const next = (to + entries.length) % Math.max(1, entries.length);
    setAt(next);
    list.current?.children[next]?.scrollIntoView({ block: "nearest" });
  };
  return (
    <>
      <input
        class="input" type="text" role="combobox" aria-label="Go to, do or find" aria-expanded="true" aria-controls="palette-list" autocomplete="off" spellcheck={false}
        aria-activedescendant={entries.length > 0 ? `palette-${at}` : undefined} placeholder="Go to, do or find" value={text}
        onInput={(e) => {
          setText(e.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={(e) => {
          if (e.key === "ArrowDown") move(at + 1);
          else if (e.key === "ArrowUp") move(at - 1);
          else if (e.key === "Enter") choose(entries[at]);
          else return;
          e.preventDefault();
        }}
      />
      {entries.length === 0 ? (
        <p class="none">Nothing is called so.</p>
      ) : (
        <ul id="palette-list" role="listbox" aria-label="What there is" ref={list}>
          {entries.map((e, i) => (
            <li key={i} id={`palette-${i}`} role="option" aria-selected={i === at} onClick={() => choose(e)} onMouseMove={() => i !== at && setAt(i)}>
              <span class="kind">{e.kind}</span>
              <span class="title">{e.title}</span>
              {e.detail !== "" && <span class="detail">{e.detail}</span>}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

let dialog: HTMLDialogElement | undefined;

// Everything at once: keys that follow must not meet what is left of it.
function close(): void {
  if (!dialog) return;
  render(null, dialog);
  dialog.close();
}

export function toggle(): void {
  if (dialog?.open) {
    close();
    return;
  }
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.className = "palette";
    dialog.setAttribute("aria-label", "Palette");
    dialog.addEventListener("click", (e) => {
      if (e.target === dialog) close();
    });
    dialog.addEventListener("cancel", (e) => {
      e.preventDefault();
      close();
    });
    document.body.append(dialog);
  }
  render(<Palette close={close} />, dialog);
  dialog.showModal();
  dialog.querySelector("input")?.focus();
}

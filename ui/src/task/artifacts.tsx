// The artifacts of a run: a table of a few, a window of rows of many.
import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import type { Artifact, TaskData } from "../shell/data.ts";
import { Icon, When } from "../shell/look.tsx";
import { Rows } from "../shell/rows.ts";
import { absolute, bytes, now } from "../shell/time.ts";
import { setQuery, query } from "../shell/url.ts";
import { Load } from "./load.tsx";

const ROW = 32;
const WINDOWED = 100; // from so many on

type Order = "name" | "size" | "contentType" | "expires";

const word = signal(query().get("artifact") ?? "");
const order = signal<Order>("name");
const down = signal(false);

export function Artifacts({ d }: { d: TaskData }) {
  if (d.artifactCount === 0) return <p class="muted">{d.runs.length === 0 ? "The task has not run: there are no artifacts yet." : "This run has no artifacts yet."}</p>;
  if (d.artifactCount > d.artifacts.length) {
    return (
      <Load<{ artifacts: Artifact[] }> path={`/ui/api/tasks/${d.id}/artifacts?run=${d.run}`} again={d.artifactCount}>
        {({ artifacts }) => <Filtered list={artifacts} />}
      </Load>
    );
  }
  return <Filtered list={d.artifacts} />;
}

function Filtered({ list }: { list: Artifact[] }) {
  const w = word.value.toLowerCase();
  const some = w === "" ? [...list] : list.filter((a) => a.name.toLowerCase().includes(w));
  const by = order.value;
  if (by !== "name" || down.value) {
    some.sort((a, b) => (down.value ? -1 : 1) * (typeof a[by] === "number" ? (a[by] as number) - (b[by] as number) : String(a[by]).localeCompare(String(b[by]))));
  }
  return (
    <>
      {list.length > 10 && (
        <div class="toolbar">
          <input
            class="input" type="search" data-find placeholder="Filter by name" aria-label="Filter artifacts" value={word.value}
            onInput={(e) => {
              word.value = e.currentTarget.value;
              setQuery({ artifact: word.value || null });
            }}
          />
          <span class="muted small num artifact-count" role="status">{some.length.toLocaleString()} of {list.length.toLocaleString()}</span>
        </div>
      )}
      {some.length === 0 ? <p class="muted">No artifact's name holds “{word.value}”.</p> : some.length > WINDOWED ? <Window list={some} /> : <div class="card"><ArtifactTable list={some} sortable /></div>}
    </>
  );
}

/** How an artifact stands: a link when there is something behind it. */
function Name({ a }: { a: Artifact }) {
  if (a.expires < now.value) return <span class="muted">{a.name} <span class="gone">expired on {absolute(a.expires)}</span></span>;
  if (!a.present) return <span class="muted">{a.name} ({a.type === "error" ? "not made" : "on its way"})</span>;
  return <><a href={a.log || a.href}>{a.name}</a>{a.log && <> <a class="small muted" href={a.href}>raw</a></>}</>;
}

function Head({ name, by, num }: { name: string; by: Order; num?: boolean }) {
  const here = order.value === by;
  return (
    <th class={num ? "num" : undefined} aria-sort={here ? (down.value ? "descending" : "ascending") : undefined}>
      <button
        type="button" class="sort"
        onClick={() => {
          down.value = here ? !down.value : by === "size";
          order.value = by;
        }}
      >
        {name}{here && (down.value ? " ↓" : " ↑")}
      </button>
    </th>
  );
}

export function ArtifactTable({ list, sortable }: { list: Artifact[]; sortable?: boolean }) {
  return (
    <div class="table-box">
      <table class="list artifacts">
        <thead>
          {sortable
            ? <tr><Head name="Name" by="name" /><Head name="Size" by="size" num /><Head name="Type" by="contentType" /><Head name="Expires" by="expires" /></tr>
            : <tr><th>Name</th><th class="num">Size</th><th>Type</th><th>Expires</th></tr>}
        </thead>
        <tbody>
          {list.map((a) => (
            <tr key={a.name}>
              <td><Icon name={a.log ? "log" : "file"} /> <Name a={a} /></td>
              <td class="num" title={a.sha256 ? `sha256 ${a.sha256}` : undefined}>{bytes(a.size)}</td>
              <td class="muted">{a.contentType}</td>
              <td class="muted nowrap"><When at={a.expires} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

// Window shows many: only the rows in view are in the page.
function Window({ list }: { list: Artifact[] }) {
  const box = useRef<HTMLDivElement>(null);
  const rows = useRef<Rows | undefined>(undefined);
  const shown = useRef(list);
  shown.current = list;
  useEffect(() => {
    rows.current = new Rows(box.current!, { height: ROW, overscan: 15, draw: (i) => drawn(shown.current[i]!, i) });
    return () => rows.current?.stop();
  }, []);
  useEffect(() => rows.current?.set(list.length), [list]);
  return (
    <div class="card">
      <div class="artifact-rows" ref={box} tabIndex={0} role="table" aria-label="Artifacts" aria-rowcount={list.length} />
    </div>
  );
}

function drawn(a: Artifact, i: number): HTMLElement {
  const row = document.createElement("div");
  row.className = "a-row";
  row.setAttribute("role", "row");
  row.setAttribute("aria-rowindex", String(i + 1));
  const cell = (text: string, cls = ""): HTMLElement => {
    const c = document.createElement("span");
    c.setAttribute("role", "cell");
    c.className = cls;
    c.textContent = text;
    row.append(c);
    return c;
  };
  const gone = a.expires < Date.now();
  const name = cell("", "name");
  if (a.present && !gone) {
    const link = document.createElement("a");
    link.href = a.log || a.href;
    link.textContent = a.name;
    name.append(link);
  } else {
    name.textContent = a.name;
    name.classList.add("muted");
  }
  cell(bytes(a.size), "num");
  cell(gone ? `expired on ${absolute(a.expires)}` : a.present ? a.contentType : a.type === "error" ? "not made" : "on its way", "muted");
  return row;
}

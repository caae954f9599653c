// What lies around a task: what it needs, what needs it, and both as a graph of two steps.
import { useEffect, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { get } from "../shell/api.ts";
import type { Neighbour, TaskData } from "../shell/data.ts";
import { Status } from "../shell/look.tsx";
import { plural } from "../shell/time.ts";
import { query, setQuery } from "../shell/url.ts";
import { Load } from "./load.tsx";

interface Found {
  tasks: Neighbour[];
  matching: number;
  all: number;
  from: number;
}

interface Node extends Neighbour {
  distance: number;
}

interface Around {
  nodes: Node[];
  edges: [string, string][];
  cut: boolean;
}

export function Dependencies({ d }: { d: TaskData }) {
  return (
    <>
      <div class="columns even">
        <Needs d={d} />
        <NeededBy d={d} />
      </div>
      <h2 class="around-title">Two steps around it</h2>
      <Load<Around> path={`/ui/api/tasks/${d.id}/around`} again={key(d)}>{(a) => <Graph a={a} me={d.id} />}</Load>
    </>
  );
}

// key changes when what is around has moved.
const key = (d: TaskData): string => [d, ...d.dependencies, ...d.dependents].map((n) => n.stateText).join();

function List({ list }: { list: Neighbour[] }) {
  return (
    <table class="list">
      <tbody>
        {list.map((n) => (
          <tr key={n.id}>
            <td><a href={`/tasks/${n.id}`}>{n.name || n.id}</a></td>
            <td class="num"><Status state={n.state} text={n.stateText} /></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const needsWord = signal("");

function Needs({ d }: { d: TaskData }) {
  const w = needsWord.value.toLowerCase();
  const some = d.dependencies.filter((n) => `${n.name} ${n.id} ${n.stateText}`.toLowerCase().includes(w));
  return (
    <section class="card" aria-label="Depends on">
      <header><h2>Depends on</h2><span class="muted">{d.dependencies.length > 0 && d.dependencies.length}</span></header>
      {d.dependencies.length > 25 && (
        <div class="body"><input class="input" type="search" placeholder="Filter" aria-label="Filter dependencies" onInput={(e) => (needsWord.value = e.currentTarget.value)} /></div>
      )}
      {d.dependencies.length === 0 && <p class="body muted">Depends on nothing.</p>}
      <List list={some.slice(0, 200)} />
      {some.length > 200 && <p class="body muted small">{some.length - 200} more: filter to see them.</p>}
      {d.requires === "all-resolved" && d.dependencies.length > 0 && <p class="body muted small">Runs when all of them have ended, whatever the outcome.</p>}
    </section>
  );
}

function NeededBy({ d }: { d: TaskData }) {
  const [words, setWords] = useState(query().get("dependent") ?? "");
  const [from, setFrom] = useState(0);
  const [found, setFound] = useState<Found | null>(null);
  const many = d.moreDependents;
  useEffect(() => {
    if (!many) return;
    const stop = new AbortController();
    const timer = setTimeout(() => {
      get<Found>(`/ui/api/tasks/${d.id}/dependents?${new URLSearchParams({ q: words, from: String(from) })}`, stop.signal).then(setFound, () => undefined);
    }, words === "" ? 0 : 120);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [d.id, many, words, from, key(d)]);
  const list = many && found ? found.tasks : d.dependents;
  return (
    <section class="card" id="dependents" aria-label="Needed by">
      <header><h2>Needed by</h2><span class="muted num">{many ? found?.all.toLocaleString() : list.length > 0 && list.length}</span></header>
      {many && (
        <div class="body">
          <input
            class="input" type="search" placeholder="Filter by name, id or state" aria-label="Filter dependents" value={words}
            onInput={(e) => {
              setFrom(0);
              setWords(e.currentTarget.value);
              setQuery({ dependent: e.currentTarget.value || null });
            }}
          />
        </div>
      )}
      {list.length === 0 && <p class="body muted">{many ? "No dependent matches." : "Nothing depends on it."}</p>}
      <List list={list} />
      {many && found && found.matching > list.length && (
        <p class="body toolbar">
          <button type="button" class="button" disabled={from === 0} onClick={() => setFrom(Math.max(0, from - 25))}>Before</button>
          <button type="button" class="button" disabled={from + 25 >= found.matching} onClick={() => setFrom(from + 25)}>Next</button>
          <span class="muted small num">{from + 1} to {from + list.length} of {found.matching.toLocaleString()}</span>
        </p>
      )}
    </section>
  );
}

const NODE_W = 190;
const NODE_H = 34;

interface Placed {
  width: number;
  height: number;
  at: Map<string, { x: number; y: number }>;
  lines: string[];
}

async function place(a: Around): Promise<Placed> {
  const dagre = await import("@dagrejs/dagre");
  const g = new dagre.graphlib.Graph();
  g.setGraph({ rankdir: "LR", nodesep: 10, ranksep: 46, marginx: 6, marginy: 6 });
  g.setDefaultEdgeLabel(() => ({}));
  for (const n of a.nodes) g.setNode(n.id, { width: NODE_W, height: NODE_H });
  for (const [from, to] of a.edges) g.setEdge(from, to);
  dagre.layout(g);
  const size = g.graph();
  return {
    width: size.width ?? NODE_W,
    height: size.height ?? NODE_H,
    at: new Map(a.nodes.map((n) => [n.id, { x: g.node(n.id).x, y: g.node(n.id).y }])),
    lines: g.edges().map((e) => g.edge(e).points.map((p: { x: number; y: number }, i: number) => `${i ? "L" : "M"}${p.x.toFixed(1)} ${p.y.toFixed(1)}`).join("")),
  };
}

const STEPS: [number, string][] = [[-2, "Two steps before"], [-1, "Needed by it"], [1, "Needs it"], [2, "Two steps behind"]];

// Graph is drawn; the list below says the same in words.
function Graph({ a, me }: { a: Around; me: string }) {
  const [placed, setPlaced] = useState<Placed | null>(null);
  useEffect(() => {
    let here = true;
    void place(a).then((p) => here && setPlaced(p));
    return () => void (here = false);
  }, [a]);
  if (a.nodes.length < 2) return <p class="muted">It stands alone: it depends on nothing and nothing depends on it.</p>;
  return (
    <>
      {placed && (
        <div class="around card" tabIndex={0} role="group" aria-label="Graph of the tasks around it; the list below says the same">
          <svg width={placed.width} height={placed.height} aria-hidden="true">
            {placed.lines.map((d, i) => <path key={i} d={d} />)}
            {a.nodes.map((n) => {
              const at = placed.at.get(n.id)!;
              return (
                <a key={n.id} href={`/tasks/${n.id}`} tabIndex={-1}>
                  <g transform={`translate(${at.x - NODE_W / 2} ${at.y - NODE_H / 2})`} class={`node nd-${n.state}${n.id === me ? " me" : ""}`}>
                    <title>{n.name}: {n.stateText}</title>
                    <rect width={NODE_W} height={NODE_H} rx="5" />
                    <text x="10" y="14">{cut(n.name || n.id)}</text>
                    <text x="10" y="27" class="state">{n.stateText}</text>
                  </g>
                </a>
              );
            })}
          </svg>
        </div>
      )}
      <details class="around-list">
        <summary>The same as a list</summary>
        {STEPS.map(([distance, title]) => {
          const list = a.nodes.filter((n) => n.distance === distance);
          return list.length > 0 && <section key={distance}><h3>{title}</h3><List list={list} /></section>;
        })}
      </details>
      {a.cut && <p class="muted small">{plural(a.nodes.length, "task")} are drawn; there are more.</p>}
    </>
  );
}

const cut = (s: string): string => (s.length > 27 ? s.slice(0, 26) + "…" : s);

import { useEffect, useState } from "preact/hooks";
import { get, Refused } from "../shell/api.ts";
import { bootOf, type State } from "../shell/data.ts";
import { STATES, WORD } from "../shell/look.tsx";
import type { Around, Graph } from "./data.ts";
import type { Layout } from "./layout.ts";
import { chooseKind, chosen, focus, focusOn, graph, group, listed } from "./model.ts";

interface Node {
  key: string;
  name: string;
  about: string;
  state: State | "";
  href?: string;
  open?: () => void;
  focus?: boolean;
}

interface Drawn {
  nodes: Node[];
  edges: [number, number][];
  layout: Layout;
}

async function place(nodes: Node[], edges: [number, number][]): Promise<Drawn> {
  const { layout } = await import("./layout.ts"); // only who looks at a graph loads what lays it out
  return { nodes, edges, layout: layout(nodes.length, edges) };
}

function ofKinds(g: Graph): Promise<Drawn> {
  const nodes = g.kinds.map((k): Node => {
    const states = STATES.filter((s) => k.states[s]);
    const about = `${k.tasks.toLocaleString()} ${k.tasks === 1 ? "task" : "tasks"}` + (states[0] && states[0] !== "passed" ? `, ${k.states[states[0]]} ${WORD[states[0]]}` : states[0] ? ", passed" : "");
    const node: Node = { key: k.name, name: k.name, about, state: states[0] ?? "" };
    return k.other ? node : { ...node, open: () => chooseKind(k.name) };
  });
  return place(nodes, g.edges.map((e) => [e.from, e.to]));
}

async function around(id: string): Promise<Drawn> {
  const a = await get<Around>(`/ui/api/groups/${group.value.id}/around?task=${encodeURIComponent(id)}`);
  const nodes = a.nodes.map((n, i): Node => {
    if (n.more) return { key: `more-${i}`, name: `${n.more.toLocaleString()} more`, about: n.step < 0 ? "needed" : "need it", state: "" };
    return { key: n.id, name: n.name, about: n.state ? WORD[n.state] : "", state: n.state, href: `/tasks/${n.id}`, focus: n.step === 0, open: () => focusOn(n.id) };
  });
  return place(nodes, a.edges);
}

export function GraphView() {
  const [drawn, draw] = useState<Drawn | null>(null);
  const [problem, say] = useState("");
  const g = graph.value;
  const id = focus.value;
  useEffect(() => {
    let gone = false;
    const wanted = id ? around(id) : g ? ofKinds(g) : null;
    wanted?.then((d) => {
      if (gone) return;
      say("");
      draw(d);
    }, (error: unknown) => {
      if (!gone) say(error instanceof Refused ? error.message : "The server cannot be reached.");
    });
    return () => {
      gone = true;
    };
  }, [g, id]);
  const at = listed.value[chosen.value];
  return (
    <div class="graph">
      <div class="toolbar">
        <span class="muted small grow">{id ? "What a task needs and who needs it, two steps each way. Click a task to put it in the middle." : "Kinds of tasks; an arrow leads from what is needed to who needs it. Click a kind for its tasks."}</span>
        {id && <button type="button" class="button quiet" onClick={() => focusOn("")}>All kinds</button>}
        {id && <a class="button quiet" href={`/tasks/${id}`}>Open the task</a>}
        {!id && at && <button type="button" class="button quiet" onClick={() => focusOn(at.id)}>Around {at.name}</button>}
      </div>
      {problem && <p class="notice danger">{problem}</p>}
      {!problem && !drawn && <p class="muted">Drawing…</p>}
      {drawn && drawn.nodes.length === 0 && <p class="muted">This group has no tasks yet.</p>}
      {drawn && drawn.nodes.length > 0 && <Picture {...drawn} />}
    </div>
  );
}

const cutText = (s: string, most: number): string => (s.length > most ? s.slice(0, most - 1) + "…" : s);

function Picture({ nodes, edges, layout }: Drawn) {
  return (
    <div class="card graph-box" tabIndex={0} role="region" aria-label="Graph">
      <svg width={layout.width} height={layout.height} viewBox={`0 0 ${layout.width} ${layout.height}`} role="group" aria-label={`${nodes.length} nodes`}>
        <defs>
          <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" class="arrow" /></marker>
        </defs>
        {layout.paths.map((p, i) => <polyline key={edges[i]!.join()} class="edge" points={p.map((q) => q.map((n) => Math.round(n * 10) / 10).join(",")).join(" ")} marker-end="url(#arrow)" />)}
        {nodes.map((n, i) => {
          const b = layout.boxes[i]!;
          return (
            <g
              key={n.key} class={"node" + (n.focus ? " now" : "") + (n.state ? " st-" + n.state : "")} transform={`translate(${Math.round(b.x)} ${Math.round(b.y)})`}
              role={n.open ? "button" : undefined} tabIndex={n.open ? 0 : undefined} aria-label={`${n.name}, ${n.about}`} onClick={n.open}
              onKeyDown={(e) => {
                if (n.open && (e.key === "Enter" || e.key === " ")) {
                  e.preventDefault();
                  e.stopPropagation();
                  n.open();
                }
              }}
            >
              <title>{n.name}</title>
              <rect width={b.width} height={b.height} rx="7" />
              {n.state && <use href={`${bootOf().icons}#st-${n.state}`} x="8" y="7" width="14" height="14" class="icon" />}
              <text x={n.state ? 27 : 10} y="19" class="name">{cutText(n.name, n.state ? 19 : 22)}</text>
              <text x="10" y="36" class="about">{cutText(n.about, 26)}</text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

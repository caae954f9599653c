// Places the nodes of a graph and leads edges between them, around the boxes of other nodes. The same graph gets the same
// places.
import dagre from "@dagrejs/dagre";

export interface Box {
  x: number; // of the left upper corner
  y: number;
  width: number;
  height: number;
}

export interface Layout {
  boxes: Box[];
  paths: [number, number][][]; // corners of the line of each edge
  width: number;
  height: number;
}

const NODE = { width: 168, height: 46 };
const MARGIN = 12;

/** Lays out count nodes from left to right; edges lead from what is needed to who needs it. */
export function layout(count: number, edges: [number, number][]): Layout {
  const g = new dagre.graphlib.Graph();
  g.setGraph({ rankdir: "LR", nodesep: 18, edgesep: 14, ranksep: 64, marginx: MARGIN, marginy: MARGIN });
  g.setDefaultEdgeLabel(() => ({}));
  for (let i = 0; i < count; i++) g.setNode(String(i), { ...NODE });
  for (const [a, b] of edges) g.setEdge(String(a), String(b));
  dagre.layout(g);
  const boxes: Box[] = [];
  for (let i = 0; i < count; i++) {
    const n = g.node(String(i));
    boxes.push({ x: n.x - NODE.width / 2, y: n.y - NODE.height / 2, ...NODE });
  }
  const columns = new Set(boxes.map((b) => Math.round(b.x + b.width / 2)));
  const paths = edges.map(([a, b]) => lead(boxes[a]!, boxes[b]!, g.edge(String(a), String(b)).points, columns));
  const all = g.graph();
  return { boxes, paths, width: Math.ceil(all.width ?? 0), height: Math.ceil(all.height ?? 0) };
}

// lead goes straight through each column of nodes, where there is room for the line, and slants only between columns.
function lead(a: Box, b: Box, points: { x: number; y: number }[], columns: Set<number>): [number, number][] {
  const back = b.x < a.x; // part of a circle
  const [from, to] = back ? [b, a] : [a, b];
  const left = from.x + from.width;
  const out: [number, number][] = [[left, from.y + from.height / 2]];
  for (const p of points.slice(1, -1).sort((p, q) => p.x - q.x)) {
    if (p.x <= left || p.x >= to.x) continue;
    if (columns.has(Math.round(p.x))) out.push([p.x - NODE.width / 2, p.y], [p.x + NODE.width / 2, p.y]);
    else out.push([p.x, p.y]);
  }
  out.push([to.x, to.y + to.height / 2]);
  return back ? out.reverse() : out;
}

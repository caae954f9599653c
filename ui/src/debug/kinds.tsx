// The kinds of a graph and what they need, drawn from what comes first on the left.
export interface Kind {
  name: string;
  all: number;
  runs: number;
  needs: string[];
}

const WIDE = 132;
const HIGH = 40;
const GAP_X = 46;
const GAP_Y = 12;

export function KindGraph({ kinds }: { kinds: Kind[] }) {
  if (kinds.length === 0) return <p class="muted">The graph has no kind.</p>;
  const level = new Map<string, number>();
  // Kinds come after those that they need.
  for (const k of kinds) level.set(k.name, Math.max(0, ...k.needs.map((n) => (level.get(n) ?? -1) + 1)));
  const rows = new Map<number, number>();
  const at = new Map<string, { x: number; y: number }>();
  for (const k of kinds) {
    const column = level.get(k.name)!;
    const row = rows.get(column) ?? 0;
    rows.set(column, row + 1);
    at.set(k.name, { x: column * (WIDE + GAP_X) + 1, y: row * (HIGH + GAP_Y) + 1 });
  }
  const width = (Math.max(...level.values()) + 1) * (WIDE + GAP_X) - GAP_X + 2;
  const height = Math.max(...rows.values()) * (HIGH + GAP_Y) - GAP_Y + 2;
  return (
    <div class="kind-graph" tabIndex={0} role="group" aria-label="Kinds and what they need">
      <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={kinds.map((k) => `${k.name}: ${k.runs} of ${k.all} run`).join(", ")}>
        {kinds.flatMap((k) =>
          k.needs.map((n) => {
            const a = at.get(n);
            const b = at.get(k.name)!;
            if (!a) return null;
            const [x1, y1, x2, y2] = [a.x + WIDE, a.y + HIGH / 2, b.x, b.y + HIGH / 2];
            return <path class="edge" d={`M${x1} ${y1} C${x1 + GAP_X / 2} ${y1} ${x2 - GAP_X / 2} ${y2} ${x2} ${y2}`} />;
          }),
        )}
        {kinds.map((k) => {
          const p = at.get(k.name)!;
          return (
            <g class={k.runs > 0 ? "runs" : "left"}>
              <rect x={p.x} y={p.y} width={WIDE} height={HIGH} rx="6" />
              <text x={p.x + 10} y={p.y + 17}>
                {k.name.length > 17 ? k.name.slice(0, 16) + "…" : k.name}
              </text>
              <text class="count" x={p.x + 10} y={p.y + 32}>
                {k.runs} of {k.all}
              </text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

// What stands beside an editor: problems, and what may stand at the cursor.
import type { Problem } from "./editor.ts";

export interface Help {
  path: string; // * stands for any key or item
  type: string;
  required: boolean;
  text: string;
  values: string[];
  default: string;
}

export interface Found {
  here: Help | undefined;
  below: Help[];
}

const fits = (pattern: string[], path: string[]): boolean => pattern.length === path.length && pattern.every((p, i) => p === "*" || p === path[i]);

/** Finds what is known of a place: itself, and what may stand in it. */
export function helpAt(all: Help[], path: string): Found | undefined {
  let at = path === "" ? [] : path.split("/");
  for (; ; at = at.slice(0, -1)) {
    const here = all.find((h) => fits(h.path.split("/"), at));
    const below = all.filter((h) => {
      const steps = h.path.split("/");
      return steps.length === at.length + 1 && fits(steps.slice(0, -1), at);
    });
    if (here || below.length > 0) return { here, below };
    if (at.length === 0) return undefined;
  }
}

export function PlaceHelp({ path, help }: { path: string; help: Found }) {
  const { here, below } = help;
  return (
    <div class="stack">
      {here && (
        <p>
          <code>{path.replaceAll("/", ".")}</code> <span class="muted">{here.type}</span>
          {here.required && <b> required</b>}
        </p>
      )}
      {here?.text && <p>{here.text}</p>}
      {here && here.values.length > 0 && (
        <p class="muted">
          One of {here.values.map((v, i) => [i > 0 && ", ", <code>{v}</code>])}
        </p>
      )}
      {below.length > 0 && (
        <dl class="facts small">
          {below.slice(0, 30).map((h) => [
            <dt class="mono">
              {h.path.split("/").at(-1)}
              {h.required && <span class="must"> *</span>}
            </dt>,
            <dd>{h.text || h.type}</dd>,
          ])}
        </dl>
      )}
    </div>
  );
}

export function ProblemList({ list, go, fine }: { list: Problem[]; go: (p: Problem) => void; fine?: string }) {
  if (list.length === 0) return <p>{fine ?? "Nothing is wrong with it."}</p>;
  return (
    <ol class="problem-list">
      {list.map((p) => (
        <li class={p.severity} data-line={p.line}>
          {p.line > 0 && (
            <button type="button" class="line-no" onClick={() => go(p)}>
              Line {p.line}
            </button>
          )}{" "}
          {p.message}
        </li>
      ))}
    </ol>
  );
}

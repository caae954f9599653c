// The page that tries configurations: what is typed is tried a moment later, and only the newest try counts.
import { render } from "preact";
import { edit, type Editor, type Problem } from "../editor/editor.ts";
import { draftOf, dropDraft, keepDraft } from "../editor/draft.ts";
import { Lint } from "../editor/lint.ts";
import { get } from "../shell/api.ts";
import { bootOf } from "../shell/data.ts";
import { bind } from "../shell/keys.tsx";
import { toast } from "../shell/toast.tsx";
import { setQuery } from "../shell/url.ts";
import { KindGraph, type Kind } from "./kinds.tsx";

interface Task {
  id: string;
  name: string;
  queue: string;
  line: number;
  definition: string;
  lacking: string[];
}

interface Label {
  label: string;
  kind: string;
  runs: boolean;
  because: string;
  place: string;
}

interface Outcome {
  tasksFor: string;
  role: string;
  scopes: string[];
  mistakes: { file: string; line: number; label: string; message: string }[];
  warnings: string[];
  tasks: Task[];
  graph: { summary: string; kinds: Kind[]; labels: Label[]; more: number; why: string; whyOf: string } | null;
  changes: { what: string; kind: string; labels: string; key: string; old: string; new: string }[];
  millis: number;
  beyond: string;
  parameters: string;
}

interface Data {
  repository: string;
  ref: string;
  occasions: { id: string; text: string; real: boolean }[];
  files: string[];
  occasion: string;
  file: string;
  outcome: Outcome | null;
  plain: boolean;
}

const PAUSE_MS = 500;
const field = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

class Page {
  private readonly data = bootOf().data as Data;
  private readonly edited = new Map<string, string>();
  private readonly original = new Map<string, string>();
  private file = this.data.file;
  private why = "";
  private find = "";
  private only: "all" | "runs" | "left" = "all";
  private outcome: Outcome | null = this.data.outcome;
  readonly lint: Lint<Outcome>;
  editor!: Editor;

  constructor() {
    this.lint = new Lint<Outcome>(
      () => ({ path: "/ui/api/config-debug/try", form: new URLSearchParams({ request: JSON.stringify(this.request()) }) }),
      (o) => this.show(o),
      (message) => {
        this.say(message);
        toast(message, true);
      },
    );
  }

  private request(): unknown {
    this.remember();
    return {
      repository: this.data.repository,
      ref: this.data.ref,
      occasion: field<HTMLSelectElement>("event").value,
      event: field<HTMLTextAreaElement>("body").value.trim(),
      tasksFor: "",
      files: Object.fromEntries(this.edited),
      parameters: field<HTMLTextAreaElement>("parameters").value,
      why: this.why,
    };
  }

  /** The text of the editor counts as edited when it is not the tree's. */
  private remember(): void {
    const text = this.editor.text();
    if (text === this.original.get(this.file)) this.edited.delete(this.file);
    else this.edited.set(this.file, text);
  }

  private say(text: string): void {
    field("debug-state").textContent = text;
  }

  private again(pause = PAUSE_MS): void {
    this.say("trying…");
    this.lint.soon(pause);
  }

  async start(): Promise<void> {
    const area = field<HTMLTextAreaElement>("text");
    const kept = JSON.parse(document.querySelector<HTMLInputElement>('input[name="edited"]')!.value) as Record<string, string>;
    for (const [name, text] of Object.entries(kept)) this.edited.set(name, text);
    if (!this.edited.has(this.file)) this.original.set(this.file, area.value);
    this.restore(area);
    this.editor = await edit(area, {
      language: "yaml",
      label: "The file of the configuration",
      plain: this.data.plain,
      onChange: () => this.changed(),
      onCursor: () => {},
      keys: { "Mod-Enter": () => this.again(0) },
    });
    document.querySelector<HTMLFormElement>("#debug-form")!.addEventListener("submit", (e) => {
      e.preventDefault();
      this.again(0);
    });
    field("event").addEventListener("change", () => {
      setQuery({ event: field<HTMLSelectElement>("event").value });
      field<HTMLTextAreaElement>("body").value = "";
      this.again(0);
    });
    field("file").addEventListener("change", () => void this.open(field<HTMLSelectElement>("file").value));
    for (const id of ["body", "parameters"]) field(id).addEventListener("input", () => this.again());
    field("why").addEventListener("change", () => this.explain(field<HTMLInputElement>("why").value.trim()));
    field("event-body").addEventListener("toggle", () => void this.showEvent());
    bind("Try", "e", "focus the editor", () => this.editor.focus());
    if (this.outcome && this.edited.size === 0) this.show(this.outcome);
    else this.again(0);
  }

  private restore(area: HTMLTextAreaElement): void {
    const draft = draftOf("debug:" + this.data.repository);
    if (!draft || this.edited.size > 0) return;
    const files = JSON.parse(draft.text) as Record<string, string>;
    for (const [name, text] of Object.entries(files)) this.edited.set(name, text);
    const now = this.edited.get(this.file);
    if (now !== undefined) area.value = now;
    const note = field("debug-state");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button quiet";
    button.id = "drop-draft";
    button.textContent = "Your edits of before are back: begin anew";
    button.onclick = () => {
      dropDraft("debug:" + this.data.repository);
      location.reload();
    };
    note.after(button);
  }

  private changed(): void {
    this.remember();
    if (this.edited.size > 0) keepDraft("debug:" + this.data.repository, JSON.stringify(Object.fromEntries(this.edited)));
    else dropDraft("debug:" + this.data.repository);
    this.again();
  }

  private async showEvent(): Promise<void> {
    const body = field<HTMLTextAreaElement>("body");
    if (!(field("event-body") as HTMLDetailsElement).open || body.value !== "") return;
    const q = new URLSearchParams({ repo: this.data.repository, ref: this.data.ref, event: field<HTMLSelectElement>("event").value });
    const e = await get<{ event?: unknown; context?: unknown }>("/ui/api/config-debug/event?" + q.toString());
    body.value = JSON.stringify(e.event ?? e.context ?? {}, null, 2);
  }

  private async open(name: string): Promise<void> {
    this.remember();
    let text = this.edited.get(name) ?? this.original.get(name);
    if (text === undefined) {
      const q = new URLSearchParams({ repo: this.data.repository, ref: this.data.ref, file: name });
      try {
        text = (await get<{ text: string }>("/ui/api/config-debug/file?" + q.toString())).text;
      } catch (error) {
        toast(String(error instanceof Error ? error.message : error), true);
        field<HTMLSelectElement>("file").value = this.file;
        return;
      }
      this.original.set(name, text);
    }
    this.file = name;
    document.querySelector<HTMLInputElement>('input[name="before"]')!.value = name;
    setQuery({ file: name });
    this.editor.setText(text);
    document.body.dataset["file"] = name;
  }

  private explain(label: string): void {
    this.why = label;
    this.again(0);
  }

  private show(o: Outcome): void {
    this.outcome = o;
    this.say(`${o.millis} ms`);
    const here: Problem[] = o.mistakes
      .filter((m) => m.file === this.file)
      .map((m) => ({ line: m.line, column: 0, path: "", message: m.message, severity: "error" }));
    this.editor.problems(here);
    this.draw();
    document.body.dataset["tried"] = String(Number(document.body.dataset["tried"] ?? 0) + 1);
  }

  private draw(): void {
    const box = field("result");
    if (!box.dataset["live"]) {
      box.replaceChildren();
      box.dataset["live"] = "true";
    }
    const o = this.outcome!;
    render(
      <Result
        o={o}
        find={this.find}
        only={this.only}
        onFind={(text, only) => {
          this.find = text;
          this.only = only;
          this.draw();
        }}
        go={(file, line) => void this.go(file, line)}
        why={(label) => this.explain(label)}
      />,
      box,
    );
  }

  private async go(file: string, line: number): Promise<void> {
    if (file !== this.file && this.data.files.includes(file)) {
      field<HTMLSelectElement>("file").value = file;
      await this.open(file);
    }
    this.editor.go(line);
  }
}

interface Props {
  o: Outcome;
  find: string;
  only: "all" | "runs" | "left";
  onFind: (text: string, only: "all" | "runs" | "left") => void;
  go: (file: string, line: number) => void;
  why: (label: string) => void;
}

const SHOWN = 300;

function Result(p: Props) {
  const { o } = p;
  return (
    <>
      {o.beyond && (
        <div class="notice danger" role="alert">
          <p>{o.beyond}</p>
        </div>
      )}
      {o.mistakes.length > 0 && (
        <section class="card" id="mistakes">
          <header>
            <h2>What is wrong</h2>
          </header>
          <div class="body">
            <ol class="problem-list">
              {o.mistakes.map((m) => (
                <li class="error" data-line={m.line}>
                  <button type="button" class="line-no" onClick={() => p.go(m.file, m.line)}>
                    {m.file}
                    {m.line > 0 && `:${m.line}`}
                  </button>{" "}
                  {m.label && <code>{m.label} </code>}
                  {m.message}
                </li>
              ))}
            </ol>
          </div>
        </section>
      )}
      {o.warnings.length > 0 && (
        <section class="card" id="warnings">
          <header>
            <h2>Warnings</h2>
          </header>
          <div class="body">
            <ul class="problem-list">{o.warnings.map((w) => <li class="warning">{w}</li>)}</ul>
          </div>
        </section>
      )}
      <Changes o={o} />
      <Tasks o={o} go={p.go} />
      {o.graph && <Graph {...p} />}
    </>
  );
}

function Changes({ o }: { o: Outcome }) {
  return (
    <section class="card" id="changes">
      <header>
        <h2 class="grow">Against the default branch</h2>
        {o.changes.length > 0 && <span class="tag">{o.changes.length === 1 ? "1 difference" : `${o.changes.length} differences`}</span>}
      </header>
      <div class="body">
        {o.changes.length === 0 ? (
          <p class="muted">{o.mistakes.length > 0 ? "What is wrong comes first: then it is compared." : "Nothing differs."}</p>
        ) : (
          <ul class="change-list">
            {o.changes.map((c) => (
              <li class={c.kind.replace(" ", "-")}>
                <span class="tag">{c.kind}</span> <b>{c.labels}</b> {c.key && <code>{c.key}</code>}
                {c.kind === "changed" && (
                  <div class="small">
                    <del>{c.old || "–"}</del> → <ins>{c.new || "–"}</ins>
                  </div>
                )}
              </li>
            ))}
          </ul>
        )}
      </div>
    </section>
  );
}

function Tasks({ o, go }: { o: Outcome; go: Props["go"] }) {
  return (
    <section class="card" id="tasks">
      <header>
        <h2 class="grow">Tasks of .taskcluster.yml</h2>
        <span class="tag">{o.tasksFor}</span>
      </header>
      <div class="body">
        <p class="small muted">
          Created with the scopes of <code>{o.role}</code>.
        </p>
        {o.tasks.length === 0 && <p class="muted">None.</p>}
        {o.tasks.map((t) => (
          <details class="debug-task" key={t.id}>
            <summary>
              <b>{t.name}</b> <span class="muted">{t.queue}</span>
              {t.lacking.length > 0 && <span class="why"> lacks scopes</span>}
            </summary>
            {t.line > 0 && (
              <button type="button" class="button quiet" onClick={() => go(".taskcluster.yml", t.line)}>
                Line {t.line}
              </button>
            )}
            {t.lacking.length > 0 && (
              <ul class="need-list">
                {t.lacking.map((s) => (
                  <li class="lacking">
                    <code>{s}</code>
                  </li>
                ))}
              </ul>
            )}
            <pre class="code yaml" tabIndex={0}>
              {t.definition}
            </pre>
          </details>
        ))}
        <details>
          <summary class="small">Scopes of the role ({o.scopes.length})</summary>
          <ul class="scope-list">{o.scopes.map((s) => <li><code>{s}</code></li>)}</ul>
        </details>
      </div>
    </section>
  );
}

function Graph(p: Props) {
  const g = p.o.graph!;
  const fits = g.labels.filter((l) => (p.only === "all" || l.runs === (p.only === "runs")) && (l.label + " " + l.because).toLowerCase().includes(p.find.toLowerCase()));
  return (
    <section class="card" id="graph">
      <header>
        <h2>Task graph</h2>
      </header>
      <div class="body stack">
        <p class="muted small">{g.summary}</p>
        {g.why && (
          <pre class="code" id="why-text" tabIndex={0} aria-label={"Why " + g.whyOf}>
            {g.why}
          </pre>
        )}
        <KindGraph kinds={g.kinds} />
        <div class="hook-tools">
          <input class="input" type="search" id="find-label" placeholder="Label or reason" aria-label="Label or reason" value={p.find} onInput={(e) => p.onFind(e.currentTarget.value, p.only)} />
          <select class="input" aria-label="Which tasks" value={p.only} onChange={(e) => p.onFind(p.find, e.currentTarget.value as Props["only"])}>
            <option value="all">All tasks</option>
            <option value="runs">Those that run</option>
            <option value="left">Those that do not</option>
          </select>
          <span class="muted small" role="status">
            {fits.length} of {g.labels.length + g.more}
          </span>
        </div>
        <ul class="label-list">
          {fits.slice(0, SHOWN).map((l) => (
            <li class={l.runs ? "runs" : "left"} key={l.label}>
              <button type="button" class="line-no" title="The whole story" onClick={() => p.why(l.label)}>
                {l.label}
              </button>{" "}
              <span class="small muted">{l.because}</span> {l.place && <code class="small muted">{l.place}</code>}
            </li>
          ))}
        </ul>
        {fits.length > SHOWN && <p class="muted">And {fits.length - SHOWN} more: narrow the search.</p>}
      </div>
    </section>
  );
}

export function start(): void {
  if (!document.getElementById("debug-form")) return;
  const page = new Page();
  void page.start().then(() => {
    document.body.dataset["editor"] = page.editor.plain ? "plain" : "island";
    (globalThis as { treelineDebug?: Page }).treelineDebug = page; // for tests
  });
}

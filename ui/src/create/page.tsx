// The page that creates a task: an editor, what is wrong, what is needed, and a draft that is never lost.
import { render } from "preact";
import { edit, type Editor, type Problem } from "../editor/editor.ts";
import { draftOf, dropDraft, keepDraft } from "../editor/draft.ts";
import { Lint } from "../editor/lint.ts";
import { helpAt, PlaceHelp, ProblemList, type Help } from "../editor/side.tsx";
import { post, Refused } from "../shell/api.ts";
import { bootOf } from "../shell/data.ts";
import { bind } from "../shell/keys.tsx";
import { Icon } from "../shell/look.tsx";
import { toast } from "../shell/toast.tsx";

interface Data {
  key: string;
  from: string;
  help: Help[];
  generic: Help[];
  docker: Help[];
  rootUrl: string;
  plain: boolean;
  fresh: boolean;
}

interface Report {
  problems: Problem[];
  lines: string[];
  needs: { scope: string; why: string; held: boolean }[];
  facts: { name: string; value: string }[];
  json: string;
  docker: boolean;
  ready: boolean;
}

interface Recent {
  id: string;
  name: string;
  text: string;
}

const RECENT = "treeline-recent-tasks";

function recent(): Recent[] {
  try {
    return (JSON.parse(localStorage.getItem(RECENT) ?? "[]") as Recent[]).slice(0, 5);
  } catch {
    return [];
  }
}

const el = (id: string): HTMLElement => document.getElementById(id)!;
const bodyOf = (id: string): HTMLElement => el(id).querySelector<HTMLElement>(".body")!;

function Needs({ report, user }: { report: Report; user: string }) {
  if (report.needs.length === 0) return <p class="muted">They stand here when the definition can be read.</p>;
  return (
    <>
      <ul class="need-list">
        {report.needs.map((n) => (
          <li key={n.scope} class={n.held ? "held" : "lacking"}>
            <Icon name={n.held ? "st-passed" : "st-exception"} />
            <div>
              <code>{n.scope}</code>
              <div class="muted small">
                {n.why}
                {!n.held && (
                  <>
                    {" · "}
                    <b>you lack it</b>
                  </>
                )}
              </div>
            </div>
          </li>
        ))}
      </ul>
      {user === "" && (
        <p class="small">
          <a href={signIn()}>Sign in</a> to create it; the text is kept.
        </p>
      )}
    </>
  );
}

const signIn = (): string => "/login?next=" + encodeURIComponent(location.pathname + location.search);

class Page {
  private readonly data = bootOf().data as Data;
  private readonly draftName = "create:" + (this.data.from || "new") + (new URLSearchParams(location.search).get("interactive") ? ":interactive" : "");
  private report: Report | undefined;
  private before = ""; // the interactive switch
  private done = false;
  readonly lint: Lint<Report>;
  editor!: Editor;

  constructor() {
    this.lint = new Lint<Report>(
      () => ({ path: "/ui/api/create/check", form: this.form() }),
      (r) => this.show(r),
      (message) => toast(message, true),
    );
  }

  private form(more: Record<string, string> = {}): URLSearchParams {
    return new URLSearchParams({ text: this.editor.text(), key: this.data.key, ...more });
  }

  async start(): Promise<void> {
    const area = document.querySelector<HTMLTextAreaElement>("#text")!;
    const begun = area.value;
    const draft = this.data.fresh ? draftOf(this.draftName) : null;
    if (draft && draft.text !== begun) area.value = draft.text;
    this.editor = await edit(area, {
      language: "yaml",
      label: "Definition of the task, in YAML or JSON",
      plain: this.data.plain,
      onChange: () => this.changed(),
      onCursor: () => this.cursor(),
      keys: {
        "Mod-Enter": () => void this.create(),
        "Mod-s": () => this.save(true),
        "Alt-ArrowDown": () => this.step(1),
        "Alt-ArrowUp": () => this.step(-1),
      },
    });
    if (draft && draft.text !== begun) this.restored(draft.at, begun);
    this.tools();
    this.lint.soon(0);
  }

  private restored(at: number, begun: string): void {
    const note = el("draft");
    note.textContent = `Your draft of ${new Date(at).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" })} is back. `;
    const drop = document.createElement("button");
    drop.type = "button";
    drop.className = "button quiet";
    drop.id = "drop-draft";
    drop.textContent = "Begin anew";
    drop.onclick = () => {
      this.editor.setText(begun);
      dropDraft(this.draftName);
      note.textContent = "";
    };
    note.append(drop);
  }

  private tools(): void {
    const form = document.querySelector<HTMLFormElement>("#create-form")!;
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      const by = (e as SubmitEvent).submitter?.getAttribute("value") ?? "create";
      if (by === "create") void this.create();
      else if (by === "check") this.lint.soon(0);
      else if (by === "interactive") void this.switchInteractive();
      else void this.change(by);
    });
    addEventListener("pagehide", () => this.save());
    const more = el("create-more");
    more.hidden = false;
    render(
      <>
        <button type="button" class="button quiet" id="copy-json" onClick={() => void this.copy("json")}>
          <Icon name="copy" /> JSON
        </button>
        <button type="button" class="button quiet" id="copy-curl" title="For a task with a task proxy" onClick={() => void this.copy("curl")}>
          <Icon name="copy" /> curl
        </button>
        {recent().length > 0 && (
          <select class="input recent" aria-label="Recent definitions" onChange={(e) => this.again(e.currentTarget.value)}>
            <option value="">Recent definitions</option>
            {recent().map((r) => (
              <option key={r.id} value={r.id}>
                {r.name}
              </option>
            ))}
          </select>
        )}
        <a class="button quiet" href={this.plainPath()} id="plain-editor">
          {this.data.plain ? "Editor" : "Plain text area"}
        </a>
      </>,
      more,
    );
    const foot = "ctrl+enter creates · ctrl+s keeps a draft · alt+↑ alt+↓ go to problems · esc leaves the editor";
    const hint = document.createElement("span");
    hint.className = "muted small keys-hint";
    hint.textContent = foot;
    document.querySelector(".create-foot")!.append(hint);
    bind("Create", "c", "focus the definition", () => this.editor.focus());
  }

  private plainPath(): string {
    const q = new URLSearchParams(location.search);
    if (this.data.plain) q.delete("editor");
    else q.set("editor", "plain");
    const text = q.toString();
    return "/tasks/create" + (text ? "?" + text : "");
  }

  private again(id: string): void {
    const found = recent().find((r) => r.id === id);
    if (!found) return;
    this.editor.setText(found.text);
    void this.change("timestamps");
  }

  private changed(): void {
    this.lint.soon();
    this.save();
  }

  private save(told = false): void {
    if (this.done) return;
    const kept = keepDraft(this.draftName, this.editor.text());
    if (told) toast(kept ? "The draft is kept in this browser." : "This browser keeps no draft: the text is too long, or storage is off.", !kept);
  }

  private show(r: Report): void {
    this.report = r;
    this.editor.problems(r.problems);
    render(<ProblemList list={r.problems} go={(p) => this.editor.go(p.line, p.column)} />, clear("problems"));
    render(<Needs report={r} user={bootOf().user} />, clear("needs"));
    render(
      <dl class="facts">
        {r.facts.length === 0 && [<dt>Task</dt>, <dd class="muted">not yet readable</dd>]}
        {r.facts.map((f) => [<dt>{f.name}</dt>, <dd>{f.value}</dd>])}
      </dl>,
      clear("facts"),
    );
    const button = el("create") as HTMLButtonElement;
    const wrong = r.problems.filter((p) => p.severity === "error").length;
    button.disabled = !r.ready;
    button.title = r.ready ? "" : wrong > 0 ? "Something is wrong with the definition" : "You lack scopes that it needs";
    document.body.dataset["checked"] = String(this.lint.asked);
    this.cursor();
  }

  private cursor(): void {
    if (!this.report) return;
    const path = this.report.lines[this.editor.line() - 1] ?? "";
    const all = [...this.data.help.filter((h) => !h.path.startsWith("payload/")), ...(this.report.docker ? this.data.docker : this.data.generic)];
    const found = helpAt(all, path);
    el("place-help").hidden = !found;
    if (found) render(<PlaceHelp path={path} help={found} />, clear("place-help"));
  }

  private step(by: number): void {
    const lines = [...new Set(this.report?.problems.map((p) => p.line).filter((l) => l > 0) ?? [])].sort((a, b) => a - b);
    if (lines.length === 0) return;
    const now = this.editor.line();
    const next = by > 0 ? (lines.find((l) => l > now) ?? lines[0]!) : (lines.findLast((l) => l < now) ?? lines.at(-1)!);
    const p = this.report!.problems.find((p) => p.line === next)!;
    this.editor.go(p.line, p.column);
  }

  private async change(what: string): Promise<boolean> {
    try {
      const { text } = await post<{ text: string }>("/ui/api/create/change", this.form({ do: what }));
      this.editor.setText(text);
      return true;
    } catch (error) {
      toast(error instanceof Refused ? error.message : "The server cannot be reached.", true);
      return false;
    }
  }

  private async switchInteractive(): Promise<void> {
    const button = el("do-interactive");
    if (this.before !== "") {
      this.editor.setText(this.before);
      this.before = "";
      button.textContent = "Make interactive";
      button.setAttribute("aria-pressed", "false");
      return;
    }
    const before = this.editor.text();
    if (!(await this.change("interactive"))) return;
    this.before = before;
    button.textContent = "Not interactive";
    button.setAttribute("aria-pressed", "true");
  }

  private async copy(as: "json" | "curl"): Promise<void> {
    if (!this.report?.json) return toast("The definition cannot be read yet.", true);
    const body = this.report.json.trimEnd();
    const text =
      as === "json"
        ? body
        : `curl -sS -X PUT "\${TASKCLUSTER_PROXY_URL:?}/api/queue/v1/task/${this.data.key}" -H 'content-type: application/json' --data-binary @- <<'TASK'\n${body}\nTASK\n`;
    try {
      await navigator.clipboard.writeText(text);
      toast(as === "json" ? "Copied as JSON." : "Copied as a curl command, for a task with a task proxy.");
    } catch {
      toast("The browser does not let this page copy.", true);
    }
  }

  private async create(): Promise<void> {
    const button = el("create") as HTMLButtonElement;
    if (this.done || button.dataset["sent"]) return;
    this.save();
    button.dataset["sent"] = "true";
    try {
      const { taskId } = await post<{ taskId: string }>("/ui/api/create", this.form());
      this.done = true;
      dropDraft(this.draftName);
      const name = /name:\s*(.+)/.exec(this.editor.text())?.[1] ?? taskId;
      localStorage.setItem(RECENT, JSON.stringify([{ id: taskId, name, text: this.editor.text() }, ...recent()].slice(0, 5)));
      location.assign("/tasks/" + taskId);
    } catch (error) {
      const status = error instanceof Refused ? error.status : 0;
      toast((error instanceof Refused ? error.message : "The server cannot be reached.") + "\nThe text is kept.", true);
      if (status === 401 || (status === 403 && bootOf().user === "")) location.assign(signIn());
      this.lint.soon(0);
    } finally {
      delete button.dataset["sent"];
    }
  }
}

function clear(id: string): HTMLElement {
  const box = bodyOf(id);
  if (!box.dataset["live"]) {
    box.replaceChildren(); // what the server wrote
    box.dataset["live"] = "true";
  }
  return box;
}

export function start(): void {
  const page = new Page();
  void page.start().then(() => {
    document.body.dataset["editor"] = page.editor.plain ? "plain" : "island";
    (globalThis as { treelineCreate?: Page }).treelineCreate = page; // for tests
  });
}

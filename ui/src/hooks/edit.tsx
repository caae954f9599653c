// The form of a hook: what is wrong, when it would fire and which task it would make, while one types; and a draft.
import { render } from "preact";
import { edit, type Editor } from "../editor/editor.ts";
import { draftOf, dropDraft, keepDraft } from "../editor/draft.ts";
import { Lint } from "../editor/lint.ts";
import { bootOf } from "../shell/data.ts";
import { toast } from "../shell/toast.tsx";

interface Report {
  complaints: { field: string; line: number; message: string }[];
  rules: { Text: string; Words: string }[];
  times: string[];
  preview: string;
  declined: boolean;
  trouble: string;
  changed: boolean;
}

interface Data {
  path: string;
  name: string;
  plain: boolean;
}

const box = (id: string): HTMLElement => {
  const b = document.querySelector<HTMLElement>(`#${id} .body`) ?? document.getElementById(id)!;
  if (!b.dataset["live"]) {
    b.replaceChildren();
    b.dataset["live"] = "true";
  }
  return b;
};

function show(r: Report, task: Editor): void {
  const mine = r.complaints.filter((c) => c.field === "task");
  task.problems(mine.map((c) => ({ line: c.line, column: 0, path: "", message: c.message, severity: "error" })));
  render(
    r.complaints.length === 0 ? (
      <p>Nothing is wrong with it.</p>
    ) : (
      <ol class="problem-list">
        {r.complaints.map((c) => (
          <li class="error">
            {c.field && (
              <b>
                {c.field}
                {c.line > 0 && `, line ${c.line}`}:{" "}
              </b>
            )}
            {c.message}
          </li>
        ))}
      </ol>
    ),
    box("problems"),
  );
  render(
    <>
      {r.rules.length === 0 && <p class="muted">By no schedule.</p>}
      {r.rules.map((rule) => (
        <p>
          {rule.Words || <span class="why">not readable</span>} <code class="muted">{rule.Text}</code>
        </p>
      ))}
      <ol class="times">
        {r.times.map((t) => (
          <li>
            <time dateTime={t}>{t.slice(0, 16).replace("T", " ")} UTC</time>{" "}
            <span class="muted small">{new Date(t).toLocaleString(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" })} here</span>
          </li>
        ))}
      </ol>
    </>,
    box("when"),
  );
  render(
    r.trouble ? <pre class="why">{r.trouble}</pre> : r.declined ? <p>The template wants no task for this.</p> : <pre class="code yaml" tabIndex={0}>{r.preview}</pre>,
    box("made"),
  );
  document.body.dataset["checked"] = String(Number(document.body.dataset["checked"] ?? 0) + 1);
}

export function start(): void {
  const data = bootOf().data as Data;
  const form = document.querySelector<HTMLFormElement>("#hook-form")!;
  const name = "hook:" + data.name;
  const fields = (): Record<string, string> => Object.fromEntries([...new FormData(form)].filter(([k]) => k !== "csrf" && k !== "seen").map(([k, v]) => [k, String(v)]));
  let task: Editor;
  const lint = new Lint<Report>(
    () => {
      const body = new URLSearchParams(fields());
      body.set("seen", form.querySelector<HTMLInputElement>('[name="seen"]')!.value);
      return { path: data.path, form: body };
    },
    (r) => show(r, task),
    (message) => toast(message, true),
  );
  const changed = (): void => {
    keepDraft(name, JSON.stringify(fields()));
    lint.soon();
  };
  const submit = (): void => form.querySelector<HTMLButtonElement>("#save, #review-button")!.click();
  // A page that answers a form already has what was written.
  const draft = document.querySelector("#review, #problem") ? null : draftOf(name);
  if (draft) {
    const kept = JSON.parse(draft.text) as Record<string, string>;
    const now = fields();
    if (Object.keys(kept).some((k) => kept[k]!.trim() !== (now[k] ?? "").trim())) {
      for (const [k, v] of Object.entries(kept)) {
        const f = form.elements.namedItem(k);
        if (f instanceof HTMLInputElement && f.type === "checkbox") f.checked = v !== "";
        else if (f instanceof HTMLInputElement || f instanceof HTMLTextAreaElement || f instanceof HTMLSelectElement) f.value = v;
      }
      toast("Your draft is back. “Back” leaves it, and saving ends it.");
    }
  }
  form.addEventListener("input", changed);
  form.addEventListener("submit", (e) => {
    if ((e as SubmitEvent).submitter?.getAttribute("value") === "save") dropDraft(name);
  });
  addEventListener("keydown", (e) => {
    if ((e.ctrlKey || e.metaKey) && e.key === "s") {
      e.preventDefault();
      submit();
    }
  });
  void edit(document.querySelector<HTMLTextAreaElement>("#task")!, {
    language: "yaml",
    label: "Template of the task",
    plain: data.plain,
    onChange: changed,
    onCursor: () => {},
    keys: { "Mod-s": submit },
  }).then((made) => {
    task = made;
    document.body.dataset["editor"] = made.plain ? "plain" : "island";
    (globalThis as { treelineHook?: unknown }).treelineHook = { editor: made, lint }; // for tests
    lint.soon(0);
  });
}

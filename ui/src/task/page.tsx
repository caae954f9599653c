// The task page.
import { render } from "preact";
import { useEffect } from "preact/hooks";
import type { Act, Message, TaskData } from "../shell/data.ts";
import { toggleActions } from "../shell/actions.tsx";
import { bind } from "../shell/keys.tsx";
import { onMessages } from "../shell/live.ts";
import { copy, Icon } from "../shell/look.tsx";
import { toast } from "../shell/toast.tsx";
import { Artifacts } from "./artifacts.tsx";
import { confirmed, Crumbs, Head } from "./head.tsx";
import { Later } from "./load.tsx";
import { reload, show, tab, TABS, tabOf, task, TITLES, type Tab } from "./model.ts";
import { Dependencies } from "./near.tsx";
import { Summary } from "./summary.tsx";
import { Yaml } from "./yaml.tsx";

const logTab = () => import("./log.tsx");

function count(t: Tab, d: TaskData): string {
  if (t === "artifacts" && d.artifactCount > 0) return d.artifactCount.toLocaleString();
  if (t === "deps" && d.dependencies.length + d.dependents.length > 0) return `${d.dependencies.length + d.dependents.length}${d.moreDependents ? "+" : ""}`;
  return "";
}

function App() {
  const d = task.value;
  return (
    <>
      <Crumbs d={d} />
      <Head d={d} />
      <nav class="tabs" role="tablist" aria-label="Parts of the task">
        {TABS.map((t) => (
          <a
            key={t} id={"tab-" + t} role="tab" aria-selected={tab.value === t} href={t === "summary" ? location.pathname : `?tab=${t}`}
            onClick={(e) => {
              if (e.ctrlKey || e.metaKey || e.shiftKey) return;
              e.preventDefault();
              show(t);
            }}
          >
            {TITLES[t]}
            {count(t, d) && <span class="n">{count(t, d)}</span>}
          </a>
        ))}
      </nav>
      <div role="tabpanel" aria-labelledby={"tab-" + tab.value}>
        {tab.value === "summary" && <Summary d={d} />}
        {tab.value === "log" && <Later key="log" from={async () => (await logTab()).LogTab} d={d} />}
        {tab.value === "artifacts" && <Artifacts d={d} />}
        {tab.value === "tests" && <Later key="tests" from={async () => (await import("./other.tsx")).Tests} d={d} />}
        {tab.value === "definition" && <Definition d={d} />}
        {tab.value === "deps" && <Dependencies d={d} />}
        {tab.value === "similar" && <Later key="similar" from={async () => (await import("./other.tsx")).Similar} d={d} />}
        {tab.value === "history" && <Later key="history" from={async () => (await import("./other.tsx")).History} d={d} />}
      </div>
    </>
  );
}

function Definition({ d }: { d: TaskData }) {
  return (
    <>
      <div class="toolbar">
        <button type="button" class="button" onClick={() => void copy(d.yaml, "the definition")}><Icon name="copy" />Copy</button>
        <a class="button quiet" href={`/api/queue/v1/task/${d.id}`}>JSON</a>
        <a class="button quiet" href={`/tasks/create?from=${d.id}`}>Edit and create</a>
      </div>
      <Yaml text={d.yaml} />
    </>
  );
}

let soon: ReturnType<typeof setTimeout> | undefined;

function receive(list: Message[]): void {
  const d = task.value;
  const near = new Set([d.id, ...d.dependencies.map((n) => n.id), ...d.dependents.map((n) => n.id)]);
  // What a run left is read when it has ended: the lines that tell of its failure come a little later.
  const read = d.reading && list.some((m) => m.kind === "failures-changed" && m.groupId === d.groupId);
  if (read || list.some((m) => m.kind === "reset" || near.has(m.task?.id ?? m.artifact ?? ""))) {
    soon ??= setTimeout(() => {
      soon = undefined;
      void reload();
    }, 100);
  }
}

// While lines of a failure are being read nothing tells of it to a page that follows its task alone.
function Again() {
  const { reading, state } = task.value;
  const fresh = (state === "failed" || state === "exception") && task.value.lines.length === 0 && task.value.runs.some((r) => Date.now() - r.ended < 10_000);
  useEffect(() => {
    if (!reading && !fresh) return;
    const timer = setTimeout(() => void reload(), 700);
    return () => clearTimeout(timer);
  }, [task.value]);
  return null;
}

function doAct(name: Act["name"], cannot: string): () => void {
  return () => {
    const a = task.value.acts.find((x) => x.name === name);
    if (!a?.possible) toast(cannot.replace("{}", task.value.stateText));
    else if (!a.allowed) toast(a.why, true);
    else confirmed(name, task.value);
  };
}

function keys(): void {
  const section = "Task";
  bind(section, "r", "run it again", doAct("rerun", "The task is {}; only what has ended can run again."));
  bind(section, "R", "retrigger: a new task", doAct("retrigger", "The task is {}; only what has run can be made again here."));
  bind(section, "a", "actions", toggleActions);
  bind(section, "t", "next tab", () => show(TABS[(TABS.indexOf(tab.value) + 1) % TABS.length]!));
  bind(section, "l", "log", () => show("log"));
  bind(section, "m", "report the marked line of the log as what tells of the failure", () => void logTab().then((log) => log.reportMarked()));
  bind(section, "L shift+l", "raw log", () => {
    const raw = task.value.artifacts.find((a) => a.log !== "" && a.log === task.value.logPage);
    if (raw) location.assign(raw.href);
    else toast("There is no log yet.");
  });
  bind(section, "e", "edit and create", () => location.assign(`/tasks/create?from=${task.value.id}`));
  bind(section, "i", "create with a shell", () => location.assign(`/tasks/create?from=${task.value.id}&interactive=1`));
  bind(section, "y", "copy the link", () => void copy(location.href, "the link"));
  const run = (by: number) => () => {
    const next = task.value.run + by;
    if (task.value.runs.some((r) => r.id === next)) location.assign(`/tasks/${task.value.id}/runs/${next}${location.search}`);
    else toast(by > 0 ? "This is the last run." : "This is the first run.");
  };
  bind(section, "[", "earlier run", run(-1));
  bind(section, "]", "later run", run(1));
}

function Effects() {
  useEffect(() => {
    const d = task.value;
    document.title = `${d.name}: ${d.stateText} · Treeline`;
    const icon = document.querySelector<HTMLLinkElement>("link[rel=icon]");
    if (icon) icon.href = icon.href.replace(/#.*$/, "") + "#" + d.state;
  }, [task.value]);
  return <Again />;
}

export function start(root: HTMLElement): void {
  root.replaceChildren();
  render(<><Effects /><App /></>, root);
  keys();
  addEventListener("popstate", () => (tab.value = tabOf()));
  onMessages(receive);
}

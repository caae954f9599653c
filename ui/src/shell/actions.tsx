// The menu of what the tree lets people do with a task or a task group.
import { useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import { bootOf, type Action } from "./data.ts";
import { get, post, Refused } from "./api.ts";
import { Icon } from "./look.tsx";
import { toast } from "./toast.tsx";

interface Menu {
  actions: Action[];
  all: string;
}

const menus = signal<Record<string, Menu | string>>({}); // what there is, or why there is none
const asked = signal(""); // the grave action that was pressed once

const pathOf = (group: string, task: string) => `/ui/api/actions/${group}${task ? `?task=${task}` : ""}`;

async function load(group: string, task: string): Promise<void> {
  const key = pathOf(group, task);
  let found: Menu | string;
  try {
    found = await get<Menu>(key);
  } catch (error) {
    found = error instanceof Refused ? error.message : "The server cannot be reached.";
  }
  menus.value = { ...menus.value, [key]: found };
}

const busy = new Set<string>();

async function start(group: string, task: string, a: Action): Promise<void> {
  if (!a.plain) {
    location.assign(a.href);
    return;
  }
  const id = group + task + a.name;
  if (a.grave && asked.value !== id) {
    asked.value = id;
    setTimeout(() => {
      if (asked.value === id) asked.value = "";
    }, 4000);
    return;
  }
  asked.value = "";
  if (busy.has(id)) return;
  busy.add(id);
  try {
    const form = new URLSearchParams({ csrf: bootOf().csrf, task, key: crypto.randomUUID?.() ?? String(Math.random()) });
    const { taskId } = await post<{ taskId: string; title: string }>(`/ui/api/actions/${group}/${encodeURIComponent(a.name)}`, form);
    location.assign(`/tasks/${taskId}`);
  } catch (error) {
    toast(error instanceof Refused ? error.message : "The server cannot be reached.", true);
  } finally {
    busy.delete(id);
  }
}

export function ActionMenu({ group, task = "" }: { group: string; task?: string }) {
  const box = useRef<HTMLDetailsElement>(null);
  const key = pathOf(group, task);
  const menu = menus.value[key];
  const opened = () => {
    asked.value = "";
    if (!box.current?.open) return;
    void load(group, task).then(() => {
      // Who opened it by a key goes on with keys.
      if (box.current?.open && box.current.contains(document.activeElement)) box.current.querySelector<HTMLElement>(".drop button:enabled, .drop a")?.focus();
    });
  };
  return (
    <details class="menu right action-menu" ref={box} onToggle={opened} onKeyDown={(e) => step(box.current!, e)}>
      <summary class="button" data-actions><Icon name="bolt" />Actions<Icon name="down" /></summary>
      <div class="drop" role="menu" aria-label="Actions">
        {menu === undefined && <p>…</p>}
        {typeof menu === "string" && <p>{menu}</p>}
        {typeof menu === "object" && menu.actions.length === 0 && <p>Nothing is offered for this.</p>}
        {typeof menu === "object" && menu.actions.map((a) => (
          <div class="item" role="none" key={a.name}>
            <button type="button" role="menuitem" class={a.grave ? "grave" : ""} disabled={!a.allowed} data-action={a.name} onClick={() => void start(group, task, a)}>
              {asked.value === group + task + a.name ? `${a.title}: really?` : a.plain ? a.title : `${a.title}…`}
            </button>
            {!a.allowed && <p class="why small">{a.why}</p>}
          </div>
        ))}
        {typeof menu === "object" && <><hr /><a role="menuitem" href={menu.all}>All actions, with what they do</a></>}
      </div>
    </details>
  );
}

// Arrows go through the menu.
function step(box: HTMLElement, e: KeyboardEvent): void {
  if (e.key !== "ArrowDown" && e.key !== "ArrowUp") return;
  const items = [...box.querySelectorAll<HTMLElement>(".drop button:enabled, .drop a")];
  if (items.length === 0) return;
  e.preventDefault();
  e.stopPropagation();
  const at = items.indexOf(document.activeElement as HTMLElement);
  items[(at + (e.key === "ArrowDown" ? 1 : -1) + items.length) % items.length]!.focus();
}

/** Opens the menu of the page, or closes it. */
export function toggleActions(): void {
  const summary = document.querySelector<HTMLElement>(".panel summary[data-actions]") ?? document.querySelector<HTMLElement>("summary[data-actions]");
  if (!summary) {
    toast("There are no actions here.");
    return;
  }
  summary.focus();
  summary.click();
}

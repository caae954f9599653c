// The filters above the pushes; all of them are in the URL.
import { computed, signal } from "@preact/signals";
import { get } from "../shell/api.ts";
import type { Cell } from "../shell/data.ts";
import { Icon } from "../shell/look.tsx";
import { query, setQuery } from "../shell/url.ts";
import { FIELDS, formatStatuses, formatTiers, matches, parseFilter, type Filter, type Status } from "./filter.ts";
import { CLASS_WORD } from "./grid.ts";
import { data, needsLook, pushes, unclassified } from "./model.ts";

const tests = signal<Set<string> | null>(null);
export const filter = signal<Filter>(parseFilter(query()));
export const everything = signal(query().get("group_state") === "expanded");
const field = signal("");

/** Reads the filter from the URL and shows it. */
export function readUrl(): void {
  filter.value = parseFilter(query(), tests.value);
  everything.value = query().get("group_state") === "expanded";
  for (const p of pushes.value) p.grid?.show(filter.value, everything.value);
  if (filter.value.paths.length > 0) void loadTests();
}

let asked = "";

// loadTests finds which tasks run the tests of the filter.
async function loadTests(): Promise<void> {
  const groups = pushes.value.map((p) => p.info.value.groupId).filter(Boolean).slice(0, 20);
  const key = groups.join() + filter.value.paths.join();
  if (asked === key) return;
  asked = key;
  const names = new Set<string>();
  await Promise.all(groups.map(async (g) => {
    const params = new URLSearchParams(filter.value.paths.map((p) => ["path", p]));
    try {
      for (const n of (await get<{ names: string[] }>(`/ui/api/jobs/tests/${g}?${params}`)).names) names.add(n);
    } catch {
      // A decision that says nothing of tests has none that fit.
    }
  }));
  tests.value = names;
  readUrl();
}

export function setFilter(change: Record<string, string | null>, push: boolean): void {
  // The old way of writing a field goes when the field is set anew.
  for (const k of Object.keys(change)) if (FIELDS.some(([f]) => f === k)) change["filter-" + k] = null;
  setQuery(change, push);
  readUrl();
}

export function toggle(statuses: Status[]): void {
  const next = new Set(filter.value.statuses);
  const on = statuses.every((s) => next.has(s));
  for (const s of statuses) on ? next.delete(s) : next.add(s);
  setFilter({ resultStatus: formatStatuses(next) }, true);
}

/** Shows only some statuses; with the same again, all. */
export function only(statuses: Status[], classified: string | null): void {
  const f = filter.value;
  const same = f.statuses.size === statuses.length && statuses.every((s) => f.statuses.has(s)) && query().get("classifiedState") === classified;
  setFilter({ resultStatus: same ? null : formatStatuses(new Set(statuses)), classifiedState: same ? null : classified }, true);
}

function toggleTier(t: number): void {
  const next = new Set(filter.value.tiers);
  if (!next.delete(t)) next.add(t);
  if (next.size > 0) setFilter({ tier: formatTiers(next) }, true);
}

const CHIPS: { name: string; icon: string; statuses: Status[]; states: Cell["state"][] }[] = [
  { name: "failed", icon: "st-failed", statuses: ["testfailed", "exception"], states: ["failed", "exception"] },
  { name: "passed", icon: "st-passed", statuses: ["success"], states: ["passed"] },
  { name: "retried", icon: "st-retried", statuses: ["retry"], states: [] },
  { name: "cancelled", icon: "st-cancelled", statuses: ["usercancel"], states: ["cancelled"] },
  { name: "in progress", icon: "st-running", statuses: ["running", "pending"], states: ["running", "pending"] },
  { name: "waiting", icon: "st-unscheduled", statuses: ["unscheduled"], states: ["unscheduled"] },
];

const sums = computed(() => {
  const out: Record<string, number> = {};
  for (const p of pushes.value) for (const [s, n] of Object.entries(p.stats.value.counts)) out[s] = (out[s] ?? 0) + n;
  return out;
});

// Headers of pushes stick below the bar, which may take several lines.
function measured(bar: HTMLElement | null): void {
  if (!bar || watched === bar) return;
  watched = bar;
  new ResizeObserver(() => document.documentElement.style.setProperty("--bar-end", `${48 + bar.offsetHeight}px`)).observe(bar);
}

let watched: HTMLElement | undefined;

// What of the failures to look at passes the filter, as far as the tasks are here.
const passing = computed(() => {
  let n = 0;
  for (const p of pushes.value) {
    void p.stats.value;
    for (const c of p.cells ?? []) if (needsLook(c) && matches(c, filter.value)) n++;
  }
  return n;
});

export function Bar() {
  const f = filter.value;
  const params = query();
  const open = unclassified();
  const here = passing.value;
  return (
    <div class="bar" role="toolbar" aria-label="Filter" ref={measured}>
      <button
        type="button" class="chip unclassified" aria-pressed={params.get("classifiedState") === "unclassified"} title="Failures that nobody has classified"
        onClick={() => only(["testfailed", "exception"], "unclassified")}
      >
        <b class="num">{open.toLocaleString()}</b> unclassified{here < open && <span class="num muted in-filter">, {here.toLocaleString()} shown</span>}
      </button>
      <input
        class="input" type="search" data-find placeholder="Filter tasks" aria-label="Filter tasks" defaultValue={params.get("searchStr") ?? ""}
        onInput={(e) => setFilter({ searchStr: e.currentTarget.value }, false)}
      />
      {CHIPS.map((c) => {
        const on = c.statuses.every((s) => f.statuses.has(s));
        const n = c.states.reduce((sum, s) => sum + (sums.value[s] ?? 0), 0);
        return (
          <button key={c.name} type="button" class="chip" data-chip={c.statuses[0]} aria-pressed={on} onClick={() => toggle(c.statuses)}>
            <Icon name={c.icon} class={`st-${c.states[0] ?? "retried"}`} />{c.name}{!on && n > 0 && <span class="num"> {n.toLocaleString()}</span>}
          </button>
        );
      })}
      <span class="seg tiers" role="group" aria-label="Tiers">
        {[1, 2, 3].map((t) => <button key={t} type="button" data-tier={t} aria-pressed={f.tiers.has(t)} aria-label={`Tier ${t}`} onClick={() => toggleTier(t)}>{t}</button>)}
      </span>
      <button type="button" class="chip" data-chip="everything" aria-pressed={everything.value} onClick={() => setFilter({ group_state: everything.value ? null : "expanded" }, true)}>
        <Icon name="grid" />all cells
      </button>
      <Funnel />
      <ActiveFilters />
    </div>
  );
}

function Funnel() {
  const chosen = field.value || FIELDS[0]![0];
  return (
    <details class="menu right funnel">
      <summary class="chip" aria-label="Filter by a field"><Icon name="filter" /></summary>
      <form
        class="drop" onSubmit={(e) => {
          e.preventDefault();
          const value = new FormData(e.currentTarget).get("value") as string;
          if (value.trim()) setFilter({ [chosen]: value.trim() }, true);
          e.currentTarget.reset();
          (e.currentTarget.parentElement as HTMLDetailsElement).open = false;
        }}
      >
        <label>Field <select class="input" name="field" value={chosen} onChange={(e) => (field.value = e.currentTarget.value)}>{FIELDS.map(([f, title]) => <option key={f} value={f}>{title}</option>)}</select></label>
        <label>
          Value{" "}
          {chosen === "failure_classification_id"
            ? <select class="input" name="value">{Object.entries(CLASS_WORD).map(([n, word]) => <option key={n} value={n}>{word}</option>)}</select>
            : <input class="input" name="value" />}
        </label>
        <button type="submit" class="button primary">Filter</button>
        <button type="button" class="button" onClick={() => setFilter(RESET, true)}>Reset all filters</button>
      </form>
    </details>
  );
}

const RESET: Record<string, null> = Object.fromEntries([...FIELDS.map(([f]) => f), "resultStatus", "classifiedState", "tier", "searchStr", "group_state"].map((f) => [f, null]));

function ActiveFilters() {
  const params = query();
  const list: [string, string, string, string][] = []; // name in the URL, field, title, value
  for (const [f, title] of FIELDS) {
    for (const name of [f, "filter-" + f]) for (const v of params.getAll(name)) if (v) list.push([name, f, title, f === "failure_classification_id" ? v.split(",").map((n) => CLASS_WORD[Number(n)] ?? n).join(", ") : v]);
  }
  for (const [name, title] of [["author", "Author"], ["revision", "Revision"], ["fromchange", "From"], ["tochange", "To"], ["startdate", "Since"], ["enddate", "Until"]] as const) {
    const v = params.get(name);
    if (v) list.push([name, "", title, name === "revision" || name.endsWith("change") ? v.slice(0, 12) : v]);
  }
  if (params.get("classifiedState")) list.push(["classifiedState", "", "Only", params.get("classifiedState")!]);
  return (
    <>
      {list.map(([name, f, title, value]) => (
        <button
          key={name + value} type="button" class="chip remove" data-remove={name}
          onClick={() => {
            if (f || name === "classifiedState") setFilter({ [name]: null, ...(f ? { [f]: null } : {}) }, true);
            else {
              setQuery({ [name]: null });
              location.reload();
            }
          }}
        >
          {title}: {value} ×
        </button>
      ))}
      {data.pushes.length === 0 && list.length > 0 && <span class="muted small">No push fits.</span>}
    </>
  );
}

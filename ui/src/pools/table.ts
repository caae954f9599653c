// The table of workers: all of them, of which only those in view are in the page.
import { get, post, Refused } from "../shell/api.ts";
import { bootOf } from "../shell/data.ts";
import { Rows } from "../shell/rows.ts";
import { duration, plural } from "../shell/time.ts";
import { toast } from "../shell/toast.tsx";
import { query, setQuery } from "../shell/url.ts";
import { COLUMNS, nameOf, select, sortable, type Worker, type Workers } from "./workers.ts";

const MARK: Record<Worker["s"], string> = { working: "running", idle: "passed", away: "unscheduled", requested: "pending", stopping: "cancelled", stopped: "cancelled" };
const ROW = 34;

interface Result {
  worker: string;
  href: string;
  ok: boolean;
  text: string;
}

function element(tag: string, name = "", text = ""): HTMLElement {
  const e = document.createElement(tag);
  if (name) e.className = name;
  if (text) e.textContent = text;
  return e;
}

function link(href: string, text: string, name = ""): HTMLAnchorElement {
  const a = document.createElement("a");
  a.href = href;
  a.textContent = text;
  a.title = text;
  a.className = name;
  return a;
}

function status(state: string, text: string): HTMLElement {
  const e = element("span", `status st-${state}`);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${bootOf().icons}#st-${state}`);
  svg.append(use);
  e.append(svg, element("span", "", text));
  return e;
}

export class Table {
  private readonly pool: string;
  private readonly form: HTMLFormElement;
  private readonly rows: Rows;
  private readonly box: HTMLElement;
  private readonly tick = document.createElement("input");
  private readonly count: HTMLElement;
  private data: Workers = { rows: [], pool: "", rate: "", runs: 0, now: 0, mayHold: "", mayEnd: "", late: false };
  private names: string[] = [];
  private shown: Worker[] = [];
  private chosen = new Set<string>();
  private at = -1;
  private show = query().get("show") ?? "";
  private sort = query().get("sort") ?? "";
  private text = query().get("q") ?? "";
  private busy = false;

  constructor(form: HTMLFormElement, pool: string) {
    this.form = form;
    this.pool = pool;
    this.count = form.querySelector("#workers-count")!;
    const old = form.querySelector<HTMLElement>("#workers")!;
    this.box = element("div", "card vtable workers");
    this.box.id = "workers";
    this.box.setAttribute("role", "table");
    this.box.setAttribute("aria-label", "Workers");
    const body = element("div", "v-body");
    body.tabIndex = 0;
    body.setAttribute("role", "rowgroup");
    body.setAttribute("aria-label", "Workers");
    this.box.append(this.head(), body);
    this.rows = new Rows(body, { height: ROW, overscan: 20, draw: (i) => this.row(i) }, "", "v-lines");
    old.replaceWith(this.box);
    form.querySelector(".pager")?.remove();
    this.tools();
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      void this.act((e as SubmitEvent).submitter as HTMLButtonElement);
    });
  }

  private tools(): void {
    const find = document.createElement("input");
    find.className = "input";
    find.type = "search";
    find.placeholder = "Worker";
    find.setAttribute("aria-label", "Filter workers by name");
    find.dataset["find"] = "";
    find.value = this.text;
    find.addEventListener("input", () => {
      this.text = find.value;
      setQuery({ q: this.text });
      this.draw();
    });
    find.addEventListener("keydown", (e) => {
      if (e.key === "Enter") e.preventDefault();
    });
    this.form.querySelector(".worker-tools")!.prepend(find);
    for (const chip of this.form.querySelectorAll<HTMLAnchorElement>(".chips a")) {
      chip.addEventListener("click", (e) => {
        e.preventDefault();
        this.show = new URL(chip.href).searchParams.get("show") ?? "";
        setQuery({ show: this.show, from: null }, true);
        for (const c of this.form.querySelectorAll(".chips a")) c.toggleAttribute("aria-current", c === chip);
        chip.setAttribute("aria-current", "true");
        this.draw();
      });
    }
  }

  private head(): HTMLElement {
    const head = element("div", "v-head");
    head.setAttribute("role", "row");
    this.tick.type = "checkbox";
    this.tick.setAttribute("aria-label", "Choose all that are shown");
    this.tick.addEventListener("change", () => this.chooseAll(this.tick.checked));
    const first = element("span");
    first.setAttribute("role", "columnheader");
    first.append(this.tick);
    head.append(first);
    for (const c of COLUMNS) {
      const cell = element("span", ["worker", "state"].includes(c.key) ? "" : ["uptime", "failures", "errors"].includes(c.key) ? "opt num" : "opt");
      cell.setAttribute("role", "columnheader");
      cell.dataset["key"] = c.key;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = c.title;
      button.addEventListener("click", () => {
        this.sort = this.sort === c.key ? "-" + c.key : c.key;
        setQuery({ sort: this.sort });
        this.draw();
      });
      cell.append(button);
      head.append(cell);
    }
    return head;
  }

  private row(i: number): HTMLElement {
    const w = this.shown[i]!;
    const name = nameOf(w);
    const row = element("div", "v-row" + (i === this.at ? " sel" : ""));
    row.setAttribute("role", "row");
    row.style.height = `${ROW}px`;
    const cell = (content: Node | string, more = "") => {
      const e = element("span", more);
      e.setAttribute("role", "cell");
      e.append(content);
      row.append(e);
      return e;
    };
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = this.chosen.has(name);
    box.setAttribute("aria-label", `Choose ${name}`);
    box.addEventListener("change", () => this.choose(name, box.checked));
    cell(box);
    const who = cell(link(this.href(w), name, "mono"));
    if (w.x) who.append(element("span", "tag bad", "suspect"));
    cell(w.q ? status("exception", "quarantined") : status(MARK[w.s], w.s));
    cell(w.q ? `until ${new Date(w.q).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" })}` : "", "opt");
    cell(w.t ? link(`/tasks/${w.t}/runs/${w.r ?? 0}`, w.tn || w.t) : this.data.late ? "…" : "", "opt");
    const up = w.u && w.s !== "away" && w.s !== "stopped" ? duration(this.data.now - w.u) : "";
    cell(up, "opt num");
    cell(w.rn ? `${w.rf ?? 0} of ${w.rn}` : "", "opt num" + (w.x ? " bad" : ""));
    cell(w.e ? String(w.e) : "", "opt num");
    return row;
  }

  private href(w: Worker): string {
    const [provisioner, type] = this.pool.split("/") as [string, string];
    return `/provisioners/${encodeURIComponent(provisioner)}/worker-types/${encodeURIComponent(type)}/workers/${encodeURIComponent(w.g)}/${encodeURIComponent(w.i)}`;
  }

  async load(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    const path = `/ui/api/pools/workers?pool=${encodeURIComponent(this.pool)}`;
    try {
      // What the page itself was made of will do at first.
      this.take(await get<Workers>(this.data.rows.length === 0 ? path + "&first=1" : path));
      if (this.data.late) this.take(await get<Workers>(path + "&wait=1"));
    } catch {
      // The header says when the server is away; the table keeps what it knows.
    } finally {
      this.busy = false;
    }
  }

  private take(data: Workers): void {
    this.data = data;
    this.names = data.rows.map((w) => sortable(nameOf(w)));
    const all = new Set(data.rows.map(nameOf));
    for (const name of this.chosen) if (!all.has(name)) this.chosen.delete(name);
    this.draw();
  }

  private draw(): void {
    const began = performance.now();
    this.shown = select(this.data.rows, this.names, this.show, this.text, this.sort);
    this.at = Math.min(this.at, this.shown.length - 1);
    this.rows.set(this.shown.length);
    this.box.setAttribute("aria-rowcount", String(this.shown.length));
    this.box.dataset["drawn"] = String(Math.ceil(performance.now() - began)); // for tests and benchmarks
    for (const cell of this.box.querySelectorAll<HTMLElement>(".v-head [data-key]")) {
      const key = cell.dataset["key"];
      if (this.sort === key) cell.setAttribute("aria-sort", "ascending");
      else if (this.sort === "-" + key) cell.setAttribute("aria-sort", "descending");
      else cell.removeAttribute("aria-sort");
    }
    const held = this.data.rows.filter((w) => w.q).length;
    const some = this.shown.length === this.data.rows.length ? plural(this.shown.length, "worker") : `${this.shown.length.toLocaleString()} of ${plural(this.data.rows.length, "worker")}`;
    this.count.textContent = some + (held ? `, ${held.toLocaleString()} in quarantine` : "");
    this.say();
  }

  private say(): void {
    const n = this.chosen.size;
    for (const e of this.form.querySelectorAll("[data-chosen]")) e.textContent = n === 0 ? "chosen workers" : plural(n, "worker");
    this.tick.checked = this.shown.length > 0 && this.shown.every((w) => this.chosen.has(nameOf(w)));
    this.tick.indeterminate = n > 0 && !this.tick.checked;
  }

  private choose(name: string, on: boolean): void {
    if (on) this.chosen.add(name);
    else this.chosen.delete(name);
    this.say();
  }

  private chooseAll(on: boolean): void {
    for (const w of this.shown) this.choose(nameOf(w), on);
    this.rows.redraw();
  }

  move(by: number): void {
    if (this.shown.length === 0) return;
    this.at = this.at < 0 ? 0 : Math.min(this.shown.length - 1, Math.max(0, this.at + by));
    this.rows.reveal(this.at);
    this.rows.redraw();
  }

  open(): void {
    const w = this.shown[this.at];
    if (w) location.assign(this.href(w));
  }

  /** Ticks the row that is marked, and opens the form of quarantines. */
  quarantine(): void {
    const w = this.shown[this.at];
    if (w && this.chosen.size === 0) this.choose(nameOf(w), true);
    this.rows.redraw();
    const menu = this.form.querySelector<HTMLDetailsElement>("#hold")!;
    menu.open = true;
    menu.querySelector<HTMLElement>("input[name=reason]")!.focus();
  }

  /** Ticks or unticks the row that is marked. */
  toggle(): void {
    const w = this.shown[this.at];
    if (!w) return;
    this.choose(nameOf(w), !this.chosen.has(nameOf(w)));
    this.rows.redraw();
  }

  private async act(button: HTMLButtonElement | null): Promise<void> {
    if (!button || this.busy) return;
    if (this.chosen.size === 0) {
      toast("No worker is chosen: tick some first.", true);
      return;
    }
    const body = new URLSearchParams({ act: button.value });
    for (const name of ["until", "reason"]) body.set(name, this.form.querySelector<HTMLInputElement>(`input[name=${name}]`)?.value ?? "");
    for (const name of this.chosen) body.append("worker", name);
    button.disabled = true;
    try {
      const { results } = await post<{ results: Result[] }>(`/ui/api/pools/workers?pool=${encodeURIComponent(this.pool)}`, body);
      this.report(results);
      for (const r of results) if (r.ok) this.chosen.delete(r.worker);
      for (const menu of this.form.querySelectorAll<HTMLDetailsElement>("details[open]")) menu.open = false;
      await this.load();
    } catch (error) {
      toast(error instanceof Refused ? error.message : "The server cannot be reached.", true);
    } finally {
      button.disabled = false;
    }
  }

  private report(results: Result[]): void {
    const bad = results.filter((r) => !r.ok).length;
    toast(bad ? `${plural(results.length - bad, "worker")} done, ${bad} not.` : `${plural(results.length, "worker")} done.`, bad > 0);
    document.querySelector("#results")?.remove();
    const card = element("section", "card results");
    card.id = "results";
    card.setAttribute("role", "status");
    const head = element("header");
    head.append(element("h2", "grow", "What became of it"));
    const close = element("button", "button quiet", "Close");
    close.setAttribute("type", "button");
    close.addEventListener("click", () => card.remove());
    head.append(close);
    const list = element("ul", "body");
    list.append(...results.map((r) => {
      const li = element("li");
      li.append(link(r.href, r.worker, "mono"), " ", element("span", r.ok ? "good" : "bad", r.text));
      return li;
    }));
    card.append(head, list);
    this.form.before(card);
  }
}

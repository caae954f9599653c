// What the server writes into a page and answers under /ui/api. Lists are never null.

import type { Columns } from "./cells.ts";

export type State = "unscheduled" | "pending" | "running" | "passed" | "failed" | "exception" | "cancelled" | "retried";

/** A task as the grid and the tables show it. Times are milliseconds since 1970, 0 for none. */
export interface Cell {
  id: string;
  name: string;
  symbol: string;
  group: string; // symbol of the group, "?" for none
  groupName: string;
  platform: string;
  tier: number;
  queue: string;
  state: State;
  reason: string; // reason the last run ended for
  run: number; // the last run, -1 for none
  runs: number;
  scheduled: number;
  started: number;
  ended: number;
  before?: number; // milliseconds that earlier runs worked
  said?: Said; // what somebody said of it
  ghost?: boolean; // it does not exist: the push could run it (jobs/overlay.tsx)
}

/** What somebody said of a task: a class by Treeherder's numbers, with a bug or a note. Class 1 and id 0: nothing. */
export interface Said {
  id: number;
  task: string;
  class: number;
  bug: string;
  note: string;
  by: string;
  time: number;
}

/** What changes of a cell when its task moves. */
export type Move = Pick<Cell, "id" | "state" | "reason" | "run" | "runs" | "scheduled" | "started" | "ended" | "before">;

export interface Commit {
  revision: string;
  author: string;
  email: string;
  message: string;
  time: string;
}

export interface PushError {
  code: string;
  message: string;
  file?: string;
  line?: number;
  detail?: string;
}

export interface Push {
  id: number;
  revision: string;
  base: string;
  branch: string;
  author: string;
  email: string;
  message: string;
  commits: Commit[];
  time: number;
  state: "received" | "deciding" | "decided" | "failed" | "ignored";
  groupId: string;
  groups: string[]; // its own first, then those of cron
  error: PushError | null;
  decisionMillis: number;
  counts: Partial<Record<State, number>>;
  columns: Columns | null; // its tasks; null: to be asked for
  classes: Said[];
  known: string[]; // names of what failed in the push before
}

export interface JobsData {
  repo: string;
  pushes: Push[];
  older: boolean;
}

export interface Act {
  name: "rerun" | "cancel" | "schedule" | "priority" | "purge" | "retrigger";
  label: string;
  allowed: boolean;
  possible: boolean;
  why: string; // what is missing, for people
}

/** What the tree lets people do, as a menu shows it. */
export interface Action {
  name: string;
  title: string;
  href: string;
  plain: boolean; // takes no input: one press starts it
  grave: boolean; // asks before
  allowed: boolean;
  why: string; // why not
}

export interface Run {
  id: number;
  state: State;
  stateText: string;
  sentence: string;
  worker: string;
  scheduled: number;
  started: number;
  ended: number;
}

export interface Artifact {
  name: string;
  type: string;
  contentType: string;
  size: number; // bytes, -1 when unknown
  sha256: string;
  expires: number;
  href: string;
  log: string; // address of the log viewer, "" for what is no log
  present: boolean;
}

export interface Neighbour {
  id: string;
  name: string;
  state: State;
  stateText: string;
}

/** What a task waits for: a text, or a task and what is the matter with it. */
export interface Wait {
  text: string;
  id: string;
  name: string;
}

/** Where a log's bytes are. */
export interface Where {
  url: string;
  growing: boolean;
  size: number; // bytes of a log that has ended, -1 when unknown
}

export interface TaskData {
  id: string;
  groupId: string;
  name: string;
  descriptionHtml: string;
  owner: string;
  source: string;
  queue: string;
  priority: string;
  project: string;
  scheduler: string;
  created: number;
  deadline: number;
  expires: number;
  retriesLeft: number;
  requires: string;
  state: State;
  stateText: string;
  sentence: string;
  waiting: Wait[]; // why it does not run yet
  run: number; // the one shown, -1 for none
  runs: Run[];
  artifacts: Artifact[];
  log: string; // address that says where the main log is, "" when there is none
  logPage: string;
  logOffer: LogOffer | null; // null before the first run
  acts: Act[];
  yaml: string;
  dependencies: Neighbour[];
  dependents: Neighbour[];
  moreDependents: boolean;
  tags: [string, string][];
  routes: string[];
  scopes: string[];
  push: { repo: string; id: number; revision: string; subject: string } | null;
  actions: boolean; // whether some may be offered
  why: Why;
  summaryHtml: string; // what the run says of itself, made harmless
  lines: { test: string; message: string; line: number; excerpt: string }[]; // that tell of the failure
  reading: boolean; // these are still being read
  normal: { seconds: number; runs: number }; // how long runs that pass take, zero when not known
  scopesSaid: { scope: string; says: string }[];
  caches: string[];
  curl: string;
  label: string;
  classify: string; // the scope that classifying takes, "" where nothing can be classified
  canClassify: boolean;
  artifactCount: number; // of all; artifacts holds the first ones
}

/** Why a task is there, and why it does not run yet. */
export interface Why {
  text: string;
  waits: string;
  link: string;
  rule: string; // where the rule stands, as file:line
  source: string; // that place at the forge
  later: boolean; // it is being read: ask again
}

export interface GroupData {
  id: string;
  title: string;
  sealed: boolean;
  expires: number;
  repo: string; // "" for a group that no push made
  revision: string;
  cells: Cell[];
  cut: boolean;
  actions: boolean; // whether some may be offered
}

/** What the viewer of a run's log has besides the text. */
export interface LogOffer {
  failed?: boolean; // the run failed
  report?: Reporting; // without it nothing can be reported here
  bug?: { name: string; repo: string; revision: string }; // what a bug is filed of; without it there is no tracker
}

export interface LogData extends LogOffer {
  taskId: string;
  run: number;
  name: string;
  bytes: string; // address that tells of the text; "" when it lives elsewhere
  raw: string;
  growing: boolean;
  page?: string; // address of the viewer, where it is not that of the page
}

/** Whether people may say which line tells of a run's failure. */
export interface Reporting {
  possible: boolean;
  allowed: boolean;
  why: string; // why not
}

/** A line of a log that somebody said to tell of the failure. */
export interface Reported {
  id: number;
  line: number;
  message: string;
  by: string;
  time: number;
}

/** A line that tells of a run's failure. */
export interface FailureLine {
  test: string;
  message: string;
  number: number; // in the log, 0 unknown
  report: number; // of somebody who said so; 0: it was found
  by: string; // who that was
}

/** What somebody has chosen for all pages. */
export interface Settings {
  zone: "" | "UTC"; // "" for the browser's
  keys: string[]; // that do nothing; "*" for all single letters
}

export interface Boot<T> {
  csrf: string;
  user: string;
  stream: string; // address of what happens, "" for none
  worker: string; // the script that all tabs share for it, "" when it was not built
  icons: string;
  settings: Settings;
  data: T;
}

/** A message of the stream. */
export interface Message {
  to: string[]; // the topics it belongs to, such as "task=ID"
  kind: string;
  groupId?: string;
  repo?: string;
  push?: number;
  task?: Move;
  artifact?: string;
  said?: Said;
  pool?: string; // of kind "pool": something happened to this worker pool or task queue; at most once a second
}

let boot: Boot<unknown> | undefined;

/** What the server wrote into this page. */
export function bootOf<T>(): Boot<T> {
  if (!boot) {
    const element = document.getElementById("boot");
    if (!element?.textContent) throw new Error("this page came without its data");
    boot = JSON.parse(element.textContent) as Boot<unknown>;
  }
  return boot as Boot<T>;
}

// The script of all pages: what every page has, and the page's own.
import { incomplete, patiently } from "./shell/part.ts";
import { start as shell } from "./shell/shell.ts";

type Page = { start: (root: HTMLElement) => void };

// Each is a part of its own that only its page loads.
const pages: Record<string, () => Promise<Page>> = {
  home: () => import("./home/page.ts"),
  again: () => import("./shell/again.ts"),
  againdone: () => import("./shell/again.ts"),
  groups: () => import("./shell/outline.ts"),
  jobs: () => import("./jobs/page.tsx"),
  task: () => import("./task/page.tsx"),
  group: () => import("./group/page.tsx"),
  actions: () => import("./shell/outline.ts"),
  action: () => import("./shell/form.ts"),
  hook: () => import("./hooks/hook.ts"),
  hookedit: () => import("./hooks/edit.tsx"),
  hooklisten: () => import("./hooks/listen.ts"),
  hooks: () => import("./shell/outline.ts"),
  manual: () => import("./manual/page.ts"),
  log: () => import("./log/page.tsx"),
  health: () => import("./health/page.tsx"),
  trace: () => import("./trace/page.tsx"),
  pulse: () => import("./pulse/page.ts"),
  profile: () => import("./access/profile.ts"),
  authedit: () => import("./access/edit.ts"),
  approvals: () => import("./shell/outline.ts"),
  index: () => import("./index/page.ts"),
  indexentry: () => import("./index/page.ts"),
  create: () => import("./create/page.tsx"),
  pools: () => import("./pools/page.tsx"),
  queues: () => import("./pools/page.tsx"),
  pool: () => import("./pools/page.tsx"),
  poolcreate: () => import("./pools/page.tsx"),
  worker: () => import("./pools/page.tsx"),
  debug: () => import("./debug/page.tsx"),
  connect: () => import("./terminal/connect.ts"),
  shell: () => import("./terminal/page.ts"),
  quickstart: () => import("./create/quickstart.ts"),
};

const main = document.querySelector("main")!;
const load = pages[document.body.dataset["page"] ?? ""];
try {
  if (load) (await patiently(load)).start(main);
} catch (error) {
  main.prepend(incomplete());
  reportError(error);
}
shell();
document.body.dataset["ready"] = "true";

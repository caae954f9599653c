// The script of all pages: what every page has, then the page's own.
import { start as group } from "./group/page.tsx";
import { start as jobs } from "./jobs/page.tsx";
import { start as log } from "./log/page.tsx";
import { start as outline } from "./shell/outline.ts";
import { start as shell } from "./shell/shell.ts";
import { start as task } from "./task/page.tsx";

const pages: Record<string, (root: HTMLElement) => void> = { jobs, task, group, log, home: outline, groups: outline };

const root = document.querySelector("main")!;
pages[document.body.dataset["page"] ?? ""]?.(root);
shell();
document.body.dataset["ready"] = "true";

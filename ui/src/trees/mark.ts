// The mark in the header that says which trees are not open. A change elsewhere shows here at once.
import { get } from "../shell/api.ts";
import { onMessages } from "../shell/live.ts";
import { toast } from "../shell/toast.tsx";

interface Tree {
  repository: string;
  state: "open" | "approval" | "closed";
  reason: string;
  message: string;
}

const WORDS = { open: "open", approval: "approval required", closed: "closed" };

function show(box: HTMLElement, trees: Tree[]): void {
  const here = document.body.dataset["repo"] ?? "";
  const loud = trees.filter((t) => (t.state !== "open" || t.message !== "") && (here === "" || t.repository === here));
  box.replaceChildren();
  box.hidden = loud.length === 0;
  for (const t of loud.slice(0, 3)) {
    const link = document.createElement("a");
    link.href = "/trees/" + encodeURIComponent(t.repository);
    link.className = `tree-mark tree-${t.state}`;
    link.title = [t.reason, t.message].filter((s) => s !== "").join(" — ");
    link.textContent = `${t.repository}: ${t.state === "open" ? t.message : WORDS[t.state]}`;
    box.append(link);
  }
}

export function watchTrees(): void {
  const box = document.getElementById("tree-marks");
  if (!box) return;
  onMessages((list) => {
    const changed = list.find((m) => m.kind === "tree-changed");
    if (!changed && !list.some((m) => m.kind === "reset")) return;
    get<{ trees: Tree[] }>("/ui/api/trees").then(
      ({ trees }) => {
        show(box, trees);
        const t = trees.find((x) => x.repository === changed?.repo);
        if (t) toast(`The tree ${t.repository} is ${t.state === "open" ? "open" : WORDS[t.state]}${t.reason ? ": " + t.reason : ""}`, t.state === "closed");
      },
      () => undefined, // the next message, or the next page, tells
    );
  });
}

// An editor for YAML and JSON in the place of a text area. What the page does with it is the same for both: the
// library is a part that only pages with an editor load, and where it is missing the text area stays.

export interface Problem {
  line: number; // counted from 1; 0 without a place
  column: number;
  path: string;
  message: string;
  severity: "error" | "warning";
}

export interface Editor {
  readonly plain: boolean; // a text area
  text(): string;
  setText(text: string): void;
  problems(list: Problem[]): void;
  line(): number; // of the cursor, from 1
  go(line: number, column?: number): void;
  focus(): void;
}

export interface Options {
  language: "yaml" | "json";
  label: string;
  plain: boolean;
  onChange: () => void;
  onCursor: () => void;
  keys?: Record<string, () => void>; // such as "Mod-Enter"
}

/** Makes an editor of a text area, or keeps it as it is. */
export async function edit(area: HTMLTextAreaElement, options: Options): Promise<Editor> {
  if (!options.plain) {
    try {
      const { island } = await import("./island.ts");
      return island(area, options);
    } catch (error) {
      console.info("the editor is not there, the text area stays", error); // this build lacks it
    }
  }
  return keep(area, options);
}

function keep(area: HTMLTextAreaElement, options: Options): Editor {
  area.addEventListener("input", options.onChange);
  for (const kind of ["keyup", "click", "focus"]) area.addEventListener(kind, options.onCursor);
  area.addEventListener("keydown", (e) => {
    const name = (e.ctrlKey || e.metaKey ? "Mod-" : "") + (e.altKey ? "Alt-" : "") + (e.key.length === 1 ? e.key.toLowerCase() : e.key);
    const run = options.keys?.[name];
    if (run) {
      e.preventDefault();
      run();
    }
  });
  return {
    plain: true,
    text: () => area.value,
    setText(text) {
      area.value = text;
      options.onChange();
    },
    problems(list) {
      area.setAttribute("aria-invalid", String(list.some((p) => p.severity === "error")));
    },
    line: () => area.value.slice(0, area.selectionStart).split("\n").length,
    go(line) {
      const before = area.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
      const end = area.value.indexOf("\n", before);
      area.focus();
      area.setSelectionRange(before, end < 0 ? area.value.length : end);
      area.scrollTop = (line - 4) * (area.scrollHeight / Math.max(1, area.value.split("\n").length));
    },
    focus: () => area.focus(),
  };
}

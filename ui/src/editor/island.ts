// CodeMirror in a shadow root: there its style sheets are constructed ones, which the pages' policy allows. The text
// area stays in the form, hidden, and always has the text.
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, defaultHighlightStyle, foldGutter, foldKeymap, HighlightStyle, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { Editor, Options, Problem } from "./editor.ts";

const theme = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--surface)", fontSize: "13px" },
  "&.cm-focused": { outline: "2px solid var(--focus)", outlineOffset: "-1px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--sunken)", color: "var(--muted)", border: "0" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--hover)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { background: "var(--selected)" },
  ".cm-panels": { backgroundColor: "var(--sunken)", color: "var(--text)" },
  ".cm-tooltip": { backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--line-strong)" },
  ".cm-selectionMatch, .cm-searchMatch": { backgroundColor: "var(--mark)" },
  // No pictures: the pages' policy forbids those of data addresses.
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--failed) 1px" },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy var(--cancelled) 1px" },
  ".cm-lintRange-active": { backgroundColor: "var(--danger-bg)" },
  ".cm-lint-marker-error, .cm-lint-marker-warning": { content: "normal" },
  ".cm-lint-marker-error::before": { content: "'■'", color: "var(--failed)" },
  ".cm-lint-marker-warning::before": { content: "'▲'", color: "var(--cancelled)" },
  ".cm-foldPlaceholder": { backgroundColor: "var(--sunken)", color: "var(--muted)", border: "0" },
});

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--link)" },
  { tag: [tags.string, tags.special(tags.string), tags.content], color: "var(--passed)" },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: "var(--exception)" },
  { tag: [tags.comment, tags.lineComment], color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.labelName, tags.typeName, tags.meta], color: "var(--cancelled)" },
]);

export function island(area: HTMLTextAreaElement, options: Options): Editor {
  const host = document.createElement("div");
  host.className = "editor-host";
  host.dataset["editor"] = "island";
  const shadow = host.attachShadow({ mode: "open" });
  area.after(host);
  area.hidden = true;
  let quiet = false;
  const extra = Object.entries(options.keys ?? {}).map(([key, run]) => ({
    key,
    preventDefault: true,
    run: () => {
      run();
      return true;
    },
  }));
  const view = new EditorView({
    parent: shadow,
    root: shadow,
    state: EditorState.create({
      doc: area.value,
      extensions: [
        keymap.of([...extra, ...searchKeymap, { key: "Escape", run: leave }, ...historyKeymap, ...foldKeymap, ...defaultKeymap, indentWithTab]),
        lineNumbers(), foldGutter(), lintGutter(), history(), drawSelection(), indentOnInput(), bracketMatching(), highlightActiveLine(),
        highlightActiveLineGutter(), highlightSelectionMatches(), search({ top: true }), options.language === "json" ? json() : yaml(),
        syntaxHighlighting(colours), syntaxHighlighting(defaultHighlightStyle, { fallback: true }), theme,
        EditorView.contentAttributes.of({ "aria-label": options.label, spellcheck: "false", tabindex: "0" }),
        EditorView.updateListener.of((u) => {
          if (u.docChanged) {
            area.value = u.state.doc.toString();
            if (!quiet) options.onChange();
          }
          if (u.docChanged || u.selectionSet) options.onCursor();
        }),
      ],
    }),
  });
  // The page sees keys as of the host, which is no field: what is typed here is none of its business.
  host.addEventListener("keydown", (e) => {
    if (!e.ctrlKey && !e.metaKey && !e.altKey) e.stopPropagation();
  });
  area.form?.addEventListener("submit", () => (area.value = view.state.doc.toString()));
  const place = (line: number, column = 0): number => {
    const l = view.state.doc.line(Math.max(1, Math.min(line || 1, view.state.doc.lines)));
    return Math.min(l.to, l.from + Math.max(0, column - 1));
  };
  const mark = (p: Problem): Diagnostic => {
    const l = view.state.doc.lineAt(place(p.line));
    const from = p.column > 0 ? place(p.line, p.column) : l.from + (/^\s*/.exec(l.text)?.[0].length ?? 0);
    return { from: Math.min(from, l.to), to: l.to, severity: p.severity, message: p.message };
  };
  return {
    plain: false,
    text: () => view.state.doc.toString(),
    setText(text) {
      quiet = true;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
      quiet = false;
      options.onChange();
    },
    problems: (list) => view.dispatch(setDiagnostics(view.state, list.map(mark))),
    line: () => view.state.doc.lineAt(view.state.selection.main.head).number,
    go(line, column = 0) {
      const at = place(line, column);
      view.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: "center" }) });
      view.focus();
    },
    focus: () => view.focus(),
  };

  // Tab indents, so Escape and then Tab leaves the editor.
  function leave(): boolean {
    if (!shadow.activeElement) return false;
    view.contentDOM.blur();
    host.tabIndex = -1;
    host.focus();
    return true;
  }
}

// The log's tab. Its script is as large as all the rest of the page: it comes when the tab is opened.
import { useEffect, useRef } from "preact/hooks";
import type { LogData, TaskData } from "../shell/data.ts";
import { ended, Icon } from "../shell/look.tsx";
import { toast } from "../shell/toast.tsx";
import { LogBox, LogPane } from "../log/page.tsx";
import { report } from "../log/report.ts";
import { show, task } from "./model.ts";

export function LogTab({ d }: { d: TaskData }) {
  if (!d.log) {
    return <p class="muted">{d.runs.length === 0 || !d.runs[d.run]?.started ? "The task has not started: there is no log yet." : "This run has left no log."}</p>;
  }
  return <LogTabBox key={d.log} d={d} />;
}

const logOf = (d: TaskData): LogData => ({
  ...d.logOffer, taskId: d.id, run: d.run, name: "", bytes: d.log, page: d.logPage, raw: d.artifacts.find((a) => a.log === d.logPage)?.href ?? d.log, growing: !ended(d.state),
});

let shownPane: LogPane | undefined; // of the log's tab, while that is open

/** Reports the marked line of the log as what tells of the failure; without a log at hand, it opens the tab. */
export function reportMarked(): void {
  if (shownPane) return void report(shownPane, logOf(task.value));
  show("log");
  toast("Mark a line of the log first: click its number.");
}

function LogTabBox({ d }: { d: TaskData }) {
  const pane = useRef(new LogPane());
  const data = logOf(d);
  useEffect(() => {
    shownPane = pane.current;
    return () => (shownPane = undefined);
  }, []);
  return (
    <div class="tab-log">
      <LogBox pane={pane.current} data={data}>
        <a class="button quiet" href={d.logPage}><Icon name="log" />Whole page</a>
      </LogBox>
    </div>
  );
}

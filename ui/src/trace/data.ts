// What the server answers about a trace; trace/view.go describes it. Times are milliseconds.

export type What = "push" | "webhook" | "decision" | "task" | "needs" | "worker" | "run" | "artifacts" | "report";

export interface Bar {
  what: What;
  from: number; // since the start
  to: number;
  run: number;
  open?: boolean;
  state?: string;
  result?: string;
  why?: string;
  text?: string;
  task?: string;
  worker?: string;
  artifacts?: number;
  bytes?: number;
}

export interface Row {
  what: What;
  id: string;
  name: string;
  kind: string;
  state: string;
  queue?: string;
  critical?: boolean;
  bars: Bar[];
}

export interface Step {
  what: What;
  task?: string;
  name?: string;
  run: number;
  from: number;
  to: number;
  text: string;
}

export interface Trace {
  traceId: string;
  title: string;
  repository?: string;
  revision?: string;
  taskGroupId?: string;
  start: number; // since 1970
  takes: number;
  settled: boolean;
  result: string;
  rows: Row[];
  critical: Step[];
  data: string; // address where it is read again
  file: string; // address of the download
}

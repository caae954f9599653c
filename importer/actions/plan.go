package actions

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/importer/actions/expr"
	"github.com/treeline-ci/treeline/importer/actions/source"
)

// task is what an entry of the kind says.
type task struct {
	worker    *Worker
	image     string
	maxRun    int
	checkout  bool
	env       []pair
	needs     []need
	artifacts bool
	summary   bool
	proxy     bool
	context   bool // TASKS_FOR and BASE_REF come from the parameters
	scopes    []string
	caches    []string // of tools
	mounts    []pair   // cache name, directory
	command   string
	comments  []Remark
	files     []pair // beside the kind: name, content
}

type pair struct{ key, value string }

// need is a task that another depends on.
type need struct {
	on      *entry
	fetches []fetch
}

type fetch struct {
	artifact, dest string
	extract        bool
}

// upload is an artifact that a step makes.
type upload struct {
	name  string
	by    *entry
	taken bool // by another task
}

// convert makes the workflow's tasks.
func (f *flow) convert() {
	f.collect(f.root, f.scope, caller{}, 0)
	for _, j := range f.jobs {
		f.combine(j)
	}
	var uploads []*upload
	for _, j := range f.jobs {
		for _, e := range j.entries {
			e.steps = f.flatten(j.n.At("steps"), e.scope, step{}, 0)
			uploads = append(uploads, f.uploads(e)...)
		}
	}
	for _, j := range f.jobs {
		f.jobKeys(j)
		for i, e := range j.entries {
			before := len(f.all)
			f.task(e, uploads)
			if i == 0 {
				e.comments = slices.Clone(f.all[before:])
			}
		}
	}
	for _, j := range f.jobs { // when it is known who reads whose outputs and artifacts
		for _, e := range j.entries {
			f.command(e, uploads)
		}
	}
}

// jobKeys remarks on what a job says and tasks do not have.
func (f *flow) jobKeys(j *job) {
	f.known(j.n, "the job "+j.id, "name", "runs-on", "needs", "if", "env", "defaults", "steps", "timeout-minutes", "strategy", "container", "services",
		"outputs", "permissions", "concurrency", "environment", "continue-on-error")
	f.permissions(j.n.At("permissions"))
	if n := j.n.At("environment"); n != nil {
		f.left(n, "the environment "+orText(n.At("name").Str(), n.Str()), "its protection is not converted: give the secrets to the role of one branch, and see docs/how-to/use-a-secret.md")
	}
	if n := j.n.At("concurrency"); n != nil {
		f.check(n, "concurrency of the job "+j.id, "Treeline does not make tasks wait for others of their sort; where that matters, let the task take a lock")
	}
	if n := j.n.At("continue-on-error"); n != nil && !n.Is("false") {
		f.check(n, "continue-on-error of the job "+j.id, "the task fails like any other; give it tier 2 if that should not count")
	}
	for _, name := range j.n.At("services").Names() {
		n := j.n.At("services").At(name)
		f.left(n, "the service "+name, "start "+orText(n.At("image").Str(), n.Str())+" in the script before it is needed, or take an image that has it")
	}
	s := j.n.At("strategy")
	f.known(s, "the strategy of "+j.id, "matrix", "fail-fast", "max-parallel")
	if n := s.At("max-parallel"); n != nil {
		f.check(n, "max-parallel", "how many tasks run at once is said by the number of workers")
	}
}

func orText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// combine makes an entry for each member of the job's matrix.
func (f *flow) combine(j *job) {
	list, ok := f.matrix(j.n.At("strategy").At("matrix"), j.scope)
	if !ok {
		f.left(j.n.At("strategy"), "the matrix of "+j.id, "it is only known when something has run; list its values, or make the tasks in a transform. The task does not run until then")
		j.conds = append(j.conds, expr.Never)
	}
	for i, name := range names(j.id, list) {
		if f.c.tasks++; f.c.tasks > maxTasks {
			f.left(j.n, "the job "+j.id, fmt.Sprintf("the workflows make more than %d tasks", maxTasks))
			return
		}
		sc := j.scope.With("matrix", list[i].values, true)
		sc.Static["strategy.job-index"], sc.Static["strategy.job-total"] = float64(i), float64(len(list))
		sc.Static["matrix"] = list[i].values
		if !j.always { // it runs when they all have succeeded
			for need := range j.named {
				sc.Static["needs."+need+".result"] = "success"
			}
		}
		sc = sc.With("runner", runner(f.labels(j, sc)), false)
		e := &entry{name: name, job: j, scope: sc}
		for _, o := range f.jobs {
			for n := 2; slices.ContainsFunc(o.entries, func(x *entry) bool { return x.name == e.name }); n++ {
				e.name = fmt.Sprintf("%s-%d", name, n)
			}
		}
		e.scope = sc.With("env", f.envOf(e), false)
		j.entries = append(j.entries, e)
	}
}

var setsEnv = regexp.MustCompile(`\b([A-Za-z_]\w*)(?:=|<<)`)

// envOf are the variables of a task that are known, but for those that its steps set anew.
func (f *flow) envOf(e *entry) map[string]any {
	known := f.staticEnv(e.job.env, e.scope)
	for _, st := range e.job.n.At("steps").List() {
		if run := st.At("run").Str(); strings.Contains(run, "GITHUB_ENV") {
			for _, m := range setsEnv.FindAllStringSubmatch(run, -1) {
				delete(known, m[1])
			}
		}
	}
	return known
}

// task says where an entry runs, with what, and after what.
func (f *flow) task(e *entry, uploads []*upload) {
	j := e.job
	f.place(e)
	e.maxRun = 6 * 60 * 60 // as GitHub has it
	if n := j.n.At("timeout-minutes"); n != nil {
		v, ok := f.resolve(n, e.scope)
		minutes, isNumber := expr.Number(v)
		if !ok || !isNumber || minutes < 1 {
			f.left(n, "timeout-minutes of "+j.id, "it is no number that is known; six hours are allowed")
		} else {
			e.maxRun = int(min(minutes*60, 24*60*60))
		}
	}
	for _, need := range j.needs {
		for _, on := range need.entries {
			e.depend(on)
		}
	}
	for _, st := range e.steps {
		name, _ := st.action()
		if _, runs := st.guard(); !runs {
			continue
		}
		switch name {
		case "actions/checkout":
			e.checkout = true
		case "actions/download-artifact":
			f.downloads(e, st, uploads)
		}
	}
	f.wantOutputs(e)
}

// depend returns the need of an entry on another, made if it is not there.
func (e *entry) depend(on *entry) *need {
	for i := range e.needs {
		if e.needs[i].on == on {
			return &e.needs[i]
		}
	}
	e.needs = append(e.needs, need{on: on})
	return &e.needs[len(e.needs)-1]
}

var needsOutput = regexp.MustCompile(`needs\s*\.\s*([\w-]+)\s*\.\s*outputs`)

// wantOutputs finds the jobs whose outputs a job reads, and has them fetched.
func (f *flow) wantOutputs(e *entry) {
	var walk func(n *source.Node)
	walk = func(n *source.Node) {
		if n == nil {
			return
		}
		for _, m := range needsOutput.FindAllStringSubmatch(n.Text, -1) {
			for _, on := range e.job.named[m[1]].jobs {
				if len(on.entries) == 1 && !on.n.At("outputs").Empty() {
					on.outputs = true
					d := e.depend(on.entries[0])
					want := fetch{"outputs.env", "needs/" + m[1], false}
					if !slices.Contains(d.fetches, want) {
						d.fetches = append(d.fetches, want)
					}
				}
			}
		}
		for _, k := range n.Keys {
			walk(n.Vals[k])
		}
		for _, i := range n.Items {
			walk(i)
		}
	}
	for _, key := range []string{"env", "steps", "outputs"} {
		walk(e.job.n.At(key))
	}
}

// place chooses the worker, by runs-on and container.
func (f *flow) place(e *entry) {
	n := e.job.n.At("runs-on")
	labels := f.labels(e.job, e.scope)
	if len(labels) == 0 {
		f.left(n, "runs-on of "+e.job.id, "it is not known before something runs; the worker type linux is taken")
		labels = []string{"ubuntu-latest"}
	}
	e.worker = f.c.workerFor(labels)
	if e.worker.Queue == "local/"+e.worker.Alias && f.c.options.Runners[labels[0]] == "" {
		f.note(n, "runs on "+strings.Join(labels, ", "), "a worker must serve the queue "+e.worker.Queue+", or name another with --runner "+labels[0]+"=PROVISIONER/WORKER-TYPE")
	}
	f.container(e, e.job.n.At("container"))
	if e.image == "" && f.c.options.Images && e.worker.OS == "linux" {
		f.imageOf(e)
	}
}

func (f *flow) container(e *entry, n *source.Node) {
	if n.Empty() {
		return
	}
	image := n
	if n.Kind == source.Map {
		image = n.At("image")
		f.known(n, "the container of "+e.job.id, "image", "env")
		for _, b := range f.bindings(n.At("env")) {
			e.job.env = append(slices.Clip(e.job.env), b)
		}
	}
	name, ok := e.scope.Fill(image.Str())
	if !ok || name == "" {
		f.left(n, "the container of "+e.job.id, "its image is not known before something runs")
		return
	}
	e.image = strings.TrimPrefix(name, "docker://")
	e.worker = f.c.inContainers(e.worker)
	f.note(n, "runs in the image "+e.image, "a worker with --engine container must serve the queue "+e.worker.Queue+"; the image needs git and bash")
}

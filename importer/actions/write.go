package actions

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/local/starter"
)

// write makes the files of all workflows.
func (c *converter) write() {
	r := c.result
	if len(c.flows) == 0 {
		return
	}
	add := func(name, why, content string) {
		r.Files = append(r.Files, starter.File{Name: name, Why: why, Content: content})
	}
	add(".taskcluster.yml", "what happens at a push: one decision task, which makes the others", c.taskclusterYML())
	add("taskcluster/config.yml", "names, and where tasks run", c.configYML())
	for _, f := range c.flows {
		if f.kept {
			continue
		}
		text, err := f.kindYML()
		if err != nil {
			f.left(f.root, "the workflow", err.Error())
			continue
		}
		add(f.kindFile(), "the tasks of "+f.file, text)
		for _, j := range f.jobs {
			for _, e := range j.entries {
				for _, file := range e.files {
					add(file.key, "what the task "+f.kind+"-"+e.name+" does", file.value)
				}
			}
		}
	}
	if text := c.cronYML(); text != "" {
		add(".cron.yml", "what happens at set times, or is started by hand", text)
	}
	for _, s := range c.secrets {
		r.Secrets = append(r.Secrets, *s)
	}
	slices.SortFunc(r.Secrets, func(a, b Secret) int { return strings.Compare(a.Name, b.Name) })
	for _, name := range c.workerNames() {
		r.Workers = append(r.Workers, *c.workers[name])
	}
}

// workerNames are the aliases that some task asks for.
func (c *converter) workerNames() []string {
	var out []string
	for _, f := range c.flows {
		for _, j := range f.jobs {
			for _, e := range j.entries {
				if !slices.Contains(out, e.worker.Alias) {
					out = append(out, e.worker.Alias)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

func (c *converter) configYML() string {
	p := c.project
	var groups, aliases, methods strings.Builder
	for _, f := range c.flows {
		fmt.Fprintf(&groups, "    %s: %s\n", strconv.Quote(limit(f.kind, 25)), strconv.Quote(clear(f.title)))
		if f.trig.cron != nil {
			fmt.Fprintf(&methods, "  %s: kind == %s\n", f.method(), strconv.Quote(f.kind))
		}
	}
	for _, name := range c.workerNames() {
		w := c.workers[name]
		fmt.Fprintf(&aliases, "    # runs-on: %s\n%s", clear(w.Labels), w.yml())
	}
	if len(c.options.Workflows) > 0 {
		for _, w := range c.others() {
			fmt.Fprintf(&aliases, "    # was here before\n%s", w.yml())
		}
	}
	repository := "      name: " + strconv.Quote(clear(p.Name)) + "\n"
	if p.Remote != "" {
		repository += "      default-repository: " + strconv.Quote(clear(p.Remote)) + "\n"
	}
	repository += "      default-ref: " + strconv.Quote(clear(p.DefaultBranch)) + "\n      type: " + p.Type + "\n"
	text := fmt.Sprintf(`# What all kinds of tasks share.
trust-domain: %s
task-priority: low
task-deadline-after: 1 day
task-expires-after: 90 days
treeherder:
  # Groups of symbols: one for each workflow.
  group-names:
%staskgraph:
  repositories:
    # The prefix: tasks find the revision in %s_HEAD_REV, and so on.
    %s:
%s  run:
    # Directories that are kept from task to task.
    use-caches: [checkout]
workers:
  aliases:
%s`, p.TrustDomain(), groups.String(), strings.ToUpper(p.Prefix()), p.Prefix(), repository, aliases.String())
	if methods.Len() > 0 {
		text += "# What jobs of .cron.yml select.\ntarget-tasks:\n" + methods.String()
	}
	return text
}

// yml is the worker as an alias of config.yml.
func (w Worker) yml() string {
	provisioner, kind, _ := strings.Cut(w.Queue, "/")
	return fmt.Sprintf("    %s:\n      provisioner: %s\n      implementation: %s\n      os: %s\n      worker-type: %s\n",
		strconv.Quote(w.Alias), strconv.Quote(provisioner), plainWord(w.Implementation), plainWord(w.OS), strconv.Quote(kind))
}

// plainWord is a word as YAML has it, quoted only where it may be more than that.
func plainWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") == "" && s != "" {
		return s
	}
	return strconv.Quote(s)
}

// method is the target-tasks method of the workflow's job in .cron.yml.
func (f *flow) method() string { return f.kind + "-by-cron" }

func (c *converter) cronYML() string {
	var b strings.Builder
	for _, f := range c.flows {
		j := f.trig.cron
		if j == nil {
			continue
		}
		fmt.Fprintf(&b, "  - name: %s # %s: %s\n    job:\n      type: decision-task\n      treeherder-symbol: %s\n      target-tasks-method: %s\n", j.name, f.file, j.why, strconv.Quote(j.symbol), f.method())
		if len(j.times) == 0 {
			b.WriteString("    when: []\n")
			continue
		}
		b.WriteString("    when:\n")
		for _, t := range j.times {
			b.WriteString("      - {" + t.String() + "}\n")
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "# What happens at set times (UTC), and what people start by hand: treeline cron run REPOSITORY NAME.\njobs:\n" + b.String()
}

// asked are the events of GitHub that some workflow runs for.
func (c *converter) asked() []string {
	all := []string{"git-push", "cron"}
	for _, f := range c.flows {
		all = append(all, f.trig.tasksFor...)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(s string) bool { return s == "hg-push" })
}

// cancelling says which builds newer ones cancel.
func (c *converter) cancelling() string {
	cancel, keeps := false, false
	var branches []string
	for _, f := range c.flows {
		cancel, keeps = cancel || *f.cancel, keeps || !*f.cancel
		branches = append(branches, f.trig.cancels...)
	}
	text := fmt.Sprintf("autoCancelPreviousChecks: %v\n", cancel)
	slices.Sort(branches)
	if branches = slices.Compact(branches); len(branches) > 0 && !keeps {
		for i := range branches {
			branches[i] = strconv.Quote(branches[i])
		}
		text += "treeline:\n  cancelOlderOnBranches: [" + strings.Join(branches, ", ") + "]\n"
	}
	if cancel && keeps {
		for _, f := range c.flows {
			if *f.cancel {
				f.check(f.root.At("concurrency"), "cancel-in-progress of one workflow among several", "Treeline cancels all older builds of a pull request, or none")
				c.result.Remarks = append(c.result.Remarks, f.all[len(f.all)-1])
			}
		}
	}
	return text
}

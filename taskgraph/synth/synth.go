// Package synth makes synthetic repositories of any size, whose graphs the generator is measured
// with: one kind whose entries are named, split by a matrix and turned into tasks by task_context,
// matrix, run and task. Tasks form chains, and half of them carry an optimization. The same options
// give the same files.
package synth

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing/fstest"
)

// Options say how large the repository's graph is.
type Options struct {
	Tasks int // a multiple of Platforms × Variants
	// Platforms and Variants are the sides of the matrix that splits each entry.
	Platforms, Variants int
	Chain               int // how many tasks depend on one another in a row
}

// Matrix gives n tasks as n/20 entries, each split by a matrix of 5 platforms and 4 variants.
func Matrix(n int) Options { return Options{Tasks: n, Platforms: 5, Variants: 4, Chain: 10} }

// Flat gives n tasks as n entries.
func Flat(n int) Options { return Options{Tasks: n, Platforms: 1, Variants: 1, Chain: 10} }

// Files are the files of the repository; Parameters names the one of its parameters.
func Files(o Options) (fstest.MapFS, error) {
	cells := o.Platforms * o.Variants
	if cells < 1 || o.Chain < 1 || o.Tasks < cells || o.Tasks%cells != 0 {
		return nil, fmt.Errorf("synth: %d tasks cannot be made of entries of %d × %d cells in chains of %d", o.Tasks, o.Platforms, o.Variants, o.Chain)
	}
	out := fstest.MapFS{}
	for name, text := range map[string]string{
		"taskcluster/config.yml": config, ".taskcluster.yml": "version: 1\ntasks: []\n", "taskcluster/kinds/synth/kind.yml": kind(o),
		"src/mod0001/a.py": "x = 1\n", "docs/index.rst": "Synth\n=====\n", Parameters: parameters(),
	} {
		out[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return out, nil
}

// Parameters is the path of the parameters of a push to the repository.
const Parameters = "params/push.yml"

const config = `---
trust-domain: synth
task-priority: {by-project: {synth: low, default: lowest}}
task-deadline-after: 1 day
task-expires-after: 30 days
treeherder:
    group-names: {S: Synthetic}
index:
    products: [synth]
taskgraph:
    repositories:
        ci: {name: Synth}
    run:
        use-caches: [checkout, pip]
workers:
    aliases:
        b-linux:
            provisioner: '{trust-domain}-{level}'
            implementation: docker-worker
            os: linux
            worker-type: '{alias}'
        b-linux-large:
            provisioner: 'synth-{level}'
            implementation: docker-worker
            os: linux
            worker-type: b-linux-large
`

const kindHead = `---
loader: taskgraph.loader.transform:loader
transforms:
    - taskgraph.transforms.task_context
    - taskgraph.transforms.matrix
    - taskgraph.transforms.run
    - taskgraph.transforms.task
task-defaults:
    task-context:
        from-parameters:
            rev: head_rev
            who: [no_such_parameter, owner]
        from-object: {size: small, product: synth}
        substitution-fields: [description, worker-type, worker.env]
    matrix:
        platform: [%s]
        variant: [%s]
        substitution-fields:
            - description
            - dependencies
            - run.command
            - treeherder.platform
            - treeherder.symbol
            - worker.env
            - attributes
    dependencies: {}
    attributes:
        build_platform: "{matrix[platform]}"
        build_type: "{matrix[variant]}"
        retrigger: true
    worker-type:
        by-size:
            large: b-linux-large
            default: b-linux
    worker:
        docker-image: debian:12-slim
        max-run-time: 3600
        env:
            PRODUCT: "{product}"
            REV: "{rev}"
            PLATFORM: "{{matrix[platform]}}"
        artifacts:
            - type: directory
              name: public/build
              path: /builds/worker/artifacts
    treeherder: {kind: test, tier: 1}
    run-on-projects: [synth]
    run:
        using: run-task
        cwd: '{checkout}'
tasks:
`

// kind is the kind.yml.
func kind(o Options) string {
	var b strings.Builder
	fmt.Fprintf(&b, kindHead, quoted("p", o.Platforms), quoted("v", o.Variants))
	for i := range o.Tasks / (o.Platforms * o.Variants) {
		name := fmt.Sprintf("t%05d", i)
		fmt.Fprintf(&b, "    %s:\n        description: \"Synthetic %s of {product} for {who} on {{matrix[platform]}}/{{matrix[variant]}}\"\n", name, name)
		if i%7 == 0 {
			b.WriteString("        task-context:\n            from-object: {size: large}\n")
		}
		if i%o.Chain != 0 {
			fmt.Fprintf(&b, "        dependencies:\n            prev: \"synth-t%05d-{matrix[platform]}-{matrix[variant]}\"\n", i-1)
		}
		switch {
		case i%10 == 1:
			fmt.Fprintf(&b, "        optimization:\n            skip-unless-changed: ['src/mod%04d/**', 'docs/**/*.rst']\n", i)
		case i%2 == 1:
			fmt.Fprintf(&b, "        optimization:\n            skip-unless-changed: ['src/mod%04d/**']\n", i)
		}
		fmt.Fprintf(&b, "        treeherder:\n            symbol: \"S(%s-{matrix[variant]})\"\n            platform: \"{matrix[platform]}/opt\"\n", name)
		fmt.Fprintf(&b, "        run:\n            command: >-\n                ./run.sh --unit %s --platform {matrix[platform]} --variant {matrix[variant]}\n", name)
	}
	return b.String()
}

func quoted(prefix string, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%q", fmt.Sprint(prefix, i))
	}
	return strings.Join(list, ", ")
}

// parameters are those of a push of two files.
func parameters() string {
	const revision, base, repository = "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222", "https://github.com/example-org/synth"
	values := map[string]string{
		"base_ref": "refs/heads/main", "base_repository": repository, "base_rev": `"` + base + `"`, "build_date": "1767225600", "build_number": "1",
		"do_not_optimize": "[]", "enable_always_target": "true", "existing_tasks": "{}", "files_changed": "[src/mod0001/a.py, docs/index.rst]",
		"filters": "[target_tasks_method]", "head_ref": "refs/heads/main", "head_repository": repository, "head_rev": `"` + revision + `"`,
		"head_tag": `""`, "level": `"3"`, "moz_build_date": `"20260101000000"`, "next_version": "null", "optimize_strategies": "null",
		"optimize_target_tasks": "true", "owner": "dev@example.org", "project": "synth", "pushdate": "1767225600", "pushlog_id": `"17"`,
		"repository_type": "git", "target_tasks_method": "default", "tasks_for": "github-push", "version": "null",
	}
	var b strings.Builder
	b.WriteString("---\n")
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&b, "%s: %s\n", name, values[name])
	}
	return b.String()
}
